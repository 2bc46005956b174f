"""Filters over one row: `where` of events and orders, `items` of order lines."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidatorFunctionWrapHandler, WrapValidator, model_validator

from segment_lib import core
from segment_lib.catalogue import Type
from segment_lib.language.comparison import Comparison
from segment_lib.language.model import Model, Text, kind_of_value
from segment_lib.language.scope import Scope

BOOLEAN_KEYS = ("all", "any", "none", "not")

#: From a property's name to its column, or None with a fault noted.
Columns = Callable[[str, Scope], core.Field | None]


def _short(value: Any) -> Any:
    """``country: DE`` means ``country: {is: DE}``."""
    if isinstance(value, Mapping | Model):
        return value
    if isinstance(value, list | tuple):
        raise ValueError("a list needs an operator: write {in: [...]}")
    return {"is": value}



class _ShortForm:
    """Adds the short form to the JSON Schema of a comparison."""

    def __get_pydantic_json_schema__(self, core_schema: Any, handler: Any) -> dict[str, Any]:
        return {"anyOf": [{"type": ["string", "number", "boolean"]}, handler(core_schema)]}


PropertyTest = Annotated[Comparison, BeforeValidator(_short), _ShortForm()]


class Filter(Model):
    """Properties that must all hold for the same row, or all, any, none, not over such filters."""

    properties: dict[Text, PropertyTest] | None = Field(None, min_length=1)
    all: tuple[RowFilter, ...] | None = Field(None, min_length=1)
    any: tuple[RowFilter, ...] | None = Field(None, min_length=1)
    none: tuple[RowFilter, ...] | None = Field(None, min_length=1)
    not_: RowFilter | None = Field(None, alias="not")

    def __hash__(self) -> int:
        return hash(repr(self))

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: Any) -> dict[str, Any]:
        schema = handler.resolve_ref_schema(handler(core_schema))
        parts = schema["properties"]
        nodes = [
            {"type": "object", "properties": {key: parts[key]}, "required": [key], "additionalProperties": False}
            for key in BOOLEAN_KEYS
        ]
        return {"description": cls.__doc__, "anyOf": [parts["properties"], *nodes]}

    def to_plain(self) -> Any:
        inner = super().to_plain()
        return inner.get("properties", inner)

    def reduce(self, columns: Columns, scope: Scope) -> core.Test:
        """The test of one row; `columns` finds the column of a property."""
        if self.properties is not None:
            return core.all_of(*(
                test.reduce(column, scope.at(name), in_row=True)
                for name, test in self.properties.items()
                if (column := columns(name, scope.at(name))) is not None
            ))
        if self.not_ is not None:
            return core.negate(self.not_.reduce(columns, scope.at("not")))
        ((key, parts),) = self.given().items()
        tests = [part.reduce(columns, scope.at(key, i)) for i, part in enumerate(parts)]
        if key == "all":
            return core.all_of(*tests)
        return core.any_of(*tests) if key == "any" else core.negate(core.any_of(*tests))


def _instead(value: Any) -> str:
    return "empty" if isinstance(value, Mapping) else kind_of_value(value)


def _filter(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    """Tells a boolean node from a mapping of properties, and keeps the faults' places as the file has them."""
    if isinstance(value, Filter):
        return value
    if not isinstance(value, Mapping) or not value:
        raise ValueError(f"a filter is a mapping such as {{channel: email}}, not {_instead(value)}")
    nodes = [key for key in BOOLEAN_KEYS if key in value]
    if nodes and len(value) > 1:
        raise ValueError(f"{nodes[0]!r} stands alone: put the other entries into it")
    return handler(value if nodes else {"properties": value})


RowFilter = Annotated[Filter, WrapValidator(_filter)]


class LineSum(Model):
    """A comparison of the sum of a line field over the lines that are left."""

    sum: PropertyTest


class Items(Model):
    """A filter on the lines of one order: some line meets all of it, or, with `sum`, the lines left add up to it.

    `same` groups the lines that are left by equal values; some group must meet the sums.
    """

    same: tuple[Text, ...] = ()
    sums: dict[Text, LineSum] = {}
    where: RowFilter | None = None

    def __hash__(self) -> int:
        return hash(repr(self))

    @model_validator(mode="after")
    def _same_needs_sum(self):
        if self.same and not self.sums:
            raise ValueError("same needs a sum to compare, such as quantity: {sum: {at_least: 2}}")
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: Any) -> dict[str, Any]:
        parts = handler.resolve_ref_schema(handler(core_schema))["properties"]
        same = {"type": ["string", "array"], "items": {"type": "string"}}
        line = {"anyOf": [{"type": ["string", "number", "boolean"]}, handler(Comparison.__pydantic_core_schema__)]}
        entries = {"anyOf": [parts["sums"]["additionalProperties"], *line["anyOf"]]}
        own = {"type": "object", "properties": {"same": same}, "additionalProperties": entries, "minProperties": 1}
        return {"description": cls.__doc__, "anyOf": [own, parts["where"]]}

    def to_plain(self) -> Any:
        same = {} if not self.same else {"same": self.same[0] if len(self.same) == 1 else list(self.same)}
        sums = {name: part.to_plain() for name, part in self.sums.items()}
        return {**same, **(self.where.to_plain() if self.where else {}), **sums}

    def lines(self, scope: Scope) -> core.Test:
        """The test of one line, without the sums."""
        return self.where.reduce(line_column, scope) if self.where else core.TRUE

    def reduce(self, scope: Scope) -> core.Test:
        """The test of one order."""
        lines = self.lines(scope)
        if not self.sums:
            return core.AnyLine(lines)
        sums = []
        for name, part in self.sums.items():
            column = line_column(name, scope.at(name))
            if column is None:
                continue
            if not column.type.is_number:
                scope.at(name, "sum").fault(f"{name} is {column.type}, and a sum needs a number")
                continue
            sums.append(part.sum.reduce(core.Lines("sum", column, lines), scope.at(name, "sum"), in_row=True))
        by = [line_column(name, scope.at("same")) for name in self.same]
        return core.AnyGroup(tuple(column for column in by if column), lines, core.all_of(*sums))


def _items(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    """Sorts the entries of `items` into `same`, sums and the plain filter."""
    if isinstance(value, Items):
        return value
    if not isinstance(value, Mapping) or not value:
        raise ValueError(f"items is a mapping such as {{product_id: tea}}, not {_instead(value)}")
    same = value.get("same", ())
    rest = {name: test for name, test in value.items() if name != "same"}
    sums = {
        name: test for name, test in rest.items()
        if isinstance(test, LineSum) or (isinstance(test, Mapping) and "sum" in test)
    }
    where = {name: test for name, test in rest.items() if name not in sums}
    return handler({
        "same": (same,) if isinstance(same, str) else same, "sums": sums, **({"where": where} if where else {}),
    })


ItemsField = Annotated[Items, WrapValidator(_items)]


def line_column(name: str, scope: Scope) -> core.Field | None:
    """The column of an order line."""
    return scope.column("items", name, scope.catalogue.items())


def row_columns(source: str, fields: Mapping[str, Type]) -> Columns:
    """Columns of an event or an order."""
    return lambda name, scope: scope.column(source, name, fields)


Filter.model_rebuild()
