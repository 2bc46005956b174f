"""Which process a group is given: k = 1 or regular gaps, the calendar or the season's clock.

The plain process (MBG/NBD on the calendar) is there first. What is refined must gain in likelihood and must not lose in
the back-test (`models.gate.choose`); where no origin can be measured nothing is refined.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date

import numpy as np
from pyspark.sql import DataFrame

from models import histories as reading
from models.backtest import MEASURED, Backtest, backtest
from models.calibration import Calibration
from models.churn_model import GroupModel
from models.days import date_of, number_of
from models.errors import ModelError
from models.gate import choose
from models.group_data import Sums, Values
from models.labelled import LabelledCells
from models.purchase_fit import PurchaseFit, choose_regularity, fit_cells, fit_purchases
from models.purchase_process import MBG_NBD, PurchaseModel
from models.season import LearntSeason, Season, learn_season, season_gain

#: Origins before the measured ones, from which the first calibration is learnt.
_EARLIER = 12
#: An origin needs this many days of history before it.
_LEAST_DAYS = 60


@dataclass(frozen=True)
class Chosen:
    """The fit that is used, its back-test, and why each refinement is on or off.

    backtest: None where no origin could be measured; `untested` says why.
    """

    purchase: PurchaseFit
    season: Season
    backtest: Backtest | None
    decisions: Mapping[str, str]
    untested: str = ""

    @property
    def calibration(self) -> Calibration:
        """The lines that bring its probabilities to what came; the identity where it was not back-tested."""
        return Calibration.identity() if self.backtest is None else self.backtest.calibration


@dataclass(frozen=True)
class Trials:
    """Back-tests of the kinds of process on the same labelled origins."""

    labelled: list[LabelledCells]
    counts: reading.Counts
    values: Values
    level: float

    def of(self, model: PurchaseModel, *, seasonal: bool) -> Backtest:
        """The process fitted anew at each origin, with the season that was known there; ModelError where none can be."""

        def fit(cells: LabelledCells) -> GroupModel:
            season = self._season_at(cells) if seasonal else Season.none()
            # The sum of log gaps shifts the likelihood by a constant: it moves no parameter.
            fitted = fit_cells(cells.cells(season), model, log_gaps=0.0)
            return GroupModel(
                fitted.parameters, self.values.at(cells.origin), season, Calibration.identity(), int(fitted.customers)
            )

        return backtest(self.labelled, fit, level=self.level)

    def of_fitted(self, model: GroupModel) -> Backtest:
        """A model that exists, asked at each origin as it is."""
        return backtest(self.labelled, lambda cells: model, level=self.level)

    def _season_at(self, cells: LabelledCells) -> Season:
        calendar = fit_cells(cells.cells(), MBG_NBD)
        return learn_season(
            self.counts.orders_by_day, self.counts.customers_by_first_day, calendar.parameters, cells.origin
        ).season


@dataclass(frozen=True)
class Selection:
    """The search for the process of a group, from the plain one on."""

    histories: DataFrame
    sums: Sums
    trials: Trials

    def chosen(self) -> Chosen:
        """The plain process, refined where that is worth it; FitError when not even k = 1 can be fitted."""
        margins, reduction = self.sums.on(Season.none(), reading.log_gaps(self.histories))
        regularity = choose_regularity(margins, reduction)
        plain = regularity.fits[0]
        learnt = learn_season(
            self.counts.orders_by_day, self.counts.customers_by_first_day, plain.parameters, self.sums.as_of
        )
        found = Chosen(
            plain, Season.none(), None,
            {"season": learnt.reason or "off: not back-tested", "regularity": "k = 1"},
        )
        try:
            found = replace(found, backtest=self.trials.of(MBG_NBD, seasonal=False))
        except ModelError as error:
            return replace(found, untested=str(error))
        if regularity.chosen is not plain:
            found = self._with_regularity(found, regularity.chosen)
        return found if learnt.reason else self._with_season(found, learnt)

    @property
    def counts(self) -> reading.Counts:
        """Orders and first orders by day."""
        return self.trials.counts

    def _with_regularity(self, found: Chosen, regular: PurchaseFit) -> Chosen:
        refined = self.trials.of(regular.parameters.model, seasonal=False)
        choice = choose(found.backtest, refined, regular.log_likelihood - found.purchase.log_likelihood)
        decisions = {**found.decisions, "regularity": f"k = {regular.parameters.model.k}: {choice.reason}"}
        if not choice.on:
            return replace(found, decisions=decisions)
        return replace(found, purchase=regular, backtest=refined, decisions=decisions)

    def _with_season(self, found: Chosen, learnt: LearntSeason) -> Chosen:
        on_clock, gain = self._on_clock(found.purchase, learnt)
        refined = self.trials.of(found.purchase.parameters.model, seasonal=True)
        choice = choose(found.backtest, refined, gain)
        decisions = {**found.decisions, "season": choice.reason}
        if not choice.on:
            return replace(found, decisions=decisions)
        return Chosen(on_clock, learnt.season, refined, decisions)

    def _on_clock(self, fitted: PurchaseFit, learnt: LearntSeason) -> tuple[PurchaseFit, float]:
        """The same process fitted on the season's clock, and what that gains."""
        as_of = self.sums.as_of
        days = np.arange(min(self.counts.customers_by_first_day), as_of + 1)
        clock = dict(zip(days.tolist(), learnt.season.clock(days).tolist(), strict=True))
        gaps = reading.log_gaps(self.histories, clock) if fitted.parameters.model.k > 1 else None
        on_clock = fit_purchases(*self.sums.on(learnt.season, gaps), fitted.parameters.model)
        return on_clock, season_gain(
            on_clock.log_likelihood, fitted.log_likelihood, self.counts.orders_by_day, learnt.season, as_of
        )


def origins(customers_by_first_day: Mapping[int, float], as_of: int, horizon: int) -> list[int]:
    """The month ends, counted back from the last day with a complete horizon, that have some history before them."""
    if not customers_by_first_day:
        return []
    last = date_of(as_of - horizon)
    earlier = _EARLIER + -(-horizon // 30)
    found = (_months_before(last, number) for number in range(MEASURED + earlier))
    first = min(customers_by_first_day) + _LEAST_DAYS
    return sorted(day for one in found if (day := number_of(one)) >= first)


def _months_before(day: date, months: int) -> date:
    number = day.year * 12 + day.month - 1 - months
    year, month = divmod(number, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))
