"""Holdouts: a stable share of a segment's members that is left out of marketing, so that its effect can be measured.

Who is held out follows from the salt and the customer id alone, as in `split`: a greater share adds people and moves
nobody. Held-out customers stay members. `holdouts` keeps the first night on which each was a member and held out.

Cost: nothing without a holdout; else the members of those segments, joined with the exposures known so far.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from segment_lib.columns import Names, bucket_column
from segment_lib.snapshot import Stamp

if TYPE_CHECKING:
    from segment_lib.definition.segment import Holdout

KEY = ("segment_id", "salt", "customer_id")


def held_out(members: DataFrame, holdouts: Mapping[str, Holdout]) -> DataFrame:
    """(segment_id, salt, customer_id) of everyone held out among `members` (customer_id, segments)."""
    shares = F.create_map(*(F.lit(part) for name, one in sorted(holdouts.items()) for part in (name, one.percent)))
    salts = F.create_map(*(F.lit(part) for name, one in sorted(holdouts.items()) for part in (name, one.salt)))
    one = members.select("customer_id", F.explode("segments").alias("one")).where(F.col("one.id").isin(list(holdouts)))
    rows = one.select(F.col("one.id").alias("segment_id"), salts[F.col("one.id")].alias("salt"), "customer_id")
    return rows.where(bucket_column(F.col("salt"), Names("UTC")) < shares[F.col("segment_id")])


def first_exposures(decided: DataFrame, holdouts: Mapping[str, Holdout], known: DataFrame, stamp: Stamp) -> DataFrame:
    """The rows of `holdouts` that tonight adds; `known` are those of the dates before."""
    new = held_out(decided, holdouts).join(known.select(*KEY).distinct(), list(KEY), "left_anti")
    return new.select(*stamp.columns(), *KEY)
