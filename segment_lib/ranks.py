"""Exact ranks of staged values, for percentiles and limits, without sorting all customers in one task.

An approximate percentile gives a narrow bracket around the value sought, whatever the partitioning; the distinct values
inside the bracket, a few ten-thousandths of the customers at most unless they are equal, are counted and settle the exact
one.

Cost: two small aggregates over the staged rows, however many values are sought; no shuffle of customers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Place:
    """A value in the order of all: how many are at most as great, and how many are equal to it."""

    value: Decimal
    up_to: int
    equal: int


def exact_percentiles(customers: DataFrame, bounds: Sequence[Bound], names: Names) -> dict[Bound, core.Literal | None]:
    """The value of every bound over the evaluated customers; None where nobody of the population has the value.

    A bound is the smallest value v such that at least `percent` % of the population that has the value is at most v.
    """
    if not bounds:
        return {}
    ranked = customers.select(*(
        F.when(test_column(percentile.population, names), rankable(value, names)).alias(f"v{i}")
        for i, (value, percentile) in enumerate(bounds)
    ))
    places = places_of(
        ranked, [percentile.percent / 100 for _, percentile in bounds],
        lambda i, having: max(1, ceil(bounds[i][1].percent * having / 100)),
    )
    return {
        bound: None if place is None else _decode(place.value, bound[0].type)
        for bound, place in zip(bounds, places, strict=True)
    }


def rankable(value: core.Value, names: Names) -> Column:
    """A number or a time as the decimal that it is ranked by."""
    column = value_column(value, names)
    if value.type is Type.DATE:
        column = F.unix_date(column)
    elif value.type is Type.TIMESTAMP:
        column = F.unix_micros(column)
    return column.cast(_RANKED)


def places_of(
    ranked: DataFrame, shares: Sequence[Decimal], rank: Callable[[int, int], int]
) -> list[Place | None]:
    """For each column ``v0, v1, ...`` the value of a rank, counted from the smallest as 1; None without any value.

    `rank` gives it from the column's number and how many have a value; `shares` say about where it lies, from 0 to 1.
    """
    brackets = _brackets(ranked, shares)
    counts = _counts(ranked, brackets)
    return [
        _settle(counts[i], rank(i, having)) if having else None for i, (having, _, _) in enumerate(brackets)
    ]


def _brackets(ranked: DataFrame, shares: Sequence[Decimal]) -> list[tuple[int, Decimal | None, Decimal | None]]:
    """For each column how many have a value, and two values that should enclose the one sought."""
    columns = []
    for i, share in enumerate(shares):
        ends = [max(0.0, float(share) - _MARGIN), min(1.0, float(share) + _MARGIN)]
        columns.append(F.count(f"v{i}").alias(f"n{i}"))
        columns.append(F.percentile_approx(f"v{i}", ends, _ACCURACY).alias(f"b{i}"))
    row = ranked.agg(*columns).collect()[0]
    return [(row[f"n{i}"], *(row[f"b{i}"] or (None, None))) for i in range(len(shares))]


def _counts(
    ranked: DataFrame, brackets: Sequence[tuple[int, Decimal | None, Decimal | None]]
) -> list[list[tuple[Decimal | None, int]]]:
    """For each column its values in order with their counts; all below the bracket stand under its lower end."""
    entries = []
    for i, (_, low, high) in enumerate(brackets):
        value = F.col(f"v{i}")
        if low is None:
            continue
        # Below the bracket a value counts as just under it, above it not at all.
        place = F.when(value < F.lit(low), F.lit(None).cast(_RANKED)).otherwise(value)
        inside = value.isNotNull() & (value <= F.lit(high))
        entries.append(F.when(inside, F.struct(F.lit(i).alias("bound"), place.cast(_RANKED).alias("value"))))
    counts: list[list[tuple[Decimal | None, int]]] = [[] for _ in brackets]
    if not entries:
        return counts
    rows = (
        ranked.select(F.explode(F.array_compact(F.array(*entries))).alias("entry"))
        .groupBy("entry.bound", "entry.value").count().collect()
    )
    for row in rows:
        counts[row["bound"]].append((row["value"], row["count"]))
    return [sorted(found, key=lambda pair: (pair[0] is not None, pair[0])) for found in counts]


def _settle(counts: list[tuple[Decimal | None, int]], rank: int) -> Place:
    reached = 0
    for value, count in counts:
        reached += count
        if reached >= rank:
            if value is None:
                break
            return Place(value, reached, count)
    raise ArithmeticError("a rank lies outside its bracket; this is a fault of the product, please report it")


def _decode(value: Decimal, kind: Type) -> Any:
    if kind is Type.DATE:
        return date(1970, 1, 1) + timedelta(days=int(value))
    if kind is Type.TIMESTAMP:
        return _EPOCH + timedelta(microseconds=int(value))
    return int(value) if value == value.to_integral_value() else value
