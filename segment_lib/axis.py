"""`order_segments`: which orders were made by members of which segment, as an axis for outside tools.

A row is an order of the snapshot date and a segment with ``analytics: true`` of which its customer was a member that
night: what `orders_day` of `segment_metrics` counts. The ids ride in the night's scan of the orders, one list per
customer of the orders of one day, and only when some segment asks for them. A date adds its own orders; none is
written twice.
"""

from __future__ import annotations

from collections.abc import Iterable

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from segment_lib import snapshot
from segment_lib.clock import Clock
from segment_lib.snapshot import Stamp

#: The ids of the orders of the snapshot date, in the staged row of a customer and in the decided one.
STAGED, DECIDED = "_day_orders", "day_orders"


def collected(clock: Clock) -> Column:
    """The aggregate over a customer's orders; ``_seen`` tells whether a row counts, ``_time`` when it was."""
    today = F.col("_seen") & (F.col("_time") >= F.lit(clock.start_of(clock.snapshot_date)))
    return F.collect_list(F.when(today, F.col("order_id"))).alias(STAGED)


def finished() -> Column:
    """The staged list, empty for who has no orders at all."""
    return F.coalesce(STAGED, F.array().cast("array<string>")).alias(STAGED)


def rows(decided: DataFrame, segments: Iterable[str], stamp: Stamp) -> DataFrame:
    """The rows of `order_segments` that a night adds."""
    inside = F.array_intersect(snapshot.ids("segments"), F.array(*(F.lit(name) for name in sorted(segments))))
    buyers = decided.where(F.size(DECIDED) > 0).select(inside.alias("inside"), DECIDED)
    orders = buyers.select("inside", F.explode(DECIDED).alias("order_id"))
    return orders.select(*stamp.columns(), "order_id", F.explode("inside").alias("segment_id"))
