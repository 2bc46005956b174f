"""What a fit needs of the customers, and no more: how many have each (x, t_x, age), and sums along one dimension.

`Cells` are the distinct triples with their counts; `Margins` are the counts by x and by age, which are few however many
customers there are. The likelihood is a sum over margins plus one sum over cells (see `models.purchase_likelihood`), so
when the cells are too many for the driver only the margins and five sums come to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from models.errors import ModelError

#: One float64 array per field, all of one length.
Array = np.ndarray


def columns(names: Sequence[str], values: Sequence[ArrayLike]) -> tuple[Array, ...]:
    """Arrays of float64 of one length, without a missing or infinite number.

    >>> columns(["x", "age"], [[1, 2], [3, float("nan")]])
    Traceback (most recent call last):
    models.errors.ModelError: age[1] = nan: every number must be finite; leave the row out, or mend it
    """
    arrays = tuple(np.atleast_1d(np.asarray(value, dtype=np.float64)) for value in values)
    if len({array.shape for array in arrays}) != 1 or arrays[0].ndim != 1:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in zip(names, arrays, strict=True))
        raise ModelError(f"columns of different lengths: {shapes}; give every column one value a row")
    for name, array in zip(names, arrays, strict=True):
        refuse(name, ~np.isfinite(array), array, "every number must be finite; leave the row out, or mend it")
    return arrays


def weighted(weights: Array, values: Array) -> float:
    """The sum of weights x values, added in pairs: exacter than a dot product, and the same on any number of cores.

    >>> weighted(np.array([1.0, 2.0]), np.array([0.5, 4.0]))
    8.5
    """
    return float(np.sum(weights * values))


def refuse(name: str, wrong: Array, array: Array, why: str) -> None:
    """Raises a ModelError that shows the first value that is `wrong`, if there is one."""
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ModelError(f"{name}[{row}] = {array[row]:g}: {why}")


@dataclass(frozen=True)
class Cells:
    """Distinct (x, t_x, age) and how many customers have each; `count` may be any positive weight.

    x: orders after the first, whole numbers from 0. t_x: time from the first order to the last, 0 exactly where x is 0.
    age: time from the first order to as-of, at least t_x; 0 for who first ordered on the last day.

    >>> Cells.of([0, 2, 0], [0, 5, 0], [9, 9, 9]).count.tolist()
    [2.0, 1.0]
    >>> Cells.of([1], [5], [4])
    Traceback (most recent call last):
    models.errors.ModelError: t_x[0] = 5: the last order lies after as-of (age); use orders up to as-of only
    """

    x: Array
    t_x: Array
    age: Array
    count: Array

    def __post_init__(self) -> None:
        names = ("x", "t_x", "age", "count")
        arrays = columns(names, [self.x, self.t_x, self.age, self.count])
        for name, array in zip(names, arrays, strict=True):
            object.__setattr__(self, name, array)
        x, t_x, age, count = arrays
        refuse("x", (x < 0) | (x != np.floor(x)), x, "a number of order days is whole, and at least 0")
        refuse("t_x", t_x > age, t_x, "the last order lies after as-of (age); use orders up to as-of only")
        refuse("t_x", (t_x < 0) | ((x == 0) & (t_x != 0)), t_x, "it is 0 without a repeat order, else above; see x")
        refuse("t_x", (x > 0) & (t_x == 0), t_x, "a repeat order at the time of the first; merge the orders of a day")
        refuse("count", count <= 0, count, "a cell has customers; leave empty cells out")

    @classmethod
    def of(cls, x: ArrayLike, t_x: ArrayLike, age: ArrayLike, count: ArrayLike | None = None) -> Cells:
        """Groups customers, one a row (or `count` of them), into cells, sorted by x, t_x, age."""
        rows = cls(x, t_x, age, np.ones(np.shape(x)) if count is None else count)  # checked as they were given
        distinct, place = np.unique(np.stack([rows.x, rows.t_x, rows.age], axis=1), axis=0, return_inverse=True)
        return cls(*distinct.T, np.bincount(place.ravel(), weights=rows.count, minlength=len(distinct)))

    def __len__(self) -> int:
        return len(self.x)


@dataclass(frozen=True)
class Margins:
    """The counts along one dimension; `x` and `age` are distinct, `log_gaps` is the sum of ln(gap) over all gaps.

    customers_by_x: how many customers have that x. customers_by_age, orders_by_age: how many customers have that age,
    and the sum of their x. log_gaps (logs of the unit of time) is needed only where k > 1; merged order days make every
    gap positive.
    """

    x: Array
    customers_by_x: Array
    age: Array
    customers_by_age: Array
    orders_by_age: Array
    log_gaps: float | None = None

    @classmethod
    def of(cls, cells: Cells, log_gaps: float | None = None) -> Margins:
        """The margins of cells.

        >>> margins = Margins.of(Cells.of([0, 2, 0, 1], [0, 5, 0, 3], [9, 9, 8, 8]))
        >>> margins.x.tolist(), margins.customers_by_x.tolist(), margins.orders_by_age.tolist()
        ([0.0, 1.0, 2.0], [2.0, 1.0, 1.0], [1.0, 2.0])
        """
        x, by_x = np.unique(cells.x, return_inverse=True)
        age, by_age = np.unique(cells.age, return_inverse=True)
        return cls(
            x, np.bincount(by_x.ravel(), cells.count), age, np.bincount(by_age.ravel(), cells.count),
            np.bincount(by_age.ravel(), cells.count * cells.x), log_gaps,
        )

    @property
    def customers(self) -> float:
        """How many customers there are."""
        return float(self.customers_by_x.sum())

    @property
    def orders(self) -> float:
        """How many orders after the first there are."""
        return weighted(self.customers_by_x, self.x)
