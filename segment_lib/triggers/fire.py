"""Firing: new occasions are queued, and messages that are due are sent to whom they may be sent to.

A message is noted as on its way before it is sent, and as sent after, batch by batch. One that was on its way when a
process died is sent again, with the same ids and, unless somebody has to be left out since, in the same batch under the
same key. Consent, suppression, holdouts, addresses and merges are those of the moment of sending.

Cost: the changes of the new nights, the rows of the trigger's queue, and for who is due one join with the members and
one with the customers. The driver holds one range of who is due, and one batch.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from pyspark.sql import Column, DataFrame, Row
from pyspark.sql import functions as F

from segment_lib import definitions_log, logs, recipients
from segment_lib.clock import Clock, Step
from segment_lib.definition import Segment
from segment_lib.definitions_log import DefinitionState
from segment_lib.errors import UsageError, nearest
from segment_lib.lease import Lease
from segment_lib.objects import open_objects
from segment_lib.on_disk import kept
from segment_lib.personal import personal_fields
from segment_lib.sync import ledger
from segment_lib.sync.contract import Audience, Batch, DeliveryError, Destination
from segment_lib.sync.sync import ROWS, SAMPLES, Opener, batched
from segment_lib.triggers import log, occasions, queue
from segment_lib.triggers.letters import Letter, letter_id, values_of
from segment_lib.triggers.log import DONE, FAILED, HELD, Fired
from segment_lib.triggers.template import RenderError, render

if TYPE_CHECKING:
    from segment_lib.definitions_log import Definition
    from segment_lib.runs import History, RunRecord
    from segment_lib.storage import Lake
    from segment_lib.trigger_settings import TriggerEntry

#: Why a message that is due is not sent, beside the reasons of `recipients`.
TOO_LATE, NO_LONGER, NO_IDENTIFIER = "too_late", "no_longer", "no_identifier"
_FIELDS = "_fields"
_log = logs.logger("triggers")


@dataclass(frozen=True)
class Sample:
    """A message that would be sent; personal values are masked down to their first letter."""

    identifiers: dict[str, list[str]]
    message: dict[str, str]


@dataclass(frozen=True)
class Result:
    """What became of a trigger, and in a dry run what would be sent."""

    fired: Fired
    samples: tuple[Sample, ...] = ()


@dataclass
class _Tally:
    """What a trigger has sent so far."""

    sent: int = 0
    refused: int = 0
    batches: int = 0
    bytes: int = 0
    #: Why it stopped before the end.
    stopped: str | None = None
    seen: dict[str, int] = field(default_factory=dict)


@dataclass
class _Ticks:
    """Times for rows of the queue: each later than the one before and than all that the queue has."""

    clock: Callable[[], datetime]
    last: datetime | None

    def next(self) -> datetime:
        now = self.clock()
        self.last = now if self.last is None or now > self.last else self.last + timedelta(microseconds=1)
        return self.last


@dataclass(frozen=True)
class Firing:
    """What all triggers of one look share.

    `clock` tells the time, `check` raises when another process took over; `accept` are triggers that may queue more
    than their `at_most`, `skip` those whose new occasions are passed over.
    """

    lake: Lake
    history: History
    run: RunRecord
    listed: dict[str, Definition]
    open: Opener
    clock: Callable[[], datetime]
    fire_id: str
    accept: frozenset[str] = frozenset()
    skip: frozenset[str] = frozenset()
    dry_run: bool = False
    check: Callable[[], None] = lambda: None

    def one(self, name: str, trigger: TriggerEntry) -> Result:
        """Queues and sends for one trigger; what its destination cannot do is told in the result."""
        now = self.clock()
        row = Fired(self.fire_id, name, trigger.segment, trigger.destination, now, now, None, DONE)
        there = self.listed.get(trigger.segment)
        if there is None or not there.definition or there.state is DefinitionState.DELETED:
            hint = nearest(trigger.segment, self.listed)
            why = f"no segment {trigger.segment!r} is published" + (f"; {hint}" if hint else "")
            return Result(self._ended(replace(row, state=FAILED, reason=why)))
        with ExitStack() as disks:
            return self._fired(name, trigger, Segment.from_json(there.definition), row, disks)

    def _fired(self, name: str, trigger: TriggerEntry, segment: Segment, row: Fired, disks: ExitStack) -> Result:
        rows = queue.of(self.lake, name, trigger.segment)
        mark, last = queue.newest(rows)
        ticks = _Ticks(self.clock, last)
        writer = queue.Writer(self.lake, name, trigger.segment, self.fire_id)
        row = replace(row, snapshot_date=mark)
        found = occasions.since(self.lake, self.history, trigger, mark)
        reasons = []
        if found is not None:
            new = kept(disks, found.rows)
            row, why = self._counted(name, trigger, found, new, row)
            reasons += [why] if why else []
            if row.state != HELD:
                if not self.dry_run:
                    writer.handled(found.until, new if row.queued else None, ticks.next())
                waiting = new.where(F.lit(row.queued > 0)).select(
                    "*", F.lit(trigger.segment).alias("segment_id"), F.lit(queue.WAITING).alias("state"),
                    F.lit(self.clock()).alias("at"),
                )
                rows = rows.unionByName(waiting, allowMissingColumns=True)
        queued = queue.last_rows(self.lake, rows)
        open_ = kept(disks, queued.where(queue.is_open()))
        due = open_.where((F.col("due_at") <= F.lit(row.started_at)) | (F.col("state") == queue.SENDING))
        row = replace(row, waiting=open_.count(), due=due.count())
        tally, samples = _Tally(), ()
        if row.due:
            row, samples = self._sent(name, trigger, segment, (due, queued), row, writer, ticks, tally, disks)
            reasons += [tally.stopped] if tally.stopped else []
        if not self.dry_run and (tally.batches or queue.names_erased(self.lake, name)):
            queue.tidy(self.lake, name, self.fire_id)
        row = replace(row, reason="; ".join(reasons) or None, **_sums(tally))
        return Result(self._ended(row), samples)

    def _counted(
        self, name: str, trigger: TriggerEntry, found: occasions.Occasions, new: DataFrame, row: Fired
    ) -> tuple[Fired, str | None]:
        """The row with how many occasions are queued, and what there is to be told of them."""
        count = new.count()
        passed = None
        if found.passed:
            days = ", ".join(map(str, found.passed))
            passed = f"published too late to count: {days}"
        if name in self.skip:
            return replace(row, snapshot_date=found.until), f"{count} new occasions were passed over"
        if count > trigger.at_most and name not in self.accept:
            why = (
                f"{count} new occasions are more than its at_most of {trigger.at_most}; look at --dry-run, then "
                f"--accept {name} queues them, --skip {name} passes over them"
            )
            return replace(row, state=HELD), why
        accepted = count > trigger.at_most
        return replace(row, queued=count, snapshot_date=found.until, accepted=accepted), passed

    def _ended(self, row: Fired) -> Fired:
        now = self.clock()
        return replace(row, ended_at=now, seconds=(now - row.started_at).total_seconds())

    # -- who is due

    def _judged(
        self, trigger: TriggerEntry, segment: Segment, due: DataFrame, queued: DataFrame, destination: Destination,
        now: datetime,
    ) -> DataFrame:
        """(customer_id, occasion, why, end, identifiers, _fields): `end` is the state it ends in unsent, NULL to send."""
        settings = self.lake.settings
        occasion = F.struct("snapshot_date", "due_at", "state", "key").alias("occasion")
        void = self._void(trigger, now)
        rows = due.select("customer_id", occasion)
        members = recipients.members(self.lake, self.history, self.run, trigger.segment).select("customer_id", "since")
        rows = rows.join(members, "customer_id", "left")
        if trigger.on == "leave":
            newest = queued.groupBy("customer_id").agg(F.max("snapshot_date").alias("newest"))
            rows = rows.join(newest, "customer_id", "left")
        rows = rows.select("customer_id", "occasion", void.alias("void"))
        entry = settings.destinations[trigger.destination]
        consent = None if entry.consent == "none" else entry.consent
        rules = recipients.Rules(segment.holdout, consent, settings.suppression)
        there = settings.names().customers()
        columns = [name for name in destination.profile.columns if name in there]
        fields = sorted({*columns, *trigger.fields} - {"customer_id"})
        judged = recipients.judged(self.lake, rows, rules, fields).select(
            "customer_id", F.when(F.col("void").isNull(), F.col("kept_out")).alias("kept_out"), "occasion", "void",
            F.struct("customer_id", *(f"`{name}`" for name in trigger.fields if name != "customer_id")).alias(_FIELDS),
            *(F.col(f"`{name}`") for name in columns if name != "customer_id"),
        )
        made = ledger.with_identifiers(judged, destination.profile, ["occasion", "void", _FIELDS])
        nobody = F.when(F.size("identifiers") <= 0, F.lit(NO_IDENTIFIER))
        end = F.when(F.col("void").isNotNull(), F.lit(queue.VOID)).otherwise(
            F.when(F.coalesce("kept_out", nobody).isNotNull(), F.lit(queue.KEPT_OUT))
        )
        return made.select(
            "customer_id", "occasion", F.coalesce("void", "kept_out", nobody).alias("why"), end.alias("end"),
            "identifiers", _FIELDS,
        )

    def _void(self, trigger: TriggerEntry, now: datetime) -> Column:
        """Why a message is no longer to be sent at all, NULL when it is."""
        day = F.col("occasion.snapshot_date")
        zone = Clock(self.run.snapshot_date, self.lake.settings.zone)
        late = F.when(F.col("occasion.due_at") < F.lit(zone.move(now, Step.parse(trigger.within))), F.lit(TOO_LATE))
        if not trigger.if_still:
            return late
        if trigger.on == "leave":
            still = F.col("since").isNull() & (F.col("newest") == day)
        else:
            still = F.col("since").isNotNull() & (F.col("since") <= day)
        return F.coalesce(late, F.when(~still, F.lit(NO_LONGER)))

    # -- sending

    def _sent(
        self, name: str, trigger: TriggerEntry, segment: Segment, frames: tuple[DataFrame, DataFrame], row: Fired,
        writer: queue.Writer, ticks: _Ticks, tally: _Tally, disks: ExitStack,
    ) -> tuple[Fired, tuple[Sample, ...]]:
        """Ends what is void or kept out, and sends the rest; the tally has what was sent, also when it fails."""
        try:
            destination = self.open(trigger.destination, self.lake.settings.destinations[trigger.destination])
        except DeliveryError as error:
            tally.stopped = str(error)
            return replace(row, state=FAILED), ()
        judged = kept(disks, self._judged(trigger, segment, *frames, destination, row.started_at))
        counts = {(one["end"], one["why"]): one["count"] for one in judged.groupBy("end", "why").count().collect()}
        reasons = (*recipients.REASONS, NO_IDENTIFIER)
        out = {why: counts.get((queue.KEPT_OUT, why), 0) for why in reasons if why != "priority"}
        void = sum(count for (end, _), count in counts.items() if end == queue.VOID)
        free, ending = counts.get((None, None), 0), void + sum(out.values())
        row = replace(row, void=void, waiting=row.waiting - ending, **out)
        ready = judged.where(F.col("end").isNull())
        if self.dry_run:
            tally.stopped = self._quiet(trigger)
            return row, self._samples(trigger, segment, ready)
        if ending:
            ended = judged.where(F.col("end").isNotNull()).select(
                "customer_id", "occasion.snapshot_date", "occasion.due_at", F.col("end").alias("state"),
                F.col("why").alias("reason"),
            )
            writer.ended(ended, ticks.next())
        try:
            self._send(name, trigger, segment, destination, _ordered(ready, free), writer, ticks, tally)
        except DeliveryError as error:
            tally.stopped = str(error)
            row = replace(row, state=FAILED)
        return replace(row, waiting=row.waiting - tally.sent - tally.refused), ()

    def _send(
        self, name: str, trigger: TriggerEntry, segment: Segment, destination: Destination, rows: Iterator[Row],
        writer: queue.Writer, ticks: _Ticks, tally: _Tally,
    ) -> None:
        tally.stopped = self._quiet(trigger)
        if tally.stopped:
            return
        audience = Audience(trigger.segment, name)
        audience = replace(audience, remote_id=destination.open(audience))
        unwritten: list[Letter] = []
        letters = self._letters(name, trigger, segment, rows, unwritten)
        for key, several in batched(((letter.key or "", letter) for letter in letters), destination):
            tally.stopped = self._quiet(trigger)
            if tally.stopped:
                break
            self.check()
            batch = Batch(_key(name, key, several, tally), "message", several)
            writer.sending(several, batch.key, ticks.next())
            delivery = destination.send(audience, batch)
            writer.delivered(several, delivery, batch.key, ticks.next())
            tally.batches += 1
            tally.bytes += sum(map(destination.size_of, several))
            tally.sent += delivery.accepted
            tally.refused += len(delivery.refused)
            _log.info("%s by %s: %d taken, %d refused", name, trigger.destination, delivery.accepted,
                      len(delivery.refused))
        destination.close(audience)
        if unwritten:
            writer.refused(unwritten, "template", ticks.next())
            tally.refused += len(unwritten)

    def _letters(
        self, name: str, trigger: TriggerEntry, segment: Segment, rows: Iterator[Row], unwritten: list[Letter]
    ) -> Iterator[Letter]:
        """The letters of rows, in their order; those whose template does not fit are put aside."""
        for row in rows:
            occasion, day = row["occasion"], row["occasion"]["snapshot_date"]
            record = ledger.to_record(row["customer_id"], row["identifiers"])
            letter = Letter(
                record.customer_id, record.identifiers, id=letter_id(self.lake.tenant, name, row["customer_id"], day),
                day=day, due_at=occasion["due_at"].astimezone(UTC), key=occasion["key"],
            )
            try:
                yield replace(letter, properties=self._written(trigger, segment, row))
            except RenderError:
                unwritten.append(letter)

    def _written(self, trigger: TriggerEntry, segment: Segment, row: Row) -> dict[str, str]:
        given = {"day": row["occasion"]["snapshot_date"], "segment": segment.title}
        return render(trigger.message, values_of(row[_FIELDS].asDict(), self.lake.settings.zone) | given)

    def _quiet(self, trigger: TriggerEntry) -> str | None:
        """That nothing is sent at this hour, and until when; None when something may be."""
        local = Clock(self.run.snapshot_date, self.lake.settings.zone).local(self.clock())
        if trigger.quiet is None or not trigger.quiet.holds(local):
            return None
        return f"quiet until {trigger.quiet.end}"

    def _samples(self, trigger: TriggerEntry, segment: Segment, ready: DataFrame) -> tuple[Sample, ...]:
        """The first few messages, masked before they come to the driver."""
        personal = personal_fields(self.lake.settings) | {"customer_id"}
        masked = []
        for one in ready.schema[_FIELDS].dataType:
            value = F.col(f"{_FIELDS}.`{one.name}`")
            if one.name in personal:
                value = _hidden(value.cast("string")) if one.dataType.typeName() == "string" else F.lit(None)
            masked.append(value.alias(one.name))
        identifiers = F.transform_values("identifiers", lambda _, values: F.transform(values, _hidden))
        rows = ready.orderBy("occasion.snapshot_date", "customer_id").limit(SAMPLES).select(
            "occasion", identifiers.alias("identifiers"), F.struct(*masked).alias(_FIELDS)
        )
        samples = []
        for row in rows.collect():
            try:
                message = self._written(trigger, segment, row)
            except RenderError as error:
                message = {"": f"cannot be written: {error}"}
            samples.append(Sample(dict(sorted(row["identifiers"].items())), message))
        return tuple(samples)


def fire(
    lake: Lake, history: History, opener: Opener, *, clock: Callable[[], datetime], fire_id: str,
    triggers: Sequence[str] = (), accept: Sequence[str] = (), skip: Sequence[str] = (), dry_run: bool = False,
) -> tuple[Result, ...]:
    """Looks at every trigger of conf, or at those asked for: queues what has happened, sends what is due.

    What one trigger cannot do stops no other. LockedError while triggers of the tenant are looked at elsewhere.
    """
    known = lake.settings.triggers
    for name in (*triggers, *accept, *skip):
        if name not in known:
            raise UsageError(f"conf has no trigger {name!r}; {nearest(name, known)}".rstrip("; "))
    run = history.published(None)
    listed = dict(definitions_log.read(lake, run))
    work = Firing(
        lake, history, run, listed, opener, clock, fire_id, frozenset(accept), frozenset(skip), dry_run
    )
    wanted = {name: trigger for name, trigger in known.items() if not triggers or name in triggers}
    if dry_run:
        return tuple(work.one(name, trigger) for name, trigger in wanted.items())
    results: list[Result] = []
    with Lease(open_objects(lake.home), lake.tenant, fire_id, name="_triggers.json") as lease:
        work = replace(work, check=lease.check)
        try:
            for name, trigger in wanted.items():
                results.append(work.one(name, trigger))
        finally:
            log.append(lake, [result.fired for result in results], fire_id)
    return tuple(results)


def _ordered(ready: DataFrame, count: int) -> Iterator[Row]:
    """Who is to be written to, interrupted batches first; one range of them is on the driver at a time."""
    order = (F.col("occasion.key").asc_nulls_last(), "occasion.snapshot_date", "customer_id")
    ranges = ready.repartitionByRange(max(1, math.ceil(count / ROWS)), *order).sortWithinPartitions(*order)
    return ranges.toLocalIterator(prefetchPartitions=False)


def _key(name: str, interrupted: str, letters: Sequence[Letter], tally: _Tally) -> str:
    """The key of a batch: that of the batch that was interrupted, or one of the messages in it."""
    if interrupted:
        tally.seen[interrupted] = again = tally.seen.get(interrupted, 0) + 1
        # What no longer fits into one batch, as a name has become longer, is another batch.
        return interrupted if again == 1 else hashlib.sha256(f"{interrupted}:{again}".encode()).hexdigest()
    return hashlib.sha256("\x1f".join((name, *(str(letter.id) for letter in letters))).encode()).hexdigest()


def _hidden(value: Column) -> Column:
    return F.concat(F.left(value, F.lit(1)), F.lit("***"))


def _sums(tally: _Tally) -> dict[str, Any]:
    return {name: getattr(tally, name) for name in ("sent", "refused", "batches", "bytes")}
