"""The measures of probabilities and calls against loops over single customers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import ModelError
from models.measures import (
    Calls, auc, brier, calibration_error, calibration_table, calls, counted, log_loss, measure,
)

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")


@st.composite
def rows(draw):
    """(p, positive, weight): rows of whole customers; equal probabilities, 0 and 1 come often."""
    probability = st.one_of(st.sampled_from([0.0, 0.2, 0.5, 0.8, 1.0]), st.floats(0, 1))
    found = draw(st.lists(
        st.tuples(probability, st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=12
    ).filter(lambda drawn: any(yes + no for _, yes, no in drawn)))
    p, yes, no = (np.array(part, dtype=float) for part in zip(*found, strict=True))
    return p, yes, yes + no


def customers(p, positive, weight) -> list[tuple[float, bool]]:
    """The customers that rows stand for, one by one."""
    return [
        (float(chance), number < yes) for chance, yes, count in zip(p, positive, weight, strict=True)
        for number in range(int(count))
    ]


@settings(max_examples=150, deadline=None)
@given(rows())
def test_brier_and_log_loss_are_means_over_customers(drawn):
    single = customers(*drawn)
    squares = [(chance - silent) ** 2 for chance, silent in single]
    assert brier(*drawn) == pytest.approx(sum(squares) / len(single), abs=1e-12)
    surprises = [
        -math.log(max(chance, 1e-15)) if silent else -math.log(max(1 - chance, 1e-15)) for chance, silent in single
    ]
    assert log_loss(*drawn) == pytest.approx(sum(surprises) / len(single), rel=1e-3, abs=1e-12)  # 1 - 1e-15 is rounded


def test_log_loss_to_the_last_digits():
    p = np.array([0.1, 0.5, 0.93])
    expected = -(math.log(0.1) + 3 * math.log(0.9) + 2 * math.log(0.5) + 5 * math.log(0.93)) / 11
    assert log_loss(p, [1, 1, 5], [4, 2, 5]) == pytest.approx(expected, rel=1e-14)


@settings(max_examples=150, deadline=None)
@given(rows())
def test_auc_is_the_share_of_pairs_in_the_right_order(drawn):
    single = customers(*drawn)
    pairs = [(yes > no) + (yes == no) / 2 for yes, a in single if a for no, b in single if not b]
    found = auc(*drawn)
    assert found is None if not pairs else found == pytest.approx(sum(pairs) / len(pairs), abs=1e-12)


def test_auc_of_infinite_scores_and_of_one_outcome():
    assert auc([math.inf, 3.0, -math.inf], [1, 1, 0], [1, 1, 1]) == 1.0
    assert auc([1.0, 2.0], [1, 1], [1, 1]) is None
    with pytest.raises(ModelError, match=r"score\[1\] = nan"):
        auc([1.0, math.nan], [1, 0], [1, 1])


@settings(max_examples=150, deadline=None)
@given(rows(), st.integers(1, 10))
def test_bins_hold_equal_numbers_of_customers(drawn, bins):
    """Each customer as `bins` equal parts, with the outcome of those who have her probability, cut into even lots."""
    single = sorted(customers(*drawn))
    mean = {chance: np.mean([was for other, was in single if other == chance]) for chance, _ in single}
    parts = [(chance, mean[chance]) for chance, _ in single for _ in range(bins)]
    lots = [parts[place * len(single):(place + 1) * len(single)] for place in range(bins)]
    table = calibration_table(*drawn, bins)
    assert [part.customers for part in table] == pytest.approx([len(single) / bins] * bins)
    predicted, actual = ([np.mean([part[side] for part in lot]) for lot in lots] for side in (0, 1))
    assert [part.probability for part in table] == pytest.approx(predicted, abs=1e-9)
    assert [part.actual for part in table] == pytest.approx(actual, abs=1e-9)
    gaps = [abs(np.mean([a - b for a, b in lot])) for lot in lots]
    assert calibration_error(*drawn, bins) == pytest.approx(np.mean(gaps), abs=1e-9)


@pytest.mark.parametrize("seed", range(10))
def test_a_bin_of_whom_all_were_silent_is_a_share_of_one(seed):
    """Not of 1 and a rounding error, which a picture of the table refuses."""
    dice = np.random.default_rng(seed)
    p, customers = dice.random(343), dice.integers(1, 50, 343).astype(float)
    silent = np.where(p > 0.7, customers, 0.0)
    actual = [part.actual for part in calibration_table(p, silent, customers)]
    assert actual[-1] == pytest.approx(1) and max(actual) <= 1 and min(actual) >= 0


@settings(max_examples=150, deadline=None)
@given(rows(), st.floats(0.01, 0.99))
def test_calls_are_counts_of_customers(drawn, level):
    single = customers(*drawn)
    count = {
        (called, silent): sum((chance >= level, was) == (called, silent) for chance, was in single)
        for called in (True, False) for silent in (True, False)
    }
    found = calls(drawn[0] >= level, *drawn[1:])
    hits, alarms, misses, passes = count.values()
    assert found == Calls(hits, alarms, misses, passes)
    assert found == counted(hits + alarms, hits, hits + misses, len(single))
    assert found.called == pytest.approx((hits + alarms) / len(single))
    if hits + alarms:
        assert found.precision == pytest.approx(hits / (hits + alarms))
        assert found.reactivated == pytest.approx(1 - found.precision)
    else:
        assert found.precision is None and found.reactivated is None
    assert found.recall == (pytest.approx(hits / (hits + misses)) if hits + misses else None)
    if found.precision and found.recall:
        assert found.f1 == pytest.approx(2 / (1 / found.precision + 1 / found.recall))
    sides = [[chance >= level for chance, _ in single], [was for _, was in single]]
    varied = all(0 < sum(side) < len(single) for side in sides)
    assert found.mcc == pytest.approx(np.corrcoef(sides)[0, 1] if varied else 0.0, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(rows(), st.randoms(use_true_random=False))
def test_rows_may_be_split_and_come_in_any_order(drawn, dice):
    single = customers(*drawn)
    dice.shuffle(single)
    p, silent = (np.array(part, dtype=float) for part in zip(*single, strict=True))
    one, other = measure(*drawn, 0.5), measure(p, silent, np.ones(len(p)), 0.5)
    for name in ("customers", "actual", "probability", "brier", "log_loss", "ece"):
        assert getattr(one, name) == pytest.approx(getattr(other, name), abs=1e-9)
    assert one.calls == other.calls and one.auc == (None if other.auc is None else pytest.approx(other.auc))


def test_f1_needs_somebody_called_or_silent():
    nobody = Calls(0, 0, 0, 7)
    assert (nobody.f1, nobody.recall, nobody.mcc, nobody.called) == (None, None, 0.0, 0.0)
    assert Calls(0, 3, 0, 4).f1 == 0


@pytest.mark.parametrize(("p", "positive", "weight", "said"), [
    ([1.1], [0], [1], r"p\[0\] = 1.1: a probability lies between 0 and 1"),
    ([0.5], [2], [1], r"positive\[0\] = 2: it counts customers"),
    ([0.5], [0], [-1], r"weight\[0\] = -1"),
    ([0.5], [0], [0], "no customers to measure"),
    ([0.5, 0.1], [0], [1], "columns of different lengths"),
    ([math.nan], [0], [1], r"p\[0\] = nan"),
])
def test_wrong_rows_are_refused(p, positive, weight, said):
    for function in (brier, log_loss, calibration_error):
        with pytest.raises(ModelError, match=said):
            function(p, positive, weight)
