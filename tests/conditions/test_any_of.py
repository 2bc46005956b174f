"""`any`: at least one condition of a list holds."""

from __future__ import annotations

from cases import Case, bought, each, issues, label, person, told, words

GERMAN, BUYER = {"customer": "country", "is": "DE"}, {"ordered": "any"}
SHOP = (
    person("both", country="DE"), bought("both"), person("idle", country="DE"), person("abroad", country="AT"),
    bought("guest"), person("nothing"),
)

CASES = (
    Case("any", "either holds", {"any": [GERMAN, BUYER]}, "both guest idle", SHOP),
    Case("any", "one alone is that one", {"any": [BUYER]}, "both guest", SHOP),
    Case("any", "a missing value is no match, and the other part decides",
         {"any": [{"customer": "country", "is_not": "DE"}, BUYER]}, "abroad both guest", SHOP),
    Case("any", "a part and its complement hold for everyone", {"any": [GERMAN, {"not": GERMAN}]},
         "abroad both guest idle nothing", SHOP),
    Case("any", "its complement is whoever meets no part", {"not": {"any": [GERMAN, BUYER]}}, "abroad nothing", SHOP),
    Case("any", "inside all", {"all": [BUYER, {"any": [GERMAN, {"customer": "country", "known": False}]}]},
         "both guest", SHOP),
    Case("any", "inside each other", {"any": [{"any": [GERMAN]}, {"any": [{"customer": "country", "is": "AT"}]}]},
         "abroad both idle", SHOP),
)


@each(CASES)
def test_case(case, answers):
    assert answers[case] == (case.found, case.found)


@words(({"any": [GERMAN, {"all": [BUYER, {"did": "any"}]}]}, "(country is DE or (ordered any and did any))"))
def test_words(where, said):
    assert label(where) == said


@told(
    ("where:\n  any: []", "x.yaml:2: where.any: an empty list; write at least one entry"),
    ("where:\n  any: did", "x.yaml:2: where.any: a list is needed here, not 'did'"),
    ("where:\n  any:\n    - ordered: any\n    - did", "x.yaml:4: where.any[1]: a condition is a mapping such as "
     "{customer: country, is: DE}"),
    ("where:\n  any:\n    - {did: any, ordered: any}", "x.yaml:3: where.any[0]: two conditions at one level: did, "
     "ordered; put them into all: [...] or any: [...]"),
)
def test_fault(text, said):
    assert issues(text) == [said]
