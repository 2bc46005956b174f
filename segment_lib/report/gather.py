"""Gathers a report from what the nights published: no input is read but the masked fields of a few customers.

Cost: the rows of `segment_metrics` of all dates and the definitions of all dates (one a segment and date), the last
snapshot once for the sample, once for the examples and once for the sets of conf, and the last `segment_overlaps`. To the driver come rows per
segment and date, some four thousand lists of segments without ids, and ten masked members a segment.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import yaml
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from segment_lib import breakdown, compare, definitions_log, growth, metrics, overlaps, preparation, rebuild
from segment_lib.definition import Segment
from segment_lib.definitions_log import Definition, DefinitionState
from segment_lib.errors import UsageError, nearest
from segment_lib.figures import EVERYONE
from segment_lib.metrics import SegmentMetrics
from segment_lib.preview.masked import EXAMPLES, masked
from segment_lib.preview.sampling import place
from segment_lib.report import sent
from segment_lib.report.content import Content, ExactSet, Sample, SegmentPart, Sizes

if TYPE_CHECKING:
    from segment_lib.runs import History, RunRecord
    from segment_lib.storage import Lake

#: About so many customers are in the sample, which estimates how three segments or more overlap.
SAMPLED = 4_000
_SALT = "seglake report"
_WHOLE = float(1 << 63)
#: So many candidates for each segment's examples are expected; fewer than ten of them are one night in a million.
_CANDIDATES = 40


def gather(
    lake: Lake, history: History, segments: Sequence[str] = (), day: date | None = None, *, sql: bool = False,
    breakdowns: bool = False,
) -> Content:
    """The report of a published date, by default the last, with all dates before it; of some `segments` alone if named.

    With `sql` each definition has its SQL too, which writes every definition down (about half a second each); with `breakdowns`
    the charts of conf, which reads the inputs that they need once for all segments. Raises UsageError when nothing is
    published yet, and for a segment that the date does not have.
    """
    run = history.published(day)
    listed = definitions_log.read(lake, run)
    for name in segments:
        if name not in listed:
            raise UsageError(f"no segment {name!r} on {run.snapshot_date}; {nearest(name, listed)}")
    gone = {name for name, row in listed.items() if row.state is DefinitionState.DELETED}
    names = sorted(set(segments) or listed.keys() - gone)
    dates = tuple(day for day in history.dates if day <= run.snapshot_date)
    today = metrics.of_run(lake, history, run)
    before = metrics.of_run(lake, history, history.winner(dates[-2])) if len(dates) > 1 else {}
    sizes = _sizes(lake, history, dates)
    edits = _edits(lake, history, dates)
    snapshot = compare.members_of(lake, history, run)
    members = _members(snapshot)
    examples = _examples(lake, run, members, {name: today[name].customers for name in names if name in today})

    charts: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for one in breakdown.breakdowns(lake, history, names, day=run.snapshot_date) if breakdowns and names else ():
        charts[one.segment].append(one.to_dict())

    statements = _sql(lake, history, run, names) if sql else {}

    audiences, messages = sent.audiences(lake), sent.messages(lake)

    def part(name: str) -> SegmentPart:
        return SegmentPart(
            name, _title(listed[name]), sizes.get(name, _nothing(dates)), **_numbers(today.get(name), before.get(name)),
            **_defined(listed[name]), edits=edits.get(name, ()), examples=tuple(examples.get(name, ())),
            breakdowns=tuple(charts[name]),
            sql=statements.get(name, ""), audiences=audiences.get(name, ()), messages=messages.get(name, ()),
        )

    everyone = SegmentPart(
        EVERYONE, "Everyone", sizes.get(EVERYONE, _nothing(dates)), **_numbers(today.get(EVERYONE), before.get(EVERYONE))
    )
    return Content(
        lake.tenant, lake.settings.currency, dates, everyone, tuple(part(name) for name in names),
        _shared(lake, run, names), _exact(lake, history, snapshot, names), _sample(members, names),
    )


# Numbers -------------------------------------------------------------------------------------------------------------


def _sizes(lake: Lake, history: History, dates: Sequence[date]) -> dict[str, Sizes]:
    """Segment -> its sizes and flows on each date."""
    rows = rebuild.counted(lake, history, "segment_metrics", until=dates[-1])
    found: dict[str, dict[date, tuple[int | None, ...]]] = defaultdict(dict)
    for row in rows.select("snapshot_date", "segment_id", "customers", "entered", "left").collect():
        found[row["segment_id"]][row["snapshot_date"]] = (row["customers"], row["entered"], row["left"])
    nothing = (None, None, None)
    return {
        name: Sizes(*(tuple(by_date.get(day, nothing)[side] for day in dates) for side in range(3)))
        for name, by_date in found.items()
    }


def _nothing(dates: Sequence[date]) -> Sizes:
    return Sizes(*((None,) * len(dates) for _ in range(3)))


def _numbers(today: SegmentMetrics | None, before: SegmentMetrics | None) -> dict[str, Any]:
    return {
        "figures": today.figures if today else {}, "before": before.figures if before else {},
        "months": today.months if today else (),
    }


def _shared(lake: Lake, run: RunRecord, names: Sequence[str]) -> dict[tuple[int, int], int]:
    at = {name: number for number, name in enumerate(names)}
    rows = overlaps.of_run(lake, run).where("segment_id < other_id").select("segment_id", "other_id", "customers")
    return {
        (at[row["segment_id"]], at[row["other_id"]]): row["customers"] for row in rows.collect()
        if row["segment_id"] in at and row["other_id"] in at
    }


# Definitions ---------------------------------------------------------------------------------------------------------


def _title(row: Definition) -> str:
    return row.name or row.segment_id


def _defined(row: Definition) -> dict[str, Any]:
    """What the definition says; a broken file that never was valid says nothing."""
    segment = Segment.from_json(row.definition) if row.definition else None
    text = yaml.safe_dump(json.loads(row.definition), sort_keys=False, allow_unicode=True) if row.definition else ""
    return {
        "description": (segment.description or "") if segment else "", "kind": row.kind or "", "state": row.state.value,
        "reason": row.reason, "icon": segment.recommended.icon if segment and segment.recommended else "",
        "created": row.created_at, "updated": row.updated_at, "used_by": row.used_by,
        "label": segment.label() if segment else "", "yaml": text,
    }


def _edits(lake: Lake, history: History, dates: Sequence[date]) -> dict[str, tuple[tuple[int, str], ...]]:
    """Segment -> (place of the date, what became of the definition) for each date on which something did."""
    at = {day: number for number, day in enumerate(dates)}
    return {
        name: tuple(
            (at[now.snapshot_date], what)
            for earlier, now in pairwise([None, *rows]) if (what := growth.changed(earlier, now))
        )
        for name, rows in growth.listed(lake, history, until=dates[-1]).items()
    }


def _sql(lake: Lake, history: History, run: RunRecord, names: Sequence[str]) -> dict[str, str]:
    """Segment -> its statement, or as a comment why it has none."""
    from segment_lib import published, sql_text

    texts: dict[str, str] = {}
    found = []
    try:
        find = published.finder(lake, run)
        for name in names:
            try:
                found.append(find(name))
            except UsageError as error:
                texts[name] = f"-- {error}"
        made = list(sql_text.statements(lake, history, found))
    except UsageError as error:
        return dict.fromkeys(names, f"-- {error}")
    return texts | {one.segment.id: text for one, text in zip(found, made, strict=True)}


# Customers -----------------------------------------------------------------------------------------------------------


def _members(everyone: DataFrame) -> DataFrame:
    """(customer_id, ids) of who is in any segment."""
    ids = F.transform("segments", lambda one: one["id"]).alias("ids")
    return everyone.where(F.size("segments") > 0).select("customer_id", ids)


def _exact(lake: Lake, history: History, everyone: DataFrame, names: Sequence[str]) -> tuple[ExactSet, ...]:
    """The sets of conf whose segments are all on the page, counted exactly in one pass."""
    newest = definitions_log.read(lake, history.published(None))
    for number, segments in enumerate(lake.settings.report.compare):
        for name in segments:
            if name not in newest and name not in names:
                raise UsageError(f"conf report.compare[{number}]: no segment {name!r}; {nearest(name, newest)}")
    at = {name: number for number, name in enumerate(names)}
    sets = [segments for segments in lake.settings.report.compare if at.keys() >= set(segments)]
    return tuple(
        ExactSet(
            tuple(at[name] for name in segments),
            tuple((tuple(at[name] for name in region.inside), region.customers) for region in found),
        )
        for segments, found in zip(sets, compare.regions(everyone, sets), strict=True)
    )


def _sample(members: DataFrame, names: Sequence[str]) -> Sample:
    """Customers whose ids hash lowest, the same every night; of all when there are few."""
    total = members.count()
    rate = min(1.0, SAMPLED / max(total, 1))
    rows = members if rate == 1 else members.where(_share(F.col("customer_id")) < rate)
    at = {name: number for number, name in enumerate(names)}
    found = (tuple(sorted(at[name] for name in row["ids"] if name in at)) for row in rows.select("ids").collect())
    return Sample(tuple(sorted(found)), total)


def _share(customer: Any) -> Any:
    """The place of a customer's hash among all hashes, from 0 to 1."""
    return (place(customer, _SALT).cast("double") / _WHOLE + 1) / 2


def _examples(
    lake: Lake, run: RunRecord, members: DataFrame, sizes: Mapping[str, int]
) -> dict[str, list[dict[str, Any]]]:
    """Ten members of each segment, masked in Spark; none where the date's inputs are no longer kept.

    Only those whose hash is so low that some `_CANDIDATES` of a segment's members have such a one are looked at, so that
    the rows that are put in order are a few for each segment, whatever its size.
    """
    sizes = {name: size for name, size in sizes.items() if size}
    if not sizes or not preparation.kept(lake, run):
        return {}
    limits = F.create_map(*(F.lit(part) for name, size in sizes.items() for part in (name, _CANDIDATES / size)))
    near = members.select("customer_id", _share(F.col("customer_id")).alias("share"), "ids")
    low = F.filter("ids", lambda name: F.col("share") < F.try_element_at(limits, name))
    candidates = near.select("customer_id", "share", F.explode(low).alias("segment"))
    order = Window.partitionBy("segment").orderBy("share", "customer_id")
    chosen = candidates.withColumn("place", F.row_number().over(order)).where(F.col("place") <= EXAMPLES)
    persons = lake.input("customers", run.inputs.get("customers"), run.inputs).where("_reject IS NULL").select(
        "customer_id", "email", "first_name", "last_name", "country", F.col("created_at").cast("date").alias("created")
    )
    rows = chosen.join(persons, "customer_id", "left").orderBy("segment", "place").select(
        "segment", masked(F.col("customer_id")).alias("customer"), masked(F.col("first_name")).alias("first name"),
        masked(F.col("last_name")).alias("last name"), masked(F.col("email")).alias("email"), "country",
        F.col("created").cast("string").alias("created"),
    )
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for segment, *values in rows.collect():
        found[segment].append(dict(zip(rows.columns[1:], values, strict=True)))
    return found
