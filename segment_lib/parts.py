"""Parquet parts that the tasks of Spark write themselves, from Arrow's batches."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pyarrow as pa
import pyarrow.parquet as pq

#: Rows of a row group.
_GROUP = 1 << 16


def write(
    batches: Iterator[pa.RecordBatch], made: Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]], folder: str
) -> Iterator[pa.RecordBatch]:
    """Writes what `made` makes of a task's batches as one part of a folder, whole or not at all; yields its name."""
    from pyspark import TaskContext

    context = TaskContext.get()
    assert context is not None, "parts are written by tasks of Spark"
    name = f"part-{context.partitionId():05d}.zstd.parquet"
    hidden = os.path.join(folder, f".{name}.{context.taskAttemptId()}")
    writer = None
    for table in _row_groups(made(batches)):
        if writer is None:
            writer = pq.ParquetWriter(hidden, table.schema, compression="zstd")
        writer.write_table(table)
    if writer is not None:
        writer.close()
        os.replace(hidden, os.path.join(folder, name))
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
