"""What was told of the last run, read from the log, and the table `notifications` of what became of each message."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from segment_lib import definitions_log, metrics
from segment_lib.errors import UsageError
from segment_lib.figures import LOST
from segment_lib.lease import Lease
from segment_lib.nightly import RunOutcome
from segment_lib.night import HELD_BACK
from segment_lib.notify.delivery import Delivery
from segment_lib.notify.summary import Summary
from segment_lib.objects import open_objects
from segment_lib.runs import new_run_id, read_history
from segment_lib.tables import OUTPUTS, ddl

if TYPE_CHECKING:
    from segment_lib.storage import Lake


def last_outcome(lake: Lake) -> RunOutcome:
    """How the last run ended, by the log; of a run without an end its start. UsageError where none ever ran."""
    history = read_history(lake)
    if not history.records:
        raise UsageError("nothing has been run yet; seglake run does")
    record = max(history.records, key=lambda row: row.order)
    if not record.state.publishes:
        return RunOutcome(record)
    base = history.base(record.snapshot_date)
    rows = metrics.of_run(lake, history, record)
    shown = tuple(rows[name] for name in sorted(rows) if name != LOST)
    listed = tuple(definitions_log.read(lake, record).values())
    return RunOutcome(
        replace(record, base_run_id=base.run_id if base else None), shown, listed,
        tuple(row for row in listed if row.state in HELD_BACK),
    )


def record(lake: Lake, summary: Summary, deliveries: Sequence[Delivery], at: datetime) -> None:
    """Adds a row for each message, under the tenant's lease like every writer; LockedError when another holds it."""
    day = max(summary.dates)
    rows = [
        (at, day, summary.run_id, summary.outcome.value, one.entry, one.channel, one.sent, one.attempts, one.reason)
        for one in deliveries
    ]
    log_id = new_run_id(at)
    with Lease(open_objects(lake.home), lake.tenant, log_id):
        frame = lake.spark.createDataFrame(rows, ddl(OUTPUTS["notifications"])).coalesce(1)
        lake.append("notifications", frame, log_id)
