"""The generated shops: the same rows under any partitioning, tables that agree, and the promised irregularities."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
import yaml
from pyspark.sql import functions as F

from segment_lib.definition import load_segments
from segment_lib.errors import InputError, UsageError
from segment_lib.generate import (
    DEMO_DATES, arrived, cdnow, cdnow_orders, cdnow_path, cdnow_shop, events, export_files, generate_shop, shop,
    synthetic, write_shop,
)
from segment_lib.generate.frames import columns, finish, span
from segment_lib.generate.randomness import Dice
from segment_lib.settings import Settings
from segment_lib.storage import Lake
from segment_lib.tables import INPUTS, LOAD_COLUMNS

CONF = Path(__file__).parents[1] / "conf" / "base.yaml"
CUSTOMERS, EVENTS, SEED, UNTIL = 1500, 40_000, 7, date(2026, 11, 21)


@pytest.fixture(scope="module")
def settings():
    return Settings(**yaml.safe_load(CONF.read_text()))


def stored(spark, frames, folder):
    """The frames, computed once."""
    for name, frame in frames.items():
        frame.write.parquet(f"{folder}/{name}")
    return {name: spark.read.schema(frame.schema).parquet(f"{folder}/{name}") for name, frame in frames.items()}


@pytest.fixture(scope="module")
def small(spark, settings, tmp_path_factory):
    frames = generate_shop(spark, settings, customers=CUSTOMERS, events=EVENTS, seed=SEED, until=UNTIL)
    return stored(spark, frames, tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def demo(spark, settings, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cdnow, "BROWSING", 40_000)
        return stored(spark, cdnow_shop(spark, settings, seed=SEED), tmp_path_factory.mktemp("demo"))


@pytest.fixture(params=["small", "demo"])
def tables(request):
    return request.getfixturevalue(request.param)


def fingerprint(frame):
    """A hash of the rows as a set, the order ignored."""
    row = F.xxhash64(*frame.columns).cast("decimal(38,0)")
    return frame.agg(F.count("*"), F.sum(row), F.sum(F.pmod(row * row, F.lit(1_000_003)))).first()


# What a seed promises


@pytest.fixture(scope="module")
def bulk(spark, settings, tmp_path_factory):
    """A lake that holds the small shop, made once more in many partitions."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(events, "ROWS_PER_PARTITION", 4_000)
        patch.setattr(synthetic, "ROWS_PER_PARTITION", 400)
        frames = generate_shop(spark, settings, customers=CUSTOMERS, events=EVENTS, seed=SEED, until=UNTIL)
        lake = Lake(spark, settings.model_copy(update={"root": str(tmp_path_factory.mktemp("lake"))}))
        write_shop(lake, frames, "generate")
    return lake


def test_a_seed_gives_the_same_rows_under_any_partitioning(bulk, small):
    for name, frame in small.items():
        assert fingerprint(bulk.read(name).select(*frame.columns)) == fingerprint(frame), name


def test_draws_follow_their_distributions(spark):
    dice, number = Dice(1), F.col("id")
    row = spark.range(50_000).agg(
        F.avg(dice.number("a", number)).alias("uniform"),
        F.corr(dice.number("a", number), dice.number("b", number)).alias("correlation"),
        F.avg(dice.gamma_half("g", number)).alias("gamma"),
        F.variance(dice.gamma_half("g", number)).alias("gamma_variance"),
        F.avg(dice.exponential("e", number)).alias("exponential"),
        F.avg(dice.poisson(F.lit(3.0), "p", number)).alias("poisson"),
        F.variance(dice.poisson(F.lit(3.0), "p", number)).alias("poisson_variance"),
        F.avg(dice.poisson(F.lit(0.0), "p", number)).alias("nothing"),
        F.avg((dice.skewed(1000, "z", number) == 1).cast("int")).alias("top"),
        F.max(dice.skewed(1000, "z", number)).alias("largest"),
        F.avg((dice.weighted({"x": 3, None: 1}, "w", number) == "x").cast("int")).alias("only_x"),
        F.count(dice.weighted({"x": 3, None: 1}, "w", number)).alias("known"),
    ).first()
    assert row.uniform == pytest.approx(0.5, abs=0.01)
    assert row.correlation == pytest.approx(0, abs=0.02)
    assert (row.gamma, row.gamma_variance) == (pytest.approx(0.5, abs=0.02), pytest.approx(0.5, abs=0.05))
    assert row.exponential == pytest.approx(1, abs=0.02)
    assert (row.poisson, row.poisson_variance) == (pytest.approx(3, abs=0.05), pytest.approx(3, abs=0.1))
    assert row.nothing == 0
    assert row.top == pytest.approx(0.1, abs=0.01) and row.largest <= 1000
    assert row.only_x == 1 and row.known == pytest.approx(37_500, abs=400)


# Sizes and columns


def test_sizes_are_as_asked(small):
    assert small["customers"].count() == CUSTOMERS
    assert small["events"].count() == EVENTS


def test_few_events_thin_the_orders_and_another_seed_gives_other_rows(spark, settings, small):
    frames = generate_shop(spark, settings, customers=CUSTOMERS, events=3000, seed=SEED + 1, until=UNTIL)
    assert frames["events"].count() == 3000
    assert 0 < frames["orders"].count() < 600
    assert fingerprint(frames["customers"]) != fingerprint(small["customers"])


def test_impossible_sizes_are_refused(spark, settings):
    with pytest.raises(UsageError):
        generate_shop(spark, settings, customers=0, events=10, seed=SEED, until=UNTIL)


def test_columns_are_those_of_the_catalogue(tables, settings):
    for name in INPUTS:
        assert dict(tables[name].dtypes) == columns(settings, name)


def test_a_field_of_another_catalogue_is_null(spark):
    other = Settings(catalogue={"customer_fields": {"shoe_size": "integer"}})
    people = finish(spark.range(3).selectExpr("cast(id AS string) customer_id", "true unknown"), other, "customers")
    assert set(people.columns) == set(INPUTS["customers"].columns) | set(LOAD_COLUMNS) | {"shoe_size"}
    assert people.where("shoe_size IS NOT NULL OR customer_id IS NULL").isEmpty()


def test_event_types_are_the_declared_ones(tables, settings):
    assert set(shop.EVENT_TYPES) == set(settings.catalogue.event_types)
    assert {row[0] for row in tables["events"].select("event_type").distinct().collect()} == set(shop.EVENT_TYPES)


def test_properties_stand_only_on_their_event_types(tables, settings):
    declared = settings.catalogue.event_types
    names = sorted({name for properties in declared.values() for name in properties})
    counts = tables["events"].groupBy("event_type").agg(*(F.count(name).alias(name) for name in names)).collect()
    for name in names:
        owners = {kind for kind, properties in declared.items() if name in properties}
        found = {row["event_type"] for row in counts if row[name]}
        assert found and found <= owners, name


def test_keys_are_unique_and_required_columns_filled(tables):
    for name, table in INPUTS.items():
        frame = tables[name]
        assert frame.select(*table.key).distinct().count() == frame.count() > 0, name
        assert frame.where(" OR ".join(f"{column} IS NULL" for column in table.required)).isEmpty(), name


# Tables that agree


def test_line_sums_are_order_sums(tables):
    line = "aggregate(items, cast(0 AS decimal(38,4)), (s, l) -> cast(s + {} AS decimal(38,4)))"
    wrong = tables["orders"].where(
        f"{line.format('l.quantity * l.unit_price')} <> revenue + coalesce(discount, 0)"
        f" OR {line.format('l.discount')} <> coalesce(discount, 0)"
        " OR exists(items, l -> l.quantity < 1 OR l.unit_price < 0 OR l.discount < 0)"
        " OR (coupon IS NULL) <> (coalesce(discount, 0) = 0)"
    )
    assert wrong.isEmpty()


def test_every_order_ends_a_checkout_of_its_amount(tables):
    done = tables["events"].where("event_type = 'checkout_completed'")
    orders = tables["orders"].alias("o")
    same = orders.join(
        done.alias("e"),
        F.expr(
            "e.order_id = o.order_id AND e.customer_id = o.customer_id AND e.amount = o.revenue"
            " AND e.occurred_at = o.ordered_at AND e.coupon <=> o.coupon AND e.channel <=> o.source"
            " AND e.cart_items = aggregate(o.items, 0, (s, l) -> s + l.quantity)"
        ),
    )
    assert same.count() == orders.count() == done.count()


def test_an_order_follows_its_visit(tables):
    ordered = tables["events"].where("order_id IS NOT NULL").select("session_id", F.col("occurred_at").alias("end"))
    visit = tables["events"].join(ordered, "session_id")
    assert visit.where("occurred_at > end OR occurred_at < end - INTERVAL 20 MINUTES").isEmpty()
    added = visit.groupBy("session_id").agg(F.max((F.col("event_type") == "added_to_cart").cast("int")).alias("added"))
    assert added.where("added = 0").isEmpty()


def test_a_session_has_one_customer(tables):
    owners = tables["events"].groupBy("session_id").agg(F.count_distinct("customer_id").alias("n"))
    assert owners.where("n <> 1").isEmpty()
    assert tables["events"].where("session_id IS NULL").isEmpty()


def test_nothing_happens_before_the_customer_exists(tables):
    people = tables["customers"].select("customer_id", "created_at", "updated_at")
    for name in ("events", "orders"):
        assert tables[name].join(people, "customer_id").where(f"{INPUTS[name].time} < created_at").isEmpty()
    assert people.where("updated_at < created_at").isEmpty()


@pytest.mark.parametrize(("name", "until", "days"), [("small", UNTIL, 540), ("demo", cdnow.LAST_DAY, cdnow.DAYS)])
def test_everything_lies_in_the_days_asked(name, until, days, settings, request):
    tables = request.getfixturevalue(name)
    first, end = (datetime.fromtimestamp(second, UTC) for second in span(settings, until, days))
    for table in ("events", "orders"):
        time = INPUTS[table].time
        assert tables[table].where((F.col(time) < F.lit(first)) | (F.col(time) >= F.lit(end))).isEmpty()
    for table in ("customers", "orders", "lists", "aliases"):
        assert tables[table].where(F.col("updated_at") >= F.lit(end)).isEmpty()


def test_merges_end_at_customers(tables):
    aliases, people = tables["aliases"], tables["customers"].select("customer_id")
    assert aliases.where("customer_id = canonical_id").isEmpty()
    canonical = aliases.select(F.col("canonical_id").alias("customer_id"))
    assert canonical.join(people, "customer_id", "left_anti").isEmpty()


def test_erasures_name_customers_by_hash(tables, settings):
    ids = [row[0] for row in tables["customers"].select("customer_id").collect()]
    hashes = {hashlib.sha256(f"{settings.tenant}\x1f{who}".encode()).hexdigest() for who in ids}
    erased = {row[0] for row in tables["erasures"].select("customer_hash").collect()}
    assert erased and erased <= hashes and len(erased) < len(ids) / 50


# Irregularities


def test_nulls_blanks_and_leap_days_exist(tables):
    people, orders = tables["customers"], tables["orders"]
    optional = set(people.columns) - {"customer_id", "created_at", "updated_at", "store", *LOAD_COLUMNS}
    for frame, names in (
        (people, optional),
        (tables["events"], {"channel", "campaign", "device"}),
        (orders, {"refund", "discount", "cost", "gift"}),
    ):
        known = frame.agg(F.count("*").alias("rows"), *(F.count(name).alias(name) for name in names)).first()
        assert all(0 < known[name] < known["rows"] for name in names), known
    found = people.agg(
        F.count_if(F.expr("email IS NOT NULL AND trim(email) = ''")),
        F.count_if(F.expr("month(birthday) = 2 AND day(birthday) = 29")),
        F.count_if(F.expr("size(interests) = 0")),
    ).first()
    assert all(found), found


def test_ties_late_rows_refunds_and_statuses_exist(tables, settings):
    for name, time in (("events", "occurred_at"), ("orders", "ordered_at")):
        frame = tables[name]
        assert not frame.groupBy("customer_id", time).count().where("count > 1").isEmpty()
        late = frame.where(f"_loaded_at > {time} + INTERVAL 1 HOUR").count()
        assert 0 < late < frame.count() * 0.03
        assert frame.where(f"_loaded_at < {time}").isEmpty()
    statuses = {row[0] for row in tables["orders"].select("status").distinct().collect()}
    assert statuses == set(settings.catalogue.order_statuses)
    orders = tables["orders"]
    assert orders.where("refund > revenue OR (status = 'refunded' AND refund IS NULL)").isEmpty()
    assert not orders.where("refund > 0 AND refund < revenue").isEmpty()
    assert not orders.where("revenue = 0").isEmpty()
    assert not orders.where("exists(items, l -> l.quantity > 1)").isEmpty()


def test_visitors_have_no_profile_and_some_are_recognised(tables):
    unknown = tables["events"].join(tables["customers"], "customer_id", "left_anti").select("customer_id").distinct()
    assert unknown.where("customer_id NOT LIKE 'v%'").isEmpty()
    recognised = unknown.join(tables["aliases"], "customer_id").count()
    assert 0 < recognised < unknown.count() / 2


def test_a_few_customers_are_huge(small):
    by_customer = small["events"].groupBy("customer_id").count().orderBy(F.desc("count"))
    largest, median = by_customer.first()["count"], by_customer.approxQuantile("count", [0.5], 0.001)[0]
    assert largest > 100 * median
    assert small["orders"].groupBy("customer_id").count().agg(F.max("count")).first()[0] > 500


def test_merges_chain_and_join_customers(small):
    assert small["aliases"].where("customer_id LIKE 'c%'").count() > 0
    assert small["aliases"].where("customer_id LIKE 'v%'").count() > 0


# CDNOW


def test_cdnow_is_exact(demo, spark, settings):
    lines = [line.split() for line in Path(cdnow_path()).read_text().splitlines()[1:]]
    orders = demo["orders"]
    total = orders.agg(
        F.count("*"), F.count_distinct("customer_id"), F.sum("revenue"),
        F.sum(F.expr("aggregate(items, 0, (s, l) -> s + l.quantity)")),
    ).first()
    assert tuple(total) == (
        69_659, 23_570, sum(Decimal(line[3]) for line in lines), sum(int(line[2]) for line in lines)
    )
    local = F.date_format(F.from_utc_timestamp("ordered_at", settings.time_zone), "yyyyMMdd")
    made = orders.select("order_id", "customer_id", local.alias("day"), "revenue").collect()
    expected = {
        (f"cdnow-{number:05}", line[0], line[1], Decimal(line[3])) for number, line in enumerate(lines, start=1)
    }
    assert {tuple(row) for row in made} == expected


def test_cdnow_visits_lie_on_the_orders_day(demo, settings):
    day = F.to_date(F.from_utc_timestamp("occurred_at", settings.time_zone)).alias("day")
    days = demo["events"].where("session_id LIKE 'scdnow%'").select("session_id", day).distinct()
    assert days.count() == 69_659


def test_cdnow_buyers_have_profiles_and_are_neither_merged_nor_erased(demo, settings):
    buyers = demo["orders"].select("customer_id").distinct()
    assert buyers.join(demo["customers"], "customer_id", "left_anti").isEmpty()
    assert demo["aliases"].join(buyers, "customer_id").isEmpty()
    key = F.sha2(F.concat(F.lit(f"{settings.tenant}\x1f"), "customer_id"), 256)
    assert buyers.join(demo["erasures"], F.col("customer_hash") == key).isEmpty()


def test_cdnow_reads_another_file_line_by_line(spark, settings, tmp_path):
    path = tmp_path / "log.txt"
    path.write_bytes(b" customer_id  date cds  value\r\n 00001 19970101  1   11.77\r\n 00002 19970406  2 0.00\r\n")
    rows = cdnow_orders(spark, settings, seed=SEED, path=str(path)).orderBy("row").collect()
    assert [(row.order_id, row.customer_id, row.quantity, row.cents) for row in rows] == [
        ("cdnow-00001", "00001", 1, 1177), ("cdnow-00002", "00002", 2, 0),
    ]


def test_a_missing_log_says_what_to_install(monkeypatch):
    monkeypatch.setattr(cdnow.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="pip install lifetimes"):
        cdnow_path()


def test_segments_move_between_the_demo_dates(demo, settings):
    first, second = DEMO_DATES
    for name in ("events", "orders", "customers"):
        moved = arrived(demo, settings, after=first, until=second)[name]
        assert not moved.isEmpty(), name
    late = arrived(demo, settings, after=first)["events"]
    _, midnight = span(settings, first, 1)
    assert not late.where(F.unix_seconds("occurred_at") < midnight - 7200).isEmpty()


# Ways out


def test_arrivals_split_the_rows(small, settings):
    day = date(2026, 11, 19)
    before, after = arrived(small, settings, until=day), arrived(small, settings, after=day)
    for name in set(INPUTS) - {"customers"}:
        assert before[name].count() + after[name].count() == small[name].count(), name
    known = before["customers"].select("customer_id").union(after["customers"].select("customer_id")).distinct()
    assert known.count() == CUSTOMERS


def test_a_customer_comes_first_as_before_the_change(small, settings):
    day = date(2026, 6, 30)
    cut = span(settings, day, 1)[1] + 7200
    early = arrived(small, settings, until=day)["customers"]
    assert early.where(F.unix_seconds("updated_at") >= cut).isEmpty()
    assert early.where(F.unix_seconds("email_consent_at") >= cut).isEmpty()
    assert dict(early.dtypes) == dict(small["customers"].dtypes)


def test_files_hold_the_rows(spark, settings, small, tmp_path):
    places = export_files(arrived(small, settings, until=date(2026, 11, 20)), str(tmp_path))
    assert set(places) == set(INPUTS)
    order = json.loads(next(Path(places["orders"]).glob("*.json")).read_text().splitlines()[0])
    assert order["ordered_at"].endswith("Z") and order["items"][0]["product_id"].startswith("cd")
    assert not set(order) & set(LOAD_COLUMNS)
    lists = spark.read.option("header", "true").csv(places["lists"])
    assert lists.columns == list(INPUTS["lists"].columns)
    expected = [name for name in columns(settings, "events") if name not in LOAD_COLUMNS]
    assert spark.read.parquet(places["events"]).columns == expected


@pytest.mark.parametrize("table", ["events", "orders"])
def test_bulk_files_each_cover_a_short_time(bulk, table):
    frame, time = bulk.read(table), INPUTS[table].time
    visits = frame.where("event_id LIKE 'b%'") if table == "events" else frame
    files = (
        visits.groupBy(F.col("_metadata.file_path").alias("file"))
        .agg(F.min(time).alias("first"), F.max(time).alias("last")).orderBy("first").collect()
    )
    assert len(files) > 3
    for earlier, later in zip(files, files[1:], strict=False):
        assert (later["first"] - earlier["last"]).total_seconds() > -3600


# The demo's conf


def test_the_demo_definitions_hold(settings):
    loaded = load_segments(CONF.parent / "segments", settings.names())
    assert not loaded.issues
    assert len(loaded.segments) >= 12
    assert {segment.kind for segment in loaded.segments} == {"dynamic", "static"}
    assert {segment.status for segment in loaded.segments} == {"active", "inactive"}
    assert all(len(segment.description) > 80 for segment in loaded.segments)
