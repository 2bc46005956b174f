"""One night from end to end: prepare, evaluate, compare with the base, pass the gates, write, publish.

The log gets `started` before any work and one ending row after all of it. Whatever happens in between, readers see the
last published run; a run that died is retried with the inputs and definitions it had recorded.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from segment_lib import gates, logs, maintenance, publishing, static
from segment_lib import night as nights
from segment_lib.clock import Clock
from segment_lib.definitions_log import Definition
from segment_lib.errors import (
    EXIT_FAILED, EXIT_GATE, EXIT_OK, EXIT_PARTIAL, GateError, LockedError, SeglakeError, UsageError,
)
from segment_lib.lease import Lease
from segment_lib.figures import EVERYONE, LOST
from segment_lib.kernel import answers
from segment_lib.kernel.kept import TABLE as ROW_PARCELS
from segment_lib.metrics import SegmentMetrics
from segment_lib.night import Night
from segment_lib.objects import open_objects
from segment_lib.plan import EvaluationPlan
from segment_lib.preparation import Preparation, prepare
from segment_lib.runs import Gate, History, RunRecord, State, append_record, new_run_id, read_history
from segment_lib.scores import Scorer
from segment_lib.settings import Settings

if TYPE_CHECKING:
    from segment_lib.definition import Loaded
    from segment_lib.storage import Lake

_log = logs.logger("nightly")
#: From a prepared night to who gives its scores.
Scorers = Callable[[Preparation], Scorer]
#: Shows a step while it runs: a job's spinner, or nothing.
Progress = Callable[[str], AbstractContextManager[None]]
_EXITS = {State.PUBLISHED: EXIT_OK, State.PARTIAL: EXIT_PARTIAL, State.REFUSED: EXIT_GATE}


@dataclass(frozen=True)
class RunOutcome:
    """How a run ended: its row of the log and, when it published, its metrics and its definitions with their states."""

    record: RunRecord
    metrics: tuple[SegmentMetrics, ...] = ()
    definitions: tuple[Definition, ...] = ()
    held_back: tuple[Definition, ...] = ()

    @property
    def run_id(self) -> str:
        return self.record.run_id

    @property
    def snapshot_date(self) -> date:
        return self.record.snapshot_date

    @property
    def state(self) -> State:
        return self.record.state

    @property
    def gates(self) -> tuple[Gate, ...]:
        return self.record.gates

    @property
    def stale_dates(self) -> tuple[date, ...]:
        """Later dates that leaned on this one and have to be run again."""
        return self.record.stale_dates

    @property
    def exit_code(self) -> int:
        return _EXITS.get(self.state, EXIT_FAILED)


#: Is told how each date of a job ended as soon as that stands in the log, also when the job goes on to raise.
Ended = Callable[[RunOutcome], None]


def unheard(outcome: RunOutcome) -> None:
    """Nobody is told."""


@dataclass(frozen=True)
class Options:
    """How to run a date; the command line says the same words."""

    only: tuple[str, ...] = ()
    accept: frozenset[str] = frozenset()
    strict: bool = False
    fresh: bool = False
    as_then: bool = False
    full: bool = False
    scorers: Scorers | None = None
    code_version: str = ""
    progress: Progress = nullcontext
    ended: Ended = unheard


@dataclass
class _Watch:
    """The instant that the job gave, moving on; the seconds of each step; and the lease that must still be ours."""

    start: datetime
    lease: Lease
    began: float
    seconds: dict[str, float] = field(default_factory=dict)
    progress: Progress = nullcontext

    def now(self) -> datetime:
        return self.start + timedelta(seconds=time.perf_counter() - self.began)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Times, shows and logs a step."""
        with logs.context(step=name), self.progress(name):
            began = time.perf_counter()
            yield
            self.seconds[name] = round(time.perf_counter() - began, 3)
            _log.info("%s: %.1f s", name, self.seconds[name])


def run(
    lake: Lake,
    settings: Settings,
    loaded: Loaded,
    *,
    snapshot_date: date,
    now: datetime,
    only: Collection[str] = (),
    accept: Collection[str] = frozenset(),
    strict: bool = False,
    fresh: bool = False,
    as_then: bool = False,
    full: bool = False,
    scorers: Scorers | None = None,
    code_version: str = "",
    progress: Progress = nullcontext,
    ended: Ended = unheard,
) -> RunOutcome:
    """Runs and publishes one date; without `scorers`, segments that ask for scores wait.

    With `full` nothing that earlier nights kept of the data files is taken; it is made anew.

    Raises GateError when a gate refuses it, UsageError and ConfError before anything is written. Retention and cleaning
    follow; a fault there is logged and leaves the published run as it is.
    """
    options = Options(tuple(only), frozenset(accept), strict, fresh, as_then, full, scorers, code_version, progress, ended)
    return _run_dates(lake, settings, loaded, [snapshot_date], now, options)[0]


def backfill(
    lake: Lake,
    settings: Settings,
    loaded: Loaded,
    dates: Iterable[date],
    *,
    now: datetime,
    stale: bool = False,
    accept: Collection[str] = frozenset(),
    strict: bool = False,
    fresh: bool = False,
    as_then: bool = False,
    full: bool = False,
    scorers: Scorers | None = None,
    code_version: str = "",
    progress: Progress = nullcontext,
    ended: Ended = unheard,
) -> tuple[RunOutcome, ...]:
    """Runs the dates in ascending order, whatever order they come in; stops at the first that a gate refuses.

    With `stale` also the published dates that lean on a restated one, and those that come to lean on one by this: none is
    stale in the end. What was published until then stays.
    """
    options = Options((), frozenset(accept), strict, fresh, as_then, full, scorers, code_version, progress, ended)
    return _run_dates(lake, settings, loaded, dates, now, options, stale=stale)


def stale_dates(lake: Lake) -> tuple[date, ...]:
    """The published dates that leaned on a date restated since, ascending: what ``backfill --stale`` begins with."""
    return read_history(lake).stale


def _run_dates(
    lake: Lake, settings: Settings, loaded: Loaded, dates: Iterable[date], now: datetime, options: Options,
    *, stale: bool = False,
) -> tuple[RunOutcome, ...]:
    gates.check_names(options.accept)
    began = time.perf_counter()
    outcomes = []
    with Lease(open_objects(lake.home), lake.tenant, new_run_id(now)) as lease, logs.context(tenant=lake.tenant):
        if options.full or settings.incremental == "never" or settings.engine == "columns":
            lake.drop(ROW_PARCELS)
            answers.drop(lake)
        history = read_history(lake)
        ahead = set(dates)
        # A date that changes makes all later ones stale, and is then behind: so this ends.
        while left := ahead.union(history.stale if stale else ()):
            day = min(left)
            ahead.discard(day)
            watch = _Watch(now, lease, began, progress=options.progress)
            outcome, history = _run_date(lake, settings, loaded, history, day, watch, options)
            outcomes.append(outcome)
        try:
            maintenance.tidy(lake, settings, history, now=now)
        except SeglakeError as error:
            _log.warning("cleaning up failed and is tried again after the next run: %s", error)
    return tuple(outcomes)


def _run_date(
    lake: Lake, settings: Settings, loaded: Loaded, history: History, day: date, watch: _Watch, options: Options
) -> tuple[RunOutcome, History]:
    """One date, published; and the log as it is then. Nobody else writes it, for this process holds the lease."""
    clock = Clock(day, settings.zone)
    if clock.as_of > watch.now():
        raise UsageError(f"{day} has not ended in {settings.time_zone} yet, so it cannot be run")
    work = prepare(
        lake, loaded, history, day, watch.now(), only=options.only, strict=options.strict, fresh=options.fresh,
        as_then=options.as_then,
    )
    statics = static.sort(work, history)
    scorer = options.scorers(work) if options.scorers else None
    plan = nights.planned(work, statics, settings, scorer)
    started = _started(work, plan, history, watch, scorer, options.code_version)
    with logs.context(run_id=started.run_id, snapshot_date=day.isoformat()):
        append_record(lake, started)
        log = history.with_record(started)
        try:
            night = nights.compute(lake, work, statics, plan, history, started.run_id, options.accept, watch.step, scorer)
            if any(gate.blocks for gate in night.gates):
                refused = _end(lake, log, started, watch, State.REFUSED, gates=night.gates, rows=night.rows)
                options.ended(RunOutcome(refused))
                raise GateError(_refusal(night))
            outcome = _publish(lake, night, history, started, watch)
        except (GateError, LockedError):
            raise
        except Exception as error:
            options.ended(RunOutcome(_failed(lake, log, started, watch, error)))
            raise
        options.ended(outcome)
        lake.drop_staging(started.run_id)
    return outcome, log.with_record(outcome.record)


def _started(
    work: Preparation, plan: EvaluationPlan, history: History, watch: _Watch, scorer: Scorer | None, code_version: str
) -> RunRecord:
    at = history.next_instant(watch.now())
    notes = {
        "request": work.request, "pinned_at": work.pinned_at.isoformat(), "attributes": "current",
        "broken": json.dumps(dict(work.definitions.broken)), "retry_of": work.retry_of,
        "scores": json.dumps(dict.fromkeys(sorted(scorer.names), "")) if scorer else None,
    }
    return RunRecord(
        work.snapshot_date, new_run_id(at), State.STARTED, at, plan.clock.as_of,
        base_run_id=work.base.run_id if work.base else None, inputs=work.pins,
        definitions=work.definitions.to_json(), definition_hashes=plan.hashes, models=scorer.models if scorer else work.models,
        notes={name: text for name, text in notes.items() if text}, code_version=code_version,
    )


def _publish(lake: Lake, night: Night, history: History, started: RunRecord, watch: _Watch) -> RunOutcome:
    with watch.step("write"):
        written = publishing.write(lake, night, history)
    with watch.step("rebase"):
        stale = publishing.rewrite_next(lake, night, history)
    state = State.PARTIAL if night.held_back else State.PUBLISHED
    late = night.summed.groups[EVERYONE]["late"]
    notes = dict(started.notes) | {"frozen": json.dumps(dict(night.freezing)), "late_customers": str(late)}
    log = history.with_record(started)
    watch.lease.check()
    record = _end(
        lake, log, started, watch, state, gates=night.gates, rows={**night.rows, **written.rows},
        definition_hashes=night.hashes, stale_dates=stale, notes=notes,
    )
    _log.info("%s, %d customers", state.value, written.rows["memberships"])
    shown = tuple(row for row in written.metrics if row.segment_id != LOST)
    return RunOutcome(record, shown, night.definitions, night.held_back)


def _end(lake: Lake, log: History, started: RunRecord, watch: _Watch, state: State, **more: object) -> RunRecord:
    """Writes the row that ends a run. The definitions stand in it once more: it says all there is of the run."""
    at = log.next_instant(watch.now())
    record = replace(started, state=state, at=at, timings=dict(watch.seconds), **more)
    append_record(lake, record)
    return record


def _failed(lake: Lake, log: History, started: RunRecord, watch: _Watch, error: Exception) -> RunRecord:
    """Ends a run that raised. When even that cannot be written, the run counts as died and is retried."""
    notes = dict(started.notes) | {"error": type(error).__name__}
    try:
        return _end(lake, log, started, watch, State.FAILED, notes=notes)
    except Exception:
        _log.warning("the log could not be told that the run failed", exc_info=True)
        return replace(started, state=State.FAILED, notes=notes)


def _refusal(night: Night) -> str:
    faults = [gate for gate in night.gates if gate.blocks]
    names = " ".join(f"--accept {gate.gate}" for gate in faults)
    found = "; ".join(f"{gate.gate}: {gate.detail}" for gate in faults)
    return (
        f"{night.stamp.snapshot_date} is not published, and what was published before stands. {found}. "
        f"When this is as it should be, run it again with {names}"
    )
