"""Reading files of rows as they are: every column as the file has it, and where each row came from."""

from __future__ import annotations

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from segment_lib.errors import InputError, UsageError
from segment_lib.hadoop_files import SPARK_ERRORS, error_class
from segment_lib.paths import literal_path
from segment_lib.storage import Lake

#: Where a row came from: the file, the part of it that one task read, and the row's place within the part.
FILE, BLOCK, PLACE = "__file", "__block", "__place"
#: The text of a record that does not parse.
CORRUPT = "__corrupt"
ORIGIN = (FILE, BLOCK, PLACE, CORRUPT)
#: A header lies within the first bytes of a file.
HEADER_BYTES = 1 << 18
FORMATS = ("csv", "json", "parquet")
_SUFFIXES = {
    "csv": "csv", "tsv": "csv", "txt": "csv", "json": "json", "jsonl": "json", "ndjson": "json", "parquet": "parquet",
}
_COMPRESSED = (".gz", ".bz2", ".zst", ".snappy", ".lz4")


@dataclass(frozen=True)
class Batch:
    """Files that share their columns: the rows with ORIGIN beside the columns of the files."""

    frame: DataFrame
    columns: T.StructType
    files: tuple[str, ...]
    #: Whether rows leave out what they lack, so that an absent column is nothing but missing values.
    sparse: bool = False

    @property
    def label(self) -> str:
        """The files in a message."""
        return self.files[0] + (f" and {len(self.files) - 1} more" if len(self.files) > 1 else "")


def format_of(path: str) -> str | None:
    """The format that a file's name tells; compression does not matter.

    >>> format_of("a/orders.csv.gz"), format_of("x.ndjson"), format_of("notes.md")
    ('csv', 'json', None)
    """
    name = path.lower()
    for suffix in _COMPRESSED:
        name = name.removesuffix(suffix)
    return _SUFFIXES.get(name.rpartition(".")[2])


def find_files(lake: Lake, given: Iterable[str], fmt: str | None) -> dict[str, list[str]]:
    """The files by format, folders opened, each once; `fmt` decides where names do not."""
    if fmt is not None and fmt not in FORMATS:
        raise UsageError(f"{fmt!r} is no format of files; known: {', '.join(FORMATS)}")
    found: dict[str, list[str]] = defaultdict(list)
    for path in dict.fromkeys(file for name in given for file in lake.files.below(name)):
        kind = fmt or format_of(path)
        if kind is None:
            raise UsageError(f"{path}: the name does not tell the format; say it: {', '.join(FORMATS)}")
        found[kind].append(path)
    if not found:
        raise UsageError("no files to load")
    return dict(found)


def read_files(lake: Lake, given: Iterable[str], fmt: str | None, options: Mapping[str, str]) -> list[Batch]:
    """All rows of the files, in batches of the same columns.

    Nothing is guessed: CSV and JSON values are text, so that "007" stays what it is.
    """
    batches: list[Batch] = []
    for kind, paths in find_files(lake, given, fmt).items():
        try:
            batches += {"csv": _csv, "json": _json, "parquet": _parquet}[kind](lake, paths, dict(options))
        except SPARK_ERRORS as error:
            raise unreadable(error, paths) from error
    for batch in batches:
        check_names(batch.columns.fieldNames(), batch.label)
    return batches


def unreadable(error: BaseException, paths: list[str]) -> InputError:
    """The error for files that do not parse, without any of their content."""
    parameters = error.getMessageParameters() or {} if isinstance(error, PySparkException) else {}
    where = parameters.get("path") or parameters.get("fileName") or ", ".join(paths[:3])
    return InputError(f"{where}: the file cannot be read ({error_class(error)})")


def check_names(names: Iterable[str], label: str) -> None:
    """Columns need a name, and names must differ by more than case: Spark could not tell them apart."""
    names = list(names)
    if any(not name.strip() for name in names):
        raise InputError(f"{label}: column {[not n.strip() for n in names].index(True) + 1} has no name")
    twice = sorted(name for name, n in Counter(name.lower() for name in names).items() if n > 1)
    if twice:
        same = [name for name in names if name.lower() == twice[0]]
        raise InputError(f"{label}: columns differ only by case or not at all: {', '.join(same)}")


def _with_origin(frame: DataFrame) -> DataFrame:
    names = [F.col(f"`{name}`") for name in frame.columns if name != CORRUPT]
    corrupt = F.col(CORRUPT) if CORRUPT in frame.columns else F.lit(None).cast("string").alias(CORRUPT)
    return frame.select(
        *names, corrupt, F.col("_metadata.file_path").alias(FILE), F.col("_metadata.file_block_start").alias(BLOCK),
        F.monotonically_increasing_id().alias(PLACE),
    )


def _csv(lake: Lake, paths: list[str], options: dict[str, str]) -> list[Batch]:
    """RFC 4180: a quote inside quotes is doubled, and a quoted value may hold line breaks.

    Line breaks in values mean that one task reads a whole file; the option `multiLine: "false"` splits large files when
    no value has any. Files are grouped by header, because Spark reads columns by position.
    """
    named = options.pop("header", "true").lower() != "false"
    read = {
        "quote": '"', "escape": '"', "multiLine": "true", "encoding": "UTF-8", **options,
        "mode": "PERMISSIVE", "columnNameOfCorruptRecord": CORRUPT, "inferSchema": "false", "enforceSchema": "true",
    }
    headers = []
    for path in paths:
        tabs = ".tsv" in path.lower() and not {"sep", "delimiter"} & set(options)
        first = _first_record(lake, path, {**read, "sep": "\t"} if tabs else read)
        headers.append((first if named else tuple(f"_c{i}" for i in range(len(first))), tabs))
    groups: dict[tuple[tuple[str, ...], bool], list[str]] = defaultdict(list)
    for path, (names, tabs) in zip(paths, headers, strict=True):
        check_names(names, path)
        groups[names, tabs].append(path)
    batches = []
    for (names, tabs), files in groups.items():
        columns = T.StructType([T.StructField(name, T.StringType()) for name in names])
        schema = T.StructType([*columns.fields, T.StructField(CORRUPT, T.StringType())])
        delimiter = {"sep": "\t"} if tabs else {}
        reader = lake.spark.read.schema(schema).options(**read, **delimiter, header=str(named).lower())
        batches.append(Batch(_with_origin(reader.csv([literal_path(p) for p in files])), columns, tuple(files)))
    return batches


def _first_record(lake: Lake, path: str, options: Mapping[str, str]) -> tuple[str, ...]:
    """The header of a CSV file, read without a Spark job."""
    head = lake.files.head(path, HEADER_BYTES).decode(options["encoding"], errors="replace").removeprefix("\ufeff")
    separator = options.get("sep") or options.get("delimiter") or ","
    comment = options.get("comment")
    lines = (line for line in io.StringIO(head, newline="") if line.strip())
    lines = (line for line in lines if not (comment and line.startswith(comment)))
    if len(separator) > 1:
        first = next(lines, "").rstrip("\r\n").split(separator)
    else:
        first = next(csv.reader(lines, delimiter=separator, quotechar=options["quote"]), [])
    if not "".join(first).strip():
        raise InputError(f"{path}: the file is empty, without even a header")
    return tuple(first)


def _json(lake: Lake, paths: list[str], options: dict[str, str]) -> list[Batch]:
    read = {**options, "mode": "PERMISSIVE", "columnNameOfCorruptRecord": CORRUPT, "primitivesAsString": "true"}
    files = [literal_path(path) for path in paths]
    columns = T.StructType([f for f in lake.spark.read.options(**read).json(files).schema if f.name != CORRUPT])
    schema = T.StructType([*columns.fields, T.StructField(CORRUPT, T.StringType())])
    frame = lake.spark.read.schema(schema).options(**read).json(files)
    return [Batch(_with_origin(frame), columns, tuple(paths), sparse=True)]


def _parquet(lake: Lake, paths: list[str], options: dict[str, str]) -> list[Batch]:
    files = [literal_path(path) for path in paths]
    frame = lake.spark.read.options(**{"mergeSchema": "true", **options}).parquet(*files)
    return [Batch(_with_origin(frame), frame.schema, tuple(paths))]
