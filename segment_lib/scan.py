"""The scan: every source row is read once, and one staged row per customer holds all that later steps need.

Cost: events, orders and lists are each aggregated by customer before anything is joined, so what is shuffled is one row per
customer and map task, not the events; the aggregates then meet `customers` in co-partitioned joins, and the result is
written once. Everything after this reads the staged rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import reduce
from operator import and_

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from segment_lib import core
from segment_lib.clock import Clock, Interval
from segment_lib.columns import Names, feature_column, test_column
from segment_lib.plan import SOURCES, EvaluationPlan
from segment_lib.storage import Lake
from segment_lib.tables import INPUTS

#: The inputs that a night reads by customer.
SCANNED = ("customers", *SOURCES)
_ORDER_IDS = {"events": "event_id", "orders": "order_id", "lists": "list_id"}


@dataclass(frozen=True)
class Scan:
    """What the scan found.

    `customers` is the staged frame, one row per id: ``customer_id``, ``_known`` (stands in customers), ``_evaluated``,
    ``_has_new``, ``_has_late``, the totals for metrics, one column per feature (`Feature.name`) and customer field
    (``customer_NAME``). `faults` names the segments whose data could not be read as declared, each with the reason.
    """

    customers: DataFrame
    rows: Mapping[str, int]
    rejected: Mapping[str, Mapping[str, int]]
    newest: Mapping[str, datetime]
    faults: Mapping[str, str] = field(default_factory=dict)


def scan(
    plan: EvaluationPlan,
    lake: Lake,
    pins: Mapping[str, int],
    run_id: str,
    *,
    base_as_of: datetime | None = None,
    base_at: datetime | None = None,
) -> Scan:
    """Reads every source once at its pinned version and stages one row per customer.

    `base_as_of` is the instant at which the base snapshot ended and `base_at` when it was published: rows after the first
    are new, rows before it that arrived after the second are late. Without a base all rows are new.
    """
    frames = {source: _aggregated(source, plan, lake, pins, base_as_of, base_at) for source in SOURCES}
    joined = _customers(plan, lake, pins, base_as_of)
    for source in SOURCES:
        joined = joined.join(frames[source], "customer_id", "full")
    staged = lake.stage("customers", run_id, _finished(joined, plan))
    return _counted(staged, plan)


# One row per customer from each source -------------------------------------------------------------------------------


def _aggregated(
    source: str,
    plan: EvaluationPlan,
    lake: Lake,
    pins: Mapping[str, int],
    base_as_of: datetime | None,
    base_at: datetime | None,
) -> DataFrame:
    """The features of one source per customer, with counts of its rows.

    Rejected rows have no customer, so they fall into groups of their own by reason, and so cost nothing to count.
    """
    rows = lake.input(source, pins.get(source), pins)
    features = [feature for feature in plan.features if feature.source == source]
    time = F.col(INPUTS[source].time or "joined_at")
    reject = _rejected()
    seen = F.coalesce(time < F.lit(plan.clock.as_of), F.lit(source == "lists"))
    filters = {feature.where: f"_w{i}" for i, feature in enumerate(dict.fromkeys(features))}
    names = Names(plan.clock.zone.key, lines=F.col("items") if source == "orders" else None)
    risky = [name for name in rows.columns if name.startswith("_bad_")]
    used = {f"_bad_{node.name}" for f in features for node in f.walk() if isinstance(node, core.Field)}
    columns = _row_columns(features, rows.columns)
    prepared = rows.select(
        F.when(reject.isNull(), F.col("customer_id")).alias("customer_id"),
        reject.alias("_reject"),
        (reject.isNull() & seen).alias("_seen"),
        time.alias("_time"),
        F.col("_late_at"),
        *(F.col(f"`{name}`") for name in columns if name != "customer_id"),
        *(F.col(name) for name in risky if name in used),
        *(test_column(where, names).alias(name) for where, name in filters.items() if where != core.TRUE),
    )
    order = F.struct(F.col("_time"), F.col(_ORDER_IDS[source])) if _ORDER_IDS[source] in columns else F.col("_time")
    aggregates = [
        feature_column(feature, _rows_of(feature, filters), names, order).alias(feature.name) for feature in features
    ]
    faults = [F.count_if(F.col("_seen") & F.col(name)).alias(f"_fault_{source}_{name[5:]}") for name in risky if name in used]
    known = F.col("_seen")
    late = F.lit(False) if base_as_of is None or base_at is None else (
        known & (F.col("_time") < F.lit(base_as_of)) & (F.col("_late_at") > F.lit(base_at))
    )
    new = known if base_as_of is None else known & (F.col("_time") >= F.lit(base_as_of))
    grouped = prepared.groupBy("customer_id", "_reject").agg(
        F.count(F.lit(1)).alias(f"_rows_{source}"),
        F.max(F.when(known, F.col("_time"))).alias(f"_newest_{source}"),
        F.count_if(known).alias(f"_seen_{source}"),
        F.coalesce(F.bool_or(new), F.lit(False)).alias(f"_new_{source}"),
        F.coalesce(F.bool_or(late), F.lit(False)).alias(f"_late_{source}"),
        *(_totals(plan) if source == "orders" else ()),
        *faults,
        *aggregates,
    )
    return grouped.withColumnRenamed("_reject", f"_reject_{source}")


def _rejected() -> Column:
    """Why a row does not count; null for one that does."""
    return F.when(F.col("customer_id").isNull(), F.coalesce("_reject", F.lit("missing_customer_id"))).otherwise(
        F.col("_reject")
    )


def _row_columns(features: list[core.Feature], available: list[str]) -> list[str]:
    """The columns of a source that aggregates read; filters are evaluated in the same projection, from the source."""
    wanted = {node.name for f in features if f.field for node in f.field.walk() if isinstance(node, core.Field)}
    if any(isinstance(f.field, core.Lines) for f in features):
        wanted.add("items")
    if any(f.function in ("first", "latest") for f in features):
        wanted |= {"event_id", "order_id"}
    wanted |= {"status", "revenue", "refund"}
    return [name for name in available if name in wanted]


def _rows_of(feature: core.Feature, filters: Mapping[core.Test, str]) -> Column:
    """Which of the prepared rows a feature counts."""
    tests = [F.col("_seen")]
    if feature.where != core.TRUE:
        tests.append(F.col(filters[feature.where]))
    return reduce(and_, tests + _inside(feature.window))


def _inside(window: Interval) -> list[Column]:
    edges = []
    if window.start is not None:
        edges.append(F.col("_time") >= F.lit(window.start))
    if window.end is not None:
        edges.append(F.col("_time") < F.lit(window.end))
    return [F.coalesce(edge, F.lit(False)) for edge in edges]


def _totals(plan: EvaluationPlan) -> list[Column]:
    """What metrics need of every customer's orders: count and gross of all statuses, net of purchases."""
    zero = F.lit(0).cast("decimal(18,4)")
    revenue, refund = F.coalesce("revenue", zero), F.coalesce("refund", zero)
    purchase = F.col("_seen") & F.col("status").isin(list(plan.catalogue.purchase_statuses))
    return [
        F.count_if("_seen").alias("_orders"),
        F.sum(F.when(F.col("_seen"), revenue)).cast("decimal(38,4)").alias("_gross_revenue"),
        F.sum(F.when(purchase, revenue - refund)).cast("decimal(38,4)").alias("_net_revenue"),
    ]


def field_name(column: core.Field) -> str:
    """The staged column of a customer field."""
    return f"customer_{column.name}"


def _customers(plan: EvaluationPlan, lake: Lake, pins: Mapping[str, int], base_as_of: datetime | None) -> DataFrame:
    """The customer fields that predicates read; a rejected row counts as no customer."""
    rows = lake.input("customers", pins.get("customers"), pins)
    risky = {f"_bad_{column.name}" for column in plan.customer_fields} & set(rows.columns)
    as_of = F.lit(plan.clock.as_of)
    reject = _rejected()
    changed = F.lit(True) if base_as_of is None else F.coalesce(
        (F.col("updated_at") >= F.lit(base_as_of)) & (F.col("updated_at") < as_of)
        | (F.col("created_at") >= F.lit(base_as_of)), F.lit(False)
    )
    return rows.select(
        F.when(reject.isNull(), F.col("customer_id")).alias("customer_id"),
        reject.alias("_reject_customers"),
        F.lit(1).cast("bigint").alias("_rows_customers"),
        reject.isNull().alias("_known"),
        F.coalesce(F.col("created_at") >= as_of, F.lit(False)).alias("_created_later"),
        changed.alias("_new_customers"),
        *(F.col(f"`{column.name}`").alias(field_name(column)) for column in plan.customer_fields),
        *(F.when(F.col(name), 1).otherwise(0).cast("bigint").alias(f"_fault_customers_{name[5:]}") for name in sorted(risky)),
    )


def _finished(joined: DataFrame, plan: EvaluationPlan) -> DataFrame:
    """The joined aggregates with their zeros filled in, and who is evaluated."""
    zero = F.lit(0).cast("decimal(38,4)")
    known = F.coalesce(F.col("_known"), F.lit(False))
    seen = F.coalesce(F.col("_seen_events"), F.lit(0)) + F.coalesce(F.col("_seen_orders"), F.lit(0)) > 0
    later = F.coalesce(F.col("_created_later"), F.lit(False))
    evaluated = F.col("customer_id").isNotNull() & F.when(known, ~later).otherwise(seen)

    def some(kind: str, sources: tuple[str, ...]) -> Column:
        flags = (F.coalesce(F.col(f"_{kind}_{source}"), F.lit(False)) for source in sources)
        return reduce(lambda left, right: left | right, flags)

    return joined.select(
        "customer_id",
        known.alias("_known"),
        evaluated.alias("_evaluated"),
        some("new", SCANNED).alias("_has_new"),
        some("late", SOURCES).alias("_has_late"),
        F.coalesce("_orders", F.lit(0).cast("bigint")).alias("_orders"),
        F.coalesce("_gross_revenue", zero).alias("_gross_revenue"),
        F.coalesce("_net_revenue", zero).alias("_net_revenue"),
        *(F.coalesce(F.col(f"_rows_{source}"), F.lit(0).cast("bigint")).alias(f"_rows_{source}") for source in SCANNED),
        *(F.col(f"_reject_{source}") for source in SCANNED),
        *(F.col(f"_newest_{source}") for source in SOURCES),
        *(F.col(f"customer_{column.name}") for column in plan.customer_fields),
        *(_filled(feature).alias(feature.name) for feature in plan.features),
        *(F.coalesce(F.col(name), F.lit(0).cast("bigint")).alias(name) for name in joined.columns if name.startswith("_fault_")),
    )


def _filled(feature: core.Feature) -> Column:
    """Counts and sums of nothing are 0; the others stay missing."""
    column = F.col(feature.name)
    return F.coalesce(column, F.lit(0)) if feature.function in ("count", "sum", "distinct") else column


def _reasons(staged: DataFrame, source: str) -> dict[str, int]:
    counted = staged.where(F.col(f"_reject_{source}").isNotNull()).groupBy(f"_reject_{source}")
    return {row[0]: int(row[1]) for row in counted.agg(F.sum(f"_rows_{source}")).collect()}


# What the run reports of its inputs ----------------------------------------------------------------------------------


def _counted(staged: DataFrame, plan: EvaluationPlan) -> Scan:
    """Counts over the staged rows: one small aggregate, and the rejected rows by reason."""
    faults = [name for name in staged.columns if name.startswith("_fault_")]
    totals = staged.agg(
        *(F.sum(f"_rows_{source}").alias(f"_rows_{source}") for source in SCANNED),
        *(F.unix_micros(F.max(f"_newest_{source}")).alias(f"_newest_{source}") for source in SOURCES),
        *(F.sum(name).alias(name) for name in faults),
    ).collect()[0]
    rejected = {source: _reasons(staged, source) for source in SCANNED}
    newest = {
        source: datetime.fromtimestamp(0, UTC) + timedelta(microseconds=totals[f"_newest_{source}"])
        for source in SOURCES if totals[f"_newest_{source}"] is not None
    }
    found = {name.removeprefix("_fault_"): totals[name] for name in faults if totals[name]}
    return Scan(
        customers=staged,
        rows={source: int(totals[f"_rows_{source}"] or 0) for source in SCANNED},
        rejected={source: reasons for source, reasons in rejected.items() if reasons},
        newest=newest,
        faults=_faulty_segments(plan, found),
    )


def _faulty_segments(plan: EvaluationPlan, found: Mapping[str, int]) -> dict[str, str]:
    """The segments that read a column in which values could not be read as declared."""
    faults = {}
    for planned in plan.segments:
        for node in planned.reduced.test.walk():
            if isinstance(node, core.Field) and f"{node.source}_{node.name}" in found:
                count = found[f"{node.source}_{node.name}"]
                faults[planned.id] = f"{count} values of {node.source}.{node.name} cannot be read as {node.type}"
    return faults
