"""Writes what a run found, so that one row of the log can publish all of it at once.

Everything is derived from two staged frames: `decided` (one row per customer) and its difference from the base. All
rows carry the run's id, and rows that are measured from a base carry that run's id too; readers join on both, so
nothing written here is seen before the log names this run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from segment_lib import axis, definitions_log, evaluate, holdouts, metrics, overlaps, profiles, rebuild, snapshot, static
from segment_lib.figures import EVERYONE
from segment_lib.metrics import SegmentMetrics
from segment_lib.night import Night, redefined
from segment_lib.runs import History, RunRecord, details
from segment_lib.scores import Scored
from segment_lib.snapshot import Stamp

if TYPE_CHECKING:
    from segment_lib.storage import Lake


@dataclass(frozen=True)
class Written:
    """What the log records of the written tables."""

    metrics: tuple[SegmentMetrics, ...]
    rows: Mapping[str, int]


def write(lake: Lake, night: Night, history: History) -> Written:
    """Writes the rows of one run: members and changes, figures and overlaps, definitions, who is frozen or held out, orders."""
    run_id = night.stamp.run_id
    if not lake.adopt("memberships", evaluate.MEMBERS, night.partition, run_id):
        lake.replace("memberships", snapshot.memberships(night.decided, night.stamp), night.partition, run_id)
    if night.scored is not None:
        _write_scores(lake, night, night.scored)
    if night.freezing:
        frozen = static.tonight(night.decided, night.freezing, night.stamp)
        lake.replace("static_members", frozen, night.partition, run_id)
    _write_exposures(lake, night, history)
    if night.analytics:
        lake.replace("order_segments", axis.rows(night.decided, night.analytics, night.stamp), night.partition, run_id)
    lake.replace("membership_changes", _changes(lake, night), night.partition, run_id)
    flows = metrics.flows(_own(lake.read("membership_changes"), night.stamp))
    rows = _metrics(lake, night, flows)
    lake.replace("segment_metrics", metrics.frame(lake.spark, rows, night.stamp), night.partition, run_id)
    pairs = overlaps.frame(lake.spark, night.summed.shared, night.stamp)
    lake.replace("segment_overlaps", pairs, night.partition, run_id)
    listing = definitions_log.frame(lake.spark, night.definitions, night.stamp.snapshot_date, run_id)
    lake.replace("segments", listing, night.partition, run_id)
    moved = sum(entered + left for entered, left in flows.values())
    counted = {"memberships": night.summed.groups[EVERYONE]["customers"], "membership_changes": moved}
    return Written(rows, counted)


def _write_scores(lake: Lake, night: Night, scored: Scored) -> None:
    """The profiles of tonight, what else scoring has to tell, and who moved between groups since the base."""
    run_id = night.stamp.run_id
    lake.replace("customer_profiles", profiles.of_night(scored.customers, night.stamp), night.partition, run_id)
    for table, rows in scored.tables.items():
        lake.replace(table, rows.select(*night.stamp.columns(), "*"), night.partition, run_id)
    moves = profiles.moves(lake.read("customer_profiles"), night.stamp)
    lake.replace("score_moves", moves, night.partition, run_id)


def _write_exposures(lake: Lake, night: Night, history: History) -> None:
    """The first nights of held-out members; those of copied segments come with them."""
    carried = night.copied is not None and lake.exists("holdouts")
    if not (night.holdouts or carried):
        return
    stored = lake.read("holdouts")
    earlier = [run.run_id for run in history.winners() if run.snapshot_date < night.stamp.snapshot_date]
    known = stored.where(F.col("run_id").isin(earlier))
    rows = holdouts.first_exposures(night.decided, night.holdouts, known, night.stamp) if night.holdouts else None
    if carried and night.copied is not None and night.computed is not None:
        theirs = stored.where((F.col("run_id") == night.copied.run_id) & ~F.col("segment_id").isin(list(night.computed)))
        copied = theirs.withColumn("run_id", F.lit(night.stamp.run_id))
        rows = copied if rows is None else rows.unionByName(copied)
    if rows is not None:
        lake.replace("holdouts", rows, night.partition, night.stamp.run_id)


def _changes(lake: Lake, night: Night) -> DataFrame:
    persons = snapshot.persons(
        snapshot.gone(night.difference), lake.tenant, lake.erased(), lake.aliases(night.pins.get("aliases", -1))
    )
    before = night.base.definition_hashes if night.base else {}
    rows = snapshot.changes(
        night.difference, persons, night.stamp, redefined=redefined(night.hashes, before),
        deleted=definitions_log.deleted(night.definitions), only=night.computed,
    )
    if night.copied is None or night.computed is None:
        return rows
    copied = _counted(lake.read("membership_changes"), night.copied, night.stamp.base_run_id)
    others = copied.where(~F.col("segment_id").isin(list(night.computed)))
    return rows.unionByName(others.withColumn("run_id", F.lit(night.stamp.run_id)))


def _metrics(lake: Lake, night: Night, flows: Mapping[str, tuple[int, int]]) -> tuple[SegmentMetrics, ...]:
    everyone = (night.seen.came, night.seen.went) if night.everyone_known else None
    rows = metrics.combine(
        night.shown, night.summed.groups, flows, everyone, night.stamp.snapshot_date, night.stale_since
    )
    if night.copied is None or night.computed is None:
        return rows
    stored = lake.read("segment_metrics")
    copied = metrics.read(stored, night.stamp.snapshot_date, night.copied.run_id, night.stamp.base_run_id)
    ours = {row.segment_id: row for row in rows if row.segment_id in night.computed}
    merged = {name: row for name, row in copied.items() if name not in night.computed} | ours
    return tuple(merged[name] for name in sorted(merged))


def rewrite_next(lake: Lake, night: Night, history: History) -> tuple[date, ...]:
    """Measures the next published date from this run, and says which later dates have become stale.

    `history` is the log before this run is published. The next date's own rows stay; changes and metrics are added to
    it against the new base, and count as soon as this run does. Every later date is stale when the members that the
    next one leaned on have changed, or when this date is new between two others.
    """
    day, run_id = night.stamp.snapshot_date, night.stamp.run_id
    following = history.next_after(day)
    if following is None:
        return ()
    following = details(lake, following)
    leaned_on = history.base(following.snapshot_date)
    old_base = leaned_on.run_id if leaned_on else None
    ours = night.decided.select("customer_id", "segments")
    theirs = rebuild.members(lake, history, following)
    difference = lake.stage("next_difference", run_id, snapshot.difference(theirs, ours))
    stamp = Stamp(following.snapshot_date, following.run_id, run_id)
    place = {"snapshot_date": stamp.snapshot_date, "run_id": stamp.run_id, "base_run_id": run_id}
    changes = snapshot.rebased(
        difference, _counted(lake.read("membership_changes"), following, old_base), stamp,
        redefined=redefined(following.definition_hashes, night.hashes),
        deleted=definitions_log.deleted(definitions_log.read(lake, following).values()),
    )
    lake.replace("membership_changes", changes, place, run_id)
    if lake.exists("customer_profiles"):
        lake.replace("score_moves", profiles.moves(lake.read("customer_profiles"), stamp), place, run_id)
    flows = metrics.flows(_own(lake.read("membership_changes"), stamp))
    seen = snapshot.look(difference)
    everyone = (seen.came, seen.went) if rebuild.kept(lake, history, following) else None
    rows = metrics.read(lake.read("segment_metrics"), following.snapshot_date, following.run_id, old_base)
    moved = []
    for row in rows.values():
        entered, left = metrics.growth(row.segment_id, flows, everyone)
        moved.append(replace(row, entered=entered, left=left))
    lake.replace("segment_metrics", metrics.frame(lake.spark, moved, stamp), place, run_id)
    before = history.winner(day)
    if before is None or snapshot.differ(ours, rebuild.members(lake, history, before)):
        return tuple(other for other in history.dates if other > day)
    return ()


def _own(stored: DataFrame, stamp: Stamp) -> DataFrame:
    return stored.where(
        (F.col("snapshot_date") == F.lit(stamp.snapshot_date))
        & (F.col("run_id") == stamp.run_id)
        & F.col("base_run_id").eqNullSafe(F.lit(stamp.base_run_id).cast("string"))
    )


def _counted(stored: DataFrame, run: RunRecord, base_run_id: str | None) -> DataFrame:
    return _own(stored, Stamp(run.snapshot_date, run.run_id, base_run_id))
