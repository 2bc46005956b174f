"""Which process a group is given: k = 1 or regular gaps, the calendar or the season's clock.

The plain process (MBG/NBD on the calendar) is there first. What is refined must gain in likelihood and must not lose in
the back-test (`models.gate.choose`); where no origin can be measured nothing is refined.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Protocol

from models.backtest import MEASURED, Backtest, backtest
from models.calibration import Calibration
from models.churn_model import GroupModel
from models.days import date_of, number_of
from models.cells import Margins
from models.errors import FitError
from models.gate import choose
from models.gamma_gamma import GammaGammaParameters
from models.histories import Counts
from models.labelled import LabelledCells
from models.purchase_fit import PurchaseFit, choose_regularity, fit_cells, fit_purchases
from models.purchase_likelihood import Reduction
from models.purchase_process import MBG_NBD, PurchaseModel
from models.season import Season, learn_season, season_gain

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

    def with_decision(self, what: str, why: str) -> Chosen:
        """The same, with why one refinement is on or off."""
        return replace(self, decisions={**self.decisions, what: why})


class Summed(Protocol):
    """What a fit takes from the customers of a group; see `models.group_data.Sums`."""

    as_of: int

    def on(self, season: Season) -> tuple[Margins, Reduction]:
        """The margins, with the sum of log gaps, and the reduction, both on the clock of a season."""


class ValuesByDay(Protocol):
    """The values of orders; see `models.group_data.Values`."""

    def at(self, day: int) -> GammaGammaParameters | None:
        """What was known at a day."""


@dataclass(frozen=True)
class Trials:
    """Back-tests of the kinds of process on the same labelled origins."""

    labelled: list[LabelledCells]
    counts: Counts
    values: ValuesByDay
    level: float

    def of(self, model: PurchaseModel, *, seasonal: bool) -> Backtest:
        """The process fitted anew at each origin, with the season that was known there; FitError where none can be."""

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

    sums: Summed
    trials: Trials

    def chosen(self) -> Chosen:
        """The plain process, refined where that is worth it; FitError when not even k = 1 can be fitted.

        First k is sought on the calendar, then the season is tried, then k again on its clock: buyers who are regular
        there are not on the calendar. A refinement that cannot be fitted is off, and says why.
        """
        regularity = choose_regularity(*self.sums.on(Season.none()))
        plain = regularity.fits[0]
        learnt = learn_season(
            self.counts.orders_by_day, self.counts.customers_by_first_day, plain.parameters, self.sums.as_of
        )
        found = Chosen(
            plain, Season.none(), None,
            {"regularity": "k = 1", "season": learnt.reason or "off: not back-tested"},
        )
        try:
            found = replace(found, backtest=self.trials.of(MBG_NBD, seasonal=False))
        except FitError as error:
            return replace(found, untested=str(error))
        found = self._with_regularity(found, regularity.chosen, "regularity")
        if not learnt.reason:
            found = self._with_season(found, learnt.season)
        return found if found.season.is_flat else self._regular_on_clock(found)

    @property
    def counts(self) -> Counts:
        """Orders and first orders by day."""
        return self.trials.counts

    def _with_regularity(self, found: Chosen, regular: PurchaseFit, what: str) -> Chosen:
        """What was found, or the k that is proposed for the same clock."""
        if regular.parameters.model == found.purchase.parameters.model:
            return found
        gain = regular.log_likelihood - found.purchase.log_likelihood
        return self._tried(found, what, f"k = {regular.parameters.model.k}: ", regular, found.season, gain)

    def _with_season(self, found: Chosen, season: Season) -> Chosen:
        """The same process on the season's clock, where that gains."""
        try:
            on_clock = fit_purchases(*self.sums.on(season), found.purchase.parameters.model)
        except FitError as error:
            return found.with_decision("season", f"off: {error}")
        gain = season_gain(
            on_clock.log_likelihood, found.purchase.log_likelihood, self.counts.orders_by_day, season, self.sums.as_of
        )
        return self._tried(found, "season", "", on_clock, season, gain)

    def _regular_on_clock(self, found: Chosen) -> Chosen:
        """k sought anew where the season is on."""
        what = "regularity on the season's clock"
        found = found.with_decision(what, f"k = {found.purchase.parameters.model.k}")
        try:
            proposed = choose_regularity(*self.sums.on(found.season)).chosen
        except FitError as error:
            return found.with_decision(what, f"off: {error}")
        return self._with_regularity(found, proposed, what)

    def _tried(
        self, found: Chosen, what: str, label: str, purchase: PurchaseFit, season: Season, gain: float
    ) -> Chosen:
        """A refinement that gains `gain` in log-likelihood, if the back-test agrees; else what was found."""
        try:
            refined = self.trials.of(purchase.parameters.model, seasonal=not season.is_flat)
        except FitError as error:
            return found.with_decision(what, f"{label}off: {error}")
        choice = choose(found.backtest, refined, gain)
        if choice.on:
            found = replace(found, purchase=purchase, season=season, backtest=refined)
        return found.with_decision(what, label + choice.reason)


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
