"""The rows of one source in one partition, in order of time, and which of them meet a test.

A source's rows are looked at kind by kind: `only` gives the rows of some event types, order statuses or lists, for all
filters that ask for them, so that the work of a filter is in proportion to the rows it can find.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from segment_lib import core
from segment_lib.clock import Interval
from segment_lib.kernel.compare import holds
from segment_lib.kernel.groups import extreme, summed
from segment_lib.kernel.keys import Keys, keys_of

#: The column that sorts a source's rows into kinds.
KIND = {"events": "event_type", "orders": "status", "lists": "list_id"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TICK = timedelta(microseconds=1)
#: Before all instants: a row without a time.
UNTIMED = np.iinfo(np.int64).min


def micros(instant: datetime) -> int:
    """Microseconds since 1970."""
    return (instant - _EPOCH) // _TICK


class Rows:
    """Rows in order of time, by columns that are made when they are asked for.

    `customer` is whose they are (a whole number below the partition's number of customers), `time` when they were. Lines
    of orders are rows too: they have the customer and the time of their order.
    """

    def __init__(
        self, customer: np.ndarray, time: np.ndarray, column: Callable[[core.Field], Keys], lines: Callable[[], Lines]
    ) -> None:
        self.customer = customer
        self.time = time
        self._column = column
        self._lines = lines
        self._keys: dict[core.Field, Keys] = {}
        self._found: dict[core.Test, np.ndarray] = {}
        self._pairs: dict[core.Field, tuple[np.ndarray, np.ndarray]] = {}

    def __len__(self) -> int:
        return len(self.time)

    def keys(self, field: core.Field) -> Keys:
        """A column of the rows."""
        if field not in self._keys:
            self._keys[field] = self._column(field)
        return self._keys[field]

    @cached_property
    def lines(self) -> Lines:
        """The lines of the orders."""
        return self._lines()

    def take(self, rows: np.ndarray) -> Rows:
        """Some of the rows, in the same order."""
        return Rows(
            self.customer[rows], self.time[rows], lambda field: self.keys(field).take(rows), lambda: self.lines.of(rows)
        )

    def only(self, kinds: core.Compare) -> Rows:
        """The rows of some kinds (see KIND)."""
        return self.take(np.flatnonzero(holds(self.keys(kinds.value), kinds)))

    def forget(self) -> None:
        """Lets go of what was found for filters that have been looked at."""
        self._found.clear()

    # -- tests

    def where(self, test: core.Test) -> np.ndarray:
        """True for the rows that meet a test."""
        if isinstance(test, core.Const):
            return np.full(len(self), test.truth)
        if test not in self._found:
            self._found[test] = self._where(test)
        return self._found[test]

    def _where(self, test: core.Test) -> np.ndarray:
        if isinstance(test, core.Compare):
            if isinstance(test.value, core.Lines):
                return holds(self.lines.values(test.value, self.lines.row, len(self)), test)
            return holds(self.keys(test.value), test)
        if isinstance(test, core.AnyGroup):
            found = np.zeros(len(self), bool)
            found[self.lines.rows_with_group(test)] = True
            return found
        if isinstance(test, core.AnyLine):
            found = np.zeros(len(self), bool)
            found[self.lines.row[self.lines.where(test.where)]] = True
            return found
        if isinstance(test, core.Not):
            return ~self.where(test.arg)
        assert isinstance(test, core.All | core.Any)
        combined = self.where(test.args[0])
        for part in test.args[1:]:
            combined = combined & self.where(part) if isinstance(test, core.All) else combined | self.where(part)
        return combined

    def pairs(self, field: core.Field, customers: int) -> tuple[np.ndarray, np.ndarray]:
        """A number for each distinct (customer, value) of a column: that of every row, and the customer of every number.

        Rows without a value have numbers too.
        """
        if field not in self._pairs:
            self._pairs[field] = distinct_pairs(self.customer, self.keys(field), customers)
        return self._pairs[field]


def window_of(time: np.ndarray, window: Interval) -> slice:
    """Which of some sorted times lie in a window, as a range."""
    first = 0
    if window.start is not None:
        first = int(np.searchsorted(time, micros(window.start)))
    elif window.end is not None:
        # A row without a time lies in no window that ends.
        first = int(np.searchsorted(time, UNTIMED + 1))
    return slice(first, len(time) if window.end is None else int(np.searchsorted(time, micros(window.end))))


class Lines(Rows):
    """The lines of some orders; `row` is the order of each."""

    def __init__(
        self, row: np.ndarray, customer: np.ndarray, time: np.ndarray, column: Callable[[core.Field], Keys]
    ) -> None:
        super().__init__(customer, time, column, _no_lines)
        self.row = row

    def of(self, rows: np.ndarray) -> Lines:
        """The lines of some of the orders, which are numbered anew."""
        place = np.full(int(self.row.max()) + 1 if len(self.row) else 0, -1, np.int64)
        rows = rows[rows < len(place)]
        place[rows] = np.arange(len(rows))
        kept = np.flatnonzero(place[self.row] >= 0)
        return Lines(
            place[self.row[kept]], self.customer[kept], self.time[kept], lambda field: self.keys(field).take(kept)
        )


    def values(self, value: core.Lines, owner: np.ndarray, owners: int) -> Keys:
        """What a value is for each owner of lines; lines of owner -1 are nobody's."""
        keys = self.keys(value.field)
        counted = self.where(value.where) & (owner >= 0)
        if keys.known is not None:
            counted = counted & keys.known
        keys, owner = keys.take(counted), owner[counted]
        return summed(keys, owner, owners) if value.function == "sum" else (
            extreme(keys, owner, owners, greatest=value.function == "max")
        )

    def rows_with_group(self, test: core.AnyGroup) -> np.ndarray:
        """The orders of which some group of lines meets the test."""
        grouped = self.where(test.where)
        number = self.row
        for field in test.by:
            keys = self.keys(field)
            if keys.known is not None:
                grouped = grouped & keys.known
            distinct, code = np.unique(keys.values, return_inverse=True)
            _, number = np.unique(number * len(distinct) + code, return_inverse=True)
        owner = np.full(len(self.row), -1, np.int64)
        groups, owner[grouped] = np.unique(number[grouped], return_inverse=True)
        row = np.zeros(len(groups), np.int64)
        row[owner[grouped]] = self.row[grouped]

        def meets(having: core.Test) -> np.ndarray:
            if isinstance(having, core.Const):
                return np.full(len(groups), having.truth)
            if isinstance(having, core.Not):
                return ~meets(having.arg)
            if isinstance(having, core.All | core.Any):
                combine = np.logical_and if isinstance(having, core.All) else np.logical_or
                return combine.reduce([meets(part) for part in having.args])
            assert isinstance(having, core.Compare) and isinstance(having.value, core.Lines)
            return holds(self.values(having.value, owner, len(groups)), having)

        return row[meets(test.having)]


def _no_lines() -> Lines:
    raise ValueError("these rows have no lines")


def distinct_pairs(customer: np.ndarray, keys: Keys, customers: int) -> tuple[np.ndarray, np.ndarray]:
    """See `Rows.pairs`; sorts the rows only where the values are many and shared by customers."""
    if keys.texts is not None:
        codes, size = keys.values, len(keys.texts) + 1
    else:
        distinct, codes = np.unique(keys.values, return_inverse=True)
        size = len(distinct) + 1
        if keys.missing is not None:
            codes = np.where(keys.missing, size - 1, codes)
    if customers * size <= 4 * len(codes) + 1024:
        return customer.astype(np.int64) * size + codes, np.repeat(np.arange(customers, dtype=np.int32), size)
    owner = np.zeros(size, np.int32)
    owner[codes] = customer
    known = codes < size - 1
    if np.array_equal(owner[codes[known]], customer[known]):
        # Every value is of one customer, as sessions are: the value's number will do.
        return codes, owner
    both, pair = np.unique(customer.astype(np.int64) * size + codes, return_inverse=True)
    return pair, (both // size).astype(np.int32)


def rows_of(
    table: pa.Table, time: np.ndarray, order: np.ndarray, customer: np.ndarray, lines: Sequence[str], timed_by: str
) -> Rows:
    """Rows of a table put in an order; `lines` names its columns of lists, one for each field of the lines.

    `customer` and `time` are those of the table's rows as they lie; `timed_by` is the column that has the time.
    """

    def column(field: core.Field) -> Keys:
        if field.name == timed_by:
            values = time[order]
            return Keys(values, field.type, values == UNTIMED)
        return keys_of(table.column(field.name), field.type).take(order)

    def order_lines() -> Lines:
        return _lines(table, lines, order, customer, time)

    return Rows(customer[order], time[order], column, order_lines)


def line_column(name: str) -> str:
    """The column that holds a field of the lines as lists."""
    return f"_items_{name}"


def _lines(
    table: pa.Table, names: Sequence[str], order: np.ndarray, customer: np.ndarray, time: np.ndarray
) -> Lines:
    if not names:
        raise ValueError("no column of the lines was brought along")
    first: Any = table.column(line_column(names[0])).combine_chunks()
    lengths = np.asarray(first.value_lengths().fill_null(0)).astype(np.int64)
    starts = np.concatenate(([0], np.cumsum(lengths)))[:-1]
    sorted_lengths = lengths[order]
    row = np.repeat(np.arange(len(order)), sorted_lengths)
    within = np.arange(len(row)) - np.repeat(np.cumsum(sorted_lengths) - sorted_lengths, sorted_lengths)
    place = starts[order][row] + within

    def column(field: core.Field) -> Keys:
        lists: Any = table.column(line_column(field.name)).combine_chunks()
        return keys_of(lists.flatten(), field.type).take(place)

    return Lines(row, customer[order][row], time[order][row], column)
