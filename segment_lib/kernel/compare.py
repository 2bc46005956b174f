"""Comparisons of keys with literals: True where they hold, False elsewhere and where the value is missing."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import reduce
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from segment_lib import core
from segment_lib.catalogue import Type
from segment_lib.kernel.keys import Keys

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_DAY = date(1970, 1, 1)
_TICK = timedelta(microseconds=1)
_QUARTER, _DAY = 900_000_000, 86_400_000_000
_WHOLE = (int, Decimal)
#: The literals that a type is compared with here.
_LITERALS: dict[Type, tuple[type, ...]] = {
    Type.TEXT: (str,), Type.INTEGER: _WHOLE, Type.DECIMAL: _WHOLE, Type.BOOLEAN: (bool,), Type.DATE: (date,),
    Type.TIMESTAMP: (datetime,), Type.TEXTS: (str,),
}


def is_comparable(value: core.Value, test: core.Compare) -> bool:
    """Whether `holds` can do a comparison of a value of this type."""
    kinds = _LITERALS[value.type]
    operators = _OPERATORS.get(value.type, _NUMBER)
    if test.operator.startswith("anniversary"):
        return value.type in (Type.DATE, Type.TIMESTAMP)
    if test.operator != "known" and test.operator not in operators:
        return False
    return all(
        isinstance(literal, kinds) and isinstance(literal, bool) == (value.type is Type.BOOLEAN)
        and isinstance(literal, datetime) == (value.type is Type.TIMESTAMP)
        for literal in test.literals
    )


def holds(keys: Keys, test: core.Compare) -> np.ndarray:
    """Where the comparison holds.

    >>> amounts = Keys(np.array([5000, 10000, 0]), Type.DECIMAL, np.array([False, False, True]), places=4)
    >>> holds(amounts, core.Compare(core.Field("orders", "revenue", Type.DECIMAL), "ge", (Decimal("0.5"),))).tolist()
    [True, True, False]
    """
    if keys.texts is not None:
        if test.operator == "known":
            return keys.values < len(keys.texts)
        of_texts = np.asarray(_OPERATORS[keys.kind][test.operator](keys, test.literals))
        return np.append(of_texts, False)[keys.values]
    if test.operator == "known":
        found = np.ones(len(keys.values), bool)
    elif test.operator.startswith("anniversary"):
        first, last, *zone = test.literals
        days = local_days(keys.values, ZoneInfo(zone[0])) if zone else keys.values
        found = _anniversary(days, first, last, leap=test.operator == "anniversary")
    else:
        found = _NUMBER[test.operator](keys.values, [_scaled(literal, keys) for literal in test.literals])
    return found if keys.missing is None else found & ~keys.missing


def _scaled(literal: core.Literal, keys: Keys) -> Fraction:
    """A literal in the unit of the keys; it may lie between two of them."""
    if isinstance(literal, datetime):
        return Fraction((literal - _EPOCH) // _TICK)
    if isinstance(literal, date):
        return Fraction((literal - _FIRST_DAY).days)
    assert isinstance(literal, int | Decimal)
    return Fraction(literal) * 10**keys.places


def _floor(bound: Fraction) -> int:
    return bound.numerator // bound.denominator


def _equal(values: np.ndarray, bound: Fraction) -> np.ndarray:
    return values == int(bound) if bound.denominator == 1 else np.zeros(len(values), bool)


#: (values, literals in their unit); a literal between two values is rounded to the side that asks the same.
_NUMBER: dict[str, Callable[[np.ndarray, Sequence[Fraction]], np.ndarray]] = {
    "eq": lambda values, bounds: _equal(values, bounds[0]),
    "in": lambda values, bounds: reduce(operator.or_, (_equal(values, bound) for bound in bounds)),
    "lt": lambda values, bounds: values < -_floor(-bounds[0]),
    "le": lambda values, bounds: values <= _floor(bounds[0]),
    "gt": lambda values, bounds: values > _floor(bounds[0]),
    "ge": lambda values, bounds: values >= -_floor(-bounds[0]),
}


def _part(find: Callable[..., pa.BooleanArray], case: bool) -> Callable[[Keys, Sequence[Any]], pa.BooleanArray]:
    def found(keys: Keys, literals: Sequence[str]) -> pa.BooleanArray:
        (literal,) = literals
        texts, pattern = (keys.texts, literal) if case else (keys.lowered, literal.lower())
        return find(texts, pattern=pattern).fill_null(False)

    return found


def in_zone(test: core.Compare, zone: ZoneInfo) -> core.Compare:
    """The form in which `holds` takes an anniversary of instants: the zone that their day is meant in is a third literal."""
    if test.operator.startswith("anniversary") and test.value.type is Type.TIMESTAMP:
        return replace(test, literals=(*test.literals, zone.key))
    return test


def local_days(instants: np.ndarray, zone: ZoneInfo) -> np.ndarray:
    """Days since 1970 of the local dates of instants, in microseconds since 1970.

    The offset of a zone is asked once for every quarter of an hour that occurs: zones have changed theirs on such
    quarters alone since they left the mean time of their capitals, before any row that `ingest` takes.

    >>> local_days(np.array([1751320800000000]), ZoneInfo("Europe/Berlin")).tolist() == [20270]
    True
    """
    quarters, place = np.unique(instants // _QUARTER, return_inverse=True)
    # Rows without a time have some value too, which nobody looks at.
    sane = np.clip(quarters, -(2**26), 2**28)
    offsets = [
        datetime.fromtimestamp(int(quarter) * 900, zone).utcoffset() // _TICK for quarter in sane.tolist()
    ]
    return (instants + np.array(offsets, np.int64)[place]) // _DAY


def _anniversary(days: np.ndarray, first: int, last: int, leap: bool) -> np.ndarray:
    """Days since 1970 whose month and day lie from `first` to `last`, both month * 100 + day, over New Year too."""
    day = days.astype("datetime64[D]")
    month = day.astype("datetime64[M]")
    of_year = (month.astype(np.int64) % 12 + 1) * 100 + (day - month).astype(np.int64) + 1
    if not leap:
        of_year = np.where(of_year == 229, 228, of_year)
    after, before = of_year >= first, of_year <= last
    return after & before if first <= last else after | before


def _with(keys: Keys, literal: str) -> np.ndarray:
    """Which lists have an entry."""
    lists = keys.texts
    found = np.zeros(len(lists), bool)
    found[np.asarray(pc.list_parent_indices(lists).filter(pc.equal(pc.list_flatten(lists), literal)))] = True
    return found


#: (keys, literals) -> which texts of the dictionary meet them.
_TEXT: dict[str, Callable[[Keys, Sequence[Any]], pa.BooleanArray]] = {
    "eq": lambda keys, literals: pc.equal(keys.texts, literals[0]).fill_null(False),
    "in": lambda keys, literals: pc.is_in(keys.texts, pa.array(literals, pa.string())),
    "contains": _part(pc.match_substring, case=False),
    "starts_with": _part(pc.starts_with, case=False),
    "ends_with": _part(pc.ends_with, case=False),
    "contains_case": _part(pc.match_substring, case=True),
    "starts_with_case": _part(pc.starts_with, case=True),
    "ends_with_case": _part(pc.ends_with, case=True),
    "matches": lambda keys, literals: pc.match_substring_regex(keys.texts, pattern=literals[0]).fill_null(False),
}
#: The same of lists of texts.
_TEXTS: dict[str, Callable[[Keys, Sequence[Any]], np.ndarray]] = {
    "has_any": lambda keys, literals: reduce(operator.or_, (_with(keys, literal) for literal in literals)),
    "has_all": lambda keys, literals: reduce(operator.and_, (_with(keys, literal) for literal in literals)),
}
_OPERATORS: dict[Type, dict[str, Callable[..., Any]]] = {Type.TEXT: _TEXT, Type.TEXTS: _TEXTS}
