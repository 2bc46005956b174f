"""The figures of a segment: their names, units and meaning, and how they follow from sums over the members.

One list is the columns of `segment_metrics`, the rows of docs/metrics.md and what `seglake sql METRIC SEGMENT` knows.

The figures of everyone (`_all`) leave lost customers out of every average, because who will not come back says nothing
about the business that is left; counts and sums hold all of them, and `_lost` has a row of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Literal

from segment_lib.totals import MONTHS, REACH, SCORE_TOTALS, Sums, quotient

Number = int | Decimal | None
#: The rows that are no segment: everyone evaluated, and the lost among them by `churn.status`.
EVERYONE, LOST = "_all", "_lost"

_COUNT, _MONEY, _RATIO = "bigint", "decimal(38,4)", "decimal(38,8)"


@dataclass(frozen=True)
class Figure:
    """One number of a segment, made of the totals (or the histogram) it `needs`.

    `kind` says how: ``sum`` is the total itself, ``difference`` the first less the second, ``ratio`` the first over the
    second to 8 places, half up, and ``median`` that of a histogram. Ratios and medians are averages: they have no value
    of nothing (None), and leave the lost out for everyone.
    """

    name: str
    type: str
    unit: str
    says: str
    kind: Literal["sum", "difference", "ratio", "median"]
    needs: tuple[str, ...]

    @property
    def average(self) -> bool:
        return self.kind in ("ratio", "median")

    def of(self, sums: Sums) -> Number:
        """Its value for a group of customers."""
        if self.kind == "median":
            return sums.median(self.needs[0])
        values = [sums[name] for name in self.needs]
        if self.kind == "ratio":
            return quotient(*values)
        return values[0] if self.kind == "sum" else values[0] - values[1]


def _count(name: str, says: str, unit: str = "customers") -> Figure:
    return Figure(name, _COUNT, unit, says, "sum", (name,))


def _money(name: str, says: str) -> Figure:
    return Figure(name, _MONEY, "currency", says, "sum", (name,))


def _ratio(name: str, unit: str, says: str, top: str, bottom: str) -> Figure:
    return Figure(name, _RATIO, unit, says, "ratio", (top, bottom))


def _median(name: str, unit: str, says: str, histogram: str) -> Figure:
    return Figure(name, _COUNT, unit, says, "median", (histogram,))


def _margin(suffix: str, when: str) -> Figure:
    needs = (f"net_revenue{suffix}", f"cost{suffix}")
    says = f"contribution margin 1: net revenue less cost{when}"
    return Figure(f"contribution_margin{suffix}", _MONEY, "currency", says, "difference", needs)


def _tree(suffix: str, when: str) -> tuple[Figure, ...]:
    """The revenue tree: purchasers x orders per customer x units per order x average unit revenue is net revenue."""
    names = ("net_revenue", "purchasers", "purchases", "units")
    net, purchasers, purchases, units = (f"{name}{suffix}" for name in names)
    return (
        _money(net, f"revenue less refunds of purchases{when}"),
        _count(purchasers, f"members with a purchase{when}"),
        _count(purchases, f"purchases: orders in a purchase status{when}", "orders"),
        _count(units, f"units in the lines of purchases{when}", "units"),
        _ratio(f"revenue_per_customer{suffix}", "currency", f"net revenue per purchaser{when}", net, purchasers),
        _ratio(f"orders_per_customer{suffix}", "orders", f"purchases per purchaser{when}", purchases, purchasers),
        _ratio(f"average_order_value{suffix}", "currency", f"net revenue per purchase{when}", net, purchases),
        _ratio(f"units_per_order{suffix}", "units", f"units per purchase{when}", units, purchases),
        _ratio(f"average_unit_revenue{suffix}", "currency", f"net revenue per unit{when}", net, units),
        _margin(suffix, when),
    )


_LAST = {"": "", "_365": " in the last 365 days", "_90": " in the last 90 days", "_30": " in the last 30 days"}
_REACHED = {
    "email": "an email address and email consent", "sms": "a phone number and SMS consent", "push": "push consent",
    "ads": "an email address with email consent, or a phone number with SMS consent, which ad platforms match",
}
_VISITS, _SCORED = "in the last 30 days", "over members with scores"
FIGURES: tuple[Figure, ...] = (
    _count("customers", "members"),
    _count("anonymous", "members whom the customers table does not know"),
    _count("lost", "members who are lost by churn.status; 0 without a churn model"),
    _count("active_365", "members with an event or an order in the last 365 days"),
    *(_count(f"orders{span}", f"orders of all statuses{when}", "orders") for span, when in _LAST.items()),
    *(
        _money(f"gross_revenue{span}", f"revenue of orders of all statuses{when}, before refunds")
        for span, when in _LAST.items()
    ),
    *_tree("", ""),
    *_tree("_365", _LAST["_365"]),
    _count("orders_day", "orders of all statuses on the snapshot date", "orders"),
    _money("gross_revenue_day", "revenue of orders of all statuses on the snapshot date, before refunds"),
    _count("purchases_day", "purchases on the snapshot date", "orders"),
    _money("net_revenue_day", "revenue less refunds of purchases on the snapshot date"),
    _ratio("visits_per_customer", "visits", f"visits (sessions) {_VISITS} per member", "visits_30", "customers"),
    _median("median_visit_minutes", "minutes", f"median length of visits {_VISITS}, first to last event", "visit_minutes"),
    _median("median_days_since_visit", "days", "median days since the last visit, of who has one", "days_since_visit"),
    _ratio("active_30_share", "share", f"members with an event or order {_VISITS}, of all", "active_30", "customers"),
    _ratio("repeat_rate", "share", "purchasers with two purchases or more, of all", "repeaters", "purchasers"),
    _median("median_cycle_days", "days", "median of members' mean days between purchases, if any", "cycle_days"),
    *(
        _ratio(name, "share", f"mean of {SCORE_TOTALS[name][0]} {_SCORED}", name, "scored")
        for name in ("next_order_probability", "risk_rate", "activity_ratio")
    ),
    _money("ltv", "sum of value.ltv"),
    _ratio("ltv_per_customer", "currency", f"mean of value.ltv {_SCORED}", "ltv", "scored"),
    _money("predicted_revenue", "sum of value.predicted_revenue"),
    *(_count(f"reach_{channel}", f"members with {_REACHED[channel]}") for channel in REACH),
)
BY_NAME: Mapping[str, Figure] = {figure.name: figure for figure in FIGURES}
#: What else a row of `segment_metrics` holds: Spark types by name.
GROWTH = {"entered": "bigint", "left": "bigint", "net_growth": "bigint", "share_of_base": _RATIO, "stale_since": "date"}
HISTORY = {"revenue_months": "array<struct<month:date,net_revenue:decimal(38,4)>>"}
#: The columns of `segment_metrics` after the stamp and the segment's id.
COLUMNS = {**{figure.name: figure.type for figure in FIGURES}, **GROWTH, **HISTORY}


def computed(group: str, sums: Mapping[str, Sums]) -> dict[str, Number]:
    """Every figure of a group by name; a group without customers has zeros, and None for averages.

    >>> numbers = computed("vip", {"vip": Sums({"customers": 2, "purchases": 4, "net_revenue": 100_0000})})
    >>> numbers["customers"], numbers["average_order_value"], numbers["repeat_rate"]
    (2, Decimal('25.00000000'), None)
    """
    whole = sums.get(group, Sums())
    left = whole - sums.get(LOST, Sums()) if group == EVERYONE else whole
    return {figure.name: figure.of(left if figure.average else whole) for figure in FIGURES}


def months_of(snapshot_date: date) -> list[date]:
    """The first days of the months of the revenue history, this month first.

    >>> months_of(date(2026, 2, 15))[:3]
    [datetime.date(2026, 2, 1), datetime.date(2026, 1, 1), datetime.date(2025, 12, 1)]
    """
    number = snapshot_date.year * 12 + snapshot_date.month - 1
    return [date((number - back) // 12, (number - back) % 12 + 1, 1) for back in range(MONTHS)]


def revenue_months(snapshot_date: date, sums: Sums) -> list[tuple[date, Decimal]]:
    """Net revenue by month of those who are members tonight, the oldest month first."""
    months = months_of(snapshot_date)
    return [(months[back], Decimal(sums[f"net_revenue_month_{back}"])) for back in reversed(range(MONTHS))]


def table() -> str:
    """The figures as a Markdown table, for docs/metrics.md."""
    head = "| figure | unit | what | how |\n|---|---|---|---|\n"
    words = {"sum": "sum of {0}", "difference": "{0} - {1}", "ratio": "{0} / {1}", "median": "median of {0}"}
    return head + "\n".join(
        f"| `{one.name}` | {one.unit} | {one.says} | {words[one.kind].format(*one.needs)} |" for one in FIGURES
    )
