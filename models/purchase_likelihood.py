"""The exact log-likelihood of the purchase processes and its gradient, as one sum over cells and a rest over margins.

With rho = r + k x, c = 1 where one may leave right after the first order and else 0, the log-likelihood of a history is

    ln B(a, b + x + c) - ln B(a, b) + lnGamma(rho) - lnGamma(r)          depends on x alone
    + r ln alpha - rho ln(alpha + age)                                    depends on (x, age), additive in x
    + ln(S + exp(z0)),  z0 = ln a - ln(b + x + c - 1) + rho ln((alpha + age) / (alpha + t_x))
    + (k - 1) sum ln gap - x ln (k - 1)!                                  does not depend on the parameters

with S as in `models.purchase_process.log_phases`. Sources: Fader, Hardie and Lee 2005, equation 6 (BG/NBD; the sum over
leaving or not is written as a log-sum-exp, as in Fader and Hardie 2013, "Overcoming the BG/NBD Model's #NUM! Error
Problem"); Batislam, Denizel and Filiztekin 2007 (MBG/NBD); Reutterer, Platzer and Schroeder 2021 (MBG/CNBD-k). The last
line makes the likelihoods of different k comparable: all are densities of the same gaps.

Only the third line needs all of (x, t_x, age), and it needs elementary functions only: `cell_terms` computes it, with
its four derivatives, from numpy arrays or Spark Columns. Who adds the terms up, numpy or an aggregate in Spark, is a
function handed to the fit (`Reduction`). Log-gamma and digamma are needed for the margins alone, on the driver.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import betaln, digamma, gammaln

from models.cells import Cells, Margins, weighted
from models.elementary import NUMPY, Functions, Value, logistic, softplus
from models.errors import ModelError
from models.purchase_process import PurchaseParameters


@dataclass(frozen=True)
class CellTerms:
    """For one cell, or added up: ln(S + exp(z0)) and its derivatives by r, alpha, a and b."""

    value: Value
    r: Value
    alpha: Value
    a: Value
    b: Value


#: From parameters to the sum over all cells of count x term, for each of the five terms.
Reduction = Callable[[PurchaseParameters], CellTerms]


def cell_terms(
    parameters: PurchaseParameters, x: Value, t_x: Value, age: Value, functions: Functions = NUMPY
) -> CellTerms:
    """The terms of one cell, to be multiplied by its count and added; elementary functions only."""
    r, alpha, a, b = parameters.values
    k, c = parameters.model.k, parameters.model.c
    rho, until, since = r + k * x, alpha + age, alpha + t_x
    u = (age - t_x) / until

    # S and its derivatives by terms (rho)_j / j! u^j; the derivative of a term's logarithm by rho is the sum over i < j
    # of 1 / (rho + i).
    term, by_rho = 1.0 + 0.0 * u, 0.0 * u
    phases, phases_rho, phases_alpha = term, by_rho, by_rho
    for j in range(1, k):
        term = term * ((rho + (j - 1.0)) / j * u)
        by_rho = by_rho + 1.0 / (rho + (j - 1.0))
        phases = phases + term
        phases_rho = phases_rho + term * by_rho
        phases_alpha = phases_alpha - j * term / until
    log_s = functions.log(phases)

    left = x + c > 0  # one may have left by now
    last = b + functions.maximum(x + (c - 1.0), 0.0)
    growth = functions.log1p((age - t_x) / since)
    z = functions.where(left, math.log(a) - functions.log(last) + rho * growth - log_s, -math.inf)
    gone, alive = logistic(z, functions), logistic(-z, functions)
    return CellTerms(
        value=log_s + softplus(z, functions),
        r=alive * phases_rho / phases + gone * growth,
        alpha=alive * phases_alpha / phases - gone * rho * u / since,
        a=gone / a,
        b=-gone / last,
    )


def numpy_reduction(cells: Cells) -> Reduction:
    """Adds the terms of cells in memory."""

    def reduce(parameters: PurchaseParameters) -> CellTerms:
        terms = cell_terms(parameters, cells.x, cells.t_x, cells.age)
        return CellTerms(*(
            weighted(cells.count, term) for term in (terms.value, terms.r, terms.alpha, terms.a, terms.b)
        ))

    return reduce


def constant(parameters: PurchaseParameters, margins: Margins) -> float:
    """The part of the log-likelihood that depends on k and the gaps alone; 0 for k = 1."""
    k = parameters.model.k
    if k == 1:
        return 0.0
    if margins.log_gaps is None:
        raise ModelError(
            f"{parameters.model.name} needs the sum of ln(gap) over all gaps, which is not given: "
            "without it fits of different k cannot be compared; pass log_gaps"
        )
    return (k - 1) * margins.log_gaps - margins.orders * float(gammaln(k))


def log_likelihood(
    parameters: PurchaseParameters, margins: Margins, reduction: Reduction
) -> tuple[float, np.ndarray]:
    """The log-likelihood of all customers, and its derivatives by (r, alpha, a, b).

    Not finite only where a sum is not: a reduction that gives None or NaN makes it NaN.
    """
    r, alpha, a, b = parameters.values
    k, c = parameters.model.k, parameters.model.c
    sums = reduction(parameters)
    cells = np.array(
        [math.nan if term is None else float(term) for term in (sums.value, sums.r, sums.alpha, sums.a, sums.b)]
    )
    x, n_x = margins.x, margins.customers_by_x
    customers = margins.customers
    log_until = np.log(alpha + margins.age)
    exposed = r * margins.customers_by_age + k * margins.orders_by_age

    value = (
        constant(parameters, margins) + cells[0] + customers * r * math.log(alpha) - weighted(exposed, log_until)
        + weighted(n_x, betaln(a, b + x + c) - betaln(a, b) + gammaln(r + k * x) - gammaln(r))
    )
    all_of, stayed = digamma(a + b) - digamma(a + b + x + c), digamma(b + x + c) - digamma(b)
    gradient = cells[1:] + np.array([
        weighted(n_x, digamma(r + k * x) - digamma(r)) + customers * math.log(alpha)
        - weighted(margins.customers_by_age, log_until),
        customers * r / alpha - weighted(exposed, 1.0 / (alpha + margins.age)),
        weighted(n_x, all_of),
        weighted(n_x, stayed + all_of),
    ])
    return float(value), gradient
