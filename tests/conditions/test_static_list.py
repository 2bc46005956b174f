"""`list`: an entry in a static list."""

from __future__ import annotations

from cases import AS_OF, THIRTY, TICK, Case, each, issues, label, listed, merged, person, told, words

BETA = (
    person("on"), listed("on", "beta"), person("other"), listed("other", "vips"), person("undated"),
    listed("undated", "beta", None), person("none"), listed("stranger", "beta"),
)
JOINED = (
    *(person(id) for id in ("under", "start", "last", "now", "undated")), listed("under", "beta", THIRTY - TICK),
    listed("start", "beta", THIRTY), listed("last", "beta", AS_OF - TICK), listed("now", "beta", AS_OF),
    listed("undated", "beta", None),
)
TWICE = (
    person("twice"), listed("twice", "beta", "2025-01-01 10:00"), listed("twice", "beta", "2026-06-20 10:00"),
    person("apart"), listed("apart", "beta", "2025-01-01 10:00"), listed("apart", "vips", "2026-06-20 10:00"),
)

CASES = (
    Case("list", "an entry, dated or not; a list makes nobody a customer", {"list": "beta"}, "on undated", BETA),
    Case("list", "a declared list may be empty", {"list": "nobody"}, "", BETA),
    Case("list", "not is everyone else", {"not": {"list": "beta"}}, "none other", BETA),
    Case("list", "who joins at or after as_of is not on it yet", {"list": "beta"}, "last start undated under", JOINED),
    Case("list", "an entry of an alias is the customer's", {"list": "beta"}, "main", (
        person("main"), merged("old", "main"), listed("old", "beta"), person("none"))),
    Case("joined", "from its first instant; an entry without a date meets nothing",
         {"list": "beta", "joined": {"in_last": "30d"}}, "last start", JOINED),
    Case("joined", "longer ago", {"list": "beta", "joined": {"not_in_last": "30d"}}, "under", JOINED),
    Case("joined", "on a local day", {"list": "beta", "joined": {"on": "2026-06-01"}}, "start", JOINED),
    Case("joined", "an entry without a date", {"list": "beta", "joined": {"known": False}}, "undated", JOINED),
    Case("joined", "any entry in this list", {"list": "beta", "joined": {"in_last": "30d"}}, "twice", TWICE),
)


@each(CASES)
def test_case(case, answers):
    assert answers[case] == (case.found, case.found)


@words(
    ({"list": "beta"}, "on list beta"),
    ({"list": "beta", "joined": {"in_last": "30d"}}, "on list beta, joined in last 30d"),
)
def test_words(where, said):
    assert label(where) == said


@told(
    ("where:\n  list: bta", "x.yaml:2: where.list: unknown list 'bta'; did you mean 'beta'?"),
    ("where:\n  list: [beta, vips]", "x.yaml:2: where.list: text is needed here, not a list"),
    ("where:\n  list: beta\n  joined: 30d", "x.yaml:3: where.joined.is: 30d is not a date; write 2026-03-29, or "
     "2026-03-29T12:30 for a time"),
    ("where:\n  list: beta\n  joined: {at_least: {percentile: 3}}",
     "x.yaml:3: where.joined.at_least: a percentile compares a customer with others; a filter looks at one row; use it "
     "on the aggregate or on a customer field"),
)
def test_fault(text, said):
    assert issues(text) == [said]
