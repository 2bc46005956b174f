"""The last step of every generated table: the columns that the catalogue declares, in order, with their types."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from segment_lib.clock import Clock
from segment_lib.generate.randomness import Dice
from segment_lib.settings import Settings
from segment_lib.tables import INPUTS, LOAD_COLUMNS

#: One row in this many arrives late, up to LATE_HOURS after it happened; the others arrive within an hour.
LATE_ONE_IN = 80
LATE_HOURS = 72


def columns(settings: Settings, table: str) -> dict[str, str]:
    """Names and types of a generated table: standard columns, declared custom fields, bookkeeping of the load."""
    custom = {name: kind.ddl for name, kind in settings.names().custom(table).items()}
    return INPUTS[table].columns | custom | LOAD_COLUMNS


def finish(frame: DataFrame, settings: Settings, table: str) -> DataFrame:
    """`frame` with exactly the columns of the table; a declared field that the shop does not know is null."""
    known = set(frame.columns)
    return frame.select(
        *(
            (F.col(name) if name in known else F.lit(None)).cast(kind).alias(name)
            for name, kind in columns(settings, table).items()
        )
    )


def money(cents: Column) -> Column:
    """Whole cents as decimal(18,4)."""
    return (cents / F.lit(100)).cast("decimal(18,4)")


def seconds(frame_time: Column) -> Column:
    """A timestamp as whole seconds since 1970."""
    return F.unix_seconds(frame_time)


def epoch(moment: datetime) -> int:
    """An aware instant as whole seconds since 1970."""
    return int(moment.timestamp())


def span(settings: Settings, until: date, days: int) -> tuple[int, int]:
    """The seconds ``[first, last)`` of the `days` local days that end with `until`."""
    clock = Clock(until, settings.zone)
    return epoch(clock.start_of(until - timedelta(days=days - 1))), epoch(clock.as_of)


def arrival(dice: Dice, happened: Column, key: Column) -> dict[str, Column]:
    """LOAD_COLUMNS of a row that happened at `happened`: mostly soon after, seldom days later."""
    late = dice.below(LATE_HOURS * 3600, "late by", key) + 3600
    soon = dice.below(3600, "soon by", key)
    delay = F.when(dice.chance(1 / LATE_ONE_IN, "late", key), late).otherwise(soon)
    return {
        "_load_id": F.lit(f"generated-{dice.seed}"),
        "_loaded_at": F.timestamp_seconds(seconds(happened) + delay),
    }
