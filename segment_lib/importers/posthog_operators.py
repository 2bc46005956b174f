"""PostHog's operators on one property, with its rule of missing values: every negative operator includes them."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime
from typing import Any

from segment_lib.catalogue import Type
from segment_lib.clock import Step
from segment_lib.importers.build import EVER, Test, either, negated, one
from segment_lib.importers.constructs import Constructs
from segment_lib.importers.document import Spot
from segment_lib.importers.names import Column, literal, literals

OPERATORS = Constructs()
OPERATORS.refuses({
    **{
        f"semver_{name}": "versions cannot be compared here; make a field of their number"
        for name in ("eq", "neq", "gt", "gte", "lt", "lte", "tilde", "caret", "wildcard")
    },
    "is_cleaned_path_exact": "the project's rules for cleaning paths are not in the document",
})
_RELATIVE = re.compile(r"-?([0-9]{1,6})([hdwmMqy])")
_UNITS = {"h": "h", "d": "d", "w": "w", "m": "mo", "M": "min", "y": "y"}


def compared(spot: Spot, column: Column) -> Test:
    """The test of a condition with `operator` and `value`; without an operator, equality."""
    handler = OPERATORS.find(spot.text("operator", "exact"), spot.get("operator"), "operator")
    return handler(spot.get("value"), column) if handler else one(known=True)


def relative_step(text: str) -> Step | None:
    """The length of ``-30d``; m is a month, M a minute, q 13 weeks. None for anything else.

    >>> relative_step("-30d"), relative_step("2q"), relative_step("2026-01-01")
    (Step(number=30, unit='d'), Step(number=26, unit='w'), None)
    """
    found = _RELATIVE.fullmatch(text)
    if not found or not int(found[1]):
        return None
    number = int(found[1])
    return Step(number * 13, "w") if found[2] == "q" else Step(number, _UNITS[found[2]])


Handler = Callable[[Spot, Column], Test]


def _equal(value: Spot, column: Column) -> Test:
    wanted = literals(value, column)
    return one(is_=wanted[0]) if len(wanted) == 1 else one(in_=wanted)


def _any_text(operator: str) -> Handler:
    def handler(value: Spot, column: Column) -> Test:
        wanted = [str(text) for text in literals(value, Column(column.name, Type.TEXT))]
        if operator == "contains" and any(set(text) & set("%_") for text in wanted):
            value.note("PostHog reads % and _ in a contained text as wildcards; here they are themselves")
        return either([one(**{operator: text}) for text in wanted or [""]])

    return handler


def _bound(operator: str) -> Handler:
    return lambda value, column: one(**{operator: literal(value, column)})


def _not(handler: Handler) -> Handler:
    """A negative operator: everyone else, the missing included."""
    return lambda value, column: negated(handler(value, column))


for _names, _handler in {
    ("exact", "in"): _equal, ("is_not", "not_in"): _not(_equal),
    ("icontains", "icontains_multi"): _any_text("contains"),
    ("not_icontains", "not_icontains_multi"): _not(_any_text("contains")),
    ("regex",): _any_text("matches"), ("not_regex",): _not(_any_text("matches")),
    ("gt",): _bound("more_than"), ("gte", "min"): _bound("at_least"),
    ("lt",): _bound("less_than"), ("lte", "max"): _bound("at_most"),
}.items():
    OPERATORS.translates(*_names)(_handler)


def _pair(value: Spot, column: Column) -> list[Any]:
    ends = literals(value, column) if isinstance(value.value, list) else []
    if len(ends) != 2:
        value.refuse("a range has two different numbers")
        return [0, 1]
    return ends


@OPERATORS.translates("between")
def _between(value: Spot, column: Column) -> Test:
    return one(between=_pair(value, column))


@OPERATORS.translates("not_between")
def _outside(value: Spot, column: Column) -> Test:
    """Below or above the range; unlike the other negations it does not include the missing."""
    low, high = _pair(value, column)
    return either([one(less_than=low), one(more_than=high)])


@OPERATORS.translates("is_set")
def _is_set(value: Spot, column: Column) -> Test:
    value.note("blank text counts as missing here; in PostHog it may count as set")
    return one(known=True)


@OPERATORS.translates("is_not_set")
def _is_not_set(value: Spot, column: Column) -> Test:
    value.note("blank text counts as missing here; in PostHog it may count as set")
    return one(known=False)


def _moment(value: Spot, column: Column) -> str:
    """A date or a date-time as it is written, checked."""
    text = literal(value, Column(column.name, Type.TEXT))
    try:
        if len(text) == 10:
            return date.fromisoformat(text).isoformat()
        datetime.fromisoformat(text)
    except ValueError:
        value.refuse("a date such as 2026-03-29, or a length of time such as -30d, is needed here")
        return "2000-01-01"
    return text.replace(" ", "T")


@OPERATORS.translates("is_date_exact")
def _on(value: Spot, column: Column) -> Test:
    moment = _moment(value, column)
    if len(moment) > 10:
        return one(is_=moment)
    if not column.is_date:
        value.note("PostHog compares with the first instant of the day; here any time of that day is meant")
    return one(on=moment)


@OPERATORS.translates("is_date_before")
def _before(value: Spot, column: Column) -> Test:
    step = relative_step(str(value.value))
    if step:
        return one(ago=[EVER, str(step)])
    moment = _moment(value, column)
    return one(before=moment) if len(moment) == 10 else one(less_than=moment)


@OPERATORS.translates("is_date_after")
def _after(value: Spot, column: Column) -> Test:
    """After the first instant of a date, so most of that day counts; after a length of time ago, the future too."""
    step = relative_step(str(value.value))
    if step:
        return either([one(in_last=str(step)), one(in_next=EVER)])
    moment = _moment(value, column)
    return one(more_than=moment if len(moment) > 10 else f"{moment}T00:00")
