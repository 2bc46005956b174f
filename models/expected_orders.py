"""How many orders to expect of a customer in the next days, for every k and any horizon, by one quadrature.

Given that a customer is alive, the chance p of leaving after an order is Beta(a, beta) with beta = b + x + c, and the
number N of Erlang phases in the horizon H is negative binomial, independent of p. With j phases passed since the last
order the customer comes to order n with phase n k - j, if she did not leave before, so that

    orders_if_alive[j] = E_p[ E_N[(1 - (1 - p)^m) / p] ],   m = floor((N + j) / k)

For k = 1 that is E_p[(1 - (1 + p H / (alpha + age))^-rho) / p], whose closed form with 2F1 is equation 10 of Fader,
Hardie and Lee 2005 (BG/NBD) and the conditional expectation of Batislam, Denizel and Filiztekin 2007 (MBG/NBD). For
k > 1 the expectation over N is exact as well: (1 - p)^floor(m / k) is a sum of powers z^m over the k-th roots of unity,
and the expectation of z^N is (1 + (1 - z) H / (alpha + age))^-(rho + j). Where Reutterer, Platzer and Schroeder 2021
approximate, this does not.

The expectation over p is the trapezoid rule in the logit of p, whose error falls exponentially with the number of
nodes; both tails are geometric series and are added in closed form. All terms are positive for k = 1, so nothing
cancels where 2F1 does: large x, a near 1, short and endless horizons. Tests hold it to the closed forms, to 1e-12 of
the value.

Where it can be computed: `phase_weights` and P(alive) need elementary functions, so they are columns; `orders_if_alive`
depends on (x, age) alone and is a small table from the driver to join.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betaln, loggamma

from models.cells import Array, columns, refuse
from models.elementary import NUMPY, Functions, Value
from models.purchase_process import PurchaseParameters, p_alive

#: What is lost in a sum of doubles anyway.
_TINY = 1e-17
#: Numbers held at once for a block of rows.
_BLOCK = 1_000_000


def phase_weights(
    parameters: PurchaseParameters, x: Value, silence: Value, age: Value, functions: Functions = NUMPY
) -> tuple[Value, ...]:
    """The probability that 0, 1, ..., k - 1 phases passed since the last order, given that the customer is alive.

    Elementary: + - * / only. One weight, 1, for k = 1.

    >>> from models.purchase_process import mbg_cnbd
    >>> half = PurchaseParameters(mbg_cnbd(2), 0.5, 2.5, 0.9, 1.6)
    >>> [round(float(weight), 3) for weight in phase_weights(half, 1, 5.0, 7.5)]
    [0.444, 0.556]
    """
    rho = parameters.r + parameters.model.k * x
    u = silence / (parameters.alpha + age)
    terms = [1.0 + 0.0 * u]
    for j in range(1, parameters.model.k):
        terms.append(terms[-1] * ((rho + (j - 1.0)) / j * u))
    total = sum(terms[1:], terms[0])
    return tuple(term / total for term in terms)


def orders_if_alive(parameters: PurchaseParameters, x: ArrayLike, age: ArrayLike, horizon: ArrayLike) -> Array:
    """Expected orders in the horizon, given alive and 0, 1, ..., k - 1 phases since the last order (the last axis).

    Arguments broadcast; distinct (x, age, horizon) are computed once. Times have the unit of alpha; all are at least 0.
    """
    shape = np.broadcast_shapes(np.shape(x), np.shape(age), np.shape(horizon))
    names = ("x", "age", "horizon")
    parts = (np.asarray(part, dtype=np.float64) for part in (x, age, horizon))
    rows = columns(names, [np.broadcast_to(part, shape).ravel() for part in parts])
    for name, array in zip(names, rows, strict=True):
        refuse(name, array < 0, array, "orders and times are at least 0")
    k = parameters.model.k
    if not rows[0].size:
        return np.zeros((*shape, k))
    distinct, place = np.unique(np.stack(rows, axis=1), axis=0, return_inverse=True)
    return _orders(parameters, *distinct.T)[place.ravel()].reshape(*shape, k)


def expected_orders(
    parameters: PurchaseParameters, x: ArrayLike, t_x: ArrayLike, age: ArrayLike, horizon: ArrayLike
) -> Array:
    """Expected number of orders in (as-of, as-of + horizon], whether alive or not; arguments broadcast.

    For a customer who orders for the first time now, x = t_x = age = 0, it is the expected number of further orders.

    >>> from models.purchase_process import BG_NBD
    >>> bg = PurchaseParameters(BG_NBD, 0.2426, 4.4136, 0.7930, 2.4260)
    >>> round(float(expected_orders(bg, 2, 30.43, 38.86, 39)), 3), round(float(expected_orders(bg, 0, 0, 0, 52)), 3)
    (1.226, 1.444)
    """
    x, t_x, age = (np.asarray(part, dtype=np.float64) for part in (x, t_x, age))
    weights = phase_weights(parameters, x, age - t_x, age)
    ahead = orders_if_alive(parameters, x, age, horizon)
    return p_alive(parameters, x, t_x, age) * sum(weight * ahead[..., j] for j, weight in enumerate(weights))


def _orders(parameters: PurchaseParameters, x: Array, age: Array, horizon: Array) -> Array:
    """`orders_if_alive` for checked rows."""
    model = parameters.model
    rho, eta = parameters.r + model.k * x, horizon / (parameters.alpha + age)
    beta, place = np.unique(parameters.b + x + model.c, return_inverse=True)
    logit, weights = _nodes(parameters.a, beta, float(((rho + model.k) * eta).max()))
    p, log_stay = 1 / (1 + np.exp(-logit)), -np.logaddexp(0.0, logit)
    found = np.empty((len(x), model.k))
    block = max(1, _BLOCK // len(p))
    for start in range(0, len(x), block):
        rows = slice(start, start + block)
        weight = weights[place.ravel()[rows]]
        for j, values in enumerate(_given_p(model.k, rho[rows, None], eta[rows, None], p, log_stay)):
            found[rows, j] = np.einsum("in,in->i", weight, values)
    return np.maximum(found, 0.0)


def _nodes(a: float, beta: Array, steepest: float) -> tuple[Array, Array]:
    """Nodes in logit p, and for each beta their weights (a row), for functions of p that change over 1 / steepest at 0.

    The step is such that the Fourier transform of the density at 2 pi / step is rounding, which by Poisson's summation
    formula is the error of the trapezoid rule.
    """
    step, most = 0.25, float(beta.max())
    while step > 1e-3:
        frequency = 2j * np.pi / step
        decay = loggamma(a + frequency) - loggamma(a) + loggamma(most + frequency) - loggamma(most)
        if decay.real < np.log(_TINY):
            break
        step /= 2
    # Beyond these ends the function and the other factor of the density are constant to the last digit.
    low, high = np.log(_TINY) - np.log(1 + steepest + most), np.log1p(a) - np.log(_TINY)
    logit = low + step * np.arange(int(np.ceil((high - low) / step)) + 1)
    logs = (
        -a * np.logaddexp(0.0, -logit) - beta[:, None] * np.logaddexp(0.0, logit) - betaln(a, beta)[:, None]
    )
    weights = step * np.exp(logs)
    weights[:, 0] /= -np.expm1(-a * step)
    weights[:, -1] /= -np.expm1(-beta * step)
    return logit, weights / weights.sum(axis=1, keepdims=True)


def _given_p(k: int, rho: Array, eta: Array, p: Array, log_stay: Array) -> list[Array]:
    """E_N[(1 - (1 - p)^floor((N + j) / k)) / p] for j = 0, ..., k - 1; rows by nodes.

    (1 - p)^floor(M / k) is the sum over the k-th roots of unity w of c_w (theta w)^M, with theta = (1 - p)^(1/k) and
    c_w = (1 - 1 / theta^k) / (k (1 - 1 / (theta w))). The root 1 is kept apart, because there 1 minus the power is
    small where p is.
    """
    log_theta = log_stay / k
    share = sum(np.expm1(-phase * log_theta) for phase in range(k)) / k  # c_1 - 1
    main = np.log1p(share) - rho * np.log1p(-np.expm1(log_theta) * eta)
    shift = log_theta - np.log1p(-np.expm1(log_theta) * eta)
    found = [-np.expm1(main + j * shift) / p for j in range(k)]
    for turn in range(1, k // 2 + 1):  # the other half are complex conjugates
        root = np.exp(2j * np.pi * turn / k)
        z = np.exp(log_theta) * root
        grown = 1 + (1 - z) * eta
        power = np.exp(-log_stay - rho * np.log(grown)) / (k * (1 - 1 / z)) * (1 if 2 * turn == k else 2)
        for j in range(k):
            found[j] += power.real
            power = power * (z / grown)
    return found
