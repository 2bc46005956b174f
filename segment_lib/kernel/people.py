"""One row per id by the kernel: the same as the columns' joined aggregates, in two steps of Python around one shuffle.

Every source is read once. Its rows are put into parcels, one for each partition that a block of rows has customers of;
one shuffle brings the parcels of all sources to their partitions, where everything about a customer is at hand.

Cost: rows x the columns that definitions read are moved to Python once; shuffled are the bytes of those columns, texts of
few values as one byte. A task holds the rows of one partition, which are as many as the parcels' bytes say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial, reduce

import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from segment_lib import core, scan
from segment_lib.columns import Names, test_column
from segment_lib.data_files import DataFiles, data_files, tasks, whole
from segment_lib.kernel import files
from segment_lib.kernel.answers import PEOPLE, STANDS, Answered, answered
from segment_lib.kernel.base import COLUMNS as base_columns
from segment_lib.kernel.base import BaseFiles
from segment_lib.kernel.base import rows as base_rows
from segment_lib.kernel.columns_out import arrow_schema, columns_out
from segment_lib.kernel.files import Merged, PeopleReading, Reading
from segment_lib.kernel.kept import Keeping, columns_of, kept
from segment_lib.kernel.parcels import PARCELS, blocks_of, parcels, steady_memory
from segment_lib.kernel.partition import IDS, TIMES, Work
from segment_lib.kernel.rows import line_column
from segment_lib.kernel.spec import KernelSpec, SourceSpec
from segment_lib.kernel.task import evaluated
from segment_lib.plan import SOURCES
from segment_lib.storage import Lake

#: Bytes of input, as they are stored, for one partition; from so many partitions on they grow to the second size, because
#: every block of rows is a parcel of its own for each of them.
PARTITION_BYTES = (64 << 20, 128 << 20)
MANY_PARTITIONS = 1_000
#: Columns of customers that go through beside their fields.
PASSED = {
    "_reject_customers": "string", "_rows_customers": "bigint", "_known": "boolean", "_created_later": "boolean",
    "_new_customers": "boolean",
}


@dataclass(frozen=True)
class Arrived:
    """The parcels of all sources in their partitions, and what comes out of them: one row for everyone, and ``_decided``."""

    parcels: DataFrame
    work: Work
    schema: StructType
    #: Tonight's answers, where they are kept; to be finished when they are complete and found good.
    answered: Answered | None = None

    @property
    def base(self) -> tuple[str, ...] | None:
        """The segments that have numbers in ``_packed``, when the base's memberships come with the rows (`base.COLUMNS`)."""
        return self.work.base

    @property
    def evaluated(self) -> DataFrame:
        """What `scan._finished` takes, as a frame that nothing has run."""
        return self.parcels.mapInArrow(self._evaluated, self.schema)

    def staged(self, lake: Lake, run_id: str) -> DataFrame:
        """The same, written once and read back."""
        return lake.stage_batches("customers", run_id, self.parcels, self._evaluated, self.schema)

    @property
    def _evaluated(self) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
        return partial(evaluated, work=self.work)


def arrived(
    spec: KernelSpec,
    lake: Lake,
    pins: Mapping[str, int],
    base_as_of: datetime | None,
    base_at: datetime | None,
    who: Callable[[Column], Column] | None,
    keeping: Keeping | None = None,
    base: BaseFiles | None = None,
) -> Arrived:
    """The rows of all sources, brought together. With `keeping`, parcels stay for later nights.

    The memberships of `base` come with them where the sources are read from files, which tell whose rows are whose.
    """
    sources = [_source(spec.sources[source], spec, lake, pins, base_at, who) for source in SOURCES]
    customers = _customers(spec, lake, pins, base_as_of, who)
    partitions = partitions_for(sum(source.size for source in (*sources, customers)))
    of_files = [source for source in sources if isinstance(source, _Files)]
    worth = keeping is not None and sum(source.size for source in of_files) >= max(1, keeping.least)
    shelf = kept(lake, keeping, partitions) if worth else None
    tonight = None
    from_files = len(of_files) == len(SOURCES)
    if not from_files:
        base = None
    if shelf is not None and shelf.keeping.answers and from_files:
        tonight = answered(lake, shelf.keeping, spec, shelf.partitions, {source.name: source.listed for source in of_files})
    faults = {source.name: source.faults for source in sources if isinstance(source, _Frame)}
    passed = {
        **PASSED, **{f"_fault_customers_{name}": "bigint" for name in customers.faults},
        **{scan.field_name(field): field.type.ddl for field in spec.staged},
    }
    columns = columns_out(spec, passed, faults) | ({PEOPLE: "bigint", STANDS: "boolean"} if tonight else {})
    columns |= base_columns if base else {}
    ddl = ", ".join(f"`{name}` {kind}" for name, kind in columns.items())
    work = Work(
        spec, arrow_schema(ddl), tuple(passed), faults, base_as_of, base_at, lake.tenant,
        erased=frozenset().union(*(source.erased for source in (*sources, customers))),
        columns={source.name: columns_of(source.reading) for source in of_files} if shelf else {},
        answers=tonight.answers if tonight else None, base=base.names if base else None,
    )
    seen = tonight.seen if tonight else {}
    partitions = shelf.partitions if shelf else partitions
    packed = [
        shelf.parcels(source.listed, source.reading, source.merged, seen.get(source.name, frozenset()))
        if shelf and isinstance(source, _Files)
        else source.packed(partitions)
        for source in (*sources, customers)
    ]
    if base is not None:
        packed.append(_of_base(base, lake, of_files[0].merged).packed(partitions))
    brought = reduce(DataFrame.unionAll, packed).repartitionById(partitions, "partition")
    return Arrived(brought, work, StructType.fromDDL(ddl), tonight)


def partitions_for(size: int) -> int:
    """How many partitions rows of `size` bytes are brought to.

    >>> partitions_for(0), partitions_for(640 << 20), partitions_for(100 << 30), partitions_for(1 << 40)
    (1, 10, 1001, 8192)
    """
    usual, largest = PARTITION_BYTES
    return max(1, -(-size // min(max(usual, size // MANY_PARTITIONS), largest)))


@dataclass(frozen=True)
class _Frame:
    """A source that is read: `frame` has its rows, or the parts of files that `blocks` reads them from."""

    name: str
    frame: DataFrame
    blocks: Callable[[Iterator[pa.RecordBatch]], Iterator[pa.Table]]
    size: int
    #: Columns of which some values may not be readable.
    faults: tuple[str, ...] = ()
    #: Hashes of customers whose rows are still there, to be left out.
    erased: frozenset[str] = frozenset()

    def packed(self, partitions: int) -> DataFrame:
        return self.frame.mapInArrow(
            partial(_packed, blocks=self.blocks, source=self.name, partitions=partitions), PARCELS
        )


@dataclass(frozen=True)
class _Files:
    """A source of rows that is read from its files."""

    lake: Lake
    listed: DataFiles
    reading: Reading

    @property
    def name(self) -> str:
        return self.reading.source.source

    @property
    def size(self) -> int:
        return self.listed.size

    @property
    def erased(self) -> frozenset[str]:
        return self.listed.erased

    @property
    def merged(self) -> Merged:
        return _merged(self.listed)

    def packed(self, partitions: int) -> DataFrame:
        return _of_files(
            self.name, self.listed, self.lake, partial(files.blocks, reading=self.reading, merged=self.merged)
        ).packed(partitions)


def _packed(
    batches: Iterator[pa.RecordBatch], blocks: Callable[[Iterator[pa.RecordBatch]], Iterator[pa.Table]], source: str,
    partitions: int,
) -> Iterator[pa.RecordBatch]:
    steady_memory()
    return parcels(blocks(batches), source, partitions)


def _source(
    source: SourceSpec, spec: KernelSpec, lake: Lake, pins: Mapping[str, int], base_at: datetime | None,
    who: Callable[[Column], Column] | None,
) -> _Frame | _Files:
    """A source of rows, from its files where that is possible."""
    plain = who is None and not source.made
    listed = data_files(lake, source.source, pins) if plain else None
    if listed is None:
        frame = _rows(source, spec, lake, pins, base_at, who)
        faults = tuple(name[5:] for name in frame.columns if name.startswith("_bad_"))
        return _Frame(source.source, frame, blocks_of, lake.size_of(frame), faults)
    key = IDS[source.source] if source.ties else None
    return _Files(lake, listed, Reading(source, TIMES[source.source], key, loaded=base_at is not None))


def _of_files(
    name: str, listed: DataFiles, lake: Lake, blocks: Callable[[Iterator[pa.RecordBatch]], Iterator[pa.Table]]
) -> _Frame:
    """A source that is read from files: a task for each part of one."""
    return _Frame(name, tasks(lake, whole(listed.files)), blocks, listed.size, erased=listed.erased)


def _of_base(base: BaseFiles, lake: Lake, merged: Merged) -> _Frame:
    """The memberships of the base, under the ids of tonight: those of an erased alias are its customer's too."""
    merged = replace(merged, erased=pa.array([], pa.string()))

    def blocks(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
        return map(merged.under_canonical, base_rows(batches, base.names))

    return _Frame("base", tasks(lake, whole(base.files)), blocks, sum(size for _, size in base.files))


def _merged(listed: DataFiles) -> Merged:
    return Merged(
        pa.array(list(listed.aliases), pa.string()), pa.array(list(listed.aliases.values()), pa.string()),
        pa.array(sorted(listed.erased_aliases), pa.string()),
    )


def _rows(
    source: SourceSpec, spec: KernelSpec, lake: Lake, pins: Mapping[str, int], base_at: datetime | None,
    who: Callable[[Column], Column] | None,
) -> DataFrame:
    """The rows of a source with the columns that are needed, as Spark reads them."""
    rows = scan.source_rows(source.source, lake, pins, who)
    names = Names(spec.plan.clock.zone.key, lines=F.col("items") if source.source == "orders" else None)
    reject = scan.rejected()
    used = {node for _, test in source.made for node in test.walk() if isinstance(node, core.Field)}
    used |= {*source.fields, *source.lines}
    bad = [f"_bad_{name}" for name in sorted({field.name for field in used}) if f"_bad_{name}" in rows.columns]
    time = TIMES[source.source]
    plain = dict.fromkeys(
        field.name for field in source.fields if field.name != time and not field.name.startswith("_made_")
    )
    if source.ties:
        plain[IDS[source.source]] = None
    return rows.select(
        F.when(reject.isNull(), F.col("customer_id")).alias("customer_id"),
        reject.alias("_reject"),
        F.col(time).alias("_time"),
        *([] if base_at is None else [F.col("_late_at")]),
        *(F.col(f"`{name}`") for name in plain if name != "customer_id"),
        *(F.col("items").getField(field.name).alias(line_column(field.name)) for field in source.lines),
        *(test_column(test, names).alias(name) for name, test in source.made),
        *(F.col(name) for name in bad),
    )


def _customers(
    spec: KernelSpec, lake: Lake, pins: Mapping[str, int], base_as_of: datetime | None,
    who: Callable[[Column], Column] | None,
) -> _Frame:
    """The rows of customers with the columns that are staged or tested, and the tests that Spark makes of them."""
    made = dict(spec.sources["customers"].made)
    listed = data_files(lake, "customers", pins) if who is None and not made else None
    if listed is not None:
        fields = tuple(dict.fromkeys((*spec.staged, *spec.tested)))
        reading = PeopleReading(fields, spec.plan.clock.as_of, base_as_of, _merged(listed))
        return _of_files("customers", listed, lake, partial(files.people, reading=reading))
    asked = {node for test in made.values() for node in test.walk() if isinstance(node, core.Field)}
    fields = tuple(dict.fromkeys((*spec.staged, *spec.tested, *sorted(asked, key=lambda field: field.name))))
    rows = scan.customer_rows(fields, spec.plan, lake, pins, base_as_of, who)
    names = Names(spec.plan.clock.zone.key, field=lambda field: F.col(scan.field_name(field)))
    frame = rows.select("*", *(test_column(test, names).alias(name) for name, test in made.items()))
    prefix = "_fault_customers_"
    faults = tuple(name.removeprefix(prefix) for name in frame.columns if name.startswith(prefix))
    return _Frame("customers", frame, blocks_of, lake.size_of(frame), faults)
