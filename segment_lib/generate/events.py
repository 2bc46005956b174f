"""Events of the generated shop: the visit that leads to each order, and visits that lead to none.

Every visit has one session id and one customer or visitor. Rows are made one by one from their number, so any size
takes the same memory, and they come out nearly in order of time.
"""

from __future__ import annotations

import math

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from segment_lib.generate import shop
from segment_lib.generate.frames import arrival, finish, money, seconds
from segment_lib.generate.orders import item_group, line_count, product, product_id
from segment_lib.generate.randomness import Dice
from segment_lib.settings import Settings

#: Steps of the visit that leads to an order: event type, share of visits that have it, line of the order it shows.
STEPS = (
    ("entry", 1.0, None),
    ("page_viewed", 0.4, None),
    ("search_submitted", 0.2, None),
    ("collection_viewed", 0.2, None),
    ("product_viewed", 0.9, 0),
    ("added_to_cart", 1.0, 0),
    ("product_viewed", 0.5, 1),
    ("added_to_cart", 0.5, 1),
    ("cart_viewed", 0.4, None),
    ("checkout_started", 1.0, None),
    ("payment_info_submitted", 0.9, None),
    ("checkout_completed", 1.0, None),
)
#: Visits without an order come in pairs of BLOCK events; one has 1 to BLOCK - 1 of them, the other the rest.
BLOCK = 12
#: What such a visit looks at, in percent, and the share of visits that leave a cart behind.
BROWSING = {
    "page_viewed": 24, "product_viewed": 42, "collection_viewed": 18, "search_submitted": 12, "form_submission": 4,
}
ABANDONED = ("product_viewed", "added_to_cart", "cart_viewed", "removed_from_cart", "added_to_cart", "checkout_started")
ABANDONED_SHARE = 0.3
ROWS_PER_PARTITION = 500_000


def steps(dice: Dice, order: Column, quantity: Column) -> Column:
    """Which of STEPS the visit of an order has, as an array of their places."""
    several = line_count(dice, order, quantity) > 1
    taken = [
        F.when(
            F.lit(True) if share == 1.0 and not line
            else dice.chance(share, f"step {place}", order) & (several if line else F.lit(True)),
            F.lit(place),
        )
        for place, (_, share, line) in enumerate(STEPS)
    ]
    return F.filter(F.array(*taken), lambda place: place.isNotNull())


def funnels(orders: DataFrame, settings: Settings, dice: Dice) -> DataFrame:
    """The events that lead to each of `orders` (as `orders.dress` gives them), ending at its instant.

    The last is ``checkout_completed`` with the order's id, coupon and revenue. Some payments share its instant.
    """
    order = F.col("order_id")
    last = len(STEPS) - 1
    frame = orders.select(
        order, "customer_id", "ordered_at", "quantity", "revenue", "coupon",
        dice.weighted(shop.ENTRIES, "order entry", order).alias("entry"),
        F.explode(steps(dice, order, F.col("quantity"))).alias("place"),
    )
    place = F.col("place")
    types = F.array(*(F.lit(kind) for kind, _, _ in STEPS))
    line = F.when(place.isin(4, 5), F.lit(0)).when(place.isin(6, 7), F.lit(1)).cast("bigint")
    pause = 40 + dice.below(60, "pause", order)
    together = (place == last - 1) & dice.chance(0.15, "instant payment", order)
    ago = F.when(together, F.lit(0)).otherwise((F.lit(last) - place) * pause)
    completed = place == last
    frame = frame.select(
        F.concat(order, F.lit("-"), F.lpad(place.cast("string"), 2, "0")).alias("event_id"),
        "customer_id",
        F.when(place == 0, F.col("entry.event_type")).otherwise(F.get(types, place)).alias("event_type"),
        F.timestamp_seconds(seconds(F.col("ordered_at")) - ago).alias("occurred_at"),
        F.concat(F.lit("s"), order).alias("session_id"),
        F.col("entry").alias("entry"),
        F.when(line.isNotNull(), product(dice, order, line)).alias("product"),
        F.when(completed, order).alias("order_id"),
        F.when(completed, F.col("coupon")).alias("coupon"),
        F.when(place >= last - 2, F.col("revenue")).alias("amount"),
        F.when(place >= 8, F.col("quantity")).alias("cart_items"),
    )
    return _dress(frame, settings, dice)


def browsing(spark: SparkSession, dice: Dice, count: int, first: int, last: int) -> DataFrame:
    """`count` rows (number, session, place, length, share, starts) of visits without an order.

    Visits get denser towards `last` as the shop grows: `share` is the square of the elapsed time. Each starts in
    ``[first, last - 1 hour)``, seconds since 1970.
    """
    sessions = 2 * max(1, math.ceil(count / BLOCK))
    partitions = max(2, math.ceil(count / ROWS_PER_PARTITION))
    number = F.col("number")
    block, within = F.floor(number / BLOCK), number % BLOCK
    cut = 1 + dice.below(BLOCK - 1, "cut", block)
    early = within < cut
    frame = spark.range(0, count, 1, partitions).toDF("number")
    frame = frame.select(
        number,
        F.when(early, block * 2).otherwise(block * 2 + 1).alias("session"),
        F.when(early, within).otherwise(within - cut).alias("place"),
        F.when(early, cut).otherwise(BLOCK - cut).alias("length"),
    )
    share = (F.col("session") + dice.number("session start", F.col("session"))) / F.lit(float(sessions))
    return frame.withColumn("share", share).withColumn(
        "starts", F.lit(first) + F.floor(F.sqrt(F.col("share")) * F.lit(max(1, last - 3600 - first)))
    )


def visits(frame: DataFrame, settings: Settings, dice: Dice) -> DataFrame:
    """The events of `browsing` rows that were given a `customer_id`.

    A visit lasts minutes; in one of twenty all events bear one instant, as from a client that sends them in one go.
    """
    session, place, length = F.col("session"), F.col("place"), F.col("length")
    gap = F.when(dice.chance(0.05, "one instant", session), F.lit(0)).otherwise(5 + dice.below(120, "gap", session))
    cart = dice.chance(ABANDONED_SHARE, "abandoned", session) & (length > 3)
    types = F.array(*(F.lit(kind) for kind in ABANDONED))
    looked = dice.weighted(BROWSING, "looked at", F.col("number"))
    kind = (
        F.when(place == 0, F.col("entry.event_type"))
        .when(cart & (place <= len(ABANDONED)), F.get(types, (place - 1).cast("int")))
        .otherwise(looked)
    )
    shown = F.when(cart & (place <= len(ABANDONED)), session).otherwise(-F.col("number"))
    frame = frame.withColumn("entry", dice.weighted(shop.ENTRIES, "entry", session)).select(
        F.concat(F.lit("b"), F.lpad(F.col("number").cast("string"), 12, "0")).alias("event_id"),
        "customer_id",
        kind.alias("event_type"),
        F.timestamp_seconds(F.col("starts") + place * gap).alias("occurred_at"),
        F.concat(F.lit("sb"), session.cast("string")).alias("session_id"),
        "entry",
        F.when(
            kind.isin("product_viewed", "added_to_cart", "removed_from_cart"),
            dice.skewed(shop.PRODUCTS, "viewed", shown),
        ).alias("product"),
        F.lit(None).cast("string").alias("order_id"),
        F.lit(None).cast("string").alias("coupon"),
        F.when(kind == "checkout_started", money(dice.below(8000, "cart value", session) + 700)).alias("amount"),
        F.when(kind.isin("cart_viewed", "checkout_started"), F.lit(1)).cast("bigint").alias("cart_items"),
    )
    return _dress(frame, settings, dice)


def _dress(frame: DataFrame, settings: Settings, dice: Dice) -> DataFrame:
    """The events table: what each type of event alone tells, and what all of them do."""
    event, kind, session = F.col("event_id"), F.col("event_type"), F.col("session_id")
    paid = dice.chance(0.8, "in campaign", session) & F.col("entry.event_type").isin(*shop.PAID_ENTRIES)
    own = {
        name: F.when(kind == event_type, dice.weighted(values, name, event))
        for event_type, (name, values) in shop.PROPERTIES.items()
    }
    frame = frame.withColumns(
        {
            "channel": F.col("entry.channel"),
            "campaign": F.when(paid, dice.weighted(shop.CAMPAIGNS, "campaign", session)),
            "product_id": product_id(F.col("product")),
            "item_group": item_group(F.col("product")),
            "device": dice.weighted(shop.DEVICES, "device", session),
            "quantity": F.when(kind.isin("added_to_cart", "removed_from_cart"), F.lit(1)),
            "seconds_on_page": F.when(kind == "page_viewed", dice.below(300, "seconds on page", event)),
            "query": F.when(kind == "search_submitted", dice.choice(shop.SEARCHES, "query", event)),
            "results": F.when(kind == "search_submitted", dice.below(40, "results", event)),
            "consented": F.when(kind == "form_submission", dice.chance(0.6, "form consent", event)),
            "updated_at": F.col("occurred_at"),
            **own,
        }
    )
    return finish(frame.withColumns(arrival(dice, F.col("occurred_at"), event)), settings, "events")
