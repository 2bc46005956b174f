"""Formulas of `sql` conditions as Spark Columns, with SQL's rules for null. No part of them can fail on data."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from operator import and_, or_

from pyspark.sql import Column
from pyspark.sql import functions as F

from segment_lib import core
from segment_lib.catalogue import Type


def formula_column(call: core.Call, column: Callable[[core.Value], Column], zone: str) -> Column:
    """The Column of a call; `column` gives those of its arguments."""
    arguments = [column(argument) for argument in call.args]
    if call.function in _ARITHMETIC:
        return _ARITHMETIC[call.function](*(argument.cast("double") for argument in arguments))
    if call.function in _OF_DAYS:
        stamped = call.args[0].type is Type.TIMESTAMP
        return _OF_DAYS[call.function](F.from_utc_timestamp(arguments[0], zone) if stamped else arguments[0])
    return _FUNCTIONS[call.function](*arguments)


def _case(*parts: Column) -> Column:
    *pairs, default = parts
    branches = reduce(lambda chain, i: chain.when(pairs[i], pairs[i + 1]), range(0, len(pairs), 2), F)
    return branches.otherwise(default)


_ARITHMETIC: dict[str, Callable[..., Column]] = {
    "add": lambda left, right: left + right,
    "sub": lambda left, right: left - right,
    "mul": lambda left, right: left * right,
    "div": lambda left, right: left / F.nullif(right, F.lit(0.0)),
    "mod": lambda left, right: left % F.nullif(right, F.lit(0.0)),
    "neg": lambda number: -number,
    "abs": F.abs,
    "floor": F.floor,
    "ceil": F.ceil,
}
_OF_DAYS: dict[str, Callable[[Column], Column]] = {
    "year": F.year, "month": F.month, "day": F.dayofmonth, "date": F.to_date,
}
_FUNCTIONS: dict[str, Callable[..., Column]] = {
    "and": and_,
    "or": or_,
    "not": lambda test: ~test,
    "eq": lambda left, right: left == right,
    "neq": lambda left, right: left != right,
    "lt": lambda left, right: left < right,
    "lte": lambda left, right: left <= right,
    "gt": lambda left, right: left > right,
    "gte": lambda left, right: left >= right,
    "between": lambda value, low, high: value.between(low, high),
    "in": lambda value, *among: reduce(or_, (value == one for one in among)),
    "isnull": F.isnull,
    "like": lambda text, pattern: F.like(text, pattern),
    "lower": F.lower,
    "upper": F.upper,
    "trim": F.trim,
    "length": F.length,
    "dpipe": F.concat,
    "coalesce": F.coalesce,
    "nullif": F.nullif,
    "case": _case,
}
