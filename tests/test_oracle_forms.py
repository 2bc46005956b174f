"""Holds the oracle to the exact forms of the contract: lifecycle verbs, sequences and values, expectations by hand."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from oracle import Data
from oracle.times import Clock
from strategies import customer, event
from worked_cases import BERLIN, DAY, at, bought, found

def days_ago(id: str, *days: float, type: str = "page_viewed") -> list[dict]:
    """Events exactly so many days of 24 hours before as_of, in a month without a clock change."""
    as_of = Clock(DAY, BERLIN).as_of
    return [event(customer_id=id, event_type=type, occurred_at=as_of - timedelta(days=n)) for n in days]


LIFE = Data(
    events=[
        *days_ago("a", 80, 40), *days_ago("b", 80, 30), *days_ago("c", 30.01), *days_ago("d", 91, 10),
        *days_ago("e", 10),
    ]
)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"first_did": "page_viewed", "within": "30d"}, "e"),
        ({"first_did": "page_viewed", "within": {"before": "30d"}}, "a b c d"),
        ({"stopped": "page_viewed", "within": "90d", "quiet": "30d"}, "a c"),
        ({"restarted": "page_viewed", "within": "30d", "gap": "60d"}, "d"),
        ({"restarted": "page_viewed", "within": "30d", "gap": "8w"}, "d"),
        ({"regularly": "page_viewed", "every": "30d", "periods": {"of": 3, "at_least": 2}}, "a b"),
        ({"regularly": "page_viewed", "every": "30d", "periods": {"of": 4, "at_least": 2}}, "a b d"),
        ({"regularly": "page_viewed", "every": "30d", "periods": {"of": 1, "at_least": 1}}, "b d e"),
        (
            {"regularly": "page_viewed", "every": "90d", "periods": {"of": 1, "at_least": 1},
             "count": {"at_least": 2}},
            "a b",
        ),
    ],
)
def test_lifecycle_verbs(condition, expected):
    assert found(condition, LIFE) == expected


def test_a_verb_over_orders_and_its_filter():
    data = Data(
        orders=[
            bought("a", "2026-06-20 10:00", status="cancelled"), bought("b", "2026-06-20 10:00"),
            bought("b", "2026-01-20 10:00"),
        ]
    )
    assert found({"first_did": {"ordered": "any"}, "within": "30d"}, data) == "a"
    assert found({"first_did": {"ordered": "purchases"}, "within": "30d"}, data) == ""
    assert found({"first_did": {"ordered": "any", "where": {"revenue": 10}}, "within": {"before": "30d"}}, data) == "b"


def shop(steps: str) -> Data:
    """Events of one visitor from text such as "V 01 10:00, Ctea 02 11:00": views, carts and orders by day of June."""
    types = {"V": "product_viewed", "C": "added_to_cart", "O": "checkout_completed"}
    events = []
    for step in steps.split(", "):
        kind, day, time = step.split()
        events.append(
            event(
                customer_id="v", event_type=types[kind[0]], product_id=kind[1:] or None,
                occurred_at=at(f"2026-06-{day} {time}"),
            )
        )
    return Data(events=events)


VIEW, CART, NO_ORDER = {"did": "product_viewed"}, {"did": "added_to_cart"}, {"did_not": "checkout_completed"}
VIEW_CART, VIEW_QUIET_CART, CART_QUIET = [VIEW, CART], [VIEW, NO_ORDER, CART], [CART, NO_ORDER]
SOON = [VIEW, CART | {"after": {"at_most": "24h"}}]
SAME = {"sequence": VIEW_CART, "same": ["product_id"]}
SPAN = {"sequence": CART_QUIET, "span": "7d"}
DAY_LATER = {"sequence": [CART, NO_ORDER | {"after": {"at_least": "24h"}}], "span": "7d"}
SEQUENCES = [
    ("in order", {"sequence": VIEW_CART}, "V 01 10:00, C 01 11:00", True),
    ("wrong order", {"sequence": VIEW_CART}, "C 01 10:00, V 01 11:00", False),
    ("the same instant is not later", {"sequence": VIEW_CART}, "V 01 10:00, C 01 10:00", False),
    ("nothing between", {"sequence": VIEW_QUIET_CART}, "V 01 10:00, O 02 10:00, C 03 10:00", False),
    ("at a neighbour's instant", {"sequence": VIEW_QUIET_CART}, "V 01 10:00, O 01 10:00, C 03 10:00", True),
    ("any choice", {"sequence": VIEW_QUIET_CART}, "V 01 10:00, O 02 10:00, V 02 11:00, C 03 10:00", True),
    ("after, included", {"sequence": SOON}, "V 01 10:00, C 02 10:00", True),
    ("after, too late", {"sequence": SOON}, "V 01 10:00, C 02 10:01", False),
    ("span, included", {"sequence": VIEW_CART, "span": "7d"}, "V 01 10:00, C 08 10:00", True),
    ("span, too long", {"sequence": VIEW_CART, "span": "7d"}, "V 01 10:00, C 08 10:01", False),
    ("window", {"sequence": VIEW_CART, "within": "7d"}, "V 23 10:00, C 25 10:00", False),
    ("same, another", SAME, "Vtea 01 10:00, Cmug 02 10:00", False),
    ("same, found", SAME, "Vtea 01 10:00, Vmug 01 11:00, Cmug 02 10:00", True),
    ("same, missing", SAME, "V 01 10:00, C 02 10:00", False),
    ("quiet end", {"sequence": CART_QUIET}, "C 01 10:00", True),
    ("end at the same instant", {"sequence": CART_QUIET}, "C 01 10:00, O 01 10:00", True),
    ("loud end", {"sequence": CART_QUIET}, "C 01 10:00, O 29 10:00", False),
    ("loud after the span", SPAN, "C 01 10:00, O 08 10:01", True),
    ("loud at the span's end", SPAN, "C 01 10:00, O 08 10:00", False),
    ("before the span has passed", SPAN, "C 30 10:00", True),
    ("not yet a day", DAY_LATER, "C 30 10:00", False),
    ("just a day", DAY_LATER, "C 30 00:00", True),
    ("loud at the end of after", DAY_LATER | {"span": "1h"}, "C 01 10:00, O 02 10:00", True),
    ("loud within after", DAY_LATER | {"span": "1h"}, "C 01 10:00, O 02 09:59", False),
]


@pytest.mark.parametrize(
    ("condition", "steps", "expected"), [case[1:] for case in SEQUENCES], ids=[case[0] for case in SEQUENCES]
)
def test_sequences(condition, steps, expected):
    assert (found(condition, shop(steps)) == "v") is expected


def test_a_span_in_days_is_a_calendar_step_over_a_clock_change():
    data = Data(
        events=[
            event(customer_id="v", event_type="product_viewed", occurred_at=at("2026-03-28 10:00")),
            event(customer_id="v", event_type="added_to_cart", occurred_at=at("2026-03-29 10:00")),
        ]
    )
    assert found({"sequence": VIEW_CART, "span": "1d"}, data) == "v"
    assert found({"sequence": VIEW_CART, "span": "23h"}, data) == "v"
    assert found({"sequence": VIEW_CART, "span": "22h"}, data) == ""


SPENT = Data(
    customers=[customer(customer_id=id, credit=Decimal(20)) for id in "abc"] + [customer(customer_id="d")],
    orders=[
        bought("a", "2026-06-15 12:00", revenue=Decimal(50), discount=Decimal(5)),
        bought("a", "2026-02-15 12:00", revenue=Decimal(20), discount=Decimal(0)),
        bought("b", "2026-06-15 12:00", revenue=Decimal(20), discount=Decimal(0)),
        bought("b", "2026-02-15 12:00", revenue=Decimal(20), discount=Decimal(0)),
        bought("b", "2026-02-16 12:00", revenue=Decimal(0), discount=Decimal(1)),
    ],
)
RECENT = {"ordered": "any", "sum": "revenue", "within": "90d"}
EARLIER = {"ordered": "any", "sum": "revenue", "within": {"ago": ["180d", "90d"]}}
DISCOUNTED = {
    "ratio": [
        {"ordered": "any", "where": {"discount": {"more_than": 0}}, "count": True}, {"ordered": "any", "count": True},
    ]
}


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"value": RECENT, "more_than": EARLIER}, "a"),
        ({"value": RECENT, "at_least": EARLIER}, "a b c d"),
        ({"value": RECENT, "at_least": 20}, "a b"),
        ({"value": RECENT, "at_least": {"customer": "credit"}}, "a b"),
        ({"value": RECENT, "at_most": {"customer": "credit"}}, "b c"),
        ({"value": DISCOUNTED, "at_least": 0.5}, "a"),
        ({"value": DISCOUNTED, "is": "0.33333333"}, "b"),
        ({"value": DISCOUNTED, "known": False}, "c d"),
        ({"value": RECENT, "at_least": {"percentile": 100}}, "a"),
    ],
)
def test_values(condition, expected):
    assert found(condition, SPENT) == expected
