"""What an order of a customer is worth: the Gamma-Gamma model, its exact fit, and the expected value per order.

Order values vary around a customer's own mean (gamma with shape `p` and a scale of the customer's own), and these
scales vary between customers (inverse gamma: shape `q`, scale `gamma` in money). A customer enters with `x`, the orders
after the first, and `mean_value`, their mean value; who has none enters the prediction only, not the fit.

Sources: Colombo and Jiang 1999, Journal of Interactive Marketing 13(3):2; Fader, Hardie and Lee 2005, "RFM and CLV:
Using Iso-Value Curves", Journal of Marketing Research 42:415; Fader and Hardie 2013, "The Gamma-Gamma Model of Monetary
Value", equations 1a (likelihood) and 5 (expected value). The model takes order values to be independent of how often
one orders; `ValueFit.correlation` is there to check.

The log-likelihood of a customer with total Y = x * mean_value is

    lnGamma(p x + q) - lnGamma(p x) + (p x - 1) ln mean_value + p x ln x     sums by x, with the sum of ln mean_value
    - lnGamma(q) + q ln gamma                                                the same for all
    - (p x + q) ln(Y + gamma)                                                the only part that mixes Y and gamma

so a fit needs counts by x and, for each trial value of gamma, four sums of elementary functions (`ValueReduction`),
which numpy or Spark can add up. `expected_value` needs + - * / only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import digamma, gammaln

from models.cells import Array, columns, refuse, weighted
from models.elementary import NUMPY, Functions, Value
from models.errors import Failure, FitError, ModelError
from models.fit import Limits, Maximum, maximise

NAMES = ("p", "q", "gamma")
#: Starts as (p, q); gamma follows from the mean value.
_SHAPES = ((5.0, 4.0), (1.0, 2.5), (20.0, 10.0))
_SMALL, _LARGE = 1e-4, 1e4


@dataclass(frozen=True)
class GammaGammaParameters:
    """`p` and `q` without a unit, `gamma` in the unit of money; all positive, and q above 1, or no mean exists.

    >>> GammaGammaParameters(p=6.25, q=0.9, gamma=15.44)
    Traceback (most recent call last):
    models.errors.ModelError: Gamma-Gamma with q = 0.9: the mean is infinite unless q > 1; cap order values, fit again
    """

    p: float
    q: float
    gamma: float

    def __post_init__(self) -> None:
        for name in NAMES:
            value = float(getattr(self, name))
            if not (math.isfinite(value) and value > 0):
                raise ModelError(
                    f"Gamma-Gamma with {name} = {value}: every parameter is a positive, finite number; fit again"
                )
            object.__setattr__(self, name, value)
        if self.q <= 1:
            raise ModelError(
                f"Gamma-Gamma with q = {self.q}: the mean is infinite unless q > 1; cap order values, fit again"
            )

    @property
    def population_mean(self) -> float:
        """The expected order value of a customer of whom nothing is known: p gamma / (q - 1)."""
        return self.p * self.gamma / (self.q - 1)


@dataclass(frozen=True)
class ValueCells:
    """Distinct (x, mean_value) of customers with a repeat order, and how many customers have each.

    x: orders after the first, whole numbers from 1. mean_value: their mean value, above 0.

    >>> ValueCells.of([2, 1], [30.0, 0.0])
    Traceback (most recent call last):
    models.errors.ModelError: mean_value[1] = 0: the model has positive values only; leave such customers out
    """

    x: Array
    mean_value: Array
    count: Array

    def __post_init__(self) -> None:
        names = ("x", "mean_value", "count")
        for name, array in zip(names, columns(names, [self.x, self.mean_value, self.count]), strict=True):
            object.__setattr__(self, name, array)
        refuse("x", (self.x < 1) | (self.x != np.floor(self.x)), self.x,
               "orders after the first are a whole number from 1 here; leave customers without one out")
        refuse("mean_value", self.mean_value <= 0, self.mean_value,
               "the model has positive values only; leave such customers out")
        refuse("count", self.count <= 0, self.count, "a cell has customers; leave empty cells out")

    @classmethod
    def of(cls, x: ArrayLike, mean_value: ArrayLike) -> ValueCells:
        """Groups customers, one a row, into cells, sorted by x and mean value."""
        rows = cls(x, mean_value, np.ones(np.shape(x)))  # checked as they were given
        distinct, count = np.unique(np.stack([rows.x, rows.mean_value], axis=1), axis=0, return_counts=True)
        return cls(*distinct.T, count)


@dataclass(frozen=True)
class ValueMargins:
    """Sums that do not change during a fit: customers by x, and sums over customers.

    log_values_by_x: sum of ln mean_value of the customers with that x. values, squares, products: the sums of
    mean_value, mean_value^2 and x mean_value, for the correlation.
    """

    x: Array
    customers_by_x: Array
    log_values_by_x: Array
    values: float
    squares: float
    products: float

    @classmethod
    def of(cls, cells: ValueCells) -> ValueMargins:
        """The margins of cells in memory."""
        x, place = np.unique(cells.x, return_inverse=True)
        place, value = place.ravel(), cells.mean_value
        return cls(
            x, np.bincount(place, cells.count), np.bincount(place, cells.count * np.log(value)),
            weighted(cells.count, value), weighted(cells.count, value**2), weighted(cells.count, cells.x * value),
        )

    @property
    def customers(self) -> float:
        """How many customers there are."""
        return float(self.customers_by_x.sum())

    @property
    def correlation(self) -> float:
        """Between x and mean_value over customers; 0 where one of them does not vary."""
        n, sum_x = self.customers, weighted(self.customers_by_x, self.x)
        squares_x = n * weighted(self.customers_by_x, self.x**2)
        spread_x, spread_value = squares_x - sum_x**2, n * self.squares - self.values**2
        if spread_x <= 1e-12 * squares_x or spread_value <= 1e-12 * n * self.squares:  # what rounding leaves of 0
            return 0.0
        return (n * self.products - sum_x * self.values) / math.sqrt(spread_x * spread_value)


@dataclass(frozen=True)
class ValueTerms:
    """For one cell, or added up: ln(Y + gamma) and 1 / (Y + gamma), each also times x."""

    log: Value
    x_log: Value
    inverse: Value
    x_inverse: Value


#: From gamma to the sum over all cells of count x term, for each of the four terms.
ValueReduction = Callable[[float], ValueTerms]


def value_terms(gamma: float, x: Value, mean_value: Value, functions: Functions = NUMPY) -> ValueTerms:
    """The terms of one cell, to be multiplied by its count and added; elementary functions only."""
    total = x * mean_value + gamma
    log = functions.log(total)
    return ValueTerms(log, x * log, 1.0 / total, x / total)


def numpy_value_reduction(cells: ValueCells) -> ValueReduction:
    """Adds the terms of cells in memory."""

    def reduce(gamma: float) -> ValueTerms:
        terms = value_terms(gamma, cells.x, cells.mean_value)
        return ValueTerms(
            *(weighted(cells.count, term) for term in (terms.log, terms.x_log, terms.inverse, terms.x_inverse))
        )

    return reduce


def value_log_likelihood(
    point: Sequence[float], margins: ValueMargins, reduction: ValueReduction
) -> tuple[float, np.ndarray]:
    """The log-likelihood of the mean values at (p, q, gamma), and its derivatives; q may be at most 1 here."""
    p, q, gamma = (float(value) for value in point)
    sums = reduction(gamma)
    log, x_log, inverse, x_inverse = (
        math.nan if term is None else float(term) for term in (sums.log, sums.x_log, sums.inverse, sums.x_inverse)
    )
    x, n_x, customers = margins.x, margins.customers_by_x, margins.customers
    from_values = weighted(x, margins.log_values_by_x + n_x * np.log(x))
    value = (
        weighted(n_x, gammaln(p * x + q) - gammaln(p * x)) + customers * (q * math.log(gamma) - float(gammaln(q)))
        + p * from_values - margins.log_values_by_x.sum() - p * x_log - q * log
    )
    gradient = np.array([
        weighted(n_x * x, digamma(p * x + q) - digamma(p * x)) + from_values - x_log,
        weighted(n_x, digamma(p * x + q)) + customers * (math.log(gamma) - float(digamma(q))) - log,
        customers * q / gamma - p * x_inverse - q * inverse,
    ])
    return float(value), gradient


@dataclass(frozen=True)
class ValueFit:
    """A fitted Gamma-Gamma model and the facts of the fit; `standard_errors` are of (p, q, gamma).

    `correlation` is that of x and mean_value over customers: above 0.3 in absolute value the model's independence of
    value and frequency does not hold, and whoever reports the fit should say so.
    """

    parameters: GammaGammaParameters
    standard_errors: tuple[float, float, float]
    log_likelihood: float
    customers: float
    correlation: float
    maximum: Maximum


def fit_value_cells(cells: ValueCells) -> ValueFit:
    """Fits the model to cells in memory."""
    return fit_values(ValueMargins.of(cells), numpy_value_reduction(cells))


def fit_values(margins: ValueMargins, reduction: ValueReduction) -> ValueFit:
    """Fits the model from margins and a reduction that adds the terms of the cells, wherever they are.

    Raises FitError when there is no answer (see `models.fit.maximise`), and when its mean is infinite (q <= 1).
    """
    customers = margins.customers
    what = f"Gamma-Gamma fitted to {customers:.0f} customers with a repeat order"
    if customers < 2:
        raise FitError(
            Failure.TOO_LITTLE_DATA, what, "spread between customers cannot be seen",
            "fit a larger group, or use the parameters of one",
        )
    mean = margins.values / customers
    starts = [(p, q, mean * (q - 1) / p) for p, q in _SHAPES]

    def objective(point: np.ndarray) -> tuple[float, np.ndarray]:
        return value_log_likelihood(point, margins, reduction)

    maximum = maximise(what, objective, _limits(mean), starts, customers)
    q = maximum.parameters[1]
    if q <= 1:
        raise FitError(
            Failure.BOUNDARY, f"{what}: q = {q:.4g}, and the mean value is infinite unless q > 1",
            "a few customers' order values are far above the others'",
            "cap or exclude the largest order values, and fit again",
        )
    return ValueFit(
        GammaGammaParameters(*maximum.parameters), maximum.standard_errors, maximum.log_likelihood, customers,
        margins.correlation, maximum,
    )


def expected_value(
    parameters: GammaGammaParameters, x: Value, mean_value: Value, functions: Functions = NUMPY
) -> Value:
    """The expected value of a customer's next orders: (q - 1) parts population mean, p x parts the customer's own.

    p (gamma + x mean_value) / (p x + q - 1). Where x is 0, `mean_value` is not looked at, and may be NaN or missing.

    >>> fitted = GammaGammaParameters(6.25, 3.74, 15.44)
    >>> [round(float(expected_value(fitted, x, value)), 2) for x, value in [(2, 22.35), (0, float("nan"))]]
    [24.66, 35.22]
    """
    p, q = parameters.p, parameters.q
    total = functions.where(x > 0, x * mean_value, 0.0)
    return p * (parameters.gamma + total) / (p * x + (q - 1.0))


def _limits(mean: float) -> dict[str, Limits]:
    alike = "a customer's orders all have one value: nothing varies around the customer's mean"
    same = "all customers have one mean value: no spread between them"
    return {
        "p": Limits(_SMALL, _LARGE, "order values without bound around a customer's mean", alike),
        "q": Limits(_SMALL, _LARGE, "means of customers without bound", same),
        "gamma": Limits(_SMALL * mean, _LARGE * mean, alike, same),
    }
