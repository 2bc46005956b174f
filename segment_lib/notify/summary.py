"""What is to be said of a run that ended, as frozen values made of its rows of the log."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from segment_lib.definitions_log import Definition
from segment_lib.errors import EXIT_USAGE, ConfError, SeglakeError
from segment_lib.figures import EVERYONE
from segment_lib.metrics import SegmentMetrics
from segment_lib.nightly import RunOutcome
from segment_lib.notify_settings import Outcome
from segment_lib.runs import Gate, State

#: So many segments are named for each kind of change, and so many that wait.
MOST = 10
MOST_WAITING = 25
#: A change relative to the size says little below this many customers, before and after.
LEAST_SIZE = 20
#: Characters of one reason; a definition with many faults would fill the message.
REASON = 400
_OUTCOMES = {
    State.PUBLISHED: Outcome.PUBLISHED, State.PARTIAL: Outcome.PARTIAL, State.REFUSED: Outcome.REFUSED,
    State.FAILED: Outcome.FAILED,
}


@dataclass(frozen=True)
class Change:
    """How a segment changed since the published date before: `before` customers, then `now`."""

    segment: str
    before: int
    now: int
    entered: int
    left: int

    @property
    def moved(self) -> int:
        return self.entered + self.left

    @property
    def relative(self) -> float | None:
        """The change of size as a share of the size before; None for a segment that had no member.

        >>> Change("vip", 200, 150, 10, 60).relative, Change("new", 0, 5, 5, 0).relative
        (-0.25, None)
        """
        return (self.now - self.before) / self.before if self.before else None


@dataclass(frozen=True)
class Waiting:
    """A segment that was not computed and shows members of an earlier night, and why."""

    segment: str
    state: str
    reason: str


@dataclass(frozen=True)
class Summary:
    """All that a message says.

    `dates` are those that were published, or the one that was not; `run_id` is None for a run that never started.
    `customers` is None when nothing was published, `entered` and `left` also when there was no date to compare with.
    `failed` are what gates refused or why a run failed, `steps` what a person is to do next.
    """

    tenant: str
    outcome: Outcome
    dates: tuple[date, ...]
    run_id: str | None = None
    customers: int | None = None
    entered: int | None = None
    left: int | None = None
    most_moved: tuple[Change, ...] = ()
    most_resized: tuple[Change, ...] = ()
    compared: bool = False
    waiting: tuple[Waiting, ...] = ()
    more_waiting: int = 0
    accepted: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()


def summarize(
    tenant: str, ends: Sequence[RunOutcome], *, days: Sequence[date], error: str | None = None,
    exit_code: int | None = None,
) -> Summary:
    """What is to be said of one command: the dates that it ended, in order, and the error that stopped it, if one did.

    Figures are those of the last date that was published. `error` may be shown to people (see `text_of`); without it a
    run that failed is told by what the log says. `days` are the dates that were asked for, at least one.
    """
    published = [end for end in ends if end.record.state.publishes]
    stopped = next((end for end in reversed(ends) if not end.record.state.publishes), None)
    if stopped is not None:
        outcome = _OUTCOMES.get(stopped.record.state, Outcome.FAILED)
    elif error is not None or not published:
        outcome = Outcome.FAILED
    else:
        outcome = Outcome.PARTIAL if any(end.record.state is State.PARTIAL for end in published) else Outcome.PUBLISHED
    whole = outcome in (Outcome.PUBLISHED, Outcome.PARTIAL)
    last = published[-1] if whole else None
    everyone = _row(last.metrics, EVERYONE) if last else None
    changes = tuple(changes_of(last.metrics)) if last and last.record.base_run_id else ()
    waiting = [_waiting(row) for row in last.held_back] if last else []
    ended = stopped or last
    return Summary(
        tenant, outcome, _dates(whole, stopped, published, days), ended.record.run_id if ended else None,
        customers=everyone.customers if everyone else None,
        entered=everyone.entered if everyone else None, left=everyone.left if everyone else None,
        most_moved=_most_moved(changes), most_resized=_most_resized(changes),
        compared=bool(last and last.record.base_run_id),
        waiting=tuple(waiting[:MOST_WAITING]), more_waiting=max(0, len(waiting) - MOST_WAITING),
        accepted=tuple(f"{gate.gate}: {gate.detail}" for gate in _gates(published) if gate.accepted),
        failed=() if whole else _failed(stopped, published, error),
        steps=_steps(outcome, stopped, published, exit_code),
    )


def text_of(error: BaseException) -> str:
    """What may be said of an error: the text of one raised on purpose, which holds no customer's data, else its kind.

    >>> text_of(KeyError("jane@example.com"))
    'an unexpected error, KeyError; the log of the job says where'
    """
    if isinstance(error, ConfError):
        first = error.issues[0] if error.issues else ""
        return _cut(f"{len(error.issues)} faults in conf or definitions, the first: {first}")
    if isinstance(error, SeglakeError):
        return _cut(str(error))
    return f"an unexpected error, {type(error).__name__}; the log of the job says where"


def changes_of(metrics: Iterable[SegmentMetrics]) -> Iterable[Change]:
    """The change of each segment whose movements are known, everyone left out."""
    for row in metrics:
        if row.segment_id != EVERYONE and row.entered is not None and row.left is not None:
            before = row.customers - row.entered + row.left
            yield Change(row.segment_id, before, row.customers, row.entered, row.left)


def _most_moved(changes: Sequence[Change]) -> tuple[Change, ...]:
    moved = [change for change in changes if change.moved]
    return tuple(sorted(moved, key=lambda change: (-change.moved, change.segment))[:MOST])


def _most_resized(changes: Sequence[Change]) -> tuple[Change, ...]:
    """By relative change of size; segments that had no member before come first, the larger ones before the others."""
    resized = [
        change for change in changes if change.now != change.before and max(change.before, change.now) >= LEAST_SIZE
    ]

    def place(change: Change) -> tuple[float, int, str]:
        share = float("inf") if change.relative is None else abs(change.relative)
        return -share, -change.now, change.segment

    return tuple(sorted(resized, key=place)[:MOST])


def _row(metrics: Iterable[SegmentMetrics], name: str) -> SegmentMetrics | None:
    return next((row for row in metrics if row.segment_id == name), None)


def _waiting(row: Definition) -> Waiting:
    return Waiting(row.segment_id, row.state.value, _cut(row.reason))


def _gates(ends: Iterable[RunOutcome]) -> list[Gate]:
    return [gate for end in ends for gate in end.record.gates]


def _dates(
    whole: bool, stopped: RunOutcome | None, published: Sequence[RunOutcome], days: Sequence[date]
) -> tuple[date, ...]:
    """The dates that were published; or else the one that was not, which is the first that was still to come."""
    done = [end.record.snapshot_date for end in published]
    if whole:
        return tuple(done)
    if stopped is not None:
        return (stopped.record.snapshot_date,)
    return (min(set(days) - set(done), default=max(days)),)


def _failed(stopped: RunOutcome | None, published: Sequence[RunOutcome], error: str | None) -> tuple[str, ...]:
    before = tuple(f"{end.record.snapshot_date} was published before that" for end in published[-1:])
    if len(published) > 1:
        before = (f"{len(published)} dates were published before that, the last {published[-1].record.snapshot_date}",)
    return (*_reasons(stopped, error), *before)


def _reasons(stopped: RunOutcome | None, error: str | None) -> tuple[str, ...]:
    if stopped is not None and stopped.record.state is State.REFUSED:
        return tuple(f"gate {gate.gate}: {gate.detail}" for gate in stopped.record.gates if gate.blocks)
    if error is not None:
        return (error,)
    if stopped is None or stopped.record.state is State.STARTED:
        return ("the run has no end in the log: it still runs, or its process died",)
    kind = stopped.record.notes.get("error", "error")
    return (f"{kind}; the log of the job says more",)


def _steps(
    outcome: Outcome, stopped: RunOutcome | None, published: Sequence[RunOutcome], exit_code: int | None
) -> tuple[str, ...]:
    steps = []
    if outcome is Outcome.REFUSED and stopped is not None:
        names = " ".join(f"--accept {gate.gate}" for gate in stopped.record.gates if gate.blocks)
        day = stopped.record.snapshot_date
        steps.append("look at the input; what was published before still stands")
        steps.append(f"when it is as it should be: seglake run --as-of {day} {names}")
    elif outcome is Outcome.FAILED and exit_code == EXIT_USAGE:
        steps.append("mend the fault and run it again; seglake validate lists every fault of conf and definitions")
    elif outcome is Outcome.FAILED:
        steps.append("what was published before still stands; run it again, it goes on with the inputs it had pinned")
    if any(end.held_back for end in published[-1:]):
        steps.append("seglake segments shows what is held back; seglake validate shows faults of definitions")
    done = {end.record.snapshot_date for end in published}
    stale = sorted({day for end in published for day in end.record.stale_dates} - done)
    if stale:
        steps.append(f"{len(stale)} later dates lean on what changed: seglake backfill --stale runs them again")
    return tuple(steps)


def _cut(text: str) -> str:
    """A reason on one line, of bounded length.

    >>> _cut("a\\nb"), len(_cut("x" * 1000))
    ('a b', 400)
    """
    line = " ".join(text.split())
    return line if len(line) <= REASON else line[: REASON - 4] + " ..."
