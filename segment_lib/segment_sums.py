"""Sums over the members of every segment at once: totals, medians' bins, and how many customers two segments share.

Membership of a batch of customers is a matrix of zeros and ones, customers x groups. Its transpose times the matrix of
their totals is the sums of every group; times itself it is how many each two groups share. So the work for a customer
is that of two matrix products, no row per customer and segment ever exists, and only one row per group and cell of a
task is shuffled.

Cost for n customers, g groups, k totals: n x g x (2 k + g) multiplications of floats, a few hundred megabytes a task at
most; shuffled are tasks x groups x (cells that are not zero).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from pyspark.sql import functions as F
from scipy import sparse

from segment_lib.figures import EVERYONE, LOST
from segment_lib.kernel.members import matrix
from segment_lib.totals import HISTOGRAMS, TOTALS, Sums

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

#: Customers that are looked at together: so few that sums of 32-bit halves are exact in a float64 (2**32 * 2**12).
_BATCH = 1 << 12
_HALF = 32
_CELLS = "group int, cell int, high bigint, low bigint"
#: The totals come first among a group's cells, then the bins, then the groups it shares customers with.
_FIRST_BIN: dict[str, int] = {}
_end = len(TOTALS)
for _name, _greatest in HISTOGRAMS.items():
    _FIRST_BIN[_name] = _end
    _end += _greatest + 1
_FIRST_GROUP = _end


#: Of each histogram the customer (its place in the batch) and the bin of every entry.
Entries = dict[str, tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Summed:
    """Sums by group, everyone and the lost among them; and the customers in both of two segments, by (one, other)."""

    groups: dict[str, Sums]
    shared: dict[tuple[str, str], int]


def summed(rows: DataFrame, groups: Sequence[str], *, overlaps: bool) -> Summed:
    """The sums over `rows` of customers.

    `rows` has ``member_of``, array<boolean> in the order of `groups`, or as many bits in binary, a bigint ``total_NAME`` for each of TOTALS and an
    array<int> ``bin_NAME`` for each of HISTOGRAMS; nothing is null.
    """
    columns = ["member_of", *(f"total_{total.name}" for total in TOTALS), *(f"bin_{name}" for name in HISTOGRAMS)]

    def partial(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return _partial(batches, len(groups), overlaps)

    cells = rows.select(*columns).mapInArrow(partial, _CELLS).groupBy("group", "cell").agg(
        F.sum("high").alias("high"), F.sum("low").alias("low")
    )
    table = cells.toArrow()
    found = (table[name].to_numpy() for name in ("group", "cell", "high", "low"))
    return _read(*found, (*groups, EVERYONE, LOST))


class _Accumulated:
    """The sums of one task; every cell is 64 bits wide."""

    def __init__(self, groups: int, overlaps: bool) -> None:
        self.high = np.zeros((groups + 2, len(TOTALS)), np.int64)
        self.low = np.zeros((groups + 2, len(TOTALS)), np.int64)
        self.bins = {name: np.zeros((groups + 2, greatest + 1), np.int64) for name, greatest in HISTOGRAMS.items()}
        self.shared = np.zeros((groups, groups), np.int64) if overlaps else None

    def add(self, member: np.ndarray, totals: np.ndarray, bins: Entries) -> None:
        """Adds customers: `member` (customers x groups, boolean), `totals` (customers x totals) and `bins`."""
        own = member.astype(np.float64)
        # Halves of 32 bits: a float64 holds their sums over a batch exactly, and floats have the fast matrix product.
        self.low += (own.T @ (totals & (2**_HALF - 1)).astype(np.float64)).astype(np.int64)
        high = totals >> _HALF
        if high.any():
            self.high += (own.T @ high.astype(np.float64)).astype(np.int64)
        for name, (customer, place) in bins.items():
            # How often each customer counts in each bin; mostly never, so the product is with what is there alone.
            counts = sparse.csr_array(
                (np.ones(len(place)), (place, customer)), shape=(self.bins[name].shape[1], len(member))
            )
            self.bins[name] += (counts @ own).T.astype(np.int64)
        if self.shared is not None:
            groups = member[:, : len(self.shared)].astype(np.float32)
            self.shared += (groups.T @ groups).astype(np.int64)

    def cells(self) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
        """(group, cell, high, low) of what is not zero."""
        group, cell = np.nonzero(self.high | self.low)
        yield group, cell, self.high[group, cell], self.low[group, cell]
        counts = [(_FIRST_BIN[name], found) for name, found in self.bins.items()]
        if self.shared is not None:
            counts.append((_FIRST_GROUP, np.triu(self.shared, 1)))
        for first, found in counts:
            group, cell = np.nonzero(found)
            yield group, first + cell, np.zeros_like(group), found[group, cell]


def _partial(batches: Iterable[pa.RecordBatch], groups: int, overlaps: bool) -> Iterator[pa.RecordBatch]:
    """The cells of one task's customers."""
    found = _Accumulated(groups, overlaps)
    for batch in batches:
        for start in range(0, batch.num_rows, _BATCH):
            found.add(*_matrices(batch.slice(start, _BATCH), groups))
    for group, cell, high, low in found.cells():
        columns = {"group": group.astype(np.int32), "cell": cell.astype(np.int32), "high": high, "low": low}
        yield pa.record_batch(columns)


def _matrices(batch: pa.RecordBatch, groups: int) -> tuple[np.ndarray, np.ndarray, Entries]:
    """What `_Accumulated.add` takes, of one batch; the last two groups are everyone and the lost."""
    n = batch.num_rows
    totals = np.column_stack([batch.column(f"total_{total.name}").to_numpy() for total in TOTALS])
    own = _members(batch.column("member_of"), groups)
    lost = totals[:, [total.name for total in TOTALS].index("lost")].astype(bool)
    member = np.column_stack([own, np.ones(n, bool), lost])
    bins = {}
    for name in HISTOGRAMS:
        entries = batch.column(f"bin_{name}")
        sizes = entries.value_lengths().to_numpy()
        bins[name] = (np.repeat(np.arange(n), sizes), entries.flatten().to_numpy())
    return member, totals, bins


def _members(column: pa.Array, groups: int) -> np.ndarray:
    """Customers x groups, of lists of truths or of bits."""
    if pa.types.is_list(column.type):
        return column.flatten().to_numpy(zero_copy_only=False).reshape(len(column), groups)
    return np.unpackbits(matrix(column), axis=1, count=groups, bitorder="little").view(bool)


def _read(group: np.ndarray, cell: np.ndarray, high: np.ndarray, low: np.ndarray, names: Sequence[str]) -> Summed:
    """The cells as sums by the names of the groups."""
    totals: dict[str, dict[str, int]] = {name: {} for name in names}
    bins: dict[str, dict[str, dict[int, int]]] = {name: {histogram: {} for histogram in HISTOGRAMS} for name in names}
    shared = {}
    for g, c, upper, lower in zip(group.tolist(), cell.tolist(), high.tolist(), low.tolist(), strict=True):
        if c < len(TOTALS):
            totals[names[g]][TOTALS[c].name] = (upper << _HALF) + lower
        elif c < _FIRST_GROUP:
            histogram = max((name for name, first in _FIRST_BIN.items() if first <= c), key=_FIRST_BIN.__getitem__)
            bins[names[g]][histogram][c - _FIRST_BIN[histogram]] = lower
        else:
            shared[names[g], names[c - _FIRST_GROUP]] = lower
    return Summed({name: Sums(totals[name], bins[name]) for name in names}, shared)
