"""`sql` conditions, evaluated by SQLite: another engine, another parser, the same standard."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal

from oracle.times import Clock


def formula_holds(text: str, values: Mapping[str, object], clock: Clock) -> bool:
    """True when the formula is true over the values by name; null is false.

    Numbers are doubles there; dates are their text, and `DATE '...'` must be written as text alone.
    """
    database = sqlite3.connect(":memory:")
    database.execute("PRAGMA case_sensitive_like = ON")
    for name, place in (("year", slice(0, 4)), ("month", slice(5, 7)), ("day", slice(8, 10))):
        database.create_function(name, 1, lambda day, place=place: None if day is None else int(day[place]))
    for name, function in (("lower", str.lower), ("upper", str.upper)):
        database.create_function(name, 1, lambda text, function=function: None if text is None else function(text))
    columns = ", ".join(f'? AS "{name}"' for name in values)
    row = [_plain(value, clock) for value in values.values()]
    try:
        return database.execute(f"SELECT ({text}) IS TRUE FROM (SELECT {columns})", row).fetchone()[0] == 1
    finally:
        database.close()


def _plain(value: object, clock: Clock) -> object:
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, int | Decimal):
        return float(value)
    if isinstance(value, datetime):
        return clock.local_date(value).isoformat()
    return value.isoformat() if isinstance(value, date) else None
