"""The memberships of customers as lists, made of the kernel's bits, of what Columns decided, and of the base.

The base's own come as lists, or as bytes where tasks read its snapshot (`base`); both count.

A batch of customers is a matrix, customers x segments, of who is a member: lists are read from it row by row, sorted by
segment. Numbers of segments are their places among all names in order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_FIRST_DAY = date(1970, 1, 1)
#: Customers in one matrix.
_SLICE = 1 << 12
SEGMENT = pa.struct([("id", pa.string()), ("since", pa.date32())])
#: A membership in bytes: the number of its segment among names that both sides know, and its first day since 1970.
ENTRY = np.dtype([("segment", "<u2"), ("day", "<i4")])


@dataclass(frozen=True)
class Listing:
    """How memberships are listed. Input columns: ``_decided``, the kernel's bits; ``_others``, array of names that
    Columns decided; ``_base`` and ``_carried``, arrays of (id, since) of the base and of what held segments show;
    ``_packed``, more of the base as ENTRY for ENTRY, numbers of segments among `base_names`.

    All other columns go through. ``entered`` and ``left`` are the names of segments in which a customer is and was not in the
    base, and the other way round. `decided` are the names that the kernel's bits stand for, `evaluated` those of tonight
    and `held` those that keep their members, with `held_as_base` those of the base, too. With `bits`, ``member_of`` has the
    memberships as bits in the order of `names`.
    """

    #: The columns that are not passed on.
    TAKEN: ClassVar = ("_decided", "_others", "_base", "_packed", "_carried")

    decided: tuple[str, ...]
    evaluated: frozenset[str]
    held: frozenset[str]
    snapshot_date: date
    bits: bool
    base_names: tuple[str, ...] = ()
    held_as_base: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self.evaluated | self.held))

    def batches(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The batches with ``segments``."""
        for batch in batches:
            for first in range(0, batch.num_rows, _SLICE):
                yield self._listed(batch.slice(first, _SLICE))

    def _listed(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        names, count = self.names, batch.num_rows
        texts, width = pa.array(names, pa.string()), len(self.names)
        own = np.unpackbits(matrix(batch.column("_decided")), axis=1, count=len(self.decided), bitorder="little")
        if self.decided == names:
            members = own.view(bool)
        else:
            place = {name: number for number, name in enumerate(names)}
            kept = [number for number, name in enumerate(self.decided) if name in self.evaluated]
            members = np.zeros((count, width), bool)
            members[:, [place[self.decided[number]] for number in kept]] = own[:, kept]
        others = batch.column("_others")
        members[_rows(others), np.asarray(pc.index_in(others.flatten(), texts))] = True
        base = (of_lists(batch.column("_base")), of_bytes(batch.column("_packed"), pa.array(self.base_names, pa.string())))
        carried = [*(base if self.held_as_base else ()), of_lists(batch.column("_carried"))]
        held = [entries.among(pa.array(sorted(self.held), pa.string())) for entries in carried]
        for entries in held:
            members[entries.row, entries.numbered(texts)] = True
        places = np.flatnonzero(members)
        since = np.full(len(places), (self.snapshot_date - _FIRST_DAY).days, np.int32)
        # What held segments carry comes last, because it holds also where the base says otherwise.
        for entries in (*base, *held):
            own = entries.among(texts)
            before = own.row * width + own.numbered(texts)
            found = np.searchsorted(places, before)
            there = np.append(places, -1)[found] == before
            since[found[there]] = own.day[there]
        row, number = places // max(1, width), places % max(1, width)
        columns = {
            name: batch.column(name) for name in batch.schema.names
            if name not in self.TAKEN
        }
        columns["segments"] = lists(row, texts.take(pa.array(number)), since, count)
        columns["entered"], columns["left"] = _moves(members, base, texts)
        if self.bits:
            columns["member_of"] = packed(members)
        return pa.record_batch(columns)


def _moves(members: np.ndarray, base: Sequence[Entries], texts: pa.Array) -> tuple[pa.ListArray, pa.ListArray]:
    """The names entered and left, a list each for every row."""
    count, width = members.shape
    entered = members.copy()
    rows, names = [], []
    for entries in base:
        known = entries.among(texts)
        entered[known.row, known.numbered(texts)] = False
        gone = np.ones(len(entries.row), bool)
        gone[entries.numbered(texts) >= 0] = ~members[known.row, known.numbered(texts)]
        rows.append(entries.row[gone])
        names.append(entries.ids(gone))
    places = np.flatnonzero(entered)
    row = np.concatenate(rows)
    order = np.argsort(row, kind="stable")
    return (
        _lists(places // max(1, width), texts.take(pa.array(places % max(1, width))), count),
        _lists(row[order], pa.concat_arrays(names).take(pa.array(order)), count),
    )


def _lists(row: np.ndarray, values: pa.Array, count: int) -> pa.ListArray:
    """A list for each of `count` rows, of values in the order of their rows."""
    offsets = np.concatenate(([0], np.cumsum(np.bincount(row, minlength=count)))).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), values)


def lists(row: np.ndarray, ids: pa.Array, day: np.ndarray, count: int) -> pa.ListArray:
    """Lists of (id, since), one for each of `count` rows; entries come in the order of their rows."""
    return _lists(row, pa.StructArray.from_arrays([ids, pa.array(day).view(pa.date32())], fields=list(SEGMENT)), count)


def packed(members: np.ndarray) -> pa.Array:
    """Rows of a matrix of truths as bits."""
    bits = np.packbits(members, axis=1, bitorder="little")
    offsets = np.arange(len(bits) + 1, dtype=np.int32) * bits.shape[1]
    return pa.Array.from_buffers(
        pa.binary(), len(bits), [None, pa.py_buffer(offsets.tobytes()), pa.py_buffer(bits.tobytes())]
    )


def matrix(bits: pa.Array) -> np.ndarray:
    """Binary values of one length as a matrix of bytes, a row for each."""
    offsets = np.frombuffer(bits.buffers()[1], np.int32)[bits.offset : bits.offset + len(bits) + 1]
    data = np.frombuffer(bits.buffers()[2] or b"", np.uint8)[offsets[0] : offsets[-1]]
    return data.reshape(len(bits), len(data) // max(1, len(bits)))


def _rows(lists: pa.ListArray) -> np.ndarray:
    """The row of every entry of lists."""
    return np.repeat(np.arange(len(lists)), np.asarray(lists.value_lengths().fill_null(0)))


@dataclass(frozen=True)
class Entries:
    """Memberships one by one: the row of its customer, the place of its segment among `texts`, its day since 1970."""

    row: np.ndarray
    code: np.ndarray
    day: np.ndarray
    texts: pa.Array

    def numbered(self, names: pa.Array) -> np.ndarray:
        """The place of each segment among other names, -1 where it is not there."""
        places = np.asarray(pc.index_in(self.texts, names).fill_null(-1))
        return places[self.code] if len(places) else self.code

    def ids(self, which: np.ndarray | slice = slice(None)) -> pa.Array:
        """The segment of each entry, or of some."""
        return self.texts.take(pa.array(self.code[which]))

    def among(self, names: pa.Array) -> Entries:
        """Those of some segments."""
        kept = self.numbered(names) >= 0
        return self if kept.all() else Entries(self.row[kept], self.code[kept], self.day[kept], self.texts)


def of_lists(lists: pa.ListArray) -> Entries:
    """The entries of lists of (id, since)."""
    found = lists.flatten()
    coded = found.field("id").dictionary_encode()
    day = np.asarray(found.field("since").view(pa.int32()).fill_null(0))
    return Entries(_rows(lists), np.asarray(coded.indices), day, coded.dictionary)


def of_bytes(packed: pa.Array, names: pa.Array) -> Entries:
    """The entries of binary values, of which each is any number of ENTRY."""
    offsets = np.frombuffer(packed.buffers()[1], np.int32)[packed.offset : packed.offset + len(packed) + 1]
    data = packed.buffers()[2] or b""
    found = np.frombuffer(data, np.uint8)[offsets[0] : offsets[-1]].view(ENTRY)
    row = np.repeat(np.arange(len(packed)), np.diff(offsets) // ENTRY.itemsize)
    return Entries(row, found["segment"].astype(np.int64), found["day"].astype(np.int32), names)


def as_bytes(entries: Entries, count: int) -> pa.Array:
    """The entries of `count` rows as `of_bytes` reads them, those of a row together; rows come in order."""
    data = np.empty(len(entries.row), ENTRY)
    data["segment"], data["day"] = entries.code, entries.day
    sizes = np.bincount(entries.row, minlength=count) * ENTRY.itemsize
    offsets = np.concatenate(([0], np.cumsum(sizes))).astype(np.int32)
    return pa.Array.from_buffers(pa.binary(), count, [None, pa.py_buffer(offsets), pa.py_buffer(data)])
