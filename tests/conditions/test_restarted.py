"""`restarted`: again after a gap."""

from __future__ import annotations

from datetime import timedelta

from cases import AS_OF, THIRTY, TICK, Case, bought, each, issues, label, merged, person, seen, told, words

#: The gap of 60 days before the last 30: no clock change lies in it.
GAP = THIRTY - timedelta(days=60)
RESTARTED = {"restarted": "page_viewed", "within": "30d", "gap": "60d"}
ORDERS = (
    bought("back", "2026-01-01 10:00"), bought("back", "2026-06-20 10:00"), bought("refused", "2026-01-01 10:00"),
    bought("refused", "2026-05-01 10:00", status="cancelled"), bought("refused", "2026-06-20 10:00"),
    bought("steady", "2026-01-01 10:00"), bought("steady", "2026-05-01 10:00"), bought("steady", "2026-06-20 10:00"),
)

CASES = (
    Case("within", "begins at its first instant, and the gap ends there", RESTARTED, "on", (
        seen("on", "2026-01-01 10:00"), seen("on", THIRTY), seen("under", "2026-01-01 10:00"),
        seen("under", THIRTY - TICK))),
    Case("within", "ends where the night ends", RESTARTED, "last", (
        seen("last", "2026-01-01 10:00"), seen("last", AS_OF - TICK), seen("now", "2026-01-01 10:00"),
        seen("now", AS_OF))),
    Case("gap", "begins at its first instant", RESTARTED, "before", (
        seen("before", GAP - TICK), seen("before", "2026-06-20 10:00"), seen("on", GAP),
        seen("on", "2026-06-20 10:00"))),
    Case("gap", "an event in it makes no restart", RESTARTED, "", (
        seen("steady", "2026-01-01 10:00"), seen("steady", "2026-05-01 10:00"), seen("steady", "2026-06-20 10:00"))),
    Case("gap", "in months", {**RESTARTED, "gap": "2mo"}, "march", (
        seen("march", "2026-03-31 23:59"), seen("march", "2026-06-20 10:00"), seen("april", "2026-04-01 00:00"),
        seen("april", "2026-06-20 10:00"))),
    Case("restarted", "who is new, or still away, has not", RESTARTED, "", (
        seen("new", "2026-06-20 10:00"), seen("away", "2026-01-01 10:00"), person("never"))),
    Case("restarted", "any of several types", {**RESTARTED, "restarted": ["page_viewed", "added_to_cart"]}, "mixed", (
        seen("mixed", "2026-01-01 10:00"), seen("mixed", "2026-06-20 10:00", "added_to_cart"))),
    Case("where", "only events that match", {**RESTARTED, "where": {"channel": "email"}}, "back", (
        seen("back", "2026-01-01 10:00", channel="email"), seen("back", "2026-05-01 10:00"),
        seen("back", "2026-06-20 10:00", channel="email"), seen("other", "2026-01-01 10:00"),
        seen("other", "2026-06-20 10:00", channel="email"))),
    Case("restarted", "orders", {**RESTARTED, "restarted": {"ordered": "any"}}, "back", ORDERS),
    Case("restarted", "purchases", {**RESTARTED, "restarted": {"ordered": "purchases"}}, "back refused", ORDERS),
    Case("restarted", "an alias's old event is an event before", RESTARTED, "main", (
        merged("old", "main"), seen("old", "2026-01-01 10:00"), seen("main", "2026-06-20 10:00"))),
)


@each(CASES)
def test_case(case, answers):
    assert answers[case] == (case.found, case.found)


@words((RESTARTED, "restarted page_viewed within 30d after a gap of 60d"))
def test_words(where, said):
    assert label(where) == said


@told(
    ("where:\n  restarted: page_viewed\n  within: 30d", "x.yaml:1: where: missing key 'gap'"),
    ("where:\n  restarted: page_viewed", "x.yaml:1: where: missing keys 'within' and 'gap'"),
    ("where:\n  restarted:\n    ordered: piad\n  within: 30d\n  gap: 60d",
     "x.yaml:3: where.restarted.ordered: unknown order status 'piad'; did you mean 'paid'?"),
    ("where:\n  restarted: page_viewed\n  within: 30d\n  gap: 0d",
     "x.yaml:4: where.gap: '0d' is not a length of time; write 30min, 12h, 30d, 8w, 6mo or 1y"),
)
def test_fault(text, said):
    assert issues(text) == [said]
