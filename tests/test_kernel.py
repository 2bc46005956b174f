"""The kernel finds what Columns find and what the oracle finds; its parts do what plain Python does."""

from __future__ import annotations

import os
import random
from collections import Counter, defaultdict
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import partial
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from delta import DeltaTable
from pyspark.sql import functions as F
from agreement import engine_members, segments_of, settings_for, write
from oracle import members
from strategies import CATALOGUE, batch, previous_members

from segment_lib import core, evaluate, nightly, snapshot
from segment_lib.catalogue import Type
from segment_lib.clock import Clock, Interval
from segment_lib.customer_totals import CONTACT_FIELDS
from segment_lib.definition import Loaded
from segment_lib.data_files import paths_of, whole
from segment_lib.definition.references import dependants
from segment_lib.definition.segment import Segment
from segment_lib.errors import StorageError
from segment_lib.kernel import base, compare, decide, kept, parcels, people
from segment_lib.kernel.aggregates import Selected, aggregate
from segment_lib.kernel.base import base_files
from segment_lib.kernel.keys import arrow_of, keys_of
from segment_lib.kernel.members import SEGMENT, Listing, matrix, of_bytes, of_lists, packed
from segment_lib.kernel.rows import Lines, Rows, distinct_pairs, micros, window_of
from segment_lib.kernel.spec import program_of, spec_of
from segment_lib.plan import SOURCES, build_plan
from segment_lib.scan import scan
from segment_lib.settings import Settings
from segment_lib.storage import Lake
from segment_lib.totals import PLACES

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


# Against the oracle and Columns ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("seed", "by_spark"), [(2, False), (26, True), (34, False), (15, True)])
def test_random_definitions(spark, tmp_path, monkeypatch, seed, by_spark):
    """With aliases and erasures; rows straight from the files, or as Spark reads them."""
    drawn = batch(seed, 100)
    gone = {drawn.data.aliases[0]["customer_id"], drawn.data.customers[3]["customer_id"]}
    data = replace(drawn.data, erased=drawn.data.erased | gone)
    if by_spark:
        monkeypatch.setattr(people, "data_files", lambda *_: None)
    previous = previous_members(seed, drawn)
    settings = settings_for(str(tmp_path), drawn.zone.key)
    lake = Lake(spark, settings)
    write(spark, lake, data)
    expected = members(drawn.definitions, data, drawn.snapshot_date, drawn.zone, CATALOGUE, previous)
    actual = engine_members(
        spark, lake, settings, drawn.definitions, drawn.snapshot_date, previous, engine="kernel"
    )
    wrong = {
        name: {"definition": drawn.definitions[name], "missing": expected[name] - actual[name],
               "extra": actual[name] - expected[name]}
        for name in drawn.definitions if actual[name] != expected[name]
    }
    assert not wrong, f"{len(wrong)} disagree, such as {next(iter(wrong.items()))}"


def test_random_definitions_night_after_night(spark, tmp_path):
    """With rows kept: every night reads new files only, finds what the oracle finds, and keeps nothing that is gone.

    Between the nights rows are added, corrected and deleted, files are put together, aliases and erasures come, and
    definitions ask for columns that were not kept.
    """
    drawn = batch(34, 100)
    settings = settings_for(str(tmp_path), drawn.zone.key)
    table = "row_parcels"

    def night(number, data, definitions):
        lake = Lake(spark, settings)
        day = drawn.snapshot_date + timedelta(days=number)
        expected = members(definitions, data, day, drawn.zone, CATALOGUE)
        keeping = kept.Keeping(f"r{number}", day)
        actual = engine_members(
            spark, lake, settings, definitions, day, run_id=f"r{number}", engine="kernel", keeping=keeping
        )
        assert actual == expected
        rows = lake.read(table).select("source", "file", "content").distinct().collect()
        listed = {
            (source, os.path.basename(path)) for source in SOURCES for path in paths_of(lake.read(source))
        }
        assert {(row["source"], row["file"]) for row in rows} <= listed
        return {(row["source"], row["file"], row["content"]) for row in rows}

    definitions = {name: of for name, of in drawn.definitions.items() if of.get("kind") != "static"}
    some = dict(list(definitions.items())[:40])
    some = {name: of for name, of in some.items() if not Segment.model_validate({**of, "id": name}).references()}
    data = replace(drawn.data, events=drawn.data.events[::2], aliases=[], erased=frozenset())
    lake = Lake(spark, settings)
    write(spark, lake, data)
    first = night(0, data, some)
    assert {source for source, _, _ in first} == set(SOURCES)

    # More events, and nothing else: what was kept stays as it is.
    added = drawn.data.events[1::2]
    append(spark, lake, "events", added)
    data = replace(data, events=[*data.events, *added])
    second = night(1, data, some)
    assert second > first and {source for source, _, _ in second - first} == {"events"}

    # Aliases and erasures come; files of events are put together.
    gone = {data.customers[3]["customer_id"], drawn.data.aliases[0]["customer_id"]}
    data = replace(data, aliases=drawn.data.aliases, erased=gone)
    write(spark, lake, data, only=("aliases", "erasures"))
    DeltaTable.forPath(spark, lake.path("events")).optimize().executeCompaction()
    third = night(2, data, some)
    assert len({file for source, file, _ in third if source == "events"}) == 1

    # All definitions, with columns that were not kept, over orders that were corrected and events of which some were deleted.
    orders = [{**order, "revenue": order["revenue"] + 7} for order in data.orders]
    events = [event for event in data.events if event["event_type"] != data.events[0]["event_type"]]
    data = replace(data, orders=orders, events=events)
    write(spark, lake, data, only=("orders",))
    lake.delete("events", {"event_type": drawn.data.events[0]["event_type"]}, "deleted")
    night(3, data, definitions)


def append(spark, lake, table, rows):
    schema = lake.read(table).schema
    frame = spark.createDataFrame([tuple(row.get(name) for name in schema.names) for row in rows], schema)
    frame.write.format("delta").mode("append").save(lake.path(table))


def test_what_is_kept_is_looked_at(spark, tmp_path, monkeypatch):
    """A parcel that is not what its file holds stops the night; `full` makes all of them anew."""
    drawn = batch(26, 20)
    conf = settings_for(str(tmp_path), drawn.zone.key)
    settings = Settings(**{**conf.model_dump(), "gates": {}, "engine": "kernel", "incremental": "always"})
    lake = Lake(spark, settings)
    write(spark, lake, drawn.data)
    loaded = Loaded(tuple(segments_of(drawn.definitions, settings)))
    # Each row group is looked at every night.
    monkeypatch.setattr(kept, "CHECKED", 1)

    def run(day, **options):
        return nightly.run(
            lake, settings, loaded, snapshot_date=day, now=datetime(2100, 1, 1, tzinfo=UTC), **options
        )

    def parcels_of_events():
        return lake.read("row_parcels").where("source = 'events'")

    run(drawn.snapshot_date)
    run(drawn.snapshot_date + timedelta(days=1))
    rows = lake.read("row_parcels").collect()
    broken = [
        row.asDict() | ({"parcel": rows[0]["parcel"]} if row["source"] == "events" else {}) for row in rows
    ]
    columns = lake.read("row_parcels").columns
    frame = spark.createDataFrame([tuple(row[name] for name in columns) for row in broken], lake.read("row_parcels").schema)
    frame.write.format("delta").mode("overwrite").save(lake.path("row_parcels"))
    with pytest.raises(StorageError, match=r"events: what is kept of row group 0 of part-.*seglake run --full"):
        run(drawn.snapshot_date + timedelta(days=2))
    assert run(drawn.snapshot_date + timedelta(days=2), full=True).record.state.publishes
    assert parcels_of_events().count()


def as_set(value):
    return sorted(map(repr, value)) if isinstance(value, list) else value


@pytest.mark.parametrize("by_spark", [False, True])
def test_everything_staged_is_what_columns_stage(spark, tmp_path, monkeypatch, by_spark):
    """Features, totals, visits, orders of the day, what is new or late, counts of rows: for every customer."""
    if by_spark:
        monkeypatch.setattr(people, "data_files", lambda *_: None)
    drawn = batch(5, 60)
    data = replace(drawn.data, events=[*drawn.data.events, {**drawn.data.events[0], "customer_id": None, "event_id": "nobody's"}])
    settings = settings_for(str(tmp_path), drawn.zone.key)
    lake = Lake(spark, settings)
    write(spark, lake, data)
    clock = Clock(drawn.snapshot_date, settings.zone)
    segments = segments_of(drawn.definitions, settings)
    plan = build_plan(
        segments, settings.names(), clock, fixed=frozenset(s.id for s in segments if s.kind == "static"),
        needed=CONTACT_FIELDS, totals=frozenset(PLACES),
    )
    plan = replace(plan, day_orders=True)
    base = clock.as_of - timedelta(days=30)
    rows, found = {}, {}
    for engine in ("columns", "kernel"):
        found[engine] = scan(
            plan, lake, lake.pin(), engine, base_as_of=base, base_at=base + timedelta(hours=5), engine=engine
        )
        rows[engine] = {
            row["customer_id"]: {name: as_set(value) for name, value in row.asDict().items() if name != "_decided"}
            for row in found[engine].customers.collect() if row["customer_id"] is not None
        }
    kernel, columns = found["kernel"], found["columns"]
    assert len(kernel.decided) > 20 and not columns.decided
    assert (kernel.rows, kernel.rejected, kernel.newest) == (columns.rows, columns.rejected, columns.newest)
    assert kernel.rejected["events"] == {"missing_customer_id": 1}
    assert rows["kernel"].keys() == rows["columns"].keys() and len(rows["kernel"]) > 15
    for name, row in rows["kernel"].items():
        assert row == {column: rows["columns"][name][column] for column in row}


@pytest.mark.parametrize("by_bytes", [True, False])
def test_nights_publish_the_same(spark, tmp_path, monkeypatch, by_bytes):
    """Members, changes and metrics of three nights by either engine; before the third two are merged and a file is gone.

    `by_bytes` leaves out what looks into the lists of the base, so that it comes with the scan.
    """
    drawn = batch(11, 45)
    segments = segments_of(drawn.definitions, settings_for(str(tmp_path), drawn.zone.key))
    if by_bytes:
        segments = without_since(segments, settings_for(str(tmp_path), drawn.zone.key), drawn.snapshot_date)
    as_bytes, scanned = [], evaluate.scan

    def noted(*given, **options):
        found = scanned(*given, **options)
        as_bytes.append(found.base is not None)
        return found

    monkeypatch.setattr(evaluate, "scan", noted)
    published, files = {}, {}
    for engine in ("columns", "kernel"):
        conf = settings_for(str(tmp_path / engine), drawn.zone.key)
        settings = Settings(**{**conf.model_dump(), "gates": {}, "engine": engine})
        lake = Lake(spark, settings)
        write(spark, lake, replace(drawn.data, aliases=[]))
        for back in (2, 1, 0):
            if back == 0:
                lake = Lake(spark, settings)
                write(spark, lake, drawn.data, only=("aliases",))
            last = segments[1:] if back == 0 else segments
            outcome = nightly.run(
                lake, settings, Loaded(tuple(last)), snapshot_date=drawn.snapshot_date - timedelta(days=back),
                now=datetime(2100, 1, 1, tzinfo=UTC),
            )
        published[engine] = {
            table: sorted(
                repr([value for name, value in row.asDict().items() if "run_id" not in name])
                for row in lake.read(table).collect()
            )
            for table in ("memberships", "membership_changes", "segment_metrics", "segment_overlaps")
        }
        files[engine] = paths_of(lake.read("memberships").where(F.col("run_id") == outcome.run_id))
    assert published["kernel"] == published["columns"]
    assert all(published["kernel"].values())
    # The first of three nights has no base.
    assert as_bytes == [False] * 3 + [False, by_bytes, by_bytes]
    # The kernel's tasks wrote them; Spark's own parts bear other names.
    assert all(file.endswith(".zstd.parquet") and f"run_id={outcome.run_id}" in file for file in files["kernel"])
    assert not any(file.endswith(".zstd.parquet") for file in files["columns"])


def without_since(segments, settings, day):
    """Those that ask since when nobody is a member, themselves or by those they refer to."""
    plan = build_plan(segments, settings.names(), Clock(day, settings.zone))
    asking = {one.id for one in plan.segments if any(isinstance(node, core.Since) for node in one.reduced.walk())}
    names = asking | {one.id for one in segments if one.kind == "static"}
    names |= dependants(names, {one.id: one.references() for one in segments})
    return [one for one in segments if one.id not in names]


@pytest.mark.parametrize("row_groups", [False, True])
def test_a_base_is_read_as_it_is_stored(spark, tmp_path, row_groups):
    """As lists and as bytes, whichever segments have numbers; the files of other runs are left alone.

    `row_groups`: a file has one for each row, each with a dictionary of its own, as those have that tasks wrote.
    """
    settings = settings_for(str(tmp_path), "UTC")
    lake = Lake(spark, settings)
    old, new = date(2025, 5, 5), date(1969, 12, 31)
    stored = {"x": [("a", old), ("b", new)], "y": [], "z": [("b", old)]}

    def write_run(run_id, members):
        rows = [(date(2026, 1, 1), run_id, name, inside) for name, inside in members.items()]
        partition = {"snapshot_date": date(2026, 1, 1), "run_id": run_id}
        lake.replace("memberships", spark.createDataFrame(rows, lake.schema("memberships")).coalesce(1), partition, run_id)

    write_run("r1", stored)
    if row_groups:
        [path] = paths_of(lake.read("memberships"))
        pq.write_table(pq.ParquetFile(path).read(), path, row_group_size=1)
    write_run("r2", {"x": [("c", old)]})
    run = SimpleNamespace(snapshot_date=date(2026, 1, 1), run_id="r1")
    for names in ((), ("b",), ("a", "b", "other")):
        files = base_files(lake, run, names)
        assert files.names == tuple(sorted(names))
        parts = pa.RecordBatch.from_pylist([
            {"path": path, "part": part, "parts": parts} for path, part, parts in whole(files.files)
        ])
        found = pa.concat_tables(base.rows([parts], files.names)).combine_chunks()
        told = dict(zip(found.column("customer_id").to_pylist(), members_of(found, files.names), strict=True))
        assert told == {name: dict(inside) for name, inside in stored.items()}
        strange = {row["customer_id"] for row in found.to_pylist() if row["_base"]}
        assert strange == {name for name, inside in stored.items() if {id for id, _ in inside} - set(names)}


def members_of(found, names):
    """{segment: since} of each row of a base."""
    rows = [{} for _ in range(found.num_rows)]
    texts = pa.array(names, pa.string())
    columns = (found.column(name).combine_chunks() for name in base.COLUMNS)
    for entries in (read(column) for read, column in zip((lambda part: of_bytes(part, texts), of_lists), columns, strict=True)):
        for row, name, day in zip(entries.row.tolist(), entries.ids().to_pylist(), entries.day.tolist(), strict=True):
            rows[row][name] = EPOCH.date() + timedelta(days=day)
    return rows


def test_who_was_merged_has_the_earliest_day_of_all_ids():
    """The last place is nobody's, whom a row without a customer belongs to; who has no row has nothing."""
    names = ("a", "b")
    early, late = date(2020, 2, 29), date(2026, 1, 1)
    inside = [[("a", late), ("x", early)], [("b", late)], [("a", early), ("x", late)], [], [("b", early)]]
    lists = pa.array([[{"id": name, "since": day} for name, day in one] for one in inside], pa.list_(SEGMENT))
    stored = base._of_lists(
        pa.record_batch({"customer_id": pa.array(list("pqrst")), "segments": lists}), pa.array(names, pa.string())
    )
    told = base.of_customers(pa.Table.from_batches([stored]), np.array([2, 0, 2, 1, -1]), 5, names)
    found = members_of(pa.table(told), names)
    assert found == [{"b": late}, {}, {"a": early, "x": early}, {}, {}]
    nothing = [told["_packed"][place].as_py() is None and told["_base"][place].as_py() is None for place in range(5)]
    assert nothing == [False, False, False, True, True]


# Parts ---------------------------------------------------------------------------------------------------------------


KINDS = {
    Type.TEXT: (pa.string(), ["tea", "Tea", "", " ", None, "grün", "ÄÖ"]),
    Type.INTEGER: (pa.int64(), [0, -3, 5, None, 2**40]),
    Type.DECIMAL: (pa.decimal128(18, 4), [Decimal("0.0000"), Decimal("-1.5000"), Decimal("99999999999999.9999"), None]),
    Type.BOOLEAN: (pa.bool_(), [True, False, None]),
    Type.DATE: (pa.date32(), [date(1970, 1, 1), date(1931, 2, 28), date(2024, 2, 29), None]),
    Type.TIMESTAMP: (pa.timestamp("us", "UTC"), [EPOCH, datetime(2024, 5, 1, 12, 0, 0, 7, UTC), None]),
    Type.TEXTS: (pa.list_(pa.string()), [["a", "b"], [], None, ["b", None]]),
}


@pytest.mark.parametrize("kind", list(KINDS))
def test_keys_keep_every_value(kind):
    arrow, values = KINDS[kind]
    keys = keys_of(pa.array(values, arrow).slice(1), kind)
    blank = {"": None, " ": None} if kind is Type.TEXT else {}
    expected = [blank.get(value, value) if isinstance(value, str) else value for value in values[1:]]
    assert arrow_of(keys, arrow).to_pylist() == expected
    known = keys.known
    assert [True] * len(expected) if known is None else known.tolist() == [value is not None for value in expected]


def test_numbers_beyond_64_bits_stay_exact():
    values = [Decimal(10) ** 30, Decimal(-(10**30)), None, Decimal("0.0001")]
    keys = keys_of(pa.array(values, pa.decimal128(38, 4)), Type.DECIMAL)
    assert arrow_of(keys, pa.decimal128(38, 4)).to_pylist() == values
    rows = rows_from([(0, 0, value) for value in values] * 2)
    total = aggregate(feature("sum"), Selected(rows, slice(None), 1))
    assert arrow_of(total, pa.decimal128(38, 4)).to_pylist() == [Decimal("0.0002")]


AMOUNT = core.Field("orders", "revenue", Type.DECIMAL)


def rows_from(rows, line=None):
    """Rows of (customer, second, amount), sorted by time."""
    rows = sorted(rows, key=lambda row: row[1])
    amounts = pa.array([row[2] for row in rows], pa.decimal128(38, 4))
    customer = np.array([row[0] for row in rows], np.int32)
    time = np.array([row[1] * 1_000_000 for row in rows], np.int64)

    def column(field):
        return keys_of(amounts, field.type)

    return Rows(customer, time, column, lambda: Lines(np.arange(len(rows)), customer, time, column))


def feature(function, window=Interval()):
    return core.Feature("orders", function, AMOUNT if function != "count" else None, core.TRUE, window)


def half_up(value: Decimal) -> Decimal:
    return value.quantize(Decimal("1e-8"), ROUND_HALF_UP)


def naive(function, values):
    """The aggregate of values in order of time, by plain Python."""
    known = [value for value in values if value is not None]
    if function == "count":
        return len(values)
    if function in ("first", "latest"):
        return (values[0] if function == "first" else values[-1]) if values else None
    if function == "sum":
        return sum(known, Decimal(0))
    if function == "distinct":
        return len(set(known))
    if not known:
        return None
    counts = Counter(known)
    return {
        "avg": lambda: half_up(sum(known) / len(known)), "min": lambda: min(known), "max": lambda: max(known),
        "mode": lambda: min(counts, key=lambda value: (-counts[value], value)),
        "mode_share": lambda: half_up(Decimal(max(counts.values())) / len(known)),
    }[function]()


@pytest.mark.parametrize("function", core.Feature.FUNCTIONS)
@pytest.mark.parametrize("seed", range(4))
def test_aggregates_are_those_of_plain_python(function, seed):
    dice = random.Random(seed)
    customers = dice.choice((1, 7, 40))
    pool = [None, *(Decimal(dice.randrange(-50000, 50000)).scaleb(-4) for _ in range(dice.choice((2, 30))))]
    drawn = [(dice.randrange(customers), second, dice.choice(pool)) for second in range(dice.choice((0, 5, 400)))]
    window = Interval(EPOCH + timedelta(seconds=3), EPOCH + timedelta(seconds=300))
    rows = rows_from(drawn)
    keys = aggregate(feature(function), Selected(rows, window_of(rows.time, window), customers))
    own = defaultdict(list)
    for customer, second, value in drawn:
        if 3 <= second < 300:
            own[customer].append(value)
    kind = pa.int64() if function in ("count", "distinct") else pa.decimal128(38, 8)
    assert arrow_of(keys, kind).to_pylist() == [naive(function, own[customer]) for customer in range(customers)]


def test_periods_end_where_the_next_begins():
    edges = tuple(EPOCH + timedelta(seconds=second) for second in (10, 20, 30))
    rows = rows_from([(0, second, None) for second in (10, 19, 20, 29, 30, 31)] + [(1, 20, None)])
    for least, expected in ((1, [3, 1]), (2, [3, 0]), (3, [0, 0])):
        periods = core.Periods("orders", core.TRUE, edges, least)
        found = aggregate(periods, Selected(rows, window_of(rows.time, periods.window), 2))
        assert found.values.tolist() == expected


def test_pairs_are_numbered_alike_in_each_way():
    dice = np.random.default_rng(3)
    customer = dice.integers(0, 50, 3000).astype(np.int32)
    shared = keys_of(pa.array([f"v{n}" for n in dice.integers(0, 2000, 3000)]), Type.TEXT)
    owned = keys_of(pa.array([f"s{c}-{n}" for c, n in zip(customer, dice.integers(0, 40, 3000), strict=True)]), Type.TEXT)
    few = keys_of(pa.array([None if n == 0 else f"f{n}" for n in dice.integers(0, 5, 3000)]), Type.TEXT)
    numbers = keys_of(pa.array(dice.integers(0, 900, 3000)), Type.INTEGER)
    for keys in (shared, owned, few, numbers):
        pair, owner = distinct_pairs(customer, keys, 50)
        assert np.array_equal(owner[pair], customer)
        seen = set(zip(customer.tolist(), keys.values.tolist(), strict=True))
        assert len(set(pair.tolist())) == len(seen)


@pytest.mark.parametrize(("operator", "literals", "expected"), [
    ("ge", (Decimal("0.00005"),), [False, True, False]), ("gt", (Decimal("0.00005"),), [False, True, False]),
    ("le", (Decimal("0.00005"),), [True, False, False]), ("lt", (Decimal("0.0001"),), [True, False, False]),
    ("eq", (Decimal("0.0001"),), [False, True, False]), ("eq", (Decimal("0.00011"),), [False, False, False]),
    ("in", (0, Decimal("0.0001"), 10**30), [True, True, False]), ("known", (), [True, True, False]),
    ("lt", (10**30,), [True, True, False]), ("ge", (-(10**30),), [True, True, False]),
])
def test_bounds_between_two_values(operator, literals, expected):
    keys = keys_of(pa.array([Decimal("0"), Decimal("0.0001"), None], pa.decimal128(18, 4)), Type.DECIMAL)
    assert compare.holds(keys, core.Compare(AMOUNT, operator, literals)).tolist() == expected


def test_anniversaries_wrap_over_new_year():
    days = [date(2024, 2, 29), date(1969, 12, 31), date(2023, 1, 2), date(2023, 6, 30), None]
    keys = keys_of(pa.array(days), Type.DATE)
    day = core.Field("customers", "birthday", Type.DATE)
    for operator, ends, expected in (
        ("anniversary", (1230, 102), [False, True, True, False, False]),
        ("anniversary", (228, 228), [False] * 5), ("anniversary_no_29_feb", (228, 228), [True] + [False] * 4),
        ("anniversary", (229, 630), [True, False, False, True, False]),
    ):
        assert compare.holds(keys, core.Compare(day, operator, ends)).tolist() == expected


@pytest.mark.parametrize("name", ["Europe/Berlin", "America/St_Johns", "Asia/Kathmandu", "UTC"])
def test_instants_have_the_day_of_their_zone(name):
    dice, zone = random.Random(name), ZoneInfo(name)
    instants = [datetime(2025, 3, 30, 0, 59, 59, 999999, UTC), datetime(2025, 3, 30, 1, tzinfo=UTC)]
    instants += [EPOCH + timedelta(microseconds=dice.randrange(631152000 * 10**6, 4102444800 * 10**6)) for _ in range(400)]
    days = compare.local_days(np.array([micros(instant) for instant in instants]), zone)
    assert days.tolist() == [(instant.astimezone(zone).date() - EPOCH.date()).days for instant in instants]
    assert len(compare.local_days(np.array([np.iinfo(np.int64).min]), zone)) == 1


def test_a_customer_goes_to_one_partition_however_the_ids_come():
    ids = [f"c{n}" for n in range(5000)] + ["", "ü" * 40, "x" * 200, None]
    whole = parcels.partition_of(pa.array(ids), 7)
    parts = [parcels.partition_of(pa.array(ids[first : first + 13]).slice(2), 7) for first in range(0, 5000, 13)]
    assert all(np.array_equal(part, whole[13 * i + 2 : 13 * i + 2 + len(part)]) for i, part in enumerate(parts))
    counts = np.bincount(whole, minlength=7)
    assert whole[-1] == 0 and counts.min() > 0.8 * counts.mean()
    assert len(np.unique(parcels.hashed(pa.array(ids[:-1])))) == len(ids) - 1


def test_parcels_hold_every_row_once():
    table = pa.table({
        "customer_id": pa.array([None if n % 17 == 0 else f"c{n % 400}" for n in range(3000)]),
        "few": pa.array([None if n % 5 == 0 else f"t{n % 3}" for n in range(3000)]),
        "many": pa.array([f"m{n}" for n in range(3000)]), "number": pa.array(range(3000)),
    })
    batches = list(parcels.parcels(parcels.blocks_of(table.to_batches(max_chunksize=700)), "events", 4))
    back = [parcels.opened(batch.column("parcel")[0].as_buffer()) for batch in batches]
    rows = [tuple(row.values()) for part in back for row in part.to_pylist()]
    assert sorted(rows, key=repr) == sorted((tuple(row.values()) for row in table.to_pylist()), key=repr)
    assert pa.types.is_dictionary(back[0].schema.field("few").type)
    assert not pa.types.is_dictionary(back[0].schema.field("many").type)


@pytest.mark.parametrize(("definitions", "customers"), [(1, 1), (9, 17), (300, 100), (13, 64), (8, 8), (3, 0)])
def test_bits_are_turned(definitions, customers):
    truths = np.random.default_rng(definitions).random((definitions, customers)) < 0.3
    bitmaps = [np.packbits(row, bitorder="little") for row in truths]
    bits = matrix(decide.bits_of_customers(bitmaps, customers))
    turned = np.unpackbits(bits, axis=1, count=definitions, bitorder="little") if customers else bits
    assert np.array_equal(turned.astype(bool), truths.T.reshape(turned.shape))


def test_a_program_has_each_part_once_and_after_what_it_needs():
    known, other = core.IsCustomer(), core.Split("s", 0, 50)
    both = core.All((known, core.Not(other)))
    program = program_of([("a", both), ("b", core.Any((core.Member("a"), both, other))), ("c", both)])
    assert [step.operation for step in program.steps] == ["leaf", "leaf", "not", "all", "any"]
    assert program.results == (3, 4, 3)
    assert all(operand < number for number, step in enumerate(program.steps) for operand in step.operands)


@pytest.mark.parametrize("numbered", [(), ("a",), ("other", "gone", "a")])
def test_memberships_are_listed_with_their_days(numbered):
    """Entries of the base come as lists or, those of segments that are `numbered`, as bytes."""
    listing = Listing(("b", "gone", "a"), frozenset("abd"), frozenset("c"), date(2026, 1, 31), bits=True, base_names=numbered)
    old, frozen = date(2025, 5, 5), date(2024, 4, 4)
    entries = pa.list_(SEGMENT)
    batch_ = pa.record_batch({
        "customer_id": ["x", "y", "z"],
        "_decided": packed(np.array([[True, True, True], [False, True, False], [False, False, False]])),
        "_others": pa.array([["d"], [], []], pa.list_(pa.string())),
        "_base": pa.array(
            [[{"id": id, "since": old} for id in row if id not in numbered] or None for row in (["a", "gone"], ["a"], [])], entries
        ),
        "_packed": base._of_lists(
            pa.record_batch({"customer_id": ["x", "y", "z"], "segments": pa.array(
                [[{"id": "a", "since": old}, {"id": "gone", "since": old}], [{"id": "a", "since": old}], []], entries
            )}), pa.array(numbered, pa.string()),
        ).column("_packed"),
        "_carried": pa.array([[{"id": "a", "since": frozen}], [{"id": "c", "since": frozen}], []], entries),
    })
    (found,) = listing.batches([batch_])
    tonight = date(2026, 1, 31)
    assert [[(part["id"], part["since"]) for part in row] for row in found.column("segments").to_pylist()] == [
        [("a", old), ("b", tonight), ("d", tonight)], [("c", frozen)], [],
    ]
    assert found.column("entered").to_pylist() == [["b", "d"], ["c"], []]
    assert found.column("left").to_pylist() == [["gone"], ["a"], []]
    bits = np.unpackbits(matrix(found.column("member_of")), axis=1, count=4, bitorder="little")
    assert bits.tolist() == [[1, 1, 0, 1], [0, 0, 1, 0], [0, 0, 0, 0]]


def test_rows_without_a_time_lie_in_no_window_that_has_an_edge():
    time = np.array([np.iinfo(np.int64).min, 0, 5], np.int64)
    edge = EPOCH + timedelta(microseconds=3)
    assert window_of(time, Interval()) == slice(0, 3)
    assert window_of(time, Interval(None, edge)) == slice(1, 2)
    assert window_of(time, Interval(edge, None)) == slice(2, 3)
    assert micros(edge) == 3


def test_what_the_kernel_leaves_to_columns():
    """Scores, percentiles and limits need everyone's features; so do those that refer to them."""
    drawn = batch(2, 100)
    settings = settings_for("unused", drawn.zone.key)
    plan = build_plan(segments_of(drawn.definitions, settings), settings.names(), Clock(drawn.snapshot_date, settings.zone))
    spec = spec_of(plan)
    left = [planned for planned in plan.segments if planned.id not in spec.decided]
    assert len(spec.decided) > 40 and left
    assert {feature for planned in left for feature in planned.reduced.walk() if isinstance(feature, core.Aggregate)} == set(
        spec.emitted
    )
    for planned in plan.segments:
        if planned.reduced.cut is not None or core.percentiles_of(planned.reduced.walk()):
            assert planned.id not in spec.decided


