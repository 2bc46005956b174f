"""Static segments: computed once, then locked.

One freezes at its first published run at the end of the history after its creation or edit; its members then stand in
`static_members`. Before that date it is absent, after it copied, and no backfill computes it again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from segment_lib.preparation import Preparation
from segment_lib.runs import History, RunRecord
from segment_lib.snapshot import SEGMENTS, Stamp, ids

if TYPE_CHECKING:
    from segment_lib.storage import Lake


@dataclass(frozen=True)
class Statics:
    """The static segments that a night computes with: frozen by which run, absent and why, or freezing tonight.

    The values of `freezing` are definition hashes.
    """

    frozen: Mapping[str, RunRecord] = field(default_factory=dict)
    absent: Mapping[str, str] = field(default_factory=dict)
    freezing: Mapping[str, str] = field(default_factory=dict)

    @property
    def fixed(self) -> frozenset[str]:
        """Those that are not computed."""
        return frozenset({*self.frozen, *self.absent})


def sort(work: Preparation, history: History) -> Statics:
    """Which of a night's static segments are frozen, absent or to freeze."""
    frozen: dict[str, RunRecord] = {}
    absent: dict[str, str] = {}
    freezing: dict[str, str] = {}
    for segment in work.definitions.segments:
        if segment.kind != "static" or (work.copied is not None and segment.id not in work.recomputed):
            continue
        froze = history.frozen.get((segment.id, segment.definition_hash))
        if froze is not None and froze.snapshot_date <= work.snapshot_date:
            frozen[segment.id] = froze
        elif froze is not None:
            absent[segment.id] = f"frozen on {froze.snapshot_date}, absent before"
        elif history.dates and work.snapshot_date < history.dates[-1]:
            absent[segment.id] = "freezes at the next run of the last date, absent before"
        elif segment.status == "active":
            freezing[segment.id] = segment.definition_hash
    return Statics(frozen, absent, freezing)


def tonight(decided: DataFrame, freezing: Mapping[str, str], stamp: Stamp) -> DataFrame:
    """The rows of `static_members` for the segments that freeze tonight."""
    hashes = F.create_map(*(F.lit(part) for pair in sorted(freezing.items()) for part in pair))
    return (
        decided.select("customer_id", F.explode(ids("segments")).alias("segment_id"))
        .where(F.col("segment_id").isin(list(freezing)))
        .select(
            *stamp.columns(), "segment_id", hashes[F.col("segment_id")].alias("definition_hash"), "customer_id"
        )
    )


def frozen_members(lake: Lake, statics: Statics, hashes: Mapping[str, str], aliases: DataFrame | None) -> DataFrame:
    """(segment_id, customer_id) of the frozen segments, under the canonical ids of now.

    `hashes` has the definition hash of each.
    """
    wanted = [f"{run.run_id}/{name}/{hashes[name]}" for name, run in sorted(statics.frozen.items())]
    runs = sorted({run.run_id for run in statics.frozen.values()})
    key = F.concat_ws("/", "run_id", "segment_id", "definition_hash")
    stored = lake.read("static_members").where(F.col("run_id").isin(runs) & key.isin(wanted))
    rows = stored.select("segment_id", "customer_id")
    if aliases is None:
        return rows
    canonical = F.coalesce("canonical_id", "customer_id").alias("customer_id")
    pointers = aliases.select("customer_id", "canonical_id")
    return rows.join(pointers, "customer_id", "left").select("segment_id", canonical)


def with_frozen(base: DataFrame, frozen: DataFrame, statics: Statics, snapshot_date: date) -> DataFrame:
    """The base with the members of fixed static segments taken from what was frozen, and from nowhere else.

    A member whom the base has already keeps `since`; others have been in it since tonight.
    """
    names = sorted(statics.fixed)
    wanted = frozen.groupBy("customer_id").agg(F.collect_set("segment_id").alias("frozen"))
    joined = base.join(wanted, "customer_id", "full_outer").select(
        "customer_id",
        F.coalesce("segments", F.array().cast(SEGMENTS)).alias("segments"),
        F.coalesce("frozen", F.array().cast("array<string>")).alias("frozen"),
    )
    kept = F.filter("segments", lambda one: ~one["id"].isin(names) | F.array_contains("frozen", one["id"]))
    added = F.transform(
        F.array_except("frozen", ids("segments")),
        lambda one: F.struct(one.alias("id"), F.lit(snapshot_date).alias("since")),
    )
    return joined.select("customer_id", F.concat(kept, added).cast(SEGMENTS).alias("segments"))
