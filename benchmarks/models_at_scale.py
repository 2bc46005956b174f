"""Trains on simulated customers and scores them in a night, by the commands a tenant uses: seconds and peak memory.

    python -m benchmarks.models_at_scale 1000000 10000000

Each size is a lake of its own with three years of orders, written once. `seglake train --promote` and `seglake run` are
processes of their own with the driver memory that conf gives by default; seconds of a step are those they log, the
peak is that of the process with its JVM. The last column is seconds at this size over seconds at the one before.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np

from benchmarks.memory import resident
from models.days import number_of
from models.purchase_process import MBG_NBD, PurchaseParameters
from models.simulate import simulate_orders

ROOT = Path(__file__).parent.parent
DAY = date(2026, 6, 30)
#: Rate and dropout of CDNOW's customers, in days.
TRUTH = PurchaseParameters(MBG_NBD, 0.53, 43.0, 0.89, 1.61)
YEARS = 3
#: Customers that are simulated at once; memory does not grow with the size.
CHUNK = 50_000
CONF = """tenant: scale
root: lake
catalogue: {order_statuses: [paid], purchase_statuses: [paid]}
"""
SEGMENTS = {
    "lost": "where: {score: churn.status, is: lost}\n",
    "champions": "where: {score: rfm.group, is: champions}\n",
    "likely_back": "where: {score: next_order.probability_90, at_least: 0.5}\n",
}
ORDERS = "order_id string, customer_id string, ordered_at timestamp, status string, revenue double"


@dataclass(frozen=True)
class Watched:
    """One command: seconds from start to end, the peak of memory in bytes, and what it logged."""

    seconds: float
    peak_bytes: int
    log: str


def main() -> None:
    """Prints a row for each size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sizes", type=int, nargs="+", help="numbers of customers")
    parser.add_argument("--at", default="build/models-at-scale", help="folder of the lakes")
    parser.add_argument("--generate", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.generate:
        generate(Path(options.at), *options.sizes)
        return
    print("| customers | orders | command | seconds | of them | peak GB | x size before |\n|---|---|---|---|---|---|---|")
    before: dict[str, float] = {}
    for size in options.sizes:
        folder = Path(options.at, str(size)).resolve()
        for command, done in _measured(folder, size):
            slope = f"{done.seconds / before[command]:.1f}" if command in before else ""
            before[command] = done.seconds
            orders = f"{json.loads((folder / 'orders.json').read_text()):,}"
            _row(f"{size:,}", orders, command, f"{done.seconds:.0f}", _steps(done.log), f"{done.peak_bytes / 1e9:.1f}", slope)


def _measured(folder: Path, size: int) -> Iterator[tuple[str, Watched]]:
    if not (folder / "orders.json").exists():
        _watched(["-m", "benchmarks.models_at_scale", "--generate", "--at", str(folder), str(size)], Path.cwd())
    for command in (["train", "--promote"], ["run"]):
        name, *options = command
        yield f"seglake {' '.join(command)}", _watched(["-m", "jobs.cli", name, "--as-of", str(DAY), *options, "--json"], folder)


def _watched(arguments: list[str], folder: Path) -> Watched:
    """Runs Python with these arguments in a folder; what it logs is kept beside the lake."""
    log, began, peak = folder / "log.jsonl", time.perf_counter(), 0
    folder.mkdir(parents=True, exist_ok=True)
    with log.open("w") as said:
        process = subprocess.Popen(
            [sys.executable, *arguments], cwd=folder, stdout=subprocess.DEVNULL, stderr=said,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        while process.poll() is None:
            peak = max(peak, resident(process.pid))
            time.sleep(0.2)
    if process.returncode:
        raise SystemExit(f"exit code {process.returncode}; see {log}")
    return Watched(time.perf_counter() - began, peak, log.read_text())


def _steps(log: str) -> str:
    """The steps that took a second or more, as the command logged them."""
    told = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    return ", ".join(line["msg"] for line in told if line["msg"].endswith(" s") and ": 0." not in line["msg"])


def generate(folder: Path, size: int) -> None:
    """Writes the project and its orders; every run writes the same."""
    from pyspark.sql import functions as F

    from segment_lib.conf import load_settings
    from segment_lib.session import build_session
    from segment_lib.storage import Lake

    segments = folder / "conf/segments"
    segments.mkdir(parents=True, exist_ok=True)
    (folder / "conf/base.yaml").write_text(CONF)
    for name, text in SEGMENTS.items():
        (segments / f"{name}.yaml").write_text(text)
    settings = load_settings(str(folder / "conf"), overrides={"root": str(folder / "lake")})
    spark = build_session(settings, app_name="generate")
    chunks = -(-size // CHUNK)
    orders = spark.range(0, chunks, 1, chunks).mapInPandas(lambda frames: _orders(frames, size), ORDERS)
    orders = orders.withColumn("revenue", F.col("revenue").cast("decimal(18,4)"))
    lake = Lake(spark, settings)
    lake.append("orders", orders, "generated")
    people = spark.range(size).select(
        F.format_string("c%d", "id").alias("customer_id"),
        F.lit(datetime(2023, 1, 1, tzinfo=UTC)).alias("created_at"),
    )
    lake.append("customers", people, "generated")
    (folder / "orders.json").write_text(json.dumps(lake.read("orders").count()))
    spark.stop()


def _orders(frames, size: int):
    """The orders of the chunks whose numbers come in; seeded by the chunk."""
    import pandas as pd

    last = number_of(DAY)
    for chunk in (number for frame in frames for number in frame["id"].tolist()):
        many, dice = min(CHUNK, size - chunk * CHUNK), np.random.default_rng([5, chunk])
        first = dice.integers(last - YEARS * 365, last, many)
        customer, day = simulate_orders(TRUTH, first, last, seed=chunk)
        names = np.char.add("c", (chunk * CHUNK + customer).astype(str))
        own = dice.gamma(3.0, 12.0, many)[customer]  # what a customer spends on average
        yield pd.DataFrame({
            "order_id": np.char.add(np.char.add(names, "-"), day.astype(str)), "customer_id": names,
            "ordered_at": pd.to_datetime(day * 86_400 + 43_200, unit="s"), "status": "paid",
            "revenue": np.round(dice.gamma(6.0, own / 6.0), 2),
        })


def _row(*values: str) -> None:
    print("| " + " | ".join(values) + " |", flush=True)


if __name__ == "__main__":
    main()
