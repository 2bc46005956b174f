"""Previews: intervals that cover at their rate, numbers as a run publishes them, nothing written, nobody named."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from commands import invoked, seglake
from pyspark.sql import functions as F

from segment_lib import nightly
from segment_lib.api import Tenant
from segment_lib.build import all_of, any_of, customer, did, in_segment, on_list, ordered, score, segment, split
from segment_lib.clock import Clock
from segment_lib.conf import load_settings
from segment_lib.definition import Loaded, Segment
from segment_lib.errors import EXIT_OK, EXIT_PARTIAL, EXIT_USAGE, ConfError, UsageError
from segment_lib.metrics import SegmentMetrics
from segment_lib.plan import build_plan
from segment_lib.preview import HeldBackError, Preview, forget, sampling
from segment_lib.preview.estimates import Estimate, Sample, Sums, count, proportion, total
from segment_lib.scan import scan
from segment_lib.storage import Lake

# Intervals ------------------------------------------------------------------------------------------------------------

DRAWS = 2000
#: Four standard deviations of a coverage of 95% in so many draws, and what counts being whole numbers may cost.
SLACK = 4 * (0.95 * 0.05 / DRAWS) ** 0.5 + 0.012
EVERYONE = 10_000


def held(inside: list[bool]) -> float:
    return sum(inside) / len(inside)


@pytest.mark.parametrize("fraction", [0.05, 0.2, 0.5])
@pytest.mark.parametrize("members", [300, 3000, 9700])
def test_counts_and_shares_are_covered_at_the_stated_rate(fraction, members):
    rng = np.random.default_rng([int(fraction * 100), members])
    seen = int(EVERYONE * fraction)
    found = rng.hypergeometric(members, EVERYONE - members, seen, size=DRAWS)
    sample = Sample(fraction, seen, EVERYONE)
    counts = [count(int(k), sample) for k in found]
    shares = [proportion(int(k), sample) for k in found]
    assert abs(held([one.low <= members <= one.high for one in counts]) - 0.95) < SLACK
    assert abs(held([one.low <= members / EVERYONE <= one.high for one in shares]) - 0.95) < SLACK
    # Where the number of customers is not known, how many were drawn varies as well.
    rest = rng.binomial(EVERYONE - members, fraction, size=DRAWS)
    found = rng.binomial(members, fraction, size=DRAWS)
    counts = [count(int(k), Sample(fraction, int(k + others))) for k, others in zip(found, rest, strict=True)]
    assert abs(held([one.low <= members <= one.high for one in counts]) - 0.95) < SLACK


@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
@pytest.mark.parametrize("members", [500, 2500])
def test_revenue_is_covered_at_the_stated_rate(members, known):
    rng = np.random.default_rng([members, known])
    spent = np.zeros(5000)
    spent[:members] = np.round(rng.lognormal(3, 0.7, members), 2)
    inside = []
    for _ in range(600):
        drawn = spent[rng.choice(5000, 1000, replace=False)] if known else spent[rng.random(5000) < 0.2]
        sample = Sample(0.2, len(drawn), 5000 if known else None)
        found = int((drawn > 0).sum())
        sums = Sums(Decimal(f"{drawn.sum():.2f}"), float(drawn.var(ddof=1)), 0, float(drawn.max()))
        estimate = total(sums, found, sample, count(found, sample))
        inside.append(estimate.low <= spent.sum() <= estimate.high)
    assert abs(held(inside) - 0.95) < 4 * (0.95 * 0.05 / 600) ** 0.5


def test_an_interval_is_never_less_than_what_was_seen_and_everyone_is_exact():
    seen = Sample(0.5, 10, 20)
    assert count(10, seen).low >= 10 and count(0, seen).high <= 10
    assert count(4, seen, most=5).high == 5
    everyone = Sample(1.0, 20, 20)
    assert count(7, everyone) == Estimate(7, 7, 7) and proportion(5, everyone) == Estimate.exact(0.25)
    money = Sums(Decimal("12.3456"), 3.0, Decimal(0), Decimal(9))
    assert total(money, 3, everyone, count(3, everyone)) == Estimate.exact(Decimal("12.3456"))
    assert proportion(0, Sample(1.0, 0, 0)) == Estimate.exact(0.0)


def test_a_sample_without_members_still_bounds_them_from_above():
    for sample in (Sample(0.01, 1000, 100_000), Sample(0.01, 1000)):
        size = count(0, sample)
        assert size.value == size.low == 0 and 300 < size.high < 500
        spent = total(Sums(Decimal(0), 0.0, Decimal(-5), Decimal(80)), 0, sample, size)
        assert (spent.low, spent.value, spent.high) == (-5 * size.high, 0, 80 * size.high)
    nobody = Sample(0.01, 0, 50)
    assert count(0, nobody) == Estimate(0, 0, 50) and proportion(0, nobody).high == 1


# A small shop ---------------------------------------------------------------------------------------------------

FIRST, SECOND = date(2026, 1, 30), date(2026, 1, 31)
LATER = datetime(2026, 3, 1, tzinfo=UTC)
CUSTOMERS = (
    "customer_id string, email string, first_name string, last_name string, country string, points string, "
    "created_at timestamp"
)
ORDERS = "order_id string, customer_id string, ordered_at timestamp, status string, revenue string, refund string"
BASE = """tenant: shop
root: lake
currency: CHF
time_zone: Europe/Zurich
catalogue:
  customer_fields: {points: integer}
  event_types: {seen: {}}
  lists: [invited]
"""
PEOPLE = 400
CONSONANTS = "bdfgklmnprstvz"


def syllables(number: int) -> str:
    """A word that stands for a number, so that nothing else looks like it."""
    return "".join(CONSONANTS[number // 14**place % 14] + "aeiou"[(number + place) % 5] for place in range(3))


def person(number: int) -> str:
    return f"id-{syllables(number)}"


def personal(number: int) -> tuple[str, ...]:
    """Id, address and names of a person."""
    word = syllables(number)
    return person(number), f"{word}@mail.example", f"A{word}", f"B{word}"


@dataclass(frozen=True)
class Shop:
    """A tenant with a project folder, in which commands can be run."""

    spark: Any
    project: Path

    @property
    def conf(self) -> str:
        return str(self.project / "conf")

    @property
    def settings(self):
        return load_settings(self.conf)

    @property
    def lake(self) -> Lake:
        return Lake(self.spark, self.settings)

    @property
    def tenant(self) -> Tenant:
        return Tenant(self.spark, self.settings)

    def fill(self) -> Shop:
        """Customers, some with points, and one to five orders for most; beside them anonymous buyers."""
        made = datetime(2025, 6, 1)
        people = [
            (*personal(i), ("DE", "AT", "CH")[i % 3], str(i % 50), made + timedelta(hours=i))
            for i in range(PEOPLE)
        ]
        self.lake.append("customers", self.spark.createDataFrame(people, CUSTOMERS), "load")
        self.orders([(i, turn, FIRST - timedelta(days=(i * 7 + turn * 13) % 200)) for i in range(PEOPLE + 40)
                     for turn in range(i % 6)])
        return self

    def orders(self, bought: list[tuple[int, int, date]]) -> None:
        """(person, which of theirs, day); revenue follows from the first two."""
        rows = [
            (f"o{i}-{turn}", person(i), datetime(day.year, day.month, day.day, 12), "paid" if i % 7 else "cancelled",
             str(Decimal(i * 37 % 211 + turn) / 4), "1.25" if i % 5 == 0 else None)
            for i, turn, day in bought
        ]
        frame = self.spark.createDataFrame(rows, ORDERS).withColumns(
            {name: F.col(name).cast("decimal(18,4)") for name in ("revenue", "refund")}
        )
        self.lake.append("orders", frame, "load")

    def run(self, day: date, *segments: Segment, **options: Any) -> dict[str, SegmentMetrics]:
        outcome = nightly.run(
            self.lake, self.settings, Loaded(segments), snapshot_date=day, now=LATER, **options
        )
        return {row.segment_id: row for row in outcome.metrics}

    def members(self, name: str, day: date | None = None) -> set[str]:
        return {row.customer_id for row in self.tenant.customers(name, day).collect()}

    def define(self, path: str, text: str) -> Path:
        file = self.project / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return file

    def files(self) -> dict[str, tuple[int, int]]:
        """Everything in the project with its size and time."""
        found = [path for path in self.project.rglob("*") if path.is_file()]
        return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in found}

    def seglake(self, *arguments: object, code: int = EXIT_OK) -> str:
        """What the command prints; it is run in this process, and so in this session of Spark."""
        return self.invoked(*arguments, code=code).stdout

    def invoked(self, *arguments: object, code: int = EXIT_OK) -> Result:
        """The command's output and, on stderr, its log lines."""
        return invoked("preview", *arguments, "--conf", self.conf, code=code)


@pytest.fixture(scope="module", autouse=True)
def forgotten(spark):
    """What a preview keeps in memory goes when these tests end."""
    yield
    forget(spark)


LOYAL = segment("loyal", where=ordered("any", count={"at_least": 3}))
LOYAL_NOW = segment("loyal", where=ordered("any", within="90d", count={"at_least": 2}))
GERMANS = segment("germans", where=customer("country", is_="DE"))
RISKY = segment("risky", where=score("churn.risk_rate", at_least=0.5))
RICH = segment("rich", where=customer("points", at_least=45))


def make(spark, folder: Path) -> Shop:
    shop = Shop(spark, folder)
    shop.define("conf/base.yaml", BASE)
    shop.define("conf/segments/germans.yaml", "where: {customer: country, is: DE}\n")
    shop.define("conf/segments/coming.yaml", "where: {ordered: any}\n")
    return shop


@pytest.fixture(scope="module")
def empty(spark, tmp_path_factory) -> Shop:
    return make(spark, tmp_path_factory.mktemp("unpublished")).fill()


@pytest.fixture(scope="module")
def shop(spark, tmp_path_factory) -> Shop:
    """Two published dates; after the second, an order arrived that no preview of it may see."""
    made = make(spark, tmp_path_factory.mktemp("previewed")).fill()
    made.run(FIRST, LOYAL, GERMANS)
    made.orders([(i, 9, SECOND) for i in range(2, 100, 3)])
    made.run(SECOND, LOYAL, GERMANS, RISKY, RICH)
    made.orders([(i, 10, SECOND) for i in range(PEOPLE)])
    return made


def texts(preview: Preview) -> str:
    return "\n".join((str(preview), preview._repr_html_(), json.dumps(preview.to_dict(), default=str), repr(preview)))


# What it looks at ---------------------------------------------------------------------------------------------------


def test_another_published_date_has_its_own_inputs_and_members(shop):
    preview = shop.tenant.preview(LOYAL, date=FIRST)
    assert preview.snapshot_date == FIRST and preview.size.value == len(shop.members("loyal", FIRST))
    assert (preview.effect.entering.value, preview.effect.leaving.value) == (0, 0)
    assert preview.size.value < shop.tenant.preview(LOYAL).size.value
    with pytest.raises(UsageError, match="2 dates are, from 2026-01-30 to 2026-01-31"):
        shop.tenant.preview(LOYAL, date=date(2026, 2, 3))


def test_status_and_kind_do_not_keep_it_from_being_looked_at(shop):
    austrians = segment("germans", status="inactive", kind="static", where=customer("country", is_="AT"))
    asleep = shop.tenant.preview(austrians)
    assert asleep.size.value == len([i for i in range(PEOPLE) if i % 3 == 1])
    assert asleep.effect.leaving.value == asleep.effect.members.value > 0
    assert any("inactive" in note for note in asleep.notes) and any("freezes" in note for note in asleep.notes)


# On a sample ----------------------------------------------------------------------------------------------------------


DEFINITIONS = LOYAL, RICH, LOYAL_NOW, segment("half", where=split("preview", 0, 50))


def test_a_sample_is_of_the_same_customers_for_every_definition(shop):
    drawn: dict[float, set[str]] = {}
    everyone = segment("everyone", where=any_of(customer("country", known=True), ordered("any")))
    for rate in (0.2, 0.5):
        preview = shop.tenant.preview(everyone, sample=rate)
        drawn[rate] = {row.customer_id for row in preview.members.collect()}
        sample = preview.sample
        assert len(drawn[rate]) == sample.seen and sample.size == preview.size.value
        assert abs(sample.seen - sample.size * rate) < 4 * (sample.size * rate * (1 - rate)) ** 0.5
    assert drawn[0.2] < drawn[0.5]
    covered = 0
    for definition in DEFINITIONS:
        exact, sampled = (shop.tenant.preview(definition, sample=rate) for rate in (1, 0.5))
        ids = {row.customer_id for row in exact.members.collect()}
        assert {row.customer_id for row in sampled.members.collect()} == ids & drawn[0.5]
        assert sampled.size.low < sampled.size.high and not sampled.net_revenue.is_exact
        for name in ("size", "share", "net_revenue", "orders"):
            found, truth = getattr(sampled, name), getattr(exact, name).value
            covered += found.low <= truth <= found.high
    # Four numbers of each, which are not independent: most must be covered, and the draw is the same every time.
    assert covered >= 3.4 * len(DEFINITIONS)


def test_the_effect_is_estimated_too_and_nobody_found_is_not_nobody_there(shop):
    exact, sampled = shop.tenant.preview(LOYAL_NOW, full=True), shop.tenant.preview(LOYAL_NOW, sample=0.5)
    for name in ("members", "entering", "leaving"):
        found, truth = getattr(sampled.effect, name), getattr(exact.effect, name).value
        assert 0 < found.low <= found.value <= found.high < truth * 3
    nobody = shop.tenant.preview(segment("nobody", where=customer("country", is_="XX")), sample=0.5)
    assert nobody.size.low == 0 < nobody.size.high and 0 < nobody.net_revenue.high and nobody.examples == ()
    assert any("no member is in the sample" in note for note in nobody.notes)


def test_limits_and_percentiles_of_a_sample_say_so(shop):
    definition = segment(
        "top", where=ordered("any", sum={"of": "revenue", "more_than": {"percentile": 50}}),
        limit={"top": 30, "by": {"ordered": "any", "sum": "revenue"}},
    )
    preview = shop.tenant.preview(definition, sample=0.5)
    assert preview.members.count() == 15 and preview.size.high <= 30 and preview.size.value > 20
    assert {"the limit of 30 is 15 in the sample", "percentile bounds are those of the sample"} <= set(preview.notes)
    assert any("rough" in note for note in preview.notes)


def test_the_sample_grows_with_the_shop_until_it_is_large_enough():
    assert [sampling.rate_for(number) for number in (0, 5, 40_000)] == [1.0] * 3
    assert [round(sampling.rate_for(number) * number, -3) for number in (100_000, 3_000_000)] == [20_000, 20_000]


# Who is in the examples ---------------------------------------------------------------------------------------------


def test_examples_are_masked_stable_and_to_the_point(shop):
    preview = shop.tenant.preview(LOYAL_NOW)
    assert len(preview.examples) == 10 and {one.change for one in preview.examples} <= {"stays", "enters"}
    assert preview.entering and {one.change for one in preview.entering} == {"enters"}
    assert preview.leaving and {one.change for one in preview.leaving} == {"leaves"}
    known = [one for one in preview.examples if one.name is not None]
    assert known and all((one.customer, one.name) == ("i***", "A*** B***") for one in known)
    assert all(one.country in ("DE", "AT", "CH") and one.created.year == 2025 and one.orders >= 2 for one in known)
    assert shop.tenant.preview(LOYAL_NOW).examples == preview.examples


def test_nobody_is_named(shop):
    said = shop.invoked(shop.define("tried/loyal.yaml", LOYAL_NOW_TEXT), "--json", "--debug")
    for text in (texts(shop.tenant.preview(LOYAL_NOW)), said.stdout, said.stderr):
        assert text.strip() and not [i for i in range(PEOPLE + 40) if any(word in text for word in personal(i))]
    assert "i***" in said.stdout and "CHF" in said.stdout and '"step": "preview"' in said.stderr


LOYAL_NOW_TEXT = "where: {ordered: any, within: 90d, count: {at_least: 2}}\n"


# References, waiting, faults -----------------------------------------------------------------------------------


def test_references_are_to_published_members(shop):
    both = segment("both", where=all_of(in_segment("loyal"), in_segment("germans", entered={"in_last": "1y"})))
    preview = shop.tenant.preview(both)
    expected = shop.members("loyal") & shop.members("germans")
    assert {row.customer_id for row in preview.members.collect()} == expected and expected
    assert any("loyal" in note and "germans" in note for note in preview.notes)
    with pytest.raises(UsageError, match="refers to 'loyall', which was not published .*did you mean 'loyal'"):
        shop.tenant.preview(segment("other", where=in_segment("loyall")))
    with pytest.raises(ConfError, match="circle: other -> other"):
        shop.tenant.preview(segment("other", where=in_segment("other")))


def test_what_a_run_would_hold_back_is_said(shop):
    with pytest.raises(HeldBackError, match=r"waiting for scores: churn\.risk_rate"):
        shop.tenant.preview(segment("mine", where=score("churn.risk_rate", at_least=0.1)))
    with pytest.raises(HeldBackError, match="risky"):
        shop.tenant.preview(segment("mine", where=in_segment("risky")))
    with pytest.raises(ConfError, match="contry.*did you mean 'country'"):
        shop.tenant.preview(segment("mine", where=customer("contry", is_="DE")))
    with pytest.raises(UsageError, match="not a share"):
        shop.tenant.preview(LOYAL, sample=1.5)
    with pytest.raises(UsageError, match="one of the two"):
        shop.tenant.preview(LOYAL, sample=0.5, full=True)


def test_a_column_that_cannot_be_read_sets_it_aside(empty):
    broken = empty.spark.createDataFrame([("id-x", "n/a", datetime(2025, 1, 1))],
                                         "customer_id string, points string, created_at timestamp")
    version = empty.lake.version("customers")
    empty.lake.append("customers", broken, "load")
    try:
        with pytest.raises(HeldBackError, match=r"set aside: 1 values of customers\.points"):
            empty.tenant.preview(RICH, date=FIRST)
    finally:
        whole = empty.lake.read("customers", version)
        empty.lake.delete("customers", {"customer_id": "id-x"}, "load")
        assert empty.lake.read("customers").count() == whole.count()


def test_without_anything_published_it_is_the_newest_input(empty):
    with pytest.raises(UsageError, match="nothing is published yet"):
        empty.tenant.preview(GERMANS)
    preview = empty.tenant.preview(GERMANS, date=FIRST)
    assert not preview.published and preview.effect is None and preview.size.value == (PEOPLE + 2) // 3
    assert preview.entering == preview.leaving == () and len(preview.examples) == 10
    sampled = empty.tenant.preview(GERMANS, date=FIRST, sample=0.5)
    assert sampled.sample.size is None and sampled.size.low <= preview.size.value <= sampled.size.high
    with pytest.raises(UsageError, match="as nothing is yet"):
        empty.tenant.preview(segment("other", where=in_segment("germans")), date=FIRST)
    file = empty.define("elsewhere/germans.yaml", "where: {customer: country, is: DE}\n")
    told = json.loads(empty.seglake(file, "--json"))
    assert told["published"] is False and told["effect"] is None
    assert any("nothing is published yet" in note for note in told["notes"])


def test_a_scan_of_some_customers_sees_nothing_of_the_others(empty):
    empty.lake.append("orders", empty.spark.createDataFrame([("o-x", datetime(2026, 1, 1))],
                                                            "order_id string, ordered_at timestamp"), "load")
    plan = build_plan((LOYAL,), empty.settings.names(), Clock(FIRST, empty.settings.zone))
    kept: list = []
    try:
        everyone, one = (
            scan(plan, empty.lake, empty.lake.pin(), "none", who=who, keep=lambda rows: kept.append(rows) or rows)
            for who in (None, lambda customer: customer == person(11))
        )
    finally:
        empty.lake.delete("orders", {"order_id": "o-x"}, "load")
    assert everyone.rejected == {"orders": {"missing_customer_id": 1}} and one.rejected == {}
    assert (one.rows["customers"], one.rows["orders"]) == (1, 5) and everyone.rows["customers"] == PEOPLE
    assert kept == [everyone.customers, one.customers] and empty.lake.staged_runs() == []


FAULTS = {
    "unknown_field.yaml": "where:\n  customer: contry\n  is: DE\n",
    "syntax.yaml": "where: [\n",
    "wrong_type.yaml": "where:\n  customer: country\n  is: 49\nlimit: {top: 0}\n",
    "Bad-Name.yaml": "where: {ordered: any}\n",
    "circle.yaml": "where: {segment: circle}\n",
    "ending.yml": "where: {ordered: any}\n",
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults_of_the_file_are_those_that_validate_finds(shop, name):
    file = shop.define(f"tried/{name}", FAULTS[name])
    issues = json.loads(shop.seglake(file, "--json", code=EXIT_USAGE))["error"]["issues"]
    copy = shop.define(f"conf/segments/{name}", FAULTS[name])
    try:
        said = seglake("validate", "--json", "--conf", shop.conf, code=EXIT_USAGE)
    finally:
        copy.unlink()
    expected = [issue | {"file": str(file)} for issue in json.loads(said)["issues"] if issue["file"].endswith(name)]
    assert issues == expected and expected


def test_the_command(shop):
    file = shop.define("tried/loyal.yaml", LOYAL_NOW_TEXT)
    before = shop.files()
    told = json.loads(shop.seglake(file, "--json"))
    assert told == json.loads(json.dumps(shop.tenant.preview(LOYAL_NOW).to_dict(), default=lambda value: (
        list(value) if isinstance(value, tuple) else str(value)
    )))
    part = json.loads(shop.seglake(file, "--json", "--sample", "50%"))
    assert part["sample"]["rate"] == 0.5 and part["size"]["low"] <= told["size"]["estimate"] <= part["size"]["high"]
    assert json.loads(shop.seglake(file, "--json", "--full", "--as-of", FIRST))["date"] == FIRST.isoformat()
    assert shop.files() == before
    assert "not published" in shop.seglake(file, "--as-of", "2026-02-03", "--json", code=EXIT_USAGE)
    assert "one of the two" in shop.seglake(file, "--full", "--sample", "0.5", "--json", code=EXIT_USAGE)
    assert "cannot be read" in shop.seglake(shop.project / "none.yaml", "--json", code=EXIT_USAGE)
    shop.seglake(file, "--sample", "2", code=EXIT_USAGE)
    coming = shop.define("tried/leaning.yaml", "where: {segment: coming}\n")
    assert "which was not published" in shop.seglake(coming, "--json", code=EXIT_USAGE)
    waiting = shop.define("tried/waiting.yaml", "where: {score: churn.risk_rate, at_least: 0.5}\n")
    assert "waiting for scores: churn.risk_rate" in shop.seglake(waiting, "--json", code=EXIT_PARTIAL)


# What a session keeps ----------------------------------------------------------------------------------------------


def test_a_session_keeps_two_samples_until_it_is_told_to_forget(shop, monkeypatch):
    def cached() -> int:
        """Frames that Spark keeps."""
        return shop.spark._jsparkSession.sharedState().cacheManager().numCachedEntries()

    forget(shop.spark)
    assert cached() == 0
    read: list[str] = []
    original = Lake.input
    monkeypatch.setattr(Lake, "input", lambda self, table, *more: read.append(table) or original(self, table, *more))
    shop.tenant.preview(LOYAL_NOW, sample=0.5)
    assert sorted(read) == ["customers", "events", "lists", "orders"]
    shop.tenant.preview(RICH, sample=0.5)
    assert len(read) == 4 and cached() == 5, "four inputs and the members"
    wanderers = segment("wanderers", where=any_of(did("seen"), on_list("invited"), ordered("any")))
    whole = shop.tenant.preview(wanderers, sample=0.5)
    assert sorted(read[4:]) == ["events", "lists"] and whole.size.value > 0, "now their rows are read"
    for rate in (0.4, 0.3):
        last = shop.tenant.preview(RICH, sample=rate)
    memory = sampling.memory_of(shop.spark)
    assert len(memory.inputs.values) == sampling.MOST_SAMPLES and cached() <= 5 * sampling.MOST_SAMPLES
    # Memory that is given back leaves the frames that were handed out usable.
    forget(shop.spark)
    assert cached() == 0 and last.members.count() == round(last.sample.seen * last.share.value) > 0


def test_the_short_forms_agree(shop, monkeypatch):
    monkeypatch.chdir(shop.project)
    there = shop.tenant.preview(GERMANS, sample=0.5)
    assert GERMANS.preview(shop.spark, sample=0.5) == GERMANS.preview(shop.tenant, sample=0.5) == there
    assert there.sample.rate == 0.5


# Exactly what a run publishes -------------------------------------------------------------------------------------

NEW = segment(
    "new",
    where=all_of(in_segment("loyal"), any_of(split("x", 0, 60), ordered("any", sum={"of": "revenue", "at_least":
                 {"percentile": 60}}))),
    limit={"top": 25, "by": {"ordered": "any", "sum": "revenue"}},
)


def test_it_is_what_a_run_of_the_segment_publishes(shop):
    files = shop.files()
    before = shop.members("loyal")
    edited, new = shop.tenant.preview(LOYAL_NOW), shop.tenant.preview(NEW)
    wanted = {row.customer_id: row.enters for row in edited.members.collect()}
    assert shop.files() == files, "a preview writes nothing"
    assert edited.published and edited.sample.is_exact and edited.snapshot_date == SECOND
    assert new.size.value == 25 and new.effect.members is None and new.effect.leaving == Estimate.exact(0)

    # The reference is to loyal as it is published, so `new` runs before the edit of loyal does.
    for preview, definition in ((new, NEW), (edited, LOYAL_NOW)):
        row = shop.run(SECOND, definition, only=[definition.id])[definition.id]
        numbers = preview.size, preview.anonymous, preview.orders, preview.gross_revenue, preview.net_revenue
        assert all(number.is_exact for number in numbers)
        assert tuple(number.value for number in numbers) == (
            row.customers, row["anonymous"], row["orders"], row["gross_revenue"], row["net_revenue"]
        )
    after = shop.members("loyal")
    assert set(wanted) == after and {name for name, enters in wanted.items() if enters} == after - before
    assert edited.effect.members.value == len(before)
    assert (edited.effect.entering.value, edited.effect.leaving.value) == (len(after - before), len(before - after))
    assert 0 < len(before - after) and 0 < len(after - before)
    assert edited.share.value == len(after) / (PEOPLE + 40 - len([i for i in range(PEOPLE, PEOPLE + 40) if i % 6 == 0]))
    # Seen again, the definition changes nothing any more: what is published now is what counts.
    again = shop.tenant.preview(LOYAL_NOW)
    assert (again.effect.entering.value, again.effect.leaving.value) == (0, 0)


def test_an_erased_customer_is_in_no_preview(shop):
    before = shop.tenant.preview(GERMANS)
    hashed = sha256(f"shop\x1f{person(0)}".encode()).hexdigest()
    shop.lake.append("erasures", shop.spark.createDataFrame([(hashed,)], "customer_hash string"), "load")
    after = shop.tenant.preview(GERMANS)
    assert after.size.value == before.size.value - 1 and after.effect.leaving.value == 0
