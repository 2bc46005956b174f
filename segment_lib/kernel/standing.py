"""Whose answers of an earlier night stand, in one partition; and tonight's answers for the next night.

A customer is decided again who has a row in a file that the earlier night has not seen, or more or fewer rows than then, or
a row between an edge and where it was; who stands otherwise in `customers`; whose rows came from another id or went to
one. Of all others nothing can have changed but what time alone tells of everyone: what is new or late.

Of those whose answers stand, one of many is decided again all the same, others every night: an answer that is not what
was kept stops the run.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from segment_lib import core
from segment_lib.catalogue import Type
from segment_lib.inputs import hash_of
from segment_lib.kernel.answers import PEOPLE, STANDS
from segment_lib.kernel.base import COLUMNS
from segment_lib.kernel.compare import holds
from segment_lib.kernel.keys import Keys, keys_of
from segment_lib.kernel.parcels import hashed
from segment_lib.kernel.partition import TIMES, Partition, Work, whole
from segment_lib.kernel.rows import UNTIMED
from segment_lib.plan import SOURCES

_COMPRESSED = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)


@dataclass(frozen=True)
class Standing:
    """What is known of a partition before its rows are looked at closely, by the numbers of its customers.

    `head` has every row with a few columns; `again` and `checked` have one place more than customers, which is nobody's.
    """

    work: Work
    head: Partition
    sizes: dict[str, list[int]]
    earlier: pa.Table
    #: Where each customer's row is among the earlier ones; -1 without one.
    place: np.ndarray
    again: np.ndarray
    checked: np.ndarray

    def looked_at(self, source: str, parcels: Sequence[pa.Table]) -> list[pa.Table]:
        """The rows of parcels whose customers are decided again or checked, and nobody's."""
        if not parcels:
            return []
        wanted = (self.again | self.checked)[self.head.codes[source]]
        ends = np.cumsum(self.sizes[source])
        return [
            parcel.filter(pa.array(wanted[end - size : end]))
            for parcel, size, end in zip(parcels, self.sizes[source], ends, strict=True)
        ]

    def with_others(self, rows: pa.RecordBatch) -> list[pa.RecordBatch]:
        """The rows of whom was looked at, with what the check found, and those of everyone else."""
        stands = rows.schema.get_field_index(STANDS)
        return [rows.set_column(stands, rows.schema.field(stands), self._as_kept(rows)), self._others()]

    def _as_kept(self, rows: pa.RecordBatch) -> pa.Array:
        """Of checked customers whether their answer is the earlier one; missing of all others."""
        numbers = pc.index_in(rows.column("customer_id"), self.head.ids)
        number = np.asarray(numbers.fill_null(self.head.nobody))
        checked = np.flatnonzero(self.checked[number])
        places = pa.array(self.place[number[checked]])
        alike = np.ones(len(checked), bool)
        for field in kept_fields(self.work):
            # Rows of one instant may come in any order in a list, and codes in it are those of a partition.
            if not pa.types.is_nested(field.type):
                before = whole(self.earlier, self.work.kept_name(field.name)).take(places)
                now = rows.column(field.name).take(pa.array(checked))
                same = pc.equal(before, now.cast(before.type)).fill_null(False)
                alike &= np.asarray(pc.or_(same, pc.and_(before.is_null(), now.is_null())))
        found = np.ones(rows.num_rows, bool)
        found[checked] = alike
        return pa.array(found, mask=~self.checked[number])

    def _others(self) -> pa.RecordBatch:
        head = self.head
        numbers = np.flatnonzero(~(self.again | self.checked)[: head.nobody])
        row = np.full(head.size, -1, np.int64)
        row[head.persons] = np.arange(len(head.persons))
        people = row[numbers]
        places = pa.array(self.place[numbers])
        told: dict[str, pa.Array] = {
            "customer_id": head.ids.take(pa.array(numbers)), STANDS: pa.array(np.ones(len(numbers), bool)),
        }
        for source in SOURCES:
            told[f"_new_{source}"] = pa.array(head.new(source)[numbers])
            told[f"_late_{source}"] = pa.array(head.late(source)[numbers])
        told |= {name: values.take(pa.array(numbers)) for name, values in head.base.items()}
        if head.people is not None:
            rows = head.people.take(pa.array(people))
            told |= {name: whole(rows, name) for name in self.work.passed}
        kept = {field.name for field in kept_fields(self.work)}

        def column(field: pa.Field) -> pa.Array:
            if field.name in told:
                return told[field.name].cast(field.type)
            if field.name in kept:
                return whole(self.earlier, self.work.kept_name(field.name)).take(places).cast(field.type)
            return pa.nulls(len(numbers), field.type)

        return pa.record_batch([column(field) for field in self.work.schema], schema=self.work.schema)


def standing(
    work: Work, partition: int, head: Partition, sizes: dict[str, list[int]], fresh: dict[str, list[bool]]
) -> Standing | None:
    """Whose answers stand; None when all have to be made anew. `sizes` and `fresh` are those of each source's parcels."""
    assert work.answers is not None and work.answers.earlier is not None
    since = work.answers.earlier
    path = _path(since.folder, partition)
    if not os.path.exists(path):
        return None
    with pa.memory_map(path) as file:
        earlier = pa.ipc.open_file(file).read_all()
    found = pc.index_in(head.ids, whole(earlier, "customer_id"))
    place = np.append(np.asarray(found.fill_null(-1)).astype(np.int64), -1)
    again = place < 0

    def as_then(name: str) -> np.ndarray:
        values = np.asarray(whole(earlier, name).fill_null(0))
        return np.append(values, np.zeros(1, values.dtype))[place]

    for source in SOURCES:
        customer = head.codes.get(source, np.empty(0, np.int32))
        known = customer[customer >= 0]
        again |= np.bincount(known, minlength=head.size) != as_then(f"_rows_{source}")
        if len(customer):
            again[customer[np.repeat(fresh[source], sizes[source])]] = True
            again[customer[_passed(head, source, since.moved.spans.get(source, ()))]] = True
            for then, now in since.moved.of(source):
                keys = _row_keys(head, source, now.value)
                again[customer[holds(keys, then) != holds(keys, now)]] = True
    persons = head.persons
    again |= np.bincount(persons, minlength=head.size) != 1
    now_people = np.zeros(head.size, np.int64)
    now_people[persons] = head.digests
    again |= now_people != as_then(PEOPLE)
    for then, now in since.moved.of("customers"):
        keys = head.customer_keys(now.value)
        again[persons[holds(keys, then) != holds(keys, now)]] = True
    again[: head.nobody] |= np.asarray(pc.is_in(head.ids, pa.array(sorted(since.changed), pa.string())))
    if work.erased:
        again[: head.nobody] |= np.array([hash_of(work.tenant, name) in work.erased for name in head.ids.to_pylist()], bool)
    again[head.nobody] = True
    if again.mean() > since.most:
        return None
    drawn = np.append((hashed(head.ids) + np.uint64(since.day)) % np.uint64(since.checked) == 0, False)
    return Standing(work, head, sizes, earlier, place, again, drawn & ~again)


def _passed(head: Partition, source: str, spans: Iterable[tuple[int, int]]) -> np.ndarray:
    """Which rows lie in a span; spans lie one after the other."""
    bounds = [bound for span in spans for bound in span]
    # Between an even and an odd place lies a span.
    return np.searchsorted(bounds, head.times[source], side="right") % 2 == 1


def _row_keys(head: Partition, source: str, field: core.Field) -> Keys:
    if field.name == TIMES[source]:
        time = head.times[source]
        return Keys(time, Type.TIMESTAMP, time == UNTIMED)
    table = head.tables[source]
    assert table is not None
    return keys_of(table.column(field.name), field.type)


# Keeping --------------------------------------------------------------------------------------------------------------


def kept_fields(work: Work) -> list[pa.Field]:
    """What is kept of the columns that come out: not who somebody is or was, nor what is told anew every night."""
    left = ("_reject_", "_fault_", "_new_", "_late_")
    return [
        field for field in work.schema
        if field.name not in (*work.passed, *COLUMNS, STANDS) and not field.name.startswith(left)
    ]


def keep(work: Work, partition: int, rows: Sequence[pa.RecordBatch]) -> None:
    """Leaves the answers of a partition for a later night, whole or not at all; of ids that stand there once."""
    assert work.answers is not None
    table = pa.Table.from_batches(rows)
    ids = whole(table, "customer_id").dictionary_encode()
    codes = np.asarray(ids.indices.fill_null(len(ids.dictionary)))
    once = np.append(np.bincount(codes, minlength=len(ids.dictionary))[: len(ids.dictionary)] == 1, False)[codes]
    fields = kept_fields(work)
    own = table.select([field.name for field in fields]).filter(pa.array(once))
    own = own.rename_columns([work.kept_name(field.name) for field in fields])
    path = _path(work.answers.folder, partition)
    hidden = f"{path}.{os.getpid()}"
    with pa.ipc.new_file(hidden, own.schema, options=_COMPRESSED) as writer:
        writer.write_table(own)
    os.replace(hidden, path)


def _path(folder: str, partition: int) -> str:
    return os.path.join(folder, f"partition-{partition:05d}.arrow")
