"""Limits: the top so many members of a segment, exactly, without sorting all customers in one task.

Cost: for the limits of one level of references three small aggregates over the staged rows; where the cut falls among
equal values, one range shuffle of the ids that have this value.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from segment_lib import core
from segment_lib.columns import Names
from segment_lib.ranks import Place, places_of, rankable


def cut(rows: DataFrame, cuts: Mapping[str, core.Cut], names: Names) -> DataFrame:
    """`rows` with fewer members: `cuts` maps the name of a truth column to its limit.

    Who has no value is cut; of equal values at the cut the smaller customer ids stay.
    """
    if not cuts:
        return rows
    values = [F.when(F.col(truth), rankable(limit.by, names)) for truth, limit in cuts.items()]
    ranked = rows.select("customer_id", *(value.alias(f"v{i}") for i, value in enumerate(values)))
    having = ranked.agg(*(F.count(f"v{i}") for i in range(len(values)))).collect()[0]
    tops = [limit.top for limit in cuts.values()]
    over = [i for i, top in enumerate(tops) if having[i] > top]
    kept: dict[int, Column] = {i: value.isNotNull() for i, value in enumerate(values)}
    if over:
        columns = ranked.select(*(F.col(f"v{i}").alias(f"v{place}") for place, i in enumerate(over)))
        shares = [1 - Decimal(tops[i]) / having[i] for i in over]
        found = places_of(columns, shares, lambda place, count: count - tops[over[place]] + 1)
        for i, place in zip(over, found, strict=True):
            assert place is not None
            kept[i] = _kept(ranked, i, values[i], place, tops[i] - (having[i] - place.up_to))
    return rows.withColumns({truth: F.coalesce(kept[i], F.lit(False)) for i, truth in enumerate(cuts)})


def _kept(ranked: DataFrame, number: int, value: Column, place: Place, of_equal: int) -> Column:
    """Who stays: all above the place, and so many of those at it."""
    at = F.lit(place.value)
    if of_equal == place.equal:
        return value >= at
    ids = ranked.where(F.col(f"v{number}") == at).select("customer_id")
    return (value > at) | ((value == at) & (F.col("customer_id") <= F.lit(_nth_id(ids, of_equal))))


def _nth_id(ids: DataFrame, rank: int) -> str:
    """The id of a rank, from 1, in order: ranges of ids are counted, and only the one that holds it is sorted."""
    ranges = (
        ids.repartitionByRange("customer_id").groupBy(F.spark_partition_id())
        .agg(F.min("customer_id").alias("low"), F.max("customer_id").alias("high"), F.count(F.lit(1)).alias("n"))
        .collect()
    )
    before = 0
    for part in sorted(ranges, key=lambda part: part["low"].encode()):
        if before + part["n"] >= rank:
            inside = ids.where(F.col("customer_id").between(part["low"], part["high"]))
            return inside.orderBy("customer_id").limit(rank - before).agg(F.max("customer_id")).collect()[0][0]
        before += part["n"]
    raise ArithmeticError("a rank lies beyond all ids; this is a fault of the product, please report it")
