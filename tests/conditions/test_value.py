"""`value`: an aggregate, a ratio or a score, compared with a literal, a percentile, another value or an attribute."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from cases import SPRING, Case, bought, each, issues, label, line, person, seen, told, words

#: a: 50 now and 20 before, b: 20 and 20, c: nothing, d: nothing and no credit.
SPENT = (
    *(person(id, credit=Decimal(20)) for id in "abc"), person("d"),
    bought("a", revenue=Decimal(50), discount=Decimal(5)), bought("a", "2026-02-15 12:00", revenue=Decimal(20)),
    bought("b", revenue=Decimal(20)), bought("b", "2026-02-15 12:00", revenue=Decimal(20), discount=Decimal(0)),
    bought("b", "2026-02-16 12:00", revenue=Decimal(0), discount=Decimal(1)),
)
RECENT = {"ordered": "any", "sum": "revenue", "within": "90d"}
EARLIER = {"ordered": "any", "sum": "revenue", "within": {"ago": ["180d", "90d"]}}
COUNT = {"ordered": "any", "count": True}
DISCOUNTED = {"ratio": [{"ordered": "any", "where": {"discount": {"more_than": 0}}, "count": True}, COUNT]}
LATEST = {"ordered": "any", "latest": "coupon"}
COUPONS = (
    person("same", city="TEA"), bought("same", coupon="TEA"), person("other", city="MUG"),
    bought("other", coupon="TEA"),
    person("missing"), bought("missing", coupon="TEA"), person("both"), person("idle", city="TEA"),
)


def value(of: dict, **operators: object) -> dict:
    return {"value": of, **{name.removesuffix("_"): part for name, part in operators.items()}}


CASES = (
    Case("value", "more than another value", value(RECENT, more_than=EARLIER), "a", SPENT),
    Case("value", "at least another, nothing being 0", value(RECENT, at_least=EARLIER), "a c d", SPENT[:-1] + (
        bought("b", "2026-02-16 12:00", revenue=Decimal(1)),)),
    Case("value", "at most, and less than", value(EARLIER, less_than=RECENT, at_most=20), "a", SPENT),
    Case("value", "with a literal", value(RECENT, between=[20, 49]), "b", SPENT),
    Case("value", "with a field; a missing one meets nothing", value(RECENT, at_most={"customer": "credit"}), "b c",
         SPENT),
    Case("value", "is another, both known", value(LATEST, is_={"customer": "city"}), "same", COUPONS),
    Case("value", "is not another, both known", value(LATEST, is_not={"customer": "city"}), "other", COUPONS),
    Case("value", "not is not that: it takes the missing in", {"not": value(LATEST, is_={"customer": "city"})},
         "both idle missing other", COUPONS),
    Case("value", "a ratio has 8 places, half up", value(DISCOUNTED, is_="0.33333333"), "b", SPENT),
    Case("value", "over zero it is missing", value(DISCOUNTED, known=False), "c d", SPENT),
    Case("value", "of a ratio and a ratio",
         value(DISCOUNTED, more_than={"ratio": [COUNT, {"ordered": "any", "sum": "revenue"}]}), "a b", SPENT),
    Case("value", "a date and a time",
         value({"customer": "renewal"}, more_than={"ordered": "any", "max": "ordered_at"}), "after", (
        person("after", renewal=date(2026, 6, 16)), bought("after"), person("on", renewal=date(2026, 6, 15)),
        bought("on"))),
    Case("value", "visits against a field", value({"visits": "any"}, at_least={"customer": "points"}), "enough", (
        person("enough", points=1), seen("enough", "2026-06-01 10:00", session_id="1"), person("few", points=2),
        seen("few", "2026-06-01 10:00", session_id="1"), person("unsaid"),
        seen("unsaid", "2026-06-01 10:00", session_id="1"))),
    Case("value", "order lines that items leaves", value(
        {"ordered": "any", "items": {"product_id": "tea"}, "sum": "items.quantity"},
        more_than={"ordered": "any", "count": True}),
        "many",
        (bought("many", items=[line(product_id="tea", quantity=2)]),
         bought("one", items=[line(product_id="tea", quantity=1)]),
                 bought("mug", items=[line(product_id="mug", quantity=9)]))),
    Case("value", "a percentile of those who have a value",
         value({"ordered": "any", "where": {"coupon": "ranked"}, "avg": "revenue"}, at_least={"percentile": 50}),
         "r2 r3", (
             bought("r1", "2026-03-01 10:00", revenue=Decimal(1), coupon="ranked"),
             bought("r2", "2026-03-01 10:00", revenue=Decimal(2), coupon="ranked"),
             bought("r3", "2026-03-01 10:00", revenue=Decimal(3), coupon="ranked"),
             bought("r0", "2026-03-01 10:00", revenue=Decimal(9)), person("none")), day=SPRING),
)


@each(CASES)
def test_case(case, answers):
    assert answers[case] == (case.found, case.found)


@words(
    (value(RECENT, more_than=EARLIER),
     "ordered any within 90d sum revenue more than ordered any within ago 180d, 90d sum revenue"),
    (value({"customer": "points"}, at_least=3), "customer points at least 3"),
)
def test_words(where, said):
    assert label(where) == said


@told(
    ("where:\n  value: {ordered: any}\n  at_least: 3",
     "x.yaml:2: where.value: a value needs one aggregate, such as count: true or sum: revenue"),
    ("where:\n  value: {ordered: any, did: any, count: true}\n  at_least: 3",
     "x.yaml:2: where.value: a value is one of did, ordered, visits, score, customer, ratio, not "
     "did and ordered together"),
    ("where:\n  value: {did: page_viewd, sum: amnt}\n  at_least: 3",
     "x.yaml:2: where.value.did: unknown event type 'page_viewd'; did you mean 'page_viewed'?"),
    ("where:\n  value: {ratio: [{ordered: any, count: true}]}\n  at_least: 3",
     "x.yaml:2: where.value.ratio: a list of 2 is needed here, not of 1"),
    ("where:\n  value: {customer: points}\n  more_than: {scor: value.ltv}",
     "x.yaml:3: where.more_than.scor: unknown key 'scor'; did you mean 'score'?"),
    ("where:\n  value: {visits: any, sum: amount}\n  at_least: 3", "x.yaml:2: where.value: visits only count"),
    ("where:\n  value: {customer: points, within: 30d}\n  at_least: 3",
     "x.yaml:2: where.value: customer stands alone in a value"),
    ("where:\n  value: {did: any, items: {product_id: tea}, count: true}\n  at_least: 3",
     "x.yaml:2: where.value: items belongs to ordered"),
    ("where:\n  value: {ordered: any, count: true}",
     "x.yaml:1: where: no operator; add one, such as is, at_least, in_last or known"),
    ("where:\n  value: {ordered: any, latest: coupon}\n  is: {customer: points}",
     "x.yaml:3: where.is: a value of type text cannot be compared with one of type integer"),
    ("where:\n  value: {ratio: [{customer: city}, {customer: points}]}\n  at_least: 1",
     "x.yaml:2: where.value.ratio[0]: a ratio needs numbers, and this is text"),
    ("where:\n  value: {ordered: any, count: true}\n  at_least: {ordered: any, sum: revenu}",
     "x.yaml:3: where.at_least.sum: unknown order field 'revenu'; did you mean 'revenue'?"),
)
def test_fault(text, said):
    assert issues(text) == [said]
