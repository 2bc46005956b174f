"""What sixty nights leave of a tenant's tables, and what `seglake maintain` makes of it.

Run as ``python -m benchmarks.sixty_nights [--nights 60] [--customers 20000] [--events 200000]`` from the root of the
repository. Each night the rows of its day are added to events and orders in commits of their own, then the night runs with
the demo's definitions. Prints tables for a document, and the seconds of the first nights, the last, and one after it.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from datetime import time as hour
from pathlib import Path

from benchmarks.data import CONF, SEED, SNAPSHOT_DATE


def run(nights: int, customers: int, events: int, folder: Path) -> None:
    """The nights, then the upkeep, printed as they come."""
    from pyspark.sql import functions as F

    from segment_lib import nightly, table_health
    from segment_lib.conf import load_settings, read_conf
    from segment_lib.definition.load import load_texts
    from segment_lib.gates import GATES
    from segment_lib.generate import generate_shop, write_shop
    from segment_lib.session import build_session
    from segment_lib.storage import Lake
    from segment_lib.tables import INPUTS

    conf = str(CONF)
    spark_settings = {"spark.master": "local[2]", "spark.driver.memory": "4g", "spark.sql.shuffle.partitions": "4"}
    settings = load_settings(conf, overrides={"root": str(folder / "lake"), "spark": spark_settings})
    spark = build_session(settings, app_name="benchmarks", env={})
    lake = Lake(spark, settings)
    loaded = load_texts(read_conf(conf).definitions(settings.tenant), settings.names())
    first = SNAPSHOT_DATE - timedelta(days=nights - 1)
    frames = generate_shop(spark, settings, customers=customers, events=events, seed=SEED, until=SNAPSHOT_DATE)
    for table, frame in frames.items():
        frame.write.parquet(str(folder / table))
    whole = {table: spark.read.parquet(str(folder / table)) for table in frames}
    timed = {table: INPUTS[table].time for table in whole}

    def of_days(since: date | None, until: date) -> dict:
        found = {}
        for table, column in timed.items():
            if column is not None:
                day = F.to_date(column)
                found[table] = whole[table].where((day < until) & (day >= (since or date(1990, 1, 1))))
        return found

    write_shop(lake, {table: frame for table, frame in whole.items() if timed[table] is None} | of_days(None, first), "load")

    def night(day: date) -> float:
        lake = Lake(spark, settings)
        added = of_days(day, day + timedelta(days=1))
        write_shop(lake, {table: frame.coalesce(1) for table, frame in added.items()}, f"load-{day}")
        began = time.perf_counter()
        nightly.run(
            lake, settings, loaded, snapshot_date=day, accept=frozenset(GATES),
            now=datetime.combine(day + timedelta(days=1), hour(3), UTC),
        )
        return time.perf_counter() - began

    seconds = [night(first + timedelta(days=number)) for number in range(nights)]
    began = time.perf_counter()
    done = tuple(table_health.maintain(lake, "upkeep"))
    upkeep = time.perf_counter() - began
    after = night(SNAPSHOT_DATE + timedelta(days=1))
    print(f"{nights} nights, {len(loaded.segments)} definitions, {customers:,} customers, {events:,} events\n")
    print(_table(
        ("table", "files", "after", "KB", "in its folder", "commits since the checkpoint", "after"),
        ((one.table, one.before.files, one.after.files, round(one.before.bytes / 1024), one.before.stored_files,
          one.before.commits, one.after.commits) for one in done),
    ))
    print(f"\nnight, median of nights 2 to 6: {statistics.median(seconds[1:6]):.1f} s; of the last five: "
          f"{statistics.median(seconds[-5:]):.1f} s; maintain: {upkeep:.0f} s; the night after it: {after:.1f} s")


def _table(heads: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    lines = [list(heads), *([f"{value:,}" if isinstance(value, int) else str(value) for value in row] for row in rows)]
    return "\n".join(
        "| " + " | ".join(line) + " |" + ("\n" + "|---" * len(line) + "|" if number == 0 else "")
        for number, line in enumerate(lines)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--nights", type=int, default=60)
    parser.add_argument("--customers", type=int, default=20_000)
    parser.add_argument("--events", type=int, default=200_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run(arguments.nights, arguments.customers, arguments.events, Path(folder))


if __name__ == "__main__":
    main()
