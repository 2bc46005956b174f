"""`did_not`: no such event."""

from __future__ import annotations

from decimal import Decimal

from cases import AS_OF, EDGES, Case, bought, each, issues, label, merged, person, seen, told, words

SHOP = (
    seen("view", "2026-06-01 10:00", channel="email"), seen("cart", "2026-06-01 10:00", "added_to_cart"),
    seen("plain", "2026-06-01 10:00"), bought("paid"), bought("cancelled", status="cancelled", revenue=Decimal(50)),
    person("none"),
)

CASES = (
    Case("did_not", "any event, and never anything", {"did_not": "any"}, "cancelled none paid", SHOP),
    Case("did_not", "one type", {"did_not": "page_viewed"}, "cancelled cart none paid", SHOP),
    Case("did_not", "none of a list", {"did_not": ["page_viewed", "added_to_cart"]}, "cancelled none paid", SHOP),
    Case("did_not", "an order", {"did_not": {"ordered": "any"}}, "cart none plain view", SHOP),
    Case("did_not", "a purchase", {"did_not": {"ordered": "purchases"}}, "cancelled cart none plain view", SHOP),
    Case("where", "no event that matches; a missing property does not",
         {"did_not": "page_viewed", "where": {"channel": "email"}}, "cancelled cart none paid plain", SHOP),
    Case("where", "of one entry of a list",
         {"did_not": [{"type": "page_viewed", "where": {"channel": {"known": False}}}]},
         "cancelled cart none paid view", SHOP),
    Case("where", "of orders", {"did_not": {"ordered": "any"}, "where": {"revenue": {"more_than": 10}}},
         "cart none paid plain view", SHOP),
    Case("within", "at its start, not before and not at as_of", {"did_not": "any", "within": "30d"}, "none now under",
         EDGES),
    Case("within", "all time ends at as_of", {"did_not": "any"}, "none now", EDGES),
    Case("within", "ago", {"did_not": "any", "within": {"ago": ["60d", "30d"]}}, "last none now on", EDGES),
    Case("did_not", "what an alias did counts", {"did_not": "any"}, "idle", (
        person("main"), merged("old", "main"), seen("old", "2025-01-01 10:00"), person("idle"))),
    Case("did_not", "who comes after the night is not evaluated", {"did_not": "any"}, "here", (
        person("here"), seen("visitor", AS_OF))),
)


@each(CASES)
def test_case(case, answers):
    assert answers[case] == (case.found, case.found)


@words(
    ({"did_not": ["page_viewed", "added_to_cart"], "within": "30d"}, "did not page_viewed or added_to_cart within 30d"),
    ({"did_not": {"ordered": "purchases"}}, "did not ordered purchases"),
)
def test_words(where, said):
    assert label(where) == said


@told(
    ("where:\n  did_not: any\n  count: 0", "x.yaml:3: where.count: unknown key 'count'; known: did_not, where, within"),
    ("where:\n  did_not: {ordered: any, did: any}",
     "x.yaml:2: where.did_not: write either did or ordered, such as {ordered: any}"),
    ("where:\n  did_not: page_viewd",
     "x.yaml:2: where.did_not: unknown event type 'page_viewd'; did you mean 'page_viewed'?"),
    ("where:\n  did_not: page_viewd\n  where: {amnt: 1}",
     "x.yaml:2: where.did_not: unknown event type 'page_viewd'; did you mean 'page_viewed'?"),
    ("where:\n  did_not: any\n  where: {amount: {at_least: low}}",
     "x.yaml:3: where.where.amount.at_least: 'low' is not a number, but the field is"),
)
def test_fault(text, said):
    assert issues(text) == [said]
