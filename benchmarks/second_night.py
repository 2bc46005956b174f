"""What a night costs when few rows are new: the whole `seglake run`, with and without what earlier nights kept.

Run as ``python -m benchmarks.second_night [--events 20000000] [--customers 1000000] [--definitions 1000]`` from the root of
the repository. The day before the snapshot date is published first, which keeps what the files hold and warms the session.
Then one event in a hundred comes once more, on the snapshot date, and that night is run by what changed and in full; both
answers are compared. Prints a row of seconds for each step.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from datetime import UTC, datetime, timedelta
from datetime import time as hour
from pathlib import Path

from benchmarks.data import SNAPSHOT_DATE, Shop
from benchmarks.definitions import definitions

ROOT = Path(__file__).parent
#: One row of so many is new.
NEW = 100


def measured(shop: Shop, count: int, memory: str, folder: Path) -> None:
    """The three nights, printed as they end."""
    from pyspark.sql import functions as F

    from segment_lib import nightly, snapshot
    from segment_lib.definition.load import Loaded
    from segment_lib.gates import GATES
    from segment_lib.session import build_session
    from segment_lib.storage import Lake

    settings = shop.settings({"spark.master": "local[2]", "spark.driver.memory": memory})
    spark = build_session(settings, app_name="benchmarks", env={})
    if not shop.exists:
        shop.generate(spark)
    source = Path(settings.root)
    settings = settings.model_copy(update={"root": str(folder / "lake")})
    # Links to the same data files: the shop that others measure stays as it is.
    subprocess.run(["cp", "-al", str(source), settings.root], check=True)
    loaded = Loaded(tuple(definitions(count, settings.names())))

    def night(label: str, back: int = 0, **options: bool) -> str:
        day = SNAPSHOT_DATE - timedelta(days=back)
        outcome = nightly.run(
            Lake(spark, settings), settings, loaded, snapshot_date=day, accept=frozenset(GATES),
            now=datetime.combine(day + timedelta(days=1), hour(9), UTC), **options,
        )
        steps = outcome.record.timings
        cells = [label, f"{sum(steps.values()):.1f}", *(f"{steps.get(name, 0):.1f}" for name in STEPS)]
        print("| " + " | ".join(cells) + " |", flush=True)
        return outcome.run_id

    print("| night | all | " + " | ".join(STEPS) + " |\n|---" + "|---:" * (1 + len(STEPS)) + "|", flush=True)
    night("the day before, in full", 1)
    lake = Lake(spark, settings)
    today = F.to_timestamp(F.lit(SNAPSHOT_DATE.isoformat()))
    drawn = F.abs(F.hash("event_id"))
    again = lake.read("events").where(drawn % NEW == 0).select(
        "*", F.concat("event_id", F.lit("-again")).alias("_id"),
        (today + F.make_dt_interval(mins=(drawn / NEW).cast("int") % 1400)).alias("_at"),
    ).drop("event_id", "occurred_at").withColumnsRenamed({"_id": "event_id", "_at": "occurred_at"})
    lake.append("events", again.coalesce(2), "again")
    changed = night("1 % of the events new, by what changed")
    whole = night("the same in full", fresh=True, full=True)
    stored = Lake(spark, settings).read("memberships")
    both = [snapshot.members(stored, SNAPSHOT_DATE, run) for run in (changed, whole)]
    print(f"\nThe two answers are {'different' if snapshot.differ(*both) else 'equal'}.")


STEPS = ("scan", "decide", "compare", "sum", "write", "rebase")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--events", type=int, default=20_000_000)
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--definitions", type=int, default=1000)
    parser.add_argument("--memory", default="8g")
    parser.add_argument("--data", type=Path, default=ROOT / ".data")
    arguments = parser.parse_args()
    shop = Shop.below(arguments.data, arguments.customers, arguments.events)
    # Beside the shop, as files are linked to within one file system alone.
    with tempfile.TemporaryDirectory(dir=arguments.data) as folder:
        measured(shop, arguments.definitions, arguments.memory, Path(folder))


if __name__ == "__main__":
    main()
