"""A simulated shop with a strong year: its customers forecast on the calendar, the learnt clock and the true one."""

from __future__ import annotations

import math
from collections import Counter
from datetime import date

import numpy as np

from models.backtest import Backtest, backtest
from models.calibration import Calibration
from models.churn_model import GroupModel
from models.days import number_of
from models.labelled import LabelledCells, label_orders
from models.purchase_fit import PurchaseFit, fit_cells
from models.purchase_process import MBG_NBD, PurchaseParameters
from models.season import Season, learn_season, season_gain
from models.simulate import simulate_orders

PROCESS = PurchaseParameters(MBG_NBD, 0.9, 30.0, 0.6, 2.4)
#: Summer business with three quarters up and down, and a Christmas that is three times the winter around it.
_WAVE = [1 + 0.75 * math.cos(2 * math.pi * (month - 6) / 12) for month in range(12)]
SUMMER = Season.of([*_WAVE[:11], _WAVE[11] + 2.0])
ORIGINS = (date(2022, 6, 30), date(2022, 10, 31), date(2022, 12, 31))
HORIZON = 90


class Shop:
    """Simulated customers of four years, on the clock of a season, with what learning takes."""

    def __init__(self, season: Season, customers: int, seed: int):
        dice = np.random.default_rng(seed)
        first = dice.integers(number_of(date(2019, 1, 1)), number_of(date(2022, 12, 1)), customers)
        last = number_of(date(2023, 4, 30))
        self.customer, self.day = simulate_orders(PROCESS, first, last, season=season, seed=seed)
        new = np.concatenate([[True], self.customer[1:] != self.customer[:-1]])
        self.first_days, self.orders = (dict(Counter(self.day[rows].tolist())) for rows in (new, ~new))

    def label(self) -> list[LabelledCells]:
        """The cells of the three origins."""
        return label_orders(
            self.customer, self.day, np.ones(len(self.day)), [number_of(day) for day in ORIGINS], HORIZON
        )

    def learn(self, cells: LabelledCells) -> tuple[Season, PurchaseFit, float]:
        """(the season learnt, the fit on its clock, the gain on the calendar fit)."""
        calendar = fit_cells(cells.cells())
        season = learn_season(self.orders, self.first_days, calendar.parameters, cells.origin).season
        clock = fit_cells(cells.cells(season))
        gain = season_gain(clock.log_likelihood, calendar.log_likelihood, self.orders, season, cells.origin)
        return season, clock, gain


def three_clocks(shop: Shop) -> tuple[list[Backtest], list[tuple[Season, float]]]:
    """Back-tests on the calendar, the learnt clock and the true one; and the (season, gain) learnt at each origin."""
    learnings = []

    def calendar(cells: LabelledCells) -> GroupModel:
        return _model(fit_cells(cells.cells()).parameters, Season.none())

    def learnt(cells: LabelledCells) -> GroupModel:
        season, clock, gain = shop.learn(cells)
        learnings.append((season, gain))
        return _model(clock.parameters, season)

    def true(cells: LabelledCells) -> GroupModel:
        return _model(fit_cells(cells.cells(SUMMER)).parameters, SUMMER)

    cells = shop.label()
    return [backtest(cells, fit) for fit in (calendar, learnt, true)], learnings


def _model(parameters: PurchaseParameters, season: Season) -> GroupModel:
    return GroupModel(parameters, None, season, Calibration.identity(), 1)
