"""A tenant with twenty published dates whose every row is drawn in plain Python, beside what it was drawn from.

The tables are written as nights write them, without running any: dates are missing between, one was restated, a snapshot
is beyond retention, customers merged and were erased, a segment was edited, one deleted, and one has had a holdout whose
percentage grew. The truth is kept as Python sets and lists, so that tests can count for themselves.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from segment_lib.api import Tenant
from segment_lib.build import customer, segment
from segment_lib.figures import EVERYONE
from segment_lib.runs import RunRecord, State, _row
from segment_lib.settings import CatalogueSection, Settings
from segment_lib.storage import Lake
from segment_lib.tables import LINE, OUTPUTS, ddl

ZONE = ZoneInfo("Europe/Berlin")
OFFSETS = (0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 13, 14, 15, 16, 17, 22, 23, 33, 34, 35)
DATES = tuple(date(2026, 1, 5) + timedelta(days=number) for number in OFFSETS)
PEOPLE = tuple(f"c{number:03}" for number in range(420))
MERGED = {f"c{400 + number}": f"c{number:03}" for number in range(10)}
ERASED = frozenset({"c010", "c011", "c405"})
SALT = "spring"
#: Places in DATES at which something happens.
HOLDOUT, REFERENCE, RESTATED, GROWN, MERGE, EDIT, DELETED, GONE = 3, 7, 5, 10, 8, 12, 15, 4
GROUPS = ("loyal", "new", "sleeping")
SCORED = 3


def bucket(salt: str, name: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{salt}\x1f{name}".encode()).digest()[:8], "big") % 100


def midnight(day: date) -> datetime:
    """The instant at which a local day begins."""
    return datetime.combine(day, time(), ZONE).astimezone(UTC)


def percent_on(place: int) -> int | None:
    return None if place < HOLDOUT else 20 if place < GROWN else 40


def definition(name: str, place: int) -> Any:
    more: dict[str, Any] = {"analytics": True} if name == "b" else {}
    percent = percent_on(place)
    if name == "a" and percent:
        more["holdout"] = {"percent": percent, "salt": SALT}
    return segment(name, where=customer("country", known=True), **more)


@dataclass
class Truth:
    """What the tables were made of. Members are by the ids of then; a person is the id of now, None when erased."""

    members: dict[date, dict[str, set[str]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(set)))
    everyone: dict[date, set[str]] = field(default_factory=dict)
    changes: dict[date, list[tuple[str, str, str, str]]] = field(default_factory=dict)
    metrics: dict[tuple[date, str], dict[str, Any]] = field(default_factory=dict)
    holdouts: list[tuple[date, str]] = field(default_factory=list)
    groups: dict[date, dict[str, tuple[str, str]]] = field(default_factory=dict)
    customers: list[dict[str, Any]] = field(default_factory=list)
    orders: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)

    def inside(self, name: str, day: date) -> set[str]:
        """The persons in a segment on a published date."""
        return {person for one in self.members[day][name] if (person := self.person(one))}

    def person(self, name: str | None) -> str | None:
        now = MERGED.get(name or "", name)
        return None if now is None or {name, now} & ERASED else now

    def purchases(self) -> list[dict[str, Any]]:
        """The purchases under the ids of now."""
        bought = (
            row | {"customer_id": self.person(row["customer_id"])} for row in self.orders if row["status"] != "pending"
        )
        return [row for row in bought if row["customer_id"]]


def simulate(dice: random.Random) -> Truth:
    truth = Truth()
    came = {name: max(0, dice.randrange(-12, 16)) for name in PEOPLE}
    before: dict[str, set[str]] = {name: set() for name in "abc"}
    held: set[str] = set()
    for place, day in enumerate(DATES):
        here = [name for name in PEOPLE if came[name] <= place and not (place >= MERGE and name in MERGED)]
        now = {
            name: {one for one in here if dice.random() < (0.85 if one in before[name] else 0.12)} for name in "abc"
        }
        if place == MERGE:
            for old, heir in MERGED.items():
                for name in "abc":
                    now[name] |= {heir} if old in before[name] else set()
        if place >= DELETED:
            now["c"] = set()
        rows = []
        for name in "abc":
            for change, whom in (("entered", now[name] - before[name]), ("left", before[name] - now[name])):
                for one in sorted(whom):
                    rows.append((name, one, change, _cause(dice, place, name, one, change)))
            truth.members[day][name] = now[name]
        truth.everyone[day], truth.changes[day] = set(here), rows
        for name in ("a", "b", "c", EVERYONE):
            if name == "c" and place >= DELETED:
                continue
            flows = Counter(change for one, _, change, _ in rows if one == name)
            truth.metrics[day, name] = {
                "customers": len(here if name == EVERYONE else now[name]), "entered": flows["entered"], "left": flows["left"],
                "orders_day": dice.randrange(9), "gross_revenue_day": Decimal(dice.randrange(10**6)) / 10**4,
                "purchases_day": dice.randrange(9), "net_revenue_day": Decimal(dice.randrange(10**6)) / 10**4,
                "active_365": dice.randrange(100),
            }
        percent = percent_on(place)
        fresh = {one for one in now["a"] - held if percent and bucket(SALT, one) < percent}
        truth.holdouts += [(day, one) for one in sorted(fresh)]
        held |= fresh
        if place >= len(DATES) - SCORED:
            scored = [one for one in here if dice.random() < 0.8]
            truth.groups[day] = {one: (dice.choice(GROUPS), dice.choice(["active", "lost"])) for one in scored}
        before = now
    _behaviour(truth, dice)
    return truth


def _cause(dice: random.Random, place: int, name: str, one: str, change: str) -> str:
    if name == "c" and place == DELETED:
        return "deleted"
    if place == MERGE and (one in MERGED or (change == "entered" and one in MERGED.values())):
        return "merged"
    if place == 0 or (name == "b" and place == EDIT):
        return "definition"
    return dice.choice(["data", "window"])


def _behaviour(truth: Truth, dice: random.Random) -> None:
    last = DATES[-1]
    for number, name in enumerate(PEOPLE):
        if number % 7:
            truth.customers.append({
                "customer_id": name, "email": f"{name}@example.com",
                "country": dice.choice(["DE"] * 40 + ["AT"] * 20 + ["CH", None, None, "FR"]),
                "registered": dice.choice([True, True, False, None]), "points": dice.choice([None, -1, 0, 1, 2, 4, 60]),
                "credit": dice.choice([None, Decimal(0), Decimal("0.03"), Decimal("1.5"), Decimal(2)]),
                "created_at": datetime(2025, dice.choice([10, 11]), 30, 23, dice.randrange(60), tzinfo=UTC),
                "store": dice.choice(["north", "south", None]),
            })
        for turn in range(dice.choice([0, 0, 1, 1, 2, 5])):
            instant = midnight(last) - timedelta(hours=dice.randrange(-30, 24 * 60))
            truth.orders.append({
                "order_id": f"{name}-{turn}", "customer_id": name, "ordered_at": instant,
                "status": dice.choice(["paid", "refunded", "pending"]), "revenue": Decimal(dice.randrange(10**6)) / 10**4,
                "refund": dice.choice([None, Decimal(3)]), "store": dice.choice(["a", "b", None]),
                "items": [
                    (f"p{line}", dice.choice(["tea", "cups", None]), dice.randrange(1, 4), Decimal(5), None)
                    for line in range(dice.randrange(3))
                ],
            })
        for turn in range(dice.choice([0, 1, 3])):
            truth.events.append({
                "event_id": f"e{name}-{turn}", "customer_id": name, "event_type": "page_viewed",
                "occurred_at": midnight(last) - timedelta(hours=dice.randrange(-30, 999)),
                "channel": dice.choice(["web", "app", None]),
            })


@dataclass(frozen=True)
class PublishedShop:
    """The tenant, its truth, and its project folder."""

    spark: Any
    settings: Settings
    truth: Truth
    project: Path

    @property
    def tenant(self) -> Tenant:
        return Tenant(self.spark, self.settings)


BASE = """tenant: shop
root: lake
time_zone: Europe/Berlin
catalogue:
  customer_fields: {points: integer, credit: decimal}
breakdowns:
  charts: [country, "segment:b"]
"""


def publish(spark: Any, folder: Path, seed: int = 5) -> PublishedShop:
    """Writes all tables: one commit each, whatever nights they hold."""
    (folder / "conf").mkdir(parents=True)
    (folder / "conf" / "base.yaml").write_text(BASE, encoding="utf-8")
    settings = Settings(
        root=str(folder / "lake"), time_zone=ZONE.key, breakdowns={"charts": ("country", "segment:b")},
        catalogue=CatalogueSection(customer_fields={"points": "integer", "credit": "decimal"}),
    )
    lake, truth = Lake(spark, settings), simulate(random.Random(seed))

    def write(table: str, columns: str, rows: Iterable[tuple]) -> None:
        # One file a date, where two tasks would write two.
        lake.append(table, spark.createDataFrame(list(rows), columns).coalesce(1), "test")

    money = "decimal(18,4)"
    inputs = {
        "customers": (
            truth.customers, "customer_id string, email string, country string, registered boolean, points bigint, "
            f"credit {money}, created_at timestamp, store string",
        ),
        "orders": (
            truth.orders, "order_id string, customer_id string, ordered_at timestamp, status string, "
            f"revenue {money}, refund {money}, store string, items array<{LINE}>",
        ),
        "events": (
            truth.events,
            "event_id string, customer_id string, event_type string, occurred_at timestamp, channel string",
        ),
    }
    for table, (rows, columns) in inputs.items():
        write(table, columns, (tuple(row.values()) for row in rows))
    write("aliases", "customer_id string, canonical_id string", MERGED.items())
    hashes = (hashlib.sha256(f"shop\x1f{name}".encode()).hexdigest() for name in sorted(ERASED))
    write("erasures", "customer_hash string, erased_at timestamp", ((one, midnight(DATES[-1])) for one in hashes))
    _write_outputs(write, truth, lake.pin())
    return PublishedShop(spark, settings, truth, folder)


def run_of(place: int) -> str:
    return f"r{place:02}"


def _write_outputs(write: Any, truth: Truth, pins: dict[str, int]) -> None:
    stamps = [(day, run_of(place), run_of(place - 1) if place else None) for place, day in enumerate(DATES)]
    loser = (DATES[RESTATED], "superseded", run_of(RESTATED - 1))
    against_loser = (DATES[RESTATED + 1], run_of(RESTATED + 1), "superseded")
    noise = [
        (*stamp, name, one, "entered", "data") for stamp in (loser, against_loser) for name in "abc" for one in PEOPLE[:50]
    ]
    changes = ((*stamp, *row) for stamp in stamps for row in truth.changes[stamp[0]])
    write("membership_changes", ddl(OUTPUTS["membership_changes"]), [*noise, *changes])
    write("memberships", ddl(OUTPUTS["memberships"]), _memberships(truth))
    days = ("orders_day", "gross_revenue_day", "purchases_day", "net_revenue_day")
    names = ("customers", "entered", "left", *days, "active_365")
    head = ("snapshot_date", "run_id", "base_run_id", "segment_id")
    columns = ", ".join(_column("segment_metrics", one) for one in (*head, *names))
    rows = [
        (*stamp, name, *(truth.metrics[stamp[0], name][one] for one in names))
        for stamp in stamps for name in ("a", "b", "c", EVERYONE) if (stamp[0], name) in truth.metrics
    ]
    rows.append((*loser, "a", 7, 7, 7, 7, Decimal(7), 7, Decimal(7), 7))
    write("segment_metrics", columns, rows)
    write("holdouts", ddl(OUTPUTS["holdouts"]),
          ((day, run_of(DATES.index(day)), "a", SALT, one) for day, one in truth.holdouts))
    listed = []
    for place, day in enumerate(DATES):
        for name in "abc":
            own = definition(name, place)
            gone = name == "c" and place >= DELETED
            listed.append((
                day, run_of(place), name, f"{name}{place >= EDIT if name == 'b' else ''}", name, "dynamic", "active",
                "deleted" if gone else "active", "", own.to_json(), [], DATES[0], DATES[0],
            ))
    write("segments", ddl(OUTPUTS["segments"]), listed)
    profiles = "snapshot_date date, run_id string, customer_id string, rfm_group string, churn_status string"
    write("customer_profiles", profiles, (
        (day, run_of(DATES.index(day)), one, *groups) for day, found in truth.groups.items() for one, groups in found.items()
    ))
    write("score_moves", ddl(OUTPUTS["score_moves"]), _score_moves(truth))
    records = [_record(place, truth, pins) for place in range(len(DATES))]
    earlier = records[RESTATED]
    at = earlier.at - timedelta(hours=1)
    records.append(RunRecord(earlier.snapshot_date, "superseded", State.PUBLISHED, at, earlier.as_of))
    write("runs", ddl(OUTPUTS["runs"]), map(_row, records))


def _column(table: str, name: str) -> str:
    return f"{name} {OUTPUTS[table][name]}"


def _memberships(truth: Truth) -> Iterable[tuple]:
    since: dict[tuple[str, str], date] = {}
    for place, day in enumerate(DATES):
        for name, one, change, _ in truth.changes[day]:
            if change == "entered":
                since[name, one] = day
        if place == GONE:
            continue
        for one in sorted(truth.everyone[day]):
            yield day, run_of(place), one, [(name, since[name, one]) for name in "abc" if one in truth.members[day][name]]


def _score_moves(truth: Truth) -> Iterable[tuple]:
    (_, before), (day, now) = list(truth.groups.items())[-2:]
    stamp = (day, run_of(len(DATES) - 1), run_of(len(DATES) - 2))
    for place, score in enumerate(("rfm.group", "churn.status")):
        counts = Counter(
            tuple(side[one][place] if one in side else None for side in (before, now)) for one in before.keys() | now.keys()
        )
        for (was, there), count in counts.items():
            yield *stamp, score, was, there, count


def _record(place: int, truth: Truth, pins: dict[str, int]) -> RunRecord:
    day = DATES[place]
    as_of = midnight(day + timedelta(days=1))
    notes = {"scores": json.dumps({"rfm.group": "", "churn.status": ""})} if day in truth.groups else {}
    hashes = {"a": "a", "b": f"b{place >= EDIT}", "c": f"c{place >= REFERENCE}"}
    return RunRecord(
        day, run_of(place), State.PUBLISHED, as_of + timedelta(hours=3), as_of, run_of(place - 1) if place else None,
        inputs=pins, definition_hashes=hashes, rows={"memberships": len(truth.everyone[day])}, notes=notes,
    )
