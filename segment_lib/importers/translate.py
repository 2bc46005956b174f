"""From a document to files: every segment is translated and checked as any definition, or refused with every reason."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any

from pydantic import ValidationError

from segment_lib.catalogue import Catalogue
from segment_lib.definition.faults import faults_of
from segment_lib.definition.load import load_texts
from segment_lib.definition.segment import Segment
from segment_lib.errors import UsageError
from segment_lib.importers import klaviyo, posthog, segment
from segment_lib.importers.build import Placed
from segment_lib.importers.constructs import Constructs
from segment_lib.importers.document import Finding, Item, Log, Spot, parse_json
from segment_lib.importers.names import Lookup, Names, chosen_id, segment_id
from segment_lib.importers.written import write
from segment_lib.settings import SEGMENT_ID
from segment_lib.strict_yaml import parse, spell


@dataclass(frozen=True)
class Source:
    """A product that definitions come from, and how its documents are read."""

    title: str
    noun: str
    items: Callable[[Spot], tuple[list[Item], list[str]]]
    where: Callable[[Item, Lookup], dict | None]
    constructs: Mapping[str, Constructs]
    plain_text: Callable[[str, str], Any] | None = None


SOURCES = {
    "klaviyo": Source("Klaviyo", "segment", klaviyo.items, klaviyo.where, klaviyo.REGISTRIES),
    "posthog": Source("PostHog", "cohort", posthog.items, posthog.where, posthog.REGISTRIES),
    "segment": Source(
        "Twilio Segment", "audience", segment.items, segment.where, segment.REGISTRIES, segment.plain_text
    ),
}


@dataclass(frozen=True)
class Draft:
    """One segment of the document: the text of its file, or every reason why there is none.

    `notes` are the differences of meaning that remain; they stand in the file too. `places` leads from a part of the
    file to the place of the document that it comes from.
    """

    id: str
    source_id: str
    name: str
    place: str
    text: str = ""
    notes: tuple[Finding, ...] = ()
    reasons: tuple[Finding, ...] = ()
    places: Mapping[str, str] | None = None

    def refused(self, *reasons: Finding) -> Draft:
        """The same segment with further reasons, and then without a file."""
        found = (*self.reasons, *(reason for reason in reasons if reason not in self.reasons))
        return replace(self, reasons=found, text="" if found else self.text)


@dataclass(frozen=True)
class Imported:
    """What a document gave: its segments in order, and warnings about the document itself."""

    drafts: tuple[Draft, ...]
    warnings: tuple[str, ...] = ()


def translate(
    source: Source, text: str, file: str, names: Names | None = None, catalogue: Catalogue | None = None
) -> Imported:
    """The segments of a document, translated but not yet checked.

    `file` is the name for messages; its stem names a segment that has no other name. Raises UsageError when the
    document as a whole is not the source's.
    """
    names = names or Names()
    stem = PurePath(file).name.split(".")[0]
    if source.plain_text and text.strip()[:1] not in ("{", "["):
        value = source.plain_text(text, stem)
    else:
        value = parse_json(text, file)
    faults = Log()
    try:
        items, warnings = source.items(Spot(value, "$", faults))
    except UsageError as error:
        raise UsageError(f"{file}: {error}") from None
    if not items:
        raise UsageError(f"{file}: there is no {source.noun} in it")
    alone = stem if len(items) == 1 else ""
    defaults = [
        segment_id(item.suggested or item.name or alone, f"{source.title} {item.source_id}") for item in items
    ]
    ids = [chosen_id(names, item.aliases, default) for item, default in zip(items, defaults, strict=True)]
    by_alias = {alias: ours for item, ours in zip(items, ids, strict=True) for alias in item.aliases}
    lookup = Lookup(names, catalogue, by_alias)
    drafts: list[Draft] = []
    for item, ours in zip(items, ids, strict=True):
        draft = _draft(source, item, ours, lookup)
        own = [reason for reason in faults.reasons if reason.place.startswith(f"{item.spot.place}.")]
        twin = next((other for other in drafts if draft and other.id == draft.id), None)
        if draft is None:
            listed = names.lists[item.source_id]
            warnings.append(f"{item.spot.place}: {source.noun} {item.source_id} is the list {listed}")
        elif twin:
            drafts.append(draft.refused(*own, Finding(
                draft.place, f"its id would be {ours!r}, as that of {twin.place}; name it in the names file: "
                f"segments: {{{item.source_id or item.name}: ANOTHER_ID}}"
            )))
        else:
            drafts.append(draft.refused(*own))
    return Imported(tuple(drafts), tuple(warnings))


def _draft(source: Source, item: Item, ours: str, lookup: Lookup) -> Draft | None:
    """One segment translated; None for one that is a list here."""
    log = Log()
    logged = replace(item, spot=item.spot.with_log(log), definition=item.definition.with_log(log))
    places: dict[str, str] = {}
    text = ""
    if not SEGMENT_ID.fullmatch(ours):
        log.refuse(item.spot.place, f"{ours!r} cannot be a segment id; use lower-case letters, digits and _")
    try:
        where = source.where(logged, lookup)
        if where is None:
            return None
        if not log.reasons:
            content = {
                "name": " ".join(item.name.split()) or ours, "description": _description(source, item),
                **item.options, "where": where,
            }
            text = write(content, log.notes)
            places = dict(_places(where, ("where",)))
    except RecursionError:
        log.refuse(item.spot.place, "nested too deeply")
    return Draft(ours, item.source_id, item.name, item.spot.place, text, tuple(log.notes), tuple(log.reasons), places)


def _description(source: Source, item: Item) -> str:
    """The document's own description, where it comes from, and the dates that the document gives."""
    dates = [
        f"{verb} {day[:10]}" for verb, day in (("created", item.created), ("last changed", item.updated)) if day
    ]
    origin = ", ".join([" ".join(["Imported from", source.title, source.noun, item.source_id]).strip(), *dates])
    own = " ".join(item.description.split())
    if own and not own.endswith((".", "!", "?")):
        own += "."
    return f"{own} {origin}.".strip()


def _places(part: Any, path: tuple[str | int, ...]) -> Iterator[tuple[str, str]]:
    """Where in the document each condition of the file comes from."""
    if isinstance(part, Placed):
        yield spell(path), part.place
    children = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
    for key, child in children:
        yield from _places(child, (*path, key))


def check(
    drafts: tuple[Draft, ...], folder: str, others: Mapping[str, str | None], catalogue: Catalogue | None
) -> tuple[Draft, ...]:
    """The drafts with the reasons that a check of their files gives; a reference to a refused one is a reason too.

    `others` are the definitions that are there already; a draft takes the place of one of its id. Without a catalogue
    only the form is checked, not the names.
    """
    while True:
        checked = _checked(drafts, folder, others, catalogue)
        if checked == drafts:
            return drafts
        drafts = checked


def _checked(
    drafts: tuple[Draft, ...], folder: str, others: Mapping[str, str | None], catalogue: Catalogue | None
) -> tuple[Draft, ...]:
    sound = {draft.id: draft for draft in drafts if not draft.reasons}
    others = {file: text for file, text in others.items() if PurePath(file).stem not in sound}
    lost = {draft.id for draft in drafts} - sound.keys() - {PurePath(file).stem for file in others}
    broken: dict[str, list[tuple[str, str]]] = {}
    for draft in sound.values():
        for path, name in _references(parse(draft.text, draft.id).value, ()):
            if name in lost:
                broken.setdefault(draft.id, []).append((path, f"it refers to {name!r}, which cannot be imported"))
    if not broken:
        broken = _faults(sound, folder, others, catalogue)
    return tuple(
        draft.refused(*(Finding(_origin(draft, path), why) for path, why in broken.get(draft.id, ())))
        if not draft.reasons else draft
        for draft in drafts
    )


def _faults(
    sound: Mapping[str, Draft], folder: str, others: Mapping[str, str | None], catalogue: Catalogue | None
) -> dict[str, list[tuple[str, str]]]:
    """What is wrong with each file: the part of the file, and why."""
    faults: dict[str, list[tuple[str, str]]] = {}
    if catalogue is None:
        for draft in sound.values():
            raw = parse(draft.text, draft.id).value
            try:
                Segment.model_validate({**raw, "id": draft.id})
            except ValidationError as error:
                faults[draft.id] = [(spell(fault.path), fault.message) for fault in faults_of(error, raw, Segment)]
        return faults
    texts = {f"{folder}/{draft.id}.yaml": draft.text for draft in sound.values()}
    loaded = load_texts({**others, **texts}, catalogue)
    for name, issues in loaded.broken.items():
        mine = [issue for issue in issues if issue.file == f"{folder}/{name}.yaml" and name in sound]
        if mine:
            faults[name] = [
                (issue.path, issue.message + (f"; {issue.hint}" if issue.hint else "")) for issue in mine
            ]
    return faults


def _references(part: Any, path: tuple[str | int, ...]) -> Iterator[tuple[str, str]]:
    """The segments that a definition names, each with its part of the file."""
    if isinstance(part, dict) and isinstance(part.get("segment"), str):
        yield spell(path), part["segment"]
    children = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
    for key, child in children:
        yield from _references(child, (*path, key))


def _origin(draft: Draft, path: str) -> str:
    """The place of the document that a part of the file comes from: that of the nearest condition around it."""
    around = [known for known in draft.places or {} if path == known or path.startswith((f"{known}.", f"{known}["))]
    return (draft.places or {})[max(around, key=len)] if around else draft.place


