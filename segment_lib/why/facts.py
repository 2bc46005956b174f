"""What a condition rests on, in words: the values found, what is asked of them, and what would turn it.

The truths and the values come from Spark; nothing is compared here but whole numbers with whole numbers, to say how
many more or fewer it would take.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any

from segment_lib import core
from segment_lib.catalogue import Type
from segment_lib.clock import Clock, Interval
from segment_lib.spoken import Bounds, bound, days, named, noun, tested, written
from segment_lib.why.result import Fact

#: No window reaches further than this.
_LONGEST = timedelta(days=366 * 200)
_TIMES = {"events": "occurred_at", "orders": "ordered_at"}


@dataclass(frozen=True)
class Found:
    """What Spark found of one customer, by node; what waits for scores is not in it. `buckets` are by salt."""

    clock: Clock
    truths: Mapping[core.Test, bool]
    values: Mapping[core.Value, Any]
    buckets: Mapping[str, int] = field(default_factory=dict)
    bounds: Bounds = field(default_factory=dict)


def leaves_of(test: core.Test, asked: bool = True) -> Iterator[tuple[core.Test, bool]]:
    """The tests of one customer inside `test`, each with the truth that is asked of it."""
    if isinstance(test, core.Not):
        yield from leaves_of(test.arg, not asked)
    elif isinstance(test, core.All | core.Any):
        for part in test.args:
            yield from leaves_of(part, asked)
    else:
        yield test, asked


def tests_of(test: core.Test) -> Iterator[core.Test]:
    """`test` and the tests of one customer that it is made of, whose truths an explanation reckons with."""
    yield test
    if isinstance(test, core.Not | core.All | core.Any):
        for part in test.children():
            yield from tests_of(part)  # type: ignore[arg-type]


def values_of(test: core.Test) -> Iterator[core.Value]:
    """The values that an explanation of `test` shows or reckons with, and the time of the first row in each window."""
    for leaf, _ in leaves_of(test):
        if isinstance(leaf, core.Compare):
            for value in (leaf.value, *(part for part in leaf.literals if isinstance(part, core.Value))):
                yield from _parts(value)
                if (first := first_of(value)) is not None:
                    yield first
        elif isinstance(leaf, core.Member):
            yield core.Since(leaf.segment)
        elif isinstance(leaf, core.Sequence):
            yield from (count_of(rows) for rows in leaf.occurrences)


def _parts(value: core.Value) -> Iterator[core.Value]:
    """A value, and those that it is made of."""
    yield value
    if isinstance(value, core.Ratio | core.Call):
        for part in value.children():
            if isinstance(part, core.Value) and not isinstance(part, core.Constant):
                yield from _parts(part)


def count_of(rows: core.Occurrence) -> core.Feature:
    """How many rows a step of a sequence finds."""
    return core.Feature(rows.source, "count", None, rows.where, rows.window)


def first_of(value: core.Value) -> core.Feature | None:
    """The time of the oldest row of an aggregate over a window that begins somewhere; None for others."""
    if not isinstance(value, core.Feature) or value.window.start is None or value.source not in _TIMES:
        return None
    time = core.Field(value.source, _TIMES[value.source], Type.TIMESTAMP)
    return core.Feature(value.source, "min", time, value.where, value.window)


def facts(test: core.Test, found: Found, later: Callable[[date], core.Test]) -> tuple[Fact, ...]:
    """What `test` rests on; `later` reduces the same condition for another snapshot date."""
    listed = list(leaves_of(test))
    known = {leaf.value for leaf, _ in listed if isinstance(leaf, core.Compare) and leaf.operator != "known"}
    made = []
    for number, (leaf, asked) in enumerate(listed):
        if isinstance(leaf, core.Compare) and leaf.operator == "known" and leaf.value in known and found.truths[leaf]:
            continue
        made += _facts(leaf, asked, found, lambda day, number=number: _window(list(leaves_of(later(day))), number))
    return _merged(made) if isinstance(test, core.All) else tuple(dict.fromkeys(made))


def _window(leaves: Sequence[tuple[core.Test, bool]], number: int) -> Interval:
    """The window of the aggregate that one of the tests compares; without an end where there is none."""
    leaf = leaves[number][0] if number < len(leaves) else None
    value = leaf.value if isinstance(leaf, core.Compare) else None
    return value.window if isinstance(value, core.Aggregate) else Interval()


def _merged(made: Iterable[Fact]) -> tuple[Fact, ...]:
    """Facts that are about the same value as one, which asks for all of them."""
    merged: dict[tuple[str, str, str | None], Fact] = {}
    for fact in made:
        same = merged.get((fact.name, fact.value, fact.days))
        if same is not None and same.asked and fact.asked and same.asked != fact.asked:
            fact = replace(same, asked=f"{same.asked}, and {fact.asked}", holds=same.holds and fact.holds)
        merged[fact.name, fact.value, fact.days] = fact if fact.asked or same is None else same
    return tuple(merged.values())


def _facts(leaf: core.Test, asked: bool, found: Found, window: Callable[[date], Interval]) -> list[Fact]:
    holds = found.truths[leaf] is asked
    if isinstance(leaf, core.Compare):
        return _compared(leaf, asked, holds, found, window)
    if isinstance(leaf, core.Member):
        since = found.values[core.Since(leaf.segment)]
        value = "no" if since is None else f"since {since}"
        return [Fact(f"member of {leaf.segment}", value, "yes" if asked else "no", holds)]
    if isinstance(leaf, core.Split):
        return [Fact("bucket of 100", str(found.buckets[leaf.salt]), f"{leaf.start} to {leaf.end - 1}", holds)]
    if isinstance(leaf, core.Sequence):
        words = {True: "found", False: "not found"}
        return [
            Fact("sequence", words[found.truths[leaf]], words[asked], holds),
            *(_step(rows, holds, found) for rows in leaf.occurrences),
        ]
    if isinstance(leaf, core.IsCustomer):
        return [Fact("stands in customers", "yes" if found.truths[leaf] else "no", "yes" if asked else "no", holds)]
    return []


def _step(rows: core.Occurrence, holds: bool, found: Found) -> Fact:
    """How many rows a step of a sequence has to choose from."""
    name = f"any {rows.source}" if rows.where == core.TRUE else f"rows that are {tested(rows.where, found.clock)}"
    return Fact(name, written(found.values[count_of(rows)], found.clock), "", holds, days(rows.window, found.clock))


def _compared(
    leaf: core.Compare, asked: bool, holds: bool, found: Found, window: Callable[[date], Interval]
) -> list[Fact]:
    words = bound(leaf, found.clock, found.bounds, asked)
    made = [_fact(leaf.value, words, holds, found, window)]
    others = [part for part in leaf.literals if isinstance(part, core.Value)]
    inside = [part for value in (leaf.value, *others) for part in _parts(value) if part not in (leaf.value, *others)]
    return made + [_fact(value, "", holds, found, None) for value in (*others, *inside)]


def _fact(
    value: core.Value, words: str, holds: bool, found: Found, window: Callable[[date], Interval] | None
) -> Fact:
    covered = days(value.window, found.clock) if isinstance(value, core.Aggregate) else None
    first = first_of(value)
    oldest = found.values.get(first) if first is not None else None
    gone = None
    if oldest is not None and window is not None:
        gone = leaving(oldest, found.clock.snapshot_date, window)
    return Fact(named(value), written(found.values[value], found.clock), words, holds, covered, gone)


def leaving(oldest: datetime, night: date, window: Callable[[date], Interval]) -> date | None:
    """The first snapshot date whose window begins after `oldest`; None when it never does.

    >>> from datetime import UTC
    >>> from zoneinfo import ZoneInfo
    >>> from segment_lib.clock import Step
    >>> moving = lambda day: Clock(day, ZoneInfo("UTC")).last(Step(30, "d"))
    >>> leaving(datetime(2026, 3, 3, 12, tzinfo=UTC), date(2026, 3, 31), moving)
    datetime.date(2026, 4, 2)
    """
    def left(day: date) -> bool:
        start = window(day).start
        return start is not None and start > oldest

    low, high = night, night + timedelta(days=1)
    while not left(high):
        if high - night > _LONGEST:
            return None
        low, high = high, high + (high - night)
    while (high - low).days > 1:
        middle = low + (high - low) / 2
        low, high = (low, middle) if left(middle) else (middle, high)
    return high


# What would turn it ------------------------------------------------------------------------------------------------


def turn(test: core.Test, want: bool, found: Found, several: bool = False) -> str | None:
    """What would give `test` the truth `want`; None when nothing that the customer does can.

    With `several` the words say which window they mean.
    """
    if isinstance(test, core.Not):
        return turn(test.arg, not want, found, several)
    if isinstance(test, core.All | core.Any):
        ways = [turn(part, want, found, True) for part in test.args if found.truths[part] is not want]
        if isinstance(test, core.All) is want:
            return " and ".join(dict.fromkeys(ways)) if ways and None not in ways else None  # type: ignore[arg-type]
        return " or ".join(dict.fromkeys(way for way in ways if way is not None)) or None
    if isinstance(test, core.Compare):
        return _changed(test, want, found, several)
    if isinstance(test, core.Member):
        return f"{'enter' if want else 'leave'} {test.segment}"
    if isinstance(test, core.Sequence):
        return "the steps in this order" if want else "no such steps in this order"
    if isinstance(test, core.IsCustomer):
        return "a row in customers" if want else "no row in customers"
    return None


def _changed(test: core.Compare, want: bool, found: Found, several: bool) -> str | None:
    value = found.values[test.value]
    (first, *_) = test.literals or (None,)
    if isinstance(first, core.Percentile):
        first = found.bounds.get((test.value, first))
        if first is None:
            return None
    if isinstance(value, int) and isinstance(first, int) and noun(test.value, 1) and test.operator in _MISSING:
        words = _counted(test.value, value, _MISSING[test.operator](value, first, want))
        if words is not None and several and isinstance(test.value, core.Aggregate):
            words += f" in {days(test.value.window, found.clock)}"
        return words
    if isinstance(test.value, core.Call):
        parts = (named(part) for part in _parts(test.value) if not isinstance(part, core.Call))
        return f"another value of {', '.join(dict.fromkeys(parts))}"
    words = bound(test, found.clock, found.bounds, want).removeprefix("is ")
    missing = "" if want or test.operator == "known" or words.endswith("or missing") else ", or missing"
    return f"{named(test.value)} would have to be: {words}{missing}"


#: Operators on counts -> how many more it takes (fewer when negative) for the truth wanted; None when none do.
_MISSING: dict[str, Callable[[int, int, bool], int | None]] = {
    "ge": lambda value, least, want: least - value if want else least - 1 - value,
    "gt": lambda value, least, want: least + 1 - value if want else least - value,
    "le": lambda value, most, want: most - value if want else most + 1 - value,
    "lt": lambda value, most, want: most - 1 - value if want else most - value,
    "eq": lambda value, number, want: number - value if want else 1,
}


def _counted(value: core.Value, count: int, more: int | None) -> str | None:
    """So many more or fewer; None when that would leave less than nothing."""
    if more is None or count + more < 0:
        return None
    return f"{abs(more)} {'more' if more > 0 else 'fewer'} {noun(value, abs(more))}"
