"""`none`: no condition of a list holds."""

from __future__ import annotations

from cases import Case, bought, each, issues, label, person, told, words

GERMAN, BUYER = {"customer": "country", "is": "DE"}, {"ordered": "any"}
SHOP = (
    person("both", country="DE"), bought("both"), person("idle", country="DE"), person("abroad", country="AT"),
    bought("guest"), person("nothing"),
)

CASES = (
    Case("none", "neither holds", {"none": [GERMAN, BUYER]}, "abroad nothing", SHOP),
    Case("none", "one alone is its complement, missing values included", {"none": [GERMAN]}, "abroad guest nothing",
         SHOP),
    Case("none", "known beside it leaves the missing out",
         {"all": [{"none": [GERMAN]}, {"customer": "country", "known": True}]}, "abroad", SHOP),
    Case("none", "its complement is whoever meets a part", {"not": {"none": [GERMAN, BUYER]}}, "both guest idle", SHOP),
    Case("none", "of itself", {"none": [{"none": [GERMAN]}]}, "both idle", SHOP),
    Case("none", "of a negated comparison", {"none": [{"customer": "country", "is_not": "DE"}]},
         "both guest idle nothing", SHOP),
)


@each(CASES)
def test_case(case, answers):
    assert answers[case] == (case.found, case.found)


@words(({"none": [GERMAN, BUYER]}, "none of (country is DE or ordered any)"))
def test_words(where, said):
    assert label(where) == said


@told(
    ("where:\n  none: []", "x.yaml:2: where.none: an empty list; write at least one entry"),
    ("where:\n  none:\n    - list: newsleter", "x.yaml:3: where.none[0].list: unknown list 'newsleter'; known: beta, "
     "nobody, vips"),
)
def test_fault(text, said):
    assert issues(text) == [said]
