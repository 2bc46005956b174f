"""A column as whole numbers, which numpy compares, counts and sorts; texts are codes of a dictionary.

Money is in units of its last decimal place, dates are days and instants microseconds since 1970, booleans 0 and 1. A code
that lies beyond the dictionary is a missing text; of everything else `missing` tells.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from segment_lib.catalogue import Type
from segment_lib.rowchecks import BLANKS

_INT64 = np.iinfo(np.int64)


@dataclass(frozen=True)
class Keys:
    """Values of one type: int64, or Python's integers where 64 bits do not hold them."""

    values: np.ndarray
    kind: Type
    #: True where there is no value; None when nothing is missing, and for texts.
    missing: np.ndarray | None = None
    #: Decimal places of a number.
    places: int = 0
    #: The texts that codes stand for, each once; lists of texts are told apart by their rows.
    texts: pa.Array | None = None

    @property
    def known(self) -> np.ndarray | None:
        """True where there is a value; None when that is everywhere."""
        if self.texts is not None:
            return self.values < len(self.texts)
        return None if self.missing is None else ~self.missing

    def take(self, rows: np.ndarray | slice) -> Keys:
        missing = None if self.missing is None else self.missing[rows]
        return Keys(self.values[rows], self.kind, missing, self.places, self.texts)

    @cached_property
    def lowered(self) -> pa.StringArray:
        """The dictionary in lower case; beyond ASCII as Python does it, which knows more than one letter at a time."""
        assert self.texts is not None
        lowered = pc.utf8_lower(self.texts)
        if pc.all(pc.string_is_ascii(self.texts)).as_py() is not False:
            return lowered
        return pa.array([None if text is None else text.lower() for text in self.texts.to_pylist()], pa.string())

    @cached_property
    def ranks(self) -> np.ndarray:
        """The order of the values: of texts the place among all, by their UTF-8 bytes; numbers are their own."""
        if self.texts is None:
            return self.values
        order = np.array(pc.array_sort_indices(self.texts.cast(pa.binary())))
        places = np.empty(len(order) + 1, np.int64)
        places[order] = np.arange(len(order))
        places[-1] = len(order)
        return places[self.values]


def keys_of(column: pa.ChunkedArray | pa.Array, kind: Type) -> Keys:
    """A column of Arrow as keys; blank text is missing."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    if kind is Type.TEXT:
        return _texts(column)
    missing = np.asarray(column.is_null()) if column.null_count else None
    if kind is Type.TEXTS:
        places = np.arange(len(column))
        return Keys(places if missing is None else np.where(missing, len(column), places), kind, texts=column)
    if kind is Type.DECIMAL:
        return _decimals(column, missing)
    if kind is Type.TIMESTAMP:
        column = column.cast(pa.timestamp("us", "UTC")).view(pa.int64())
    elif kind is Type.DATE:
        column = column.view(pa.int32())
    elif kind is Type.BOOLEAN:
        column = column.cast(pa.int8())
    values = column.fill_null(0) if missing is not None else column
    return Keys(values.to_numpy(zero_copy_only=False).astype(np.int64, copy=False), kind, missing)


def _texts(column: pa.Array) -> Keys:
    coded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    texts = coded.dictionary.cast(pa.string())
    codes = coded.indices.fill_null(len(texts)) if coded.indices.null_count else coded.indices
    values = codes.to_numpy(zero_copy_only=False).astype(np.int32, copy=False)
    blank = np.asarray(pc.equal(pc.utf8_trim(texts, BLANKS), "").fill_null(True))
    if blank.any():
        values = np.where(np.append(blank, True)[values], len(texts), values).astype(np.int32)
    if len(texts) < 255:
        values = values.astype(np.uint8)
    return Keys(values, Type.TEXT, texts=texts)


def _decimals(column: pa.Array, missing: np.ndarray | None) -> Keys:
    """Decimals of 128 bits are two halves in memory; mostly the upper one is the sign alone."""
    places = column.type.scale
    wide = column.cast(pa.decimal128(38, places))
    halves = np.frombuffer(wide.buffers()[1], np.int64)[2 * wide.offset : 2 * (wide.offset + len(wide))].reshape(-1, 2)
    values = halves[:, 0].copy()
    if missing is not None:
        values[missing] = 0
    high = halves[:, 1] if missing is None else np.where(missing, 0, halves[:, 1])
    if not np.array_equal(high, values >> 63):
        values = np.array([(int(h) << 64) + (int(v) & (2**64 - 1)) for v, h in zip(values, high, strict=True)], object)
    return Keys(values, Type.DECIMAL, missing, places)


def arrow_of(keys: Keys, kind: pa.DataType) -> pa.Array:
    """Keys as a column of an Arrow type: the way back."""
    if keys.texts is not None:
        return keys.texts.take(pa.array(keys.values, pa.int64(), mask=~keys.known))
    if pa.types.is_decimal(kind):
        return _decimal_column(keys, kind)
    if pa.types.is_timestamp(kind):
        return pa.array(keys.values, pa.int64(), mask=keys.missing).view(pa.timestamp("us", "UTC"))
    if pa.types.is_date(kind):
        return pa.array(keys.values.astype(np.int32), pa.int32(), mask=keys.missing).view(pa.date32())
    if pa.types.is_boolean(kind):
        return pa.array(keys.values.astype(bool), mask=keys.missing)
    return pa.array(keys.values, pa.int64(), mask=keys.missing).cast(kind)


def _decimal_column(keys: Keys, kind: pa.DataType) -> pa.Array:
    factor = 10 ** (kind.scale - keys.places)
    values = exact(keys.values, factor, lambda whole: whole * factor)
    halves = np.empty((len(values), 2), np.int64)
    if values.dtype == object:
        halves[:, 0] = [((int(v) + 2**63) % 2**64) - 2**63 for v in values]
        halves[:, 1] = [int(v) >> 64 for v in values]
    else:
        halves[:, 0], halves[:, 1] = values, values >> 63
    missing = np.zeros(len(values), bool) if keys.missing is None else keys.missing
    valid = pa.py_buffer(np.packbits(~missing, bitorder="little").tobytes())
    return pa.Array.from_buffers(kind, len(values), [valid, pa.py_buffer(halves.tobytes())])


def exact(values: np.ndarray, factor: int, compute):
    """`compute` of whole numbers that it makes up to `factor` times as great; with Python's where 64 bits end."""
    if values.dtype != object and len(values):
        greatest = max(abs(int(values.min())), abs(int(values.max())))
        if greatest * factor > _INT64.max:
            values = values.astype(object)
    return compute(values)
