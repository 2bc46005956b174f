"""The memberships of the base as bytes, read by tasks from the files of its snapshot.

A hundred million entries of (id, since) are a minute of the JVM's work to read, sort and hand to Python; as six bytes
each they are a few seconds of Arrow's.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from segment_lib import snapshot
from segment_lib.data_files import paths_of, tasks, whole
from segment_lib.kernel.members import ENTRY, SEGMENT, Entries, as_bytes, lists, of_bytes, of_lists
from segment_lib.kernel.parcels import steady_memory
from segment_lib.paths import scheme_of
from segment_lib.tables import OUTPUTS

if TYPE_CHECKING:
    from segment_lib.runs import RunRecord
    from segment_lib.storage import Lake

_MOST_NAMES = np.iinfo(ENTRY["segment"]).max
_COLUMNS = f"customer_id string, _packed binary, _base {OUTPUTS['memberships']['segments']}"
#: The ids of segments in a file; read as codes of the file's dictionary.
_IDS = "segments.list.element.id"
_BATCH = 1 << 13


@dataclass(frozen=True)
class PackedBase:
    """``customer_id``, ``_packed`` with numbers among `names`, and ``_base`` with the lists of what has no number.

    Everyone who stands in the base has one of the two.
    """

    frame: DataFrame
    names: tuple[str, ...]


def packed_base(lake: Lake, run: RunRecord, names: Collection[str], aliases: DataFrame | None) -> PackedBase | None:
    """The snapshot of a run under the ids of tonight (`snapshot.under_canonical_ids`); `names` are those to be expected.

    None where its files do not say by themselves what its rows are: on an object store, or with rows deleted in place.
    """
    if scheme_of(lake.root) or not lake.exists("memberships") or len(names) > _MOST_NAMES:
        return None
    _, plain = lake.layout("memberships")
    if not plain:
        return None
    mine = (F.col("snapshot_date") == F.lit(run.snapshot_date)) & (F.col("run_id") == run.run_id)
    files = [(path, os.path.getsize(path)) for path in paths_of(lake.read("memberships").where(mine))]
    ordered = tuple(sorted(names))
    frame = tasks(lake, whole(files)).mapInArrow(partial(_packed, names=ordered), _COLUMNS)
    if aliases is None:
        return PackedBase(frame, ordered)
    touched = snapshot.owners(aliases).select("customer_id").distinct()
    lists = frame.join(touched, "customer_id", "left_semi").mapInArrow(partial(_listed, names=ordered), snapshot.MEMBERS)
    moved = snapshot.under_canonical_ids(lists, aliases)
    others = frame.join(touched, "customer_id", "left_anti")
    none = F.lit(None).cast("binary").alias("_packed")
    return PackedBase(others.unionByName(moved.select("customer_id", none, F.col("segments").alias("_base"))), ordered)


def _packed(batches: Iterable[pa.RecordBatch], names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """The rows of the files that a task is given."""
    steady_memory()
    numbered = pa.array(names, pa.string())
    for batch in batches:
        for path, part, parts in zip(*(batch.column(name).to_pylist() for name in ("path", "part", "parts")), strict=True):
            with pq.ParquetFile(path, read_dictionary=[_IDS]) as file:
                # One row group at a time: each has a dictionary of its own, and a batch of lists can have only one.
                for group in range(part, file.num_row_groups, parts):
                    for rows in file.iter_batches(_BATCH, [group], ["customer_id", "segments"]):
                        yield _of_lists(rows, numbered)


def _of_lists(rows: pa.RecordBatch, names: pa.Array) -> pa.RecordBatch:
    entries, count = of_lists(rows.column("segments")), rows.num_rows
    number = entries.numbered(names)
    strange = number < 0
    known = Entries(entries.row[~strange], number[~strange], entries.day[~strange], names)
    others = pa.nulls(count, pa.list_(SEGMENT))
    if strange.any():
        others = lists(entries.row[strange], _ids(entries, strange), entries.day[strange], count)
    return pa.record_batch({"customer_id": rows.column("customer_id"), "_packed": as_bytes(known, count), "_base": others})


def _listed(batches: Iterable[pa.RecordBatch], names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Rows of PackedBase as (customer_id, segments)."""
    numbered = pa.array(names, pa.string())
    for batch in batches:
        both = of_bytes(batch.column("_packed"), numbered), of_lists(batch.column("_base"))
        row = np.concatenate([entries.row for entries in both])
        ids = pa.concat_arrays([_ids(entries, slice(None)) for entries in both])
        day = np.concatenate([entries.day for entries in both])
        order = np.argsort(row, kind="stable")
        found = lists(row[order], ids.take(pa.array(order)), day[order], batch.num_rows)
        yield pa.record_batch({"customer_id": batch.column("customer_id"), "segments": found})


def _ids(entries: Entries, which: np.ndarray | slice) -> pa.Array:
    return entries.texts.take(pa.array(entries.code[which]))
