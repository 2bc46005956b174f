"""Draws customers, order times and order values from the fitted kinds of process, in continuous time, from a seed.

For tests and for benchmarks: what was drawn (each customer's rate, dropout and the time of leaving) is returned beside
what a shop would see. Times are continuous; rounding them to days biases a fit a little, as it does with real orders.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from models.cells import Array, Cells
from models.errors import ModelError
from models.gamma_gamma import GammaGammaParameters
from models.purchase_process import PurchaseParameters


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
    customers, k = len(age), parameters.model.k
    rate = dice.gamma(parameters.r, 1 / parameters.alpha, customers)
    dropout = dice.beta(parameters.a, parameters.b, customers)
    x, t_x, ahead = np.zeros(customers), np.zeros(customers), np.zeros(customers)
    next_order, left_at = np.full(customers, np.inf), np.full(customers, np.inf)
    log_gaps = 0.0

    here = np.arange(customers)  # who has neither left nor passed the end
    now = np.zeros(customers)
    may_leave = parameters.model.leaves_after_first
    while len(here):
        if may_leave:
            leaves = dice.random(len(here)) < dropout[here]
            left_at[here[leaves]] = now[leaves]
            here, now = here[~leaves], now[~leaves]
        may_leave = True
        with np.errstate(divide="ignore"):  # a rate of 0 makes an endless gap
            gap = dice.gamma(k, 1.0, len(here)) / rate[here]
        now = now + gap
        inside = now <= age[here] + horizon
        here, now, gap = here[inside], now[inside], gap[inside]
        seen = now <= age[here]
        x[here[seen]] += 1
        t_x[here[seen]] = now[seen]
        log_gaps += float(np.log(gap[seen]).sum())
        later, wait = here[~seen], now[~seen] - age[here[~seen]]
        ahead[later] += 1
        next_order[later] = np.minimum(next_order[later], wait)
    return Purchases(x, t_x, age, ahead, next_order, rate, dropout, left_at, log_gaps)


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
