"""The lines of an origin: learnt from earlier origins whose outcome was known, in the way that had done best by then.

While a shop fills up, its earlier origins are those of another shop: fewer customers, all of them new, and a process
fitted to a few months. Lines (`models.calibration`) that mend their level spoil that of a grown shop. And a season that
the clock does not know comes back after a year, not after the horizon. So there are three ways, and what came says
which is taken:

- none: the raw probability;
- all: lines from every origin that lies at least the horizon earlier;
- year before: lines from the origin a year earlier alone, of the same season; from all where it is not known.

At each origin the way is taken that would have had the least Brier score at the last three known origins, each with the
lines that it could have had at its own time: what was best for a smaller shop long ago is not asked. Until there is
such an origin, twice the horizon after the first, all is taken where the shop has hardly grown since, else none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from models.calibration import Calibration, fit_calibration
from models.cells import Array

NONE, ALL, YEAR_BEFORE = WAYS = ("none", "all", "year before")
#: So many of the last origins that a way could be tried at decide: a quarter of a year.
TRIED = 3
#: Lines that could not be tried yet are used when the last known origin had this share of the customers of now.
GROWN = 0.8
_YEAR = 365
#: Days by which an origin of the same month may lie beside a year; origins are a month apart.
_NEAR = 15


@dataclass(frozen=True)
class Outcome:
    """The raw forecasts of one origin, a row a cell, and what came of them.

    silent: how many of the `customers` had no order. errors: way -> the sum of squared errors that it had there, empty
    where no lines could be had at its time.
    """

    day: int
    x: Array
    customers: Array
    silent: Array
    raw: Array
    errors: Mapping[str, float]

    @classmethod
    def of(
        cls, day: int, x: Array, customers: Array, silent: Array, raw: Array, ways: Mapping[str, Calibration]
    ) -> Outcome:
        """With the errors of the ways that were there."""
        return cls(day, x, customers, silent, raw, {
            way: _squared_error(lines.apply(raw, x), silent, customers) for way, lines in ways.items()
        })


def ways(known: Sequence[Outcome], day: int) -> dict[str, Calibration]:
    """The lines of each way at a day, from origins whose outcome was known then; nothing without any."""
    if not known:
        return {}
    of_all = _lines(known)
    year_before = [one for one in known if abs(day - _YEAR - one.day) <= _NEAR]
    return {NONE: Calibration.identity(), ALL: of_all, YEAR_BEFORE: _lines(year_before) if year_before else of_all}


def best_way(known: Sequence[Outcome], customers: float | None) -> str:
    """The way to take now; `customers` is how many there are, None where that is not known. Of equal ones the first."""
    tried = [one.errors for one in known if one.errors][-TRIED:]
    if tried:
        return min(WAYS, key=lambda way: sum(errors[way] for errors in tried))
    hardly_grown = known and customers is not None and known[-1].customers.sum() >= GROWN * customers
    return ALL if hardly_grown else NONE


def _lines(known: Sequence[Outcome]) -> Calibration:
    rows = ((one.x, one.customers, one.silent, one.raw) for one in known)
    x, customers, silent, raw = (np.concatenate(parts) for parts in zip(*rows, strict=True))
    return fit_calibration(raw, x, silent / customers, customers)


def _squared_error(p: Array, silent: Array, customers: Array) -> float:
    return float(np.sum(silent * (1 - p) ** 2 + (customers - silent) * p**2))
