"""BG/NBD, MBG/NBD and MBG/CNBD-k against the figures of others, their definition, and simulated customers."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from cdnow_sample import cdnow_sample
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import special, stats

from models.cells import Cells, Margins
from models.elementary import Functions
from models.errors import Failure, FitError, ModelError
from models.expected_orders import expected_orders, orders_if_alive, phase_weights
from models.fit import Limits, maximise
from models.purchase_fit import choose_regularity, default_starts, fit_cells, fit_purchases
from models.purchase_likelihood import CellTerms, cell_terms, log_likelihood, numpy_reduction
from models.purchase_process import (
    BG_NBD, MBG_NBD, PurchaseModel, PurchaseParameters, log_odds_gone, log_p_silent_if_alive, mbg_cnbd, p_alive,
    p_no_order, p_order,
)
from models.silence import cycle, gap_quantile, median_wait, silence_until_gone, silence_until_lost
from models.simulate import simulate_purchases

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")  # an overflow or 0 / 0 anywhere is a fault

BG = PurchaseParameters(BG_NBD, 0.2426, 4.4136, 0.7930, 2.4260)
MBG = PurchaseParameters(MBG_NBD, 0.5248, 6.1831, 0.8914, 1.6140)
REGULAR = PurchaseParameters(mbg_cnbd(3), 1.2, 2.0, 0.6, 2.0)


@pytest.fixture(scope="module")
def sample():
    return cdnow_sample()


@pytest.fixture(scope="module")
def cells(sample):
    return Cells.of(sample.x, sample.t_x, sample.age)


@pytest.fixture(scope="module")
def bg(cells):
    return fit_cells(cells, BG_NBD)


@pytest.fixture(scope="module")
def mbg(cells):
    return fit_cells(cells, MBG_NBD)


def positive(low: float, high: float) -> st.SearchStrategy[float]:
    """Numbers of every order of magnitude between two."""
    return st.floats(math.log(low), math.log(high)).map(math.exp)


@st.composite
def parameters(draw, models=(BG_NBD, MBG_NBD, mbg_cnbd(2), mbg_cnbd(5))):
    return PurchaseParameters(
        draw(st.sampled_from(models)), draw(positive(0.02, 20)), draw(positive(0.01, 1000)), draw(positive(0.02, 50)),
        draw(positive(0.02, 50)),
    )


@st.composite
def histories(draw, most=5000):
    """(x, t_x, age) of one customer; the extremes are drawn often."""
    x = draw(st.one_of(st.just(0), st.integers(0, 12), st.integers(0, most)))
    age = draw(st.one_of(st.just(0.0), positive(1e-9, 1e9))) if x == 0 else draw(positive(1e-6, 1e9))
    share = draw(st.one_of(st.just(1.0), st.floats(1e-6, 1)))
    return x, age * share if x else 0.0, age


# --- the figures of others: who gives which is in cdnow_sample.measured -----------------------------------------------


def test_the_sample_is_that_of_the_literature(sample, cells):
    assert (sample.lines, sample.order_days, len(sample.x)) == (6919, 6696, 2357)
    assert ((sample.x > 0).sum(), sample.x.sum(), sample.x.max()) == (946, 2457, 29)
    assert (len(cells), sample.holdout.sum()) == (1016, 1882)


@pytest.mark.parametrize(("name", "published", "errors", "log_likelihood_"), [
    ("bg", (0.2426, 4.4136, 0.7930, 2.4260), (0.0126, 0.378, 0.186, 0.705), -9582.429),
    ("mbg", (0.5248, 6.1831, 0.8914, 1.6140), (0.083, 0.70, 0.155, 0.54), -9582.136),
])
def test_published_parameters(request, name, published, errors, log_likelihood_):
    fit = request.getfixturevalue(name)
    assert fit.parameters.values == pytest.approx(published, rel=1e-3)
    assert fit.standard_errors == pytest.approx(errors, rel=0.01)
    assert fit.log_likelihood == pytest.approx(log_likelihood_, abs=1e-3)
    assert (fit.customers, fit.orders) == (2357, 2457)


def test_published_expectations_of_a_new_customer():
    weeks = np.array([0.1429, 1, 3, 31.8571, 32, 52, 78])
    expected = expected_orders(BG, 0, 0, 0, weeks)
    assert expected == pytest.approx([0.0078, 0.0532, 0.1506, 1.0405, 1.0437, 1.4440, 1.8580], abs=1e-4)


def test_published_expectations_of_customers(bg):
    fitted = bg.parameters
    assert float(expected_orders(fitted, 2, 30.43, 38.86, 39)) == pytest.approx(1.226, abs=5e-4)
    assert float(expected_orders(fitted, 26, 30.857, 31, 52)) == pytest.approx(25.757, abs=1e-3)
    assert float(p_alive(fitted, 26, 30.857, 31)) == pytest.approx(0.96885, abs=5e-6)
    more_is_less = expected_orders(fitted, [10, 15, 20, 25], 20, 39, 52)
    assert more_is_less == pytest.approx([0.34746, 0.042834, 0.004159, 0.000358], rel=2e-3)


def test_cutoffs_computed_apart(mbg):
    fitted = mbg.parameters
    days = 7 * silence_until_lost(fitted, [0, 1, 3, 10], [0, 4, 12, 36], 0.8, 365 / 7)
    assert days.round().tolist() == [141, 201, 167, 135]
    assert round(7 * float(silence_until_gone(fitted, 0, 0, 0.2))) == 1839
    assert float(silence_until_lost(fitted, 0, 0, 0.5, 39)) == 0


def area_under_curve(score: np.ndarray, label: np.ndarray) -> float:
    ranks, yes, no = stats.rankdata(score), label.sum(), (~label).sum()
    return float((ranks[label].sum() - yes * (yes + 1) / 2) / (yes * no))


def test_forecasts_of_the_holdout(sample, bg, mbg):
    """The targets of the reference, and what the usual P(alive) gives instead."""
    history, silent, again = (sample.x, sample.t_x, sample.age), sample.holdout == 0, sample.x > 0
    lost = p_no_order(mbg.parameters, *history, 39.0)
    assert area_under_curve(lost, silent) == pytest.approx(0.760, abs=5e-4)
    assert area_under_curve(lost[again], silent[again]) == pytest.approx(0.718, abs=5e-4)
    assert np.mean((lost - silent) ** 2) == pytest.approx(0.161, abs=5e-4)
    assert expected_orders(mbg.parameters, *history, 39).sum() == pytest.approx(1577, abs=0.5)
    gone = 1 - p_alive(bg.parameters, *history)
    assert area_under_curve(gone, silent) == pytest.approx(0.316, abs=5e-4)
    assert np.mean((gone - silent) ** 2) == pytest.approx(0.608, abs=5e-4)


def test_cdnow_buyers_are_not_regular(sample, cells):
    margins = Margins.of(cells, sample.log_gaps)
    found = choose_regularity(margins, numpy_reduction(cells))
    assert found.chosen.parameters.model == MBG_NBD
    assert [fit.parameters.model.k for fit in found.fits] == [1, 2]


def test_the_published_extreme():
    assert (float(p_alive(MBG, 5000, 10.0, 3000.0)), float(p_no_order(MBG, 5000, 10.0, 3000.0, 39.0))) == (0, 1)
    value, gradient = log_likelihood(MBG, *of_one(5000, 10.0, 3000.0))
    assert math.isfinite(value) and np.isfinite(gradient).all()


# --- the likelihood ---------------------------------------------------------------------------------------------------


def of_one(x: float, t_x: float, age: float):
    cells = Cells([x], [t_x], [age], [1])
    return Margins.of(cells, 0.0), numpy_reduction(cells)


def by_definition(process: PurchaseParameters, gaps: list[float], age: float) -> float:
    """The density of a history, integrated over rate and dropout numerically, straight from what the process does."""
    model, x, t_x = process.model, len(gaps), sum(gaps)
    c, k = model.c, model.k
    nodes, weights = np.polynomial.legendre.leggauss(120)
    p, most = (nodes[:, None] + 1) / 2, 60 / process.alpha
    rate = (nodes[None, :] + 1) / 2 * most
    orders = math.prod(stats.gamma.pdf(gap, k, scale=1 / rate) for gap in gaps)
    alive = (1 - p) ** (x + c) * stats.poisson.cdf(k - 1, rate * (age - t_x))
    gone = p * (1 - p) ** (x + c - 1) if x + c else 0.0
    prior = stats.gamma.pdf(rate, process.r, scale=1 / process.alpha) * stats.beta.pdf(p, process.a, process.b)
    return float((weights[:, None] * weights * orders * (alive + gone) * prior).sum() / 4 * most)


@pytest.mark.parametrize(("model", "gaps", "age"), [
    (BG_NBD, [], 6.0), (BG_NBD, [2.0], 5.0), (MBG_NBD, [1.0, 3.0], 6.0), (mbg_cnbd(3), [2.0], 7.0),
])
def test_the_likelihood_is_that_of_the_process(model, gaps, age):
    process = PurchaseParameters(model, 3.0, 3.0, 2.0, 3.0)  # whole numbers: the quadrature is exact on polynomials
    x, t_x = len(gaps), sum(gaps)
    cells = Cells([x], [t_x], [age], [1])
    value, _ = log_likelihood(process, Margins.of(cells, float(np.log(gaps).sum())), numpy_reduction(cells))
    assert math.exp(value) == pytest.approx(by_definition(process, gaps, age), rel=1e-9)


@settings(max_examples=60, deadline=None)
@given(parameters(), st.lists(histories(most=60), min_size=1, max_size=6))
def test_the_gradient_is_that_of_the_likelihood(process, customers):
    cells = Cells.of(*np.array(customers, dtype=float).T)
    margins, reduction = Margins.of(cells, 1.0), numpy_reduction(cells)
    gradient = log_likelihood(process, margins, reduction)[1]
    for i, name in enumerate(("r", "alpha", "a", "b")):
        value = getattr(process, name)
        step = 1e-4 * value
        up, down = (
            log_likelihood(replace(process, **{name: value + side * step}), margins, reduction)[0] for side in (1, -1)
        )
        scale = 1 + abs(log_likelihood(process, margins, reduction)[0])
        assert gradient[i] * value == pytest.approx((up - down) / 2e-4, rel=1e-5, abs=1e-6 * scale)


@settings(max_examples=200, deadline=None)
@given(parameters(), histories())
def test_the_likelihood_is_finite_at_extremes(process, history):
    value, gradient = log_likelihood(process, *of_one(*history))
    assert math.isfinite(value) and np.isfinite(gradient).all()


@settings(max_examples=50, deadline=None)
@given(parameters(), st.lists(histories(most=40), min_size=1, max_size=5), positive(0.01, 100))
def test_another_unit_of_time_shifts_the_likelihood_by_its_gaps(process, customers, units):
    x, t_x, age = np.array(customers, dtype=float).T
    one, other = Cells.of(x, t_x, age), Cells.of(x, t_x * units, age * units)
    assume(len(one) == len(other))
    log_gaps = 3.0
    shifted = Margins.of(other, log_gaps + x.sum() * math.log(units))
    value = log_likelihood(process, Margins.of(one, log_gaps), numpy_reduction(one))[0]
    rescaled = log_likelihood(process.in_unit(units), shifted, numpy_reduction(other))[0]
    assert rescaled == pytest.approx(value - x.sum() * math.log(units), rel=1e-9, abs=1e-8)


class Strict:
    """Knows + - * /, comparisons and seven functions, and raises where Spark does: ln of 0, division by 0.

    What runs on it runs as a Column. The value is a plain number, so numpy cannot help out.
    """

    def __init__(self, value: float):
        self.value = value

    def _with(self, other, operation):
        assert isinstance(other, Strict | int | float) and not isinstance(other, np.generic)
        return Strict(operation(self.value, other.value if isinstance(other, Strict) else other))

    def __add__(self, other): return self._with(other, lambda a, b: a + b)
    def __radd__(self, other): return self._with(other, lambda a, b: b + a)
    def __sub__(self, other): return self._with(other, lambda a, b: a - b)
    def __rsub__(self, other): return self._with(other, lambda a, b: b - a)
    def __mul__(self, other): return self._with(other, lambda a, b: a * b)
    def __rmul__(self, other): return self._with(other, lambda a, b: b * a)
    def __truediv__(self, other): return self._with(other, lambda a, b: a / b)
    def __rtruediv__(self, other): return self._with(other, lambda a, b: b / a)
    def __gt__(self, other): return self._with(other, lambda a, b: a > b)
    def __ge__(self, other): return self._with(other, lambda a, b: a >= b)
    def __neg__(self): return Strict(-self.value)


def strict(function):
    return lambda *parts: Strict(function(*(part.value if isinstance(part, Strict) else part for part in parts)))


STRICT = Functions(*(
    strict(function) for function in (
        math.log, math.log1p, math.exp, math.expm1, abs, max, lambda test, yes, no: yes if test else no,
    )
))


@settings(max_examples=150, deadline=None)
@given(parameters(), histories(), positive(1e-3, 1e6))
def test_scoring_needs_elementary_functions_only(process, history, horizon):
    """The same formulas on an engine with nothing else give what numpy gives: what a Column will do."""
    row = [Strict(float(part)) for part in history]
    wait = Strict(horizon)
    plain = [np.float64(part) for part in history]
    x, t_x, age = row
    pairs = [
        (p_alive(process, *row, STRICT), p_alive(process, *plain)),
        (p_order(process, *row, wait, STRICT), p_order(process, *plain, horizon)),
        (p_no_order(process, *row, wait, STRICT), p_no_order(process, *plain, horizon)),
        (cycle(process, x, t_x), cycle(process, plain[0], plain[1])),
        *zip(phase_weights(process, x, age - t_x, age, STRICT),
             phase_weights(process, plain[0], plain[2] - plain[1], plain[2]), strict=True),
    ]
    terms, expected = cell_terms(process, *row, STRICT), cell_terms(process, *plain)
    pairs += [(getattr(terms, name), getattr(expected, name)) for name in ("value", "r", "alpha", "a", "b")]
    for columnar, value in pairs:
        assert columnar.value == pytest.approx(float(value), rel=1e-9, abs=1e-13)


# --- what a fit does --------------------------------------------------------------------------------------------------


def test_weighted_and_unweighted_fits_are_one(sample, bg):
    rows = Cells(sample.x, sample.t_x, sample.age, np.ones(len(sample.x)))
    fit = fit_cells(rows, BG_NBD)
    assert fit.parameters.values == pytest.approx(bg.parameters.values, rel=1e-7)
    assert fit.standard_errors == pytest.approx(bg.standard_errors, rel=1e-5)


def test_a_fit_in_days_is_the_fit_in_weeks(sample, mbg):
    days = fit_cells(Cells.of(sample.x, sample.t_x * 7, sample.age * 7), MBG_NBD)
    assert days.parameters.values == pytest.approx(mbg.parameters.in_unit(7).values, rel=1e-6)
    assert days.log_likelihood == pytest.approx(mbg.log_likelihood - 2457 * math.log(7), abs=1e-6)


def test_the_sums_may_be_added_up_elsewhere(cells, mbg):
    """A reduction by parts, as an aggregate over partitions does it, from one start."""
    parts = [
        Cells(cells.x[i::3], cells.t_x[i::3], cells.age[i::3], cells.count[i::3]) for i in range(3)
    ]
    asked = []

    def reduction(process: PurchaseParameters) -> CellTerms:
        asked.append(process)
        sums = [numpy_reduction(part)(process) for part in parts]
        return CellTerms(*(sum(getattr(terms, name) for terms in sums) for name in ("value", "r", "alpha", "a", "b")))

    margins = Margins.of(cells)
    fit = fit_purchases(margins, reduction, MBG_NBD, starts=default_starts(margins, MBG_NBD)[:1])
    assert fit.parameters.values == pytest.approx(mbg.parameters.values, rel=1e-6)
    assert fit.maximum.evaluations == len(asked) < 60


def test_every_start_ends_at_the_maximum(mbg):
    assert len(mbg.maximum.starts) == 3
    for start in mbg.maximum.starts:
        assert start.end == pytest.approx(mbg.parameters.values, rel=1e-3)
    assert mbg.maximum.distance < 1e-6
    assert mbg.maximum.table()["r"] == (mbg.parameters.r, mbg.standard_errors[0])


def test_standard_errors_are_those_of_the_likelihood(cells, bg):
    """Second differences of the log-likelihood itself, on the natural scale, inverted."""
    margins, reduction, best = Margins.of(cells), numpy_reduction(cells), np.array(bg.parameters.values)
    steps = 0.02 * np.array(bg.standard_errors)

    def value(shift: np.ndarray) -> float:
        return log_likelihood(PurchaseParameters(BG_NBD, *(best + shift)), margins, reduction)[0]

    axes = np.diag(steps)
    curvature = np.array([
        [value(p + q) - value(p - q) - value(q - p) + value(-p - q) for q in axes] for p in axes
    ]) / (4 * np.outer(steps, steps))
    assert np.sqrt(np.diag(np.linalg.inv(-curvature))) == pytest.approx(bg.standard_errors, rel=2e-3)


@pytest.mark.parametrize(("process", "seed"), [(BG, 11), (MBG, 12)])
def test_parameters_are_recovered(process, seed):
    ages = np.random.default_rng(seed).uniform(10, 78, 30_000)
    seen = simulate_purchases(process, ages, seed=seed)
    fit = fit_cells(seen.cells(), process.model)
    for found, true, error in zip(fit.parameters.values, process.values, fit.standard_errors, strict=True):
        assert abs(found - true) < 3 * error < true


def test_regularity_is_recovered():
    ages = np.random.default_rng(13).uniform(10, 78, 6000)
    seen = simulate_purchases(REGULAR, ages, seed=13)
    cells = seen.cells()
    found = choose_regularity(Margins.of(cells, seen.log_gaps), numpy_reduction(cells))
    assert found.chosen.parameters.model.k == 3
    assert [fit.parameters.model.k for fit in found.fits] == [1, 2, 3, 4]
    fit = found.chosen
    for value, true, error in zip(fit.parameters.values, REGULAR.values, fit.standard_errors, strict=True):
        assert abs(value - true) < 3 * error < true
    cautious = choose_regularity(Margins.of(cells, seen.log_gaps), numpy_reduction(cells), largest=2, least_gain=1e9)
    assert cautious.chosen.parameters.model == MBG_NBD


# --- fits that must fail ----------------------------------------------------------------------------------------------


def simulated(process: PurchaseParameters, customers: int = 2000) -> Cells:
    ages = np.random.default_rng(1).uniform(26, 39, customers)
    return simulate_purchases(process, ages, seed=1).cells()


@pytest.mark.parametrize(("cells", "failure", "said"), [
    (Cells.of([0, 0], [0, 0], [20, 3]), Failure.TOO_LITTLE_DATA, "nobody ordered on a second day"),
    (Cells.of([3] * 50, [9] * 50, [20] * 50), Failure.BOUNDARY, "all customers order at one rate"),
    (simulated(PurchaseParameters(MBG_NBD, 0.5, 6, 1e-6, 10)), Failure.BOUNDARY, "nobody seems to leave"),
    (simulated(PurchaseParameters(MBG_NBD, 5e3, 6e4, 0.9, 1.6)), Failure.BOUNDARY, "all customers order at one rate"),
    (simulated(PurchaseParameters(MBG_NBD, 0.5, 6, 100, 1)), Failure.BOUNDARY, "no heterogeneity of dropout"),
], ids=["one order each", "all alike", "no dropout", "one rate", "one dropout"])
def test_a_fit_without_an_answer_fails_and_says_why(cells, failure, said):
    with pytest.raises(FitError) as raised:
        fit_cells(cells, MBG_NBD)
    assert raised.value.failure == failure
    message = str(raised.value)
    assert f"MBG/NBD fitted to {cells.count.sum():.0f} customers" in message
    assert said in message and "What to do: fit a larger group" in message


def test_no_customers_at_all():
    empty = np.array([])
    with pytest.raises(FitError, match="there are no customers") as raised:
        fit_purchases(Margins(empty, empty, empty, empty, empty), lambda process: pytest.fail("nothing to add"))
    assert raised.value.failure == Failure.TOO_LITTLE_DATA


@pytest.mark.parametrize("missing", [None, float("nan"), float("inf")])
def test_sums_that_are_not_finite_stop_the_fit(cells, missing):
    def reduction(process: PurchaseParameters) -> CellTerms:
        return replace(numpy_reduction(cells)(process), alpha=missing)

    with pytest.raises(FitError, match="missing or overflowed.*look for missing, infinite") as raised:
        fit_purchases(Margins.of(cells), reduction)
    assert raised.value.failure == Failure.NOT_FINITE


LIMITS = {"u": Limits(1e-5, 1e5, "none", "much"), "v": Limits(1e-5, 1e5, "nothing", "plenty")}


def test_a_kink_is_not_a_maximum():
    def pointed(point):
        logs = np.log(point)
        return -float(np.abs(logs).sum()), -np.sign(logs) / point

    with pytest.raises(FitError, match="standard errors from the maximum.*iterations") as raised:
        maximise("a kink", pointed, LIMITS, [(3.0, 0.2)], 1)
    assert raised.value.failure == Failure.NOT_CONVERGED


def test_a_ridge_is_not_a_maximum():
    def ridge(point):
        total = np.log(point).sum() - 1
        return -float(total**2), -2 * total / point

    with pytest.raises(FitError, match="no peak.*u is left open.*v is left open") as raised:
        maximise("a ridge", ridge, LIMITS, [(3.0, 0.2)], 1)
    assert raised.value.failure == Failure.BOUNDARY


def test_a_parameter_that_the_data_leaves_open_is_refused():
    def loose(point):
        logs = np.log(point)
        return -float(logs @ (logs * [0.5, 0.005])), -logs * [1, 0.01] / point

    with pytest.raises(FitError, match="v is .* give or take a factor of 2.2e\\+04") as raised:
        maximise("a plain", loose, LIMITS, [(3.0, 20.0)], 1)
    assert raised.value.failure == Failure.BOUNDARY
    assert maximise("a plain", loose, LIMITS, [(3.0, 20.0)], 1, loosest=11).standard_errors == pytest.approx((1, 10))


@pytest.mark.parametrize(("x", "t_x", "age", "said"), [
    ([1, -1], [1, 0], [2, 2], r"x\[1\] = -1"), ([0.5], [1], [2], r"x\[0\] = 0.5"), ([1], [3], [2], r"t_x\[0\] = 3"),
    ([0], [1], [2], r"t_x\[0\] = 1"), ([1], [0], [2], "merge the orders of a day"), ([0], [0], [np.nan], "age.*finite"),
    ([0, 1], [0], [1], "different lengths"),
])
def test_impossible_histories_are_refused(x, t_x, age, said):
    with pytest.raises(ModelError, match=said):
        Cells.of(x, t_x, age)


def test_regular_buyers_need_the_gaps(cells):
    with pytest.raises(ModelError, match="needs the sum of ln"):
        fit_cells(cells, mbg_cnbd(2))


def test_only_the_three_models_exist():
    for name, k, after_first in [("BG/NBD", 2, False), ("MBG/CNBD-25", 25, True), ("MBG/CNBD-0", 0, True)]:
        with pytest.raises(ModelError, match="use one of"):
            PurchaseModel(name, k, after_first)
    for wrong in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ModelError, match="positive, finite"):
            replace(BG, b=wrong)
    with pytest.raises(ModelError, match="another model"):
        fit_purchases(Margins.of(Cells.of([1], [1], [2])), lambda process: None, MBG_NBD, starts=[BG])


# --- predictions ------------------------------------------------------------------------------------------------------


@settings(max_examples=300, deadline=None)
@given(parameters(), histories(), st.one_of(st.just(0.0), positive(1e-9, 1e12)))
def test_predictions_are_sound_at_extremes(process, history, horizon):
    alive, order = p_alive(process, *history), p_order(process, *history, horizon)
    silent, orders = p_no_order(process, *history, horizon), expected_orders(process, *history, horizon)
    assert 0 <= order <= alive <= 1 and 0 <= silent <= 1
    assert order + silent == pytest.approx(1, abs=1e-12)
    assert math.isfinite(orders) and orders >= 0
    assert order <= orders + 1e-11  # each order counts at least once
    assert process.model.leaves_after_first or history[0] > 0 or alive == 1
    if process.model == MBG_NBD and history[0] == 0 and process.a / process.b > 1e-6:
        assert alive < 1


@settings(max_examples=100, deadline=None)
@given(parameters(), histories())
def test_the_risk_begins_at_one_and_ends_at_gone(process, history):
    assert float(p_no_order(process, *history, 0.0)) == pytest.approx(1, abs=1e-13)
    rho = process.r + process.model.k * history[0]
    assume(rho > 0.1)  # with less, for ever is longer than a double can say
    endless = 1e6 * (process.alpha + history[2]) * math.exp(20 / rho)
    gone = special.expit(log_odds_gone(process, *history))
    assert float(p_no_order(process, *history, endless)) == pytest.approx(gone, abs=1e-5)


@settings(max_examples=60, deadline=None)
@given(parameters(), histories(), positive(1e-3, 1e4), positive(1e-3, 1e4))
def test_the_risk_is_a_ratio_of_likelihoods(process, history, first, second):
    """L(age + H) / L(age); so two horizons in a row multiply."""
    x, t_x, age = history
    now, later = (log_likelihood(process, *of_one(x, t_x, end))[0] for end in (age, age + first))
    risk = float(p_no_order(process, x, t_x, age, first))
    assert math.log(risk) == pytest.approx(later - now, abs=1e-9 * (1 + abs(now) + abs(later)))
    both = float(p_no_order(process, x, t_x, age, first + second))
    assert both == pytest.approx(risk * float(p_no_order(process, x, t_x, age + first, second)), rel=1e-7, abs=1e-300)


@settings(max_examples=60, deadline=None)
@given(parameters((BG_NBD, MBG_NBD)), histories(most=100), positive(0.01, 10))
def test_expected_orders_have_their_closed_form(process, history, share):
    x, _, age = history
    horizon = share * (process.alpha + age)
    assume(abs(process.a - 1) > 0.01)
    rho, beta, a = process.r + x, process.b + x + process.model.c, process.a
    w = horizon / (process.alpha + age + horizon)
    # After Euler's transformation two of the three numbers do not grow with x.
    tail = (1 - w) ** (a - 1) * special.hyp2f1(a + beta - 1 - rho, a - 1, a + beta - 1, w)
    closed = (a + beta - 1) / (a - 1) * (1 - tail)
    assert float(orders_if_alive(process, x, age, horizon)[0]) == pytest.approx(closed, rel=1e-8, abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(parameters((mbg_cnbd(1), mbg_cnbd(2), mbg_cnbd(3), mbg_cnbd(12))), histories(most=100), positive(0.001, 2))
def test_expected_orders_are_the_sum_over_orders(process, history, share):
    """The n-th order comes if the customer stays n - 1 times and n k - j phases fit into the horizon."""
    x, _, age = history
    k, horizon = process.model.k, share * (process.alpha + age)
    n = np.arange(1, 2000)
    stays = np.exp(special.betaln(process.a, process.b + x + n) - special.betaln(process.a, process.b + x + 1))
    w = horizon / (process.alpha + age + horizon)
    summed = [
        float(stays @ special.betainc(n * k - j, process.r + k * x + j, w)) for j in range(k)
    ]
    assert orders_if_alive(process, x, age, horizon) == pytest.approx(summed, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("process", [BG, MBG, REGULAR], ids=lambda process: process.model.name)
def test_predictions_are_what_comes(process):
    """Probabilities and orders against 60,000 simulated customers with the true parameters, also by stratum."""
    horizon = 26.0
    ages = np.random.default_rng(5).integers(0, 78, 60_000)
    seen = simulate_purchases(process, ages, horizon=horizon, seed=5)
    history = (seen.x, seen.t_x, seen.age)
    for low, high in [(0, 0), (1, 2), (3, np.inf)]:
        who = (seen.x >= low) & (seen.x <= high)
        for predicted, actual in [
            (p_alive(process, *history), seen.alive), (p_no_order(process, *history, horizon), seen.ahead == 0),
            (expected_orders(process, *history, horizon), seen.ahead),
        ]:
            difference = predicted[who] - actual[who]
            assert abs(difference.mean()) <= 4 * difference.std() / math.sqrt(who.sum())


def test_a_table_of_orders_has_every_pair():
    table = orders_if_alive(REGULAR, np.arange(3)[:, None], np.array([0.0, 7.0]), 30.0)
    assert table.shape == (3, 2, 3)
    assert table[2, 1] == pytest.approx(orders_if_alive(REGULAR, 2, 7.0, 30.0), rel=1e-12)
    assert orders_if_alive(REGULAR, [], [], 30.0).shape == (0, 3)
    with pytest.raises(ModelError, match=r"horizon\[0\] = -1"):
        orders_if_alive(REGULAR, 2, 7.0, -1)


# --- silence ----------------------------------------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(parameters(), histories(most=50), st.floats(0.01, 0.99))
def test_a_cutoff_plugged_back_gives_its_probability(process, history, probability):
    x, t_x, age = history
    horizon = 0.5 * float(cycle(process, x, t_x))
    cutoff = float(silence_until_lost(process, x, t_x, probability, horizon))
    if cutoff == 0:
        assert p_no_order(process, x, t_x, t_x, horizon) >= probability
    elif math.isfinite(cutoff):
        assert float(p_no_order(process, x, t_x, t_x + cutoff, horizon)) == pytest.approx(probability, abs=1e-9)
        later = t_x + cutoff * np.array([1.01, 1.5, 3, 100])
        assert (p_no_order(process, x, t_x, later, horizon) >= probability).all()
    gone = float(silence_until_gone(process, x, t_x, probability))
    if p_alive(process, x, t_x, t_x) <= probability:
        assert gone == pytest.approx(0, abs=1e-9 * (process.alpha + t_x))
    elif math.isfinite(gone) and gone < 1e12:
        assert float(p_alive(process, x, t_x, t_x + gone)) == pytest.approx(probability, rel=1e-7)
    wait = float(median_wait(process, x, t_x, age))
    if wait < 1e12 * (process.alpha + age):
        assert float(log_p_silent_if_alive(process, x, t_x, age, wait)) == pytest.approx(-math.log(2), rel=1e-7)


def test_cycles_are_shrunk_and_quantiles_in_order():
    everyone, own = float(cycle(REGULAR, 0, 0.0)), 3.0
    for x in (1, 5, 50, 5000):
        assert own < float(cycle(REGULAR, x, own * x)) < everyone
    assert float(cycle(REGULAR, 5000, own * 5000)) == pytest.approx(own, rel=1e-3)
    quantiles = [float(gap_quantile(REGULAR, 10, 50.0, q)) for q in (0.05, 0.5, 0.9)]
    assert quantiles == sorted(quantiles)
    irregular = PurchaseParameters(MBG_NBD, 1.2, 6.0, 0.6, 2.0)
    assert quantiles[2] - quantiles[0] < np.subtract(*(gap_quantile(irregular, 10, 50.0, q) for q in (0.9, 0.05)))


def test_a_regular_buyer_is_not_lost_right_after_an_order():
    """In a short horizon no order comes just after one; the cutoff is the last time that the risk reaches the level."""
    regular = PurchaseParameters(mbg_cnbd(6), 2, 3, 0.2, 1.6)
    just_ordered = float(p_no_order(regular, 10, 36.0, 36.0, 2.0))
    cutoff = float(silence_until_lost(regular, 10, 36.0, 0.6, 2.0))
    assert just_ordered > 0.6 and 5 < cutoff < 20
    assert float(p_no_order(regular, 10, 36.0, 36.0 + 0.9 * cutoff, 2.0)) < 0.6


def test_who_is_gone_as_likely_as_not_at_once_needs_no_silence():
    """a = b: half leave right after the first order, whatever k."""
    for k in (1, 5):
        process = PurchaseParameters(mbg_cnbd(k), 0.3, 1.0, 1.0, 1.0)
        assert silence_until_gone(process, 0, 0, 0.75) == 0 < silence_until_gone(process, 0, 0, 0.25)


def test_who_cannot_have_left_is_never_gone():
    assert silence_until_gone(BG, [0, 1], [0, 4], 0.2)[0] == math.inf
    assert float(silence_until_lost(BG, 0, 0, 0.8, 52)) == pytest.approx(52 / (0.8 ** (-1 / BG.r) - 1) - BG.alpha)
    for wrong in (0, 1, math.nan):
        with pytest.raises(ModelError, match="a probability between 0 and 1"):
            silence_until_lost(BG, 0, 0, wrong, 52)
    with pytest.raises(ModelError, match="horizon = 0"):
        silence_until_lost(BG, 0, 0, 0.8, 0)


# --- simulation -------------------------------------------------------------------------------------------------------


def test_a_seed_decides_everything():
    one, same, other = (simulate_purchases(MBG, [30.0] * 200, horizon=30, seed=seed) for seed in (3, 3, 4))
    assert (one.t_x == same.t_x).all() and (one.t_x != other.t_x).any()
    with pytest.raises(ModelError, match="ages are"):
        simulate_purchases(MBG, [-1.0], seed=1)


def test_simulated_customers_are_consistent():
    seen = simulate_purchases(REGULAR, np.linspace(0, 60, 3000), horizon=20, seed=8)
    assert ((seen.x > 0) == (seen.t_x > 0)).all() and (seen.t_x <= seen.age).all()
    assert ((seen.ahead > 0) == (seen.next_order <= 20)).all() and (seen.ahead[~seen.alive] == 0).all()
    assert (seen.left_at[seen.left_at < seen.age] == seen.t_x[seen.left_at < seen.age]).all()
