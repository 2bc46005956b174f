"""What the scan adds up for metrics (`customer_totals`), by numpy: sums over orders, first and last times, visits."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from segment_lib import core, customer_totals
from segment_lib.axis import STAGED as DAY_ORDERS
from segment_lib.catalogue import Type
from segment_lib.clock import Interval, Step
from segment_lib.kernel.aggregates import Selected, place_of
from segment_lib.kernel.groups import added
from segment_lib.kernel.keys import Keys
from segment_lib.kernel.rows import Rows, window_of
from segment_lib.plan import EvaluationPlan
from segment_lib.totals import ORDER_TOTALS

_STATUS = core.Field("orders", "status", Type.TEXT)
_MONEY = {name: core.Field("orders", name, Type.DECIMAL) for name in ("revenue", "refund", "cost")}
_QUANTITY = core.Field("items", "quantity", Type.INTEGER)
_SESSION = core.Field("events", "session_id", Type.TEXT)
_ORDER_ID = core.Field("orders", "order_id", Type.TEXT)


def fields(plan: EvaluationPlan) -> dict[str, tuple[core.Field, ...]]:
    """What totals read of each source; ``items`` are the lines of orders."""
    every = customer_totals.wants_all(plan.totals)
    orders = [_STATUS, _MONEY["revenue"], _MONEY["refund"], *([_MONEY["cost"]] if every else [])]
    return {
        "orders": (*orders, *([_ORDER_ID] if plan.day_orders else [])),
        "items": (_QUANTITY,) if every else (),
        "events": (_SESSION,) if every else (),
    }


def of_orders(plan: EvaluationPlan, rows: Rows, customers: int) -> Iterator[tuple[str, str, Keys]]:
    """(column, type, value for each customer) of the totals over orders."""
    values = _order_values(plan, rows)
    for total in ORDER_TOTALS:
        if total.name in plan.totals:
            inside = window_of(rows.time, customer_totals.window_of(total, plan.clock))
            sums = added(values[total.value][inside], rows.customer[inside], customers)
            yield customer_totals.staged(total.name), "bigint", _fitting(sums)
    if customer_totals.wants_all(plan.totals):
        bought = Selected(rows, np.flatnonzero(values["purchases"]), customers)
        yield "_bought_first", "timestamp", _time_at(rows, place_of(bought, last=False))
        yield "_bought_last", "timestamp", _time_at(rows, place_of(bought, last=True))


def _fitting(sums: np.ndarray) -> Keys:
    """Sums; one that 64 bits do not hold is missing."""
    if sums.dtype != object:
        return Keys(sums, Type.INTEGER)
    missing = np.array([abs(total) >= 2**63 for total in sums], bool)
    return Keys(np.where(missing, 0, sums).astype(np.int64), Type.INTEGER, missing)


def _order_values(plan: EvaluationPlan, rows: Rows) -> dict[str, np.ndarray]:
    """What one order adds to each of ORDER_VALUES, see `customer_totals.order_values`."""
    statuses = plan.catalogue.purchase_statuses
    purchase = rows.where(core.Compare(_STATUS, "in", tuple(statuses))) if statuses else np.zeros(len(rows), bool)
    ones = np.ones(len(rows), np.int64)

    def money(name: str) -> np.ndarray:
        keys = rows.keys(_MONEY[name])
        return keys.values if keys.missing is None else np.where(keys.missing, 0, keys.values)

    values = {
        "orders": ones, "gross_revenue": money("revenue"), "purchases": ones * purchase,
        "net_revenue": (money("revenue") - money("refund")) * purchase,
    }
    if customer_totals.wants_all(plan.totals):
        lines = rows.lines
        quantity = lines.keys(_QUANTITY)
        counted = quantity.values if quantity.missing is None else np.where(quantity.missing, 0, quantity.values)
        values["units"] = added(counted, lines.row, len(rows)) * purchase
        values["cost"] = money("cost") * purchase
    return values


def of_events(plan: EvaluationPlan, rows: Rows, customers: int) -> Iterator[tuple[str, str, Keys | pa.Array]]:
    """(column, type, value for each customer): the last event and visit, and the lengths of the last visits."""
    if not customer_totals.wants_all(plan.totals):
        return
    visits = np.flatnonzero(rows.where(core.Compare(_SESSION, "known")))
    yield "_last_event", "timestamp", _time_at(rows, place_of(Selected(rows, slice(None), customers), last=True))
    yield "_last_visit", "timestamp", _time_at(rows, place_of(Selected(rows, visits, customers), last=True))
    recent = Interval(plan.clock.before(Step(customer_totals.VISIT_DAYS, "d")), None)
    chosen = visits[window_of(rows.time[visits], recent)]
    customer, minutes = visit_minutes(rows.customer[chosen], rows.keys(_SESSION).values[chosen], rows.time[chosen])
    yield "_visit_minutes", "array<int>", lists(customer, pa.array(minutes.astype(np.int32)), customers)


def visit_minutes(customer: np.ndarray, session: np.ndarray, time: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of every visit whose it is, and its length in whole minutes from first to last row; rows come in order of time.

    >>> found = visit_minutes(np.array([0, 1, 0]), np.array([7, 7, 7]), np.array([0, 5, 119_999_999]))
    >>> [part.tolist() for part in found]
    [[0, 1], [1, 0]]
    """
    order = np.lexsort((session, customer))
    customer, session, seconds = customer[order], session[order], time[order] // 1_000_000
    begins = np.ones(len(order) + 1, bool)
    begins[1:-1] = (customer[1:] != customer[:-1]) | (session[1:] != session[:-1])
    first, last = np.flatnonzero(begins[:-1]), np.flatnonzero(begins[1:])
    return customer[first], (seconds[last] - seconds[first]) // 60


def day_orders(plan: EvaluationPlan, rows: Rows, customers: int) -> Iterator[tuple[str, str, pa.Array]]:
    """(column, type, lists) of the ids of the snapshot date's orders."""
    if plan.day_orders:
        today = np.arange(len(rows))[window_of(rows.time, Interval(plan.clock.start_of(plan.clock.snapshot_date), None))]
        keys = rows.keys(_ORDER_ID).take(today)
        ids = keys.texts.take(pa.array(keys.values, mask=~keys.known)) if len(today) else pa.array([], pa.string())
        yield DAY_ORDERS, "array<string>", lists(rows.customer[today], ids, customers)


def lists(customer: np.ndarray, values: pa.Array, customers: int) -> pa.ListArray:
    """A list for each customer of the values that are theirs, in the order in which they come."""
    order = np.argsort(customer, kind="stable")
    offsets = np.concatenate(([0], np.cumsum(np.bincount(customer, minlength=customers)))).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), values.take(pa.array(order)))


def _time_at(rows: Rows, places: np.ndarray) -> Keys:
    none = places < 0
    times = np.append(rows.time, 0)[np.where(none, len(rows), places)]
    return Keys(times, Type.TIMESTAMP, none)
