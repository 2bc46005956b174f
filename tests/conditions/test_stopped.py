"""`stopped`: some before, none lately."""

from __future__ import annotations

from datetime import timedelta

from cases import AS_OF, SPRING, THIRTY, TICK, Case, bought, each, issues, label, merged, person, seen, told, words

#: 90 days before as_of lie before June as well, and no clock change does.
NINETY = AS_OF - timedelta(days=90)
STOPPED = {"stopped": "page_viewed", "within": "90d", "quiet": "30d"}
CHANNELS = (
    seen("email", "2026-05-01 10:00", channel="email"), seen("email", "2026-06-20 10:00", channel="google"),
    seen("both", "2026-05-01 10:00", channel="email"), seen("both", "2026-06-20 10:00", channel="email"),
    seen("unknown", "2026-05-01 10:00"),
)
ORDERS = (
    bought("gone", "2026-05-01 10:00"), bought("back", "2026-05-01 10:00"), bought("back", "2026-06-20 10:00"),
    bought("refused", "2026-05-01 10:00"), bought("refused", "2026-06-20 10:00", status="cancelled"),
)

CASES = (
    Case("within", "begins at its first instant", STOPPED, "on", (seen("on", NINETY), seen("before", NINETY - TICK))),
    Case("quiet", "begins at its first instant", STOPPED, "under", (
        seen("on", "2026-05-01 10:00"), seen("on", THIRTY), seen("under", "2026-05-01 10:00"),
        seen("under", THIRTY - TICK))),
    Case("quiet", "ends where the night ends", STOPPED, "gone later", (
        seen("gone", "2026-05-01 10:00"), seen("last", "2026-05-01 10:00"), seen("last", AS_OF - TICK),
        seen("later", "2026-05-01 10:00"), seen("later", AS_OF))),
    Case("stopped", "who never began has not stopped", STOPPED, "", (seen("new", "2026-06-20 10:00"), person("never"))),
    Case("stopped", "another type neither begins nor disturbs", STOPPED, "gone", (
        seen("gone", "2026-05-01 10:00"), seen("gone", "2026-06-20 10:00", "added_to_cart"),
        seen("cart", "2026-05-01 10:00", "added_to_cart"))),
    Case("stopped", "any of several types", {**STOPPED, "stopped": ["page_viewed", "added_to_cart"]}, "cart", (
        seen("mixed", "2026-05-01 10:00"), seen("mixed", "2026-06-20 10:00", "added_to_cart"),
        seen("cart", "2026-05-01 10:00", "added_to_cart"))),
    Case("where", "only events that match begin or disturb", {**STOPPED, "where": {"channel": "email"}}, "email",
         CHANNELS),
    Case("stopped", "orders", {**STOPPED, "stopped": {"ordered": "any"}}, "gone", ORDERS),
    Case("stopped", "purchases", {**STOPPED, "stopped": {"ordered": "purchases"}}, "gone refused", ORDERS),
    Case("stopped", "what an alias does disturbs", STOPPED, "gone", (
        seen("gone", "2026-05-01 10:00"), seen("main", "2026-05-01 10:00"), merged("old", "main"),
        seen("old", "2026-06-20 10:00"))),
    Case("quiet", "a day of the clock change has 23 hours", {"stopped": "any", "within": "2d", "quiet": "1d"},
         "quiet", (
        seen("quiet", "2026-03-28 23:59"), seen("loud", "2026-03-28 12:00"), seen("loud", "2026-03-29 00:00")),
        day=SPRING),
    Case("quiet", "in exact hours it reaches into the day before", {"stopped": "any", "within": "2d", "quiet": "24h"},
         "early", (
        seen("early", "2026-03-28 22:59"), seen("late", "2026-03-28 12:00"), seen("late", "2026-03-28 23:00")),
        day=SPRING),
)


@each(CASES)
def test_case(case, answers):
    assert answers[case] == (case.found, case.found)


@words(
    (STOPPED, "stopped page_viewed within 90d, quiet for 30d"),
    ({**STOPPED, "stopped": {"ordered": "purchases"}}, "stopped ordered purchases within 90d, quiet for 30d"),
)
def test_words(where, said):
    assert label(where) == said


@told(
    ("where:\n  stopped: page_viewed\n  within: 30d\n  quiet: 30d",
     "x.yaml:4: where.quiet: quiet (30d) must be shorter than within (30d)"),
    ("where:\n  stopped: page_viewed\n  within: 30d", "x.yaml:1: where: missing key 'quiet'"),
    ("where:\n  stopped: page_viewd\n  within: 90d\n  quiet: 30d",
     "x.yaml:2: where.stopped: unknown event type 'page_viewd'; did you mean 'page_viewed'?"),
    ("where:\n  stopped: page_viewed\n  within: 90d\n  queit: 30d",
     "x.yaml:4: where.queit: unknown key 'queit'; did you mean 'quiet'?"),
    ("where:\n  stopped: page_viewed\n  within: this_month\n  quiet: 7d",
     "x.yaml:3: where.within: 'this_month' is not a length of time; write 30min, 12h, 30d, 8w, 6mo or 1y"),
)
def test_fault(text, said):
    assert issues(text) == [said]
