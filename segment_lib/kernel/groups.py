"""One value for each owner of some values: their sum, or the least or greatest of them."""

from __future__ import annotations

import numpy as np

from segment_lib.kernel.keys import Keys

_FLOAT_EXACT = 2**53
_INT64 = np.iinfo(np.int64)


def added(values: np.ndarray, owner: np.ndarray, owners: int) -> np.ndarray:
    """Sums of whole numbers, exact: floats where they are, which is mostly, and Python's integers where 64 bits end."""
    if not len(values):
        return np.zeros(owners, np.int64)
    most = max(abs(int(values.min())), abs(int(values.max()))) * int(np.bincount(owner, minlength=1).max())
    if most < _FLOAT_EXACT:
        return np.bincount(owner, weights=values, minlength=owners).astype(np.int64)
    sums = np.zeros(owners, np.int64 if most <= _INT64.max else object)
    np.add.at(sums, owner, values if most <= _INT64.max else values.astype(object))
    return sums


def summed(keys: Keys, owner: np.ndarray, owners: int) -> Keys:
    """The sum of the values of each owner, 0 of none; every value is known."""
    return Keys(added(keys.values, owner, owners), keys.kind, places=keys.places)


def extreme(keys: Keys, owner: np.ndarray, owners: int, greatest: bool) -> Keys:
    """The least or greatest of the values of each owner, missing of none; every value is known, and none a text."""
    start = keys.values.dtype.type(0) if keys.values.dtype == object else (_INT64.min if greatest else _INT64.max)
    found = np.full(owners, start, keys.values.dtype)
    missing = np.ones(owners, bool)
    missing[owner] = False
    if keys.values.dtype == object:
        found[owner] = keys.values
    (np.maximum if greatest else np.minimum).at(found, owner, keys.values)
    found[missing] = 0
    return Keys(found, keys.kind, missing, keys.places)
