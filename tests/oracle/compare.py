"""The operators on one value, and filters on one row (rules 2, 3, 6, 7, 10 and 18)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal

from oracle.times import Clock, anniversary, inside, instants_of

NUMBERS = ("integer", "decimal")
TIMES = ("date", "timestamp")
TREE = ("all", "any", "none", "not")


def holds(value: object, operators: object, kind: str, clock: Clock, population: Sequence = ()) -> bool:
    """True when every operator holds for the value; anything but a mapping is short for `is`.

    A missing value fails every operator but `known: false`. `population` are the values of the segment's eligible
    customers that have one; only percentile bounds need it.
    """
    if not isinstance(operators, Mapping):
        operators = {"is": operators}
    exact_case = operators.get("case", False)
    wanted = {name: argument for name, argument in operators.items() if name != "case"}
    if not wanted:
        raise ValueError("a comparison without an operator")
    return all(_one(value, name, argument, kind, clock, population, exact_case) for name, argument in wanted.items())


def _one(value, name, argument, kind, clock, population, exact_case) -> bool:
    if name == "known":
        return (value is not None) == argument
    if value is None:
        return False
    if name in ("contains", "not_contains", "starts_with", "ends_with", "matches"):
        return _text(value, name, argument, exact_case)
    if name == "has_any":
        return any(wanted in value for wanted in argument)
    if name == "has_all":
        return all(wanted in value for wanted in argument)
    if name == "anniversary":
        return anniversary(value, argument, clock)
    value = comparable(value, kind, clock)
    if name in ("in_last", "not_in_last", "in_next", "ago"):
        return _relative(value, name, argument, clock)
    if name in ("in", "not_in"):
        found = any(first <= value <= last for first, last in (meaning(item, kind, clock) for item in argument))
        return found == (name == "in")
    if name == "between":
        low, high = argument
        return meaning(low, kind, clock)[0] <= value <= meaning(high, kind, clock)[1]
    if isinstance(argument, Mapping):
        argument = percentile(population, argument["percentile"])
        if argument is None:
            return False
    first, last = meaning(argument, kind, clock)
    if name in ("is", "on"):
        return first <= value <= last
    if name == "is_not":
        return not first <= value <= last
    if name == "at_least":
        return value >= first
    if name in ("more_than", "after"):
        return value > last
    if name == "at_most":
        return value <= last
    if name in ("less_than", "before"):
        return value < first
    raise ValueError(f"unknown operator: {name}")


def _text(value: str, name: str, argument: str, exact_case: bool) -> bool:
    if name == "matches":
        return re.search(argument, value) is not None
    if not exact_case:
        value, argument = value.lower(), argument.lower()
    if name == "starts_with":
        return value.startswith(argument)
    if name == "ends_with":
        return value.endswith(argument)
    return (argument in value) == (name == "contains")


def _relative(moment: datetime, name: str, argument: object, clock: Clock) -> bool:
    if name == "in_next":
        return inside(moment, (clock.as_of, clock.ahead(argument)))
    if name == "ago":
        farther, nearer = argument
        return inside(moment, (clock.back(farther), clock.back(nearer)))
    return inside(moment, (clock.back(argument), clock.as_of)) == (name == "in_last")


def comparable(value: object, kind: str, clock: Clock) -> object:
    """The value as it is compared: numbers as decimals, a date as its local midnight."""
    if kind in NUMBERS:
        return Decimal(value)
    if kind == "date":
        return clock.start_of(value)
    return value


def meaning(literal: object, kind: str, clock: Clock) -> tuple:
    """The first and the last value that a literal means: equal, except for a date, which is its whole local day.

    Literals are typed by the field: "0.30" and 0.3 for a number are the decimals that are written.
    """
    if kind in TIMES and isinstance(literal, str | date):
        return instants_of(literal, clock)
    if kind in NUMBERS and isinstance(literal, str | int | float | Decimal) and not isinstance(literal, bool):
        number = Decimal(str(literal))
        return number, number
    if kind == "text" and isinstance(literal, str) or kind == "boolean" and isinstance(literal, bool):
        return literal, literal
    raise ValueError(f"{literal!r} is no {kind}")


def percentile(population: Sequence, percent: object) -> object | None:
    """The smallest value such that at least that many percent are at or below it; None of nothing.

    >>> percentile([10, 20, 30, 40], 50), percentile([10, 20, 30, 40], 51)
    (20, 30)
    """
    values = sorted(population)
    share = Decimal(str(percent))
    for value in values:
        if 100 * sum(other <= value for other in values) >= share * len(values):
            return value
    return None


def row_matches(row: Mapping, condition: Mapping | None, kinds: Mapping[str, str], clock: Clock) -> bool:
    """True when one row meets a `where`: a mapping whose entries all hold, or a boolean node over such mappings."""
    if condition is None:
        return True
    if not condition:
        raise ValueError("an empty filter")
    key = next(iter(condition))
    if key in TREE:
        if len(condition) > 1:
            raise ValueError("a boolean node next to other entries")
        return combine(key, condition[key], lambda part: row_matches(row, part, kinds, clock))
    return all(holds(row.get(name), wanted, kinds[name], clock) for name, wanted in condition.items())


def combine(key: str, parts: object, test) -> bool:
    """A boolean node over its parts; `not` is the exact complement of its one part."""
    if key == "not":
        return not test(parts)
    if not parts:
        raise ValueError(f"an empty list under {key}")
    results = [test(part) for part in parts]
    if key == "all":
        return all(results)
    return any(results) == (key == "any")
