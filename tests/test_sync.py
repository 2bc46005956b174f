"""Syncs: what travels, what the ledger keeps, crashes and refusals, the fuse, and the command."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from commands import invoked
from written_nights import Nights

from segment_lib.conf import load_settings
from segment_lib.errors import EXIT_FAILED, EXIT_GATE, EXIT_OK, EXIT_USAGE, ConfError, LockedError, UsageError
from segment_lib.lease import Lease
from segment_lib.objects import open_objects
from segment_lib.runs import read_history
from segment_lib.settings import Settings
from segment_lib.sync import log
from segment_lib.sync.contract import Audience, Batch, Delivery, DeliveryError, Limits, Record, Refusal
from segment_lib.sync.fuse import Fuse, Size
from segment_lib.sync.profiles import profile
from segment_lib.sync.sync import Result, batched, key_of, sync

DAY = date(2026, 1, 31)
START = datetime(2026, 2, 1, 4, tzinfo=UTC)
SECRET = "planted-secret-4711"
WEBHOOK = {"type": "webhook", "options": {"url": "https://ads.example/hook"}, "credentials": {"secret": "env:HOOK"}}


class Killed(BaseException):
    """The process dies here."""


@dataclass
class Platform:
    """A platform that knows people by e-mail and phone, one person for each value, and holds its rules.

    `before` and `after` are asked around each batch and may raise; `refuse` names values that it does not take.
    """

    audiences: dict[str, set[tuple[str, str]]] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    taken: dict[str, Delivery] = field(default_factory=dict)
    sent: list[Batch] = field(default_factory=list)
    refuse: set[str] = field(default_factory=set)
    before: Callable[[], None] = lambda: None
    after: Callable[[], None] = lambda: None
    closing: Callable[[], None] = lambda: None
    repeated: int = 0

    profile = profile("klaviyo-2026-07")
    limits = Limits(records=4, bytes=200)

    def size_of(self, record: Record) -> int:
        return len(json.dumps({kind: list(values) for kind, values in record.identifiers.items()}))

    def open(self, audience: Audience) -> str:
        if audience.remote_id is None:
            self.names.setdefault(audience.name, f"id {len(self.names) + 1}")
            self.audiences.setdefault(self.names[audience.name], set())
        return audience.remote_id or self.names[audience.name]

    def send(self, audience: Audience, batch: Batch) -> Delivery:
        self.before()
        assert audience.remote_id in self.audiences
        assert 0 < len(batch.records) <= self.limits.records
        assert sum(map(self.size_of, batch.records)) <= self.limits.bytes or len(batch.records) == 1
        self.sent.append(batch)
        if batch.key in self.taken:
            self.repeated += 1
            delivery = self.taken[batch.key]
        else:
            delivery = self.taken[batch.key] = self._take(self.audiences[audience.remote_id], batch)
        self.after()
        return delivery

    def _take(self, there: set[tuple[str, str]], batch: Batch) -> Delivery:
        refused = []
        for record in batch.records:
            assert record.identifiers, "nobody without an identifier is sent"
            values = {(kind, value) for kind, several in record.identifiers.items() for value in several}
            if {value for _, value in values} & self.refuse:
                refused.append(Refusal(record.customer_id, "invalid_identifier"))
            elif batch.action == "add":
                there |= values
            else:
                there -= values
        return Delivery(len(batch.records) - len(refused), tuple(refused), f"job {len(self.taken)}")

    def close(self, audience: Audience) -> None:
        self.closing()


@dataclass
class Place:
    """A tenant that is synced to one platform; the clock goes on by itself."""

    nights: Nights
    platform: Platform = field(default_factory=Platform)
    now: datetime = START

    def clock(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now

    def sync(self, **more: Any) -> tuple[Result, ...]:
        lake = self.nights.lake()
        sync_id = f"{self.clock():%Y%m%dT%H%M%S}-00000000"
        history = read_history(lake)
        return sync(lake, history, lambda name, entry: self.platform, clock=self.clock, sync_id=sync_id, **more)

    def one(self, **more: Any) -> Any:
        (result,) = self.sync(**more)
        return result.synced

    def there(self, name: str = "a") -> set[str]:
        return {value for _, value in self.platform.audiences[self.platform.names[name]]}

    def ledger(self, *columns: str) -> list[tuple]:
        rows = self.nights.lake().read("sync_ledger").select(*columns).collect()
        return sorted(map(tuple, rows))


def address(name: str) -> str:
    return f"{name}@example.com"


def person(name: str, **more: Any) -> dict[str, Any]:
    return {"customer_id": name, "email": address(name), "country": "DE", "email_consent": True, **more}


def place(spark, folder: Path, *, options: Any = (), **more: Any) -> Place:
    ads = WEBHOOK | {"consent": "email", "segments": ["a"], **more.pop("ads", {})}
    conf = {"catalogue": {"lists": ["never"]}, "suppression": ["never"], "destinations": {"ads": ads}, **more}
    return Place(Nights(spark, Settings(root=str(folder / "lake"), **conf), dict(options)))


def no_fuse() -> dict[str, Any]:
    return {"fuse": {"change": None, "unreachable": None}}


# The property ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [11])
def test_whatever_happens_the_audience_is_who_is_wanted(spark, tmp_path, seed):
    """Nights with changed and shared addresses, erasures, consent withdrawn, one that is missed; crashes in between."""
    dice = random.Random(seed)
    here = place(spark, tmp_path, ads=no_fuse())
    names = [f"c{number:02}" for number in range(24)]
    people = {name: person(name) for name in names}
    erased: set[str] = set()
    fuses = []

    def maybe() -> None:
        if fuses and dice.random() < 0.35:
            raise fuses.pop()

    here.platform.before = here.platform.after = maybe
    for night in range(4):
        for name in dice.sample(names, 6):
            email = dice.choice([None, address(f"{name}.{night}"), address("household"), address(dice.choice(names))])
            people[name] = person(name, email=email, phone=dice.choice([None, "+49 30 901820", "+4930901821"]))
        for name in dice.sample(names, 3):
            people[name]["email_consent"] = dice.choice([True, False, None])
        inside = {name for name in names if dice.random() < 0.7}
        here.nights.customers(people.values())
        suppressed = dice.sample(names, 2)
        here.nights.listed("never", suppressed)
        here.nights.publish(DAY + timedelta(days=night), {"a": inside})
        if night:
            erased |= {dice.choice(sorted(inside))}
            here.nights.erase(*erased)
        if night == 1:
            continue  # a missed night
        fuses[:] = [Killed(), DeliveryError("it gives up"), Killed()][:night + 1]
        while fuses:
            try:
                here.sync()
            except Killed:
                # Between the crash and the next attempt somebody withdraws.
                people[dice.choice(sorted(inside))]["email_consent"] = False
                here.nights.customers(people.values())
            if not dice.randrange(3):
                break
        fuses.clear()
        assert here.one().state == "done"
        free = {name for name in inside - erased - set(suppressed) if people[name]["email_consent"]}
        wanted = {name for name in free if people[name]["email"] or people[name].get("phone")}
        values = {people[name]["email"] for name in wanted} | {
            people[name]["phone"].replace(" ", "") for name in wanted if people[name].get("phone")
        }
        assert here.there() == values - {None}
        assert here.ledger("customer_id", "state") == [(name, "sent") for name in sorted(wanted)]
        again = here.one()
        assert (again.batches, again.unchanged, again.added, again.removed) == (0, len(wanted), 0, 0)
    assert not erased & {row[0] for row in here.ledger("customer_id")}


# What travels ------------------------------------------------------------------------------------------------------


def test_only_the_change_travels(spark, tmp_path):
    """A changed identifier is a removal and an addition; an erased one is removed, then forgotten; a shared one stays."""
    here = place(spark, tmp_path, ads=no_fuse())
    here.nights.customers([person(name) for name in "pqrs"] + [person("t", email=address("s")), person("u", email=" ")])
    here.nights.publish(DAY, {"a": "pqrstu"})
    first = here.one()
    assert (first.wanted, first.no_identifier, first.added, first.batches) == (5, 1, 5, 2)
    assert first.lag_seconds > 0 and first.bytes > 100 and first.last_batch == 2
    here.platform.sent.clear()
    here.nights.customers([person("p"), person("q", email=address("new")), person("r"), person("s"), person("t", email=address("s"))])
    here.nights.erase("r")
    here.nights.publish(DAY + timedelta(days=1), {"a": "pqrt"})
    second = here.one()
    assert [(batch.action, [record.identifiers["email"] for record in batch.records]) for batch in here.platform.sent] == [
        ("remove", [(address("q"),), (address("r"),)]), ("add", [(address("new"),)]),
    ]
    assert (second.unchanged, second.added, second.removed, second.forgotten) == (2, 1, 2, 1)
    assert here.there() == {address("p"), address("new"), address("s")}
    assert here.ledger("customer_id", "state", "reason") == [("p", "sent", None), ("q", "sent", None), ("t", "sent", None)]


def test_refusals_are_kept_and_not_sent_again(spark, tmp_path):
    here = place(spark, tmp_path, ads=no_fuse())
    here.nights.customers([person("p"), person("q")])
    here.nights.publish(DAY, {"a": "pq"})
    here.platform.refuse = {address("q")}
    first = here.one()
    assert (first.added, first.refused, first.state) == (1, 1, "done")
    assert here.ledger("customer_id", "state", "reason") == [("p", "sent", None), ("q", "refused", "invalid_identifier")]
    assert here.one().batches == 0
    here.nights.customers([person("p", email=address("p2")), person("q", email=address("q2"))])
    here.platform.refuse = {address("p")}
    here.sync()
    assert here.there() == {address("p"), address("q2")}, "not added under a new address while the old one is there"
    here.platform.refuse = set()
    here.sync()
    assert here.there() == {address("p2"), address("q2")}


def test_a_batch_that_was_on_its_way_has_the_same_key(spark, tmp_path):
    here = place(spark, tmp_path, ads=no_fuse())
    here.nights.customers([person(f"c{number}") for number in range(10)])
    here.nights.publish(DAY, {"a": [f"c{number}" for number in range(10)]})

    def dies() -> None:
        if len(here.platform.sent) == 2:
            raise Killed

    here.platform.after = dies
    with pytest.raises(Killed):
        here.sync()
    here.platform.after = lambda: None
    done = here.one()
    assert here.platform.repeated == 1 and done.added == 6 and done.unchanged == 4
    assert len({batch.key for batch in here.platform.sent}) == 3 and len(here.there()) == 10


def test_what_failed_when_the_session_ended_is_sent_again(spark, tmp_path):
    here = place(spark, tmp_path, ads=no_fuse())
    here.nights.customers([person("p"), person("q")])
    here.nights.publish(DAY, {"a": "p"})
    here.sync()

    def fails() -> None:
        here.platform.audiences["id 1"] = {("email", address("p"))}  # the job did nothing
        raise DeliveryError("the platform's job failed")

    here.platform.closing = fails
    here.nights.publish(DAY + timedelta(days=1), {"a": "q"})
    failed = here.one()
    assert (failed.state, failed.reason) == ("failed", "the platform's job failed")
    here.platform.closing = lambda: None
    here.sync()
    assert here.there() == {address("q")}
    assert here.ledger("customer_id", "state") == [("q", "sent")]


def test_priorities_and_two_destinations(spark, tmp_path):
    """Who is in both goes to the first of `priority` alone; another destination without it has both."""
    ads = no_fuse() | {"segments": ["a", "b"], "priority": ["b", "a"]}
    here = place(spark, tmp_path, destinations={
        "ads": WEBHOOK | {"consent": "none", "opaque_names": True} | ads,
        "mail": WEBHOOK | {"consent": "email", "segments": ["b"]},
    }, options={"b": {"sync": [{"to": "elsewhere", "use": "exclude"}]}})
    here.nights.customers([person("p", email_consent=None), person("q"), person("r")])
    here.nights.publish(DAY, {"a": "pq", "b": "qr"})
    results = {(one.synced.destination, one.synced.segment_id): one for one in here.sync()}
    assert (results["ads", "a"].synced.wanted, results["ads", "a"].synced.priority) == (1, 1)
    assert results["ads", "b"].synced.wanted == 2 and results["mail", "b"].synced.wanted == 2
    assert results["ads", "a"].name.startswith("audience ") and results["mail", "b"].name == "b"
    assert results["elsewhere", "b"].synced.reason == "conf has no destination 'elsewhere'"
    kept = here.nights.lake().read("sync_audiences").where("destination = 'ads'").select("segment_id", "used_as").collect()
    assert sorted(map(tuple, kept)) == [("a", "include"), ("b", "include")]


# The fuse ----------------------------------------------------------------------------------------------------------


def test_the_fuse_keeps_the_last_good_audience(spark, tmp_path):
    """A collapse is held and says why; who is erased leaves all the same; a person lets it pass."""
    here = place(spark, tmp_path)
    here.nights.customers([person(f"c{number}") for number in range(8)])
    everyone = [f"c{number}" for number in range(8)]
    here.nights.publish(DAY, {"a": everyone})
    here.sync()
    here.nights.publish(DAY + timedelta(days=1), {"a": everyone[:2]})
    here.nights.erase("c7")
    held = here.one()
    assert held.state == "held" and "its size 2 is outside of 4 to 12" in held.reason and held.removed == 1
    assert here.there() == {address(name) for name in everyone[:7]}
    passed = here.one(accept=["a"])
    assert (passed.state, passed.accepted, passed.removed) == ("done", True, 5)
    assert here.there() == {address("c0"), address("c1")}
    assert here.one().state == "done", "what was accepted is what it learns from"
    with pytest.raises(UsageError, match="no such segment"):
        here.one(accept=["b"])


def test_an_audience_that_nothing_names_is_emptied_when_a_person_says_so(spark, tmp_path):
    here = place(spark, tmp_path, ads={"segments": []}, options={"a": {"sync": [{"to": "ads"}]}})
    here.nights.customers([person("p"), person("q")])
    here.nights.publish(DAY, {"a": "pq"})
    here.sync()
    here.nights.options = {}
    here.nights.publish(DAY + timedelta(days=1), {"a": "pq"})
    held = here.one()
    assert held.state == "held" and "--accept a empties it" in held.reason and len(here.there()) == 2
    assert here.one(accept=["a"]).state == "done" and here.there() == set()
    assert here.one().state == "done"


@pytest.mark.parametrize("fuse, now, said", [
    (Fuse(min_size=100), Size(99, 120, 0), "below the 100 of min_size"),
    (Fuse(guard=30), Size(131, 131, 0), "more than the 30% of its guard"),
    (Fuse(), Size(151, 160, 0), "outside of 50 to 150"), (Fuse(), Size(49, 50, 0), "outside of 50 to 150"),
    (Fuse(), Size(100, 113, 12), "10.6% of its members cannot be reached"),
    (Fuse(guard=30), Size(130, 140, 0), None), (Fuse(change=None), Size(1, 1, 0), None),
    (Fuse(), Size(100, 110, 10), None), (Fuse(), Size(150, 150, 0), None),
])
def test_when_the_fuse_holds(fuse, now, said):
    why = fuse.holds(now, [Size(1, 1000, 999)] * 20 + [Size(100, 100, 0)] * 14)
    assert (why is None) if said is None else said in (why or "")
    assert Fuse(guard=30).holds(now, []) is None, "nothing was learnt yet"


def test_what_has_always_varied_may_go_on_to():
    sizes = [Size(wanted, wanted, 0) for wanted in (100, 400, 90, 380, 110, 420, 95)]
    assert Fuse().holds(Size(400, 400, 0), sizes) is None
    assert Fuse().holds(Size(400, 400, 0), sizes[:1]) is not None


# Batches -----------------------------------------------------------------------------------------------------------


def records(count: int, action: str, width: int = 10) -> list[tuple[str, Record]]:
    return [(action, Record(f"c{number}", {"email": ("x" * width,)})) for number in range(count)]


def test_batches_hold_to_records_and_bytes():
    platform = Platform()
    made = list(batched([*records(5, "remove"), *records(9, "add"), *records(3, "add", 90)], platform))
    assert [(action, len(several)) for action, several in made] == [
        ("remove", 4), ("remove", 1), ("add", 4), ("add", 4), ("add", 2), ("add", 1), ("add", 1),
    ]
    assert all(sum(map(platform.size_of, several)) <= 200 for _, several in made)
    assert list(batched([], platform)) == []
    huge = list(batched(records(2, "add", 999), platform))
    assert [len(several) for _, several in huge] == [1, 1]


def test_a_key_is_of_everything_that_a_batch_carries():
    one = Record("c1", {"email": ("a",), "phone": ("b",)})
    same = Record("c1", {"phone": ("b",), "email": ("a",)})
    assert key_of(("x", "s"), 1, "add", [one]) == key_of(("x", "s"), 1, "add", [same])
    others: Iterable[str] = [
        key_of(("y", "s"), 1, "add", [one]), key_of(("x", "t"), 1, "add", [one]), key_of(("x", "s"), 2, "add", [one]),
        key_of(("x", "s"), 1, "remove", [one]), key_of(("x", "s"), 1, "add", [Record("c1", {"email": ("b",)})]),
        key_of(("x", "s"), 1, "add", [Record("c2", dict(one.identifiers))]),
    ]
    assert len({*others, key_of(("x", "s"), 1, "add", [one])}) == 7


# The command -------------------------------------------------------------------------------------------------------


CONF = """root: lake
destinations:
  ads:
    type: webhook
    options: {url: "https://ads.example/hook"}
    credentials: {secret: "env:HOOK"}
    consent: email
    segments: [a]
"""


def test_the_command_shows_masked_what_would_be_sent_and_writes_nothing(spark, tmp_path, monkeypatch):
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "base.yaml").write_text(CONF)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOOK", SECRET)
    nights = Nights(spark, load_settings("conf"))
    nights.customers([person("p", phone="+49 30 901820"), person("q", email_consent=False)])
    nights.publish(DAY, {"a": "pq"})
    said = invoked("sync", "--dry-run", "--json")
    shown = json.loads(said.stdout)
    assert shown["dry_run"] and len(shown["audiences"]) == 1
    assert {name: shown["audiences"][0][name] for name in ("state", "wanted", "no_consent", "added", "batches")} == {
        "state": "done", "wanted": 1, "no_consent": 1, "added": 1, "batches": 0
    }
    assert shown["samples"][0]["action"] == "add" and shown["samples"][0]["identifiers"]["email"] == ["p***"]
    told = said.output + invoked("sync", "--dry-run").output
    assert SECRET not in told and address("p") not in told and "901820" not in told
    assert not any(nights.lake().exists(table) for table in ("sync_ledger", "syncs", "sync_audiences"))
    monkeypatch.delenv("HOOK")
    failed = invoked("sync", "--json", code=EXIT_FAILED)
    assert "HOOK" in json.loads(failed.stdout)["audiences"][0]["reason"]
    assert log.read(nights.lake()).rows[0].state == "failed"
    assert "did you mean 'ads'" in invoked("sync", "--destination", "ad", code=EXIT_USAGE).output
    with Lease(open_objects(nights.lake().home), "shop", "other", name="_sync.json"), pytest.raises(LockedError):
        Place(nights).sync()


@pytest.mark.parametrize("old, new, said", [
    ("webhook", "webhok", "webhok"), ("consent: email", "consent: fax", "consent"), ("    consent: email\n", "", "consent"),
    ("env:HOOK", SECRET, "a secret is named, never written here"),
])
def test_faulty_conf_is_told_and_never_quotes_a_secret(tmp_path, old, new, said):
    (tmp_path / "base.yaml").write_text(CONF.replace(old, new))
    with pytest.raises(ConfError, match=said) as caught:
        load_settings(str(tmp_path))
    assert SECRET not in str(caught.value)


def test_exit_codes_tell_what_happened():
    from jobs.sync import exit_code

    assert exit_code(()) == exit_code(["done"]) == EXIT_OK
    assert exit_code(["done", "held"]) == EXIT_GATE
    assert exit_code(["failed", "held"]) == EXIT_FAILED
