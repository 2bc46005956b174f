"""Whether tests in core form can hold together for anyone, whatever the data. No Spark, no data.

`Search.impossible` errs on one side only: it answers True only when nobody can meet all of the tests. A kind of node
that it does not know may be true or false; so may whatever takes more than `STEPS` cases to decide.

How: conjunctions are taken apart, disjunctions are tried case by case, and in every case the comparisons of each value,
the rows that counts ask for, order lines and splits are looked at together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from segment_lib import core
from segment_lib.clock import Interval, Step
from segment_lib.definition.domains import UNDERSTOOD, Constraint, Left, left, may_be_missing
from segment_lib.tables import INPUTS

#: Cases that are tried before a question stays open.
STEPS = 300
_TICK = timedelta(microseconds=1)
_BUCKETS = frozenset(range(100))
#: What a comparison of two values allows their order to be.
_ORDERS = {name: frozenset(order) for name, order in {"eq": "=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}.items()}
_TURNED = str.maketrans("<>", "><")
#: The fewest and the most days that a calendar unit can take, clock changes left aside.
_DAYS = {"d": (1, 1), "w": (7, 7), "mo": (28, 31), "y": (365, 366)}

Facts = dict[core.Test, bool]


@dataclass(frozen=True)
class _Rows:
    """A number of rows of a source that meet `where` and lie in `window`, or of the distinct values `of` them."""

    source: str
    where: core.Test
    window: Interval
    number: Any
    of: core.Value | None = None


class Search:
    """Answers for one night, which ends at `as_of`; what it finds out about filters is kept for the next question."""

    def __init__(self, as_of: datetime) -> None:
        self.as_of = as_of
        self._known: dict[tuple[core.Test, ...], bool] = {}

    def impossible(self, tests: Iterable[core.Test]) -> bool:
        """Whether nobody, or no row, can meet all of `tests`.

        >>> from datetime import UTC
        >>> member = core.Member("vip")
        >>> Search(datetime(2026, 1, 1, tzinfo=UTC)).impossible([member, core.negate(member)])
        True
        """
        return self._closed([(test, True) for test in tests], {}, [STEPS])

    def implies(self, one: core.Test, other: core.Test) -> bool:
        """Whether whatever meets `one` meets `other`."""
        return one == other or other == core.TRUE or self._never(one, core.negate(other))

    def never(self, where: core.Test) -> bool:
        """Whether no row can meet a filter."""
        return where != core.TRUE and self._never(where)

    def is_empty(self, window: Interval) -> bool:
        """Whether no instant lies in a window."""
        return window.start is not None and window.start >= (window.end or self.as_of)

    def _never(self, *tests: core.Test) -> bool:
        if tests not in self._known:
            self._known[tests] = self.impossible(tests)
        return self._known[tests]

    # Cases ----------------------------------------------------------------------------------------------------------

    def _closed(self, waiting: list[tuple[core.Test, bool]], facts: Facts, steps: list[int]) -> bool:
        """Whether `facts` and what is waiting, each to be true or false as marked, exclude each other."""
        facts, choices = dict(facts), []
        while waiting:
            test, truth = waiting.pop()
            if isinstance(test, core.Const):
                if test.truth != truth:
                    return True
            elif isinstance(test, core.Not):
                waiting.append((test.arg, not truth))
            elif isinstance(test, core.All | core.Any):
                parts = [(part, truth) for part in test.args]
                if isinstance(test, core.All) == truth:
                    waiting.extend(parts)
                else:
                    choices.append(parts)
            elif facts.setdefault(test, truth) != truth:
                return True
        if self._clash(facts):
            return True
        if not choices or steps[0] <= 0:
            return False
        steps[0] -= 1
        choices.sort(key=len, reverse=True)
        first = choices.pop()
        # What is still to choose travels along as one disjunction each.
        rest = [
            (core.Any(tuple(part if truth else core.Not(part) for part, truth in parts)), True) for parts in choices
        ]
        return all(self._closed([choice, *rest], facts, steps) for choice in first)

    # Facts ----------------------------------------------------------------------------------------------------------

    def _clash(self, facts: Facts) -> bool:
        compared: dict[core.Value, list[Constraint]] = {}
        buckets: dict[str, frozenset[int]] = {}
        least: list[_Rows] = []
        for test, truth in facts.items():
            if isinstance(test, core.Compare) and test.operator in UNDERSTOOD:
                compared.setdefault(test.value, []).append((test.operator, test.literals, truth))
            elif isinstance(test, core.Split):
                inside = frozenset(range(test.start, test.end))
                kept = buckets.get(test.salt, _BUCKETS)
                buckets[test.salt] = kept & inside if truth else kept - inside
            elif isinstance(test, core.Sequence) and truth:
                if self._cannot_follow(test):
                    return True
                least.extend(_steps(test))
        if not all(buckets.values()) or self._lines_clash(facts) or _orders_clash(compared):
            return True
        spans: dict[core.Value, Left] = {}
        for value, constraints in compared.items():
            if isinstance(value, core.Aggregate) and self._has_no_rows(value):
                constraints.append(("known", (), False) if may_be_missing(value) else ("eq", (0,), True))
            span = left(value, constraints)
            if span is None:
                return True
            spans[value] = span
        return self._rows_clash(spans, least)

    def _has_no_rows(self, value: core.Aggregate) -> bool:
        return self.is_empty(value.window) or self.never(value.where)

    def _rows_clash(self, spans: Mapping[core.Value, Left], least: list[_Rows]) -> bool:
        """Whether more rows must be than may be: rows of a narrower window or filter are among those of a wider one."""
        most: list[_Rows] = []
        for value, span in spans.items():
            if isinstance(value, core.Aggregate):
                least.extend(_at_least(value, span))
                most.extend(_at_most(value, span))
        if any(self.is_empty(rows.window) or self.never(rows.where) for rows in least):
            return True
        pairs = ((many, few) for many in least for few in most)
        if any(few.of == many.of and many.number > few.number and self._among(many, few) for many, few in pairs):
            return True
        extremes = [(value, span) for value, span in spans.items() if _is_extreme(value) and span.known]
        return any(
            _beyond(one.function, inner, outer)
            for one, inner in extremes for other, outer in extremes
            if one != other and (one.function, one.field) == (other.function, other.field) and self._among(one, other)
        )

    def _among(self, one: Any, other: Any) -> bool:
        """Whether all rows of `one` are rows of `other`."""
        return (
            one.source == other.source and self._lies_in(one.window, other.window)
            and self.implies(one.where, other.where)
        )

    def _lies_in(self, inner: Interval, outer: Interval) -> bool:
        starts = outer.start is None or (inner.start is not None and inner.start >= outer.start)
        return starts and (inner.end or self.as_of) <= (outer.end or self.as_of)

    def _lines_clash(self, facts: Facts) -> bool:
        """Whether some order line must be that cannot be, or that none may be."""
        some: list[core.Test] = []
        for test, truth in facts.items():
            if truth and isinstance(test, core.AnyLine | core.AnyGroup):
                some.append(test.where)
                if isinstance(test, core.AnyGroup) and self.never(test.having):
                    return True
        none = [test.where for test, truth in facts.items() if isinstance(test, core.AnyLine) and not truth]
        return any(self.never(one) or any(self.implies(one, other) for other in none) for one in some)

    def _cannot_follow(self, sequence: core.Sequence) -> bool:
        """Whether the steps leave each other no room: too late for their own bound, or for the span."""
        shortest = 0.0
        for step in sequence.steps:
            lower = [_days(length)[0] for name, length in step.after if name in ("at_least", "more_than")]
            upper = [_days(length)[1] for name, length in step.after if name in ("at_most", "less_than")]
            if lower and upper and max(lower) > min(upper):
                return True
            shortest += max(lower, default=0)
        return sequence.span is not None and shortest > _days(sequence.span)[1]


def _days(step: Step) -> tuple[float, float]:
    """The fewest and the most days that a step can take; calendar steps have a day's room for changes of the clock."""
    if not step.is_calendar:
        return step.rough_days, step.rough_days
    fewest, most = _DAYS[step.unit]
    return step.number * fewest - 1, step.number * most + 1


def _steps(sequence: core.Sequence) -> Iterator[_Rows]:
    """The rows that a sequence needs: of each kind as many as it has steps, for each is later than the one before."""
    for rows, number in Counter(step.rows for step in sequence.steps).items():
        yield _Rows(rows.source, rows.where, rows.window, number)


def _at_least(value: core.Aggregate, span: Left) -> Iterator[_Rows]:
    """The rows that there must be for a value to be what it must be."""
    rows, distinct = 0, 0
    if value.function == "count":
        rows = span.low or 0
    elif value.function == "distinct":
        distinct = span.low or 0
        rows = distinct if isinstance(_of(value), core.Field) else min(distinct, 1)
    elif isinstance(value, core.Periods):
        rows = (span.low or 0) * value.least
    elif span.known and (value.function != "sum" or span.is_not_zero):
        rows = 1
    if rows > 0:
        yield _Rows(value.source, value.where, value.window, rows)
        if _is_time(value):
            yield _Rows(value.source, value.where, _inside(value.window, span.low, _end(span)), 1)
    if distinct > 0:
        yield _Rows(value.source, value.where, value.window, distinct, _of(value))


def _at_most(value: core.Aggregate, span: Left) -> Iterator[_Rows]:
    """The rows that there may be for a value to be what it must be."""
    if value.function in ("count", "distinct") and span.high is not None:
        yield _Rows(value.source, value.where, value.window, span.high, _of(value))
    elif _is_time(value) and span.known:
        if value.function == "min" and span.low is not None:
            yield _Rows(value.source, value.where, _inside(value.window, None, span.low), 0)
        if value.function == "max" and span.high is not None:
            yield _Rows(value.source, value.where, _inside(value.window, _end(span), None), 0)


def _of(value: core.Aggregate) -> core.Value | None:
    return value.field if isinstance(value, core.Feature) else None


def _is_time(value: core.Aggregate) -> bool:
    """Whether a value is the first or the last time at which a row lies."""
    of = _of(value)
    return value.function in ("min", "max") and isinstance(of, core.Field) and of.name == INPUTS[value.source].time


def _is_extreme(value: core.Value) -> bool:
    return isinstance(value, core.Feature) and value.function in ("min", "max")


def _beyond(function: str, inner: Left, outer: Left) -> bool:
    """Whether the extreme of some rows lies beyond that of more rows, which no extreme can."""
    low, high = (inner, outer) if function == "max" else (outer, inner)
    if low.low is None or high.high is None:
        return False
    return low.low > high.high or (low.low == high.high and (low.low_open or high.high_open))


def _end(span: Left) -> Any:
    """The first instant after the greatest that is left."""
    return span.high if span.high is None or span.high_open else span.high + _TICK


def _inside(window: Interval, start: datetime | None, end: datetime | None) -> Interval:
    """The part of a window between two instants."""
    starts = [instant for instant in (window.start, start) if instant is not None]
    ends = [instant for instant in (window.end, end) if instant is not None]
    return Interval(max(starts, default=None), min(ends, default=None))


def _orders_clash(compared: Mapping[core.Value, list[Constraint]]) -> bool:
    """Whether two values would have to be ordered in two ways; where a comparison must not hold, one may be missing."""
    orders: dict[tuple[core.Value, core.Value], frozenset[str]] = {}
    refused: list[tuple[tuple[core.Value, core.Value], frozenset[str]]] = []
    for value, constraints in compared.items():
        for operator, literals, truth in constraints:
            if operator not in _ORDERS or not isinstance(literals[0], core.Value):
                continue
            pair, allowed = (value, literals[0]), _ORDERS[operator]
            if (literals[0], value) in orders:
                pair, allowed = (literals[0], value), frozenset(order.translate(_TURNED) for order in allowed)
            if value == literals[0]:
                allowed = allowed & {"="}
            if truth:
                orders[pair] = orders.get(pair, frozenset("<=>")) & allowed
            else:
                refused.append((pair, allowed))
    for pair, allowed in refused:
        known = pair in orders or not any(may_be_missing(side) for side in pair)
        if known:
            own = frozenset("=") if pair[0] == pair[1] else frozenset("<=>")
            orders[pair] = orders.get(pair, own) - allowed
    return not all(orders.values())
