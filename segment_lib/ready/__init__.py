"""Ready segments: definitions that fit any shop, to be copied into a project and owned there.

Each is one YAML file of this package, with the reasoning in its description. They use standard columns only and bounds
that are relative to the shop, and refer to no other segment, so that each can be added on its own. No Spark here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

from segment_lib.catalogue import MODEL_SCORES, Catalogue
from segment_lib.definition.check import check_segment
from segment_lib.definition.segment import Segment
from segment_lib.errors import UsageError, nearest
from segment_lib.language.model import Model
from segment_lib.language.rows import EventType
from segment_lib.strict_yaml import parse

#: Group -> where its segments come from, in the order in which they are listed. A file names its group in its tags.
GROUPS = {
    "segmentify": "the ten groups that Segmentify offers",
    "attribuly": "Attribuly's six groups by recency, frequency and revenue",
    "daily": "ten that shops use daily",
}


@dataclass(frozen=True)
class Ready:
    """One ready segment: the definition, and its file as it is copied."""

    segment: Segment
    text: str = field(repr=False)

    @property
    def id(self) -> str:
        return self.segment.id

    @property
    def title(self) -> str:
        return self.segment.title

    @property
    def description(self) -> str:
        """Whom it finds, why these conditions, what to do with it, and what may surprise."""
        return self.segment.description or ""

    @property
    def group(self) -> str:
        """One of GROUPS."""
        return next(tag for tag in self.segment.tags if tag in GROUPS)

    @property
    def scores(self) -> tuple[str, ...]:
        """The scores that it asks for, sorted."""
        found = {part.given().get("score") for part in _parts(self.segment)}
        return tuple(sorted(name for name in found if isinstance(name, str)))

    @property
    def waits_for(self) -> tuple[str, ...]:
        """Those of its scores that need a trained model; empty when plain data is enough."""
        return tuple(name for name in self.scores if name in MODEL_SCORES)

    @property
    def event_types(self) -> tuple[str, ...]:
        """The event types that it names, sorted."""
        found = {part.type for part in _parts(self.segment) if isinstance(part, EventType)}
        return tuple(sorted(found - {"any"}))

    @property
    def needs(self) -> str:
        """The scores and event types in words; empty when standard columns are enough."""
        parts = (("scores", self.scores), ("events", self.event_types))
        return "; ".join(f"{what} {', '.join(names)}" for what, names in parts if names)

    def missing(self, catalogue: Catalogue) -> tuple[str, ...]:
        """What the catalogue lacks for it, such as ``event type 'added_to_cart'``; empty when it can run.

        A score that the catalogue has is not missing, even while no model publishes it: the segment waits for it.
        """
        faults = check_segment(self.segment, frozenset({self.id}), catalogue)
        lacking = (fault.message.removeprefix("unknown ") for fault in faults if fault.severity == "error")
        return tuple(dict.fromkeys(lacking))


@cache
def ready_segments() -> tuple[Ready, ...]:
    """All of them, by group in the order of GROUPS, then by id.

    >>> len(ready_segments()), ready_segments()[0].id
    (26, 'active_loyals')
    """
    read = [_read(file.name, file.read_text(encoding="utf-8")) for file in files(__name__).iterdir()
            if file.name.endswith(".yaml")]
    return tuple(sorted(read, key=lambda ready: (tuple(GROUPS).index(ready.group), ready.id)))


def choose(ids: Iterable[str] = (), group: str | None = None) -> tuple[Ready, ...]:
    """Those with the given ids or of the given group, in the order of the list; the id ``all``, or neither, is all.

    Raises UsageError for an unknown id or group, with the nearest, and for an id that is not of the group.

    >>> [ready.id for ready in choose(["vip", "lapsed_vip"])]
    ['lapsed_vip', 'vip']
    """
    if group is not None and group not in GROUPS:
        raise UsageError(f"there is no group {group!r} of ready segments; {nearest(group, GROUPS)}")
    within = {ready.id: ready for ready in ready_segments() if group in (None, ready.group)}
    wanted = set(ids)
    for name in sorted(wanted - {"all"} - within.keys()):
        where = f" in the group {group}" if group else ""
        raise UsageError(f"there is no ready segment {name!r}{where}; {nearest(name, within)}")
    everyone = not wanted or "all" in wanted
    return tuple(ready for ready in within.values() if everyone or ready.id in wanted)


def _read(name: str, text: str) -> Ready:
    value = parse(text, name).value
    return Ready(Segment.model_validate({**value, "id": name.removesuffix(".yaml")}), text)


def _parts(value: Any) -> Iterator[Model]:
    """Every authored part of a definition, parents first."""
    if isinstance(value, Model):
        yield value
        value = value.given()
    if isinstance(value, dict):
        value = tuple(value.values())
    if isinstance(value, tuple | list):
        for part in value:
            yield from _parts(part)
