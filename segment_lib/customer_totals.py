"""Totals per customer as Columns: what the scan adds up of orders and events, and what follows once all is joined.

A total is staged as ``_t_NAME``, a whole number (see `totals`). Orders and visits are added up inside the aggregates
that the scan runs anyway, one per source; everything else is an expression over the staged row.

Cost: about fifty 64-bit sums beside the features of definitions; the visits of the last 30 days are collected, one
(session, instant) for each of their events, and only their lengths leave the task. A total of more than 922 trillion units of the currency does not fit and
counts as nothing.
"""

from __future__ import annotations

from collections.abc import Collection
from decimal import Decimal

from pyspark.sql import Column
from pyspark.sql import functions as F

from segment_lib import core
from segment_lib.catalogue import Type
from segment_lib.clock import Clock, Interval, Step
from segment_lib.scores import staged_name
from segment_lib.totals import CUSTOMER_TOTALS, HISTOGRAMS, ORDER_TOTALS, SCORE_TOTALS, TOTALS, OrderTotal

#: Fields of customers that tell on which channels they can be reached.
CONTACT_FIELDS = tuple(
    core.Field("customers", name, kind) for name, kind in (
        ("email", Type.TEXT), ("phone", Type.TEXT), ("email_consent", Type.BOOLEAN), ("sms_consent", Type.BOOLEAN),
        ("push_consent", Type.BOOLEAN),
    )
)
VISIT_DAYS = 30
#: What the scan stages beside sums over orders when all totals are asked for.
_BESIDE = ("_bought_first", "_bought_last", "_last_visit", "_last_event")


def staged(total: str) -> str:
    """The column of a total among the staged rows."""
    return f"_t_{total}"


def wants_all(names: Collection[str]) -> bool:
    """Whether more than sums over orders is asked for: visits, activity, the gaps between purchases."""
    return any(total.name in names for total in CUSTOMER_TOTALS)


# Rows of orders ------------------------------------------------------------------------------------------------------


def order_values(purchase_statuses: Collection[str]) -> dict[str, Column]:
    """What one order adds to each of ORDER_VALUES, a whole number; null where it does not count."""
    zero = F.lit(0).cast("decimal(18,4)")
    purchase = F.col("status").isin(list(purchase_statuses))
    none = F.lit(0).cast("bigint")
    units = F.aggregate("items", none, lambda total, line: total + F.coalesce(line["quantity"].cast("bigint"), none))
    revenue = F.coalesce("revenue", zero)
    return {
        "orders": F.lit(1).cast("bigint"),
        "gross_revenue": _whole(revenue),
        "purchases": F.when(purchase, F.lit(1).cast("bigint")),
        "net_revenue": F.when(purchase, _whole(revenue - F.coalesce("refund", zero))),
        "units": F.when(purchase, F.coalesce(units, none)),
        "cost": F.when(purchase, _whole(F.coalesce("cost", zero))),
    }


def _whole(money: Column) -> Column:
    """Money in ten-thousandths."""
    return (money * F.lit(10_000)).try_cast("bigint")


def order_sums(names: Collection[str], values: dict[str, Column], clock: Clock) -> list[Column]:
    """The totals over orders among `names`; `values` are null where a row is not seen, ``_time`` is when it was."""
    sums = [
        F.try_sum(_inside(values[total.value], window_of(total, clock))).alias(staged(total.name))
        for total in ORDER_TOTALS if total.name in names
    ]
    if wants_all(names):
        bought = F.when(values["purchases"].isNotNull(), F.col("_time"))
        sums += [F.min(bought).alias("_bought_first"), F.max(bought).alias("_bought_last")]
    return sums


def window_of(total: OrderTotal, clock: Clock) -> Interval:
    """The instants whose orders a total adds up; an open end is as_of."""
    if total.month is not None:
        month = clock.month(total.month)
        return Interval(month.start, None if total.month == 0 else month.end)
    return Interval(None if total.days is None else clock.before(Step(total.days, "d")), None)


def _inside(value: Column, window: Interval) -> Column:
    tests = [F.col("_time") >= F.lit(window.start)] if window.start is not None else []
    tests += [F.col("_time") < F.lit(window.end)] if window.end is not None else []
    for test in tests:
        value = F.when(test, value)
    return value


# Rows of events ------------------------------------------------------------------------------------------------------


def event_sums(names: Collection[str], clock: Clock) -> list[Column]:
    """What the scan keeps of events: the last one, the last visit, and the visits of the last 30 days."""
    if not wants_all(names):
        return []
    visit = F.col("_seen") & F.col("session_id").isNotNull()
    recent = visit & (F.col("_time") >= F.lit(clock.before(Step(VISIT_DAYS, "d"))))
    # 64 bits tell the few sessions of one customer apart, in a fraction of the bytes of their ids.
    row = F.struct(F.xxhash64("session_id").alias("session"), F.unix_seconds("_time").alias("at"))
    return [
        F.max(F.when(F.col("_seen"), F.col("_time"))).alias("_last_event"),
        F.max(F.when(visit, F.col("_time"))).alias("_last_visit"),
        visit_minutes(F.collect_list(F.when(recent, row))).alias("_visit_minutes"),
    ]


def visit_minutes(rows: Column) -> Column:
    """The length of each visit in whole minutes, first event to last; `rows` are (session, at) in any order.

    Sorted by both, a visit begins where the row before is of another session, and ends where the next one is.
    """
    # As the one element of an array, so that the rows are sorted once and not anew for each of them.
    return F.transform(F.array(F.sort_array(rows)), _minutes)[0]


def _minutes(ordered: Column) -> Column:
    def edges(step: int) -> Column:
        """The instants of rows whose neighbour, `step` places on, is of another session or not there."""

        def at_edge(row: Column, i: Column) -> Column:
            beside = F.get(ordered, i + step)["session"]
            return F.when(~row["session"].eqNullSafe(beside), row["at"])

        return F.array_compact(F.transform(ordered, at_edge))

    return F.zip_with(edges(-1), edges(1), lambda first, last: F.floor((last - first) / 60).cast("int"))


# The staged row ------------------------------------------------------------------------------------------------------


def finished(names: Collection[str]) -> list[Column]:
    """The totals and what else the scan keeps, of the joined sources; zeros where a customer has no rows."""
    zero = F.lit(0).cast("bigint")
    columns = [
        F.coalesce(F.col(staged(total.name)), zero).alias(staged(total.name))
        for total in ORDER_TOTALS if total.name in names
    ]
    if wants_all(names):
        columns += [F.col(name) for name in _BESIDE]
        columns.append(F.coalesce("_visit_minutes", F.array().cast("array<int>")).alias("_visit_minutes"))
    return columns


def money(total: str) -> Column:
    """A staged total of money in its unit, decimal(38,4)."""
    return (F.col(staged(total)).cast("decimal(19,0)") * F.lit(Decimal("0.0001"))).cast("decimal(38,4)")


def of_customer(clock: Clock, lost: Column, available: Collection[str]) -> dict[str, Column]:
    """Every total of a staged row, by name; none of them is null."""

    def flag(test: Column) -> Column:
        return F.when(F.coalesce(test, F.lit(False)), 1).otherwise(0).cast("bigint")

    def since(days: int) -> Column:
        edge = F.lit(clock.before(Step(days, "d")))
        bought = F.col(staged("orders_365" if days == 365 else "orders_30")) > 0
        return bought | F.coalesce(F.col("_last_event") >= edge, F.lit(False))

    def score(name: str, places: int) -> Column:
        column = staged_name(name)
        value = F.col(column) if column in available else F.lit(None)
        whole = (value.cast("decimal(28,8)") * F.lit(10**places)).try_cast("bigint")
        return F.coalesce(whole, F.lit(0).cast("bigint"))

    risk = staged_name("churn.risk_rate")
    mail = F.col("customer_email").isNotNull() & F.col("customer_email_consent")
    text = F.col("customer_phone").isNotNull() & F.col("customer_sms_consent")
    columns = {
        "customers": flag(F.lit(True)), "anonymous": flag(~F.col("_known")), "lost": flag(lost),
        "late": flag(F.col("_has_late")),
        "purchasers": flag(F.col(staged("purchases")) > 0), "purchasers_365": flag(F.col(staged("purchases_365")) > 0),
        "repeaters": flag(F.col(staged("purchases")) > 1),
        "active_365": flag(since(365)), "active_30": flag(since(30)),
        "visits_30": F.size("_visit_minutes").cast("bigint"),
        "reach_email": flag(mail), "reach_sms": flag(text), "reach_push": flag(F.col("customer_push_consent")),
        "reach_ads": flag(F.coalesce(mail, F.lit(False)) | F.coalesce(text, F.lit(False))),
        "scored": flag(F.col(risk).isNotNull() if risk in available else F.lit(False)),
        **{name: score(*source) for name, source in SCORE_TOTALS.items()},
        **{total.name: F.col(staged(total.name)) for total in ORDER_TOTALS},
    }
    assert columns.keys() == {total.name for total in TOTALS}
    return columns


def bins_of_customer(clock: Clock) -> dict[str, Column]:
    """For each of HISTOGRAMS the bins in which a customer counts, array<int>: of days none or one, of visits each."""
    day = lambda instant: F.to_date(F.from_utc_timestamp(instant, clock.zone.key))  # noqa: E731
    gap = F.date_diff(day(F.col("_bought_last")), day(F.col("_bought_first"))) / (F.col(staged("purchases")) - 1)
    silent = F.date_diff(F.lit(clock.snapshot_date), day(F.col("_last_visit")))
    single = {
        "days_since_visit": silent,
        "cycle_days": F.when(F.col(staged("purchases")) > 1, F.round(gap)),
    }
    found = {name: F.array_compact(F.array(column.cast("int"))) for name, column in single.items()}
    found["visit_minutes"] = F.col("_visit_minutes")
    return {name: _at_most(greatest, found[name]) for name, greatest in HISTOGRAMS.items()}


def _at_most(greatest: int, numbers: Column) -> Column:
    return F.transform(numbers, lambda number: F.least(number, F.lit(greatest)))
