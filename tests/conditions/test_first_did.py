"""`first_did`: the first occurrence ever lies in the window."""

from __future__ import annotations

from cases import AS_OF, EDGES, THIRTY, TICK, Case, bought, each, issues, label, merged, person, seen, told, words

OFTEN = (
    seen("new", "2026-06-20 10:00"), seen("back", "2026-06-20 10:00"), seen("back", "2025-06-20 10:00"),
    seen("old", "2025-06-20 10:00"), person("never"),
)
CHANNELS = (
    seen("switched", "2025-06-01 10:00", channel="email"), seen("switched", "2026-06-20 10:00", channel="google"),
    seen("loyal", "2025-06-01 10:00", channel="google"), seen("loyal", "2026-06-20 10:00", channel="google"),
    seen("unknown", "2025-06-01 10:00"), seen("unknown", "2026-06-20 10:00", channel="google"),
)
ORDERS = (
    bought("new", "2026-06-20 10:00"), bought("paid", "2025-06-20 10:00", status="cancelled"),
    bought("paid", "2026-06-20 10:00"),
    bought("refused", "2026-06-20 10:00", status="cancelled"), seen("viewer", "2026-06-20 10:00"),
)

CASES = (
    Case("within", "from its first instant to as_of", {"first_did": "any", "within": "30d"}, "last on", EDGES),
    Case("first_did", "an earlier one decides", {"first_did": "page_viewed", "within": "30d"}, "new", OFTEN),
    Case("within", "an older window", {"first_did": "page_viewed", "within": {"before": "30d"}}, "back old", OFTEN),
    Case("within", "ago", {"first_did": "page_viewed", "within": {"ago": ["2y", "30d"]}}, "back old", OFTEN),
    Case("within", "days of the calendar, both included",
         {"first_did": "any", "within": {"from": "2026-06-01", "to": "2026-06-30"}}, "last on", EDGES),
    Case("first_did", "of any of several types", {"first_did": ["page_viewed", "added_to_cart"], "within": "30d"},
         "new", (
        seen("new", "2026-06-20 10:00"), seen("other", "2026-06-20 10:00"),
        seen("other", "2025-06-20 10:00", "added_to_cart"))),
    Case("where", "the first that matches", {"first_did": "any", "where": {"channel": "google"}, "within": "30d"},
         "switched unknown", CHANNELS),
    Case("first_did", "an order of any status", {"first_did": {"ordered": "any"}, "within": "30d"}, "new refused",
         ORDERS),
    Case("first_did", "the first purchase", {"first_did": {"ordered": "purchases"}, "within": "30d"}, "new paid",
         ORDERS),
    Case("first_did", "what an alias did came first", {"first_did": "any", "within": "30d"}, "new", (
        seen("new", THIRTY), merged("old", "main"), seen("old", THIRTY - TICK), seen("main", AS_OF - TICK))),
)


@each(CASES)
def test_case(case, answers):
    assert answers[case] == (case.found, case.found)


@words(
    ({"first_did": "page_viewed", "within": "30d"}, "first did page_viewed within 30d"),
    ({"first_did": {"ordered": "purchases"}, "within": {"ago": ["60d", "30d"]}},
     "first did ordered purchases within ago 60d, 30d"),
)
def test_words(where, said):
    assert label(where) == said


@told(
    ("where:\n  first_did: page_viewed", "x.yaml:1: where: missing key 'within'"),
    ("where:\n  first_did: {ordered: []}\n  within: 30d",
     "x.yaml:2: where.first_did.ordered: an empty list; write at least one entry"),
    ("where:\n  first_did: {orderd: any}\n  within: 30d",
     "x.yaml:2: where.first_did.orderd: unknown key 'orderd'; did you mean 'ordered'?"),
    ("where:\n  first_did: {where: {amount: 5}}\n  within: 30d",
     "x.yaml:2: where.first_did: write either did or ordered, such as {ordered: any}"),
    ("where:\n  first_did: page_viewd\n  within: 30d",
     "x.yaml:2: where.first_did: unknown event type 'page_viewd'; did you mean 'page_viewed'?"),
    ("where:\n  first_did: [page_viewed, page_viewd]\n  within: 30d",
     "x.yaml:2: where.first_did[1]: unknown event type 'page_viewd'; did you mean 'page_viewed'?"),
    ("where:\n  first_did:\n    did: page_viewd\n    where: {amnt: 5}\n  within: 30d",
     "x.yaml:3: where.first_did.did: unknown event type 'page_viewd'; did you mean 'page_viewed'?"),
    ("where:\n  first_did:\n    did: page_viewed\n    where: {amnt: 5}\n  within: 30d", "x.yaml:4: "
     "where.first_did.where.amnt: unknown event property 'amnt'; did you mean 'amount'?"),
    ("where:\n  first_did: page_viewed\n  within: {from: 2026-02-01, to: 2026-01-01}",
     "x.yaml:3: where.within: the window ends (2026-01-01) before it starts (2026-02-01)"),
)
def test_fault(text, said):
    assert issues(text) == [said]
