"""The rows that sequences look at, collected for each customer as `sequences.rows_of_source` does it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from segment_lib import core
from segment_lib.catalogue import Type
from segment_lib.kernel.keys import arrow_of
from segment_lib.kernel.rows import Rows, window_of
from segment_lib.kernel.totals import lists

_ARROW = {
    Type.TEXT: pa.string(), Type.INTEGER: pa.int64(), Type.DECIMAL: pa.decimal128(18, 4), Type.BOOLEAN: pa.bool_(),
    Type.DATE: pa.date32(), Type.TIMESTAMP: pa.timestamp("us", "UTC"),
}


def rows_type(sequence: core.Sequence) -> str:
    """The Spark type of the collected rows."""
    parts = [f"k{i}:{column.type.ddl}" for i, column in enumerate(sequence.steps[0].same)]
    return f"array<struct<at:bigint,marks:bigint,key:struct<{','.join([*parts, 'is_key:boolean'])}>>>"


def collected(
    sequence: core.Sequence, tests: Mapping[core.Occurrence, core.Test], source: str, rows: Rows, customers: int
) -> pa.ListArray | None:
    """The rows of a source that some step looks at; None when none does. `tests` are the steps' in the kernel's form."""
    wanted = [(1 << i, step) for i, step in enumerate(sequence.occurrences) if step.source == source]
    if not wanted:
        return None
    marks = np.zeros(len(rows), np.int64)
    for bit, step in wanted:
        inside = window_of(rows.time, step.window)
        marks[inside] |= rows.where(tests[step])[inside] * np.int64(bit)
    chosen = np.flatnonzero(marks)
    own = next((step.same for step in sequence.steps if step.rows.source == source), None)
    keys = []
    for i, first in enumerate(sequence.steps[0].same):
        kind = _ARROW[first.type]
        keys.append(pa.nulls(len(chosen), kind) if own is None else arrow_of(rows.keys(own[i]).take(chosen), kind))
    names = [*(f"k{i}" for i in range(len(keys))), "is_key"]
    key = pa.StructArray.from_arrays([*keys, pa.array(np.ones(len(chosen), bool))], names)
    row = pa.StructArray.from_arrays(
        [pa.array(rows.time[chosen]), pa.array(marks[chosen]), key], ["at", "marks", "key"]
    )
    return lists(rows.customer[chosen], row, customers)
