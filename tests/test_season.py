"""The seasonal clock against a loop over days, what is learnt from orders, and a shop with a year of its own."""

from __future__ import annotations

import math
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.seasonal import ORIGINS, SUMMER, Shop, three_clocks
from benchmarks.seasonal import PROCESS as SHOP
from models.errors import ModelError
from models.expected_orders import expected_orders
from models.gate import choose
from models.purchase_process import PurchaseParameters, mbg_cnbd
from models.season import MONTH_DAYS, Season, learn_season, season_gain
from models.simulate import simulate_orders

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")

EPOCH = date(1970, 1, 1)


def number(day: date) -> int:
    return (day - EPOCH).days


def on(day: int) -> date:
    return EPOCH + timedelta(days=day)


seasons = st.lists(st.floats(0.05, 20), min_size=12, max_size=12).map(Season.of)
days = st.integers(number(date(1890, 1, 1)), number(date(2110, 12, 31)))


# --- the value and the clock ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("factors", "said"), [
    ((1.0,) * 11, "a season of 11 factors"),
    ((1.0,) * 11 + (0.0,), "the factor 0 for month 12"),
    ((math.nan,) + (1.0,) * 11, "the factor nan for month 1"),
    ((math.inf,) + (1.0,) * 11, "the factor inf for month 1"),
    ((1.1,) * 12, "of mean 1.1 over the days of a year"),
])
def test_wrong_factors_are_refused(factors, said):
    with pytest.raises(ModelError, match=said):
        Season(factors)
    if "mean" not in said:
        with pytest.raises(ModelError):
            Season.of(factors)


@given(seasons)
def test_factors_have_the_mean_1_over_the_days_of_a_year(season):
    assert sum(a * b for a, b in zip(season.factors, MONTH_DAYS, strict=True)) == pytest.approx(365.25, rel=1e-12)
    assert Season(season.factors) == season


@settings(max_examples=40, deadline=None)
@given(seasons, days, st.integers(0, 1500))
def test_the_clock_goes_on_by_the_factor_of_every_day(season, start, length):
    passed = math.fsum(season.factors[on(day).month - 1] for day in range(start + 1, start + length + 1))
    begin, end = season.clock([start, start + length])
    assert end - begin == pytest.approx(passed, abs=1e-8)
    assert season.ahead(start, length) == end - begin
    assert season.factor([start]).tolist() == [season.factors[on(start).month - 1]]


def test_the_flat_clock_is_the_day_number():
    century = np.arange(number(date(1900, 1, 1)), number(date(2100, 1, 1)))
    assert (Season.none().clock(century) == century).all() and Season.none().is_flat
    assert not SUMMER.is_flat


@given(seasons, st.lists(days, min_size=2, max_size=30))
def test_the_clock_depends_on_the_day_alone_and_never_stops(season, some):
    together = season.clock(some)
    assert [float(season.clock(day)) for day in some] == together.tolist()
    by_day = dict(sorted(zip(some, together.tolist(), strict=True)))
    assert all(early < late for early, late in zip(list(by_day.values()), list(by_day.values())[1:], strict=False))
    t_x, age = season.times(some, some, max(some))
    assert (t_x == 0).all() and (age >= 0).all()


def test_years_are_as_long_as_years():
    ends = SUMMER.clock([number(date(year, 12, 31)) for year in (2022, 2023, 2024, 2026)])
    assert np.diff(ends)[:2] == pytest.approx([365, 366], abs=1)
    assert ends[3] - ends[0] == pytest.approx(4 * 365.25)


def test_a_time_of_day_is_refused():
    with pytest.raises(ModelError, match="a day that is not whole"):
        Season.none().clock([1.5])


# --- learning ---------------------------------------------------------------------------------------------------------


def by_loops(orders, customers, parameters, last_day, kappa):
    """Actual and expected repeat orders by month, a day of a cohort at a time."""
    actual, expected = [0.0] * 12, [0.0] * 12
    for day, count in orders.items():
        if day <= last_day:
            actual[on(day).month - 1] += count
    for first, count in customers.items():
        if first <= last_day:
            so_far = expected_orders(parameters, 0, 0, 0, np.arange(last_day - first + 1))
            for age in range(1, last_day - first + 1):
                expected[on(first + age).month - 1] += count * float(so_far[age] - so_far[age - 1])
    weights = [(a + kappa) / (b + kappa) for a, b in zip(actual, expected, strict=True)]
    return actual, expected, Season.of(weights)


@settings(max_examples=15, deadline=None)
@given(
    st.dictionaries(st.integers(18_000, 18_999), st.integers(1, 90), min_size=1, max_size=8),
    st.dictionaries(st.integers(18_001, 19_200), st.integers(1, 60), min_size=1, max_size=20),
    st.sampled_from([SHOP, PurchaseParameters(mbg_cnbd(3), 1.2, 20.0, 0.6, 2.0)]), st.sampled_from([5.0, 50.0]),
)
def test_factors_are_actual_over_expected(customers, orders, parameters, kappa):
    last_day = 19_000
    customers, orders = {17_990: 3} | customers, {18_500: 2} | orders
    found = learn_season(orders, customers, parameters, last_day, kappa=kappa)
    actual, expected, season = by_loops(orders, customers, parameters, last_day, kappa)
    assert found.reason is None
    assert found.actual == tuple(actual)
    assert found.expected == pytest.approx(expected, rel=1e-6, abs=1e-6)
    assert found.season.factors == pytest.approx(season.factors, rel=1e-6)


def test_what_comes_after_the_last_day_is_not_looked_at():
    customers, orders, last_day = {18_000: 50, 18_400: 20}, {18_100: 9, 18_500: 4}, 18_800
    found = learn_season(orders, customers, SHOP, last_day)
    assert found == learn_season(orders | {18_801: 900}, customers | {18_801: 900}, SHOP, last_day)
    assert found != learn_season(orders | {18_800: 900}, customers, SHOP, last_day)


@pytest.mark.parametrize(("first", "last", "learnt"), [
    (date(2021, 1, 1), date(2022, 12, 31), True), (date(2021, 1, 1), date(2022, 12, 30), False),
    (date(2020, 2, 29), date(2022, 2, 28), True), (date(2020, 2, 29), date(2022, 2, 27), False),
])
def test_a_season_takes_two_full_years(first, last, learnt):
    found = learn_season({number(first) + 40: 30}, {number(first): 100}, SHOP, number(last))
    assert (found.reason is None, found.season.is_flat) == (learnt, not learnt)
    if not learnt:
        assert f"orders from {first} to {last} are less than 2 full years" in found.reason


def test_without_second_orders_there_is_no_season():
    for orders, customers in [({}, {0: 5}), ({9: 0}, {0: 5}), ({}, {}), ({2000: 4}, {0: 5})]:
        found = learn_season(orders, customers, SHOP, 1000)
        assert found.season.is_flat and "nobody has ordered a second time" in found.reason
        assert found.actual == found.expected == (0.0,) * 12


def test_few_orders_leave_the_year_nearly_flat():
    found = learn_season({18_300: 3}, {18_000: 20}, SHOP, 18_800)
    assert max(abs(factor - 1) for factor in found.season.factors) < 0.15


def test_the_gain_counts_the_speed_of_the_clock_at_each_order():
    orders = {18_000: 2.0, 18_200: 1.0, 19_000: 7.0}
    speed = sum(count * math.log(SUMMER.factors[on(day).month - 1]) for day, count in orders.items() if day <= 18_900)
    assert season_gain(-500.0, -530.0, orders, SUMMER, 18_900) == pytest.approx(30 + speed)
    assert season_gain(-500.0, -530.0, orders, Season.none(), 18_900) == 30
    assert season_gain(-1.0, -3.0, {}, SUMMER, 0) == 2


# --- a shop with a season ---------------------------------------------------------------------------------------------


def test_the_learnt_clock_closes_the_gap_to_the_true_one():
    """At each of three origins at least 80 % of the Brier score that the calendar loses, and a true level."""
    runs, learnings = three_clocks(Shop(SUMMER, 20_000, seed=4))
    for place, (season, gain) in enumerate(learnings):
        without, found, known = (run.measures(raw=True, origin=place) for run in runs)
        assert without.brier > known.brier
        assert (without.brier - found.brier) / (without.brier - known.brier) >= 0.8
        assert abs(found.probability - found.actual) <= 0.02
        assert gain > 1000 and season.factors == pytest.approx(SUMMER.factors, abs=0.15)
    assert len(learnings) == len(ORIGINS)
    assert abs(without.probability - without.actual) > 0.05  # after Christmas: what the clock is there for
    assert choose(runs[0], runs[1], gain).on


def test_a_shop_without_a_season_gains_nothing():
    shop = Shop(Season.none(), 8_000, seed=6)
    season, _, gain = shop.learn(shop.label()[-1])
    assert gain < 10
    assert season.factors == pytest.approx([1.0] * 12, abs=0.12)


def test_simulated_orders_follow_the_clock():
    """Orders per customer are those of the process in the time of the clock, in every year of age."""
    first = np.full(20_000, number(date(2020, 3, 1)))
    ends = [number(date(2020, 3, 1)) + 365 * years for years in (1, 2, 3)]
    customer, day = simulate_orders(SHOP, first, ends[-1], season=SUMMER, seed=9)
    assert len(customer) == len(set(zip(customer.tolist(), day.tolist(), strict=True)))
    for end in ends:
        repeated = (day <= end) & (day > first[0])
        expected = float(expected_orders(SHOP, 0, 0, 0, SUMMER.ahead(first[0], end - first[0])))
        assert repeated.sum() / len(first) == pytest.approx(expected, rel=0.04)  # several orders of a day are one
    again = simulate_orders(SHOP, first[:50], ends[-1], season=SUMMER, seed=9)
    assert all((one == other).all() for one, other in zip(
        again, simulate_orders(SHOP, first[:50], ends[-1], season=SUMMER, seed=9), strict=True
    ))
    with pytest.raises(ModelError, match="first_days are a list of days up to last_day"):
        simulate_orders(SHOP, [10, 20], 15, seed=1)
