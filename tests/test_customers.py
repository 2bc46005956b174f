"""Lists of a segment's members: columns, masking, places, and files of every format, row by row."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import stat
import tracemalloc
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import openpyxl
import pytest
from commands import result, seglake
from conftest import configured
from pyarrow import parquet
from pyspark.sql import functions as F

from segment_lib import nightly
from segment_lib.api import Tenant
from segment_lib.build import customer, segment
from segment_lib.catalogue import SCORES, Type
from segment_lib.conf import load_settings
from segment_lib.customers import columns as choices
from segment_lib.customers import place, stream, writers
from segment_lib.definition import Loaded
from segment_lib.errors import EXIT_FAILED, EXIT_USAGE, ConfError, StorageError, UsageError
from segment_lib.inputs import customer_hash
from segment_lib.scores import stored_type
from segment_lib.settings import Settings
from segment_lib.storage import Lake
from segment_lib.tables import INPUTS

FIRST, DAY = date(2026, 1, 30), date(2026, 1, 31)
NOW = datetime(2026, 2, 1, 3, tzinfo=UTC)
CONF = """tenant: shop
root: lake
catalogue:
  customer_fields: {tier: text, orders: text, interests: texts, points: integer, joined: timestamp, passport: text}
customers:
  personal_fields: [passport]
"""
ALLOWED = CONF + "  personal_data: allowed\n"
NASTY = {
    "c1": 'Anna "the\nGreat", Ltd.', "c2": "=cmd|' /C calc'!A0", "c3": "Zoë 🦊", "c4": "+SUM(1,2)", "c5": "@here",
    "c6": "-2+3", "c7": "\t=1", "c8": None,
}
#: The customer who is erased after the night.
ERASED = "c9"
CUSTOMERS = (
    "customer_id string, first_name string, email string, phone string, country string, city string, birthday date,"
    " created_at timestamp, tier string, orders string, interests array<string>, points bigint, joined timestamp,"
    " passport string"
)

ORDERS = (
    "order_id string, customer_id string, ordered_at timestamp, status string, revenue decimal(18,4),"
    " refund decimal(18,4)"
)


@pytest.fixture(scope="module")
def project(spark, tmp_path_factory) -> Path:
    """Nine customers, of whom one is erased after the night, and a conf."""
    folder = tmp_path_factory.mktemp("customers")
    (folder / "conf" / "segments").mkdir(parents=True)
    (folder / "conf" / "base.yaml").write_text(CONF)
    (folder / "conf" / "segments" / "germans.yaml").write_text("where: {customer: country, is: DE}\n")
    lake = Lake(spark, load_settings(str(folder / "conf")))
    rows = [
        (
            name, NASTY.get(name, "Erased"), f"{name}@example.com", "+49 30 1234", "DE", "Berlin",
            date(1990 + int(name[1:]), 2, 1), datetime(2025, 1, 1), "gold", "custom", ["tea", 'co"ffee'], -5,
            datetime(2025, 10, 26, 0, 30) if name == "c1" else datetime(2025, 10, 26, 1, 30), f"P{name}",
        )
        for name in [*NASTY, ERASED]
    ]
    rows.append(("other", "Not Me", "x@example.com", None, "FR", None, None, datetime(2025, 1, 1), *[None] * 6))
    frame = spark.createDataFrame([], CUSTOMERS).schema
    values = [
        tuple(value.replace(tzinfo=UTC) if isinstance(value, datetime) else value for value in row) for row in rows
    ]
    lake.append("customers", spark.createDataFrame(values, frame), "load")
    orders = [
        ("o1", "c1", datetime(2026, 1, 5, tzinfo=UTC), "paid", Decimal(100), Decimal(30)),
        ("o2", "c1", datetime(2026, 1, 6, tzinfo=UTC), "cancelled", Decimal(50), None),
        ("o3", "c1", datetime(2026, 2, 6, tzinfo=UTC), "paid", Decimal(9), None),
    ]
    lake.append("orders", spark.createDataFrame(orders, ORDERS), "load")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        seglake("run", "--as-of", FIRST)
        seglake("run", "--as-of", DAY)
    hashed = customer_hash("shop", F.lit(ERASED)).alias("customer_hash")
    hashes = spark.range(1).select(hashed, F.lit(NOW).alias("erased_at"))
    Lake(spark, load_settings(str(folder / "conf"))).append("erasures", hashes, "load")
    return folder


@pytest.fixture
def here(project, monkeypatch) -> Path:
    monkeypatch.chdir(project)
    yield project
    (project / "conf" / "base.yaml").write_text(CONF)


def allowed(project: Path, more: str = "") -> None:
    (project / "conf" / "base.yaml").write_text(ALLOWED + more)


def refused(*arguments: object, segment: str = "germans", code: int = EXIT_USAGE) -> str:
    """What the command says of arguments that it cannot carry out."""
    return result("customers", segment, *arguments, code=code)["error"]["message"]


def read_csv(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle, strict=True))


# Columns -----------------------------------------------------------------------------------------------------------


def test_personal_data_is_masked_by_default(here):
    text = seglake("customers", "germans")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert list(rows[0]) == list(choices.DEFAULT)
    assert [row["customer_id"] for row in rows] == sorted(NASTY)
    assert {row["email"] for row in rows} == {"c***"}
    assert (rows[0]["first_name"], rows[7]["first_name"]) == ("A***", "")
    assert rows[0]["since"] == "2026-01-30" and rows[0]["country"] == "DE"
    assert "example.com" not in text and "Zo" not in text
    assert result("customers", "germans", "--output", "masked.csv")["masked"] == ["first_name", "last_name", "email"]


def test_columns_of_every_kind_come_in_the_order_asked_for(here):
    names = "country,rfm.group,orders,net_revenue,customer.orders,interests"
    names += ",points,joined,passport,birthday,churn.status"
    seglake("customers", "germans", "--columns", names, "--columns", "customer_id", "--output", "kinds.csv")
    rows = read_csv(here / "kinds.csv")
    assert list(rows[0]) == [
        "country", "rfm_group", "orders", "net_revenue", "customer_orders", "interests", "points", "joined", "passport",
        "birthday", "churn_status", "customer_id",
    ]
    first, second = rows[:2]
    # What was ordered after the date does not count; refunds and cancellations count as in the metrics.
    assert (first["orders"], first["net_revenue"], first["customer_orders"]) == ("2", "70.0000", "custom")
    assert (second["orders"], second["net_revenue"]) == ("0", "0.0000")
    assert json.loads(first["interests"]) == ["tea", 'co"ffee'] and first["points"] == "-5"
    assert (first["passport"], first["birthday"], first["churn_status"]) == ("P***", "***", "")
    # In the hour that Berlin has twice, each instant stays itself.
    assert (first["joined"], second["joined"]) == ("2025-10-26T00:30:00Z", "2025-10-26T01:30:00Z")
    assert first["rfm_group"] not in ("", "prospect") and second["rfm_group"] != first["rfm_group"]


def test_totals_are_those_of_the_metrics(here, spark):
    tenant = Tenant(spark, load_settings("conf"))
    members = tenant.customers("germans", columns=choices.TOTALS)
    sums = members.agg(*(F.sum(name).alias(name) for name in choices.TOTALS)).first()
    stored = tenant.metrics("germans", since=DAY).select(*choices.TOTALS).first()
    assert tuple(sums) == tuple(stored)


def test_an_unknown_column_gives_the_nearest_name(here):
    assert refused("--columns", "customer_id,emial") == "there is no column 'emial'; did you mean 'email'?"
    assert "more than once" in refused("--columns", "email,email")
    assert "did you mean 'germans'?" in refused("--output", "x.csv", segment="german")
    assert "2025-01-01 is not published" in refused("--date", "2025-01-01", "--output", "x.csv")


def test_an_earlier_date_has_its_own_age_groups_and_nobody_who_was_erased(here):
    columns = ("--columns", "customer_id,since,age_group")
    seglake("customers", "germans", "--date", FIRST, *columns, "--output", "early.csv")
    rows = read_csv(here / "early.csv")
    assert [row["customer_id"] for row in rows] == sorted(NASTY) and ERASED not in {row["customer_id"] for row in rows}
    assert {row["age_group"] for row in rows} == {"25-34"}


@pytest.mark.parametrize(("birthday", "day", "group"), [
    (date(2008, 2, 1), date(2026, 1, 31), "under 18"), (date(2008, 1, 31), date(2026, 1, 31), "18-24"),
    (date(2008, 2, 29), date(2026, 2, 28), "under 18"), (date(2008, 2, 29), date(2026, 3, 1), "18-24"),
    (date(1961, 1, 31), date(2026, 1, 31), "65+"), (date(1961, 2, 1), date(2026, 1, 31), "55-64"),
    (date(2026, 2, 1), date(2026, 1, 31), None), (None, date(2026, 1, 31), None),
])
def test_age_groups_turn_on_the_birthday(spark, birthday, day, group):
    rows = spark.createDataFrame([(birthday,)], "birthday date")
    found = rows.select(choices.age_group(F.col("birthday"), day, Settings().customers.age_groups)).first()[0]
    assert found == group


def test_the_read_api_gives_the_same_columns(here, spark):
    frame = Tenant(spark, load_settings("conf")).customers("germans", columns=["customer_id", "email", "rfm.group"])
    assert frame.columns == ["customer_id", "email", "rfm_group"]
    assert {row.email for row in frame.collect()} == {"c***"}
    with pytest.raises(UsageError, match="name a segment"):
        Tenant(spark, load_settings("conf")).customers(columns=["email"])


@pytest.mark.parametrize(("text", "said"), [
    ("customers: {personal_fields: [pasport]}", "no customer field is named 'pasport'"),
    ("customers: {personal_fields: [customer_id]}", "customer_id is not masked"),
    ("customers: {age_groups: [30, 20]}", "must ascend"),
    ("customers: {personal_data: maybe}", "is not one of the known values"),
])
def test_faults_of_the_section_are_told(tmp_path, text, said):
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "base.yaml").write_text("catalogue: {customer_fields: {passport: text}}\n" + text)
    with pytest.raises(ConfError, match=said):
        load_settings(str(tmp_path / "conf"))


# Places ------------------------------------------------------------------------------------------------------------


def test_unmasked_data_goes_below_the_personal_path_alone(here):
    allowed(here)
    said = result("customers", "germans")
    file = here / "lake" / "shop" / "personal" / "customers" / "germans-2026-01-31.csv"
    assert (said["path"], said["masked"], said["rows"]) == (str(file), [], len(NASTY))
    assert {row["email"] for row in read_csv(file)} == {f"{name}@example.com" for name in NASTY}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE((here / "lake" / "shop" / "personal").stat().st_mode) == 0o700
    around = ("lake/shop/personal/../list.csv", "lake/shop/personally/list.csv", "s3://bucket/personal/x.csv")
    for elsewhere in ("list.csv", *around):
        message = refused("--output", elsewhere)
        assert "may only be written below" in message and "--masked" in message
    assert not (here / "list.csv").exists()


def test_a_link_out_of_the_personal_path_is_not_followed(here, tmp_path):
    allowed(here)
    (here / "lake" / "shop" / "personal").mkdir(parents=True, exist_ok=True)
    link = here / "lake" / "shop" / "personal" / "out"
    link.symlink_to(tmp_path)
    message = refused("--output", link / "x.csv")
    link.unlink()
    assert "may only be written below" in message and not list(tmp_path.iterdir())


def test_what_is_not_personal_or_is_masked_goes_anywhere(here):
    allowed(here)
    seglake("customers", "germans", "--columns", "customer_id,age_group", "--output", "plain.csv")
    assert list(read_csv(here / "plain.csv")[0]) == ["customer_id", "age_group"]
    seglake("customers", "germans", "--masked", "--output", "hidden.csv")
    assert {row["email"] for row in read_csv(here / "hidden.csv")} == {"c***"}
    assert "c***" in seglake("customers", "germans", "--masked")


def test_conf_names_another_personal_path(here, tmp_path):
    allowed(here, f"  personal_path: {tmp_path}/vault\n")
    assert result("customers", "germans")["path"] == f"{tmp_path}/vault/shop/customers/germans-2026-01-31.csv"
    assert "may only be written below" in refused("--output", "lake/shop/personal/x.csv")
    (here / "conf" / "base.yaml").write_text(ALLOWED + "  personal_path: vault\n")
    assert result("customers", "germans")["path"] == f"{here}/vault/shop/customers/germans-2026-01-31.csv"


def test_an_output_may_be_a_folder(here):
    (here / "lists").mkdir(exist_ok=True)
    assert result("customers", "germans", "--output", "lists")["path"] == f"{here}/lists/germans-2026-01-31.csv"
    said = result("customers", "germans", "--output", "new/", "--format", "parquet")
    assert said["path"] == f"{here}/new/germans-2026-01-31.parquet"
    assert os.listdir(here / "new") == ["germans-2026-01-31.parquet"]


def test_what_cannot_be_written_is_told(here):
    (here / "file").write_text("")
    assert "cannot be written" in refused("--output", "file/x.csv", code=EXIT_FAILED)
    assert "to a folder or to S3" in refused("--output", "gs://b/x.csv", code=EXIT_FAILED)
    assert "needs a file" in refused("--format", "xlsx")
    assert "name it with --output" in refused()
    assert "no format 'xls'" in refused("--format", "xls", "--output", "x")


@pytest.mark.parametrize(("address", "said"), [
    ("s3://", "names no bucket"), ("s3://bucket/my list.csv", "cannot name an object"),
    ("s3://Bucket_1/x.csv", "is not an S3 location"), ("s3://bucket/a/../x.csv", "must not contain '..'"),
])
def test_an_address_of_s3_is_checked_before_anything_is_computed(address, said):
    with pytest.raises(StorageError, match=said):
        place.target(address, "csv", "vip-2026-01-31", None)


def test_a_bucket_is_a_folder():
    for address in ("s3://bucket", "s3a://bucket/"):
        assert place.target(address, "csv", "vip-2026-01-31", None).path == "s3a://bucket/vip-2026-01-31.csv"


def test_a_file_is_there_as_a_whole_or_not_at_all(tmp_path):
    target = place.Target(str(tmp_path / "list.csv"), "csv")
    (tmp_path / "list.csv").write_text("before")
    with pytest.raises(ZeroDivisionError), place.written(target) as file:
        file.write_text("half")
        raise ZeroDivisionError
    assert os.listdir(tmp_path) == ["list.csv"] and (tmp_path / "list.csv").read_text() == "before"


# Formats -----------------------------------------------------------------------------------------------------------


def test_csv_keeps_every_character_and_runs_nothing(here):
    allowed(here)
    file = Path(result("customers", "germans", "--columns", "customer_id,first_name,phone,points")["path"])
    data = file.read_bytes()
    assert not data.startswith(b"\xef\xbb\xbf") and data.endswith(b"\r\n")
    assert b'c1,"Anna ""the\nGreat"", Ltd.",+49 30 1234,-5\r\n' in data
    names = {row["customer_id"]: row["first_name"] for row in read_csv(file)}
    guarded = {"c2", "c4", "c5", "c6"}
    assert names.pop("c7") == "'\t'=1"
    others = {name: text or "" for name, text in NASTY.items() if name != "c7"}
    assert names == {name: f"'{text}" if name in guarded else text for name, text in others.items()}


RUN = ("=1", "+1+1|cmd", "-1+1", "+", "- 1a", "@x", " =1", "\tx", "\rx", "\nx", "\0=1", "＝1", "＋1", "－1", "＠x")


@pytest.mark.parametrize("text", RUN)
def test_what_a_spreadsheet_would_run_gets_an_apostrophe(text):
    assert writers.harmless(text) == f"'{text}"


@pytest.mark.parametrize(("text", "expected"), [
    ("Jo;=1", "Jo;'=1"), ("Jo; =1", "Jo;' =1"), ("Jo\t@x", "Jo\t'@x"), ("Jo\r\n-1+1", "Jo\r\n'-1+1"),
    ("\t=1", "'\t'=1"), ("a;b;+1", "a;b;'+1"), (";;=1", ";;'=1"), ('Jo\n \n=1&"', 'Jo\n \n\'=1&"'),
])
def test_what_another_separator_would_cut_off_runs_nothing_either(text, expected):
    """A spreadsheet set to semicolons or tabs makes cells of its own from what lies between them."""
    assert writers.harmless(text) == expected
    assert not [cell for cell in re.split("[;\t\r\n]", writers.harmless(text)) if cell.strip()[:1] in tuple("=+-@")]


def test_texts_in_a_list_run_nothing_and_stay_a_list():
    target = io.BytesIO()
    writers.write_csv(target, [("interests", "array<string>")], [(["tea;=1+1", "a"],), ([],)])
    (_, (first,), (empty,)) = csv.reader(io.StringIO(target.getvalue().decode(), newline=""), strict=True)
    assert json.loads(first) == ["tea;'=1+1", "a"] and json.loads(empty) == []


@pytest.mark.parametrize("text", ["", "Jane", "1-2", "a=b", "a; b", "+49 30 1234", "-8123456789", "🦊", "'=1"])
def test_other_texts_stay_as_they_are(text):
    assert writers.harmless(text) == text


def test_parquet_keeps_types(here):
    allowed(here)
    names = "customer_id,first_name,since,net_revenue,points,interests,joined,rfm.group"
    file = Path(result("customers", "germans", "--columns", names, "--format", "parquet")["path"])
    table = parquet.read_table(file)
    assert [str(kind) for kind in table.schema.types] == [
        "string", "string", "date32[day]", "decimal128(38, 4)", "int64", "list<element: string>",
        "timestamp[us, tz=UTC]", "string",
    ]
    rows = table.to_pylist()
    assert {row["customer_id"]: row["first_name"] for row in rows} == NASTY
    assert rows[0]["net_revenue"] == Decimal("70.0000") and rows[0]["interests"] == ["tea", 'co"ffee']
    assert rows[0]["joined"] == datetime(2025, 10, 26, 0, 30, tzinfo=UTC) and rows[0]["since"] == FIRST


def test_excel_keeps_texts_as_texts(here):
    allowed(here)
    names = "customer_id,first_name,since,net_revenue,points,joined,interests,phone"
    file = Path(result("customers", "germans", "--columns", names, "--format", "xlsx")["path"])
    sheet = openpyxl.load_workbook(file)["customers"]
    head, *rows = list(sheet.iter_rows())
    assert [cell.value for cell in head] == names.split(",")
    assert {row[0].value: row[1].value for row in rows} == NASTY
    assert {cell.data_type for row in rows for cell in row[1:2] if cell.value} == {"s"}, "none is a formula"
    assert rows[0][2].value == datetime(2026, 1, 30) and rows[0][2].is_date and rows[0][3].value == 70
    assert rows[0][4].value == -5 and rows[0][5].value == "2025-10-26T00:30:00Z" and rows[0][7].value == "+49 30 1234"
    assert os.listdir(file.parent) and not [name for name in os.listdir(file.parent) if name.startswith(".")]


def test_excel_refuses_more_rows_than_it_has(here, monkeypatch):
    monkeypatch.setattr(writers, "EXCEL_ROWS", len(NASTY))
    assert result("customers", "germans", "--output", "full.xlsx")["rows"] == len(NASTY)
    monkeypatch.setattr(writers, "EXCEL_ROWS", len(NASTY) - 1)
    message = result("customers", "germans", "--output", "more.xlsx", code=EXIT_USAGE)["error"]["message"]
    assert "8 customers are more than the 7 rows of an Excel sheet" in message and "--format csv" in message
    assert not (here / "more.xlsx").exists()


def test_excel_changes_nothing_that_it_cannot_hold(tmp_path):
    columns = [("a", "bigint"), ("b", "date"), ("c", "boolean"), ("d", "string")]
    rows = [(10**17, date(1890, 5, 6), True, "x" * writers.EXCEL_CELL), (None, date(1900, 3, 1), False, "a\x07b")]
    assert writers.write_excel(tmp_path / "x.xlsx", columns, rows) == 2
    found = list(openpyxl.load_workbook(tmp_path / "x.xlsx").active.iter_rows(min_row=2, values_only=True))
    assert found[0] == (str(10**17), "1890-05-06", True, "x" * writers.EXCEL_CELL)
    assert found[1][:3] == (None, datetime(1900, 3, 1), False)
    with pytest.raises(UsageError, match="column 'd' is longer than the 32,767 characters"):
        writers.write_excel(tmp_path / "y.xlsx", columns, [(1, None, None, "🦊" * 20_000)])


def test_a_disk_that_refuses_is_told_like_any_other(tmp_path):
    (tmp_path / "x.xlsx").mkdir()
    with pytest.raises(OSError):
        writers.write_excel(tmp_path / "x.xlsx", [("a", "bigint")], [(1,)])


def test_parquet_knows_the_type_of_every_column(tmp_path):
    kinds = {*(kind.ddl for kind in Type), *INPUTS["customers"].columns.values(), *map(stored_type, SCORES)}
    columns = [(f"c{number}", kind) for number, kind in enumerate(sorted(kinds))]
    assert writers.write_parquet(tmp_path / "x.parquet", columns, [(None,) * len(columns)]) == 1
    assert parquet.read_table(tmp_path / "x.parquet").num_columns == len(kinds)


def test_a_segment_without_members_is_a_file_with_a_head(tmp_path):
    columns = [("a", "bigint"), ("b", "array<string>")]
    assert writers.write_parquet(tmp_path / "x.parquet", columns, []) == 0
    assert parquet.read_table(tmp_path / "x.parquet").column_names == ["a", "b"]
    target = io.BytesIO()
    assert writers.write_csv(target, columns, []) == 0 and target.getvalue() == b"a,b\r\n"


# Many members ------------------------------------------------------------------------------------------------------


MANY = 200_000


@pytest.fixture(scope="module")
def crowd(spark, tmp_path_factory) -> Tenant:
    """A tenant with one segment of many members, loaded in an order of its own."""
    settings = Settings(root=str(tmp_path_factory.mktemp("crowd")))
    lake = Lake(spark, settings)
    name = F.concat(F.lit("customer-"), F.lpad(F.xxhash64("id").cast("string"), 24, "0"))
    lake.append("customers", spark.range(MANY).select(
        name.alias("customer_id"), F.concat(F.lit("person"), "id", F.lit("@example.com")).alias("email"),
        F.lit("DE").alias("country"), F.repeat(F.lit("x"), 100).alias("city"),
        F.lit(datetime(2025, 1, 1, tzinfo=UTC)).alias("created_at"),
    ), "load")
    everyone = segment("everyone", where=customer("country", is_="DE"))
    with configured(spark, sql__codegen__wholeStage="true", sql__codegen__factoryMode="FALLBACK"):
        nightly.run(lake, settings, Loaded((everyone,)), snapshot_date=DAY, now=NOW)
    return Tenant(spark, settings)


def result_sizes(log: Path, after: int) -> list[int]:
    """Bytes that each task sent to the driver, over all jobs that the log has after an offset."""
    with log.open("rb") as lines:
        lines.seek(after)
        events = [json.loads(line) for line in lines]
    return [event["Task Metrics"]["Result Size"] for event in events if event["Event"] == "SparkListenerTaskEnd"]


@pytest.mark.parametrize("format", ["csv", "xlsx", "parquet"])
def test_many_members_are_never_all_on_the_driver(crowd, compiled, event_log, monkeypatch, tmp_path, format):
    monkeypatch.setattr(stream, "ROWS", MANY // 20)
    before = event_log().stat().st_size
    tracemalloc.start()
    try:
        columns = ["customer_id", "email", "city"]
        saved = crowd.save_customers("everyone", str(tmp_path / f"many.{format}"), columns=columns)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert saved.rows == MANY
    sizes = sorted(result_sizes(event_log(), before))
    whole = sum(sizes)
    # Each of the twenty ranges is one task's answer; ranges are cut by a sample, so they are only about equal.
    assert whole > MANY * 100 and sizes[-1] < whole / 8
    assert peak < 40e6, "what Python held at once"
    if format == "csv":
        with open(saved.path, encoding="utf-8", newline="") as handle:
            ids = [row["customer_id"] for row in csv.DictReader(handle)]
        assert len(set(ids)) == MANY and ids == sorted(ids)


def test_the_disks_are_given_back(crowd, spark, tmp_path):
    def on_disk() -> list[str]:
        levels = [kept.getStorageLevel() for kept in spark.sparkContext._jsc.getPersistentRDDs().values()]
        return [level.description() for level in levels if level.useDisk() and not level.useMemory()]

    seen = []
    original = stream._rows

    def looked(*arguments: object):
        seen.append(on_disk())
        return original(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream, "_rows", looked)
        crowd.save_customers("everyone", str(tmp_path / "many.csv"), columns=["customer_id"])
    assert len(seen[0]) == 1 and on_disk() == []
