"""A new project: conf with three example segments, and what a person needs to go on."""

from __future__ import annotations

import re
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from segment_lib.errors import StorageError, UsageError

#: Template file -> its name in the project, where packaging would lose that name.
RENAMED = {"gitignore": ".gitignore"}


def scaffold(folder: Path) -> list[Path]:
    """Writes a new project into `folder`, which must be absent or empty; returns its files, in order."""
    title = folder.resolve().name
    return _write(_templates() / "project", folder, {"title": title, "tenant": tenant_id(title)})


def scaffold_demo(folder: Path) -> list[Path]:
    """Writes the project of the demo shop into `folder`, which must be absent or empty; returns its files, in order."""
    packaged = _templates() / "demo"
    # In a checkout the demo's conf is the repository's own; packaging puts a copy of it beside the other template.
    source = packaged if packaged.is_dir() else Path(__file__).parent.parent / "conf"
    return _write(source, folder / "conf", {})


def _templates() -> Traversable:
    return files("segment_lib") / "templates"


def _write(source: Traversable, folder: Path, values: dict[str, str]) -> list[Path]:
    if folder.is_dir() and any(folder.iterdir()):
        raise UsageError(f"{folder} is not empty; name a new folder")
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file; name a new folder")
    try:
        return sorted(_copy(source, folder, values))
    except OSError as error:
        raise StorageError(f"{folder} cannot be written: {error.strerror}") from None


def tenant_id(title: str) -> str:
    """A tenant id made of a folder's name.

    >>> tenant_id("My Shop (EU)"), tenant_id("--")
    ('my-shop-eu', 'shop')
    """
    return re.sub(r"[^a-z0-9_]+", "-", title.lower()).strip("-_")[:63] or "shop"


def _copy(source: Traversable, target: Path, values: dict[str, str]) -> list[Path]:
    target.mkdir(parents=True, exist_ok=True)
    written = []
    for entry in source.iterdir():
        path = target / RENAMED.get(entry.name, entry.name)
        if entry.is_dir():
            written += _copy(entry, path, values)
            continue
        text = entry.read_text(encoding="utf-8")
        for name, value in values.items():
            text = text.replace(f"${name}", value)
        path.write_text(text, encoding="utf-8")
        written.append(path)
    return written
