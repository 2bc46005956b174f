"""The tree of one query of Twilio Segment as our condition: traits, aggregates of events, and funnels of two events."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from segment_lib.catalogue import Type
from segment_lib.importers.build import (
    Placed, Rows, Test, complement, joined, merged_filters, on_customer, one, over_rows, row_filter, usual_count,
)
from segment_lib.importers.document import Spot
from segment_lib.importers.names import Column, Lookup
from segment_lib.importers.segment_comparators import (
    CALENDAR, COMPARATORS, EXTRACTORS, FILTERS, JUNCTIONS, REDUCERS, parent_length,
)
from segment_lib.importers.segment_query import Call, Chain, Junction, Length, Literal, Node

STRICT = "steps must lie strictly later than the one before; two at one instant are in no order"
_MORE = {"at_least": "at_least", "greater_than": "more_than", "at_most": "at_most", "less_than": "less_than"}


@dataclass
class _Stream:
    """Events that a chain takes: their filters, their window, and at most one event that must (not) follow each.

    `after` is the time since its parent that the child of a funnel has; `span` how long a `did_not` child looks.
    """

    rows: Rows
    is_child: bool = False
    filters: list[dict] = field(default_factory=list)
    within: Any = None
    after: dict[str, Any] | None = None
    same: list[str] = field(default_factory=list)
    child: Placed | None = None
    span: str = ""

    def base(self) -> dict[str, Any]:
        """The keys that name these events, in a step of a sequence or in a value."""
        merged = merged_filters(self.filters)
        return self.rows.head | ({"where": merged} if merged else {})


class Query:
    """Translates the tree of one query."""

    def __init__(self, spot: Spot, lookup: Lookup):
        self.spot, self.lookup = spot, lookup

    def at(self, node: Node, value: Any = None) -> Spot:
        """The place of a node, counted from 1."""
        return Spot(value, f"{self.spot.place}: character {node.position + 1}", self.spot.log)

    def nothing(self, node: Node, why: str) -> Placed:
        """Says why a node cannot be imported."""
        spot = self.at(node)
        spot.refuse(why)
        return Placed(spot.place, {})

    def condition(self, node: Node) -> Placed:
        """The condition on customers that a node is."""
        if isinstance(node, Junction):
            handler = JUNCTIONS.find(node.name, self.at(node), "junction")
            parts = [self.condition(part) for part in node.parts]
            return handler(parts, self.at(node).place) if handler else parts[0]
        if not isinstance(node, Chain):
            return self.nothing(node, "a comparison is needed here, such as event('Order Completed').count() >= 1")
        extractor = node.calls[0]
        if extractor.name in ("property", "context"):
            return self.nothing(node, f"{extractor.name} belongs into where(...) of an event")
        if extractor.name == "literal":
            return self.nothing(node, "a value stands on the right: trait('total') > 100")
        if EXTRACTORS.find(extractor.name, self.at(node), "extractor") is None:
            return Placed(self.at(node).place, {})
        return self.trait(node) if extractor.name == "trait" else self.event(node)

    def name_of(self, call: Call) -> str:
        """The one text that an extractor takes."""
        if len(call.arguments) == 1 and isinstance(call.arguments[0], Literal) and call.arguments[0].value:
            return str(call.arguments[0].value).replace("\\", "")
        self.at(call).refuse(f"{call.name} takes one name, such as {call.name}('total')")
        return "unnamed"

    def comparator(self, calls: Sequence[Call], node: Node) -> Call | None:
        """The one comparator at the end of a chain."""
        if len(calls) == 1:
            return calls[0]
        self.at(calls[1] if calls else node).refuse("a chain ends in one comparison, such as >= 1 or exists()")
        return None

    def compared(self, call: Call, column: Column) -> Test:
        """The test of a comparator with values that the query holds itself."""
        handler = COMPARATORS.find(call.name, self.at(call), "comparator")
        arguments = [_unwrapped(argument) for argument in call.arguments]
        for argument in arguments:
            if isinstance(argument, Chain | Junction):
                self.at(argument).refuse("this is compared here with a value only, not with something else that varies")
                return one(known=True)
        if handler is None:
            return one(known=True)
        spots = [self.at(node, node if isinstance(node, Length) else self.value(node)) for node in arguments]
        return handler(spots, column, self.at(call))

    def value(self, node: Node) -> Any:
        """A literal's value; a time is its instant, at UTC unless it says otherwise."""
        if isinstance(node, Literal) and node.is_time:
            try:
                moment = datetime.fromisoformat(str(node.value))
                return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).isoformat()
            except ValueError:
                self.at(node).refuse("this is no date")
        return node.value if isinstance(node, Literal) else None

    # Traits ---------------------------------------------------------------------------------------------------------

    def trait(self, chain: Chain) -> Placed:
        """A field of the customer, or membership in another audience under its key."""
        extractor, *rest = chain.calls
        spot, name = self.at(chain), self.name_of(extractor)
        call = self.comparator(rest, chain)
        if call is None:
            return Placed(spot.place, {})
        if name not in self.lookup.names.fields and (name in self.lookup.ids or name in self.lookup.names.segments):
            argument = _unwrapped(call.arguments[0]) if len(call.arguments) == 1 else None
            if call.name != "equals" or not isinstance(argument, Literal) or str(argument.value).lower() != "true":
                self.at(call).refuse("an audience is asked for by = true; put NOT before it for those outside")
            return self.lookup.group(name, spot, "audience")
        column = self.lookup.field(name, spot)
        return on_customer(column.name, self.compared(call, column), spot.place)

    # Events ---------------------------------------------------------------------------------------------------------

    def event(self, chain: Chain) -> Placed:
        """An aggregate of events that is compared."""
        place = self.at(chain).place
        stream, rest = self.stream(chain)
        if not rest or REDUCERS.find(rest[0].name, self.at(rest[0]), "reducer") is None:
            if not rest:
                self.at(chain).refuse("events need a reducer and a comparison, such as count() >= 1")
            return Placed(place, {})
        reducer, *after = rest
        if reducer.name == "unique":
            if not after or after[0].name != "count":
                return self.nothing(reducer, "a list of unique values is counted: unique(...).count()")
            after = after[1:]
        call = self.comparator(after, reducer)
        if call is None:
            return Placed(place, {})
        aggregate, column = self.reduced(reducer, stream.rows)
        other = _unwrapped(call.arguments[0]) if len(call.arguments) == 1 else None
        if isinstance(other, Chain):
            return self.against(stream, aggregate, column, call, other)
        test = self.compared(call, column)
        if stream.child is not None:
            return self.followed(stream, reducer, test, place)
        if aggregate == "sum" and call.name in ("at_most", "less_than"):
            self.at(call).note("the sum of no events is 0 here, so customers without any meet an upper bound")
        options = {"within": stream.within, "aggregate": aggregate, "of": column.name}
        found = over_rows(stream.rows, place, where=merged_filters(stream.filters), test=test, **options)
        return self.frequent(reducer, found, stream, column, test) if aggregate == "mode" else found

    def stream(self, chain: Chain, *, is_child: bool = False) -> tuple[_Stream, list[Call]]:
        """The events that a chain takes, and the calls that follow."""
        extractor, *calls = chain.calls
        stream = _Stream(self.lookup.rows(self.name_of(extractor), self.at(chain)), is_child)
        while calls and calls[0].name in FILTERS.names():
            call = calls.pop(0)
            handler: Callable[..., None] | None = FILTERS.find(call.name, self.at(call), "filter")
            if call.name == "where":
                for argument in call.arguments:
                    self.take_filter(argument, stream)
            elif handler and call.names[:1] == ("parent",):
                if not is_child:
                    self.at(call).refuse("a parent is there only for an event inside where(...) of another")
                stream.after = parent_length(call, self.at(call))
            elif handler:
                if stream.within is not None:
                    self.at(call).refuse("two windows")
                stream.within = handler([self.at(node, node) for node in call.arguments], self.at(call))
                self.at(call).note(CALENDAR)
        return stream, calls

    def take_filter(self, node: Node, stream: _Stream) -> None:
        """Adds a condition inside where(...): on the event itself, or on another event that follows it."""
        if isinstance(node, Junction) and node.name == "AND":
            for part in node.parts:
                self.take_filter(part, stream)
        elif _is_event(node):
            self.follow(node, stream)
        elif self.parent_property(node, stream) is None:
            stream.filters.append(self.row(node, stream.rows))

    def parent_property(self, node: Node, stream: _Stream) -> str | None:
        """The property that an event must share with the one before it: ``property('x') = property(parent: 'x')``."""
        if not isinstance(node, Chain) or len(node.calls) != 2 or len(node.calls[1].arguments) != 1:
            return None
        (left, right), other = node.calls, _unwrapped(node.calls[1].arguments[0])
        if not isinstance(other, Chain) or other.calls[0].names[:1] != ("parent",) or left.name != "property":
            return None
        mine, theirs = self.name_of(left), self.name_of(other.calls[0])
        if not stream.is_child:
            self.at(other).refuse("a parent is there only for an event inside where(...) of another")
        if right.name != "equals" or mine != theirs:
            self.at(right).refuse("two events are compared here by the same property being equal")
        stream.same.append(self.lookup.field(mine, self.at(node), stream.rows).name)
        return mine

    def row(self, node: Node, rows: Rows) -> dict:
        """A filter on one event."""
        if isinstance(node, Junction) and node.name in ("AND", "OR", "NOT"):
            parts = [self.row(part, rows) for part in node.parts]
            return {"not": parts[0]} if node.name == "NOT" else {"all" if node.name == "AND" else "any": parts}
        if not isinstance(node, Chain) or node.calls[0].name not in ("property", "context"):
            return self.nothing(node, "a filter compares a property of the event: property('price') > 100")
        extractor, *rest = node.calls
        column = self.lookup.field(self.name_of(extractor), self.at(node), rows)
        call = self.comparator(rest, node)
        return (row_filter([(column.name, self.compared(call, column))]) if call else None) or {}

    def reduced(self, reducer: Call, rows: Rows) -> tuple[str, Column]:
        """Our aggregate for a reducer, and the column that it is taken of."""
        aggregate: str = REDUCERS.handlers[reducer.name]()
        if aggregate == "count":
            if reducer.arguments:
                self.at(reducer).refuse("count takes nothing; unique(...).count() counts different values")
            return aggregate, Column("count", Type.INTEGER)
        argument = reducer.arguments[0] if reducer.arguments else None
        if not isinstance(argument, Chain) or len(argument.calls) != 1 or argument.calls[0].name != "property":
            self.at(reducer).refuse(f"{reducer.name} takes a property: {reducer.name}(property('total'))")
            return aggregate, Column("unnamed")
        if reducer.kind and not (reducer.kind == "number" or (reducer.name, reducer.kind) == ("mode", "string")):
            self.at(reducer).refuse(f"{reducer.name} as {reducer.kind}: values keep the type of their column here")
        column = self.lookup.field(self.name_of(argument.calls[0]), self.at(argument), rows)
        if aggregate in ("first", "latest"):
            self.at(reducer).note(f"{aggregate} is the value of that event, missing when that event has none")
        return aggregate, Column(column.name, Type.INTEGER if aggregate == "distinct" else column.kind)

    def frequent(self, reducer: Call, found: Placed, stream: _Stream, column: Column, test: Test) -> Placed:
        """The most frequent value, which must occur at least as often as mode(..., n) says."""
        least = reducer.arguments[1] if len(reducer.arguments) > 1 else None
        times = least.value if isinstance(least, Literal) and isinstance(least.value, int) else 1
        if times < 2:
            return found
        if test.key or test.operators.keys() != {"is"}:
            return self.nothing(reducer, "how often the most frequent value occurs is asked here only for one value")
        filters = merged_filters([*stream.filters, {column.name: test.operators["is"]}])
        often = over_rows(
            stream.rows, found.place, where=filters, within=stream.within, test=one(at_least=times)
        )
        return joined("all", [found, often], found.place)

    def against(self, stream: _Stream, aggregate: str, column: Column, call: Call, other: Chain) -> Placed:
        """An aggregate compared with another one, or with a trait."""
        place = self.at(other).place
        if call.name not in _MORE or stream.child is not None:
            return self.nothing(call, "with something else that varies, only >, >=, < and <= compare here")
        if other.calls[0].name == "trait" and len(other.calls) == 1:
            field_name = self.lookup.field(self.name_of(other.calls[0]), self.at(other)).name
            left = self.measure(stream, aggregate, column)
            return Placed(place, {"value": left, _MORE[call.name]: {"customer": field_name}})
        if other.calls[0].name != "event":
            return self.nothing(other, "an aggregate is compared with a value, a trait or another aggregate")
        second, rest = self.stream(other)
        if len(rest) != 1 or second.child is not None or rest[0].name == "unique":
            return self.nothing(other, "an aggregate such as event('A').count() is needed here")
        if REDUCERS.find(rest[0].name, self.at(rest[0]), "reducer") is None:
            return Placed(place, {})
        right = self.measure(second, *self.reduced(rest[0], second.rows))
        return Placed(place, {"value": self.measure(stream, aggregate, column), _MORE[call.name]: right})

    @staticmethod
    def measure(stream: _Stream, aggregate: str, column: Column) -> dict[str, Any]:
        """An aggregate as a value."""
        within = {"within": stream.within} if stream.within else {}
        return stream.base() | within | {aggregate: True if aggregate == "count" else column.name}

    # Funnels --------------------------------------------------------------------------------------------------------

    def follow(self, node: Node, stream: _Stream) -> None:
        """An event inside where(...): it follows, or must not follow, the one outside within so much time."""
        happens = True
        while isinstance(node, Junction) and node.name == "NOT":
            happens, node = not happens, node.parts[0]
        assert isinstance(node, Chain)
        child, rest = self.stream(node, is_child=True)
        if stream.child is not None or child.child is not None:
            self.at(node).refuse("one event may follow another here, not several")
        if [call.name for call in rest[:1]] != ["count"] or len(rest) != 2:
            self.at(node).refuse("an event inside where(...) is counted: count() >= 1")
            return
        count = usual_count(self.compared(rest[1], Column("count", Type.INTEGER)).operators)
        if count not in ({"at_least": 1}, {"at_most": 0}):
            self.at(rest[1]).refuse("an event that follows is asked for once, or not at all")
        happens = happens == (count == {"at_least": 1})
        if child.after is None or child.within is not None:
            self.at(node).refuse("an event inside where(...) has a window from its parent: within(parent: 5 days)")
            return
        place = self.at(node).place
        self.at(node).note(STRICT)
        if happens:
            stream.child = Placed(place, {**child.base(), "after": child.after})
            stream.same += child.same
        else:
            if child.same or "at_most" not in child.after:
                self.at(node).refuse("an event that must not follow cannot share a property or have a range here")
            merged = merged_filters(child.filters)
            stream.child = Placed(place, {"did_not": child.rows.source, **({"where": merged} if merged else {})})
            stream.span = child.after.get("at_most", "")

    def followed(self, stream: _Stream, reducer: Call, test: Test, place: str) -> Placed:
        """A sequence: the event, then the one that follows."""
        count = usual_count(test.operators) if reducer.name == "count" and not test.key else {}
        if count not in ({"at_least": 1}, {"at_most": 0}):
            return self.nothing(reducer, "events that another follows are asked for by count() >= 1")
        assert stream.child is not None
        sequence: dict[str, Any] = {"sequence": [stream.base(), stream.child]}
        if stream.same:
            sequence["same"] = stream.same
        if "did_not" in stream.child:
            sequence["span"] = stream.span
        if stream.within:
            sequence["within"] = stream.within
        found = Placed(place, sequence)
        return found if count == {"at_least": 1} else complement(found, place)


def _unwrapped(node: Node) -> Node:
    """What ``literal(...)`` holds, or the node itself."""
    while isinstance(node, Chain) and len(node.calls) == 1 and node.calls[0].name == "literal":
        if len(node.calls[0].arguments) != 1:
            return node
        node = node.calls[0].arguments[0]
    return node


def _is_event(node: Node) -> bool:
    while isinstance(node, Junction) and node.name == "NOT":
        node = node.parts[0]
    return isinstance(node, Chain) and node.calls[0].name == "event"
