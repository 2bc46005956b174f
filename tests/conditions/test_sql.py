"""`sql`: a boolean written as SQL, where conf allows it."""

from __future__ import annotations

from decimal import Decimal

from cases import Case, bought, each, issues, label, person, seen, told, words

from segment_lib.language.formula import ALLOWED

PEOPLE = (
    person("a", city="Berlin", points=3, vip=True), person("b", city="Bern", points=0, vip=False),
    person("c", points=7),
    person("blank", city=" "), seen("guest", "2026-06-01 10:00"),
)
BUYERS = (
    bought("big", revenue=Decimal(90)), bought("big", "2026-06-16 12:00", revenue=Decimal(30)),
    bought("small", revenue=Decimal(10)), bought("mixed", revenue=Decimal(90), status="cancelled"), bought("mixed"),
    person("none"),
)
FEATURES = {
    "spent": {"ordered": "purchases", "sum": "revenue"}, "orders": {"ordered": "purchases", "count": True},
}


def sql(text: str, **features: dict) -> dict:
    return {"sql": text, "features": features} if features else {"sql": text}


CASES = (
    Case("sql", "a field against a literal", sql("points >= 3"), "a c", PEOPLE),
    Case("sql", "null is false", sql("city <> 'Berlin'"), "b", PEOPLE),
    Case("sql", "and its negation is null as well", sql("not city = 'Berlin'"), "b", PEOPLE),
    Case("sql", "not around the condition takes the missing in", {"not": sql("city = 'Berlin'")}, "b blank c guest",
         PEOPLE),
    Case("sql", "blank text is null", sql("city is null"), "blank c guest", PEOPLE),
    Case("sql", "or with null", sql("city = 'Berlin' or points > 5"), "a c", PEOPLE),
    Case("sql", "a flag", sql("vip"), "a", PEOPLE),
    Case("sql", "in, between, like", sql("points in (0, 7) and points between 0 and 6 and city like 'B%n'"), "b",
         PEOPLE),
    Case("sql", "case, coalesce, length",
         sql("case when coalesce(points, 0) = 0 then length(coalesce(city, '')) = 4 else false end"), "b", PEOPLE),
    Case("features", "by name", sql("spent / orders >= 50", **FEATURES), "big", BUYERS),
    Case("features", "a division by zero is null", sql("spent / orders >= 0", **FEATURES), "big mixed small", BUYERS),
    Case("features", "nothing is 0 where aggregates say so", sql("spent = 0 and orders = 0", **FEATURES), "none",
         BUYERS),
    Case("features", "beside fields", sql("orders > points or points is null", **FEATURES), "buyer unsaid", (
        person("buyer", points=0), bought("buyer"), person("idle", points=0), person("unsaid"))),
)


@each(CASES)
def test_case(case, answers):
    assert answers[case] == (case.found, case.found)


@words((sql("points >= 3"), "sql points >= 3"))
def test_words(where, said):
    assert label(where) == said


@told(
    ("where:\n  sql: points", "x.yaml:2: where.sql: a formula needs true or false, and this is integer"),
    ("where:\n  sql: ''", "x.yaml:2: where.sql: empty text; write at least one character"),
    ("where:\n  sql: points > 3\n  features: {}",
     "x.yaml:3: where.features: an empty mapping; write at least one entry"),
    ("where:\n  sql: pionts > 3", "x.yaml:2: where.sql: unknown name 'pionts'; did you mean 'points'?"),
    ("where:\n  sql: reflect('a', 'b') = 1", "x.yaml:2: where.sql: \"REFLECT('a', 'b')\" is not allowed in a formula; "
     f"these are: {ALLOWED}"),
    ("where:\n  sql: points > 3\n  features:\n    points: {ordered: any, count: true}",
     "x.yaml:4: where.features.points: 'points' is a customer field; give the value another name"),
    ("where:\n  sql: orders > 3\n  features:\n    orders: {ordered: any}",
     "x.yaml:4: where.features.orders: a value needs one aggregate, such as count: true or sum: revenue"),
)
def test_fault(text, said):
    assert issues(text) == [said]


def test_it_is_off_unless_conf_allows_it():
    assert issues("where:\n  sql: points > 3", sql=False) == [
        "x.yaml:2: where.sql: sql is off; write it with the other conditions, or let conf say catalogue: {sql: true}"
    ]
