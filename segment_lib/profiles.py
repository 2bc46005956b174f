"""`customer_profiles`: the scores of a night, one row for each customer who ever ordered; and the moves between groups.

It holds customer ids and what follows from their orders; an erased customer's rows are left out of every read like
those of the other outputs.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from typing import TYPE_CHECKING

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from segment_lib.catalogue import SCORES
from segment_lib.errors import UsageError
from segment_lib.model_settings import PROSPECT
from segment_lib.scores import column_of, staged_name, stored_type
from segment_lib.snapshot import Stamp

if TYPE_CHECKING:
    from segment_lib.runs import RunRecord
    from segment_lib.storage import Lake

#: The scores that put customers into groups, between which they move.
GROUPINGS = ("rfm.group", "churn.status")


def _mine(run: RunRecord) -> Column:
    """The rows that a run wrote."""
    return (F.col("snapshot_date") == F.lit(run.snapshot_date)) & (F.col("run_id") == run.run_id)


def of_night(customers: DataFrame, stamp: Stamp) -> DataFrame:
    """The rows of `customer_profiles`; a score that nobody gave tonight is null."""
    def stored(score: str):
        name = staged_name(score)
        value = F.col(name) if name in customers.columns else F.lit(None)
        return value.cast(stored_type(score)).alias(column_of(score))

    known = customers.where(F.col(staged_name("rfm.group")) != PROSPECT)
    return known.select(*stamp.columns(), "customer_id", *(stored(score) for score in SCORES))


def of_run(lake: Lake, run: RunRecord) -> DataFrame:
    """The published profiles of a run: customer_id and a column for each score, without erased customers."""
    return lake.published("customer_profiles").where(_mine(run)).drop("snapshot_date", "run_id")


def require(lake: Lake, run: RunRecord | None, scores: Iterable[str]) -> None:
    """Raises UsageError when a run gave one of `scores`, and the profiles of its date are beyond retention."""
    if run is None or run.scores.isdisjoint(scores):
        return
    # The moves of a date are kept for ever, and count everyone who had a profile.
    had = lake.read("score_moves").where(_mine(run) & F.col("now").isNotNull())
    if lake.read("customer_profiles").where(_mine(run)).isEmpty() and not had.isEmpty():
        raise UsageError(
            f"the scores of {run.snapshot_date} are no longer kept (conf: retention); ask about a later date, or run that "
            "one again"
        )


def with_scores(rows: DataFrame, lake: Lake, run: RunRecord | None, scores: Iterable[str]) -> DataFrame:
    """`rows` of customers with a column (`staged_name`) for each of `scores` that the run gave, as it published them."""
    given = [score for score in scores if run is not None and score in run.scores]
    if run is None or not given:
        return rows
    stored = lake.read("customer_profiles").where(_mine(run))
    columns = [F.col(column_of(score)).alias(staged_name(score)) for score in given]
    joined = rows.join(stored.select("customer_id", *columns), "customer_id", "left")
    # Who has no profile never ordered.
    told = {staged_name("rfm.group"): F.coalesce(staged_name("rfm.group"), F.lit(PROSPECT))} if "rfm.group" in given else {}
    return joined.select(*rows.columns, *(
        told.get(staged_name(score), F.col(staged_name(score))).alias(staged_name(score)) for score in given
    ))


def moves(stored: DataFrame, stamp: Stamp) -> DataFrame:
    """The rows of `score_moves`: how many customers were in which group at the base, and are in which tonight.

    `before` is null for who had no profile then, `now` for who has none tonight; who stayed is counted too, so the
    rows of one score add up to everyone with a profile on either date. Cost: one join of two narrow frames by customer.
    """
    columns = [column_of(score) for score in GROUPINGS]
    now = stored.where(F.col("run_id") == stamp.run_id).select("customer_id", *columns)
    base = stored.where(F.col("run_id").eqNullSafe(F.lit(stamp.base_run_id).cast("string")))
    before = base.select("customer_id", *(F.col(name).alias(f"{name}_before") for name in columns))
    both = now.join(before, "customer_id", "full")
    counted = (
        both.groupBy(F.col(f"{column_of(score)}_before").alias("before"), F.col(column_of(score)).alias("now"))
        .agg(F.count(F.lit(1)).alias("customers"))
        .select(*stamp.with_base(), F.lit(score).alias("score"), "before", "now", "customers")
        for score in GROUPINGS
    )
    return reduce(DataFrame.unionByName, counted)
