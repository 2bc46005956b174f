"""Which process a group is given, on simulated shops in memory: k on the calendar, the season, k on its clock."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from datetime import date
from functools import cache

import numpy as np
import pytest

from benchmarks.seasonal import SUMMER
from models.cells import Margins
from models.days import number_of
from models.errors import FitError
from models.histories import Counts
from models.labelled import LabelledCells, label_orders
from models.purchase_fit import choose_regularity
from models.purchase_likelihood import Reduction, numpy_reduction
from models.purchase_process import MBG_NBD, PurchaseParameters, mbg_cnbd
from models.season import Season
from models.selection import Chosen, Selection, Trials
from models.simulate import simulate_orders

HORIZON = 90
START, AS_OF = number_of(date(2019, 1, 1)), number_of(date(2022, 12, 31))
ORIGINS = [number_of(date(2022, month, 28)) for month in (2, 4, 6, 8, 9)]
REGULAR = PurchaseParameters(mbg_cnbd(3), 2.0, 2.0 * 50 / 3, 0.8, 4.0)
ANY_TIME = PurchaseParameters(MBG_NBD, 2.0, 2.0 * 50, 0.8, 4.0)
CLOCK = "regularity on the season's clock"


@dataclass(frozen=True)
class Shop:
    """Order days of simulated customers, and what selecting a process takes of them."""

    customer: np.ndarray
    day: np.ndarray
    as_of: int = AS_OF

    def on(self, season: Season) -> tuple[Margins, Reduction]:
        known = self.day <= self.as_of
        times = season.clock(self.day[known])
        gaps = np.diff(times)[np.diff(self.customer[known]) == 0]
        cells = self._labelled([self.as_of], 1)[0].cells(season)
        return Margins.of(cells, float(np.log(gaps).sum())), numpy_reduction(cells)

    def at(self, day: int) -> None:
        """No values of orders are asked for."""

    def selection(self) -> Selection:
        first = np.concatenate([[True], np.diff(self.customer) != 0])
        counts = (dict(Counter(self.day[rows].tolist())) for rows in (~first, first))
        return Selection(self, Trials(self._labelled(ORIGINS, HORIZON), Counts(*counts), self, 0.8))

    def _labelled(self, origins: list[int], horizon: int) -> list[LabelledCells]:
        return label_orders(self.customer, self.day, np.ones(len(self.day)), origins, horizon)


@cache
def shop(parameters: PurchaseParameters, season: Season, customers: int = 2500) -> Shop:
    first = np.random.default_rng(3).integers(START, AS_OF - 30, customers)
    return Shop(*simulate_orders(parameters, first, AS_OF, season=season, seed=3))


@cache
def chosen(parameters: PurchaseParameters, season: Season) -> Chosen:
    return shop(parameters, season).selection().chosen()


def test_buyers_who_are_regular_on_the_season_s_clock_get_their_k():
    """On the calendar a gap in summer is another than one in winter, and the likelihood sees less of the rhythm."""
    on_calendar = choose_regularity(*shop(REGULAR, SUMMER).on(Season.none())).chosen.parameters.model.k
    found = chosen(REGULAR, SUMMER)
    assert on_calendar < 3 == found.purchase.parameters.model.k
    assert found.season.factors == pytest.approx(SUMMER.factors, abs=0.25)
    assert found.decisions["season"].startswith("on: the log-likelihood gains")
    assert found.decisions[CLOCK].startswith("k = 3: on: the log-likelihood gains")
    assert {at.model.purchase.model.k for at in found.backtest.origins} == {3}
    assert not any(at.model.season.is_flat for at in found.backtest.origins)
    rate = found.purchase.parameters.r / found.purchase.parameters.alpha
    assert rate == pytest.approx(REGULAR.r / REGULAR.alpha, rel=0.15)


def test_a_k_on_the_clock_is_held_to_the_same_rule(monkeypatch):
    """It gains in likelihood, and is off where its back-test is worse."""
    from models import selection

    real, asked = selection.choose, []

    def spoiled(without, refined, gain):
        asked.append((without, refined, gain))
        k = {at.model.purchase.model.k for at in refined.origins}
        worse = replace(refined.forecasts, probability=1 - refined.forecasts.probability)
        return real(without, replace(refined, forecasts=worse) if k == {3} else refined, gain)

    monkeypatch.setattr(selection, "choose", spoiled)
    found = shop(REGULAR, SUMMER).selection().chosen()
    assert found.decisions[CLOCK].startswith("k = 3: off: the log-likelihood gains")
    assert found.purchase.parameters.model.k < 3 and not found.season.is_flat
    without, refined, gain = asked[-1]
    assert gain > 10 and not any(at.model.season.is_flat for run in (without, refined) for at in run.origins)


def test_a_season_without_rhythm_stays_at_one():
    found = chosen(ANY_TIME, SUMMER)
    assert not found.season.is_flat and found.purchase.parameters.model == MBG_NBD
    assert (found.decisions["regularity"], found.decisions[CLOCK]) == ("k = 1", "k = 1")


def test_a_rhythm_without_season_needs_no_clock():
    found = chosen(REGULAR, Season.none())
    assert found.season.is_flat and found.purchase.parameters.model.k == 3
    assert found.decisions["season"].startswith("off: the log-likelihood gains") and CLOCK not in found.decisions


@dataclass(frozen=True)
class Broken(Shop):
    """Sums that are missing: on every clock but the calendar, or everywhere."""

    everywhere: bool = False

    def on(self, season: Season) -> tuple[Margins, Reduction]:
        margins, reduction = Shop.on(self, season)
        if season.is_flat and not self.everywhere:
            return margins, reduction
        return margins, lambda process: replace(reduction(process), alpha=None)


def test_a_refinement_that_cannot_be_fitted_is_off_and_says_why():
    whole = shop(ANY_TIME, SUMMER)
    found = Broken(whole.customer, whole.day).selection().chosen()
    assert found.season.is_flat and found.backtest is not None
    assert "off: MBG/NBD fitted to 2500 customers: the log-likelihood is" in found.decisions["season"]
    with pytest.raises(FitError, match="MBG/NBD fitted to 2500 customers"):
        Broken(whole.customer, whole.day, everywhere=True).selection().chosen()


def test_without_an_origin_nothing_is_refined():
    whole = shop(REGULAR, SUMMER)
    selection = whole.selection()
    found = replace(selection, trials=replace(selection.trials, labelled=[])).chosen()
    assert (found.backtest, found.purchase.parameters.model) == (None, MBG_NBD) and found.season.is_flat
    assert "no origin could be measured. Why: none was given" in found.untested
