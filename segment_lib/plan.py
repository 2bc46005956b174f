"""The evaluation plan: what one night computes, each feature once, as a frozen value. No Spark here.

Segments are sorted so that each comes after those it refers to. `fixed` segments keep published members and may be
referred to; `stalled` ones keep them too, and stall whoever refers to them, so that no one enters or leaves by a fault.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from graphlib import TopologicalSorter
from typing import Any

from segment_lib import core
from segment_lib.catalogue import Catalogue
from segment_lib.clock import Clock
from segment_lib.definition import canonical
from segment_lib.definition.references import dependants
from segment_lib.definition.segment import Reduced, Segment
from segment_lib.language.scope import Scope
from segment_lib.totals import BASIC

SOURCES = ("events", "orders", "lists")


@dataclass(frozen=True)
class PlannedSegment:
    """A segment that is evaluated tonight."""

    segment: Segment
    reduced: Reduced
    #: How many references deep it lies: 0 refers to no evaluated segment.
    level: int

    @property
    def id(self) -> str:
        return self.segment.id


@dataclass(frozen=True)
class EvaluationPlan:
    """Everything that evaluation needs to know; building it reads nothing and writes nothing."""

    clock: Clock
    catalogue: Catalogue
    definitions: tuple[Segment, ...]
    segments: tuple[PlannedSegment, ...]
    fixed: frozenset[str]
    stalled: Mapping[str, str]
    #: Segment id -> fingerprint of its definition and of all that it refers to.
    hashes: Mapping[str, str]
    #: What is computed beside the definitions' own features: what scores are made of.
    needed: tuple[core.Value, ...] = ()
    #: Which of `totals.TOTALS` the scan adds up for each customer.
    totals: frozenset[str] = frozenset(BASIC)
    #: Whether the scan keeps the ids of the snapshot date's orders (`axis`).
    day_orders: bool = False

    def nodes(self) -> Iterable[core.Node]:
        """Every node of every evaluated definition."""
        for planned in self.segments:
            yield from planned.reduced.walk()

    @cached_property
    def features(self) -> tuple[core.Aggregate, ...]:
        """The distinct features, by source and name."""
        found = {node for node in (*self.nodes(), *self.needed) if isinstance(node, core.Aggregate)}
        return tuple(sorted(found, key=lambda feature: (feature.source, feature.name)))

    @cached_property
    def customer_fields(self) -> tuple[core.Field, ...]:
        """The distinct customer columns that predicates read."""
        read = (*self.nodes(), *self.needed)
        found = {node for node in read if isinstance(node, core.Field) and node.source == "customers"}
        return tuple(sorted(found, key=lambda column: column.name))

    @cached_property
    def sequences(self) -> tuple[core.Sequence, ...]:
        """The distinct sequences, by name."""
        found = {node for node in self.nodes() if isinstance(node, core.Sequence)}
        return tuple(sorted(found, key=lambda sequence: sequence.name))

    @cached_property
    def percentiles(self) -> tuple[tuple[core.Value, core.Percentile], ...]:
        """The distinct relative bounds, each with the value that it bounds."""
        return core.percentiles_of(self.nodes())

    @cached_property
    def sources(self) -> frozenset[str]:
        """The sources, besides customers, whose rows the definitions ask about."""
        steps = (rows.source for sequence in self.sequences for rows in sequence.occurrences)
        return frozenset((*(feature.source for feature in self.features), *steps))

    @property
    def held(self) -> frozenset[str]:
        """Segments whose members are carried over instead of evaluated."""
        return self.fixed | frozenset(self.stalled)

    def stall(self, reasons: Mapping[str, str]) -> EvaluationPlan:
        """The plan without these segments, nor those that refer to them."""
        if not reasons:
            return self
        references = {planned.id: planned.segment.references() for planned in self.segments}
        stalled = {**self.stalled, **_close(reasons, references)}
        kept = tuple(planned for planned in self.segments if planned.id not in stalled)
        return replace(self, segments=kept, stalled=stalled)

    def _repr_html_(self) -> str:
        """What the night computes, for notebooks: the segments, and the features that they share."""
        from segment_lib.html_tables import note, table

        plain = self.to_dict()
        waiting = [{"id": name, "held back": why} for name, why in plain["stalled"].items()]
        segments = [{**row, "scores": ", ".join(row["scores"]) or None} for row in plain["segments"]]
        tables = (segments, waiting, plain["features"])
        return note(plain["snapshot_date"]) + "".join(table(rows) for rows in tables if rows)

    def to_dict(self) -> dict[str, Any]:
        """The plan as plain data, for ``seglake plan --json``."""
        uses: dict[core.Aggregate, int] = {}
        for planned in self.segments:
            for feature in {node for node in planned.reduced.walk() if isinstance(node, core.Aggregate)}:
                uses[feature] = uses.get(feature, 0) + 1
        return {
            "snapshot_date": self.clock.snapshot_date.isoformat(),
            "as_of": self.clock.as_of.isoformat(),
            "segments": [
                {"id": planned.id, "level": planned.level, "hash": self.hashes[planned.id],
                 "scores": list(core.scores_of(planned.reduced.walk())), "definition": planned.segment.label()}
                for planned in self.segments
            ],
            "fixed": sorted(self.fixed),
            "stalled": dict(sorted(self.stalled.items())),
            "features": [
                {"name": feature.name, "source": feature.source, "function": feature.function,
                 "of": getattr(getattr(feature, "field", None), "name", None),
                 "from": _instant(feature.window.start), "to": _instant(feature.window.end),
                 "used_by": uses.get(feature, 0)}
                for feature in self.features
            ],
            "sequences": len(self.sequences),
            "percentiles": len(self.percentiles),
            "limits": sum(planned.reduced.cut is not None for planned in self.segments),
            "customer_fields": [column.name for column in self.customer_fields],
        }


def _instant(edge: datetime | None) -> str | None:
    return None if edge is None else edge.isoformat()


def build_plan(
    segments: Sequence[Segment],
    catalogue: Catalogue,
    clock: Clock,
    *,
    fixed: frozenset[str] = frozenset(),
    stalled: Mapping[str, str] | None = None,
    only: Iterable[str] | None = None,
    scores: frozenset[str] = frozenset(),
    needed: tuple[core.Value, ...] = (),
    totals: frozenset[str] = frozenset(BASIC),
) -> EvaluationPlan:
    """The plan of one night.

    `fixed` are static segments that are frozen, beside the inactive ones, which the plan finds itself. `stalled` maps
    ids to the reason why they cannot be evaluated; scores that are not among `scores` add to it, and references close
    it. With `only`, just these and whoever refers to them are evaluated, and all others are fixed or stay stalled.
    `needed` are the features that scores are made of, `totals` what metrics add up. Definitions must have passed checking.
    """
    by_id = {segment.id: segment for segment in segments}
    references = {segment.id: segment.references() for segment in segments}
    order = list(TopologicalSorter({name: sorted(refs & by_id.keys()) for name, refs in references.items()}).static_order())
    hashes = _effective_hashes(order, by_id)
    fixed = frozenset(fixed & by_id.keys()) | {segment.id for segment in segments if segment.status == "inactive"}
    if only is not None:
        touched = dependants(only, references)
        fixed = fixed | (by_id.keys() - touched - (stalled or {}).keys())
    scope = Scope(catalogue, clock, frozenset(by_id))
    reduced = {name: by_id[name].reduce(scope) for name in order if name not in fixed}
    reasons = dict(stalled or {})
    for name, part in reduced.items():
        waits = [score for score in core.scores_of(part.walk()) if score not in scores]
        missing = sorted(references[name] - by_id.keys())
        if waits:
            reasons.setdefault(name, f"waiting for scores: {', '.join(waits)}")
        elif missing:
            reasons.setdefault(name, f"refers to {missing[0]}, which has no valid version")
    reasons = {name: reason for name, reason in reasons.items() if name not in fixed}
    closed = _close(reasons, {name: references[name] for name in reduced})
    evaluated = [name for name in order if name in reduced and name not in closed]
    levels: dict[str, int] = {}
    for name in evaluated:
        levels[name] = 1 + max((levels[other] for other in references[name] if other in levels), default=-1)
    planned = tuple(PlannedSegment(by_id[name], reduced[name], levels[name]) for name in evaluated)
    return EvaluationPlan(clock, catalogue, tuple(segments), planned, fixed, closed, hashes, needed, totals)


def _effective_hashes(order: Sequence[str], by_id: Mapping[str, Segment]) -> dict[str, str]:
    hashes: dict[str, str] = {}
    for name in order:
        referred = sorted(other for other in by_id[name].references() if other in hashes)
        own = by_id[name].definition_hash
        hashes[name] = canonical.fingerprint([own, *(hashes[other] for other in referred)]) if referred else own
    return hashes


def _close(reasons: Mapping[str, str], references: Mapping[str, frozenset[str]]) -> dict[str, str]:
    """The reasons, and for everyone who refers to a stalled segment the chain that leads there."""
    closed = dict(reasons)
    chains = {name: (name,) for name in reasons}
    waiting = sorted(reasons)
    while waiting:
        stalled = waiting.pop(0)
        for name in sorted(name for name, refs in references.items() if stalled in refs and name not in closed):
            chains[name] = (name, *chains[stalled])
            closed[name] = f"{reasons[chains[name][-1]]} ({' -> '.join(chains[name])})"
            waiting.append(name)
    return closed
