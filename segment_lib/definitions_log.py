"""The `segments` table: for each run the full list of definitions, what state each is in, and since when.

A deleted segment stays on the list with its last definition, so its history can be read; a broken file keeps the last
version that was valid.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from typing import TYPE_CHECKING, Any

from segment_lib.definition import Segment, canonical
from segment_lib.errors import ConfError, UsageError, nearest
from segment_lib.tables import OUTPUTS, ddl

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from segment_lib.definition import Loaded
    from segment_lib.runs import RunRecord
    from segment_lib.storage import Lake


class DefinitionState(enum.StrEnum):
    """The state of a definition on a night."""

    ACTIVE = "active"
    INACTIVE = "inactive"
    STATIC = "static"
    WAITING = "waiting"
    SET_ASIDE = "set_aside"
    BROKEN = "broken"
    DELETED = "deleted"


@dataclass(frozen=True)
class Definition:
    """One row of `segments`, without its stamp. A broken file that never was valid has neither hash nor definition."""

    segment_id: str
    definition_hash: str | None
    name: str | None
    kind: str | None
    status: str | None
    state: DefinitionState
    reason: str
    definition: str | None
    used_by: tuple[str, ...]
    created_at: date | None
    updated_at: date | None


@dataclass(frozen=True)
class Definitions:
    """What a run works with: the segments, and what is wrong with the files that are broken.

    A broken file whose last valid version runs has a segment here too.
    """

    segments: tuple[Segment, ...]
    broken: Mapping[str, str]

    @property
    def by_id(self) -> dict[str, Segment]:
        return {segment.id: segment for segment in self.segments}

    @property
    def references(self) -> dict[str, frozenset[str]]:
        """What each segment refers to."""
        return {segment.id: segment.references() for segment in self.segments}

    def to_json(self) -> str:
        """The definitions as the log keeps them: a JSON list in order of ids."""
        ordered = sorted(self.segments, key=lambda segment: segment.id)
        return canonical.dumps([segment.to_plain() for segment in ordered])

    @classmethod
    def from_json(cls, text: str | None, broken: Mapping[str, str]) -> Definitions:
        """The definitions that the log kept."""
        return cls(tuple(Segment.model_validate(one) for one in canonical.loads(text or "[]")), broken)


def resolve(loaded: Loaded, last: Mapping[str, Definition], *, strict: bool) -> Definitions:
    """The definitions of a full run: every valid file, and for a broken one its last valid version if there is one.

    `last` is the list of the last published run. With `strict` any broken file is a ConfError.
    """
    if strict and loaded.broken:
        raise ConfError(issue for issues in loaded.broken.values() for issue in issues)
    earlier = [
        Segment.from_json(row.definition)
        for name, row in sorted(last.items())
        if name in loaded.broken and row.definition is not None and row.state is not DefinitionState.DELETED
    ]
    broken = {name: "; ".join(str(issue) for issue in issues) for name, issues in loaded.broken.items()}
    valid = [segment for segment in loaded.segments if segment.id not in loaded.broken]
    return Definitions(tuple(sorted([*valid, *earlier], key=lambda segment: segment.id)), broken)


def edited(recorded: Definitions, loaded: Loaded, only: Iterable[str]) -> Definitions:
    """The definitions of a run of some segments: theirs as the files say now, all others as recorded.

    A segment that has no valid file now cannot be run by name: that is a ConfError or a UsageError.
    """
    wanted, files = set(only), {segment.id: segment for segment in loaded.segments}
    faults = [issue for name in sorted(wanted) for issue in loaded.broken.get(name, ())]
    if faults:
        raise ConfError(faults)
    for name in sorted(wanted - files.keys()):
        raise UsageError(f"there is no segment {name!r}; {nearest(name, files)}")
    merged = recorded.by_id | {name: files[name] for name in wanted}
    broken = {name: why for name, why in recorded.broken.items() if name not in wanted}
    return Definitions(tuple(merged[name] for name in sorted(merged)), broken)


def _state(
    segment: Segment, known: tuple[DefinitionState, str] | None, broken: Mapping[str, str]
) -> tuple[DefinitionState, str]:
    """The state of a segment of tonight, and why: broken first, then what the night knows of it, then active."""
    if segment.id in broken:
        return DefinitionState.BROKEN, broken[segment.id]
    return known or (DefinitionState.ACTIVE, "")


def listing(
    definitions: Definitions,
    states: Mapping[str, tuple[DefinitionState, str]],
    base: Mapping[str, Definition],
    day: date,
) -> tuple[Definition, ...]:
    """The rows of tonight, by id. `states` has the segments that are not simply active, with the reason.

    `base` is the list of the base run: dates go on from there.

    `created_at` is the first published date; `updated_at` that of the last edit, deletion or return.
    """
    rows = {}
    for segment in definitions.segments:
        state, reason = _state(segment, states.get(segment.id), definitions.broken)
        users = tuple(sorted(other.id for other in definitions.segments if segment.id in other.references()))
        before = base.get(segment.id)
        same = before is not None and before.definition_hash == segment.definition_hash
        returned = before is not None and before.state is DefinitionState.DELETED
        rows[segment.id] = Definition(
            segment.id, segment.definition_hash, segment.title, segment.kind, segment.status, state, reason,
            segment.to_json(), users,
            created_at=before.created_at if before and before.created_at else day,
            updated_at=before.updated_at if before and same and not returned else day,
        )
    for name in definitions.broken.keys() - rows.keys():
        why = definitions.broken[name]
        rows[name] = Definition(name, None, None, None, None, DefinitionState.BROKEN, why, None, (), None, None)
    for name in base.keys() - rows.keys():
        gone = base[name]
        if gone.definition is None:
            continue
        fresh = gone.state is not DefinitionState.DELETED
        rows[name] = replace(
            gone, state=DefinitionState.DELETED, reason="its file was removed", used_by=(),
            updated_at=day if fresh else gone.updated_at,
        )
    return tuple(rows[name] for name in sorted(rows))


def deleted(rows: Iterable[Definition]) -> frozenset[str]:
    """The segments whose file is gone."""
    return frozenset(row.segment_id for row in rows if row.state is DefinitionState.DELETED)


def with_copied(
    rows: Sequence[Definition], copied: Mapping[str, Definition], recomputed: Iterable[str]
) -> tuple[Definition, ...]:
    """The rows with those that were not recomputed as another run listed them; who uses them is of now."""
    computed = set(recomputed)
    return tuple(
        row if row.segment_id in computed else replace(copied.get(row.segment_id, row), used_by=row.used_by)
        for row in rows
    )


def frame(spark: SparkSession, rows: Sequence[Definition], day: date, run_id: str) -> DataFrame:
    """The rows of `segments`."""
    values = [(day, run_id, *_values(row)) for row in rows]
    return spark.createDataFrame(values, ddl(OUTPUTS["segments"])).coalesce(1)


def read(lake: Lake, run: RunRecord | None) -> dict[str, Definition]:
    """Segment id -> its row in the list of a run; empty without a run."""
    if run is None:
        return {}
    stored = lake.read("segments")
    mine = stored.where((stored.snapshot_date == run.snapshot_date) & (stored.run_id == run.run_id))
    return {row["segment_id"]: _definition(row.asDict()) for row in mine.collect()}


def _values(row: Definition) -> tuple[Any, ...]:
    values = asdict(row) | {"state": row.state.value, "used_by": list(row.used_by)}
    return tuple(values[name] for name in OUTPUTS["segments"] if name in values)


def _definition(row: dict[str, Any]) -> Definition:
    values = {name: row[name] for name in Definition.__dataclass_fields__}
    return Definition(**values | {"state": DefinitionState(row["state"]), "used_by": tuple(row["used_by"] or ())})
