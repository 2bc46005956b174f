"""Rows of a frame in order on the driver, never all of them at once.

The frame is computed once and kept on the disks of the executors; its rows are counted, cut into ranges of the order
column of about `ROWS` each, and sorted range by range. The driver asks for one range after the other, the next one
while it works on this one, so it holds two of them however many there are.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from segment_lib import on_disk

#: Rows of one range: what the driver holds twice. A row of ten columns is about 1 kB there.
ROWS = 50_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Stream:
    """The number of rows, the columns with their Spark types, and the rows; they can be gone through once."""

    count: int
    columns: tuple[tuple[str, str], ...]
    rows: Iterator[tuple[Any, ...]]


@contextmanager
def streamed(frame: DataFrame, order: str) -> Iterator[Stream]:
    """The rows of a frame by its column `order`, which they are without; instants are in UTC."""
    with ExitStack() as disks:
        kept = on_disk.kept(disks, frame)
        count = kept.count()
        columns = tuple((field.name, field.dataType.simpleString()) for field in frame.schema if field.name != order)
        yield Stream(count, columns, _rows(kept, order, columns, count))


def _rows(
    kept: DataFrame, order: str, columns: tuple[tuple[str, str], ...], count: int
) -> Iterator[tuple[Any, ...]]:
    instants = [number for number, (_, kind) in enumerate(columns) if kind == "timestamp"]
    # An instant would come over as local time of this process, which an hour of autumn has twice.
    values = [
        F.unix_micros(f"`{name}`").alias(name) if kind == "timestamp" else F.col(f"`{name}`") for name, kind in columns
    ]
    ranges = kept.repartitionByRange(max(1, math.ceil(count / ROWS)), order).sortWithinPartitions(order)
    for row in ranges.select(*values).toLocalIterator(prefetchPartitions=True):
        if not instants:
            yield tuple(row)
            continue
        whole = list(row)
        for number in instants:
            if whole[number] is not None:
                whole[number] = _EPOCH + timedelta(microseconds=whole[number])
        yield tuple(whole)
