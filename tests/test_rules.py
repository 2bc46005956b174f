"""The rules of the language, one or more worked cases each, on Spark and on the oracle; and the traps of other systems.

What a rule says of runs rather than of conditions is tested where runs are; `ELSEWHERE` says where.
"""

from __future__ import annotations

import ast
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

from agreement import engine_members, settings_for, write
from cases import (
    AS_OF, BERLIN, DAY, EDGES, LEAP, NEW_YORK, SPRING, TICK, Case, at, bought, each, line, merged, person, seen,
)
from oracle import Data, members
from strategies import CATALOGUE, customer, event

from segment_lib.storage import Lake

LOGINS = (
    person("before", last_login=at("2026-06-09 23:59")), person("start", last_login=at("2026-06-10 00:00")),
    person("end", last_login=at("2026-06-10 23:59")), person("next", last_login=at("2026-06-11 00:00")),
    person("never"),
)
COUNTRIES = (person("de", country="DE"), person("at", country="AT"), person("none"), person("blank", country=" "))
MONEY = (
    bought("two", revenue=Decimal("10"), order_id="1x"), bought("two", revenue=Decimal("0.01"), order_id="2x"),
    bought("one", revenue=Decimal("10.0100")), person("zero"),
)
LINES = (
    bought("both", items=[line(product_id="tea", quantity=2)]),
    bought("apart", items=[line(product_id="tea", quantity=1), line(product_id="mug", quantity=2)]),
    bought("twice", items=[line(product_id="tea", quantity=1), line(product_id="tea", quantity=1)]),
    bought("bare", items=None), bought("empty", items=[]),
)
BORN = (
    person("feb28", birthday=date(1990, 2, 28)), person("feb29", birthday=date(1992, 2, 29)),
    person("mar01", birthday=date(1990, 3, 1)), person("dec31", birthday=date(1990, 12, 31)),
    person("jan02", birthday=date(1990, 1, 2)), person("unknown"),
)
SPENDERS = tuple(person(f"p{points}", points=points) for points in (1, 2, 3, 4)) + (
    person("q4", points=4), person("none"),
)

CASES = (
    Case(1, "30d begins at its first instant and ends before as_of", {"did": "any", "within": "30d"}, "last on", EDGES),
    Case(1, "all time sees nothing at or after as_of", {"did": "any"}, "last on under", EDGES),
    Case(1, "ago is half-open as well", {"did": "any", "within": {"ago": ["60d", "30d"]}}, "under", EDGES),
    Case(1, "today is the snapshot date", {"did": "any", "within": "today"}, "last", EDGES),
    Case(1, "in_next begins at as_of", {"customer": "renewal", "in_next": "7d"}, "first last",
         (person("today", renewal=DAY), person("first", renewal=DAY + timedelta(days=1)),
          person("last", renewal=DAY + timedelta(days=7)), person("late", renewal=DAY + timedelta(days=8)))),
    Case(2, "a day of the clock change has 23 hours", {"did": "any", "within": "1d"}, "in",
         (seen("in", "2026-03-29 00:00"), seen("out", "2026-03-28 23:59")), day=SPRING),
    Case(2, "24 hours are exact", {"did": "any", "within": "24h"}, "in", (
        seen("in", "2026-03-28 23:00"), seen("out", "2026-03-28 22:59")), day=SPRING),
    Case(2, "a month step clamps", {"did": "any", "within": "1mo"}, "in", (
        seen("in", "2024-02-01 00:00", ), seen("out", "2024-01-31 23:59")), day=LEAP),
    Case(2, "on a date is its local day", {"customer": "last_login", "on": "2026-06-10"}, "end start", LOGINS),
    Case(2, "before a date is before its start", {"customer": "last_login", "before": "2026-06-10"}, "before", LOGINS),
    Case(2, "after a date is from the next day", {"customer": "last_login", "after": "2026-06-10"}, "next", LOGINS),
    Case(2, "at_most a date is up to its end", {"customer": "last_login", "at_most": "2026-06-10"}, "before end start",
         LOGINS),
    Case(2, "a literal with a time is local", {"customer": "last_login", "less_than": "2026-06-10T00:00"}, "before",
         LOGINS),
    Case(2, "unless it has an offset", {"customer": "last_login", "at_least": "2026-06-09T22:00:00Z"}, "end next start",
         LOGINS),
    Case(2, "not_in_last is known and outside, the future included", {"customer": "last_login", "not_in_last": "30d"},
         "future old", (person("old", last_login=at("2026-01-01 00:00")), person("none"),
                        person("new", last_login=at("2026-06-29 00:00")),
                        person("future", last_login=at("2026-08-01 00:00")))),
    Case(3, "is_not leaves out the missing", {"customer": "country", "is_not": "DE"}, "at", COUNTRIES),
    Case(3, "not_in leaves out the missing", {"customer": "country", "not_in": ["DE"]}, "at", COUNTRIES),
    Case(3, "not_contains leaves out the missing", {"customer": "country", "not_contains": "D"}, "at", COUNTRIES),
    Case(3, "not is the complement and takes them in", {"not": {"customer": "country", "is": "DE"}}, "at blank none",
         COUNTRIES),
    Case(3, "known: false asks for missing, and blank is missing", {"customer": "country", "known": False},
         "blank none", COUNTRIES),
    Case(4, "at_most counts those with none", {"ordered": "any", "count": {"at_most": 1}}, "one zero", MONEY),
    Case(4, "a sum of nothing is 0", {"ordered": "any", "sum": {"of": "revenue", "at_most": 0}}, "zero", MONEY),
    Case(4, "an average of nothing is missing", {"ordered": "any", "avg": {"of": "revenue", "at_least": 0}}, "one two",
         MONEY),
    Case(4, "averages have 8 places, half up", {"did": "any", "avg": {"of": "quantity", "is": "0.66666667"}}, "a", (
        seen("a", "2026-06-01 10:00", quantity=0), seen("a", "2026-06-01 11:00", quantity=1),
        seen("a", "2026-06-01 12:00", quantity=1), seen("b", "2026-06-01 10:00", quantity=1))),
    Case(4, "latest takes the row, then its value", {"did": "any", "latest": {"of": "channel", "known": True}}, "b", (
        seen("a", "2026-06-01 10:00", channel="google"), seen("a", "2026-06-02 10:00"),
        seen("b", "2026-06-02 10:00", channel="google"))),
    Case(4, "of rows at one instant the greater id is the later", {"did": "any", "latest": {"of": "channel", "is": "x"}},
         "a", (seen("a", "2026-06-01 10:00", channel="x", event_id="2"),
               seen("a", "2026-06-01 10:00", channel="y", event_id="1"))),
    Case(4, "of equally frequent values the mode is the smallest", {"did": "any", "mode": {"of": "channel", "is": "a"}},
         "x", (seen("x", "2026-06-01 10:00", channel="b"), seen("x", "2026-06-02 10:00", channel="a"))),
    Case(4, "its share is among the rows with a value",
         {"did": "any", "mode": {"of": "channel", "is": "a", "share": {"at_least": "0.5"}}}, "x",
         (seen("x", "2026-06-01 10:00", channel="b"), seen("x", "2026-06-02 10:00", channel="a"),
          seen("x", "2026-06-03 10:00"), seen("y", "2026-06-03 10:00", channel="b"))),
    Case(5, "anonymous visitors are evaluated", {"did": "any"}, "guest known", (
        person("known"), seen("known", "2026-06-01 10:00"), seen("guest", "2026-06-01 10:00"))),
    Case(5, "unless the segment leaves them out", {"did": "any"}, "known", (
        person("known"), seen("known", "2026-06-01 10:00"), seen("guest", "2026-06-01 10:00")),
        options={"anonymous": False}),
    Case(5, "who was created at or after as_of is not", {"not": {"did": "any"}}, "old", (
        person("old", created_at=AS_OF - TICK), person("new", created_at=AS_OF))),
    Case(5, "rows of an alias count for the canonical customer", {"did": "any", "count": {"at_least": 2}}, "main", (
        person("main"), merged("old", "main"), seen("old", "2025-06-01 10:00"), seen("main", "2026-06-01 10:00"))),
    Case(6, "between includes both ends", {"customer": "points", "between": [2, 3]}, "p2 p3", SPENDERS),
    Case(6, "matches searches anywhere", {"customer": "city", "matches": "er"}, "a", (
        person("a", city="Berlin"), person("b", city="Bonn"))),
    Case(6, "contains ignores case", {"customer": "city", "contains": "BER"}, "a b", (
        person("a", city="Berlin"), person("b", city="Kreuzberg"), person("c", city="Bonn"))),
    Case(6, "unless case says so", {"customer": "city", "contains": "Ber", "case": True}, "a", (
        person("a", city="Berlin"), person("b", city="Kreuzberg"))),
    Case(6, "equality is exact", {"customer": "city", "is": "Berlin"}, "a", (
        person("a", city="Berlin"), person("b", city="berlin"))),
    Case(6, "an empty list is known", {"customer": "tags", "known": True}, "a b", (
        person("a", tags=[]), person("b", tags=["x"]), person("c"))),
    Case(7, "a range may wrap the year", {"customer": "birthday", "anniversary": {"from": "12-02", "to": "01-03"}},
         "dec31 jan02", BORN),
    Case(7, "29 February is the 28th in other years", {"customer": "birthday", "anniversary": {"from": "02-28", "to": "02-28"}},
         "feb28 feb29", BORN),
    Case(7, "and itself in a leap year", {"customer": "birthday", "anniversary": {"from": "02-28", "to": "02-28"}},
         "feb28", BORN, day=LEAP),
    Case(7, "so does the end of a range", {"customer": "birthday", "anniversary": {"from": "02-01", "to": "02-29"}},
         "feb28 feb29", BORN),
    Case(8, "item filters hold within one line",
         {"ordered": "any", "items": {"product_id": "tea", "quantity": {"at_least": 2}}}, "both", LINES),
    Case(8, "lines add up where the filter says sum",
         {"ordered": "any", "items": {"same": "product_id", "quantity": {"sum": {"at_least": 2}}}}, "apart both twice",
         LINES),
    Case(8, "an order without lines meets no item filter",
         {"ordered": "any", "items": {"quantity": {"sum": {"at_least": 0}}}}, "apart both twice", LINES),
    Case(9, "event time decides, not arrival", {"did": "any", "within": "7d"}, "in", (
        seen("in", "2026-06-29 10:00", updated_at=at("2027-01-01 00:00")),
        seen("out", "2026-01-01 10:00", updated_at=at("2026-06-30 10:00")))),
    Case(16, "who is erased is in nothing", {"not": {"did": "any"}}, "here", (person("here"), person("gone")),
         erased=["gone"]),
    Case(17, "a limit keeps the greatest, ties by id", {"customer": "points", "known": True}, "p3 p4 q4", SPENDERS,
         options={"limit": {"top": 3, "by": {"customer": "points"}}}),
    Case(17, "at the cut the smaller id stays", {"customer": "points", "known": True}, "p4", SPENDERS,
         options={"limit": {"top": 1, "by": {"customer": "points"}}}),
    Case(17, "who has no value is cut", {"not": {"did": "any"}}, "p1 p2 p3 p4 q4", SPENDERS,
         options={"limit": {"top": 900, "by": {"customer": "points"}}}),
    Case(17, "who refers to it gets those that are left", {"not": {"segment": "top"}}, "none p1 p2 p3", SPENDERS,
         others={"top": {"where": {"customer": "points", "known": True},
                         "limit": {"top": 2, "by": {"customer": "points"}}}}),
    Case(18, "a text for a decimal field is that decimal", {"ordered": "any", "where": {"revenue": "10.01"}}, "one",
         MONEY),
    Case(18, "a number is the decimal as it is written",
         {"ordered": "any", "sum": {"of": "revenue", "is": Decimal("10.01")}}, "one two", MONEY),
    Case("trap 5", "two ways to one segment are no circle", {"all": [{"segment": "left"}, {"segment": "right"}]}, "de",
         COUNTRIES, others={
             "base": {"where": {"customer": "country", "known": True}},
             "left": {"where": {"all": [{"segment": "base"}, {"customer": "country", "is": "DE"}]}},
             "right": {"where": {"all": [{"segment": "base"}, {"customer": "country", "in": ["DE", "CH"]}]}}}),
    Case("trap 5", "nesting is the only precedence",
         {"any": [{"customer": "country", "is": "AT"},
                  {"all": [{"customer": "country", "is": "DE"}, {"customer": "city", "known": True}]}]}, "at", COUNTRIES),
    Case("trap 6", "not in a segment is everyone else, of whatever eligibility", {"not": {"segment": "germans"}},
         "at blank none", COUNTRIES, others={"germans": {"where": {"customer": "country", "is": "DE"}, "anonymous": False}}),
    Case("trap 6", "the complement of a bound keeps the bound", {"not": {"customer": "points", "more_than": 3}},
         "none p1 p2 p3", SPENDERS),
    Case("trap 6", "a segment of negations alone is a segment", {"none": [{"did": "any"}]}, "none now", EDGES),
    Case("trap 7", "counts and attributes of nobody do not mix up", {"all": [
        {"ordered": "any", "count": 0}, {"customer": "email", "known": False}]}, "zero", MONEY),
    Case("trap 8", "a date field and a time field begin the day together",
         {"all": [{"customer": "renewal", "in_last": "30d"}, {"customer": "last_login", "in_last": "30d"}]}, "on", (
             person("on", renewal=date(2026, 6, 1), last_login=at("2026-06-01 00:00")),
             person("date", renewal=date(2026, 6, 1), last_login=at("2026-05-31 23:59")),
             person("time", renewal=date(2026, 5, 31), last_login=at("2026-06-01 00:00")))),
    Case("trap 9", "a window over the clock change is not empty", {"did": "any", "within": "7d"}, "in", (
        seen("in", "2026-03-23 00:00"), seen("out", "2026-03-22 23:59")), day=SPRING),
    Case("trap 9", "a leap day's birthday is next week", {"customer": "birthday", "anniversary": {"in_next": "7d"}},
         "feb29", (person("feb29", birthday=date(1992, 2, 29)), person("jun", birthday=date(1990, 6, 2))),
         day=date(2026, 2, 25), zone=NEW_YORK),
    Case("trap 9", "the silent part of a condition ends where the night ends",
         {"stopped": "page_viewed", "within": "90d", "quiet": "30d"}, "gone", (
             seen("gone", "2026-05-01 10:00"), seen("back", "2026-05-01 10:00"), seen("back", "2026-06-30 23:59"))),
    Case("trap 10", "a fixed range, both days included",
         {"did": "any", "within": {"from": "2026-06-10", "to": "2026-06-11"}}, "a b", (
             seen("a", "2026-06-10 00:00"), seen("b", "2026-06-11 23:59"), seen("c", "2026-06-12 00:00"))),
    Case("trap 10", "yesterday only", {"did": "any", "within": "yesterday"}, "a", (
        seen("a", "2026-06-29 12:00"), seen("b", "2026-06-30 12:00"), seen("c", "2026-06-28 23:59"))),
    Case("trap 10", "a property's date after today", {"customer": "renewal", "after": "2026-06-30"}, "b", (
        person("a", renewal=DAY), person("b", renewal=DAY + timedelta(days=1)))),
    Case("trap 10", "in the last days on a property", {"customer": "last_login", "in_last": "21d"}, "end next start",
         LOGINS),
    Case("trap 10", "did one thing more often than another",
         {"value": {"did": "product_viewed", "count": True}, "more_than": {"did": "added_to_cart", "count": True}}, "a",
         (seen("a", "2026-06-01 10:00", "product_viewed"), seen("b", "2026-06-01 10:00", "product_viewed"),
          seen("b", "2026-06-02 10:00", "added_to_cart"))),
    Case("trap 10", "spent more lately than before",
         {"value": {"ordered": "any", "sum": "revenue", "within": "90d"},
          "more_than": {"ordered": "any", "sum": "revenue", "within": {"ago": ["180d", "90d"]}}}, "a c", (
             bought("a", "2026-06-01 10:00"), bought("b", "2026-06-01 10:00"), bought("b", "2026-02-01 10:00"),
             bought("c", "2026-06-01 10:00", revenue=Decimal(11)), bought("c", "2026-02-01 10:00"))),
)

#: Rules and traps about runs and files: the module, and tests in it.
ELSEWHERE = {
    10: ("test_rules", ("test_a_percentile_is_of_the_eligible_and_includes_ties",)),
    11: ("test_definitions", ("test_every_fault_of_every_file_at_once",)),
    12: ("test_nightly", ("test_second_night",)),
    13: ("test_nightly", ("test_second_night", "test_only_holds_what_refers_to_a_segment_that_is_set_aside")),
    14: ("test_nightly", ("test_a_static_segment_is_absent_before_it_froze",)),
    15: ("test_nightly", ("test_restating_a_date_and_then_the_stale_ones_equals_the_straight_order",)),
    16: ("test_nightly", ("test_an_erased_customer_is_shown_on_no_date",)),
    "trap 3": ("test_one_scan", ("test_each_input_row_is_read_once",)),
    "trap 4": ("test_nightly", ("test_order_and_deaths_leave_no_trace",)),
    "trap 11": ("test_nightly", ("test_first_night", "test_second_night")),
}


@each(CASES)
def test_rule(case, answers):
    assert answers[case] == (case.found, case.found)


def test_a_percentile_is_of_the_eligible_and_includes_ties(spark, tmp_path):
    """Rule 10, on a night of its own, since everyone eligible counts: of 1 2 3 4 4 the 60% are reached by 3."""
    data = Data(
        customers=[
            customer(customer_id=f"c{number}", points=points, registered=registered)
            for number, (points, registered) in enumerate(
                [(1, True), (2, True), (3, True), (4, True), (4, True), (None, True), (100, False), (100, None)]
            )
        ],
        events=[event(customer_id="guest")],
    )
    definitions = {
        name: {"eligible": ["registered"], "where": {"customer": "points", "at_least": {"percentile": percent}}}
        for name, percent in (("sixty", 60), ("more", Decimal("60.1")), ("all", 0))
    }
    settings = settings_for(str(tmp_path), "Europe/Berlin")
    lake = Lake(spark, settings)
    write(spark, lake, data)
    found = engine_members(spark, lake, settings, definitions, DAY)
    assert found == members(definitions, data, DAY, BERLIN, CATALOGUE)
    assert found == {"sixty": {"c2", "c3", "c4"}, "more": {"c3", "c4"}, "all": {"c0", "c1", "c2", "c3", "c4"}}


def test_every_rule_and_every_trap_has_a_case():
    named = {case.shows for case in CASES} | ELSEWHERE.keys()
    assert named == {*range(1, 19), *(f"trap {number}" for number in range(3, 12))}
    for module, tests in ELSEWHERE.values():
        tree = ast.parse((Path(__file__).parent / f"{module}.py").read_text(encoding="utf-8"))
        assert set(tests) <= {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}, module
