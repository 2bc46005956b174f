"""Files in a folder, on S3 or on a server that speaks SFTP: one file of JSON lines a batch, named after its key.

A file is there whole or not at all, and is never written again: the same batch after a crash finds its file and leaves it.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import re
from urllib.parse import unquote, urlsplit

from segment_lib.errors import StorageError
from segment_lib.sync.contract import Audience, Batch, Delivery, DeliveryError, Limits, Record
from segment_lib.sync.destinations.opening import Setup
from segment_lib.sync.destinations.pieces import delivered, packed
from segment_lib.sync.retries import tried

_UNFIT = re.compile(r"[^A-Za-z0-9_.=-]")


class Drop:
    """See `segment_lib.sync.contract.Destination`."""

    def __init__(self, setup: Setup):
        options = setup.options
        self.profile = setup.profile
        self.limits = Limits(options.records, 128_000_000)
        self._patience, self._clock = options.patience, setup.clock
        self._create = self._by_sftp(setup) if options.url.startswith("sftp://") else self._by_store(options.url)

    def size_of(self, record: Record) -> int:
        return len(packed(_line("remove", record))) + 1

    def open(self, audience: Audience) -> str:
        return audience.remote_id or _fit(audience.name)

    def send(self, audience: Audience, batch: Batch) -> Delivery:
        key = f"{audience.remote_id or _fit(audience.name)}/{_fit(batch.key)}.{batch.action}.jsonl.gz"
        lines = b"".join(packed(_line(batch.action, record)) + b"\n" for record in batch.records)
        # The time of packing is left out, so that the same batch is the same file.
        data = gzip.compress(lines, mtime=0)
        tried("drop", f"writing {key}", lambda: self._create(key, data), self._patience, self._clock)
        return delivered(batch, [], key)

    def close(self, audience: Audience) -> None:
        """Nothing: each file is whole."""

    @staticmethod
    def _by_store(url: str):
        from segment_lib.objects import open_objects

        store = open_objects(url)

        def create(key: str, data: bytes) -> None:
            try:
                store.create(key, data)
            except StorageError as error:
                raise DeliveryError(f"drop: {error}") from None
            except OSError as error:
                raise DeliveryError(f"drop: {key} cannot be written ({type(error).__name__})") from None

        return create

    def _by_sftp(self, setup: Setup):
        from segment_lib.sync.sftp import Server

        parts = urlsplit(setup.options.url)
        server = Server(
            host=parts.hostname or "", port=parts.port or 22, user=unquote(parts.username or ""),
            host_key=setup.options.host_key, timeout=setup.options.timeout,
            password=setup.secrets.get("password"), private_key=setup.secrets.get("private_key"),
        )
        folder = parts.path.rstrip("/")
        return lambda key, data: server.create(f"{folder}/{key}", io.BytesIO(data), len(data))


def _line(action: str, record: Record) -> dict:
    line: dict[str, object] = {
        "action": action, "identifiers": {kind: list(values) for kind, values in record.identifiers.items()}
    }
    return line | ({"properties": dict(record.properties)} if record.properties else {})


def _fit(name: str) -> str:
    """A name as a part of a path: what does not fit is replaced, and a hash keeps such names apart.

    >>> _fit("vip"), _fit("Loyal & quiet")
    ('vip', 'Loyal___quiet-755fcd60')
    """
    fit = _UNFIT.sub("_", name)[:100]
    if fit == name and fit[:1].isalnum():
        return fit
    return f"{fit if fit[:1].isalnum() else 'x' + fit}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
