"""The table `syncs`, a row for each audience of each sync, and `sync_audiences`, what is known of each audience."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from segment_lib.sync.contract import Audience
from segment_lib.sync.fuse import Size
from segment_lib.tables import OUTPUTS, ddl

if TYPE_CHECKING:
    from segment_lib.storage import Lake

DONE, HELD, FAILED = "done", "held", "failed"
Place = tuple[str, str]


@dataclass(frozen=True)
class Synced:
    """What became of one audience in one sync.

    `members` are split into who is kept out by the first reason that applies, who has no identifier, and `wanted`; of
    those `unchanged` were there already. `added`, `removed` and `refused` are records that the destination took or did
    not; `forgotten` left without anything to send. `lag_seconds` is from the publishing of the members to the end.
    """

    sync_id: str
    destination: str
    segment_id: str
    started_at: datetime
    ended_at: datetime
    snapshot_date: date
    run_id: str
    state: str
    reason: str | None = None
    accepted: bool = False
    members: int = 0
    held_out: int = 0
    priority: int = 0
    suppressed: int = 0
    no_consent: int = 0
    no_identifier: int = 0
    wanted: int = 0
    unchanged: int = 0
    added: int = 0
    removed: int = 0
    refused: int = 0
    forgotten: int = 0
    batches: int = 0
    bytes: int = 0
    last_batch: int = 0
    seconds: float = 0.0
    lag_seconds: float | None = None

    @property
    def size(self) -> Size:
        return Size(self.wanted, self.members, self.no_consent + self.no_identifier)


@dataclass(frozen=True)
class SyncLog:
    """What earlier syncs did, by audience."""

    rows: tuple[Synced, ...]

    def sizes(self, place: Place) -> list[Size]:
        """The sizes of an audience when it went, oldest first, from the last time on that a person accepted one."""
        went = [row for row in self.rows if (row.destination, row.segment_id) == place and row.state == DONE]
        accepted = [number for number, row in enumerate(went) if row.accepted]
        return [row.size for row in went[accepted[-1] if accepted else 0:]]

    def last_batch(self, place: Place) -> int:
        """The number of the last batch that an audience was sent; 0 when there was none."""
        return max((row.last_batch for row in self.rows if (row.destination, row.segment_id) == place), default=0)


def read(lake: Lake) -> SyncLog:
    """The whole log: a row an audience and sync."""
    names = [field.name for field in fields(Synced)]
    rows = [row.asDict() for row in lake.read("syncs").select(*names).collect()]
    for row in rows:
        row |= {name: row[name].astimezone(UTC) for name in ("started_at", "ended_at")}
    return SyncLog(tuple(sorted((Synced(**row) for row in rows), key=lambda row: row.started_at)))


def append(lake: Lake, rows: Iterable[Synced]) -> None:
    """Adds rows of one sync, in one commit."""
    listed = list(rows)
    values = [tuple(getattr(row, name) for name in OUTPUTS["syncs"]) for row in listed]
    frame = lake.spark.createDataFrame(values, ddl(OUTPUTS["syncs"])).coalesce(1)
    lake.append("syncs", frame, listed[0].sync_id)


def audiences(lake: Lake) -> dict[Place, Audience]:
    """The audiences that were synced before, with their ids there."""
    rows = lake.read("sync_audiences").select("destination", "segment_id", "name", "remote_id").collect()
    return {(destination, segment): Audience(segment, name, remote) for destination, segment, name, remote in rows}


def keep(lake: Lake, destination: str, audience: Audience, used_as: str, sync_id: str, at: datetime) -> None:
    """Records an audience and its id there."""
    values = [(destination, audience.segment_id, audience.name, audience.remote_id, used_as, at)]
    frame = lake.spark.createDataFrame(values, ddl(OUTPUTS["sync_audiences"])).coalesce(1)
    place = {"destination": destination, "segment_id": audience.segment_id}
    lake.replace("sync_audiences", frame, place, sync_id)
