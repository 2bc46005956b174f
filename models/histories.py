"""Order histories for training and back-tests: one row per customer with the order days, and the sums made of them.

Only training reads the orders by itself. Orders count as in scoring (`models.order_features`): purchases, one a local
day, up to the end of the day that is asked for. Cost: the orders are shuffled once by customer; the histories are staged
and every sum below reads those, with a partial aggregate before each shuffle.

What reaches the driver are distinct (x, first day, last day) with counts, far fewer than customers: about 1.2 million
for 4 million customers of three years, 7 million for 100 million. Where they are more than `MOST_CELLS`, they stay where
they are and the fit adds them up there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from models.errors import ModelError
from models.labelled import LEAST_GAPS, OWN_GAPS, QUANTILE, Called, LabelledCells
from models.season import Season

if TYPE_CHECKING:
    from segment_lib.clock import Clock
    from segment_lib.settings import Settings
    from segment_lib.storage import Lake

#: Rows that are collected at most; a row is some 40 bytes.
MOST_CELLS = 10_000_000
_BUCKETS = 1_000_000
_DAYS = "array<struct<day:int,net:decimal(38,4)>>"


def read_histories(lake: Lake, settings: Settings, pins: Mapping[str, int], clock: Clock) -> DataFrame:
    """(customer_id, group, days): the order days up to the end of the snapshot date, ascending, each with its revenue.

    `group` is the value of the column of customers that conf names, null without one.
    """
    orders = lake.input("orders", pins.get("orders"), pins)
    day = F.unix_date(F.to_date(F.from_utc_timestamp("ordered_at", clock.zone.key)))
    zero = F.lit(0).cast("decimal(18,4)")
    counts = (
        F.col("_reject").isNull() & F.col("customer_id").isNotNull() & (F.col("ordered_at") < F.lit(clock.as_of))
        & F.col("status").isin(list(settings.catalogue.purchase_statuses))
    )
    days = orders.where(counts).groupBy("customer_id", day.alias("day")).agg(
        F.sum(F.coalesce("revenue", zero) - F.coalesce("refund", zero)).cast("decimal(38,4)").alias("net")
    )
    histories = days.groupBy("customer_id").agg(F.array_sort(F.collect_list(F.struct("day", "net"))).cast(_DAYS).alias("days"))
    column = settings.models.group
    if column is None:
        return histories.select("customer_id", F.lit(None).cast("string").alias("group"), "days")
    customers = lake.input("customers", pins.get("customers"), pins).where(F.col("_reject").isNull())
    groups = customers.select("customer_id", F.col(f"`{column}`").cast("string").alias("group"))
    return histories.join(groups, "customer_id", "left").select("customer_id", "group", "days")


@dataclass(frozen=True)
class Counts:
    """Sums over the customers of one group: how many repeat order days fell on each day, and who came when."""

    orders_by_day: Mapping[int, float]
    customers_by_first_day: Mapping[int, float]


def group_sizes(histories: DataFrame) -> dict[str, int]:
    """Group -> customers who ever ordered; without those of no group."""
    rows = histories.where(F.col("group").isNotNull()).groupBy("group").count().collect()
    return {row["group"]: int(row["count"]) for row in rows}


def of_group(histories: DataFrame, group: str | None) -> DataFrame:
    """The histories of one group; of everybody for None."""
    return histories if group is None else histories.where(F.col("group") == F.lit(group))


def sampled(histories: DataFrame, most: int) -> DataFrame:
    """The histories of about `most` customers, all of them when there are no more; by a hash of the id, so always the same.

    Cost: one count; the sample is a filter, so every pass over it still reads all histories.
    """
    share = most / max(1, histories.count())
    return histories if share >= 1 else histories.where(F.pmod(F.xxhash64("customer_id"), F.lit(_BUCKETS)) < int(share * _BUCKETS))


def counts_by_day(histories: DataFrame) -> Counts:
    """Two aggregates, a row a day each."""
    repeats = histories.select(F.explode(_after_first(F.col("days.day"))).alias("day"))
    first = histories.select(F.col("days")[0]["day"].alias("day"))
    return Counts(*(
        {row["day"]: float(row["count"]) for row in rows.groupBy("day").count().collect()} for rows in (repeats, first)
    ))


def log_gaps(histories: DataFrame, season: Season | None = None) -> float:
    """The sum of ln(gap) over all gaps, in days, or on the clock of a season."""
    pairs = histories.select(F.explode(F.transform(
        _after_first(F.col("days.day")),
        lambda day, place: F.struct(F.col("days")[place]["day"].alias("since"), day.alias("day")),
    )).alias("pair")).groupBy("pair.since", "pair.day").count()
    if season is None or season.is_flat:
        summed = pairs.agg(F.sum(F.col("count") * F.log((F.col("day") - F.col("since")).cast("double"))))
    else:
        begin, end = pairs.agg(F.min("since"), F.max("day")).collect()[0]
        start, stop = (
            F.broadcast(clock_table(pairs.sparkSession, season, begin, end, name)) for name in ("since", "day")
        )
        timed = pairs.join(start, "since").join(stop, "day")
        summed = timed.agg(F.sum(F.col("count") * F.log(F.col("day_time") - F.col("since_time"))))
    return float(summed.collect()[0][0] or 0.0)


def clock_table(spark: SparkSession, season: Season, first: int | None, last: int | None, name: str) -> DataFrame:
    """(`name`, `name`_time): each day from the first to the last with its time on the clock; none without days."""
    days = [] if first is None or last is None else list(range(first, last + 1))
    rows = zip(days, season.clock(days).tolist(), strict=True)
    return spark.createDataFrame(list(rows), f"{name} int, {name}_time double")


def labelled_cells(histories: DataFrame, origins: Sequence[int], horizon: int) -> list[LabelledCells]:
    """The cells at each origin, as `models.labelled.label_orders` makes them; origins before the first order are left out.

    Cost: two passes over the histories, each exploded by origin; shuffled are cells.
    """
    ordered = sorted(set(origins))
    limits = _own_gap_limits(histories, ordered)
    gap = F.create_map(*(part for origin in ordered for part in (F.lit(origin), F.lit(limits[origin]))))
    looked_at = histories.select("days", F.explode(F.array(*(F.lit(origin) for origin in ordered))).alias("origin"))
    seen = looked_at.select(
        "origin",
        F.filter("days", lambda one: one["day"] <= F.col("origin")).alias("known"),
        F.filter("days", lambda one: (one["day"] > F.col("origin")) & (one["day"] <= F.col("origin") + horizon)).alias("ahead"),
    ).where(F.size("known") > 0)
    # A column of its own: the limit names the gaps ten times, and would sort them as often.
    seen = seen.select("*", F.sort_array(_gaps(F.col("known.day"))).alias("gaps")).select(
        "origin", (F.size("known") - 1).alias("x"), F.col("known")[0]["day"].alias("first"),
        F.element_at("known", -1)["day"].alias("last"),
        _revenue("known").alias("so_far"), _revenue("ahead").alias("revenue_ahead"), F.size("ahead").alias("orders_ahead"),
        _own_limit(F.col("gaps"), F.element_at(gap, F.col("origin"))).alias("limit"),
    )
    silent, called = F.col("orders_ahead") == 0, F.col("origin") - F.col("last") > F.col("limit")
    rows = seen.groupBy("origin", "x", "first", "last").agg(
        F.count(F.lit(1)).alias("customers"), F.count_if(silent).alias("silent"),
        F.sum("orders_ahead").alias("orders_ahead"), F.sum("revenue_ahead").cast("double").alias("revenue_ahead"),
        F.sum("so_far").cast("double").alias("so_far"),
        F.count_if(called).alias("called"), F.count_if(called & silent).alias("called_silent"),
    )
    table = collected(rows, f"{len(ordered)} origins")
    return [
        _cells_at(origin, horizon, table[rows_of]) for origin in ordered
        if (rows_of := table["origin"] == origin).any()
    ]


def cells_at(histories: DataFrame, as_of: int) -> DataFrame:
    """The distinct (x, first, last) of all customers at a day with their numbers: what a fit takes."""
    return histories.select(
        (F.size("days") - 1).alias("x"), F.col("days")[0]["day"].alias("first"),
        F.element_at("days", -1)["day"].alias("last"),
    ).where(F.col("first") <= as_of).groupBy("x", "first", "last").agg(F.count(F.lit(1)).alias("customers"))


def value_bins(histories: DataFrame, days: Sequence[int]) -> DataFrame:
    """(at, orders, mean, customers): order days and mean value of customers with a positive mean, up to each of `days`.

    Means are put together in bins of half a percent, each with the mean of its logarithms, so that few rows are left;
    the error of ln m is at most 0.0025 for each customer, and 0 on average.
    """
    looked_at = histories.select("days", F.explode(F.array(*(F.lit(day) for day in days))).alias("at"))
    known = F.filter("days", lambda one: one["day"] <= F.col("at"))
    totals = looked_at.select("at", F.size(known).alias("orders"), _revenue(known).cast("double").alias("total"))
    log = F.log(F.col("total") / F.col("orders"))
    return (
        totals.where((F.col("orders") > 0) & (F.col("total") > 0))
        .groupBy("at", "orders", F.floor(log / F.lit(0.005)).alias("bin"))
        .agg(F.exp(F.avg(log)).alias("mean"), F.count(F.lit(1)).alias("customers"))
        .select("at", "orders", "mean", "customers")
    )


def collected(rows: DataFrame, what: str) -> np.ndarray:
    """Sums as a structured array; ModelError when there are more than `MOST_CELLS`."""
    table = rows.limit(MOST_CELLS + 1).toPandas()
    if len(table) > MOST_CELLS:
        raise ModelError(f"{what}: more than {MOST_CELLS:,} distinct histories; use fewer origins or a shorter past")
    return table.to_records(index=False)


def _cells_at(origin: int, horizon: int, rows: np.ndarray) -> LabelledCells:
    rows = rows[np.lexsort((rows["last"], rows["first"], rows["x"]))]
    return LabelledCells(
        origin, horizon, rows["x"], rows["first"], rows["last"], rows["customers"], rows["silent"],
        rows["orders_ahead"], rows["revenue_ahead"], rows["so_far"],
        {OWN_GAPS: Called(rows["called"], rows["called_silent"])},
    )


def _revenue(days: Column | str) -> Column:
    zero = F.lit(0).cast("decimal(38,4)")
    return F.aggregate(days, zero, lambda total, one: (total + one["net"]).cast("decimal(38,4)"))


def _after_first(days: Column) -> Column:
    return F.slice(days, F.lit(2), F.greatest(F.size(days), F.lit(1)))


def _gaps(days: Column) -> Column:
    return F.zip_with(_after_first(days), F.slice(days, F.lit(1), F.size(days) - 1), lambda day, before: day - before)


def _own_limit(gaps: Column, of_all: Column) -> Column:
    """The quantile of a customer's own gaps, ascending, between order statistics; everybody's with fewer than three."""
    place = F.lit(QUANTILE) * (F.size(gaps) - 1)
    below = F.floor(place).cast("int")
    low, high = F.get(gaps, below), F.get(gaps, F.least(below + 1, F.size(gaps) - 1))
    return F.when(F.size(gaps) >= LEAST_GAPS, low + (place - below) * (high - low)).otherwise(of_all)


def _own_gap_limits(histories: DataFrame, origins: Sequence[int]) -> dict[int, float]:
    """At each origin the quantile of everybody's gaps up to it; infinite where there are none."""
    days = F.col("days.day")
    gaps = histories.select(F.explode(F.arrays_zip(
        _after_first(days).alias("day"), _gaps(days).alias("gap")
    )).alias("one"))
    first_seen = F.array_min(F.filter(
        F.array(*(F.lit(origin) for origin in origins)), lambda origin: origin >= F.col("one.day")
    ))
    rows = gaps.groupBy(first_seen.alias("origin"), F.col("one.gap").alias("gap")).count().where("origin IS NOT NULL").collect()
    limits = {}
    for origin in origins:
        counts: dict[int, int] = {}
        for row in rows:
            if row["origin"] <= origin:
                counts[row["gap"]] = counts.get(row["gap"], 0) + row["count"]
        limits[origin] = _quantile(counts)
    return limits


def _quantile(counts: Mapping[int, int]) -> float:
    """The quantile of values with counts, between order statistics."""
    if not counts:
        return float("inf")
    values = np.array(sorted(counts))
    up_to = np.cumsum([counts[value] for value in values])
    place = QUANTILE * (up_to[-1] - 1)
    below = int(np.floor(place))
    low, high = (values[np.searchsorted(up_to, rank, side="right")] for rank in (below, min(below + 1, up_to[-1] - 1)))
    return float(low + (place - below) * (high - low))
