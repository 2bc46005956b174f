"""One definition as one plain Spark query, from the engine's own Columns: what a scan per segment costs."""

from __future__ import annotations

from functools import reduce
from operator import and_, or_

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from segment_lib import core
from segment_lib.columns import Names, feature_column, test_column
from segment_lib.plan import SOURCES, EvaluationPlan
from segment_lib.storage import Lake
from segment_lib.tables import INPUTS

_IDS = {"events": "event_id", "orders": "order_id"}


def members(plan: EvaluationPlan, lake: Lake, used_rows: bool) -> DataFrame:
    """The members (customer_id) of the one segment of a plan; `used_rows` as in `alone.used_rows`."""
    names = Names(plan.clock.zone.key, field=lambda column: F.col(f"customer_{column.name}"), is_customer="known")
    rows = _customers(plan, lake)
    for source in SOURCES:
        if not used_rows or any(feature.source == source for feature in plan.features):
            how = "left" if source == "lists" else "full"
            rows = rows.join(_source(source, plan, lake, used_rows), "customer_id", how)
    filled = {
        feature.name: F.coalesce(feature.name, F.lit(0)) for feature in plan.features
        if feature.never_missing
    }
    rows = rows.where(~F.coalesce("later", F.lit(False))).withColumns(
        {"known": F.coalesce("known", F.lit(False)), **filled}
    )
    return rows.where(test_column(plan.segments[0].reduced.test, names)).select("customer_id")


def _source(source: str, plan: EvaluationPlan, lake: Lake, used_rows: bool) -> DataFrame:
    time = F.col(INPUTS[source].time or "joined_at")
    features = [feature for feature in plan.features if feature.source == source]
    names = Names(plan.clock.zone.key, lines=F.col("items") if source == "orders" else None)
    order = F.struct(time, F.col(_IDS[source])) if source in _IDS else time
    kept = {feature: _rows(feature, time, names) for feature in features}
    seen = F.coalesce(time < F.lit(plan.clock.as_of), F.lit(source == "lists"))
    rows = lake.read(source).where(F.col("customer_id").isNotNull() & seen)
    if used_rows:
        rows = rows.where(reduce(or_, kept.values()))
    grouped = rows.groupBy("customer_id")
    aggregates = [
        feature_column(feature, kept[feature], names, order, time).alias(feature.name) for feature in features
    ]
    return grouped.agg(*aggregates) if aggregates else rows.select("customer_id").distinct()


def _rows(feature: core.Feature, time: Column, names: Names) -> Column:
    tests = [test_column(feature.where, names)]
    if feature.window.start is not None:
        tests.append(time >= F.lit(feature.window.start))
    if feature.window.end is not None:
        tests.append(time < F.lit(feature.window.end))
    return reduce(and_, tests)


def _customers(plan: EvaluationPlan, lake: Lake) -> DataFrame:
    later = F.coalesce(F.col("created_at") >= F.lit(plan.clock.as_of), F.lit(False))
    fields = (F.col(column.name).alias(f"customer_{column.name}") for column in plan.customer_fields)
    return lake.read("customers").select("customer_id", F.lit(True).alias("known"), later.alias("later"), *fields)
