"""Labelled cells, back-tests and the gate: CDNOW's figures, loops over customers, and what must not leak."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import date
from functools import cache

import numpy as np
import pytest
from cdnow_sample import END, LAST, folder
from hypothesis import given, settings
from hypothesis import strategies as st

from models.backtest import Backtest, Totals, backtest
from models.calibration import Calibration, fit_calibration
from models.cells import Margins
from models.churn_model import GroupModel
from models.errors import Failure, FitError, ModelError
from models.expected_orders import expected_orders
from models.gamma_gamma import GammaGammaParameters, expected_value
from models.gate import Limits, check, choose
from models.labelled import OWN_GAPS, Called, LabelledCells, label_orders
from models.measures import auc, brier
from models.purchase_fit import choose_regularity, fit_cells
from models.purchase_likelihood import numpy_reduction
from models.purchase_process import BG_NBD, MBG_NBD, PurchaseParameters, mbg_cnbd, p_alive, p_no_order
from models.season import Season
from models.simulate import simulate_orders

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")

SHOP = PurchaseParameters(MBG_NBD, 0.8, 40.0, 0.7, 2.2)
VALUE = GammaGammaParameters(6.25, 3.74, 15.44)
HORIZON = 60
MONTHS = [400 + 30 * month for month in range(8)]


def number(day: date) -> int:
    return (day - date(1970, 1, 1)).days


def group_model(parameters: PurchaseParameters, season: Season | None = None, value=None) -> GroupModel:
    return GroupModel(parameters, value, season or Season.none(), Calibration.identity(), 1)


def fitted(cells: LabelledCells) -> GroupModel:
    return group_model(fit_cells(cells.cells(), MBG_NBD).parameters)


@cache
def simulated(seed: int = 1) -> tuple[LabelledCells, ...]:
    """Eight months of a shop that follows the process, with order values of customers of their own."""
    dice = np.random.default_rng(seed)
    customer, day = simulate_orders(SHOP, dice.integers(0, 600, 6000), 700, seed=seed)
    level = dice.gamma(4.0, 5.0, 6000)
    return tuple(label_orders(customer, day, dice.gamma(6.0, level[customer] / 6.0), MONTHS, HORIZON))


# --- CDNOW ------------------------------------------------------------------------------------------------------------


@cache
def cdnow_cells() -> LabelledCells:
    """The sample at 1997-09-30, with the 39 weeks after as label."""
    chosen, master = (
        [line.split() for line in (folder() / name).read_text().splitlines() if line.strip()]
        for name in ("CDNOW_sample.txt", "CDNOW_master.txt")
    )
    members = dict(row[:2] for row in chosen)
    orders = []
    for customer, day, _, value in master[1:]:
        if customer in members:
            orders.append((int(members[customer]), number(date.fromisoformat(day)), float(value)))
    (cells,) = label_orders(*np.array(orders).T, [number(END)], (LAST - END).days)
    return cells


@pytest.fixture(scope="module")
def cdnow() -> LabelledCells:
    return cdnow_cells()


@pytest.fixture(scope="module")
def cdnow_run(cdnow) -> Backtest:
    return backtest([cdnow], fitted)


def test_the_sample_has_the_customers_of_the_literature(cdnow):
    assert (len(cdnow), cdnow.customers.sum(), cdnow.orders_ahead.sum()) == (1016, 2357, 1882)
    assert (cdnow.customers * cdnow.x).sum() == 2457


def test_the_targets_on_cdnow(cdnow_run):
    assert cdnow_run.overall.brier <= 0.162
    assert cdnow_run.overall.auc >= 0.755
    assert cdnow_run.measures("1+").auc >= 0.715
    assert cdnow_run.totals().predicted_orders == pytest.approx(1577, abs=0.5)
    assert cdnow_run.totals().orders == 1882


def test_what_the_usual_p_alive_gives(cdnow):
    parameters = fit_cells(cdnow.cells(), BG_NBD).parameters
    t_x, age = Season.none().times(cdnow.first_day, cdnow.last_day, cdnow.origin)
    gone = 1 - p_alive(parameters, cdnow.x, t_x, age)
    assert auc(gone, cdnow.silent, cdnow.customers) == pytest.approx(0.316, abs=5e-4)
    assert brier(gone, cdnow.silent, cdnow.customers) == pytest.approx(0.608, abs=5e-4)


@pytest.mark.parametrize(("rule", "ranking", "f1", "mcc", "precision"), [
    ("model, raw, from 0.5", 0.760, 0.861, 0.407, 0.780), ("model, raw, from 0.8", 0.760, 0.834, 0.441, 0.842),
    ("silent for more than 90 days", 0.771, 0.856, 0.414, 0.796),
    ("silent for more than 180 days", 0.771, 0.838, 0.458, 0.848),
    ("silent for more than 2 own mean gaps", 0.715, 0.847, 0.407, 0.806),
    ("silent for more than 3 own mean gaps", 0.715, 0.841, 0.417, 0.820),
    (OWN_GAPS, None, 0.848, 0.403, 0.802), ("everybody is lost", None, 0.830, 0.0, 0.710),
])
def test_the_rules_of_a_shop_on_cdnow(cdnow_run, rule, ranking, f1, mcc, precision):
    """Figures that were computed apart, with other code."""
    (found,) = [row for row in cdnow_run.rules() if row.name == rule]
    assert found.auc == (None if ranking is None else pytest.approx(ranking, abs=6e-4))
    figures = (found.calls.f1, found.calls.mcc, found.calls.precision)
    assert figures == pytest.approx((f1, mcc, precision), abs=1e-3)


def test_ranking_by_recency_among_those_who_came_back(cdnow_run):
    assert cdnow_run.ranking("1+")[1] == pytest.approx(0.712, abs=5e-4)
    by_name = {row.name: row for row in cdnow_run.rules("1+")}
    assert by_name["silent for more than 2 own mean gaps"].auc == pytest.approx(0.669, abs=5e-4)
    assert by_name["model, raw, from 0.8"].auc == pytest.approx(0.718, abs=5e-4)


# --- labelled cells ---------------------------------------------------------------------------------------------------


def label_by_loops(orders, origin, horizon):
    """One customer at a time: (x, first, last) -> [customers, silent, orders, revenue ahead, so far, called, both]."""
    people = {}
    for customer, day, money in orders:
        people.setdefault(customer, {}).setdefault(day, []).append(money)
    seen = {who: sorted(day for day in days if day <= origin) for who, days in people.items()}
    gaps = {who: [b - a for a, b in zip(days, days[1:], strict=False)] for who, days in seen.items()}
    pool = [gap for some in gaps.values() for gap in some]
    cells = {}
    for who, known in seen.items():
        if not known:
            continue
        ahead = [day for day in people[who] if origin < day <= origin + horizon]
        own = gaps[who] if len(gaps[who]) >= 3 else pool
        called = bool(own) and origin - known[-1] > np.quantile(own, 0.9)
        row = cells.setdefault((len(known) - 1, known[0], known[-1]), [0.0] * 7)
        for place, value in enumerate([
            1, not ahead, len(ahead), sum(sum(people[who][day]) for day in ahead),
            sum(sum(people[who][day]) for day in known), called, called and not ahead,
        ]):
            row[place] += value
    return cells


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 6), st.integers(0, 60), st.integers(-5, 50)), min_size=1, max_size=60),
    st.integers(20, 50), st.integers(1, 30),
)
def test_labels_are_those_of_a_loop_over_customers(orders, origin, horizon):
    orders = [*orders, (9, 3, 10), (9, 3, 4)]
    (found,) = label_orders(*np.array(orders).T, [origin], horizon)
    expected = label_by_loops(orders, origin, horizon)
    keys = list(zip(found.x, found.first_day, found.last_day, strict=True))
    assert keys == sorted(expected)
    for place, column in enumerate([
        found.customers, found.silent, found.orders_ahead, found.revenue_ahead, found.revenue_so_far,
        found.rules[OWN_GAPS].called, found.rules[OWN_GAPS].called_silent,
    ]):
        assert column.tolist() == [expected[key][place] for key in keys]


GOOD = LabelledCells(
    100, 30, [0, 2], [90, 10], [90, 60], [5, 3], [4, 1], [1, 6], [9.0, -2.0], [50.0, 70.0],
    {"r": Called([5, 1], [4, 0])},
)


@pytest.mark.parametrize(("change", "said"), [
    ({"horizon": 0}, "horizon = 0"), ({"x": [0, 2.5]}, r"x\[1\] = 2.5: days and numbers of order days are whole"),
    ({"x": [-1, 2]}, r"x\[0\] = -1"), ({"last_day": [90, 101]}, r"last_day\[1\] = 101: the last order lies after"),
    ({"last_day": [91, 60]}, r"last_day\[0\] = 91: without a repeat order it is the first day"),
    ({"last_day": [90, 11]}, r"last_day\[1\] = 11: x order days do not fit"),
    ({"customers": [5, 0]}, r"customers\[1\] = 0"), ({"silent": [6, 1]}, r"silent\[0\] = 6"),
    ({"orders_ahead": [1, 1]}, r"orders_ahead\[1\] = 1: who is not silent"),
    ({"silent": [5, 1], "rules": {}}, r"orders_ahead\[0\] = 1: where all are silent"),
    ({"revenue_ahead": [1, math.nan]}, r"revenue_ahead\[1\] = nan"),
    ({"rules": {"r": Called([6, 1], [4, 0])}}, r"r: called\[0\] = 6"),
    ({"rules": {"r": Called([5, 1], [5, 0])}}, r"r: called_silent\[0\] = 5"),
    ({"rules": {"r": Called([5, 1], [3, 0])}}, r"r: called_silent\[0\] = 3"),
    ({"rules": {"r": Called([5], [4])}}, "columns of different lengths"),
])
def test_cells_that_cannot_be_are_refused(change, said):
    with pytest.raises(ModelError, match=said):
        replace(GOOD, **change)


def test_cells_for_a_fit_and_parts_of_them():
    assert GOOD.cells().age.tolist() == [10, 90] and GOOD.silence.tolist() == [10, 40]
    season = Season.of([1] * 11 + [3])
    assert GOOD.cells(season).t_x.tolist() == [0, float(season.clock(60) - season.clock(10))]
    part = GOOD.where(GOOD.x > 0)
    assert (len(part), part.revenue_ahead.tolist(), part.rules["r"].called.tolist()) == (1, [-2.0], [1.0])
    with pytest.raises(ModelError, match="nobody has ordered by then"):
        label_orders([1], [50], [9.0], [49], 10)


# --- the back-test ----------------------------------------------------------------------------------------------------


WRONG = group_model(PurchaseParameters(MBG_NBD, 0.8, 40.0, 4.0, 2.2))  # thinks that most leave at once


def test_forecasts_are_those_of_the_model_at_the_origin():
    """Against the formulas, with a season; who came on the origin's day itself is left out."""
    season = Season.of([1, 1, 2, 1, 1, 1, 1, 1, 1, 1, 2, 4])
    model = group_model(SHOP, season, VALUE)
    cells = simulated()[0]
    run = backtest([cells], lambda seen: model)
    there = cells.where(cells.first_day < cells.origin)
    assert 0 < len(there) < len(cells)
    clock = {day: float(season.clock(day)) for day in range(-1, 1000)}
    begin, last = (np.array([clock[int(day)] for day in days]) for days in (there.first_day, there.last_day))
    t_x, age, ahead = last - begin, clock[400] - begin, clock[400 + HORIZON] - clock[400]
    assert run.forecasts.raw == pytest.approx(p_no_order(SHOP, there.x, t_x, age, ahead))
    orders = expected_orders(SHOP, there.x, t_x, age, ahead)
    n = there.x + 1
    value = expected_value(VALUE, n, there.revenue_so_far / there.customers / n)
    assert run.totals() == Totals(
        pytest.approx(float(there.customers @ orders)), float(there.orders_ahead.sum()),
        pytest.approx(float(there.customers @ (orders * value))), pytest.approx(float(there.revenue_ahead.sum())),
    )
    parts = [run.totals(number) for number in range(3)]
    assert sum(part.predicted_revenue for part in parts) == pytest.approx(run.totals().predicted_revenue)
    assert parts[1].orders == there.orders_ahead[(there.x > 0) & (there.x < 3)].sum()


def test_the_last_origins_are_measured_and_all_are_learnt_from():
    cells = simulated()
    run = backtest(cells, lambda seen: WRONG, measured=3)
    assert [origin.day for origin in run.origins] == MONTHS[-3:]
    rows = [part.where(part.first_day < part.origin) for part in cells]
    p, x, silent, customers = (np.concatenate(parts) for parts in zip(*(
        (
            p_no_order(WRONG.purchase, part.x, part.last_day - part.first_day, part.origin - part.first_day, HORIZON),
            part.x, part.silent, part.customers,
        ) for part in rows
    ), strict=True))
    expected = fit_calibration(p, x, silent / customers, customers)
    assert np.array(run.calibration.lines) == pytest.approx(np.array(expected.lines), rel=1e-6)


def test_recalibration_mends_a_wrong_level():
    run = backtest(simulated(), lambda seen: WRONG, measured=4)
    raw, mended = run.measures(raw=True), run.overall
    assert abs(raw.probability - raw.actual) > 0.05
    assert abs(mended.probability - mended.actual) < 0.02
    assert mended.ece < 0.03 < raw.ece and mended.brier < raw.brier


def test_recalibration_knows_only_what_was_over():
    """Other outcomes of an origin change no forecast whose origin lies less than the horizon later."""
    cells = list(simulated())
    before = backtest(cells, lambda seen: WRONG, measured=8)
    assert [origin.calibration for origin in before.origins[:2]] == [Calibration.identity()] * 2
    assert all(origin.calibration != Calibration.identity() for origin in before.origins[2:])
    changed = list(cells)
    changed[3] = replace(
        cells[3], silent=cells[3].customers, orders_ahead=np.zeros(len(cells[3])), rules={},
    )
    after = backtest(changed, lambda seen: WRONG, measured=8)
    same = [one.calibration == other.calibration for one, other in zip(before.origins, after.origins, strict=True)]
    assert same == [True] * 5 + [False] * 3  # the origin 60 days after the changed one is the first to know of it
    assert before.calibration != after.calibration
    for place in range(5):
        one, other = (run.forecasts.rows(origin=place).probability for run in (before, after))
        assert (one == other).all()


def test_the_share_of_the_origin_before_is_the_bar():
    run = backtest(simulated(), fitted, measured=2)
    share = {}
    for cells in simulated():
        there = cells.where(cells.first_day < cells.origin)
        share[cells.origin] = there.silent.sum() / there.customers.sum()
    for place, before in enumerate(MONTHS[-3:-1]):
        assert set(run.forecasts.rows(origin=place).base) == {share[before]}
    first = backtest(simulated()[:1], fitted)
    assert set(first.forecasts.base) == {share[MONTHS[0]]}
    assert first.base_brier() == pytest.approx(share[MONTHS[0]] * (1 - share[MONTHS[0]]))


def test_slices_add_up():
    run = backtest(simulated(), fitted, measured=3)
    everybody = run.overall
    parts = [run.measures(name) for name in ("0", "1-2", "3+")]
    assert sum(part.customers for part in parts) == everybody.customers
    assert sum(part.customers * part.brier for part in parts) == pytest.approx(everybody.customers * everybody.brier)
    again = run.measures("1+")
    assert again.customers == parts[1].customers + parts[2].customers
    origins = [run.measures(origin=place) for place in range(3)]
    assert sum(origin.customers for origin in origins) == everybody.customers
    by_slice = {name: {rule.name: rule.calls for rule in run.rules(name)} for name in ("all", "0", "1-2", "3+", "1+")}
    for rule, whole in by_slice["all"].items():
        if whole is not None:
            for union, strata in (("all", ("0", "1-2", "3+")), ("1+", ("1-2", "3+"))):
                assert by_slice[union][rule].hits == sum(by_slice[name][rule].hits for name in strata)
                assert by_slice[union][rule].passes == sum(by_slice[name][rule].passes for name in strata)
    with pytest.raises(ModelError, match="no slice '4'"):
        run.measures("4")


def test_ranking_compares_customers_of_one_origin():
    """Among those who ordered once the model ranks by recency, whatever its level: over origins together it does not."""
    cells = simulated(12)
    run = backtest(cells, lambda seen: group_model(SHOP))
    model, recency = run.ranking("0")
    assert model == pytest.approx(recency, abs=1e-12) and run.measures("0").auc != pytest.approx(model, abs=1e-4)
    pairs = 0.0
    wins = 0.0
    for place in range(len(run.origins)):
        rows = run.forecasts.rows("0", place)
        for p, silent in zip(rows.probability, rows.silent, strict=True):
            others = rows.customers - rows.silent
            pairs += silent * others.sum()
            wins += silent * (others[rows.probability < p].sum() + others[rows.probability == p].sum() / 2)
    assert model == pytest.approx(wins / pairs, abs=1e-12)


def test_gaps_without_a_repeat_order_are_those_of_everybody():
    cells = LabelledCells(100, 30, [0, 2], [40, 10], [40, 90], [1, 3], [1, 0], [0, 3], [0, 9.0], [5.0, 9.0])
    run = backtest([cells], lambda seen: group_model(SHOP))
    assert run.forecasts.gaps.tolist() == [60 / 40, 10 / 40]
    alone = backtest([cells.where(cells.x == 0)], lambda seen: group_model(SHOP))
    assert alone.forecasts.gaps.tolist() == [0.0]
    assert (alone.measures("1+"), alone.ranking("3+"), alone.rules("3+")) == (None, None, ())


def test_tables_are_plain_rows():
    run = backtest(simulated(), fitted, measured=2)
    tables = json.loads(json.dumps(run.tables(), allow_nan=False))
    assert set(tables) == {"measures", "origins", "rules", "calibration", "totals", "lines"}
    assert [(row["customers_with"], row["output"]) for row in tables["measures"]][:2] == [
        ("all", "raw"), ("all", "recalibrated")]
    assert tables["measures"][1]["brier"] == run.overall.brier
    assert [row["origin"] for row in tables["origins"]] == ["1971-08-04"] * 2 + ["1971-09-03"] * 2
    assert len(tables["calibration"]) == 20 and len(tables["lines"]) == 9 and len(tables["totals"]) == 12
    assert tables["totals"][-1]["predicted_revenue"] is None
    assert tables["totals"][-1]["orders"] == sum(row["orders"] for row in tables["totals"][:-4] if
                                                 row["customers_with"] == "all")
    assert all(len({tuple(row) for row in rows}) == 1 for rows in tables.values())


def test_an_origin_without_a_fit_is_left_out_and_told():
    def sometimes(cells):
        if cells.origin == MONTHS[-1]:
            raise FitError(Failure.TOO_LITTLE_DATA, "MBG/NBD", "nobody ordered", "wait")
        return group_model(SHOP)

    run = backtest(simulated(), sometimes, measured=2)
    assert [origin.day for origin in run.origins] == MONTHS[-2:-1]
    assert run.skipped == ((MONTHS[-1], "MBG/NBD. Why: nobody ordered. What to do: wait"),)
    finding = check(run, None)[0]
    assert not finding.ok and "1971-09-03 is not: MBG/NBD" in finding.detail
    early = label_orders([1], [50], [9.0], [50], 10)
    with pytest.raises(ModelError, match="1970-02-20: nobody had ordered before that day"):
        backtest(early, fitted)
    with pytest.raises(ModelError, match="none was given"):
        backtest([], fitted)


def test_origins_that_do_not_fit_together_are_refused():
    one, two = simulated()[:2]
    with pytest.raises(ModelError, match="give origins in ascending order"):
        backtest([two, one], fitted)
    with pytest.raises(ModelError, match="looks 61 days ahead, and the first 60"):
        backtest([one, replace(two, horizon=61)], fitted)
    for wrong in ({"level": 1.0}, {"measured": 0}):
        with pytest.raises(ModelError, match="a probability, and at least one origin"):
            backtest([one], fitted, **wrong)


# --- the gate ---------------------------------------------------------------------------------------------------------


def outcome(findings) -> dict[str, bool]:
    return {finding.name: finding.ok for finding in findings}


FITTED, CHAMPION, BASE, LEVEL, ERROR, ONCE, AGAIN = (
    "fitted at every origin", "Brier score not above the champion's", "Brier score not above the base rate's", "level",
    "calibration error", "ranking of customers with 0 repeat orders", "ranking of customers with 1+ repeat orders",
)


def test_a_good_model_passes():
    run = backtest(simulated(), fitted, measured=3)
    assert outcome(check(run, None)) == dict.fromkeys((FITTED, BASE, LEVEL, ERROR, ONCE, AGAIN), True)
    assert outcome(check(run, run)) == dict.fromkeys((FITTED, CHAMPION, BASE, LEVEL, ERROR, ONCE, AGAIN), True)


def test_a_wrong_level_does_not_pass():
    """The first origins have nothing to learn from, so what is measured there is raw."""
    wrong, good = (backtest(simulated()[:2], fit) for fit in (lambda cells: WRONG, fitted))
    found = {finding.name: finding for finding in check(wrong, good)}
    assert [name for name, finding in found.items() if not finding.ok] == [CHAMPION, LEVEL, ERROR]
    assert "at most 0.02 apart" in found[LEVEL].detail and f"{good.overall.brier:.5f}" in found[CHAMPION].detail
    assert outcome(check(good, wrong))[CHAMPION]
    wide = Limits(level=0.5, calibration=0.5, champion=0.5)
    assert all(outcome(check(wrong, good, wide)).values())


def turned(run: Backtest, upside_down) -> Backtest:
    """The run with other probabilities, given the old ones and the stratum."""
    rows = run.forecasts
    return replace(run, forecasts=replace(rows, probability=upside_down(rows.probability, rows.stratum)))


def test_a_model_a_hair_above_the_champion_may_follow_it():
    """The champion knows what came after the origins at which it is asked: its successor need not be better there."""
    run = backtest(simulated(), fitted, measured=3)
    for noise, passes in ((0.005, True), (0.1, False)):
        worse = turned(run, lambda p, s, noise=noise: np.clip(p + np.where(np.arange(len(p)) % 2, noise, -noise), 0, 1))
        assert worse.overall.brier > run.overall.brier
        assert outcome(check(worse, run))[CHAMPION] is passes


def test_each_rule_of_the_gate_can_fail():
    run = backtest(simulated(), fitted, measured=3)
    again = outcome(check(turned(run, lambda p, s: np.where(s > 0, 1 - p, p)), run))
    once = outcome(check(turned(run, lambda p, s: np.where(s == 0, 1 - p, p)), run))
    assert (again[ONCE], again[AGAIN], once[ONCE], once[AGAIN]) == (True, False, False, True)
    mean = turned(run, lambda p, s: np.full(len(p), run.overall.actual))
    found = outcome(check(mean, run))
    assert (found[LEVEL], found[ERROR], found[CHAMPION], found[AGAIN]) == (True, True, False, False)
    against = turned(run, lambda p, s: 1 - p)
    assert not outcome(check(against, None))[BASE]
    spread = turned(run, lambda p, s: np.clip(p + np.where(p > np.median(p), 0.1, -0.1), 0, 1))
    assert not outcome(check(spread, None))[ERROR]


def test_a_ranking_that_cannot_be_measured_is_no_fault():
    one, silent = simulated()[0], simulated()[0]
    silent = replace(one, silent=one.customers, orders_ahead=np.zeros(len(one)), rules={})
    findings = {finding.name: finding for finding in check(backtest([silent], fitted), None)}
    assert findings[ONCE].ok and "not measured" in findings[ONCE].detail


def test_back_tests_of_other_customers_are_not_compared():
    one, two = (backtest([cells], fitted) for cells in simulated()[:2])
    with pytest.raises(ModelError, match="back-tests of different customers cannot be compared"):
        check(one, two)
    with pytest.raises(ModelError, match="cannot be compared"):
        choose(one, two, 100.0)


def test_what_was_fitted_at_other_origins_is_not_compared_and_not_used():
    """Where one of two models has no fit at an origin, training goes on: the refinement is off, the gate stops."""
    def sometimes(cells):
        if cells.origin == MONTHS[1]:
            raise FitError(Failure.BOUNDARY, "MBG/CNBD-2", "a is left open", "wait")
        return group_model(SHOP)

    whole, part = (backtest(simulated()[:2], fit) for fit in (lambda cells: group_model(SHOP), sometimes))
    for without, refined in ((whole, part), (part, whole)):
        choice = choose(without, refined, 100.0)
        assert not choice.on and choice.reason.endswith("only one of the two is fitted at 1971-03-07")
        finding = {found.name: found for found in check(refined, without)}[CHAMPION]
        assert not finding.ok and finding.detail == "not compared: only one of the two is fitted at 1971-03-07"
    assert {found.name: found for found in check(part, part)}[CHAMPION].ok


def test_a_refinement_must_gain_and_not_spoil():
    good, wrong = (backtest(simulated()[:2], fit) for fit in (fitted, lambda cells: WRONG))
    assert choose(wrong, good, 10.0).on
    assert choose(good, good, 10.0).on
    assert not choose(wrong, good, 9.9).on and not choose(wrong, good, math.nan).on
    assert not choose(good, wrong, 500.0).on
    assert choose(wrong, good, 5.0, Limits(gain=5.0)).on
    assert choose(good, wrong, 9.0).reason == "off: the log-likelihood gains 9.0, and 10 is needed"
    assert choose(good, wrong, 50.0).reason.startswith("off: the log-likelihood gains 50.0; the back-test's Brier")


def test_regular_buyers_are_worth_a_k():
    """Gaps of three phases: the likelihood finds k = 3, the back-test agrees, and the gate turns it on."""
    regular = PurchaseParameters(mbg_cnbd(3), 2.0, 30.0, 0.6, 2.4)
    customer, day = simulate_orders(regular, np.random.default_rng(8).integers(0, 500, 4000), 660, seed=8)
    cells = label_orders(customer, day, np.ones(len(day)), [600], HORIZON)
    known = day <= 600
    gaps = np.diff(day[known])[np.diff(customer[known]) == 0]
    margins = Margins.of(cells[0].cells(), float(np.log(gaps).sum()))
    found = choose_regularity(margins, numpy_reduction(cells[0].cells()))
    assert found.chosen.parameters.model.k == 3
    without, with_k = (backtest(cells, lambda seen, fit=fit: group_model(fit.parameters)) for fit in (
        found.fits[0], found.chosen))
    gain = found.chosen.log_likelihood - found.fits[0].log_likelihood
    assert with_k.overall.brier < without.overall.brier - 0.002 and with_k.overall.auc > without.overall.auc
    assert choose(without, with_k, gain).on and not choose(with_k, without, gain).on


def measured(run: Backtest) -> list[tuple[object, ...]]:
    """(rule, AUC, Brier, F1, MCC, precision) as the page of back-tests prints them."""
    def three(value: float | None) -> str:
        return "" if value is None else f"{value:.3f}"

    return [
        (rule.name, *map(three, (rule.auc, rule.brier, *(
            (None,) * 3 if rule.calls is None else (rule.calls.f1, rule.calls.mcc, rule.calls.precision)
        )))) for rule in run.rules() if "recalibrated" not in rule.name
    ]


if __name__ == "__main__":
    print("| rule | AUC | Brier | F1 | MCC | precision of lost |\n|---|---|---|---|---|---|")
    for line in measured(backtest([cdnow_cells()], fitted)):
        print(f"| {' | '.join(line)} |")
    print("\n| output | silent | mean P | Brier | calibration error |\n|---|---|---|---|---|")
    drifted = backtest(simulated(), lambda seen: WRONG, measured=4)
    for output, found in (("raw", drifted.measures(raw=True)), ("recalibrated", drifted.overall)):
        figures = (found.actual, found.probability, found.brier, found.ece)
        print(f"| {output} | {' | '.join(f'{figure:.4f}' for figure in figures)} |")
