"""The core form as DuckDB SQL: one pass, a SELECT of conditional aggregates per source, joined, then the predicates.

An aggregate over some rows can be written with FILTER or with CASE; DuckDB runs the second several times faster when
there are hundreds of them, so both are measured.

What is not in a table here raises KeyError: the definitions of the benchmark use only what all peers can express. A
test may be NULL where it is false; that makes a difference only below NOT and at the top, where it is made false.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from itertools import groupby
from typing import Any

from segment_lib import core
from segment_lib.clock import Interval
from segment_lib.plan import SOURCES, EvaluationPlan
from segment_lib.tables import INPUTS

Files = Callable[[str], Sequence[str]]
#: (aggregate, value, condition) -> the aggregate over the rows where the condition holds.
Over = Callable[[str, str, str], str]


def with_filter(aggregate: str, value: str, condition: str) -> str:
    """
    >>> with_filter("sum({})", "revenue", "gift")
    'sum(revenue) FILTER (WHERE gift)'
    """
    return f"{aggregate.format(value)} FILTER (WHERE {condition})"


def with_case(aggregate: str, value: str, condition: str) -> str:
    """
    >>> with_case("sum({})", "revenue", "gift")
    'sum(CASE WHEN gift THEN revenue END)'
    """
    return aggregate.format(f"CASE WHEN {condition} THEN {value} END")


def evaluation(plan: EvaluationPlan, files: Files, over: Over, used_rows: bool = False) -> str:
    """A query of (customer_id, segments) with a row for everyone evaluated; `files` names the data files of a table.

    With `used_rows` only rows that some feature counts are read, which loses who has none of them (`alone.used_rows`).
    The session's time zone has to be UTC.
    """
    steps = {source: _source(source, plan, files, over, used_rows) for source in SOURCES}
    steps["customer"] = _customers(plan, files)
    steps["level"] = _joined(plan)
    for level, segments in groupby(sorted(plan.segments, key=lambda planned: planned.level), key=lambda p: p.level):
        columns = (f"coalesce({test(planned.reduced.test)}, false) AS {_in(planned.id)}" for planned in segments)
        steps[f"level_{level}"] = f"SELECT *, {', '.join(columns)} FROM {list(steps)[-1]}"
    names = ", ".join(literal(planned.id) for planned in plan.segments)
    chosen = ", ".join(_in(planned.id) for planned in plan.segments)
    common = ",\n".join(f"{name} AS ({query})" for name, query in steps.items())
    return f"WITH {common}\nSELECT customer_id, list_where([{names}], [{chosen}]) AS segments FROM {list(steps)[-1]}"


def _source(source: str, plan: EvaluationPlan, files: Files, over: Over, used_rows: bool) -> str:
    """The features of one source per customer."""
    time = INPUTS[source].time or "joined_at"
    features = [feature for feature in plan.features if feature.source == source]
    seen = f"{time} < {literal(plan.clock.as_of)}" + (f" OR {time} IS NULL" if source == "lists" else "")
    used = " OR ".join(f"({_rows(feature, time)})" for feature in features) or "false"
    aggregates = "".join(f", {_feature(feature, time, over)} AS {feature.name}" for feature in features)
    return (
        f"SELECT customer_id{aggregates} FROM {_files(files(source))} WHERE customer_id IS NOT NULL AND ({seen}) "
        f"{f'AND ({used}) ' if used_rows else ''}GROUP BY customer_id"
    )


def _rows(feature: core.Feature, time: str) -> str:
    """The condition of the rows that a feature counts."""
    tests = [] if feature.where == core.TRUE else [test(feature.where)]
    return " AND ".join(tests + _inside(feature.window, time)) or "true"


def _feature(feature: core.Feature, time: str, over: Over) -> str:
    rows = _rows(feature, time)
    of = value(feature.field) if feature.field else "1"
    order = f"row({time}, {_IDS.get(time)})"
    return _AGGREGATES[feature.function](of, order, lambda aggregate, operand: over(aggregate, operand, rows))


def _inside(window: Interval, time: str) -> list[str]:
    edges = ((">=", window.start), ("<", window.end))
    return [f"{time} {sign} {literal(edge)}" for sign, edge in edges if edge is not None]


#: (value, order, over) -> aggregate. Of rows at one instant the greater id is the later.
_AGGREGATES: dict[str, Callable[[str, str, Callable[[str, str], str]], str]] = {
    "count": lambda value, order, over: over("count({})", value),
    "sum": lambda value, order, over: over("sum({})", value),
    "avg": lambda value, order, over: (
        f"CAST({over('sum({})', value)} / nullif({over('count({})', value)}, 0) AS DECIMAL(26, 8))"
    ),
    "min": lambda value, order, over: over("min({})", value),
    "max": lambda value, order, over: over("max({})", value),
    "distinct": lambda value, order, over: over("count(DISTINCT {})", value),
    "first": lambda value, order, over: over(f"arg_min_null({value}, {{}})", order),
    "latest": lambda value, order, over: over(f"arg_max_null({value}, {{}})", order),
}
_IDS = {"occurred_at": "event_id", "ordered_at": "order_id"}


def _customers(plan: EvaluationPlan, files: Files) -> str:
    fields = "".join(f", {_name(column.name)} AS customer_{column.name}" for column in plan.customer_fields)
    later = f"coalesce(created_at >= {literal(plan.clock.as_of)}, false)"
    return f"SELECT customer_id, true AS known, {later} AS later{fields} FROM {_files(files('customers'))}"


def _joined(plan: EvaluationPlan) -> str:
    """Customers who had signed up by then, and ids seen in events or orders that customers lacks."""
    fields = "".join(f", customer_{column.name}" for column in plan.customer_fields)
    features = "".join(
        f", coalesce({feature.name}, 0) AS {feature.name}" if feature.never_missing else f", {feature.name}"
        for feature in plan.features
    )
    return (
        f"SELECT customer_id, coalesce(known, false) AS known{fields}{features} FROM customer "
        "FULL JOIN events USING (customer_id) FULL JOIN orders USING (customer_id) LEFT JOIN lists USING (customer_id) "
        "WHERE NOT coalesce(later, false)"
    )


# Tests -------------------------------------------------------------------------------------------------------------


def test(node: core.Test) -> str:
    """SQL that is true where the test holds, and false or NULL elsewhere."""
    return _TESTS[type(node)](node)


test.__test__ = False


def _compare(node: core.Compare) -> str:
    return f"({_OPERATORS[node.operator](value(node.value), [literal(item) for item in node.literals])})"


_TESTS: dict[type, Callable[[Any], str]] = {
    core.Const: lambda node: literal(node.truth),
    core.All: lambda node: f"({' AND '.join(map(test, node.args))})",
    core.Any: lambda node: f"({' OR '.join(map(test, node.args))})",
    core.Not: lambda node: f"(NOT coalesce({test(node.arg)}, false))",
    core.Compare: _compare,
    core.AnyLine: lambda node: f"(len(list_filter(items, lambda line: {test(node.where)})) > 0)",
    core.Member: lambda node: _in(node.segment),
    core.IsCustomer: lambda node: "known",
}

_OPERATORS: dict[str, Callable[[str, list[str]], str]] = {
    "known": lambda value, items: f"{value} IS NOT NULL",
    "eq": lambda value, items: f"{value} = {items[0]}",
    "in": lambda value, items: f"{value} IN ({', '.join(items)})",
    "lt": lambda value, items: f"{value} < {items[0]}",
    "le": lambda value, items: f"{value} <= {items[0]}",
    "gt": lambda value, items: f"{value} > {items[0]}",
    "ge": lambda value, items: f"{value} >= {items[0]}",
    "contains": lambda value, items: f"contains(lower({value}), lower({items[0]}))",
    "starts_with": lambda value, items: f"starts_with(lower({value}), lower({items[0]}))",
    "ends_with": lambda value, items: f"ends_with(lower({value}), lower({items[0]}))",
    "has_any": lambda value, items: f"list_has_any({value}, [{', '.join(items)}])",
    "has_all": lambda value, items: f"list_has_all({value}, [{', '.join(items)}])",
}


def value(node: core.Value) -> str:
    """SQL of a value; NULL where it is missing."""
    if isinstance(node, core.Feature):
        return node.name
    assert isinstance(node, core.Field), f"no SQL for {type(node).__name__}"
    return _FIELDS.get(node.source, _name)(node.name)


_FIELDS: dict[str, Callable[[str], str]] = {
    "customers": lambda name: f"customer_{name}", "items": lambda name: f"line.{_name(name)}",
}


def literal(item: core.Literal) -> str:
    """A literal; instants are timestamps without zone, in UTC.

    >>> literal("it's"), literal(date(2026, 1, 31))
    ("'it''s'", "DATE '2026-01-31'")
    """
    if isinstance(item, str):
        return "'" + item.replace("'", "''") + "'"
    if isinstance(item, datetime):
        return f"TIMESTAMP '{item.astimezone(UTC).replace(tzinfo=None).isoformat(sep=' ')}'"
    if isinstance(item, date):
        return f"DATE '{item.isoformat()}'"
    return str(item).lower()


def _name(name: str) -> str:
    return f'"{name}"'


def _in(segment: str) -> str:
    return f"in_{segment}"


def _files(paths: Sequence[str]) -> str:
    return f"read_parquet([{', '.join(map(literal, paths))}])"
