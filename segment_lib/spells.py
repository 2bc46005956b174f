"""When each customer was in a segment: spells of membership, from the changes of all nights.

The rows of `membership_changes` that count are one chain from the first published date on, so their running sum per
customer is 1 while the customer is a member. Customers who were merged since are one: their sums are added up, and they
are members while the sum is positive. Erased customers are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from segment_lib import inputs, rebuild

if TYPE_CHECKING:
    from segment_lib.runs import History
    from segment_lib.storage import Lake


def persons(lake: Lake, rows: DataFrame, pins: Mapping[str, int] | None = None) -> DataFrame:
    """Rows under the ids that their customers have by the newest aliases, or by those pinned; without erased ones."""
    aliases = lake.aliases(*([] if pins is None else [pins.get("aliases", -1)]))
    erased = lake.erased()
    if aliases is not None:
        return inputs.with_canonical(rows, aliases, erased, lake.tenant)
    return rows if erased is None else inputs.without_erased(rows, erased, lake.tenant)


def spells(
    lake: Lake, history: History, segment: str, until: date | None = None, pins: Mapping[str, int] | None = None
) -> DataFrame:
    """(customer_id, cause, states) of everyone who was ever in a segment up to a published date.

    `states` are (on, inside), ascending: whether the customer is a member from that date until the next state. `cause`
    is that of the first entry. Cost: the changes of the segment, shuffled once by customer.
    """
    changes = persons(lake, rebuild.counted(lake, history, "membership_changes", segment, until=until), pins)
    entered = F.col("change") == "entered"
    days = changes.groupBy("customer_id", F.col("snapshot_date").alias("on")).agg(
        F.sum(F.when(entered, 1).otherwise(-1)).alias("net"), F.max(F.when(entered, F.col("cause"))).alias("cause")
    )
    so_far = Window.partitionBy("customer_id").orderBy("on").rowsBetween(Window.unboundedPreceding, Window.currentRow)
    states = F.sort_array(F.collect_list(F.struct("on", "inside"))).alias("states")
    return (
        days.select("customer_id", "on", "cause", (F.sum("net").over(so_far) > 0).alias("inside"))
        .groupBy("customer_id").agg(F.min_by("cause", "on").alias("cause"), states)
    )


def first_entry(states: Column) -> Column:
    """The date of the first entry."""
    return F.get(F.filter(states, lambda state: state["inside"]), F.lit(0))["on"]


def inside_on(states: Column, day: Column) -> Column:
    """Whether the customer is a member on a date, as of the last published one up to it."""
    last = F.try_element_at(F.filter(states, lambda state: state["on"] <= day), F.lit(-1))
    return F.coalesce(last["inside"], F.lit(False))


def exposed_from(states: Column, day: Column) -> Column:
    """The first date from `day` on at which the customer is a member; null when there is none."""
    later = F.filter(states, lambda state: (state["on"] > day) & state["inside"])
    return F.when(inside_on(states, day), day).otherwise(F.get(later, F.lit(0))["on"])
