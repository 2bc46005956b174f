"""Loading files into the input tables: checked, deduplicated, merged by key, each rejected row kept with its reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, timezone
from functools import reduce
from zoneinfo import ZoneInfo

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql import types as T

from segment_lib import inputs
from segment_lib.errors import InputError, StorageError, UsageError, nearest
from segment_lib.ingest_files import BLOCK, CORRUPT, FILE, ORIGIN, PLACE, Batch, check_names, read_files, unreadable
from segment_lib.lease import Lease
from segment_lib.objects import open_objects
from segment_lib.rowchecks import REASONS, Field, blank_to_null, check
from segment_lib.settings import COLUMN_NAME, Settings
from segment_lib.settings import Mapping as ColumnMapping
from segment_lib.storage import Lake
from segment_lib.tables import INPUTS, LOAD_COLUMNS

_RECORD, _CHANGE = "__record", "__change"
#: More separate stretches of days than this in one load are read as fewer, longer ones.
MAX_STRETCHES = 24
#: A load of at most so many rows is written as one file.
SMALL_LOAD = 200_000


@dataclass(frozen=True)
class LoadResult:
    """What a load did. `rows` = `accepted` + `rejected`.

    Of the accepted rows, `superseded` had a later one of the same key in the same load and `erased` belong to erased
    customers; `inserted` and `updated` changed the table and the rest were in it already, as new or newer.
    `by_reason` counts each rejected row under the first of its reasons.
    """

    load_id: str
    table: str
    rows: int
    accepted: int
    rejected: int
    by_reason: Mapping[str, int] = field(default_factory=dict)
    outcome: str = "loaded"
    superseded: int = 0
    erased: int = 0
    inserted: int = 0
    updated: int = 0
    removed: int = 0


def ingest(
    lake: Lake,
    settings: Settings,
    table: str,
    files: Sequence[str],
    now: datetime,
    load_id: str,
    fmt: str | None = None,
    *,
    list_id: str | None = None,
    replace: bool = False,
) -> LoadResult:
    """Load files (or folders of them) into one input table.

    Rows merge by key: the greatest `updated_at` wins, then the later load, file and row. Stored rows are looked for on
    the local days that the load has rows of; a row whose time moves to another day than those is a new row. Columns
    that no file of the load has keep their stored values. `now` is the clock of the load, timezone-aware; load ids sort
    in the order of loads.

    With `list_id` the files are members of that one list, and need no column that names it; with `replace` too they are
    all of its members, and who is not among them leaves the list.

    Raises InputError, and leaves the table as it was, when a file cannot be read, a column has changed its type, or
    more rows are rejected than `ingest.max_reject_rate` allows.
    """
    if table not in INPUTS:
        raise UsageError(f"no input table {table!r}: {nearest(table, INPUTS)}")
    if lake.is_in_place(table):
        raise UsageError(f"{table} is read in place (conf inputs.{table}.path): there is nothing to load")
    if now.tzinfo is None:
        raise UsageError("the clock of a load needs a time zone")
    if replace and list_id is None:
        raise UsageError("only a list can be replaced: name it with --list")
    if list_id is not None:
        settings = _of_one_list(settings, table, list_id)
    with Lease(open_objects(lake.home), lake.tenant, load_id, name=f"_ingest_{table}.json"):
        try:
            return _Load(lake, settings, table, now, load_id, list_id if replace else None).run(files, fmt)
        finally:
            lake.drop_staging(load_id)


class _Load:
    """One load under way."""

    def __init__(
        self, lake: Lake, settings: Settings, table: str, now: datetime, load_id: str, replaced: str | None = None
    ):
        self.lake, self.settings, self.table, self.now, self.load_id = lake, settings, table, now, load_id
        #: The list whose members are those of this load and nobody else.
        self.replaced = replaced
        self.key = list(INPUTS[table].key)
        self.version = lake.version(table)
        self.stored = lake.read(table, self.version)

    def run(self, files: Sequence[str], fmt: str | None) -> LoadResult:
        batches = read_files(self.lake, files, fmt, self.settings.input(self.table).options)
        names = [file for batch in batches for file in batch.files]
        rows, given = self._checked(batches)
        try:
            rows = self.lake.stage("rows", self.load_id, rows)
        except StorageError as error:
            raise unreadable(error.__cause__ or error, names) from error
        placed = INPUTS[self.table].time
        day = F.from_utc_timestamp(placed, self.settings.time_zone).cast("date") if placed else F.lit(None)
        groups = rows.groupBy(F.get(REASONS, F.lit(0)).alias("reason")).agg(
            F.count("*").alias("n"), F.collect_set(day).alias("days")
        ).collect()
        counts = {row["reason"]: row["n"] for row in groups}
        days = next((row["days"] for row in groups if row["reason"] is None), [])
        accepted = counts.pop(None, 0)
        rejected = sum(counts.values())
        by_reason = dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
        result = LoadResult(self.load_id, self.table, accepted + rejected, accepted, rejected, by_reason)
        share = rejected / result.rows if result.rows else 0.0
        if share > self.settings.ingest.max_reject_rate:
            self._quarantine(rows, rejected)
            self._log(LoadResult(**{**vars(result), "outcome": "stopped"}), names)
            top = ", ".join(f"{reason} {n}" for reason, n in list(by_reason.items())[:5])
            raise InputError(
                f"{self.table}: {rejected} of {result.rows} rows were rejected ({share:.1%}, allowed are "
                f"{self.settings.ingest.max_reject_rate:.1%} by ingest.max_reject_rate): {top}. Nothing was loaded; "
                f"the rows are in `quarantine` under load_id {self.load_id}"
            )
        if self.replaced is not None and not accepted:
            raise InputError(f"no row was accepted, and would empty the list {self.replaced}: nothing was loaded")
        result = self._merge(rows.where(F.size(REASONS) == 0), given, days, result)
        self._quarantine(rows, rejected)
        self._log(result, names)
        return result

    # -- rows in, checked

    def _kinds(self, columns: T.StructType) -> tuple[dict[str, T.DataType], tuple[str, ...]]:
        """Our columns with their types, and those that must be there; files of erasures have ids, or hashes of them."""
        if self.table == "erasures":
            key = "customer_hash" if _has_hashes(columns) else "customer_id"
            return {key: T.StringType(), "erased_at": T.TimestampType()}, (key,)
        kinds = inputs.wanted(self.table, self.settings)
        stored = {f.name: f.dataType for f in self.stored.schema}
        if "items" in kinds and "items" in stored:
            line = kinds["items"].elementType
            more = [f for f in stored["items"].elementType if f.name not in line.fieldNames()]
            kinds["items"] = T.ArrayType(T.StructType([*line.fields, *more]))
        return kinds, INPUTS[self.table].required

    def _checked(self, batches: Sequence[Batch]) -> tuple[DataFrame, set[str]]:
        """All rows typed and judged, and the names of the columns that the files give."""
        given: set[str] = set()
        frames = []
        for batch in batches:
            fields, extras = self._fields(batch)
            given |= {f.name for f in fields if f.raw is not None}
            frames.append(self._typed(batch, fields, extras))
        rows = reduce(lambda a, b: a.unionByName(b, allowMissingColumns=True), frames)
        return self._as_stored(rows), given | {"customer_hash"}

    def _fields(self, batch: Batch) -> tuple[list[Field], list[str]]:
        kinds, required = self._kinds(batch.columns)
        mapping = self.settings.input(self.table).mapping()
        named = {name: T.StringType() for name in mapping if name not in kinds}
        if named and self.table == "erasures":
            raise InputError(f"erasures keeps only a hash of the id and has no place for {', '.join(named)} (see conf)")
        for name, rule in mapping.items():
            found = inputs.column_at(batch.columns, rule.source) if name in named and rule.source else None
            if found is not None:
                named[name] = found[1]
        fields = inputs.fields_of(
            self.table, batch.columns, self.settings, kinds=kinds | named, mapping=mapping, required=required,
            where=batch.label, sparse=batch.sparse,
        )
        used = {rule.source.split(".")[0] for rule in mapping.values() if rule.source}
        used |= {rule.source for rule in mapping.values() if rule.source}
        ours = {f.name for f in fields}
        extras = [
            f.name for f in batch.columns
            if f.name not in ours | used and not isinstance(f.dataType, T.NullType) and self.table != "erasures"
        ]
        for name in extras:
            if not COLUMN_NAME.fullmatch(name) or name.startswith("_"):
                raise InputError(
                    f"{batch.label}: {name!r} cannot name a column of ours (letters, digits and _, not first); "
                    f"give it a name in conf under inputs.{self.table}.columns"
                )
        check_names([*ours, *extras, *LOAD_COLUMNS], f"{self.table}, {batch.label}")
        return fields, extras

    def _typed(self, batch: Batch, fields: Sequence[Field], extras: Sequence[str]) -> DataFrame:
        whole = F.struct(*(F.col(f"`{name}`") for name in batch.columns.fieldNames()))
        frame = batch.frame.withColumn("__source", whole)
        frame = check(frame, self.table, fields, self.settings, now=self.now, keep=(*extras, *ORIGIN, "__source"))
        columns = [F.col(f"`{f.name}`") for f in fields]
        record = F.coalesce(F.col(CORRUPT), F.to_json("__source"))
        if self.table == "erasures":
            at = F.coalesce(F.col("erased_at"), F.lit(self.now)).alias("erased_at")
            hashed = inputs.customer_hash(self.lake.tenant, F.col("customer_id"))
            columns = [(F.col("customer_hash") if _has_hashes(batch.columns) else hashed).alias("customer_hash"), at]
            # Quarantine must not become the place where an id outlives its erasure.
            record = F.lit(None).cast("string")
        for name in extras:
            text = isinstance(frame.schema[name].dataType, T.StringType)
            columns.append((blank_to_null(F.col(name)) if text else F.col(name)).alias(name))
        reasons = F.when(F.col(CORRUPT).isNotNull(), F.array(F.lit("malformed"))).otherwise(F.col(REASONS))
        if self.table == "erasures" and _has_hashes(batch.columns):
            no_hash = F.col("customer_hash").isNotNull() & ~F.col("customer_hash").rlike("^[0-9a-f]{64}$")
            reasons = F.when(no_hash, F.array_append(reasons, F.lit("bad_type:customer_hash"))).otherwise(reasons)
        frame = frame.withColumn(REASONS, reasons)
        return frame.select(
            *columns, FILE, BLOCK, PLACE, REASONS, F.when(F.size(REASONS) > 0, record).alias(_RECORD)
        )

    def _as_stored(self, rows: DataFrame) -> DataFrame:
        """The rows with the types that the table has; a column that has changed its type is an error."""
        stored = {f.name: f.dataType for f in self.stored.schema}
        declared = self.settings.names().custom(self.table)
        by_case = {name.lower(): name for name in stored}
        columns = []
        for column in rows.schema:
            name, kind = column.name, column.dataType
            here = stored.get(name)
            if here is None and name.lower() in by_case:
                known = by_case[name.lower()]
                raise InputError(f"{self.table}: column {name!r} differs only by case from {known!r} in the table")
            value = F.col(f"`{name}`")
            if here is None or _fits(kind, here):
                columns.append(value)
            elif _widens(kind, here) or (isinstance(here, T.StringType) and name in declared):
                columns.append(value.cast(here).alias(name))
            else:
                raise InputError(
                    f"{self.table}: column {name!r} is {here.simpleString()} in the table and {kind.simpleString()} in "
                    f"this load; declare its type in conf (catalogue) or map it to another name"
                )
        return rows.select(*columns)

    # -- rows out

    def _merge(self, rows: DataFrame, given: set[str], days: list[date], result: LoadResult) -> LoadResult:
        """Write what is new or newer, in at most one commit."""
        rows, erased = self._without_erased(rows, result.accepted)
        updated_at = F.col("updated_at") if "updated_at" in rows.columns else F.lit(None).cast("timestamp")
        latest = Window.partitionBy(*self.key).orderBy(
            updated_at.desc_nulls_last(), F.col(FILE).desc(), F.col(BLOCK).desc(), F.col(PLACE).desc()
        )
        rows = rows.withColumn("__rank", F.row_number().over(latest)).where("__rank = 1")
        rows = rows.drop("__rank", FILE, BLOCK, PLACE, REASONS, _RECORD)
        rows = rows.withColumns({"_load_id": F.lit(self.load_id), "_loaded_at": F.lit(self.now)})
        touched = self._touched(days)
        changes = self.lake.stage("changes", self.load_id, self._changes(rows, given, touched))
        counts = {row[_CHANGE]: row["n"] for row in changes.groupBy(_CHANGE).agg(F.count("*").alias("n")).collect()}
        inserted, updated = counts.get("insert", 0), counts.get("update", 0)
        if self.table == "aliases":
            self._check_cycles(changes)
        kept = sum(counts.values())
        changed = changes.where(F.col(_CHANGE) != "keep").drop(_CHANGE)
        if updated:
            on = " AND ".join(f"t.`{name}` = s.`{name}`" for name in self.key)
            self.lake.merge(self.table, changed, f"{on} AND {touched}" if touched else on, self.load_id)
        elif inserted:
            self.lake.append(self.table, self._placed(changed, inserted), self.load_id)
        removed = self._remove_others(changes)
        return LoadResult(**{
            **vars(result), "erased": erased, "superseded": result.accepted - erased - kept, "inserted": inserted,
            "updated": updated, "removed": removed,
            "outcome": "loaded" if inserted or updated or removed else "unchanged",
        })

    def _remove_others(self, changes: DataFrame) -> int:
        """Takes those off a replaced list whom the load does not name; a commit of its own, after the additions."""
        if self.replaced is None:
            return 0
        listed = self.lake.read(self.table).where(F.col("list_id") == self.replaced)
        gone = self.lake.stage("gone", self.load_id, listed.join(changes.select(*self.key), self.key, "left_anti"))
        removed = gone.count()
        if removed:
            on = " AND ".join(f"t.`{name}` = s.`{name}`" for name in self.key)
            self.lake.remove(self.table, gone.select(*self.key), on, self.load_id)
        return removed

    def _placed(self, rows: DataFrame, count: int) -> DataFrame:
        """Rows laid out for writing: a small load is one file, and each file of a large one holds a stretch of time.

        Later merges and windows skip files by their times.
        """
        placed = INPUTS[self.table].time
        if count <= SMALL_LOAD:
            return rows.coalesce(1)
        return rows.repartitionByRange(placed) if placed else rows

    def _without_erased(self, rows: DataFrame, accepted: int) -> tuple[DataFrame, int]:
        """The rows under canonical ids, without erased customers, and how many those were.

        Customers and aliases keep their own ids: attributes belong to the id that they came with.
        """
        if self.table == "erasures":
            return rows, 0
        erased = self.lake.erased()
        aliases = None if self.table == "aliases" else self.lake.aliases()
        if aliases is not None:
            own = rows.withColumn("__own", F.col("customer_id")) if self.table == "customers" else rows
            rows = inputs.with_canonical(own, aliases, erased, self.lake.tenant)
            if self.table == "customers":
                rows = rows.withColumn("customer_id", F.col("__own")).drop("__own")
        elif erased is not None:
            rows = inputs.without_erased(rows, erased, self.lake.tenant)
        return rows, accepted - rows.count() if erased is not None else 0

    def _touched(self, days: list[date]) -> str:
        """A condition on the table's time that holds on the days of the load; empty for tables without a time."""
        placed = INPUTS[self.table].time
        if not placed:
            return ""
        found = stretches(days, MAX_STRETCHES)
        return stretches_condition(f"t.`{placed}`", found, self.settings.zone) if found else "false"

    def _changes(self, rows: DataFrame, given: set[str], touched: str) -> DataFrame:
        """Each row with what it does to the table: insert, update, or keep what is stored."""
        stored = self.stored.alias("t")
        stored = stored.where(touched) if touched else stored
        stored = stored.withColumn("__there", F.lit(True)).alias("t")
        joined = rows.alias("s").join(stored, [F.col(f"s.`{n}`") == F.col(f"t.`{n}`") for n in self.key], "left")
        there, values, differs = set(self.stored.columns), [], [F.lit(False)]
        for column in rows.schema:
            name, value = column.name, F.col(f"s.`{column.name}`")
            if name in LOAD_COLUMNS:
                values.append(value)
                continue
            if name in there and name in INPUTS[self.table].columns and name not in given:
                value = F.coalesce(F.col(f"t.`{name}`"), value)
            elif name in there:
                differs.append(~_comparable(value, column.dataType).eqNullSafe(
                    _comparable(F.col(f"t.`{name}`"), column.dataType)))
            else:
                differs.append(value.isNotNull())
            values.append(value.alias(name))
        changed = reduce(lambda a, b: a | b, differs)
        after = F.coalesce(F.col("t._load_id") <= F.lit(self.load_id), F.lit(True))
        newer = after
        if "updated_at" in rows.columns and "updated_at" in given:
            ours, theirs = F.col("s.updated_at"), F.col("t.updated_at")
            newer = F.when(ours.eqNullSafe(theirs), after).otherwise(
                F.coalesce(ours > theirs, theirs.isNull())
            )
        elif "updated_at" in there:
            newer = after & F.col("t.updated_at").isNull()
        change = F.when(F.col("t.__there").isNull(), "insert").when(newer & changed, "update").otherwise("keep")
        return joined.select(*values, change.alias(_CHANGE))

    def _check_cycles(self, changes: DataFrame) -> None:
        """Refuse a load of aliases that would leave some without a canonical customer."""
        columns = [name for name in INPUTS["aliases"].columns if name in changes.columns]
        stored = self.stored.join(changes.select("customer_id"), "customer_id", "left_anti")
        inputs.resolved_aliases(stored.select(*columns).unionByName(changes.select(*columns)))

    def _quarantine(self, rows: DataFrame, rejected: int) -> None:
        if not rejected:
            return
        parts = rows.groupBy(FILE, BLOCK).agg(F.min(PLACE).alias("__first"), F.count("*").alias("__n"))
        before = Window.partitionBy(FILE).orderBy(BLOCK).rowsBetween(Window.unboundedPreceding, -1)
        parts = parts.withColumn("__before", F.coalesce(F.sum("__n").over(before), F.lit(0)))
        bad = rows.where(F.size(REASONS) > 0).join(F.broadcast(parts), [FILE, BLOCK])
        file = F.try_url_decode(F.replace(F.col(FILE), F.lit("+"), F.lit("%2B")))
        self.lake.append("quarantine", bad.select(
            F.lit(self.table).alias("table"), F.lit(self.load_id).alias("load_id"), F.lit(self.now).alias("loaded_at"),
            F.regexp_replace(F.coalesce(file, FILE), "^file:(//)?(?=/)", "").alias("file"),
            (F.col(PLACE) - F.col("__first") + F.col("__before") + 1).alias("row"),
            F.array_join(REASONS, "; ").alias("reason"), F.col(_RECORD).alias("record"),
        ), self.load_id)

    def _log(self, result: LoadResult, files: list[str]) -> None:
        row = (self.load_id, self.table, self.now, files, result.rows, result.accepted, result.rejected, result.outcome)
        frame = self.lake.spark.createDataFrame([row], self.lake.schema("loads")).coalesce(1)
        self.lake.append("loads", frame, self.load_id)


def stretches(days: Sequence[date], most: int) -> list[tuple[date, date]]:
    """The days as stretches of consecutive ones, both ends included; the narrowest gaps are closed to keep to `most`.

    >>> d = date(2026, 1, 1)
    >>> [(a.day, b.day) for a, b in stretches([date(2026, 1, n) for n in (1, 2, 9, 11)], 2)]
    [(1, 2), (9, 11)]
    """
    ordered = sorted(set(days))
    if not ordered:
        return []
    pairs = enumerate(zip(ordered, ordered[1:], strict=False))
    gaps = sorted(((b - a).days, i) for i, (a, b) in pairs if (b - a).days > 1)
    cuts = sorted(i for _, i in gaps[max(0, len(gaps) - most + 1):])
    starts = [0, *(i + 1 for i in cuts)]
    ends = [*cuts, len(ordered) - 1]
    return [(ordered[a], ordered[b]) for a, b in zip(starts, ends, strict=True)]


def stretches_condition(column: str, found: Sequence[tuple[date, date]], zone: ZoneInfo) -> str:
    """A condition that holds for instants on these local days.

    >>> stretches_condition("at", [(date(2026, 1, 1), date(2026, 1, 1))], ZoneInfo("UTC"))
    "((at >= TIMESTAMP'2026-01-01 00:00:00Z' AND at < TIMESTAMP'2026-01-02 00:00:00Z'))"
    """
    def midnight(day: date) -> str:
        instant = datetime.combine(day, time(), tzinfo=zone).astimezone(timezone.utc)
        return f"TIMESTAMP'{instant:%Y-%m-%d %H:%M:%S}Z'"

    parts = [f"({column} >= {midnight(a)} AND {column} < {midnight(b + timedelta(days=1))})" for a, b in found]
    return "(" + " OR ".join(parts) + ")"


def _comparable(column: Column, kind: T.DataType) -> Column:
    """Values that Spark can compare: lines by their text, since stored lines may have fewer fields, and maps."""
    if isinstance(kind, (T.MapType, T.StructType, T.ArrayType)):
        return F.to_json(column)
    return column


def _of_one_list(settings: Settings, table: str, list_id: str) -> Settings:
    """Conf in which every row of `lists` belongs to that list."""
    if table != "lists":
        raise UsageError(f"--list goes with lists, not with {table}")
    known = settings.catalogue.lists
    if list_id not in known:
        raise UsageError(f"no list {list_id!r} in conf (catalogue.lists); {nearest(list_id, known)}".rstrip("; "))
    section = settings.input(table)
    named = section.model_copy(update={"columns": {**section.columns, "list_id": ColumnMapping(value=list_id)}})
    return settings.model_copy(update={"inputs": {**settings.inputs, table: named}})


def _has_hashes(columns: T.StructType) -> bool:
    return "customer_hash" in columns.fieldNames() and "customer_id" not in columns.fieldNames()


def _fits(kind: T.DataType, stored: T.DataType) -> bool:
    """Whether a column can be written as it is: equal types, where structs may gain or lack fields."""
    if isinstance(kind, T.ArrayType) and isinstance(stored, T.ArrayType):
        return _fits(kind.elementType, stored.elementType)
    if isinstance(kind, T.StructType) and isinstance(stored, T.StructType):
        known = {f.name: f.dataType for f in stored}
        return all(f.name not in known or _fits(f.dataType, known[f.name]) for f in kind)
    return kind == stored


def _widens(kind: T.DataType, stored: T.DataType) -> bool:
    """Whether every value of `kind` has its place in `stored`."""
    order = [T.ByteType, T.ShortType, T.IntegerType, T.LongType]
    if type(kind) in order and type(stored) in order:
        return order.index(type(kind)) < order.index(type(stored))
    if isinstance(kind, T.DecimalType) and isinstance(stored, T.DecimalType):
        whole = stored.precision - stored.scale >= kind.precision - kind.scale
        return whole and stored.scale >= kind.scale
    return isinstance(kind, T.FloatType) and isinstance(stored, T.DoubleType)
