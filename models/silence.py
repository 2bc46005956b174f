"""How long a silence means something: a customer's cycle, when to expect the next order, and when to call it a loss.

All answers are times in the unit of alpha, computed with numpy from (parameters, x, t_x, age), which broadcast. `cycle`
and, for k = 1, `waiting_time` (so also `gap_quantile`, `median_wait` and `silence_until_gone`) are closed forms of
elementary functions; the rest is bisection, for a small table over the distinct (x, t_x).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from models.cells import Array
from models.elementary import Value
from models.errors import ModelError
from models.purchase_process import PurchaseParameters, log_p_silent_if_alive, p_no_order

#: Halvings of a bracket until its ends are neighbouring doubles.
_HALVINGS = 60
#: The places where a silence is tried first, in units of its own scale: 0, and 2^-10 to 2^60 by half powers.
_PLACES = np.concatenate([[0.0], 2.0 ** np.arange(-10, 60.5, 0.5)])


def cycle(parameters: PurchaseParameters, x: Value, t_x: Value) -> Value:
    """A customer's own gap between orders, shrunk towards everyone's: k (alpha + t_x) / (r + k x).

    One over the posterior mean of the rate of orders after the last one, so few orders leave it near k alpha / r.
    """
    k = parameters.model.k
    return k * (parameters.alpha + t_x) / (parameters.r + k * x)


def gap_quantile(parameters: PurchaseParameters, x: ArrayLike, t_x: ArrayLike, quantile: float) -> Array:
    """The gap that the next one stays below with probability `quantile`, given alive after the last order."""
    _check_probability("quantile", quantile)
    return waiting_time(parameters, x, t_x, t_x, -math.log1p(-quantile))


def median_wait(parameters: PurchaseParameters, x: ArrayLike, t_x: ArrayLike, age: ArrayLike) -> Array:
    """The time from as-of within which the next order comes with probability one half, given alive at as-of."""
    return waiting_time(parameters, x, t_x, age, math.log(2))


def silence_until_gone(parameters: PurchaseParameters, x: ArrayLike, t_x: ArrayLike, alive: float) -> Array:
    """The silence after the last order at which P(alive) has fallen to `alive`; 0 where it is never above it.

    Infinite where the model has nobody leave (BG/NBD with x = 0), and where it takes longer than a double can say.
    For k = 1 it is (alpha + t_x) (((1 - alive) / alive * (b + x + c - 1) / a)^(1 / (r + x)) - 1).
    """
    _check_probability("alive", alive)
    x = np.asarray(x, dtype=np.float64)
    chances = x + parameters.model.c
    stayed = parameters.b + np.maximum(chances - 1.0, 0.0)
    level = np.maximum(math.log1p(-alive) - math.log(alive) + np.log(stayed) - math.log(parameters.a), 0.0)
    return waiting_time(parameters, x, t_x, t_x, np.where(chances > 0, level, np.inf))


def waiting_time(
    parameters: PurchaseParameters, x: ArrayLike, t_x: ArrayLike, age: ArrayLike, level: ArrayLike
) -> Array:
    """The time from as-of at which P(no order yet | alive at as-of) is exp(-level); 0 for 0, infinity for infinity."""
    x, t_x, age, level = np.broadcast_arrays(*(np.asarray(part, dtype=np.float64) for part in (x, t_x, age, level)))
    scale = parameters.alpha + age
    if parameters.model.k == 1:
        with np.errstate(over="ignore"):  # longer than a double can say is for ever
            return scale * np.expm1(level / (parameters.r + x))

    def beyond(wait: Array) -> Array:
        return -log_p_silent_if_alive(parameters, x, t_x, age, wait) >= level

    # Just after an order a regular buyer's chance of silence is 1 up to rounding, on either side.
    return np.where(level > 0, _last_crossing(beyond, scale), 0.0)


def silence_until_lost(
    parameters: PurchaseParameters, x: ArrayLike, t_x: ArrayLike, probability: float, horizon: float
) -> Array:
    """The individual cutoff: the silence from which on P(no order in the next `horizon`) is at least `probability`.

    0 where it always is; infinite where it never stays so. For k = 1 that probability only grows with the silence.
    Regular buyers (k > 1) are also unlikely to order just after an order: there it falls first, and what counts is the
    last time that it reaches `probability`.
    """
    _check_probability("probability", probability)
    if not (math.isfinite(horizon) and horizon > 0):
        raise ModelError(f"horizon = {horizon}: it is a positive, finite time; give it in the unit of alpha")
    x, t_x = np.broadcast_arrays(np.asarray(x, dtype=np.float64), np.asarray(t_x, dtype=np.float64))

    def lost(silence: Array) -> Array:
        return p_no_order(parameters, x, t_x, t_x + silence, horizon) >= probability

    return _last_crossing(lost, parameters.alpha + t_x + horizon)


def _last_crossing(reached: Callable[[Array], Array], scale: Array) -> Array:
    """Where `reached` turns true for good, per element; 0 if it is true from 0 on, infinity if it is not at the end."""
    before = np.full(scale.shape, -1)
    for place, factor in enumerate(_PLACES):
        before = np.where(reached(factor * scale), before, place)
    low = _PLACES[np.maximum(before, 0)] * scale
    high = _PLACES[np.minimum(before + 1, len(_PLACES) - 1)] * scale
    for _ in range(_HALVINGS):
        middle = low + (high - low) / 2
        there = reached(middle)
        low, high = np.where(there, low, middle), np.where(there, middle, high)
    return np.where(before < 0, 0.0, np.where(before == len(_PLACES) - 1, np.inf, high))


def _check_probability(name: str, value: float) -> None:
    if not 0 < value < 1:
        raise ModelError(f"{name} = {value}: it is a probability between 0 and 1, both left out")
