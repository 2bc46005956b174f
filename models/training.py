"""From order histories to a model: fits, season, regularity, calibration and the gate, for everybody and for each group.

The data are reduced to sums by Spark; the few numbers are sought on the driver, and the estimate is that of all
customers, not of a sample. What is refined (k above 1, a season) must gain in likelihood and in the back-test. A group
has a model of its own when it is large enough, can be fitted, and passes the gate; else everybody's serves it.
"""

from __future__ import annotations

import time
from calendar import monthrange
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta

import numpy as np
from pyspark.sql import DataFrame

from models import histories as reading
from models.backtest import MEASURED, Backtest, backtest
from models.calibration import Calibration
from models.cells import Cells, Margins
from models.churn_model import ChurnModel, GroupModel
from models.errors import FitError, ModelError
from models.gamma_gamma import GammaGammaParameters, ValueCells, ValueFit, fit_value_cells
from models.gate import GateFinding, check, choose
from models.labelled import LabelledCells
from models.plots import calibration_curves, training_pictures
from models.purchase_fit import PurchaseFit, choose_regularity, fit_cells, fit_purchases
from models.purchase_likelihood import Reduction, numpy_reduction
from models.purchase_process import MBG_NBD, PurchaseModel
from models.season import LearntSeason, Season, learn_season, season_gain
from models.sql_fit import sql_margins, sql_reduction, timed
from models.training_run import GroupRun, TrainingRun, backtest_measures
from segment_lib import logs
from segment_lib.model_settings import ModelsSection

_log = logs.logger("training")
#: Origins before the measured ones, from which the first calibration is learnt.
_EARLIER = 12
#: An origin needs this many days of history before it.
_LEAST_DAYS = 60
#: Where a model was never back-tested, the gate says so and fails.
NOT_TESTED = "back-test"


@dataclass(frozen=True)
class Past:
    """What is trained on: staged histories up to the end of a day, and how to look at them."""

    histories: DataFrame
    trained_to: date
    section: ModelsSection

    @property
    def as_of(self) -> int:
        """The day as a number since 1970-01-01."""
        return (self.trained_to - date(1970, 1, 1)).days

    def of(self, group: str | None) -> Past:
        """The same for one group."""
        return replace(self, histories=reading.of_group(self.histories, group))


@dataclass(frozen=True)
class Fitted:
    """The model of one group with all there is to tell of it."""

    model: GroupModel
    run: GroupRun
    backtest: Backtest | None
    findings: tuple[GateFinding, ...]


def train(
    past: Past, *, at: datetime, code_version: str, data_versions: Mapping[str, int],
    champion: ChurnModel | None = None, progress: Callable[[str], None] = lambda text: None,
) -> TrainingRun:
    """Fits everybody and every group that is large enough; raises FitError when not even everybody can be fitted.

    `champion` is measured on the same origins, for the gate.
    """
    progress("everybody")
    everyone = fit_group(past, None if champion is None else champion.everyone)
    groups: dict[str, Fitted] = {}
    sizes = reading.group_sizes(past.histories) if past.section.group else {}
    for name, size in sorted(sizes.items()):
        if size < past.section.min_group_customers:
            continue
        progress(name)
        try:
            fitted = fit_group(past.of(name), None if champion is None else champion.of(name))
        except FitError as error:
            _log.warning("group %s: everybody's model serves it: %s", name, error)
            continue
        failed = [finding.name for finding in fitted.findings if not finding.ok]
        if failed:
            _log.warning("group %s: everybody's model serves it: the gate finds %s", name, ", ".join(failed))
        else:
            groups[name] = fitted
    section = past.section
    return TrainingRun(
        ChurnModel(
            past.trained_to, section.horizon_days, everyone.model, {name: one.model for name, one in groups.items()}
        ),
        everyone.run, at, 0, code_version, data_versions,
        {"group": section.group, "at_risk": section.at_risk, "lost": section.lost, "floor_days": section.floor_days},
        {name: one.run for name, one in groups.items()}, everyone.findings,
    )


def fit_group(past: Past, champion: GroupModel | None = None) -> Fitted:
    """The model of one group, with its back-test and what the gate says."""
    began = time.perf_counter()
    section, as_of = past.section, past.as_of
    sums = _Sums(past)
    counts = reading.counts_by_day(past.histories)
    gaps = reading.log_gaps(past.histories)
    margins, reduction = sums.on(Season.none(), gaps)
    regularity = choose_regularity(margins, reduction)
    plain, regular = regularity.fits[0], regularity.chosen
    learnt = learn_season(counts.orders_by_day, counts.customers_by_first_day, plain.parameters, as_of)
    days = origins(counts.customers_by_first_day, as_of, section.horizon_days)
    value = _Values(past, [*days, as_of])
    labelled = reading.labelled_cells(past.histories, days, section.horizon_days) if days else []

    def tested(model: PurchaseModel, seasonal: bool) -> Backtest:
        def fit(cells: LabelledCells) -> GroupModel:
            season = _season_at(cells, counts) if seasonal else Season.none()
            # The sum of log gaps shifts the likelihood by a constant: it moves no parameter.
            fitted = fit_cells(cells.cells(season), model, log_gaps=0.0)
            return GroupModel(
                fitted.parameters, value.at(cells.origin), season, Calibration.identity(), int(fitted.customers)
            )

        return backtest(labelled, fit, level=section.lost)

    try:
        found: Backtest | None = tested(MBG_NBD, seasonal=False)
    except ModelError as error:
        found, untested = None, str(error)
    chosen, purchase, season = found, plain, Season.none()
    notes: dict[str, str] = {"season": learnt.reason or "off: not back-tested", "regularity": "k = 1"}
    if found is not None and regular is not plain:
        refined = tested(regular.parameters.model, seasonal=False)
        choice = choose(found, refined, regular.log_likelihood - plain.log_likelihood)
        notes["regularity"] = f"k = {regular.parameters.model.k}: {choice.reason}"
        if choice.on:
            chosen, purchase = refined, regular
    if chosen is not None and learnt.reason is None:
        on_clock, gain = _on_clock(sums, past, purchase, learnt, counts)
        refined = tested(purchase.parameters.model, seasonal=True)
        choice = choose(chosen, refined, gain)
        notes["season"] = choice.reason
        if choice.on:
            chosen, purchase, season = refined, on_clock, learnt.season
    values = value.fit
    model = GroupModel(
        purchase.parameters, None if values is None else values.parameters, season,
        Calibration.identity() if chosen is None else chosen.calibration, int(purchase.customers),
    )
    tables = {"decisions": [{"what": what, "why": why} for what, why in notes.items()]}
    measures, findings = (), (GateFinding(NOT_TESTED, False, untested),) if chosen is None else ()
    if chosen is not None:
        tables |= chosen.tables()
        measures = backtest_measures(chosen.tables())
        theirs = None if champion is None else backtest(labelled, lambda cells: champion, level=section.lost)
        findings = check(chosen, theirs)
    cells = sums.cells
    pictures = {} if cells is None else training_pictures(
        model, cells, calibration_curves(tables["calibration"]) if chosen else {}, section.horizon_days,
        levels={"at risk": section.at_risk, "lost": section.lost},
    )
    run = GroupRun(
        purchase, values, sums.rows, round(time.perf_counter() - began, 3), measures, tables, pictures
    )
    return Fitted(model, run, chosen, findings)


def origins(customers_by_first_day: Mapping[int, float], as_of: int, horizon: int) -> list[int]:
    """The month ends, counted back from the last day with a complete horizon, that have some history before them."""
    if not customers_by_first_day:
        return []
    last = date(1970, 1, 1) + timedelta(days=as_of - horizon)
    earlier = _EARLIER + -(-horizon // 30)
    found = (_months_before(last, number) for number in range(MEASURED + earlier))
    first = min(customers_by_first_day) + _LEAST_DAYS
    return sorted(day for one in found if (day := (one - date(1970, 1, 1)).days) >= first)


def _months_before(day: date, months: int) -> date:
    number = day.year * 12 + day.month - 1 - months
    year, month = divmod(number, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def _season_at(cells: LabelledCells, counts: reading.Counts) -> Season:
    """The season that was known at an origin."""
    calendar = fit_cells(cells.cells(), MBG_NBD)
    return learn_season(
        counts.orders_by_day, counts.customers_by_first_day, calendar.parameters, cells.origin
    ).season


def _on_clock(
    sums: _Sums, past: Past, fitted: PurchaseFit, learnt: LearntSeason, counts: reading.Counts
) -> tuple[PurchaseFit, float]:
    """The same process fitted on the season's clock, and what that gains."""
    days = np.arange(min(counts.customers_by_first_day), past.as_of + 1)
    clock = dict(zip(days.tolist(), learnt.season.clock(days).tolist(), strict=True))
    gaps = reading.log_gaps(past.histories, clock) if fitted.parameters.model.k > 1 else None
    on_clock = fit_purchases(*sums.on(learnt.season, gaps), fitted.parameters.model)
    return on_clock, season_gain(
        on_clock.log_likelihood, fitted.log_likelihood, counts.orders_by_day, learnt.season, past.as_of
    )


@dataclass
class _Sums:
    """The cells of a group: in memory when they are few enough, else where they are."""

    past: Past
    frame: DataFrame = field(init=False)
    rows: int = field(init=False)
    table: np.ndarray | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.frame = reading.cells_at(self.past.histories, self.past.as_of).persist()
        self.rows = self.frame.count()
        if self.rows <= reading.MOST_CELLS:
            self.table = reading.collected(self.frame, "cells")

    @property
    def cells(self) -> Cells | None:
        """The cells in days; None when they are too many."""
        return None if self.table is None else self._in_memory(self.table, Season.none())

    def on(self, season: Season, log_gaps: float | None) -> tuple[Margins, Reduction]:
        """What a fit on a season's clock takes."""
        if self.table is not None:
            cells = self._in_memory(self.table, season)
            return Margins.of(cells, log_gaps), numpy_reduction(cells)
        rows = timed(self.frame, season, self.past.as_of).persist()
        return sql_margins(rows, log_gaps), sql_reduction(rows)

    def _in_memory(self, table: np.ndarray, season: Season) -> Cells:
        t_x, age = season.times(table["first"], table["last"], self.past.as_of)
        return Cells.of(table["x"], t_x, age, table["customers"])


class _Values:
    """Value models by day: that of the day itself from all order days up to it."""

    def __init__(self, past: Past, days: Sequence[int]):
        self.table = reading.collected(reading.value_bins(past.histories, days), "order values")
        self.fit = self._fit(past.as_of)

    def at(self, day: int) -> GammaGammaParameters | None:
        """The parameters that were known at a day; None where values could not be fitted."""
        fitted = self._fit(day)
        return None if fitted is None else fitted.parameters

    def _fit(self, day: int) -> ValueFit | None:
        rows = self.table[self.table["at"] == day]
        try:
            return fit_value_cells(ValueCells(rows["orders"], rows["mean"], rows["customers"]))
        except FitError as error:
            _log.warning("no value model: %s", error)
            return None
