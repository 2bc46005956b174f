"""What time alone changes of a plan: its text without instants, and the instants in the order in which they stand.

Two nights of the same definitions have the same text. Their instants differ: windows begin and end later, dates are compared
with others. A customer without a row between an edge and its successor, and without a value of which one comparison holds
and its successor does not, has the same answers on both nights; whoever has one is said by `Moved`.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import Enum
from typing import Any, TypeVar

import segment_lib
from segment_lib import core, customer_totals
from segment_lib.clock import Interval, Step
from segment_lib.kernel.compare import in_zone, is_comparable
from segment_lib.kernel.rows import micros
from segment_lib.kernel.spec import KernelSpec
from segment_lib.plan import SOURCES
from segment_lib.totals import ORDER_TOTALS

#: The form of what the kernel gives for a customer; answers in another one are not taken.
FORM = 1
#: Features whose value is that of one of the rows.
_OF_ONE_ROW = ("min", "max", "first", "latest", "mode")
#: An instant or a date as a text, or a number of an anniversary.
Literal = str | int


class NotTold(Exception):
    """Something moved of which the rows of a customer do not tell whether it matters."""


@dataclass(frozen=True)
class Slot:
    """A place where instants stand: an edge in the time of a source's rows, or the literals of a comparison."""

    source: str
    literals: tuple[Literal, ...]
    test: core.Compare | None = None


@dataclass(frozen=True)
class Outline:
    """A plan's text, as its hash, and its slots."""

    text: str
    slots: tuple[Slot, ...]

    @property
    def literals(self) -> list[list[Literal]]:
        """What stands in the slots, for JSON."""
        return [list(slot.literals) for slot in self.slots]


@dataclass(frozen=True)
class Moved:
    """Between two nights: by source the spans of time that edges have passed, [first, end) in microseconds, sorted and
    apart; and the comparisons of a field that moved, as they were and as they are.
    """

    spans: Mapping[str, tuple[tuple[int, int], ...]]
    compared: tuple[tuple[core.Compare, core.Compare], ...]

    def of(self, source: str) -> tuple[tuple[core.Compare, core.Compare], ...]:
        """The comparisons of a source's fields."""
        return tuple(pair for pair in self.compared if pair[0].value.source == source)  # type: ignore[attr-defined]


def outline_of(spec: KernelSpec) -> Outline:
    """The outline of all that the kernel makes for a plan."""
    plan = spec.plan
    told = _Told(plan.clock.as_of)
    decided = {planned.id: planned.reduced.test for planned in plan.segments if planned.id in set(spec.decided)}
    parts = [
        f"form {FORM} of {segment_lib.__version__}", plan.clock.zone.key, repr(plan.catalogue),
        *(f"{name}: {told.of(decided[name])}" for name in spec.decided),
        # What leaves the kernel may leave it in any order, as long as that is the same for equal texts.
        *told.sorted(spec.emitted), *told.sorted(plan.sequences),
        repr(sorted(plan.totals)), repr(plan.day_orders),
    ]
    edges = [(source, plan.clock.as_of) for source in SOURCES]
    for total in ORDER_TOTALS:
        if total.name in plan.totals:
            window = customer_totals.window_of(total, plan.clock)
            edges += [("orders", edge) for edge in (window.start, window.end) if edge is not None]
    if customer_totals.wants_all(plan.totals):
        edges.append(("events", plan.clock.before(Step(customer_totals.VISIT_DAYS, "d"))))
    if plan.day_orders:
        edges.append(("orders", plan.clock.start_of(plan.clock.snapshot_date)))
    slots = [*told.slots, *(Slot(source, (edge.isoformat(),)) for source, edge in edges)]
    return Outline(hashlib.sha256("\n".join(parts).encode()).hexdigest(), tuple(slots))


_N = TypeVar("_N", bound=core.Node)


def in_order(nodes: Iterable[_N], as_of: datetime) -> list[_N]:
    """Nodes by their texts and instants: names change with the night, this order hardly ever does.

    Where it does, as when a month becomes longer than 30 days, two nodes of one text have changed places. Edges say what
    lies between either and the one that stood there before, so that each may take what was kept of the other.
    """
    def key(node: core.Node) -> tuple[str, tuple]:
        told = _Told(as_of)
        return told.of(node), tuple(slot.literals for slot in told.slots)

    return sorted(nodes, key=key)


def moved(before: Sequence[Sequence[Literal]], now: Outline, spec: KernelSpec) -> Moved:
    """What lies between the instants `before` and those of now; raises NotTold where rows do not tell.

    Both belong to outlines of the same text.
    """
    spans: dict[str, list[tuple[int, int]]] = defaultdict(list)
    compared = []
    for literals, slot in zip(before, now.slots, strict=True):
        if tuple(literals) == slot.literals:
            continue
        if slot.test is None:
            first, end = sorted(micros(datetime.fromisoformat(str(edge))) for edge in (literals[0], slot.literals[0]))
            spans[slot.source].append((first, end))
        else:
            compared.append(_pair(slot.test, literals, spec))
    return Moved({source: _apart(of) for source, of in spans.items()}, tuple(dict.fromkeys(compared)))


def _pair(test: core.Compare, before: Sequence[Literal], spec: KernelSpec) -> tuple[core.Compare, core.Compare]:
    """A comparison of one row's field, as it was and as it is."""
    value = test.value
    if isinstance(value, core.Feature) and value.function in _OF_ONE_ROW:
        value = value.field
    plain = isinstance(value, core.Field) and value.source in (*SOURCES, "customers")
    if not plain or not is_comparable(value, test):
        raise NotTold(f"{type(test.value).__name__} {test.operator}")
    now = in_zone(replace(test, value=value), spec.plan.clock.zone)
    then = replace(test, value=value, literals=tuple(map(_read, before, test.literals)))
    return in_zone(then, spec.plan.clock.zone), now


def _read(text: Literal, like: Any) -> Any:
    if isinstance(like, datetime):
        return datetime.fromisoformat(str(text))
    return date.fromisoformat(str(text)) if isinstance(like, date) else text


def _apart(spans: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Spans as they lie one after the other, those that meet put together.

    >>> _apart([(5, 9), (1, 3), (2, 4)])
    ((1, 4), (5, 9))
    """
    found: list[tuple[int, int]] = []
    for first, end in sorted(spans):
        if found and first <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], end)
        else:
            found.append((first, end))
    return tuple(found)


class _Told:
    """Writes nodes as text and notes the slots that it leaves in it."""

    def __init__(self, as_of: datetime) -> None:
        self.as_of = as_of
        self.slots: list[Slot] = []

    def sorted(self, nodes: Iterable[core.Node]) -> list[str]:
        """The texts of nodes of which names and order change with their instants."""
        return [self.of(node) for node in in_order(nodes, self.as_of)]

    def of(self, part: Any, source: str = "") -> str:
        if isinstance(part, core.Compare):
            return f"({self.of(part.value, source)} {part.operator} {self.literals(part, source)})"
        if isinstance(part, core.Sequence):
            # Its as_of is looked at when the rows that were collected are searched, every night.
            return f"Sequence({self.of((part.steps, part.span, part.end), source)})"
        if isinstance(part, datetime):
            self.slots.append(Slot(source, (part.isoformat(),)))
            return "@"
        if isinstance(part, Interval):
            # A date that a window ends with is left out of a plan until it has passed. On lists alone that says more:
            # a row without a time lies in no window that ends.
            end = self.as_of if part.end is None and source != "lists" else part.end
            return f"[{self.of(part.start, source)}, {self.of(end, source)})"
        if isinstance(part, tuple):
            return f"({', '.join(self.of(one, source) for one in part)})"
        if dataclasses.is_dataclass(part) and not isinstance(part, Step):
            own = getattr(part, "source", source) if isinstance(part, core.Aggregate | core.Occurrence) else source
            fields = (f"{field.name}={self.of(getattr(part, field.name), own)}" for field in dataclasses.fields(part))
            return f"{type(part).__name__}({', '.join(fields)})"
        return part.name if isinstance(part, Enum) else repr(part)

    def literals(self, test: core.Compare, source: str) -> str:
        """The literals of a comparison; those that move leave a slot."""
        moving = test.operator.startswith("anniversary") or any(isinstance(one, date) for one in test.literals)
        if not moving:
            return self.of(test.literals, source)
        self.slots.append(Slot(source, tuple(
            one.isoformat() if isinstance(one, date) else one for one in test.literals  # type: ignore[misc]
        ), test))
        return f"@{len(test.literals)}"


