"""One segment as a published date had it: its definition then, its inputs, and what decided on its members.

References to other segments mean their published members of that date, which is what the night itself saw.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from segment_lib import core, definitions_log, preparation, profiles
from segment_lib.catalogue import Catalogue
from segment_lib.clock import Clock
from segment_lib.columns import Names
from segment_lib.definition import Segment
from segment_lib.definition.check import check_segment
from segment_lib.definition.segment import Reduced
from segment_lib.definitions_log import Definition, Definitions, DefinitionState
from segment_lib.errors import UsageError, nearest
from segment_lib.language.scope import Scope
from segment_lib.plan import EvaluationPlan, PlannedSegment
from segment_lib.runs import RunRecord, details
from segment_lib.scan import field_name

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from segment_lib.storage import Lake

_WORDS = {
    DefinitionState.INACTIVE: "it is inactive, so it is not computed and keeps its members",
    DefinitionState.WAITING: "it was waiting that night and kept its members",
    DefinitionState.SET_ASIDE: "it was set aside that night and kept its members",
    DefinitionState.STATIC: "it is static, so its members are those that were frozen",
}


@dataclass(frozen=True)
class Published:
    """A segment at a published date: the run that counts, its row in the list of definitions, and the definition."""

    run: RunRecord
    row: Definition
    segment: Segment
    ids: frozenset[str]
    catalogue: Catalogue
    clock: Clock

    @property
    def held(self) -> str | None:
        """Why its members are kept ones and not those that the conditions give; None when the conditions decided."""
        state = self.row.state
        if state is DefinitionState.STATIC and self.segment.id in self.run.noted("frozen"):
            return None
        if state in _WORDS:
            return _WORDS[state] + (f": {self.row.reason}" if self.row.reason else "")
        waits = self.waits_for(self.reduced)
        return f"{_WORDS[DefinitionState.WAITING]}: waiting for scores: {', '.join(waits)}" if waits else None

    def waits_for(self, part: Reduced | core.Node) -> tuple[str, ...]:
        """The scores that a part of it asks for and the run did not give."""
        return tuple(score for score in core.scores_of(part.walk()) if score not in self.run.scores)

    @cached_property
    def reduced(self) -> Reduced:
        """The definition in core form, at that date."""
        return self.segment.reduce(self.scope_on(self.run.snapshot_date))

    @cached_property
    def scope(self) -> Scope:
        """Where its conditions reduce one by one to what they are inside of the whole."""
        return replace(self.scope_on(self.run.snapshot_date), population=self.reduced.population)

    def scope_on(self, day: date) -> Scope:
        """The same for another date, to see how windows move; percentiles in it are of everyone."""
        return Scope(self.catalogue, replace(self.clock, snapshot_date=day), self.ids)

    def scored(self, customers: DataFrame, lake: Lake) -> DataFrame:
        """The customers with the scores that it asks for, as its run published them."""
        return profiles.with_scores(customers, lake, self.run, core.scores_of(self.reduced.walk()))

    def plan(self, tests: Iterable[core.Test] = ()) -> EvaluationPlan:
        """The plan of this segment alone, which also collects what more `tests` need; the other segments are fixed."""
        reduced = self.reduced
        wider = replace(reduced, test=core.All((reduced.population, reduced.test, *tests)))
        planned = PlannedSegment(self.segment, wider, 0)
        return EvaluationPlan(
            self.clock, self.catalogue, (self.segment,), (planned,), self.ids - {self.segment.id}, {},
            {self.segment.id: self.segment.definition_hash},
        )


def find(lake: Lake, run: RunRecord, segment_id: str) -> Published:
    """The segment of that id in a published run.

    Raises UsageError when it had none, or none that can be read now, or when the scores it asks for are no longer kept.
    """
    return finder(lake, run)(segment_id)


def finder(lake: Lake, run: RunRecord) -> Callable[[str], Published]:
    """`find` for many segments of a run, whose log and definitions are read once."""
    preparation.require(lake, run, f"the inputs of {run.snapshot_date}")
    run = details(lake, run)
    listed = definitions_log.read(lake, run)
    recorded = Definitions.from_json(run.definitions, run.noted("broken"))
    return lambda segment_id: _found(lake, run, listed, recorded, segment_id)


def _found(
    lake: Lake, run: RunRecord, listed: Mapping[str, Definition], recorded: Definitions, segment_id: str
) -> Published:
    segment, row = recorded.by_id.get(segment_id), listed.get(segment_id)
    if segment is None or row is None:
        if row is not None:
            raise UsageError(f"{segment_id} has no definition on {run.snapshot_date}: it is {row.state}, {row.reason}")
        raise UsageError(f"no segment {segment_id!r} on {run.snapshot_date}; {nearest(segment_id, listed)}")
    catalogue = lake.settings.names()
    faults = [fault for fault in check_segment(segment, frozenset(listed), catalogue) if fault.severity == "error"]
    if faults:
        raise UsageError(
            f"the definition of {segment_id} on {run.snapshot_date} does not fit the names in conf any more: "
            + "; ".join(fault.message for fault in faults)
        )
    found = Published(
        run, row, segment, frozenset(listed), catalogue, Clock(run.snapshot_date, lake.settings.zone)
    )
    profiles.require(lake, run, core.scores_of(found.reduced.walk()))
    return found


def names_of(found: Published) -> Names:
    """How conditions find values in rows of customers that carry ``_published``, a map from segment to since."""
    return Names(
        found.clock.zone.key,
        field=lambda column: F.col(f"`{field_name(column)}`"),
        member=lambda segment: F.map_contains_key(F.col("_published"), F.lit(segment)),
        since=lambda segment: F.try_element_at(F.col("_published"), F.lit(segment)),
    )
