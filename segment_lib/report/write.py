"""Puts a report in its place, as a whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from segment_lib.errors import StorageError
from segment_lib.report.content import Content
from segment_lib.report.page import render


def write(content: Content, output: str | Path | None = None) -> Path:
    """Writes the page; gives its absolute path. A folder gets a file TENANT-DATE.html. StorageError says what failed."""
    name = f"{content.tenant}-{content.snapshot_date}.html"
    path = Path(output or name).expanduser().absolute()
    path = path / name if path.is_dir() else path
    page = render(content).encode()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".seglake-", delete=False) as file:
            file.write(page)
        os.chmod(file.name, 0o644)
        os.replace(file.name, path)
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror or type(error).__name__}") from None
    return path
