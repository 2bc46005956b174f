"""The scan: every source row is read once, and one staged row per customer holds all that later steps need.

Cost: events, orders and lists are each aggregated by customer before anything is joined, so what is shuffled is one row per
customer and map task, not the events; the aggregates then meet `customers` in co-partitioned joins, and the result is
written once. Everything after this reads the staged rows.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import reduce
from operator import and_
from typing import TYPE_CHECKING, Literal

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from segment_lib import axis, core, customer_totals, logs
from segment_lib.catalogue import Catalogue
from segment_lib.clock import Clock, Interval
from segment_lib.columns import Names, feature_column, test_column
from segment_lib.plan import SOURCES, EvaluationPlan
from segment_lib.scores import staged_name
from segment_lib.sequences import rows_name, rows_of_source, sequence_column
from segment_lib.storage import Lake
from segment_lib.tables import INPUTS

if TYPE_CHECKING:
    from segment_lib.kernel.base import BaseFiles
    from segment_lib.kernel.kept import Keeping
    from segment_lib.kernel.spec import KernelSpec

#: The inputs that a night reads by customer.
SCANNED = ("customers", *SOURCES)
#: How features are made and definitions decided: by Columns, by the kernel, or by whichever is quicker.
Engine = Literal["auto", "columns", "kernel"]
#: From so many features on the kernel is quicker even on half a million events, see docs/scale.md.
KERNEL_FEATURES = 12
DECIDED = "_decided"
#: The memberships of the base: as bytes, and as lists of what has no number there.
BASE = ("_packed", "_base")
_log = logs.logger("scan")
_ORDER_IDS = {"events": "event_id", "orders": "order_id", "lists": "list_id"}


@dataclass(frozen=True)
class Scan:
    """What the scan found.

    `customers` is the staged frame, one row per id: ``customer_id``, ``_known`` (stands in customers), ``_evaluated``,
    ``_has_new``, ``_has_late``, the totals for metrics, one column per feature (`Aggregate.name`), sequence (whether it
    was found) and customer field (``customer_NAME``). `faults` names the segments whose data could not be read as
    declared, each with the reason.
    """

    customers: DataFrame
    rows: Mapping[str, int]
    rejected: Mapping[str, Mapping[str, int]]
    newest: Mapping[str, datetime]
    faults: Mapping[str, str] = field(default_factory=dict)
    #: The segments that were decided already: column `DECIDED` has their places here, of those a customer is in.
    decided: tuple[str, ...] = ()
    #: The segments that have numbers in column ``_packed``, when the base's memberships came along (`kernel.base`).
    base: tuple[str, ...] | None = None


def scan(
    plan: EvaluationPlan,
    lake: Lake,
    pins: Mapping[str, int],
    run_id: str,
    *,
    base_as_of: datetime | None = None,
    base_at: datetime | None = None,
    who: Callable[[Column], Column] | None = None,
    keep: Callable[[DataFrame], DataFrame] | None = None,
    engine: Engine = "auto",
    keeping: Keeping | None = None,
    base: BaseFiles | None = None,
) -> Scan:
    """Reads every source once at its pinned version and stages one row per customer.

    `base_as_of` is the instant at which the base snapshot ended and `base_at` when it was published: rows after the first
    are new, rows before it that arrived after the second are late. Without a base all rows are new.

    `who` is a predicate on the customer id that limits the scan to some customers; rows of all others, and rejected ones
    without a customer, are as if they were not there. `keep` keeps the frame with a row per customer in place of the
    staging area, so that a scan that is only to be looked at writes nothing. With `keeping` the kernel keeps what it made
    of data files for later nights, and takes what earlier ones kept; and it brings the memberships of `base` to their
    customers where it can.
    """
    spec = _kernel(plan, engine)
    if spec is None:
        found = people(plan, lake, pins, base_as_of=base_as_of, base_at=base_at, who=who)
        return _counted(lake.stage("customers", run_id, found) if keep is None else keep(found), plan)
    from segment_lib.kernel.people import arrived

    rows = arrived(spec, lake, pins, base_as_of, base_at, who, keeping, base)
    staged = rows.staged(lake, run_id) if keep is None else rows.evaluated
    if rows.answered is not None:
        rows.answered.finish(staged)
    found = _of_kernel(spec, staged, (DECIDED, *(() if rows.base is None else BASE)))
    return replace(_counted(found if keep is None else keep(found), plan), decided=spec.decided, base=rows.base)


def _kernel(plan: EvaluationPlan, engine: Engine) -> KernelSpec | None:
    """The kernel's part of a plan; None when Columns evaluate it all."""
    if engine == "columns" or (engine == "auto" and len(plan.features) < KERNEL_FEATURES):
        return None
    from segment_lib.kernel.spec import NotForKernel, spec_of

    try:
        spec = spec_of(plan)
    except NotForKernel as why:
        _log.info("columns evaluate every definition: %s", why)
        return None
    return spec if spec.decided else None


def people(
    plan: EvaluationPlan,
    lake: Lake,
    pins: Mapping[str, int],
    *,
    base_as_of: datetime | None = None,
    base_at: datetime | None = None,
    who: Callable[[Column], Column] | None = None,
) -> DataFrame:
    """One row per id, not staged yet: what `scan` keeps, as a frame that nothing has run."""
    frames = {source: _aggregated(source, plan, lake, pins, base_as_of, base_at, who) for source in SOURCES}
    joined = customer_rows(plan.customer_fields, plan, lake, pins, base_as_of, who)
    for source in SOURCES:
        joined = joined.join(frames[source], "customer_id", "full")
    return _finished(joined, plan, plan.features, plan.customer_fields)


def _of_kernel(spec: KernelSpec, rows: DataFrame, more: Sequence[str]) -> DataFrame:
    """What `people` gives, with the features and fields alone that the kernel's decisions leave to be staged, and `more`."""
    return _finished(rows, spec.plan, spec.emitted, spec.staged, [F.col(name) for name in more])


def source_rows(
    source: str, lake: Lake, pins: Mapping[str, int], who: Callable[[Column], Column] | None
) -> DataFrame:
    """The rows of a source at its pinned version, of all customers or of some."""
    rows = lake.input(source, pins.get(source), pins)
    return rows if who is None else rows.where(who(F.col("customer_id")))


# One row per customer from each source -------------------------------------------------------------------------------


def _aggregated(
    source: str,
    plan: EvaluationPlan,
    lake: Lake,
    pins: Mapping[str, int],
    base_as_of: datetime | None,
    base_at: datetime | None,
    who: Callable[[Column], Column] | None,
) -> DataFrame:
    """The features of one source per customer, with counts of its rows.

    Rejected rows have no customer, so they fall into groups of their own by reason, and so cost nothing to count.
    """
    rows = source_rows(source, lake, pins, who)
    features = [feature for feature in plan.features if feature.source == source]
    occurrences = {rows: None for sequence in plan.sequences for rows in sequence.occurrences if rows.source == source}
    time = F.col(INPUTS[source].time or "joined_at")
    reject = rejected()
    seen = F.coalesce(time < F.lit(plan.clock.as_of), F.lit(source == "lists"))
    filters = {part.where: f"_w{i}" for i, part in enumerate((*features, *occurrences))}
    names = Names(plan.clock.zone.key, lines=F.col("items") if source == "orders" else None)
    risky = [name for name in rows.columns if name.startswith("_bad_")]
    same = {column for sequence in plan.sequences for step in sequence.steps for column in step.same}
    read = {node for part in (*features, *occurrences, *same) for node in part.walk() if isinstance(node, core.Field)}
    used = {f"_bad_{column.name}" for column in read if column.source in (source, "items")}
    columns = _row_columns(features, same, source, rows.columns)
    if source == "events" and customer_totals.wants_all(plan.totals):
        columns = [*dict.fromkeys((*columns, "session_id"))]
    if source == "orders" and plan.day_orders:
        columns = [*dict.fromkeys((*columns, "order_id"))]
    values = customer_totals.order_values(plan.catalogue.purchase_statuses) if source == "orders" else {}
    prepared = rows.select(
        F.when(reject.isNull(), F.col("customer_id")).alias("customer_id"),
        reject.alias("_reject"),
        (reject.isNull() & seen).alias("_seen"),
        time.alias("_time"),
        F.col("_late_at"),
        *(F.col(f"`{name}`") for name in columns if name != "customer_id"),
        *(F.col(name) for name in risky if name in used),
        *(test_column(where, names).alias(name) for where, name in filters.items() if where != core.TRUE),
        *(value.alias(f"_value_{name}") for name, value in values.items()),
    )
    order = F.struct(F.col("_time"), F.col(_ORDER_IDS[source])) if _ORDER_IDS[source] in columns else F.col("_time")
    aggregates = [
        feature_column(feature, _rows_of(feature, filters), names, order, F.col("_time")).alias(feature.name)
        for feature in features
    ]
    for sequence in plan.sequences:
        found = rows_of_source(sequence, source, lambda occurrence: _rows_of(occurrence, filters), F.col("_time"))
        if found is not None:
            aggregates.append(found.alias(rows_name(sequence, source)))
    faults = [F.count_if(F.col("_seen") & F.col(name)).alias(f"_fault_{source}_{name[5:]}") for name in risky if name in used]
    known = F.col("_seen")
    late = F.lit(False) if base_as_of is None or base_at is None else (
        known & (F.col("_time") < F.lit(base_as_of)) & (F.col("_late_at") > F.lit(base_at))
    )
    new = known if base_as_of is None else known & (F.col("_time") >= F.lit(base_as_of))
    seen_values = {name: F.when(F.col("_seen"), F.col(f"_value_{name}")) for name in values}
    totals = {
        "orders": lambda: customer_totals.order_sums(plan.totals, seen_values, plan.clock),
        "events": lambda: customer_totals.event_sums(plan.totals, plan.clock),
    }.get(source, list)()
    if source == "orders" and plan.day_orders:
        totals.append(axis.collected(plan.clock))
    grouped = prepared.groupBy("customer_id", "_reject").agg(
        F.count(F.lit(1)).alias(f"_rows_{source}"),
        F.max(F.when(known, F.col("_time"))).alias(f"_newest_{source}"),
        F.count_if(known).alias(f"_seen_{source}"),
        F.coalesce(F.bool_or(new), F.lit(False)).alias(f"_new_{source}"),
        F.coalesce(F.bool_or(late), F.lit(False)).alias(f"_late_{source}"),
        *totals,
        *faults,
        *aggregates,
    )
    return grouped.withColumnRenamed("_reject", f"_reject_{source}")


def rejected() -> Column:
    """Why a row does not count; null for one that does."""
    return F.when(F.col("customer_id").isNull(), F.coalesce("_reject", F.lit("missing_customer_id"))).otherwise(
        F.col("_reject")
    )


def _row_columns(
    features: list[core.Aggregate], same: set[core.Field], source: str, available: list[str]
) -> list[str]:
    """The columns of a source that aggregates read; filters are evaluated in the same projection, from the source."""
    values = [feature.field for feature in features if isinstance(feature, core.Feature) and feature.field is not None]
    wanted = {node.name for value in values for node in value.walk() if isinstance(node, core.Field)}
    wanted |= {column.name for column in same if column.source == source}
    if any(isinstance(value, core.Lines) for value in values):
        wanted.add("items")
    if any(feature.function in ("first", "latest") for feature in features):
        wanted |= {"event_id", "order_id"}
    return [name for name in available if name in wanted]


def _rows_of(part: core.Aggregate | core.Occurrence, filters: Mapping[core.Test, str]) -> Column:
    """Which of the prepared rows a feature counts, or a step of a sequence looks at."""
    tests = [F.col("_seen")]
    if part.where != core.TRUE:
        tests.append(F.col(filters[part.where]))
    return reduce(and_, tests + _inside(part.window))


def _inside(window: Interval) -> list[Column]:
    edges = []
    if window.start is not None:
        edges.append(F.col("_time") >= F.lit(window.start))
    if window.end is not None:
        edges.append(F.col("_time") < F.lit(window.end))
    return [F.coalesce(edge, F.lit(False)) for edge in edges]


def order_totals(
    lake: Lake, pins: Mapping[str, int], clock: Clock, catalogue: Catalogue, names: Collection[str]
) -> DataFrame:
    """customer_id, and the totals over orders `names` as they are staged, of who ordered before `as_of`."""
    values = customer_totals.order_values(catalogue.purchase_statuses)
    time = F.col("ordered_at")
    rows = lake.input("orders", pins.get("orders"), pins).where(rejected().isNull() & (time < F.lit(clock.as_of)))
    prepared = rows.select("customer_id", time.alias("_time"), *(values[name].alias(name) for name in values))
    sums = customer_totals.order_sums(names, {name: F.col(name) for name in values}, clock)
    return prepared.groupBy("customer_id").agg(*sums)


def field_name(column: core.Field) -> str:
    """The staged column of a customer field or a score."""
    return staged_name(column.name) if column.source == "scores" else f"customer_{column.name}"


def customer_rows(
    fields: Sequence[core.Field],
    plan: EvaluationPlan,
    lake: Lake,
    pins: Mapping[str, int],
    base_as_of: datetime | None,
    who: Callable[[Column], Column] | None,
) -> DataFrame:
    """The customers with some of their fields; a rejected row counts as no customer."""
    rows = source_rows("customers", lake, pins, who)
    risky = {f"_bad_{column.name}" for column in fields} & set(rows.columns)
    as_of = F.lit(plan.clock.as_of)
    reject = rejected()
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
        *(F.col(f"`{column.name}`").alias(field_name(column)) for column in fields),
        *(F.when(F.col(name), 1).otherwise(0).cast("bigint").alias(f"_fault_customers_{name[5:]}") for name in sorted(risky)),
    )


def _finished(
    joined: DataFrame, plan: EvaluationPlan, features: Sequence[core.Aggregate], fields: Sequence[core.Field],
    more: Sequence[Column] = (),
) -> DataFrame:
    """The joined aggregates with their zeros filled in, and who is evaluated."""
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
        *customer_totals.finished(plan.totals),
        *([axis.finished()] if plan.day_orders else ()),
        *(F.coalesce(F.col(f"_rows_{source}"), F.lit(0).cast("bigint")).alias(f"_rows_{source}") for source in SCANNED),
        *(F.col(f"_reject_{source}") for source in SCANNED),
        *(F.col(f"_newest_{source}") for source in SOURCES),
        *(F.col(f"customer_{column.name}") for column in fields),
        *(_filled(feature).alias(feature.name) for feature in features),
        *(_found(sequence, plan).alias(sequence.name) for sequence in plan.sequences),
        *(F.coalesce(F.col(name), F.lit(0).cast("bigint")).alias(name) for name in joined.columns if name.startswith("_fault_")),
        *more,
    )


def _filled(feature: core.Aggregate) -> Column:
    """What is never missing is 0 for who has no rows."""
    column = F.col(feature.name)
    return F.coalesce(column, F.lit(0)) if feature.never_missing else column


def _found(sequence: core.Sequence, plan: EvaluationPlan) -> Column:
    """Whether a customer's rows of all sources hold the sequence."""
    sources = dict.fromkeys(rows.source for rows in sequence.occurrences)
    rows = F.flatten(F.array_compact(F.array(*(F.col(rows_name(sequence, source)) for source in sources))))
    return sequence_column(sequence, rows, plan.clock)


def _reasons(staged: DataFrame, source: str) -> dict[str, int]:
    counted = staged.where(F.col(f"_reject_{source}").isNotNull()).groupBy(f"_reject_{source}")
    return {row[0]: int(row[1]) for row in counted.agg(F.sum(f"_rows_{source}")).collect()}


# What the run reports of its inputs ----------------------------------------------------------------------------------


def _counted(staged: DataFrame, plan: EvaluationPlan) -> Scan:
    """Counts over the staged rows: one small aggregate, and where there are rejected rows, one of them by reason."""
    faults = [name for name in staged.columns if name.startswith("_fault_")]
    totals = staged.agg(
        *(F.sum(f"_rows_{source}").alias(f"_rows_{source}") for source in SCANNED),
        *(F.count(f"_reject_{source}").alias(f"_reject_{source}") for source in SCANNED),
        *(F.unix_micros(F.max(f"_newest_{source}")).alias(f"_newest_{source}") for source in SOURCES),
        *(F.sum(name).alias(name) for name in faults),
    ).collect()[0]
    rejected = {source: _reasons(staged, source) for source in SCANNED if totals[f"_reject_{source}"]}
    newest = {
        source: datetime.fromtimestamp(0, UTC) + timedelta(microseconds=totals[f"_newest_{source}"])
        for source in SOURCES if totals[f"_newest_{source}"] is not None
    }
    found = {name.removeprefix("_fault_"): totals[name] for name in faults if totals[name]}
    return Scan(
        customers=staged,
        rows={source: int(totals[f"_rows_{source}"] or 0) for source in SCANNED},
        rejected=rejected,
        newest=newest,
        faults=_faulty_segments(plan, found),
    )


def _faulty_segments(plan: EvaluationPlan, found: Mapping[str, int]) -> dict[str, str]:
    """The segments that read a column in which values could not be read as declared."""
    faults = {}
    for planned in plan.segments:
        for node in planned.reduced.walk():
            if isinstance(node, core.Field) and f"{node.source}_{node.name}" in found:
                count = found[f"{node.source}_{node.name}"]
                faults[planned.id] = f"{count} values of {node.source}.{node.name} cannot be read as {node.type}"
    return faults
