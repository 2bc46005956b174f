"""When one customer entered and left segments, and why: one query over the published changes.

Cost: the changes of all published dates, by the id; they are read once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from segment_lib import rebuild
from segment_lib.errors import UsageError
from segment_lib.inputs import customer_hash, hash_of, without_erased

if TYPE_CHECKING:
    from segment_lib.runs import History
    from segment_lib.storage import Lake


def of_customer(lake: Lake, history: History, customer_id: str) -> DataFrame:
    """(snapshot_date, segment_id, change, cause, customer_id), the newest first; UsageError for an erased customer.

    An id that was merged into another stands for that one, and the rows of all that were merged into it are its own.
    """
    mine = hash_of(lake.tenant, customer_id)
    changes = rebuild.counted(lake, history, "membership_changes")
    asked = wanted = lake.spark.createDataFrame([(mine,)], "digest string")
    aliases = lake.aliases()
    if aliases is not None:
        named = aliases.select(
            customer_hash(lake.tenant, F.col("customer_id")).alias("one"),
            customer_hash(lake.tenant, F.col("canonical_id")).alias("owner"),
        )
        owner = named.where(F.col("one") == mine).select(F.col("owner").alias("digest"))
        asked = owner = owner.unionByName(asked)
        merged = named.join(owner, named.owner == owner.digest, "left_semi").select(F.col("one").alias("digest"))
        wanted = owner.unionByName(merged).distinct()
    erased = lake.erased()
    if erased is not None:
        if asked.join(erased, asked.digest == erased.customer_hash, "left_semi").limit(1).count():
            raise UsageError("this customer was erased: nothing is said of them")
        changes = without_erased(changes, erased, lake.tenant)
    digest = customer_hash(lake.tenant, F.col("customer_id"))
    rows = changes.join(F.broadcast(wanted), digest == wanted.digest, "left_semi")
    return rows.select("snapshot_date", "segment_id", "change", "cause", "customer_id").orderBy(
        F.col("snapshot_date").desc(), "segment_id", "change", "customer_id"
    )
