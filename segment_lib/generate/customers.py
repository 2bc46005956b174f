"""Customer profiles, lists, merges and erasures of the generated shop."""

from __future__ import annotations

from datetime import date

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from segment_lib.generate import shop
from segment_lib.generate.frames import arrival, finish, money, seconds
from segment_lib.generate.randomness import Dice
from segment_lib.settings import Settings

CONSENTS = {"email": 0.62, "push": 0.35, "sms": 0.18}


def profiles(base: DataFrame, settings: Settings, dice: Dice, end: int, until: date) -> DataFrame:
    """The customers table of `base` (customer_id, created_at): everything else is drawn from the id.

    Every attribute but the id and `created_at` is missing for some customers, some emails are blank, and some birthdays
    are on 29 February. Consent times and `updated_at` lie between `created_at` and `end` (seconds since 1970).
    """
    who = F.col("customer_id")
    created = seconds(F.col("created_at"))

    def later(purpose: str) -> Column:
        return F.timestamp_seconds(created + F.floor(dice.number(purpose, who) * (F.lit(end - 1) - created)))

    frame = base.withColumns(
        {
            "first_name": _missing(dice, 0.04, "first name", who, dice.choice(shop.FIRST_NAMES, "first name", who)),
            "last_name": _missing(dice, 0.03, "last name", who, dice.choice(shop.LAST_NAMES, "last name", who)),
            "place": dice.weighted(shop.PLACES, "place", who),
            "entry": dice.weighted(shop.ENTRIES, "source", who),
            "tier": dice.weighted(shop.TIERS, "tier", who),
            "born": _birthday(dice, who, until),
        }
    )
    for channel, share in CONSENTS.items():
        asked = dice.chance(0.88, f"{channel} asked", who)
        frame = frame.withColumns(
            {
                f"{channel}_consent": F.when(asked, dice.chance(share, f"{channel} consent", who)),
                f"{channel}_consent_at": F.when(
                    asked & dice.chance(0.95, f"{channel} dated", who), later(f"{channel} consent at")
                ),
            }
        )
    local = F.from_utc_timestamp(F.col("created_at"), settings.time_zone)
    frame = frame.withColumns(
        {
            "email": _email(dice, who),
            "phone": _missing(dice, 0.4, "phone", who, F.concat(
                F.col("place.phone_prefix"), F.lpad(dice.below(100, "phone number", who).cast("string"), 2, "0")
            )),
            "country": _missing(dice, 0.02, "country", who, F.col("place.country")),
            "province": F.col("place.province"),
            "city": _missing(dice, 0.05, "city", who, F.col("place.city")),
            "birthday": _missing(dice, 0.15, "birthday", who, F.col("born")),
            "registered": _missing(dice, 0.02, "registered", who, dice.chance(0.8, "registered", who)),
            "source": F.col("entry.channel"),
            "store": F.col("place.store"),
            "updated_at": F.greatest(
                F.col("created_at"), *(F.col(f"{channel}_consent_at") for channel in CONSENTS),
                F.when(dice.chance(0.3, "edited", who), later("edited at")),
            ),
            "loyalty_tier": F.col("tier"),
            "loyalty_points": F.when(F.col("tier").isNotNull(), dice.below(5000, "points", who)),
            "store_credit": F.when(dice.chance(0.25, "credit", who), money(dice.below(5000, "credit amount", who))),
            "member_since": F.when(F.col("tier").isNotNull(), F.to_date(local)),
            "interests": F.when(dice.chance(0.7, "interests", who), _interests(dice, who)),
            "employee": _missing(dice, 0.05, "employee known", who, dice.chance(0.005, "employee", who)),
        }
    )
    return finish(frame.withColumns(arrival(dice, F.col("updated_at"), who)), settings, "customers")


def _missing(dice: Dice, share: float, purpose: str, who: Column, value: Column) -> Column:
    return F.when(~dice.chance(share, f"{purpose} missing", who), value)


def _email(dice: Dice, who: Column) -> Column:
    name = F.concat_ws(".", F.col("first_name"), F.col("last_name"), who)
    plain = F.regexp_replace(F.translate(F.lower(name), "éëöüúñ", "eeouun"), "[^a-z0-9.]", "")
    return (
        F.when(dice.chance(0.05, "email missing", who), F.lit(None))
        .when(dice.chance(0.01, "email blank", who), F.lit(" "))
        .otherwise(F.concat(plain, F.lit("@example.com")))
    )


def _birthday(dice: Dice, who: Column, until: date) -> Column:
    """An adult's birthday, 18 to 75 years before `until`; one in 200 more on 29 February than chance gives."""
    day = F.date_sub(F.lit(until), (dice.below(57 * 365, "birthday", who) + 18 * 366).cast("int"))
    leap_year = F.lit(until.year // 4 * 4 - 20) - dice.below(12, "leap year", who) * 4
    leap_day = F.make_date(leap_year.cast("int"), F.lit(2), F.lit(29))
    return F.when(dice.chance(0.005, "leap day", who), leap_day).otherwise(day)


def _interests(dice: Dice, who: Column) -> Column:
    groups = F.array(*(F.lit(group) for group in shop.ITEM_GROUPS))
    return F.filter(groups, lambda group: dice.number("interest", who, group) < F.lit(0.2))


def memberships_of_lists(customers: DataFrame, settings: Settings, dice: Dice, end: int) -> DataFrame:
    """The lists table: `newsletter` for most who agreed to email, `vip_invites` for a few; lists may stay empty."""
    who = F.col("customer_id")
    agreed = F.coalesce(F.col("email_consent"), F.lit(False)) & dice.chance(0.8, "newsletter", who)
    created = seconds(F.col("created_at"))
    invited = F.timestamp_seconds(created + F.floor(dice.number("invited at", who) * (F.lit(end - 1) - created)))
    rows = F.array(
        F.when(agreed, F.struct(F.lit("newsletter").alias("list_id"), F.col("email_consent_at").alias("joined_at"))),
        F.when(
            dice.chance(0.02, "invited", who),
            F.struct(F.lit("vip_invites").alias("list_id"), invited.alias("joined_at")),
        ),
    )
    frame = (
        customers.select(who, "created_at", F.explode(F.filter(rows, lambda row: row.isNotNull())).alias("row"))
        .select("customer_id", "created_at", "row.*")
        .withColumn("updated_at", F.coalesce(F.col("joined_at"), F.col("created_at")))
    )
    return finish(frame.withColumns(arrival(dice, F.col("updated_at"), F.concat("list_id", who))), settings, "lists")


def merges(base: DataFrame, settings: Settings, dice: Dice) -> DataFrame:
    """The aliases table of `base` (customer_id, canonical_id, merged_at)."""
    frame = base.withColumn("updated_at", F.col("merged_at"))
    return finish(frame.withColumns(arrival(dice, F.col("merged_at"), F.col("customer_id"))), settings, "aliases")


def erasures(base: DataFrame, settings: Settings, dice: Dice, share: float, end: int) -> DataFrame:
    """The erasures of a `share` of `base` (customer_id, created_at), by hash: sha256 of tenant, byte 0x1F, id."""
    who = F.col("customer_id")
    created = seconds(F.col("created_at"))
    frame = base.where(dice.chance(share, "erased", who)).select(
        F.sha2(F.concat(F.lit(f"{settings.tenant}\x1f"), who), 256).alias("customer_hash"),
        F.timestamp_seconds(created + F.floor(dice.number("erased at", who) * (F.lit(end - 1) - created))).alias(
            "erased_at"
        ),
    )
    return finish(
        frame.withColumns(arrival(dice, F.col("erased_at"), F.col("customer_hash"))), settings, "erasures"
    )
