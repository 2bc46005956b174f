"""The run log as frozen values: which run of a date counts, what it leans on, which dates have become stale.

`runs` is an append-only log with one row per (run, state). A run that starts writes `started`; it ends with
`published`, `partial` (published, and some definitions were held back), `refused` or `failed`. The one row `published`
or `partial` publishes it: everything else a run wrote is invisible until then. The winner of a date is its latest
published run.
"""

from __future__ import annotations

import enum
import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from segment_lib.errors import UsageError
from segment_lib.tables import OUTPUTS, ddl

if TYPE_CHECKING:
    from segment_lib.storage import Lake

#: Columns that grow with the definitions; the log is read without them.
HEAVY = ("definitions", "definition_hashes")
_TICK = timedelta(microseconds=1)


class State(enum.StrEnum):
    """What a row of the log says of its run."""

    STARTED = "started"
    PUBLISHED = "published"
    PARTIAL = "partial"
    REFUSED = "refused"
    FAILED = "failed"

    @property
    def publishes(self) -> bool:
        return self in (State.PUBLISHED, State.PARTIAL)


@dataclass(frozen=True)
class Gate:
    """What one gate found; `accepted` when a person let it pass by name."""

    gate: str
    ok: bool
    accepted: bool
    detail: str

    @property
    def blocks(self) -> bool:
        return not (self.ok or self.accepted)


@dataclass(frozen=True)
class RunRecord:
    """One row of the log. `definitions` and `definition_hashes` are empty when the log was read without them."""

    snapshot_date: date
    run_id: str
    state: State
    at: datetime
    as_of: datetime
    base_run_id: str | None = None
    inputs: Mapping[str, int] = field(default_factory=dict)
    definitions: str | None = None
    definition_hashes: Mapping[str, str] = field(default_factory=dict)
    models: Mapping[str, str] = field(default_factory=dict)
    timings: Mapping[str, float] = field(default_factory=dict)
    rows: Mapping[str, int] = field(default_factory=dict)
    gates: tuple[Gate, ...] = ()
    stale_dates: tuple[date, ...] = ()
    notes: Mapping[str, str] = field(default_factory=dict)
    code_version: str = ""

    @property
    def order(self) -> tuple[datetime, str]:
        """Later rows of the log are greater."""
        return self.at, self.run_id

    @property
    def pinned_at(self) -> datetime:
        """When the inputs were pinned: what was loaded later, this run has not seen."""
        text = self.notes.get("pinned_at")
        return datetime.fromisoformat(text) if text else self.at

    @property
    def scores(self) -> frozenset[str]:
        """The scores that it gave: what its `customer_profiles` hold."""
        return frozenset(self.noted("scores"))

    def noted(self, key: str) -> dict[str, str]:
        """A note that holds a mapping; empty when there is none."""
        return json.loads(self.notes.get(key, "{}"))


@dataclass(frozen=True)
class History:
    """The whole log, and what follows from it.

    >>> at = datetime(2026, 1, 2, tzinfo=UTC)
    >>> def row(day, run_id, state, **more):
    ...     return RunRecord(date(2026, 1, day), run_id, State(state), at + timedelta(hours=len(run_id)), at, **more)
    >>> log = History((row(1, "a", "published"), row(3, "bb", "published"), row(3, "ccc", "refused")))
    >>> log.winner(date(2026, 1, 3)).run_id, log.base(date(2026, 1, 3)).run_id, log.next_after(date(2026, 1, 1)).run_id
    ('bb', 'a', 'bb')
    """

    records: tuple[RunRecord, ...] = ()

    @cached_property
    def _winners(self) -> dict[date, RunRecord]:
        published = sorted((row for row in self.records if row.state.publishes), key=lambda row: row.order)
        return {row.snapshot_date: row for row in published}

    @cached_property
    def dates(self) -> tuple[date, ...]:
        """The published dates, ascending."""
        return tuple(sorted(self._winners))

    @property
    def latest(self) -> RunRecord | None:
        """The winner of the last published date."""
        return self._winners[self.dates[-1]] if self.dates else None

    def winner(self, day: date) -> RunRecord | None:
        """The run that counts for a date."""
        return self._winners.get(day)

    def published(self, day: date | None = None) -> RunRecord:
        """The run that counts for a date, by default for the last; raises UsageError where none does."""
        if not self.dates:
            raise UsageError("nothing is published yet; seglake run publishes")
        run = self.latest if day is None else self.winner(day)
        if run is None:
            known = f"{len(self.dates)} dates are, from {self.dates[0]} to {self.dates[-1]}"
            raise UsageError(f"{day} is not published; {known}")
        return run

    def base(self, day: date) -> RunRecord | None:
        """The winner of the latest published date before `day`: what that day's changes are measured from."""
        earlier = [other for other in self.dates if other < day]
        return self._winners[earlier[-1]] if earlier else None

    def next_after(self, day: date) -> RunRecord | None:
        """The winner of the first published date after `day`: whose changes are measured from `day`."""
        later = [other for other in self.dates if other > day]
        return self._winners[later[0]] if later else None

    def winners(self) -> tuple[RunRecord, ...]:
        """The run that counts of each published date, by date."""
        return tuple(self._winners[day] for day in self.dates)

    def winners_until(self, day: date, count: int) -> tuple[RunRecord, ...]:
        """The winners of the last `count` published dates up to and including `day`."""
        return tuple(row for row in self.winners() if row.snapshot_date <= day)[-count:]

    def links(self) -> tuple[tuple[RunRecord, str | None], ...]:
        """Each winner with the id of the run that its changes must be measured from to count."""
        rows = self.winners()
        return tuple((row, rows[i - 1].run_id if i else None) for i, row in enumerate(rows))

    @cached_property
    def stale(self) -> tuple[date, ...]:
        """Dates that leaned on a date restated since, and were not republished after it; ascending."""
        marks: dict[date, datetime] = {}
        for row in self.records:
            if row.state.publishes:
                for day in row.stale_dates:
                    marks[day] = max(row.at, marks.get(day, row.at))
        return tuple(sorted(day for day, at in marks.items() if day in self._winners and self._winners[day].at < at))

    def of_run(self, run_id: str) -> tuple[RunRecord, ...]:
        """All rows of one run."""
        return tuple(row for row in self.records if row.run_id == run_id)

    def crashed(self, day: date, request: str) -> RunRecord | None:
        """The last attempt at a date, when it asked for the same and has no end: it died, and is to be retried."""
        started = [row for row in self.records if row.snapshot_date == day and row.state is State.STARTED]
        if not started:
            return None
        last = max(started, key=lambda row: row.order)
        ended = any(row.state is not State.STARTED for row in self.of_run(last.run_id))
        return None if ended or last.notes.get("request") != request else last

    @cached_property
    def frozen(self) -> dict[tuple[str, str], RunRecord]:
        """(static segment, definition hash) -> the published run that froze it first."""
        found: dict[tuple[str, str], RunRecord] = {}
        for row in sorted((row for row in self.records if row.state.publishes), key=lambda row: row.order):
            for segment_id, definition_hash in row.noted("frozen").items():
                found.setdefault((segment_id, definition_hash), row)
        return found

    def next_instant(self, wanted: datetime) -> datetime:
        """`wanted`, or just after the last row: a host whose clock is behind must not publish into the past."""
        last = max((row.at for row in self.records), default=None)
        return wanted if last is None or wanted > last else last + _TICK

    def with_record(self, record: RunRecord) -> History:
        """The log with one more row."""
        return replace(self, records=(*self.records, record))


#: How a run id begins: the second of its start, in UTC.
_BEGUN = "%Y%m%dT%H%M%S"


def new_run_id(at: datetime) -> str:
    """A run id that sorts by time and is unique.

    >>> new_run_id(datetime(2026, 11, 22, 3, 15, tzinfo=UTC))[:16]
    '20261122T031500-'
    """
    return f"{at.astimezone(UTC):{_BEGUN}}-{secrets.token_hex(4)}"


def begun(run_id: str) -> datetime | None:
    """When a run began, to the second, by its id; None for text that is no run id.

    >>> begun("20261122T031500-0123abcd")
    datetime.datetime(2026, 11, 22, 3, 15, tzinfo=datetime.timezone.utc)
    """
    try:
        return datetime.strptime(run_id.partition("-")[0], _BEGUN).replace(tzinfo=UTC)
    except ValueError:
        return None


def request_of(only: Iterable[str] = (), as_then: bool = False) -> str:
    """What a run was asked for, in one word; a crashed run is only retried by one that asks for the same.

    >>> request_of(["b", "a"]), request_of(as_then=True), request_of()
    ('only:a,b', 'as_then', 'full')
    """
    names = ",".join(sorted(only))
    return f"only:{names}" if names else "as_then" if as_then else "full"


# Reading and writing the log ---------------------------------------------------------------------------------------


def read_history(lake: Lake) -> History:
    """The log without its heavy columns: a few rows for each night."""
    columns = [name for name in OUTPUTS["runs"] if name not in HEAVY]
    return History(tuple(_record(row.asDict()) for row in lake.read("runs").select(*columns).collect()))


def details(lake: Lake, record: RunRecord) -> RunRecord:
    """The same row with its definitions and their hashes."""
    runs = lake.read("runs")
    mine = (runs.run_id == record.run_id) & (runs.state == record.state.value)
    found = runs.where(mine).select(*HEAVY).limit(1).collect()
    if not found:
        return record
    return replace(record, definitions=found[0]["definitions"], definition_hashes=found[0]["definition_hashes"] or {})


def append_record(lake: Lake, record: RunRecord) -> None:
    """Adds one row to the log, in one commit. For a published state this is the moment of publishing.

    When the commit went through and only its answer was lost, the row is there: that is success, not a reason to add
    it twice.
    """
    frame = lake.spark.createDataFrame([_row(record)], ddl(OUTPUTS["runs"])).coalesce(1)
    try:
        lake.append("runs", frame, record.run_id)
    except Exception:
        runs = lake.read("runs")
        mine = (runs.run_id == record.run_id) & (runs.state == record.state.value)
        if not runs.where(mine).limit(1).collect():
            raise


def _record(values: dict[str, Any]) -> RunRecord:
    values["state"] = State(values["state"])
    values["at"], values["as_of"] = _utc(values["at"]), _utc(values["as_of"])
    values["gates"] = tuple(Gate(**gate.asDict()) for gate in values["gates"] or ())
    values["stale_dates"] = tuple(values["stale_dates"] or ())
    for name in ("inputs", "models", "timings", "rows", "notes"):
        values[name] = values[name] or {}
    return RunRecord(**values)


def _utc(value: datetime) -> datetime:
    """The collected timestamp as an aware instant: Spark hands over the driver's local time without a zone."""
    return value.astimezone(UTC)


def _row(record: RunRecord) -> tuple[Any, ...]:
    values = {name: getattr(record, name) for name in OUTPUTS["runs"]}
    values["state"] = record.state.value
    values["gates"] = [(gate.gate, gate.ok, gate.accepted, gate.detail) for gate in record.gates]
    values["stale_dates"] = list(record.stale_dates)
    for name in ("inputs", "definition_hashes", "models", "timings", "rows", "notes"):
        values[name] = dict(values[name])
    return tuple(values.values())
