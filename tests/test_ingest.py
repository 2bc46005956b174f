"""Loading files: values, reasons, merging, thresholds, schema changes."""

from __future__ import annotations

import csv
import datetime as dt
import hashlib
import json
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest
from pyspark.sql import functions as F
from pyspark.sql import types as T

from segment_lib.errors import InputError, LockedError, UsageError
from segment_lib.ingest import ingest, stretches
from segment_lib.ingest_files import find_files
from segment_lib.lease import Lease
from segment_lib.objects import LocalObjects
from segment_lib.rowchecks import Field, Raw, check, data_type
from segment_lib.settings import Settings
from segment_lib.storage import Lake

NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.timezone.utc)
BERLIN = "Europe/Berlin"


def conf(tmp_path: Path, reject: float = 1.0, **more) -> Settings:
    return Settings(root=str(tmp_path / "lake"), ingest={"max_reject_rate": reject, **more.pop("ingest", {})}, **more)


def write_csv(path: Path, header: str, *rows: tuple) -> str:
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([header.split(), *rows])
    return str(path)


def load(spark, settings: Settings, table: str, load_id: str, *files: str, now=NOW, **more):
    return ingest(Lake(spark, settings), settings, table, files, now, load_id, **more)


def reasons(lake: Lake, load_id: str) -> dict[int, str]:
    return {row["row"]: row["reason"] for row in lake.read("quarantine").where(F.col("load_id") == load_id).collect()}


# -- single values: all cases of one type in one Spark action

CASES = {
    ("timestamp", BERLIN, None): [
        ("2026-01-05", "2026-01-04 23:00:00"),
        ("2026-07-05T10:00", "2026-07-05 08:00:00"),
        ("2026-1-5 7:08:09.5", "2026-01-05 06:08:09.500000"),
        (" 2026-01-05 10:00:00 ", "2026-01-05 09:00:00"),
        ("2026-01-05T10:00:00Z", "2026-01-05 10:00:00"),
        ("2026-01-05 10:00:00 UTC", "2026-01-05 10:00:00"),
        ("2026-01-05T10:00:00+05:30", "2026-01-05 04:30:00"),
        ("2026-01-05 10:00:00-0800", "2026-01-05 18:00:00"),
        ("2026-03-29 02:30:00", "2026-03-29 01:30:00"),  # skipped by the clock change: an hour later
        ("2026-10-25 02:30:00", "2026-10-25 00:30:00"),  # occurs twice: the first
        ("2024-02-29", "2024-02-28 23:00:00"),
        ("2026-02-29", "bad"), ("2026-01-05 25:00:00", "bad"), ("2026", "bad"), ("2026-01", "bad"),
        ("T10:00", "bad"), ("now", "bad"), ("1767571200", "bad"), ("05.01.2026", "bad"), ("", None),
        ("\u00a0\t ", None), (None, None),
    ],
    ("timestamp", BERLIN, "dd.MM.yyyy HH:mm"): [
        ("05.01.2026 10:00", "2026-01-05 09:00:00"), ("2026-01-05 10:00", "bad"),
    ],
    ("timestamp", BERLIN, "yyyy-MM-dd'T'HH:mmXXX"): [("2026-01-05T10:00+02:00", "2026-01-05 08:00:00")],
    ("timestamp", BERLIN, "epoch_millis"): [("1767571200500", "2026-01-05 00:00:00.500000"), ("x", "bad")],
    ("date", BERLIN, None): [
        ("2024-02-29", "2024-02-29"), ("2026-1-5", "2026-01-05"), ("2026-01-05T23:30:00Z", "2026-01-06"),
        ("2026-02-29", "bad"), ("2026", "bad"), ("today", "bad"), (" ", None),
    ],
    ("date", BERLIN, "MM/dd/yyyy"): [("02/29/2024", "2024-02-29"), ("29/02/2024", "bad")],
    ("decimal(18,4)", "UTC", None): [
        ("12", "12.0000"), (" -1.23455 ", "-1.2346"), ("1e3", "1000.0000"),
        ("99999999999999.9999", "99999999999999.9999"),
        ("999999999999999", "bad"), ("1,234.50", "bad"), ("12 EUR", "bad"), ("", None),
        ("NaN", "nan"), ("inf", "nan"), ("-Infinity", "nan"),
    ],
    ("bigint", "UTC", None): [
        ("7", "7"), ("12.0", "12"), ("-3", "-3"), ("12.5", "bad"), ("9223372036854775808", "bad"),
        ("nan", "nan"),
        ("seven", "bad"), (None, None),
    ],
    ("boolean", "UTC", None): [
        ("true", "True"), ("No", "False"), ("1", "True"), ("f", "False"), ("2", "bad"), ("maybe", "bad"), ("", None),
    ],
    ("string", "UTC", None): [("007", "007"), (" x ", " x "), (" \t\r\n\v\f\u00a0", None), ("", None)],
    ("array<string>", "UTC", None): [
        ('["a", " ", 2]', "['a', '2']"), ("[]", "[]"), ("null", None), ("a,b", "bad"), ('["a"', "bad"), (" ", None),
    ],
}


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(filter(None, case)))
def test_text_becomes_a_value_or_a_fault(spark, case):
    kind, zone, pattern = case
    table = CASES[case]
    frame = spark.createDataFrame([(i, text) for i, (text, _) in enumerate(table)], "i int, text string")
    raw = Raw(F.col("text"), T.StringType(), zone, pattern)
    fields = [Field("x", data_type(kind), raw), Field("list_id", T.StringType(), None)]
    checked = check(frame, "lists", fields, Settings(), keep=("i",))
    # Python shows times in the zone of this machine, Spark in UTC.
    shown = F.date_format("x", "yyyy-MM-dd HH:mm:ss.SSSSSS") if kind == "timestamp" else F.col("x")
    for row in checked.select("i", shown.alias("x"), "_reasons").collect():
        text, expected = table[row["i"]]
        faults = {"bad": ["bad_type:x"], "nan": ["nan:x"]}.get(expected, [])
        assert row["_reasons"] == faults, text
        value = None if row["x"] is None else str(row["x"]).removesuffix(".000000")
        assert value == (None if faults else expected), text


STORED = [
    # stored type, SQL value, our type, expected value or fault
    ("double", "double('NaN')", "decimal(18,4)", "nan"), ("float", "float('inf')", "bigint", "nan"),
    ("double", "2.5D", "bigint", "bad"), ("double", "3D", "int", 3), ("int", "7", "string", "7"),
    ("double", "17D", "string", "17"), ("double", "double('NaN')", "string", None),
    ("bigint", "3000000000", "int", "bad"), ("boolean", "true", "bigint", "bad"),
    ("int", "1", "boolean", True), ("int", "2", "boolean", "bad"),
    ("date", "DATE'2026-01-05'", "timestamp", "2026-01-04 23:00:00"),
    ("bigint", "1767571200", "timestamp", "bad"),
    ("timestamp_ntz", "TIMESTAMP_NTZ'2026-01-05 10:00:00'", "timestamp", "2026-01-05 09:00:00"),
    ("timestamp", "TIMESTAMP'2026-01-05 23:30:00'", "date", dt.date(2026, 1, 6)),
    ("array<int>", "array(1, null)", "array<string>", ["1"]),
    ("map<string,int>", "map('a', 1)", "array<string>", "bad"),
]


def test_stored_types_become_ours(spark):
    values = (f"cast({value} AS {stored}) AS s{i}" for i, (stored, value, *_) in enumerate(STORED))
    frame = spark.range(1).selectExpr(*values)
    fields = [
        Field(f"x{i}", data_type(kind), Raw(F.col(f"s{i}"), data_type(stored), BERLIN))
        for i, (stored, _, kind, _) in enumerate(STORED)
    ]
    checked = check(frame, "lists", fields, Settings())
    times = {f"x{i}": F.col(f"x{i}").cast("string") for i, case in enumerate(STORED) if case[2] == "timestamp"}
    row = checked.withColumns(times).first()
    reason = {"bad": "bad_type", "nan": "nan"}
    expected = {f"{reason[e]}:x{i}" for i, (*_, e) in enumerate(STORED) if e in ("bad", "nan")}
    assert set(row["_reasons"]) == expected
    for i, (*_, value) in enumerate(STORED):
        assert row[f"x{i}"] == (None if value in ("bad", "nan") else value), STORED[i]


# -- whole loads

EVENTS = [
    # event_id, customer_id, event_type, occurred_at, amount, level -> reason
    (("1", "c", "view", "2026-02-01", "1", "3"), None),
    (("2", "", "view", "2026-02-01", "", ""), "missing_customer_id"),
    (("3", " \u00a0", "view", "2026-02-01", "", ""), "missing_customer_id"),
    (("", "c", "view", "2026-02-01", "", ""), "missing_event_id"),
    (("5", "c", "view", "", "", ""), "missing_occurred_at"),
    (("6", "c", "view", "soon", "", ""), "bad_type:occurred_at"),
    (("7", "c", "view", "2026-02-01", "NaN", ""), "nan:amount"),
    (("8", "c", "view", "2026-02-01", "1,5", ""), "bad_type:amount"),
    (("9", "c", "view", "2026-03-01T12:15:01Z", "", ""), "future_time"),
    (("10", "c", "view", "2026-03-01T12:15:00Z", "", ""), None),
    (("11", "c", "view", "1989-12-31", "", ""), "too_early"),
    (("12", "c", "view", "2026-02-01", "", "high"), "bad_type:level"),
    (("13", "c", "view", "2026-02-01", "x", "high"), "bad_type:amount; bad_type:level"),
    (("14", "c", "view", "2026-02-01", "1"), "malformed"),
    (("15", "c", "view", "2026-02-01", "1", "2", "3"), "malformed"),
    (("16", 'say "hi",\nplease', "view", "2026-02-01", "", ""), None),
]


def test_every_rejected_row_is_kept_with_its_reason_and_place(spark, tmp_path):
    settings = conf(tmp_path, catalogue={"event_fields": {"level": "integer"}})
    header = "event_id customer_id event_type occurred_at amount level"
    path = write_csv(tmp_path / "e[1].csv", header, *(row for row, _ in EVENTS))
    result = load(spark, settings, "events", "l1", path)
    lake = Lake(spark, settings)
    assert reasons(lake, "l1") == {i + 1: reason for i, (_, reason) in enumerate(EVENTS) if reason}
    assert (result.rows, result.accepted, result.rejected, result.inserted) == (16, 3, 13, 3)
    assert result.by_reason == Counter(reason.split("; ")[0] for _, reason in EVENTS if reason)
    stored = {row["event_id"]: row for row in lake.read("events").collect()}
    assert stored["1"]["level"] == 3 and stored["1"]["amount"] == Decimal(1) and stored["1"]["_load_id"] == "l1"
    assert stored["16"]["customer_id"] == 'say "hi",\nplease'
    kept = {row["row"]: row for row in lake.read("quarantine").collect()}
    assert json.loads(kept[8]["record"])["amount"] == "1,5" and kept[14]["record"] == "14,c,view,2026-02-01,1"
    assert kept[8]["file"] == path and kept[8]["table"] == "events"


def test_loads_merge_by_key_and_loading_twice_changes_nothing(spark, tmp_path):
    settings = conf(tmp_path, reject=0.0, time_zone=BERLIN)
    header = "order_id customer_id ordered_at status revenue updated_at gift"
    first = write_csv(tmp_path / "a.csv", header,
                      ("1", "c", "2026-01-05", "paid", "10", "2026-01-06", "no"),
                      ("2", "c", "2026-01-05 23:30:00", "paid", "20", "", "no"),
                      ("2", "c", "2026-01-05 23:30:00", "paid", "21", "", "no"),  # the later row of equal ones
                      ("3", "c", "2026-01-31", "paid", "30", "2026-02-02", "no"),
                      ("3", "c", "2026-01-31", "paid", "31", "2026-02-01", "no"))  # later row, older update

    def stored() -> dict[str, tuple]:
        rows = Lake(spark, settings).read("orders").collect()
        found = {r["order_id"]: (str(r["revenue"]), r["status"], r["gift"], r["_load_id"]) for r in rows}
        assert len(found) == len(rows)
        return found

    result = load(spark, settings, "orders", "l1", first)
    assert (result.inserted, result.superseded, result.outcome) == (3, 2, "loaded")
    before = {n: (amount, "paid", "no", "l1") for n, amount in (("1", "10.0000"), ("2", "21.0000"), ("3", "30.0000"))}
    assert stored() == before
    again = load(spark, settings, "orders", "l2", first)
    assert (again.inserted, again.updated, again.outcome) == (0, 0, "unchanged")
    assert stored() == before and Lake(spark, settings).version("orders") == 0

    # A late correction, a stale one, one without a stamp, and an unseen order. The absent column keeps its values.
    second = write_csv(tmp_path / "b.csv", header.replace("gift", "note"),
                       ("1", "c", "2026-01-05", "refunded", "10", "2026-01-07", ""),
                       ("2", "c", "2026-01-05 22:30:00+00:00", "paid", "22", "", "x"),
                       ("3", "c", "2026-01-31", "cancelled", "30", "2026-02-01", "x"),
                       ("4", "c", "2026-02-03", "paid", "40", "", "x"))
    result = load(spark, settings, "orders", "l3", second)
    assert (result.inserted, result.updated) == (1, 2)
    assert stored() == {
        "1": ("10.0000", "refunded", "no", "l3"), "2": ("22.0000", "paid", "no", "l3"), "3": before["3"],
        "4": ("40.0000", "paid", None, "l3")}
    lake = Lake(spark, settings)
    assert lake.version("orders") == 1
    # An older load that is run again does not undo a newer one.
    assert load(spark, settings, "orders", "l1", first).outcome == "unchanged"
    log = {(row["load_id"], row["outcome"], row["rows"]) for row in lake.read("loads").collect()}
    assert log == {("l1", "loaded", 5), ("l2", "unchanged", 5), ("l3", "loaded", 4), ("l1", "unchanged", 5)}
    assert lake.staged_runs() == []


def test_a_load_with_too_many_rejects_changes_no_table(spark, tmp_path):
    settings = conf(tmp_path, reject=0.25)
    path = write_csv(tmp_path / "c.csv", "customer_id birthday",
                     ("secret-1", "2000-01-01"), ("secret-2", "yesterday"), ("", ""), ("", ""))
    with pytest.raises(InputError) as stopped:
        load(spark, settings, "customers", "l1", path)
    message = str(stopped.value)
    assert "3 of 4 rows" in message and "missing_customer_id 2, bad_type:birthday 1" in message and "l1" in message
    assert "secret" not in message and "yesterday" not in message
    lake = Lake(spark, settings)
    assert not lake.exists("customers") and len(reasons(lake, "l1")) == 3
    assert [row["outcome"] for row in lake.read("loads").collect()] == ["stopped"]


def test_all_formats_and_orders_of_columns_through_one_mapping(spark, tmp_path):
    columns = {
        "order_id": "no", "customer_id": "buyer.id",
        "ordered_at": {"source": "when", "format": "dd.MM.yyyy", "zone": BERLIN}, "status": {"value": "paid"},
        "revenue": "total", "colour": "Colour of wrap",
    }
    rates = [{"currency": "USD", "since": "2026-01-01", "rate": "0.5"}]
    settings = conf(tmp_path, inputs={"orders": {"columns": columns}}, ingest={"rates": rates})
    folder = tmp_path / "in put"
    folder.mkdir()
    head = ["no", "buyer.id", "when", "total", "items", "Colour of wrap", "currency"]
    line = [{"product_id": "tea", "quantity": 2, "unit_price": "1.50"}]
    with open(folder / "a.csv", "w", newline="") as file:
        csv.writer(file).writerows([head, ["1", "c", "05.01.2026", "10", json.dumps(line), "red", "usd"]])
    with open(folder / "b.csv", "w", newline="", encoding="utf-8-sig") as file:
        csv.writer(file).writerows([head[::-1], ["XXX", "", "", "7", "05.01.2026", "c", "2"]])
    (folder / "c.tsv").write_text("\t".join(head) + "\n3\tc\t05.01.2026\t30\t\t\t\n")
    objects = [{"no": 4, "buyer": {"id": "c"}, "when": "05.01.2026", "total": 40.10, "items": line},
               {"no": "5", "buyer": {"id": None}, "when": "05.01.2026", "total": 1}]
    (folder / "d.jsonl").write_text("\n".join(map(json.dumps, objects)) + "\n{broken\n")
    (folder / "_SUCCESS").write_text("")
    schema = ("no int, buyer struct<id:string>, when string, total double, `Colour of wrap` string, "
              "items array<struct<product_id:string,quantity:bigint,unit_price:double>>")
    last = spark.createDataFrame([(6, ("c",), "05.01.2026", 60.0, None, [("tea", 2, 1.5)])], schema)
    last.coalesce(1).write.parquet(str(folder / "e.parquet"))

    result = load(spark, settings, "orders", "l1", str(folder))
    assert result.by_reason == {"malformed": 1, "missing_customer_id": 1, "unknown_currency": 1}
    lake = Lake(spark, settings)
    found = {row["order_id"]: row for row in lake.read("orders").collect()}
    assert {n: str(row["revenue"]) for n, row in found.items()} == {
        "1": "5.0000", "3": "30.0000", "4": "40.1000", "6": "60.0000"}
    lines = {
        number: [(line["product_id"], line["quantity"], str(line["unit_price"])) for line in row["items"] or ()]
        for number, row in found.items()
    }
    assert lines == {"1": [("tea", 2, "0.7500")], "3": [], "4": [("tea", 2, "1.5000")], "6": [("tea", 2, "1.5000")]}
    assert found["1"]["currency"] == "USD" and found["1"]["colour"] == "red"
    assert "buyer" not in lake.read("orders").columns
    times = lake.read("orders").select(F.col("ordered_at").cast("string")).distinct().collect()
    assert times == [("2026-01-04 23:00:00",)]
    places = {(Path(row["file"]).name, row["row"], row["reason"]) for row in lake.read("quarantine").collect()}
    assert places == {
        ("b.csv", 1, "unknown_currency"), ("d.jsonl", 2, "missing_customer_id"), ("d.jsonl", 3, "malformed")}


def test_a_column_that_changed_its_type_stops_the_load(spark, tmp_path):
    settings = conf(tmp_path)
    first, second = str(tmp_path / "a.parquet"), str(tmp_path / "b.parquet")
    spark.sql("SELECT '1' AS customer_id, 7 AS visits, 'x' AS plan").write.parquet(first)
    spark.sql("SELECT '2' AS customer_id, 'many' AS visits").write.parquet(second)
    load(spark, settings, "customers", "l1", first)
    with pytest.raises(InputError, match="'visits' is int in the table and string in this load"):
        load(spark, settings, "customers", "l2", second)
    spark.sql("SELECT '2' AS customer_id, 1 AS Visits").write.parquet(second, mode="overwrite")
    with pytest.raises(InputError, match="'Visits' differs only by case"):
        load(spark, settings, "customers", "l3", second)
    # Stored as text, declared a number since: it is checked as a number and stored as the table has it.
    declared = conf(tmp_path, catalogue={"customer_fields": {"plan": "integer"}})
    path = write_csv(tmp_path / "c.csv", "customer_id plan", ("2", "5"), ("3", "five"))
    assert load(spark, declared, "customers", "l4", path).by_reason == {"bad_type:plan": 1}
    lake = Lake(spark, declared)
    assert sorted(map(tuple, lake.read("customers").select("customer_id", "visits", "plan").collect())) == [
        ("1", 7, "x"), ("2", None, "5")]
    assert lake.version("customers") == 1


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "", "the file is empty"),
        ("a.csv", "customer_id,Email,email\n", "differ only by case or not at all: Email, email"),
        ("a.csv", "customer_id,\n", "column 2 has no name"),
        ("a.csv", "customer_id,my note\n", "'my note' cannot name a column"),
        ("a.csv", "customer_id,_load_id\n", "'_load_id' cannot name a column"),
        ("a.csv", "customerid,email\n", "no column 'customer_id': did you mean 'customerid'"),
        ("a.parquet", "not parquet", "the file cannot be read"),
        ("a.jsonl", '{"customer_id":"1","a":1,"A":2}\n', "a.jsonl.*(cannot be read|differ only by case)"),
    ],
)
def test_files_that_cannot_be_used_are_named(spark, tmp_path, name, content, message):
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(InputError, match=message) as refused:
        load(spark, conf(tmp_path), "customers", "l1", str(path))
    assert name in str(refused.value)


def test_wrong_use(spark, tmp_path):
    settings = conf(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.md").write_text("x")
    for act, error, message in (
        (lambda: load(spark, settings, "order", "l", "x"), UsageError, "did you mean 'orders'"),
        (lambda: load(spark, settings, "orders", "l", str(tmp_path / "absent.csv")), InputError, "no such file"),
        (lambda: load(spark, settings, "orders", "l", str(tmp_path / "empty")), UsageError, "no files"),
        (lambda: load(spark, settings, "orders", "l", str(tmp_path / "notes.md")), UsageError, "not tell the format"),
        (lambda: load(spark, settings, "orders", "l", "x", fmt="xml"), UsageError, "no format"),
        (lambda: load(spark, settings, "orders", "l", "x", now=NOW.replace(tzinfo=None)), UsageError, "time zone"),
    ):
        with pytest.raises(error, match=message):
            act()
    lake = Lake(spark, settings)
    other = Lease(LocalObjects(lake.home), "shop", "other", name="_ingest_orders.json")
    with other, pytest.raises(LockedError):
        load(spark, settings, "orders", "l", "x")
    assert find_files(lake, [str(tmp_path / "notes.md")] * 2, "csv") == {"csv": [str(tmp_path / "notes.md")]}


def test_merged_and_erased_customers_are_honoured_when_loading(spark, tmp_path):
    settings = conf(tmp_path)
    path = write_csv(tmp_path / "x.csv", "customer_id erased_at", ("gone", ""), ("", ""))
    assert load(spark, settings, "erasures", "l1", path).by_reason == {"missing_customer_id": 1}
    lake = Lake(spark, settings)
    assert lake.read("erasures").columns == ["customer_hash", "erased_at", "_load_id", "_loaded_at"]
    assert [row["record"] for row in lake.read("quarantine").collect()] == [None]

    # Whoever keeps no ids hands over their hashes.
    path = write_csv(tmp_path / "h.csv", "customer_hash", (hashlib.sha256(b"shop\x1fwas-here").hexdigest(),), ("x",))
    hashed = load(spark, settings, "erasures", "l1h", path)
    assert (hashed.inserted, hashed.by_reason) == (1, {"bad_type:customer_hash": 1})

    path = write_csv(tmp_path / "a.csv", "customer_id canonical_id", ("a", "b"), ("b", "c"), ("was-gone", "gone"))
    assert load(spark, settings, "aliases", "l2", path).inserted == 3
    path = write_csv(tmp_path / "b.csv", "customer_id canonical_id", ("c", "a"))
    with pytest.raises(InputError, match="aliases: 3 ids"):
        load(spark, settings, "aliases", "l3", path)
    assert Lake(spark, settings).version("aliases") == 0

    visitors = enumerate(["a", "b", "c", "d", "gone", "was-gone", "was-here"])
    path = write_csv(tmp_path / "e.csv", "event_id customer_id event_type occurred_at",
                     *((str(i), who, "view", "2026-01-05") for i, who in visitors))
    result = load(spark, settings, "events", "l4", path)
    assert (result.accepted, result.erased, result.inserted, result.superseded) == (7, 3, 4, 0)
    stored = {row["event_id"]: row["customer_id"] for row in Lake(spark, settings).read("events").collect()}
    assert stored == {"0": "c", "1": "c", "2": "c", "3": "d"}

    path = write_csv(tmp_path / "c.csv", "customer_id email", ("a", "x@a"), ("c", "x@c"), ("was-gone", "x@g"))
    assert load(spark, settings, "customers", "l5", path).erased == 1
    lake = Lake(spark, settings)
    assert [(row["customer_id"], row["email"]) for row in lake.input("customers").collect()] == [("c", "x@c")]


def test_a_list_by_file(spark, tmp_path):
    settings = conf(tmp_path, catalogue={"lists": ("vips", "press")})

    def listed() -> set[tuple[str, str]]:
        return {(row["list_id"], row["customer_id"]) for row in Lake(spark, settings).read("lists").collect()}

    both = write_csv(tmp_path / "both.csv", "list_id customer_id", ("vips", "a"), ("vips", "b"), ("press", "b"))
    load(spark, settings, "lists", "l1", both)
    path = write_csv(tmp_path / "vips.csv", "customer_id", ("b",), ("c",))
    assert load(spark, settings, "lists", "l2", path, list_id="vips").inserted == 1
    assert listed() == {("vips", "a"), ("vips", "b"), ("vips", "c"), ("press", "b")}
    whole = load(spark, settings, "lists", "l3", path, list_id="vips", replace=True)
    assert (whole.removed, whole.outcome) == (1, "loaded")
    assert listed() == {("vips", "b"), ("vips", "c"), ("press", "b")}
    assert load(spark, settings, "lists", "l4", path, list_id="vips", replace=True).outcome == "unchanged"
    nobody = write_csv(tmp_path / "nobody.csv", "customer_id", ("",))
    for options, error, message in (
        ({"list_id": "vips", "replace": True}, InputError, "would empty the list vips"),
        ({"list_id": "vip"}, UsageError, "did you mean 'vips'"), ({"replace": True}, UsageError, "name it with --list"),
    ):
        with pytest.raises(error, match=message):
            load(spark, settings, "lists", "l5", nobody, **options)
    with pytest.raises(UsageError, match="not with orders"):
        load(spark, settings, "orders", "l5", nobody, list_id="vips")
    assert len(listed()) == 3


@pytest.mark.parametrize(
    ("days", "most", "expected"),
    [([], 3, []), ([5], 3, [(5, 5)]), ([1, 2, 3], 1, [(1, 3)]), ([1, 9, 11, 30], 3, [(1, 1), (9, 11), (30, 30)]),
     ([1, 30], 1, [(1, 30)])],
)
def test_days_become_few_stretches(days, most, expected):
    found = stretches([dt.date(2026, 1, day) for day in days], most)
    assert [(a.day, b.day) for a, b in found] == expected
