"""Which lines an origin is given: those that would have been best at the last known origins."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.growing import labelled, level, plain
from models.backtest import backtest
from models.calibration import Calibration, fit_calibration
from models.gate import Limits
from models.recalibration import ALL, NONE, WAYS, YEAR_BEFORE, Outcome, best_way, ways

X, CUSTOMERS, RAW = np.array([0.0, 1.0, 5.0]), np.array([100.0, 100.0, 100.0]), np.array([0.7, 0.5, 0.3])


def outcome(day: int, shift: float = 0.0, *, errors: dict[str, float] | None = None, size: float = 1.0) -> Outcome:
    """An origin of 300 customers (times `size`) whose silent share is `shift` above the forecast."""
    return Outcome(day, X, CUSTOMERS * size, CUSTOMERS * size * (RAW + shift), RAW, errors or {})


def test_lines_are_those_of_the_origins_of_each_way():
    known = [outcome(day, 0.2 if day < 600 else -0.2) for day in (400, 430, 640, 670)]
    found = ways(known, 1010)
    assert found[NONE] == Calibration.identity() and ways([], 1000) == {}
    stacked = (np.tile(part, 4) for part in (RAW, X))
    share = np.concatenate([one.silent / one.customers for one in known])
    assert found[ALL] == fit_calibration(*stacked, share, np.full(12, 100.0))
    assert found[YEAR_BEFORE] == fit_calibration(RAW, X, RAW - 0.2, CUSTOMERS)  # the day 640 is 370 days earlier
    assert ways(known, 1100)[YEAR_BEFORE] == ways(known, 1100)[ALL]  # no origin near the day 735


def test_errors_are_those_of_the_probabilities():
    lines = {NONE: Calibration.identity(), ALL: Calibration(((1.0, 1.0),) * 3)}
    made = Outcome.of(10, X, CUSTOMERS, CUSTOMERS * 0.25, RAW, lines)
    for way, p in ((NONE, RAW), (ALL, lines[ALL].apply(RAW, X))):
        people = [(100 * (0.25 * (1 - one) ** 2 + 0.75 * one**2)) for one in p]
        assert made.errors[way] == pytest.approx(sum(people))


def test_the_last_three_tried_origins_decide():
    good, bad = {NONE: 9.0, ALL: 9.0, YEAR_BEFORE: 1.0}, {NONE: 1.0, ALL: 9.0, YEAR_BEFORE: 5.0}
    long_ago = [outcome(day, errors=bad) for day in range(9)]
    assert best_way(long_ago, 1e9) == NONE
    assert best_way([*long_ago, *(outcome(10 + day, errors=good) for day in range(3))], 1e9) == YEAR_BEFORE
    # 1 + 1 + 9 against 5 + 5 + 1: of equal ones the first.
    assert best_way([*long_ago, outcome(10, errors=good)], 1e9) == NONE
    assert best_way([outcome(1, errors=dict.fromkeys(WAYS, 2.0))], None) == NONE


def test_untried_lines_are_for_a_shop_that_has_hardly_grown():
    known = [outcome(10), outcome(40)]  # 300 customers
    assert best_way(known, 375.0) == ALL and best_way(known, 376.0) == NONE
    assert best_way(known, None) == NONE and best_way([], 5.0) == NONE


def test_a_shop_that_fills_up_is_not_given_the_lines_of_its_first_months():
    """No origin could try any yet: raw forecasts are nearer than what the first months' lines make of them."""
    cells = labelled(3, 365, customers=1500, yearly=False)
    raw, of_all, best = (backtest(cells, plain, way=way) for way in (NONE, ALL, None))
    assert {origin.way for origin in best.origins} == {NONE}
    assert abs(level(best)) <= Limits().level and best.overall.ece <= Limits().calibration
    assert best.overall.brier <= of_all.overall.brier and best.overall == raw.overall


def test_a_grown_shop_of_mixed_buyers_passes_with_the_lines_of_a_year_before():
    cells = labelled(5, 365)
    raw, of_all, best = (backtest(cells, plain, way=way) for way in (NONE, ALL, None))
    assert best.origins[-1].way == YEAR_BEFORE
    assert abs(level(best)) <= Limits().level < abs(level(of_all)) and abs(level(raw)) > Limits().level
    assert best.overall.brier < min(raw.overall.brier, of_all.overall.brier)
    rows = [row for row in best.tables()["lines"] if row["origin"] == "next"]
    assert {row["learnt_from"] for row in rows} == {best.way}
    assert [(row["intercept"], row["slope"]) for row in rows] == list(best.calibration.lines)
