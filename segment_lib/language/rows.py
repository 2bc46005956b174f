"""Conditions over rows of a source: which rows, in which window, and what of them is compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from segment_lib import core
from segment_lib.clock import Interval
from segment_lib.language.condition import Condition
from segment_lib.language.comparison import Comparison
from segment_lib.language.filters import Columns, Filter, ItemsField, PropertyTest, RowFilter, line_column, row_columns
from segment_lib.language.model import Model, Text
from segment_lib.language.scope import Scope
from segment_lib.language.window import WindowField

#: Aggregates that may add up the lines of orders.
LINE_AGGREGATES = {"sum": "sum", "avg": "each", "min": "min", "max": "max", "distinct": "distinct", "mode": "each"}


class Aggregate(Comparison):
    """An aggregate of one property, compared."""

    example: ClassVar[str] = "{of: PROPERTY, at_least: 100}"

    of: Text


class Mode(Aggregate):
    """The most frequent value, compared, and its share among the rows that have a value."""

    example: ClassVar[str] = "{of: PROPERTY, is: VALUE}"

    share: PropertyTest | None = None


class EventType(Model):
    """One event type of a union, with a filter of its own."""

    wanted: ClassVar[str] = "an event type"
    example: ClassVar[str] = "its name or {type: NAME, where: {...}}"

    type: Text
    where: RowFilter | None = None


def _entries(value: Any) -> Any:
    listed = value if isinstance(value, list | tuple) else [value]
    if not listed:
        raise ValueError("an empty list names no event type; write a type, a list of types or any")
    return tuple({"type": entry} if isinstance(entry, str) else entry for entry in listed)


class _TypesForm:
    """The JSON Schema of a type, or a list of types that may have filters."""

    def __get_pydantic_json_schema__(self, core_schema: Any, handler: Any) -> dict[str, Any]:
        entry = {"anyOf": [{"type": "string"}, handler(EventType.__pydantic_core_schema__)]}
        return {"anyOf": [{"type": "string"}, {"type": "array", "minItems": 1, "items": entry}]}


EventTypes = Annotated[tuple[EventType, ...], BeforeValidator(_entries), _TypesForm()]
Statuses = Annotated[
    tuple[Text, ...],
    BeforeValidator(lambda value: (value,) if isinstance(value, str) else value),
    Field(min_length=1),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}),
]


def plain_types(entries: tuple[EventType, ...]) -> Any:
    """Event types as the file has them."""
    written = [entry.type if entry.where is None else entry.to_plain() for entry in entries]
    return written[0] if len(written) == 1 and isinstance(written[0], str) else written


def events_of(entries: tuple[EventType, ...], scope: Scope) -> core.Test:
    """The events of a union of types; `any` is every type."""
    types = scope.catalogue.event_types
    tests = []
    for i, entry in enumerate(entries):
        inside = scope if len(entries) == 1 and entry.where is None else scope.at(i)
        if entry.type == "any":
            test: core.Test = core.TRUE
        elif inside.known("event type", entry.type, (*types, "any")):
            test = core.Compare(_event_type(scope), "eq", (entry.type,))
        else:
            continue
        if entry.where:
            columns = event_columns((entry,), scope)
            test = core.all_of(test, entry.where.reduce(columns, inside.at("where")))
        tests.append(test)
    values = [test.literals[0] for test in tests if isinstance(test, core.Compare)]
    if len(values) == len(tests) > 1:
        return core.Compare(_event_type(scope), "in", tuple(dict.fromkeys(values)))
    return core.any_of(*tests)


def event_columns(entries: tuple[EventType, ...], scope: Scope) -> Columns:
    """Columns of events: the properties of any of the types. Of a type that is unknown nobody knows them."""
    names = [entry.type for entry in entries]
    if not scope.catalogue.event_types.keys() >= {*names} - {"any"}:
        return lambda name, scope: None
    if "any" in names:
        return row_columns("events", scope.catalogue.events())
    fields = {name: kind for event_type in names for name, kind in scope.catalogue.events(event_type).items()}
    return row_columns("events", fields)


def orders_of(statuses: tuple[str, ...], scope: Scope) -> core.Test:
    """The orders of any of some statuses; `any` is every order, `purchases` those that count as one."""
    catalogue = scope.catalogue
    wanted: list[str] = []
    for i, status in enumerate(statuses):
        inside = scope if len(statuses) == 1 else scope.at(i)
        if status == "any":
            return core.TRUE
        if status == "purchases":
            wanted.extend(catalogue.purchase_statuses)
        elif inside.known("order status", status, (*catalogue.order_statuses, "any", "purchases")):
            wanted.append(status)
    column = core.Field("orders", "status", catalogue.orders()["status"])
    return core.Compare(column, "in", tuple(dict.fromkeys(wanted)))


def order_columns(scope: Scope) -> Columns:
    """Columns of orders."""
    return row_columns("orders", scope.catalogue.orders())


def _event_type(scope: Scope) -> core.Field:
    return core.Field("events", "event_type", scope.catalogue.events()["event_type"])


class RowsCondition(Condition):
    """The fields that conditions over rows share. Rows at or after `as_of` are not seen; time is the row's own."""

    where: RowFilter | None = None
    within: WindowField | None = None
    count: PropertyTest | None = None

    def window(self, scope: Scope) -> Interval:
        """The window's instants; without one, all time before as_of."""
        return self.within.interval(scope.clock) if self.within else Interval()


class AggregateCondition(RowsCondition):
    """Rows of a source, reduced to one aggregate that is compared; without one, at least one row."""

    sum: Aggregate | None = None
    avg: Aggregate | None = None
    min: Aggregate | None = None
    max: Aggregate | None = None
    distinct: Aggregate | None = None
    latest: Aggregate | None = None
    first: Aggregate | None = None
    mode: Mode | None = None

    def compare(
        self, source: str, rows: core.Test, columns: Columns, scope: Scope, lines: core.Test | None = None
    ) -> core.Test:
        """The comparison of the one aggregate over `rows`; `lines` are the order lines that count for ``items.x``."""
        names = ("count", "sum", "avg", "min", "max", "distinct", "latest", "first", "mode")
        chosen = {name: part for name in names if (part := getattr(self, name)) is not None}
        if len(chosen) > 1:
            scope.fault(f"one aggregate a condition, not {' and '.join(chosen)}", "combine two conditions with all")
            return core.FALSE
        window = self.window(scope)
        if not chosen or "count" in chosen:
            count = core.Feature(source, "count", None, rows, window)
            if not chosen:
                return core.Compare(count, "ge", (1,))
            return chosen["count"].reduce(count, scope.at("count"))
        ((name, part),) = chosen.items()
        inside = scope.at(name)
        value = aggregated(name, part.of, columns, inside.at("of"), lines)
        if value is None:
            return core.FALSE
        tests = []
        if not isinstance(part, Mode) or part.operators():
            tests.append(part.reduce(core.Feature(source, name, value, rows, window), inside))
        if isinstance(part, Mode) and part.share is not None:
            share = core.Feature(source, "mode_share", value, rows, window)
            tests.append(part.share.reduce(share, inside.at("share")))
        return core.all_of(*tests)


def aggregated(name: str, of: str, columns: Columns, scope: Scope, lines: core.Test | None) -> core.Value | None:
    """What an aggregate is taken of, or None with a fault noted; `lines` are the order lines that count, if any can."""
    if of.startswith("items."):
        if lines is None:
            scope.fault(f"{of} belongs to orders", "use it with ordered")
            return None
        if name not in LINE_AGGREGATES:
            scope.fault(f"{name} of order lines is not possible", "these are: " + ", ".join(LINE_AGGREGATES))
            return None
        column = line_column(of.removeprefix("items."), scope)
        value: core.Value | None = column and core.Lines(LINE_AGGREGATES[name], column, lines)
    else:
        value = columns(of, scope)
    if value is None:
        return None
    kind = value.type
    if name in ("sum", "avg") and not kind.is_number:
        scope.fault(f"{of} is {kind}, and {name} needs a number")
    elif name in ("min", "max") and not (kind.is_number or kind.is_time):
        scope.fault(f"{of} is {kind}, and {name} needs a number or a time")
    elif name in ("distinct", "mode") and kind == "texts":
        scope.fault(f"{of} is a list, and {name} needs single values")
    else:
        return value
    return None


class Source(Model):
    """Events of some types, or orders of some statuses, inside another condition."""

    did: EventTypes | None = None
    ordered: Statuses | None = None
    where: RowFilter | None = None

    @model_validator(mode="after")
    def _one_kind(self):
        if (self.did is None) == (self.ordered is None):
            raise ValueError("write either did or ordered, such as {ordered: any}")
        return self

    def to_plain(self) -> Any:
        if self.did is not None and self.where is None:
            return plain_types(self.did)
        inner = super().to_plain()
        if self.did is not None:
            inner["did"] = plain_types(self.did)
        if self.ordered is not None and len(self.ordered) == 1:
            inner["ordered"] = self.ordered[0]
        return inner

    @property
    def key(self) -> str:
        return "did" if self.did is not None else "ordered"

    @property
    def table(self) -> str:
        return "events" if self.did is not None else "orders"

    def columns(self, scope: Scope) -> Columns:
        """Columns of the rows meant."""
        return event_columns(self.did, scope) if self.did is not None else order_columns(scope)

    def rows(self, names: Scope, *filters: tuple[Filter | None, Scope]) -> core.Test:
        """The test of the rows meant; types or statuses stand at `names`.

        `filters` are all that apply, each with the part that has it as its `where`.
        """
        own = events_of(self.did, names) if self.did is not None else orders_of(self.ordered or ("any",), names)
        tests = (test.reduce(self.columns(part), part.at("where")) for test, part in filters if test)
        return core.all_of(own, *tests)


def field_rows(source: Source, key: str, where: Filter | None, scope: Scope) -> core.Test:
    """The test of the rows of a `SourceField`, which is the `key` of the part at `scope`, filtered by its `where`."""
    field = scope.at(key)
    is_short = source.did is not None and source.where is None
    return source.rows(field if is_short else field.at(source.key), (source.where, field), (where, scope))


def _source(value: Any) -> Any:
    """The short form: a type or a list of types means events."""
    if isinstance(value, Source) or (isinstance(value, Mapping) and "type" not in value):
        return value
    return {"did": value}


class _SourceForm:
    """The JSON Schema of a source, short forms included."""

    def __get_pydantic_json_schema__(self, core_schema: Any, handler: Any) -> dict[str, Any]:
        return {"anyOf": [*_TypesForm().__get_pydantic_json_schema__(core_schema, handler)["anyOf"], handler(core_schema)]}


SourceField = Annotated[Source, BeforeValidator(_source), _SourceForm()]

__all__ = [
    "AggregateCondition", "EventTypes", "ItemsField", "RowsCondition", "Source", "SourceField", "Statuses", "aggregated",
    "event_columns", "events_of", "field_rows", "order_columns", "orders_of", "plain_types",
]
