"""The lake: paths, versions, partitions, tables used in place, aliases and erasures."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
from decimal import Decimal

import pytest
from delta import DeltaTable

from segment_lib.errors import InputError, StorageError
from segment_lib.settings import IngestSection, InputSection, Rate, Settings
from segment_lib.storage import Lake
from segment_lib.tables import INPUTS, OUTPUTS

DAY = dt.date(2026, 1, 31)
NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.timezone.utc)


def rows(frame) -> list[tuple]:
    return sorted(map(tuple, frame.collect()), key=str)


def erased(tenant: str, *ids: str) -> list[tuple]:
    return [(hashlib.sha256(f"{tenant}\x1f{i}".encode()).hexdigest(), None) for i in ids]


# -- paths; none of these needs Spark


@pytest.mark.parametrize(
    "tenant", ["*", "{a,b}", "[a-g]", "..", "a/../b", "a/b", "a%2Fb", "A", "a ", "a.", "", "a\n", "_a"]
)
def test_tenant_ids_that_could_name_another_folder_are_refused(tmp_path, tenant):
    settings = Settings(root=str(tmp_path)).model_copy(update={"tenant": tenant})
    with pytest.raises(StorageError, match="is not a tenant id"):
        Lake(None, settings)


def test_a_link_out_of_the_tenant_is_refused(tmp_path):
    (tmp_path / "globex" / "events").mkdir(parents=True)
    (tmp_path / "acme").mkdir()
    os.symlink(tmp_path / "globex", tmp_path / "linked")
    os.symlink(tmp_path / "globex" / "events", tmp_path / "acme" / "events")
    os.symlink(tmp_path / "globex", tmp_path / "acme" / "_staging")
    acme = Lake(None, Settings(root=str(tmp_path), tenant="acme"))
    for act in (
        lambda: Lake(None, Settings(root=str(tmp_path), tenant="linked")).path("events"),
        lambda: acme.path("events"),
        lambda: acme.staged("x", "run-1", None),
    ):
        with pytest.raises(StorageError, match="symbolic link"):
            act()
    os.symlink(tmp_path, tmp_path.parent / f"{tmp_path.name}-link")
    through = Lake(None, Settings(root=str(tmp_path.parent / f"{tmp_path.name}-link"), tenant="acme"))
    assert through.path("orders").endswith("/acme/orders")


def test_a_table_in_place_may_not_be_another_tenants(tmp_path):
    def path(where: str) -> str:
        inputs = {"events": InputSection(path=str(tmp_path / where))}
        return Lake(None, Settings(root=str(tmp_path / "lake"), tenant="acme", inputs=inputs)).path("events")

    assert path("warehouse/events") and path("lake/acme/other")
    for where in ("lake/globex/events", "lake/acme2/events", "lake/acme/../globex/events", "lake"):
        with pytest.raises(StorageError, match="another tenant"):
            path(where)


@pytest.mark.parametrize("name", ["..", "a/b", "", ".x", "*"])
def test_names_of_staged_data_are_plain(tmp_path, name):
    with pytest.raises(StorageError):
        Lake(None, Settings(root=str(tmp_path))).staged(name, "run", None)


def test_unknown_tables_and_roots(tmp_path):
    with pytest.raises(StorageError, match="did you mean 'events'"):
        Lake(None, Settings(root=str(tmp_path))).path("event")
    with pytest.raises(StorageError, match=r"must not contain '\.\.'"):
        Lake(None, Settings(root="s3a://bucket/a/../b"))
    assert Lake(None, Settings(root="s3://bucket/lake/")).path("events") == "s3a://bucket/lake/shop/events"


# -- tables


def change(run, base=None, customer="c"):
    return (DAY, run, base, "s", customer, "entered", "data")


def changes(lake, *given):
    return lake.spark.createDataFrame(list(given), lake.schema("membership_changes"))


def test_replace_is_repeatable_exact_about_null_and_refuses_what_lies_outside(spark, tmp_path):
    # A root whose name is a glob must neither fail nor match its neighbour.
    (tmp_path / "a1").mkdir()
    lake = Lake(spark, Settings(root=str(tmp_path / "a[1] {b,c}*")))
    assert lake.version("membership_changes") is None and not lake.exists("membership_changes")
    assert lake.read("membership_changes").schema == lake.schema("membership_changes")

    base = {"snapshot_date": DAY, "run_id": "r2"}
    lake.append("membership_changes", changes(lake, change("r1"), change("r2", "r'0"), change("r2", None, "old")), "r2")
    for _ in range(2):
        new = changes(lake, change("r2", None, "new"))
        lake.replace("membership_changes", new, {**base, "base_run_id": None}, "r2")
    expected = sorted([change("r1"), change("r2", "r'0"), change("r2", None, "new")], key=str)
    assert rows(lake.read("membership_changes")) == expected
    with pytest.raises(StorageError, match="membership_changes.*DELTA_REPLACE_WHERE_MISMATCH"):
        lake.replace("membership_changes", changes(lake, change("r3")), {**base, "base_run_id": None}, "r2")
    with pytest.raises(StorageError, match="no column oops"):
        lake.append("membership_changes", changes(lake).selectExpr("1 AS oops"), "r2")

    pinned = lake.version("membership_changes")
    assert pinned == 2
    lake.delete("membership_changes", {"run_id": "r2", "base_run_id": "r'0"}, "r4")
    assert len(rows(lake.read("membership_changes"))) == 2
    assert rows(lake.read("membership_changes", pinned)) == expected

    history = DeltaTable.forPath(spark, lake.path("membership_changes")).history().collect()
    assert [json.loads(h["userMetadata"])["run_id"] for h in history] == ["r4", "r2", "r2", "r2"]
    detail = DeltaTable.forPath(spark, lake.path("membership_changes")).detail().first()
    assert detail["partitionColumns"] == ["snapshot_date", "run_id"]

    staged = lake.stage("per-customer", "r1", changes(lake, change("r1")))
    assert rows(staged) == [change("r1")] and lake.staged_runs() == ["r1"]
    assert rows(lake.staged("per-customer", "r1", staged.schema)) == [change("r1")]
    lake.drop_staging("r1")
    assert lake.staged_runs() == []
    assert os.listdir(tmp_path / "a1") == []


def test_tables_that_do_not_exist_read_as_empty_ones(lake):
    for table in [*INPUTS, *OUTPUTS]:
        assert lake.read(table).schema == lake.schema(table)
    assert lake.pin() == {}
    for table in INPUTS:
        names = lake.input(table).columns
        assert names == [*INPUTS[table].columns, "_reject", "_late_at"]


# -- tables used in place

FOREIGN = (
    "id bigint, person string, what string, at string, price double, tags string, plan string, _loaded_at timestamp"
)
IN_PLACE = [
    # id, person, at, price -> reason, or the instant and the amount
    ((1, "c1", "2026-02-01 10:00:00", 1.5), None, "2026-02-01 09:00:00", "1.5000"),
    ((2, "c1", "2026-02-01T10:00:00Z", None), None, "2026-02-01 10:00:00", None),
    ((3, "c1", "2025-07-01", 2.00005), None, "2025-06-30 22:00:00", "2.0001"),
    ((4, " \t\u00a0", "2026-02-01", 1.0), "missing_customer_id", None, None),
    ((5, None, "2026-02-01", 1.0), "missing_customer_id", None, None),
    ((None, "c1", "2026-02-01", 1.0), "missing_event_id", None, None),
    ((7, "c1", "first of May", 1.0), "bad_type:occurred_at", None, None),
    ((8, "c1", "", 1.0), "missing_occurred_at", None, None),
    ((9, "c1", "2026-02-01", float("nan")), "nan:amount", None, None),
    ((10, "c1", "2026-02-01", float("-inf")), "nan:amount", None, None),
    ((11, "c1", "2026-02-01", 1e300), "bad_type:amount", None, None),
    ((12, "c1", "2026-03-02", 1.0), "future_time", None, None),
    ((13, "c1", "1970-01-01", 1.0), "too_early", None, None),
    ((14, "c1", "9999-12-31 23:59:59", 1.0), "future_time", None, None),
]


@pytest.fixture
def foreign(spark, tmp_path):
    path = str(tmp_path / "warehouse" / "clicks")
    data = [(i, p, "view", at, price, '["a", "b"]', "x", NOW) for (i, p, at, price), *_ in IN_PLACE]
    spark.createDataFrame(data, FOREIGN).repartition(1).write.format("delta").save(path)
    section = {
        "path": path,
        "columns": {
            "event_id": "id", "customer_id": "person", "event_type": "what", "occurred_at": "at", "amount": "price",
            "channel": {"value": "web"}, "level": "plan",
        },
    }
    catalogue = {"event_fields": {"level": "integer", "tags": "texts", "absent": "text"}}
    return Settings(
        root=str(tmp_path / "lake"), time_zone="Europe/Berlin", inputs={"events": section}, catalogue=catalogue
    )


def test_a_table_in_place_is_mapped_and_each_row_is_judged(spark, foreign):
    lake = Lake(spark, foreign)
    assert lake.pin() == {"events": 0}
    frame = lake.input("events", 0, now=NOW)
    assert {name: kind for name, kind in frame.dtypes if name in ("level", "_bad_level", "tags", "absent")} == {
        "level": "bigint", "_bad_level": "boolean", "tags": "array<string>", "absent": "string"}
    found = {row["event_id"]: row for row in frame.collect()}
    for (number, *_), reason, at, amount in IN_PLACE:
        row = found[None if number is None else str(number)]
        assert row["_reject"] == reason, number
        if reason is None:
            assert row["occurred_at"].strftime("%Y-%m-%d %H:%M:%S") == at
            assert row["amount"] == (None if amount is None else Decimal(amount))
            # A custom column that is not of its type sets definitions aside, not the row.
            assert (row["level"], row["_bad_level"], row["tags"], row["channel"]) == (None, True, ["a", "b"], "web")
            assert row["_late_at"] is not None and row["updated_at"] is None
    assert lake.input("events", 0).where("_reject = 'future_time'").isEmpty()

    with pytest.raises(StorageError, match="read in place"):
        lake.append("events", frame, "r")
    section = foreign.inputs["events"]
    for column, source, message in (
        ("amount", "prize", "events.*no column 'prize' \\(for 'amount'\\): did you mean 'price'"),
        ("customer_id", "Person", "did you mean 'person'"),
    ):
        wrong = section.model_copy(update={"columns": {**section.columns, column: source}})
        with pytest.raises(InputError, match=message):
            Lake(spark, foreign.model_copy(update={"inputs": {"events": wrong}})).input("events")
    gone = section.model_copy(update={"path": section.path + "-gone"})
    with pytest.raises(InputError, match="no Delta table"):
        Lake(spark, foreign.model_copy(update={"inputs": {"events": gone}})).input("events")


def test_keys_are_checked_on_new_files_only(spark, foreign):
    lake = Lake(spark, foreign)
    path = foreign.inputs["events"].path

    def add(*ids):
        data = [(i, "c", "view", "2026-02-01", 1.0, None, None, None) for i in ids]
        spark.createDataFrame(data, FOREIGN).repartition(1).write.format("delta").mode("append").save(path)

    add(1, 1, 2)  # 1 and 2 are in an older file too; that is not looked at
    add(3, 3, 3, 4, 4)
    assert [lake.new_files("events", a, b) for a, b in ((0, 1), (1, 2), (0, 2), (2, 2), (None, 0))] == [1, 2, 3, 0, 0]
    spark.conf.set("spark.databricks.delta.properties.defaults.enableDeletionVectors", "false")
    DeltaTable.forPath(spark, path).addFeatureSupport("deletionVectors")
    add(7, 7)
    assert lake.new_files("events", lake.version("events") - 1, lake.version("events")) == 1


def test_orders_in_place_are_converted_by_the_dated_rates(spark, tmp_path):
    path = str(tmp_path / "orders")
    columns = (
        "order_id string, customer_id string, ordered_at string, status string, revenue string, currency string, "
        "items array<struct<product_id:string,quantity:double,unit_price:string>>"
    )
    spark.createDataFrame(
        [
            ("1", "c", "2026-01-01", "paid", "10.00", None, [("p", 2.0, "1.00")]),
            ("2", "c", "2026-01-01", "paid", "10.00", "usd ", [("p", 2.0, "1.00")]),
            ("3", "c", "2026-02-01", "paid", "10.00", "USD", []),
            ("4", "c", "2025-12-31", "paid", "10.00", "USD", None),
            ("5", "c", "2026-02-01", "paid", "10.00", "XXX", None),
            ("6", "c", "2026-02-01", "paid", "10.00", "EUR", [("p", 1.5, "1.00")]),
            ("7", "c", "2026-02-01", "paid", "10.00", "EUR", [("p", -1.0, "1.00"), None]),
            ("8", "c", "2026-02-01", "paid", "10.00", "EUR", [("p", 1.0, "NaN")]),
        ],
        columns,
    ).write.format("delta").save(path)
    rates = (Rate(currency="USD", since=dt.date(2026, 2, 1), rate=Decimal("0.8")),
             Rate(currency="USD", since=dt.date(2026, 1, 1), rate=Decimal("0.5")))
    settings = Settings(root=str(tmp_path / "lake"), inputs={"orders": InputSection(path=path)},
                        ingest=IngestSection(rates=rates))
    found = {
        row["order_id"]: (row["_reject"], row["revenue"] and str(row["revenue"]), row["currency"], [
            (line["quantity"], str(line["unit_price"])) for line in row["items"] or ()])
        for row in Lake(spark, settings).input("orders").collect()
    }
    assert found["1"] == (None, "10.0000", None, [(2, "1.0000")])
    assert found["2"] == (None, "5.0000", "USD", [(2, "0.5000")])
    assert found["3"] == (None, "8.0000", "USD", [])
    assert [found[n][0] for n in "45678"] == [
        "unknown_currency", "unknown_currency", "bad_type:items.quantity", "negative_quantity", "nan:items.unit_price"]


# -- aliases, erasures, custom columns of our own tables


def test_aliases_and_erasures_hold_for_every_read(spark, settings):
    lake = Lake(spark, settings)
    ids = ["a", "b", "c", "x", "gone", "old-of-gone", "gone-alias", "kept", None]
    stamp = "TIMESTAMP'2026-01-01 00:00:00'"
    people = spark.createDataFrame([(i,) for i in ids], "customer_id string")
    lake.append("customers", people.where("customer_id IS NOT NULL").selectExpr("*", "customer_id AS email"), "l")
    visits = people.selectExpr("customer_id AS event_id", "*", "'view' AS event_type", f"{stamp} AS occurred_at")
    lake.append("events", visits, "l")
    plain = lake.input("events")._jdf.queryExecution().optimizedPlan().toString()
    assert "Join" not in plain
    # a -> b -> c, x -> itself, and an alias of an erased customer; an alias that is erased under its old id only
    aliases = [("a", "b"), ("b", "c"), ("x", "x"), ("old-of-gone", "gone"), ("gone-alias", "kept")]
    lake.append("aliases", spark.createDataFrame(aliases, "customer_id string, canonical_id string"), "l")
    hashes = erased("shop", "gone", "gone-alias") + erased("globex", "kept")
    lake.append("erasures", spark.createDataFrame(hashes, "customer_hash string, erased_at timestamp"), "l")

    lake = Lake(spark, settings)
    pins = lake.pin()
    events = {row["event_id"]: row["customer_id"] for row in lake.input("events", pins["events"], pins).collect()}
    assert events == {"a": "c", "b": "c", "c": "c", "x": "x", "kept": "kept", None: None}
    customers = [row["customer_id"] for row in lake.input("customers", pins["customers"], pins).collect()]
    assert sorted(customers) == ["c", "kept", "x"]
    assert rows(lake.aliases(pins["aliases"])) == [
        ("a", "c"), ("b", "c"), ("gone-alias", "kept"), ("old-of-gone", "gone")]
    # A run that was pinned before there were aliases maps nothing, and still honours today's erasures.
    early = {row["event_id"]: row["customer_id"] for row in lake.input("events", 0, {"events": 0}).collect()}
    assert early["a"] == "a" and "gone" not in early and "gone-alias" not in early
    assert lake.input("customers", None, {"events": 0}).isEmpty()
    published = spark.createDataFrame([(DAY, "r", "gone", []), (DAY, "r", "kept", [])], lake.schema("memberships"))
    lake.append("memberships", published, "r")
    assert [row["customer_id"] for row in lake.published("memberships").collect()] == ["kept"]


def test_a_cycle_of_aliases_is_an_error_that_names_no_one(lake):
    pairs = [("anna", "bert"), ("bert", "carl"), ("carl", "anna"), ("dora", "anna"), ("emil", "fred"), ("fred", "gina")]
    lake.append("aliases", lake.spark.createDataFrame(pairs, "customer_id string, canonical_id string"), "l")
    with pytest.raises(InputError, match="4 ids") as refused:
        lake.input("events")
    assert not any(name in str(refused.value) for pair in pairs for name in pair)


def test_a_custom_column_whose_declared_type_changed_is_converted(spark, settings):
    Lake(spark, settings).append("customers", spark.createDataFrame(
        [("1", "7"), ("2", "seven"), ("3", None)], "customer_id string, level string"), "l")
    declared = Settings(root=settings.root, catalogue={"customer_fields": {"level": "integer"}})
    frame = Lake(spark, declared).input("customers").select("customer_id", "level", "_bad_level", "_reject")
    assert rows(frame) == [("1", 7, False, None), ("2", None, True, None), ("3", None, False, None)]
