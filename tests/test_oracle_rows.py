"""Holds the oracle to the text of the contract on rows, people, references and percentiles: expectations by hand."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from decimal import Decimal

import pytest

from oracle import Data, members
from strategies import CATALOGUE, customer, line
from worked_cases import BERLIN, DAY, at, bought, found, page

# Rules 3 and 4: counts and other aggregates.

TEN, TWENTY, NOTHING = Decimal("10.0000"), Decimal("20.0000"), None
#: a: 10, 20 and no amount; b: only a row without amount; c: no rows at all.
AMOUNTS = Data(
    customers=[customer(customer_id=id) for id in "abc"],
    events=[
        page("a", "2026-06-01 10:00", amount=TEN, channel="email", event_id="1"),
        page("a", "2026-06-02 10:00", amount=TWENTY, channel="google", event_id="2"),
        page("a", "2026-06-03 10:00", amount=NOTHING, channel="google", event_id="3"),
        page("b", "2026-06-03 10:00", amount=NOTHING, channel=" ", event_id="4"),
    ],
)
AGGREGATES = [
    ({}, "a b"),
    ({"count": {"at_most": 0}}, "c"),
    ({"count": {"at_most": 3}}, "a b c"),
    ({"count": {"at_least": 2}}, "a"),
    ({"count": 1}, "b"),
    ({"sum": {"of": "amount", "at_least": 30}}, "a"),
    ({"sum": {"of": "amount", "is": 0}}, "b c"),
    ({"sum": {"of": "amount", "known": True}}, "a b c"),
    ({"avg": {"of": "amount", "is": 15}}, "a"),
    ({"avg": {"of": "amount", "at_most": 100}}, "a"),
    ({"avg": {"of": "amount", "known": False}}, "b c"),
    ({"min": {"of": "amount", "at_most": 10}}, "a"),
    ({"max": {"of": "amount", "is_not": 7}}, "a"),
    ({"max": {"of": "occurred_at", "on": "2026-06-03"}}, "a b"),
    ({"distinct": {"of": "channel", "is": 2}}, "a"),
    ({"distinct": {"of": "channel", "at_most": 0}}, "b c"),
    ({"latest": {"of": "channel", "is": "google"}}, "a"),
    ({"latest": {"of": "amount", "known": False}}, "a b c"),
    ({"first": {"of": "amount", "is": 10}}, "a"),
    ({"mode": {"of": "channel", "is": "google"}}, "a"),
    ({"mode": {"of": "channel", "share": {"at_least": "0.66666667"}}}, "a"),
    ({"mode": {"of": "channel", "is": "google", "share": {"more_than": "0.66666667"}}}, ""),
    ({"mode": {"of": "amount", "is": 10, "share": {"is": "0.5"}}}, "a"),
]


@pytest.mark.parametrize(("aggregate", "expected"), AGGREGATES)
def test_aggregates(aggregate, expected):
    assert found({"did": "any"} | aggregate, AMOUNTS) == expected


def test_did_not_is_a_count_of_zero():
    assert found({"did_not": "page_viewed"}, AMOUNTS) == "c"


def test_averages_have_eight_places_half_up():
    thirds = Data(events=[page("v", f"2026-06-0{n} 10:00", amount=Decimal(n > 1)) for n in (1, 2, 3)])
    eighths = Data(
        events=[page("v", f"2026-06-{n:02} 10:00", amount=Decimal("0.0001") * (n == 1)) for n in range(1, 17)]
    )
    assert found({"did": "any", "avg": {"of": "amount", "is": "0.66666667"}}, thirds) == "v"
    assert found({"did": "any", "avg": {"of": "amount", "is": "0.00000625"}}, eighths) == "v"


def test_ties_in_time_are_broken_by_the_greater_id():
    tie = [page("v", "2026-06-01 10:00", event_id=id, channel=id) for id in ("b", "a10", "a9")]
    assert found({"did": "any", "latest": {"of": "channel", "is": "b"}}, Data(events=tie)) == "v"
    assert found({"did": "any", "first": {"of": "channel", "is": "a10"}}, Data(events=tie)) == "v"


def test_ties_of_mode_take_the_smallest_value():
    rows = [page("v", f"2026-06-0{n} 10:00", channel=channel) for n, channel in enumerate("zaza", 1)]
    assert found({"did": "any", "mode": {"of": "channel", "is": "a"}}, Data(events=rows)) == "v"


TYPED = Data(
    events=[
        page("a", "2026-06-01 10:00", event_type="email_opened", channel="email", session_id="s1"),
        page("a", "2026-06-01 11:00", event_type="page_viewed", channel="google", session_id="s1"),
        page("b", "2026-06-01 10:00", event_type="email_opened", channel="google", session_id="s1"),
        page("b", "2026-06-01 11:00", event_type="email_opened", channel="email", session_id="s2"),
        page("b", "2026-06-01 12:00", event_type="email_opened", channel="email", session_id=""),
        page("c", "2026-06-01 10:00", event_type="added_to_cart", channel=None),
    ],
)
EVENTS = [
    ({"did": "page_viewed"}, "a"),
    ({"did": ["page_viewed", "added_to_cart"]}, "a c"),
    ({"did": ["page_viewed", {"type": "email_opened", "where": {"channel": "google"}}]}, "a b"),
    ({"did": ["email_opened", {"type": "email_opened", "where": {"channel": "email"}}], "count": {"is": 1}}, "a"),
    ({"did": "any", "where": {"channel": "email"}}, "a b"),
    ({"did": "any", "where": {"channel": {"is_not": "email"}}}, "a b"),
    ({"did": "any", "where": {"not": {"channel": "email"}}}, "a b c"),
    ({"did": "email_opened", "where": {"any": [{"channel": "tiktok"}, {"channel": "email", "session_id": "s1"}]}}, "a"),
    ({"did": "any", "where": {"none": [{"channel": "email"}, {"channel": "google"}]}}, "c"),
    ({"visits": "any", "count": {"at_least": 2}}, "b"),
    ({"visits": "any"}, "a b"),
    ({"visits": "any", "count": {"at_most": 0}}, "c"),
    ({"visits": "any", "where": {"channel": "google"}, "count": {"is": 1}}, "a b"),
]


@pytest.mark.parametrize(("condition", "expected"), EVENTS)
def test_events_and_visits(condition, expected):
    catalogue = CATALOGUE | {"events": CATALOGUE["events"] | {"session_id": "text"}}
    result = members({"s": {"where": condition}}, TYPED, DAY, BERLIN, catalogue)
    assert " ".join(sorted(result["s"])) == expected


# Rule 8: orders and their lines.

ORDERS = Data(
    orders=[
        bought("split", items=[line(product_id="tea", quantity=1), line(product_id="mug", quantity=5)]),
        bought("twice", items=[line(product_id="tea", quantity=1), line(product_id="tea", quantity=1)]),
        bought("both", items=[line(product_id="tea", quantity=2, unit_price=TEN), line(quantity=9)]),
        bought("none", items=None, status="cancelled"),
        bought("empty", items=[], status="pending", revenue=TWENTY),
        bought("null", items=[line(quantity=4), line(product_id="tea", quantity=None)], status="shipped"),
    ]
)
LINES = [
    ({"ordered": "any"}, "both empty none null split twice"),
    ({"ordered": "purchases"}, "both null split twice"),
    ({"ordered": "cancelled"}, "none"),
    ({"ordered": ["cancelled", "shipped"]}, "none null"),
    ({"ordered": "any", "where": {"revenue": {"more_than": 10}}}, "empty"),
    ({"ordered": "any", "items": {"product_id": "tea"}}, "both null split twice"),
    ({"ordered": "any", "items": {"product_id": "tea", "quantity": {"at_least": 2}}}, "both"),
    ({"ordered": "any", "items": {"not": {"product_id": "tea"}}}, "both null split"),
    ({"ordered": "any", "items": {"any": [{"product_id": "mug"}, {"unit_price": 10}]}}, "both split"),
    ({"ordered": "any", "items": {"quantity": {"known": False}}}, "null"),
    ({"ordered": "any", "items": {"same": "product_id", "quantity": {"sum": {"at_least": 2}}}}, "both split twice"),
    ({"ordered": "any", "items": {"product_id": "tea", "quantity": {"sum": {"at_least": 2}}}}, "both twice"),
    ({"ordered": "any", "items": {"quantity": {"sum": {"at_least": 6}}}}, "both split"),
    ({"ordered": "any", "items": {"product_id": "tea", "quantity": {"sum": {"at_most": 1}}}}, "null split"),
    ({"ordered": "any", "sum": {"of": "items.quantity", "at_least": 5}}, "both split"),
    ({"ordered": "any", "items": {"product_id": "tea"}, "sum": {"of": "items.quantity", "is": 2}}, "both twice"),
    ({"ordered": "any", "sum": {"of": "items.quantity", "at_most": 0}}, "empty none"),
    ({"ordered": "any", "avg": {"of": "items.quantity", "known": False}}, "empty none"),
    ({"ordered": "any", "distinct": {"of": "items.product_id", "at_least": 2}}, "split"),
    ({"ordered": "any", "mode": {"of": "items.product_id", "is": "mug"}}, "split"),
]


@pytest.mark.parametrize(("condition", "expected"), LINES)
def test_orders_and_their_lines(condition, expected):
    assert found(condition, ORDERS) == expected


# Rules 5, 9 and 16: who is evaluated.

PEOPLE = Data(
    customers=[
        customer(customer_id="known", country="DE"),
        customer(customer_id="old", country="FR"),
        customer(customer_id="tomorrow", created_at=at("2026-07-01 00:00")),
        customer(customer_id="tonight", created_at=at("2026-06-30 23:59:59")),
        customer(customer_id="forgotten"),
    ],
    events=[
        page("visitor", "2026-06-30 10:00"),
        page("late", "2026-07-01 00:00"),
        page("tomorrow", "2026-06-01 10:00"),
        page("older", "2020-01-01 10:00"),
        page("forgotten", "2026-06-01 10:00"),
        page("alias of forgotten", "2026-06-01 10:00"),
        page("erased alias", "2026-06-01 10:00", amount=TEN),
    ],
    lists=[{"list_id": "beta", "customer_id": id, "joined_at": at("2026-06-15 12:00")} for id in ("old", "stranger")],
    aliases=[
        {"customer_id": "old", "canonical_id": "known"},
        {"customer_id": "older", "canonical_id": "old"},
        {"customer_id": "alias of forgotten", "canonical_id": "forgotten"},
        {"customer_id": "erased alias", "canonical_id": "known"},
    ],
    erased=frozenset({"forgotten", "erased alias"}),
)
EVERYONE = "known tonight visitor"
WHO = [
    ({"not": {"did": "any", "count": {"at_least": 99}}}, EVERYONE),
    ({"did": "any"}, "known visitor"),
    ({"did": "any", "count": {"is": 1}}, "known visitor"),
    ({"did": "any", "sum": {"of": "amount", "more_than": 0}}, ""),
    ({"customer": "country", "is": "DE"}, "known"),
    ({"customer": "country", "is": "FR"}, ""),
    ({"customer": "country", "known": False}, "tonight visitor"),
    ({"list": "beta"}, "known"),
    ({"list": "nobody"}, ""),
]


@pytest.mark.parametrize(("condition", "expected"), WHO)
def test_who_is_evaluated(condition, expected):
    assert found(condition, PEOPLE) == expected


def test_arrival_never_matters():
    data = Data(events=[page("v", "2026-06-30 10:00", updated_at=at("2026-07-05 10:00"))])
    assert found({"did": "any", "within": "today"}, data) == "v"


ELIGIBLE = Data(
    customers=[
        customer(customer_id="registered", registered=True),
        customer(customer_id="mail", email="a@example.com", registered=False),
        customer(customer_id="blank", email=" "),
        customer(customer_id="push", push_consent=True),
    ],
    orders=[bought("visitor"), bought("blank", status="cancelled"), bought("mail", "2026-07-01 00:00")],
)


@pytest.mark.parametrize(
    ("segment", "expected"),
    [
        ({}, "blank mail push registered visitor"),
        ({"anonymous": False}, "blank mail push registered"),
        ({"eligible": ["registered"]}, "registered"),
        ({"eligible": ["purchasers"]}, "visitor"),
        ({"eligible": ["purchasers"], "anonymous": False}, ""),
        ({"eligible": ["email", "push"]}, "mail push"),
    ],
)
def test_eligibility(segment, expected):
    assert found({"split": {"salt": "x", "from": 0, "to": 100}}, ELIGIBLE, **segment) == expected


# Lists, consent, split.

REACHABLE = Data(
    customers=[
        customer(customer_id="fresh", email_consent=True, email_consent_at=at("2026-06-30 10:00")),
        customer(customer_id="old", email_consent=True, email_consent_at=at("2020-06-30 10:00")),
        customer(customer_id="undated", email_consent=True),
        customer(customer_id="revoked", email_consent=False, email_consent_at=at("2026-06-30 10:00")),
        customer(customer_id="unknown"),
    ],
    lists=[
        {"list_id": "vips", "customer_id": "fresh", "joined_at": at("2026-06-30 10:00")},
        {"list_id": "vips", "customer_id": "old", "joined_at": at("2020-06-30 10:00")},
        {"list_id": "vips", "customer_id": "undated", "joined_at": None},
        {"list_id": "vips", "customer_id": "unknown", "joined_at": at("2026-07-01 00:00")},
    ],
)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"consent": "email"}, "fresh old undated"),
        ({"consent": "email", "since": {"in_last": "30d"}}, "fresh"),
        ({"consent": "email", "since": {"not_in_last": "30d"}}, "old"),
        ({"consent": "email", "since": {"before": "2021-01-01"}}, "old"),
        ({"consent": "sms"}, ""),
        ({"list": "vips"}, "fresh old undated"),
        ({"list": "vips", "joined": {"in_last": "30d"}}, "fresh"),
        ({"list": "vips", "joined": {"known": False}}, "undated"),
    ],
)
def test_lists_and_consent(condition, expected):
    assert found(condition, REACHABLE) == expected


def test_split_buckets_by_hash_and_growing_never_moves_anyone():
    ids = [f"c{number}" for number in range(200)]
    data = Data(customers=[customer(customer_id=id) for id in ids])
    low, high = (set(found({"split": {"salt": "s", "from": 0, "to": to}}, data).split()) for to in (30, 60))
    by_hand = {id for id in ids if int(hashlib.sha256(b"s\x1f" + id.encode()).hexdigest()[:16], 16) % 100 < 30}
    assert low == by_hand
    assert low < high


# References to other segments, rules 3 and 12.

def referring(condition: dict, **other) -> str:
    """Members of a segment that refers to X; a is a member of X by its condition, a and b are published ones."""
    data = Data(customers=[customer(customer_id=id, registered=id == "a") for id in "abc"])
    ages = {"a": 7, "b": 30, "gone": 1} if other.pop("held", True) else {}
    previous = {"x": {id: DAY - timedelta(days=age) for id, age in ages.items()}} if ages else {}
    x = {"where": {"customer": "registered", "is": True}} | other
    result = members({"tested": {"where": condition}, "x": x}, data, DAY, BERLIN, CATALOGUE, previous)
    return " ".join(sorted(result["tested"]))


@pytest.mark.parametrize(
    ("condition", "other", "expected"),
    [
        ({"segment": "x"}, {}, "a"),
        ({"not": {"segment": "x"}}, {}, "b c"),
        ({"not": {"segment": "x"}}, {"eligible": ["email"]}, "a b c"),
        ({"segment": "x"}, {"status": "inactive"}, "a b"),
        ({"segment": "x"}, {"status": "inactive", "held": False}, ""),
        ({"segment": "x"}, {"kind": "static"}, "a b"),
        ({"segment": "x"}, {"kind": "static", "held": False}, "a"),
        ({"segment": "x", "entered": {"in_last": "7d"}}, {"status": "inactive"}, ""),
        ({"segment": "x", "entered": {"in_last": "8d"}}, {"status": "inactive"}, "a"),
        ({"segment": "x", "entered": {"on": "2026-06-30"}}, {"held": False}, "a"),
        ({"segment": "x", "member_for": {"at_least": "7d"}}, {"status": "inactive"}, "a b"),
        ({"segment": "x", "member_for": {"at_least": "8d"}}, {"status": "inactive"}, "b"),
        ({"segment": "x", "member_for": {"at_least": "1d"}}, {"held": False}, ""),
        ({"segment": "x", "member_for": {"between": ["1d", "7d"]}}, {"status": "inactive"}, "a"),
    ],
)
def test_references(condition, other, expected):
    assert referring(condition, **other) == expected


# Rule 10: percentiles.

POINTS = Data(
    customers=[
        customer(customer_id=id, points=points)
        for id, points in {"a": 10, "b": 20, "c": 20, "d": 40, "e": None}.items()
    ]
)


@pytest.mark.parametrize(
    ("operators", "expected"),
    [
        ({"at_least": {"percentile": 100}}, "d"),
        ({"at_least": {"percentile": 76}}, "d"),
        ({"at_least": {"percentile": 75}}, "b c d"),
        ({"more_than": {"percentile": 75}}, "d"),
        ({"at_most": {"percentile": 25}}, "a"),
        ({"at_most": {"percentile": 26}}, "a b c"),
        ({"less_than": {"percentile": 1}}, ""),
    ],
)
def test_percentiles_of_a_field_leave_out_the_missing(operators, expected):
    assert found({"customer": "points"} | operators, POINTS) == expected


def test_percentiles_of_an_aggregate_are_among_the_eligible():
    data = Data(
        customers=[customer(customer_id=id, registered=id != "d") for id in "abcd"],
        orders=[
            bought(id, f"2026-06-0{n} 12:00")
            for id, times in {"b": 1, "c": 2, "d": 5}.items() for n in range(1, times + 1)
        ],
    )
    top = {"ordered": "any", "count": {"at_least": {"percentile": 60}}}
    assert found(top, data) == "c d"
    assert found(top, data, eligible=["registered"]) == "b c"
