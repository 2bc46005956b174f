"""From order histories to a model: fits, season, regularity, calibration and the gate, for everybody and for each group.

The data are reduced to sums by Spark; the few numbers are sought on the driver, and the estimate is that of all
customers, not of a sample. Back-tests, which fit anew at each of some forty origins, are of a sample when there are
very many customers. What is refined (k above 1, a season) must gain in likelihood and in the back-test. A group
has a model of its own when it is large enough, can be fitted, and passes the gate; else everybody's serves it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import TYPE_CHECKING

from pyspark.sql import DataFrame

import segment_lib

from models import histories as reading
from models.backtest import Backtest
from models.churn_model import ChurnModel, GroupModel
from models.days import number_of
from models.errors import FitError
from models.gate import GateFinding, check
from models.group_data import Sums, Values
from models.plots import calibration_curves, training_pictures
from models.selection import Chosen, Selection, Trials, origins
from models.training_run import GroupRun, TrainingRun, backtest_measures
from segment_lib import logs
from segment_lib.clock import Clock
from segment_lib.model_settings import ModelsSection
from segment_lib.runs import new_run_id

if TYPE_CHECKING:
    from segment_lib.nightly import Progress
    from segment_lib.settings import Settings
    from segment_lib.storage import Lake

_log = logs.logger("training")
#: Where a model was never back-tested, the gate says so and fails.
NOT_TESTED = "back-test"


#: What to do where a fit has no answer: everybody's model is needed, a group's is not.
_FOR_EVERYBODY = (
    "train on more customers or a longer past, and leave subscriptions, bots and bulk buyers out of the orders (see "
    "the limits in docs/models.md). Until then the nights keep the champion that there is, and RFM needs no model"
)
_FOR_A_GROUP = "leave it to everybody's model, which serves every group without one of its own"


@dataclass(frozen=True)
class Past:
    """What is trained on: staged histories up to the end of a day, of everybody or of a group, and how to look at them."""

    histories: DataFrame
    trained_to: date
    section: ModelsSection
    group: str | None = None

    @property
    def as_of(self) -> int:
        """The day as a number since 1970-01-01."""
        return number_of(self.trained_to)

    def of(self, group: str | None) -> Past:
        """The same for one group."""
        return replace(self, histories=reading.of_group(self.histories, group), group=group)

    def failed(self, error: FitError) -> FitError:
        """The error of a fit, told of these customers."""
        if self.group is None:
            return error.of("everybody", _FOR_EVERYBODY)
        return error.of(f"group {self.group}", _FOR_A_GROUP)


@dataclass(frozen=True)
class Fitted:
    """The model of one group with all there is to tell of it."""

    model: GroupModel
    run: GroupRun
    backtest: Backtest | None
    findings: tuple[GateFinding, ...]


@contextmanager
def staged_past(
    lake: Lake, settings: Settings, trained_to: date, *, at: datetime, progress: Progress = nullcontext
) -> Iterator[tuple[Past, dict[str, int]]]:
    """All orders up to the end of a day as histories, staged until the block ends, and the versions of what was read."""
    run_id, pins = new_run_id(at), dict(lake.pin())
    try:
        with progress("read the orders"):
            rows = reading.read_histories(lake, settings, pins, Clock(trained_to, settings.zone))
            histories = lake.stage("histories", run_id, rows)
        yield Past(histories, trained_to, settings.models), pins
    finally:
        lake.drop_staging(run_id)


def train_tenant(
    lake: Lake, settings: Settings, trained_to: date, *, at: datetime, champion: ChurnModel | None = None,
    progress: Progress = nullcontext,
) -> TrainingRun:
    """Trains on all orders of a tenant up to the end of a day; what `seglake train` does before it records the run.

    `at` is now, with a time zone. `champion` is measured on the same origins, for the gate. Raises FitError where
    everybody cannot be fitted.
    """
    with staged_past(lake, settings, trained_to, at=at, progress=progress) as (past, pins):
        with progress("fit and back-test"):
            return train(past, at=at, code_version=segment_lib.__version__, data_versions=pins, champion=champion)


def train(
    past: Past, *, at: datetime, code_version: str, data_versions: Mapping[str, int],
    champion: ChurnModel | None = None, progress: Callable[[str], None] = lambda text: None,
) -> TrainingRun:
    """Fits everybody and every group that is large enough; raises FitError when not even everybody can be fitted.

    `champion` is measured on the same origins, for the gate. A group that cannot be fitted, or that the gate stops, is
    served by everybody's model, and the run says why.
    """
    progress("everybody")
    everyone = fit_group(past, None if champion is None else champion.everyone)
    groups: dict[str, Fitted] = {}
    fallbacks: dict[str, str] = {}
    sizes = reading.group_sizes(past.histories) if past.section.group else {}
    for name, size in sorted(sizes.items()):
        if size < past.section.min_group_customers:
            continue
        progress(name)
        try:
            fitted = fit_group(past.of(name), None if champion is None else champion.of(name))
        except FitError as error:
            fallbacks[name] = f"{error.failure}: {error.why}"
            continue
        failed = [f"{finding.name} ({finding.detail})" for finding in fitted.findings if not finding.ok]
        if failed:
            fallbacks[name] = f"the gate stops its own: {'; '.join(failed)}"
        else:
            groups[name] = fitted
    for name, why in fallbacks.items():
        _log.warning("group %s: everybody's model serves it: %s", name, why)
    section = past.section
    return TrainingRun(
        ChurnModel(
            past.trained_to, section.horizon_days, everyone.model, {name: one.model for name, one in groups.items()}
        ),
        everyone.run, at, 0, code_version, data_versions,
        {
            "group": section.group, "at_risk": section.at_risk, "lost": section.lost, "floor_days": section.floor_days,
            "backtest_customers": section.backtest_customers,
        },
        {name: one.run for name, one in groups.items()}, everyone.findings, fallbacks,
    )


def fit_group(past: Past, champion: GroupModel | None = None) -> Fitted:
    """The model of one group, with its back-test and what the gate says; a FitError names the group."""
    began = time.perf_counter()
    section, as_of = past.section, past.as_of
    counts = reading.counts_by_day(past.histories)
    days = origins(counts.customers_by_first_day, as_of, section.horizon_days)
    values = Values(past.histories, [as_of])
    tested = reading.sampled(past.histories, section.backtest_customers)
    labelled = reading.labelled_cells(tested, days, section.horizon_days) if days else []
    trials = Trials(labelled, counts, Values(tested, days or [as_of]), section.lost)
    with closing(Sums(past.histories, as_of)) as sums:
        try:
            chosen = Selection(sums, trials).chosen()
        except FitError as error:
            raise past.failed(error) from None
    model = GroupModel(
        chosen.purchase.parameters, None if values.fit is None else values.fit.parameters, chosen.season,
        chosen.calibration, int(chosen.purchase.customers),
    )
    tables = {"decisions": [{"what": what, "why": why} for what, why in chosen.decisions.items()]}
    if chosen.backtest is not None:
        tables |= chosen.backtest.tables()
    pictures = {} if sums.cells is None else training_pictures(
        model, sums.cells, {} if chosen.backtest is None else calibration_curves(tables["calibration"]),
        section.horizon_days, levels={"at risk": section.at_risk, "lost": section.lost},
    )
    run = GroupRun(
        chosen.purchase, values.fit, sums.rows, round(time.perf_counter() - began, 3),
        () if chosen.backtest is None else backtest_measures(tables), tables, pictures,
    )
    return Fitted(model, run, chosen.backtest, _findings(chosen, trials, champion))


def _findings(chosen: Chosen, trials: Trials, champion: GroupModel | None) -> tuple[GateFinding, ...]:
    if chosen.backtest is None:
        return (GateFinding(NOT_TESTED, False, chosen.untested),)
    return check(chosen.backtest, None if champion is None else trials.of_fitted(champion))
