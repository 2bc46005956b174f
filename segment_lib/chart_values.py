"""The value of each member in each chart of a breakdown, and what the member bought: one row per member.

Cost: each of customers, orders, events and profiles is read once if a chart or the sums need it, cut to the columns
used, and reduced to a row per customer before it is joined; `category` reads the lines of orders by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import reduce
from typing import TYPE_CHECKING

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from segment_lib import profiles
from segment_lib.catalogue import Type
from segment_lib.charts import BELOW, BEYOND, Chart
from segment_lib.clock import Clock
from segment_lib.scores import staged_name

if TYPE_CHECKING:
    from segment_lib.runs import RunRecord
    from segment_lib.storage import Lake

_DATES = {"year": "yyyy", "month": "yyyy-MM"}


@dataclass(frozen=True)
class Bought:
    """The days, both included, whose purchases count; `since` is None for all before."""

    clock: Clock
    since: date | None
    until: date

    def inside(self, time: Column) -> Column:
        """Whether an instant lies in them."""
        window = self.clock.days(self.since, self.until)
        ends = time < F.lit(window.end)
        return ends if window.start is None else ends & (time >= F.lit(window.start))


def of_members(
    lake: Lake, run: RunRecord, members: DataFrame, charts: Sequence[Chart], bought: Bought
) -> DataFrame:
    """`members` (customer_id, inside, segments) with purchases, net_revenue and a text ``v_N`` for the N-th chart."""
    purchases = _purchases(lake, run, bought)
    frames = [_orders(purchases, charts), _customers(lake, run, charts), _events(lake, run, charts, bought.clock)]
    if any(chart.name == "category" and chart.kind == "behaviour" for chart in charts):
        frames.append(_categories(purchases))
    found = (frame for frame in frames if frame is not None)
    joined = reduce(lambda rows, more: rows.join(more, "customer_id", "left"), found, members)
    scores = [chart.name for chart in charts if chart.kind == "score"]
    joined = profiles.with_scores(joined, lake, run, scores)
    none = F.lit(0).cast("bigint")
    return joined.select(
        "inside", F.coalesce("purchases", none).alias("purchases"),
        F.coalesce("net_revenue", F.lit(0).cast("decimal(38,4)")).alias("net_revenue"),
        *(
            _value(chart, joined.columns, bought.clock.zone.key).cast("string").alias(f"v_{place}")
            for place, chart in enumerate(charts)
        ),
    )


# A row per customer --------------------------------------------------------------------------------------------------


def _purchases(lake: Lake, run: RunRecord, bought: Bought) -> DataFrame:
    orders = lake.input("orders", run.inputs.get("orders"), run.inputs)
    statuses = list(lake.settings.catalogue.purchase_statuses)
    return orders.where(
        F.col("_reject").isNull() & F.col("customer_id").isNotNull() & F.col("status").isin(statuses)
        & bought.inside(F.col("ordered_at"))
    )


def _orders(purchases: DataFrame, charts: Sequence[Chart]) -> DataFrame:
    zero = F.lit(0).cast("decimal(18,4)")
    return purchases.groupBy("customer_id").agg(
        F.count(F.lit(1)).alias("purchases"),
        F.sum(F.coalesce("revenue", zero) - F.coalesce("refund", zero)).cast("decimal(38,4)").alias("net_revenue"),
        *_edges(charts, ("store", "source"), ("ordered_at", "order_id")),
    )


def _edges(charts: Sequence[Chart], columns: tuple[str, ...], order: tuple[str, str]) -> list[Column]:
    """The first or last known value of a column in time, for each chart that asks for it; of one instant by id."""
    found = []
    for name in dict.fromkeys(chart.name for chart in charts if chart.kind == "behaviour"):
        end, _, column = name.partition("_")
        if column in columns and end in ("first", "last"):
            when = F.when(F.col(column).isNotNull(), F.struct(*order))
            found.append((F.min_by if end == "first" else F.max_by)(column, when).alias(f"b_{name}"))
    return found


def _events(lake: Lake, run: RunRecord, charts: Sequence[Chart], clock: Clock) -> DataFrame | None:
    edges = _edges(charts, ("channel",), ("occurred_at", "event_id"))
    if not edges:
        return None
    events = lake.input("events", run.inputs.get("events"), run.inputs)
    seen = events.where(F.col("_reject").isNull() & (F.col("occurred_at") < F.lit(clock.as_of)))
    return seen.where(F.col("channel").isNotNull()).groupBy("customer_id").agg(*edges)


def _categories(purchases: DataFrame) -> DataFrame:
    """The item group of which most units were bought; of equals the first by name."""
    lines = purchases.select("customer_id", F.explode("items").alias("line")).where("line.item_group IS NOT NULL")
    units = lines.groupBy("customer_id", F.col("line.item_group").alias("item_group")).agg(
        F.sum(F.coalesce(F.col("line.quantity").cast("bigint"), F.lit(0))).alias("units")
    )
    first = F.min_by("item_group", F.struct(-F.col("units"), "item_group"))
    return units.groupBy("customer_id").agg(first.alias("b_category"))


def _customers(lake: Lake, run: RunRecord, charts: Sequence[Chart]) -> DataFrame | None:
    columns = dict.fromkeys(chart.name for chart in charts if chart.kind == "customers")
    if not columns:
        return None
    rows = lake.input("customers", run.inputs.get("customers"), run.inputs).where(F.col("_reject").isNull())
    return rows.select("customer_id", *(F.col(f"`{name}`").alias(f"c_{name}") for name in columns))


# Values as text ------------------------------------------------------------------------------------------------------


def _value(chart: Chart, available: Sequence[str], zone: str) -> Column:
    """The group of a member; null where it is not known."""
    if chart.kind == "segment":
        return F.when(F.array_contains("segments", chart.name), "in").otherwise("not in")
    if chart.kind == "behaviour" and chart.name == "order_count":
        column = F.coalesce("purchases", F.lit(0).cast("bigint"))
    else:
        prefix = {"customers": "c_", "behaviour": "b_"}.get(chart.kind)
        name = staged_name(chart.name) if prefix is None else f"{prefix}{chart.name}"
        # A score that the run did not give is known of nobody.
        column = F.col(f"`{name}`") if name in available else F.lit(None).cast(chart.type.ddl)
    if chart.type.is_number:
        return _range(chart, column)
    if chart.type is Type.BOOLEAN:
        return F.when(column, "yes").when(~column, "no")
    if chart.type.is_time:
        local = F.from_utc_timestamp(column, zone) if chart.type is Type.TIMESTAMP else column
        return F.date_format(local, _DATES[chart.period or "year"])
    return column


def _range(chart: Chart, number: Column) -> Column:
    """The range that a number lies in, by its upper end."""
    exact = number.cast("decimal(38,8)")
    label = F.when(exact < 0, BELOW).when(exact == 0, "0")
    for end, name in chart.ranges:
        label = label.when(exact <= F.lit(end).cast("decimal(38,8)"), name)
    return label.when(exact.isNotNull(), BEYOND)
