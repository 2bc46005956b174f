"""Why a customer is in a segment: what is said is what the night did, nothing personal leaks, one scan is enough."""

from __future__ import annotations

import hashlib
import json
import random
from datetime import UTC, date, datetime, timedelta
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pytest
import yaml
from agreement import segments_of, settings_for, write
from click.testing import Result
from commands import invoked
from oracle import members
from strategies import CATALOGUE, batch
from test_one_scan import records_read

from segment_lib import nightly, published
from segment_lib.api import Tenant
from segment_lib.build import (
    all_of, any_of, customer, in_segment, not_, ordered, score, segment, sequence, split, stopped, value,
)
from segment_lib.clock import Clock
from segment_lib.conf import load_settings
from segment_lib.definition import Loaded
from segment_lib.errors import EXIT_OK, EXIT_USAGE, UsageError
from segment_lib.runs import read_history
from segment_lib.settings import Settings
from segment_lib.storage import Lake
from segment_lib.why import Why, explain
from segment_lib.why.facts import leaving
from segment_lib.why.result import Line
from segment_lib.why.turning import smallest


FIRST, SECOND, LEFT = date(2026, 3, 30), date(2026, 3, 31), date(2026, 4, 1)
CONF = {
    "tenant": "shop", "time_zone": "Europe/Berlin", "gates": {"max_turnover": None, "max_staleness_days": None},
    "catalogue": {
        "event_types": {"page_viewed": {}}, "order_statuses": ["paid", "cancelled"], "purchase_statuses": ["paid"],
    },
}
DEFINITIONS = (
    segment(
        "loyal", name="Loyal", where=all_of(
            ordered("any", within="30d", count={"at_least": 2}),
            any_of(customer("country", in_=["DE", "AT", "CH"]), not_(customer("email", known=True))),
        ),
    ),
    segment("best", where=ordered("any"), limit={"top": 2, "by": {"ordered": "any", "sum": "revenue"}}),
    segment("rich", where=ordered("any", sum={"of": "revenue", "at_least": {"percentile": 50}})),
    segment("few", eligible=["registered", "push"], anonymous=False, where=customer("country", known=True)),
    segment("held_out", where=customer("country", known=True), holdout={"percent": 50, "salt": "spring"}),
    segment("scored", where=any_of(score("churn.risk_rate", at_least="0.5"), customer("country", is_="DE"))),
    segment("resting", status="inactive", where=ordered("any")),
    segment("founders", kind="static", where=ordered("any")),
    segment("steps", where=sequence({"did": "page_viewed"}, {"ordered": "any"}, within="60d")),
    segment("followers", where=all_of(in_segment("loyal", member_for={"at_least": "1d"}), split("x", 0, 99))),
    segment("quiet", where=stopped({"ordered": "any"}, within="30d", quiet="2d")),
    segment("more", where=value({"ordered": "any", "sum": "revenue", "within": "10d"},
                                more_than={"ordered": "any", "sum": "revenue", "within": {"ago": ["40d", "10d"]}})),
)


def at(day: int, month: int = 3, hour: int = 11) -> datetime:
    return datetime(2026, month, day, hour, tzinfo=UTC)


@pytest.fixture(scope="module")
def shop(spark, tmp_path_factory):
    """A tenant of a conf folder, three published nights, an order that came between the first two, and an erasure."""
    folder = tmp_path_factory.mktemp("why")
    conf = folder / "conf"
    conf.mkdir()
    (conf / "base.yaml").write_text(yaml.safe_dump({**CONF, "root": str(folder / "lake")}), encoding="utf-8")
    settings = load_settings(str(conf))
    lake = Lake(spark, settings)

    def load(table: str, schema: str, rows: list[tuple]) -> None:
        lake.append(table, spark.createDataFrame(rows, schema), "load")

    load("customers", "customer_id string, country string, email string, registered boolean, created_at timestamp", [
        ("ann", "DE", "ann@example.com", True, at(1, 1)), ("bob", "US", "bob@example.com", False, at(1, 1)),
        ("cem", "AT", None, True, at(1, 1)), ("dora", None, "dora@example.com", True, at(1, 1)),
        ("erin", "DE", None, True, at(1, 1)), ("late", "DE", None, True, at(9, 5)),
    ])
    orders = "order_id string, customer_id string, ordered_at timestamp, status string, revenue int"
    load("orders", orders, [
        ("o1", "ann", at(2), "paid", 40), ("o2", "old-ann", at(20), "paid", 80), ("o3", "bob", at(25), "paid", 10),
        ("o4", "cem", at(26), "paid", 30), ("o5", "visitor", at(26), "paid", 10), ("o6", "erin", at(26), "paid", 1),
    ])
    load("events", "event_id string, customer_id string, event_type string, occurred_at timestamp", [
        ("e1", "ann", "page_viewed", at(19)), ("e2", "bob", "page_viewed", at(27)),
        ("e3", "future", "page_viewed", at(9, 5)),
    ])
    load("aliases", "customer_id string, canonical_id string", [("old-ann", "ann")])

    def run(day: date) -> None:
        now = datetime(2026, 6, 1, tzinfo=UTC)
        nightly.run(Lake(spark, settings), settings, Loaded(DEFINITIONS), snapshot_date=day, now=now)

    run(FIRST)
    load("orders", orders, [("o7", "bob", at(31), "paid", 20)])
    run(SECOND)
    run(LEFT)
    gone = hashlib.sha256(b"shop\x1ferin").hexdigest()
    load("erasures", "customer_hash string, erased_at timestamp", [(gone, at(2, 4))])
    lake, runs = Lake(spark, settings), {}
    history = read_history(lake)

    def why(who: str, name: str, day: date) -> Why:
        """As `Tenant.why` tells it, which opens the tables anew for every question."""
        if (name, day) not in runs:
            runs[name, day] = published.find(lake, history.winner(day), name)
        return explain(lake, history, runs[name, day], who)

    return SimpleNamespace(tenant=Tenant(spark, settings), lake=lake, conf=conf, why=why)


# What is said --------------------------------------------------------------------------------------------------------


def test_the_tree_says_what_decided_and_what_would_turn_it(shop):
    found = shop.tenant.why("ann", "loyal", SECOND)
    lines = str(found).splitlines()
    assert lines[0] == "ann is in loyal since 2026-03-30 (Loyal)"
    assert lines[1].startswith("published for 2026-03-31 by run ") and lines[1].endswith("; decided by its conditions")
    page = (Path(__file__).parent.parent / "docs" / "trying.md").read_text(encoding="utf-8")
    shown = page.split("$ seglake why ann loyal --as-of 2026-03-31\n", 1)[1].split("```", 1)[0].splitlines()
    assert [lines[0], *lines[2:]] == [shown[0], *shown[2:]], "\n".join(lines)
    assert len(shown) > 15


def test_what_it_says_comes_true(shop):
    """The order that was missing came, and the one that was to leave the window left it."""
    before = shop.why("bob", "loyal", FIRST)
    assert not before.member and before.tree.parts[0].turn == "1 more order" and len(before.to_flip[0]) == 2
    after = shop.why("bob", "loyal", SECOND)
    assert after.tree.parts[0].holds and not after.holds and [len(one) for one in after.to_flip] == [1, 1]
    told = shop.why("ann", "loyal", SECOND)
    assert told.tree.parts[0].facts[0].leaves == LEFT
    assert told.member and not shop.why("ann", "loyal", LEFT).member


def test_a_date_is_seen_with_its_own_inputs(shop):
    """The order of the second night is not seen on the first."""
    counts = [shop.why("bob", "loyal", day).tree.parts[0].facts[0].value for day in (FIRST, SECOND)]
    assert counts == ["1", "2"]


def test_a_merged_id_stands_for_its_customer(shop):
    found = shop.why("old-ann", "loyal", SECOND)
    assert found.customer_id == "ann" and found.member
    assert found.notes == ("old-ann was merged into ann, whose rows count together",)
    assert found.tree == shop.why("ann", "loyal", SECOND).tree


@pytest.mark.parametrize(("who", "name", "day", "said"), [
    ("erin", "loyal", SECOND, "this customer was erased"),
    ("nobody", "loyal", SECOND, "no such customer on 2026-03-31"),
    ("ann", "loyl", SECOND, "no segment 'loyl' on 2026-03-31; did you mean 'loyal'?"),
    ("ann", "loyal", date(2026, 1, 1), "2026-01-01 is not published"),
])
def test_what_cannot_be_told_is_an_error_without_the_id(shop, who, name, day, said):
    with pytest.raises(UsageError, match=said) as error:
        shop.tenant.why(who, name, day)
    assert error.value.exit_code == EXIT_USAGE and who not in str(error.value)


def test_percentiles_are_shown_with_their_value(shop):
    found = shop.why("cem", "rich", SECOND)
    (fact,) = found.tree.facts
    assert (fact.value, fact.asked, fact.holds) == ("30.00", "at least percentile 50 = 30", True)
    assert found.member and found.agrees
    turn = shop.why("visitor", "rich", SECOND).tree.turn
    assert turn == "sum of revenue would have to be: at least percentile 50 = 30"


def test_a_limit_says_the_place(shop):
    """Two of three with 30 revenue have a place: bob before cem, by id."""
    assert [shop.why(who, "best", SECOND).member for who in ("ann", "bob", "cem")] == [True, True, False]
    found = shop.why("cem", "best", SECOND)
    assert found.decided_by == "its limit" and found.tree.holds and not found.limit.holds
    assert [(fact.name, fact.value, fact.asked) for fact in found.limit.facts] == [
        ("place", "3", "at most 2"), ("sum of revenue", "30.00", "the last place has 30.00"),
    ]
    assert len(found.to_flip) == 1 and "a place among the first 2" in found.to_flip[0][0]
    assert shop.why("dora", "best", SECOND).limit.facts[1].value == "0.00"


def test_eligibility_and_anonymous_visitors(shop):
    bob = shop.why("bob", "few", SECOND)
    assert bob.decided_by == "whom the segment considers at all (eligible in any of these ways)"
    assert [line.holds for line in bob.considered] == [False, True] and bob.tree.holds and not bob.holds
    assert [part.facts[0].value for part in bob.considered[0].parts] == ["false", "missing"]
    assert {one[0].split(":")[0] for one in bob.to_flip} == {"registered", "has given push consent"}
    visitor = shop.why("visitor", "few", SECOND)
    assert "stands in customers" in visitor.decided_by and not visitor.considered[1].holds
    assert "an anonymous visitor: the id does not stand in customers" in visitor.notes


def test_who_is_not_evaluated(shop):
    assert "created after it" in shop.why("late", "few", SECOND).decided_by
    assert "no event or order of theirs" in shop.why("future", "few", SECOND).decided_by


def test_states_that_decide_instead_of_the_conditions(shop):
    waiting = shop.why("ann", "scored", SECOND)
    assert waiting.held and "waiting for scores: churn.risk_rate" in waiting.decided_by
    assert waiting.tree.parts[0].holds is None and waiting.tree.parts[1].holds and waiting.to_flip == ()
    resting = shop.why("ann", "resting", SECOND)
    assert "inactive" in resting.decided_by and not resting.member and resting.holds
    assert "its conditions would say yes" in resting.notes
    assert shop.why("ann", "founders", FIRST).decided_by == "its conditions"
    frozen = shop.why("ann", "founders", SECOND)
    assert "frozen on 2026-03-30" in frozen.decided_by and frozen.member and frozen.since == FIRST


def test_holdout_is_told(shop):
    held = {who: shop.why(who, "held_out", SECOND).notes[-1] for who in ("ann", "bob", "cem")}
    for who, note in held.items():
        digest = hashlib.sha256(f"spring\x1f{who}".encode()).digest()
        bucket = int.from_bytes(digest[:8], "big") % 100
        assert note.startswith(f"{'held out' if bucket < 50 else 'not held out'}: bucket {bucket} of 100")


def test_references_sequences_values_and_buckets(shop):
    follows = shop.why("ann", "followers", SECOND)
    assert follows.member and follows.tree.parts[0].facts[0].value == "since 2026-03-30"
    bucket = follows.tree.parts[1]
    assert bucket.fixed and bucket.facts[0].asked == "0 to 98" and bucket.turn == ""
    steps = shop.why("ann", "steps", SECOND)
    assert [(fact.name, fact.value) for fact in steps.tree.facts] == [
        ("sequence", "found"), ("rows that are event_type is page_viewed", "1"), ("any orders", "2"),
    ]
    quiet = shop.why("bob", "quiet", SECOND)
    assert quiet.tree.turn == "1 fewer order in 2026-03-30 to 2026-03-31"
    more = shop.why("ann", "more", SECOND)
    assert [(fact.value, fact.days) for fact in more.tree.facts] == [
        ("0.00", "2026-03-22 to 2026-03-31"), ("120.00", "2026-02-20 to 2026-03-21"),
    ]


def test_html_and_json(shop):
    found = shop.why("ann", "loyal", SECOND)
    assert found._repr_html_().startswith("<pre>ann is in loyal")
    plain = json.loads(json.dumps(found.to_dict(), default=str))
    assert plain["tree"]["parts"][0]["facts"][0]["leaves"] == "2026-04-01" and plain["agrees"] is True


# Agreement with the nights --------------------------------------------------------------------------------------------


def test_random_definitions(spark, tmp_path):
    """For each of a batch, a member and another: the truth of the whole is what the oracle says and what is stored."""
    drawn = batch(21, 8)
    settings = Settings(**{**settings_for(str(tmp_path), drawn.zone.key).model_dump(), "gates": {}})
    lake = Lake(spark, settings)
    write(spark, lake, drawn.data)
    loaded = Loaded(tuple(segments_of(drawn.definitions, settings)))
    nightly.run(lake, settings, loaded, snapshot_date=drawn.snapshot_date, now=datetime(2100, 1, 1, tzinfo=UTC))
    expected = members(drawn.definitions, drawn.data, drawn.snapshot_date, drawn.zone, CATALOGUE)
    merged = {row["customer_id"] for row in drawn.data.aliases}
    ids = sorted({row["customer_id"] for row in drawn.data.customers} - merged - drawn.data.erased)
    history, rng = read_history(lake), random.Random(1)
    for name in drawn.definitions:
        seen = published.find(lake, history.latest, name)
        inside = [one for one in ids if one in expected[name]]
        outside = [one for one in ids if one not in expected[name]]
        for one in {rng.choice(some) for some in (inside, outside) if some}:
            found = explain(lake, history, seen, one)
            assert found.member == (one in expected[name]), (name, one)
            assert found.held or found.holds == found.member, (name, one, str(found))
            assert str(found) and found.agrees


# Cost and privacy -----------------------------------------------------------------------------------------------------


def test_one_scan_and_no_id_in_the_event_log(shop, event_log):
    """Every input row is read once at most, and no plan that Spark notes has the customer's id."""
    offset = event_log().stat().st_size
    assert shop.tenant.why("visitor", "loyal", SECOND).tree.parts[0].facts[0].value == "1"
    tables = ("customers", "events", "orders")
    read = records_read(event_log(), offset, {table: shop.lake.path(table) for table in tables})
    assert read["orders"] > 0
    assert all(read[table] <= shop.lake.read(table).count() for table in tables), dict(read)
    with Path(event_log()).open("rb") as lines:
        lines.seek(offset)
        noted = lines.read().decode()
    assert "SparkListenerSQLExecutionStart" in noted and "visitor" not in noted


def test_the_command(shop, caplog):
    def seglake(*words: str, code: int = EXIT_OK) -> Result:
        return invoked(*words, "--conf", shop.conf, code=code)

    text = seglake("why", "old-ann", "loyal", "--as-of", "2026-03-31")
    assert "ann is in loyal since 2026-03-30 (Loyal)" in text.stdout and "old-ann" not in text.stderr + caplog.text
    plain = json.loads(seglake("why", "ann", "loyal", "--json").stdout)
    assert plain["snapshot_date"] == "2026-04-01" and plain["member"] is False
    for who in ("erin", "nobody-at-all"):
        refused = seglake("why", who, "loyal", "--json", code=EXIT_USAGE)
        assert who not in refused.stdout + refused.stderr + caplog.text


# When rows leave windows, without Spark ------------------------------------------------------------------------------


@pytest.mark.parametrize(("window", "oldest", "expected"), [
    ("30d", at(2), date(2026, 4, 1)),
    ("30d", at(31), date(2026, 4, 30)),
    ("12h", at(31, hour=20), SECOND + timedelta(days=1)),
    ("6mo", datetime(2025, 10, 31, 11, tzinfo=UTC), date(2026, 4, 30)),
    ("this_month", at(5), date(2026, 4, 1)),
    ("last_month", at(5, 2), date(2026, 4, 1)),
    ({"ago": ["60d", "30d"]}, at(1, 2), date(2026, 4, 2)),
    ({"from": "2026-01-01"}, at(1, 2), None),
])
def test_when_the_oldest_row_leaves(window, oldest, expected):
    """The first date whose window begins after the row, and no date before it."""
    zone = ZoneInfo("Europe/Berlin")
    condition = ordered("any", within=window)
    moved = lambda day: condition.within.interval(Clock(day, zone))  # noqa: E731
    assert leaving(oldest, SECOND, moved) == expected
    if expected is not None:
        assert moved(expected).start > oldest >= moved(expected - timedelta(days=1)).start


# The smallest set of changes, without Spark --------------------------------------------------------------------------


def leaf(identity: str, holds: bool, fixed: bool = False) -> Line:
    return Line(identity, "customer", holds, identity=identity, fixed=fixed)


def node(key: str, *parts: Line) -> Line:
    truths = [bool(part.holds) for part in parts]
    holds = {"all": all(truths), "any": any(truths), "none": not any(truths), "not": not truths[0]}[key]
    return Line(key, key, holds, parts=parts)


def names(found) -> set[frozenset[str]]:
    return {frozenset(line.identity for line in one) for one in found}


def test_smallest_sets():
    a, b, c = leaf("a", True), leaf("b", False), leaf("c", False)
    assert names(smallest(node("all", a, b, c))) == {frozenset("bc")}
    assert names(smallest(node("all", a, node("any", b, c)))) == {frozenset("b"), frozenset("c")}
    assert names(smallest(node("not", node("any", a, b)))) == {frozenset("a")}
    assert names(smallest(node("all", leaf("f", False, fixed=True), b))) == set()
    assert names(smallest(node("any", b, node("not", b)))) == set()
    assert smallest(Line("", "all", None, parts=(Line("s", "score", None),))) == ()


def drawn_tree(rng: random.Random, truths: dict[str, bool], depth: int) -> Line:
    if depth and rng.random() < 0.7:
        key = rng.choice(["all", "any", "none", "not"])
        count = 1 if key == "not" else rng.randint(1, 3)
        return node(key, *(drawn_tree(rng, truths, depth - 1) for _ in range(count)))
    name = rng.choice(sorted(truths))
    return leaf(name, truths[name], fixed=name == "z")


def flipped(line: Line, change: frozenset[str]) -> Line:
    if not line.parts:
        return leaf(line.identity, line.holds != (line.identity in change))
    return node(line.key, *(flipped(part, change) for part in line.parts))


def test_smallest_sets_are_the_smallest():
    """Held against trying every set, for trees in which conditions repeat."""
    for seed in range(500):
        rng = random.Random(seed)
        truths = {name: rng.random() < 0.5 for name in "abcdez"}
        tree = drawn_tree(rng, truths, 3)
        used = sorted({one.identity for one in tree.leaves()} - {"z"})
        every = [
            frozenset(some) for size in range(1, len(used) + 1) for some in combinations(used, size)
            if flipped(tree, frozenset(some)).holds != tree.holds
        ]
        least = {some for some in every if len(some) == min(map(len, every))}
        found = names(smallest(tree))
        assert found <= least and bool(found) == bool(least), seed
