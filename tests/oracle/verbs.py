"""The exact forms: lifecycle verbs, sequences and compared values, each as its definition reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal

from oracle.compare import comparable, holds
from oracle.people import TIME, Person
from oracle.rows import AGGREGATES, Night, aggregate, ever, kind_of, named, quotient
from oracle.times import Window, inside, window


def _times(person: Person, condition: Mapping, night: Night) -> list[datetime]:
    time = TIME[named(condition).table]
    return [row[time] for row in ever(person, condition, night)]


def _count(times: list[datetime], bounds: Window) -> int:
    return sum(inside(time, bounds) for time in times)


def first_did(person: Person, condition: Mapping, night: Night) -> bool:
    """The first ever occurrence that matches lies in the window."""
    times = _times(person, condition, night)
    return bool(times) and inside(times[0], window(condition.get("within"), night.clock))


def stopped(person: Person, condition: Mapping, night: Night) -> bool:
    """Some in [as_of - within, as_of - quiet), none in [as_of - quiet, as_of)."""
    clock, times = night.clock, _times(person, condition, night)
    start, quiet = clock.back(condition["within"]), clock.back(condition["quiet"])
    return _count(times, (start, quiet)) > 0 and _count(times, (quiet, clock.as_of)) == 0


def restarted(person: Person, condition: Mapping, night: Night) -> bool:
    """Some in [r, as_of) with r = as_of - within, none in [r - gap, r), some before r - gap."""
    clock, times = night.clock, _times(person, condition, night)
    again = clock.back(condition["within"])
    before = clock.step(again, condition["gap"], -1)
    return (
        _count(times, (again, clock.as_of)) > 0
        and _count(times, (before, again)) == 0
        and _count(times, (None, before)) > 0
    )


def regularly(person: Person, condition: Mapping, night: Night) -> bool:
    """The count holds in enough periods [as_of - i*every, as_of - (i-1)*every), each counted from as_of."""
    clock, times, every = night.clock, _times(person, condition, night), condition["every"]
    wanted = condition.get("count", {"at_least": 1})
    good = sum(
        holds(_count(times, (clock.back(every, i), clock.back(every, i - 1))), wanted, "integer", clock)
        for i in range(1, condition["periods"]["of"] + 1)
    )
    return good >= condition["periods"]["at_least"]


def sequence(person: Person, condition: Mapping, night: Night) -> bool:
    """True when any choice of rows fits all steps."""
    steps = condition["sequence"]
    if not steps or _is_negative(steps[0]):
        raise ValueError("a sequence starts with a step that happens")
    return any(_fits(choice, person, condition, night) for choice in _choices(person, condition, night))


Chosen = list[tuple[datetime, dict]]


def _is_negative(step: Mapping) -> bool:
    return "did_not" in step


def _choices(person: Person, condition: Mapping, night: Night) -> Iterator[Chosen]:
    """Every way to pick one row in the window for each positive step, each strictly later than the one before."""
    bounds = window(condition.get("within"), night.clock)
    chosen: list[Chosen] = [[]]
    for step in condition["sequence"]:
        if _is_negative(step):
            continue
        time = TIME[named(step).table]
        rows = [(row[time], row) for row in ever(person, step, night) if inside(row[time], bounds)]
        chosen = [before + [row] for before in chosen for row in rows if not before or before[-1][0] < row[0]]
    yield from chosen


def _fits(chosen: Chosen, person: Person, condition: Mapping, night: Night) -> bool:
    """True when the picked rows keep `same`, `span`, every `after`, and the silence that each `did_not` asks for."""
    span = condition.get("span")
    first, last = chosen[0][0], chosen[-1][0]
    if span is not None and last > night.clock.step(first, span, 1):
        return False
    for name in condition.get("same", []):
        values = [row.get(name) for _, row in chosen]
        if None in values or any(value != values[0] for value in values):
            return False
    position = -1
    for step in condition["sequence"]:
        if not _is_negative(step):
            position += 1
            if position and not _gap(chosen[position - 1][0], chosen[position][0], step.get("after"), night):
                return False
        elif position + 1 < len(chosen):
            between = (chosen[position][0], chosen[position + 1][0])
            if any(between[0] < time < between[1] for time in _times(person, step, night)):
                return False
        elif not _quiet_end(first, last, person, step, span, night):
            return False
    return True


def _gap(before: datetime, time: datetime, after: Mapping | None, night: Night) -> bool:
    """Compares the time since the step before; d, w, mo and y are calendar steps from that step."""
    def limit(duration: str) -> datetime:
        return night.clock.step(before, duration, 1)

    tests = {
        "at_least": lambda x: time >= limit(x), "more_than": lambda x: time > limit(x),
        "at_most": lambda x: time <= limit(x), "less_than": lambda x: time < limit(x), "is": lambda x: time == limit(x),
        "between": lambda x: limit(x[0]) <= time <= limit(x[1]),
    }
    return all(tests[name](argument) for name, argument in (after or {}).items())


def _quiet_end(
    first: datetime, last: datetime, person: Person, step: Mapping, span: str | None, night: Night
) -> bool:
    """None strictly after the last positive step up to the span's end, which belongs to it, or as_of.

    `after: {at_least: x}` asks that x has passed by as_of and that the first x, its end not included, is quiet too.
    """
    clock = night.clock
    times = [time for time in _times(person, step, night) if last < time]
    end = clock.as_of if span is None else clock.step(first, span, 1)
    if any(time <= end for time in times):
        return False
    if "after" in step:
        if set(step["after"]) != {"at_least"}:
            raise ValueError("a final did_not takes only `after: {at_least: ...}`")
        passed = clock.step(last, step["after"]["at_least"], 1)
        return passed <= clock.as_of and not any(time < passed for time in times)
    return True


VERBS = {
    "first_did": first_did, "stopped": stopped, "restarted": restarted, "regularly": regularly, "sequence": sequence,
}


def value_holds(
    person: Person, condition: Mapping, night: Night, compare: Callable[[Callable, Mapping, str], bool]
) -> bool:
    """A measure compared with literals, percentiles or another measure; a missing side makes the comparison false."""
    spec = condition["value"]
    operators: dict = {}
    for name, argument in condition.items():
        if name == "value":
            continue
        if isinstance(argument, Mapping) and not {"percentile", "from", "to", "in_next", "in_last"} & set(argument):
            other = measure(person, argument, night)
            argument = None if other is None else comparable(other, measure_kind(argument, night), night.clock)
            if argument is None:
                return False
        operators[name] = argument
    return compare(lambda other: measure(other, spec, night), operators, measure_kind(spec, night))


def measure_kind(spec: Mapping, night: Night) -> str:
    """The type of a measure."""
    if "customer" in spec:
        return night.catalogue["customers"][spec["customer"]]
    if "visits" in spec:
        return "integer"
    return "decimal" if "ratio" in spec else kind_of(spec, night)


def measure(person: Person, spec: Mapping, night: Night) -> object | None:
    """A field of the customer, an aggregate, or a ratio of two; a ratio over zero, or of something missing, is missing."""
    if "customer" in spec:
        return person.fields.get(spec["customer"])
    if "ratio" not in spec:
        if "visits" not in spec and not any(name in spec for name in AGGREGATES):
            raise ValueError("a value needs an aggregate")
        return aggregate(person, spec, night)
    top, bottom = (measure(person, part, night) for part in spec["ratio"])
    return None if top is None or not bottom else quotient(Decimal(top), Decimal(bottom))
