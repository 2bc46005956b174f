"""Where random choices come from: hypothesis or a seed."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from hypothesis import strategies as st

T = TypeVar("T")


class Draw(Protocol):
    """Answers the generators' questions."""

    def integer(self, low: int, high: int) -> int:
        """A whole number, both ends included."""

    def choice(self, options: Sequence[T]) -> T:
        """One of the options."""

    def chance(self, percent: int) -> bool:
        """True in about that many of 100 cases."""


class SeededDraw:
    """Choices from a seeded generator: the same seed gives the same choices."""

    def __init__(self, source: random.Random) -> None:
        self._source = source

    def integer(self, low: int, high: int) -> int:
        return self._source.randint(low, high)

    def choice(self, options: Sequence[T]) -> T:
        return options[self._source.randrange(len(options))]

    def chance(self, percent: int) -> bool:
        return self._source.randrange(100) < percent


class HypothesisDraw:
    """Choices by hypothesis; they shrink to the first option, the smallest number, and False."""

    def __init__(self, draw: Callable) -> None:
        self._draw = draw

    def integer(self, low: int, high: int) -> int:
        return self._draw(st.integers(low, high))

    def choice(self, options: Sequence[T]) -> T:
        return options[self._draw(st.integers(0, len(options) - 1))]

    def chance(self, percent: int) -> bool:
        return self._draw(st.integers(0, 99)) >= 100 - percent


def weighted(draw: Draw, weights: dict[T, int]) -> T:
    """One of the keys, each as often as its weight says."""
    at = draw.integer(1, sum(weights.values()))
    for option, weight in weights.items():
        at -= weight
        if at <= 0:
            return option
    raise ValueError("weights must be positive")


def sample(draw: Draw, options: Sequence[T], least: int, most: int) -> list[T]:
    """Between `least` and `most` different options."""
    left, taken = list(options), []
    for _ in range(min(draw.integer(least, most), len(left))):
        taken.append(left.pop(draw.integer(0, len(left) - 1)))
    return taken
