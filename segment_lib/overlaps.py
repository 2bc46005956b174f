"""How many customers each two segments share on a date: the table `segment_overlaps`, and how to read it.

The night counts all pairs in the pass that adds up the figures (`segment_sums`: the matrix of memberships times itself),
so a thousand segments cost no scan more than two. Stored is a row for each pair that shares anybody.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

if TYPE_CHECKING:
    from segment_lib.runs import RunRecord
    from segment_lib.snapshot import Stamp
    from segment_lib.storage import Lake


def frame(spark: SparkSession, shared: Mapping[tuple[str, str], int], stamp: Stamp) -> DataFrame:
    """The rows of `segment_overlaps`: each pair once, the lower id first. They pass to Spark as one Arrow table."""
    import pyarrow as pa

    pairs = [tuple(sorted(pair)) for pair in shared]
    table = pa.table({
        "segment_id": pa.array([one for one, _ in pairs], pa.string()),
        "other_id": pa.array([other for _, other in pairs], pa.string()),
        "customers": pa.array(shared.values(), pa.int64()),
    })
    return spark.createDataFrame(table).coalesce(1).select(*stamp.columns(), "*")


def of_run(lake: Lake, run: RunRecord) -> DataFrame:
    """(segment_id, other_id, customers, share, jaccard) of a published run, every pair both ways round.

    Pairs that share nobody have no row. `share` is of the first segment's members, `jaccard` of those who are in either.
    """
    def mine(table: str) -> DataFrame:
        rows = lake.read(table)
        return rows.where((F.col("snapshot_date") == F.lit(run.snapshot_date)) & (F.col("run_id") == run.run_id))

    stored = mine("segment_overlaps").select("segment_id", "other_id", "customers")
    turned = stored.select(F.col("other_id").alias("segment_id"), F.col("segment_id").alias("other_id"), "customers")
    # A date that was measured again from another base has a row for each base, with the same size.
    sizes = mine("segment_metrics").select("segment_id", "customers").distinct()
    first = sizes.select("segment_id", F.col("customers").alias("_first"))
    second = sizes.select(F.col("segment_id").alias("other_id"), F.col("customers").alias("_second"))
    both = stored.unionByName(turned).join(F.broadcast(first), "segment_id").join(F.broadcast(second), "other_id")
    return both.select(
        "segment_id", "other_id", "customers", (F.col("customers") / F.col("_first")).alias("share"),
        (F.col("customers") / (F.col("_first") + F.col("_second") - F.col("customers"))).alias("jaccard"),
    )
