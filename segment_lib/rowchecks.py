"""Row checks: raw columns in, typed columns and the reasons against a row out.

The same expressions run when files are loaded and when an existing table is read in place, so a row is judged alike
on both ways. Nothing here fails on data: every conversion is a `try_` form, and what it could not convert is counted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta, timezone

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from segment_lib.settings import Rate, Settings
from segment_lib.tables import INPUTS

BLANKS = " \t\n\r\v\f\u00a0"
MONEY = ("revenue", "discount", "refund", "cost")
LINE_MONEY = ("unit_price", "discount")
#: Column of the reasons against a row, in order of precedence; empty for a good row.
REASONS = "_reasons"
#: Units of a number that counts from 1970, given as a mapping's `format`.
EPOCHS = {"epoch_seconds": 1_000_000, "epoch_millis": 1_000, "epoch_micros": 1}
_NOT_FINITE = ("nan", "inf", "+inf", "-inf", "infinity", "+infinity", "-infinity")
_DATE = r"^\d{4}-\d{1,2}-\d{1,2}$"
_CLOCK = r"\d{1,2}:\d{1,2}(:\d{1,2}(\.\d{1,9})?)?"
_OFFSET = " ?(Z|UTC|GMT|[+-]\\d{1,2}(:?\\d{2})?)"
_INSTANT = rf"^\d{{4}}-\d{{1,2}}-\d{{1,2}}[ T]{_CLOCK}({_OFFSET})?$"
_HAS_OFFSET = rf"{_CLOCK}{_OFFSET}$"
_FLOATS = (T.FloatType, T.DoubleType)
_RAW = "__raw_"
_RATE = "__rate"


@dataclass(frozen=True)
class Raw:
    """A source column before it has our type.

    `zone` places times that carry no offset; `format` is the pattern of times that are not ISO 8601.
    """

    column: Column
    stored: T.DataType
    zone: str
    format: str | None = None

    @property
    def text(self) -> Column:
        """The column without blanks around it; only of use where text is stored."""
        return F.btrim(self.column, F.lit(BLANKS))


@dataclass(frozen=True)
class Field:
    """A column that we want: its name, its type, and where it comes from (None: the source has no such column)."""

    name: str
    kind: T.DataType
    raw: Raw | None
    required: bool = False
    custom: bool = False

    @property
    def converted(self) -> bool:
        """Whether a value may be lost on the way to our type."""
        return self.raw is not None and not isinstance(self.kind, T.StringType) and self.raw.stored != self.kind


def blank_to_null(column: Column) -> Column:
    """Text that is empty or only blanks counts as missing."""
    return F.when(F.btrim(column, F.lit(BLANKS)) != "", column)


def data_type(ddl: str) -> T.DataType:
    """The Spark type of a DDL type name."""
    return T.DataType.fromDDL(f"x {ddl}")["x"].dataType  # type: ignore[index]


def _zoned(pattern: str) -> bool:
    """Whether a datetime pattern reads an offset or a zone.

    >>> _zoned("dd.MM.yyyy HH:mm"), _zoned("yyyy-MM-dd'T'HH:mmXXX"), _zoned("yyyy 'Z'")
    (False, True, False)
    """
    return re.search("[XxZzVO]", re.sub("'[^']*'", "", pattern)) is not None


def _local(instant: Column, zone: str) -> Column:
    """A wall-clock time, held as if it were UTC, as the instant it names in its zone.

    A time that a clock change skips is moved on by the gap; of one that occurs twice the first is meant.
    """
    return instant if zone == "UTC" else F.to_utc_timestamp(instant, zone)


def _timestamp(raw: Raw) -> Column:
    stored, column = raw.stored, raw.column
    if isinstance(stored, T.TimestampType):
        return column
    if isinstance(stored, T.TimestampNTZType):
        return _local(column.cast("timestamp"), raw.zone)
    if isinstance(stored, T.DateType):
        return _local(column.cast("timestamp"), raw.zone)
    unit = EPOCHS.get(raw.format or "")
    if unit and isinstance(stored, (T.StringType, T.NumericType)):
        number = raw.text if isinstance(stored, T.StringType) else column
        micros = number.try_cast("decimal(38,6)") * F.lit(unit)
        return F.timestamp_micros(micros.try_cast("bigint"))
    if not isinstance(stored, T.StringType):
        return F.lit(None).cast("timestamp")
    text = raw.text
    if raw.format:
        parsed = F.try_to_timestamp(text, F.lit(raw.format))
        return parsed if _zoned(raw.format) else _local(parsed, raw.zone)
    parsed = F.when(text.rlike(_DATE) | text.rlike(_INSTANT), text).try_cast("timestamp")
    return parsed if raw.zone == "UTC" else F.when(text.rlike(_HAS_OFFSET), parsed).otherwise(_local(parsed, raw.zone))


def _date(raw: Raw) -> Column:
    if isinstance(raw.stored, T.TimestampNTZType):
        return raw.column.cast("date")
    textual = isinstance(raw.stored, T.StringType)
    if textual and raw.format and raw.format not in EPOCHS and not _zoned(raw.format):
        return F.try_to_timestamp(raw.text, F.lit(raw.format)).cast("date")
    day = F.from_utc_timestamp(_timestamp(raw), raw.zone).cast("date")
    if not textual or raw.format:
        return day
    return F.when(raw.text.rlike(_DATE), raw.text.try_cast("date")).otherwise(day)


def _number(raw: Raw, target: T.DataType) -> Column:
    column = raw.text if isinstance(raw.stored, T.StringType) else raw.column
    if not isinstance(raw.stored, (T.StringType, T.NumericType)):
        return F.lit(None).cast(target)
    if isinstance(target, T.DecimalType):
        # A half is rounded away from zero when the source has more decimals than we keep.
        return column.try_cast(target)
    if isinstance(raw.stored, T.IntegralType):
        return column.try_cast(target)
    # "12.0" is the integer 12 (tools write whole numbers so when some are missing); 12.5 is none.
    number = column.try_cast("decimal(38,6)")
    return F.when(number == F.floor(number), number).try_cast(target)


def _boolean(raw: Raw) -> Column:
    if isinstance(raw.stored, T.StringType):
        return raw.text.try_cast("boolean")
    if isinstance(raw.stored, T.NumericType):
        return F.when(raw.column == 1, True).when(raw.column == 0, False)
    return F.lit(None).cast("boolean")


def _text(raw: Raw) -> Column:
    stored, column = raw.stored, raw.column
    if isinstance(stored, T.StringType):
        return blank_to_null(column)
    if isinstance(stored, _FLOATS):
        # Readers turn a whole number with gaps into a double: 17.0 is the id 17, and NaN is the gap.
        whole = (column == F.floor(column)) & (F.abs(column) < 2**53)
        return F.when(whole, column.try_cast("bigint").cast("string")).when(~F.isnan(column), column.cast("string"))
    if isinstance(stored, (T.ArrayType, T.StructType, T.MapType)):
        return F.to_json(column)
    return column.cast("string")


def _present(raw: Raw) -> Column:
    return (blank_to_null(raw.column) if isinstance(raw.stored, T.StringType) else raw.column).isNotNull()


def _not_finite(raw: Raw) -> Column | None:
    if isinstance(raw.stored, _FLOATS):
        return F.isnan(raw.column) | (F.abs(raw.column) == float("inf"))
    if isinstance(raw.stored, T.StringType):
        return F.lower(raw.text).isin(*_NOT_FINITE)
    return None


def _list(raw: Raw, target: T.ArrayType) -> Column:
    """A list whose elements have our type; missing elements are left out."""
    inner = target.elementType
    if not isinstance(raw.stored, T.ArrayType):
        return F.lit(None).cast(target)
    stored = raw.stored.elementType
    elements = F.filter(raw.column, lambda x: x.isNotNull())
    if stored == inner and not isinstance(inner, T.StringType):
        return elements
    if not isinstance(inner, T.StructType):
        values = F.transform(elements, lambda x: value_of(Raw(x, stored, raw.zone), inner))
        return F.filter(values, lambda x: x.isNotNull())
    if not isinstance(stored, T.StructType):
        return F.lit(None).cast(target)
    present = {field.name: field.dataType for field in stored}

    def line(item: Column) -> Column:
        fields = []
        for field in inner:
            value = F.lit(None).cast(field.dataType)
            if field.name in present:
                value = value_of(Raw(item.getField(field.name), present[field.name], raw.zone), field.dataType)
            fields.append(value.alias(field.name))
        return F.struct(*fields)

    return F.transform(elements, line)


def value_of(raw: Raw, target: T.DataType) -> Column:
    """The column in our type; NULL where the source has nothing, or something that is not of the type.

    Text is kept as it is, and blank text is missing.
    """
    if isinstance(target, T.StringType):
        return _text(raw)
    if isinstance(target, T.ArrayType):
        return _list(raw, target)
    if raw.stored == target:
        return raw.column
    if isinstance(target, T.TimestampType):
        return _timestamp(raw)
    if isinstance(target, T.DateType):
        return _date(raw)
    if isinstance(target, T.BooleanType):
        return _boolean(raw)
    return _number(raw, target)


def _unlike(raw: Raw, value: Column, target: T.DataType) -> list[tuple[str, Column]]:
    """Faults of one converted value, as (kind, condition): `nan` for a number that is not finite, else `bad_type`."""
    bad = _present(raw) & value.isNull()
    not_finite = _not_finite(raw) if isinstance(target, T.NumericType) else None
    if not_finite is None:
        return [("bad_type", bad)]
    return [("nan", F.coalesce(not_finite, F.lit(False))), ("bad_type", bad & ~not_finite)]


def _line_faults(raw: Raw, value: Column, target: T.ArrayType) -> list[tuple[str, str, Column]]:
    """Faults inside the lines of a list, as (kind, field, condition)."""
    if not (isinstance(raw.stored, T.ArrayType) and isinstance(raw.stored.elementType, T.StructType)):
        return []
    present = {field.name: field.dataType for field in raw.stored.elementType}
    elements = F.filter(raw.column, lambda x: x.isNotNull())

    def anywhere(field: T.StructField, index: int) -> Column:
        def fault(before: Column, after: Column) -> Column:
            inner = Raw(before[field.name], present[field.name], raw.zone)
            return _unlike(inner, after[field.name], field.dataType)[index][1]

        return F.exists(F.zip_with(elements, value, fault), lambda flag: flag)

    faults = []
    for field in target.elementType:
        stored = present.get(field.name)
        if stored is None or stored == field.dataType or isinstance(field.dataType, T.StringType):
            continue
        kinds = _unlike(Raw(F.lit(None), stored, raw.zone), F.lit(None), field.dataType)
        faults += [(kind, field.name, anywhere(field, index)) for index, (kind, _) in enumerate(kinds)]
    return faults


def _faults_of(field: Field) -> list[tuple[str, Column]]:
    """The reasons that one field gives against its row, over the columns that `check` has laid out."""
    value = F.col(f"`{field.name}`")
    faults: list[tuple[str, Column]] = []
    raw = None
    if field.converted:
        raw = Raw(F.col(f"`{_RAW}{field.name}`"), field.raw.stored, field.raw.zone, field.raw.format)
        faults = [(f"{kind}:{field.name}", when) for kind, when in _unlike(raw, value, field.kind)]
        if isinstance(field.kind, T.ArrayType) and isinstance(field.kind.elementType, T.StructType):
            inside = _line_faults(raw, value, field.kind)
            faults += [(f"{kind}:{field.name}.{inner}", when) for kind, inner, when in inside]
    if field.required:
        missing = value.isNull() if raw is None else ~_present(raw)
        faults.insert(0, (f"missing_{field.name}", missing))
    return faults


def earliest(settings: Settings) -> datetime:
    """The instant before which a row is impossible."""
    return datetime.combine(settings.ingest.earliest, time(), tzinfo=settings.zone).astimezone(timezone.utc)


def factor(currency: Column, at: Column, settings: Settings) -> Column:
    """What one unit of `currency` is worth in the tenant's currency at `at`; NULL when no rate is known.

    The rate that counts is the latest whose `since` is not after the row's local date. A missing currency is the
    tenant's own.
    """
    rates: dict[str, list[Rate]] = {}
    for rate in sorted(settings.ingest.rates, key=lambda r: r.since):
        rates.setdefault(rate.currency, []).append(rate)
    code = F.coalesce(F.upper(F.btrim(currency, F.lit(BLANKS))), F.lit(settings.currency))
    known = F.when(code == settings.currency, F.lit(1).cast("decimal(18,9)"))
    day = F.from_utc_timestamp(at, settings.time_zone).cast("date")
    for name, dated in rates.items():
        if name == settings.currency:
            continue
        listed = json.dumps([{"since": r.since.isoformat(), "rate": str(r.rate)} for r in dated])
        table = F.from_json(F.lit(listed), "array<struct<since:date,rate:decimal(18,9)>>")
        until = F.filter(table, lambda r: r["since"] <= day)
        known = known.when(code == name, F.try_element_at(until, F.lit(-1))["rate"])
    return known


def _converted(fields: Sequence[Field], settings: Settings) -> dict[str, Column]:
    """An order's money in the tenant's currency; `currency` keeps saying what the customer paid in."""
    kinds = {field.name: field.kind for field in fields}
    rate = F.col(_RATE)

    def money(amount: Column) -> Column:
        return F.when(rate == 1, amount).otherwise((amount * rate).try_cast("decimal(18,4)"))

    def line(item: Column) -> Column:
        names = [field.name for field in kinds["items"].elementType]
        return F.struct(*((money(item[n]) if n in LINE_MONEY else item[n]).alias(n) for n in names))

    changed = {name: money(F.col(name)) for name in MONEY}
    changed["items"] = F.when(rate == 1, F.col("items")).otherwise(F.transform("items", line))
    changed["currency"] = F.upper(F.btrim("currency", F.lit(BLANKS)))
    return changed


def _rules(table: str, settings: Settings, now: datetime | None) -> list[tuple[str, Column]]:
    """Faults that a row shows once its columns have their types: times and values that cannot be."""
    placed = INPUTS[table].time
    when = "created_at" if table == "customers" else placed
    faults: list[tuple[str, Column]] = []
    if when and now is not None:
        latest = now + timedelta(minutes=settings.ingest.future_tolerance_minutes)
        faults.append(("future_time", F.col(when) > F.lit(latest)))
    if placed:
        faults.append(("too_early", F.col(placed) < F.lit(earliest(settings))))
    if table == "orders":
        faults.append(("unknown_currency", F.col(_RATE).isNull() & F.col(placed).isNotNull()))
        faults.append(("negative_quantity", F.exists("items", lambda x: x["quantity"] < 0)))
    return faults


def _parsed(frame: DataFrame, fields: Iterable[Field]) -> tuple[DataFrame, list[Field]]:
    """Lists given as JSON text, parsed once into lists of text."""
    added, out = [], []
    for field in fields:
        raw = field.raw
        if raw is not None and isinstance(field.kind, T.ArrayType) and isinstance(raw.stored, T.StringType):
            inner = field.kind.elementType
            element: T.DataType = T.StringType()
            if isinstance(inner, T.StructType):
                element = T.StructType([T.StructField(f.name, T.StringType()) for f in inner])
            stored = T.ArrayType(element)
            added.append(F.from_json(blank_to_null(raw.column), stored).alias(f"__json_{field.name}"))
            raw = Raw(F.col(f"`__json_{field.name}`"), stored, raw.zone)
            field = Field(field.name, field.kind, raw, field.required, field.custom)
        out.append(field)
    return (frame.select("*", *added) if added else frame), out


def check(
    frame: DataFrame,
    table: str,
    fields: Sequence[Field],
    settings: Settings,
    *,
    now: datetime | None = None,
    keep: Sequence[str] = (),
    set_aside: bool = False,
) -> DataFrame:
    """The rows with our columns and types, the columns in `keep`, and the reasons against each row in `_reasons`.

    `now` is the clock of the load; without it the future is not judged. With `set_aside` a custom field that is not of
    its type does not count against the row; the boolean column `_bad_NAME` tells it instead.

    Three steps, so that a conversion is written down once however many checks look at its result.
    """
    unparsed = {f.name: f.raw for f in fields}
    frame, fields = _parsed(frame, fields)
    broken = []
    for field in fields:
        before = unparsed[field.name]
        if field.raw is not before:
            text = blank_to_null(before.column)
            broken.append(((text.isNotNull() & (text != "null") & field.raw.column.isNull()), field.name))
    values = [
        (F.lit(None).cast(f.kind) if f.raw is None else value_of(f.raw, f.kind)).alias(f.name) for f in fields
    ]
    raws = [f.raw.column.alias(_RAW + f.name) for f in fields if f.converted]
    flags = [condition.alias(f"__broken_{name}") for condition, name in broken]
    kept = [F.col(f"`{name}`") for name in keep]
    frame = frame.select(*kept, *values, *raws, *flags)
    if table == "orders":
        frame = frame.withColumn(_RATE, factor(F.col("currency"), F.col("ordered_at"), settings))

    against: list[tuple[str, Column]] = []
    aside: list[Column] = []
    for field in fields:
        faults = _faults_of(field)
        if any(name == field.name for _, name in broken):
            faults.append((f"bad_type:{field.name}", F.col(f"`__broken_{field.name}`")))
        if field.custom and set_aside:
            if faults:
                flag = F.coalesce(F.greatest(*(c for _, c in faults), F.lit(False)), F.lit(False))
                aside.append(flag.alias(f"_bad_{field.name}"))
        else:
            against += faults
    against.sort(key=lambda fault: not fault[0].startswith("missing_"))
    against += _rules(table, settings, now)
    changed = _converted(fields, settings) if table == "orders" else {}
    if changed:
        lost = [(f"bad_type:{n}", F.col(n).isNotNull() & F.col(_RATE).isNotNull() & changed[n].isNull()) for n in MONEY]
        against += lost
    reasons = F.filter(F.array(*(F.when(c, F.lit(code)) for code, c in against)), lambda x: x.isNotNull())
    columns = [changed.get(f.name, F.col(f"`{f.name}`")).alias(f.name) for f in fields]
    return frame.select(*kept, *columns, *aside, reasons.alias(REASONS))
