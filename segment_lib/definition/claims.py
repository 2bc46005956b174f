"""Claims about a definition: that some of its conditions can never hold together, on any night. No Spark, no data."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from segment_lib import core
from segment_lib.clock import Clock, Interval
from segment_lib.definition.places import Night, Place, signed
from segment_lib.definition.satisfiable import Search
from segment_lib.language.scope import Scope
from segment_lib.strict_yaml import Path

#: Conditions, each to hold or not to hold.
Claim = tuple[tuple[Place, bool], ...]

#: The night that definitions are looked at first.
FIRST_NIGHT = date(2024, 6, 15)
#: Nights that a question about dates is asked on before it is given up.
MOST_NIGHTS = 800
#: As many of the usual nights show whether a test depends on the night at all: two far years, the end of a month.
_SHOW = 3
_DATE = re.compile(r"\d{4}-\d\d-\d\d")


class Claims:
    """Answers about the conditions of one definition, the same for all nights.

    `scope` is the definition's on any night; `searches` are shared by all definitions. Of the places that are `settled`
    nothing is assumed.
    """

    def __init__(self, scope: Scope, searches: dict[date, Search]) -> None:
        self.scope = scope
        self.settled: dict[Path, bool] = {}
        self._searches = searches
        self._nights: dict[date, Night] = {}
        self.first = self.night(FIRST_NIGHT)

    def night(self, day: date) -> Night:
        """The definition on a snapshot date."""
        if day not in self._nights:
            clock = Clock(day, self.scope.clock.zone)
            if day not in self._searches:
                self._searches[day] = Search(clock.as_of)
            scope = Scope(self.scope.catalogue, clock, self.scope.segments, self.scope.population)
            self._nights[day] = Night(scope, self._searches[day])
        return self._nights[day]

    def smallest(self, claim: Claim, *more: core.Test) -> Claim:
        """A part of an impossible claim of which nothing can be left out; empty when it is possible on some night.

        `more` are tests that hold besides.
        """
        if not claim or not self._seems_impossible(claim, *more):
            return ()
        small = _without_what_can_go(claim, lambda fewer: self._seems_impossible(fewer, *more))
        if self.impossible(small, *more):
            return small
        # What it is about on the first night, it is not about on all nights.
        if self.impossible(claim, *more):
            return _without_what_can_go(claim, lambda fewer: self.impossible(fewer, *more))
        return ()

    def impossible(self, claim: Claim, *more: core.Test) -> bool:
        """Whether on no night anyone can meet all of the claim: asked on one night, and when it seems so, on others."""
        if not self._seems_impossible(claim, *more):
            return False
        days = self._days(place for place, _ in claim)
        return days is not None and all(self._impossible_on(self.night(day), claim, *more) for day in days)

    def same(self, one: Place, other: Claims, place: Place, content: Callable[[core.Test], Any]) -> bool:
        """Whether two places of two definitions have equal `content` on all nights."""
        days = self._days([one]), other._days([place])
        if None in days:
            return False
        return all(
            content(self.night(day).test(one)) == content(other.night(day).test(place)) for some in days for day in some
        )

    def _seems_impossible(self, claim: Claim, *more: core.Test) -> bool:
        return self._impossible_on(self.first, claim, *more)

    def _impossible_on(self, night: Night, claim: Claim, *more: core.Test) -> bool:
        settled = frozenset(self.settled)
        return night.search.impossible([*more, *(signed(night.test(place, settled), truth) for place, truth in claim)])

    def _days(self, places: Iterable[Place]) -> tuple[date, ...] | None:
        """The nights that speak for all where these places are concerned; None when they are too many.

        Where a fixed date stands beside windows that move, their order changes when one passes the other.
        """
        usual = usual_nights(self.scope.clock.zone)
        moving = []
        for place in {leaf for place in places for leaf in place.leaves()}:
            tests = [self.night(day).test(place) for day in usual[:_SHOW]]
            if any(test != self.first.test(place) for test in tests):
                moving.append(place)
        if not moving:
            return usual[:_SHOW]
        plain = [json.dumps(place.condition.to_plain(), default=str) for place in moving]
        fixed = {date.fromisoformat(found) for text in plain for found in _DATE.findall(text) if _is_date(found)}
        lengths = {0} | {
            (FIRST_NIGHT - day).days
            for place in moving for node in self.first.test(place).walk() for day in _days_in(node)
        }
        near = {day.toordinal() + length + shift for day in fixed for length in lengths for shift in range(-4, 5)}
        if len(near) > MOST_NIGHTS:
            return None
        return (*usual, *(date.fromordinal(day) for day in sorted(near) if _FAR < day < _LATEST))


def _without_what_can_go(claim: Claim, impossible: Callable[[Claim], bool]) -> Claim:
    for pair in claim:
        fewer = tuple(other for other in claim if other != pair)
        if fewer and impossible(fewer):
            claim = fewer
    return claim


_FAR, _LATEST = date(1000, 1, 1).toordinal(), date(9000, 1, 1).toordinal()


@lru_cache(maxsize=64)
def usual_nights(zone: ZoneInfo) -> tuple[date, ...]:
    """Snapshot dates on which lengths of time differ most: ends of months, leap days, clock changes, far years."""
    days = [date(1200, 6, 30), date(8800, 11, 15)]
    for month in range(24):
        first = date(2023 + month // 12, month % 12 + 1, 1)
        days += [first - timedelta(days=2), first - timedelta(days=1)]
    clock = Clock(date(2024, 1, 1), zone)
    year = [date(2024, 1, 1) + timedelta(days=i) for i in range(366)]
    changes = [
        day for day in year if clock.start_of(day + timedelta(days=1)) - clock.start_of(day) != timedelta(days=1)
    ]
    return tuple(dict.fromkeys(days + [day + timedelta(days=i) for day in changes for i in (-1, 0, 1)]))


def _days_in(node: core.Node) -> Iterator[date]:
    """The days of all instants in a node itself."""
    waiting = list(vars(node).values())
    while waiting:
        value = waiting.pop()
        if isinstance(value, tuple):
            waiting.extend(value)
        elif isinstance(value, Interval):
            waiting.extend((value.start, value.end))
        elif isinstance(value, datetime):
            yield value.date()
        elif isinstance(value, date):
            yield value


def _is_date(text: str) -> bool:
    try:
        return bool(date.fromisoformat(text))
    except ValueError:
        return False
