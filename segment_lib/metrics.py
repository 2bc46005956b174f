"""The numbers of a night: size, growth, orders and revenue of each segment, and of everyone evaluated.

One pass over the decided customers gives the totals, one over the change rows gives growth; both are sums that Spark
adds up before it shuffles, so only a row per segment reaches the driver.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from segment_lib.runs import History, RunRecord
from segment_lib.snapshot import Stamp, ids
from segment_lib.tables import OUTPUTS, ddl

if TYPE_CHECKING:
    from segment_lib.storage import Lake

#: The row of everyone evaluated, whether or not in a segment. No segment can have this id.
EVERYONE = "_all"


@dataclass(frozen=True)
class Totals:
    """What the members of a segment add up to. Orders are of all statuses, revenue is in the tenant's currency."""

    customers: int = 0
    anonymous: int = 0
    orders: int = 0
    gross_revenue: Decimal = Decimal(0)
    net_revenue: Decimal = Decimal(0)
    #: Members of whom a row arrived after the base was made.
    late: int = 0
    #: Members who are lost by `churn.status`, and what they are of the sums above; averages leave them out.
    lost: int = 0
    lost_orders: int = 0
    lost_net_revenue: Decimal = Decimal(0)


@dataclass(frozen=True)
class SegmentMetrics:
    """One row of `segment_metrics`.

    `entered` and `left` are None when unknown: for everyone, when the base's snapshot is no longer kept. `stale_since`
    is the date whose members a held segment still shows, None for one that was evaluated.
    """

    segment_id: str
    totals: Totals
    entered: int | None
    left: int | None
    stale_since: date | None = None

    @property
    def customers(self) -> int:
        return self.totals.customers

    def values(self) -> tuple[Any, ...]:
        """The values in the order of the table's columns after the stamp."""
        sums = self.totals
        return (
            self.segment_id, sums.customers, sums.anonymous, self.entered, self.left, sums.orders, sums.gross_revenue,
            sums.net_revenue, self.stale_since, sums.lost, sums.lost_orders, sums.lost_net_revenue,
        )


def totals(decided: DataFrame) -> dict[str, Totals]:
    """Segment id -> what its members add up to, everyone included; a segment without members is not in it."""
    everyone = F.concat(ids("segments"), F.array(F.lit(EVERYONE)))
    sums = ("orders", "gross_revenue", "net_revenue")
    rows = (
        decided.select("anonymous", "has_late", "lost", *sums, F.explode(everyone).alias("segment_id"))
        .groupBy("segment_id")
        .agg(
            F.count(F.lit(1)).alias("customers"),
            F.count_if("anonymous").alias("anonymous"),
            *(F.coalesce(F.sum(name), F.lit(0)).alias(name) for name in sums),
            F.count_if("has_late").alias("late"),
            F.count_if("lost").alias("lost"),
            *(
                F.coalesce(F.sum(F.when(F.col("lost"), F.col(name))), F.lit(0)).alias(f"lost_{name}")
                for name in ("orders", "net_revenue")
            ),
        )
        .collect()
    )
    return {row["segment_id"]: Totals(*(row[name] for name in Totals.__dataclass_fields__)) for row in rows}


def flows(changes: DataFrame) -> dict[str, tuple[int, int]]:
    """Segment id -> how many entered and left; a segment without changes is not in it."""
    counted = changes.groupBy("segment_id").agg(
        F.count_if(F.col("change") == "entered").alias("entered"), F.count_if(F.col("change") == "left").alias("left")
    )
    return {row["segment_id"]: (row["entered"], row["left"]) for row in counted.collect()}


def combine(
    names: Iterable[str],
    totals: Mapping[str, Totals],
    flows: Mapping[str, tuple[int, int]],
    everyone: tuple[int, int] | None,
    stale_since: Mapping[str, date] | None = None,
) -> tuple[SegmentMetrics, ...]:
    """The rows of the segments in `names` and of everyone, by id; a segment without members has zeros.

    >>> rows = combine(["vip"], {"_all": Totals(3)}, {"vip": (0, 2)}, everyone=None)
    >>> [(row.segment_id, row.customers, row.entered, row.left) for row in rows]
    [('_all', 3, None, None), ('vip', 0, 0, 2)]
    """
    rows = [SegmentMetrics(EVERYONE, totals.get(EVERYONE, Totals()), *(everyone or (None, None)))]
    for name in sorted(names):
        entered, left = flows.get(name, (0, 0))
        rows.append(SegmentMetrics(name, totals.get(name, Totals()), entered, left, (stale_since or {}).get(name)))
    return tuple(rows)


def frame(spark: SparkSession, metrics: Iterable[SegmentMetrics], stamp: Stamp) -> DataFrame:
    """The rows of `segment_metrics`."""
    head = (stamp.snapshot_date, stamp.run_id, stamp.base_run_id)
    return spark.createDataFrame([head + row.values() for row in metrics], ddl(OUTPUTS["segment_metrics"]))


def read(stored: DataFrame, snapshot_date: date, run_id: str, base_run_id: str | None) -> dict[str, SegmentMetrics]:
    """Segment id -> the row of a run, measured from one base."""
    mine = (
        (F.col("snapshot_date") == F.lit(snapshot_date))
        & (F.col("run_id") == run_id)
        & F.col("base_run_id").eqNullSafe(F.lit(base_run_id).cast("string"))
    )
    return {row["segment_id"]: _metrics(row.asDict()) for row in stored.where(mine).collect()}


def of_run(lake: Lake, history: History, run: RunRecord | None) -> dict[str, SegmentMetrics]:
    """Segment id -> the published row of a date's winner; empty without a run."""
    if run is None:
        return {}
    base = history.base(run.snapshot_date)
    return read(lake.read("segment_metrics"), run.snapshot_date, run.run_id, base.run_id if base else None)


def _metrics(row: dict[str, Any]) -> SegmentMetrics:
    names = (
        "customers", "anonymous", "orders", "gross_revenue", "net_revenue", "lost", "lost_orders", "lost_net_revenue",
    )
    # A table from before a column was there has no value for it.
    sums = Totals(**{name: row[name] for name in names if row.get(name) is not None})
    return SegmentMetrics(row["segment_id"], sums, row["entered"], row["left"], row["stale_since"])
