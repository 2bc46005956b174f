"""The members of a past night, also when its snapshot is no longer kept.

Conf keeps some snapshots and all changes: a night is the nearest earlier snapshot that is kept, or nothing, plus the
changes since. A member's `since` is the date it last entered.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from segment_lib import snapshot
from segment_lib.runs import History, RunRecord

if TYPE_CHECKING:
    from segment_lib.storage import Lake


def members(lake: Lake, history: History, run: RunRecord) -> DataFrame:
    """(customer_id, segments) of a published run, from its snapshot or rebuilt.

    Rebuilt, customers who were in no segment are not in it.
    """
    if kept(lake, history, run):
        return snapshot.members(lake.read("memberships"), run.snapshot_date, run.run_id)
    return rebuild(lake, history, run)


def kept(lake: Lake, history: History, run: RunRecord) -> bool:
    """Whether the snapshot of a published run is still stored; one that was empty always counts as stored.

    Retention never takes the last two dates, so those need no look.
    """
    if run.snapshot_date in history.dates[-2:] or not run.rows.get("memberships"):
        return True
    return bool(snapshot.members(lake.read("memberships"), run.snapshot_date, run.run_id).limit(1).collect())


def rebuild(lake: Lake, history: History, run: RunRecord) -> DataFrame:
    """(customer_id, segments) of a date's winner, from the nearest earlier snapshot and the changes since."""
    until = [(winner, base) for winner, base in history.links() if winner.snapshot_date <= run.snapshot_date]
    stored = lake.read("memberships")
    there = {row["run_id"] for row in stored.select("run_id").distinct().collect()}
    start = next((winner for winner, _ in reversed(until[:-1]) if winner.run_id in there), None)
    after = [(winner, base) for winner, base in until if start is None or winner.snapshot_date > start.snapshot_date]
    moves = lake.read("membership_changes").where(counting(after)).select(
        "segment_id", "customer_id", "change", F.col("snapshot_date").alias("on")
    )
    if start is not None:
        begun = snapshot.members(stored, start.snapshot_date, start.run_id)
        moves = moves.unionByName(
            begun.select("customer_id", F.explode("segments").alias("one")).select(
                F.col("one.id").alias("segment_id"), "customer_id", F.lit("entered").alias("change"),
                F.col("one.since").alias("on"),
            )
        )
    last = moves.groupBy("customer_id", "segment_id").agg(
        F.max_by("change", "on").alias("change"), F.max("on").alias("since")
    )
    inside = last.where(F.col("change") == "entered").groupBy("customer_id").agg(
        F.collect_list(F.struct(F.col("segment_id").alias("id"), "since")).alias("segments")
    )
    return inside.select("customer_id", F.sort_array("segments").cast(snapshot.SEGMENTS).alias("segments"))


def counting(links: Sequence[tuple[RunRecord, str | None]]) -> Column:
    """That a row of a table with a base counts: it is a winner's, measured from the run that is its base now.

    The run ids come first, because the tables are partitioned by them.
    """
    pairs = [f"{run.run_id}/{base or ''}" for run, base in links]
    pair = F.concat("run_id", F.lit("/"), F.coalesce("base_run_id", F.lit("")))
    return F.col("run_id").isin([run.run_id for run, _ in links]) & pair.isin(pairs)


def counted(
    lake: Lake, history: History, table: str, segment: str | None = None, since: date | None = None,
    until: date | None = None,
) -> DataFrame:
    """The rows of a table with a base that count, without the ids of runs; dates from `since` to `until`, both included.

    They are as they were published: rows of customers who were erased since are among them.
    """
    links = [
        (run, base) for run, base in history.links()
        if (since is None or run.snapshot_date >= since) and (until is None or run.snapshot_date <= until)
    ]
    rows = lake.read(table).where(counting(links))
    if segment is not None:
        rows = rows.where(F.col("segment_id") == segment)
    return rows.drop("run_id", "base_run_id")
