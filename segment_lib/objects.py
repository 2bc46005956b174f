"""Small objects that are not tables: conf on S3, manifests, leases.

A store is a folder or an `s3://` prefix. Both can create an object only where there is none and swap one only if it is
still what was read, which is all that a lease needs.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from segment_lib.errors import StorageError

_KEY = re.compile(r"^[A-Za-z0-9_][A-Za-z0-9_.=-]*(/[A-Za-z0-9_][A-Za-z0-9_.=-]*)*$")


class Objects(Protocol):
    """A store of small objects under one folder or prefix. A tag stands for the content that was read or written."""

    url: str

    def read(self, key: str) -> tuple[bytes, str] | None:
        """Content and tag; None when there is no such object."""

    def write(self, key: str, data: bytes) -> str:
        """Write whatever is there; the new tag."""

    def create(self, key: str, data: bytes) -> str | None:
        """Write only where there is nothing; the new tag, or None when there was something."""

    def swap(self, key: str, data: bytes, tag: str) -> str | None:
        """Write only if the object still has this tag; the new tag, or None when it has another or is gone."""

    def delete(self, key: str) -> None:
        """Remove an object; nothing happens when there is none."""

    def list(self, prefix: str = "") -> list[str]:
        """Keys that start with a prefix, sorted."""


def checked(key: str) -> str:
    """The key itself; StorageError when it cannot name an object."""
    if not _KEY.fullmatch(key):
        raise StorageError(
            f"{key!r} cannot name an object: names have letters, digits, _ . = and -, the first no sign but _"
        )
    return key


class LocalObjects:
    """Objects as files below a folder.

    A lock on a file beside it makes `create` and `swap` atomic between processes; a rename makes what is read whole.
    """

    def __init__(self, folder: str | os.PathLike[str]):
        self.url = os.path.abspath(folder)

    def _path(self, key: str) -> Path:
        path = Path(self.url, *checked(key).split("/"))
        real = os.path.realpath(path)
        if real != os.path.join(os.path.realpath(self.url), key):
            raise StorageError(f"{str(path)!r} leads elsewhere through a symbolic link")
        return path

    @contextlib.contextmanager
    def _locked(self, path: Path) -> Iterator[None]:
        path.parent.mkdir(parents=True, exist_ok=True)
        # The lock file stays: removing it would let two processes lock two different files of that name.
        with open(path.with_name(f".{path.name}.lock"), "w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def _put(self, path: Path, data: bytes) -> str:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
            raise
        return self._tag(data)

    @staticmethod
    def _tag(data: bytes) -> str:
        return hashlib.sha256(data).hexdigest()

    def read(self, key: str) -> tuple[bytes, str] | None:
        try:
            data = self._path(key).read_bytes()
        except FileNotFoundError:
            return None
        return data, self._tag(data)

    def write(self, key: str, data: bytes) -> str:
        path = self._path(key)
        with self._locked(path):
            return self._put(path, data)

    def create(self, key: str, data: bytes) -> str | None:
        path = self._path(key)
        with self._locked(path):
            return None if path.exists() else self._put(path, data)

    def swap(self, key: str, data: bytes, tag: str) -> str | None:
        path = self._path(key)
        with self._locked(path):
            now = self.read(key)
            return self._put(path, data) if now is not None and now[1] == tag else None

    def delete(self, key: str) -> None:
        self._path(key).unlink(missing_ok=True)

    def list(self, prefix: str = "") -> list[str]:
        root = Path(self.url)
        keys = (path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
        return sorted(key for key in keys if key.startswith(prefix) and _KEY.fullmatch(key))


class S3Objects:
    """Objects below an S3 prefix, through boto3, with conditional puts.

    Server, region and credentials come from the standard AWS environment and files.
    """

    def __init__(self, url: str, client: Any = None):
        match = re.fullmatch(r"s3a?://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(.*))?", url)
        if not match or ".." in url.split("/"):
            raise StorageError(f"{url!r} is not an S3 location, such as s3://bucket/folder")
        self.bucket, prefix = match[1], (match[2] or "").strip("/")
        self.prefix = f"{prefix}/" if prefix else ""
        self.url = f"s3://{self.bucket}/{self.prefix}".rstrip("/")
        self.client = client or _s3_client()

    def _name(self, key: str) -> dict[str, str]:
        return {"Bucket": self.bucket, "Key": self.prefix + checked(key)}

    def _failed(self, error: Exception, *expected: str) -> bool:
        """Whether the server refused for an expected reason; any other failure is raised with its place."""
        from botocore.exceptions import ClientError

        if isinstance(error, ClientError) and error.response["Error"]["Code"] in expected:
            return True
        code = error.response["Error"]["Code"] if isinstance(error, ClientError) else type(error).__name__
        raise StorageError(f"{self.url}: {code}") from error

    def _put(self, key: str, data: bytes, **conditions: str) -> str | None:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return self.client.put_object(**self._name(key), Body=data, **conditions)["ETag"]
        except (BotoCoreError, ClientError) as error:
            lost = ("PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey", "412", "409", "404")
            self._failed(error, *(lost if conditions else ()))
            return None

    def read(self, key: str) -> tuple[bytes, str] | None:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            answer = self.client.get_object(**self._name(key))
            return answer["Body"].read(), answer["ETag"]
        except (BotoCoreError, ClientError) as error:
            self._failed(error, "NoSuchKey", "404")
            return None

    def write(self, key: str, data: bytes) -> str:
        return self._put(key, data) or ""

    def create(self, key: str, data: bytes) -> str | None:
        return self._put(key, data, IfNoneMatch="*")

    def swap(self, key: str, data: bytes, tag: str) -> str | None:
        return self._put(key, data, IfMatch=tag)

    def upload(self, key: str, file: Path) -> None:
        """Put a local file there, in parts when it is large; it is there as a whole or not at all."""
        from boto3.exceptions import S3UploadFailedError
        from botocore.exceptions import BotoCoreError, ClientError

        name = self._name(key)
        try:
            self.client.upload_file(str(file), name["Bucket"], name["Key"])
        except (BotoCoreError, ClientError) as error:
            self._failed(error)
        except S3UploadFailedError as error:
            self._failed(error.__context__ if isinstance(error.__context__, ClientError) else error)

    def delete(self, key: str) -> None:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            self.client.delete_object(**self._name(key))
        except (BotoCoreError, ClientError) as error:
            self._failed(error)

    def list(self, prefix: str = "") -> list[str]:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            lister = self.client.get_paginator("list_objects_v2")
            pages = lister.paginate(Bucket=self.bucket, Prefix=self.prefix + prefix)
            return sorted(found["Key"][len(self.prefix):] for page in pages for found in page.get("Contents", ()))
        except (BotoCoreError, ClientError) as error:
            self._failed(error)
            return []


def _s3_client() -> Any:
    try:
        import boto3
        from botocore.config import Config
    except ImportError as error:
        raise StorageError("paths on S3 need boto3: install seglake with the extra 's3'") from error
    # Servers other than AWS are addressed by path, as S3A does it; boto3 reads the endpoint from the environment.
    client = boto3.client("s3", config=Config(retries={"max_attempts": 5, "mode": "standard"}))
    if "amazonaws.com" in client.meta.endpoint_url:
        return client
    return boto3.client("s3", config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 5}))


def open_objects(url: str) -> Objects:
    """The store at a folder or an `s3://` or `s3a://` location."""
    if re.match(r"^s3a?://", url):
        return S3Objects(url)
    if re.match(r"^[a-z][a-z0-9+.-]+://", url) and not url.startswith("file://"):
        raise StorageError(f"{url!r}: small objects lie in a folder or on S3")
    return LocalObjects(url.removeprefix("file://"))
