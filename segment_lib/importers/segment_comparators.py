"""The functions of Twilio Segment's query language: extractors, filters, reducers, comparators, junctions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from segment_lib.clock import Step
from segment_lib.importers.build import EVER, Placed, Test, complement, either, every, joined, negated, one
from segment_lib.importers.constructs import Constructs
from segment_lib.importers.document import Spot
from segment_lib.importers.names import Column, literal, literals
from segment_lib.importers.segment_query import Call, Length

EXTRACTORS, FILTERS, REDUCERS = Constructs(), Constructs(), Constructs()
COMPARATORS, JUNCTIONS = Constructs(), Constructs()
EXTRACTORS.refuses({"entity": "entities of a linked audience are no rows here; ask for orders or events"})
FILTERS.refuses({
    "sources": "events do not say by which source they came",
    "expires_after": "windows of a session belong to computed traits",
})
JUNCTIONS.refuses({
    "ANY": "there are no accounts with users here",
    "ALL": "there are no accounts with users here",
})

CALENDAR = ("windows end at as_of, the midnight that ends the snapshot date; Segment's end at the moment of "
            "evaluation, and its days are 24 hours, where a day here is one of the tenant's time zone")
CASE = "parts of a text are looked for here without regard to case"


@EXTRACTORS.translates("event", "trait", "property", "context", "literal")
def _extractor() -> None:
    """What takes values; the query's translation names each where it may stand."""


@JUNCTIONS.translates("AND")
def _and(parts: Sequence[Placed], place: str) -> Placed:
    return joined("all", parts, place)


@JUNCTIONS.translates("OR")
def _or(parts: Sequence[Placed], place: str) -> Placed:
    return joined("any", parts, place)


@JUNCTIONS.translates("NOT")
def _not(parts: Sequence[Placed], place: str) -> Placed:
    return complement(parts[0], place)


# Windows -----------------------------------------------------------------------------------------------------------


def length(spot: Spot) -> Step:
    """A length of hours or days."""
    if isinstance(spot.value, Length) and spot.value.unit in ("hour", "day") and spot.value.number:
        return Step(spot.value.number, {"hour": "h", "day": "d"}[spot.value.unit])
    spot.refuse("a length of time is needed here, such as 7 days or 12 hours")
    return Step(1, "d")


def parent_length(call: Call, spot: Spot) -> dict[str, Any]:
    """How long after its parent an event may come."""
    spots = [Spot(argument, spot.place, spot.log) for argument in call.arguments]
    if call.name == "within" and len(spots) == 1:
        return {"at_most": str(length(spots[0]))}
    if call.name == "between" and len(spots) == 2:
        return {"between": [str(step) for step in sorted(map(length, spots), key=lambda step: step.rough_days)]}
    spot.refuse("a window is within(7 days) or between(7 days, 10 days)")
    return {"at_most": "1d"}


@FILTERS.translates("within")
def _within(spots: Sequence[Spot], call: Spot) -> Any:
    if len(spots) != 1:
        call.refuse("within takes one length of time: within(7 days)")
        return "1d"
    return str(length(spots[0]))


@FILTERS.translates("between")
def _between(spots: Sequence[Spot], call: Spot) -> Any:
    """Between two moments ago, whichever is named first."""
    if len(spots) != 2:
        call.refuse("between takes two lengths of time: between(7 days, 10 days)")
        return "1d"
    near, far = sorted(map(length, spots), key=lambda step: step.rough_days)
    if near.rough_days == far.rough_days:
        call.refuse("an empty window")
    return {"ago": [str(far), str(near)]}


@FILTERS.translates("where")
def _where() -> None:
    """A filter on the event, which the query's translation reads itself."""


# Reducers ----------------------------------------------------------------------------------------------------------

for _name, _ours in {
    "count": "count", "sum": "sum", "avg": "avg", "max": "max", "min": "min", "mode": "mode", "first": "first",
    "last": "latest", "unique": "distinct",
}.items():
    REDUCERS.translates(_name)(lambda ours=_ours: ours)


# Comparators -------------------------------------------------------------------------------------------------------


def _one_value(spots: Sequence[Spot], column: Column, call: Spot) -> Any:
    if len(spots) == 1 and not isinstance(spots[0].value, Length):
        return literal(spots[0], column)
    call.refuse("one value is needed here")
    return 0


def _plain(operator: str):
    return lambda spots, column, call: one(**{operator: _one_value(spots, column, call)})


for _name, _operator in {
    "equals": "is", "differs": "is_not", "greater_than": "more_than", "at_least": "at_least", "less_than": "less_than",
    "at_most": "at_most",
}.items():
    COMPARATORS.translates(_name)(_plain(_operator))


def _texts(operator: str):
    def handler(spots: Sequence[Spot], column: Column, call: Spot) -> Test:
        call.note(CASE)
        return either([one(**{operator: str(literal(spot, column))}) for spot in _some(spots, call)])

    return handler


def _some(spots: Sequence[Spot], call: Spot) -> Sequence[Spot]:
    if not spots or any(isinstance(spot.value, Length) for spot in spots):
        call.refuse("values are needed here")
        return [Spot("unnamed", call.place, call.log)]
    return spots


COMPARATORS.translates("contains")(_texts("contains"))
COMPARATORS.translates("starts_with")(_texts("starts_with"))
COMPARATORS.translates("ends_with")(_texts("ends_with"))


@COMPARATORS.translates("omits")
def _omits(spots: Sequence[Spot], column: Column, call: Spot) -> Test:
    """The reference calls it equal to NOT contains, so it includes the missing."""
    return negated(_texts("contains")(spots, column, call))


@COMPARATORS.translates("one_of")
def _one_of(spots: Sequence[Spot], column: Column, call: Spot) -> Test:
    return one(in_=_values(spots, column, call))


@COMPARATORS.translates("none_of")
def _none_of(spots: Sequence[Spot], column: Column, call: Spot) -> Test:
    call.note("a missing value does not meet none_of here, as it does not meet differs in Segment")
    return one(not_in=_values(spots, column, call))


def _values(spots: Sequence[Spot], column: Column, call: Spot) -> list[Any]:
    return [value for spot in _some(spots, call) for value in literals(spot, column)]


@COMPARATORS.translates("exists")
def _exists(spots: Sequence[Spot], column: Column, call: Spot) -> Test:
    return one(known=True)


@COMPARATORS.translates("absent")
def _absent(spots: Sequence[Spot], column: Column, call: Spot) -> Test:
    return one(known=False)


def _instant(spots: Sequence[Spot], call: Spot) -> str:
    """A time, at UTC unless it says otherwise."""
    try:
        moment = datetime.fromisoformat(spots[0].value)
        if len(spots) == 1:
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).isoformat()
    except (IndexError, TypeError, ValueError):
        pass
    call.refuse("one time is needed here, such as 2023-12-07T18:50:00Z")
    return "2000-01-01"


@COMPARATORS.translates("before_date")
def _before(spots: Sequence[Spot], column: Column, call: Spot) -> Test:
    return one(less_than=_instant(spots, call))


@COMPARATORS.translates("after_date")
def _after(spots: Sequence[Spot], column: Column, call: Spot) -> Test:
    return one(more_than=_instant(spots, call))


def _step(spots: Sequence[Spot], call: Spot) -> str:
    call.note(CALENDAR)
    if len(spots) == 1:
        return str(length(spots[0]))
    call.refuse("one length of time is needed here, such as 7 days")
    return "1d"


@COMPARATORS.translates("within_last")
def _within_last(spots: Sequence[Spot], column: Column, call: Spot) -> Test:
    return one(in_last=_step(spots, call))


@COMPARATORS.translates("within_next")
def _within_next(spots: Sequence[Spot], column: Column, call: Spot) -> Test:
    return one(in_next=_step(spots, call))


@COMPARATORS.translates("before_last")
def _before_last(spots: Sequence[Spot], column: Column, call: Spot) -> Test:
    return one(ago=[EVER, _step(spots, call)])


@COMPARATORS.translates("after_next")
def _after_next(spots: Sequence[Spot], column: Column, call: Spot) -> Test:
    """Later than so much time ahead: known, not in the past, and not before then."""
    return every([one(not_in_last=EVER), negated(one(in_next=_step(spots, call)))])
