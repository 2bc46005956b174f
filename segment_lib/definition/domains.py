"""Which values are left when several comparisons of one value must hold at once. No Spark, no data.

What is said here errs on one side only: `left` answers None only when no value can meet all of the comparisons,
whatever the data. A comparison that it does not understand is taken to exclude nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from segment_lib import core
from segment_lib.catalogue import Type
from segment_lib.tables import INPUTS

#: A comparison of the value at hand: operator, literals, and whether it must hold or must not.
Constraint = tuple[str, tuple[Any, ...], bool]

_OPPOSITE = core.Compare.OPPOSITE
#: The operators that are understood here.
UNDERSTOOD = frozenset({
    "known", "eq", "in", "lt", "le", "gt", "ge", "contains", "starts_with", "ends_with", "contains_case",
    "starts_with_case", "ends_with_case", "matches", "anniversary", "anniversary_no_29_feb", "has_any", "has_all",
})
_DAYS = frozenset(
    month * 100 + day for month, last in enumerate((31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31), 1)
    for day in range(1, last + 1)
)
#: Blank text counts as missing, so no value ever equals it.
_BLANK = " \t\n\r\v\f\u00a0"


@dataclass(frozen=True)
class Left:
    """What is left of a value: whether it must be there, and the bounds of what it then is (None: no bound).

    Dates are bounded by their ordinal numbers.
    """

    known: bool
    low: Any = None
    high: Any = None
    low_open: bool = False
    high_open: bool = False

    @property
    def is_not_zero(self) -> bool:
        """Whether a number cannot be 0."""
        above = self.low is not None and (self.low > 0 or self.low == 0 and self.low_open)
        return above or (self.high is not None and (self.high < 0 or self.high == 0 and self.high_open))


def may_be_missing(value: core.Value) -> bool:
    """Whether a value can be missing: counts and sums of nothing are 0, and required columns of rows are always there.

    A visitor without a profile lacks every customer field.
    """
    if isinstance(value, core.Aggregate):
        return not value.never_missing
    if isinstance(value, core.Field) and value.source in INPUTS and value.source != "customers":
        return value.name not in INPUTS[value.source].required
    if isinstance(value, core.Lines):
        return value.function != "sum"
    return True


def left(value: core.Value, constraints: Sequence[Constraint]) -> Left | None:
    """What is left of `value`, or None when nothing can meet all of `constraints`.

    A missing value meets every comparison that must not hold, and none that must.

    >>> points = core.Field("customers", "points", Type.INTEGER)
    >>> left(points, [("gt", (1,), True), ("lt", (2,), True)]) is None
    True
    >>> left(points, [("ge", (5,), False), ("lt", (5,), False)])
    Left(known=False, low=None, high=None, low_open=False, high_open=False)
    """
    if may_be_missing(value) and not any(positive for _, _, positive in constraints):
        return Left(False)
    if ("known", (), False) in constraints:
        return None
    kind = value.type
    if kind.is_number or kind.is_time:
        return _ordered(value, constraints)
    checks = {Type.TEXT: _text, Type.BOOLEAN: _boolean, Type.TEXTS: _list}
    return Left(True) if kind not in checks or checks[kind](value, constraints) else None


# Numbers and times ---------------------------------------------------------------------------------------------------


def _ordered(value: core.Value, constraints: Sequence[Constraint]) -> Left | None:
    bounds = _Bounds(whole=value.type in (Type.INTEGER, Type.DATE))
    for operator, number in _span(value):
        bounds.narrow(operator, number)
    ranks: list[tuple[str, Decimal, core.Test]] = []
    days = _DAYS
    for operator, literals, positive in constraints:
        if operator in _OPPOSITE and isinstance(literals[0], core.Percentile):
            percentile = literals[0]
            ranks.append((operator if positive else _OPPOSITE[operator], percentile.percent, percentile.population))
        elif operator.startswith("anniversary"):
            met = _days_between(*literals, leap=operator == "anniversary")
            days = days & met if positive else days - met
        elif operator in ("eq", "in"):
            bounds.among([point(literal, value.type) for literal in literals], positive)
        elif operator in _OPPOSITE and (edge := point(literals[0], value.type)) is not None:
            bounds.narrow(operator if positive else _OPPOSITE[operator], edge)
    if not days or _ranks_clash(ranks):
        return None
    if value.type is Type.DATE and days != _DAYS:
        bounds.keep(lambda ordinal: _day_of_year(date.fromordinal(ordinal)) in days)
    return bounds.left()


def point(literal: Any, kind: Type) -> Any:
    """A literal as it is ordered among values of type `kind`; None when it is not a plain one."""
    if kind.is_number:
        return literal if isinstance(literal, int | Decimal) and not isinstance(literal, bool) else None
    if kind is Type.TIMESTAMP:
        return literal if isinstance(literal, datetime) else None
    return literal.toordinal() if type(literal) is date else None


def _span(value: core.Value) -> tuple[tuple[str, int], ...]:
    """The bounds that a value has by itself."""
    if isinstance(value, core.Periods):
        return ("ge", 0), ("le", len(value.edges))
    if isinstance(value, core.Feature) and value.function in ("count", "distinct"):
        return (("ge", 0),)
    return (("ge", 0), ("le", 1)) if isinstance(value, core.Feature) and value.function == "mode_share" else ()


class _Bounds:
    """An interval, the few values that are allowed when there are only few, and those that are not."""

    def __init__(self, whole: bool) -> None:
        self.whole = whole
        self.low: Any = None
        self.high: Any = None
        self.low_open = self.high_open = False
        self.allowed: set[Any] | None = None
        self.excluded: set[Any] = set()

    def narrow(self, operator: str, edge: Any) -> None:
        """Keeps what lies on one side of `edge`."""
        open_ = operator in ("gt", "lt") and not self.whole
        if self.whole:
            edge = {
                "ge": math.ceil(edge), "gt": math.floor(edge) + 1, "le": math.floor(edge), "lt": math.ceil(edge) - 1,
            }[operator]
        if operator in ("ge", "gt"):
            if self.low is None or edge > self.low or (edge == self.low and open_):
                self.low, self.low_open = edge, open_
        elif self.high is None or edge < self.high or (edge == self.high and open_):
            self.high, self.high_open = edge, open_

    def among(self, points: list[Any], positive: bool) -> None:
        """Keeps, or leaves out, a few values; one that is not plain may be any value."""
        if not positive:
            self.excluded |= {edge for edge in points if edge is not None}
        elif None not in points:
            self.allowed = set(points) if self.allowed is None else self.allowed & set(points)

    def keep(self, test: Callable[[Any], bool]) -> None:
        """Keeps the values that meet `test`, when there are so few that each can be looked at."""
        if self.allowed is None and self.whole and None not in (self.low, self.high) and self.high - self.low < 366:
            self.allowed = set(range(self.low, self.high + 1))
        if self.allowed is not None:
            self.allowed = {edge for edge in self.allowed if test(edge)}

    def _inside(self, edge: Any) -> bool:
        if self.low is not None and (edge < self.low or edge == self.low and self.low_open):
            return False
        if self.high is not None and (edge > self.high or edge == self.high and self.high_open):
            return False
        return edge not in self.excluded and (not self.whole or edge == math.floor(edge))

    def left(self) -> Left | None:
        """What is left; None when that is nothing."""
        if self.allowed is not None:
            kept = sorted(filter(self._inside, self.allowed))
            return Left(True, kept[0], kept[-1]) if kept else None
        if self.whole:
            while self.low is not None and self.low in self.excluded:
                self.low += 1
            while self.high is not None and self.high in self.excluded:
                self.high -= 1
        if self.low is not None and self.high is not None:
            if self.low > self.high or self.low == self.high and not self._inside(self.low):
                return None
        return Left(True, self.low, self.high, self.low_open, self.high_open)


def _ranks_clash(ranks: Iterable[tuple[str, Decimal, core.Test]]) -> bool:
    """Whether bounds by percentiles exclude each other: a higher one is never the smaller value, but may be equal.

    No value of the population lies below its percentile 0 or above its percentile 100.
    """
    by_population: dict[core.Test, list[tuple[str, Decimal]]] = {}
    for operator, percent, population in ranks:
        everyone = [("ge", Decimal(0)), ("le", Decimal(100))]
        by_population.setdefault(population, everyone).append((operator, percent))
    return any(
        low in ("ge", "gt") and high in ("le", "lt") and "t" in low[1] + high[1] and least >= most
        for found in by_population.values() for low, least in found for high, most in found
    )


def _days_between(first: int, last: int, leap: bool) -> frozenset[int]:
    """The days of the year in a range, both ends included; without `leap` 29 February is where the 28th is."""
    def inside(day: int) -> bool:
        day = 228 if day == 229 and not leap else day
        return first <= day <= last if first <= last else day >= first or day <= last

    return frozenset(filter(inside, _DAYS))


def _day_of_year(day: date) -> int:
    return day.month * 100 + day.day


# Text, booleans, lists -----------------------------------------------------------------------------------------------


def _boolean(value: core.Value, constraints: Sequence[Constraint]) -> bool:
    allowed = {True, False}
    for operator, literals, positive in constraints:
        if operator in ("eq", "in") and all(isinstance(literal, bool) for literal in literals):
            allowed = allowed & set(literals) if positive else allowed - set(literals)
    return bool(allowed)


def _text(value: core.Value, constraints: Sequence[Constraint]) -> bool:
    allowed: set[str] | None = None
    excluded: set[str] = set()
    pieces: list[tuple[str, str, bool]] = []
    for operator, literals, positive in constraints:
        if not all(isinstance(literal, str) for literal in literals):
            continue
        if operator not in ("eq", "in"):
            pieces.extend((operator, literal, positive) for literal in literals)
        elif positive:
            allowed = set(literals) if allowed is None else allowed & set(literals)
        else:
            excluded |= set(literals)
    if allowed is None:
        return not _pieces_clash(pieces)
    of_table = not (isinstance(value, core.Field) and value.source not in (*INPUTS, "items"))
    return any(
        text not in excluded and not (of_table and not text.strip(_BLANK))
        and all(_holds(operator, text, piece) is not (not positive) for operator, piece, positive in pieces)
        for text in allowed
    )


def _holds(operator: str, text: str, piece: str) -> bool | None:
    """Whether a text meets an operator; None where lower case or a pattern might be read differently elsewhere."""
    if not operator.endswith("_case"):
        if not (text.isascii() and piece.isascii()):
            return None
        if operator == "matches":
            import re2

            return re2.search(piece, text) is not None
        text, piece = text.lower(), piece.lower()
    kind = operator.removesuffix("_case")
    if kind == "contains":
        return piece in text
    return text.startswith(piece) if kind == "starts_with" else text.endswith(piece) if kind == "ends_with" else None


def _pieces_clash(pieces: Sequence[tuple[str, str, bool]]) -> bool:
    """Whether no text meets all operators: one excludes another, or implies one that must not hold."""
    return any(
        (_exclude if positive else _implies)(one, text, other, part)
        for one, text, must in pieces if must
        for other, part, positive in pieces
    )


def _implies(one: str, text: str, other: str, part: str) -> bool:
    """Whether a text that meets the first operator always meets the second."""
    if (one, text) == (other, part):
        return True
    compared = _comparable(one, text, other, part)
    if compared is None or (other.endswith("_case") and not one.endswith("_case")):
        return False
    kind, wanted = one.removesuffix("_case"), other.removesuffix("_case")
    return wanted in ("contains", kind) and _holds(f"{wanted}_case", *compared) is True


def _exclude(one: str, text: str, other: str, part: str) -> bool:
    """Whether no text begins, or ends, with both."""
    kind = one.removesuffix("_case")
    compared = _comparable(one, text, other, part)
    if compared is None or kind != other.removesuffix("_case") or kind == "contains":
        return False
    return not (_holds(f"{kind}_case", *compared) or _holds(f"{kind}_case", *reversed(compared)))


def _comparable(one: str, text: str, other: str, part: str) -> tuple[str, str] | None:
    """The two pieces, in lower case unless both operators mind the case; None when they cannot be compared safely."""
    if "matches" in (one, other):
        return None
    if one.endswith("_case") and other.endswith("_case"):
        return text, part
    return (text.lower(), part.lower()) if text.isascii() and part.isascii() else None


def _list(value: core.Value, constraints: Sequence[Constraint]) -> bool:
    must: set[str] = set()
    forbidden: set[str] = set()
    some: list[set[str]] = []
    not_all: list[set[str]] = []
    for operator, literals, positive in constraints:
        if operator == "has_all" and positive:
            must |= set(literals)
        elif operator == "has_any" and not positive:
            forbidden |= set(literals)
        elif operator in ("has_any", "has_all"):
            (some if positive else not_all).append(set(literals))
    return not (
        must & forbidden or any(wanted <= forbidden for wanted in some) or any(wanted <= must for wanted in not_all)
    )
