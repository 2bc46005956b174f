"""The operators: one vocabulary for fields, properties, scores and aggregates."""

from __future__ import annotations

import re
from calendar import isleap
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, ClassVar

from pydantic import Discriminator, Field, Tag, model_validator

from segment_lib import core
from segment_lib.catalogue import Type
from segment_lib.clock import Interval, Step
from segment_lib.language.model import Model, Number, Scalar, StepText, Text, misplaced, quoted, tag
from segment_lib.language.regex import regex_fault
from segment_lib.language.scope import Scope

ORDERED = frozenset({"at_least", "more_than", "at_most", "less_than"})
TIMES = frozenset({"before", "after", "on", "in_last", "not_in_last", "in_next", "ago", "anniversary"})
TEXTUAL = frozenset({"contains", "not_contains", "starts_with", "ends_with", "matches"})


class Percentile(Model):
    """A bound relative to the segment's eligible customers who have the value."""

    example: ClassVar[str] = "{percentile: 90}"

    percentile: Annotated[Number, Field(ge=0, le=100)]


def _bound_tag(value: Any) -> str:
    return tag("percentile" if isinstance(value, Mapping | Percentile) else "literal")


Bound = Annotated[
    Annotated[Percentile, Tag(tag("percentile"))] | Annotated[Scalar, Tag(tag("literal"))], Discriminator(_bound_tag)
]


class Anniversary(Model):
    """Days of any year: a range of MM-DD, both ends included, or the days next or last."""

    example: ClassVar[str] = "{from: MM-DD, to: MM-DD}, {in_next: 7d} or {in_last: 7d}"

    from_: Text | None = Field(None, alias="from")
    to: Text | None = None
    in_next: StepText | None = None
    in_last: StepText | None = None

    @model_validator(mode="after")
    def _one_form(self):
        given = self.given()
        if set(given) not in ({"from", "to"}, {"in_next"}, {"in_last"}):
            raise ValueError(f"write {self.example}")
        for end in (self.from_, self.to):
            if end is not None:
                month_day(end)
        for step in (self.in_next, self.in_last):
            if step is not None and not Step.parse(step).is_calendar:
                raise ValueError(f"an anniversary is a whole day, so {step} has no meaning; write 1d or more")
        return self


def month_day(text: str) -> int:
    """``MM-DD`` as month * 100 + day.

    >>> month_day("12-02")
    1202
    """
    if re.fullmatch(r"\d\d-\d\d", text):
        try:
            day = date.fromisoformat(f"2024-{text}")
            return day.month * 100 + day.day
        except ValueError:
            pass
    raise ValueError(f"{text!r} is not a day of the year; write MM-DD, such as 12-02")


class Comparison(Model):
    """One or more operators on one value; all that are given must hold. A missing value meets none but known: false."""

    is_: Scalar | None = Field(None, alias="is")
    is_not: Scalar | None = None
    in_: tuple[Scalar, ...] | None = Field(None, alias="in", min_length=1)
    not_in: tuple[Scalar, ...] | None = Field(None, min_length=1)
    at_least: Bound | None = None
    more_than: Bound | None = None
    at_most: Bound | None = None
    less_than: Bound | None = None
    between: tuple[Scalar, Scalar] | None = None
    contains: Text | None = None
    not_contains: Text | None = None
    starts_with: Text | None = None
    ends_with: Text | None = None
    case: bool | None = None
    matches: Text | None = None
    known: bool | None = None
    before: Scalar | None = None
    after: Scalar | None = None
    on: Scalar | None = None
    in_last: StepText | None = None
    not_in_last: StepText | None = None
    in_next: StepText | None = None
    ago: tuple[StepText, StepText] | None = None
    anniversary: Anniversary | None = None
    has_any: tuple[Scalar, ...] | None = Field(None, min_length=1)
    has_all: tuple[Scalar, ...] | None = Field(None, min_length=1)

    @model_validator(mode="after")
    def _well_formed(self):
        if self.ago and Step.parse(self.ago[0]).rough_days <= Step.parse(self.ago[1]).rough_days:
            raise misplaced(f"ago runs from the farther to the nearer: write [{self.ago[1]}, {self.ago[0]}]", "ago")
        return self

    def operators(self) -> dict[str, Any]:
        """The operators that were written, with their values; without `case`."""
        aliases = {name: info.alias or name for name, info in Comparison.model_fields.items()}
        return {
            aliases[name]: getattr(self, name)
            for name in aliases if name in self.model_fields_set and name != "case"
        }

    def reduce(self, value: core.Value, scope: Scope, *, in_row: bool = False) -> core.Test:
        """The test of `value`; `in_row` when it compares a single row, where percentiles have no meaning."""
        given = self.operators()
        if not given:
            scope.fault("no operator", "add one, such as is, at_least, in_last or known")
        if self.case is not None and not given.keys() & (TEXTUAL - {"matches"}):
            scope.at("case").fault("case belongs to contains, not_contains, starts_with or ends_with")
        tests = []
        for name, operand in given.items():
            inside = scope.at(name)
            if not allowed(name, value.type):
                inside.fault(f"{name} does not fit a value of type {value.type}", _fitting(value.type))
            elif in_row and isinstance(operand, Percentile):
                inside.fault("a percentile compares a customer with others; a filter looks at one row",
                             "use it on the aggregate or on a customer field")
            else:
                tests.append(self.reduce_one(name, value, operand, inside))
        return core.all_of(*tests)

    def reduce_one(self, name: str, value: core.Value, operand: Any, scope: Scope) -> core.Test:
        """The test of one operator, which fits the value's type."""
        return _REDUCERS[name](value, operand, scope, bool(self.case))


def allowed(operator: str, kind: Type) -> bool:
    """Whether an operator has a meaning for values of type `kind`."""
    if operator == "known":
        return True
    if kind is Type.TEXTS:
        return operator in ("has_any", "has_all")
    if operator in ("is", "is_not", "in", "not_in"):
        return True
    if operator in ORDERED or operator == "between":
        return kind.is_number or kind.is_time
    if operator in TIMES:
        return kind.is_time
    return operator in TEXTUAL and kind is Type.TEXT


def _fitting(kind: Type) -> str:
    return "these do: " + ", ".join(name for name in _REDUCERS if allowed(name, kind))


# One function per operator: (value, operand, scope, case) -> test ---------------------------------------------------

Reducer = Callable[[core.Value, Any, Scope, bool], core.Test]


def _known(value: core.Value) -> core.Test:
    return core.Compare(value, "known")


def _known_and_not(value: core.Value, test: core.Test) -> core.Test:
    """The negated operators: a missing value meets neither an operator nor its negation."""
    return core.all_of(_known(value), core.negate(test))


def _is(value: core.Value, operand: Any, scope: Scope, case: bool = False) -> core.Test:
    literal = scope.literal(operand, value.type)
    if literal is None:
        return core.FALSE
    if type(literal) is date:
        return within(value, scope.clock.days(literal, literal), scope)
    return core.Compare(value, "eq", (_point(value, literal, scope),))


def _in(value: core.Value, operand: Any, scope: Scope, case: bool = False) -> core.Test:
    if value.type.is_time:
        return core.any_of(*(_is(value, item, scope.at(i)) for i, item in enumerate(operand)))
    literals = [scope.at(i).literal(item, value.type) for i, item in enumerate(operand)]
    return core.Compare(value, "in", tuple(dict.fromkeys(item for item in literals if item is not None)))


def _bound(operator: str) -> Reducer:
    """at_least and its kin; against a date they mean its local day."""

    def reduce(value: core.Value, operand: Any, scope: Scope, case: bool) -> core.Test:
        if isinstance(operand, Percentile):
            literal: Any = core.Percentile(Decimal(operand.percentile), scope.population)
        else:
            literal = scope.literal(operand, value.type)
        if literal is None:
            return core.FALSE
        if type(literal) is date:
            day = scope.clock.days(literal, literal)
            window = {
                "at_least": Interval(day.start, None), "more_than": Interval(day.end, None),
                "at_most": Interval(None, day.end), "less_than": Interval(None, day.start),
            }[operator]
            return within(value, window, scope)
        code = {"at_least": "ge", "more_than": "gt", "at_most": "le", "less_than": "lt"}[operator]
        if isinstance(literal, datetime):
            return compare_time(value, code, literal, scope)
        return core.Compare(value, code, (literal,))

    return reduce


def _between(value: core.Value, operand: Any, scope: Scope, case: bool) -> core.Test:
    low, high = (scope.at(i).literal(item, value.type) for i, item in enumerate(operand))
    if low is None or high is None:
        return core.FALSE
    start = scope.clock.start_of(low) if type(low) is date else low
    end = scope.clock.start_of(high) if type(high) is date else high
    if start > end:
        scope.fault(f"between [{operand[0]}, {operand[1]}] has the larger end first", "write the smaller first")
    return core.all_of(
        _bound("at_least")(value, operand[0], scope, case), _bound("at_most")(value, operand[1], scope, case)
    )


def _text(operator: str) -> Reducer:
    def reduce(value: core.Value, operand: str, scope: Scope, case: bool) -> core.Test:
        if not operand:
            scope.fault("empty text is contained in every value", "use known: true")
        return core.Compare(value, f"{operator}_case" if case else operator, (operand,))

    return reduce


def _matches(value: core.Value, operand: str, scope: Scope, case: bool) -> core.Test:
    problem = regex_fault(operand)
    if problem:
        message = f"{quoted(operand)} is not a regular expression: {problem}"
        scope.fault(message, "RE2 syntax, no look-around or backreference")
    return core.Compare(value, "matches", (operand,))


def _window(make: Callable[[Scope, Any], Interval]) -> Reducer:
    def reduce(value: core.Value, operand: Any, scope: Scope, case: bool) -> core.Test:
        return within(value, make(scope, operand), scope)

    return reduce


def _last(scope: Scope, step: str) -> Interval:
    return scope.clock.last(Step.parse(step))


def _next(scope: Scope, step: str) -> Interval:
    clock = scope.clock
    return Interval(clock.as_of, clock.move(clock.as_of, Step.parse(step), sign=1))


def _ago(scope: Scope, steps: tuple[str, str]) -> Interval:
    return scope.clock.between_ago(Step.parse(steps[0]), Step.parse(steps[1]))


def _anniversary(value: core.Value, operand: Anniversary, scope: Scope, case: bool) -> core.Test:
    """29 February counts as 28 February where the year that is looked at has no such day.

    For a range that is the snapshot date's year; for the days next or last it is the year their February lies in.
    """
    if operand.from_ is not None and operand.to is not None:
        first, last = month_day(operand.from_), month_day(operand.to)
        return _days_of_year(value, first, last, leap=isleap(scope.clock.snapshot_date.year))
    window = _next(scope, operand.in_next) if operand.in_next else _last(scope, operand.in_last or "")
    first_day, end_day = (scope.clock.local(instant).date().toordinal() for instant in (window.start, window.end))
    days = [date.fromordinal(day) for day in range(first_day, end_day)]
    if len(days) >= 365:
        return _known(value)
    leap = not any((day.month, day.day) == (2, 28) and not isleap(day.year) for day in days)
    first, last = (day.month * 100 + day.day for day in (days[0], days[-1]))
    return _days_of_year(value, first, last, leap)


def _days_of_year(value: core.Value, first: int, last: int, leap: bool) -> core.Test:
    if not leap:
        first, last = (228 if day == 229 else day for day in (first, last))
    return core.Compare(value, "anniversary" if leap else "anniversary_no_29_feb", (first, last))


def _lists(operator: str) -> Reducer:
    def reduce(value: core.Value, operand: Any, scope: Scope, case: bool) -> core.Test:
        literals = [scope.at(i).literal(item, value.type) for i, item in enumerate(operand)]
        return core.Compare(value, operator, tuple(item for item in literals if item is not None))

    return reduce


_REDUCERS: dict[str, Reducer] = {
    "is": _is,
    "is_not": lambda value, operand, scope, case: _known_and_not(value, _is(value, operand, scope)),
    "in": _in,
    "not_in": lambda value, operand, scope, case: _known_and_not(value, _in(value, operand, scope)),
    "at_least": _bound("at_least"),
    "more_than": _bound("more_than"),
    "at_most": _bound("at_most"),
    "less_than": _bound("less_than"),
    "between": _between,
    "contains": _text("contains"),
    "not_contains": lambda value, operand, scope, case: _known_and_not(
        value, _text("contains")(value, operand, scope, case)
    ),
    "starts_with": _text("starts_with"),
    "ends_with": _text("ends_with"),
    "matches": _matches,
    "known": lambda value, operand, scope, case: _known(value) if operand else core.negate(_known(value)),
    "before": _bound("less_than"),
    "after": _bound("more_than"),
    "on": _is,
    "in_last": _window(_last),
    "not_in_last": lambda value, operand, scope, case: _known_and_not(value, within(value, _last(scope, operand), scope)),
    "in_next": _window(_next),
    "ago": _window(_ago),
    "anniversary": _anniversary,
    "has_any": _lists("has_any"),
    "has_all": _lists("has_all"),
}


def within(value: core.Value, interval: Interval, scope: Scope) -> core.Test:
    """That a time lies in a half-open interval of instants; a date counts as its local midnight."""
    tests = []
    for code, instant in (("ge", interval.start), ("lt", interval.end)):
        if instant is not None:
            tests.append(compare_time(value, code, instant, scope))
    return core.all_of(*tests) if tests else _known(value)


def _point(value: core.Value, literal: core.Literal, scope: Scope) -> core.Literal:
    """A time that a date is compared with for equality: the day whose midnight it is, else a day that never comes."""
    if isinstance(literal, datetime) and value.type is Type.DATE:
        day = scope.clock.local(literal).date()
        return day if scope.clock.start_of(day) == literal else date.max
    return literal


def compare_time(value: core.Value, code: str, instant: datetime, scope: Scope) -> core.Test:
    """A time against an instant; a date counts as its local midnight, so this finds the first day on that side."""
    if value.type is Type.TIMESTAMP:
        return core.Compare(value, code, (instant,))
    day = scope.clock.local(instant).date()
    exact = scope.clock.start_of(day) == instant
    if code in ("ge", "lt"):
        edge = day if exact else date.fromordinal(min(day.toordinal() + 1, date.max.toordinal()))
        return core.Compare(value, code, (edge,))
    return core.Compare(value, "gt" if code == "gt" else "le", (day,))
