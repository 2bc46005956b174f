"""Exact percentiles of staged values, without sorting all customers in one task.

Each bound is the smallest value v such that at least p % of the population that has the value is at most v. An approximate
percentile gives a narrow bracket around it, whatever the partitioning; the distinct values inside the bracket, a few
ten-thousandths of the customers at most unless they are equal, are counted and settle the exact one.

Cost: three small aggregates over the staged rows, however many bounds there are; no shuffle of customers.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from math import ceil
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from segment_lib import core
from segment_lib.catalogue import Type
from segment_lib.columns import Names, test_column, value_column

Bound = tuple[core.Value, core.Percentile]

#: Every value is ranked as a decimal: money and averages as they are, dates as days, times as microseconds.
_RANKED = "decimal(38,8)"
_ACCURACY = 10_000
_MARGIN = 2 / _ACCURACY
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def exact_percentiles(customers: DataFrame, bounds: Sequence[Bound], names: Names) -> dict[Bound, core.Literal | None]:
    """The value of every bound over the evaluated customers; None where nobody of the population has the value."""
    if not bounds:
        return {}
    ranked = customers.select(*(_ranked(bound, names).alias(f"v{i}") for i, bound in enumerate(bounds)))
    brackets = _brackets(ranked, bounds)
    counts = _counts(ranked, brackets)
    return {
        bound: _decode(_settle(counts[i], brackets[i][0], bound[1].percent), bound[0].type)
        for i, bound in enumerate(bounds)
    }


def _ranked(bound: Bound, names: Names) -> Column:
    value, percentile = bound
    column = value_column(value, names)
    if value.type is Type.DATE:
        column = F.unix_date(column)
    elif value.type is Type.TIMESTAMP:
        column = F.unix_micros(column)
    return F.when(test_column(percentile.population, names), column.cast(_RANKED))


def _brackets(ranked: DataFrame, bounds: Sequence[Bound]) -> list[tuple[int, Decimal | None, Decimal | None]]:
    """For each bound how many have a value, and two values that should enclose the one sought."""
    columns = []
    for i, (_, percentile) in enumerate(bounds):
        share = float(percentile.percent) / 100
        ends = [max(0.0, share - _MARGIN), min(1.0, share + _MARGIN)]
        columns.append(F.count(f"v{i}").alias(f"n{i}"))
        columns.append(F.percentile_approx(f"v{i}", ends, _ACCURACY).alias(f"b{i}"))
    row = ranked.agg(*columns).collect()[0]
    return [(row[f"n{i}"], *(row[f"b{i}"] or (None, None))) for i in range(len(bounds))]


def _counts(
    ranked: DataFrame, brackets: Sequence[tuple[int, Decimal | None, Decimal | None]]
) -> list[list[tuple[Decimal, int]]]:
    """For each bound its values in order with their counts; all below the bracket stand under its lower end."""
    entries = []
    for i, (_, low, high) in enumerate(brackets):
        value = F.col(f"v{i}")
        if low is None:
            continue
        # Below the bracket a value counts as just under it, above it not at all.
        place = F.when(value < F.lit(low), F.lit(None).cast(_RANKED)).otherwise(value)
        inside = value.isNotNull() & (value <= F.lit(high))
        entries.append(F.when(inside, F.struct(F.lit(i).alias("bound"), place.cast(_RANKED).alias("value"))))
    counts: list[list[tuple[Decimal, int]]] = [[] for _ in brackets]
    if not entries:
        return counts
    rows = (
        ranked.select(F.explode(F.array_compact(F.array(*entries))).alias("entry"))
        .groupBy("entry.bound", "entry.value").count().collect()
    )
    for row in rows:
        counts[row["bound"]].append((row["value"], row["count"]))
    return [sorted(found, key=lambda pair: (pair[0] is not None, pair[0])) for found in counts]


def _settle(counts: list[tuple[Decimal, int]], having: int, percent: Decimal) -> Decimal | None:
    if not having:
        return None
    rank, reached = max(1, ceil(percent * having / 100)), 0
    for value, count in counts:
        reached += count
        if reached >= rank:
            if value is None:
                break
            return value
    raise ArithmeticError("a percentile lies outside its bracket; this is a fault of the product, please report it")


def _decode(value: Decimal | None, kind: Type) -> Any:
    if value is None:
        return None
    if kind is Type.DATE:
        return date(1970, 1, 1) + timedelta(days=int(value))
    if kind is Type.TIMESTAMP:
        return _EPOCH + timedelta(microseconds=int(value))
    return int(value) if value == value.to_integral_value() else value


