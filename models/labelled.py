"""What a back-test needs of the customers at one origin: cells with what was known then and what came after.

An origin is a day D; what is known is every order up to its end. Its label is the orders of the `horizon` days after,
D + 1, ..., D + horizon, so that an origin can be used once D + horizon is over. Cells are sums, not a sample: customers
with the same (x, first day, last day) are one row.

Days are integers since 1970-01-01, of local dates; money has the unit of the orders' values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from models.calibration import stratum
from models.cells import Array, Cells, columns, refuse
from models.errors import ModelError
from models.season import Season

#: Calls from the quantile of the customer's own gaps; needs the gaps, so a reduction counts it.
OWN_GAPS = "own gap quantile"
#: A quantile of fewer gaps than this says nothing of a customer, and everybody's is used.
LEAST_GAPS = 3
QUANTILE = 0.9


@dataclass(frozen=True)
class Called:
    """For each cell: how many customers a rule calls lost, and how many of these stayed silent."""

    called: Array
    called_silent: Array


@dataclass(frozen=True)
class LabelledCells:
    """The customers whose first order is at the origin or before, as distinct (x, first day, last day).

    x: order days after the first, up to the origin. customers: how many share the row. silent: how many of these have
    no order in the `horizon` days after the origin. orders_ahead, revenue_ahead: the sums of their order days and of
    the revenue in these days. revenue_so_far: the sum of their revenue up to the origin, the first order included.
    rules: name -> calls of a rule that needs more than the row. Sums of revenue may be negative, after refunds.

    >>> LabelledCells(10, 5, [1], [3], [12], [1], [0], [2], [9.5], [20])
    Traceback (most recent call last):
    models.errors.ModelError: last_day[0] = 12: the last order lies after the origin; use orders up to it only
    """

    origin: int
    horizon: int
    x: Array
    first_day: Array
    last_day: Array
    customers: Array
    silent: Array
    orders_ahead: Array
    revenue_ahead: Array
    revenue_so_far: Array
    rules: Mapping[str, Called] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.horizon < 1:
            raise ModelError(f"horizon = {self.horizon}: a label looks at least a day ahead; give a number of days")
        names = (
            "x", "first_day", "last_day", "customers", "silent", "orders_ahead", "revenue_ahead", "revenue_so_far",
        )
        arrays = columns(names, [getattr(self, name) for name in names])
        for name, array in zip(names, arrays, strict=True):
            object.__setattr__(self, name, array)
        for name in names[:3]:
            array = getattr(self, name)
            refuse(name, array != np.floor(array), array, "days and numbers of order days are whole numbers")
        x, first, last, customers, silent, orders = arrays[:6]
        refuse("x", x < 0, x, "a number of order days is at least 0")
        refuse("last_day", last > self.origin, last, "the last order lies after the origin; use orders up to it only")
        refuse("last_day", (x == 0) & (last != first), last, "without a repeat order it is the first day; see x")
        refuse("last_day", last - first < x, last, "x order days do not fit after the first; merge those of a day")
        refuse("customers", customers <= 0, customers, "a cell has customers; leave empty cells out")
        refuse("silent", (silent < 0) | (silent > customers), silent, "it counts customers of the cell: 0 to all")
        refuse("orders_ahead", orders < customers - silent, orders, "who is not silent orders at least once")
        refuse("orders_ahead", (silent == customers) & (orders > 0), orders, "where all are silent nobody orders")
        object.__setattr__(self, "rules", {
            name: self._checked(name, rule) for name, rule in self.rules.items()
        })

    def _checked(self, name: str, rule: Called) -> Called:
        names = (f"{name}: called", f"{name}: called_silent", "customers")
        called, called_silent, _ = columns(names, [rule.called, rule.called_silent, self.customers])
        refuse(f"{name}: called", (called < 0) | (called > self.customers), called, "it counts customers of the cell")
        most, least = np.minimum(called, self.silent), np.maximum(0.0, called + self.silent - self.customers)
        refuse(f"{name}: called_silent", (called_silent < least) | (called_silent > most), called_silent,
               "it counts who is called and silent")
        return Called(called, called_silent)

    def __len__(self) -> int:
        return len(self.x)

    @property
    def silence(self) -> Array:
        """Days from the last order day to the origin."""
        return self.origin - self.last_day

    @property
    def stratum(self) -> Array:
        """The place in `models.calibration.STRATA`."""
        return stratum(self.x)

    def cells(self, season: Season | None = None) -> Cells:
        """What a fit takes, in days or on the clock of a season."""
        t_x, age = (season or Season.none()).times(self.first_day, self.last_day, self.origin)
        return Cells.of(self.x, t_x, age, self.customers)

    def where(self, rows: Array) -> LabelledCells:
        """The cells for which `rows` is true."""
        return LabelledCells(
            self.origin, self.horizon, self.x[rows], self.first_day[rows], self.last_day[rows], self.customers[rows],
            self.silent[rows], self.orders_ahead[rows], self.revenue_ahead[rows], self.revenue_so_far[rows],
            {name: Called(rule.called[rows], rule.called_silent[rows]) for name, rule in self.rules.items()},
        )


def label_orders(
    customer: ArrayLike, day: ArrayLike, revenue: ArrayLike, origins: Sequence[int], horizon: int
) -> list[LabelledCells]:
    """The cells of every origin from orders in memory, one a row; orders of one customer and day are one order day.

    The rule `OWN_GAPS` calls a customer whose silence is longer than the 90 % quantile of her own gaps up to the origin
    (between order statistics, linearly), or with fewer than three gaps the same quantile of everybody's gaps; nobody
    where there are no gaps at all. Cells are sorted by x, first day, last day.

    >>> (cells,) = label_orders([7, 7, 7, 8], [0, 0, 12, 3], [5.0, 1.0, 4.0, 9.0], [10], 5)
    >>> cells.customers.tolist(), cells.silent.tolist(), cells.revenue_so_far.tolist(), cells.revenue_ahead.tolist()
    ([1.0, 1.0], [0.0, 1.0], [6.0, 9.0], [4.0, 0.0])
    """
    customer, day, revenue = columns(("customer", "day", "revenue"), [customer, day, revenue])
    keys, place = np.unique(np.stack([customer, day], axis=1), axis=0, return_inverse=True)
    value = np.bincount(place.ravel(), revenue, minlength=len(keys))
    return [_label(keys[:, 0], keys[:, 1], value, origin, horizon) for origin in origins]


def _label(customer: Array, day: Array, value: Array, origin: int, horizon: int) -> LabelledCells:
    """One origin, from order days sorted by customer and day."""
    known, ahead = day <= origin, (day > origin) & (day <= origin + horizon)
    who, row = np.unique(customer[known], return_inverse=True)
    row = row.ravel()
    if not len(who):
        raise ModelError(f"origin {origin}: nobody has ordered by then; take a later origin")
    later = ahead & np.isin(customer, who)
    target = np.searchsorted(who, customer[later])
    days, start = day[known], np.concatenate([[True], row[1:] != row[:-1]])
    first, last = days[start], days[np.concatenate([start[1:], [True]])]
    x = np.bincount(row) - 1.0
    gaps, of = np.diff(days)[~start[1:]], row[1:][~start[1:]]
    limit = np.full(len(who), np.quantile(gaps, QUANTILE) if len(gaps) else np.inf)
    often = np.flatnonzero(x >= LEAST_GAPS)
    limit[often] = _quantiles(gaps, of, often)
    called = (origin - last > limit).astype(float)
    orders = np.bincount(target, minlength=len(who)).astype(float)
    silent = (orders == 0).astype(float)
    keys, cell = np.unique(np.stack([x, first, last], axis=1), axis=0, return_inverse=True)
    sums = [np.bincount(cell.ravel(), part, minlength=len(keys)) for part in (
        np.ones(len(who)), silent, orders, np.bincount(target, value[later], minlength=len(who)),
        np.bincount(row, value[known]), called, called * silent,
    )]
    return LabelledCells(origin, horizon, *keys.T, *sums[:5], {OWN_GAPS: Called(*sums[5:])})


def _quantiles(gaps: Array, of: Array, customers: Array) -> Array:
    """The quantile of each customer's gaps, by linear interpolation, as numpy and Spark's percentile have it."""
    order = np.lexsort((gaps, of))
    gaps, of = gaps[order], of[order]
    begin = np.searchsorted(of, customers)
    count = np.searchsorted(of, customers, side="right") - begin
    place = QUANTILE * (count - 1)
    below = np.floor(place).astype(int)
    low, high = gaps[begin + below], gaps[begin + np.minimum(below + 1, count - 1)]
    return low + (place - below) * (high - low)
