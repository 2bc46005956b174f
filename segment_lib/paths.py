"""Paths of files, folders and object stores, without Spark."""

from __future__ import annotations

import os
import re

from segment_lib.errors import StorageError

_GLOB = re.compile(r"([\\*?\[\]{}])")


def literal_path(path: str) -> str:
    r"""A path that file readers take as it stands: they would expand characters of a glob.

    >>> literal_path("lake[1]/a")
    'lake\\[1\\]/a'
    """
    return _GLOB.sub(r"\\\1", path)


def scheme_of(path: str) -> str:
    """The scheme of a path, empty for a local one.

    >>> scheme_of("s3a://bucket/lake"), scheme_of("/data/lake"), scheme_of("file:///data")
    ('s3a', '', '')
    """
    match = re.match(r"^([a-z][a-z0-9+.-]+)://", path)
    return "" if not match or match[1] == "file" else match[1]


def absolute(path: str) -> str:
    """A path that does not depend on the working folder; `s3://` is what S3A calls `s3a://`."""
    scheme = scheme_of(path)
    if not scheme:
        return os.path.abspath(re.sub(r"^file:(//)?(?=/)", "", path))
    if ".." in path.split("/"):
        raise StorageError(f"{path!r} must not contain '..'")
    return re.sub(r"^s3://", "s3a://", path).rstrip("/")
