"""The table `trigger_fires`: what each look at each trigger found and sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING

from segment_lib.tables import OUTPUTS, ddl

if TYPE_CHECKING:
    from segment_lib.storage import Lake

DONE, HELD, FAILED = "done", "held", "failed"


@dataclass(frozen=True)
class Fired:
    """What became of one trigger.

    `queued` are new occasions; those that are `due` are split into `void` (too late, or no longer so), who is kept out
    by the first reason that applies, `sent`, `refused`, and who waits on because of quiet hours or a busy mailbox.
    `waiting` is everybody whose message is still to come. `snapshot_date` is the last night that was looked at.
    """

    fire_id: str
    trigger: str
    segment_id: str
    destination: str
    started_at: datetime
    ended_at: datetime
    snapshot_date: date | None
    state: str
    reason: str | None = None
    accepted: bool = False
    queued: int = 0
    due: int = 0
    void: int = 0
    held_out: int = 0
    suppressed: int = 0
    no_consent: int = 0
    no_identifier: int = 0
    sent: int = 0
    refused: int = 0
    waiting: int = 0
    batches: int = 0
    bytes: int = 0
    seconds: float = 0.0


def append(lake: Lake, rows: Sequence[Fired], fire_id: str) -> None:
    """Adds the rows of one look at the triggers, in one commit; nothing when there are none."""
    if rows:
        values = [tuple(getattr(row, name) for name in OUTPUTS["trigger_fires"]) for row in rows]
        frame = lake.spark.createDataFrame(values, ddl(OUTPUTS["trigger_fires"])).coalesce(1)
        lake.append("trigger_fires", frame, fire_id)
