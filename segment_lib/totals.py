"""What the figures of a segment are made of: totals per customer, which add up over any group of customers.

No Spark here: these are names and exact arithmetic. `customer_totals` makes them in the scan, `segment_sums` adds them
up, `figures` says what follows from them.

Totals are whole numbers, so that sums over any number of customers are exact in any order: counts as they are, money in
ten-thousandths of the tenant's currency, scores in hundred-millionths.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal

#: Decimal places of a total: none for counts.
COUNT, MONEY, SCORE = 0, 4, 8
#: How many calendar months the history of a segment's revenue covers, this month included.
MONTHS = 13

#: What an order adds to, by its decimal places; all but the first two count purchases only.
ORDER_VALUES = {
    "orders": COUNT, "gross_revenue": MONEY, "purchases": COUNT, "net_revenue": MONEY, "units": COUNT, "cost": MONEY,
}


@dataclass(frozen=True)
class Total:
    """A total by its name, with its decimal places."""

    name: str
    places: int = COUNT


@dataclass(frozen=True)
class OrderTotal(Total):
    """A sum over a customer's orders: of `value`, in the last `days`, in a `month` back (0 is this one), or ever."""

    value: str = ""
    days: int | None = None
    month: int | None = None


def _of_orders(value: str, *spans: int | None) -> tuple[OrderTotal, ...]:
    """Totals of all time and of the last days; the last day alone is `_day`."""
    places = ORDER_VALUES[value]
    suffixes = {None: "", 1: "_day"}
    return tuple(
        OrderTotal(value + suffixes.get(days, f"_{days}"), places, value, days) for days in spans
    )


#: Sums over orders. Days are those of the tenant's zone and end at as_of; `_day` is the snapshot date alone.
ORDER_TOTALS: tuple[OrderTotal, ...] = (
    *_of_orders("orders", None, 365, 90, 30, 1),
    *_of_orders("gross_revenue", None, 365, 90, 30, 1),
    *_of_orders("purchases", None, 365, 1),
    *_of_orders("net_revenue", None, 365, 1),
    *_of_orders("units", None, 365),
    *_of_orders("cost", None, 365),
    *(OrderTotal(f"net_revenue_month_{back}", MONEY, "net_revenue", month=back) for back in range(MONTHS)),
)
#: What previews and lists of segments show; the rest is for the nightly metrics alone.
BASIC = ("orders", "gross_revenue", "net_revenue")

#: Channels on which a customer can be reached.
REACH = ("email", "sms", "push", "ads")
#: Scores that are summed, with their places; `scored` counts who has them.
SCORE_TOTALS = {
    "next_order_probability": ("next_order.probability", SCORE), "risk_rate": ("churn.risk_rate", SCORE),
    "activity_ratio": ("activity.ratio", SCORE), "ltv": ("value.ltv", MONEY),
    "predicted_revenue": ("value.predicted_revenue", MONEY),
}
#: One for each customer of whom something holds, and visits.
CUSTOMER_TOTALS: tuple[Total, ...] = (
    *(Total(name) for name in (
        "customers", "anonymous", "lost", "late", "purchasers", "purchasers_365", "repeaters", "active_365",
        "active_30", "visits_30", *(f"reach_{channel}" for channel in REACH), "scored",
    )),
    *(Total(name, places) for name, (_, places) in SCORE_TOTALS.items()),
)
TOTALS: tuple[Total, ...] = (*CUSTOMER_TOTALS, *ORDER_TOTALS)
PLACES = {total.name: total.places for total in TOTALS}

#: Whole numbers whose median is asked for, counted in bins of one: the greatest bin holds all that is greater.
HISTOGRAMS = {"visit_minutes": 240, "days_since_visit": 366, "cycle_days": 366}


@dataclass(frozen=True)
class Sums:
    """What a group of customers adds up to: totals as they are summed, and how many lie in which bin.

    A name that is missing is zero. Groups can be joined and taken apart.

    >>> some = Sums({"customers": 3, "net_revenue": 45_0000}, {"cycle_days": {7: 2, 30: 1}})
    >>> some["customers"], some["net_revenue"], some["orders"], some.median("cycle_days"), some.median("visit_minutes")
    (3, Decimal('45.0000'), 0, 7, None)
    >>> (some - Sums({"customers": 1}, {"cycle_days": {7: 2}})).median("cycle_days")
    30
    """

    totals: Mapping[str, int] = field(default_factory=dict)
    bins: Mapping[str, Mapping[int, int]] = field(default_factory=dict)

    def __getitem__(self, name: str) -> int | Decimal:
        """A total in its unit: an int of what is counted, else a Decimal."""
        whole, places = self.totals.get(name, 0), PLACES[name]
        return Decimal(whole).scaleb(-places) if places else whole

    def __sub__(self, other: Sums) -> Sums:
        return Sums(_less(self.totals, other.totals), {
            name: _less(counts, other.bins.get(name, {})) for name, counts in self.bins.items()
        })

    def median(self, name: str) -> int | None:
        """The smallest bin that at least half do not exceed; None of nothing."""
        counts = sorted(self.bins.get(name, {}).items())
        having = sum(count for _, count in counts)
        reached = 0
        for place, count in counts:
            reached += count
            if count and 2 * reached >= having:
                return place
        return None


def _less(counts: Mapping, others: Mapping) -> dict:
    return {name: count - others.get(name, 0) for name, count in counts.items()}


def quotient(top: int | Decimal, bottom: int | Decimal) -> Decimal | None:
    """One over the other, to 8 places, half up; None over zero.

    >>> quotient(1, 3), quotient(Decimal("10.0000"), 4), quotient(1, 0)
    (Decimal('0.33333333'), Decimal('2.50000000'), None)
    """
    return None if not bottom else (Decimal(top) / Decimal(bottom)).quantize(Decimal("1e-8"), ROUND_HALF_UP)
