"""The memberships of the base as bytes, read by tasks from the files of its snapshot and brought to their customers.

A hundred million entries of (id, since) are a minute of the JVM's work to read, sort and hand to Python; as six bytes
each they are a few seconds of Arrow's, and they come with the shuffle that brings all other rows of a customer.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import functions as F

from segment_lib.data_files import paths_of
from segment_lib.kernel.members import ENTRY, SEGMENT, Entries, as_bytes, lists, of_bytes, of_lists
from segment_lib.kernel.parcels import steady_memory
from segment_lib.paths import scheme_of
from segment_lib.tables import OUTPUTS

if TYPE_CHECKING:
    from segment_lib.runs import RunRecord
    from segment_lib.storage import Lake

_MOST_NAMES = np.iinfo(ENTRY["segment"]).max
#: ``_packed`` has entries with numbers of segments, ``_base`` lists those that have none; NULL both for who is not in it.
COLUMNS = {"_packed": "binary", "_base": OUTPUTS["memberships"]["segments"]}
#: The ids of segments in a file; read as codes of the file's dictionary.
_IDS = "segments.list.element.id"
_BATCH = 1 << 13


@dataclass(frozen=True)
class BaseFiles:
    """The files of a base's snapshot, (path, bytes), and the segments that have numbers: their places among `names`."""

    files: tuple[tuple[str, int], ...]
    names: tuple[str, ...]


def base_files(lake: Lake, run: RunRecord, names: Collection[str]) -> BaseFiles | None:
    """The snapshot of a run, of whose segments `names` are those to be expected.

    None where its files do not say by themselves what its rows are: on an object store, or with rows deleted in place.
    """
    if scheme_of(lake.root) or not lake.exists("memberships") or len(names) > _MOST_NAMES:
        return None
    _, plain = lake.layout("memberships")
    if not plain:
        return None
    mine = (F.col("snapshot_date") == F.lit(run.snapshot_date)) & (F.col("run_id") == run.run_id)
    paths = paths_of(lake.read("memberships").where(mine))
    return BaseFiles(tuple((path, os.path.getsize(path)) for path in paths), tuple(sorted(names)))


def rows(batches: Iterable[pa.RecordBatch], names: Sequence[str]) -> Iterator[pa.Table]:
    """The rows of some parts of files: ``customer_id`` and COLUMNS."""
    steady_memory()
    numbered = pa.array(names, pa.string())
    for batch in batches:
        for path, part, parts in zip(*(batch.column(name).to_pylist() for name in ("path", "part", "parts")), strict=True):
            with pq.ParquetFile(path, read_dictionary=[_IDS]) as file:
                # One row group at a time: each has a dictionary of its own, and a batch of lists can have only one.
                for group in range(part, file.num_row_groups, parts):
                    found = [_of_lists(some, numbered) for some in file.iter_batches(_BATCH, [group], ["customer_id", "segments"])]
                    if found:
                        yield pa.Table.from_batches(found)


def _of_lists(stored: pa.RecordBatch, names: pa.Array) -> pa.RecordBatch:
    entries, count = of_lists(stored.column("segments")), stored.num_rows
    number = entries.numbered(names)
    strange = number < 0
    known = Entries(entries.row[~strange], number[~strange], entries.day[~strange], names)
    others = pa.nulls(count, pa.list_(SEGMENT))
    if strange.any():
        others = lists(entries.row[strange], entries.ids(strange), entries.day[strange], count)
    return pa.record_batch({"customer_id": stored.column("customer_id"), "_packed": as_bytes(known, count), "_base": others})


def of_customers(found: pa.Table, customer: np.ndarray, size: int, names: Sequence[str]) -> dict[str, pa.Array]:
    """COLUMNS by the numbers of customers, of rows whose customers are told; the last of `size` places is nobody's.

    Who was merged has the rows of all ids: of several first days in a segment the earliest counts.
    """
    several = np.bincount(customer[customer >= 0], minlength=size) > 1
    if several.any():
        found, customer = _merged(found, customer, several[customer], pa.array(names, pa.string()))
    place = np.full(size, -1)
    place[customer] = np.arange(len(customer))
    place[-1] = -1
    places = pa.array(place, mask=place < 0)
    return {name: found.column(name).combine_chunks().take(places) for name in COLUMNS}


def _merged(found: pa.Table, customer: np.ndarray, which: np.ndarray, names: pa.Array) -> tuple[pa.Table, np.ndarray]:
    """The rows with one alone, of lists, for each customer who has several; `which` are theirs."""
    theirs = found.filter(pa.array(which)).combine_chunks()
    both = of_bytes(theirs.column("_packed").combine_chunks(), names), of_lists(theirs.column("_base").combine_chunks())
    owner = np.concatenate([customer[which][entries.row] for entries in both])
    day = np.concatenate([entries.day for entries in both])
    ids = pa.concat_arrays([entries.ids() for entries in both]).dictionary_encode()
    segment = np.asarray(ids.indices)
    order = np.lexsort((day, segment, owner))
    first = np.ones(len(order), bool)
    first[1:] = (owner[order][1:] != owner[order][:-1]) | (segment[order][1:] != segment[order][:-1])
    order = order[first]
    owners = np.unique(customer[which])
    row = np.searchsorted(owners, owner[order])
    segments = lists(row, ids.take(pa.array(order)).cast(pa.string()), day[order], len(owners))
    kept = found.filter(pa.array(~which)).select(list(COLUMNS))
    one = pa.table({"_packed": pa.nulls(len(owners), pa.binary()), "_base": segments.cast(kept.schema.field("_base").type)})
    return pa.concat_tables([kept, one]), np.concatenate([customer[~which], owners])
