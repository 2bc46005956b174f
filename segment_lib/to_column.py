"""A segment or a condition as one boolean Column on a frame of somebody's own, with one row per customer.

Customer fields are columns of their name, scores columns of the score's name; what stands for an aggregate, for
membership of another segment or for anything else that is made of rows, `columns` says. The test is lowered as in a
night, so it means the same: true or false, never null. Whatever the frame cannot answer is an error that names all of
it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from segment_lib import core
from segment_lib.catalogue import Catalogue, Type
from segment_lib.clock import Clock
from segment_lib.columns import Names, test_column
from segment_lib.conditions import Condition
from segment_lib.definition import Segment
from segment_lib.definition.faults import refuse, validated
from segment_lib.errors import UsageError, nearest
from segment_lib.language.measure import Measure
from segment_lib.language.scope import Scope
from segment_lib.ranks import exact_percentiles
from segment_lib.rowchecks import blank_to_null
from segment_lib.spoken import described, named

#: The column that says whether an id stands in customers, for segments without anonymous visitors.
IS_CUSTOMER = "is_customer"
CUSTOMER_ID = "customer_id"
_FRAME, _FRAME_OR_ZERO = "frame", "frame_or_zero"
_UTC = ("UTC", "Etc/UTC", "GMT", "Z", "+00:00", "UTC+00:00")
_STORED: dict[Type, tuple[type[T.DataType], ...]] = {
    Type.TEXT: (T.StringType,), Type.INTEGER: (T.NumericType,), Type.DECIMAL: (T.NumericType,),
    Type.BOOLEAN: (T.BooleanType,), Type.DATE: (T.DateType,), Type.TIMESTAMP: (T.TimestampType,),
    Type.TEXTS: (T.ArrayType,),
}
Meaning = Measure | Condition | Mapping[str, Any]


def to_column(
    what: Segment | Condition,
    frame: DataFrame,
    catalogue: Catalogue,
    clock: Clock,
    columns: Mapping[str, Meaning] | None = None,
    population: DataFrame | None = None,
) -> Column:
    """Whether `what` holds for a row of `frame`.

    `columns` maps names of columns to what they hold: a measure as a `value` condition has it, such as
    ``{"ordered": "any", "count": True, "within": "90d"}``, or a condition, whose column is then boolean. Counts, sums
    and distinct counts that are null are 0. `population` is a frame with the same columns that stands for all
    customers: percentiles are computed over it, at once. A limit ranks customers against each other, which no Column
    can.

    Raises ConfError for a definition that does not fit the catalogue, and UsageError that names everything missing.
    """
    scope = Scope(catalogue, clock, what.references() if isinstance(what, Segment) else _references(what))
    reduced: Any = what.reduce(scope)
    test = reduced.test if isinstance(what, Segment) else reduced
    refuse(scope.faults, what.id if isinstance(what, Segment) else what.key)
    if isinstance(what, Segment):
        scope = dataclasses.replace(scope, population=reduced.population)
    known = _meanings(columns or {}, frame, scope)
    mapped = _replaced(test, known)
    missing = list(dict.fromkeys(_missing(mapped, frame, population, clock)))
    if missing:
        labels = {
            words: label for label, part in reversed(list(_conditions(what, scope)))
            for words in _missing(_replaced(part, known), frame, population, clock)
        }
        missing = [f"{words} (for: {labels[words]})" if words in labels else words for words in missing]
    if isinstance(what, Segment) and reduced.cut is not None:
        missing.append("a limit ranks customers against each other, which no Column can: leave it out and cut the rows")
    if missing:
        raise UsageError("the frame cannot answer this:\n" + "\n".join(f"- {line}" for line in missing))
    _check_zone(mapped, frame)
    names = Names(clock.zone.key, field=lambda column: _column(column, frame.schema), is_customer=IS_CUSTOMER)
    wanted = core.percentiles_of(_nodes(mapped))
    if wanted and population is not None:
        names = dataclasses.replace(names, bounds=exact_percentiles(population, wanted, names))
    return test_column(mapped, names)


def _references(condition: Condition) -> frozenset[str]:
    return frozenset(name for part in condition.walk() for name in part.references())


def _conditions(what: Segment | Condition, scope: Scope) -> Iterator[tuple[str, core.Test]]:
    """Each condition that is not made of others, with its words."""
    if isinstance(what, Segment):
        yield "eligible", what.reduce(scope).population
    for part in what.where.walk() if isinstance(what, Segment) else what.walk():
        if not list(part.parts()):
            yield part.label(), part.reduce(scope)


# What the columns hold -----------------------------------------------------------------------------------------------


def _meanings(columns: Mapping[str, Meaning], frame: DataFrame, scope: Scope) -> dict[core.Node, core.Node]:
    """Each node that a column holds -> what stands for it in the frame."""
    known: dict[core.Node, core.Node] = {}
    for name, meaning in columns.items():
        if name not in frame.columns:
            raise UsageError(f"columns: the frame has no column {name!r}; {nearest(name, frame.columns)}")
        inside = dataclasses.replace(scope, segments=scope.segments | _named(meaning), faults=[])
        if isinstance(meaning, Condition):
            test, column = meaning.reduce(inside), core.Compare(core.Field(_FRAME, name, Type.BOOLEAN), "eq", (True,))
            if isinstance(test, core.Not):
                known[test.arg] = core.negate(column)
            else:
                known[test] = column
        else:
            measure = meaning if isinstance(meaning, Measure) else validated(Measure, meaning, f"columns[{name!r}]")
            value = measure.reduce(inside)
            if value is not None:
                # A frame that was joined together has null where nothing was counted.
                counted = isinstance(value, core.Aggregate) and value.never_missing
                source = _FRAME_OR_ZERO if counted else _FRAME
                known[value] = core.Field(source, name, value.type)
        refuse(inside.faults, f"columns[{name!r}]")
    return known


def _named(meaning: Meaning) -> frozenset[str]:
    return _references(meaning) if isinstance(meaning, Condition) else frozenset()


def _replaced(node: Any, known: Mapping[core.Node, core.Node]) -> Any:
    """`node` with everything known put in its place; aggregates are known as a whole or not at all."""
    if isinstance(node, tuple):
        return tuple(_replaced(part, known) for part in node)
    if isinstance(node, core.Node) and node in known:
        return known[node]
    if isinstance(node, core.All | core.Any):
        # A list inside a list of the same kind was spread out when the definition was reduced.
        lists: list[Any] = [other for other in known if type(other) is type(node)]
        whole = [other for other in lists if set(other.args) <= set(node.args)]
        covered = {arg for other in whole for arg in other.args}
        kept = (_replaced(arg, known) for arg in node.args if arg not in covered)
        return type(node)((*kept, *(known[other] for other in whole)))  # type: ignore[arg-type]
    if isinstance(node, core.Aggregate | core.Sequence) or not isinstance(node, core.Node | core.Percentile):
        return node
    names = [part.name for part in dataclasses.fields(node)]  # type: ignore[arg-type]
    return dataclasses.replace(node, **{name: _replaced(getattr(node, name), known) for name in names})


def _nodes(node: core.Node) -> Iterator[core.Node]:
    """The nodes about one customer, those inside of aggregates left out."""
    yield node
    if not isinstance(node, core.Aggregate | core.Sequence):
        for part in node.children():
            yield from _nodes(part)


# What is missing -----------------------------------------------------------------------------------------------------


def _missing(test: core.Test, frame: DataFrame, population: DataFrame | None, clock: Clock) -> Iterator[str]:
    """Everything that the frame cannot answer, in words."""
    for node in _nodes(test):
        if isinstance(node, core.Field):
            yield from _lacking(node, frame.schema)
        elif isinstance(node, core.Aggregate):
            yield f"{described(node, clock)}: say in columns which column holds it"
        elif isinstance(node, core.Member):
            yield f"membership of {node.segment}: say in columns which boolean column holds in_segment"
        elif isinstance(node, core.Since):
            yield f"since when a member of {node.segment}: say in columns which boolean column holds the condition"
        elif isinstance(node, core.Sequence):
            yield "a sequence: say in columns which boolean column holds the condition"
        elif isinstance(node, core.Split):
            yield from _lacking(core.Field(_FRAME, CUSTOMER_ID, Type.TEXT), frame.schema)
        elif isinstance(node, core.IsCustomer):
            yield from _lacking(core.Field(_FRAME, IS_CUSTOMER, Type.BOOLEAN), frame.schema)
    for value, percentile in core.percentiles_of(_nodes(test)):
        if population is None:
            yield (
                f"percentile {percentile.percent} of {named(value)} is relative to all customers: give population, a "
                "frame of them with the same columns"
            )


def _lacking(column: core.Field, schema: T.StructType) -> Iterator[str]:
    if column.name not in schema.fieldNames():
        yield f"no column {column.name!r}; {nearest(column.name, schema.fieldNames())}"
    elif not isinstance(schema[column.name].dataType, _STORED[column.type]):
        yield f"column {column.name!r} is {schema[column.name].dataType.simpleString()}, and {column.type} is needed"


# Columns -------------------------------------------------------------------------------------------------------------


def _column(column: core.Field, schema: T.StructType) -> Column:
    """A column of the frame as conditions take it: blank text and NaN are missing, and fractions are decimals."""
    found, stored = F.col(f"`{column.name.replace('`', '``')}`"), schema[column.name].dataType
    if column.type is Type.TEXT:
        found = blank_to_null(found)
    elif isinstance(stored, T.FloatType | T.DoubleType):
        found = found.try_cast("decimal(38,8)")
    return F.coalesce(found, F.lit(0)) if column.source == _FRAME_OR_ZERO else found


def _check_zone(test: core.Test, frame: DataFrame) -> None:
    """Days of instants are reckoned in a session whose zone is UTC; a session with another would move them."""
    for node in _nodes(test):
        days = isinstance(node, core.Call)
        if isinstance(node, core.Compare):
            kinds = {part.type for part in (node.value, *node.literals) if isinstance(part, core.Value)}
            days = kinds == {Type.DATE, Type.TIMESTAMP} or (
                node.operator.startswith("anniversary") and node.value.type is Type.TIMESTAMP
            )
        if days and frame.sparkSession.conf.get("spark.sql.session.timeZone") not in _UTC:
            raise UsageError(
                "days of timestamps are compared, which needs a session in UTC: "
                'spark.conf.set("spark.sql.session.timeZone", "UTC")'
            )
