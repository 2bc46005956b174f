"""A segment as one SQL statement: run by Spark on the same tables, it gives the ids of the members.

The statement is not written beside the engine but by it: the functions that read the inputs and scan them run on frames
that note each step (`recorded`), and the conditions are the very Columns of a night (`columns`). Tables stand in it by
path and pinned version. Percentiles and a limit are computed inside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from segment_lib import rebuild
from segment_lib.columns import Names, test_column, value_column
from segment_lib.definition.segment import Reduced
from segment_lib.errors import UsageError
from segment_lib.evaluate import with_map
from segment_lib.inputs import without_erased
from segment_lib.published import Published, names_of
from segment_lib.sql_text.recorded import Book, Query, RecordedFrame
from segment_lib.runs import History
from segment_lib.scan import SCANNED, people, source_rows
from segment_lib.spoken import described
from segment_lib.sql_text.columns import comment, quoted
from segment_lib.storage import Lake

if TYPE_CHECKING:
    from segment_lib.plan import EvaluationPlan

HEAD = (
    "Spark 4 with Delta; spark.sql.session.timeZone must be UTC. Each table is read at the version that the run "
    "pinned; erasures are the newest.",
)


class RecordingLake(Lake):
    """A lake whose tables are names in SQL text; nothing that is read from it is run."""

    def __init__(self, lake: Lake):
        super().__init__(lake.spark, lake.settings)
        self.book = Book()
        self._inputs: dict[tuple[str, int | None], DataFrame] = {}

    def input(
        self, table: str, version: int | None = None, pins: Mapping[str, int] | None = None, now: datetime | None = None
    ) -> DataFrame:
        """As of a lake; what reading a table takes is written down once. The pins are always those of one run."""
        if (table, version) not in self._inputs:
            self._inputs[table, version] = super().input(table, version, pins, now)
        return self._inputs[table, version]

    def read(self, table: str, version: int | None = None) -> DataFrame:
        frame = super().read(table, version)
        if isinstance(frame, RecordedFrame):
            return frame
        pinned = version is not None and table != "erasures"
        try:
            place = f"delta.{quoted(self.path(table))}"
        except ValueError:
            raise UsageError(f"the path of {table} has a sign that cannot stand in an SQL statement") from None
        sql = f"{place} VERSION AS OF {version}" if pinned else place
        return self.book.table(frame, sql, table)  # type: ignore[return-value]

    def _no_rows(self, table: str) -> DataFrame:
        return self.book.nothing(super()._no_rows(table), table)  # type: ignore[return-value]


def statement(lake: Lake, history: History, found: Published) -> str:
    """The members of a segment at a published date, as text: comments, then one SELECT of ``customer_id``."""
    return next(statements(lake, history, [found]))


def statements(lake: Lake, history: History, segments: Iterable[Published]) -> Iterator[str]:
    """The statements of segments of one run; what reading the inputs takes is written down once for all."""
    recording = RecordingLake(lake)
    inputs: dict[str, Query] | None = None
    for found in segments:
        if inputs is None:
            for source in SCANNED:
                source_rows(source, recording, found.run.inputs, None)
            inputs = dict(recording.book.queries)
        recording.book.queries = dict(inputs)
        yield _statement(recording, history, found)


def _statement(recording: RecordingLake, history: History, found: Published) -> str:
    if found.held is not None:
        rows, more = _kept(recording, history, found), [f"Its members are kept ones: {found.held}."]
    else:
        rows, more = _computed(recording, history, found)
    run, segment = found.run, found.segment
    head = [
        f"Members of {segment.id} ({segment.title}) on {run.snapshot_date}, as run {run.run_id} published them.",
        f"Definition: {segment.label()}", *HEAD, *more,
    ]
    return "\n".join([*(comment(line) for line in head), recording.book.statement(rows)])


def _kept(lake: RecordingLake, history: History, found: Published) -> RecordedFrame:
    """The published members of a segment whose conditions did not decide."""
    members = rebuild.members(lake, history, found.run)
    mine = members.where(F.exists("segments", lambda one: one["id"] == F.lit(found.segment.id)))
    erased = lake.erased()
    return (mine if erased is None else without_erased(mine, erased, lake.tenant)).select("customer_id")


def _computed(lake: RecordingLake, history: History, found: Published) -> tuple[RecordedFrame, list[str]]:
    """The members that the conditions give, and what to say of how they are computed."""
    plan, reduced = found.plan(), found.reduced
    rows = found.scored(people(plan, lake, found.run.inputs).where("_evaluated"), lake)
    said = [f"{feature.name}: {described(feature, found.clock)}" for feature in plan.features]
    said += [f"{sequence.name}: whether a sequence is found" for sequence in plan.sequences]
    references = sorted(found.segment.references())
    if references:
        rows = with_map(rows, rebuild.members(lake, history, found.run), "_published")
        said.append(f"References are the published members of that date: {', '.join(references)}")
    rows, names = _with_bounds(rows, plan, names_of(found))
    rows = rows.select("*", test_column(reduced.test, names).alias("_member")).where("_member")
    return _limited(rows, reduced, names).select("customer_id"), said


def _with_bounds(rows: RecordedFrame, plan: EvaluationPlan, names: Names) -> tuple[RecordedFrame, Names]:
    """The rows with a column for each percentile, null where nobody has the value.

    The bound is the smallest value with `percent` % of all at or below it, counted over the distinct values.
    """
    bounds = {}
    for number, (value, percentile) in enumerate(plan.percentiles):
        column = f"_bound_{number}"
        having = F.when(test_column(percentile.population, names), value_column(value, names))
        counts = rows.select(having.alias("value")).where("value IS NOT NULL").groupBy("value").agg(
            F.count(F.lit(1)).alias("customers")
        )
        running = counts.select(
            "value", F.sum("customers").over(Window.orderBy("value")).alias("up_to"),
            F.sum("customers").over(Window.partitionBy()).alias("total"),
        )
        reached = F.col("up_to") * F.lit(100) >= F.lit(percentile.percent) * F.col("total")
        bound = running.where(reached).agg(F.min("value").alias(column))
        bounds[value, percentile] = (column, bound)
    for _, bound in bounds.values():
        rows = rows.crossJoin(bound)
    return rows, replace(names, bounds={key: F.col(column) for key, (column, _) in bounds.items()})


def _limited(rows: RecordedFrame, reduced: Reduced, names: Names) -> RecordedFrame:
    """The members that a limit leaves: the greatest values first, and of equal ones the smaller ids."""
    if reduced.cut is None:
        return rows
    valued = rows.select("customer_id", value_column(reduced.cut.by, names).alias("value"))
    known = valued.where("value IS NOT NULL")
    return known.orderBy(F.col("value").desc(), F.col("customer_id").asc()).limit(reduced.cut.top)
