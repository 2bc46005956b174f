"""Definitions on a data scientist's own frame of features."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from pyspark.sql import functions as F

from segment_lib.build import (
    all_of, any_of, customer, did, did_not, in_segment, not_, on_list, ordered, score, segment, sequence, split,
    stopped, value, visits,
)
from segment_lib.catalogue import Catalogue, Type
from segment_lib.clock import Clock
from segment_lib.errors import ConfError, UsageError

CLOCK = Clock(date(2026, 3, 31), ZoneInfo("Europe/Berlin"))
NAMES = Catalogue(
    event_types={"page_viewed": {}},
    customer_fields={"points": Type.INTEGER, "seen": Type.TIMESTAMP, "tags": Type.TEXTS},
    order_statuses=("paid", "cancelled"), purchase_statuses=("paid",), lists=("vips",),
)
ORDERS_90D = {"ordered": "any", "count": True, "within": "90d"}
SPENT = {"ordered": "any", "sum": "revenue"}
SCHEMA = (
    "customer_id string, country string, email string, registered boolean, points double, seen timestamp, "
    "tags array<string>, birthday date, orders_90d bigint, spent decimal(18,4), `churn.risk_rate` double, "
    "is_loyal boolean, is_customer boolean"
)


@pytest.fixture(scope="module")
def frame(spark):
    noon = datetime(2026, 3, 30, 12)
    rows = [
        ("a", "DE", "a@x.de", True, 10.0, noon, ["new"], date(1990, 4, 1), 3, Decimal("120.0000"), 0.7, True, True),
        ("b", "US", " ", False, 0.5, None, [], None, None, None, 0.5, False, True),
        ("c", None, None, None, float("nan"), noon, None, date(2000, 2, 29), 1, Decimal("10.0000"), None, None, False),
    ]
    return spark.createDataFrame(rows, SCHEMA).cache()


def holds(frame, what, **options) -> str:
    """The ids for which it is true; it is never null."""
    column = what.to_column(frame, NAMES, CLOCK, **options)
    rows = frame.select("customer_id", column.alias("holds")).collect()
    assert all(row["holds"] is not None for row in rows)
    return "".join(row["customer_id"] for row in rows if row["holds"])


@pytest.mark.parametrize(("what", "expected"), [
    (customer("country", in_=["DE", "AT"]), "a"),
    (customer("country", is_not="DE"), "b"),
    (not_(customer("country", is_="DE")), "bc"),
    (customer("email", known=True), "a"),
    (customer("points", at_least=0), "ab"),
    (customer("points", is_="0.5"), "b"),
    (customer("tags", has_any=["new"]), "a"),
    (customer("birthday", anniversary={"in_next": "7d"}), "a"),
    (customer("seen", in_last="2d"), "ac"),
    (score("churn.risk_rate", at_least="0.7"), "a"),
    (any_of(score("churn.risk_rate", less_than="0.6"), customer("registered", is_=True)), "ab"),
])
def test_fields_and_scores_by_name(frame, what, expected):
    assert holds(frame, what) == expected


@pytest.mark.parametrize(("what", "expected"), [
    (ordered("any", within="90d", count={"at_least": 2}), "a"),
    (ordered("any", within="90d", count={"at_most": 1}), "bc"),
    (ordered("any", sum={"of": "revenue", "at_most": 10}), "bc"),
    (value(ORDERS_90D, more_than={"customer": "points"}), ""),
    (value({"ratio": [SPENT, ORDERS_90D]}, at_least=40), "a"),
    (value({"ratio": [SPENT, ORDERS_90D]}, known=True), "ac"),
    (all_of(in_segment("loyal"), ordered("any", within="90d")), "a"),
    (not_(in_segment("loyal")), "bc"),
])
def test_what_columns_hold(frame, what, expected):
    """Counts and sums that are null are 0, and a boolean that is null is false."""
    columns = {"orders_90d": ORDERS_90D, "spent": SPENT, "is_loyal": in_segment("loyal")}
    assert holds(frame, what, columns=columns) == expected


def test_conditions_as_columns(frame):
    """A condition that is made of several tests, a negated one, and one whose parts lie spread out among others."""
    gone = stopped({"ordered": "any"}, within="90d", quiet="30d")
    pages = sequence({"did": "page_viewed"}, {"ordered": "any"})
    for what, meaning, expected in (
        (all_of(gone, customer("country", known=True)), gone, "a"),
        (not_(gone), gone, "bc"),
        (any_of(pages, customer("country", is_="US")), pages, "ab"),
        (did_not("page_viewed"), did_not("page_viewed"), "a"),
        (not_(did_not("page_viewed")), did_not("page_viewed"), "bc"),
        (on_list("vips"), on_list("vips"), "a"),
    ):
        assert holds(frame, what, columns={"is_loyal": meaning}) == expected, what.label()


def test_segments(frame):
    loyal = segment("loyal", eligible=["registered", "purchasers"], where=customer("country", known=True))
    assert holds(frame, loyal, columns={"orders_90d": {"ordered": "purchases", "count": True}}) == "a"
    assert holds(frame, segment("here", anonymous=False, where=customer("seen", known=True))) == "a"
    bucket = segment("half", where=split("spring", 0, 100))
    assert holds(frame, bucket) == "abc"


def test_percentiles_are_those_of_the_population(frame):
    rich = ordered("any", sum={"of": "revenue", "at_least": {"percentile": 100}})
    columns = {"spent": SPENT}
    assert holds(frame, rich, columns=columns, population=frame) == "a"
    assert holds(frame, rich, columns=columns, population=frame.where("customer_id <> 'a'")) == "ac"


def test_everything_missing_is_named_at_once(frame):
    limit = {"top": 3, "by": {"customer": "points"}}
    what = segment("much", anonymous=False, eligible=["push"], limit=limit, where=all_of(
        ordered("any", where={"status": "paid"}, within="30d", count={"at_least": 2}),
        visits("any", within={"ago": ["60d", "30d"]}),
        customer("city", is_="Bern"),
        in_segment("loyal", entered={"in_last": "7d"}),
        sequence({"did": "page_viewed"}, {"ordered": "any"}),
        customer("points", at_least={"percentile": 90}),
        split("x", 0, 5),
        did("page_viewed"),
    ))
    few = frame.drop("customer_id", "is_customer").withColumnRenamed("points", "point")
    few = few.withColumn("sms_consent", F.lit(True))
    with pytest.raises(UsageError) as error:
        what.to_column(few, NAMES, CLOCK, columns={"orders_90d": {"did": "page_viewed", "count": True}})
    said = str(error.value).splitlines()
    assert said[0] == "the frame cannot answer this:"
    for line in (
        "- number of orders where status is paid, 2026-03-02 to 2026-03-31: say in columns which column holds it "
        "(for: ordered any with status is paid within 30d, count at least 2)",
        "- number of visits, 2026-01-31 to 2026-03-01: say in columns which column holds it "
        "(for: visits with any within ago 60d, 30d)",
        "- no column 'city'; known: birthday, churn.risk_rate, country, email, is_loyal, orders_90d, point, registered "
        "... and 4 more (for: city is Bern)",
        "- since when a member of loyal: say in columns which boolean column holds the condition "
        "(for: in segment loyal, entered in last 7d)",
        "- no column 'push_consent'; did you mean 'sms_consent'? (for: eligible)",
        "- no column 'points'; did you mean 'point'? (for: points at least percentile 90)",
    ):
        assert line in said, line
    text = str(error.value)
    for part in (
        "a sequence: say", "membership of loyal", "percentile 90 of points is relative to all customers",
        "a limit ranks", "no column 'customer_id'", "no column 'is_customer'",
    ):
        assert part in text, part
    assert "page_viewed, until" not in text


def test_wrong_types_names_and_definitions(frame):
    with pytest.raises(UsageError, match="column 'country' is string, and integer is needed"):
        holds(frame, customer("points", at_least=1), columns={"country": {"customer": "points"}})
    with pytest.raises(UsageError, match="columns: the frame has no column 'orders_9d'; did you mean 'orders_90d'"):
        holds(frame, ordered("any"), columns={"orders_9d": ORDERS_90D})
    with pytest.raises(ConfError, match="unknown customer field 'contry'; did you mean 'country'"):
        holds(frame, customer("contry", is_="DE"))
    with pytest.raises(ConfError, match=r"columns\['spent'\].*a value needs one aggregate"):
        holds(frame, ordered("any"), columns={"spent": {"ordered": "any"}})
    with pytest.raises(ConfError, match=r"columns\['spent'\].*unknown order field 'revenu'"):
        holds(frame, ordered("any"), columns={"spent": {"ordered": "any", "sum": "revenu"}})


def test_days_of_timestamps_need_a_session_in_utc(spark, frame):
    what = customer("seen", anniversary={"from": "03-01", "to": "03-31"})
    assert holds(frame, what) == "ac"
    spark.conf.set("spark.sql.session.timeZone", "America/New_York")
    try:
        assert holds(frame, customer("seen", in_last="2d")) == "ac"
        with pytest.raises(UsageError, match="needs a session in UTC"):
            holds(frame, what)
    finally:
        spark.conf.set("spark.sql.session.timeZone", "UTC")


def test_the_example_of_the_page(spark):
    """The Python of docs/trying.md runs as it stands, and prints what the page says."""
    page = (Path(__file__).parent.parent / "docs" / "trying.md").read_text(encoding="utf-8")
    section = page.split("## `to_column`", 1)[1]
    code, output = (section.split(f"```{kind}\n", 1)[1].split("```", 1)[0] for kind in ("python", "text"))
    said: list[str] = []
    exec(code, {"spark": spark, "print": lambda *parts: said.append(" ".join(map(str, parts)))})  # noqa: S102
    assert "\n".join(said).strip() == output.strip()
