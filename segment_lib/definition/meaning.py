"""Checks of meaning: definitions that are right in form and yet say something that nobody can have meant. No Spark.

Each finding is a warning at the condition concerned. None depends on data, or on the night: what is called always true,
always false or a contradiction is so for every customer that could exist, on all nights. Of what cannot be decided
nothing is said.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from segment_lib import core
from segment_lib.catalogue import Catalogue
from segment_lib.clock import Clock
from segment_lib.definition.claims import FIRST_NIGHT, Claim, Claims
from segment_lib.definition.negations import lets_missing_in
from segment_lib.definition.places import CONJUNCTIONS, Night, Place, place_of
from segment_lib.definition.retention import beyond_kept
from segment_lib.definition.satisfiable import Search
from segment_lib.definition.segment import Segment
from segment_lib.language.scope import Fault, Scope
from segment_lib.strict_yaml import Path, spell

_ROWS = {"events": "event", "orders": "order", "lists": "list entry"}

#: Keys of definitions whose lists have no order.
_UNORDERED = ("all", "any", "none", "in", "not_in", "has_any", "has_all")


@dataclass(frozen=True)
class Known:
    """What definitions are checked against: names, the ids that exist, the zone, and how long which rows are kept.

    `tonight` is the night for which fixed dates are held against what is kept; without it they are not.
    """

    catalogue: Catalogue
    ids: frozenset[str]
    zone: ZoneInfo
    kept: Mapping[str, str] | None = None
    tonight: Clock | None = None


def check_meaning(segments: Iterable[Segment], known: Known) -> dict[str, tuple[Fault, ...]]:
    """The warnings of definitions that have no faults, by segment id, in the order of their conditions."""
    searches: dict[date, Search] = {}
    examinations = [Examination(segment, known, searches) for segment in segments]
    found = {examined.segment.id: examined.findings() for examined in examinations}
    for segment_id, fault in duplicates(examinations):
        found[segment_id].append(fault)
    return {segment_id: tuple(dict.fromkeys(faults)) for segment_id, faults in found.items() if faults}


class Examination:
    """One definition, looked at.

    `claims.settled` are the places whose truth is decided: of them a finding tells, and no other rests on them.
    """

    def __init__(self, segment: Segment, known: Known, searches: dict[date, Search] | None = None) -> None:
        self.segment = segment
        self.known = known
        self.root = place_of(segment.where)
        scope = Scope(known.catalogue, Clock(FIRST_NIGHT, known.zone), known.ids)
        limited = bool(segment.eligible) or not segment.anonymous
        self.population = segment.reduce(scope).population if limited else core.TRUE
        self.claims = Claims(replace(scope, population=self.population), {} if searches is None else searches)

    def findings(self) -> list[Fault]:
        """The warnings about this definition alone."""
        found = [*self._constant(self.root, None)]
        if not found:
            found += self._against_population()
        found += lets_missing_in(self.root, self.population, self.claims.first)
        if self.known.kept and self.known.tonight and self.segment.status == "active":
            night = Night(replace(self.claims.scope, clock=self.known.tonight), Search(self.known.tonight.as_of))
            reach = beyond_kept(self.root, self.known.kept, night)
            found += (fault for fault in reach if fault.path not in self.claims.settled)
        return found

    # Always true, always false, contradictions -----------------------------------------------------------------------

    def _constant(self, place: Place, joined: bool | None) -> Iterator[Fault]:
        """What is decided whatever the data, innermost first.

        `joined` is the truth with which the place is a member of a conjunction around it, which looks at its parts too.
        """
        if not place.parts:
            yield from self._leaf(place)
            return
        if place.key == "not":
            yield from self._constant(place.parts[0], None if joined is None else not joined)
            return
        of_parts, of_whole = CONJUNCTIONS[place.key]
        for part in place.parts:
            yield from self._constant(part, of_parts)
        if joined != of_whole:
            claim = self.claims.smallest(tuple(self._conjuncts(place, of_whole)))
            if claim:
                self.claims.settled[place.path] = not of_whole
                yield self._conflict(place, claim)

    def _leaf(self, place: Place) -> Iterator[Fault]:
        for truth in (True, False):
            if self.claims.impossible(((place, truth),)):
                self.claims.settled[place.path] = not truth
                said = "always false" if truth else "always true"
                message = f"{said}: {_reason(self.claims.first.test(place), truth, self.claims.first.search)}"
                yield self._fault(place.path, "always_false" if truth else "always_true", message, place)
                return

    def _against_population(self) -> Iterator[Fault]:
        """A condition that nobody whom the segment considers can meet."""
        conjuncts = tuple(self._conjuncts(self.root, True))
        if self.population == core.TRUE or not self.claims.impossible(conjuncts, self.population):
            return
        claim = self.claims.smallest(conjuncts, self.population)
        place = claim[-1][0]
        self.claims.settled[self.root.path] = False
        considered = ", ".join(self.segment.eligible) or "customers with a profile"
        yield self._fault(
            place.path, "contradiction", f"nobody whom the segment considers ({considered}) can meet this", self.root
        )

    def _conflict(self, place: Place, claim: Claim) -> Fault:
        """Conditions that exclude each other, or that leave no one out, at the last of them."""
        last, others = claim[-1], claim[:-1]
        if CONJUNCTIONS[place.key][0]:
            beside = f" with {_named(others)}" if others else ""
            number = {1: "this", 2: "both"}.get(len(claim), "all of them")
            message = f"a contradiction{beside}: nobody meets {number}"
            return self._fault(last[0].path, "contradiction", message, place)
        code = "always_true" if place.key == "any" else "always_false"
        beside = _named([(other, not truth) for other, truth in others])
        message = f"{code.replace('_', ' ')}{f', together with {beside}' if beside else ''}: everyone meets one of them"
        return self._fault(last[0].path, code, message, place)

    def _fault(self, path: Path, code: str, message: str, decided: Place) -> Fault:
        everyone = self._outcome(self.root, {decided.path: self.claims.settled[decided.path]})
        hint = {None: "", True: "so everyone considered is a member", False: "so nobody can be a member"}[everyone]
        return Fault(path, message, hint, "warning", code)

    def _outcome(self, place: Place, decided: Mapping[Path, bool]) -> bool | None:
        """The truth of a place when only that of some places is known."""
        if place.path in decided or not place.parts:
            return decided.get(place.path)
        parts = [self._outcome(part, decided) for part in place.parts]
        if place.key == "not":
            return None if parts[0] is None else not parts[0]
        of_parts, of_whole = CONJUNCTIONS[place.key]
        if any(part is (not of_parts) for part in parts):
            return not of_whole
        return of_whole if all(part is of_parts for part in parts) else None

    def _conjuncts(self, place: Place, truth: bool) -> Iterator[tuple[Place, bool]]:
        """The places, each with its truth, that must all be so for `place` to be `truth`; without what is settled."""
        if place.path in self.claims.settled:
            return
        if place.key == "not":
            yield from self._conjuncts(place.parts[0], not truth)
        elif place.key in CONJUNCTIONS and CONJUNCTIONS[place.key][1] == truth:
            for part in place.parts:
                yield from self._conjuncts(part, CONJUNCTIONS[place.key][0])
        else:
            yield place, truth


def _named(claim: Sequence[tuple[Place, bool]]) -> str:
    """Conditions in words with their places, short enough for one line."""
    texts = []
    for place, truth in claim:
        label = ("" if truth else "not ") + place.condition.label()
        label = label if len(label) <= 80 else f"{label[:77]}..."
        texts.append(f"'{label}' ({spell(place.path)})")
    return " and ".join(texts)


def _reason(test: core.Test, truth: bool, search: Search) -> str:
    """Why a condition is never met (`truth`), or always, as far as its parts tell."""
    if not truth:
        if isinstance(test, core.Compare) and isinstance(test.value, core.Feature):
            return f"a {test.value.function} is never missing and never less than 0"
        return "everyone meets it, whatever the data"
    for node in test.walk():
        if isinstance(node, core.Aggregate | core.Occurrence):
            if search.never(node.where):
                return f"no {_ROWS.get(node.source, 'row')} can meet its filter"
            if search.is_empty(node.window):
                return "its window is empty"
    return "nothing can be all that it asks for"


# Duplicates ----------------------------------------------------------------------------------------------------------


def duplicates(examinations: Sequence[Examination]) -> Iterator[tuple[str, Fault]]:
    """Segments that have the same members as one before, by definition: a warning at each, which names the first.

    The order of conditions, names and descriptions make no difference; what is done with the members does not either.
    """
    firsts: dict[Any, Examination] = {}
    for examined in examinations:
        segment = examined.segment
        key = (_options(segment), _content(examined.population), _content(examined.claims.first.test(examined.root)))
        first = firsts.setdefault(key, examined)
        if first is not examined and _same_every_night(first, examined):
            message = f"the same members as segment {first.segment.id!r}: only what describes them differs"
            yield segment.id, Fault(("where",), message, "keep one of the two", "warning", "duplicate")


def _options(segment: Segment) -> tuple[Any, ...]:
    limit = segment.limit.to_plain() if segment.limit else None
    return segment.kind, segment.status, repr(limit)


def _same_every_night(one: Examination, other: Examination) -> bool:
    if _content(one.segment.where.to_plain()) == _content(other.segment.where.to_plain()):
        return True
    return one.claims.same(one.root, other.claims, other.root, _content)


def _content(part: Any) -> Any:
    """What a test or a plain definition says, as a value that is equal when only the order of parts differs."""
    if isinstance(part, core.All | core.Any):
        return type(part), frozenset(map(_content, part.args))
    if isinstance(part, core.Compare) and part.operator in ("in", "eq"):
        return core.Compare, _content(part.value), frozenset(map(_content, part.literals))
    if isinstance(part, dict):
        return frozenset(
            (key, frozenset(map(_content, value)) if key in _UNORDERED and isinstance(value, list) else _content(value))
            for key, value in part.items()
        )
    if isinstance(part, list | tuple):
        return tuple(map(_content, part))
    if isinstance(part, core.Node | core.Percentile):
        return (type(part), *map(_content, vars(part).values()))
    return part
