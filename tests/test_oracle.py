"""Holds the oracle to the text of the contract on time, operators and boolean nodes: each expectation found by hand."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oracle import Data, members
from oracle.times import Clock
from strategies import CATALOGUE, batch, customer, datasets, definitions, event, previous_members
from worked_cases import BERLIN, NEW_YORK, SANTIAGO, at, found, page

# Rules 1 and 2: windows.

WINDOWS = [
    ("30d", "2026-06-01 00:00:00", True),
    ("30d", "2026-05-31 23:59:59.999999", False),
    ("30d", "2026-06-30 23:59:59.999999", True),
    ("30d", "2026-07-01 00:00:00", False),
    (None, "2026-07-01 00:00:00", False),
    (None, "1999-01-01 00:00:00", True),
    ("8w", "2026-05-06 00:00:00", True),
    ("8w", "2026-05-05 23:59:59", False),
    ("6mo", "2026-01-01 00:00:00", True),
    ("6mo", "2025-12-31 23:59:59", False),
    ("1y", "2025-07-01 00:00:00", True),
    ("1y", "2025-06-30 23:59:59", False),
    ("12h", "2026-06-30 12:00:00", True),
    ("12h", "2026-06-30 11:59:59.999999", False),
    ("30min", "2026-06-30 23:30:00", True),
    ("30min", "2026-06-30 23:29:59", False),
    ({"ago": ["60d", "30d"]}, "2026-05-02 00:00:00", True),
    ({"ago": ["60d", "30d"]}, "2026-05-01 23:59:59", False),
    ({"ago": ["60d", "30d"]}, "2026-05-31 23:59:59.999999", True),
    ({"ago": ["60d", "30d"]}, "2026-06-01 00:00:00", False),
    ({"before": "90d"}, "2026-04-01 23:59:59.999999", True),
    ({"before": "90d"}, "2026-04-02 00:00:00", False),
    ({"from": "2026-03-01", "to": "2026-03-31"}, "2026-03-01 00:00:00", True),
    ({"from": "2026-03-01", "to": "2026-03-31"}, "2026-02-28 23:59:59", False),
    ({"from": "2026-03-01", "to": "2026-03-31"}, "2026-03-31 23:59:59.999999", True),
    ({"from": "2026-03-01", "to": "2026-03-31"}, "2026-04-01 00:00:00", False),
    ({"from": "2026-03-01"}, "2026-06-30 12:00:00", True),
    ({"from": "2026-03-01"}, "2026-07-01 00:00:00", False),
    ({"to": "2026-07-15"}, "2026-07-01 00:00:00", False),
    ({"to": "2026-03-31"}, "1999-01-01 00:00:00", True),
    ("today", "2026-06-30 00:00:00", True),
    ("today", "2026-06-29 23:59:59", False),
    ("yesterday", "2026-06-29 00:00:00", True),
    ("yesterday", "2026-06-30 00:00:00", False),
    ("this_month", "2026-06-01 00:00:00", True),
    ("this_month", "2026-05-31 23:59:59", False),
    ("last_month", "2026-05-01 00:00:00", True),
    ("last_month", "2026-04-30 23:59:59", False),
    ("last_month", "2026-05-31 23:59:59.999999", True),
    ("last_month", "2026-06-01 00:00:00", False),
]


@pytest.mark.parametrize(("within", "local", "seen"), WINDOWS)
def test_windows_are_half_open_and_end_at_as_of(within, local, seen):
    condition = {"did": "any"} | ({"within": within} if within else {})
    data = Data(customers=[customer()], events=[page("c1", local)])
    assert (found(condition, data) == "c1") is seen


STEPS = [
    # a day of 23 hours, and 24 exact ones
    (NEW_YORK, "2026-03-08", "1d", "2026-03-08T05:00:00Z"),
    (NEW_YORK, "2026-03-08", "24h", "2026-03-08T04:00:00Z"),
    (BERLIN, "2026-03-29", "1d", "2026-03-28T23:00:00Z"),
    (BERLIN, "2026-03-29", "today", "2026-03-28T23:00:00Z"),
    # a day of 25 hours
    (NEW_YORK, "2026-11-01", "1d", "2026-11-01T04:00:00Z"),
    (NEW_YORK, "2026-11-01", "24h", "2026-11-01T05:00:00Z"),
    (BERLIN, "2026-10-25", "1d", "2026-10-24T22:00:00Z"),
    # a month back over a change, from summer time to a winter midnight
    (BERLIN, "2026-04-27", "30d", "2026-03-28T23:00:00Z"),
    # months and years clamp to the month's last day
    (BERLIN, "2026-03-30", "1mo", "2026-02-27T23:00:00Z"),
    (BERLIN, "2024-03-30", "1mo", "2024-02-28T23:00:00Z"),
    (BERLIN, "2024-02-28", "1y", "2023-02-27T23:00:00Z"),
    # midnights that do not exist move forward to the day's first instant
    (SANTIAGO, "2026-09-05", "1d", "2026-09-05T04:00:00Z"),
    (SANTIAGO, "2026-09-06", "1d", "2026-09-06T04:00:00Z"),
]


@pytest.mark.parametrize(("zone", "day", "within", "start"), STEPS)
def test_calendar_steps_go_from_midnight_to_midnight_and_hours_are_exact(zone, day, within, start):
    first = at(start)
    events = [
        event(customer_id="in", occurred_at=first),
        event(customer_id="out", occurred_at=first - timedelta(seconds=1)),
    ]
    assert found({"did": "any", "within": within}, Data(events=events), date.fromisoformat(day), zone) == "in"


def test_as_of_of_a_skipped_midnight_is_the_next_days_first_instant():
    assert Clock(date(2026, 9, 5), SANTIAGO).as_of == at("2026-09-06T04:00:00Z")


# Rules 2, 3, 6, 7 and 18: one value and its operators.

EVENING, MORNING = at("2026-06-10 23:30"), at("2026-06-10 00:00")
COMPARISONS = [
    # dates and timestamps
    ("last_login", EVENING, {"on": "2026-06-10"}, True),
    ("last_login", EVENING, {"on": "2026-06-11"}, False),
    ("last_login", MORNING, {"on": "2026-06-10"}, True),
    ("last_login", MORNING, {"before": "2026-06-10"}, False),
    ("last_login", at("2026-06-09 23:59:59"), {"before": "2026-06-10"}, True),
    ("last_login", EVENING, {"after": "2026-06-10"}, False),
    ("last_login", at("2026-06-11 00:00"), {"after": "2026-06-10"}, True),
    ("last_login", MORNING, {"at_least": "2026-06-10"}, True),
    ("last_login", EVENING, {"at_most": "2026-06-10"}, True),
    ("last_login", at("2026-06-11 00:00"), {"at_most": "2026-06-10"}, False),
    ("last_login", EVENING, {"between": ["2026-06-10", "2026-06-10"]}, True),
    ("last_login", EVENING, {"is": "2026-06-10"}, True),
    ("last_login", EVENING, {"is_not": "2026-06-10"}, False),
    ("last_login", EVENING, {"in": ["2026-06-01", "2026-06-10"]}, True),
    ("last_login", EVENING, {"at_least": "2026-06-10T23:30:00"}, True),
    ("last_login", EVENING, {"more_than": "2026-06-10 23:30"}, False),
    ("last_login", EVENING, {"is": "2026-06-10T21:30:00Z"}, True),
    ("last_login", EVENING, {"after": "2026-06-10T23:29:59+02:00"}, True),
    ("renewal", date(2026, 6, 10), {"at_most": "2026-06-10"}, True),
    ("renewal", date(2026, 6, 10), {"less_than": "2026-06-10"}, False),
    ("renewal", date(2026, 6, 10), {"less_than": "2026-06-10T00:00:01"}, True),
    ("renewal", date(2026, 6, 10), {"on": date(2026, 6, 10)}, True),
    ("renewal", date(2026, 6, 24), {"in_last": "7d"}, True),
    ("renewal", date(2026, 6, 23), {"in_last": "7d"}, False),
    ("renewal", date(2026, 6, 23), {"not_in_last": "7d"}, True),
    ("renewal", date(2026, 7, 1), {"not_in_last": "7d"}, True),
    ("renewal", date(2026, 6, 30), {"not_in_last": "7d"}, False),
    ("renewal", date(2026, 6, 30), {"in_next": "7d"}, False),
    ("renewal", date(2026, 7, 1), {"in_next": "7d"}, True),
    ("renewal", date(2026, 7, 7), {"in_next": "7d"}, True),
    ("renewal", date(2026, 7, 8), {"in_next": "7d"}, False),
    ("renewal", date(2026, 5, 2), {"ago": ["60d", "30d"]}, True),
    ("renewal", date(2026, 6, 1), {"ago": ["60d", "30d"]}, False),
    # missing values fail everything but known: false
    *(
        ("tier", missing, operators, False)
        for missing in (None, "", " \t\u00a0") for operators in (
            {"is": "gold"}, {"is_not": "gold"}, {"in": ["gold"]}, {"not_in": ["gold"]}, {"contains": "g"},
            {"not_contains": "g"}, {"matches": "^$"}, {"known": True},
        )
    ),
    ("tier", "", {"known": False}, True),
    ("tier", "gold", {"known": False}, False),
    ("last_login", None, {"not_in_last": "7d"}, False),
    ("points", None, {"is_not": 1}, False),
    ("points", None, {"between": [-5, 5]}, False),
    ("vip", None, {"is_not": True}, False),
    ("vip", False, {"is": False}, True),
    ("vip", False, {"is_not": True}, True),
    # text
    ("tier", "Gold", {"is": "gold"}, False),
    ("tier", "Gold", {"in": ["gold", "Gold"]}, True),
    ("tier", "Gold", {"contains": "OL"}, True),
    ("tier", "Gold", {"contains": "OL", "case": True}, False),
    ("tier", "Gold", {"not_contains": "OL"}, False),
    ("tier", "Gold", {"not_contains": "OL", "case": True}, True),
    ("tier", "KÖLN", {"starts_with": "kö"}, True),
    ("tier", "Gold", {"ends_with": "LD"}, True),
    ("tier", "Gold", {"ends_with": "LD", "case": True}, False),
    ("tier", "a gold one", {"matches": "g.ld"}, True),
    ("tier", "a gold one", {"matches": "^g.ld"}, False),
    ("tier", "NO", {"is": "NO"}, True),
    ("tier", " gold", {"is": "gold"}, False),
    # several operators must all hold
    ("points", 5, {"at_least": 5, "less_than": 6}, True),
    ("points", 5, {"at_least": 5, "less_than": 5}, False),
    # numbers are exact decimals, however they are written
    ("credit", Decimal("0.3000"), {"is": "0.30"}, True),
    ("credit", Decimal("0.3000"), {"is": 0.3}, True),
    ("credit", Decimal("0.3000"), {"more_than": Decimal("0.3")}, False),
    ("credit", Decimal("50.0000"), {"between": [50, "50.00"]}, True),
    ("credit", Decimal("50.0000"), {"not_in": [50]}, False),
    # lists
    ("tags", ["a", "b"], {"has_any": ["b", "x"]}, True),
    ("tags", ["a", "b"], {"has_all": ["b", "x"]}, False),
    ("tags", ["a", "b"], {"has_all": ["b", "a"]}, True),
    ("tags", [], {"known": True}, True),
    ("tags", [], {"has_any": ["a"]}, False),
    ("tags", None, {"known": False}, True),
]


@pytest.mark.parametrize(("field", "value", "operators", "expected"), COMPARISONS)
def test_operators(field, value, operators, expected):
    data = Data(customers=[customer(**{field: value})])
    condition = {"customer": field} | operators
    assert (found(condition, data) == "c1") is expected
    assert (found({"not": condition}, data) == "c1") is not expected


@pytest.mark.parametrize(
    ("day", "literal", "instant"),
    [
        ("2026-03-08", "2026-03-08T02:30:00", "2026-03-08T07:30:00Z"),
        ("2026-11-01", "2026-11-01T01:30:00", "2026-11-01T05:30:00Z"),
    ],
)
def test_a_skipped_local_time_moves_forward_and_a_repeated_one_is_the_earlier(day, literal, instant):
    data = Data(customers=[customer(last_login=at(instant))])
    assert found({"customer": "last_login", "is": literal}, data, date.fromisoformat(day), NEW_YORK) == "c1"


ANNIVERSARIES = [
    ("2026-06-30", "1990-12-02", {"from": "12-02", "to": "01-03"}, True),
    ("2026-06-30", "1990-12-01", {"from": "12-02", "to": "01-03"}, False),
    ("2026-06-30", "1990-12-31", {"from": "12-02", "to": "01-03"}, True),
    ("2026-06-30", "1990-01-03", {"from": "12-02", "to": "01-03"}, True),
    ("2026-06-30", "1990-01-04", {"from": "12-02", "to": "01-03"}, False),
    ("2026-06-30", "2030-12-24", {"from": "12-02", "to": "01-03"}, True),
    ("2026-06-30", "1990-05-05", {"from": "05-05", "to": "05-05"}, True),
    # 29 February is 28 February in other years than leap years, as a value and as the end of a range
    ("2026-06-30", "2000-02-29", {"from": "02-20", "to": "02-28"}, True),
    ("2024-06-30", "2000-02-29", {"from": "02-20", "to": "02-28"}, False),
    ("2026-06-30", "2000-02-28", {"from": "02-29", "to": "03-15"}, True),
    ("2024-06-30", "2000-02-28", {"from": "02-29", "to": "03-15"}, False),
    ("2026-06-30", "2000-02-29", {"from": "02-29", "to": "03-15"}, True),
    ("2026-06-30", "2000-02-29", {"from": "03-01", "to": "03-15"}, False),
    # the next seven days begin the day after the snapshot date
    ("2026-06-30", "1990-06-30", {"in_next": "7d"}, False),
    ("2026-06-30", "1990-07-01", {"in_next": "7d"}, True),
    ("2026-06-30", "1990-07-07", {"in_next": "7d"}, True),
    ("2026-06-30", "1990-07-08", {"in_next": "7d"}, False),
    ("2026-12-28", "1990-01-04", {"in_next": "7d"}, True),
    ("2026-12-28", "1990-01-05", {"in_next": "7d"}, False),
    ("2026-01-02", "1990-12-27", {"in_last": "7d"}, True),
    ("2026-01-02", "1990-12-26", {"in_last": "7d"}, False),
    ("2026-06-30", "1990-06-30", {"in_last": "7d"}, True),
    ("2026-02-27", "2000-02-29", {"in_next": "1d"}, True),
    ("2024-02-27", "2000-02-29", {"in_next": "1d"}, False),
    ("2024-02-28", "2000-02-29", {"in_next": "1d"}, True),
    ("2026-02-28", "2000-02-29", {"in_last": "1d"}, True),
]


@pytest.mark.parametrize(("day", "born", "spec", "expected"), ANNIVERSARIES)
def test_anniversaries(day, born, spec, expected):
    data = Data(customers=[customer(birthday=date.fromisoformat(born))])
    condition = {"customer": "birthday", "anniversary": spec}
    assert (found(condition, data, date.fromisoformat(day)) == "c1") is expected


def test_the_anniversary_of_a_timestamp_is_that_of_its_local_day():
    data = Data(customers=[customer(created_at=at("2020-05-04T22:30:00Z"))])
    assert found({"customer": "created_at", "anniversary": {"from": "05-05", "to": "05-05"}}, data) == "c1"


# Boolean nodes, and refusals.

COUNTED = Data(
    customers=[customer(customer_id="c")],
    events=[page(id, f"2026-06-0{n} 10:00") for id, n in (("a", 1), ("a", 2), ("a", 3), ("b", 1))],
)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"all": [{"did": "any"}, {"did": "any", "count": {"at_least": 2}}]}, "a"),
        ({"any": [{"did": "any", "count": {"is": 3}}, {"did": "any", "count": {"is": 0}}]}, "a c"),
        ({"none": [{"did": "any", "count": {"is": 3}}, {"did": "any", "count": {"is": 0}}]}, "b"),
        ({"not": {"any": [{"did": "any", "count": {"is": 3}}, {"not": {"did": "any"}}]}}, "b"),
    ],
)
def test_boolean_nodes(condition, expected):
    assert found(condition, COUNTED) == expected


@pytest.mark.parametrize(
    "condition",
    [
        {"all": []},
        {"customer": "tier"},
        {"customer": "tier", "is": 5},
        {"customer": "points", "is": True},
        {"customer": "tier", "resembles": "gold"},
        {"score": "churn.risk_rate", "at_least": "0.5"},
        {"did": "any", "within": "30 days"},
        {"did": "any", "count": 1, "sum": {"of": "amount", "is": 1}},
        {"did": "any", "list": "beta"},
    ],
)
def test_what_the_oracle_does_not_know_it_refuses(condition):
    with pytest.raises(ValueError):
        found(condition, Data(customers=[customer(tier="gold", points=1)]))


# The generators.

def test_batches_are_reproducible_and_split_the_customers():
    drawn = batch(7, 40)
    assert drawn == batch(7, 40)
    assert drawn != batch(8, 40)
    previous = previous_members(7, drawn)
    result = members(drawn.definitions, drawn.data, drawn.snapshot_date, drawn.zone, CATALOGUE, previous)
    everyone = {id for found in result.values() for id in found}
    assert sum(0 < len(found) < len(everyone) for found in result.values()) >= 30


def test_batches_reach_every_form():
    """What 15 batches say, as text: each form stands somewhere in it."""
    batches = [batch(seed, 40) for seed in range(15)]
    said = str([drawn.definitions for drawn in batches])
    forms = (
        "all any none not customer did did_not ordered visits segment list consent split where items within eligible "
        "anonymous status entered member_for joined since same share case percentile from to ago before after on is "
        "is_not in not_in at_least more_than at_most less_than between contains not_contains starts_with ends_with "
        "matches known in_last not_in_last in_next anniversary has_any has_all count sum avg min max distinct latest "
        "first mode first_did stopped restarted regularly sequence same span after value ratio limit sql"
    )
    assert [form for form in forms.split() if f"'{form}': " not in said] == []


def test_datasets_reach_every_hard_case():
    datas = [(drawn.data, Clock(drawn.snapshot_date, drawn.zone)) for drawn in (batch(seed, 0) for seed in range(15))]
    times = [[row["occurred_at"] for row in data.events] for data, _ in datas]
    bounds = [{clock.as_of, clock.back("30d"), clock.start_of(clock.snapshot_date)} for _, clock in datas]
    assert any(len(set(each)) < len(each) for each in times), "ties"
    assert any(limits & set(each) for limits, each in zip(bounds, times, strict=True)), "rows at bounds"
    assert any(max(each) >= clock.as_of for each, (_, clock) in zip(times, datas, strict=True)), "rows after as_of"
    assert any(data.erased for data, _ in datas)
    assert any(row["canonical_id"] == "m0" for data, _ in datas for row in data.aliases), "chains"
    assert any(row["city"] == " " for data, _ in datas for row in data.customers), "blanks"
    assert any(row["birthday"] and row["birthday"].day == 29 for data, _ in datas for row in data.customers)
    assert any(row["items"] is None for data, _ in datas for row in data.orders)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_not_is_the_exact_complement_of_any_definition(draw):
    data, day, zone = draw.draw(datasets())
    other = {"name": "other", "where": {"did": "any"}}
    drawn = draw.draw(definitions(CATALOGUE, ["other"], day)) | {"status": "active"}
    drawn.pop("limit", None)
    groups = {"eligible": drawn["eligible"]} if "eligible" in drawn else {}
    groups["anonymous"] = drawn.get("anonymous", True)
    everyone = {"where": {"not": {"did": "any", "count": {"at_least": 999}}}} | groups
    result = members(
        {"other": other, "drawn": drawn, "not": drawn | {"where": {"not": drawn["where"]}}, "everyone": everyone},
        data, day, zone, CATALOGUE,
    )
    assert result["drawn"] | result["not"] == result["everyone"]
    assert not result["drawn"] & result["not"]
