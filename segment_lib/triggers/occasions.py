"""What has happened since a trigger was last looked at: who entered or left its segment, or that the segment was formed.

Only nights count that were published when they ended, not backfills of the past; a night that is run again later has
been looked at. And only what customers did counts, or what time did, not what an edit of the definition did, an erasure,
or a merge. Cost: the changes of the new nights, of the one segment.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from segment_lib import rebuild, recipients
from segment_lib.clock import Clock, Step

if TYPE_CHECKING:
    from segment_lib.runs import History, RunRecord
    from segment_lib.storage import Lake
    from segment_lib.trigger_settings import TriggerEntry

#: A night that is published longer than this after its end is a backfill.
FRESH = timedelta(days=2)
#: The causes of changes that count.
CAUSES = ("data", "late", "window")
_CHANGES = {"enter": "entered", "leave": "left"}


@dataclass(frozen=True)
class Occasions:
    """(customer_id, snapshot_date, due_at), an occasion each; `until` is the last night that was looked at.

    `passed` are nights whose changes do not count because they were published too late.
    """

    rows: DataFrame
    until: date
    passed: tuple[date, ...] = ()


def since(lake: Lake, history: History, trigger: TriggerEntry, mark: date | None) -> Occasions | None:
    """The occasions of the nights after `mark`; None when there is no such night.

    Without a mark the trigger is new: the last night alone counts for it. A segment is formed on the first night that
    finds members in it, and never again.
    """
    new = [run for run in history.winners() if mark is None or run.snapshot_date > mark]
    if mark is None:
        new = new[-1:]
    if not new:
        return None
    last = new[-1]
    if trigger.on == "formed":
        return _formed(lake, history, trigger, last) if mark is None else None
    fresh = [run.snapshot_date for run in new if run.at - run.as_of <= FRESH]
    passed = tuple(run.snapshot_date for run in new if run.snapshot_date not in fresh)
    changes = rebuild.counted(
        lake, history, "membership_changes", trigger.segment, since=new[0].snapshot_date, until=last.snapshot_date
    )
    counting = (
        F.col("snapshot_date").isin(fresh) & (F.col("change") == _CHANGES[trigger.on]) & F.col("cause").isin(*CAUSES)
    )
    due = F.create_map(*(F.lit(part) for day in fresh for part in (day, due_at(lake, trigger, day)))) if fresh else None
    rows = changes.where(counting).select(
        "customer_id", "snapshot_date",
        (due[F.col("snapshot_date")] if due is not None else F.lit(None).cast("timestamp")).alias("due_at"),
    )
    return Occasions(rows, last.snapshot_date, passed)


def _formed(lake: Lake, history: History, trigger: TriggerEntry, run: RunRecord) -> Occasions | None:
    members = recipients.members(lake, history, run, trigger.segment).select("customer_id")
    if not members.limit(1).count():
        return None
    day = F.lit(run.snapshot_date).alias("snapshot_date")
    due = F.lit(due_at(lake, trigger, run.snapshot_date)).alias("due_at")
    return Occasions(members.select("customer_id", day, due), run.snapshot_date)


def due_at(lake: Lake, trigger: TriggerEntry, day: date) -> datetime:
    """When the message of an occasion of that night is due: at its end, or `after` that."""
    clock = Clock(day, lake.settings.zone)
    return clock.move(clock.as_of, Step.parse(trigger.after), 1) if trigger.after else clock.as_of
