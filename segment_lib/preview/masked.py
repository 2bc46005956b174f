"""A few members as examples, masked in Spark: no id, name or address reaches the driver."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from segment_lib.preview.result import Example
from segment_lib.preview.sampling import SampledLake, place

#: So many examples of each group at most.
EXAMPLES = 10
_SALT = "seglake examples"


def enters() -> Column:
    """Would be a member, and was not."""
    return F.col("member") & ~F.col("was")


def leaves() -> Column:
    """Was a member, and would not be."""
    return F.col("was") & ~F.col("member")


def examples(
    judged: DataFrame, sampled: SampledLake, pins: Mapping[str, int], groups: Mapping[str, Column]
) -> dict[str, tuple[Example, ...]]:
    """For each group at most ten customers that meet its test: those whose ids hash lowest, the same every time."""
    order = place(F.col("customer_id"), _SALT)
    change = F.when(enters(), "enters").when(leaves(), "leaves").otherwise("stays")
    chosen = reduce(DataFrame.unionByName, (
        judged.where(test).select(F.lit(name).alias("group"), "customer_id", "orders", "net_revenue",
                                  order.alias("place"), change.alias("change"))
        .orderBy("place", "customer_id").limit(EXAMPLES)
        for name, test in groups.items()
    ))
    customers = sampled.input("customers", pins.get("customers"), pins).where("_reject IS NULL")
    wanted = customers.join(F.broadcast(chosen.select("customer_id").distinct()), "customer_id", "left_semi")
    created = F.from_utc_timestamp("created_at", sampled.settings.time_zone).cast("date")
    persons = wanted.select("customer_id", "email", "first_name", "last_name", "country", created.alias("created"))
    name = F.concat_ws(" ", masked(F.col("first_name")), masked(F.col("last_name")))
    rows = (
        chosen.join(F.broadcast(persons), "customer_id", "left")
        .orderBy("group", "place", "customer_id")
        .select(
            "group", masked(F.col("customer_id")).alias("customer"),
            F.nullif(name, F.lit("")).alias("name"), masked(F.col("email")).alias("email"), "country", "created",
            "orders", "net_revenue", "change",
        )
    )
    found: dict[str, tuple[Example, ...]] = {name: () for name in groups}
    for group, *values in rows.collect():
        found[group] += (Example(*values),)
    return found


def masked(text: Column) -> Column:
    """The first letter and three asterisks; of a single letter none, and nothing where there is none."""
    return F.when(F.length(text) > 1, F.concat(F.substring(text, 1, 1), F.lit("***"))).when(
        text.isNotNull(), F.lit("***")
    )
