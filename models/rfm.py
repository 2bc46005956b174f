"""Recency, frequency and monetary: values in a window, scores by counts strictly below, and a group for each customer.

A score is 1 + floor(levels x below / N): `below` customers are strictly worse, of N with an order in the window. Equal
values always share a score, the worst value has 1, and neither the order of rows nor the partitioning matters. Scores
may skip: where 60 % ordered once, those have 1 and the next have 4.

A customer's score is above s exactly when her value is better than the one of rank ceil(s N / levels), counted from the
worst: the cuts. They are found by `segment_lib.ranks`, so no task ever sees all customers, and they are kept in
`rfm_cuts`, since scores of two nights can only be compared with their cuts.

Cost: two small aggregates over the staged customers; no shuffle of customers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import reduce
from operator import add

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from models.order_features import OrderFeatures
from segment_lib.clock import Clock
from segment_lib.model_settings import INACTIVE, PROSPECT, RfmSection
from segment_lib.ranks import places_of

MEASURES = ("recency", "frequency", "monetary")
#: Scores are of 1 to 5; groups go by scores of 1 to 3.
LEVELS = (5, 3)
CUTS = T.StructType([
    T.StructField("measure", T.StringType()), T.StructField("levels", T.IntegerType()),
    T.StructField("above", T.IntegerType()), T.StructField("value", T.DecimalType(38, 8)),
    T.StructField("customers", T.LongType()), T.StructField("window_days", T.IntegerType()),
])


@dataclass(frozen=True)
class Cut:
    """A customer scores more than `above` of `levels` when better than `value`; days for recency, else as it is."""

    measure: str
    levels: int
    above: int
    value: Decimal
    customers: int
    window_days: int


def columns(features: OrderFeatures, clock: Clock) -> dict[str, Column]:
    """The three values; null for who has no order in the window. Recency is whole days from the last order's to D."""
    ordered = features.window_days > 0
    return {
        "recency": F.when(ordered, features.silent_days(clock)),
        "frequency": F.when(ordered, features.window_days),
        "monetary": F.when(ordered, features.window_revenue),
    }


def find_cuts(customers: DataFrame, values: Mapping[str, Column], section: RfmSection) -> tuple[Cut, ...]:
    """The cuts of every measure and level; none when nobody ordered in the window, none of recency with fixed bins."""
    wanted = [
        (measure, levels, above)
        for measure in MEASURES if measure != "recency" or section.recency_bins is None
        for levels in LEVELS for above in range(1, levels)
    ]
    ranked = customers.select(*(
        _goodness(measure, values[measure]).cast("decimal(38,8)").alias(f"v{i}")
        for i, (measure, _, _) in enumerate(wanted)
    ))
    having = [0] * len(wanted)

    def rank(i: int, customers: int) -> int:
        having[i] = customers
        return -(-wanted[i][2] * customers // wanted[i][1])

    places = places_of(ranked, [Decimal(above) / levels for _, levels, above in wanted], rank)
    return tuple(
        Cut(measure, levels, above, -place.value if measure == "recency" else place.value, having[i], section.window_days)
        for i, ((measure, levels, above), place) in enumerate(zip(wanted, places, strict=True)) if place is not None
    )


def scores(
    values: Mapping[str, Column], cuts: Sequence[Cut], ever_ordered: Column, section: RfmSection
) -> dict[str, Column]:
    """Score -> its column; the group is there for everybody, the others for who has an order in the window."""
    five, three = (
        {measure: _score(measure, values[measure], levels, cuts, section) for measure in MEASURES} for levels in LEVELS
    )
    cell = F.concat(*(three[measure].cast("string") for measure in MEASURES))
    group = reduce(
        lambda chain, item: chain.when(cell.isin(list(item[1])), item[0]), section.groups.items(),
        F.when(~ever_ordered, F.lit(PROSPECT)).when(values["recency"].isNull(), F.lit(INACTIVE)),
    )
    return {
        **{f"rfm.{measure}": values[measure] for measure in MEASURES},
        **{f"rfm.{measure[0]}": five[measure] for measure in MEASURES},
        "rfm.cell": cell, "rfm.group": group,
    }


def _score(measure: str, value: Column, levels: int, cuts: Sequence[Cut], section: RfmSection) -> Column:
    if measure == "recency" and section.recency_bins is not None:
        limits = section.recency_bins.five if levels == 5 else section.recency_bins.three
        passed = [value <= limit for limit in limits]
    else:
        passed = [
            _goodness(measure, value) > _goodness(measure, F.lit(cut.value))
            for cut in cuts if (cut.measure, cut.levels) == (measure, levels)
        ]
    return F.when(value.isNotNull(), reduce(add, (F.when(test, 1).otherwise(0) for test in passed), F.lit(1)))


def _goodness(measure: str, value: Column) -> Column:
    """The value so that more is better: fewer days since the last order are."""
    return -value if measure == "recency" else value
