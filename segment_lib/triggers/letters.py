"""The message to one customer on one occasion, and how it is written."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from segment_lib.sync.contract import Record


@dataclass(frozen=True, kw_only=True)
class Letter(Record):
    """A record of the action `message`, with its occasion; `key` is that of the batch it was in before a crash."""

    day: date
    due_at: datetime
    key: str | None = field(default=None, repr=False)


def letter_id(tenant: str, trigger: str, customer_id: str, day: date) -> str:
    """What tells a message from all others, however often it is sent."""
    text = "\x1f".join((tenant, trigger, customer_id, day.isoformat()))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def values_of(row: Mapping[str, Any], zone: ZoneInfo) -> dict[str, Any]:
    """Collected values as templates see them: instants are local times of the tenant's zone.

    >>> values_of({"created_at": datetime(2026, 1, 1, 23, tzinfo=UTC), "city": None}, ZoneInfo("Europe/Berlin"))
    {'created_at': datetime.datetime(2026, 1, 2, 0, 0), 'city': None}
    """
    return {
        name: value.astimezone(UTC).astimezone(zone).replace(tzinfo=None) if isinstance(value, datetime) else value
        for name, value in row.items()
    }
