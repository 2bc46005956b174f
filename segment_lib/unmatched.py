"""Conditions that no data has ever matched: what `seglake validate --data` looks for.

Cost: every table is read once, and all that is asked of its rows is counted in one aggregate. What depends on the
night, such as an attribute in the last 30 days, is not asked: that nothing matches it today says nothing of other days.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from segment_lib import core
from segment_lib.clock import Clock
from segment_lib.definition.claims import usual_nights
from segment_lib.definition.places import Night, Place, place_of
from segment_lib.definition.satisfiable import Search
from segment_lib.definition.segment import Segment
from segment_lib.language.scope import Fault, Scope
from segment_lib.strict_yaml import Path

if TYPE_CHECKING:
    from segment_lib.storage import Lake

CODE = "never_matched"
#: What a test of the customer's own row is made of.
_OF_CUSTOMERS = (core.All, core.Any, core.Not, core.Const, core.Compare, core.Field, core.Constant, core.Call)


@dataclass(frozen=True)
class Question:
    """Whether any row of a table meets a test, asked for a condition of a segment."""

    segment: str
    path: Path
    table: str
    test: core.Test


@dataclass(frozen=True)
class Looked:
    """What was found: the warnings by segment id, and how many rows of each table were looked at."""

    warnings: Mapping[str, tuple[Fault, ...]]
    rows: Mapping[str, int]


def questions(segments: Iterable[Segment], scope: Scope) -> Iterator[Question]:
    """What is asked of data: for each condition the filter of its rows, or the comparison of customers' own fields.

    Of inactive segments nothing is: what they looked for may be over.
    """
    # Two far years: what is the same in both does not depend on the night.
    nights = [
        Night(Scope(scope.catalogue, clock, scope.segments), Search(clock.as_of))
        for clock in (Clock(day, scope.clock.zone) for day in usual_nights(scope.clock.zone)[:2])
    ]
    for segment in (segment for segment in segments if segment.status == "active"):
        for night in nights:
            night.tests.clear()
        for place in place_of(segment.where).leaves():
            first, other = (_asked(place, night) for night in nights)
            for table, test in first:
                if (table, test) in other:
                    yield Question(segment.id, place.path, table, test)


def _asked(place: Place, night: Night) -> dict[tuple[str, core.Test], None]:
    test = night.test(place)
    rows = {
        (node.source, node.where): None for node in test.walk()
        if isinstance(node, core.Aggregate | core.Occurrence) and node.where != core.TRUE
    }
    nodes = list(test.walk())
    own = all(isinstance(node, _OF_CUSTOMERS) for node in nodes) and not any(
        isinstance(node, core.Compare) and any(isinstance(literal, core.Percentile) for literal in node.literals)
        or isinstance(node, core.Field) and node.source != "customers" for node in nodes
    )
    return rows | ({("customers", test): None} if own and not isinstance(test, core.Const) else {})


def look(lake: Lake, segments: Iterable[Segment], scope: Scope) -> Looked:
    """Looks at the newest data for rows that meet the conditions of definitions without faults.

    Of a table without rows nothing is said.
    """
    asked = list(questions(segments, scope))
    tests: dict[str, dict[core.Test, None]] = {}
    for question in asked:
        tests.setdefault(question.table, {})[question.test] = None
    pins = lake.pin()
    counted = {table: _counted(lake, table, list(tests[table]), scope, pins) for table in sorted(tests)}
    warnings: dict[str, dict[Fault, None]] = {}
    for question in asked:
        rows, matching = counted[question.table]
        if rows and not matching[question.test]:
            what = "meets this" if question.table == "customers" else "meets its filter"
            noun = {"lists": "entries of lists"}.get(question.table, question.table)
            message = f"no data has ever matched: none of {rows:,} {noun} {what}"
            fault = Fault(question.path, message, "look for a slip in a value or a name", "warning", CODE)
            warnings.setdefault(question.segment, {})[fault] = None
    told = {segment: tuple(faults) for segment, faults in warnings.items()}
    return Looked(told, {table: rows for table, (rows, _) in counted.items()})


def _counted(
    lake: Lake, table: str, tests: list[core.Test], scope: Scope, pins: Mapping[str, int]
) -> tuple[int, dict[core.Test, int]]:
    """The rows of a table that count, and how many of them meet each test."""
    from pyspark.sql import functions as F

    from segment_lib.columns import Names, test_column

    names = Names(scope.clock.zone.key, lines=F.col("items") if table == "orders" else None)
    rows = lake.input(table, pins.get(table), pins).where("_reject IS NULL AND customer_id IS NOT NULL")
    found = rows.agg(F.count(F.lit(1)), *(F.count_if(test_column(test, names)) for test in tests)).collect()[0]
    return int(found[0]), dict(zip(tests, map(int, found[1:]), strict=True))
