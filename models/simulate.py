"""Draws customers, order times and order values from the fitted kinds of process, in continuous time, from a seed.

For tests and for benchmarks: what was drawn (each customer's rate, dropout and the time of leaving) is returned beside
what a shop would see. Times are continuous; rounding them to days biases a fit a little, as it does with real orders.
`simulate_orders` draws calendar days instead, on the clock of a season.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from models.cells import Array, Cells
from models.errors import ModelError
from models.gamma_gamma import GammaGammaParameters
from models.purchase_process import PurchaseParameters
from models.season import Season


@dataclass(frozen=True)
class Purchases:
    """Simulated customers, one a row; times in the unit of the parameters' alpha.

    x, t_x, age: what is seen at as-of (see `models.cells`). ahead: orders in (as-of, as-of + horizon]. next_order: the
    time from as-of to the next order, infinity if there is none within the horizon. rate: of a phase. dropout: the
    probability of leaving after an order. left_at: when the customer leaves, from the first order; infinity when that
    is after all that was simulated. log_gaps: the sum of ln(gap) over the gaps seen at as-of.
    """

    x: Array
    t_x: Array
    age: Array
    ahead: Array
    next_order: Array
    rate: Array
    dropout: Array
    left_at: Array
    log_gaps: float

    @property
    def alive(self) -> Array:
        """Whether the customer has not left at as-of."""
        return self.left_at > self.age

    def cells(self) -> Cells:
        """What a fit takes."""
        return Cells.of(self.x, self.t_x, self.age)


def simulate_purchases(
    parameters: PurchaseParameters, ages: ArrayLike, *, horizon: float = 0.0, seed: int
) -> Purchases:
    """One customer for each of `ages`, the time from the first order to as-of, watched for `horizon` longer.

    >>> from models.purchase_process import MBG_NBD
    >>> seen = simulate_purchases(PurchaseParameters(MBG_NBD, 0.5, 6.0, 0.9, 1.6), [39.0] * 1000, horizon=39.0, seed=7)
    >>> len(seen.cells()) < 1000, bool((seen.t_x <= seen.age).all()), bool((seen.ahead[~seen.alive] == 0).all())
    (True, True, True)
    """
    age = np.asarray(ages, dtype=np.float64)
    if age.ndim != 1 or not np.isfinite(age).all() or (age < 0).any() or not horizon >= 0:
        raise ModelError("ages are a list of times from 0, and so is the horizon; nothing else can be simulated")
    dice = np.random.default_rng(seed)
    x, t_x, ahead, next_order = np.zeros(len(age)), np.zeros(len(age)), np.zeros(len(age)), np.full(len(age), np.inf)
    log_gaps = 0.0
    crowd = _Crowd.draw(parameters, len(age), dice)
    for here, now, gap in crowd.orders(age + horizon, dice):
        seen = now <= age[here]
        x[here[seen]] += 1
        t_x[here[seen]] = now[seen]
        log_gaps += float(np.log(gap[seen]).sum())
        later, wait = here[~seen], now[~seen] - age[here[~seen]]
        ahead[later] += 1
        next_order[later] = np.minimum(next_order[later], wait)
    return Purchases(x, t_x, age, ahead, next_order, crowd.rate, crowd.dropout, crowd.left_at, log_gaps)


def simulate_orders(
    parameters: PurchaseParameters, first_days: ArrayLike, last_day: int, *, season: Season | None = None, seed: int
) -> tuple[Array, Array]:
    """(customer, day) of every order day from one first order on each of `first_days` up to `last_day`.

    Customers are numbered as `first_days` are, days since 1970-01-01; rows are sorted. The process runs on the clock of
    `season` (none: the calendar), from a moment of the first day that is drawn too; orders of a day are one.

    >>> from models.purchase_process import MBG_NBD
    >>> customer, day = simulate_orders(PurchaseParameters(MBG_NBD, 0.5, 40.0, 0.9, 1.6), [100] * 500, 465, seed=7)
    >>> len(set(customer.tolist())), int(day.min()), bool(day.max() <= 465), len(day) == len(set(zip(customer, day)))
    (500, 100, True, True)
    """
    first = np.asarray(first_days)
    if first.ndim != 1 or not first.size or first.max() > last_day:
        raise ModelError("first_days are a list of days up to last_day; nothing else can be simulated")
    season = season or Season.none()
    dice = np.random.default_rng(seed)
    begin = season.clock(first) - dice.random(len(first)) * season.factor(first)
    calendar = np.arange(first.min(), last_day + 1)
    clock = season.clock(calendar)
    whose, when = [np.arange(len(first))], [first]
    for here, now, _ in _Crowd.draw(parameters, len(first), dice).orders(clock[-1] - begin, dice):
        whose.append(here)
        day = np.searchsorted(clock, begin[here] + now)  # the first whose end is not before the order
        when.append(calendar[np.minimum(day, len(calendar) - 1)])
    rows = np.unique(np.stack([np.concatenate(whose), np.concatenate(when)], axis=1), axis=0)
    return rows[:, 0], rows[:, 1]


@dataclass(frozen=True)
class _Crowd:
    """What is drawn for each customer: the rate of a phase, the chance of leaving, and when she left."""

    parameters: PurchaseParameters
    rate: Array
    dropout: Array
    left_at: Array

    @classmethod
    def draw(cls, parameters: PurchaseParameters, customers: int, dice: np.random.Generator) -> _Crowd:
        rate = dice.gamma(parameters.r, 1 / parameters.alpha, customers)
        return cls(parameters, rate, dice.beta(parameters.a, parameters.b, customers), np.full(customers, np.inf))

    def orders(self, ends: Array, dice: np.random.Generator) -> Iterator[tuple[Array, Array, Array]]:
        """Everybody's next order, again and again: (who, time since the first order, gap), nobody twice in one."""
        here = np.arange(len(ends))  # who has neither left nor passed the end
        now = np.zeros(len(ends))
        may_leave = self.parameters.model.leaves_after_first
        while len(here):
            if may_leave:
                leaves = dice.random(len(here)) < self.dropout[here]
                self.left_at[here[leaves]] = now[leaves]
                here, now = here[~leaves], now[~leaves]
            may_leave = True
            with np.errstate(divide="ignore"):  # a rate of 0 makes an endless gap
                gap = dice.gamma(self.parameters.model.k, 1.0, len(here)) / self.rate[here]
            now = now + gap
            inside = now <= ends[here]
            here, now, gap = here[inside], now[inside], gap[inside]
            yield here, now, gap


def simulate_values(parameters: GammaGammaParameters, x: ArrayLike, *, seed: int) -> tuple[Array, Array]:
    """For customers with x orders each: (mean order value, own long-run mean); the first is NaN for x = 0.

    >>> mean, own = simulate_values(GammaGammaParameters(6.25, 3.74, 15.44), [0, 3, 50_000], seed=1)
    >>> bool(np.isnan(mean[0])), bool(abs(mean[2] / own[2] - 1) < 0.01)
    (True, True)
    """
    orders = np.asarray(x, dtype=np.float64)
    if orders.ndim != 1 or not np.isfinite(orders).all() or (orders < 0).any():
        raise ModelError("x is a list of numbers of orders from 0; nothing else can be simulated")
    dice = np.random.default_rng(seed)
    scale = 1 / dice.gamma(parameters.q, 1 / parameters.gamma, len(orders))
    some = orders > 0
    mean = np.full(len(orders), np.nan)
    mean[some] = dice.gamma(parameters.p * orders[some]) * scale[some] / orders[some]
    return mean, parameters.p * scale
