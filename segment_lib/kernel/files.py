"""Rows of a source straight from its data files, texts as codes of the files' own dictionaries.

Spark hands rows to Python value by value; Arrow reads the same columns from Parquet ten times faster. It is done where
the files alone say what the rows are, see `data_files`; elsewhere Spark reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from segment_lib import core
from segment_lib.catalogue import Type
from segment_lib.kernel.rows import line_column
from segment_lib.kernel.spec import SourceSpec
from segment_lib.rowchecks import BLANKS

_INSTANT = pa.timestamp("us", "UTC")
_NULLS = {
    Type.TEXT: pa.string(), Type.INTEGER: pa.int64(), Type.DECIMAL: pa.decimal128(18, 4), Type.BOOLEAN: pa.bool_(),
    Type.DATE: pa.date32(), Type.TIMESTAMP: _INSTANT, Type.TEXTS: pa.list_(pa.string()),
}


@dataclass(frozen=True)
class Merged:
    """Whose rows count for whom: aliases, their canonical customers, and the aliases whose rows are left out."""

    aliases: pa.Array
    canonical: pa.Array
    erased: pa.Array

    def under_canonical(self, rows: pa.Table) -> pa.Table:
        """The rows with canonical ids; the very table when none of them is an alias's."""
        if not len(self.aliases):
            return rows
        ids = rows.column("customer_id")
        place = pc.index_in(ids, self.aliases)
        if place.null_count == len(place):
            return rows
        canonical = self.canonical.take(place.combine_chunks().fill_null(0))
        merged = pc.if_else(pc.is_valid(place), canonical, ids)
        rows = rows.set_column(rows.column_names.index("customer_id"), "customer_id", merged)
        return rows.filter(pc.invert(pc.is_in(ids, self.erased))) if len(self.erased) else rows

    def without_aliases(self, rows: pa.Table) -> pa.Table:
        """Customers that are themselves; blank ids are missing."""
        ids = _known_ids(rows.column("customer_id"))
        rows = rows.set_column(rows.column_names.index("customer_id"), "customer_id", ids)
        return rows.filter(pc.invert(pc.is_in(ids, self.aliases))) if len(self.aliases) else rows


@dataclass(frozen=True)
class Reading:
    """What is read of a source's files: `time` and `key` are its column of time, and of ids when ties are told by it."""

    source: SourceSpec
    time: str
    key: str | None
    #: Whether it matters when rows were loaded.
    loaded: bool

    @property
    def texts(self) -> list[str]:
        return [field.name for field in self.source.fields if field.type is Type.TEXT]


@dataclass(frozen=True)
class PeopleReading:
    """What is read of the files of customers."""

    fields: tuple[core.Field, ...]
    as_of: datetime
    base_as_of: datetime | None
    merged: Merged


def blocks(batches: Iterable[pa.RecordBatch], reading: Reading, merged: Merged) -> Iterator[pa.Table]:
    """The rows of some parts of files, a row group at a time, with the columns that `people` makes of Spark's rows."""
    for group in groups(batches, reading.texts):
        yield merged.under_canonical(block(group, reading))


@dataclass(frozen=True)
class Group:
    """A row group of a data file."""

    path: str
    file: pq.ParquetFile
    number: int


def groups(batches: Iterable[pa.RecordBatch], texts: list[str]) -> Iterator[Group]:
    """The row groups of some parts of files, with `texts` as codes of the file's dictionaries."""
    for batch in batches:
        for task in batch.to_pylist():
            file = pq.ParquetFile(
                task["path"], read_dictionary=texts, coerce_int96_timestamp_unit="us", memory_map=True
            )
            for number in range(task["part"], file.num_row_groups, task["parts"]):
                yield Group(task["path"], file, number)


def block(group: Group, reading: Reading) -> pa.Table:
    """The rows of a row group, under the ids that the file has; blank ids are missing."""
    file, source = group.file, reading.source
    there = set(file.schema_arrow.names)
    wanted = {"customer_id", reading.time, *(field.name for field in source.fields), *([reading.key] if reading.key else [])}
    loaded = {"_loaded_at"} if reading.loaded else set()
    lines = [f"items.list.element.{field.name}" for field in source.lines]
    read = file.read_row_group(group.number, columns=[*sorted((wanted | loaded) & there), *lines], use_threads=False)
    count = read.num_rows
    columns = {
        "customer_id": _known_ids(read.column("customer_id")),
        "_reject": pa.nulls(count, pa.string()),
        "_time": read.column(reading.time).cast(_INSTANT),
    }
    if reading.loaded:
        arrived = read.column("_loaded_at") if "_loaded_at" in there else pa.nulls(count, _INSTANT)
        columns["_late_at"] = arrived.cast(_INSTANT)
    for field in source.fields:
        if field.name not in ("customer_id", reading.time):
            columns[field.name] = read.column(field.name) if field.name in there else pa.nulls(count, _NULLS[field.type])
    if reading.key:
        columns[reading.key] = read.column(reading.key)
    for field in source.lines:
        columns[line_column(field.name)] = _line_lists(read.column("items"), field.name)
    return pa.table(columns)


def people(batches: Iterable[pa.RecordBatch], reading: PeopleReading) -> Iterator[pa.Table]:
    """The rows of customers in some parts of files, with the columns that `scan.customer_rows` makes."""
    for group in groups(batches, []):
        there = set(group.file.schema_arrow.names)
        wanted = {"customer_id", "created_at", "updated_at", *(field.name for field in reading.fields)}
        read = reading.merged.without_aliases(
            group.file.read_row_group(group.number, columns=sorted(wanted & there), use_threads=False)
        )
        count = read.num_rows

        def column(name: str, kind: pa.DataType, read: pa.Table = read) -> pa.ChunkedArray | pa.Array:
            return read.column(name) if name in read.column_names else pa.nulls(read.num_rows, kind)

        ids = read.column("customer_id")
        known = pc.is_valid(ids)
        created = column("created_at", _INSTANT).cast(_INSTANT)
        columns = {
            "customer_id": ids,
            "_reject_customers": pc.if_else(known, pa.scalar(None, pa.string()), "missing_customer_id"),
            "_rows_customers": pa.array(np.ones(count, np.int64)),
            "_known": known,
            "_created_later": _is(pc.greater_equal(created, pa.scalar(reading.as_of, _INSTANT))),
            "_new_customers": pa.array(np.ones(count, bool)),
        }
        if reading.base_as_of is not None:
            base, updated = pa.scalar(reading.base_as_of, _INSTANT), column("updated_at", _INSTANT).cast(_INSTANT)
            changed = pc.and_(pc.greater_equal(updated, base), pc.less(updated, pa.scalar(reading.as_of, _INSTANT)))
            columns["_new_customers"] = pc.or_(_is(changed), _is(pc.greater_equal(created, base)))
        for field in reading.fields:
            columns[f"customer_{field.name}"] = _without_blanks(column(field.name, _NULLS[field.type]), field.type)
        yield pa.table(columns)


def _is(test: pa.ChunkedArray | pa.Array) -> pa.ChunkedArray | pa.Array:
    return pc.fill_null(test, False)


def _without_blanks(column: pa.ChunkedArray | pa.Array, kind: Type) -> pa.ChunkedArray | pa.Array:
    if kind is not Type.TEXT:
        return column.cast(_INSTANT) if kind is Type.TIMESTAMP else column
    return pc.if_else(pc.equal(pc.utf8_trim(column, BLANKS), ""), pa.scalar(None, pa.string()), column)


def _known_ids(ids: pa.ChunkedArray) -> pa.ChunkedArray:
    """Ids, null where they are blank."""
    first = pc.is_in(pc.utf8_slice_codeunits(ids, 0, 1), pa.array([*BLANKS, ""]))
    if not pc.any(first).as_py():
        return ids
    return pc.if_else(pc.equal(pc.utf8_trim(ids, BLANKS), ""), pa.scalar(None, pa.string()), ids)


def _line_lists(items: pa.ChunkedArray, name: str) -> pa.Array:
    """A field of the lines as lists, one for each order."""
    orders = items.combine_chunks()
    if isinstance(orders, pa.ChunkedArray):
        orders = pa.concat_arrays(orders.chunks)
    lengths = np.asarray(orders.value_lengths().fill_null(0))
    offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), orders.flatten().field(name))
