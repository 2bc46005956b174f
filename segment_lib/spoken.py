"""The core form in words: what a value is made of, what it is compared with, and which days a window covers.

Names of operators read the same wherever a person meets them: in an explanation, in an error, in a comment of SQL text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from segment_lib import core
from segment_lib.catalogue import Type
from segment_lib.clock import Clock, Interval

Bounds = Mapping[tuple[core.Value, core.Percentile], Any]

_ROWS = {"events": "events", "orders": "orders", "lists": "list entries"}
_FUNCTIONS = {
    "sum": "sum of", "avg": "average of", "min": "smallest", "max": "greatest", "first": "first", "latest": "latest",
    "mode": "most frequent", "mode_share": "share of the most frequent", "distinct": "number of different",
}
_OF_TIMES_FUNCTIONS = {"min": "earliest", "max": "last"}
_OPERATORS = {
    "eq": "is", "in": "one of", "lt": "less than", "le": "at most", "gt": "more than", "ge": "at least",
    "contains": "contains", "starts_with": "starts with", "ends_with": "ends with", "contains_case": "contains exactly",
    "starts_with_case": "starts exactly with", "ends_with_case": "ends exactly with", "matches": "matches",
    "has_any": "has any of", "has_all": "has all of",
}
_OF_TIMES = {"lt": "before", "le": "not after", "gt": "after", "ge": "not before"}


def written(value: Any, clock: Clock) -> str:
    """A value as a person reads it: local times, no superfluous zeros, and missing as such.

    >>> from zoneinfo import ZoneInfo
    >>> clock = Clock(date(2026, 3, 31), ZoneInfo("Europe/Berlin"))
    >>> [written(value, clock) for value in (Decimal("120.0000"), None, clock.as_of, ("a", "b"))]
    ['120.00', 'missing', '2026-04-01 00:00', 'a, b']
    """
    if value is None:
        return "missing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        whole, _, places = f"{value:f}".partition(".")
        kept = places.rstrip("0")
        return f"{whole}.{kept:0<2}" if places else whole
    if isinstance(value, datetime):
        local = clock.local(value)
        return local.isoformat(" ", "minutes" if (local.second, local.microsecond) == (0, 0) else "auto")
    if isinstance(value, list | tuple):
        return ", ".join(written(part, clock) for part in value) or "none"
    return printable(str(value))


def printable(text: str) -> str:
    r"""Text without anything that a terminal would obey.

    >>> printable("a" + chr(27) + "[2Jb")
    'a\\x1b[2Jb'
    """
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def days(window: Interval, clock: Clock) -> str:
    """The days that a window covers, both included; where it begins or ends within a day, its two instants.

    >>> from zoneinfo import ZoneInfo
    >>> clock = Clock(date(2026, 3, 31), ZoneInfo("UTC"))
    >>> days(clock.days(date(2026, 3, 2), None), clock), days(Interval(), clock)
    ('2026-03-02 to 2026-03-31', 'until 2026-03-31')
    """
    start = None if window.start is None else clock.local(window.start)
    end = clock.local(window.end or clock.as_of)
    if all(moment is None or moment.time() == time() for moment in (start, end)):
        first, last = start and f"{start:%Y-%m-%d}", f"{end - timedelta(microseconds=1):%Y-%m-%d}"
    else:
        first, last = start and f"{start:%Y-%m-%d %H:%M}", f"{end:%Y-%m-%d %H:%M}"
    if first is None:
        return f"until {last}"
    return first if first == last else f"{first} to {last}"


def named(value: core.Value) -> str:
    """A value's name, short: without the filter and the window of an aggregate.

    >>> named(core.Feature("orders", "count", None, core.TRUE)), named(core.Field("customers", "country", Type.TEXT))
    ('number of orders', 'country')
    """
    if isinstance(value, core.Feature):
        if _is_visits(value):
            return "number of visits"
        if value.field is None:
            return f"number of {_ROWS[value.source]}"
        words = _OF_TIMES_FUNCTIONS if value.field.type.is_time else {}
        return f"{words.get(value.function) or _FUNCTIONS[value.function]} {named(value.field)}"
    if isinstance(value, core.Periods):
        return f"periods with {'' if value.least == 1 else f'{value.least} or more '}{_ROWS[value.source]}"
    if isinstance(value, core.Ratio):
        return f"{named(value.top)} / {named(value.bottom)}"
    if isinstance(value, core.Since):
        return f"member of {value.segment} since"
    if isinstance(value, core.Lines):
        return f"items.{value.field.name}"
    if isinstance(value, core.Field):
        return f"items.{value.name}" if value.source == "items" else value.name
    return "the formula"


def described(value: core.Value, clock: Clock) -> str:
    """A value with its filter and its window.

    >>> from zoneinfo import ZoneInfo
    >>> paid = core.Compare(core.Field("orders", "status", Type.TEXT), "eq", ("paid",))
    >>> described(core.Feature("orders", "count", None, paid), Clock(date(2026, 3, 31), ZoneInfo("UTC")))
    'number of orders where status is paid, until 2026-03-31'
    """
    if isinstance(value, core.Ratio):
        return f"({described(value.top, clock)}) / ({described(value.bottom, clock)})"
    if not isinstance(value, core.Aggregate):
        return named(value)
    rows = "" if getattr(value, "field", None) is None else f" of {_ROWS[value.source]}"
    if isinstance(value, core.Feature) and _is_visits(value):
        rows = ""
    where = "" if value.where == core.TRUE else f" where {tested(value.where, clock)}"
    return f"{named(value)}{rows}{where}, {days(value.window, clock)}"


def noun(value: core.Value, count: int) -> str | None:
    """What a whole number counts, in the right number; None for values that are no count.

    >>> noun(core.Feature("orders", "count", None, core.TRUE), 1)
    'order'
    """
    if isinstance(value, core.Periods):
        word = "such period"
    elif isinstance(value, core.Feature) and value.function in ("count", "distinct"):
        if _is_visits(value):
            word = "visit"
        elif value.field is not None:
            word = f"different value of {named(value.field)}"
            return word if count == 1 else word.replace("value", "values")
        elif value.source == "lists":
            return "list entry" if count == 1 else "list entries"
        else:
            word = _ROWS[value.source].removesuffix("s")
    else:
        return None
    return word if count == 1 else f"{word}s"


def _is_visits(value: core.Feature) -> bool:
    return value.function == "distinct" and getattr(value.field, "name", None) == "session_id"


def bound(compare: core.Compare, clock: Clock, bounds: Bounds | None = None, asked: bool = True) -> str:
    """What a comparison asks of its value, or, unless `asked`, what it asks not to be.

    Percentiles come with the value that they came to, where `bounds` has it.
    """
    operator = compare.operator
    if operator == "known":
        return "known" if asked else "missing"
    if not asked and operator in core.Compare.OPPOSITE:
        opposite = bound(replace(compare, operator=core.Compare.OPPOSITE[operator]), clock, bounds)
        # A count is never missing, and neither is a sum.
        return opposite if noun(compare.value, 1) else f"{opposite}, or missing"
    if operator.startswith("anniversary"):
        first, last = (f"{day // 100:02}-{day % 100:02}" for day in compare.literals)  # type: ignore[operator, misc]
        words = f"on {first} of any year" if first == last else f"from {first} to {last} of any year"
        return words if asked else f"not {words}"
    parts = [_operand(compare.value, part, clock, bounds) for part in compare.literals]
    if operator == "eq" or (operator == "in" and len(parts) == 1):
        return f"{'is' if asked else 'is not'} {parts[0]}"
    verb = (_OF_TIMES if compare.value.type.is_time else _OPERATORS).get(operator) or _OPERATORS[operator]
    words = f"{verb} {_listed(parts, 'and' if operator == 'has_all' else 'or')}"
    return words if asked else f"not {words}"


def _operand(value: core.Value, literal: Any, clock: Clock, bounds: Bounds | None) -> str:
    if isinstance(literal, core.Percentile):
        name = f"percentile {written(literal.percent, clock)}"
        if bounds is None or (value, literal) not in bounds:
            return name
        found = bounds[value, literal]
        return f"{name}, which nobody has" if found is None else f"{name} = {written(found, clock)}"
    if isinstance(literal, core.Value):
        return described(literal, clock)
    return written(literal, clock)


def _listed(parts: Sequence[str], word: str) -> str:
    """The parts as a choice, or all together.

    >>> _listed(["DE", "AT", "CH"], "or")
    'DE, AT or CH'
    """
    *others, last = parts
    return f"{', '.join(others)} {word} {last}" if others else last


def tested(test: core.Test, clock: Clock) -> str:
    """A test in words, the whole of it."""
    if isinstance(test, core.All | core.Any):
        word = " and " if isinstance(test, core.All) else " or "
        return f"({word.join(tested(part, clock) for part in test.args)})"
    if isinstance(test, core.Not):
        return f"not ({tested(test.arg, clock)})"
    if isinstance(test, core.Const):
        return "always" if test.truth else "never"
    if isinstance(test, core.Compare):
        name = described(test.value, clock) if isinstance(test.value, core.Aggregate) else named(test.value)
        asked = bound(test, clock)
        return f"{name} {'is known' if asked == 'known' else asked}"
    if isinstance(test, core.AnyLine):
        return "has a line" if test.where == core.TRUE else f"a line has {tested(test.where, clock)}"
    if isinstance(test, core.AnyGroup):
        group = "lines" if not test.by else "lines of one " + ", ".join(named(column) for column in test.by)
        where = "" if test.where == core.TRUE else f" where {tested(test.where, clock)}"
        return f"{group}{where} have {tested(test.having, clock)}"
    if isinstance(test, core.Member):
        return f"member of {test.segment}"
    if isinstance(test, core.Split):
        return f"bucket under {printable(test.salt)} is {test.start} to {test.end - 1}"
    if isinstance(test, core.IsCustomer):
        return "stands in customers"
    return "the sequence is found"
