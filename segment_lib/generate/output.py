"""Where generated tables go: straight into a tenant's input tables, or into files that `ingest` loads."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from segment_lib.clock import Clock
from segment_lib.generate.customers import CONSENTS
from segment_lib.settings import Settings
from segment_lib.tables import INPUTS, LOAD_COLUMNS

if TYPE_CHECKING:
    from segment_lib.storage import Lake

#: The format of each table's files: all that `ingest` reads, each where it is at home.
FORMATS = {
    "customers": "json", "events": "parquet", "orders": "json", "lists": "csv", "aliases": "csv", "erasures": "csv",
}
#: The nightly load of a day takes what arrived until this long after the day's end.
LOAD_AFTER = timedelta(hours=2)


def arrived(
    frames: Mapping[str, DataFrame], settings: Settings, *, after: date | None = None, until: date | None = None
) -> dict[str, DataFrame]:
    """The rows that the nightly loads of the local days after `after` and until `until` bring; an open end takes all.

    A late row comes with the load of the day it arrived, not of the day it happened. A customer who changed since comes
    first as before the change, then again.
    """
    chosen = {}
    for table, frame in frames.items():
        if after is not None:
            frame = frame.where(F.col("_loaded_at") >= _cut(settings, after))
        if until is not None and table == "customers":
            frame = _as_known(frame, _cut(settings, until))
        elif until is not None:
            frame = frame.where(F.col("_loaded_at") < _cut(settings, until))
        chosen[table] = frame
    return chosen


def _cut(settings: Settings, day: date) -> Column:
    return F.lit(Clock(day, settings.zone).as_of + LOAD_AFTER)


def _as_known(customers: DataFrame, cut: Column) -> DataFrame:
    """Customers created before `cut`, without the consents given or refused since."""
    frame = customers.where(F.col("created_at") < cut)
    dates = [f"{channel}_consent_at" for channel in CONSENTS]
    since = {name: F.coalesce(F.col(name) >= cut, F.lit(False)) for name in dates}
    earlier = {
        name: F.when(~since[dated], F.col(name)) for dated in dates for name in (dated.removesuffix("_at"), dated)
    }
    frame = frame.withColumns(earlier)
    known = F.greatest("created_at", *dates)
    return frame.withColumn("updated_at", F.when(F.col("updated_at") < cut, F.col("updated_at")).otherwise(known))


def export_files(frames: Mapping[str, DataFrame], folder: str) -> dict[str, str]:
    """Write each table to `folder`/TABLE without the bookkeeping of loads; returns the folder of each table.

    Files are few: they are what a shop's systems would hand over. Timestamps bear their offset.
    """
    places = {}
    for table, frame in frames.items():
        places[table] = str(Path(folder, table)) if "://" not in folder else f"{folder.rstrip('/')}/{table}"
        writer = frame.drop(*LOAD_COLUMNS).coalesce(2).write.mode("overwrite")
        options = {"header": "true"} if FORMATS[table] == "csv" else {}
        writer.format(FORMATS[table]).options(**options).save(places[table])
    return places


def write_shop(lake: Lake, frames: Mapping[str, DataFrame], run_id: str) -> None:
    """Append each frame to the tenant's input table of that name, in bulk.

    A frame's partitions lie one after the other in time; with the rows of each sorted too, every file covers a short
    time, and reading a window skips the others. Nothing is shuffled for it.
    """
    for table, frame in frames.items():
        time = INPUTS[table].time
        lake.append(table, frame.sortWithinPartitions(time) if time else frame, run_id)
