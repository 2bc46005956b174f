"""Rows of several columns as 64 bits each, the same in every process: equal rows have equal bits, others hardly ever."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from segment_lib.catalogue import Type
from segment_lib.kernel.keys import Keys
from segment_lib.kernel.parcels import hashed


def digest(columns: Iterable[Keys], count: int) -> np.ndarray:
    """64 bits of each of `count` rows, int64.

    >>> ones, twos = Keys(np.array([1, 1, 2]), Type.INTEGER), Keys(np.array([2, 2, 1]), Type.INTEGER)
    >>> first, second, third = digest([ones, twos], 3)
    >>> bool(first == second), bool(first == third)
    (True, False)
    """
    found = np.zeros(count, np.uint64)
    for keys in columns:
        found = _mixed(found ^ _bits(keys))
    return found.view(np.int64)


def _bits(keys: Keys) -> np.ndarray:
    """64 bits of each value, 0 of a missing one."""
    if keys.texts is not None:
        texts = keys.texts if keys.kind is Type.TEXT else pa.array(map(repr, keys.texts.to_pylist()), pa.string())
        return np.append(hashed(texts, longest=None), np.uint64(0))[keys.values]
    numbers = keys.values
    if numbers.dtype == object:
        numbers = np.array([((number + 2**63) % 2**64) - 2**63 for number in numbers], np.int64)
    bits = _mixed(numbers.astype(np.int64).view(np.uint64))
    return bits if keys.missing is None else np.where(keys.missing, np.uint64(0), bits)


def _mixed(bits: np.ndarray) -> np.ndarray:
    """SplitMix64's finaliser, over bits that are moved on before, so that zeros do not stay zeros."""
    bits = bits * np.uint64(0x9E3779B97F4A7C15) + np.uint64(0xD1B54A32D192ED03)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))
