"""What scan and decide cost on a standalone cluster with 1, 2 and 4 executors of one core and 1 GB of heap each.

Run as ``python -m benchmarks.cluster [--events 20000000] [--customers 1000000] [--definitions 1000] [--heavy 30]`` from the
root of the repository. Wall time says little where there are fewer cores than executors; printed are processor seconds of
the executors with their Python workers, bytes shuffled, and by how much the greatest partition is above the median. The work
is done twice and measured the second time: starting an executor, its compiler and Python's imports cost the same whatever it
does, and are printed apart. With ``--heavy`` so many percent of all events are given to one customer first.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from benchmarks.data import Shop
from benchmarks.memory import computed
from benchmarks.standalone import Cluster

ROOT = Path(__file__).parent
EXECUTORS = (1, 2, 4)
HEAD = (
    "executors", "processor s", "MB shuffled", "bytes a row", "greatest partition : median", "wall s",
    "processor s of the first time",
)


def with_heavy(shop: Shop, percent: int, folder: Path) -> str:
    """The root of a copy of a shop in which one customer has so many percent of the events."""
    from pyspark.sql import functions as F

    from segment_lib.session import build_session
    from segment_lib.storage import Lake

    settings = shop.settings({"spark.master": "local[2]", "spark.driver.memory": "4g"})
    spark = build_session(settings, app_name="benchmarks", env={})
    root = folder / "heavy"
    subprocess.run(["cp", "-al", settings.root, str(root)], check=True)
    lake = Lake(spark, settings.model_copy(update={"root": str(root)}))
    events = Lake(spark, settings).read("events")
    one = events.where(F.col("customer_id").isNotNull()).agg(F.min("customer_id")).collect()[0][0]
    taken = F.abs(F.hash("event_id")) % 100 < percent
    heavy = events.withColumn("customer_id", F.when(taken, F.lit(one)).otherwise(F.col("customer_id")))
    heavy.write.format("delta").mode("overwrite").save(lake.path("events"))
    spark.stop()
    return str(root)


def work(url: str, root: str, shop: Shop, count: int, log: str) -> None:
    """Scan and decide, in this process as the driver; leaves an event log. Each time it waits to be told to go on."""
    from benchmarks.definitions import definitions
    from segment_lib.evaluate import scan, stage_decided
    from segment_lib.plan import build_plan
    from segment_lib.session import build_session
    from segment_lib.storage import Lake

    spark_conf = {
        "spark.master": url, "spark.driver.memory": "2g", "spark.executor.memory": "1g", "spark.executor.cores": "1",
        "spark.driver.host": "127.0.0.1", "spark.eventLog.enabled": "true", "spark.eventLog.dir": Path(log).as_uri(),
        "spark.eventLog.rolling.enabled": "false", "spark.eventLog.compress": "false",
        "spark.executorEnv.PYTHONPATH": str(ROOT.parent),
    }
    settings = shop.settings(spark_conf).model_copy(update={"root": root})
    spark = build_session(settings, app_name="benchmarks", env={})
    lake, names = Lake(spark, settings), settings.names()
    plan = build_plan(definitions(count, names), names, shop.clock)
    for _ in range(2):
        began = time.time()
        found = scan(plan, lake, lake.pin(), "cluster", engine="auto")
        stage_decided(lake, "cluster", plan, found, None)
        print(json.dumps({"rows": sum(found.rows.values()), "began": began}), flush=True)
        # The one who measures looks at the executors before they go on, or go.
        sys.stdin.readline()
    lake.drop_staging("cluster")
    spark.stop()


def measured(executors: int, root: str, shop: Shop, count: int, folder: Path) -> list[str]:
    """The cells of one row of the table."""
    log = folder / f"log-{executors}"
    log.mkdir()
    with Cluster(folder, executors) as cluster:
        seconds = [sum(map(computed, cluster.workers))]
        driver = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.cluster", "--work", cluster.url, root, str(log), "--events", str(shop.events),
             "--customers", str(shop.customers), "--definitions", str(count), "--data", str(shop.folder.parent)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT.parent,
            env={**os.environ, "PYSPARK_PYTHON": sys.executable},
        )
        assert driver.stdin is not None and driver.stdout is not None
        for _ in range(2):
            line = next((line for line in driver.stdout if line.startswith("{")), None)
            if line is None:
                raise SystemExit(f"{executors} executors: the work failed; its log lies in {folder}")
            said = json.loads(line)
            seconds.append(sum(map(computed, cluster.workers)))
            driver.stdin.write("on\n")
            driver.stdin.flush()
        driver.communicate()
    shuffled, spread, wall = _of_log(next(log.iterdir()), said["began"])
    before, first, second = seconds
    return [
        f"{executors}", f"{second - first:.0f}", f"{shuffled / 1e6:,.0f}", f"{shuffled / said['rows']:.1f}", f"{spread:.2f}",
        f"{wall:.0f}", f"{first - before:.0f}",
    ]


def _of_log(file: Path, began: float) -> tuple[int, float, float]:
    """Bytes shuffled; the greatest over the median task's bytes in the stage that reads most; seconds of all stages.

    Of tasks that were started since an instant.
    """
    written, read, times = 0, defaultdict(list), []
    for line in file.open():
        event = json.loads(line)
        ended = event["Event"] == "SparkListenerTaskEnd" and event.get("Task Metrics")
        if ended and event["Task Info"]["Launch Time"] >= began * 1000:
            metrics = event["Task Metrics"]
            written += metrics["Shuffle Write Metrics"]["Shuffle Bytes Written"]
            got = metrics["Shuffle Read Metrics"]
            read[event["Stage ID"]].append(got["Local Bytes Read"] + got["Remote Bytes Read"])
            times += [event["Task Info"]["Launch Time"], event["Task Info"]["Finish Time"]]
    most = max(read.values(), key=sum)
    return written, max(most) / statistics.median(most), (max(times) - min(times)) / 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--events", type=int, default=20_000_000)
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--definitions", type=int, default=1000)
    parser.add_argument("--heavy", type=int, default=0, help="percent of all events that one customer has")
    parser.add_argument("--data", type=Path, default=ROOT / ".data")
    parser.add_argument("--work", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    shop = Shop.below(arguments.data, arguments.customers, arguments.events)
    if arguments.work:
        url, root, log = arguments.work
        return work(url, root, shop, arguments.definitions, log)
    if not shop.exists:
        parser.error("there is no such shop yet: `python -m benchmarks` with the same sizes makes it")
    with tempfile.TemporaryDirectory(dir=arguments.data) as scratch:
        folder = Path(scratch)
        root = with_heavy(shop, arguments.heavy, folder) if arguments.heavy else shop.settings().root
        print("| " + " | ".join(HEAD) + " |\n|" + "---:|" * len(HEAD), flush=True)
        for executors in EXECUTORS:
            print("| " + " | ".join(measured(executors, root, shop, arguments.definitions, folder)) + " |", flush=True)


if __name__ == "__main__":
    main()
