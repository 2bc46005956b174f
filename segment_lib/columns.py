"""The core form as Spark Columns: the one place where a missing value becomes false.

Every test lowers to a Column that is true or false, never null. Literals are bound as literals; no text of a definition is
ever parsed as SQL.
"""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import reduce
from operator import and_, or_
from typing import Any

from pyspark.sql import Column
from pyspark.sql import functions as F

from segment_lib import core
from segment_lib.catalogue import Type
from segment_lib.formulas import formula_column
from segment_lib.language.regex import java_pattern
from segment_lib.rowchecks import blank_to_null

_MAX_LONG = 2**63 - 1
#: Wide enough for every sum of money and of order lines.
_SUM = "decimal(38,4)"
#: Holds every sum, average and ratio exactly.
_EXACT = "decimal(38,8)"


@dataclass(frozen=True)
class Names:
    """How the leaves of a test are found among the columns at hand.

    `field` and `feature` give the column of a value; `member` and `since` those of another segment; `lines` is the array
    of an order's lines; `bounds` are the percentiles, already computed, or columns that hold them (None: nobody has the
    value).
    """

    zone: str
    field: Callable[[core.Field], Column] = lambda column: F.col(column.name)
    feature: Callable[[core.Aggregate], Column] = lambda feature: F.col(feature.name)
    member: Callable[[str], Column] | None = None
    since: Callable[[str], Column] | None = None
    customer_id: str = "customer_id"
    is_customer: str = "_known"
    lines: Column | None = None
    bounds: Mapping[tuple[core.Value, core.Percentile], core.Literal | Column | None] = dataclasses.field(
        default_factory=dict
    )


# Tests -------------------------------------------------------------------------------------------------------------


def test_column(test: core.Test, names: Names) -> Column:
    """A Column that is true where `test` holds and false everywhere else."""
    return _TESTS[type(test)](test, names)


def _const(test: core.Const, names: Names) -> Column:
    return F.lit(test.truth)


def _all(test: core.All, names: Names) -> Column:
    return reduce(and_, (test_column(part, names) for part in test.args))


def _any(test: core.Any, names: Names) -> Column:
    return reduce(or_, (test_column(part, names) for part in test.args))


def _not(test: core.Not, names: Names) -> Column:
    return ~test_column(test.arg, names)


def _compare(test: core.Compare, names: Names) -> Column:
    value = value_column(test.value, names)
    if test.operator == "known":
        return value.isNotNull()
    if test.literals and isinstance(test.literals[0], core.Value):
        other = test.literals[0]
        sides = (_alike(test.value, other, names), _alike(other, test.value, names))
        return F.coalesce(_WITH_VALUE[test.operator](*sides), F.lit(False))
    literals = [
        names.bounds[test.value, literal] if isinstance(literal, core.Percentile) else literal
        for literal in test.literals
    ]
    if any(literal is None for literal in literals):
        return F.lit(False)
    return F.coalesce(_OPERATORS[test.operator](value, literals, test.value.type, names), F.lit(False))


def _alike(side: core.Value, other: core.Value, names: Names) -> Column:
    """One side of a comparison of two values, in a type that both sides share."""
    column = value_column(side, names)
    if side.type.is_number:
        return column.cast(_EXACT)
    if side.type is Type.DATE and other.type is Type.TIMESTAMP:
        return F.to_utc_timestamp(column.cast("timestamp"), names.zone)
    return column


def _any_line(test: core.AnyLine, names: Names) -> Column:
    return _some_line(names, lambda line: test_column(test.where, _in_line(names, line)))


def _any_group(test: core.AnyGroup, names: Names) -> Column:
    assert names.lines is not None
    lines = F.filter(names.lines, lambda line: test_column(test.where, _in_line(names, line)))
    if not test.by:
        return (F.coalesce(F.size(lines), F.lit(0)) > 0) & test_column(test.having, replace(names, lines=lines))

    def group_of(line: Column) -> Column:
        same = lambda other: reduce(  # noqa: E731
            and_, (F.coalesce(_of_line(other, by) == _of_line(line, by), F.lit(False)) for by in test.by)
        )
        return test_column(test.having, replace(names, lines=F.filter(lines, same)))

    known = lambda line: reduce(and_, (_of_line(line, by).isNotNull() for by in test.by))  # noqa: E731
    return F.coalesce(F.exists(lines, lambda line: known(line) & group_of(line)), F.lit(False))


def _member(test: core.Member, names: Names) -> Column:
    assert names.member is not None
    return names.member(test.segment)


def _split(test: core.Split, names: Names) -> Column:
    bucket = bucket_column(test.salt, names)
    return (bucket >= F.lit(test.start)) & (bucket < F.lit(test.end))


def bucket_column(salt: str | Column, names: Names) -> Column:
    """The customer's bucket of 100 under a salt, from 0 to 99: the first 8 bytes, big endian, of SHA-256(salt, 0x1F, id)."""
    salted = F.concat(F.lit(salt), F.lit("\x1f"), F.col(names.customer_id))
    first_bytes = F.conv(F.substring(F.sha2(salted, 256), 1, 16), 16, 10).cast("decimal(20,0)")
    return first_bytes % F.lit(100)


def _is_customer(test: core.IsCustomer, names: Names) -> Column:
    return F.col(names.is_customer)


_TESTS: dict[type, Callable[[Any, Names], Column]] = {
    core.Const: _const, core.All: _all, core.Any: _any, core.Not: _not, core.Compare: _compare,
    core.AnyLine: _any_line, core.AnyGroup: _any_group, core.Member: _member, core.Split: _split,
    core.IsCustomer: _is_customer, core.Sequence: lambda test, names: F.col(test.name),
}


# Operators: (value, literals, type, names) -> Column that may be null ------------------------------------------------


def _text(make: Callable[[Column, Column], Column], case: bool) -> Callable[..., Column]:
    def column(value: Column, literals: list[core.Literal], kind: Type, names: Names) -> Column:
        text = F.lit(literals[0])
        return make(value, text) if case else make(F.lower(value), F.lower(text))

    return column


def _anniversary(value: Column, literals: list[Any], kind: Type, names: Names, leap: bool = True) -> Column:
    day = F.from_utc_timestamp(value, names.zone) if kind is Type.TIMESTAMP else value
    of_year = F.month(day) * 100 + F.dayofmonth(day)
    if not leap:
        of_year = F.when(of_year == 229, F.lit(228)).otherwise(of_year)
    first, last = literals
    if first <= last:
        return of_year.between(first, last)
    return (of_year >= first) | (of_year <= last)


def _in_list(item: core.Literal, value: Column) -> Column:
    return F.coalesce(F.exists(value, lambda element: element == F.lit(item)), F.lit(False))


#: Comparisons with another value: (value, other) -> Column that may be null.
_WITH_VALUE: dict[str, Callable[[Column, Column], Column]] = {
    "eq": operator.eq, "lt": operator.lt, "le": operator.le, "gt": operator.gt, "ge": operator.ge,
}
_OPERATORS: dict[str, Callable[..., Column]] = {
    "eq": lambda value, literals, kind, names: value == literal_column(literals[0]),
    "in": lambda value, literals, kind, names: value.isin([literal_column(literal) for literal in literals]),
    "lt": lambda value, literals, kind, names: value < literal_column(literals[0]),
    "le": lambda value, literals, kind, names: value <= literal_column(literals[0]),
    "gt": lambda value, literals, kind, names: value > literal_column(literals[0]),
    "ge": lambda value, literals, kind, names: value >= literal_column(literals[0]),
    "contains": _text(F.contains, case=False),
    "starts_with": _text(F.startswith, case=False),
    "ends_with": _text(F.endswith, case=False),
    "contains_case": _text(F.contains, case=True),
    "starts_with_case": _text(F.startswith, case=True),
    "ends_with_case": _text(F.endswith, case=True),
    "matches": lambda value, literals, kind, names: F.rlike(value, F.lit(java_pattern(literals[0]))),
    "anniversary": _anniversary,
    "anniversary_no_29_feb": lambda *args: _anniversary(*args, leap=False),
    "has_any": lambda value, literals, kind, names: reduce(or_, (_in_list(item, value) for item in literals)),
    "has_all": lambda value, literals, kind, names: reduce(and_, (_in_list(item, value) for item in literals)),
}


def literal_column(literal: core.Literal | Column) -> Column:
    """A literal as a Column; instants and decimals keep every digit. What is a Column already stays one."""
    if isinstance(literal, int) and not isinstance(literal, bool) and abs(literal) > _MAX_LONG:
        return F.lit(Decimal(literal))
    return F.lit(literal)


# Values ------------------------------------------------------------------------------------------------------------


def value_column(value: core.Value, names: Names) -> Column:
    """The Column of a value; null where it is missing."""
    if isinstance(value, core.Field):
        return names.field(value)
    if isinstance(value, core.Aggregate):
        return names.feature(value)
    if isinstance(value, core.Ratio):
        return quotient_column(value_column(value.top, names), value_column(value.bottom, names))
    if isinstance(value, core.Constant):
        return F.lit(value.value)
    if isinstance(value, core.Call):
        return formula_column(value, lambda part: value_column(part, names), names.zone)
    if isinstance(value, core.Since):
        assert names.since is not None
        return names.since(value.segment)
    if isinstance(value, core.Lines):
        return _lines(value, names)
    raise TypeError(f"no Column for {type(value).__name__}")


def quotient_column(top: Column, bottom: Column) -> Column:
    """`top` over `bottom` to 8 places, half up, exactly; null over zero.

    Division of decimals rounds its result to what 38 digits leave room for, and rounding that again would round twice; so
    the whole part and the remainder are taken apart. Good up to values of 20 digits before the point.
    """
    scaled = [(F.abs(part).cast("decimal(28,8)") * F.lit(10**8)).cast("decimal(38,0)") for part in (top, bottom)]
    over, under = scaled[0], F.nullif(scaled[1], F.lit(0).cast("decimal(38,0)"))
    rest = (over % under).cast("decimal(28,0)") * F.lit(2 * 10**8).cast("decimal(9,0)")
    whole = F.call_function("div", over, under).cast("decimal(20,0)")
    places = F.call_function("div", (rest + under).cast("decimal(38,0)"), (under * F.lit(2)).cast("decimal(38,0)"))
    size = whole + places.cast("decimal(20,0)") * F.lit(Decimal("0.00000001"))
    return (F.sign(top).cast("decimal(1,0)") * F.sign(bottom).cast("decimal(1,0)") * size).cast(_EXACT)


def _lines(value: core.Lines, names: Names) -> Column:
    """One order's number; an order without lines has the sum 0 and no values."""
    assert names.lines is not None
    left = F.filter(names.lines, lambda line: test_column(value.where, _in_line(names, line)))
    values = F.array_compact(F.transform(left, lambda line: _of_line(line, value.field)))
    return _LINES[value.function](values)


def _total(values: Column) -> Column:
    zero = F.lit(0).cast(_SUM)
    return F.coalesce(F.aggregate(values, zero, lambda total, item: (total + item).cast(_SUM)), zero)


_LINES: dict[str, Callable[[Column], Column]] = {
    "sum": _total, "min": F.array_min, "max": F.array_max, "distinct": F.array_distinct, "each": lambda values: values,
}


def _in_line(names: Names, line: Column) -> Names:
    return replace(names, field=lambda column: _of_line(line, column))


def _of_line(line: Column, column: core.Field) -> Column:
    """A field of a line; `storage` makes blank text missing in columns, not inside of arrays."""
    return blank_to_null(line[column.name]) if column.type is Type.TEXT else line[column.name]


def _some_line(names: Names, holds: Callable[[Column], Column]) -> Column:
    assert names.lines is not None
    return F.coalesce(F.exists(names.lines, holds), F.lit(False))


# Features ----------------------------------------------------------------------------------------------------------


def feature_column(feature: core.Aggregate, rows: Column, names: Names, order: Column, time: Column) -> Column:
    """The aggregate over the rows where `rows` is true; `order` sorts rows by time, then id."""

    def where(value: Column) -> Column:
        return F.when(rows, value)

    if isinstance(feature, core.Periods):
        return _periods(feature, where, time)
    assert isinstance(feature, core.Feature)
    if feature.function == "count":
        return F.count(where(F.lit(1)))
    assert feature.field is not None
    value = where(value_column(feature.field, names))
    return _AGGREGATES[feature.function](value, feature, where(order))


def _periods(feature: core.Periods, where: Callable[[Column], Column], time: Column) -> Column:
    """How many periods have rows enough: each row's period is how many edges it has passed."""
    edges = F.array(*(F.lit(edge) for edge in feature.edges))
    period = where(F.size(F.filter(edges, lambda edge: time >= edge)))
    if feature.least == 1:
        return F.size(F.collect_set(period))
    periods = F.collect_list(period)
    enough = F.filter(
        F.array_distinct(periods), lambda one: F.size(F.filter(periods, lambda other: other == one)) >= feature.least
    )
    return F.size(enough)


def _sum(value: Column, feature: core.Feature, order: Column) -> Column:
    # A sum of whole numbers may leave 64 bits, and an overflow would stop the night for every segment.
    wide = value.cast("decimal(20,0)") if feature.type is Type.INTEGER and isinstance(feature.field, core.Field) else value
    return F.coalesce(F.sum(wide), F.lit(0))


def _avg(value: Column, feature: core.Feature, order: Column) -> Column:
    if isinstance(feature.field, core.Lines):
        total, count = F.sum(_total(value)), F.sum(F.size(value))
    else:
        total, count = F.sum(value.cast("decimal(20,0)") if feature.field.type is Type.INTEGER else value), F.count(value)
    # The cast keeps the quotient at 12 places: the default would leave money so few that rounding to 8 rounds twice.
    return F.round(total.cast("decimal(26,4)") / F.nullif(count, F.lit(0)).cast("decimal(11,0)"), 8)


def _distinct(value: Column, feature: core.Feature, order: Column) -> Column:
    if isinstance(feature.field, core.Lines):
        return F.size(F.array_distinct(F.flatten(F.collect_set(value))))
    return F.size(F.collect_set(value))


def _mode(value: Column, feature: core.Feature, order: Column) -> Column:
    if not isinstance(feature.field, core.Lines):
        return F.mode(value, True)
    values = F.flatten(F.collect_list(value))
    # Most frequent first, then the smallest: the candidates are sorted, so an earlier place is a smaller value.
    ranked = F.transform(
        F.array_sort(F.array_distinct(values)),
        lambda candidate, place: F.struct(
            F.size(F.filter(values, lambda item: item == candidate)).alias("count"), (-place).alias("place"),
            candidate.alias("value"),
        ),
    )
    return F.array_max(ranked)["value"]


def _mode_share(value: Column, feature: core.Feature, order: Column) -> Column:
    values = F.collect_list(value)
    if isinstance(feature.field, core.Lines):
        values = F.flatten(values)
    mode = _mode(value, feature, order)
    matching = F.size(F.filter(values, lambda item: item == mode))
    return F.round(matching.cast("decimal(20,0)") / F.nullif(F.size(values), F.lit(0)), 8)


_AGGREGATES: dict[str, Callable[[Column, core.Feature, Column], Column]] = {
    "sum": _sum,
    "avg": _avg,
    "min": lambda value, feature, order: F.min(value),
    "max": lambda value, feature, order: F.max(value),
    "distinct": _distinct,
    "first": lambda value, feature, order: F.min_by(value, order),
    "latest": lambda value, feature, order: F.max_by(value, order),
    "mode": _mode,
    "mode_share": _mode_share,
}
