"""What the worked cases of the oracle share: nights, rows at local times, and the members of one condition."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from oracle import Data, members
from strategies import CATALOGUE, event, order

BERLIN, NEW_YORK, SANTIAGO = map(ZoneInfo, ("Europe/Berlin", "America/New_York", "America/Santiago"))
DAY = date(2026, 6, 30)


def at(text: str) -> datetime:
    """A local time of Berlin as an instant; one that ends in Z is UTC."""
    if text.endswith("Z"):
        return datetime.fromisoformat(text)
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN).astimezone(UTC)


def found(where: dict, data: Data, day: date = DAY, zone: ZoneInfo = BERLIN, previous=None, **segment) -> str:
    """The members of one segment with that condition, sorted, as one text."""
    definitions = {"tested": {"name": "Tested", "where": where} | segment}
    return " ".join(sorted(members(definitions, data, day, zone, CATALOGUE, previous)["tested"]))


def page(id: str, local: str, **values) -> dict:
    """A page view of a customer at a local time of Berlin."""
    return event(customer_id=id, occurred_at=at(local), **values)


def bought(id: str, local: str = "2026-06-15 12:00", **values) -> dict:
    """An order of a customer at a local time of Berlin."""
    return order(customer_id=id, ordered_at=at(local), **values)
