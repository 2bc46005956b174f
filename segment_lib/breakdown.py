"""Breakdown: the members of a segment by an attribute or a behaviour, and what each group buys.

Every member is in exactly one group of a chart, so groups add up to the segment. Any number of segments and charts are
answered together: each input that they need is read once and reduced to a row per member, and a row per segment, chart
and value is shuffled. Groups too small to be shown are put together before they reach the driver.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_CEILING, Decimal
from typing import TYPE_CHECKING, Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from segment_lib import chart_values, definitions_log, preparation, profiles, rebuild
from segment_lib.chart_values import Bought
from segment_lib.charts import MOST_CHARTS, Chart, parse_chart
from segment_lib.clock import Clock
from segment_lib.definition import Segment
from segment_lib.errors import UsageError, nearest
from segment_lib.figures import EVERYONE
from segment_lib.html_tables import heading, note, table
from segment_lib.inputs import without_erased
from segment_lib.totals import quotient

if TYPE_CHECKING:
    from segment_lib.definitions_log import Definition
    from segment_lib.runs import History, RunRecord
    from segment_lib.settings import FoldSection
    from segment_lib.storage import Lake

OTHER, UNKNOWN = "other", "unknown"
_SUMS = ("customers", "purchasers", "purchases", "net_revenue")


@dataclass(frozen=True)
class Group:
    """Members with one value, with values too rare to be shown (`kind` other), or without one (unknown).

    `value` is None of the last two. Purchases and net revenue (the tenant's currency) are those of the range of days.
    """

    kind: str
    value: str | None
    customers: int
    purchasers: int
    purchases: int
    net_revenue: Decimal

    @property
    def name(self) -> str:
        """The value, or in parentheses what stands for one."""
        return self.value if self.value is not None else f"({self.kind})"

    @property
    def revenue_per_purchaser(self) -> Decimal | None:
        """Net revenue per member with a purchase in the range; None without one."""
        return quotient(self.net_revenue, self.purchasers)


@dataclass(frozen=True)
class Breakdown:
    """A segment on a published date by one chart: ranges and times in their order, other groups by size.

    `since` and `until` are the days whose purchases count, both included; `since` is None for all time.
    """

    segment: str
    by: str
    snapshot_date: date
    since: date | None
    until: date
    currency: str
    groups: tuple[Group, ...]

    @property
    def whole(self) -> Group:
        """All members: the sums over the groups."""
        sums = {name: sum(getattr(group, name) for group in self.groups) for name in _SUMS[:-1]}
        revenue = sum((group.net_revenue for group in self.groups), Decimal(0))
        return Group("whole", None, **sums, net_revenue=revenue)

    def to_dict(self) -> dict[str, Any]:
        """The breakdown as plain data; shares are from 0 to 1."""
        return {
            "segment": self.segment, "by": self.by, "date": self.snapshot_date, "since": self.since,
            "until": self.until, "currency": self.currency,
            "groups": [{"kind": group.kind, "value": group.value} | self._numbers(group) for group in self.groups],
            "whole": self._numbers(self.whole),
        }

    def rows(self) -> list[dict[str, Any]]:
        """A row a group, the largest first or in order, and one of the whole."""
        head = self.by.replace(":", " ")
        rows = [{head: group.name} | self._numbers(group) for group in self.groups]
        return [*rows, {head: "(all)"} | self._numbers(self.whole)]

    def _numbers(self, group: Group) -> dict[str, Any]:
        whole = self.whole
        return {
            **{name: getattr(group, name) for name in _SUMS},
            "share_of_customers": quotient(group.customers, whole.customers),
            "share_of_purchasers": quotient(group.purchasers, whole.purchasers),
            "share_of_revenue": quotient(group.net_revenue, whole.net_revenue),
            "revenue_per_purchaser": group.revenue_per_purchaser,
        }

    def _repr_html_(self) -> str:
        when = f"purchases from {self.since or 'the first'} to {self.until}, {self.currency}"
        return f"{heading(f'{self.segment}, {self.snapshot_date}')}{note(when)}{table(self.rows())}"


def breakdowns(
    lake: Lake, history: History, segments: Sequence[str], by: Sequence[str] = (), since: date | None = None,
    until: date | None = None, day: date | None = None,
) -> tuple[Breakdown, ...]:
    """Each segment by each chart on a published date, by default the last; without `by`, the charts of conf.

    ``_all`` is everyone evaluated. Purchases count from `since`, default the first, to `until`, default the snapshot
    date, of the inputs that the date's run had pinned. Raises UsageError for names that are not there, with the nearest
    one, and InputError when those inputs are no longer kept.
    """
    run = history.published(day)
    listed = definitions_log.read(lake, run)
    charts = _charts(lake, by, listed)
    _check(lake, history, run, segments, listed)
    until = run.snapshot_date if until is None else until
    if until > run.snapshot_date or (since is not None and since > until):
        raise UsageError(f"{since or 'the first day'} to {until} are no days up to {run.snapshot_date}")
    preparation.require(lake, run, f"the inputs of {run.snapshot_date}")
    profiles.require(lake, run, [chart.name for chart in charts if chart.kind == "score"])
    clock = Clock(run.snapshot_date, lake.settings.zone)
    members = _members(lake, history, run, segments)
    sizes = {row["segment"]: row["customers"] for row in _sizes(members)}
    least = _least(sizes, lake.settings.breakdowns.fold)
    found = _grouped(lake, run, members, charts, Bought(clock, since, until), least)
    return tuple(
        Breakdown(
            segment, chart.text, run.snapshot_date, since, until, lake.settings.currency,
            tuple(_ordered(chart, found.get((segment, place), ()))),
        )
        for segment in segments for place, chart in enumerate(charts)
    )


# What is asked -------------------------------------------------------------------------------------------------------


def _charts(lake: Lake, by: Sequence[str], listed: Mapping[str, Definition]) -> list[Chart]:
    names = list(dict.fromkeys(by or lake.settings.breakdowns.charts))
    if not names:
        raise UsageError("name what to break down by, such as country, or list charts in conf under breakdowns.charts")
    if len(names) > MOST_CHARTS:
        raise UsageError(f"at most {MOST_CHARTS} charts at once, not {len(names)}")
    catalogue = lake.settings.names()
    try:
        charts = [parse_chart(name, catalogue, lake.settings.customers.personal_fields) for name in names]
    except ValueError as error:
        raise UsageError(str(error)) from None
    marked = [name for name, row in listed.items() if row.definition and Segment.from_json(row.definition).analytics]
    for chart in charts:
        if chart.kind == "segment" and chart.name not in marked:
            what = "is not marked" if chart.name in listed else "is not there to be marked"
            raise UsageError(
                f"segment {chart.name!r} {what} analytics: true, so nothing is broken down by it"
                + (f"; {nearest(chart.name, marked)}" if marked else "")
            )
    return charts


def _check(
    lake: Lake, history: History, run: RunRecord, segments: Sequence[str], listed: Mapping[str, Definition]
) -> None:
    known = {EVERYONE, *listed}
    for name in segments:
        if name not in known:
            raise UsageError(f"no segment {name!r} on {run.snapshot_date}; {nearest(name, known)}")
    if EVERYONE in segments and not rebuild.kept(lake, history, run):
        raise UsageError(
            f"the snapshot of {run.snapshot_date} is no longer kept (conf: retention), so who was in no segment is not "
            "known; ask about a later date"
        )


# The members ---------------------------------------------------------------------------------------------------------


def _members(lake: Lake, history: History, run: RunRecord, segments: Sequence[str]) -> DataFrame:
    """(customer_id, inside, segments) of who is in any of the segments; `inside` names those."""
    members = rebuild.members(lake, history, run)
    erased = lake.erased()
    members = members if erased is None else without_erased(members, erased, lake.tenant)
    ids = F.transform("segments", lambda one: one["id"])
    asked = F.filter(ids, lambda one: one.isin([name for name in segments if name != EVERYONE]))
    inside = F.concat(asked, F.array(F.lit(EVERYONE))) if EVERYONE in segments else asked
    return members.select("customer_id", inside.alias("inside"), ids.alias("segments")).where(F.size("inside") > 0)


def _sizes(members: DataFrame) -> list[Any]:
    """A row a segment."""
    one = members.select(F.explode("inside").alias("segment"))
    return one.groupBy("segment").agg(F.count(F.lit(1)).alias("customers")).collect()


def _least(sizes: Mapping[str, int], fold: FoldSection) -> dict[str, int]:
    """The fewest customers that a group of each segment has which is shown by its own.

    >>> from segment_lib.settings import FoldSection
    >>> _least({"vip": 120, "all": 1001}, FoldSection())
    {'vip': 5, 'all': 11}
    """
    share = Decimal(str(fold.share))
    return {
        name: max(fold.customers, int((share * size).to_integral_value(ROUND_CEILING))) for name, size in sizes.items()
    }


def _grouped(
    lake: Lake, run: RunRecord, members: DataFrame, charts: Sequence[Chart], bought: Bought, least: Mapping[str, int]
) -> dict[tuple[str, int], list[Group]]:
    """(segment, place of the chart) -> its groups."""
    rows = chart_values.of_members(lake, run, members, charts, bought)
    values = F.array(*(F.struct(F.lit(i).alias("chart"), F.col(f"v_{i}").alias("value")) for i in range(len(charts))))
    exploded = rows.select("inside", "purchases", "net_revenue", F.explode(values).alias("one")).select(
        F.explode("inside").alias("segment"), "one.chart", "one.value", "purchases", "net_revenue"
    )
    by_value = exploded.groupBy("segment", "chart", "value").agg(
        F.count(F.lit(1)).alias("customers"), F.count_if(F.col("purchases") > 0).alias("purchasers"),
        F.sum("purchases").alias("purchases"), F.sum("net_revenue").cast("decimal(38,4)").alias("net_revenue"),
    )
    limits = [F.lit(part) for name, count in sorted(least.items()) for part in (name, count)]
    enough = F.col("customers") >= F.create_map(*limits)[F.col("segment")] if limits else F.lit(True)
    kind = F.when(F.col("value").isNull(), UNKNOWN).when(enough, "value").otherwise(OTHER)
    told = by_value.withColumn("kind", kind).groupBy(
        "segment", "chart", "kind", F.when(F.col("kind") == "value", F.col("value")).alias("value")
    ).agg(*(F.sum(name).alias(name) for name in _SUMS))
    found: dict[tuple[str, int], list[Group]] = {}
    for row in told.collect():
        numbers = {name: int(row[name]) for name in _SUMS[:-1]}
        group = Group(row["kind"], row["value"], **numbers, net_revenue=row["net_revenue"])
        found.setdefault((row["segment"], row["chart"]), []).append(group)
    return found


def _ordered(chart: Chart, groups: Iterable[Group]) -> list[Group]:
    """Groups with a value first, then the others and the unknown."""
    last = {"value": 0, OTHER: 1, UNKNOWN: 2}

    def place(group: Group) -> tuple:
        rank = chart.rank(group.value) if group.value is not None else (0, "")
        return last[group.kind], rank, -group.customers, group.value or ""

    return sorted(groups, key=place)
