"""The numbers of a night as rows of `segment_metrics`: what `figures` says of each segment and of everyone, and growth.

One pass over the decided customers gives the sums (`segment_sums`), one over the change rows gives growth; only rows
per segment reach the driver.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from segment_lib import figures
from segment_lib.figures import EVERYONE, LOST, Number
from segment_lib.runs import History, RunRecord
from segment_lib.snapshot import Stamp
from segment_lib.tables import OUTPUTS, ddl
from segment_lib.totals import Sums, quotient

if TYPE_CHECKING:
    from segment_lib.storage import Lake


@dataclass(frozen=True)
class SegmentMetrics:
    """One row of `segment_metrics`: `figures` by name, and how it grew.

    `entered` and `left` are None when unknown: for the lost, and for everyone when the base's snapshot is no longer
    kept. `stale_since` is the date whose members a held segment still shows, None for one that was evaluated. `months`
    are the first days of months with the net revenue in them of who is a member tonight.
    """

    segment_id: str
    figures: Mapping[str, Number]
    entered: int | None
    left: int | None
    share_of_base: Decimal | None = None
    stale_since: date | None = None
    months: tuple[tuple[date, Decimal], ...] = field(default=(), repr=False)

    def __getitem__(self, name: str) -> Any:
        return self.figures[name]

    @property
    def customers(self) -> int:
        return self.figures["customers"]  # type: ignore[return-value]

    @property
    def net_growth(self) -> int | None:
        """Entered less left; None when unknown."""
        return None if self.entered is None or self.left is None else self.entered - self.left

    def values(self) -> dict[str, Any]:
        """The values by the table's columns, without the stamp."""
        return {
            "segment_id": self.segment_id, **self.figures, "entered": self.entered, "left": self.left,
            "net_growth": self.net_growth, "share_of_base": self.share_of_base, "stale_since": self.stale_since,
            "revenue_months": list(self.months),
        }


def flows(changes: DataFrame) -> dict[str, tuple[int, int]]:
    """Segment id -> how many entered and left; a segment without changes is not in it."""
    counted = changes.groupBy("segment_id").agg(
        F.count_if(F.col("change") == "entered").alias("entered"), F.count_if(F.col("change") == "left").alias("left")
    )
    return {row["segment_id"]: (row["entered"], row["left"]) for row in counted.collect()}


def growth(
    segment_id: str, flows: Mapping[str, tuple[int, int]], everyone: tuple[int, int] | None
) -> tuple[int | None, int | None]:
    """How many entered and left: of everyone as given, of the lost always unknown, of a segment by its change rows.

    >>> growth("vip", {}, None), growth("_all", {}, None), growth("_lost", {}, (1, 2))
    ((0, 0), (None, None), (None, None))
    """
    if segment_id == LOST:
        return None, None
    return (everyone or (None, None)) if segment_id == EVERYONE else flows.get(segment_id, (0, 0))


def combine(
    names: Iterable[str],
    sums: Mapping[str, Sums],
    flows: Mapping[str, tuple[int, int]],
    everyone: tuple[int, int] | None,
    snapshot_date: date,
    stale_since: Mapping[str, date] | None = None,
) -> tuple[SegmentMetrics, ...]:
    """The rows of everyone, of the lost and of the segments in `names`, by id; a segment without members has zeros.

    >>> rows = combine(["vip"], {"_all": Sums({"customers": 3})}, {"vip": (0, 2)}, None, date(2026, 1, 1))
    >>> [(row.segment_id, row.customers, row.entered, row.net_growth) for row in rows]
    [('_all', 3, None, None), ('_lost', 0, None, None), ('vip', 0, 0, -2)]
    """
    base = sums.get(EVERYONE, Sums())["customers"]

    def row(name: str) -> SegmentMetrics:
        own = sums.get(name, Sums())
        return SegmentMetrics(
            name, figures.computed(name, sums), *growth(name, flows, everyone), quotient(own["customers"], base),
            (stale_since or {}).get(name), tuple(figures.revenue_months(snapshot_date, own)),
        )

    return tuple(row(name) for name in (EVERYONE, LOST, *sorted(names)))


def frame(spark: SparkSession, metrics: Iterable[SegmentMetrics], stamp: Stamp) -> DataFrame:
    """The rows of `segment_metrics`."""
    columns = OUTPUTS["segment_metrics"]
    head = {"snapshot_date": stamp.snapshot_date, "run_id": stamp.run_id, "base_run_id": stamp.base_run_id}
    rows = [head | row.values() for row in metrics]
    return spark.createDataFrame([tuple(row[name] for name in columns) for row in rows], ddl(columns)).coalesce(1)


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
    # A table from before a column was there has no value for it.
    return SegmentMetrics(
        row["segment_id"], {name: row.get(name) for name in figures.BY_NAME}, row["entered"], row["left"],
        row.get("share_of_base"), row["stale_since"],
        tuple((one["month"], one["net_revenue"]) for one in row.get("revenue_months") or ()),
    )
