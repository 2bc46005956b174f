"""Definitions from files: every file is read and checked, and every fault of every file is reported at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from segment_lib.catalogue import Catalogue
from segment_lib.definition.check import check_segment
from segment_lib.definition.faults import faults_of
from segment_lib.definition.references import cycle_faults
from segment_lib.definition.repair import Repaired, repair
from segment_lib.definition.segment import Segment
from segment_lib.errors import ConfError, Issue, nearest
from segment_lib.language.scope import Fault
from segment_lib.settings import SEGMENT_ID
from segment_lib.strict_yaml import Document, parse


@dataclass(frozen=True)
class Loaded:
    """What a folder of definitions holds: those that may run, and what is wrong with the others.

    `broken` maps the id of each faulty file to its issues; `issues` are all of them, warnings included, in order.
    `documents` are the files that could be read, by segment id.
    """

    segments: tuple[Segment, ...]
    issues: tuple[Issue, ...] = ()
    broken: Mapping[str, tuple[Issue, ...]] = field(default_factory=dict)
    documents: Mapping[str, Document] = field(default_factory=dict, repr=False, compare=False)

    @property
    def errors(self) -> tuple[Issue, ...]:
        """The issues that keep a definition from running."""
        return tuple(issue for issue in self.issues if issue.severity == "error")

    @property
    def ids(self) -> frozenset[str]:
        """The segments that may be referred to; a broken file runs with its last valid version."""
        return frozenset(segment.id for segment in self.segments) | frozenset(self.broken)

    def placed(self, segment_id: str, faults: Iterable[Fault]) -> list[Issue]:
        """Faults of a definition at their places in its file."""
        return _issues(self.documents[segment_id], faults)


def load_segments(folder: Path, catalogue: Catalogue) -> Loaded:
    """The definitions in ``folder/*.yaml``, checked against the catalogue.

    A file that is not UTF-8, or is named ``.yml``, is an issue as well. Raises ConfError only when there is no folder.
    """
    if not folder.is_dir():
        raise ConfError([Issue(str(folder), 1, "", "no such folder of definitions", "seglake init makes one")])
    texts: dict[str, str | None] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix in (".yaml", ".yml") and path.is_file():
            try:
                texts[str(path)] = path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                texts[str(path)] = None
    return load_texts(texts, catalogue)


def load_texts(texts: Mapping[str, str | None], catalogue: Catalogue) -> Loaded:
    """Definitions from file names and their contents; None is content that is not UTF-8."""
    documents: dict[str, Document] = {}
    parsed: dict[str, Segment] = {}
    repaired: dict[str, tuple[Repaired, list[Fault]]] = {}
    issues: list[Issue] = []
    broken: dict[str, list[Issue]] = {}
    seen: dict[str, str] = {}

    def note(segment_id: str, found: Iterable[Issue]) -> None:
        for issue in found:
            issues.append(issue)
            if issue.severity == "error":
                broken.setdefault(segment_id, []).append(issue)

    for file, text in texts.items():
        segment_id = Path(file).stem
        try:
            documents[segment_id] = document = _document(file, text, segment_id, seen)
            raw = _raw(document)
        except ConfError as error:
            note(segment_id, error.issues)
            continue
        try:
            parsed[segment_id] = Segment.model_validate({**raw, "id": segment_id})
        except ValidationError as error:
            faults = faults_of(error, raw, Segment)
            note(segment_id, _issues(document, faults))
            rest = repair(raw, segment_id, faults)
            if rest is not None:
                repaired[segment_id] = rest, faults

    # References may name a broken file: it runs with its last valid version, and is reported itself.
    ids = frozenset(parsed) | frozenset(broken)
    for segment_id, segment in parsed.items():
        faults = check_segment(segment, ids, catalogue)
        note(segment_id, _issues(documents[segment_id], faults))
    for segment_id, (rest, faults) in repaired.items():
        more = rest.told(check_segment(rest.segment, ids, catalogue), faults)
        note(segment_id, _issues(documents[segment_id], more))
    references = {segment_id: segment.references() for segment_id, segment in parsed.items()}
    for segment_id in parsed:
        note(segment_id, _issues(documents[segment_id], cycle_faults(segment_id, references)))
    segments = tuple(segment for segment_id, segment in sorted(parsed.items()) if segment_id not in broken)
    return Loaded(segments, tuple(sorted(issues)), {key: tuple(found) for key, found in broken.items()}, documents)


def _document(file: str, text: str | None, segment_id: str, seen: dict[str, str]) -> Document:
    def fail(message: str, hint: str = "") -> ConfError:
        return ConfError([Issue(file, 1, "", message, hint)])

    if file.endswith(".yml"):
        raise fail("definitions end in .yaml", f"rename it to {Path(file).stem}.yaml")
    if not SEGMENT_ID.fullmatch(segment_id):
        raise fail(f"the file name {segment_id!r} cannot be a segment id",
                   "use 1 to 63 lower-case letters, digits and _, beginning with a letter")
    other = seen.setdefault(segment_id.lower(), file)
    if other != file:
        raise fail(f"the same segment id as {other}", "keep one of the two")
    if text is None:
        raise fail("not UTF-8 text", "save it as UTF-8")
    return parse(text, file)


def _raw(document: Document) -> dict[str, Any]:
    if not isinstance(document.value, dict):
        raise ConfError([Issue(document.file, 1, "", "a definition is a mapping with the key 'where'")])
    if "id" in document.value:
        raise ConfError([document.issue(("id",), "the file name is the id", "leave the key out")])
    return document.value


def _issues(document: Document, faults: Iterable[Fault]) -> list[Issue]:
    return [document.issue(fault.path, fault.message, fault.hint, fault.severity, fault.code) for fault in faults]


def find_segment(segments: Iterable[Segment], segment_id: str) -> Segment:
    """The segment of that id; raises ConfError that names the nearest."""
    known = {segment.id: segment for segment in segments}
    if segment_id not in known:
        raise ConfError([Issue("segments", 1, "", f"unknown segment {segment_id!r}", nearest(segment_id, known))])
    return known[segment_id]
