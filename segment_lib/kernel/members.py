"""The memberships of customers as lists, made of the kernel's bits, of what Columns decided, and of the base.

A batch of customers is a matrix, customers x segments, of who is a member: lists are read from it row by row, sorted by
segment. Numbers of segments are their places among all names in order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
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


@dataclass(frozen=True)
class Listing:
    """How memberships are listed. Input columns: ``_decided``, the kernel's bits; ``_others``, array of names that
    Columns decided; ``_base`` and ``_carried``, arrays of (id, since) of the base and of what held segments show.

    All other columns go through. ``entered`` and ``left`` are the names of segments in which a customer is and was not in the
    base, and the other way round. `decided` are the names that the kernel's bits stand for, `evaluated` those of tonight
    and `held` those that keep their members. With `bits`, ``member_of`` has the memberships as bits in the order of
    `names`.
    """

    #: The columns that are not passed on.
    TAKEN: ClassVar = ("_decided", "_others", "_base", "_carried")

    decided: tuple[str, ...]
    evaluated: frozenset[str]
    held: frozenset[str]
    snapshot_date: date
    bits: bool

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
        base = _entries(batch.column("_base"), texts)
        known = [base]
        if self.held:
            row, number, day = _entries(batch.column("_carried"), texts)
            held = np.array([name in self.held for name in names])[number]
            members[row[held], number[held]] = True
            known.append((row[held], number[held], day[held]))
        places = np.flatnonzero(members)
        since = np.full(len(places), (self.snapshot_date - _FIRST_DAY).days, np.int32)
        for row, number, day in known:
            # What held segments carry comes last: it holds also where the base says otherwise.
            before = row * width + number
            found = np.searchsorted(places, before)
            there = np.append(places, -1)[found] == before
            since[found[there]] = day[there]
        codes = pa.array((places % max(1, width)).astype(np.int32))
        entries = pa.StructArray.from_arrays([texts.take(codes), pa.array(since).view(pa.date32())], fields=list(SEGMENT))
        offsets = np.concatenate(([0], np.cumsum(members.sum(axis=1)))).astype(np.int32)
        columns = {
            name: batch.column(name) for name in batch.schema.names
            if name not in self.TAKEN
        }
        columns["segments"] = pa.ListArray.from_arrays(pa.array(offsets), entries)
        columns["entered"], columns["left"] = _moves(members, batch.column("_base"), base, texts)
        if self.bits:
            columns["member_of"] = packed(members)
        return pa.record_batch(columns)


def _moves(
    members: np.ndarray, base: pa.ListArray, known: tuple[np.ndarray, np.ndarray, np.ndarray], texts: pa.Array
) -> tuple[pa.ListArray, pa.ListArray]:
    """The names entered and left, a list each for every row; `known` are the entries of the base that have a number."""
    count, width = members.shape
    row, number, _ = known
    entered = members.copy()
    entered[row, number] = False
    places = np.flatnonzero(entered)
    names = base.flatten().field("id")
    numbers = pc.index_in(names, texts)
    rows = _rows(base)
    stays = np.zeros(len(rows), bool)
    stays[np.asarray(numbers.is_valid())] = members[row, number]
    return (
        _lists(places // max(1, width), texts.take(pa.array(places % max(1, width))), count),
        _lists(rows[~stays], names.filter(pa.array(~stays)), count),
    )


def _lists(row: np.ndarray, values: pa.Array, count: int) -> pa.ListArray:
    """A list for each of `count` rows, of values in the order of their rows."""
    offsets = np.concatenate(([0], np.cumsum(np.bincount(row, minlength=count)))).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), values)


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


def _entries(lists: pa.ListArray, texts: pa.Array) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of lists of (id, since): the row, the number of the segment and the day, for segments that have a number."""
    entries = lists.flatten()
    number = pc.index_in(entries.field("id"), texts)
    known = np.asarray(number.is_valid())
    day = np.asarray(entries.field("since").view(pa.int32()).fill_null(0))
    return _rows(lists)[known], np.asarray(number.fill_null(0))[known], day[known]
