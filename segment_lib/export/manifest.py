"""The manifest of an export: what lies in its folder. It is written last, so a folder without one is not ready.

A folder is ``OUTPUT/TENANT/SEGMENT/as_of=DATE/run=ID/full`` or ``.../delta``; ids begin with the time of the export, so
the greatest is the last.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from segment_lib.errors import StorageError
from segment_lib.objects import Objects
from segment_lib.runs import begun

FORMAT_VERSION = 1
NAME = "manifest.json"
Mode = Literal["full", "delta"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class File(_Part):
    """One file: its path below the manifest's folder, its size in bytes, its rows, and the hash of its content."""

    path: str
    bytes: int
    rows: int
    sha256: str


class Column(_Part):
    """A column of the files: its name, its Spark type, and whether its values are masked."""

    name: str
    type: str
    masked: bool = False


class Manifest(_Part):
    """What lies in a folder, and what it was made of.

    `source` identifies everything that the rows follow from; `base_run_id` is the export that a delta is measured from.
    """

    format_version: int = FORMAT_VERSION
    tenant: str
    segment_id: str
    definition_hash: str | None
    as_of: date
    run_id: str
    snapshot_run_id: str
    mode: Mode
    base_run_id: str | None = None
    counts: dict[str, int]
    format: str
    columns: tuple[Column, ...]
    files: tuple[File, ...]
    source: dict[str, Any]
    created_at: datetime

    def to_bytes(self) -> bytes:
        return (json.dumps(self.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n").encode()


@dataclass(frozen=True)
class Shelf:
    """The exports of one segment at one output."""

    objects: Objects

    def folder(self, day: date, run_id: str, mode: Mode) -> str:
        """The path of an export below the shelf.

        >>> Shelf(None).folder(date(2026, 1, 31), "20260201T030000-0123abcd", "full")
        'as_of=2026-01-31/run=20260201T030000-0123abcd/full'
        """
        return f"as_of={day}/run={run_id}/{mode}"

    def last(self) -> Manifest | None:
        """The manifest of the last export; None when there is none. StorageError for one that cannot be read."""
        keys = [key for key in self.objects.list("as_of=") if key.endswith(f"/{NAME}")]
        if not keys:
            return None
        key = max(keys, key=_run_of)
        found = self.objects.read(key)
        try:
            manifest = Manifest.model_validate_json(found[0] if found else b"")
        except ValidationError:
            place = f"{self.objects.url}/{key}"
            raise StorageError(f"{place} is no manifest; remove its folder, or export elsewhere") from None
        if manifest.format_version != FORMAT_VERSION:
            raise StorageError(
                f"{self.objects.url}/{key} has format version {manifest.format_version}, and this program writes "
                f"{FORMAT_VERSION}; export elsewhere"
            )
        return manifest

    def put(self, manifest: Manifest) -> None:
        """Makes an export ready, in one conditional put; StorageError when it already is."""
        key = f"{self.folder(manifest.as_of, manifest.run_id, manifest.mode)}/{NAME}"
        if self.objects.create(key, manifest.to_bytes()) is None:
            raise StorageError(f"{self.objects.url}/{key} is there already; another export wrote it")

    def sweep(self) -> int:
        """Deletes the files of exports that died before their manifest; the number of files."""
        keys = [key.rpartition("/") for key in self.objects.list("as_of=") if key.count("/") == 3]
        ready = {folder for folder, _, name in keys if name == NAME}
        left = [f"{folder}/{name}" for folder, _, name in keys if folder not in ready and name.startswith("part-")]
        for key in left:
            self.objects.delete(key)
        return len(left)


def _run_of(key: str) -> str:
    return next((part for part in key.split("/") if part.startswith("run=")), "")


def fingerprint(source: Any) -> str:
    """The same eight letters for the same plain data.

    >>> fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    True
    """
    return hashlib.sha256(json.dumps(source, sort_keys=True).encode()).hexdigest()[:8]


def next_id(now: datetime, last: str | None, source: Any) -> str:
    """The id of a new export: its time, which is after the last one's whatever the clock says, and a fingerprint.

    >>> from datetime import UTC
    >>> next_id(datetime(2026, 2, 1, 3, tzinfo=UTC), "20260201T030500-0123abcd", {})[:16]
    '20260201T030501-'
    """
    before = begun(last) if last else None
    at = now if before is None else max(now, before + timedelta(seconds=1))
    return f"{at:%Y%m%dT%H%M%S}-{fingerprint(source)}"
