"""People for the ready segments that need no score: for each segment who is inside and who just outside, by hand.

Every case returns the members that the naive evaluator finds in its data, and those it should find.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from oracle import Data, members
from strategies import customer, event, line, order
from worked_cases import BERLIN, DAY, at

from segment_lib.conf import load_settings
from segment_lib.ready import choose
from segment_lib.strict_yaml import parse

DEMO = load_settings(str(Path(__file__).parent.parent / "conf")).names()
NAMES = {
    "customers": DEMO.customers(), "events": DEMO.events(), "orders": DEMO.orders(), "items": DEMO.items(),
    "purchase_statuses": DEMO.purchase_statuses,
}


def day(back: int, time: str = "12:00") -> datetime:
    """A local time so many days before as_of: 1 is the snapshot date."""
    return at(f"{DAY + timedelta(days=1 - back)} {time}")


def bought(who: str, *days_back: int, **values) -> list[dict]:
    """Purchases at noon."""
    return [order(customer_id=who, ordered_at=day(back), **values) for back in days_back]


def did(who: str, event_type: str, *times: datetime, **values) -> list[dict]:
    return [event(customer_id=who, event_type=event_type, occurred_at=time, **values) for time in times]


def crowd(count: int, make: Callable[[str, int], list[dict]]) -> list[dict]:
    """The orders of b01, b02, ...: ordinary buyers, as `make` gives them for a name and a number from 1."""
    return [row for number in range(1, count + 1) for row in make(f"b{number:02d}", number)]


def found(name: str, where: dict | None = None, **tables) -> set[str]:
    """The members of a ready segment, or of another condition with its eligibility, in this data."""
    (ready,) = choose([name])
    definition = {key: value for key, value in parse(ready.text, name).value.items() if key != "recommended"}
    definition |= {"where": where} if where else {}
    return members({name: definition}, Data(**tables), DAY, BERLIN, NAMES)[name]


OFF = {"discount": Decimal("0.0100")}
CANCELLED = {"status": "cancelled"}


def top_spenders() -> tuple[set[str], set[str]]:
    """The percentile is among last year's buyers: a hundred people who never bought do not move it."""
    orders = crowd(20, lambda who, number: bought(who, 365, revenue=Decimal(10 * number)))
    orders += bought("often", *range(1, 90), revenue=Decimal(10))
    orders += bought("long ago", 366, revenue=Decimal(1000))
    orders += bought("cancels", 5, revenue=Decimal(1000), **CANCELLED) + bought("cancels", 6)
    idle = [customer(customer_id=f"idle{number}", registered=True) for number in range(100)]
    return found("top_spenders", orders=orders, customers=idle), {"b19", "b20"}


def richie_riches() -> tuple[set[str], set[str]]:
    def lines(*prices: int) -> list[dict]:
        return [line(product_id="tea", quantity=1, unit_price=Decimal(price)) for price in prices]

    orders = crowd(20, lambda who, number: bought(who, 365, items=lines(number)))
    orders += bought("full trolley", 5, revenue=Decimal(500), items=lines(*[10] * 50))
    orders += bought("one in two", 5, items=lines(35, 1))
    orders += bought("no lines", 5, revenue=Decimal(5000)) + bought("long ago", 366, items=lines(99))
    orders += bought("cancels", 5, items=lines(99), **CANCELLED) + bought("cancels", 6, items=lines(1))
    return found("richie_riches", orders=orders), {"b20", "b19"}


def bulk_shoppers() -> tuple[set[str], set[str]]:
    def pieces(*counts: int) -> dict:
        return {"items": [line(product_id=f"p{i}", quantity=count) for i, count in enumerate(counts)]}

    orders = crowd(30, lambda who, number: bought(who, 365, **pieces(min(number, 20))))
    orders += bought("several lines", 5, **pieces(10, 15))
    orders += bought("small and often", *range(1, 90), **pieces(1))
    orders += bought("once in five", 5, **pieces(60)) + bought("once in five", 6, 7, 8, 9, **pieces(1))
    orders += bought("also without lines", 5, **pieces(25)) + bought("also without lines", 6, 7)
    orders += bought("cancels", 5, **pieces(99), **CANCELLED) + bought("cancels", 6, **pieces(1))
    orders += bought("keeps", 5, **pieces(22)) + bought("keeps", 6, **pieces(1), **CANCELLED)
    orders += bought("long ago", 366, **pieces(99))
    return found("bulk_shoppers", orders=orders), {"several lines", "also without lines", "keeps"}


def sleeping_opportunists() -> tuple[set[str], set[str]]:
    """Half of the year's buyers bought last 140 days before the end of the night, or earlier."""
    orders = crowd(20, lambda who, number: bought(who, 10 * number))
    orders += bought("always off", 300, 250, **OFF) + bought("by coupon", 260, coupon="SALE")
    orders += bought("half off", 300, **OFF) + bought("half off", 310)
    orders += bought("third off", 300, **OFF) + bought("third off", 310, 320)
    orders += bought("older", 141, **OFF) + bought("at the median", 140, **OFF) + bought("awake", 5, **OFF)
    orders += bought("lost", 366, **OFF) + bought("nothing off", 300, discount=Decimal(0))
    orders += bought("cancels", 300, **OFF, **CANCELLED) + bought("cancels", 310)
    orders += bought("keeps", 300, **OFF) + bought("keeps", 310, 320, 5, **CANCELLED)
    return found("sleeping_opportunists", orders=orders), {"always off", "by coupon", "half off", "older", "keeps"}


def one_time_shoppers() -> tuple[set[str], set[str]]:
    orders = bought("once", 31) + bought("refunded", 500, status="refunded")
    orders += bought("one kept", 40) + bought("one kept", 35, 5, status="cancelled")
    orders += bought("too soon", 30) + bought("twice", 40, 31) + bought("never", 40, status="cancelled")
    people = [customer(customer_id="never", registered=True)]
    return found("one_time_shoppers", orders=orders, customers=people), {"once", "refunded", "one kept"}


def waiting_first_order() -> tuple[set[str], set[str]]:
    people = [
        customer(customer_id="account", registered=True), customer(customer_id="mail", email="m@example.com"),
        customer(customer_id="push", push_consent=True), customer(customer_id="gave up", registered=True),
        customer(customer_id="unreachable", registered=False, push_consent=False),
        customer(customer_id="buyer", registered=True), customer(customer_id="just ordered", registered=True),
    ]
    orders = bought("buyer", 900) + bought("just ordered", 7, status="pending")
    orders += bought("gave up", 8, status="cancelled")
    visits = did("visitor", "page_viewed", day(2))
    return found("waiting_first_order", customers=people, orders=orders, events=visits), {
        "account", "mail", "push", "gave up"
    }


def abandoned_carts() -> tuple[set[str], set[str]]:
    def cart(who: str, *times: datetime) -> list[dict]:
        return did(who, "added_to_cart", *times)

    events = cart("first instant", day(3, "00:00")) + cart("just before", day(4, "23:59"))
    events += cart("four hours", day(1, "20:00")) + cart("still there", day(1, "20:01"))
    events += cart("ordered", day(2, "10:00")) + cart("another cart", day(3, "10:00"), day(2, "14:00"))
    events += did("only looked", "product_viewed", day(2))
    orders = bought("ordered", 2, status="pending") + bought("another cart", 2)
    return found("abandoned_carts", events=events, orders=orders), {"first instant", "four hours", "another cart"}


def browsed_not_bought() -> tuple[set[str], set[str]]:
    def views(who: str, *times: datetime, products: str = "tea mug") -> list[dict]:
        return [row for product in products.split() for row in did(who, "product_viewed", *times, product_id=product)]

    events = views("two products", day(7, "00:00")) + views("long ago", day(8, "23:59"))
    events += views("one product", day(6), day(5), products="tea")
    events += did("no product", "product_viewed", day(6), day(5))
    events += views("still there", day(1, "20:01")) + views("four hours", day(1, "20:00"))
    events += views("cart", day(5)) + did("cart", "added_to_cart", day(7, "00:00"))
    events += views("old cart", day(5)) + did("old cart", "added_to_cart", day(8))
    events += views("ordered", day(5)) + views("ordered before", day(3))
    orders = bought("ordered", 4) + bought("ordered before", 4)
    return found("browsed_not_bought", events=events, orders=orders), {
        "two products", "four hours", "old cart", "ordered before"
    }


def vip() -> tuple[set[str], set[str]]:
    orders = crowd(98, lambda who, number: bought(who, 365, revenue=Decimal(number)))
    worth = {"revenue": Decimal(1000)}
    orders += bought("keeps", 365, **worth, refund=Decimal(250)) + bought("no refunds", 5, **worth)
    orders += bought("returns", 5, **worth, refund=Decimal("250.1")) + bought("lapsed", 366, **worth)
    orders += bought("cancels", 5, **worth, **CANCELLED) + bought("cancels", 5, revenue=Decimal(1))
    orders += bought("lapsed", 5, **worth, **CANCELLED) + bought("returns", 5, **worth, **CANCELLED)
    orders += bought("no refunds", 5, **worth, **CANCELLED, refund=Decimal(1000))
    return found("vip", orders=orders), {"b98", "keeps", "no refunds"}


def birthday_this_week() -> tuple[set[str], set[str]]:
    def born(who: str, text: str, **values) -> dict:
        return customer(customer_id=who, birthday=date.fromisoformat(text), **values)

    people = [
        born("tomorrow", "1990-07-01", email_consent=True), born("in seven days", "1961-07-07", sms_consent=True),
        born("by push", "2001-07-03", push_consent=True), born("in eight days", "1990-07-08", email_consent=True),
        born("today", "1990-06-30", email_consent=True), born("no consent", "1990-07-01", email_consent=False),
        customer(customer_id="not told", email_consent=True),
    ]
    return found("birthday_this_week", customers=people), {"tomorrow", "in seven days", "by push"}


def discount_lovers() -> tuple[set[str], set[str]]:
    orders = crowd(20, lambda who, number: bought(who, number))
    orders += bought("half", 10, 20, **OFF) + bought("half", 30, 40)
    orders += bought("less than half", 10, 20, **OFF) + bought("less than half", 30, 40, 50)
    orders += bought("by coupon", 10, 900, coupon="SALE") + bought("once", 10, **OFF)
    orders += bought("nothing off", 10, 20, discount=Decimal(0))
    orders += bought("cancels", 10, 11, **OFF, **CANCELLED) + bought("cancels", 20, **OFF)
    orders += bought("cancels more", 10, 11, **OFF) + bought("cancels more", 20, 30, 40, **OFF, **CANCELLED)
    orders += bought("cancels more", 50, 60, 70)
    orders += bought("keeps", 10, 11, **OFF) + bought("keeps", 20, 30, 40, **CANCELLED)
    return found("discount_lovers", orders=orders), {"half", "by coupon", "keeps"}


def new_customers() -> tuple[set[str], set[str]]:
    orders = bought("just in", 30) + bought("just out", 31) + bought("already twice", 30, 2)
    orders += bought("long known", 400, 2) + bought("tried before", 400, status="cancelled") + bought("tried before", 2)
    return found("new_customers", orders=orders), {"just in", "already twice", "tried before"}


def multi_channel() -> tuple[set[str], set[str]]:
    def came(who: str, channels: str, back: int = 5) -> list[dict]:
        return [row for channel in channels.split() for row in did(who, f"page_{channel}", day(back), channel=channel)]

    orders = crowd(20, lambda who, number: bought(who, 400))
    events = [row for number in range(1, 16) for row in came(f"b{number:02d}", "google")]
    events += came("b16", "google email") + came("b17", "google email tiktok", 180)
    events += came("b18", "google") + came("b18", "email", 181)
    events += came("never bought", "google email tiktok") + did("b19", "page_viewed", day(5), day(6))
    return found("multi_channel", events=events, orders=orders), {"b16", "b17"}


def category_loyal() -> tuple[set[str], set[str]]:
    def lines(groups: str) -> dict:
        known = {"r": "rock", "j": "jazz", "-": None}
        return {"items": [line(product_id="cd", item_group=known[group], quantity=1) for group in groups]}

    orders = bought("six in ten", 10, **lines("rrrjj")) + bought("six in ten", 20, 30)
    orders += bought("less", 10, **lines("rrrrjjj")) + bought("less", 20, 30)
    orders += bought("unknown groups", 10, 20, 30, **lines("r----"))
    orders += bought("two purchases", 10, 20, **lines("rrr")) + bought("two purchases", 30, **lines("r"), **CANCELLED)
    orders += bought("cancels", 10, 20, 30, **lines("rj")) + bought("cancels", 40, **lines("rrrrr"), **CANCELLED)
    orders += bought("no lines", 10, 20, 30)
    return found("category_loyal", orders=orders), {"six in ten", "unknown groups"}


def win_back_responders() -> tuple[set[str], set[str]]:
    def told(who: str, time: datetime) -> list[dict]:
        return did(who, "email", time, campaign="win_back")

    everyone = ("in time", "seven days", "too late", "told after", "untold", "short gap", "long gap", "new")
    orders = [row for who in everyone for row in bought(who, 5)]
    orders += [row for who in everyone[:5] for row in bought(who, 300)]
    orders += [order(customer_id="short gap", ordered_at=at("2025-12-01 00:00"))]
    orders += [order(customer_id="long gap", ordered_at=at("2025-11-30 23:59"))]
    events = [row for who in ("in time", "short gap", "long gap", "new") for row in told(who, day(6))]
    events += told("seven days", day(12)) + told("too late", day(12, "11:59")) + told("told after", day(4))
    events += did("untold", "email", day(6)) + told("cancels", day(6)) + told("cancels again", day(6))
    orders += bought("cancels", 300) + bought("cancels", 5, **CANCELLED)
    orders += bought("cancels again", 300, 20) + bought("cancels again", 5, **CANCELLED)
    return found("win_back_responders", events=events, orders=orders), {"in time", "seven days", "long gap"}


CASES = {
    case.__name__: case for case in (
        top_spenders, richie_riches, bulk_shoppers, sleeping_opportunists, one_time_shoppers, waiting_first_order,
        abandoned_carts, browsed_not_bought, vip, birthday_this_week, discount_lovers, new_customers, multi_channel,
        category_loyal, win_back_responders,
    )
}
