"""Where a list may be written, and a file that is there as a whole or not at all.

Personal data that is not masked lies below one path alone, so that who may read it is a matter of the storage's rights.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from segment_lib.errors import StorageError, UsageError
from segment_lib.objects import S3Objects, checked
from segment_lib.paths import absolute, scheme_of

#: Format -> the end of a file's name.
FORMATS = {"csv": ".csv", "parquet": ".parquet", "xlsx": ".xlsx"}
PERSONAL = "personal"


@dataclass(frozen=True)
class Target:
    """Where a list goes: an absolute path or an s3a:// address, its format, and the personal path around it, if any."""

    path: str
    format: str
    personal: str | None = None


def personal_root(home: str, tenant: str, given: str | None) -> str:
    """The path below which personal data may lie: ``personal`` in the tenant's folder, or the tenant's in conf's.

    >>> personal_root("/lake/shop", "shop", None), personal_root("/lake/shop", "shop", "s3://vault/lists/")
    ('/lake/shop/personal', 's3a://vault/lists/shop')
    """
    return f"{home}/{PERSONAL}" if given is None else f"{absolute(given)}/{tenant}"


def format_of(wanted: str | None, output: str | None) -> str:
    """The format that was asked for, else that of the file's name, else CSV.

    >>> format_of(None, "a/b.XLSX"), format_of(None, "folder/"), format_of("parquet", "x.csv")
    ('xlsx', 'csv', 'parquet')
    """
    if wanted is not None:
        if wanted not in FORMATS:
            raise UsageError(f"there is no format {wanted!r}; known: {', '.join(FORMATS)}")
        return wanted
    ends = (name for name, end in FORMATS.items() if output is not None and output.lower().endswith(end))
    return next(ends, "csv")


def target(output: str | None, format: str, name: str, personal: str | None) -> Target:
    """The file to write. A folder (one that exists, a bucket, a path that ends with a slash) gets one called `name`.

    `personal` is the path that it must lie below when personal data stands in it unmasked, and where it goes when no
    `output` is given. UsageError when it lies elsewhere, StorageError for an address that no list can be written to; of
    S3 that is its form, not whether the bucket is there.
    """
    if output is None:
        if personal is None:
            raise UsageError(f"--format {format} needs a file: --output PATH")
        output = f"{personal}/customers/"
    scheme = scheme_of(output)
    if scheme not in ("", "s3", "s3a"):
        raise StorageError(f"{output!r}: a list is written to a folder or to S3")
    path = absolute(output)
    if scheme:
        bucket, slash, _ = path.partition("://")[2].partition("/")
        if not bucket:
            raise StorageError(f"{output!r} names no bucket, such as s3://bucket/folder/")
        folder = output.endswith("/") or not slash
    else:
        folder = output.endswith("/") or os.path.isdir(path)
    path = f"{path}/{name}{FORMATS[format]}" if folder else path
    if personal is not None and not below(path, personal):
        raise UsageError(
            f"personal data that is not masked may only be written below {personal}, and {path} is not; name a path "
            "there, leave --output out, or mask it: --masked"
        )
    if scheme:
        # What the address lacks is told before anything is computed for it.
        parent, _, key = path.rpartition("/")
        checked(key)
        S3Objects(parent)
    return Target(path, format, personal)


def below(path: str, root: str) -> bool:
    """Whether a path lies below a root, symbolic links followed."""
    if scheme_of(path) != scheme_of(root):
        return False
    if scheme_of(path):
        return path.startswith(f"{root}/")
    return os.path.realpath(path).startswith(os.path.realpath(root) + os.sep)


@contextmanager
def written(place: Target) -> Iterator[Path]:
    """A local file to write; when the block ends well it is put in its place at once, and otherwise nothing is there.

    It is written in a folder that only this user can enter: beside its place, or for S3 in the system's temporary
    folder, from where it is sent in parts.
    """
    try:
        if scheme_of(place.path):
            with tempfile.TemporaryDirectory(prefix="seglake-") as folder:
                file = Path(folder, "list")
                yield file
                parent, _, name = place.path.rpartition("/")
                S3Objects(parent).upload(name, file)
            return
        final = Path(place.path)
        if place.personal is not None:
            # Nobody but this user, until whoever runs the machine gives others the right.
            os.makedirs(place.personal, mode=0o700, exist_ok=True)
        final.parent.mkdir(parents=True, exist_ok=True)
        folder = tempfile.mkdtemp(prefix=".seglake-", dir=final.parent)
        try:
            file = Path(folder, "list")
            yield file
            if place.personal is not None:
                file.chmod(0o600)
            os.replace(file, final)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        raise StorageError(f"{place.path} cannot be written: {error.strerror or type(error).__name__}") from None
