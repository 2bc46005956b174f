"""How long a definition that is not saved takes to be tried on a large lake, as a notebook does it.

Run as ``python -m benchmarks.previews [--events 20000000] [--customers 1000000] [--definitions 100]`` from the root of the
repository. A night of the benchmark's definitions is published; then a new session looks at ten others one after the
other, and at one of them exactly. Prints seconds: the session, the first look, those after it.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from datetime import time as hour
from pathlib import Path

from benchmarks.data import SNAPSHOT_DATE, Shop
from benchmarks.definitions import definitions

ROOT = Path(__file__).parent
#: So many definitions that no night has seen are tried.
TRIED = 10


def publish(shop: Shop, count: int, memory: str, folder: Path) -> None:
    """A lake of links to the shop's files, with a published night."""
    from segment_lib import nightly
    from segment_lib.definition.load import Loaded
    from segment_lib.gates import GATES
    from segment_lib.session import build_session
    from segment_lib.storage import Lake

    settings = shop.settings({"spark.master": "local[2]", "spark.driver.memory": memory})
    spark = build_session(settings, app_name="benchmarks", env={})
    if not shop.exists:
        shop.generate(spark)
    lake = str(folder / "lake")
    subprocess.run(["cp", "-al", settings.root, lake], check=True)
    settings = settings.model_copy(update={"root": lake})
    nightly.run(
        Lake(spark, settings), settings, Loaded(tuple(definitions(count, settings.names()))), snapshot_date=SNAPSHOT_DATE,
        accept=frozenset(GATES), now=datetime.combine(SNAPSHOT_DATE + timedelta(days=1), hour(9), UTC),
    )


def look(shop: Shop, count: int, memory: str, folder: Path) -> None:
    """The looks of a new session, printed."""
    began = time.perf_counter()

    def passed() -> float:
        nonlocal began
        before, began = began, time.perf_counter()
        return began - before

    from segment_lib.preview import preview
    from segment_lib.session import build_session
    from segment_lib.storage import Lake

    settings = shop.settings({"spark.master": "local[2]", "spark.driver.memory": memory})
    settings = settings.model_copy(update={"root": str(folder / "lake")})
    spark = build_session(settings, app_name="benchmarks", env={})
    print(f"session: {passed():.1f} s", flush=True)
    drawn = definitions(2 * count + TRIED, settings.names())
    published = {one.id for one in drawn[:count]}
    new = [one for one in drawn[count:] if one.references() <= published][:TRIED]
    first, *others = [one.model_copy(update={"id": f"tried-{number}"}) for number, one in enumerate(new)]
    found = preview(Lake(spark, settings), first, remember=True)
    print(f"first look, {found.sample.seen:,} customers: {passed():.1f} s", flush=True)
    seconds = []
    for one in others:
        preview(Lake(spark, settings), one, remember=True)
        seconds.append(passed())
        print(f"another: {seconds[-1]:.1f} s", flush=True)
    print(f"median of those after the first: {statistics.median(seconds):.1f} s", flush=True)
    preview(Lake(spark, settings), first, full=True)
    print(f"one of them exactly: {passed():.1f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--events", type=int, default=20_000_000)
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--definitions", type=int, default=100)
    parser.add_argument("--memory", default="8g")
    parser.add_argument("--data", type=Path, default=ROOT / ".data")
    parser.add_argument("--lake", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    shop = Shop.below(arguments.data, arguments.customers, arguments.events)
    if arguments.lake:
        look(shop, arguments.definitions, arguments.memory, arguments.lake)
        return
    # Beside the shop, as files are linked to within one file system alone.
    with tempfile.TemporaryDirectory(dir=arguments.data) as folder:
        publish(shop, arguments.definitions, arguments.memory, Path(folder))
        # A process of its own: the session of a notebook has run no night.
        subprocess.run([sys.executable, "-m", "benchmarks.previews", *sys.argv[1:], "--lake", folder], check=True)


if __name__ == "__main__":
    main()
