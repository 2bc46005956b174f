"""Keeping tables healthy: small files put together, files of versions that nobody needs any more removed.

A night adds a few files to some twenty tables, and each file and each commit costs every reader a little. What is put
together is small files alone, so that what a night has kept of large ones stays true (`row_parcels`).

Cost: for each table a listing of its folder and its log; what is put together is read and written once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from segment_lib import logs
from segment_lib.errors import UsageError, nearest
from segment_lib.lease import Lease
from segment_lib.objects import open_objects
from segment_lib.tables import INPUTS, OUTPUTS

if TYPE_CHECKING:
    from segment_lib.storage import Lake

#: Files below this many bytes are put together, into files of about as many bytes as the second.
SMALL, TOGETHER = 16 * 2**20, 128 * 2**20
#: Whoever writes to a tenant's tables holds one of these.
LEASES = ("_lease.json", "_sync.json", "_triggers.json")
_log = logs.logger("maintenance")


@dataclass(frozen=True)
class Health:
    """A table: the files and bytes of its newest version, what lies in its folder, and its log.

    `stored_files` and `stored_bytes` count data files of all versions; `commits` are those that a reader has to replay
    after the last checkpoint.
    """

    table: str
    version: int
    files: int
    bytes: int
    stored_files: int
    stored_bytes: int
    commits: int


@dataclass(frozen=True)
class Maintained:
    """A table before and after."""

    before: Health
    after: Health

    @property
    def table(self) -> str:
        return self.before.table


def tables(lake: Lake, asked: Collection[str] = ()) -> tuple[str, ...]:
    """The tables of the tenant that are ours and exist, or those asked for; UsageError for one that is neither."""
    own = [name for name in (*INPUTS, *OUTPUTS) if not lake.is_in_place(name)]
    for name in asked:
        if name not in own:
            why = "is read in place and is its owner's to maintain" if name in INPUTS else "is no table of seglake"
            raise UsageError(f"{name!r} {why}; {nearest(name, own)}")
    return tuple(name for name in own if (not asked or name in asked) and lake.exists(name))


def look(lake: Lake, asked: Collection[str] = ()) -> tuple[Health, ...]:
    """How the tables are; nothing is written."""
    return tuple(_health(lake, name) for name in tables(lake, asked))


def maintain(lake: Lake, run_id: str, asked: Collection[str] = ()) -> Iterator[Maintained]:
    """Puts small files together and removes files of versions older than conf keeps, table by table.

    LockedError while a run, a sync or triggers of the tenant are at work. A table that is done stays done.
    """
    days = lake.settings.retention.versions
    with ExitStack() as held:
        for name in LEASES:
            held.enter_context(Lease(open_objects(lake.home), lake.tenant, run_id, name=name))
        for name in tables(lake, asked):
            before = _health(lake, name)
            if before.files > 1:
                lake.compact(name, SMALL, TOGETHER, run_id)
            lake.vacuum(name, 24 * days)
            done = Maintained(before, _health(lake, name))
            _log.info("%s: %d files, now %d; %d stored, now %d", name, before.files, done.after.files,
                      before.stored_files, done.after.stored_files)
            yield done


def _health(lake: Lake, name: str) -> Health:
    files, size = lake.live(name)
    stored_files, stored_bytes = lake.stored(name)
    version, commits = lake.log_length(name)
    return Health(name, version, files, size, stored_files, stored_bytes, commits)
