"""Nights end to end on real tables: order, restating, faults, refusals, and the life of a segment."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from conftest import QUICK_START
from pyspark.sql import functions as F

from segment_lib import maintenance, nightly, rebuild
from segment_lib.api import Tenant
from segment_lib.build import all_of, customer, in_segment, ordered, score, segment
from segment_lib.definition import Loaded, Segment
from segment_lib.errors import ConfError, GateError, Issue, UsageError
from segment_lib.nightly import RunOutcome
from segment_lib.runs import RunRecord, State, new_run_id, read_history
from segment_lib.settings import CatalogueSection, GatesSection, RetentionSection, Settings
from segment_lib.storage import Lake

ROOT = Path(__file__).parent.parent
FIRST, SECOND, THIRD = (date(2026, 1, 30) + timedelta(days=number) for number in range(3))
LONG_AFTER = datetime(2026, 3, 1, tzinfo=UTC)
ORDERS = "order_id string, customer_id string, ordered_at timestamp, status string, revenue int, _loaded_at timestamp"
CUSTOMERS = "customer_id string, country string, points string, created_at timestamp"


def morning_after(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 3, tzinfo=UTC) + timedelta(days=1)


@dataclass(frozen=True)
class Shop:
    """A tenant under test. Every call opens the lake anew, as every job does."""

    spark: Any
    settings: Settings

    @property
    def lake(self) -> Lake:
        return Lake(self.spark, self.settings)

    @property
    def tenant(self) -> Tenant:
        return Tenant(self.spark, self.settings)

    def customers(self, *rows: tuple) -> None:
        """(id, country, points as text)."""
        values = [(name, country, points, datetime(2025, 1, 1)) for name, country, points in rows]
        self.lake.append("customers", self.spark.createDataFrame(values, CUSTOMERS), "load")

    def orders(self, *rows: tuple[str, date], loaded: datetime | None = None) -> None:
        """(customer, day), each at noon; order ids follow from both."""
        values = [
            (f"{name}-{day}", name, datetime(day.year, day.month, day.day, 12), "paid", 10, loaded)
            for name, day in rows
        ]
        self.lake.append("orders", self.spark.createDataFrame(values, ORDERS), "load")

    def run(
        self, day: date, *segments: Segment, now: datetime | None = None, broken: Iterable[str] = (), **options: Any
    ) -> RunOutcome:
        faults = {name: (Issue(f"{name}.yaml", 1, "", "nothing but commas"),) for name in broken}
        loaded = Loaded(tuple(segments), tuple(issue for issues in faults.values() for issue in issues), faults)
        return nightly.run(self.lake, self.settings, loaded, snapshot_date=day, now=now or LONG_AFTER, **options)

    def redo(self, days: Iterable[date], *segments: Segment, stale: bool = False) -> tuple[RunOutcome, ...]:
        return nightly.backfill(self.lake, self.settings, Loaded(tuple(segments)), days, now=LONG_AFTER, stale=stale)

    def published(self) -> dict[str, set]:
        """Everything that counts, without the names of runs: equal when two histories are."""
        members = {
            (day, row.customer_id, tuple((one.id, one.since) for one in row.segments))
            for day in self.tenant.dates() for row in self.tenant.customers(date=day).collect()
        }
        lists = {
            (day, *row) for day in self.tenant.dates() for row in self.tenant.segments(day).drop("used_by").collect()
        }
        return {
            "memberships": members, "segments": lists,
            "changes": {tuple(row) for row in self.tenant.changes().collect()},
            "metrics": {str(row) for row in self.tenant.metrics().collect()},
        }

    def members(self, name: str, day: date | None = None) -> set[str]:
        return {row.customer_id for row in self.tenant.customers(name, day).collect()}

    def changes(self, day: date) -> dict[tuple[str, str, str], str]:
        rows = self.tenant.changes(since=day, until=day).collect()
        return {(row.segment_id, row.customer_id, row.change): row.cause for row in rows}

    def stored(self, table: str, run: RunRecord) -> set:
        """The rows of one run as they lie in the table, without its id."""
        rows = self.lake.read(table).where(F.col("run_id") == run.run_id).drop("run_id")
        return {str(row) for row in rows.collect()}


def unlike(one: Shop, other: dict[str, set] | Shop) -> dict[str, set]:
    """By table, the published rows that only one of two has; empty when they are equal."""
    there = other.published() if isinstance(other, Shop) else other
    here = one.published()
    return {table: here[table] ^ there[table] for table in here if here[table] != there[table]}


def adds_up(outcome: RunOutcome, before: RunOutcome) -> bool:
    sizes = {row.segment_id: row.customers for row in before.metrics}
    return all(row.customers == sizes.get(row.segment_id, 0) + row.entered - row.left for row in outcome.metrics)


@pytest.fixture(scope="module")
def shop(spark, tmp_path_factory):
    def make(name: str, **settings) -> Shop:
        root = tmp_path_factory.mktemp(name)
        return Shop(spark, Settings(root=str(root / "lake"), **settings))

    return make


# The same data and definitions: what order dates are run in, and what goes wrong on the way, leaves no trace ------

RECENT = segment("recent", where=ordered("any", within="2d"))
LOYAL = segment("loyal", where=ordered("any", count={"at_least": 2}))
LOYAL_LATER = segment("loyal", where=ordered("any", count={"at_least": 3}))
JUST_IN = segment("just_in", where=in_segment("recent", entered={"in_last": "1d"}))
DEFINITIONS = (RECENT, LOYAL, JUST_IN)
EDITED = (RECENT, LOYAL_LATER, JUST_IN)


def fill(shop: Shop) -> Shop:
    shop.customers(*((f"c{number}", "DE", "1") for number in range(6)))
    days = [FIRST - timedelta(days=number) for number in (9, 2, 0, -1, -2)]
    shop.orders(*((f"c{number}", days[(number + turn) % 5]) for number in range(5) for turn in (0, 2, 3)))
    shop.orders(("stranger", SECOND))
    return shop


@pytest.fixture(scope="module")
def straight(shop) -> Shop:
    """Two dates in order, handed over in disorder; the third is the one that a run dies at."""
    made = fill(shop("straight"))
    outcomes = made.redo([SECOND, FIRST, SECOND], *DEFINITIONS)
    assert [outcome.snapshot_date for outcome in outcomes] == [FIRST, SECOND]
    assert adds_up(outcomes[1], outcomes[0])
    return made


@pytest.fixture(scope="module")
def shuffled(shop) -> Shop:
    """Three dates out of order, and then those that became stale."""
    made = fill(shop("shuffled"))
    made.run(THIRD, *DEFINITIONS)
    assert made.run(FIRST, *DEFINITIONS).stale_dates == (THIRD,)
    assert made.run(SECOND, *DEFINITIONS).stale_dates == (THIRD,)
    stale = nightly.stale_dates(made.lake)
    assert stale == (THIRD,)
    made.redo(stale, *DEFINITIONS)
    assert nightly.stale_dates(made.lake) == ()
    return made


class Killed(BaseException):
    """What no handler of the product catches, as nothing catches kill -9."""


def dying(method: str, table: str):
    """A method of Lake that does its work and then dies, when it is about `table`."""
    original = getattr(Lake, method)

    def call(self, name, *arguments):
        result = original(self, name, *arguments)
        if name == table:
            raise Killed
        return result

    return call


def test_order_and_deaths_leave_no_trace(straight, shuffled, monkeypatch):
    """A chain of deaths, each later than the last; in between data arrives that the retry must not see.

    The retry has the definitions and the data of the first attempt, so a shop that never died and got no data agrees,
    although it ran its dates in another order.
    """
    before = straight.published()
    points = [
        ("stage", "customers"), ("stage", "difference"), ("replace", "memberships"), ("replace", "segment_metrics")
    ]
    for number, (method, table) in enumerate(points):
        with monkeypatch.context() as patched:
            patched.setattr(Lake, method, dying(method, table))
            with pytest.raises(Killed):
                straight.run(THIRD, *(EDITED if number else DEFINITIONS))
        straight.orders((f"too_late_{number}", FIRST))
        assert straight.tenant.dates() == (FIRST, SECOND)
    assert unlike(straight, before) == {}
    assert straight.run(THIRD, *EDITED).record.notes["retry_of"]
    assert unlike(straight, shuffled) == {}


def test_a_date_run_again_is_equal_and_makes_nothing_stale(shuffled):
    before = shuffled.published()
    assert shuffled.run(SECOND, *DEFINITIONS).stale_dates == ()
    assert unlike(shuffled, before) == {}


@pytest.fixture(scope="module")
def edited(shop) -> Shop:
    """The first date with one definition, the others with another, in order."""
    made = fill(shop("edited"))
    first = made.run(FIRST, *DEFINITIONS)
    second, third = made.redo([SECOND, THIRD], *EDITED)
    assert adds_up(second, first) and adds_up(third, second)
    return made


def test_restating_a_date_and_then_the_stale_ones_equals_the_straight_order(straight, shuffled, edited):
    """After the tests above, which leave the shop as it was."""
    again = shuffled.run(SECOND, *EDITED)
    assert again.stale_dates == (THIRD,)
    # At once the next date is measured from what is published now, though its own members are as before.
    sizes = {row.segment_id: row.customers for row in again.metrics}
    next_rows = shuffled.tenant.metrics(since=THIRD, until=THIRD).where("segment_id <> '_lost'").collect()
    assert {row.segment_id for row in next_rows} == set(sizes)
    for row in next_rows:
        assert row.customers == sizes[row.segment_id] + row.entered - row.left
    moved = {cause for (name, _, _), cause in shuffled.changes(THIRD).items() if name == "loyal"}
    assert "definition" in moved and moved <= {"definition", "data", "window"}
    shuffled.redo(nightly.stale_dates(shuffled.lake), *EDITED)
    assert unlike(shuffled, edited) == {}


def test_a_snapshot_that_is_no_longer_kept_is_rebuilt_from_changes(edited):
    before = edited.published()["memberships"]
    lake, history = edited.lake, read_history(edited.lake)
    keep = edited.settings.model_copy(update={"retention": RetentionSection(snapshots=2, month_ends=False)})
    assert maintenance.tidy(lake, keep, history, now=LONG_AFTER).snapshots == (FIRST,)
    died, training = (new_run_id(LONG_AFTER - timedelta(days=days)) for days in (8, 1))
    for run_id in (died, training):
        lake.stage("histories", run_id, lake.spark.range(1))
    again = maintenance.tidy(lake, keep, history, now=LONG_AFTER)
    assert (again.snapshots, again.staged) == ((), (died,))
    lake.drop_staging(training)
    assert not lake.read("memberships").where(F.col("snapshot_date") == F.lit(FIRST)).collect()
    assert edited.published()["memberships"] == before
    whole = {str(row) for row in rebuild.rebuild(lake, history, history.winner(THIRD)).collect()}
    assert whole == {str(row) for row in edited.tenant.customers(date=THIRD).collect()}


# The life of segments and customers -----------------------------------------------------------------------------------

BUYERS = segment("buyers", where=ordered("any"))
GERMANS = segment("germans", kind="static", where=customer("country", is_="DE"))
RICH = segment("rich", where=customer("points", at_least=10))
ASLEEP = segment("asleep", where=ordered("any", within="365d"))
HEAVY = segment("heavy", where=all_of(in_segment("buyers"), customer("country", is_="DE")))
RISKY = segment("risky", where=score("churn.risk_rate", at_least=0.5))


@pytest.fixture(scope="module")
def living(shop) -> tuple[Shop, RunOutcome]:
    catalogue = CatalogueSection(customer_fields={"points": "integer"}, scores={"churn.risk_rate": "decimal"})
    made = shop("living", catalogue=catalogue)
    made.customers(("c1", "DE", "50"), ("c2", "AT", "1"), ("c3", "DE", None), ("c4", "FR", "9"))
    made.orders(("c1", FIRST), ("c2", FIRST), loaded=morning_after(FIRST) - timedelta(hours=1))
    outcome = made.run(
        FIRST, BUYERS, GERMANS, RICH, ASLEEP, HEAVY, RISKY, now=morning_after(FIRST), broken=["oops"]
    )
    return made, outcome


def states(outcome: RunOutcome) -> dict[str, str]:
    return {row.segment_id: row.state.value for row in outcome.definitions}


def shown(outcome: RunOutcome) -> dict[str, int]:
    return {row.segment_id: row.customers for row in outcome.metrics}


def test_first_night(living):
    made, outcome = living
    assert outcome.state is State.PARTIAL and outcome.exit_code == 3
    assert states(outcome) == {
        "buyers": "active", "germans": "static", "rich": "active", "asleep": "active", "heavy": "active",
        "risky": "waiting", "oops": "broken",
    }
    assert shown(outcome) == {"_all": 4, "buyers": 2, "germans": 2, "rich": 1, "asleep": 2, "heavy": 1}
    assert set(made.changes(FIRST).values()) == {"definition"}
    rows = {row.segment_id: row for row in outcome.definitions}
    assert "nothing but commas" in rows["oops"].reason and rows["oops"].definition is None
    assert "churn.risk_rate" in rows["risky"].reason
    assert rows["buyers"].used_by == ("heavy",)


@pytest.fixture(scope="module")
def second_night(living) -> RunOutcome:
    made, _ = living
    made.customers(("c5", "DE", "n/a"))
    made.orders(("c3", FIRST), ("c4", SECOND), loaded=morning_after(SECOND) - timedelta(hours=1))
    asleep = segment("asleep", status="inactive", where=ordered("any", within="365d"))
    watching = segment("watching", where=in_segment("asleep"))
    leaning = segment("leaning", where=in_segment("rich"))
    return made.run(
        SECOND, GERMANS, RICH, asleep, watching, leaning, RISKY, now=morning_after(SECOND), broken=["oops", "buyers"]
    )


def test_second_night(living, second_night):
    made, before = living
    assert states(second_night) == {
        "buyers": "broken", "germans": "static", "rich": "set_aside", "asleep": "inactive", "watching": "active",
        "leaning": "set_aside", "heavy": "deleted", "risky": "waiting", "oops": "broken",
    }
    assert made.changes(SECOND) == {
        ("buyers", "c3", "entered"): "late", ("buyers", "c4", "entered"): "data", ("heavy", "c1", "left"): "deleted",
        ("watching", "c1", "entered"): "definition", ("watching", "c2", "entered"): "definition",
    }
    # Held segments keep their members; a static one does not take in a new customer.
    assert made.members("rich") == {"c1"} and made.members("asleep") == {"c1", "c2"}
    assert made.members("germans") == {"c1", "c3"}
    metrics = {row.segment_id: row for row in second_night.metrics}
    stale = {name: row.stale_since for name, row in metrics.items() if row.stale_since}
    assert stale == {"rich": FIRST, "asleep": FIRST}
    assert "leaning" not in metrics and "heavy" not in metrics
    assert (metrics["_all"].entered, metrics["_all"].left, metrics["_all"].customers) == (1, 0, 5)
    rows = {row.segment_id: row for row in second_night.definitions}
    assert (rows["asleep"].created_at, rows["asleep"].updated_at) == (FIRST, FIRST)
    assert (rows["heavy"].created_at, rows["heavy"].updated_at) == (FIRST, SECOND)
    assert "1 values of customers.points" in rows["rich"].reason and "rich" in rows["leaning"].reason
    assert second_night.record.notes["late_customers"] == "1"


def test_strict_stops_at_a_broken_file_before_anything_is_written(living, second_night):
    made, _ = living
    runs = made.lake.read("runs").count()
    with pytest.raises(ConfError, match=r"buyers\.yaml:1"):
        made.run(SECOND, GERMANS, broken=["buyers"], strict=True)
    with pytest.raises(UsageError, match="not ended"):
        made.run(THIRD, GERMANS, now=datetime(2026, 2, 1, 23, 59, tzinfo=UTC))
    with pytest.raises(UsageError, match="never published"):
        made.run(THIRD, GERMANS, as_then=True)
    assert made.lake.read("runs").count() == runs


def test_only_holds_what_refers_to_a_segment_that_is_set_aside(living, second_night):
    """Nothing new enters a segment by way of members that are stale."""
    made, _ = living
    before = made.published()
    leaning = segment("leaning", where=all_of(in_segment("rich"), customer("country", known=True)))
    outcome = made.run(SECOND, leaning, only=["leaning"], now=morning_after(SECOND))
    assert states(outcome)["leaning"] == states(outcome)["rich"] == "set_aside"
    assert "points" in next(row.reason for row in outcome.definitions if row.segment_id == "leaning")
    assert set(unlike(made, before)) <= {"segments"} and "leaning" not in shown(outcome)


def test_as_then_repeats_a_date_whatever_arrived_since(living, second_night):
    made, first = living
    before = made.published()
    outcome = made.run(FIRST, segment("other", where=ordered("any")), as_then=True)
    assert outcome.stale_dates == () and outcome.record.inputs == first.record.inputs
    assert unlike(made, before) == {}


@pytest.fixture(scope="module")
def third_night(living, second_night) -> RunOutcome:
    """c1 is erased and c2 is c4 now: two of five are gone, which a gate refuses until it is accepted."""
    made, _ = living
    hashed = hashlib.sha256(b"shop\x1fc1").hexdigest()
    made.lake.append("erasures", made.spark.createDataFrame([(hashed,)], "customer_hash string"), "load")
    aliases = made.spark.createDataFrame([("c2", "c4")], "customer_id string, canonical_id string")
    made.lake.append("aliases", aliases, "load")
    before = made.published()
    definitions = (BUYERS, GERMANS, segment("watching", where=in_segment("buyers")))
    with pytest.raises(GateError, match="--accept turnover"):
        made.run(THIRD, *definitions, now=morning_after(THIRD))
    assert unlike(made, before) == {}
    refused = max(read_history(made.lake).records, key=lambda row: row.order)
    assert refused.state is State.REFUSED and made.lake.staged_runs() == [refused.run_id]
    assert [gate.gate for gate in refused.gates if gate.blocks] == ["turnover"]
    return made.run(THIRD, *definitions, now=morning_after(THIRD), accept={"turnover"})


def test_erased_and_merged_customers_leave_with_their_cause(living, third_night):
    made, _ = living
    assert [gate.gate for gate in third_night.gates if gate.accepted] == ["turnover"]
    assert "retry_of" not in third_night.record.notes
    stored = made.lake.read("membership_changes").where(F.col("run_id") == third_night.run_id).collect()
    causes = {(row.segment_id, row.customer_id, row.change): row.cause for row in stored}
    assert {key: cause for key, cause in causes.items() if key[0] in ("buyers", "germans")} == {
        ("buyers", "c1", "left"): "erased", ("buyers", "c2", "left"): "merged", ("germans", "c1", "left"): "erased",
    }
    assert {cause for key, cause in causes.items() if key[0] in ("rich", "asleep")} == {"deleted"}
    assert made.members("germans") == {"c3"} and made.members("buyers") == {"c3", "c4"}
    everyone = {row.segment_id: row for row in third_night.metrics}["_all"]
    assert (everyone.customers, everyone.entered, everyone.left) == (3, 0, 2)


def test_an_erased_customer_is_shown_on_no_date(living, third_night):
    made, _ = living
    for day in (FIRST, SECOND, THIRD):
        assert "c1" not in {row.customer_id for row in made.tenant.customers(date=day).collect()}
    assert "c1" not in {row.customer_id for row in made.tenant.changes().collect()}


def test_only_computes_what_was_asked_for_and_what_refers_to_it(living, third_night):
    made, _ = living
    with pytest.raises(UsageError, match="did you mean 'buyers'"):
        made.run(THIRD, BUYERS, only=["buyrs"])
    with pytest.raises(UsageError, match="last published date"):
        made.run(SECOND, BUYERS, only=["buyers"])
    chosen = segment("chosen", where=all_of(in_segment("buyers"), customer("country", is_="FR")))
    outcome = made.run(THIRD, chosen, only=["chosen"])
    assert made.members("chosen") == {"c4"}
    assert outcome.record.inputs == third_night.record.inputs
    for table in ("membership_changes", "segment_metrics"):
        before, after = (made.stored(table, run.record) for run in (third_night, outcome))
        assert before <= after and all("chosen" in row for row in after - before)
    ours = {row.customer_id: row.segments for row in made.tenant.customers().collect()}
    assert {one.id for one in ours["c4"]} == {"buyers", "watching", "chosen"}
    assert {one.id: one.since for one in ours["c3"]} == {"buyers": SECOND, "germans": FIRST, "watching": THIRD}
    assert made.changes(THIRD)[("chosen", "c4", "entered")] == "definition"


def test_a_static_segment_is_absent_before_it_froze(living, third_night):
    made, _ = living
    before_first = FIRST - timedelta(days=1)
    outcome = made.run(before_first, GERMANS, BUYERS)
    assert "germans" not in shown(outcome) and states(outcome)["germans"] == "static"
    assert outcome.stale_dates == (FIRST, SECOND, THIRD)
    assert made.members("germans") == {"c3"}
    assert made.changes(FIRST)[("germans", "c3", "entered")] == "definition"


def test_held_out_members_stay_members_and_a_greater_share_moves_nobody(shop):
    """Kept with the night of first exposure; a rerun and a run of another segment leave that as it is."""
    made = shop("held out", gates=GatesSection(max_turnover=None))
    made.customers(*((f"c{number:02}", "DE", "1") for number in range(40)))

    def tested(percent: int) -> Segment:
        return segment("tested", where=customer("country", is_="DE"), holdout={"percent": percent, "salt": "spring"})

    def held(day: date) -> dict[str, date]:
        return {row.customer_id: row.since for row in made.tenant.holdout("tested", day).collect()}

    expected = {
        percent: {f"c{n:02}" for n in range(40)
                  if int.from_bytes(hashlib.sha256(f"spring\x1fc{n:02}".encode()).digest()[:8], "big") % 100 < percent}
        for percent in (30, 60)
    }
    made.run(FIRST, tested(30))
    made.run(SECOND, tested(60))
    assert made.members("tested") == {f"c{number:02}" for number in range(40)}
    assert held(FIRST) == dict.fromkeys(expected[30], FIRST) and len(expected[30]) < len(expected[60])
    later = {name: FIRST if name in expected[30] else SECOND for name in expected[60]}
    assert held(SECOND) == later
    made.run(SECOND, tested(60), segment("other", where=ordered("any")), only=["other"])
    assert held(SECOND) == later and held(FIRST) == dict.fromkeys(expected[30], FIRST)
    made.run(SECOND, tested(30))
    assert held(SECOND) == dict.fromkeys(expected[30], FIRST)


# The edges -----------------------------------------------------------------------------------------------------------


def test_an_empty_upstream_load_empties_no_segment(straight):
    before = straight.published()
    lake = straight.lake
    version = lake.version("orders")
    empty = straight.spark.createDataFrame([], ORDERS)
    lake.replace("orders", empty, {"status": "paid"}, "load")
    last = straight.tenant.dates()[-1]
    with pytest.raises(GateError, match="orders has 0 rows"):
        straight.run(last, *DEFINITIONS, fresh=True)
    assert unlike(straight, before) == {}
    lake.append("orders", lake.read("orders", version), "load")


@pytest.mark.soak
def test_ten_dates_in_any_order_end_in_the_tables_of_the_straight_order(shop):
    """Handed over in disorder, one restated with another definition and back, one refused, one run twice."""
    days = [FIRST + timedelta(days=number) for number in range(10)]
    straight, shuffled = fill(shop("ten straight")), fill(shop("ten shuffled"))
    for day in days:
        straight.run(day, *DEFINITIONS)
    for number in (9, 4, 0, 7, 2, 5, 1, 8, 3, 6):
        shuffled.run(days[number], *DEFINITIONS)
    shuffled.run(days[3], *EDITED)
    shuffled.run(days[3], *DEFINITIONS)
    version = shuffled.lake.version("orders")
    shuffled.lake.replace("orders", shuffled.spark.createDataFrame([], ORDERS), {"status": "paid"}, "load")
    with pytest.raises(GateError, match="orders has 0 rows"):
        shuffled.run(days[5], *DEFINITIONS, fresh=True)
    shuffled.lake.append("orders", shuffled.lake.read("orders", version), "load")
    shuffled.run(days[5], *DEFINITIONS)
    assert nightly.stale_dates(shuffled.lake)
    shuffled.redo([], *DEFINITIONS, stale=True)
    assert nightly.stale_dates(shuffled.lake) == ()
    assert unlike(shuffled, straight) == {}
    again = shop("ten again")
    fill(again).redo(reversed(days), *DEFINITIONS)
    assert unlike(again, straight) == {}


def test_a_new_tenant_without_any_data_publishes_an_empty_snapshot(shop):
    made = shop("empty", gates=GatesSection(max_turnover=0))
    outcome = made.run(FIRST, RECENT)
    assert outcome.state is State.PUBLISHED
    assert shown(outcome) == {"_all": 0, "recent": 0}
    assert made.tenant.customers().collect() == [] and made.members("recent") == set()


DEATH = """
import os, signal, sys
from datetime import UTC, date, datetime
from segment_lib import nightly
from segment_lib.build import ordered, segment
from segment_lib.definition import Loaded
from segment_lib.session import build_session
from segment_lib.settings import Settings
from segment_lib.storage import Lake

class Dying(Lake):
    def append(self, table, frame, run_id):
        if table == "runs" and frame.first()["state"] == "published":
            os.kill(os.getpid(), signal.SIGKILL)
        super().append(table, frame, run_id)

conf = dict(pair.split("=", 1) for pair in sys.argv[2:])
settings = Settings(root=sys.argv[1], spark={"spark.master": "local[1]", "spark.driver.memory": "1g", **conf})
spark = build_session(settings, app_name="dying")
loaded = Loaded((segment("recent", where=ordered("any", within="2d")),))
now = datetime(2026, 3, 1, tzinfo=UTC)
nightly.run(Dying(spark, settings), settings, loaded, snapshot_date=date(2026, 1, 30), now=now)
"""


def test_kill_9_just_before_publishing_is_taken_over_at_once(shop):
    made = fill(shop("killed"))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    conf = (f"{name}={value}" for name, value in QUICK_START.items())
    command = [sys.executable, "-c", DEATH, made.settings.root, *conf]
    died = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert died.returncode == -9, died.stderr[-2000:]
    with pytest.raises(UsageError, match="nothing is published"):
        made.tenant.customers()
    outcome = made.run(FIRST, RECENT)
    assert outcome.record.notes["retry_of"] and made.tenant.dates() == (FIRST,)
    assert shown(outcome)["recent"] > 0
