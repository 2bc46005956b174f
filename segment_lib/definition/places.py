"""A definition as places: every condition with its path in the file, and its test on any night. No Spark, no data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from segment_lib import core
from segment_lib.conditions import Condition
from segment_lib.definition.satisfiable import Search
from segment_lib.language.scope import Scope
from segment_lib.strict_yaml import Path

#: Of the conditions that combine others: the truth of the parts that makes them a conjunction, and of the whole then.
CONJUNCTIONS = {"all": (True, True), "any": (False, False), "none": (False, True)}


@dataclass(frozen=True)
class Place:
    """A condition and where it stands; `parts` are the conditions that it combines."""

    condition: Condition = field(compare=False)
    path: Path
    parts: tuple[Place, ...] = field(default=(), compare=False)

    @property
    def key(self) -> str:
        return self.condition.key

    def walk(self) -> Iterator[Place]:
        """This place and all below it, parents first."""
        yield self
        for part in self.parts:
            yield from part.walk()

    def leaves(self) -> Iterator[Place]:
        """The conditions that combine no others."""
        return (place for place in self.walk() if not place.parts)


def place_of(condition: Condition, path: Path = ("where",)) -> Place:
    """The places of a condition and of all that it combines."""
    key = condition.key
    if key == "not":
        return Place(condition, path, tuple(place_of(part, (*path, "not")) for part in condition.parts()))
    parts = enumerate(condition.parts()) if key in CONJUNCTIONS else ()
    return Place(condition, path, tuple(place_of(part, (*path, key, i)) for i, part in parts))


@dataclass(frozen=True)
class Anything(core.Test):
    """Stands for the part at `path`, about which nothing is assumed."""

    path: Path


@dataclass
class Night:
    """One snapshot date: the tests of one definition's places, and answers about them.

    `scope` is that of the definition as a whole, `search` that of all definitions on this date.
    """

    scope: Scope
    search: Search
    tests: dict[Path, core.Test] = field(default_factory=dict)

    def test(self, place: Place, settled: frozenset[Path] = frozenset()) -> core.Test:
        """The test of a place; of the parts that are `settled` nothing is assumed."""
        if place.path in settled:
            return Anything(place.path)
        if not place.parts:
            if place.path not in self.tests:
                self.tests[place.path] = self._reduced(place)
            return self.tests[place.path]
        parts = [self.test(part, settled) for part in place.parts]
        if place.key == "not":
            return core.negate(parts[0])
        if place.key == "all":
            return core.all_of(*parts)
        return core.any_of(*parts) if place.key == "any" else core.negate(core.any_of(*parts))

    def _reduced(self, place: Place) -> core.Test:
        """The test of one condition; of one that reaches beyond the calendar on this night nothing is assumed."""
        try:
            return place.condition.reduce(replace(self.scope, path=place.path))
        except (OverflowError, ValueError):
            return Anything(place.path)


def signed(test: core.Test, truth: bool) -> core.Test:
    """The test, or its complement."""
    return test if truth else core.negate(test)
