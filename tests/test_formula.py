"""Formulas of `sql` conditions: what is read, what is refused and why; what they find is in the agreement tests."""

from __future__ import annotations

import pytest

from segment_lib.build import segment
from segment_lib.catalogue import Catalogue, Type
from segment_lib.conditions import REGISTRY
from segment_lib.core import Call, Compare, Constant, Field
from segment_lib.definition.check import check_segment

FIELDS = {"points": Type.INTEGER, "credit": Type.DECIMAL, "renewal": Type.DATE, "tags": Type.TEXTS}
CATALOGUE = Catalogue(sql=True, customer_fields=FIELDS)


def faults(text: str, catalogue: Catalogue = CATALOGUE, **more) -> list[str]:
    definition = segment("tested", where=REGISTRY["sql"].model_validate({"sql": text, **more}))
    return [f"{fault.message}; {fault.hint}" for fault in check_segment(definition, frozenset(), catalogue)
            if fault.severity == "error"]


@pytest.mark.parametrize("text", [
    "length(city) > 10", "points / 2 >= 3 and not registered", "points in (1, 2, null)", "renewal < date '2026-01-01'",
    "created_at >= '2026-01-01T10:00'", "case when points = 1 then city = 'x' else false end", "`city` = 'x' -- comment",
    "coalesce(points, 0) + 1 > 2", "year(created_at) % 2 = 0", "city || 'x' = 'ax'", "registered is true",
    "points not between 1 and 3", "-points < 0", r"city = 'it\'s'",
])
def test_formulas_that_are_read(text):
    assert faults(text) == []


@pytest.mark.parametrize(("text", "message"), [
    ("a >", "not a SQL expression near '>', column 3"),
    ("select 1", "'SELECT 1' is not allowed"),
    ("(select 1) = 1", "is not allowed"),
    ("points in (select 1)", "has a form that is not allowed"),
    ("exists(select 1)", "is not allowed"),
    ("points = 1; drop table customers", "is not allowed"),
    ("java_method('java.lang.Runtime')", "is not allowed"),
    ("cast(points as string) = '1'", "'CAST(points AS STRING)' is not allowed"),
    ("points::string = '1'", "'CAST(points AS STRING)' is not allowed"),
    ("trim(leading 'x' from city) = 'a'", "has a form that is not allowed"),
    ("current_date() > renewal", "is not allowed"),
    ("city > 3", "> of a number and text"),
    ("tags = 'a'", "= of a list and text"),
    ("created_at = renewal", "= of a date and a time"),
    ("city + 1 > 2", "+ needs a number, and this is text"),
    ("case when points > 1 then points else city end = 1", "case of a number and text"),
    ("points", "a formula needs true or false, and this is integer"),
    ("citi = 'x'", "unknown name 'citi'; did you mean 'city'?"),
    ("x.city = 'x'", "unknown name 'x.city'"),
    ("points = 1e400", "1e400 cannot be compared exactly"),
    ("renewal = 'tomorrow'", "tomorrow is not a date"),
    ("not " * 490 + "true", "the formula is nested too deep"),
    ("true and " * 300 + "true", "the formula is 2704 characters long"),
])
def test_formulas_that_are_refused(text, message):
    (fault,) = faults(text)
    assert message in fault


def test_a_formula_is_off_unless_conf_allows_it():
    (fault,) = faults("points > 1", Catalogue(customer_fields=FIELDS))
    assert fault == "sql is off; write it with the other conditions, or let conf say catalogue: {sql: true}"


def test_named_values():
    orders = {"ordered": "any", "count": True}
    assert faults("orders > 3", features={"orders": orders}) == []
    assert faults("points > 3", features={"points": orders}) == ["'points' is a customer field; give the value another name"]
    assert faults("orders > 3", features={"orders": {"ordered": "any", "sum": "revenu"}})[0].startswith(
        "unknown order field 'revenu'")


def test_a_formula_is_a_typed_tree():
    definition = segment("tested", where=REGISTRY["sql"].model_validate({"sql": "points > 3"}))
    from segment_lib.definition.check import _ANY_CLOCK
    from segment_lib.language.scope import Scope

    points, three = Field("customers", "points", Type.INTEGER), Constant(3, Type.INTEGER)
    assert definition.reduce(Scope(CATALOGUE, _ANY_CLOCK)).test == Compare(
        Call("gt", (points, three), Type.BOOLEAN), "eq", (True,))
