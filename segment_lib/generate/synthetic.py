"""A shop of any size: customers who sign up steadily, buy by chance, and visit with a heavy tail."""

from __future__ import annotations

import math
from datetime import date

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from segment_lib.errors import UsageError
from segment_lib.generate import customers, events, orders
from segment_lib.generate.frames import finish, span
from segment_lib.generate.randomness import Dice
from segment_lib.settings import Settings

#: With fewer events than this for a customer, orders are thinned, so that about half of the events lead to an order.
FULL_TRADE = 25
#: One visitor without a profile for this many customers; share of visits that are theirs.
CUSTOMERS_PER_VISITOR = 5
VISITOR_SHARE = 0.2
#: Visitors recognised as a customer later, customers merged into the one before them, customers erased.
RECOGNISED, MERGED, ERASED = 0.08, 0.003, 0.002
ROWS_PER_PARTITION = 250_000


def generate_shop(
    spark: SparkSession, settings: Settings, *, customers: int, events: int, seed: int, until: date, days: int = 540
) -> dict[str, DataFrame]:
    """The six input tables of a shop with exactly `customers` profiles and `events` events, by name.

    It trades on the `days` local days that end with `until`. Customer 1 is the oldest and, by Zipf's law, by far the
    busiest. One count of the orders' events is run here, to know how many visits without an order are left to make;
    the frames themselves are lazy. So few events that the orders alone need more are the one case of more than asked.
    """
    if customers < 1 or events < 0 or days < 2:
        raise UsageError("a shop needs at least 1 customer, 0 events and 2 days")
    return _Shop(spark, settings, Dice(seed), customers, events, until, days).tables()


class _Shop:
    """One shop while it is put together; what all tables share."""

    def __init__(
        self, spark: SparkSession, settings: Settings, dice: Dice, size: int, events: int, until: date, days: int
    ):
        self.spark, self.settings, self.dice, self.size, self.until = spark, settings, dice, size, until
        self.first, self.end = span(settings, until, days)
        self.events = events
        self.visitors = max(1, size // CUSTOMERS_PER_VISITOR)
        self.base = self._people(size, F.col("number"), _customer_id)

    def tables(self) -> dict[str, DataFrame]:
        scale = min(1.0, self.events / (FULL_TRADE * self.size))
        bought = orders.purchases(self.base, self.dice, self.end, scale)
        steps = events.steps(self.dice, F.col("order_id"), F.col("quantity"))
        used = bought.agg(F.sum(F.size(steps))).first()[0] or 0
        parts = max(1, math.ceil(self.size * scale / ROWS_PER_PARTITION))
        sold = orders.dress(bought.repartitionByRange(parts, "ordered_at"), self.settings, self.dice, self.end)
        profiles = customers.profiles(self.base, self.settings, self.dice, self.end, self.until)
        browsed = events.visits(self._browsing(max(0, self.events - used)), self.settings, self.dice)
        return {
            "customers": profiles,
            "events": events.funnels(sold, self.settings, self.dice).unionByName(browsed),
            "orders": finish(sold, self.settings, "orders"),
            "lists": customers.memberships_of_lists(profiles, self.settings, self.dice, self.end),
            "aliases": customers.merges(self._merged().unionByName(self._recognised()), self.settings, self.dice),
            "erasures": customers.erasures(self.base, self.settings, self.dice, ERASED, self.end),
        }

    def _people(self, size: int, number: Column, name) -> DataFrame:
        """(number, customer_id, created_at): sign-ups spread evenly over the days, in order of the number."""
        share = (number - 1) / F.lit(float(size))
        frame = self.spark.range(1, size + 1, 1, max(2, math.ceil(size / ROWS_PER_PARTITION))).toDF("number")
        return frame.select(
            number, name(number).alias("customer_id"), F.timestamp_seconds(self._moment(share)).alias("created_at")
        )

    def _moment(self, share: Column) -> Column:
        """Seconds since 1970 after this share of the time in which visits and sign-ups begin."""
        return F.lit(self.first) + F.floor(share * F.lit(self.end - 3600 - self.first))

    def _browsing(self, count: int) -> DataFrame:
        """Visits without an order: half of the customers' by Zipf's law, half evenly, among those signed up by then."""
        dice, session, share = self.dice, F.col("session"), F.col("share")
        recent = F.greatest(share - dice.number("visitor age", session) * 0.05, F.lit(0.0))
        signed_up = F.least(F.lit(self.size), 1 + F.floor(F.sqrt(share) * self.size))
        customer = F.when(
            dice.chance(0.5, "regular", session), dice.skewed(signed_up, "regular", session)
        ).otherwise(1 + dice.below(signed_up, "owner", session))
        owner = F.when(
            dice.chance(VISITOR_SHARE, "visitor", session), _visitor_id(1 + F.floor(recent * self.visitors))
        ).otherwise(_customer_id(customer))
        return events.browsing(self.spark, dice, count, self.first, self.end).withColumn("customer_id", owner)

    def _merged(self) -> DataFrame:
        number = F.col("number")
        merged = (number > 1) & self.dice.chance(MERGED, "merged", number)
        later = F.unix_seconds("created_at") + F.floor(
            self.dice.number("merged at", number) * (F.lit(self.end - 1) - F.unix_seconds("created_at"))
        )
        return self.base.where(merged).select(
            "customer_id", _customer_id(number - 1).alias("canonical_id"), F.timestamp_seconds(later).alias("merged_at")
        )

    def _recognised(self) -> DataFrame:
        """Visitors who turn out to be a customer, some of whom were merged themselves: a chain of aliases."""
        number = F.col("number")
        left = F.least(F.lit(1.0), F.sqrt(number / F.lit(float(self.visitors)) + 0.05))
        customer = F.least(F.lit(self.size), 1 + self.dice.below(F.ceil(left * self.size), "recognised as", number))
        frame = self.spark.range(1, self.visitors + 1, 1, max(2, math.ceil(self.visitors / ROWS_PER_PARTITION)))
        return frame.toDF("number").where(self.dice.chance(RECOGNISED, "recognised", number)).select(
            _visitor_id(number).alias("customer_id"), _customer_id(customer).alias("canonical_id"),
            F.timestamp_seconds(self._moment(left)).alias("merged_at"),
        )


def _customer_id(number: Column) -> Column:
    return F.concat(F.lit("c"), F.lpad(number.cast("string"), 9, "0"))


def _visitor_id(number: Column) -> Column:
    return F.concat(F.lit("v"), F.lpad(number.cast("string"), 9, "0"))
