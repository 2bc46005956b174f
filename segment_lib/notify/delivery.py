"""Sends a message to every entry of conf that wants it, and says what became of each. Nothing is raised.

Entries are sent side by side, each in a thread with a deadline: a server that never answers, or answers a byte at a
time, holds a job no longer than that.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from segment_lib.notify import mail, webhook
from segment_lib.notify.attempt import NotSent
from segment_lib.notify.message import Message
from segment_lib.notify_settings import NotifyEntry, Outcome

#: Seconds between the first two attempts; each further pause is twice as long, up to the longest.
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 16.0


@dataclass(frozen=True)
class Delivery:
    """What became of one entry's message. `reason` is why it was not sent, and holds no secret."""

    entry: str
    channel: str
    sent: bool
    attempts: int
    reason: str = ""


def wanted(entries: Mapping[str, NotifyEntry], outcome: Outcome) -> dict[str, NotifyEntry]:
    """The entries that are to be told of an outcome."""
    return {name: entry for name, entry in entries.items() if outcome in entry.on}


def send(
    entries: Mapping[str, NotifyEntry], message: Message, environ: Mapping[str, str], now: Callable[[], datetime]
) -> tuple[Delivery, ...]:
    """Sends the message to all entries and waits for the last, at most as long as its attempts may take."""
    message_id = f"{now().astimezone(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(8)}"
    found: dict[str, Delivery] = {}

    def work(name: str, entry: NotifyEntry) -> None:
        found[name] = _sent(name, entry, message, f"{message_id}.{name}", environ, now)

    threads = {
        name: threading.Thread(target=work, args=(name, entry), name=f"notify {name}", daemon=True)
        for name, entry in entries.items()
    }
    began = time.monotonic()
    for thread in threads.values():
        thread.start()
    for name, thread in threads.items():
        thread.join(max(0.0, began + deadline(entries[name]) - time.monotonic()))
    return tuple(
        found.get(name) or Delivery(
            name, _channel(entry), False, entry.attempts, f"no end within {deadline(entry):g} s; it may arrive later"
        )
        for name, entry in entries.items()
    )


def deadline(entry: NotifyEntry) -> float:
    """Seconds after which nobody waits for an entry any more: every attempt and pause at its longest, and one more.

    >>> from segment_lib.notify_settings import WebhookSection
    >>> deadline(NotifyEntry(webhook=WebhookSection(url="https://example.com"), timeout_seconds=5, attempts=3))
    23.0
    """
    pauses = sum(min(FIRST_PAUSE * 2**number, LONGEST_PAUSE) for number in range(entry.attempts - 1))
    return entry.timeout_seconds * (entry.attempts + 1) + pauses


def _channel(entry: NotifyEntry) -> str:
    return "email" if entry.email else "webhook"


def _sent(
    name: str, entry: NotifyEntry, message: Message, message_id: str, environ: Mapping[str, str],
    now: Callable[[], datetime],
) -> Delivery:
    from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential

    tries = Retrying(
        stop=stop_after_attempt(entry.attempts), wait=wait_exponential(multiplier=FIRST_PAUSE, max=LONGEST_PAUSE),
        retry=retry_if_exception(lambda error: isinstance(error, NotSent) and error.temporary), reraise=True,
    )
    reason = ""
    try:
        for attempt in tries:
            with attempt:
                if entry.email:
                    mail.send(entry.email, message, message_id, now(), entry.timeout_seconds, environ)
                elif entry.webhook:
                    webhook.send(entry.webhook, message, message_id, now(), entry.timeout_seconds, environ)
    except NotSent as error:
        reason = error.reason
    except Exception as error:  # its text may hold an address or a secret
        reason = f"an unexpected error, {type(error).__name__}"
    return Delivery(name, _channel(entry), not reason, tries.statistics.get("attempt_number", 0), reason)
