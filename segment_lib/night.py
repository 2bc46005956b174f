"""What one night computes: who is a member of what, how that differs from the base, and whether it may be published.

Nothing is written here but staged data. The sources are read by `scan` alone; all later steps start from the two frames
that are staged here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING

from pyspark.sql import DataFrame

from segment_lib import core, definitions_log, evaluate, gates, metrics, rebuild, segment_sums, snapshot, static
from segment_lib.clock import Clock
from segment_lib.customer_totals import CONTACT_FIELDS
from segment_lib.definition.references import dependants
from segment_lib.definitions_log import Definition, DefinitionState
from segment_lib.gates import Facts
from segment_lib.figures import EVERYONE
from segment_lib.kernel.base import BaseFiles, base_files
from segment_lib.kernel.kept import Keeping
from segment_lib.plan import EvaluationPlan, build_plan
from segment_lib.preparation import Preparation
from segment_lib.runs import Gate, History, RunRecord
from segment_lib.scores import Scored, Scorer
from segment_lib.segment_sums import Summed
from segment_lib.snapshot import Seen, Stamp
from segment_lib.static import Statics
from segment_lib.totals import PLACES

if TYPE_CHECKING:
    from segment_lib.definition.segment import Holdout
    from segment_lib.settings import Settings
    from segment_lib.storage import Lake

#: Gates of a run of some segments: its inputs and its population passed the others when the date was published.
SNAPSHOT_GATES = ("unique", "null_keys")
#: States of a definition that make a published run partial.
HELD_BACK = (DefinitionState.WAITING, DefinitionState.SET_ASIDE, DefinitionState.BROKEN)
Step = Callable[[str], AbstractContextManager[None]]
#: Bytes of data files from which on `incremental: auto` keeps what they hold, see docs/scale.md.
KEPT_FROM = 128 << 20


@dataclass(frozen=True)
class Night:
    """What a run found, ready to be written.

    `shown` are the segments that have a size tonight; `hashes` the effective hash that made the members of each.
    With `copied`, only `computed` segments are this run's own and the others are copied from that run.
    `everyone_known` is false when the base's snapshot had to be rebuilt, which does not tell who was in no segment.
    `analytics` are the segments of which the day's orders are published.
    """

    stamp: Stamp
    decided: DataFrame
    difference: DataFrame
    seen: Seen
    summed: Summed
    gates: tuple[Gate, ...]
    shown: frozenset[str]
    hashes: Mapping[str, str]
    stale_since: Mapping[str, date]
    definitions: tuple[Definition, ...]
    freezing: Mapping[str, str]
    holdouts: Mapping[str, Holdout]
    base: RunRecord | None
    pins: Mapping[str, int]
    everyone_known: bool
    rows: Mapping[str, int]
    analytics: frozenset[str] = frozenset()
    scored: Scored | None = None
    copied: RunRecord | None = None
    computed: frozenset[str] | None = None

    @property
    def partition(self) -> dict[str, date | str]:
        return {"snapshot_date": self.stamp.snapshot_date, "run_id": self.stamp.run_id}

    @property
    def held_back(self) -> tuple[Definition, ...]:
        """The definitions that should have run as their files say, and did not."""
        return tuple(row for row in self.definitions if row.state in HELD_BACK)


def planned(
    work: Preparation, statics: Statics, settings: Settings, scorer: Scorer | None = None
) -> EvaluationPlan:
    """The plan of a night; without a scorer, segments that ask for scores wait."""
    clock, catalogue = Clock(work.snapshot_date, settings.zone), settings.names()
    only = work.asked if work.copied is not None else None
    stalled = {name: row.reason for name, row in work.held_before.items()}
    plan = build_plan(
        work.definitions.segments, catalogue, clock, fixed=statics.fixed, stalled=stalled, only=only,
        scores=scorer.names if scorer else frozenset(),
        needed=(*(scorer.features(clock, catalogue) if scorer else ()), *CONTACT_FIELDS),
        totals=frozenset(PLACES),
    )
    return replace(plan, day_orders=bool(_analytics(work)))


def compute(
    lake: Lake, work: Preparation, statics: Statics, plan: EvaluationPlan, history: History, run_id: str,
    accept: Collection[str], step: Step, scorer: Scorer | None = None,
) -> Night:
    """Scores, evaluates and compares; the gates have looked, and nothing is written yet."""
    base = work.base
    known = base is None or rebuild.kept(lake, history, base)
    with step("scan"):
        scan = evaluate.scan(
            plan, lake, work.pins, run_id,
            base_as_of=base.as_of if base else None, base_at=base.pinned_at if base else None,
            engine=lake.settings.engine, keeping=_keeping(lake.settings, work, run_id),
            base=_base_files(lake, work, statics, plan) if known else None,
        )
    pending, plan = plan, plan.stall(scan.faults)
    scored = None
    if scorer is not None:
        with step("score"):
            scored = scorer.score(
                scan.customers.where("_evaluated"), plan.clock, plan.catalogue,
                lambda name, rows: lake.stage(name, run_id, rows),
            )
            scan = replace(scan, customers=scored.customers)
    with step("decide"):
        before = rebuild.members(lake, history, base) if base else lake.spark.createDataFrame([], snapshot.MEMBERS)
        aliases = lake.aliases(work.pins.get("aliases", -1))
        ours = snapshot.under_canonical_ids(before, aliases)
        fixed_members = _fixed_members(lake, history, work, statics, ours)
        decided = evaluate.stage_decided(lake, run_id, plan, scan, ours, fixed_members)
    with step("compare"):
        found = snapshot.difference_of_decided(lake, run_id, decided, before, aliases)
        difference = lake.stage("difference", run_id, found)
        seen = snapshot.look(difference)
    with step("sum"):
        summed = segment_sums.summed(decided, evaluate.groups(plan), overlaps=True)
    sizes = metrics.of_run(lake, history, base)
    states = _states(work, statics, pending, plan, scorer.outdated if scorer else {})
    evaluated = frozenset(segment.id for segment in plan.segments)
    shown = frozenset(evaluated | statics.frozen.keys() | (plan.held & sizes.keys()) - statics.absent.keys())
    hashes = {name: _hash(name, work, statics, plan, evaluated) for name in shown}
    if work.copied is not None:
        shown &= work.recomputed
        hashes = {**work.copied.definition_hashes, **{name: hashes[name] for name in shown}}
    rows = dict(scan.rows)
    facts = Facts(
        lake.settings.gates, plan.clock.as_of, rows, scan.rejected, scan.newest,
        history.winners_until(work.snapshot_date, gates.MEDIAN_OF), seen.duplicates, seen.null_keys,
        seen.turnover(sizes[EVERYONE].customers) if known and EVERYONE in sizes else None,
    )
    return Night(
        stamp=Stamp(work.snapshot_date, run_id, base.run_id if base else None),
        decided=decided, difference=difference, seen=seen, summed=summed,
        gates=gates.check(facts, accept, SNAPSHOT_GATES if work.copied else tuple(gates.GATES)),
        shown=shown, hashes=hashes,
        stale_since={name: sizes[name].stale_since or base.snapshot_date for name in shown - evaluated - statics.fixed},
        definitions=_listing(work, states),
        holdouts={
            segment.id: segment.holdout for segment in work.definitions.segments
            if segment.holdout is not None and segment.id in shown
        },
        freezing={name: own for name, own in statics.freezing.items() if name in evaluated},
        base=base, pins=work.pins, everyone_known=known, rows=rows, scored=scored, copied=work.copied,
        computed=work.recomputed if work.copied else None, analytics=_analytics(work),
    )


def _base_files(lake: Lake, work: Preparation, statics: Statics, plan: EvaluationPlan) -> BaseFiles | None:
    """The files of the base, to come with the scan; None when they cannot, and when lists of it are needed anyway."""
    if work.base is None or evaluate.needs_lists(plan, _shows_others(work, statics)):
        return None
    return base_files(lake, work.base, {*evaluate.groups(plan), *work.base.definition_hashes})


def _keeping(settings: Settings, work: Preparation, run_id: str) -> Keeping | None:
    """How rows are kept for the nights to come; None when they are not."""
    if settings.incremental == "never":
        return None
    least = KEPT_FROM if settings.incremental == "auto" else 0
    return Keeping(run_id, work.snapshot_date, least, answers=work.copied is None)


def _analytics(work: Preparation) -> frozenset[str]:
    return frozenset(segment.id for segment in work.definitions.segments if segment.analytics)


def _fixed_members(
    lake: Lake, history: History, work: Preparation, statics: Statics, before: DataFrame
) -> DataFrame | None:
    """The members that segments show which are not computed: another run's, or the frozen ones; None for the base's."""
    if not _shows_others(work, statics):
        return None
    if work.copied is not None:
        before = snapshot.mixed(rebuild.members(lake, history, work.copied), before, work.recomputed)
    if not statics.fixed:
        return before
    own = {name: segment.definition_hash for name, segment in work.definitions.by_id.items()}
    frozen = static.frozen_members(lake, statics, own, lake.aliases(work.pins.get("aliases", -1)))
    return static.with_frozen(before, frozen, statics, work.snapshot_date)


def _shows_others(work: Preparation, statics: Statics) -> bool:
    """Whether segments that are not computed show other members than the base's."""
    return work.copied is not None or bool(statics.fixed)


def _states(
    work: Preparation, statics: Statics, pending: EvaluationPlan, plan: EvaluationPlan, outdated: Mapping[str, str],
) -> dict[str, tuple[DefinitionState, str]]:
    """The state of each segment that is not simply active, and why; `pending` is the plan before the data was seen.

    Waiting means that something is to come (scores, a condition that is not evaluated yet); a fault of the data or a
    reference to a segment without definition sets aside, and so does a chain that leads to one.
    """
    segments = work.definitions.segments
    unresolved = [segment.id for segment in segments if segment.references() - work.definitions.by_id.keys()]
    unresolved += [name for name, row in work.held_before.items() if row.state is DefinitionState.SET_ASIDE]
    aside = dependants(unresolved, work.definitions.references) | (plan.stalled.keys() - pending.stalled.keys())
    states = {
        name: (DefinitionState.SET_ASIDE if name in aside else DefinitionState.WAITING, why)
        for name, why in plan.stalled.items()
    }
    for planned in plan.segments:
        told = dict.fromkeys(outdated[name] for name in core.scores_of(planned.reduced.walk()) if name in outdated)
        if told:
            states[planned.id] = (DefinitionState.ACTIVE, "; ".join(f"with {text}" for text in told))
    for segment in segments:
        if segment.id in statics.frozen:
            states[segment.id] = (DefinitionState.STATIC, f"frozen on {statics.frozen[segment.id].snapshot_date}")
        elif segment.id in statics.freezing and segment.id not in plan.stalled:
            states[segment.id] = (DefinitionState.STATIC, f"frozen on {work.snapshot_date}")
        elif segment.id in statics.absent:
            states[segment.id] = (DefinitionState.STATIC, statics.absent[segment.id])
        elif segment.status == "inactive":
            states[segment.id] = (DefinitionState.INACTIVE, "")
    return states


def _hash(name: str, work: Preparation, statics: Statics, plan: EvaluationPlan, evaluated: Collection[str]) -> str:
    """The effective hash of the definition that made a segment's members: the base's when they are the base's.

    A static segment has its own alone: an edit of what it refers to changes nothing any more.
    """
    if name in statics.frozen or name in statics.freezing and name in evaluated:
        return work.definitions.by_id[name].definition_hash
    if name in evaluated or work.base is None:
        return plan.hashes[name]
    return work.base.definition_hashes.get(name, plan.hashes[name])


def _listing(work: Preparation, states: Mapping[str, tuple[DefinitionState, str]]) -> tuple[Definition, ...]:
    rows = definitions_log.listing(work.definitions, states, work.listed, work.snapshot_date)
    if work.copied is None:
        return rows
    return definitions_log.with_copied(rows, work.copied_listed, work.recomputed)


def redefined(hashes: Mapping[str, str], base: Mapping[str, str]) -> frozenset[str]:
    """The segments whose members were made by another definition than the base's, new and vanished ones included.

    >>> sorted(redefined({"a": "1", "b": "2", "new": "3"}, {"a": "1", "b": "1", "gone": "4"}))
    ['b', 'gone', 'new']
    """
    return frozenset(name for name in hashes.keys() | base.keys() if hashes.get(name) != base.get(name))
