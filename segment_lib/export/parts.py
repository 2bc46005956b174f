"""Rows into files, written side by side by the executors; the driver sees one line a file.

A file is there as a whole or not at all, and the same rows give the same bytes, so a task that is tried again writes
the same file.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segment_lib.customers import place
from segment_lib.customers.writers import plain
from segment_lib.errors import UsageError
from segment_lib.export.manifest import File

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

#: Format -> the end of a file's name.
FORMATS = {"parquet": ".parquet", "csv": ".csv.gz", "jsonl": ".jsonl.gz"}
#: Rows of one file at most, about: customers fall into files by the hash of their id.
ROWS = 500_000
_WRITTEN = "path string, bytes bigint, rows bigint, sha256 string"


@dataclass(frozen=True)
class Files:
    """Where the files of an export go: a folder or s3a:// prefix, the format, and the personal path around, if any."""

    folder: str
    format: str
    personal: str | None = None

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise UsageError(f"there is no format {self.format!r}; known: {', '.join(FORMATS)}")


def write(frame: DataFrame, files: Files, rows: int, per_file: int = ROWS) -> tuple[File, ...]:
    """Writes a frame of `rows` rows with a customer_id, in files of about `per_file` rows, each in order of the id."""
    count = max(1, math.ceil(rows / per_file))
    ordered = frame.repartition(count, "customer_id").sortWithinPartitions("customer_id")
    told = ordered.mapInArrow(partial(_write, files=files), _WRITTEN).collect()
    return tuple(sorted((File(**row.asDict()) for row in told), key=lambda file: file.path))


def _write(batches: Iterable[pa.RecordBatch], files: Files) -> Iterator[pa.RecordBatch]:
    """One task: its rows are one file; a task without rows writes none."""
    import pyarrow as pa
    from pyspark import TaskContext

    context = TaskContext.get()
    number = context.partitionId() if context is not None else 0
    filled = (batch for batch in batches if batch.num_rows)
    first = next(filled, None)
    if first is None:
        return
    name = f"part-{number:05d}{FORMATS[files.format]}"
    with place.written(place.Target(f"{files.folder}/{name}", files.format, files.personal)) as file:
        rows = _WRITERS[files.format](file, first, filled)
        size, digest = file.stat().st_size, _sha256(file)
    yield pa.RecordBatch.from_pydict({"path": [name], "bytes": [size], "rows": [rows], "sha256": [digest]})


def _sha256(file: Path) -> str:
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _parquet(file: Path, first: pa.RecordBatch, rest: Iterable[pa.RecordBatch]) -> int:
    from pyarrow import parquet

    rows = 0
    with parquet.ParquetWriter(file, first.schema, compression="zstd") as writer:
        for batch in _chained(first, rest):
            writer.write_batch(batch)
            rows += batch.num_rows
    return rows


def _chained(first: pa.RecordBatch, rest: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    yield first
    yield from rest


def _packed(file: Path, head: str, line: Callable[[dict[str, Any]], str], batches: Iterable[pa.RecordBatch]) -> int:
    rows = 0
    # Neither name nor time stands in the packed file: the same rows are the same bytes.
    with file.open("wb") as raw, gzip.GzipFile(fileobj=raw, mode="wb", filename="", mtime=0) as packed:
        packed.write(head.encode())
        for batch in batches:
            values = batch.to_pylist()
            packed.write("".join(f"{line(row)}\n" for row in values).encode())
            rows += len(values)
    return rows


def _csv(file: Path, first: pa.RecordBatch, rest: Iterable[pa.RecordBatch]) -> int:
    return _packed(file, csv_line(first.schema.names) + "\n", lambda row: csv_line(row.values()), _chained(first, rest))


def _jsonl(file: Path, first: pa.RecordBatch, rest: Iterable[pa.RecordBatch]) -> int:
    return _packed(file, "", json_line, _chained(first, rest))


def csv_line(values: Iterable[Any]) -> str:
    """One line of CSV by RFC 4180: every value in quotes but a missing one, so that it is told from an empty text.

    >>> csv_line(["a", None, "", 1, True, date(2026, 1, 31)])
    '"a",,"","1","true","2026-01-31"'
    """
    return ",".join("" if value is None else '"' + _text(value).replace('"', '""') + '"' for value in values)


def json_line(row: dict[str, Any]) -> str:
    """One row as a JSON object; dates, instants and decimals are texts, and a missing value is null.

    >>> json_line({"id": "a", "on": date(2026, 1, 31), "spent": Decimal("1.50"), "tags": ["x"], "age": None})
    '{"id": "a", "on": "2026-01-31", "spent": "1.50", "tags": ["x"], "age": null}'
    """
    return json.dumps(row, ensure_ascii=False, default=plain)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else plain(value)


_WRITERS = {"parquet": _parquet, "csv": _csv, "jsonl": _jsonl}
