"""Parquet parts that the tasks of Spark write themselves, from Arrow's batches."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

#: Rows of a row group.
_GROUP = 1 << 16


def write(
    batches: Iterator[pa.RecordBatch], made: Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]],
    folders: Mapping[str, Sequence[str] | None],
) -> Iterator[pa.RecordBatch]:
    """Writes what `made` makes of a task's batches as one part of every folder, whole or not at all; yields its name.

    `folders` are with the columns that they get, None for all.
    """
    from pyspark import TaskContext

    context = TaskContext.get()
    assert context is not None, "parts are written by tasks of Spark"
    name = f"part-{context.partitionId():05d}.zstd.parquet"
    hidden = {folder: os.path.join(folder, f".{name}.{context.taskAttemptId()}") for folder in folders}
    writers: dict[str, pq.ParquetWriter] = {}
    for table in _row_groups(made(batches)):
        for folder, columns in folders.items():
            part = table if columns is None else table.select(columns)
            if folder not in writers:
                writers[folder] = pq.ParquetWriter(hidden[folder], part.schema, compression="zstd")
            writers[folder].write_table(part)
    for folder, writer in writers.items():
        writer.close()
        os.replace(hidden[folder], os.path.join(folder, name))
    if writers:
        yield pa.record_batch({"part": [name]})


def _row_groups(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        waiting.append(batch)
        if sum(part.num_rows for part in waiting) >= _GROUP:
            yield pa.Table.from_batches(waiting)
            waiting = []
    if waiting:
        yield pa.Table.from_batches(waiting)
