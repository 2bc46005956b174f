"""The core form as lazy Polars expressions: one pass, an aggregation per source, joined, then the predicates.

What is not in a table here raises KeyError: the definitions of the benchmark use only what all peers can express. A
test may be null where it is false; that makes a difference only below `Not` and at the top, where it is made false.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import reduce
from itertools import groupby
from operator import and_, or_
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from segment_lib import core
from segment_lib.clock import Interval
from segment_lib.plan import SOURCES, EvaluationPlan
from segment_lib.tables import INPUTS

Files = Callable[[str], Sequence[str]]
_INSTANT = pl.Datetime("us")
#: Customers whose lists are made at once.
SLICE = 50_000
_IDS = {"events": "event_id", "orders": "order_id"}


def memberships(plan: EvaluationPlan, files: Files) -> pl.LazyFrame:
    """One row for everyone evaluated: customer_id, and for each segment a boolean column of its name."""
    frames = {source: _source(source, plan, files) for source in SOURCES}
    rows = _customers(plan, files)
    for source in ("events", "orders"):
        rows = rows.join(frames[source], on="customer_id", how="full", coalesce=True)
    rows = rows.join(frames["lists"], on="customer_id", how="left").filter(~_false_if_null(pl.col("_later")))
    rows = rows.with_columns(
        _false_if_null(pl.col("_known")),
        *(pl.col(f.name).fill_null(0) for f in plan.features if f.never_missing),
    )
    for _, level in groupby(sorted(plan.segments, key=lambda planned: planned.level), key=lambda p: p.level):
        rows = rows.with_columns(**{p.id: _false_if_null(test(p.reduced.test)) for p in level})
    return rows.select("customer_id", *(planned.id for planned in plan.segments))


def write_lists(rows: pl.DataFrame, path: str) -> None:
    """Writes boolean columns as (customer_id, segments), a slice at a time.

    numpy finds the members and Arrow takes the lists as offsets and dictionary codes: ten times faster than a list
    expression over all columns, and in little memory.
    """
    names = [name for name in rows.columns if name != "customer_id"]
    dictionary = pa.array(names, pa.string())
    kind = pa.dictionary(pa.int16(), pa.string())
    with pq.ParquetWriter(path, pa.schema({"customer_id": pa.large_string(), "segments": pa.list_(kind)})) as writer:
        for part in rows.iter_slices(SLICE):
            members = part.select(names).to_numpy()
            codes = pa.array(members.nonzero()[1].astype(np.int16))
            offsets = np.concatenate(([0], members.sum(axis=1).cumsum())).astype(np.int32)
            lists = pa.ListArray.from_arrays(offsets, pa.DictionaryArray.from_arrays(codes, dictionary))
            ids = part["customer_id"].to_arrow().cast(pa.large_string())
            writer.write_table(pa.Table.from_arrays([ids, lists], schema=writer.schema))


def _source(source: str, plan: EvaluationPlan, files: Files) -> pl.LazyFrame:
    """The features of one source per customer; each distinct row filter and window is computed once a row."""
    features = [feature for feature in plan.features if feature.source == source]
    time = INPUTS[source].time or "joined_at"
    rows = pl.scan_parquet(list(files(source))).with_columns(pl.col(time).cast(_INSTANT))
    seen = pl.col(time) < plain(plan.clock.as_of)
    if source == "lists":
        seen = seen | pl.col(time).is_null()
    rows = rows.filter(pl.col("customer_id").is_not_null(), seen)
    filters = {where: f"_w{i}" for i, where in enumerate(dict.fromkeys(f.where for f in features))}
    windows = {window: f"_t{i}" for i, window in enumerate(dict.fromkeys(f.window for f in features))}
    rows = rows.with_columns(
        *(_false_if_null(test(where)).alias(name) for where, name in filters.items()),
        *(_inside(window, time).alias(name) for window, name in windows.items()),
    )
    order = [time, _IDS[source]] if source in _IDS else [time]
    return rows.group_by("customer_id").agg(
        _AGGREGATES[feature.function](
            value(feature.field) if feature.field else pl.lit(1),
            pl.col(filters[feature.where]) & pl.col(windows[feature.window]), order,
        ).alias(feature.name)
        for feature in features
    )


def _inside(window: Interval, time: str) -> pl.Expr:
    edges = [pl.lit(True)]
    if window.start is not None:
        edges.append(pl.col(time) >= plain(window.start))
    if window.end is not None:
        edges.append(pl.col(time) < plain(window.end))
    return _false_if_null(reduce(and_, edges))


def _kept(value: pl.Expr, rows: pl.Expr) -> pl.Expr:
    return pl.when(rows).then(value)


def _ordered(value: pl.Expr, rows: pl.Expr, order: list[str]) -> pl.Expr:
    return value.filter(rows).sort_by(*(pl.col(name).filter(rows) for name in order))


#: (value, rows, order) -> aggregate. Masks where possible: Polars is slow where it has to filter every group by itself.
_AGGREGATES: dict[str, Callable[[pl.Expr, pl.Expr, list[str]], pl.Expr]] = {
    "count": lambda value, rows, order: rows.sum(),
    "sum": lambda value, rows, order: _kept(value, rows).sum(),
    "avg": lambda value, rows, order: _kept(value.cast(pl.Float64), rows).mean().round(8),
    "min": lambda value, rows, order: _kept(value, rows).min(),
    "max": lambda value, rows, order: _kept(value, rows).max(),
    "distinct": lambda value, rows, order: _kept(value, rows).drop_nulls().n_unique(),
    "first": lambda value, rows, order: _ordered(value, rows, order).first(),
    "latest": lambda value, rows, order: _ordered(value, rows, order).last(),
}


def _customers(plan: EvaluationPlan, files: Files) -> pl.LazyFrame:
    return pl.scan_parquet(list(files("customers"))).select(
        "customer_id",
        pl.lit(True).alias("_known"),
        (pl.col("created_at").cast(_INSTANT) >= plain(plan.clock.as_of)).alias("_later"),
        *(_stored(column).alias(f"customer_{column.name}") for column in plan.customer_fields),
    )


def _stored(column: core.Field) -> pl.Expr:
    stored = pl.col(column.name)
    return stored.cast(_INSTANT) if column.type == "timestamp" else stored


# Tests -------------------------------------------------------------------------------------------------------------


def test(node: core.Test) -> pl.Expr:
    """An expression that is true where the test holds, and false or null elsewhere."""
    return _TESTS[type(node)](node)


test.__test__ = False


def _false_if_null(expression: pl.Expr) -> pl.Expr:
    return expression.fill_null(False)


def _compare(node: core.Compare) -> pl.Expr:
    items = [plain(item) for item in node.literals]
    if isinstance(node.value, core.Feature) and node.value.function == "avg":
        items = [float(item) for item in items]
    return _OPERATORS[node.operator](value(node.value), items)


_TESTS: dict[type, Callable[[Any], pl.Expr]] = {
    core.Const: lambda node: pl.lit(node.truth),
    core.All: lambda node: reduce(and_, map(test, node.args)),
    core.Any: lambda node: reduce(or_, map(test, node.args)),
    core.Not: lambda node: ~_false_if_null(test(node.arg)),
    core.Compare: _compare,
    core.AnyLine: lambda node: pl.col("items").list.eval(_false_if_null(test(node.where))).list.any(),
    core.Member: lambda node: pl.col(node.segment),
    core.IsCustomer: lambda node: pl.col("_known"),
}

_OPERATORS: dict[str, Callable[[pl.Expr, list[Any]], pl.Expr]] = {
    "known": lambda value, items: value.is_not_null(),
    "eq": lambda value, items: value == items[0],
    "in": lambda value, items: value.is_in(items),
    "lt": lambda value, items: value < items[0],
    "le": lambda value, items: value <= items[0],
    "gt": lambda value, items: value > items[0],
    "ge": lambda value, items: value >= items[0],
    "contains": lambda value, items: value.str.to_lowercase().str.contains(items[0].lower(), literal=True),
    "starts_with": lambda value, items: value.str.to_lowercase().str.starts_with(items[0].lower()),
    "ends_with": lambda value, items: value.str.to_lowercase().str.ends_with(items[0].lower()),
    "has_any": lambda value, items: reduce(or_, (value.list.contains(item) for item in items)),
    "has_all": lambda value, items: reduce(and_, (value.list.contains(item) for item in items)),
}


def value(node: core.Value) -> pl.Expr:
    """The expression of a value; null where it is missing."""
    if isinstance(node, core.Feature):
        return pl.col(node.name)
    assert isinstance(node, core.Field), f"no expression for {type(node).__name__}"
    return _FIELDS.get(node.source, pl.col)(node.name)


_FIELDS: Mapping[str, Callable[[str], pl.Expr]] = {
    "customers": lambda name: pl.col(f"customer_{name}"),
    "items": lambda name: pl.element().struct.field(name),
}


def plain(item: core.Literal) -> Any:
    """A literal as Polars takes it; instants are in UTC, without zone."""
    return item.astimezone(UTC).replace(tzinfo=None) if isinstance(item, datetime) else item
