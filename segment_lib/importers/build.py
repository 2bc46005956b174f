"""The pieces that translated definitions are put together from.

A `Test` compares one value before it is known whose it is: the same test becomes a condition on a customer field, an
entry of a row filter, or the comparison of an aggregate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

#: Further back than any shop's data: how "any time before" is written for a field that may hold the future too.
EVER = "400y"


class Placed(dict):
    """A condition as our file has it, with the place of the document that it comes from."""

    def __init__(self, place: str, content: Mapping[str, Any]):
        super().__init__(content)
        self.place = place


@dataclass(frozen=True)
class Test:
    """Operators that must all hold for one value, or `all`, `any`, `not` over such tests."""

    __test__ = False  # no test of pytest, whatever its name

    operators: Mapping[str, Any] = field(default_factory=dict)
    key: str = ""
    parts: tuple[Test, ...] = ()


def one(**operators: Any) -> Test:
    """Operators on a value; a trailing underscore keeps Python's own words apart.

    >>> one(in_=["a"], is_not="b").operators
    {'in': ['a'], 'is_not': 'b'}
    """
    return Test({name.removesuffix("_"): value for name, value in operators.items()})


def either(tests: Sequence[Test]) -> Test:
    """At least one of the tests."""
    return tests[0] if len(tests) == 1 else Test(key="any", parts=tuple(tests))


def every(tests: Sequence[Test]) -> Test:
    """All of the tests."""
    return tests[0] if len(tests) == 1 else Test(key="all", parts=tuple(tests))


def negated(test: Test) -> Test:
    """The exact complement: a missing value meets it."""
    return Test(key="not", parts=(test,))


def known_and_not(test: Test) -> Test:
    """The complement among known values: a missing value does not meet it."""
    return every([one(known=True), negated(test)])


def written(test: Test, leaf: Callable[[Mapping[str, Any]], dict]) -> dict:
    """The test as our file has it; `leaf` writes operators on the value that is meant."""
    if test.key == "not":
        return {"not": written(test.parts[0], leaf)}
    if test.key:
        return {test.key: [written(part, leaf) for part in test.parts]}
    return leaf(test.operators)


def short(operators: Mapping[str, Any]) -> Any:
    """Operators of a row filter; equality alone is written as the value."""
    return operators["is"] if operators.keys() == {"is"} else dict(operators)


def row_filter(entries: Iterable[tuple[str, Test]]) -> dict | None:
    """A `where` of tests that must all hold for one row; None when there is none.

    >>> row_filter([("channel", one(is_="email")), ("amount", one(at_least=5))])
    {'channel': 'email', 'amount': {'at_least': 5}}
    >>> row_filter([("channel", negated(one(is_="email"))), ("amount", one(at_least=5))])
    {'all': [{'not': {'channel': 'email'}}, {'amount': {'at_least': 5}}]}
    """
    parts = [
        written(test, lambda operators, name=name: {name: short(operators)}) for name, test in entries
    ]
    return merged_filters(parts)


def merged_filters(parts: Sequence[dict]) -> dict | None:
    """Row filters that must all hold, as one."""
    if not parts:
        return None
    nodes = {"all", "any", "none", "not"}
    names = [name for part in parts for name in part]
    if len(parts) == 1:
        return parts[0]
    if len(set(names)) == len(names) and not nodes & set(names):
        return {name: test for part in parts for name, test in part.items()}
    return {"all": list(parts)}


def joined(key: str, conditions: Sequence[dict], place: str) -> Placed:
    """`all` or `any` of conditions; one alone needs none, and a node inside a like one is opened."""
    flat: list[dict] = []
    for condition in conditions:
        flat.extend(condition[key] if condition.keys() == {key} else [condition])
    return flat[0] if len(flat) == 1 and isinstance(flat[0], Placed) else Placed(place, {key: flat})


def complement(condition: dict, place: str) -> Placed:
    """Everyone whom the condition does not hold for, in its shortest form."""
    keys = set(condition)
    if keys == {"not"}:
        return Placed(place, condition["not"])
    if keys == {"any"}:
        return Placed(place, {"none": condition["any"]})
    if "did" in keys and keys <= {"did", "where", "within"}:
        return Placed(place, {"did_not": condition["did"], **{k: v for k, v in condition.items() if k != "did"}})
    if "ordered" in keys and keys <= {"ordered", "where", "within"}:
        rest = {k: v for k, v in condition.items() if k != "ordered"}
        return Placed(place, {"did_not": {"ordered": condition["ordered"]}, **rest})
    return Placed(place, {"not": condition})


@dataclass(frozen=True)
class Rows:
    """Events of some types, or orders of some statuses, as a names file or the catalogue names them."""

    table: str
    what: Any

    @property
    def head(self) -> dict[str, Any]:
        """The key that names the rows in a condition or a step."""
        return {"did" if self.table == "events" else "ordered": self.what}

    @property
    def source(self) -> Any:
        """The rows inside a verb, such as ``first_did``."""
        return self.what if self.table == "events" else {"ordered": self.what}

    @property
    def time(self) -> str:
        """The column that says when a row happened."""
        return "occurred_at" if self.table == "events" else "ordered_at"

    @property
    def amount(self) -> str:
        """The column that holds what a row is worth."""
        return "amount" if self.table == "events" else "revenue"


def over_rows(
    rows: Rows, place: str, *, where: dict | None = None, within: Any = None, aggregate: str = "count", of: str = "",
    test: Test | None = None,
) -> Placed:
    """A condition over rows: an aggregate in a window that is compared; without a test, at least one row."""
    base = rows.head | ({"where": where} if where else {}) | ({"within": within} if within else {})

    def leaf(operators: Mapping[str, Any]) -> Placed:
        if aggregate != "count":
            return Placed(place, {**base, aggregate: {"of": of, **operators}})
        count = usual_count(operators)
        return Placed(place, base if count == {"at_least": 1} else {**base, "count": count})

    return Placed(place, written(test or one(at_least=1), leaf))


_SAME_COUNT = {("more_than", 0): ("at_least", 1), ("less_than", 1): ("at_most", 0), ("is", 0): ("at_most", 0)}


def usual_count(operators: Mapping[str, Any]) -> dict[str, Any]:
    """Comparisons of a count in their usual form.

    >>> usual_count({"more_than": 0}), usual_count({"is": 0}), usual_count({"is": 2})
    ({'at_least': 1}, {'at_most': 0}, {'is': 2})
    """
    return dict(pair if isinstance(pair[1], list) else _SAME_COUNT.get(pair, pair) for pair in operators.items())


def on_customer(field_name: str, test: Test, place: str) -> Placed:
    """A condition on a field of the customer."""
    return Placed(place, written(test, lambda operators: Placed(place, {"customer": field_name, **operators})))
