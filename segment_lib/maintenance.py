"""Cleaning after a run: snapshots beyond retention, rows of runs that no longer count, staged data left behind.

The log itself, and the changes, metrics and definitions of every date's winner are kept for ever. Members of static
segments are kept as long as a published run froze them, also when that run was superseded.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from segment_lib import logs
from segment_lib.runs import History, RunRecord, begun
from segment_lib.settings import RetentionSection, Settings
from segment_lib.tables import PER_RUN

if TYPE_CHECKING:
    from segment_lib.storage import Lake

_log = logs.logger("maintenance")
#: How long a run that does not count is left for people to look at, and for readers who found it just before.
GRACE = timedelta(days=7)
#: Tables whose rows are measured from a base: a run may have rows for a base that no longer counts.
MEASURED = ("membership_changes", "segment_metrics", "score_moves")
#: Tables with a row for every customer, or for every two segments, whose dates are kept as retention says.
BY_DATE = ("memberships", "customer_profiles", "segment_overlaps")


@dataclass(frozen=True)
class Tidied:
    """What was deleted: dates whose snapshot is no longer kept, and ids of runs."""

    snapshots: tuple[date, ...]
    runs: tuple[str, ...]
    staged: tuple[str, ...]


def kept_dates(dates: Collection[date], retention: RetentionSection) -> frozenset[date]:
    """The published dates whose snapshots are kept: the last ones, and with `month_ends` the last of each month.

    >>> days = [date(2026, 1, 30), date(2026, 1, 31), date(2026, 2, 1), date(2026, 2, 2), date(2026, 2, 3)]
    >>> sorted(day.isoformat() for day in kept_dates(days, RetentionSection(snapshots=2)))
    ['2026-01-31', '2026-02-02', '2026-02-03']
    """
    ordered = sorted(dates)
    last_of_month = {(day.year, day.month): day for day in ordered} if retention.month_ends else {}
    return frozenset(ordered[-retention.snapshots:]) | frozenset(last_of_month.values())


def obsolete(history: History, now: datetime, grace: timedelta = GRACE) -> dict[str, RunRecord]:
    """Run id -> its last row, for runs that do not count and ended, or were superseded, longer than `grace` ago.

    A run without an end counts as ended when it started; nobody else can be running, for the caller holds the lease.
    """
    winners = {run.run_id for run in history.winners()}
    last: dict[str, RunRecord] = {}
    for row in sorted(history.records, key=lambda row: row.order):
        last[row.run_id] = row
    found = {}
    for run_id, row in last.items():
        if run_id in winners:
            continue
        winner = history.winner(row.snapshot_date) if row.state.publishes else None
        ended = max(row.at, winner.at) if winner else row.at
        if now - ended > grace:
            found[run_id] = row
    return found


def tidy(lake: Lake, settings: Settings, history: History, *, now: datetime, grace: timedelta = GRACE) -> Tidied:
    """Deletes what is not kept. Safe to repeat; to be called by who holds the tenant's lease, with the whole log."""
    gone = obsolete(history, now, grace)
    frozen_by = {run.run_id for run in history.frozen.values()}
    kept = kept_dates(history.dates, settings.retention)
    removed: set[str] = set()
    snapshots: set[date] = set()
    # The log alone says whether there can be anything to delete; the tables are only looked at when there can.
    for table in PER_RUN if gone else BY_DATE if kept < set(history.dates) else ():
        for day, run_id in _distinct(lake, table, "snapshot_date", "run_id"):
            where = {"snapshot_date": day, "run_id": run_id}
            if run_id in gone and not (table == "static_members" and run_id in frozen_by):
                lake.delete(table, where, run_id)
                removed.add(run_id)
            elif table in BY_DATE and day not in kept and history.winner(day) is not None:
                lake.delete(table, where, run_id)
                snapshots.add(day)
    for table in MEASURED if gone else ():
        for day, run_id, base in _distinct(lake, table, "snapshot_date", "run_id", "base_run_id"):
            if base in gone and run_id not in gone:
                lake.delete(table, {"snapshot_date": day, "run_id": run_id, "base_run_id": base}, run_id)
    staged = _drop_staging(lake, history, gone, now - grace)
    if removed or snapshots or staged:
        context = {"snapshots": len(snapshots), "runs": len(removed), "staged": len(staged)}
        _log.info("deleted what is no longer kept", extra={"context": context})
    return Tidied(tuple(sorted(snapshots)), tuple(sorted(removed)), staged)


def _drop_staging(lake: Lake, history: History, gone: Collection[str], before: datetime) -> tuple[str, ...]:
    """Staged data of published runs at once, of others when they are obsolete.

    What the log does not know is of a training, which publishes nothing: it is left behind by one that died, when it
    began before `before`.
    """
    published = {row.run_id for row in history.records if row.state.publishes}
    known = {row.run_id for row in history.records}
    dropped = []
    for run_id in lake.staged_runs():
        began = begun(run_id)
        died = run_id not in known and began is not None and began < before
        if run_id in published or run_id in gone or died:
            lake.drop_staging(run_id)
            dropped.append(run_id)
    return tuple(dropped)


def _distinct(lake: Lake, table: str, *columns: str) -> list[tuple[Any, ...]]:
    """The distinct values of a few columns that say whose rows there are: a row or two for each date."""
    return [tuple(row) for row in lake.read(table).select(*columns).distinct().collect()]
