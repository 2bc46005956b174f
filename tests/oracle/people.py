"""The data of a test and the people in it (rules 3, 5, 9 and 16)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

BLANK = " \t\n\r\v\f\u00a0"
REQUIRED = {
    "events": ("event_id", "customer_id", "event_type", "occurred_at"),
    "orders": ("order_id", "customer_id", "ordered_at", "status", "revenue"),
    "lists": ("list_id", "customer_id"),
}
TIME = {"events": "occurred_at", "orders": "ordered_at", "lists": "joined_at"}


@dataclass(frozen=True)
class Data:
    """The input tables as lists of rows; a column that a row lacks is missing.

    Times are aware UTC datetimes, money is Decimal, `items` of an order is a list of lines or None.
    `erased` holds customer ids as they were recorded.
    """

    customers: list[dict] = field(default_factory=list)
    events: list[dict] = field(default_factory=list)
    orders: list[dict] = field(default_factory=list)
    lists: list[dict] = field(default_factory=list)
    aliases: list[dict] = field(default_factory=list)
    erased: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Person:
    """One evaluated customer with all rows that conditions may see."""

    id: str
    anonymous: bool
    fields: dict
    events: list[dict]
    orders: list[dict]
    lists: list[dict]


def gather(data: Data, as_of: datetime) -> dict[str, Person]:
    """Everyone who is evaluated, by id.

    Customers, plus ids seen in events or orders before as_of that customers lacks; a list creates nobody.
    Left out: customers created at or after as_of (they are not anonymous either) and rows of erased ids. An erasure
    names an id as recorded: it takes the rows of that id, and if it is a canonical id those of its aliases too.
    The customers row of an alias is not used: attributes are those of the canonical row, so a canonical id without
    one is anonymous. A merge holds for every date, whatever its `merged_at` says.
    """
    profiles = {
        row["customer_id"]: row
        for row in map(_clean, data.customers)
        if row["customer_id"] == canonical(row["customer_id"], data) and row["customer_id"] not in data.erased
    }
    not_yet = {id for id, row in profiles.items() if row.get("created_at") and row["created_at"] >= as_of}
    seen = {table: _seen(getattr(data, table), table, data, as_of) for table in TIME}
    active = {row["customer_id"] for table in ("events", "orders") for row in seen[table]}
    return {
        id: Person(
            id=id, anonymous=id not in profiles, fields=profiles.get(id, {}),
            **{table: [row for row in rows if row["customer_id"] == id] for table, rows in seen.items()},
        )
        for id in (set(profiles) | active) - not_yet
    }


def canonical(id: str, data: Data) -> str:
    """The id that an id's rows count for; chains are followed to their end."""
    target = {row["customer_id"]: row["canonical_id"] for row in data.aliases}
    passed = {id}
    while id in target:
        id = target[id]
        if id in passed:
            raise ValueError("aliases form a cycle")
        passed.add(id)
    return id


def _seen(rows: list[dict], table: str, data: Data, as_of: datetime) -> list[dict]:
    """The usable rows before as_of under their canonical id; a list row without a time is seen."""
    seen = []
    for row in map(_clean, rows):
        if any(row.get(column) is None for column in REQUIRED[table]):
            continue
        owner = canonical(row["customer_id"], data)
        if row["customer_id"] in data.erased or owner in data.erased:
            continue
        if row.get(TIME[table]) is None or row[TIME[table]] < as_of:
            seen.append(row | {"customer_id": owner})
    return seen


def _clean(row: dict) -> dict:
    """The row with blank text as missing, in its lines too."""
    clean = {name: None if isinstance(value, str) and not value.strip(BLANK) else value for name, value in row.items()}
    if clean.get("items") is not None:
        clean["items"] = [_clean(line) for line in clean["items"]]
    return clean
