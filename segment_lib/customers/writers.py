"""Rows into one file of CSV, Parquet or Excel, a row or a batch at a time."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from segment_lib.errors import UsageError

Columns = Sequence[tuple[str, str]]
Rows = Iterable[tuple[Any, ...]]

#: Rows of one worksheet, its header left out, and characters of one cell.
EXCEL_ROWS = 1_048_575
EXCEL_CELL = 32_767
#: The first day that Excel counts rightly (its 1900 is a leap year), and the digits of its numbers.
_EXCEL_FIRST = date(1900, 3, 1)
_EXCEL_EXACT = 10**15
_BATCH = 10_000
#: Where a spreadsheet may find a formula in a text when it opens a CSV: where the text begins, and where it is cut by
#: one that looks for semicolons, tabs or line ends. The wide signs are those of East Asian input.
_FORMULA = re.compile(
    r"\A(?=[\t\r\n\0])|(?:\A|(?<=[;\t\r\n]))(?=[^\S\t\r\n]*[=+\-@\uff1d\uff0b\uff0d\uff20])"
)
#: A telephone number or an id that is a number begins with a sign and can run nothing.
_NUMBER = re.compile(r"[+\-][0-9 ]+")


def harmless(text: str) -> str:
    """A text that no spreadsheet runs: an apostrophe is put before what would begin a formula.

    >>> harmless("=cmd|' /C calc'!A0"), harmless("Jane;=1+1"), harmless("+49 30 1234"), harmless("Jane")
    ("'=cmd|' /C calc'!A0", "Jane;'=1+1", '+49 30 1234', 'Jane')
    """
    return text if _NUMBER.fullmatch(text) else _FORMULA.sub("'", text)


def plain(value: Any) -> str:
    """A value as text: dates and instants by ISO 8601, decimals without exponent, lists as JSON, a missing one empty.

    >>> plain(Decimal("0E-8")), plain(datetime(2026, 1, 2, 3, tzinfo=UTC)), plain(["a", "b"]), plain(True), plain(None)
    ('0.00000000', '2026-01-02T03:00:00Z', '["a", "b"]', 'true', '')
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, list | tuple):
        return json.dumps(list(value), ensure_ascii=False)
    return value.isoformat() if isinstance(value, date) else str(value)


def write_csv(target: BinaryIO, columns: Columns, rows: Rows) -> int:
    """RFC 4180 in UTF-8 without a mark at its beginning; texts are made `harmless`. Returns the number of rows."""
    text = io.TextIOWrapper(target, encoding="utf-8", newline="", write_through=False)
    try:
        writer = csv.writer(text, quoting=csv.QUOTE_MINIMAL, lineterminator="\r\n")
        writer.writerow([name for name, _ in columns])
        count = 0
        for count, row in enumerate(rows, 1):  # noqa: B007 - the last number is the count
            writer.writerow([_csv_cell(value) for value in row])
        text.flush()
        return count
    finally:
        text.detach()


def _csv_cell(value: Any) -> str:
    """Only texts, and the texts of a list, can be what a person wrote."""
    return harmless(plain(value)) if isinstance(value, str | list | tuple) else plain(value)


def write_parquet(path: Path, columns: Columns, rows: Rows) -> int:
    """One Parquet file with typed columns, a row group for each batch. Returns the number of rows."""
    import pyarrow as pa
    from pyarrow import parquet

    schema = pa.schema([(name, _arrow(kind)) for name, kind in columns])
    count = 0
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        for batch in _batches(rows):
            values = zip(*batch, strict=True)
            arrays = [pa.array(column, kind) for column, kind in zip(values, schema.types, strict=True)]
            writer.write_batch(pa.record_batch(arrays, schema=schema))
            count += len(batch)
    return count


def _arrow(kind: str) -> Any:
    import pyarrow as pa

    if match := re.fullmatch(r"decimal\((\d+),(\d+)\)", kind):
        return pa.decimal128(int(match[1]), int(match[2]))
    if match := re.fullmatch(r"array<(\w+)>", kind):
        return pa.list_(_arrow(match[1]))
    return {
        "string": pa.string(), "int": pa.int32(), "bigint": pa.int64(), "boolean": pa.bool_(), "date": pa.date32(),
        "timestamp": pa.timestamp("us", tz="UTC"), "double": pa.float64(),
    }[kind]


def _batches(rows: Rows) -> Iterator[list[tuple[Any, ...]]]:
    """The rows in lists of bounded length."""
    source = iter(rows)
    while batch := list(islice(source, _BATCH)):
        yield batch


def write_excel(path: Path, columns: Columns, rows: Rows) -> int:
    """One worksheet, written row by row; texts stay texts, whatever they look like. Returns the number of rows.

    Dates are dates; instants, lists, dates before March 1900 and numbers beyond 15 digits are text, for Excel would
    change them. UsageError for a text that is longer than a cell, OSError when the disk does not take it. What is
    written meanwhile lies beside `path`.
    """
    from xlsxwriter.exceptions import FileCreateError

    try:
        return _write_sheet(path, columns, rows)
    except FileCreateError as error:
        # It is no OSError itself, and holds the one of the disk.
        raise error.args[0] from None


def _write_sheet(path: Path, columns: Columns, rows: Rows) -> int:
    import xlsxwriter

    options = {"constant_memory": True, "tmpdir": str(path.parent), "use_zip64": True}
    with xlsxwriter.Workbook(str(path), options) as book:
        sheet = book.add_worksheet("customers")
        days = book.add_format({"num_format": "yyyy-mm-dd"})
        for place, (name, _) in enumerate(columns):
            sheet.write_string(0, place, name)
        sheet.freeze_panes(1, 0)
        count = 0
        for count, row in enumerate(rows, 1):
            for place, value in enumerate(row):
                if value is None:
                    continue
                if isinstance(value, bool):
                    sheet.write_boolean(count, place, value)
                elif isinstance(value, int | Decimal | float) and abs(value) < _EXCEL_EXACT:
                    sheet.write_number(count, place, float(value))
                elif isinstance(value, date) and not isinstance(value, datetime) and value >= _EXCEL_FIRST:
                    sheet.write_datetime(count, place, value, days)
                else:
                    sheet.write_string(count, place, _cell(plain(value), columns[place][0]))
        return count


def _cell(text: str, column: str) -> str:
    if len(text.encode("utf-16-le")) // 2 > EXCEL_CELL:
        raise UsageError(
            f"a text of column {column!r} is longer than the {EXCEL_CELL:,} characters of an Excel cell; leave the "
            "column out, or write CSV or Parquet"
        )
    return text


def check_rows(count: int) -> None:
    """Raises UsageError when there are more rows than a worksheet has."""
    if count > EXCEL_ROWS:
        raise UsageError(
            f"{count:,} customers are more than the {EXCEL_ROWS:,} rows of an Excel sheet; write CSV or Parquet "
            "(--format csv, --format parquet), or choose a smaller segment"
        )
