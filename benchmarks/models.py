"""The models beside `lifetimes` and the rules a shop would use, on the same customers, and the targets with outcomes.

    make bench-models          # some minutes; for the scale see benchmarks/models_at_scale.py

CDNOW is the 1/10 sample of the literature, calibrated to 1997-09-30, with the 39 weeks after as outcome. The shop of
mixed cycles has buyers of a fortnight, of two months and of half a year, with exponential gaps or with Erlang-3 ones.
The shop with a season is that of benchmarks/seasonal.py. `lifetimes` gives P(alive), which people use for the
probability to come back; the same is shown for its parameters in our formulas.
"""

from __future__ import annotations

import importlib.util
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np

from benchmarks import models_at_scale, seasonal
from models.backtest import Backtest, backtest
from models.calibration import Calibration
from models.cells import Cells, Margins
from models.churn_model import GroupModel
from models.days import number_of
from models.fit import Maximum
from models.gamma_gamma import GammaGammaParameters, ValueCells, fit_value_cells
from models.histories import MOST_CELLS
from models.labelled import LabelledCells, label_orders
from models.measures import auc, brier, measure
from models.purchase_fit import PurchaseFit, choose_regularity, default_starts, fit_cells, fit_purchases
from models.purchase_likelihood import numpy_reduction
from models.purchase_process import BG_NBD, MBG_NBD, PurchaseModel, PurchaseParameters, mbg_cnbd, p_alive
from models.season import Season
from models.simulate import simulate_orders, simulate_purchases, simulate_values

END, LAST = date(1997, 9, 30), date(1998, 6, 30)
#: (r, alpha, a, b) in weeks and log-likelihood: Fader, Hardie and Lee 2005 with BTYD; tests of lifetimes, scipy.
PUBLISHED = {
    BG_NBD: ((0.2426, 4.4136, 0.7930, 2.4260), -9582.429), MBG_NBD: ((0.5248, 6.1831, 0.8914, 1.6140), -9582.136),
}
#: p, q, gamma of CDNOW: Hardie, note 025.
PUBLISHED_VALUES = (6.25, 3.74, 15.44)
#: Mean days between orders of each third of the customers of the mixed shop.
CYCLES = (14.0, 60.0, 180.0)
#: Customers of a simulation from which parameters are found again, in continuous time.
RECOVERED = 200_000
TRUE_VALUES = GammaGammaParameters(6.25, 3.74, 15.44)


@dataclass(frozen=True)
class Target:
    """What was asked for, and what was measured."""

    what: str
    asked: str
    measured: str
    reached: bool


def main() -> None:
    """Prints the tables, and last the targets."""
    warnings.filterwarnings("ignore")
    targets = [*cdnow(), *sql(), *mixed(1), *mixed(3), *season(), *recovery(), *scale()]
    print("\nTargets\n\n| target | asked | measured | reached |\n|---|---|---|---|")
    for one in targets:
        _row(one.what, one.asked, one.measured, "reached" if one.reached else "NOT reached")
    print(f"\n{sum(one.reached for one in targets)} of {len(targets)} targets are reached")


def cdnow() -> Iterator[Target]:
    """Parameters, and who ordered in the holdout."""
    cells = cdnow_cells()
    weeks = in_weeks(cells)
    print("CDNOW, 2,357 customers: parameters in weeks\n")
    print("| model | by | r | alpha | a | b | log-likelihood | ms |\n|---|---|---|---|---|---|---|---|")
    peers = {}
    for model, (known, likelihood) in PUBLISHED.items():
        began = time.perf_counter()
        fit = fit_cells(weeks, model)
        _row(model.name, "seglake", *fit.parameters.values, fit.log_likelihood, 1000 * (time.perf_counter() - began))
        peers[model], seconds = _lifetimes(model, weeks)
        # Its likelihood is a mean, without the penalty that is off here, in its own unit of time.
        _row(model.name, "lifetimes", *peers[model], None, 1000 * seconds)
        away = _apart(fit.parameters.values, known)
        yield Target(f"CDNOW {model.name}: parameters", "within 0.001 of the published", f"{away:.5f}", away <= 0.001)
        found = fit.log_likelihood
        yield Target(
            f"CDNOW {model.name}: log-likelihood", f"{likelihood} +- 0.01", f"{found:.3f}", abs(found - likelihood) <= 0.01
        )
    values = fit_value_cells(cdnow_values()).maximum.parameters
    away = _apart(values, PUBLISHED_VALUES, rounded=0.005)
    yield Target(
        "CDNOW Gamma-Gamma: parameters", "within 0.001 of what rounds to the published", f"{away:.5f}", away <= 0.001
    )
    run = backtest([cells], lambda seen: group_model(fit_cells(seen.cells(), MBG_NBD).parameters))
    print("\nCDNOW: no order in the 39 weeks after\n")
    _outcome(run)
    _peers(cells, 7.0, peers)
    print(f"\ncalibration error {run.overall.ece:.4f}")
    yield _at_most("CDNOW: Brier score", run.overall.brier, 0.162)
    yield _at_least("CDNOW: AUC of all", run.overall.auc, 0.755)
    yield _at_least("CDNOW: AUC of repeaters", run.measures("1+").auc, 0.715)


def sql() -> Iterator[Target]:
    """The same fit with its sums added up by Spark."""
    from models.sql_fit import sql_margins, sql_reduction
    from segment_lib.session import build_session
    from segment_lib.settings import Settings

    weeks = in_weeks(cdnow_cells())
    quick = {"spark.sql.shuffle.partitions": "2", "spark.ui.enabled": "false", "spark.driver.memory": "1g"}
    spark = build_session(Settings(spark=quick), app_name="models")
    rows = [tuple(map(float, row)) for row in zip(weeks.x, weeks.t_x, weeks.age, weeks.count, strict=True)]
    frame = spark.createDataFrame(rows, "x double, t_x double, age double, customers double").persist()
    margins, reduction = sql_margins(frame), sql_reduction(frame)
    print("\nCDNOW: sums added up by Spark, and on the driver\n")
    print("| model | largest difference | seconds |\n|---|---|---|")
    for model in PUBLISHED:
        began = time.perf_counter()
        fit = fit_purchases(margins, reduction, model, starts=default_starts(margins, model)[:1])
        away = _apart(fit.parameters.values, fit_cells(weeks, model).parameters.values)
        print(f"| {model.name} | {away:.1e} | {time.perf_counter() - began:.1f} |")
        yield Target(f"CDNOW {model.name}: SQL and driver", "within 1e-6", f"{away:.1e}", away <= 1e-6)
    spark.stop()


def mixed(k: int) -> Iterator[Target]:
    """A shop whose customers have three paces, which no single number of days fits."""
    dice = np.random.default_rng(11)
    last, horizon = 1500, 90
    orders = []
    for number, cycle in enumerate(CYCLES):
        parameters = PurchaseParameters(mbg_cnbd(k), 8.0, 8.0 * cycle / k, 1.2, 8.0)
        customer, day = simulate_orders(parameters, dice.integers(200, last - 200, 6000), last, seed=20 + number)
        orders.append(np.stack([customer + number * 6000, day, np.ones(len(day))]))
    customer, day, one = np.concatenate(orders, axis=1)
    origins = [last - horizon - 30 * month for month in range(9)][::-1]
    labelled = label_orders(customer, day, one, origins, horizon)
    known = day <= origins[-1]
    gaps = np.diff(day[known])[np.diff(customer[known]) == 0]
    cells = labelled[-1].cells()
    chosen = choose_regularity(Margins.of(cells, float(np.log(gaps).sum())), numpy_reduction(cells)).chosen.parameters.model
    print(f"\nMixed cycles, gaps of {k} phase{'s' if k > 1 else ''}, 18,000 customers, 90 days; found unaided: {chosen.name}\n")
    run = backtest(labelled, lambda seen: group_model(fit_cells(seen.cells(), chosen, log_gaps=0.0).parameters), measured=5)
    _outcome(run)
    there = labelled[-1].where(labelled[-1].first_day < origins[-1])
    _peers(there, 1.0, {model: _lifetimes(model, cells)[0] for model in PUBLISHED}, ", last origin")
    print(f"\ncalibration error {run.overall.ece:.4f}")
    fixed = next(rule.auc for rule in run.rules() if rule.name == "silent for more than 90 days")
    name = f"mixed cycles, {k} phase{'s' if k > 1 else ''}"
    yield _at_least(f"{name}: AUC (days of silence alone: {fixed:.3f})", run.overall.auc, 0.865 if k == 1 else 0.90)
    if k == 1:
        yield _at_most(f"{name}: calibration error", run.overall.ece, 0.01)
    else:
        yield Target(f"{name}: found unaided", f"k = {k}", f"k = {chosen.k}", chosen.k == k)


def season() -> Iterator[Target]:
    """How much of what the calendar loses the learnt clock makes up, at three origins."""
    runs, _ = seasonal.three_clocks(seasonal.Shop(seasonal.SUMMER, 60_000, seed=4))
    print("\nA shop with a season, 60,000 customers, 90 days, raw probabilities\n")
    print("| origin | silent | mean P: calendar | learnt | true | Brier: calendar | learnt | true | closed |")
    print("|---|---|---|---|---|---|---|---|---|")
    for place, day in enumerate(seasonal.ORIGINS):
        calendar, learnt, true = at = [run.measures(raw=True, origin=place) for run in runs]
        closed = (calendar.brier - learnt.brier) / (calendar.brier - true.brier)
        numbers = [calendar.actual, *(one.probability for one in at), *(one.brier for one in at)]
        print(f"| {day} | {' | '.join(f'{one:.4f}' for one in numbers)} | {closed:.1%} |")
        yield _at_least(f"season, {day}: part of the Brier gap closed", closed, 0.8)
        yield _at_most(f"season, {day}: mean P from what came", abs(learnt.probability - learnt.actual), 0.02)
    shops = (seasonal.Shop(Season.none(), 8_000, seed) for seed in (1, 2, 3, 6))
    flat = [shop.learn(shop.label()[-1])[2] for shop in shops]
    print(f"\nGains of four shops without a season: {', '.join(f'{gain:.1f}' for gain in flat)}")


def recovery() -> Iterator[Target]:
    """Parameters found again from simulated customers, in standard errors from the true ones."""
    print(f"\nParameters from {RECOVERED:,} simulated customers, continuous time\n")
    print("| model | parameter | true | found | standard error | standard errors away |\n|---|---|---|---|---|---|")
    ages = np.random.default_rng(17).uniform(10, 78, RECOVERED)
    for seed, model in enumerate((BG_NBD, MBG_NBD, mbg_cnbd(3)), start=31):
        known = PUBLISHED.get(model, PUBLISHED[MBG_NBD])[0]
        true = PurchaseParameters(model, *known) if model.k == 1 else PurchaseParameters(model, 1.2, 2.5, 0.9, 2.5)
        seen = simulate_purchases(true, ages, seed=seed)
        fit: PurchaseFit = fit_cells(seen.cells(), model, log_gaps=seen.log_gaps)
        yield _recovered(model.name, true.values, fit.maximum)
    seen = simulate_purchases(PurchaseParameters(MBG_NBD, *PUBLISHED[MBG_NBD][0]), ages, seed=41)
    means, _ = simulate_values(TRUE_VALUES, seen.x, seed=42)
    again = seen.x > 0
    values = fit_value_cells(ValueCells.of(seen.x[again], means[again]))
    yield _recovered("Gamma-Gamma", (TRUE_VALUES.p, TRUE_VALUES.q, TRUE_VALUES.gamma), values.maximum)


def scale() -> Iterator[Target]:
    """How many rows a fit would bring to the driver, at two sizes; what is measured beyond is in models_at_scale."""
    print("\nDistinct (x, first day, last day) of three years at CDNOW's rates\n")
    print("| customers | rows | rows for each |\n|---|---|---|")
    last = number_of(models_at_scale.DAY)
    for size in (250_000, 1_000_000):
        first = np.random.default_rng(size).integers(last - 365 * models_at_scale.YEARS, last, size)
        customer, day = simulate_orders(models_at_scale.TRUTH, first, last, seed=size)
        start = np.flatnonzero(np.concatenate([[True], np.diff(customer) != 0]))
        end = np.concatenate([start[1:], [len(day)]])
        rows = len(np.unique(np.stack([end - start - 1, day[start], day[end - 1]], axis=1), axis=0))
        print(f"| {size:,} | {rows:,} | {rows / size:.3f} |")
    yield Target(
        "scale: rows collected for a fit, any number of customers", "at most 10,000,000",
        f"at most {MOST_CELLS:,}, beyond that sums by Spark", MOST_CELLS <= 10_000_000,
    )


def cdnow_orders() -> np.ndarray:
    """(customer, day, value) of the sample's orders, from the log that the installed `lifetimes` ships."""
    (place,) = importlib.util.find_spec("lifetimes").submodule_search_locations
    chosen, master = (
        [line.split() for line in Path(place, "datasets", name).read_text().splitlines() if line.strip()]
        for name in ("CDNOW_sample.txt", "CDNOW_master.txt")
    )
    members = dict(row[:2] for row in chosen)
    return np.array([
        (int(members[row[0]]), number_of(date.fromisoformat(row[1])), float(row[3]))
        for row in master[1:] if row[0] in members
    ])


def cdnow_cells() -> LabelledCells:
    """The sample at the end of its calibration."""
    return label_orders(*cdnow_orders().T, [number_of(END)], (LAST - END).days)[0]


def cdnow_values() -> ValueCells:
    """Repeat order days with their mean value, as the literature has them: without the first order."""
    rows = cdnow_orders()
    rows = rows[rows[:, 1] <= number_of(END)]
    days, place = np.unique(rows[:, :2], axis=0, return_inverse=True)
    value = np.bincount(place.ravel(), rows[:, 2])
    repeat = np.concatenate([[False], np.diff(days[:, 0]) == 0])
    who, row = np.unique(days[repeat, 0], return_inverse=True)
    orders = np.bincount(row.ravel())
    return ValueCells.of(orders, np.bincount(row.ravel(), value[repeat]) / orders)


def in_weeks(cells: LabelledCells) -> Cells:
    """What a fit takes, in weeks."""
    return Cells.of(
        cells.x, (cells.last_day - cells.first_day) / 7, (cells.origin - cells.first_day) / 7, cells.customers
    )


def group_model(parameters: PurchaseParameters) -> GroupModel:
    """The model of a group without value, season or calibration."""
    return GroupModel(parameters, None, Season.none(), Calibration.identity(), 1)


def _lifetimes(model: PurchaseModel, cells: Cells) -> tuple[tuple[float, ...], float]:
    """(r, alpha, a, b) and seconds of the same fit by lifetimes, without a penalty."""
    from lifetimes import BetaGeoFitter, ModifiedBetaGeoFitter

    rows = cells.count.astype(int)
    x, t_x, age = (np.repeat(part, rows) for part in (cells.x, cells.t_x, cells.age))
    fitter = (ModifiedBetaGeoFitter if model.leaves_after_first else BetaGeoFitter)(penalizer_coef=0.0)
    began = time.perf_counter()
    fitter.fit(x, t_x, age)
    seconds = time.perf_counter() - began
    return tuple(float(fitter.params_[name]) for name in ("r", "alpha", "a", "b")), seconds


def _outcome(run: Backtest) -> None:
    print("| who is lost | AUC all | AUC repeaters | Brier | F1 | MCC | precision |\n|---|---|---|---|---|---|---|")
    repeaters = {rule.name: rule.auc for rule in run.rules("1+")}
    for rule in run.rules():
        found = rule.calls
        _row(rule.name, rule.auc, repeaters.get(rule.name), rule.brier, *(
            (None,) * 3 if found is None else (found.f1, found.mcc, found.precision)
        ))


def _peers(
    cells: LabelledCells, unit: float, fitted: dict[PurchaseModel, tuple[float, ...]], where: str = ""
) -> None:
    """Rows of 1 - P(alive), as lifetimes' parameters have it; they are in units of so many days."""
    again = cells.x > 0
    t_x, age = (cells.last_day - cells.first_day) / unit, (cells.origin - cells.first_day) / unit
    for model, parameters in fitted.items():
        p = 1 - p_alive(PurchaseParameters(model, *parameters), cells.x, t_x, age)
        calls = measure(p, cells.silent, cells.customers, 0.5).calls
        _row(
            f"1 - P(alive), {model.name} of lifetimes{where}", auc(p, cells.silent, cells.customers),
            auc(p[again], cells.silent[again], cells.customers[again]), brier(p, cells.silent, cells.customers),
            calls.f1, calls.mcc, calls.precision,
        )


def _recovered(name: str, true: tuple[float, ...], found: Maximum) -> Target:
    away = [abs(value - known) / error for known, value, error in zip(
        true, found.parameters, found.standard_errors, strict=True)]
    for parameter, *numbers in zip(found.names, true, found.parameters, found.standard_errors, away, strict=True):
        _row(name, parameter, *numbers)
    return Target(
        f"recovery, {name}: largest distance", "at most 3 standard errors", f"{max(away):.2f}", max(away) <= 3
    )


def _apart(found: tuple[float, ...], known: tuple[float, ...], *, rounded: float = 0.0) -> float:
    """The largest relative difference, beyond what the known numbers were rounded by."""
    return max(max(0.0, abs(one - other) - rounded) / other for one, other in zip(found, known, strict=True))


def _at_most(what: str, value: float, limit: float) -> Target:
    return Target(what, f"at most {limit:g}", f"{value:.4f}", value <= limit)


def _at_least(what: str, value: float, limit: float) -> Target:
    return Target(what, f"at least {limit:g}", f"{value:.4f}", value >= limit)


def _row(*values: object) -> None:
    print("| " + " | ".join(
        "" if value is None else value if isinstance(value, str) else f"{value:.4g}" if abs(value) < 100
        else f"{value:.3f}" for value in values
    ) + " |")


if __name__ == "__main__":
    main()
