"""`not`: the exact complement of a condition."""

from __future__ import annotations

from cases import AS_OF, TICK, Case, bought, each, issues, label, person, seen, told, words

SHOP = (
    person("de", country="DE"), person("at", country="AT"), person("blank", country=" \t"), person("none"),
    seen("guest", "2026-06-01 10:00"),
)

CASES = (
    Case("not", "a missing value is in the complement", {"not": {"customer": "country", "is": "DE"}},
         "at blank guest none", SHOP),
    Case("not", "of a negated operator too", {"not": {"customer": "country", "is_not": "DE"}}, "blank de guest none",
         SHOP),
    Case("not", "of known", {"not": {"customer": "country", "known": True}}, "blank guest none", SHOP),
    Case("not", "twice is the condition", {"not": {"not": {"customer": "country", "is": "DE"}}}, "de", SHOP),
    Case("not", "of an event is who never did it", {"not": {"did": "any"}}, "at blank de none", SHOP),
    Case("not", "of an aggregate of nothing", {"not": {"did": "any", "avg": {"of": "amount", "at_most": 5}}},
         "at blank de guest none", SHOP),
    Case("not", "a row after the night changes nothing", {"not": {"ordered": "any"}}, "later none", (
        bought("buyer", AS_OF - TICK), person("later"), bought("later", AS_OF), person("none"))),
    Case("not", "among those whom the segment considers", {"not": {"customer": "country", "is": "DE"}}, "at blank none",
         SHOP, options={"anonymous": False}),
    Case("not", "who is not eligible is in neither", {"not": {"customer": "country", "is": "DE"}}, "in", (
        person("in", registered=True), person("out", registered=False), person("unsaid"),
        person("de", registered=True, country="DE")), options={"eligible": ["registered"]}),
)


@each(CASES)
def test_case(case, answers):
    assert answers[case] == (case.found, case.found)


@words(
    ({"not": {"customer": "country", "is": "DE"}}, "not country is DE"),
    ({"not": {"any": [{"did": "any"}, {"ordered": "any"}]}}, "not (did any or ordered any)"),
)
def test_words(where, said):
    assert label(where) == said


@told(
    ("where:\n  not: [{did: any}]",
     "x.yaml:2: where.not: a condition is a mapping such as {customer: country, is: DE}"),
    ("where:\n  not: {}", "x.yaml:2: where.not: an empty condition; write one, such as {customer: country, is: DE}"),
    ("where:\n  not:\n    not:\n      did: nothing",
     "x.yaml:4: where.not.not.did: unknown event type 'nothing'; known: added_to_cart, any, checkout_completed, "
     "email_opened, page_viewed, product_viewed"),
    ("where:\n  not: {did: any}\n  is: DE", "x.yaml:3: where.is: unknown key 'is'; known: not"),
)
def test_fault(text, said):
    assert issues(text) == [said]
