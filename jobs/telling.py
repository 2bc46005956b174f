"""Around the jobs that run dates: whoever conf names is told how it ended, whatever way it does end.

A message that cannot be sent is logged and recorded, and changes neither the run nor its exit code. Another run that
holds the tenant is not told of, for that run tells of itself; nor is a person who interrupts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING

from jobs.runner import Job, now
from segment_lib import logs
from segment_lib.errors import EXIT_FAILED, LockedError, SeglakeError

if TYPE_CHECKING:
    from segment_lib.nightly import RunOutcome
    from segment_lib.notify.delivery import Delivery
    from segment_lib.notify.message import Message
    from segment_lib.notify.summary import Summary
    from segment_lib.notify_settings import NotifyEntry
    from segment_lib.settings import Settings
    from segment_lib.storage import Lake

_log = logs.logger("notify")


@dataclass
class Telling:
    """What a job has ended so far, until it is told. `ended` is what `nightly` is given."""

    job: Job
    settings: Settings
    days: Sequence[date]
    _ends: list[RunOutcome] = field(default_factory=list)
    _told: bool = False

    def ended(self, outcome: RunOutcome) -> None:
        """Takes note of a date that ended."""
        self._ends.append(outcome)

    @contextmanager
    def within(self, lake: Lake) -> Iterator[None]:
        """Tells at the end of the block, while the lake is still open to record it."""
        try:
            yield
        except Exception as error:
            self.tell(error, lake)
            raise
        self.tell(None, lake)

    def tell(self, error: Exception | None, lake: Lake | None = None) -> None:
        """Tells once how it ended; nothing that goes wrong here is raised."""
        if self._told or isinstance(error, LockedError) or (error is None and not self._ends):
            return
        self._told = True
        try:
            self._tell(error, lake)
        except Exception as fault:
            _log.warning("nobody could be told how the run ended: %s", type(fault).__name__, exc_info=self.job.debug)

    def _tell(self, error: Exception | None, lake: Lake | None) -> None:
        if not self.settings.notify:
            return
        from segment_lib.notify import delivery, summary
        from segment_lib.notify.message import render

        said = summary.summarize(
            self.settings.tenant, self._ends, days=self.days or [self.job.snapshot_date(None, self.settings)],
            error=None if error is None else summary.text_of(error),
            exit_code=getattr(error, "exit_code", EXIT_FAILED),
        )
        entries = delivery.wanted(self.settings.notify, said.outcome)
        if entries:
            with self.job.step("notify"):
                send(self.job, said, entries, render(said), lake)


@contextmanager
def telling(job: Job, settings: Settings, days: Sequence[date]) -> Iterator[Telling]:
    """Tells at the end of the block, also of what failed before a lake was open.

    `days` are the dates that were asked for; none stands for the date that is run by default.
    """
    night = Telling(job, settings, days)
    try:
        yield night
    except Exception as error:
        night.tell(error)
        raise
    night.tell(None)


def send(
    job: Job, said: Summary, entries: dict[str, NotifyEntry], message: Message, lake: Lake | None
) -> tuple[Delivery, ...]:
    """Sends a message to entries of conf, logs what became of each, and records it where a lake is open."""
    from segment_lib.notify import delivery

    deliveries = delivery.send(entries, message, job.environ, now)
    for one in deliveries:
        if one.sent:
            _log.info("%s was told by %s: %s", one.entry, one.channel, said.outcome.value)
        else:
            _log.warning("%s could not be told by %s: %s", one.entry, one.channel, one.reason)
    if lake is not None:
        from segment_lib.notify.record import record

        try:
            record(lake, said, deliveries, now())
        except SeglakeError as error:
            _log.warning("what became of the messages is not recorded: %s", error)
    return deliveries
