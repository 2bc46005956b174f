"""Negations that let missing values in: `not: {customer: country, is: DE}` includes customers without a country."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from segment_lib import core
from segment_lib.catalogue import Type
from segment_lib.definition.domains import may_be_missing
from segment_lib.definition.places import CONJUNCTIONS, Night, Place, signed
from segment_lib.language.comparison import Comparison
from segment_lib.language.filters import BOOLEAN_KEYS
from segment_lib.language.model import plain
from segment_lib.language.scope import Fault
from segment_lib.language.words import spoken
from segment_lib.strict_yaml import Path
from segment_lib.tables import INPUTS

CODE = "missing_included"
#: The operator that asks for the opposite of a value that is there.
_OPPOSITE = {
    "is": "is_not", "in": "not_in", "contains": "not_contains", "in_last": "not_in_last", "at_least": "less_than",
    "more_than": "at_most", "before": "at_least", "after": "at_most",
}
_OPPOSITE |= {other: name for name, other in _OPPOSITE.items() if name not in ("before", "after")}
#: Flags that every customer has: those of consent and registration, which mean no when they are missing.
_FLAGS = frozenset(name for name, kind in INPUTS["customers"].columns.items() if kind == "boolean")


@dataclass(frozen=True)
class _Around:
    """What surrounds a condition: what holds besides it, of which values missing ones were asked, the last negation."""

    truth: bool
    besides: tuple[core.Test, ...]
    asked: frozenset[core.Value] = frozenset()
    negation: Path = ()


def lets_missing_in(root: Place, population: core.Test, night: Night) -> Iterator[Fault]:
    """A warning for every comparison whose negation includes missing values, once for each value and negation.

    None where the conditions beside it leave no missing values, or where the author asks for them with `known`.
    """
    seen: set[tuple[Path, core.Value]] = set()
    for place, around in _leaves(root, _Around(True, (population,)), night):
        test = night.test(place)
        if not around.truth and not place.condition.absence_meant and not _only_known(place.condition):
            for value in _compared(test):
                missing = core.negate(core.Compare(value, "known"))
                if (around.negation, value) in seen or value in around.asked:
                    continue
                if not night.search.impossible((*around.besides, core.negate(test), missing)):
                    seen.add((around.negation, value))
                    yield Fault(place.path, _said(place, value), _instead(place, value), "warning", CODE)
        yield from _in_filters(place, test, night)


def _leaves(place: Place, around: _Around, night: Night) -> Iterator[tuple[Place, _Around]]:
    if not place.parts:
        yield place, around
        return
    if place.key == "not":
        yield from _leaves(place.parts[0], replace(around, truth=not around.truth, negation=place.path), night)
        return
    truth = around.truth if place.key != "none" else not around.truth
    joins = CONJUNCTIONS[place.key][1] == around.truth
    tests = {part.path: signed(night.test(part), truth) for part in place.parts}
    asked = around.asked | {
        value for part in place.parts if not part.parts and _only_known(part.condition)
        for value in _compared(night.test(part), known=True)
    }
    for part in place.parts:
        others = tuple(test for path, test in tests.items() if path != part.path) if joins else ()
        inside = _Around(truth, around.besides + others, asked, place.path if place.key == "none" else around.negation)
        yield from _leaves(part, inside, night)


def _only_known(condition: object) -> bool:
    return isinstance(condition, Comparison) and condition.operators().keys() == {"known"}


def _compared(test: core.Test, known: bool = False) -> dict[core.Value, None]:
    """The values of the customer that a condition compares and that may be missing; with `known` also in `known`.

    A flag that must be true is none of them: one that is missing is not set.
    """
    if isinstance(test, core.All | core.Any):
        return {value: None for part in test.args for value in _compared(part, known)}
    if isinstance(test, core.Not):
        return _compared(test.arg, known)
    if not isinstance(test, core.Compare) or (test.operator == "known" and not known):
        return {}
    flag = test.literals == (True,) and test.value.type is Type.BOOLEAN
    flag |= isinstance(test.value, core.Field) and test.value.source == "customers" and test.value.name in _FLAGS
    sides = [test.value, *(literal for literal in test.literals if isinstance(literal, core.Value))]
    return {} if flag else {value: None for value in sides if may_be_missing(value)}


def _said(place: Place, value: core.Value) -> str:
    if isinstance(value, core.Field):
        return f"the negation includes customers whose {value.name} is missing"
    return f"the negation includes customers of whom there is nothing to compare ({place.condition.label()})"


def _instead(place: Place, value: core.Value) -> str:
    if not isinstance(value, core.Field):
        return "to leave them out, compare the other way round instead of negating"
    comparison = place.condition
    given = comparison.operators() if isinstance(comparison, Comparison) else {}
    known = f"{{{'score' if value.source == 'scores' else 'customer'}: {value.name}, known: true}}"
    if len(given) == 1 and (name := next(iter(given))) in _OPPOSITE:
        written = spoken(given[name]) if not isinstance(plain(given[name]), list) else f"[{spoken(given[name])}]"
        return f"to leave them out, write {_OPPOSITE[name]}: {written} without the negation, or add {known}"
    return f"to leave them out, add {known}"


# Filters of rows -----------------------------------------------------------------------------------------------------


def _in_filters(place: Place, test: core.Test, night: Night) -> Iterator[Fault]:
    """The same inside `where` and `items`: rows without the value meet a negation."""
    found: dict[core.Field, None] = {}
    for node in test.walk():
        if isinstance(node, core.Aggregate | core.Occurrence | core.AnyLine | core.AnyGroup):
            compared = [part for part in node.where.walk() if isinstance(part, core.Compare)]
            asked = {part.value for part in compared if part.operator == "known"}
            for compare, besides in _negated(node.where, True, ()):
                value, missing = compare.value, core.negate(core.Compare(compare.value, "known"))
                if isinstance(value, core.Field) and may_be_missing(value) and value not in asked:
                    if not night.search.impossible((*besides, missing)):
                        found[value] = None
    for value in found:
        what = {"events": "events", "orders": "orders", "items": "lines"}.get(value.source, "rows")
        message = f"the negation includes {what} whose {value.name} is missing"
        path = _inside_negation(plain(place.condition), value.name) or ()
        hint = f"to leave them out, add {value.name}: {{known: true}}"
        yield Fault((*place.path, *path), message, hint, "warning", CODE)


def _negated(
    test: core.Test, truth: bool, besides: tuple[core.Test, ...]
) -> Iterator[tuple[core.Compare, tuple[core.Test, ...]]]:
    """The comparisons that must not hold, each with what must hold besides it."""
    if isinstance(test, core.Not):
        yield from _negated(test.arg, not truth, besides)
    elif isinstance(test, core.All | core.Any):
        joins = isinstance(test, core.All) == truth
        for part in test.args:
            others = tuple(signed(other, truth) for other in test.args if other is not part) if joins else ()
            yield from _negated(part, truth, besides + others)
    elif isinstance(test, core.Compare) and not truth and test.operator != "known":
        yield test, besides


def _inside_negation(part: object, name: str, negated: bool = False) -> Path | None:
    """The path of the first comparison of a property that stands inside `not` or `none`."""
    pairs = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
    for key, value in pairs:
        if key == name and negated and key not in BOOLEAN_KEYS:
            return (key,)
        below = _inside_negation(value, name, negated or key in ("not", "none"))
        if below is not None:
            return (key, *below)
    return None
