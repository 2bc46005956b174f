"""What a run works with: definitions, pinned inputs, and which earlier runs it leans on.

Four requests differ only here. A full run takes the files as they are and the inputs as they are; a retry of a run that
died takes what that run had recorded; `as_then` takes what the date's winner had recorded; `only` takes the winner's
inputs and definitions, with some segments edited.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING

from segment_lib import definitions_log, logs
from segment_lib.definition.references import dependants
from segment_lib.definitions_log import Definition, Definitions, DefinitionState
from segment_lib.errors import InputError, SeglakeError, UsageError
from segment_lib.runs import History, RunRecord, details, request_of

if TYPE_CHECKING:
    from segment_lib.definition import Loaded
    from segment_lib.storage import Lake

_log = logs.logger("preparation")
Listed = Mapping[str, Definition]


@dataclass(frozen=True)
class Preparation:
    """Everything that is decided before a run starts.

    `pinned_at` is when the inputs were pinned. `base` is the run that changes are measured from, `listed` its list of
    definitions. With `only`, `copied` is the run whose other segments are copied, `copied_listed` its list, and
    `recomputed` what is computed: the segments asked for and all that refer to them; otherwise all segments are computed
    and `copied` is None. `asked` are those asked for.
    """

    snapshot_date: date
    definitions: Definitions
    pins: Mapping[str, int]
    pinned_at: datetime
    base: RunRecord | None
    listed: Listed
    request: str
    retry_of: str | None = None
    copied: RunRecord | None = None
    copied_listed: Listed = field(default_factory=dict)
    asked: frozenset[str] = frozenset()
    recomputed: frozenset[str] = frozenset()
    models: Mapping[str, str] = field(default_factory=dict)

    @property
    def held_before(self) -> dict[str, Definition]:
        """The copied segments that were held back when their run published: who refers to them is held back too."""
        return {
            name: row for name, row in self.copied_listed.items()
            if name not in self.recomputed and row.state in (DefinitionState.WAITING, DefinitionState.SET_ASIDE)
        }


def prepare(
    lake: Lake, loaded: Loaded, history: History, snapshot_date: date, now: datetime, *, only: Collection[str] = (),
    strict: bool = False, fresh: bool = False, as_then: bool = False,
) -> Preparation:
    """What a run of `snapshot_date` works with; raises what a person must mend before anything is written."""
    if only and as_then:
        raise UsageError("--only takes the definitions of now, --as-then those of then: use one of them")
    base = history.base(snapshot_date)
    base = None if base is None else details(lake, base)
    listed = definitions_log.read(lake, base)
    if only:
        return _some(lake, loaded, history, snapshot_date, base, listed, frozenset(only))
    if as_then:
        return _as_then(lake, history, snapshot_date, base, listed)
    request = request_of()
    crashed = None if fresh else history.crashed(snapshot_date, request)
    if crashed is not None:
        if not _gone(lake, crashed.inputs):
            return _retry(details(lake, crashed), base, listed, request)
        _log.warning("the inputs of the run that died are no longer kept: starting afresh", extra=_context(crashed))
    latest = history.latest
    same = base is None if latest is None else base is not None and base.run_id == latest.run_id
    last = listed if same else definitions_log.read(lake, latest)
    definitions = definitions_log.resolve(loaded, last, strict=strict)
    return Preparation(snapshot_date, definitions, lake.pin(), now, base, listed, request)


def _retry(died: RunRecord, base: RunRecord | None, listed: Listed, request: str) -> Preparation:
    _log.info("a run of this date died: its inputs and definitions are used", extra=_context(died))
    definitions = Definitions.from_json(died.definitions, died.noted("broken"))
    return Preparation(
        died.snapshot_date, definitions, died.inputs, died.pinned_at, base, listed, request, retry_of=died.run_id,
        models=died.models,
    )


def _as_then(lake: Lake, history: History, day: date, base: RunRecord | None, listed: Listed) -> Preparation:
    winner = history.winner(day)
    if winner is None:
        raise UsageError(f"{day} was never published, so nothing is recorded to run it as then")
    require(lake, winner, f"the inputs of {day} as they were then")
    winner = details(lake, winner)
    definitions = Definitions.from_json(winner.definitions, winner.noted("broken"))
    return Preparation(
        day, definitions, winner.inputs, winner.pinned_at, base, listed, request_of(as_then=True), models=winner.models
    )


def _some(
    lake: Lake, loaded: Loaded, history: History, day: date, base: RunRecord | None, listed: Listed,
    only: frozenset[str],
) -> Preparation:
    winner = history.latest
    if winner is None:
        raise UsageError("--only adds to a published date, and none is published yet: run all segments first")
    if winner.snapshot_date != day:
        raise UsageError(f"--only works at the last published date, {winner.snapshot_date}, not at {day}")
    require(lake, winner, f"the inputs of {day}")
    winner = details(lake, winner)
    recorded = Definitions.from_json(winner.definitions, winner.noted("broken"))
    definitions = definitions_log.edited(recorded, loaded, only)
    recomputed = dependants(only, definitions.references)
    return Preparation(
        day, definitions, winner.inputs, winner.pinned_at, base, listed, request_of(only), copied=winner,
        copied_listed=definitions_log.read(lake, winner), asked=only, recomputed=recomputed, models=winner.models,
    )


def _gone(lake: Lake, pins: Mapping[str, int]) -> list[str]:
    """The pinned inputs whose version cannot be read any more."""
    gone = []
    for table, version in sorted(pins.items()):
        try:
            lake.read(table, version)
        except SeglakeError:
            gone.append(f"{table} (version {version})")
    return gone


def kept(lake: Lake, run: RunRecord) -> bool:
    """Whether all inputs that a run had pinned are still there."""
    return not _gone(lake, run.inputs)


def require(lake: Lake, run: RunRecord, what: str) -> None:
    """Raises InputError that names the inputs which a run had pinned and which are no longer kept."""
    gone = _gone(lake, run.inputs)
    if gone:
        raise InputError(f"{what} are no longer kept: {', '.join(gone)}; run all segments with the inputs of now")


def _context(run: RunRecord) -> dict[str, dict[str, str]]:
    return {"context": {"died_run_id": run.run_id, "snapshot_date": run.snapshot_date.isoformat()}}
