"""One sync: for each target the difference between who is wanted there and the ledger, sent in batches.

The driver sends, because a platform's limits hold for the whole account and its sessions have an order. Rows come to
it range by range and in order, the next range only when this one was sent: it holds one range and one batch, however
large the audience is. What a batch carried is recorded in one commit before the next batch is sent.

After a crash the next sync finds the rest by the same comparison. The batch that was on its way then has the same
records, unless what is wanted has changed, the same number and so the same key.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from segment_lib import definitions_log, logs, recipients
from segment_lib.errors import UsageError
from segment_lib.lease import Lease
from segment_lib.objects import open_objects
from segment_lib.on_disk import kept
from segment_lib.sync import ledger, log, targets
from segment_lib.sync.contract import Audience, Batch, DeliveryError, Destination, Record
from segment_lib.sync.log import DONE, FAILED, HELD, Synced, SyncLog
from segment_lib.sync.options import TYPES
from segment_lib.sync.targets import Target

if TYPE_CHECKING:
    from segment_lib.runs import History, RunRecord
    from segment_lib.storage import Lake
    from segment_lib.sync_settings import DestinationEntry

#: Records of one range that the driver holds.
ROWS = 20_000
#: Records that a dry run shows of each action.
SAMPLES = 5
ORPHAN = "nothing names it any more; --accept {segment} empties it, and only erased customers leave until then"
_log = logs.logger("sync")
Opener = Callable[[str, "DestinationEntry"], Destination]
Action = Literal["add", "remove"]
_ACTIONS: tuple[Action, Action] = ("remove", "add")


@dataclass(frozen=True)
class Sample:
    """A record that would be sent, masked: of each value its first letter."""

    action: str
    identifiers: dict[str, list[str]]


@dataclass(frozen=True)
class Result:
    """What became of a target, and in a dry run what would be sent."""

    synced: Synced
    name: str
    samples: tuple[Sample, ...] = ()


@dataclass
class _Tally:
    """What a target has sent so far."""

    added: int = 0
    removed: int = 0
    refused: int = 0
    batches: int = 0
    bytes: int = 0
    last_batch: int = 0
    #: Customers whose removal was refused: they are not added under new identifiers while the old ones are there.
    stuck: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Sync:
    """What every target of one sync shares.

    `clock` tells the time, `check` raises when another process took over, `accept` are segments whose fuse is passed.
    """

    lake: Lake
    history: History
    run: RunRecord
    open: Opener
    clock: Callable[[], datetime]
    sync_id: str
    log: SyncLog
    accept: frozenset[str] = frozenset()
    dry_run: bool = False
    check: Callable[[], None] = lambda: None

    def one(self, target: Target, known: Audience | None) -> Result:
        """Syncs one target; what its destination cannot do is told in the result."""
        started = self.clock()
        base = Synced(
            self.sync_id, *target.place, started, started, self.run.snapshot_date, self.run.run_id, FAILED,
            last_batch=self.log.last_batch(target.place),
        )
        audience = known or Audience(target.segment_id, target.name(self.lake.tenant))
        if target.entry is None:
            why = f"conf has no destination {target.destination!r}"
            return Result(self._ended(base, why), audience.name)
        if not TYPES[target.entry.type].audiences:
            why = f"{target.entry.type} holds no audiences, it sends the messages of triggers"
            return Result(self._ended(base, why), audience.name)
        try:
            destination = self.open(target.destination, target.entry)
        except DeliveryError as error:
            return Result(self._ended(base, str(error)), audience.name)
        with ExitStack() as disks:
            return self._compared(target, destination, audience, base, disks)

    def _ended(self, row: Synced, reason: str | None = None, state: str = FAILED) -> Synced:
        now = self.clock()
        lag = (now - self.run.at).total_seconds() if state == DONE else None
        seconds = (now - row.started_at).total_seconds()
        return replace(row, state=state, reason=reason, ended_at=now, seconds=seconds, lag_seconds=lag)

    def _people(self, target: Target, destination: Destination) -> DataFrame:
        members = recipients.members(self.lake, self.history, self.run, target.segment_id)
        if target.segment is None:
            return ledger.with_identifiers(members.limit(0).withColumn("kept_out", F.lit("gone")), destination.profile)
        there = self.lake.settings.names().customers()
        columns = [name for name in destination.profile.columns if name in there]
        judged = recipients.judged(self.lake, members, target.rules(self.lake.settings), columns)
        return ledger.with_identifiers(judged, destination.profile)

    def _compared(
        self, target: Target, destination: Destination, audience: Audience, row: Synced, disks: ExitStack
    ) -> Result:
        profile = destination.profile
        rows = ledger.of(self.lake, target.place)
        compared = kept(disks, ledger.compared(self.lake, self._people(target, destination), rows, profile.name))
        row = replace(row, **_counted(compared))
        passed = target.segment_id in self.accept
        why = self._why_held(target, row, compared)
        held = why if why and not passed else None
        row = replace(row, accepted=bool(why and passed))
        removals = kept(disks, ledger.removals(compared, [one.kind for one in profile.identifiers if not one.alone]))
        left = compared
        additions = ledger.additions(compared)
        if held:
            # Whoever was erased leaves all the same; everybody else stays as in the last good audience.
            removals, left = removals.where("erased"), compared.where("erased")
            additions = additions.limit(0)
        additions = kept(disks, additions)
        forgotten = ledger.forgotten(left, removals)
        todo = {"remove": removals.count(), "add": additions.count()}
        row = replace(row, forgotten=forgotten.count())
        if self.dry_run:
            row = replace(row, removed=todo["remove"], added=todo["add"])
            samples = (*_samples("remove", removals), *_samples("add", additions))
            return Result(self._ended(row, why, HELD if held else DONE), audience.name, samples)
        tally = _Tally(last_batch=row.last_batch)
        try:
            if sum(todo.values()) or row.forgotten:
                frames = removals, additions, forgotten
                audience = self._send(target, destination, audience, frames, todo, rows, tally)
        except DeliveryError as error:
            return Result(self._ended(replace(row, **_sums(tally)), str(error)), audience.name)
        return Result(self._ended(replace(row, **_sums(tally)), why, HELD if held else DONE), audience.name)

    def _why_held(self, target: Target, row: Synced, compared: DataFrame) -> str | None:
        if target.segment is not None:
            return target.fuse.holds(row.size, self.log.sizes(target.place))
        return ORPHAN.format(segment=target.segment_id) if compared.limit(1).count() else None

    def _send(
        self, target: Target, destination: Destination, audience: Audience, frames: Sequence[DataFrame],
        todo: dict[str, int], rows: DataFrame, tally: _Tally,
    ) -> Audience:
        """Sends and records; returns the audience with its id there."""
        removals, additions, forgotten = frames
        profile, place = destination.profile.name, target.place
        before, last = ledger.newest(rows)
        noted = tally.last_batch = max(before, tally.last_batch)
        at = max(self.clock(), last + timedelta(microseconds=1)) if last else self.clock()
        stamp: dict[str, Any] = {"profile": profile, "sync_id": self.sync_id, "at": at}
        if sum(todo.values()):
            remote = destination.open(audience)
            if remote != audience.remote_id:
                audience = replace(audience, remote_id=remote)
                log.keep(self.lake, target.destination, audience, target.used_as, self.sync_id, at)
            if todo["add"]:
                on_their_way = additions.select("customer_id", F.col("noted").alias("identifiers"))
                ledger.note(self.lake, place, on_their_way, ledger.SENDING, batch=noted, **stamp)
            for batch, size in self._batches(target, destination, removals, additions, sum(todo.values()), tally):
                self.check()
                delivery = destination.send(audience, batch)
                tally.last_batch += 1
                ledger.record(self.lake, place, batch, delivery, number=tally.last_batch, **stamp)
                _count(tally, batch, delivery, size)
                _log.info("%s of %s: batch %d, %d taken, %d refused", target.segment_id, target.destination,
                          tally.last_batch, delivery.accepted, len(delivery.refused))
            try:
                destination.close(audience)
            except DeliveryError:
                ledger.doubt(self.lake, place, noted, self.sync_id)
                raise
        ledger.note(self.lake, place, forgotten, ledger.REMOVED, batch=tally.last_batch, **stamp)
        ledger.tidy(self.lake, place, self.sync_id)
        return audience

    def _batches(
        self, target: Target, destination: Destination, removals: DataFrame, additions: DataFrame, count: int,
        tally: _Tally,
    ) -> Iterator[tuple[Batch, int]]:
        """Batches with their bytes, removals first; each is made when the one before it was recorded."""
        for action, several in batched(_records(removals, additions, count), destination):
            # Here, for only now it is known whose removal was refused.
            members = tuple(one for one in several if action == "remove" or one.customer_id not in tally.stuck)
            if members:
                number = tally.last_batch + 1
                batch = Batch(key_of(target.place, number, action, members), action, members)
                yield batch, sum(map(destination.size_of, members))


def _records(removals: DataFrame, additions: DataFrame, count: int) -> Iterator[tuple[Action, Record]]:
    """All records, removals first, each by customer; one range of them is on the driver at a time."""
    both = removals.select(F.lit(0).alias("turn"), "customer_id", "identifiers").unionByName(
        additions.select(F.lit(1).alias("turn"), "customer_id", "identifiers")
    )
    order = ("turn", "customer_id")
    ranges = both.repartitionByRange(max(1, math.ceil(count / ROWS)), *order).sortWithinPartitions(*order)
    for turn, customer_id, identifiers in ranges.toLocalIterator(prefetchPartitions=False):
        yield _ACTIONS[turn], ledger.to_record(customer_id, identifiers)


def sync(
    lake: Lake, history: History, opener: Opener, *, clock: Callable[[], datetime], sync_id: str,
    destinations: Sequence[str] = (), segments: Sequence[str] = (), accept: Sequence[str] = (), dry_run: bool = False,
) -> tuple[Result, ...]:
    """Syncs every target, or those asked for, with the last published members.

    What one destination cannot do stops no other. `accept` are segments that travel although their fuse holds them.
    LockedError while another sync of the tenant runs.
    """
    run = history.published(None)
    known = log.audiences(lake)
    wanted = targets.targets(lake.settings, definitions_log.read(lake, run), known, destinations, segments)
    for name in accept:
        if name not in {target.segment_id for target in wanted}:
            raise UsageError(f"--accept {name}: no such segment is to be synced")
    work = Sync(lake, history, run, opener, clock, sync_id, log.read(lake), frozenset(accept), dry_run)
    if dry_run:
        return tuple(work.one(target, known.get(target.place)) for target in wanted)
    results = []
    with Lease(open_objects(lake.home), lake.tenant, sync_id, name="_sync.json") as lease:
        work = replace(work, log=log.read(lake), check=lease.check)
        for target in wanted:
            results.append(work.one(target, known.get(target.place)))
            log.append(lake, [results[-1].synced])
    return tuple(results)


def batched(
    records: Iterable[tuple[Action, Record]], destination: Destination
) -> Iterator[tuple[Action, tuple[Record, ...]]]:
    """Records of one action, as many as a request of the destination holds by number and by bytes.

    A record that is larger than a request goes alone, and the destination says what becomes of it.
    """
    held: list[Record] = []
    size, current = 0, None
    for action, record in records:
        own = destination.size_of(record)
        full = len(held) >= destination.limits.records or size + own > destination.limits.bytes
        if held and (full or action != current):
            yield current, tuple(held)
            held, size = [], 0
        held.append(record)
        size, current = size + own, action
    if held and current is not None:
        yield current, tuple(held)


def key_of(place: tuple[str, str], number: int, action: str, records: Sequence[Record]) -> str:
    """The key of a batch: the same for the same records as the same batch of an audience, and for no other.

    >>> one = [Record("c1", {"email": ("a",)})]
    >>> key_of(("ads", "loyal"), 1, "add", one) == key_of(("ads", "loyal"), 2, "add", one)
    False
    """
    carried = [(record.customer_id, dict(record.identifiers)) for record in records]
    text = json.dumps([*place, number, action, carried], sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _count(tally: _Tally, batch: Batch, delivery: Any, size: int) -> None:
    tally.batches += 1
    tally.bytes += size
    tally.refused += len(delivery.refused)
    if batch.action == "add":
        tally.added += delivery.accepted
    else:
        tally.removed += delivery.accepted
        tally.stuck |= {refusal.customer_id for refusal in delivery.refused}


def _sums(tally: _Tally) -> dict[str, int]:
    return {name: getattr(tally, name) for name in ("added", "removed", "refused", "batches", "bytes", "last_batch")}


def _counted(compared: DataFrame) -> dict[str, int]:
    free = F.col("member") & F.col("kept_out").isNull()
    row = compared.agg(
        F.count_if("member").alias("members"),
        *(F.count_if(F.col("member") & (F.col("kept_out") == name)).alias(name) for name in recipients.REASONS),
        F.count_if(free & F.col("new").isNull()).alias("no_identifier"),
        F.count_if(F.col("new").isNotNull()).alias("wanted"), F.count_if("same").alias("unchanged"),
    ).collect()[0]
    return row.asDict()


def _samples(action: str, frame: DataFrame) -> tuple[Sample, ...]:
    """The first few records, masked before they come to the driver."""
    hidden = F.transform_values(
        "identifiers", lambda _, values: F.transform(values, lambda one: F.concat(F.left(one, F.lit(1)), F.lit("***")))
    )
    rows = frame.orderBy("customer_id").limit(SAMPLES).select(hidden.alias("identifiers")).collect()
    return tuple(Sample(action, dict(sorted(row["identifiers"].items()))) for row in rows)
