"""Ready segments copied into a project's conf, where they are the shop's own from then on."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from segment_lib.conf import Conf
from segment_lib.errors import StorageError, UsageError
from segment_lib.ready import Ready

_S3 = re.compile(r"^s3[an]?://")


@dataclass(frozen=True)
class Added:
    """The files that were written, and those that were there already with the same content."""

    written: tuple[str, ...]
    unchanged: tuple[str, ...]


def taken(conf: Conf, tenant: str, ready: Ready) -> dict[str, bool]:
    """The project's files of that id, shared or the tenant's own, and whether each is equal to the ready one."""
    places = (_key(ready), f"tenants/{tenant}/{_key(ready)}")
    return {_full(conf, key): conf.texts[key] == ready.text for key in places if key in conf.texts}


def add(conf: Conf, tenant: str, chosen: Sequence[Ready]) -> Added:
    """Writes the chosen files into the project's ``segments`` folder and returns what was done.

    No file is ever overwritten: files of the same id with other content are a UsageError that names them all, and
    nothing is written. An equal file is left as it is, also where the tenant's own stands for the shared one.
    """
    there = {ready.id: taken(conf, tenant, ready) for ready in chosen}
    others = [file for files in there.values() for file, equal in files.items() if not equal]
    if others:
        raise UsageError(_refusal(others))
    written = [_create(conf, ready) for ready in chosen if not there[ready.id]]
    return Added(tuple(written), tuple(file for files in there.values() for file in files))


def _refusal(files: Sequence[str]) -> str:
    which = "is there with other content" if len(files) == 1 else "are there with other content"
    return (
        f"{', '.join(files)} {which}, and a definition is never overwritten; nothing was written. "
        "Name the others by id, or rename yours first: the file name is the segment's id and its history"
    )


def _create(conf: Conf, ready: Ready) -> str:
    """Writes one file where there is none; one that came up in the meantime is refused like any other."""
    file = _full(conf, _key(ready))
    if _S3.match(conf.name):
        from segment_lib.objects import open_objects

        if open_objects(conf.name).create(_key(ready), ready.text.encode()) is None:
            raise UsageError(_refusal([file]))
        return file
    try:
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        with open(file, "x", encoding="utf-8", newline="") as target:
            target.write(ready.text)
    except FileExistsError:
        raise UsageError(_refusal([file])) from None
    except OSError as error:
        raise StorageError(f"{file} cannot be written: {error.strerror}") from None
    return file


def _key(ready: Ready) -> str:
    return f"segments/{ready.id}.yaml"


def _full(conf: Conf, key: str) -> str:
    return f"{conf.name.rstrip('/')}/{key}"
