"""What a model would have said at past month ends, beside what came, and beside the rules a shop would use instead.

At each origin the model is fitted to what was known then; P(no order in the horizon) is compared with the outcome. The
probabilities are recalibrated as they could have been at the time: with lines (`models.calibration`) from origins that
lie at least the horizon earlier, whose outcome was known, in the way that had done best by then
(`models.recalibration`). So the first horizon of origins is there to learn the lines from, and the last twelve origins
are measured. Customers are never split at random: who is forecast is who was there.

Who ordered first on the origin's own day has an age of 0 and is fitted, not measured.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from models.calibration import STRATA, Calibration
from models.cells import Array
from models.churn_model import GroupModel
from models.days import date_of
from models.errors import Failure, FitError, ModelError
from models.expected_orders import expected_orders
from models.gamma_gamma import expected_value
from models.labelled import LabelledCells
from models.measures import Calls, Measures, auc, brier, calibration_table, calls, counted, log_loss, measure
from models.purchase_process import p_no_order
from models.recalibration import Outcome, best_way, ways

#: Origins that are measured: a year of months.
MEASURED = 12
#: A customer is called lost from this probability on: as conf has it, and where lost is likelier than not.
LOST, LIKELIER = 0.8, 0.5
#: Days of silence after which a shop calls everybody lost.
FIXED_DAYS = (90, 180)
#: Multiples of the own mean gap (everybody's without a repeat order) after which a shop calls a customer lost.
GAPS = (2, 3)
#: Names of slices of the customers by their repeat orders.
ALL, REPEATED = "all", "1+"
SLICES = (ALL, *STRATA, REPEATED)

#: One line of a table: column -> text, number or None.
Row = dict[str, str | float | int | None]


@dataclass(frozen=True)
class Forecasts:
    """One row a cell and measured origin: what was forecast, what came, and what the simple rules look at.

    origin: place in `Backtest.origins`. stratum: place in `STRATA`. silent: how many of the `customers` had no order in
    the horizon. raw, probability: P(no order) before and after recalibration. silence: days since the last order. gaps:
    silence in own mean gaps. base: the share of silent customers at the origin before, at the first origin its own.
    """

    origin: Array
    stratum: Array
    customers: Array
    silent: Array
    raw: Array
    probability: Array
    silence: Array
    gaps: Array
    base: Array

    def rows(self, slice_: str = ALL, origin: int | None = None) -> Forecasts:
        """The rows of a slice, one of `SLICES`, and of one origin or all."""
        if slice_ not in SLICES:
            raise ModelError(f"no slice {slice_!r}: take one of {', '.join(SLICES)}")
        chosen = np.ones(len(self.origin), dtype=bool) if origin is None else self.origin == origin
        if slice_ != ALL:
            chosen &= self.stratum > 0 if slice_ == REPEATED else self.stratum == STRATA.index(slice_)
        return Forecasts(*(column[chosen] for column in vars(self).values()))


@dataclass(frozen=True)
class Totals:
    """Orders and revenue of the horizon, forecast and actual; predicted revenue is None without a value model."""

    predicted_orders: float
    orders: float
    predicted_revenue: float | None
    revenue: float


@dataclass(frozen=True)
class MeasuredOrigin:
    """One origin: the lines that its probabilities went through, and sums by stratum, in the order of `STRATA`.

    way: how the lines were learnt, see `models.recalibration`. rules: name -> (called, called and silent) by stratum, for
    the rules that the cells brought.
    """

    day: int
    model: GroupModel
    calibration: Calibration
    way: str
    totals: tuple[Totals, ...]
    rules: Mapping[str, tuple[tuple[float, float], ...]]


@dataclass(frozen=True)
class Rule:
    """One way to tell who is lost, measured: `calls` if it calls, `auc` if it ranks, the rest if it is a chance."""

    name: str
    calls: Calls | None
    auc: float | None = None
    brier: float | None = None
    log_loss: float | None = None


@dataclass(frozen=True)
class Backtest:
    """The measured origins, ascending, and the lines for what is forecast after them.

    `level` is the probability from which on a customer is called lost. `calibration`, learnt in the way `way` from all
    origins, also those before the measured ones, is for a model that is used the horizon after the last, or later.
    `skipped` are measured days on which no model could be fitted, with the reason.
    """

    horizon: int
    level: float
    origins: tuple[MeasuredOrigin, ...]
    forecasts: Forecasts
    calibration: Calibration
    way: str
    skipped: tuple[tuple[int, str], ...] = ()

    def measures(self, slice_: str = ALL, *, raw: bool = False, origin: int | None = None) -> Measures | None:
        """The measures of a slice over all origins or at one (its place); None where there are no customers."""
        rows = self.forecasts.rows(slice_, origin)
        if not len(rows.origin):
            return None
        return measure(rows.raw if raw else rows.probability, rows.silent, rows.customers, self.level)

    @property
    def overall(self) -> Measures:
        """The measures of everybody, recalibrated."""
        return measure(self.forecasts.probability, self.forecasts.silent, self.forecasts.customers, self.level)

    def ranking(self, slice_: str = ALL) -> tuple[float, float] | None:
        """(AUC of the model, AUC of the days of silence alone), of customers of one origin against each other.

        A night ranks the customers of one day, so pairs of different origins, whose levels differ, are left out: the
        mean over origins, each with the weight of its pairs. None where there is no pair.
        """
        model = recency = pairs = 0.0
        for place in range(len(self.origins)):
            rows = self.forecasts.rows(slice_, place)
            silent, others = float(rows.silent.sum()), float((rows.customers - rows.silent).sum())
            if silent * others:
                pairs += silent * others
                model += silent * others * auc(rows.probability, rows.silent, rows.customers)
                recency += silent * others * auc(rows.silence, rows.silent, rows.customers)
        return (model / pairs, recency / pairs) if pairs else None

    def base_brier(self) -> float:
        """The Brier score of who forecasts for everybody the share of silent customers at the origin before."""
        return brier(self.forecasts.base, self.forecasts.silent, self.forecasts.customers)

    def totals(self, stratum: int | None = None, origin: int | None = None) -> Totals:
        """Orders and revenue over strata and origins, or of one of them."""
        parts = [
            totals for place, at in enumerate(self.origins) if origin in (None, place)
            for number, totals in enumerate(at.totals) if stratum in (None, number)
        ]
        predicted = [part.predicted_revenue for part in parts]
        return Totals(
            sum(part.predicted_orders for part in parts), sum(part.orders for part in parts),
            None if None in predicted else sum(predicted), sum(part.revenue for part in parts),
        )

    def rules(self, slice_: str = ALL) -> tuple[Rule, ...]:
        """The model and the rules of thumb, on the same customers; empty where there are none.

        The model stands there raw and recalibrated, with the level of this back-test and with one half. A rule that
        came with the cells is there when every measured origin has it.
        """
        rows = self.forecasts.rows(slice_)
        if not len(rows.origin):
            return ()
        outcome = (rows.silent, rows.customers)
        found = []
        for name, p in (("recalibrated", rows.probability), ("raw", rows.raw)):
            scores = (auc(p, *outcome), brier(p, *outcome), log_loss(p, *outcome))
            for level in dict.fromkeys((self.level, LIKELIER)):
                found.append(Rule(f"model, {name}, from {level:g}", calls(p >= level, *outcome), *scores))
        by_silence, by_gaps = auc(rows.silence, *outcome), auc(rows.gaps, *outcome)
        found.append(Rule("days of silence, ranking only", None, by_silence))
        for days in FIXED_DAYS:
            found.append(Rule(f"silent for more than {days} days", calls(rows.silence > days, *outcome), by_silence))
        for times in GAPS:
            name = f"silent for more than {times} own mean gaps"
            found.append(Rule(name, calls(rows.gaps > times, *outcome), by_gaps))
        strata = [
            number for number, name in enumerate(STRATA)
            if slice_ == ALL or (slice_ == REPEATED and number > 0) or slice_ == name
        ]
        silent, customers = float(rows.silent.sum()), float(rows.customers.sum())
        for name in sorted(set.intersection(*(set(at.rules) for at in self.origins))):
            counts = [at.rules[name][number] for at in self.origins for number in strata]
            called, called_silent = (sum(part) for part in zip(*counts, strict=True))
            found.append(Rule(name, counted(called, called_silent, silent, customers)))
        found.append(Rule("everybody is lost", calls(np.ones(len(rows.origin), dtype=bool), *outcome)))
        found.append(Rule(
            "share of the origin before", None, None, brier(rows.base, *outcome), log_loss(rows.base, *outcome)
        ))
        return tuple(found)

    def tables(self) -> dict[str, list[Row]]:
        """Everything as plain rows, for printing and for storage: numbers, ISO dates and None.

        measures: by slice, raw and recalibrated. origins: the same by origin. rules: by slice. calibration: ten bins of
        equal numbers of customers. totals: orders and revenue by origin and stratum. lines: the recalibration in use at
        each origin with how it was learnt, and the one for the next.
        """
        places = range(len(self.origins))
        outputs = (("raw", True), ("recalibrated", False))
        day = [iso_day(at.day) for at in self.origins]
        return {
            "measures": [
                {"customers_with": slice_, "output": name, **_flat(found)} for slice_ in SLICES for name, raw in outputs
                if (found := self.measures(slice_, raw=raw)) is not None
            ],
            "origins": [
                {"origin": day[place], "output": name, **_flat(found)} for place in places for name, raw in outputs
                if (found := self.measures(raw=raw, origin=place)) is not None
            ],
            "rules": [
                {"customers_with": slice_, "rule": rule.name, **_call_columns(rule.calls), "auc": rule.auc,
                 "brier": rule.brier, "log_loss": rule.log_loss}
                for slice_ in SLICES for rule in self.rules(slice_)
            ],
            "calibration": [
                {"output": name, "bin": number, "customers": part.customers, "probability": part.probability,
                 "actual": part.actual}
                for name, raw in outputs
                for number, part in enumerate(calibration_table(
                    self.forecasts.raw if raw else self.forecasts.probability, self.forecasts.silent,
                    self.forecasts.customers,
                ), start=1)
            ],
            "totals": [
                {"origin": origin, "customers_with": name, **vars(self.totals(number, place))}
                for place, origin in [*enumerate(day), (None, ALL)]
                for number, name in [*enumerate(STRATA), (None, ALL)]
            ],
            "lines": [
                {"origin": when, "customers_with": name, "learnt_from": at.way, "intercept": intercept, "slope": slope}
                for when, at in [*zip(day, self.origins, strict=True), ("next", self)]
                for name, (intercept, slope) in zip(STRATA, at.calibration.lines, strict=True)
            ],
        }


def backtest(
    origins: Iterable[LabelledCells], fit: Callable[[LabelledCells], GroupModel], *, level: float = LOST,
    measured: int = MEASURED, way: str | None = None,
) -> Backtest:
    """Forecasts every origin with the model that `fit` gives, and measures the last `measured` ones.

    Origins ascend and share one horizon; each is looked at once and not kept. `fit` must use only what was known at the
    origin: x, the days, customers and revenue so far. To back-test a model that exists, give ``lambda cells: model``;
    on origins before the day it was trained to, its forecasts are better than they could have been. The calibration of
    a model that `fit` gives is not used: lines are learnt here, at every origin in the way `way` of
    `models.recalibration.WAYS` if one is given, else in the best. An origin whose fit raises FitError is skipped; FitError
    when none of the measured ones is left.
    """
    if not 0 < level < 1 or measured < 1:
        raise ModelError(f"level = {level}, measured = {measured}: a probability, and at least one origin are needed")
    made: list[_Made] = []
    skipped: list[tuple[int, str]] = []
    seen: list[int] = []
    share, horizon = None, None
    for cells in origins:
        horizon = horizon or cells.horizon
        _check_order(cells, seen, horizon)
        seen.append(cells.origin)
        there = cells.where(cells.first_day < cells.origin)
        if not len(there):
            skipped.append((cells.origin, "nobody had ordered before that day"))
            continue
        own = float(there.silent.sum() / there.customers.sum())
        base, share = (own if share is None else share), own
        try:
            made.append(_forecast(there, fit(cells), base, [
                earlier.outcome for earlier in made if earlier.day + horizon <= cells.origin
            ], way))
        except FitError as error:
            skipped.append((cells.origin, str(error)))
    chosen = set(seen[-measured:])
    last = [origin for origin in made if origin.day in chosen]
    if not last:
        why = "; ".join(f"{iso_day(day)}: {reason}" for day, reason in skipped) or "none was given"
        raise FitError(
            Failure.TOO_LITTLE_DATA, "no origin could be measured", why, "give origins with more customers before them"
        )
    outcomes = [origin.outcome for origin in made]
    way = way or best_way(outcomes, None)
    return Backtest(
        horizon, level, tuple(origin.summary for origin in last),
        Forecasts(np.repeat(np.arange(len(last)), [len(origin.columns[0]) for origin in last]), *(
            np.concatenate(parts) for parts in zip(*(origin.columns for origin in last), strict=True)
        )),
        ways(outcomes, seen[-1] + horizon).get(way, Calibration.identity()), way,
        tuple((day, reason) for day, reason in skipped if day in chosen),
    )


@dataclass(frozen=True)
class _Made:
    """One origin, forecast: its summary, what came of it, and the columns of `Forecasts` after the first."""

    day: int
    summary: MeasuredOrigin
    outcome: Outcome
    columns: tuple[Array, ...]


def _forecast(cells: LabelledCells, model: GroupModel, base: float, known: list[Outcome], way: str | None) -> _Made:
    """What the model says of each cell; `known` are the origins whose outcome is known."""
    t_x, age = model.season.times(cells.first_day, cells.last_day, cells.origin)
    ahead = model.season.ahead(cells.origin, cells.horizon)
    raw = p_no_order(model.purchase, cells.x, t_x, age, ahead)
    offered = ways(known, cells.origin)
    way = way or best_way(known, float(cells.customers.sum()))
    calibration = offered.get(way, Calibration.identity())
    expected = expected_orders(model.purchase, cells.x, t_x, age, ahead)
    revenue = None
    if model.value is not None:
        orders = cells.x + 1  # the first order is one of those whose value is known
        revenue = expected * expected_value(model.value, orders, cells.revenue_so_far / (cells.customers * orders))
    strata = [cells.stratum == number for number in range(len(STRATA))]
    totals = tuple(
        Totals(
            float(np.sum((cells.customers * expected)[rows])), float(cells.orders_ahead[rows].sum()),
            None if revenue is None else float(np.sum((cells.customers * revenue)[rows])),
            float(cells.revenue_ahead[rows].sum()),
        ) for rows in strata
    )
    rules = {
        name: tuple((float(rule.called[rows].sum()), float(rule.called_silent[rows].sum())) for rows in strata)
        for name, rule in cells.rules.items()
    }
    return _Made(
        cells.origin, MeasuredOrigin(cells.origin, model, calibration, way, totals, rules),
        Outcome.of(cells.origin, cells.x, cells.customers, cells.silent, raw, offered),
        (
            cells.stratum, cells.customers, cells.silent, raw, calibration.apply(raw, cells.x), cells.silence,
            _in_gaps(cells), np.full(len(cells), base),
        ),
    )


def _in_gaps(cells: LabelledCells) -> Array:
    """The silence in own mean gaps; without a repeat order in everybody's mean gap, and 0 where there is none."""
    span = cells.last_day - cells.first_day
    gaps = float(np.sum(cells.customers * cells.x))
    everybody = float(np.sum(cells.customers * span)) / gaps if gaps else np.inf
    again = cells.x > 0
    return cells.silence / np.where(again, span / np.where(again, cells.x, 1.0), everybody)


def _check_order(cells: LabelledCells, seen: list[int], horizon: int) -> None:
    if cells.horizon != horizon:
        raise ModelError(
            f"the origin {iso_day(cells.origin)} looks {cells.horizon} days ahead, and the first {horizon}: "
            "label all of them with one horizon"
        )
    if seen and cells.origin <= seen[-1]:
        raise ModelError(
            f"the origin {iso_day(cells.origin)} comes after {iso_day(seen[-1])}: give origins in ascending order"
        )


def _flat(found: Measures) -> Row:
    return {
        "customers": found.customers, "actual": found.actual, "probability": found.probability, "brier": found.brier,
        "log_loss": found.log_loss, "auc": found.auc, "ece": found.ece, "level": found.level,
        **_call_columns(found.calls),
    }


def _call_columns(found: Calls | None) -> Row:
    names = ("called", "precision", "recall", "f1", "mcc", "reactivated")
    return {name: None if found is None else getattr(found, name) for name in names}


def iso_day(day: int) -> str:
    """A day number as a date.

    >>> iso_day(19_000)
    '2022-01-08'
    """
    return date_of(day).isoformat()
