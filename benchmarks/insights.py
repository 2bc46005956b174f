"""What metrics, overlaps and breakdowns of many segments cost beside the evaluation of those segments.

Run as ``python -m benchmarks.insights [--definitions 200] [--events 500000] [--customers 25000]`` from the root of the
repository. Two nights are published; measured are the steps of the second, and then every segment broken down by six
charts, in one session that is warm by the first. Prints a table for a document.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from datetime import time as hour
from pathlib import Path

from benchmarks.data import SNAPSHOT_DATE, Shop
from benchmarks.definitions import definitions

ROOT = Path(__file__).parent
CHARTS = ("country", "first_channel", "category", "order_count", "store", "created_at:month")
#: Steps of a night: evaluating the definitions, and adding up metrics and overlaps.
EVALUATION, SUMS = ("scan", "decide"), ("sum",)


def measured(shop: Shop, count: int, memory: str) -> dict[str, float]:
    """Seconds by step: those of the second night, and ``breakdowns``."""
    from segment_lib import nightly
    from segment_lib.api import Tenant
    from segment_lib.definition.load import Loaded
    from segment_lib.gates import GATES
    from segment_lib.session import build_session
    from segment_lib.storage import Lake

    settings = shop.settings({"spark.master": "local[2]", "spark.driver.memory": memory})
    spark = build_session(settings, app_name="benchmarks", env={})
    if not shop.exists:
        shop.generate(spark)
    lake = Lake(spark, settings)
    loaded = Loaded(tuple(definitions(count, settings.names())))
    steps: Mapping[str, float] = {}
    for back in (1, 0):
        day = SNAPSHOT_DATE - timedelta(days=back)
        outcome = nightly.run(
            lake, settings, loaded, snapshot_date=day, accept=frozenset(GATES),
            now=datetime.combine(day + timedelta(days=1), hour(9), UTC),
        )
        steps = outcome.record.timings
    tenant, names = Tenant(spark, settings), [segment.id for segment in loaded.segments]
    tenant.breakdowns(*names[:2], by=CHARTS)
    began = time.perf_counter()
    found = tenant.breakdowns(*names, by=CHARTS)
    assert len(found) == len(names) * len(CHARTS)
    return {**steps, "breakdowns": time.perf_counter() - began}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--definitions", type=int, default=200)
    parser.add_argument("--events", type=int, default=500_000)
    parser.add_argument("--customers", type=int, default=25_000)
    parser.add_argument("--data", type=Path, default=ROOT / ".data")
    parser.add_argument("--memory", default="8g")
    asked = parser.parse_args()
    steps = measured(Shop.below(asked.data, asked.customers, asked.events), asked.definitions, asked.memory)
    evaluation = sum(steps[name] for name in EVALUATION)
    rows = {
        "evaluation (scan, decide)": evaluation, "metrics and overlaps": sum(steps[name] for name in SUMS),
        f"breakdowns by {len(CHARTS)} charts": steps["breakdowns"],
    }
    print(f"| {asked.definitions} definitions, {asked.events:,} events | s | of the evaluation |\n| --- | ---: | ---: |")
    for name, seconds in rows.items():
        print(f"| {name} | {seconds:.1f} | {seconds / evaluation:.2f} |")


if __name__ == "__main__":
    main()
