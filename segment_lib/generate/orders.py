"""Orders of the generated shop: who buys when, and everything an order has beside its time, size and value."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from segment_lib.generate import shop
from segment_lib.generate.frames import arrival, money, seconds
from segment_lib.generate.randomness import Dice
from segment_lib.settings import Settings

DAY = 86_400
#: Orders a day while a customer is alive, and the chance a day to leave for good: gamma with shape 1/2, these scales.
#: Both are close to what the Pareto/NBD model finds in CDNOW (means of 0.0074 and 0.0075 a day).
PURCHASE_SCALE = 0.0148
DROPOUT_SCALE = 0.015
#: Share of customers that ever buy; one customer in RESELLER_EVERY is a reseller who buys RESELLER_RATE times a day.
BUYERS = 0.65
RESELLER_EVERY = 50_000
RESELLER_RATE = 2.0
MAX_LINES = 5
#: Seconds after signing up before which nobody orders: the visit that leads to the order takes that long.
LEAD = 1800


def purchases(customers: DataFrame, dice: Dice, end: int, scale: float) -> DataFrame:
    """The orders of `customers` (number, customer_id, created_at): order_id, customer_id, ordered_at, quantity, cents.

    A first order soon after `created_at`, then a Poisson process at the customer's own rate until the customer drops
    out or `end` (seconds since 1970) comes. `scale` in (0, 1] thins it. Some orders share their instant.
    """
    number, who = F.col("number"), F.col("customer_id")
    reseller = number % RESELLER_EVERY == 1
    rate = F.when(reseller, F.lit(RESELLER_RATE)).otherwise(dice.gamma_half("purchase rate", number) * PURCHASE_SCALE)
    hazard = dice.gamma_half("dropout rate", number) * DROPOUT_SCALE + 1e-9
    life = F.when(reseller, F.lit(1e9)).otherwise(dice.exponential("lifetime", number) / hazard)
    buyer = reseller | dice.chance(BUYERS * scale, "buyer", number)
    people = (
        customers.where(buyer)
        .select(number, who, seconds(F.col("created_at")).alias("born"), rate.alias("rate"), life.alias("life"))
        .withColumn("alive", F.least(F.col("life"), (F.lit(end - LEAD) - F.col("born")) / F.lit(float(DAY))))
        .withColumn("repeats", dice.poisson(F.col("rate") * F.col("alive") * scale, "repeats", number))
    )
    orders = people.select(number, who, "born", "alive", F.explode(F.sequence(F.lit(0), F.col("repeats"))).alias("nth"))
    nth = F.col("nth")
    tied = (nth > 1) & dice.chance(0.03, "tied", number, nth)
    moment = dice.number("order time", number, F.when(tied, nth - 1).otherwise(nth)) * F.col("alive")
    first = F.least(dice.exponential("first order", number) * 0.2, F.col("alive") * 0.99)
    mean_price = dice.below(1200, "price level", number) + 700
    return orders.select(
        F.concat(F.lit("o"), number.cast("string"), F.lit("-"), nth.cast("string")).alias("order_id"),
        who,
        F.timestamp_seconds(F.col("born") + LEAD + F.floor(F.when(nth == 0, first).otherwise(moment) * DAY)).alias(
            "ordered_at"
        ),
        (1 + F.floor(F.least(dice.exponential("quantity", number, nth) * 1.6, F.lit(60.0)))).alias("quantity"),
        (mean_price + dice.below(900, "order price", number, nth)).alias("price"),
    ).select(
        "order_id", "customer_id", "ordered_at", "quantity",
        F.when(dice.chance(0.002, "free", F.col("order_id")), F.lit(0))
        .otherwise(F.col("quantity") * F.col("price") - dice.below(50, "odd cents", F.col("order_id")))
        .alias("cents"),
    )


def dress(base: DataFrame, settings: Settings, dice: Dice, end: int) -> DataFrame:
    """`base` (order_id, customer_id, ordered_at, quantity, cents; untouched) with all columns of the orders table.

    `revenue` is `cents`. The lines' quantities add up to `quantity`, their prices to revenue + discount, their
    discounts to `discount`. A coupon is named exactly when there is a discount. Refunds and costs are missing for some
    orders.
    """
    order = F.col("order_id")
    percent = F.when(dice.chance(0.15, "coupon", order), dice.choice(tuple(shop.COUPONS.values()), "coupon", order))
    coupon = F.create_map(*(F.lit(part) for code, off in shop.COUPONS.items() for part in (off, code)))
    age = F.lit(end) - seconds(F.col("ordered_at"))
    frame = (
        base.withColumn("percent", percent)
        .withColumn("off", F.coalesce(F.floor(F.col("cents") * F.col("percent") / (100 - F.col("percent"))), F.lit(0)))
        .withColumns(
            {
                "status": _status(dice, order, age),
                "coupon": F.when(F.col("off") > 0, coupon[F.col("percent")]),
                "entry": dice.weighted(shop.ENTRIES, "order entry", order),
                "items": lines(dice, order, F.col("quantity"), F.col("cents") + F.col("off"), F.col("off")),
            }
        )
    )
    cents = F.col("cents")
    returned = F.when(dice.chance(0.7, "full refund", order), cents).otherwise(F.floor(cents / 3))
    refund = (
        F.when(F.col("status") == "refunded", returned)
        .when((F.col("status") == "fulfilled") & dice.chance(0.01, "goodwill", order), F.floor(cents / 10))
        .when(dice.chance(0.8, "refund known", order), F.lit(0))
    )
    cost = F.floor((F.col("cents") + F.col("off")) * (dice.number("cost", order) * 0.2 + 0.5))
    shipped = F.col("status").isin("fulfilled", "refunded")
    local_day = F.to_date(F.from_utc_timestamp(F.col("ordered_at"), settings.time_zone))
    gifts = F.when(F.month(local_day) >= 11, F.lit(0.25)).otherwise(F.lit(0.06))
    handled = F.least(F.lit(end - 1), seconds(F.col("ordered_at")) + dice.below(3 * DAY, "handled", order))
    return frame.withColumns(
        {
            "currency": F.lit(settings.currency),
            "revenue": money(F.col("cents")),
            "discount": F.when((F.col("off") > 0) | dice.chance(0.9, "discount known", order), money(F.col("off"))),
            "refund": money(refund),
            "cost": F.when(dice.chance(0.95, "cost known", order), money(cost)),
            "source": F.col("entry.channel"),
            "store": dice.weighted(shop.PLACES, "place", F.col("customer_id"))["store"],
            "updated_at": F.when(shipped, F.timestamp_seconds(handled)).otherwise(F.col("ordered_at")),
            "gift": F.when(dice.chance(0.97, "gift known", order), dice.number("gift", order) < gifts),
            "shipping_method": dice.weighted(shop.SHIPPING, "shipping", order),
            "shipped_on": F.when(shipped, F.date_add(local_day, (1 + dice.below(3, "shipped", order)).cast("int"))),
            **arrival(dice, F.col("ordered_at"), order),
        }
    )


def _status(dice: Dice, order: Column, age: Column) -> Column:
    """Young orders are still open; of the others few are cancelled or refunded."""
    drawn = dice.number("status", order)
    return (
        F.when(drawn < 0.015, "cancelled")
        .when((age < 2 * DAY) & (drawn < 0.3), "pending")
        .when(age < 4 * DAY, "paid")
        .when(drawn < 0.055, "refunded")
        .when(drawn < 0.12, "paid")
        .otherwise("fulfilled")
    )


def line_count(dice: Dice, order: Column, quantity: Column) -> Column:
    """Lines of an order: one for one piece, else two or more, never more than pieces."""
    most = F.least(quantity, F.lit(MAX_LINES)).cast("bigint")
    return F.when(quantity < 2, F.lit(1)).otherwise(2 + dice.below(most - 1, "lines", order)).cast("int")


def product(dice: Dice, order: Column, nth: Column) -> Column:
    """The number of the product in line `nth`; popular ones repeat, so that one order may have a product twice."""
    return dice.skewed(shop.PRODUCTS, "product", order, nth)


def product_id(number: Column) -> Column:
    return F.concat(F.lit("cd"), F.lpad(number.cast("string"), 4, "0"))


def item_group(number: Column) -> Column:
    groups = F.array(*(F.lit(group) for group in shop.ITEM_GROUPS))
    return F.get(groups, (number % len(shop.ITEM_GROUPS)).cast("int"))


def lines(dice: Dice, order: Column, quantity: Column, gross: Column, off: Column) -> Column:
    """The lines of an order whose pieces cost `gross` cents before `off` cents of discount.

    Of several lines the last has one piece, whose price takes up what rounding left over; that keeps every sum exact.
    """
    count = line_count(dice, order, quantity).cast("bigint")
    share = F.floor((quantity - 1) / F.greatest(count - 1, F.lit(1)))
    price = F.floor(gross * (1 - dice.number("bargain", order) * 0.5 / quantity) / quantity)
    early_off = F.floor(off / quantity)

    def line(nth: Column) -> Column:
        last = nth == count - 1
        pieces = (
            F.when(last, F.lit(1)).when(nth == 0, quantity - 1 - share * (count - 2)).otherwise(share).cast("int")
        )
        number = product(dice, order, nth)
        return F.struct(
            product_id(number).alias("product_id"),
            item_group(number).alias("item_group"),
            pieces.alias("quantity"),
            money(F.when(last, gross - price * (quantity - 1)).otherwise(price)).alias("unit_price"),
            money(F.when(last, off - early_off * (quantity - 1)).otherwise(early_off * pieces)).alias("discount"),
        )

    return F.transform(F.sequence(F.lit(0).cast("bigint"), count - 1), line)
