"""What is to be synced: which segment goes to which destination, by conf and by its definition, and by which rules."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from segment_lib.definition import Segment
from segment_lib.definitions_log import Definition, DefinitionState
from segment_lib.errors import UsageError, nearest
from segment_lib.recipients import Rules
from segment_lib.sync.fuse import Fuse

if TYPE_CHECKING:
    from segment_lib.settings import Settings
    from segment_lib.sync_settings import DestinationEntry

INCLUDE = "include"


@dataclass(frozen=True)
class Target:
    """One segment at one destination.

    `entry` is None when conf has no such destination; `segment` when no definition or conf names the audience any more
    and it is only there because it was synced before.
    """

    destination: str
    segment_id: str
    entry: DestinationEntry | None
    segment: Segment | None
    used_as: str = INCLUDE
    ahead: tuple[str, ...] = ()

    @property
    def place(self) -> tuple[str, str]:
        return self.destination, self.segment_id

    @property
    def fuse(self) -> Fuse:
        """When it is held."""
        assert self.entry is not None
        guard = self.segment.guard if self.segment else None
        fuse = self.entry.fuse
        return Fuse(
            fuse.nights, fuse.change, fuse.unreachable, self.entry.min_size,
            int(guard.change.removesuffix("%")) if guard else None,
        )

    def rules(self, settings: Settings) -> Rules:
        """Who of the members is kept out."""
        assert self.entry is not None and self.segment is not None
        consent = None if self.entry.consent == "none" else self.entry.consent
        return Rules(self.segment.holdout, consent, settings.suppression, self.ahead)

    def name(self, tenant: str) -> str:
        """The outside name of a new audience; one that says nothing of the segment where conf asks for that."""
        if self.entry is not None and self.entry.opaque_names:
            digest = hashlib.sha256(f"{tenant}\x1f{self.segment_id}".encode()).hexdigest()
            return f"audience {digest[:12]}"
        return self.segment.title if self.segment else self.segment_id


def targets(
    settings: Settings, listed: Mapping[str, Definition], known: Collection[tuple[str, str]],
    destinations: Sequence[str] = (), segments: Sequence[str] = (),
) -> tuple[Target, ...]:
    """All targets by destination and segment, or those that are asked for.

    `known` are audiences that were synced before. UsageError for a name that nothing goes to.
    """
    definitions = {
        name: Segment.from_json(row.definition) for name, row in listed.items()
        if row.definition and row.state is not DefinitionState.DELETED
    }
    found: dict[tuple[str, str], Target] = {}
    for name, segment in definitions.items():
        for to in segment.sync:
            found[to.to, name] = Target(to.to, name, settings.destinations.get(to.to), segment, to.use)
    for destination, entry in settings.destinations.items():
        for name in entry.segments:
            if name not in definitions:
                hint = nearest(name, definitions)
                raise UsageError(f"destinations.{destination}.segments: no segment {name!r} is published; {hint}")
            found.setdefault((destination, name), Target(destination, name, entry, definitions[name]))
    for place in known:
        found.setdefault(place, Target(*place, settings.destinations.get(place[0]), None))
    for asked, there in ((destinations, {place[0] for place in found}), (segments, {place[1] for place in found})):
        for name in asked:
            if name not in there:
                raise UsageError(f"nothing is synced by the name {name!r}; {nearest(name, there)}".rstrip("; "))
    return tuple(
        _ahead(target, found) for place, target in sorted(found.items())
        if (not destinations or place[0] in destinations) and (not segments or place[1] in segments)
    )


def _ahead(target: Target, found: Mapping[tuple[str, str], Target]) -> Target:
    """The target with the segments that go before it at its destination."""
    order = target.entry.priority if target.entry else ()
    if target.segment_id not in order:
        return target
    before = order[:order.index(target.segment_id)]
    there = tuple(name for name in before if (target.destination, name) in found)
    return Target(target.destination, target.segment_id, target.entry, target.segment, target.used_as, there)
