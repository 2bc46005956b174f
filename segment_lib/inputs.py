"""What the engine reads of an input: columns mapped and typed, rows checked, aliases and erasures honoured."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping as MappingOf
from datetime import datetime

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from segment_lib.errors import InputError, nearest
from segment_lib.rowchecks import Field, Raw, REASONS, blank_to_null, check, data_type
from segment_lib.settings import Mapping, Settings
from segment_lib.tables import INPUTS, LOAD_COLUMNS


def wanted(table: str, settings: Settings) -> dict[str, T.DataType]:
    """Our columns of an input with their types: the standard ones, then those that the catalogue declares.

    Lines of orders have the declared item fields beside the standard ones.
    """
    kinds = {name: data_type(ddl) for name, ddl in INPUTS[table].columns.items()}
    names = settings.names()
    if table == "orders":
        line = kinds["items"].elementType
        more = [
            T.StructField(name, data_type(kind.ddl)) for name, kind in names.item_fields.items()
            if name not in line.fieldNames()
        ]
        kinds["items"] = T.ArrayType(T.StructType([*line.fields, *more]))
    return kinds | {name: data_type(kind.ddl) for name, kind in names.custom(table).items()}


def column_at(schema: T.StructType, source: str) -> tuple[Column, T.DataType] | None:
    """A source column by its exact name, or by a path of names with dots into structs; None when there is none."""
    if source in schema.fieldNames():
        return F.col(f"`{source}`"), schema[source].dataType
    head, dot, rest = source.partition(".")
    if not dot or head not in schema.fieldNames():
        return None
    column, kind = F.col(f"`{head}`"), schema[head].dataType
    for name in rest.split("."):
        if not isinstance(kind, T.StructType) or name not in kind.fieldNames():
            return None
        column, kind = column.getField(name), kind[name].dataType
    return column, kind


def fields_of(
    table: str,
    schema: T.StructType,
    settings: Settings,
    *,
    kinds: MappingOf[str, T.DataType],
    mapping: MappingOf[str, Mapping],
    required: tuple[str, ...],
    where: str,
    sparse: bool = False,
) -> list[Field]:
    """Each wanted column with the source column it comes from.

    A column that conf maps, or that is required, must be there; in a `sparse` source (JSON, which leaves out what is
    missing) only a required one must. `where` names the file or table in the message.
    """
    fields, missing = [], []
    standard = INPUTS[table].columns
    for name, kind in kinds.items():
        rule = mapping.get(name)
        zone = (rule.zone if rule else None) or settings.time_zone
        raw = None
        if rule is not None and rule.value is not None:
            raw = Raw(F.lit(rule.value), T.StringType(), zone, rule.format)
        else:
            source = rule.source if rule is not None else name
            found = column_at(schema, source)
            if found is not None:
                raw = Raw(*found, zone, rule.format if rule else None)
            elif name in required or (rule is not None and not sparse):
                as_ours = f" (for {name!r})" if source != name else ""
                hint = nearest(source, schema.fieldNames())
                missing.append(f"no column {source!r}{as_ours}" + (f": {hint}" if hint else ""))
        fields.append(Field(name, kind, raw, name in required, name not in standard))
    if missing:
        raise InputError(
            f"{table}: {where}: {'; '.join(missing)}; name the source's column in conf under inputs.{table}.columns"
        )
    return fields


def check_columns(frame: DataFrame, table: str, settings: Settings) -> list[Field]:
    """The fields of a table that is read in place; raises when a mapped or required column is absent."""
    mapping = settings.input(table).mapping()
    kinds = wanted(table, settings)
    unknown = sorted(set(mapping) - set(kinds))
    kinds = kinds | {name: T.StringType() for name in unknown}
    fields = fields_of(
        table, frame.schema, settings, kinds=kinds, mapping=mapping, required=INPUTS[table].required,
        where="the table read in place",
    )
    return [field for field in fields if field.name not in unknown]


def in_place(frame: DataFrame, table: str, settings: Settings, now: datetime | None) -> DataFrame:
    """A foreign table as the engine reads it: every row, with `_reject` saying why it does not count."""
    fields = check_columns(frame, table, settings)
    late = F.lit(None).cast("timestamp")
    if "_loaded_at" in frame.columns and isinstance(frame.schema["_loaded_at"].dataType, T.TimestampType):
        late = F.col("_loaded_at")
    frame = frame.withColumn("_late_at", late)
    checked = check(frame, table, fields, settings, now=now, keep=("_late_at",), set_aside=True)
    rest = [name for name in checked.columns if name not in ("_late_at", REASONS)]
    return checked.select(*rest, F.get(F.col(REASONS), F.lit(0)).alias("_reject"), "_late_at")


def loaded(frame: DataFrame, table: str, settings: Settings) -> DataFrame:
    """Our own table as the engine reads it; its rows were checked when they were loaded.

    A custom column whose declared type has changed since is converted, and `_bad_NAME` tells where that fails.
    """
    stored = {field.name: field.dataType for field in frame.schema}
    fields, plain = [], []
    for name, kind in wanted(table, settings).items():
        if name in stored and stored[name] != kind:
            fields.append(Field(name, kind, Raw(F.col(f"`{name}`"), stored[name], settings.time_zone), custom=True))
        elif name in stored:
            plain.append(name)
    late = F.col("_loaded_at") if "_loaded_at" in stored else F.lit(None).cast("timestamp")
    frame = frame.withColumn("_late_at", late)
    extra: list[str] = []
    if fields:
        frame = check(frame, "lists", fields, settings, keep=(*plain, "_late_at"), set_aside=True)
        extra = [name for name in frame.columns if name.startswith("_bad_")]
    # Blank text was made missing at load; it is here again for tables that a job of the user's own has filled.
    columns = [
        (_stored(name, kind) if name in stored else F.lit(None).cast(kind)).alias(name)
        for name, kind in wanted(table, settings).items()
    ]
    return frame.select(*columns, *extra, F.lit(None).cast("string").alias("_reject"), "_late_at")


def _stored(name: str, kind: T.DataType) -> Column:
    column = F.col(f"`{name}`")
    return blank_to_null(column) if isinstance(kind, T.StringType) else column


def customer_hash(tenant: str, customer_id: Column) -> Column:
    """How `erasures` knows a customer without keeping the id."""
    return F.sha2(F.concat(F.lit(tenant + "\x1f"), customer_id), 256)


def hash_of(tenant: str, customer_id: str) -> str:
    """The same of an id at hand.

    >>> hash_of("shop", "c1")[:12]
    'd531a3bb79ff'
    """
    return hashlib.sha256(f"{tenant}\x1f{customer_id}".encode()).hexdigest()


def resolved_aliases(aliases: DataFrame) -> DataFrame:
    """Alias -> final canonical customer, chains followed to their end (a -> b -> c gives a -> c and b -> c).

    Each round doubles the reach of every pointer, so a chain of n takes log2(n) rounds. A row that still points at
    another alias when a round resolves no further row lies on a cycle or leads into one, which is an InputError.
    """
    order = F.struct(*(F.col(name) for name in ("updated_at", "merged_at", "canonical_id") if name in aliases.columns))
    pointers = (
        aliases.where("customer_id IS NOT NULL AND canonical_id IS NOT NULL AND customer_id <> canonical_id")
        .groupBy("customer_id").agg(F.max_by("canonical_id", order).alias("canonical_id"))
    )
    left = _unresolved(pointers)
    while left:
        onward = pointers.select(F.col("customer_id").alias("canonical_id"), F.col("canonical_id").alias("next"))
        pointers = (
            pointers.join(onward, "canonical_id", "left")
            .select("customer_id", F.coalesce("next", "canonical_id").alias("canonical_id"))
            .localCheckpoint()
        )
        before, left = left, _unresolved(pointers)
        if left >= before:
            raise InputError(
                f"aliases: {left} ids lie on a cycle or lead into one, so that no canonical customer can be named; "
                "correct these rows in the source and load them again with a later updated_at"
            )
    return pointers


def _unresolved(pointers: DataFrame) -> int:
    ends = pointers.select(F.col("customer_id").alias("canonical_id"))
    return pointers.join(ends, "canonical_id", "left_semi").count()


def with_canonical(frame: DataFrame, aliases: DataFrame, erased: DataFrame | None, tenant: str) -> DataFrame:
    """The rows under their canonical customer; those of customers erased under either id are left out."""
    names = frame.columns
    pointers = aliases.select(F.col("customer_id").alias("__alias"), F.col("canonical_id").alias("__canonical"))
    frame = frame.join(pointers, frame["customer_id"] == pointers["__alias"], "left")
    if erased is not None:
        frame = without_erased(frame, erased, tenant)
    canonical = F.coalesce("__canonical", "customer_id").alias("customer_id")
    frame = frame.select(*(canonical if name == "customer_id" else F.col(f"`{name}`") for name in names))
    return frame if erased is None else without_erased(frame, erased, tenant)


def without_aliases(frame: DataFrame, aliases: DataFrame) -> DataFrame:
    """Customers that are themselves, not aliases of another: only the canonical row's attributes count."""
    return frame.join(aliases.select("customer_id"), "customer_id", "left_anti").select(*frame.columns)


def without_erased(frame: DataFrame, erased: DataFrame, tenant: str, column: str = "customer_id") -> DataFrame:
    """The rows whose customer is not erased; a row without a customer stays."""
    hashes = erased.select(F.col("customer_hash").alias("__erased"))
    return frame.join(hashes, customer_hash(tenant, F.col(f"`{column}`")) == hashes["__erased"], "left_anti")


def stored_schema(table: str) -> dict[str, str]:
    """Columns of an input as `ingest` creates it."""
    return INPUTS[table].columns | LOAD_COLUMNS
