"""The models beside `lifetimes` and the rules a shop would use, on the same customers: accuracy and seconds.

    make bench-models          # CDNOW and a shop of mixed cycles; for the scale see benchmarks/models_at_scale.py

CDNOW is the 1/10 sample of the literature, calibrated to 1997-09-30, with the 39 weeks after as outcome. The shop of
mixed cycles has buyers of a fortnight, of two months and of half a year, with exponential gaps or with Erlang-3 ones.
`lifetimes` gives P(alive), which people use for the probability to come back; the same is shown for our models.
"""

from __future__ import annotations

import importlib.util
import time
import warnings
from datetime import date
from pathlib import Path

import numpy as np

from models.backtest import backtest
from models.calibration import Calibration
from models.cells import Cells, Margins
from models.churn_model import GroupModel
from models.days import number_of
from models.labelled import LabelledCells, label_orders
from models.measures import auc, brier, measure
from models.purchase_fit import choose_regularity, fit_cells
from models.purchase_likelihood import numpy_reduction
from models.purchase_process import BG_NBD, MBG_NBD, PurchaseModel, PurchaseParameters, mbg_cnbd, p_alive
from models.season import Season
from models.simulate import simulate_orders

END, LAST = date(1997, 9, 30), date(1998, 6, 30)
#: Mean days between orders of each third of the customers of the mixed shop.
CYCLES = (14.0, 60.0, 180.0)


def main() -> None:
    """Prints the tables."""
    warnings.filterwarnings("ignore")
    cdnow()
    for k in (1, 3):
        mixed(k)


def cdnow() -> None:
    """Parameters, and who ordered in the holdout."""
    cells = cdnow_cells()
    weeks = Cells.of(cells.x, (cells.last_day - cells.first_day) / 7, (cells.origin - cells.first_day) / 7, cells.customers)
    print("CDNOW, 2,357 customers: parameters in weeks\n")
    print("| model | by | r | alpha | a | b | log-likelihood | ms |\n|---|---|---|---|---|---|---|---|")
    for model in (BG_NBD, MBG_NBD):
        began = time.perf_counter()
        fit = fit_cells(weeks, model)
        _row(model.name, "seglake", *fit.parameters.values, fit.log_likelihood, 1000 * (time.perf_counter() - began))
        peer, seconds = _lifetimes(model, weeks)
        # Its likelihood is a mean, without the penalty that is off here, in its own unit of time.
        _row(model.name, "lifetimes", *peer, float("nan"), 1000 * seconds)
    run = backtest([cells], lambda seen: group_model(fit_cells(seen.cells(), MBG_NBD).parameters))
    print("\nCDNOW: no order in the 39 weeks after\n")
    _outcome(cells, run)
    alive = [("BG/NBD", BG_NBD), ("MBG/NBD", MBG_NBD)]
    for name, model in alive:
        peer, _ = _lifetimes(model, weeks)
        p = 1 - p_alive(PurchaseParameters(model, *peer), cells.x, (cells.last_day - cells.first_day) / 7,
                        (cells.origin - cells.first_day) / 7)
        _alive_row(f"1 - P(alive), {name} of lifetimes", p, cells)


def mixed(k: int) -> None:
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
    _outcome(labelled[-1], run)


def cdnow_cells() -> LabelledCells:
    """The sample at the end of its calibration, from the log that the installed `lifetimes` ships."""
    (place,) = importlib.util.find_spec("lifetimes").submodule_search_locations
    chosen, master = (
        [line.split() for line in Path(place, "datasets", name).read_text().splitlines() if line.strip()]
        for name in ("CDNOW_sample.txt", "CDNOW_master.txt")
    )
    members = dict(row[:2] for row in chosen)
    orders = [
        (int(members[row[0]]), number_of(date.fromisoformat(row[1])), float(row[3]))
        for row in master[1:] if row[0] in members
    ]
    return label_orders(*np.array(orders).T, [number_of(END)], (LAST - END).days)[0]


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


def _outcome(cells: LabelledCells, run) -> None:
    print("| who is lost | AUC all | AUC repeaters | Brier | F1 | MCC | precision |\n|---|---|---|---|---|---|---|")
    repeaters = {rule.name: rule.auc for rule in run.rules("1+")}
    for rule in run.rules():
        found = rule.calls
        _row(rule.name, rule.auc, repeaters.get(rule.name), rule.brier, *(
            (None,) * 3 if found is None else (found.f1, found.mcc, found.precision)
        ))
    print(f"\ncalibration error {run.overall.ece:.4f}")


def _alive_row(name: str, p: np.ndarray, cells: LabelledCells) -> None:
    again = cells.x > 0
    calls = measure(p, cells.silent, cells.customers, 0.5).calls
    _row(
        name, auc(p, cells.silent, cells.customers), auc(p[again], cells.silent[again], cells.customers[again]),
        brier(p, cells.silent, cells.customers), calls.f1, calls.mcc, calls.precision,
    )


def _row(*values: object) -> None:
    print("| " + " | ".join(
        "" if value is None or value != value else value if isinstance(value, str) else f"{value:.4g}"
        if abs(value) < 100 else f"{value:.3f}" for value in values
    ) + " |")


if __name__ == "__main__":
    main()
