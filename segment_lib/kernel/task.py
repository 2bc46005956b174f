"""What a task does with the parcels of one partition: it opens them and gives a row for each of its customers.

Where answers of an earlier night stand, only the rows of the other customers are looked at closely.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from segment_lib.inputs import hash_of
from segment_lib.kernel.parcels import opened, steady_memory
from segment_lib.kernel.partition import Partition, Work, whole
from segment_lib.kernel.standing import Standing, keep, standing
from segment_lib.plan import SOURCES

#: Customers that leave in one batch.
_BATCH = 1 << 14


@dataclass(frozen=True)
class Parcel:
    """The rows that one block has of the partition's customers; `fresh` when no earlier night has seen them."""

    packed: pa.Buffer
    fresh: bool


def evaluated(batches: Iterable[pa.RecordBatch], work: Work) -> Iterator[pa.RecordBatch]:
    """The rows of one partition's customers."""
    steady_memory()
    parcels: dict[str, list[Parcel]] = {source: [] for source in ("customers", *SOURCES, "base")}
    number = None
    for batch in batches:
        columns = (batch.column(name) for name in ("partition", "source", "fresh", "parcel"))
        for partition, source, fresh, parcel in zip(*columns, strict=True):
            number = partition.as_py()
            parcels[source.as_py()].append(Parcel(parcel.as_buffer(), fresh.as_py()))
    if number is None:
        return
    for found in _found(parcels, work, number):
        for first in range(0, found.num_rows, _BATCH):
            yield found.slice(first, _BATCH)


def _found(parcels: dict[str, list[Parcel]], work: Work, number: int) -> list[pa.RecordBatch]:
    stands = _standing(parcels, work, number)
    tables = {}
    for source, own in parcels.items():
        parts = [opened(parcel.packed, work.columns.get(source)) for parcel in own]
        tables[source] = _joined(parts if stands is None else stands.looked_at(source, parts))
    partition = Partition(work, _without_erased(tables, work))
    rows = [partition.rows()]
    if stands is not None:
        rows = stands.with_others(rows[0])
    if work.answers is not None:
        keep(work, number, rows)
    return [*rows, *partition.rejected()]


def _standing(parcels: dict[str, list[Parcel]], work: Work, number: int) -> Standing | None:
    """Whose earlier answers stand; None when there are none, or so few that all are made anew."""
    if work.answers is None or work.answers.earlier is None:
        return None
    columns = work.answers.earlier.columns
    parts = {source: [opened(parcel.packed, columns.get(source)) for parcel in own] for source, own in parcels.items()}
    head = Partition(work, {source: _joined(own) for source, own in parts.items()})
    sizes = {source: [part.num_rows for part in own] for source, own in parts.items()}
    fresh = {source: [parcel.fresh for parcel in own] for source, own in parcels.items()}
    return standing(work, number, head, sizes, fresh)


def _without_erased(tables: dict[str, pa.Table | None], work: Work) -> dict[str, pa.Table | None]:
    """The rows of customers that are not erased, and those of nobody."""
    if not work.erased:
        return tables
    kept = {}
    for source, table in tables.items():
        if table is not None:
            ids = whole(table, "customer_id").dictionary_encode()
            gone = [hash_of(work.tenant, name) in work.erased for name in ids.dictionary.to_pylist()]
            if any(gone):
                table = table.filter(pc.invert(pc.is_in(ids.cast(pa.string()), ids.dictionary.filter(pa.array(gone)))))
        kept[source] = table
    return kept


def _joined(parts: Sequence[pa.Table]) -> pa.Table | None:
    """Parcels of one source put together; a text that is coded in some parcels is coded in all, by one dictionary."""
    if not parts:
        return None
    columns = {}
    for name in parts[0].column_names:
        chunks = [chunk for part in parts for chunk in part.column(name).chunks]
        if any(pa.types.is_dictionary(chunk.type) for chunk in chunks):
            chunks = [_coded(chunk) for chunk in chunks]
            columns[name] = pa.chunked_array(chunks).unify_dictionaries().combine_chunks()
        else:
            columns[name] = pa.concat_arrays(chunks) if chunks else parts[0].column(name).combine_chunks()
    return pa.table(columns)


def _coded(chunk: pa.Array) -> pa.DictionaryArray:
    coded = chunk if pa.types.is_dictionary(chunk.type) else chunk.dictionary_encode()
    return pa.DictionaryArray.from_arrays(coded.indices.cast(pa.int32()), coded.dictionary)
