"""A figure of a segment as one SQL statement: run by Spark on the same tables, it gives the stored number.

Written by the engine itself: the scan of the run's inputs for the totals that the figure needs, of the customers who
were members as the run published them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING

from pyspark.sql import Column
from pyspark.sql import functions as F

from segment_lib import customer_totals, definitions_log, preparation, profiles, rebuild
from segment_lib.clock import Clock
from segment_lib.columns import quotient_column
from segment_lib.errors import UsageError, nearest
from segment_lib.figures import BY_NAME, EVERYONE, LOST, Figure
from segment_lib.plan import EvaluationPlan
from segment_lib.runs import details
from segment_lib.scan import people
from segment_lib.scores import staged_name
from segment_lib.sql_text.columns import comment
from segment_lib.sql_text.statement import HEAD, RecordingLake
from segment_lib.totals import HISTOGRAMS, PLACES, SCORE_TOTALS

if TYPE_CHECKING:
    from segment_lib.runs import History, RunRecord
    from segment_lib.storage import Lake


def figure_statement(lake: Lake, history: History, run: RunRecord, segment: str, name: str) -> str:
    """A figure at a published date, as text: comments, then one SELECT of one number under the figure's name."""
    figure = BY_NAME.get(name)
    if figure is None:
        raise UsageError(f"no figure {name!r}; {nearest(name, BY_NAME)}")
    listed = definitions_log.read(lake, run)
    if segment not in (*listed, EVERYONE, LOST):
        known = (*listed, EVERYONE, LOST)
        raise UsageError(f"no segment {segment!r} on {run.snapshot_date}; {nearest(segment, known)}")
    preparation.require(lake, run, f"the inputs of {run.snapshot_date}")
    run = details(lake, run)
    catalogue, clock = lake.settings.names(), Clock(run.snapshot_date, lake.settings.zone)
    scores = ["churn.status", *(["churn.risk_rate"] if "scored" in figure.needs else [])]
    scores += [SCORE_TOTALS[total][0] for total in figure.needs if total in SCORE_TOTALS]
    profiles.require(lake, run, scores)
    plan = EvaluationPlan(
        clock, catalogue, (), (), frozenset(), {}, {}, needed=customer_totals.CONTACT_FIELDS, totals=frozenset(PLACES),
    )
    recording = RecordingLake(lake)
    rows = people(plan, recording, run.inputs).where("_evaluated")
    rows = profiles.with_scores(rows, recording, run, dict.fromkeys(scores))
    status = staged_name("churn.status")
    lost = F.coalesce(F.col(status) == "lost", F.lit(False)) if status in rows.columns else F.lit(False)
    if segment == LOST:
        rows = rows.where(lost)
    elif segment != EVERYONE:
        members = rebuild.members(recording, history, run)
        mine = members.where(F.exists("segments", lambda one: one["id"] == F.lit(segment))).select("customer_id")
        rows = rows.join(mine, "customer_id", "left_semi")
    elif figure.average:
        rows = rows.where(~lost)
    totals = customer_totals.of_customer(clock, lost, rows.columns)
    bins = customer_totals.bins_of_customer(clock)
    needed = rows.select(*((bins if need in HISTOGRAMS else totals)[need].alias(need) for need in figure.needs))
    found = needed.agg(*(_SUMMED[need in HISTOGRAMS](need).alias(need) for need in figure.needs))
    result = found.select(_value(figure).cast(figure.type).alias(name))
    head = (
        f"{name} of {segment} on {run.snapshot_date}, as run {run.run_id} stored it: {figure.says} ({figure.unit}).",
        *HEAD,
    )
    return "\n".join([*(comment(line) for line in head), recording.book.statement(result)])


def _total(name: str) -> Column:
    return F.coalesce(F.sum(name), F.lit(0)).cast("decimal(28,0)")


def _entries(name: str) -> Column:
    """All entries of all customers, sorted."""
    return F.array_sort(F.flatten(F.collect_list(name)))


_SUMMED: Mapping[bool, Callable[[str], Column]] = {False: _total, True: _entries}


def _value(figure: Figure) -> Column:
    """The figure, of columns named as what it needs."""
    if figure.kind == "median":
        entries = F.col(figure.needs[0])
        return F.get(entries, F.ceil(F.size(entries) / 2).cast("int") - 1)
    values = [
        F.col(name) * F.lit(Decimal(1).scaleb(-PLACES[name])).cast("decimal(9,8)") for name in figure.needs
    ]
    if figure.kind == "ratio":
        return quotient_column(*values)
    return values[0] if figure.kind == "sum" else values[0] - values[1]
