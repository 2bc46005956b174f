"""The demo shop: the real CDNOW order log, and around it the customers and visits that it lacks.

CDNOW_master.txt comes with the installed ``lifetimes`` package: 69,659 orders of 23,570 customers who first bought in
the first quarter of 1997, until 30 June 1998. Dates, pieces and values stay exactly as they are, 80 values of zero
included.
"""

from __future__ import annotations

import importlib.util
from datetime import date
from pathlib import Path

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from segment_lib.errors import InputError
from segment_lib.generate import customers, events, orders
from segment_lib.generate.frames import finish, seconds, span
from segment_lib.generate.randomness import Dice
from segment_lib.settings import Settings

FIRST_DAY, LAST_DAY = date(1997, 1, 1), date(1998, 6, 30)
#: Two consecutive snapshot dates at the end of the log.
DEMO_DATES = (date(1998, 6, 29), LAST_DAY)
#: People with a profile and no order, visitors without a profile, and the events of visits without an order.
PROSPECTS = 2_500
VISITORS = 4_000
BROWSING = 200_000
#: Ids in the log run from 00001 to this number.
BUYERS = 23_570
DAYS = (LAST_DAY - FIRST_DAY).days + 1


def cdnow_path() -> str:
    """Where the installed ``lifetimes`` package keeps the log; the package itself is never imported."""
    spec = importlib.util.find_spec("lifetimes")
    folders = list(spec.submodule_search_locations or ()) if spec else []
    for folder in folders:
        file = Path(folder, "datasets", "CDNOW_master.txt")
        if file.is_file():
            return str(file)
    raise InputError("the CDNOW order log comes with the package 'lifetimes', which is missing: pip install lifetimes")


def cdnow_orders(spark: SparkSession, settings: Settings, *, seed: int, path: str | None = None) -> DataFrame:
    """The log as (order_id, customer_id, ordered_at, quantity, cents, row), one row a line of the file.

    The order id is the line's number. The time of day is drawn, between 08:00 and 23:00 in the tenant's zone; on a
    fifth of the days on which a customer ordered more than once, these orders share their instant.
    """
    dice = Dice(seed)
    text = spark.read.text(path or cdnow_path(), wholetext=True)
    lines = text.select(F.posexplode(F.split("value", "\r?\n")).alias("row", "line"))
    lines = lines.where("row > 0 AND trim(line) <> ''")
    part = F.split(F.trim("line"), "\\s+")
    log = lines.select(
        "row",
        part[0].alias("customer_id"),
        F.to_date(part[1], "yyyyMMdd").alias("day"),
        part[2].cast("bigint").alias("quantity"),
        (part[3].cast("decimal(18,2)") * 100).cast("bigint").alias("cents"),
    )
    who, day, row = F.col("customer_id"), F.col("day"), F.col("row")
    shared = dice.chance(0.2, "shared instant", who, day)
    second = F.when(shared, dice.below(15 * 3600, "time of day", who, day)).otherwise(
        dice.below(15 * 3600, "time of day", row)
    )
    local = F.timestamp_seconds(F.unix_date(day).cast("bigint") * 86_400 + 8 * 3600 + second)
    return log.select(
        F.concat(F.lit("cdnow-"), F.lpad(row.cast("string"), 5, "0")).alias("order_id"),
        who,
        F.to_utc_timestamp(local, settings.time_zone).alias("ordered_at"),
        "quantity", "cents", "row",
    )


def cdnow_shop(
    spark: SparkSession, settings: Settings, *, seed: int = 7, path: str | None = None
) -> dict[str, DataFrame]:
    """All six input tables of the demo shop, by name; the same seed gives the same rows."""
    dice = Dice(seed)
    first, end = span(settings, LAST_DAY, DAYS)
    log = cdnow_orders(spark, settings, seed=seed, path=path).drop("row")
    buyers = log.groupBy("customer_id").agg(F.min("ordered_at").alias("first_at"))
    base = _signed_up(buyers, dice).unionByName(_prospects(spark, dice, first, end))
    people = customers.profiles(base, settings, dice, end, LAST_DAY)
    sold = orders.dress(log, settings, dice, end)
    browsed = _browsing(spark, base, dice, first, end)
    return {
        "customers": people,
        "events": events.funnels(sold, settings, dice).unionByName(events.visits(browsed, settings, dice)),
        "orders": finish(sold, settings, "orders"),
        "lists": customers.memberships_of_lists(people, settings, dice, end),
        "aliases": customers.merges(_recognised(spark, base, dice, end), settings, dice),
        "erasures": customers.erasures(base.where(_is_prospect(F.col("customer_id"))), settings, dice, 0.01, end),
    }


def _signed_up(buyers: DataFrame, dice: Dice) -> DataFrame:
    """Buyers as (customer_id, created_at): most sign up with their first order, some up to 30 days before."""
    who = F.col("customer_id")
    early = F.when(dice.chance(0.4, "early sign-up", who), dice.below(30 * 86_400, "sign-up", who)).otherwise(0)
    created = seconds(F.col("first_at")) - early - orders.LEAD
    return buyers.select(who, F.timestamp_seconds(created).alias("created_at"))


def _prospects(spark: SparkSession, dice: Dice, first: int, end: int) -> DataFrame:
    number = F.col("id")
    born = F.lit(first) + dice.below(end - first - 7200, "prospect", number)
    return spark.range(1, PROSPECTS + 1, 1, 1).select(
        _prospect_id(number).alias("customer_id"), F.timestamp_seconds(born).alias("created_at")
    )


def _buyer_id(number: Column) -> Column:
    return F.lpad(number.cast("string"), 5, "0")


def _prospect_id(number: Column) -> Column:
    return F.concat(F.lit("p"), F.lpad(number.cast("string"), 5, "0"))


def _is_prospect(customer_id: Column) -> Column:
    return customer_id.startswith("p")


def _visitor_id(number: Column) -> Column:
    return F.concat(F.lit("v"), F.lpad(number.cast("string"), 5, "0"))


def _browsing(spark: SparkSession, base: DataFrame, dice: Dice, first: int, end: int) -> DataFrame:
    """Visits without an order, given to visitors, prospects and buyers; nobody visits under an id before it exists."""
    session = F.col("session")
    by_visitor = dice.chance(0.2, "visitor", session)
    recent = F.greatest(F.col("share") - dice.number("visitor age", session) * 0.02, F.lit(0.0))
    visitor = _visitor_id(1 + F.floor(recent * VISITORS))
    buyer = _buyer_id(1 + dice.below(BUYERS, "buyer", session))
    regular = _buyer_id(dice.skewed(BUYERS, "regular", session))
    prospect = _prospect_id(1 + dice.below(PROSPECTS, "prospect visit", session))
    drawn = dice.number("owner", session)
    owner = F.when(by_visitor, visitor).when(drawn < 0.3, regular).when(drawn < 0.8, buyer).otherwise(prospect)
    frame = events.browsing(spark, dice, BROWSING, first, end).withColumn("customer_id", owner)
    frame = frame.join(F.broadcast(base), "customer_id", "left")
    created = seconds(F.col("created_at"))
    later = created + F.floor(dice.number("later", session) * F.greatest(F.lit(end - 3600) - created, F.lit(0)))
    return frame.withColumn("starts", F.when(F.col("starts") < created, later).otherwise(F.col("starts")))


def _recognised(spark: SparkSession, base: DataFrame, dice: Dice, end: int) -> DataFrame:
    """Visitors who turned out to be a buyer, as (customer_id, canonical_id, merged_at)."""
    number = F.col("id")
    buyer = _buyer_id(1 + dice.below(BUYERS, "recognised as", number))
    drawn = spark.range(1, VISITORS + 1, 1, 1).where(dice.chance(0.1, "recognised", number)).select(
        _visitor_id(number).alias("alias_id"), buyer.alias("customer_id"), dice.number("merged", number).alias("when")
    )
    created = seconds(F.col("created_at"))
    return drawn.join(base, "customer_id").select(
        F.col("alias_id").alias("customer_id"),
        F.col("customer_id").alias("canonical_id"),
        F.timestamp_seconds(created + F.floor(F.col("when") * (F.lit(end - 1) - created))).alias("merged_at"),
    )
