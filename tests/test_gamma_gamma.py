"""Gamma-Gamma against published figures, against its definition, and against simulated order values."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from cdnow_sample import cdnow_sample
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from models.errors import Failure, FitError, ModelError
from models.gamma_gamma import (
    GammaGammaParameters, ValueCells, ValueMargins, ValueTerms, expected_value, fit_value_cells, fit_values,
    numpy_value_reduction, value_log_likelihood,
)
from models.simulate import simulate_values

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")

PUBLISHED = GammaGammaParameters(6.25, 3.74, 15.44)


@pytest.fixture(scope="module")
def cells():
    sample = cdnow_sample()
    again = sample.x > 0
    return ValueCells.of(sample.x[again], sample.mean_value[again])


@pytest.fixture(scope="module")
def fit(cells):
    return fit_value_cells(cells)


def positive(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(math.log(low), math.log(high)).map(math.exp)


fitted = st.builds(
    GammaGammaParameters, positive(0.05, 100), positive(0.05, 100).map(lambda q: 1 + q), positive(1e-3, 1e6)
)


def test_published_parameters(fit):
    assert (fit.parameters.p, fit.parameters.gamma) == pytest.approx((6.25, 15.44), rel=1e-3)
    assert [round(value, 2) for value in fit.maximum.parameters] == [6.25, 3.74, 15.44]  # as many digits as published
    assert fit.log_likelihood == pytest.approx(-4055.92, abs=0.01)
    assert (fit.customers, round(fit.correlation, 3)) == (946, 0.114)
    assert fit.maximum.distance < 1e-6


def test_published_expected_values():
    """The first ten customers of the sample."""
    sample = cdnow_sample()
    expected = expected_value(PUBLISHED, sample.x[:10], sample.mean_value[:10])
    published = [24.66, 18.92, 35.22, 35.22, 35.22, 71.47, 18.92, 35.22, 27.29, 35.22]
    assert expected.round(2) == pytest.approx(published, abs=0.02)


def test_the_likelihood_is_that_of_the_process():
    """The density of the mean of x gamma values, integrated over the customers' scales numerically."""
    p, q, gamma, x, mean = 2.0, 3.0, 12.0, 3.0, 9.0

    def density(rate: float) -> float:
        return stats.gamma.pdf(mean, p * x, scale=1 / (rate * x)) * stats.gamma.pdf(rate, q, scale=1 / gamma)

    cells = ValueCells([x], [mean], [1])
    value, _ = value_log_likelihood((p, q, gamma), ValueMargins.of(cells), numpy_value_reduction(cells))
    assert math.exp(value) == pytest.approx(integrate.quad(density, 0, 20, epsabs=1e-12)[0], rel=1e-8)


@settings(max_examples=100, deadline=None)
@given(fitted, st.lists(st.tuples(st.integers(1, 5000), positive(1e-3, 1e7)), min_size=1, max_size=5))
def test_the_gradient_is_that_of_the_likelihood(parameters, customers):
    cells = ValueCells.of(*np.array(customers, dtype=float).T)
    margins, reduction = ValueMargins.of(cells), numpy_value_reduction(cells)
    point = np.array([parameters.p, parameters.q, parameters.gamma])
    value, gradient = value_log_likelihood(point, margins, reduction)
    assert math.isfinite(value)
    # The log-likelihood is a difference of far larger numbers, whose rounding its differences show.
    noise = float((cells.x * parameters.p + parameters.q) @ np.abs(np.log(cells.x * cells.mean_value))) + 1
    for i in range(3):
        step = np.zeros(3)
        step[i] = 1e-4 * point[i]
        up, down = (value_log_likelihood(point + side * step, margins, reduction)[0] for side in (1, -1))
        assert gradient[i] * point[i] == pytest.approx((up - down) / 2e-4, rel=1e-5, abs=1e-8 * noise + 1e-8)


def test_weighted_sums_from_elsewhere_give_the_same_fit(cells, fit):
    """Sums by parts, as an aggregate over partitions gives them; and cells split in two."""
    twice = [np.concatenate([part, part]) for part in (cells.x, cells.mean_value)]
    doubled = ValueCells(*twice, np.concatenate([cells.count, cells.count]) / 2)
    parts = [ValueCells(doubled.x[i::3], doubled.mean_value[i::3], doubled.count[i::3]) for i in range(3)]

    def reduction(gamma: float) -> ValueTerms:
        sums = [numpy_value_reduction(part)(gamma) for part in parts]
        return ValueTerms(
            *(sum(getattr(terms, name) for terms in sums) for name in ("log", "x_log", "inverse", "x_inverse"))
        )

    other = fit_values(ValueMargins.of(doubled), reduction)
    assert other.maximum.parameters == pytest.approx(fit.maximum.parameters, rel=1e-6)
    assert other.standard_errors == pytest.approx(fit.standard_errors, rel=1e-4)
    assert other.correlation == pytest.approx(fit.correlation)


def test_cents_are_a_hundred_times_dollars(cells, fit):
    cents = fit_value_cells(replace(cells, mean_value=cells.mean_value * 100))
    p, q, gamma = fit.maximum.parameters
    assert cents.maximum.parameters == pytest.approx((p, q, 100 * gamma), rel=1e-6)
    assert cents.log_likelihood == pytest.approx(fit.log_likelihood - 946 * math.log(100), abs=1e-6)


def test_parameters_are_recovered():
    dice = np.random.default_rng(21)
    x = 1 + dice.poisson(2.0, 20_000)
    mean, own = simulate_values(PUBLISHED, x, seed=22)
    found = fit_value_cells(ValueCells.of(x, mean))
    true = (PUBLISHED.p, PUBLISHED.q, PUBLISHED.gamma)
    for value, expected, error in zip(found.maximum.parameters, true, found.standard_errors, strict=True):
        assert abs(value - expected) < 3 * error < expected
    difference = expected_value(PUBLISHED, x, mean) - own
    assert abs(difference.mean()) < 4 * difference.std() / math.sqrt(len(x))


@settings(max_examples=200, deadline=None)
@given(fitted, st.integers(1, 10**6), positive(1e-6, 1e12))
def test_an_expectation_lies_between_own_mean_and_everyones(parameters, x, mean):
    own_and_all = sorted([mean, parameters.population_mean])
    expected = float(expected_value(parameters, np.float64(x), np.float64(mean)))
    assert own_and_all[0] * (1 - 1e-9) <= expected <= own_and_all[1] * (1 + 1e-9)


@settings(max_examples=50, deadline=None)
@given(fitted)
def test_who_never_came_back_is_like_everyone(parameters):
    expected = expected_value(parameters, np.array([0.0, 0.0]), np.array([np.nan, 7.0]))
    assert expected == pytest.approx([parameters.population_mean] * 2)


DICE = np.random.default_rng(3)
X = DICE.integers(1, 6, 800)


@pytest.mark.parametrize(("x", "mean", "failure", "said"), [
    ([3], [10.0], Failure.TOO_LITTLE_DATA, "cannot be seen"),
    (X, np.full(800, 30.0), Failure.BOUNDARY, "a customer's orders all have one value"),
    ([1, 2], [10.0, 20.0], Failure.BOUNDARY, "all customers have one mean value"),
    (X, DICE.gamma(2.0 * X) / X / DICE.gamma(0.7, 1, 800), Failure.BOUNDARY, "cap or exclude the largest"),
], ids=["one customer", "one value", "two customers", "no mean"])
def test_a_fit_without_an_answer_fails_and_says_why(x, mean, failure, said):
    with pytest.raises(FitError, match=said) as raised:
        fit_value_cells(ValueCells.of(x, mean))
    assert raised.value.failure == failure
    assert f"Gamma-Gamma fitted to {len(x)} customers" in str(raised.value)


@pytest.mark.parametrize("missing", [None, float("nan")])
def test_sums_that_are_not_finite_stop_the_fit(cells, missing):
    with pytest.raises(FitError) as raised:
        fit_values(ValueMargins.of(cells), lambda gamma: ValueTerms(1.0, 1.0, missing, 1.0))
    assert raised.value.failure == Failure.NOT_FINITE


def test_impossible_values_are_refused():
    for x, mean, said in [([0], [1.0], r"x\[0\] = 0"), ([1, 1.5], [1, 1], r"x\[1\] = 1.5"), ([1], [-2], "= -2"),
                          ([1], [math.inf], "finite"), ([1, 2], [1.0], "different lengths")]:
        with pytest.raises(ModelError, match=said):
            ValueCells.of(x, mean)
    for name, wrong in [("p", 0.0), ("gamma", math.nan), ("q", 1.0)]:
        with pytest.raises(ModelError, match=f"{name} = "):
            replace(PUBLISHED, **{name: wrong})


def test_frequency_without_spread_has_no_correlation():
    assert ValueMargins.of(ValueCells.of([2, 2, 2], [1.1, 2.2, 3.3])).correlation == 0
    assert ValueMargins.of(ValueCells.of([1, 2, 3], [10.0, 20.0, 30.0])).correlation == pytest.approx(1)
