"""`visits`: distinct sessions."""

from __future__ import annotations

from cases import EDGES, Case, each, issues, label, merged, person, seen, told, words

SESSIONS = (
    seen("two", "2026-06-01 10:00", session_id="1", channel="google"), seen("two", "2026-06-01 10:05", session_id="1"),
    seen("two", "2026-06-20 10:00", session_id="2", channel="email"),
    seen("one", "2026-06-01 10:00", session_id="1"), seen("one", "2026-06-20 10:00", "added_to_cart", session_id="1"),
    seen("blank", "2026-06-01 10:00", session_id=" "), seen("without", "2026-06-01 10:00"), person("none"),
)

CASES = (
    Case("visits", "at least one", {"visits": "any"}, "one two", SESSIONS),
    Case("visits", "sessions with an event of a type", {"visits": "added_to_cart"}, "one", SESSIONS),
    Case("visits", "of several types",
         {"visits": ["added_to_cart", {"type": "page_viewed", "where": {"channel": "email"}}]}, "one two", SESSIONS),
    Case("count", "distinct sessions, not events", {"visits": "any", "count": {"at_least": 2}}, "two", SESSIONS),
    Case("count", "events without a session count for none", {"visits": "any", "count": 0}, "blank none without",
         SESSIONS),
    Case("count", "at most one includes those with none", {"visits": "any", "count": {"at_most": 1}},
         "blank none one without", SESSIONS),
    Case("where", "sessions with an event that matches", {"visits": "any", "where": {"channel": "email"}, "count": 1},
         "two", SESSIONS),
    Case("where", "the complement takes missing properties in",
         {"visits": "any", "where": {"not": {"channel": "google"}}, "count": 2}, "two", SESSIONS),
    Case("within", "only events in it", {"visits": "any", "within": {"from": "2026-06-20"}, "count": 1}, "one two",
         SESSIONS),
    Case("within", "half-open, nothing at or after as_of", {"visits": "any", "within": "30d"}, "last on",
         tuple((table, row | {"session_id": "s"} if table == "events" else row) for table, row in EDGES)),
    Case("visits", "the sessions of an alias are the customer's", {"visits": "any", "count": 2}, "main", (
        merged("old", "main"), seen("old", "2025-01-01 10:00", session_id="1"),
        seen("main", "2026-06-01 10:00", session_id="2"))),
)


@each(CASES)
def test_case(case, answers):
    assert answers[case] == (case.found, case.found)


@words(
    ({"visits": "any", "within": "30d", "count": {"at_least": 3}}, "visits with any within 30d, count at least 3"),
    ({"visits": ["page_viewed", "added_to_cart"], "where": {"channel": "email"}},
     "visits with page_viewed or added_to_cart with channel is email"),
)
def test_words(where, said):
    assert label(where) == said


@told(
    ("where:\n  visits: any\n  sum: {of: amount, at_least: 1}",
     "x.yaml:3: where.sum: unknown key 'sum'; known: count, visits, where, within"),
    ("where:\n  visits: page_viewd",
     "x.yaml:2: where.visits: unknown event type 'page_viewd'; did you mean 'page_viewed'?"),
    ("where:\n  visits: any\n  count: {contains: 3}",
     "x.yaml:3: where.count.contains: text is needed here, not 3; quote it if it is text"),
    ("where:\n  visits: any\n  count: {at_least: many}",
     "x.yaml:3: where.count.at_least: 'many' is not a number, but the field is"),
)
def test_fault(text, said):
    assert issues(text) == [said]
