"""A shop of mixed buyers while it fills up: what recalibration learns from its first years, and what the gate says.

    python -m benchmarks.growing          # two minutes

Three kinds of buyers, a third each: about every month, about every quarter, and for Christmas only. They come evenly
from the first day on, so every earlier origin saw a smaller and younger shop.
"""

from __future__ import annotations

from datetime import date

import numpy as np

from models.backtest import Backtest, backtest
from models.calibration import Calibration
from models.churn_model import GroupModel
from models.days import number_of
from models.errors import FitError
from models.gate import Limits
from models.labelled import LabelledCells, label_orders
from models.purchase_fit import fit_cells
from models.purchase_process import MBG_NBD, PurchaseParameters, mbg_cnbd
from models.recalibration import ALL, NONE
from models.season import Season
from models.selection import origins
from models.simulate import simulate_orders

AS_OF = date(2025, 10, 31)
SEEDS = (7, 8, 9)
LIMITS = Limits()
MILD = Season.of([0.9, 0.9, 0.95, 1, 1, 0.95, 0.9, 0.9, 1, 1, 1.2, 1.6])
CHRISTMAS = Season.of([0.05] * 10 + [2.5, 6])
MONTHLY = PurchaseParameters(MBG_NBD, r=3, alpha=3 * 30, a=1, b=12)
QUARTERLY = PurchaseParameters(MBG_NBD, r=3, alpha=3 * 91, a=1, b=9)
YEARLY = PurchaseParameters(mbg_cnbd(6), r=4, alpha=4 * 365 / 6, a=1, b=6)


def labelled(
    years: int, horizon: int, *, customers: int = 2000, yearly: bool = True, seed: int = 7
) -> list[LabelledCells]:
    """The origins of a shop that is so many years old; `customers` of each kind."""
    end, begin = number_of(AS_OF), number_of(date(AS_OF.year - years, 11, 1))
    dice = np.random.default_rng(seed)
    christmases = [number_of(date(year, 11, 15)) for year in range(AS_OF.year - years, AS_OF.year)]
    kinds = [
        (MONTHLY, dice.integers(begin, end, customers), MILD), (QUARTERLY, dice.integers(begin, end, customers), MILD),
        (YEARLY, dice.choice(christmases, customers) + dice.integers(0, 38, customers), CHRISTMAS),
    ]
    parts = []
    for number, (process, first, season) in enumerate(kinds[:3 if yearly else 2]):
        customer, day = simulate_orders(process, first, end, season=season, seed=seed + number)
        parts.append(np.stack([customer + number * customers, day]))
    customer, day = np.concatenate(parts, axis=1)
    return label_orders(customer, day, np.ones(len(day)), origins({begin: 1.0}, end, horizon), horizon)


def plain(cells: LabelledCells) -> GroupModel:
    """MBG/NBD on the calendar."""
    return GroupModel(fit_cells(cells.cells()).parameters, None, Season.none(), Calibration.identity(), 1)


def level(run: Backtest) -> float:
    """How far the mean probability lies from the share of silent customers."""
    return run.overall.probability - run.overall.actual


def main() -> None:
    """Prints a row for each shop, age and horizon: of three draws the worst level and error, and the mean Brier score."""
    print("| shop | years | days ahead | level: raw | lines from all | best way | error | Brier: raw | all | best way "
          "| level and error pass |\n|---|---|---|---|---|---|---|---|---|---|---|")
    for yearly, years, horizon in (
        (False, 3, 365), (True, 3, 365), (True, 4, 365), (True, 5, 365), (True, 6, 365), (True, 8, 365),
        (True, 3, 180), (True, 4, 180), (True, 3, 90), (True, 4, 90),
    ):
        drawn = [_three_ways(labelled(years, horizon, yearly=yearly, seed=seed)) for seed in SEEDS]
        levels = [max((level(runs[place]) for runs in drawn), key=abs) for place in range(3)]
        brier = [np.mean([runs[place].overall.brier for runs in drawn]) for place in range(3)]
        errors = [runs[2].overall.ece for runs in drawn]
        passed = sum(
            abs(level(runs[2])) <= LIMITS.level and error <= LIMITS.calibration
            for runs, error in zip(drawn, errors, strict=True)
        )
        print(
            f"| {'three kinds' if yearly else 'no yearly buyers'} | {years} | {horizon} "
            f"| {' | '.join(f'{one:+.3f}' for one in levels)} | {max(errors):.3f} "
            f"| {' | '.join(f'{one:.4f}' for one in brier)} | {passed} of {len(drawn)} |", flush=True,
        )


def _three_ways(cells: list[LabelledCells]) -> list[Backtest]:
    """The back-test raw, with lines from all known origins, and with the best way; fitted once."""
    models: dict[int, GroupModel | FitError] = {}

    def fit(seen: LabelledCells) -> GroupModel:
        if seen.origin not in models:
            try:
                models[seen.origin] = plain(seen)
            except FitError as error:
                models[seen.origin] = error
        if isinstance(found := models[seen.origin], FitError):
            raise found
        return found

    return [backtest(cells, fit, way=way) for way in (NONE, ALL, None)]


if __name__ == "__main__":
    main()
