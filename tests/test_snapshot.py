"""The difference between two nights, its causes, and the numbers of a night: small frames, no tables."""

from __future__ import annotations

import hashlib
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from pyspark.sql import functions as F

from segment_lib import metrics, snapshot, static
from segment_lib.runs import RunRecord, State
from segment_lib.snapshot import MEMBERS, Seen, Stamp
from segment_lib.static import Statics

TODAY, YESTERDAY = date(2026, 1, 2), date(2026, 1, 1)
STAMP = Stamp(TODAY, "tonight", "base")
DECIDED = (
    "customer_id string, anonymous boolean, lost boolean, orders bigint, gross_revenue decimal(38,4), net_revenue decimal(38,4), "
    "has_new boolean, has_late boolean, segments array<struct<id:string,since:date>>"
)


def inside(*names: str, since: date = YESTERDAY) -> list[tuple[str, date]]:
    return [(name, since) for name in names]


@pytest.fixture
def decided(spark):
    def make(*rows):
        """Rows are (customer, segments, flags): `n` new, `l` late, `a` anonymous, `x` lost."""
        values = [
            (customer, "a" in flags, "x" in flags, 2, Decimal(10), Decimal(4), "n" in flags, "l" in flags, inside(*segments))
            for customer, segments, flags in rows
        ]
        return spark.createDataFrame(values, DECIDED)

    return make


@pytest.fixture
def members(spark):
    def make(**rows):
        return spark.createDataFrame([(customer, inside(*names)) for customer, names in rows.items()], MEMBERS)

    return make


def causes(frame):
    return {(row.customer_id, row.segment_id, row.change): row.cause for row in frame.collect()}


def hashed(tenant, customer):
    return hashlib.sha256(f"{tenant}\x1f{customer}".encode()).hexdigest()


def test_only_customers_who_differ_are_in_the_difference(decided, members):
    tonight = decided(("stays", ["a"], ""), ("moves", ["b"], ""), ("new", [], "n"))
    base = members(stays=["a"], moves=["a"], gone=["a"])
    rows = {row.customer_id: row for row in snapshot.difference(tonight, base).collect()}
    assert set(rows) == {"moves", "new", "gone"}
    assert (rows["moves"].entered, rows["moves"].left) == (["b"], ["a"])
    assert (rows["gone"].times, rows["gone"].left) == (None, ["a"])
    assert (rows["new"].in_base, rows["new"].entered) == (False, [])


def test_a_changed_since_is_no_change_of_membership(decided, spark):
    base = spark.createDataFrame([("x", inside("a", since=date(2020, 1, 1)))], MEMBERS)
    assert snapshot.difference(decided(("x", ["a"], "")), base).count() == 0


def test_duplicates_and_rows_without_customer_are_counted(decided, members):
    tonight = decided(("x", ["a"], ""), ("x", ["a"], ""), (None, [], ""), ("y", [], ""))
    assert snapshot.look(snapshot.difference(tonight, members(x=["a"], y=[]))) == Seen(1, 1, 1, 0)


def test_every_id_replaced_overnight_is_seen_though_no_size_changes(decided, members):
    tonight = decided(("new1", [], ""), ("new2", [], ""))
    seen = snapshot.look(snapshot.difference(tonight, members(old1=[], old2=[])))
    assert (seen.came, seen.went) == (2, 2)
    assert seen.turnover(2).after == 2


CAUSES = [
    # what; in the segment tonight and flags, or None when not evaluated; in it before, or None; facts; expected cause
    ("deleted_segment", (False, "nl"), True, {"deleted", "redefined"}, "deleted"),
    ("deleted_before_erased", None, True, {"deleted", "erased"}, "deleted"),
    ("erased", None, True, {"redefined", "erased"}, "erased"),
    ("erased_before_merged", None, True, {"merged", "erased"}, "erased"),
    ("merged", None, True, {"redefined", "merged"}, "merged"),
    ("edited_definition", (False, "nl"), True, {"redefined"}, "definition"),
    ("late_row", (False, "nl"), True, set(), "late"),
    ("new_row", (True, "n"), False, set(), "data"),
    ("new_customer", (True, "n"), None, set(), "data"),
    ("rows_are_gone", None, True, set(), "data"),
    ("only_time", (False, ""), True, set(), "window"),
]


def test_causes_apply_in_order(spark, decided, members):
    """Every case is a customer of that name in a segment of that name."""
    facts = {name: known for name, _, _, known, _ in CAUSES}
    now = decided(*((name, [name] if tonight[0] else [], tonight[1]) for name, tonight, *_ in CAUSES if tonight))
    before = members(**{name: [name] if base else [] for name, _, base, *_ in CAUSES if base is not None})
    found = snapshot.difference(now, before)
    hashes = [(hashed("shop", name),) for name in facts if "erased" in facts[name]]
    aliases = [(name, "heir") for name in facts if "merged" in facts[name]]
    persons = snapshot.persons(
        snapshot.gone(found), "shop", spark.createDataFrame(hashes, "customer_hash string"),
        spark.createDataFrame(aliases, "customer_id string, canonical_id string"),
    )
    rows = snapshot.changes(
        found, persons, STAMP, redefined=[name for name in facts if "redefined" in facts[name]],
        deleted=[name for name in facts if "deleted" in facts[name]],
    )
    assert causes(rows) == {
        (name, name, "entered" if tonight and tonight[0] else "left"): cause for name, tonight, _, _, cause in CAUSES
    }


def test_who_takes_over_the_rows_of_a_merged_customer_changes_for_the_merge(spark, decided, members):
    tonight = decided(("heir", ["s", "new"], ""), ("other", ["s"], ""))
    found = snapshot.difference(tonight, members(heir=[], alias=["s"], other=[]))
    aliases = spark.createDataFrame([("alias", "heir"), ("unseen", "other")], "customer_id string, canonical_id string")
    rows = snapshot.changes(
        found, snapshot.persons(snapshot.gone(found), "shop", None, aliases), STAMP, redefined=["new"], deleted=()
    )
    assert causes(rows) == {
        ("alias", "s", "left"): "merged", ("heir", "s", "entered"): "merged", ("heir", "new", "entered"): "definition",
        ("other", "s", "entered"): "window",
    }


def test_an_erasure_of_another_tenant_is_none_of_ours(spark, decided, members):
    found = snapshot.difference(decided(), members(x=["s"]))
    erased = spark.createDataFrame([(hashed("other", "x"),)], "customer_hash string")
    assert [row.person for row in snapshot.persons(snapshot.gone(found), "shop", erased, None).collect()] == ["data"]


def test_changes_of_some_segments_only(spark, decided, members):
    found = snapshot.difference(decided(("x", ["a", "b"], "n")), members(x=[]))
    persons = snapshot.persons(snapshot.gone(found), "shop", None, None)
    rows = snapshot.changes(found, persons, STAMP, redefined=(), deleted=(), only={"b"})
    assert causes(rows) == {("x", "b", "entered"): "data"}
    assert {(row.snapshot_date, row.run_id, row.base_run_id) for row in rows.collect()} == {(TODAY, "tonight", "base")}


def test_rebased_changes_keep_the_cause_they_had(spark, members):
    found = snapshot.difference(members(x=["a", "b"], y=["a"]), members(x=[], y=["a", "c", "d"]))
    columns = "segment_id string, customer_id string, change string, cause string"
    earlier = spark.createDataFrame([("a", "x", "entered", "late")], columns)
    rows = snapshot.rebased(found, earlier, STAMP, redefined={"c"}, deleted={"d"})
    assert causes(rows) == {
        ("x", "a", "entered"): "late", ("x", "b", "entered"): "data",
        ("y", "c", "left"): "definition", ("y", "d", "left"): "deleted",
    }


def test_snapshots_differ_by_member_segment_or_since(spark, members):
    one = members(x=["a"], y=[])
    assert not snapshot.differ(one, members(x=["a"]))
    assert snapshot.differ(one, members(x=["a", "b"]))
    assert snapshot.differ(one, members(y=["a"]))
    assert snapshot.differ(one, spark.createDataFrame([("x", inside("a", since=TODAY))], MEMBERS))


def test_mixed_members_come_from_two_runs(members):
    frame = snapshot.mixed(members(x=["a", "b"], y=["a"]), members(x=["b", "c"], z=["c"]), {"c"})
    assert {row.customer_id: {one.id for one in row.segments} for row in frame.collect()} == {
        "x": {"a", "b", "c"}, "y": {"a"}, "z": {"c"},
    }


def test_static_members_come_from_what_was_frozen_alone(spark, members):
    frozen = spark.createDataFrame([("s", "x"), ("s", "n")], "segment_id string, customer_id string")
    at = datetime(2026, 1, 1, tzinfo=UTC)
    statics = Statics({"s": RunRecord(YESTERDAY, "froze", State.PUBLISHED, at, at)}, {"gone": "later"})
    frame = static.with_frozen(members(x=["s", "a"], y=["s", "gone"]), frozen, statics, TODAY)
    assert {row.customer_id: {(one.id, one.since) for one in row.segments} for row in frame.collect()} == {
        "x": {("s", YESTERDAY), ("a", YESTERDAY)}, "y": set(), "n": {("s", TODAY)},
    }


def test_tonights_members_of_a_freezing_segment(decided):
    rows = static.tonight(decided(("x", ["s", "a"], ""), ("y", ["a"], "")), {"s": "hash"}, STAMP).collect()
    assert [(row.segment_id, row.definition_hash, row.customer_id) for row in rows] == [("s", "hash", "x")]


def test_a_night_adds_up(decided, members):
    """For each segment: size tonight = size before + entered - left."""
    tonight = decided(("p", ["a", "b"], "n"), ("q", ["b"], ""), ("r", [], "l"), ("t", ["a"], "n"))
    base = members(p=["a"], q=["a", "b"], r=["a", "b"], gone=["b"])
    found = snapshot.difference(tonight, base)
    persons = snapshot.persons(snapshot.gone(found), "shop", None, None)
    rows = snapshot.changes(found, persons, STAMP, redefined=(), deleted=())
    sizes = {row.id: row["count"] for row in tonight.select(F.explode("segments.id").alias("id")).groupBy("id").count().collect()}
    counted = base.select(F.explode("segments.id").alias("id")).groupBy("id").count()
    before = {row.id: row["count"] for row in counted.collect()}
    for name, (entered, left) in metrics.flows(rows).items():
        assert sizes[name] == before[name] + entered - left
