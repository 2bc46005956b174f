"""What a lake of a hundred million customers asks of one task: many partitions to sort rows into, many parcels to put together.

Run as ``python -m benchmarks.at_size [--events 20000000] [--customers 1000000] [--definitions 1000]`` from the root of the
repository. The work of a partition does not depend on how many others there are, but its rows come in as many parcels as
the lake has blocks, and a block is sorted into as many parcels as there are partitions. Both are done here as tasks do them,
with the rows of a generated shop, in as many pieces as larger lakes have. Prints processor time and bytes.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import pyarrow as pa

from benchmarks.data import Shop
from benchmarks.definitions import definitions
from segment_lib import scan
from segment_lib.customer_totals import CONTACT_FIELDS
from segment_lib.kernel import files, parcels, task
from segment_lib.kernel.columns_out import arrow_schema, columns_out
from segment_lib.kernel.files import Merged, PeopleReading, Reading
from segment_lib.kernel.partition import IDS, TIMES, Work
from segment_lib.kernel.people import PASSED
from segment_lib.kernel.spec import KernelSpec, spec_of
from segment_lib.plan import SOURCES, build_plan
from segment_lib.totals import PLACES

ROOT = Path(__file__).parent
#: Partitions of the shop itself, of which one is worked on.
PARTITIONS = 17
SORTED_INTO = (17, 170, 1_700, 6_800)
PUT_TOGETHER = (20, 200, 2_000, 10_000)
_NOBODY = Merged(*(pa.array([], pa.string()) for _ in range(3)))


def blocks(shop: Shop, spec: KernelSpec, source: str) -> list[pa.Table]:
    """The rows of a source as tasks read them, a row group at a time."""
    whole = [{"path": path, "part": 0, "parts": 1} for path in shop.files(source)]
    batch = pa.RecordBatch.from_pylist(whole)
    if source == "customers":
        fields = tuple(dict.fromkeys((*spec.staged, *spec.tested)))
        return list(files.people([batch], PeopleReading(fields, shop.clock.as_of, None, _NOBODY)))
    reading = Reading(spec.sources[source], TIMES[source], IDS[source] if spec.sources[source].ties else None, loaded=False)
    return list(files.blocks([batch], reading, _NOBODY))


def sort_into(table: pa.Table) -> None:
    """One block of events into more and more partitions."""
    print(f"\n| partitions | {table.num_rows:,} rows sorted into them: s | bytes a row |\n|---:|---:|---:|")
    for partitions in SORTED_INTO:
        began, size = time.process_time(), 0
        for batch in parcels.parcels([table], "events", partitions):
            size += batch.column("parcel").nbytes
        print(f"| {partitions:,} | {time.process_time() - began:.2f} | {size / table.num_rows:.1f} |", flush=True)


def put_together(work: Work, tables: dict[str, pa.Table]) -> None:
    """The rows of one partition, in more and more parcels."""
    rows = sum(table.num_rows for table in tables.values())
    print(f"\n| parcels | a partition of {rows:,} rows: s | customers |\n|---:|---:|---:|")
    for pieces in PUT_TOGETHER:
        batches = list(_in_pieces(tables, pieces))
        began = time.process_time()
        out = sum(batch.num_rows for batch in task.evaluated(iter(batches), work))
        print(f"| {len(batches):,} | {time.process_time() - began:.1f} | {out:,} |", flush=True)


def _in_pieces(tables: dict[str, pa.Table], pieces: int):
    """Parcels of events, `pieces` of them, and of the other sources as many as their rows are."""
    most = max(table.num_rows for table in tables.values())
    for source, table in tables.items():
        length = max(1, most // pieces)
        for first in range(0, table.num_rows, length):
            parcel = parcels._written(table.slice(first, length))
            yield pa.record_batch({
                "partition": pa.array([0], pa.int32()), "source": [source], "fresh": [True], "parcel": pa.array([parcel], pa.binary()),
            })


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--events", type=int, default=20_000_000)
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--definitions", type=int, default=1000)
    parser.add_argument("--data", type=Path, default=ROOT / ".data")
    arguments = parser.parse_args()
    from segment_lib.session import build_session

    shop = Shop.below(arguments.data.resolve(), arguments.customers, arguments.events)
    settings = shop.settings({"spark.master": "local[2]", "spark.driver.memory": "4g"})
    spark = build_session(settings, app_name="benchmarks", env={})
    if not shop.exists:
        shop.generate(spark)
    plan = build_plan(
        definitions(arguments.definitions, settings.names()), settings.names(), shop.clock, needed=CONTACT_FIELDS,
        totals=frozenset(PLACES),
    )
    spec = spec_of(plan)
    passed = PASSED | {scan.field_name(field): field.type.ddl for field in spec.staged}
    ddl = ", ".join(f"`{name}` {kind}" for name, kind in columns_out(spec, passed, {}).items())
    work = Work(spec, arrow_schema(ddl), tuple(passed), {}, None, None, settings.tenant, frozenset(), {})
    spark.stop()
    read = {source: blocks(shop, spec, source) for source in ("customers", *SOURCES)}
    sort_into(max(read["events"], key=len))
    mine = {
        source: task._joined([
            parcels.opened(batch.column("parcel")[0].as_buffer())
            for batch in parcels.parcels(found, source, PARTITIONS) if batch.column("partition")[0].as_py() == 0
        ]) for source, found in read.items()
    }
    del read
    put_together(work, mine)


if __name__ == "__main__":
    main()
