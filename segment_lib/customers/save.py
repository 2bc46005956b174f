"""A segment's members as a file, or as CSV to an open stream."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, BinaryIO

from segment_lib.customers import columns as choices
from segment_lib.customers import place, writers
from segment_lib.customers.stream import Stream, streamed
from segment_lib.errors import UsageError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from segment_lib.runs import RunRecord
    from segment_lib.storage import Lake

_ORDER = "_order"


@dataclass(frozen=True)
class Saved:
    """What was written: where (None for a stream), how many customers, and which columns of them are masked."""

    path: str | None
    format: str
    segment: str
    date: date
    rows: int
    columns: tuple[str, ...]
    masked: tuple[str, ...]


def save(
    lake: Lake, run: RunRecord, segment: str, members: DataFrame, names: Sequence[str], output: str | BinaryIO | None,
    *, format: str | None = None, mask: bool = False,
) -> Saved:
    """Writes `members` of a segment with the columns `names` (checked here), by customer id.

    Personal data is masked unless conf allows it and `mask` is false; then the file must lie below the personal path.
    An `output` that is an open binary file takes CSV, with personal data masked always.
    """
    settings = lake.settings
    names = choices.chosen(settings, names)
    secret = choices.personal(settings, names)
    open_file = output if output is not None and not isinstance(output, str) else None
    path = output if isinstance(output, str) else None
    kind = place.format_of(format, path)
    clear = bool(secret) and settings.customers.personal_data == "allowed" and not mask and open_file is None
    if open_file is not None and kind != "csv":
        raise UsageError(f"an open file takes CSV; {kind} needs a path")
    root = place.personal_root(lake.home, lake.tenant, settings.customers.personal_path) if clear else None
    name = f"{segment}-{run.snapshot_date}"
    target = None if open_file is not None else place.target(path, kind, name, root)
    rows = choices.frame(lake, run, members, names, mask=not clear, order=_ORDER)
    with streamed(rows, _ORDER) as stream:
        if kind == "xlsx":
            writers.check_rows(stream.count)
        if open_file is not None:
            count = writers.write_csv(open_file, stream.columns, stream.rows)
        elif target is not None:
            count = _write(target, stream)
    hidden = () if clear else secret
    return Saved(target.path if target else None, kind, segment, run.snapshot_date, count, names, hidden)


def _write(target: place.Target, stream: Stream) -> int:
    with place.written(target) as file:
        if target.format == "parquet":
            return writers.write_parquet(file, stream.columns, stream.rows)
        if target.format == "xlsx":
            return writers.write_excel(file, stream.columns, stream.rows)
        with file.open("wb") as handle:
            return writers.write_csv(handle, stream.columns, stream.rows)
