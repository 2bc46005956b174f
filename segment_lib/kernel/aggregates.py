"""One value per customer, of rows in order of time: the functions of `core.Feature`, by numpy.

A function gets the rows that count, in order of time: whose they are (`customer`), and their values.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from segment_lib import core
from segment_lib.catalogue import Type
from segment_lib.kernel.groups import added, extreme, summed
from segment_lib.kernel.keys import Keys, exact
from segment_lib.kernel.rows import Rows, micros

_PLACES = 8


@dataclass(frozen=True)
class Selected:
    """Rows that count: `rows` are their places among `source`, in order of time; None stands for all of them."""

    source: Rows
    rows: np.ndarray | slice
    #: How many customers the partition has.
    customers: int

    @property
    def customer(self) -> np.ndarray:
        return self.source.customer[self.rows]

    def with_value(self, field: core.Field) -> tuple[Selected, Keys]:
        """Those that have a value, and their values."""
        keys = self.source.keys(field).take(self.rows)
        known = keys.known
        if known is None or known.all():
            return self, keys
        rows = np.arange(len(self.source))[self.rows] if isinstance(self.rows, slice) else self.rows
        return Selected(self.source, rows[known], self.customers), keys.take(known)


def aggregate(feature: core.Aggregate, rows: Selected) -> Keys:
    """A feature's value for each customer of the partition; windows and filters were applied before."""
    if isinstance(feature, core.Periods):
        return _periods(feature, rows)
    assert isinstance(feature, core.Feature)
    if feature.function == "count":
        return _whole(np.bincount(rows.customer, minlength=rows.customers))
    field = feature.field.field if isinstance(feature.field, core.Lines) else feature.field
    assert isinstance(field, core.Field)
    return _FUNCTIONS[feature.function](rows, field)


def _whole(numbers: np.ndarray) -> Keys:
    return Keys(numbers, Type.INTEGER)


def _sum(rows: Selected, field: core.Field) -> Keys:
    rows, keys = rows.with_value(field)
    return summed(keys, rows.customer, rows.customers)


def _avg(rows: Selected, field: core.Field) -> Keys:
    rows, keys = rows.with_value(field)
    customer = rows.customer
    totals = added(keys.values, customer, rows.customers)
    return _quotient(totals, np.bincount(customer, minlength=rows.customers), keys.places)


def _quotient(tops: np.ndarray, bottoms: np.ndarray, places: int) -> Keys:
    """Tops, of so many places, over counts: to 8 places, half up; missing over zero."""
    factor = 2 * 10 ** (_PLACES - places)
    bottom = np.maximum(bottoms, 1)

    def halves_up(top: np.ndarray) -> np.ndarray:
        size = (abs(top) * factor + bottom) // (2 * bottom)
        return np.where(top < 0, -size, size)

    return Keys(exact(tops, 2 * factor, halves_up), Type.DECIMAL, bottoms == 0, _PLACES)


def _extreme(rows: Selected, field: core.Field, greatest: bool) -> Keys:
    rows, keys = rows.with_value(field)
    return extreme(keys, rows.customer, rows.customers, greatest)


def place_of(rows: Selected, last: bool) -> np.ndarray:
    """The place among the source's rows of each customer's first or last row; -1 of none.

    Of several values for one place numpy keeps the last that is assigned.
    """
    places = np.arange(len(rows.source))[rows.rows] if isinstance(rows.rows, slice) else rows.rows
    customer = rows.customer
    found = np.full(rows.customers, -1, np.int64)
    if last:
        found[customer] = places
    else:
        found[customer[::-1]] = places[::-1]
    return found


def _at(rows: Selected, field: core.Field, last: bool) -> Keys:
    """The value of a customer's first or last row, which may be missing."""
    places = place_of(rows, last)
    keys = rows.source.keys(field)
    none = places < 0
    if not len(rows.source):
        keys = Keys(np.zeros(1, np.int64), keys.kind, None, keys.places, keys.texts)
    found = keys.take(np.where(none, 0, places))
    if found.texts is not None:
        return Keys(np.where(none, len(found.texts), found.values), found.kind, texts=found.texts)
    missing = none if found.missing is None else none | found.missing
    return Keys(found.values, found.kind, missing, found.places)


def _distinct(rows: Selected, field: core.Field) -> Keys:
    pair, owner = rows.source.pairs(field, rows.customers)
    rows, _ = rows.with_value(field)
    seen = np.zeros(len(owner), bool)
    seen[pair[rows.rows]] = True
    return _whole(np.bincount(owner[np.flatnonzero(seen)], minlength=rows.customers))


def _counted(rows: Selected, field: core.Field) -> tuple[np.ndarray, np.ndarray, np.ndarray, Keys]:
    """Of each value of a customer: whose, how often, and at which place among `keys` one such row lies."""
    pair, owner = rows.source.pairs(field, rows.customers)
    rows, keys = rows.with_value(field)
    own = pair[rows.rows]
    counts = np.bincount(own, minlength=len(owner))
    present = np.flatnonzero(counts)
    place = np.zeros(len(owner), np.int64)
    place[own] = np.arange(len(own))
    return owner[present], counts[present], place[present], keys


def _mode(rows: Selected, field: core.Field) -> Keys:
    owner, counts, place, keys = _counted(rows, field)
    best = _first_of_each(np.lexsort((keys.ranks[place], -counts, owner)), owner)
    missing = np.ones(rows.customers, bool)
    missing[owner[best]] = False
    values = np.zeros(rows.customers, keys.values.dtype)
    values[owner[best]] = keys.values[place[best]]
    if keys.texts is not None:
        return Keys(np.where(missing, len(keys.texts), values), keys.kind, texts=keys.texts)
    return Keys(values, keys.kind, missing, keys.places)


def _mode_share(rows: Selected, field: core.Field) -> Keys:
    owner, counts, _, _ = _counted(rows, field)
    most = np.zeros(rows.customers, np.int64)
    np.maximum.at(most, owner, counts)
    return _quotient(most, np.bincount(owner, weights=counts, minlength=rows.customers).astype(np.int64), 0)


def _first_of_each(order: np.ndarray, owner: np.ndarray) -> np.ndarray:
    """The first entry of every owner, of entries put in an order that begins with the owner."""
    sorted_owner = owner[order]
    begins = np.ones(len(order), bool)
    begins[1:] = sorted_owner[1:] != sorted_owner[:-1]
    return order[begins]


def _periods(feature: core.Periods, rows: Selected) -> Keys:
    """In how many periods enough rows lie; the rows of a period are a range, for they are in order of time."""
    customer = rows.customer
    bounds = np.searchsorted(rows.source.time[rows.rows], [micros(edge) for edge in feature.edges])
    found = np.zeros(rows.customers, np.int64)
    for first, end in zip(bounds, [*bounds[1:], len(customer)], strict=True):
        found += np.bincount(customer[first:end], minlength=rows.customers) >= feature.least
    return _whole(found)


_FUNCTIONS = {
    "sum": _sum,
    "avg": _avg,
    "min": lambda rows, field: _extreme(rows, field, greatest=False),
    "max": lambda rows, field: _extreme(rows, field, greatest=True),
    "distinct": _distinct,
    "first": lambda rows, field: _at(rows, field, last=False),
    "latest": lambda rows, field: _at(rows, field, last=True),
    "mode": _mode,
    "mode_share": _mode_share,
}
