"""Which rows of a person a condition takes, and what it makes of them (rules 1, 4 and 8)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal, localcontext

from oracle.compare import holds, row_matches
from oracle.people import TIME, Person
from oracle.times import Clock, inside, window

ROW_ID = {"events": "event_id", "orders": "order_id"}
AGGREGATES = ("count", "sum", "avg", "min", "max", "distinct", "latest", "first", "mode")
VERBS = ("did", "did_not", "visits", "first_did", "stopped", "restarted", "regularly")


@dataclass(frozen=True)
class Night:
    """What every condition of a night shares: the clock and the catalogue of names and types."""

    clock: Clock
    catalogue: Mapping


def quotient(top: Decimal, bottom: Decimal) -> Decimal:
    """The ratio as a decimal of 8 places, half up.

    >>> quotient(Decimal(2), Decimal(3))
    Decimal('0.66666667')
    """
    with localcontext() as context:
        context.prec = 100
        return (Decimal(top) / Decimal(bottom)).quantize(Decimal("0.00000001"), rounding=ROUND_HALF_UP)


@dataclass(frozen=True)
class Named:
    """The rows that a condition names: a table, the types or statuses, and every filter on one row."""

    table: str
    types: object
    wheres: tuple[Mapping, ...]
    items: Mapping | None


def named(condition: Mapping) -> Named:
    """What a condition, a verb or a step takes: `did: X`, `ordered: X`, or a verb over either."""
    verb = next((key for key in VERBS if key in condition), "ordered")
    if verb not in condition:
        raise ValueError(f"no rows are named by {sorted(condition)}")
    types, parts = condition[verb], [condition]
    orders = verb == "ordered"
    if isinstance(types, Mapping) and "ordered" in types:
        parts.append(types)
        types, orders = types["ordered"], True
    return Named(
        table="orders" if orders else "events",
        types=types,
        wheres=tuple(part["where"] for part in parts if "where" in part),
        items=next((part["items"] for part in parts if "items" in part), None),
    )


def ever(person: Person, condition: Mapping, night: Night) -> list[dict]:
    """The person's rows that the condition names, whenever they happened before as_of, in order of time.

    Ties in time: the greater id is the later.
    """
    wanted = named(condition)
    kinds = night.catalogue[wanted.table]
    rows = [
        row for row in getattr(person, wanted.table)
        if _is_named(row, wanted, night)
        and all(row_matches(row, where, kinds, night.clock) for where in wanted.wheres)
        and (wanted.items is None or matching_lines(row, wanted.items, night))
    ]
    return sorted(rows, key=lambda row: (row[TIME[wanted.table]], row[ROW_ID[wanted.table]]))


def select(person: Person, condition: Mapping, night: Night) -> list[dict]:
    """The same rows, as far as they lie in the condition's window."""
    bounds = window(condition.get("within"), night.clock)
    time = TIME[named(condition).table]
    return [row for row in ever(person, condition, night) if inside(row[time], bounds)]


def _is_named(row: dict, wanted: Named, night: Night) -> bool:
    if wanted.types == "any":
        return True
    types = wanted.types if isinstance(wanted.types, list) else [wanted.types]
    if wanted.table == "orders":
        statuses = night.catalogue["purchase_statuses"] if wanted.types == "purchases" else types
        return row["status"] in statuses
    return any(_is_entry(row, entry, night) for entry in types)


def _is_entry(event: dict, entry: object, night: Night) -> bool:
    """True for an event of the entry's type; an entry may bring its own filter."""
    if isinstance(entry, Mapping):
        own = row_matches(event, entry.get("where"), night.catalogue["events"], night.clock)
        return own and event["event_type"] == entry["type"]
    return event["event_type"] == entry


def matching_lines(order: dict, items: Mapping, night: Night) -> list[dict]:
    """The lines that make the order count; none means that it does not.

    Plain filters must hold within one line. With `sum` the lines left after them are added, per value of `same` if
    that is given; then all lines of the groups that reach the sum match. No lines left means not met, even by
    `sum: {at_most: 0}`; a missing quantity adds nothing; a missing `same` belongs to no group.
    """
    kinds, clock = night.catalogue["items"], night.clock
    same = items.get("same", [])
    same = [same] if isinstance(same, str) else same
    sums = {name: wanted["sum"] for name, wanted in items.items() if isinstance(wanted, Mapping) and "sum" in wanted}
    if any(len(items[name]) > 1 for name in sums):
        raise ValueError("a sum next to a plain filter of the same field")
    plain = {name: wanted for name, wanted in items.items() if name != "same" and name not in sums}
    lines = [line for line in order.get("items") or [] if row_matches(line, plain or None, kinds, clock)]
    if not same and not sums:
        return lines
    groups: dict[tuple, list[dict]] = {}
    for line in lines:
        group = tuple(line.get(name) for name in same)
        if None not in group:
            groups.setdefault(group, []).append(line)
    reached = [
        group for group in groups.values()
        if all(
            holds(sum(line[name] for line in group if line.get(name) is not None), wanted, kinds[name], clock)
            for name, wanted in sums.items()
        )
    ]
    return [line for group in reached for line in group]


def aggregate_of(condition: Mapping) -> tuple[str, object]:
    """The aggregate of a condition and its settings; left out, it is a count of at least one."""
    found = [name for name in AGGREGATES if name in condition]
    if len(found) > 1:
        raise ValueError("more than one aggregate")
    if found:
        return found[0], condition[found[0]]
    return "count", {"at_most": 0} if "did_not" in condition else {"at_least": 1}


def kind_of(condition: Mapping, night: Night) -> str:
    """The type of what the condition's aggregate gives."""
    name, settings = aggregate_of(condition)
    if name in ("count", "distinct"):
        return "integer"
    if name in ("sum", "avg"):
        return "decimal"
    return _source(condition, field_of(settings), night)[2]


def field_of(settings: object) -> str:
    """The aggregated field: `{of: amount, ...}` or, in a value, just its name."""
    return settings["of"] if isinstance(settings, Mapping) else settings


def _source(condition: Mapping, field: str, night: Night) -> tuple[str, str, str]:
    """The table, the column and the type of an aggregated field; `items.X` is a column of the order's lines."""
    table = named(condition).table
    if table == "orders" and field.startswith("items."):
        column = field.removeprefix("items.")
        return "items", column, night.catalogue["items"][column]
    return table, field, night.catalogue[table][field]


def aggregate(person: Person, condition: Mapping, night: Night) -> object | None:
    """The condition's aggregate over the person's rows; None when it is missing."""
    rows = select(person, condition, night)
    if "visits" in condition:
        return len({row["session_id"] for row in rows if row.get("session_id") is not None})
    name, settings = aggregate_of(condition)
    if name == "count":
        return len(rows)
    values = _values(rows, condition, field_of(settings), night)
    if name in ("first", "latest"):
        if not rows:
            return None
        table, column, _ = _source(condition, field_of(settings), night)
        if table == "items":
            raise ValueError(f"{name} of an order line")
        return rows[0 if name == "first" else -1].get(column)
    if name == "sum":
        return sum(values, Decimal(0))
    if name == "distinct":
        return len(set(values))
    if not values:
        return None
    if name == "avg":
        return quotient(sum(values, Decimal(0)), Decimal(len(values)))
    if name == "mode":
        return mode(values)[0]
    return min(values) if name == "min" else max(values)


def share_of_mode(person: Person, condition: Mapping, night: Night) -> Decimal | None:
    """How much of the rows that have a value the mode makes up, as a decimal of 8 places; None of nothing."""
    values = _values(select(person, condition, night), condition, condition["mode"]["of"], night)
    return quotient(Decimal(mode(values)[1]), Decimal(len(values))) if values else None


def mode(values: list) -> tuple[object, int]:
    """The most frequent value, the smallest of several, and how often it occurs.

    >>> mode(["b", "a", "b", "a", "c"])
    ('a', 2)
    """
    best = min(set(values), key=lambda value: (-values.count(value), value))
    return best, values.count(best)


def _values(rows: list[dict], condition: Mapping, field: str, night: Night) -> list:
    """The values that are there, of the rows or of the matching lines of the orders."""
    table, column, _ = _source(condition, field, night)
    if table == "items":
        items = named(condition).items
        rows = [
            line for order in rows
            for line in (matching_lines(order, items, night) if items else order.get("items") or [])
        ]
    return [row[column] for row in rows if row.get(column) is not None]
