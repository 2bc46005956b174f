"""Deciding who is a member: predicates over the staged rows, all segments in one pass."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from itertools import groupby

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from segment_lib import axis, core, customer_totals, snapshot
from segment_lib.columns import Names, test_column
from segment_lib.kernel.members import Listing
from segment_lib.limits import cut
from segment_lib.plan import EvaluationPlan
from segment_lib.ranks import exact_percentiles
from segment_lib.scan import BASE, DECIDED, Scan, field_name, scan
from segment_lib.scores import staged_name
from segment_lib.storage import Lake

MEMBERSHIP = "array<struct<id:string,since:date>>"
#: The name under which the memberships alone are staged, to become files of their table.
MEMBERS = "members"


def decide(plan: EvaluationPlan, found: Scan, base: DataFrame | None, fixed_members: DataFrame | None = None) -> DataFrame:
    """Who is a member of what, see `stage_decided`, as a frame that nothing has run."""
    rows, listing = _undecided(plan, found, base, fixed_members)
    return rows if listing is None else rows.mapInArrow(listing.batches, _schema(rows, listing))


def stage_decided(
    lake: Lake, run_id: str, plan: EvaluationPlan, found: Scan, base: DataFrame | None,
    fixed_members: DataFrame | None = None,
) -> DataFrame:
    """One row per evaluated customer with the segments they are in tonight.

    `base` is the base snapshot and `fixed_members` the members of held segments when they are not those of the base; both
    have (customer_id, segments). Where the base came with the scan and Columns need no lists of it, `base` is not read.
    Columns: customer_id, anonymous, lost (by `churn.status`; nobody is without scores),
    orders, gross_revenue, net_revenue, has_new, has_late and segments, sorted by id; since is the base's for who was a
    member there, else the snapshot date. in_base, entered and left say how that differs from `base`. A plan of all totals
    adds what `segment_sums.summed` takes, one that asks for the orders of the day adds their ids (`axis`).
    """
    rows, listing = _undecided(plan, found, base, fixed_members)
    if listing is None:
        return lake.stage("decided", run_id, rows)
    return lake.stage_batches(
        "decided", run_id, rows, listing.batches, _schema(rows, listing), {MEMBERS: ("customer_id", "segments")}
    )


def _schema(rows: DataFrame, listing: Listing) -> StructType:
    """The columns of listed memberships."""
    kept = [field for field in rows.schema if field.name not in Listing.TAKEN]
    moves = ", entered array<string>, left array<string>"
    more = f"segments {MEMBERSHIP}{moves}" + (", member_of binary" if listing.bits else "")
    return StructType([*kept, *StructType.fromDDL(more)])


def _undecided(
    plan: EvaluationPlan, found: Scan, base: DataFrame | None, fixed_members: DataFrame | None,
) -> tuple[DataFrame, Listing | None]:
    """The rows of `stage_decided`; with a listing, what the memberships are listed from in the place of them."""
    customers = found.customers.where("_evaluated")
    decided = {name: number for number, name in enumerate(found.decided)}
    names = Names(
        plan.clock.zone.key,
        field=lambda column: F.col(field_name(column)),
        member=lambda segment: _member(plan, segment, decided),
        since=lambda segment: _since(plan, segment, decided),
    )
    names = replace(names, bounds=exact_percentiles(customers, plan.percentiles, names))
    undecided = [planned for planned in plan.segments if planned.id not in decided]
    numbered = found.base
    if numbered is None or needs_lists(plan, fixed_members is not None):
        numbered = ()
        others = customers.drop(*BASE).withColumn("_packed", F.lit(None).cast("binary"))
        rows = _with_memberships(others, base, "_base")
    else:
        rows = customers
    rows = _with_memberships(rows, fixed_members, "_carried") if fixed_members is not None else rows.withColumn(
        "_carried", F.col("_base") if plan.held else F.lit(None).cast(MEMBERSHIP)
    )
    for _, grouped in groupby(sorted(undecided, key=lambda planned: planned.level), key=lambda planned: planned.level):
        level = tuple(grouped)
        # One select a level of references, so that a segment referred to often is evaluated once.
        rows = rows.select("*", *(
            test_column(planned.reduced.test, names).alias(_truth(planned.id)) for planned in level
        ))
        cuts = {_truth(planned.id): planned.reduced.cut for planned in level if planned.reduced.cut is not None}
        rows = cut(rows, cuts, names)
    status = staged_name("churn.status")
    lost = F.coalesce(F.col(status) == "lost", F.lit(False)) if status in customers.columns else F.lit(False)
    listing = None
    summed = customer_totals.wants_all(plan.totals)
    if not decided:
        rows = rows.select("*", _segments(plan).alias("segments"))
        now, before = snapshot.ids("segments"), F.coalesce(snapshot.ids("_base"), F.array().cast("array<string>"))
        memberships = [
            F.col("segments"), F.array_except(now, before).alias("entered"), F.array_except(before, now).alias("left"),
        ]
    else:
        evaluated = frozenset(planned.id for planned in plan.segments)
        listing = Listing(
            found.decided, evaluated, plan.held, plan.clock.snapshot_date, summed, numbered,
            held_as_base=fixed_members is None,
        )
        truths = [F.when(F.col(_truth(planned.id)), F.lit(planned.id)) for planned in undecided]
        memberships = [
            F.col(DECIDED).alias("_decided"),
            (F.array_compact(F.array(*truths)) if truths else F.array().cast("array<string>")).alias("_others"),
            # Of lists that are NULL one after the other, Arrow's writer goes back to the first for each: empty ones here.
            *(F.coalesce(name, F.array().cast(MEMBERSHIP)).alias(name) for name in ("_base", "_carried")), F.col("_packed"),
        ]
    return rows.select(
        "customer_id",
        (~F.col("_known")).alias("anonymous"),
        lost.alias("lost"),
        F.col(customer_totals.staged("orders")).alias("orders"),
        *(customer_totals.money(name).alias(name) for name in ("gross_revenue", "net_revenue")),
        F.col("_has_new").alias("has_new"),
        F.col("_has_late").alias("has_late"),
        (F.col("_base").isNotNull() | F.col("_packed").isNotNull()).alias("in_base"),
        *memberships,
        *([F.col(axis.STAGED).alias(axis.DECIDED)] if plan.day_orders else ()),
        *([_member_of(plan)] if summed and listing is None else ()),
        *(_summed(plan, lost, customers.columns) if summed else ()),
    ), listing


def needs_lists(plan: EvaluationPlan, fixed: bool) -> bool:
    """Whether Columns look into the memberships of the base: since when somebody is a member, or who a held segment has.

    `fixed`: held segments show other members than the base's. The kernel decides nothing of either kind.
    """
    carried = frozenset() if fixed else plan.held
    return any(
        isinstance(node, core.Since) or (isinstance(node, core.Member) and node.segment in carried)
        for planned in plan.segments for node in planned.reduced.walk()
    )


def groups(plan: EvaluationPlan) -> tuple[str, ...]:
    """The segments that have members tonight, in the order of ``member_of``."""
    return tuple(sorted({planned.id for planned in plan.segments} | plan.held))


def _member_of(plan: EvaluationPlan) -> Column:
    """Of which of `groups` a customer is a member."""
    memberships = [
        _is_in("_carried", segment) if segment in plan.held else F.col(_truth(segment)) for segment in groups(plan)
    ]
    return F.array(*memberships).cast("array<boolean>").alias("member_of")


def _summed(plan: EvaluationPlan, lost: Column, available: Collection[str]) -> list[Column]:
    """What `segment_sums` adds up beside the memberships."""
    return [
        *(column.alias(f"total_{name}") for name, column in customer_totals.of_customer(plan.clock, lost, available).items()),
        *(column.alias(f"bin_{name}") for name, column in customer_totals.bins_of_customer(plan.clock).items()),
    ]


def _with_memberships(rows: DataFrame, members: DataFrame | None, name: str) -> DataFrame:
    """Adds the memberships of another snapshot as they are stored, NULL for who is not in it."""
    if members is None:
        return rows.select("*", F.lit(None).cast(MEMBERSHIP).alias(name))
    other = members.select("customer_id", F.col("segments").alias(name))
    return rows.join(other, "customer_id", "left").select(*rows.columns, name)


def _is_in(memberships: str, segment: str) -> Column:
    return F.coalesce(F.exists(memberships, lambda one: one["id"] == segment), F.lit(False))


def _since_in(memberships: str, segment: str) -> Column:
    """Missing for who is not in the segment."""
    return F.get(F.filter(memberships, lambda one: one["id"] == segment), 0)["since"]


def with_map(rows: DataFrame, members: DataFrame | None, name: str) -> DataFrame:
    """Adds the memberships of another snapshot as a map from segment to since, empty for who has none."""
    empty = F.create_map().cast("map<string,date>")
    if members is None:
        return rows.select("*", empty.alias(name))
    other = members.select("customer_id", F.map_from_entries("segments").alias(name))
    joined = rows.join(other, "customer_id", "left")
    return joined.select(*rows.columns, F.coalesce(F.col(name), empty).alias(name))


def _truth(segment: str) -> str:
    return f"_in_{segment}"


def _member(plan: EvaluationPlan, segment: str, decided: Mapping[str, int]) -> Column:
    if segment in plan.held:
        return _is_in("_carried", segment)
    if segment in decided:
        place, bit = divmod(decided[segment], 8)
        byte = F.conv(F.hex(F.substring(DECIDED, place + 1, 1)), 16, 10).cast("int")
        return byte.bitwiseAND(F.lit(1 << bit)) != 0
    return F.col(_truth(segment))


def _since(plan: EvaluationPlan, segment: str, decided: Mapping[str, int]) -> Column:
    if segment in plan.held:
        return _since_in("_carried", segment)
    since = F.coalesce(_since_in("_base", segment), F.lit(plan.clock.snapshot_date))
    return F.when(_member(plan, segment, decided), since)


def _segments(plan: EvaluationPlan) -> Column:
    """The memberships of one customer: those decided tonight, and those carried over."""
    decided = [F.when(F.col(_truth(p.id)), F.lit(p.id)) for p in plan.segments]
    day = F.lit(plan.clock.snapshot_date)
    # As the one element of an array, so that the map is made once and not for every segment.
    before = F.array(F.map_from_entries(F.coalesce("_base", F.array().cast(MEMBERSHIP))))
    names = F.array_compact(F.array(*decided) if decided else F.array().cast("array<string>"))
    tonight = F.transform(before, lambda known: F.transform(
        names, lambda name: F.struct(name.alias("id"), F.coalesce(F.try_element_at(known, name), day).alias("since")),
    ))[0].cast(MEMBERSHIP)
    if not plan.held:
        return F.sort_array(tonight)
    held = F.array(*(F.lit(segment) for segment in sorted(plan.held)))
    carried = F.filter(
        F.coalesce("_carried", F.array().cast(MEMBERSHIP)), lambda one: F.array_contains(held, one["id"])
    )
    return F.sort_array(F.concat(tonight, carried))


__all__ = ["Scan", "decide", "scan", "stage_decided"]
