"""Segments as SQL text: run by Spark on the same tables, it gives the members; no text gets out of its literal."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial

import pytest
import yaml
from agreement import segments_of, settings_for, write
from commands import seglake
from conftest import configured
from oracle import members
from pyspark.sql import functions as F
from strategies import CATALOGUE, batch

from segment_lib import nightly, published, sql_text
from segment_lib.api import Tenant
from segment_lib.build import all_of, any_of, customer, did, in_segment, not_, ordered, segment, split
from segment_lib.conf import load_settings
from segment_lib.definition import Loaded
from segment_lib.runs import read_history
from segment_lib.settings import Settings
from segment_lib.sql_text.columns import comment, quoted, rendered, text_literal
from segment_lib.sql_text.recorded import Book
from segment_lib.storage import Lake

NIGHT = date(2026, 3, 31)
LATER = datetime(2026, 6, 1, tzinfo=UTC)
#: Everything with which a text could get out of a literal or a comment, or be replaced before it is parsed.
NASTY = [
    "O'Brien", "back\\slash", "end\\", "two\nlines", "-- drop", "*/ or true /*", "${spark.sql.session.timeZone}",
    "${env:HOME}", 'say "x"', "`tick`", ";", "\u2028\x00\x1b[2J", "Zürich 🙂", "\\' OR true --", "%",
    "\\u0041", "{}", "a\tb",
]


@pytest.fixture(scope="module", autouse=True)
def as_a_user(spark):
    """A Spark of the user's own opens tables by path, as it does unless told not to."""
    with configured(spark, sql__runSQLOnFiles="true"):
        yield


def ids(spark, text: str) -> set[str]:
    """The ids that a statement gives; each must come once."""
    rows = spark.sql(text)
    assert rows.columns == ["customer_id"]
    found = [row["customer_id"] for row in rows.collect()]
    assert len(found) == len(set(found))
    return set(found)


@pytest.mark.parametrize("count", [10, pytest.param(60, marks=pytest.mark.soak)])
def test_random_definitions(spark, tmp_path, count):
    """Everything that definitions can say, limits, percentiles and references among it: the oracle's members."""
    drawn = batch(7, count)
    settings = Settings(**{**settings_for(str(tmp_path), drawn.zone.key).model_dump(), "gates": {}})
    lake = Lake(spark, settings)
    write(spark, lake, drawn.data)
    loaded = Loaded(tuple(segments_of(drawn.definitions, settings)))
    nightly.run(lake, settings, loaded, snapshot_date=drawn.snapshot_date, now=datetime(2100, 1, 1, tzinfo=UTC))
    expected = members(drawn.definitions, drawn.data, drawn.snapshot_date, drawn.zone, CATALOGUE)
    assert sum(0 < len(found) for found in expected.values()) > count / 2
    history = read_history(lake)
    for name in drawn.definitions:
        text = sql_text.statement(lake, history, published.find(lake, history.latest, name))
        assert ids(spark, text) == expected[name], (drawn.definitions[name], text)


@dataclass(frozen=True)
class Shop(Tenant):
    """A tenant, and the conf folder that describes it."""

    conf: str


@pytest.fixture(scope="module")
def shop(spark, tmp_path_factory):
    """Customers with cities of every kind, orders in a foreign table read in place, two nights."""
    folder = tmp_path_factory.mktemp("sql's `lake`")
    foreign = str(folder / "foreign")
    rows = [
        (f"o{i}", f"c{i % len(NASTY)}", f"2026-03-{1 + i % 28:02}T12:00:00", "PAID", float(i), currency)
        for i, currency in enumerate(["EUR", "USD"] * 30)
    ]
    rows += [("bad", "c1", "no time", "PAID", 1.0, "EUR"), ("odd", "c1", "2026-03-02T12:00:00", "PAID", 1.0, "XXX")]
    columns = "id string, who string, at string, state string, paid double, currency string"
    spark.createDataFrame(rows, columns).write.format("delta").save(foreign)
    mapping = {"order_id": "id", "customer_id": "who", "ordered_at": "at", "status": "state", "revenue": "paid"}
    (folder / "base.yaml").write_text(yaml.safe_dump({
        "root": str(folder / "lake"), "time_zone": "Europe/Berlin",
        "gates": {"max_reject_rate": None, "max_turnover": None},
        "catalogue": {"customer_fields": {"points": "integer"}, "event_types": {"page_viewed": {}},
                      "order_statuses": ["PAID"], "purchase_statuses": ["PAID"]},
        "ingest": {"rates": [{"currency": "USD", "since": "2026-01-01", "rate": "0.5"}]},
        "inputs": {"orders": {"path": foreign, "columns": mapping}},
    }), encoding="utf-8")
    settings = load_settings(str(folder))
    lake = Lake(spark, settings)
    people = [(f"c{number}", city, str(number)) for number, city in enumerate(NASTY)]
    frame = spark.createDataFrame(people, "customer_id string, city string, points string")
    lake.append("customers", frame, "load")
    lake.append("aliases", spark.createDataFrame(
        [("old", "c2"), ("older", "old"), ("oldest", "older")], "customer_id string, canonical_id string"), "load")
    strange = [
        segment(f"strange_{part}", name=f"{NASTY[part]}\n; --", description=NASTY[part], where=any_of(*(
            any_of(
                customer("city", is_=city),
                all_of(customer("city", contains=city, case=True), customer("city", ends_with=city)),
            ) for city in NASTY[part::2]
        ))) for part in (0, 1)
    ]
    definitions = (
        *strange,
        segment("salted", where=split("it's --\n\\ ${x}", 10, 60)),
        segment("patterns", where=customer("city", matches="^[^']*\\\\")),
        segment("spenders", where=ordered("any", sum={"of": "revenue", "at_least": {"percentile": Decimal("66.6")}})),
        segment("loyal", where=ordered("any", within="20d", count={"at_least": 2})),
        segment("both", where=all_of(in_segment("loyal", member_for={"at_least": "1d"}), not_(in_segment("spenders")))),
        segment("founders", kind="static", where=in_segment("loyal")),
        segment("pages", where=did("page_viewed")),
    )

    def run(day: date) -> None:
        nightly.run(Lake(spark, settings), settings, Loaded(definitions), snapshot_date=day, now=LATER)

    run(date(2026, 3, 30))
    run(NIGHT)
    return Shop(spark, settings, str(folder))


def texts(shop: Shop, names: list[str], day: date | None = None) -> dict[str, str]:
    """The statement of each; the tables are opened once."""
    lake = Lake(shop.spark, shop.settings)
    history = read_history(lake)
    run = history.latest if day is None else history.winner(day)
    return {name: sql_text.statement(lake, history, published.find(lake, run, name)) for name in names}


def test_nothing_gets_out_of_its_literal(shop, spark):
    """Half of the strange cities are in the one segment, half in the other; names and labels stand in comments."""
    for part, text in enumerate(texts(shop, ["strange_0", "strange_1"]).values()):
        assert ids(spark, text) == {f"c{number}" for number in range(len(NASTY)) if number % 2 == part}
        assert "${" not in text and all(line.isprintable() for line in text.split("\n"))


def test_tables_in_place_aliases_references_and_kept_members(shop, spark):
    names = ["salted", "patterns", "spenders", "loyal", "both", "founders", "pages"]
    for name, text in texts(shop, names).items():
        expected = {row["customer_id"] for row in shop.customers(name).collect()}
        assert ids(spark, text) == expected, text
        assert bool(expected) == (name != "pages"), name
    earlier = texts(shop, ["loyal"], date(2026, 3, 30))["loyal"]
    assert ids(spark, earlier) == {row["customer_id"] for row in shop.customers("loyal", date(2026, 3, 30)).collect()}


def test_rejected_rows_are_told_by_why(shop):
    """Two rows of the customer in the foreign table count for nothing, and so are named."""
    assert shop.why("c1", "loyal").notes == (
        "rows of theirs in orders that do not count: 1 (bad_type:ordered_at)",
        "rows of theirs in orders that do not count: 1 (unknown_currency)",
    )


def test_what_the_statement_says_of_itself(shop):
    said = texts(shop, ["both", "founders"])
    assert "-- References are the published members of that date: loyal, spenders" in said["both"]
    kept = "it is static, so its members are those that were frozen: frozen on 2026-03-30."
    assert f"-- Its members are kept ones: {kept}" in said["founders"]
    assert "-- Members of both (both) on 2026-03-31, as run " in said["both"]
    assert " VERSION AS OF 0" in said["both"] and "`phone`" not in said["both"]


def test_inputs_stay_those_of_the_run(shop, spark):
    """What is loaded after the run is not in its statement; who is erased after it is."""
    lake = Lake(spark, shop.settings)
    before = ids(spark, texts(shop, ["salted"])["salted"])
    lake.append("customers", spark.createDataFrame([(f"n{i}",) for i in range(50)], "customer_id string"), "load")
    gone = sorted(before)[0]
    hashed = spark.range(1).select(F.sha2(F.lit(f"shop\x1f{gone}"), 256).alias("customer_hash"))
    lake.append("erasures", hashed, "load")
    assert ids(spark, texts(shop, ["salted"])["salted"]) == before - {gone}


def test_the_command(shop):
    """The text alone on stdout, so that a shell can hand it on; faults end with 2."""
    printed = partial(seglake, "sql", "--conf", shop.conf)
    assert printed("strange_0") == shop.sql("strange_0") + "\n"
    earlier = json.loads(printed("loyal", "--as-of", "2026-03-30", "--json"))["sql"]
    assert earlier.startswith("-- Members of loyal (loyal) on 2026-03-30")
    assert earlier == shop.sql("loyal", date(2026, 3, 30))
    assert "no segment 'loyl' on 2026-03-31; did you mean 'loyal'" in printed("loyl", "--json", code=2)
    assert "2026-01-01 is not published" in printed("loyal", "--as-of", "2026-01-01", "--json", code=2)


# Columns as text, alone -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", NASTY)
def test_literals_are_read_back_as_they_were(spark, text):
    written = text_literal(text)
    assert written.isprintable() and "$" not in written
    assert spark.sql(f"SELECT {written} AS x {comment(text)}").collect()[0]["x"] == text


def test_columns_mean_the_same_as_text(spark):
    frame = spark.createDataFrame([(1, "a'b", [3, 1], Decimal("2.50"), date(2026, 1, 31), {"k": 7})],
                                  "n int, t string, l array<int>, d decimal(18,4), y date, m map<string,int>")
    row = F.struct(F.col("n").alias("a"), F.col("t"))
    columns = [
        F.lit(None), F.lit(-5), F.lit(2**40), F.lit(Decimal("-0.00000001")), F.lit(1.5), F.lit(-1e300),
        F.lit(float("-inf")), F.lit(True), F.lit(date(1969, 12, 31)),
        F.lit(datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)), F.lit(datetime(2026, 3, 1, tzinfo=UTC)),
        -F.col("n"), F.col("n") + 1 - 2 * F.col("n"), (F.col("n") - 1) - (F.col("n") - 2), F.col("n") / 2 % 2,
        F.call_function("div", F.col("n") + 6, F.lit(2)), F.col("n").isin(1, 2), ~F.col("n").isin(3),
        F.col("t").rlike("'b$"), F.col("t").like("a%"), F.col("n").isNull() | F.col("t").isNotNull(),
        F.col("n").eqNullSafe(None),
        F.when(F.col("n") > 1, "x").when(F.col("n") == 1, "y"), F.when(F.col("n") > 1, "x").otherwise("z"),
        F.col("d").cast("decimal(38,8)"), F.col("t").try_cast("int"), F.col("l")[0], F.col("m")["k"], row["a"],
        row.getField("t"), F.transform("l", lambda x, i: F.exists("l", lambda y: x > y) & (i >= 0)),
        F.aggregate("l", F.lit(0), lambda a, b: a + b),
        F.count(F.lit(1)), F.countDistinct("n"), F.mode("t", True), F.col("n").bitwiseAND(F.lit(3)),
    ]
    texts = [rendered(column) for column in columns]
    for column, text in zip(columns, texts, strict=True):
        (expected,) = frame.select(column).collect()[0]
        (actual,) = spark.sql(f"SELECT {text.sql} FROM {{f}}", f=frame).collect()[0]
        assert actual == expected and type(actual) is type(expected), (text.sql, actual, expected)


def test_recorded_frames_do_what_frames_do(spark):
    """Each operation that the functions of a night use, in one chain, against the frame itself."""
    frame = spark.createDataFrame([(i % 4, f"t{i % 3}", i) for i in range(12)], "k int, `t x` string, n int")
    frame.createOrReplaceTempView("numbers")

    def chain(rows):
        some = rows.where("n > 1").where(F.col("n") != 5)
        summed = some.groupBy("k").agg(F.sum("n").alias("sum"), F.max("`t x`").alias("m"))
        renamed = summed.withColumnRenamed("m", "most").withColumn("sum", F.col("sum") + 1).withColumn("one", F.lit(1))
        total = rows.agg(F.count(F.lit(1)).alias("rows"))
        joined = renamed.join(rows.select("k", "n"), "k", "full").join(total, F.col("rows") > F.col("n"), "left")
        crossed = joined.crossJoin(rows.where("k = 3").select("k").distinct().select(F.col("k").alias("three")))
        kept = crossed.join(rows.where("n < 9").select("n"), "n", "left_semi").join(
            rows.where("n = 3").select("n"), "n", "left_anti")
        none = F.lit(None).cast("bigint").alias("sum")
        both = kept.select("n", "sum", "three").unionByName(kept.select("three", "n", none))
        best = both.orderBy(F.col("n").desc(), F.col("sum").asc()).limit(9).where("n > 2")
        return best.select("*", F.explode(F.array(F.lit(1), F.lit(2))).alias("twice")).select("n", "sum")

    book = Book()
    text = book.statement(chain(book.table(frame, "numbers", "numbers")))
    expected = chain(frame).collect()
    assert len(expected) > 8 and sorted(map(str, spark.sql(text).collect())) == sorted(map(str, expected))
    assert "`three`" in text and "`most`" not in text, "columns that nobody reads are left out, but not inside a union"


def test_what_has_no_text_is_refused(spark):
    udf = F.udf(lambda x: x, "string")
    for column, said in ((udf("x"), "no SQL text"), (F.lit(b"x"), "no SQL text"), (F.col("*"), "no SQL text")):
        with pytest.raises(TypeError, match=said):
            rendered(column)
    for name in ("${x}", "a\nb"):
        with pytest.raises(ValueError, match="cannot be a name"):
            quoted(name)
    assert quoted("a`b") == "`a``b`"
