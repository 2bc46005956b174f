"""What a sync hands to a destination, and what comes back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from segment_lib.errors import SeglakeError

if TYPE_CHECKING:
    from segment_lib.sync.profiles import HashProfile


class DeliveryError(SeglakeError):
    """A destination that gave up: its message says what and why, without personal data and without secrets."""


@dataclass(frozen=True)
class Limits:
    """What one request of a destination may hold, and how many it takes; None where it says nothing.

    `records` and `bytes` are per request, `per_second` (the burst) and `per_minute` (the steady rate) are requests.
    """

    records: int
    bytes: int
    per_second: float | None = None
    per_minute: float | None = None


@dataclass(frozen=True)
class Audience:
    """One segment at one destination: its outside name, and its id there once that is known."""

    segment_id: str
    name: str
    remote_id: str | None = None


@dataclass(frozen=True)
class Record:
    """One person to add, to remove or to tell something.

    `identifiers` are values by kind ("email", "phone", "external_id", "device_id", ...), normalised and hashed by the
    profile. The customer's id is never sent unless they contain it.
    """

    customer_id: str = field(repr=False)
    identifiers: Mapping[str, tuple[str, ...]] = field(repr=False)
    properties: Mapping[str, str | float | bool | None] = field(default_factory=dict, repr=False)
    #: What tells a message from all others, the same after a crash; None for a change of an audience.
    id: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Batch:
    """Records of one action; the same change has the same key after a crash, so it can serve as idempotency key.

    The action `message` changes no audience: each record's properties are to be told to it.
    """

    key: str
    action: Literal["add", "remove", "message"]
    records: tuple[Record, ...]


@dataclass(frozen=True)
class Refusal:
    """A record that the platform did not take; the reason is a code without personal data."""

    customer_id: str = field(repr=False)
    reason: str


@dataclass(frozen=True)
class Delivery:
    """What became of a batch; `remote_batch` is the platform's id of the job or session.

    `unsent` are the customers of messages that did not go and are to be sent again later.
    """

    accepted: int
    refused: tuple[Refusal, ...] = ()
    remote_batch: str | None = None
    unsent: tuple[str, ...] = field(default=(), repr=False)


class Destination(Protocol):
    """A platform that holds audiences, or that takes messages."""

    profile: HashProfile
    limits: Limits

    def size_of(self, record: Record) -> int:
        """The bytes of a record in the body of a request."""

    def open(self, audience: Audience) -> str:
        """Creates or finds the audience and returns its id there; doing it again changes nothing."""

    def send(self, audience: Audience, batch: Batch) -> Delivery:
        """Sends one batch, with retries inside; DeliveryError when it gives up."""

    def close(self, audience: Audience) -> None:
        """Ends the session, and waits for jobs where the platform has them."""
