"""The only reader and writer of tables and object-store paths."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime
from functools import partial
from typing import TypeVar
from urllib.parse import unquote

from delta import DeltaTable
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from segment_lib import commits, inputs, parts
from segment_lib.errors import InputError, StorageError, nearest
from segment_lib.hadoop_files import SPARK_ERRORS, Files, error_class
from segment_lib.paths import absolute, literal_path, scheme_of
from segment_lib.rowchecks import value_of
from segment_lib.settings import TENANT_ID, Settings
from segment_lib.sql_literals import Value, Values, condition
from segment_lib.tables import INPUTS, OUTPUTS, PARTITIONED, PER_RUN, ddl

PARTITION = ("snapshot_date", "run_id")
_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,126}$")
_COMMIT = re.compile(r"^(\d{20})\.(json|checkpoint\..*parquet)$")
#: Columns whose least and greatest values a table's log keeps for skipping files; none of them is personal.
_STATISTICS = {
    "events": "occurred_at,_loaded_at", "orders": "ordered_at,_loaded_at",
    "membership_changes": "base_run_id,segment_id", "segment_metrics": "base_run_id,segment_id",
    "row_parcels": "source,file", "quarantine": "load_id",
    "runs": "snapshot_date,run_id,state,at", "segments": "segment_id", "loads": "load_id,at",
}
#: Tasks that list a table's folder.
_LISTING_TASKS = 16
_T = TypeVar("_T")


class Lake:
    """One tenant's tables.

    Every path is checked to lie below the tenant's folder, whatever names or links say. Erasures are always the newest
    that exist when this object first looks, and stay the same as long as it lives; so are aliases unless a version is
    given. Versions of other tables are the caller's: nothing here reads "latest" on its own for one of them twice.
    """

    def __init__(self, spark: SparkSession, settings: Settings):
        if not TENANT_ID.fullmatch(settings.tenant):
            raise StorageError(f"{settings.tenant!r} is not a tenant id ({TENANT_ID.pattern})")
        self.spark = spark
        self.files = Files(spark)
        self.settings = settings
        self.tenant = settings.tenant
        self.root = absolute(settings.root)
        self._erased: DataFrame | None = None
        self._erased_read = False
        self._aliases: dict[int, DataFrame | None] = {}

    # -- where things lie

    @property
    def home(self) -> str:
        """The folder or prefix of this tenant."""
        return self._below(self.tenant)

    def _below(self, *parts: str) -> str:
        path = "/".join((self.root, *parts))
        if not scheme_of(self.root):
            expected = os.path.join(os.path.realpath(self.root), *parts)
            if os.path.realpath(path) != expected:
                raise StorageError(f"{path!r} leads outside the tenant's folder through a symbolic link")
        return path

    def is_in_place(self, table: str) -> bool:
        """Whether an input is somebody else's Delta table that is only read."""
        return table in INPUTS and self.settings.input(table).path is not None

    def path(self, table: str) -> str:
        """Where a table lies."""
        if table not in INPUTS and table not in OUTPUTS:
            raise StorageError(f"no table {table!r}: {nearest(table, [*INPUTS, *OUTPUTS])}")
        if not self.is_in_place(table):
            return self._below(self.tenant, table)
        path = absolute(self.settings.input(table).path or "")
        real, root = (path, self.root) if scheme_of(path) else (os.path.realpath(path), os.path.realpath(self.root))
        if f"{real}/".startswith(f"{root}/") and not f"{real}/".startswith(f"{root}/{self.tenant}/"):
            raise StorageError(f"inputs.{table}.path lies in the folder of another tenant")
        return path

    def exists(self, table: str) -> bool:
        return self._guard(table, lambda: DeltaTable.isDeltaTable(self.spark, self.path(table)))

    def version(self, table: str) -> int | None:
        """The latest version of a table; None when there is none.

        The log of our own tables is listed, which is quick; a table in place may keep its log in another way, so its
        history is asked.
        """
        path = self.path(table)
        if not self.exists(table):
            return None
        if self.is_in_place(table):
            newest = self._guard(table, lambda: DeltaTable.forPath(self.spark, path).history(1).first())
            return int(newest["version"])
        commits = [_COMMIT.match(name) for name in self.files.names(f"{path}/_delta_log")]
        return max((int(match[1]) for match in commits if match), default=None)

    def pin(self) -> dict[str, int]:
        """The latest versions of all inputs that exist, tables in place included."""
        versions = {table: self.version(table) for table in INPUTS}
        return {table: version for table, version in versions.items() if version is not None}

    def _guard(self, table: str, action: Callable[[], _T]) -> _T:
        """Say which table failed, and the class of the error; its text may quote data, so it stays in the cause."""
        try:
            return action()
        except SPARK_ERRORS as error:
            raise StorageError(f"table {table!r} at {self.path(table)}: {error_class(error)}") from error

    # -- reading

    def schema(self, table: str) -> T.StructType:
        """The columns that a table is created with."""
        columns = inputs.stored_schema(table) if table in INPUTS else OUTPUTS[table]
        return T.StructType.fromDDL(ddl(columns))

    def read(self, table: str, version: int | None = None) -> DataFrame:
        """A table as it is stored, at a version when one is given; no rows when there is no such table."""
        if not self.exists(table):
            if self.is_in_place(table):
                raise InputError(f"{table}: there is no Delta table at {self.path(table)} (conf inputs.{table}.path)")
            return self._no_rows(table)
        reader = self.spark.read.format("delta")
        if version is not None:
            reader = reader.option("versionAsOf", version)
        return self._guard(table, lambda: reader.load(self.path(table)))

    def _no_rows(self, table: str) -> DataFrame:
        return self.spark.createDataFrame([], self.schema(table))

    def published(self, table: str, version: int | None = None) -> DataFrame:
        """An output without the rows of erased customers."""
        frame = self.read(table, version)
        erased = self.erased()
        if erased is None or "customer_id" not in frame.columns:
            return frame
        return inputs.without_erased(frame, erased, self.tenant)

    def input(
        self,
        table: str,
        version: int | None = None,
        pins: Mapping[str, int] | None = None,
        now: datetime | None = None,
    ) -> DataFrame:
        """What the engine reads of an input.

        Standard and declared columns with their types, `_bad_NAME` where a custom column may not convert, `_reject`
        (why a row does not count, NULL for a good one; rows are not filtered) and `_late_at` (when the row arrived, if
        known). Ids are canonical and erased customers are absent. `pins` are the versions of the run: the version of
        `aliases`, and a table that is not among them has no rows, whatever came since. With `now` rows of the future
        are rejected in tables read in place (our own were checked at load).
        """
        if version is None and pins is not None and not self.is_in_place(table):
            version = pins.get(table)
            stored = self.read(table, version) if version is not None else self._no_rows(table)
        else:
            stored = self.read(table, version)
        if self.is_in_place(table):
            frame = inputs.in_place(stored, table, self.settings, now)
        else:
            frame = inputs.loaded(stored, table, self.settings)
        if table == "erasures":
            return frame
        erased = self.erased()
        if table == "aliases":
            for column in ("customer_id", "canonical_id"):
                frame = frame if erased is None else inputs.without_erased(frame, erased, self.tenant, column)
            return frame
        aliases = self.aliases(*([] if pins is None else [pins.get("aliases", -1)]))
        if aliases is None:
            return frame if erased is None else inputs.without_erased(frame, erased, self.tenant)
        if table != "customers":
            return inputs.with_canonical(frame, aliases, erased, self.tenant)
        frame = inputs.without_aliases(frame, aliases)
        return frame if erased is None else inputs.without_erased(frame, erased, self.tenant)

    def aliases(self, version: int | None = None) -> DataFrame | None:
        """Alias -> final canonical customer (customer_id, canonical_id); None when there are no aliases.

        Without a version the newest; -1 stands for a run that was pinned before there were any.
        """
        if version is None:
            known = self.version("aliases") if self.exists("aliases") else None
            version = -1 if known is None else known
        if version not in self._aliases:
            resolved = None
            if version >= 0 and not self._has_no_rows("aliases", version):
                stored = self.read("aliases", version)
                if self.is_in_place("aliases"):
                    stored = inputs.in_place(stored, "aliases", self.settings, None).where("_reject IS NULL")
                resolved = inputs.resolved_aliases(stored)
            self._aliases[version] = resolved
        return self._aliases[version]

    def erased(self) -> DataFrame | None:
        """The hashes of erased customers; None when there are none."""
        if not self._erased_read:
            version = self.version("erasures")
            if version is not None and not self._has_no_rows("erasures", version):
                stored = self.read("erasures", version)
                if self.is_in_place("erasures"):
                    stored = inputs.in_place(stored, "erasures", self.settings, None).where("_reject IS NULL")
                self._erased = stored.select("customer_hash")
            self._erased_read = True
        return self._erased

    def _has_no_rows(self, table: str, version: int) -> bool:
        return self._guard(table, lambda: not self.read(table, version).inputFiles())

    def layout(self, table: str) -> tuple[set[str], bool]:
        """The columns by which a table is partitioned, and whether its files hold just its rows under its own names."""
        detail = self._guard(table, lambda: DeltaTable.forPath(self.spark, self.path(table)).detail().first()).asDict()
        features = set(detail.get("tableFeatures") or ())
        return set(detail["partitionColumns"]), not features & {"deletionVectors", "columnMapping"}

    def size_of(self, frame: DataFrame) -> int:
        """Bytes that the tables of a frame have in storage, as their logs say; nothing is read for it."""
        leaves = frame._jdf.queryExecution().optimizedPlan().collectLeaves()
        return sum(int(leaves.apply(number).stats().sizeInBytes()) for number in range(leaves.size()))

    def new_files(self, table: str, since_version: int | None, version: int) -> int:
        """How many keys occur more than once in the files that a table in place gained between two versions.

        Only those files are read. Where the table's features do not allow to read files by themselves (deletion
        vectors, mapped column names, a key that is a partition), the key columns of the whole table are, cut to those
        files. All files count as new when `since_version` is None or no longer kept.
        """
        frame = self.read(table, version)
        added = set(frame.inputFiles())
        if since_version is not None:
            try:
                added -= set(self.read(table, since_version).inputFiles())
            except (*SPARK_ERRORS, StorageError):
                # The log of that version has been cleaned up; every file is then checked, which is right and slower.
                pass
        if not added:
            return 0
        fields = [f for f in inputs.check_columns(frame, table, self.settings) if f.name in INPUTS[table].key]
        frame = self._only(table, frame, sorted(added))
        keys = frame.select(*(value_of(f.raw, f.kind).alias(f.name) for f in fields if f.raw is not None)).dropna()
        return self._guard(table, lambda: keys.groupBy(*keys.columns).count().where("count > 1").count())

    def _only(self, table: str, frame: DataFrame, files: list[str]) -> DataFrame:
        """The rows of some files of a table in place."""
        mapping = self.settings.input(table).mapping()
        key = {(mapping[n].source or "").split(".")[0] if n in mapping else n for n in INPUTS[table].key}
        partitions, plain = self.layout(table)
        if plain and not key & partitions:
            return self.spark.read.schema(frame.schema).parquet(*(literal_path(unquote(file)) for file in files))
        names = self.spark.createDataFrame([(file,) for file in files], "__file string")
        return frame.join(F.broadcast(names), F.col("_metadata.file_path") == F.col("__file"), "left_semi")

    # -- writing

    def _metadata(self, run_id: str, table: str) -> str:
        return json.dumps({"tenant": self.tenant, "run_id": run_id, "table": table}, sort_keys=True)

    def _writable(self, table: str) -> str:
        if self.is_in_place(table):
            raise StorageError(f"{table} is read in place (conf inputs.{table}.path) and never written")
        return self.path(table)

    def _fitted(self, table: str, frame: DataFrame) -> DataFrame:
        """The columns in the order and type of the table; absent ones are NULL.

        Further columns are kept for inputs, where they are custom fields, and an error for outputs.
        """
        schema = self.schema(table)
        more = [name for name in frame.columns if name not in schema.fieldNames()]
        if more and table not in INPUTS:
            raise StorageError(f"table {table!r} has no column {', '.join(more)}")
        columns = []
        for column in schema:
            value = F.col(f"`{column.name}`") if column.name in frame.columns else F.lit(None)
            # Lines may have more fields than the standard ones; a cast would cut them off.
            keep = isinstance(column.dataType, T.ArrayType) and column.name in frame.columns
            columns.append((value if keep else value.cast(column.dataType)).alias(column.name))
        return frame.select(*columns, *(F.col(f"`{name}`") for name in more))

    def _writer(self, table: str, frame: DataFrame, run_id: str):
        writer = self._fitted(table, frame).write.format("delta").option("userMetadata", self._metadata(run_id, table))
        if not self.exists(table):
            if table in PER_RUN or table in PARTITIONED:
                writer = writer.partitionBy(*PARTITIONED.get(table, PARTITION))
            if table in _STATISTICS:
                writer = writer.option("delta.dataSkippingStatsColumns", _STATISTICS[table])
            else:
                writer = writer.option("delta.dataSkippingNumIndexedCols", "0")
        return writer

    def append(self, table: str, df: DataFrame, run_id: str, **options: str | int) -> None:
        """Add rows, with options of Spark's writer. New columns of an input widen its table."""
        path = self._writable(table)
        writer = self._writer(table, df, run_id).mode("append").options(**options)
        if table in INPUTS:
            writer = writer.option("mergeSchema", "true")
        self._guard(table, lambda: writer.save(path))

    def replace(
        self, table: str, df: DataFrame, partition: Mapping[str, Value], run_id: str, **options: str | int
    ) -> None:
        """Put `df` in the place of the rows that equal `partition` (None matches NULL), in one commit.

        A table of an earlier version gets the columns that are new. Rows of `df` that lie outside it are refused and nothing changes.
        """
        path = self._writable(table)
        # The first write has nothing to replace, and still must refuse rows that lie outside.
        self._create(table, df, run_id)
        writer = self._writer(table, df, run_id).mode("overwrite").option("replaceWhere", condition(partition))
        writer = writer.option("mergeSchema", "true").options(**options)
        self._guard(table, lambda: writer.save(path))

    def _create(self, table: str, df: DataFrame, run_id: str) -> None:
        """An empty table with the columns of `df`, where there is none."""
        if not self.exists(table):
            self._guard(table, lambda: self._writer(table, df.limit(0), run_id).mode("append").save(self.path(table)))

    def adopt(self, table: str, staged: str, partition: Mapping[str, str | date], run_id: str) -> bool:
        """Makes files of a table of the parts that a run staged apart under a name (`stage_batches`), in one commit.

        They are moved, and no row is read. The partition has no rows yet. False, and nothing happens, where no parts were
        staged (on an object store, and where Columns staged rows) and where files do not have the table's own names.
        """
        folder = self._staging(run_id, staged)
        if scheme_of(folder) or not os.path.isdir(folder):
            return False
        path = self._writable(table)
        self._create(table, self._no_rows(table), run_id)
        _, plain = self.layout(table)
        if not plain:
            return False
        files = sorted(entry.path for entry in os.scandir(folder) if entry.name.startswith("part-"))
        values = {column: str(value) for column, value in partition.items()}
        self._guard(table, lambda: commits.adopt(self.spark, path, files, values, self._metadata(run_id, table)))
        return True

    def delete(self, table: str, where: Mapping[str, Values], run_id: str) -> None:
        """Delete the rows that equal `where`. The table's log keeps the values: no personal ones belong here."""
        if self.exists(table):
            path = self._writable(table)
            with self._commit_metadata(run_id, table):
                self._guard(table, lambda: DeltaTable.forPath(self.spark, path).delete(condition(where)))

    def drop(self, table: str) -> None:
        """Removes an output with all its versions; for what can be made again."""
        if table not in OUTPUTS:
            raise StorageError(f"{table!r} is no output, and stays")
        self.files.delete(self.path(table))

    def merge(self, table: str, df: DataFrame, on: str, run_id: str) -> None:
        """Update the rows of a table that `on` (over `t` and `s`) matches, all columns, and insert the others."""
        path = self._writable(table)
        with self._commit_metadata(run_id, table):
            target = DeltaTable.forPath(self.spark, path).alias("t")
            merge = target.merge(df.alias("s"), on).withSchemaEvolution()
            self._guard(table, lambda: merge.whenMatchedUpdateAll().whenNotMatchedInsertAll().execute())

    def remove(self, table: str, df: DataFrame, on: str, run_id: str) -> None:
        """Delete the rows of a table that `on` (over `t` and `s`) matches."""
        path = self._writable(table)
        with self._commit_metadata(run_id, table):
            merge = DeltaTable.forPath(self.spark, path).alias("t").merge(df.alias("s"), on)
            self._guard(table, lambda: merge.whenMatchedDelete().execute())

    def _commit_metadata(self, run_id: str, table: str):
        name = "spark.databricks.delta.commitInfo.userMetadata"
        return _SessionValue(self.spark, name, self._metadata(run_id, table))

    # -- health

    def live(self, table: str) -> tuple[int, int]:
        """The files and bytes of the newest version."""
        detail = self._guard(table, lambda: DeltaTable.forPath(self.spark, self.path(table)).detail().first())
        return int(detail["numFiles"]), int(detail["sizeInBytes"])

    def stored(self, table: str) -> tuple[int, int]:
        """The data files and bytes in a table's folder, of all versions."""
        return self.files.total(self.path(table), without="/_delta_log/")

    def log_length(self, table: str) -> tuple[int, int]:
        """The newest version, and how many commits lie after the last checkpoint."""
        found = [_COMMIT.match(name) for name in self.files.names(f"{self.path(table)}/_delta_log")]
        newest = {kind: max((int(one[1]) for one in found if one and (one[2] == "json") == (kind == "json")), default=-1)
                  for kind in ("json", "checkpoint")}
        return newest["json"], newest["json"] - newest["checkpoint"]

    def compact(self, table: str, small: int, together: int, run_id: str) -> None:
        """Puts files below `small` bytes together into files of about `together` bytes; no row changes."""
        path = self._writable(table)
        prefix = "spark.databricks.delta.optimize"
        with (
            self._commit_metadata(run_id, table), _SessionValue(self.spark, f"{prefix}.minFileSize", str(small)),
            _SessionValue(self.spark, f"{prefix}.maxFileSize", str(together)),
        ):
            self._guard(table, lambda: DeltaTable.forPath(self.spark, path).optimize().executeCompaction())

    def vacuum(self, table: str, hours: float) -> None:
        """Removes data files that no version of the last so many hours has."""
        path = self._writable(table)
        # Its two notes in the log would make every table longer by two commits a time; and it would list the folder in
        # ten thousand tasks, however few files there are.
        with (
            _SessionValue(self.spark, "spark.databricks.delta.vacuum.logging.enabled", "false"),
            _SessionValue(self.spark, "spark.sql.sources.parallelPartitionDiscovery.parallelism", str(_LISTING_TASKS)),
        ):
            self._guard(table, lambda: DeltaTable.forPath(self.spark, path).vacuum(hours))

    # -- staging

    def _staging(self, *parts: str) -> str:
        for part in parts:
            if not _NAME.fullmatch(part):
                raise StorageError(f"{part!r} cannot name staged data")
        return self._below(self.tenant, "_staging", *parts)

    def stage(self, name: str, run_id: str, df: DataFrame) -> DataFrame:
        """Write once and read back, so that what several steps need is computed once and no plan grows."""
        path = self._staging(run_id, name)
        try:
            df.write.mode("overwrite").parquet(path)
        except SPARK_ERRORS as error:
            raise StorageError(f"staging {name!r}: {error_class(error)}") from error
        return self.staged(name, run_id, df.schema)

    def stage_batches(
        self, name: str, run_id: str, df: DataFrame, made: Callable[[Iterator], Iterator], schema: T.StructType,
        apart: Mapping[str, Sequence[str]] | None = None,
    ) -> DataFrame:
        """As `stage`, of what `made` makes of the frame's batches in Python.

        On the machine's file system the tasks that make them write them too: a list goes to the JVM and from there to a
        file entry by entry, which takes twenty times as long as Arrow does. Written are parts of their own names, so a
        task that is tried again replaces what it left. There, the columns of `apart` are written once more under names
        of their own, for `adopt`.
        """
        path = self._staging(run_id, name)
        if scheme_of(path):
            return self.stage(name, run_id, df.mapInArrow(made, schema))
        folders: dict[str, Sequence[str] | None] = {path: None}
        folders |= {self._staging(run_id, other): columns for other, columns in (apart or {}).items()}
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
            os.makedirs(folder)
        written = df.mapInArrow(partial(parts.write, made=made, folders=folders), "part string")
        try:
            written.count()
        except SPARK_ERRORS as error:
            raise StorageError(f"staging {name!r}: {error_class(error)}") from error
        return self.staged(name, run_id, schema)

    def staged(self, name: str, run_id: str, schema: T.StructType) -> DataFrame:
        """Staged data by name, of this process or of an earlier one."""
        path = literal_path(self._staging(run_id, name))
        return self.spark.read.schema(schema).parquet(path)

    def staged_runs(self) -> list[str]:
        """The run ids that have staged data."""
        return sorted(self.files.names(self._staging()))

    def drop_staging(self, run_id: str) -> None:
        self.files.delete(self._staging(run_id))


class _SessionValue:
    """A Spark setting for the length of a block."""

    def __init__(self, spark: SparkSession, name: str, value: str):
        self.spark, self.name, self.value = spark, name, value

    def __enter__(self) -> None:
        self.before = self.spark.conf.get(self.name, None)
        self.spark.conf.set(self.name, self.value)

    def __exit__(self, *_: object) -> None:
        if self.before is None:
            self.spark.conf.unset(self.name)
        else:
            self.spark.conf.set(self.name, self.before)
