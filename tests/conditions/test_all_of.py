"""`all`: every condition of a list holds."""

from __future__ import annotations

from cases import Case, bought, each, issues, label, person, seen, told, words

GERMAN, BUYER, UNKNOWN = {"customer": "country", "is": "DE"}, {"ordered": "any"}, {"customer": "city", "known": False}
SHOP = (
    person("both", country="DE"), bought("both"), person("idle", country="DE"), person("abroad", country="AT"),
    bought("abroad"), bought("guest"), person("nothing"),
)

CASES = (
    Case("all", "both hold", {"all": [GERMAN, BUYER]}, "both", SHOP),
    Case("all", "one alone is that one", {"all": [GERMAN]}, "both idle", SHOP),
    Case("all", "a missing value keeps out", {"all": [BUYER, {"customer": "country", "is_not": "DE"}]}, "abroad", SHOP),
    Case("all", "the complement of one part lets missing values in", {"all": [BUYER, {"not": GERMAN}]}, "abroad guest",
         SHOP),
    Case("all", "its complement is whoever misses one part", {"not": {"all": [GERMAN, BUYER]}},
         "abroad guest idle nothing", SHOP),
    Case("all", "inside each other", {"all": [{"all": [GERMAN, UNKNOWN]}, {"all": [BUYER]}]}, "both", SHOP),
    Case("all", "a part twice is that part", {"all": [BUYER, BUYER]}, "abroad both guest", SHOP),
    Case("all", "parts that exclude each other hold for nobody", {"all": [GERMAN, {"not": GERMAN}]}, "", SHOP),
    Case("all", "each part has rows and a window of its own",
         {"all": [{"did": "any", "within": "7d"}, {"did": "any", "within": {"before": "7d"}}]}, "ever", (
             seen("ever", "2026-06-30 10:00"), seen("ever", "2026-06-01 10:00"), seen("new", "2026-06-30 10:00"),
             seen("old", "2026-06-01 10:00"))),
)


@each(CASES)
def test_case(case, answers):
    assert answers[case] == (case.found, case.found)


@words(
    ({"all": [GERMAN, BUYER]}, "(country is DE and ordered any)"),
    ({"all": [GERMAN, {"all": [UNKNOWN]}]}, "(country is DE and (city is missing))"),
)
def test_words(where, said):
    assert label(where) == said


@told(
    ("where:\n  all: []", "x.yaml:2: where.all: an empty list; write at least one entry"),
    ("where:\n  all: {did: any}", "x.yaml:2: where.all: a list is needed here, not a mapping"),
    ("where:\n  all:\n    - did: any\n    - {}",
     "x.yaml:4: where.all[1]: an empty condition; write one, such as {customer: country, is: DE}"),
    ("where:\n  all:\n    - did: any\n  within: 30d", "x.yaml:4: where.within: unknown key 'within'; known: all"),
    ("where:\n  all:\n    - did: any\n    - did: page_viewd",
     "x.yaml:4: where.all[1].did: unknown event type 'page_viewd'; did you mean 'page_viewed'?"),
)
def test_fault(text, said):
    assert issues(text) == [said]
