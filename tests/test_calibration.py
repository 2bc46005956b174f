"""Calibration: what it leaves alone, that it keeps the order, and that its fit is the best line there is."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import expit, logit

from models.calibration import LEAST_SLOPE, STRATA, Calibration, fit_calibration, stratum
from models.elementary import Functions
from models.errors import ModelError

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")

chances = st.one_of(st.sampled_from([0.0, 5e-324, 1e-16, 0.5, 1 - 1e-16, 1.0]), st.floats(0, 1))
lines = st.tuples(st.floats(-5, 5), st.floats(0.05, 20))
calibrations = st.builds(Calibration, st.tuples(lines, lines, lines))

#: Plain numbers, with functions that raise where Spark's do: ln of 0, division by 0.
PLAIN = Functions(
    math.log, math.log1p, math.exp, math.expm1, abs, max, lambda test, yes, no: yes if test else no
)


def test_strata_are_by_repeat_orders():
    assert [STRATA[place] for place in stratum([0, 1, 2, 3, 9])] == ["0", "1-2", "1-2", "3+", "3+"]


@given(st.lists(chances, min_size=1, max_size=20), st.integers(0, 9))
def test_the_identity_changes_no_bit(p, x):
    p = np.array(p)
    assert Calibration.identity().apply(p, np.full(len(p), x)) is p
    one = Calibration(tuple((0.0, 1.0) if place == stratum(x) else (0.7, 2.0) for place in range(3)))
    assert one.apply(p, np.full(len(p), x)).tobytes() == p.tobytes()


@given(calibrations, st.lists(chances, min_size=2, max_size=20), st.integers(0, 9))
def test_the_order_of_customers_is_kept(calibration, p, x):
    p = np.sort(np.array(p))
    found = calibration.apply(p, np.full(len(p), x))
    assert ((found >= 0) & (found <= 1)).all()
    assert (np.diff(found) >= -1e-15).all()
    assert (found[p == 0] == 0).all() and (found[p == 1] == 1).all()


@given(calibrations, st.floats(1e-6, 1 - 1e-6), st.integers(0, 9))
def test_a_line_on_the_logit(calibration, p, x):
    intercept, slope = calibration.lines[int(stratum(x))]
    expected = expit(intercept + slope * logit(p))
    assert float(calibration.apply(np.float64(p), np.float64(x))) == pytest.approx(expected, rel=1e-9)


@given(calibrations, chances, st.integers(0, 9))
def test_it_needs_elementary_functions_only(calibration, p, x):
    plain = calibration.apply(p, float(x), PLAIN)
    assert plain == pytest.approx(float(calibration.apply(np.float64(p), np.float64(x))), rel=1e-12, abs=1e-300)


def test_a_missing_probability_stays_missing():
    found = Calibration(((1.0, 2.0),) * 3).apply(np.array([math.nan, 0.5]), np.array([0, 4]))
    assert math.isnan(found[0]) and found[1] == pytest.approx(expit(1.0))


@given(calibrations, st.floats(0.01, 0.99), st.integers(0, 2))
def test_the_inverse_level_is_calibrated_to_the_level(calibration, level, place):
    raw = calibration.inverse_level(level, place)
    if 1e-9 < raw < 1 - 1e-9:
        assert float(calibration.apply(np.float64(raw), np.float64((0, 1, 3)[place]))) == pytest.approx(level, abs=1e-6)
    assert Calibration.identity().inverse_level(level, place) == level


@pytest.mark.parametrize(("lines_", "said"), [
    (((0, 1),) * 2, "a calibration of 2 lines"),
    (((0, 1), (0, -1), (0, 1)), r"line \(0, -1\) for x = 1-2: a slope is positive"),
    (((0, 1), (0, 1), (math.nan, 1)), r"for x = 3\+: both numbers are finite"),
])
def test_wrong_lines_are_refused(lines_, said):
    with pytest.raises(ModelError, match=said):
        Calibration(lines_)


@pytest.mark.parametrize("level", [0.0, 1.0, math.nan])
def test_a_level_is_inside(level):
    with pytest.raises(ModelError, match="level = "):
        Calibration.identity().inverse_level(level, 0)


@st.composite
def labelled(draw):
    """(p, label, weight) of one stratum."""
    count = draw(st.integers(1, 15))
    numbers = [
        draw(st.lists(part, min_size=count, max_size=count))
        for part in (st.floats(1e-4, 1 - 1e-4), st.floats(0, 1), st.floats(0.5, 1000))
    ]
    return tuple(np.array(part) for part in numbers)


def loss(line, p, label, weight, ridge=1.0) -> float:
    z = line[0] + line[1] * logit(p)
    return float(np.sum(weight * (np.logaddexp(0, z) - label * z)) + ridge / 2 * (line[0]**2 + (line[1] - 1)**2))


@settings(max_examples=80, deadline=None)
@given(labelled(), st.integers(0, 4))
def test_the_fit_is_the_best_line(drawn, x):
    p, label, weight = drawn
    found = fit_calibration(p, np.full(len(p), x), label, weight)
    line = found.lines[int(stratum(x))]
    best = minimize(loss, [0.0, 1.0], drawn, method="L-BFGS-B", bounds=[(None, None), (LEAST_SLOPE, None)])
    assert loss(line, *drawn) <= best.fun + 1e-6 * (1 + abs(best.fun))
    assert line[1] >= LEAST_SLOPE
    assert loss(line, *drawn) <= loss((0.0, 1.0), *drawn)  # never worse than no calibration
    assert all(other == (0.0, 1.0) for place, other in enumerate(found.lines) if place != stratum(x))


def test_known_lines_are_found():
    """Three strata whose outcomes follow lines of their own."""
    dice = np.random.default_rng(3)
    x = np.repeat([0, 2, 5], 4000)
    p = dice.uniform(0.02, 0.98, len(x))
    true = ((0.5, 0.6), (-0.4, 1.0), (0.0, 1.5))
    share = expit(np.array([true[place][0] + true[place][1] * logit(one) for place, one in zip(stratum(x), p)]))
    silent = dice.binomial(50, share)
    found = fit_calibration(p, x, silent / 50, np.full(len(x), 50.0))
    assert np.array(found.lines) == pytest.approx(np.array(true), abs=0.02)


def test_a_row_of_many_customers_is_many_rows():
    p, x = np.array([0.3, 0.6, 0.9]), np.array([1, 1, 1])
    one = fit_calibration(p, x, [0.5, 0.5, 1.0], [4, 2, 3])
    many = fit_calibration(
        np.repeat(p, [4, 2, 3]), np.ones(9), [1, 1, 0, 0, 1, 0, 1, 1, 1], np.ones(9)
    )
    assert np.array(one.lines) == pytest.approx(np.array(many.lines), abs=1e-9)


@pytest.mark.parametrize(("p", "label"), [
    ([0.2, 0.4, 0.6, 0.8], [0, 0, 1, 1]), ([0.2, 0.8], [1, 1]), ([0.7, 0.7], [0, 0]), ([1e-12, 1 - 1e-12], [0, 1]),
])
def test_labels_without_a_best_line_give_a_finite_one(p, label):
    line = fit_calibration(p, np.zeros(len(p)), label, np.full(len(p), 1e5)).lines[0]
    assert all(map(math.isfinite, line)) and LEAST_SLOPE <= line[1] < 100


def test_probabilities_the_wrong_way_round_are_flattened_and_not_turned():
    line = fit_calibration([0.1, 0.9], [0, 0], [0.9, 0.1], [1e4, 1e4]).lines[0]
    assert line == (pytest.approx(0.0, abs=1e-3), LEAST_SLOPE)


def test_certain_rows_and_empty_strata_say_nothing():
    found = fit_calibration([0.0, 1.0, 0.5], [0, 0, 4], [0.5, 0.5, 0.9], [100, 100, 0])
    assert found == Calibration.identity() == fit_calibration([], [], [], [])


@pytest.mark.parametrize(("row", "said"), [
    ((1.5, 0, 0, 1), r"p\[0\] = 1.5"), ((0.5, -1, 0, 1), r"x\[0\] = -1"), ((0.5, 0, 1.2, 1), r"label\[0\] = 1.2"),
    ((0.5, 0, 1, -2), r"weight\[0\] = -2"), ((math.nan, 0, 1, 1), r"p\[0\] = nan"),
])
def test_wrong_rows_are_refused(row, said):
    with pytest.raises(ModelError, match=said):
        fit_calibration(*([part] for part in row))
    with pytest.raises(ModelError, match="ridge = 0"):
        fit_calibration([0.5], [0], [1], [1], ridge=0)
