"""The snapshot of a night and its difference from the base: who entered, who left, and why.

All functions take and return DataFrames with one row per customer or change; nothing per customer reaches the driver.
A `decided` frame has the columns that `evaluate.decide` returns; a `members` frame has (customer_id, segments).

Every customer evaluated has a row in `memberships`, with an empty array when in no segment: only so is it known exactly
who came and went overall, also when every id changes overnight.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from segment_lib.gates import Turnover
from segment_lib.inputs import customer_hash
from segment_lib.tables import OUTPUTS, ddl

if TYPE_CHECKING:
    from segment_lib.storage import Lake

#: Ids of customers that are sent to every task rather than brought together with everyone's rows.
_FEW = 500_000
SEGMENTS = OUTPUTS["memberships"]["segments"]
MEMBERS = ddl({name: OUTPUTS["memberships"][name] for name in ("customer_id", "segments")})


@dataclass(frozen=True)
class Stamp:
    """What every output row of a run carries."""

    snapshot_date: date
    run_id: str
    base_run_id: str | None = None

    def columns(self) -> list[Column]:
        """The columns of rows that do not depend on a base."""
        return [F.lit(self.snapshot_date).alias("snapshot_date"), F.lit(self.run_id).alias("run_id")]

    def with_base(self) -> list[Column]:
        """The columns of rows that are measured from a base."""
        return [*self.columns(), F.lit(self.base_run_id).cast("string").alias("base_run_id")]


def memberships(decided: DataFrame, stamp: Stamp) -> DataFrame:
    """The rows of `memberships`."""
    return decided.select(*stamp.columns(), "customer_id", "segments")


def members(stored: DataFrame, snapshot_date: date, run_id: str) -> DataFrame:
    """(customer_id, segments) of one run."""
    mine = (F.col("snapshot_date") == F.lit(snapshot_date)) & (F.col("run_id") == run_id)
    return stored.where(mine).select("customer_id", "segments")


def ids(segments: str) -> Column:
    """The segment ids of an array of memberships."""
    return F.transform(segments, lambda membership: membership["id"])


def difference(tonight: DataFrame, base: DataFrame) -> DataFrame:
    """One row per customer who differs: evaluated before or not, the ids entered and left, and what is known why.

    `times` is how often the customer appears tonight, NULL when not evaluated; more than once is a fault that a gate
    counts. Customers who stayed exactly where they were are not in it.
    """
    flags = ("has_new", "has_late")
    now = tonight.groupBy("customer_id").agg(
        F.count(F.lit(1)).alias("times"),
        F.first(ids("segments")).alias("now"),
        *((F.max(flag) if flag in tonight.columns else F.max(F.lit(False))).alias(flag) for flag in flags),
    )
    before = base.select("customer_id", ids("segments").alias("before"), F.lit(True).alias("was"))
    nothing = F.array().cast("array<string>")
    joined = now.join(before, "customer_id", "full_outer").select(
        "customer_id", "times", F.col("was").isNotNull().alias("in_base"),
        F.array_except(F.coalesce("now", nothing), F.coalesce("before", nothing)).alias("entered"),
        F.array_except(F.coalesce("before", nothing), F.coalesce("now", nothing)).alias("left"),
        F.coalesce("has_new", F.lit(False)).alias("has_new"), F.coalesce("has_late", F.lit(False)).alias("has_late"),
    )
    moved = (F.size("entered") > 0) | (F.size("left") > 0) | F.col("times").isNull() | ~F.col("in_base")
    return joined.where(moved | (F.col("times") > 1) | F.col("customer_id").isNull())


def difference_of_decided(lake: Lake, run_id: str, decided: DataFrame, base: DataFrame, aliases: DataFrame | None) -> DataFrame:
    """As `difference`, of rows that tell what their customer entered and left (`evaluate.stage_decided`).

    Memberships are compared once more only of those whose own row does not tell: who is not evaluated any more, stands
    there twice, or was merged. Everyone else costs an id on either side of a join.
    """
    now = decided.groupBy("customer_id").agg(F.count(F.lit(1)).alias("times"))
    before = base.select("customer_id", F.lit(True).alias("was"))
    apart = now.join(before, "customer_id", "full_outer").where(F.col("times").isNull() | (F.col("times") > 1))
    apart = apart.select("customer_id")
    if aliases is not None:
        apart = apart.unionByName(owners(aliases).select("customer_id"))
    apart = lake.stage("apart", run_id, apart.where(F.col("customer_id").isNotNull()).distinct())
    if apart.count() <= _FEW:
        # Else Spark would shuffle everyone's memberships before it sees how few are asked for.
        apart = F.broadcast(apart)
    moved = (F.size("entered") > 0) | (F.size("left") > 0) | ~F.col("in_base")
    told = decided.where(moved & F.col("customer_id").isNotNull()).select(
        "customer_id", F.lit(1).cast("bigint").alias("times"), "in_base", "entered", "left", "has_new", "has_late"
    )
    nobody = decided.where(F.col("customer_id").isNull())
    others = difference(
        decided.join(apart, "customer_id", "left_semi").unionByName(nobody), base.join(apart, "customer_id", "left_semi")
    )
    return told.join(apart, "customer_id", "left_anti").unionByName(others)


@dataclass(frozen=True)
class Seen:
    """Counts over a difference: faults of the snapshot, and how many came and went overall."""

    duplicates: int
    null_keys: int
    came: int
    went: int

    def turnover(self, before: int) -> Turnover:
        return Turnover(before, before + self.came - self.went, self.came, self.went)


def look(difference: DataFrame) -> Seen:
    """The counts that gates and the row of everyone need."""
    row = difference.agg(
        F.count_if(F.col("times") > 1).alias("duplicates"),
        F.coalesce(F.sum(F.when(F.col("customer_id").isNull(), F.col("times"))), F.lit(0)).alias("null_keys"),
        F.count_if(~F.col("in_base")).alias("came"),
        F.count_if(F.col("times").isNull()).alias("went"),
    ).collect()[0]
    return Seen(**row.asDict())


def gone(difference: DataFrame) -> DataFrame:
    """The ids of customers who were evaluated before and are not tonight."""
    return difference.where(F.col("times").isNull()).select("customer_id")


def persons(gone: DataFrame, tenant: str, erasures: DataFrame | None, aliases: DataFrame | None) -> DataFrame:
    """(customer_id, person) of those whose own story explains their changes.

    `erased` and `merged` are customers who left for it, `heir` is who took over the rows of a merged one, and `data`
    are those whose rows are no longer there. `aliases` has (customer_id, canonical_id) with chains resolved.
    """
    why = F.lit("data")
    if aliases is not None:
        gone = gone.join(aliases.select("customer_id", "canonical_id"), "customer_id", "left")
        why = F.when(F.col("canonical_id").isNotNull(), F.lit("merged")).otherwise(why)
    if erasures is not None:
        hashed = customer_hash(tenant, F.col("customer_id"))
        erased = erasures.select("customer_hash").distinct().withColumn("erased", F.lit(True))
        gone = gone.join(erased, hashed == F.col("customer_hash"), "left")
        why = F.when(F.col("erased"), F.lit("erased")).otherwise(why)
    told = gone.withColumn("person", why)
    result = told.select("customer_id", "person")
    if aliases is not None:
        merged = told.where(F.col("person") == "merged")
        heirs = merged.select(F.col("canonical_id").alias("customer_id"), F.lit("heir").alias("person"))
        # Who is gone and an heir as well is first of all gone.
        own_first = F.min_by("person", F.col("person") == "heir").alias("person")
        result = result.unionByName(heirs).groupBy("customer_id").agg(own_first)
    return result


def changes(
    difference: DataFrame, persons: DataFrame, stamp: Stamp, *, redefined: Collection[str], deleted: Collection[str],
    only: Collection[str] | None = None,
) -> DataFrame:
    """The rows of `membership_changes`: each with the first cause that applies.

    In order: the segment's file is gone (deleted), the customer was erased or merged into another, the definition is
    not the base's (definition), another customer was merged into this one (merged), a row of theirs arrived after the
    base was made (late), a new row or change (data), or only time has passed (window). `only` limits the rows to some
    segments.
    """
    rows = _exploded(difference.join(persons, "customer_id", "left"))
    if only is not None:
        rows = rows.where(F.col("segment_id").isin(list(only)))
    cause = (
        F.when(F.col("segment_id").isin(list(deleted)), "deleted")
        .when(F.col("person").isin("erased", "merged"), F.col("person"))
        .when(F.col("segment_id").isin(list(redefined)), "definition")
        .when(F.col("person") == "heir", "merged")
        .when(F.col("has_late"), "late")
        .when(F.col("has_new") | (F.col("person") == "data"), "data")
        .otherwise("window")
    )
    return rows.select(*stamp.with_base(), "segment_id", "customer_id", "change", cause.alias("cause"))


def rebased(
    difference: DataFrame, earlier: DataFrame, stamp: Stamp, *, redefined: Collection[str], deleted: Collection[str]
) -> DataFrame:
    """The changes of an existing run against a new base.

    A change that the run already had (`earlier`) keeps its cause; a new one is `deleted` or `definition` by its
    segment, else `data`: the restated base is what differs.
    """
    key = ["segment_id", "customer_id", "change"]
    known = earlier.select(*key, F.col("cause").alias("known"))
    cause = F.coalesce(
        "known",
        F.when(F.col("segment_id").isin(list(deleted)), "deleted")
        .when(F.col("segment_id").isin(list(redefined)), "definition")
        .otherwise("data"),
    )
    return _exploded(difference).join(known, key, "left").select(*stamp.with_base(), *key, cause.alias("cause"))


def _exploded(difference: DataFrame) -> DataFrame:
    """One row per customer, segment and change.

    A list at a time: of both in one, Spark would interpret a function for each entry.
    """

    def side(change: str) -> DataFrame:
        others = [name for name in difference.columns if name not in ("entered", "left")]
        return difference.select(*others, F.explode(change).alias("segment_id"), F.lit(change).alias("change"))

    return side("entered").unionByName(side("left"))


def differ(one: DataFrame, other: DataFrame) -> bool:
    """Whether two member frames are not the same set of (customer, segment, since)."""
    left = one.where(F.size("segments") > 0).select("customer_id", F.col("segments").alias("here"))
    right = other.where(F.size("segments") > 0).select("customer_id", F.col("segments").alias("there"))
    unequal = left.join(right, "customer_id", "full_outer").where(~F.col("here").eqNullSafe(F.col("there")))
    return bool(unequal.limit(1).collect())


# The base as `decide` is given it -----------------------------------------------------------------------------------


def under_canonical_ids(members: DataFrame, aliases: DataFrame | None) -> DataFrame:
    """Members under the ids of tonight: what a merged customer was in, the one whom they were merged into is in.

    Of several the earliest `since` counts. `aliases` has (customer_id, canonical_id) with chains resolved; only the
    rows of ids that are named there are moved.
    """
    if aliases is None:
        return members
    touched = members.join(owners(aliases), "customer_id")
    together = F.sort_array(F.flatten(F.collect_list("segments")))
    # Sorted by id, then by since: the first of each id is the earliest.
    merged = touched.groupBy(F.col("owner").alias("customer_id")).agg(together.alias("all")).select(
        "customer_id",
        F.filter("all", lambda one, place: (place == 0) | (one["id"] != F.get("all", place - 1)["id"])).alias("segments"),
    )
    return members.join(owners(aliases).select("customer_id"), "customer_id", "left_anti").select(
        "customer_id", "segments").unionByName(merged)


def owners(aliases: DataFrame) -> DataFrame:
    """(customer_id, owner) of every id that stands in `aliases`, canonical ones under themselves."""
    ids_of = aliases.select("customer_id", F.col("canonical_id").alias("owner"))
    return ids_of.unionByName(ids_of.select(F.col("owner").alias("customer_id"), "owner").distinct())


def mixed(held: DataFrame, base: DataFrame, recomputed: Collection[str]) -> DataFrame:
    """Members of `base` for the segments to recompute, of `held` for all others."""
    names = list(recomputed)
    ours = held.select("customer_id", F.filter("segments", lambda one: ~one["id"].isin(names)).alias("held"))
    theirs = base.select("customer_id", F.filter("segments", lambda one: one["id"].isin(names)).alias("based"))
    nothing = F.array().cast(SEGMENTS)
    both = F.concat(F.coalesce("held", nothing), F.coalesce("based", nothing))
    return ours.join(theirs, "customer_id", "full_outer").select("customer_id", both.alias("segments"))
