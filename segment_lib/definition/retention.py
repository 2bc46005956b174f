"""Windows that reach further back than the rows that are kept (conf ``inputs.TABLE.kept``)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from segment_lib import core
from segment_lib.clock import Clock, Step
from segment_lib.definition.domains import left, may_be_missing
from segment_lib.definition.places import Night, Place
from segment_lib.language.scope import Fault
from segment_lib.tables import INPUTS

CODE = "window_longer_than_kept"


def beyond_kept(root: Place, kept: Mapping[str, str], night: Night) -> Iterator[Fault]:
    """A warning for every condition that looks for rows older than any that are kept, as of `night`.

    `kept` maps a table to a length of time. A window that begins earlier is one. Without a beginning only what could
    turn true because old rows are gone is: the first ever, and never, or at most so many.
    """
    clock = night.scope.clock
    edges = {table: clock.before(Step.parse(length)) for table, length in kept.items()}
    for place, truth in _leaves(root, True):
        test = night.test(place)
        for source, edge in edges.items():
            said = _beyond(test, source, edge, clock) or _never(test, truth, source)
            if said:
                since = clock.local(edge).date()
                message = f"{said}: {source} are kept for {kept[source]}, so since {since}"
                hint = f"ask for less, or keep them longer and say so in conf inputs.{source}.kept"
                yield Fault(place.path, message, hint, "warning", CODE)


def _leaves(place: Place, truth: bool) -> Iterator[tuple[Place, bool]]:
    if not place.parts:
        yield place, truth
    for part in place.parts:
        yield from _leaves(part, not truth if place.key in ("not", "none") else truth)


def _beyond(test: core.Test, source: str, edge: datetime, clock: Clock) -> str:
    """The earliest window of a source that begins before `edge`, in words."""
    nodes = [node for node in test.walk() if isinstance(node, core.Aggregate | core.Occurrence)]
    starts = [node.window.start for node in nodes if node.source == source and node.window.start is not None]
    if not starts or min(starts) >= edge:
        return ""
    return f"the window begins on {clock.local(min(starts)).date()}, before what is kept"


def _never(test: core.Test, truth: bool, source: str) -> str:
    """What a condition without a beginning takes for all time, in words."""
    open_ = [
        node for node in test.walk()
        if isinstance(node, core.Aggregate) and node.source == source and node.window.start is None
    ]
    if any(_first(node) for node in open_):
        return "the first ever may be older"
    return "who seems to have none, or few, may have had more" if open_ and _of_nobody(test, source) is truth else ""


def _first(value: core.Aggregate) -> bool:
    of = value.field if isinstance(value, core.Feature) else None
    time = isinstance(of, core.Field) and of.name == INPUTS[value.source].time
    return value.function == "first" or (value.function == "min" and time)


def _of_nobody(test: core.Test, source: str) -> bool | None:
    """The truth of a condition for who has no rows of a source; None when that depends on other things."""
    if isinstance(test, core.Not):
        truth = _of_nobody(test.arg, source)
        return None if truth is None else not truth
    if isinstance(test, core.All | core.Any):
        decisive = isinstance(test, core.Any)
        parts = [_of_nobody(part, source) for part in test.args]
        return decisive if decisive in parts else None if None in parts else not decisive
    if isinstance(test, core.Compare) and isinstance(test.value, core.Aggregate) and test.value.source == source:
        nothing = ("known", (), False) if may_be_missing(test.value) else ("eq", (0,), True)
        if left(test.value, [nothing, (test.operator, test.literals, True)]) is None:
            return False
        return True if left(test.value, [nothing, (test.operator, test.literals, False)]) is None else None
    return test.truth if isinstance(test, core.Const) else None
