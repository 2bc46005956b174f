"""Audiences on four platforms, over real HTTP to servers that break down: what is there in the end is what was meant."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pytest
from platforms import google, klaviyo, meta, tiktok
from platforms.server import CALM, WILD, Chaos, Platform, Reply, Virtual, served

from segment_lib.sync.contract import Audience, Batch, DeliveryError, Record
from segment_lib.sync.destinations import DEFAULT_PROFILE, open_destination
from segment_lib.sync.profiles import profile, sha256

SECRETS = {
    "META": meta.TOKEN, "META_APP": meta.APP_SECRET, "TIKTOK": tiktok.TOKEN, "KLAVIYO": klaviyo.KEY,
}
#: What every fake platform says about somebody in its errors.
PLANTED = "jane.doe@example.com"


@dataclass(frozen=True)
class Kind:
    """How a platform is reached, and what its audience holds of a record."""

    fake: type[Platform]
    credentials: dict[str, str]
    options: Callable[[Platform], dict]
    holds: Callable[[Record], set]


def meta_rows(record: Record) -> set:
    kinds = ("email", "phone", "first_name", "last_name", "country", "device_id")
    return {tuple((record.identifiers.get(kind) or ("",))[0] for kind in kinds)}


def tiktok_ids(record: Record) -> set:
    names = {"email": "EMAIL_SHA256", "phone": "PHONE_SHA256"}
    return {(names[kind], value) for kind, values in record.identifiers.items() for value in values}


def google_members(record: Record) -> set:
    names = {"email": "emailAddress", "phone": "phoneNumber"}
    return {frozenset((names[kind], value) for kind, values in record.identifiers.items() for value in values)}


def klaviyo_profiles(record: Record) -> set:
    names = {"email": "email", "phone": "phone_number"}
    return {tuple(sorted((names[kind], values[0]) for kind, values in record.identifiers.items()))}


KINDS = {
    "meta": Kind(
        meta.FakeMeta, {"access_token": "env:META", "app_secret": "env:META_APP"},
        lambda fake: {"account": fake.account}, meta_rows,
    ),
    "tiktok": Kind(
        tiktok.FakeTikTok, {"access_token": "env:TIKTOK"}, lambda fake: {"advertiser": fake.advertiser}, tiktok_ids
    ),
    "google": Kind(
        google.FakeGoogle, {"service_account": "env:GOOGLE"},
        lambda fake: {"account": fake.account, "customer_match_terms": "accepted"}, google_members,
    ),
    "klaviyo": Kind(klaviyo.FakeKlaviyo, {"api_key": "env:KLAVIYO"}, lambda fake: {}, klaviyo_profiles),
}
EVERY = pytest.mark.parametrize("kind", KINDS)


@contextmanager
def reached(kind: str, chaos: Chaos = CALM, seed: int = 0, **options) -> Iterator[tuple[Platform, object, Audience]]:
    """A platform, a destination for it, and an audience there that has been opened."""
    time = Virtual()
    with served(KINDS[kind].fake(time, chaos, seed)) as fake:
        destination = opened(kind, fake, **options)
        audience = Audience("loyal", "Loyal customers")
        yield fake, destination, replace(audience, remote_id=destination.open(audience))


def opened(kind: str, fake: Platform, secrets: Mapping[str, str] = SECRETS, **options):
    environ = dict(secrets)
    if kind == "google":
        environ["GOOGLE"] = fake.service_account()
    wanted = {"url": fake.url, "timeout": 0.3, "attempts": 20, **KINDS[kind].options(fake), **options}
    return open_destination(
        kind, wanted, KINDS[kind].credentials, environ=environ, clock=fake.time.clock,
        now=lambda: datetime(2026, 11, 23, tzinfo=UTC),
    )


def people(kind: str, count: int, first: int = 0) -> list[Record]:
    rules = profile(DEFAULT_PROFILE[kind])
    made = []
    for number in range(first, first + count):
        row = {"customer_id": f"c{number}", "email": f"Person.{number}@Example.com", "first_name": f"Ann{number}"}
        row |= {"phone": f"+49151{10_000_000 + number}"} if number % 3 else {}
        made.append(Record(f"c{number}", rules.of(row)))
    return made


def batch(action: str, records: list[Record], key: str = "k1") -> Batch:
    return Batch(key, action, tuple(records))


def meant(kind: str, records) -> set:
    return {held for record in records for held in KINDS[kind].holds(record)}


def sent(destination, audience: Audience, wanted: Batch) -> None:
    """Sends until it is accepted, as the nights after a failed one do."""
    for _ in range(5):
        try:
            delivery = destination.send(audience, wanted)
            assert delivery.accepted == len(wanted.records) and not delivery.refused
            return
        except DeliveryError:
            continue
    raise AssertionError("never accepted")


@EVERY
@pytest.mark.parametrize("seed", [1, 2])
def test_whatever_breaks_the_audience_is_what_was_meant(kind, seed):
    source = random.Random(seed)
    known = {record.customer_id: record for record in people(kind, 60)}
    with reached(kind, WILD, seed) as (fake, destination, audience):
        inside: set[str] = set()
        for night in range(5):
            out = {name for name in inside if source.random() < 0.3}
            new = {name for name in known.keys() - inside if source.random() < 0.4}
            for action, names in (("remove", out), ("add", new)):
                records = [known[name] for name in sorted(names)]
                for number in range(0, len(records), 7):
                    change = batch(action, records[number:number + 7], f"{night}-{action}-{number}")
                    sent(destination, audience, change)
                    if source.random() < 0.3:  # as after a crash before the ledger was written
                        sent(destination, audience, change)
            inside = (inside - out) | new
            destination.close(audience)
        assert fake.members(audience.remote_id) == meant(kind, [known[name] for name in inside])
        assert fake.wrong == []


@EVERY
def test_an_audience_is_made_once_whatever_breaks(kind):
    for seed in range(6):
        with served(KINDS[kind].fake(Virtual(), replace(WILD, lost=0.4), seed)) as fake:
            for name in ("one", "two", "three", "two", "one"):
                opened(kind, fake).open(Audience(name, name))
            there = fake.audiences if hasattr(fake, "audiences") else fake.lists
            assert sorted(about["name"] for about in there.values()) == ["one", "three", "two"]


@EVERY
def test_a_known_audience_costs_no_request(kind):
    with reached(kind) as (fake, destination, audience):
        fake.seen.clear()
        assert destination.open(audience) == audience.remote_id and fake.seen == []


@EVERY
def test_limits_of_the_platform_are_kept_without_a_single_refusal(kind):
    """Many small batches: the rates hold them back, not the platform's 429."""
    records = people(kind, 400 if kind == "google" else 200)
    with reached(kind) as (fake, destination, audience):
        for number, record in enumerate(records):
            destination.send(audience, batch("add", [record], str(number)))
        assert fake.too_fast == 0 and len(fake.members(audience.remote_id)) >= len(records)
        assert fake.time.time > (30 if kind != "tiktok" else 15)  # 150, 120, 300 a minute, and 10 a second


@EVERY
def test_a_login_that_is_refused_stops_at_once_and_says_so(kind):
    with served(KINDS[kind].fake()) as fake:
        # Google's login is a key, and here one that is not theirs any more.
        fake.login = lambda request: Reply(400, {"error": "invalid_grant", "error_description": PLANTED})
        destination = opened(kind, fake, secrets={name: f"wrong-{PLANTED}" for name in SECRETS})
        with pytest.raises(DeliveryError, match="not accepted|not let in|token is not") as caught:
            destination.open(Audience("a", "a"))
        assert PLANTED not in shown_by(caught.value) and len(fake.seen) == 1


def shown_by(error: BaseException | None) -> str:
    """What a traceback shows of an error: its own words, and those of the errors that led to it."""
    if error is None:
        return ""
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return f"{error!s} {error!r} {shown_by(before)}"


@EVERY
def test_a_platform_that_stays_down_ends_in_an_error_without_secrets(kind, caplog):
    caplog.set_level(logging.DEBUG)
    planted = Record("c-planted", profile(DEFAULT_PROFILE[kind]).of({"email": PLANTED, "phone": "+4915112345678"}))
    everything = [*SECRETS.values(), PLANTED, sha256(PLANTED), "15112345678", "c-planted"]
    with reached(kind) as (fake, destination, audience):
        assert destination.send(audience, batch("add", [planted])).accepted == 1
        destination.send(audience, batch("remove", [planted]))
        fake.chaos = Chaos(busy=0.4, broken=0.3, dropped=0.3)
        for action in ("add", "remove"):
            with pytest.raises(DeliveryError, match="failed 20 times") as caught:
                destination.send(audience, batch(action, [planted]))
            assert not [text for text in everything if text in shown_by(caught.value)]
    shown = f"{destination!r} {planted!r} {batch('add', [planted])!r} {destination.__dict__!r}"
    assert not [text for text in everything if text in shown]
    assert "attempt 1 of 20" in caplog.text
    assert not [text for text in everything if text in caplog.text]


# Each in its own way ------------------------------------------------------------------------------------------------


def test_meta_names_invalid_rows_and_the_rest_is_accepted():
    records = people("meta", 30)
    with reached("meta") as (fake, destination, audience):
        fake.refuse = {records[4].identifiers["email"][0]}
        fake.hidden = {records[9].identifiers["email"][0]}
        delivery = destination.send(audience, batch("add", records))
        assert [(row.customer_id, row.reason) for row in delivery.refused] == [("c4", "invalid_entry")]
        assert delivery.accepted == 29 and len(fake.members(audience.remote_id)) == 28


def test_meta_splits_more_rows_than_a_request_holds_into_one_session():
    values = tuple(sha256(str(number)) for number in range(10))
    records = [Record(f"c{number}", {"email": values, "phone": (sha256(f"p{number}"),)}) for number in range(1_001)]
    with reached("meta") as (fake, destination, audience):
        destination.send(audience, batch("add", records))
        ((_, session),) = fake.sessions.items()
        assert session == {"next": 3, "done": True} and fake.wrong == []
        assert len(fake.members(audience.remote_id)) == 1_001 + 9


def test_meta_says_that_an_audience_is_blocked():
    with reached("meta") as (fake, destination, audience):
        fake.blocked.add(audience.remote_id)
        with pytest.raises(DeliveryError, match="flagged it; appeal in Audience Manager"):
            destination.send(audience, batch("add", people("meta", 1)))


def test_google_takes_out_the_members_that_fail_a_request():
    records = people("google", 40)
    with reached("google") as (fake, destination, audience):
        fake.refuse = {records[place].identifiers["email"][0] for place in (0, 7, 8, 21, 39)}
        delivery = destination.send(audience, batch("add", records))
        assert sorted(row.customer_id for row in delivery.refused) == ["c0", "c21", "c39", "c7", "c8"]
        assert {row.reason for row in delivery.refused} == {"invalid_hex_encoding"} and delivery.accepted == 35
        assert len(fake.members(audience.remote_id)) == 35 and fake.logins == 1
        assert destination.send(audience, batch("remove", [records[0]])).refused[0].customer_id == "c0"


def test_google_requests_that_fail_afterwards_are_told_when_the_audience_is_closed():
    with reached("google") as (fake, destination, audience):
        fake.failing = True
        destination.send(audience, batch("add", people("google", 1)))
        with pytest.raises(DeliveryError, match="PROCESSING_ERROR_REASON_INVALID_CUSTOM_VARIABLE"):
            destination.close(audience)
        destination.close(audience)  # it was said once


def test_klaviyo_refusals_of_a_request_and_of_a_job_are_told_with_their_customers():
    records = people("klaviyo", 40)
    with reached("klaviyo") as (fake, destination, audience):
        fake.reject = {records[place].identifiers["email"][0] for place in (3, 11, 12, 30)}
        fake.refuse = {records[place].identifiers["email"][0] for place in (0, 5, 13, 31, 39)}
        delivery = destination.send(audience, batch("add", records))
        refused = sorted(int(row.customer_id[1:]) for row in delivery.refused)
        assert refused == [0, 3, 5, 11, 12, 13, 30, 31, 39] and delivery.accepted == 31
        assert {row.reason for row in delivery.refused} == {"invalid"}
        assert len(fake.members(audience.remote_id)) == 31


def test_klaviyo_creates_nobody_who_is_removed():
    with reached("klaviyo", place="both") as (fake, destination, audience):
        assert destination.send(audience, batch("remove", people("klaviyo", 5))).accepted == 5
        assert fake.profiles == {}


@pytest.mark.parametrize("place", ["property", "both"])
def test_klaviyo_marks_profiles_with_a_property(place):
    records = people("klaviyo", 6)
    with reached("klaviyo", place=place, property_prefix="in ") as (fake, destination, audience):
        destination.send(audience, batch("add", [replace(record, properties={"tier": "gold"}) for record in records]))
        destination.send(audience, batch("remove", records[:2]))
        marks = [about["properties"] for about in fake.profiles.values()]
        assert sorted(mark["in Loyal customers"] for mark in marks) == [False] * 2 + [True] * 4
        assert all(mark["tier"] == "gold" for mark in marks)
        assert [len(about["members"]) for about in fake.lists.values()] == ([4] if place == "both" else [])


def test_klaviyo_finds_by_number_or_id_who_has_no_address():
    by_id = [Record("c1", {"external_id": ("c1",)}), Record("c2", {"phone": ("+4915112345678",)})]
    with reached("klaviyo") as (fake, destination, audience):
        destination.send(audience, batch("add", by_id))
        assert len(fake.members(audience.remote_id)) == 2
        destination.send(audience, batch("remove", by_id))
        assert fake.members(audience.remote_id) == set() and fake.wrong == []


def test_klaviyo_bodies_stay_below_its_limit_when_batches_are_cut_by_size():
    records = [
        replace(record, properties={"note": "é" * 300}) for record in people("klaviyo", 12_000)
    ]
    with reached("klaviyo") as (fake, destination, audience):
        size, cut = 0, []
        for record in records:
            size += destination.size_of(record)
            if size > destination.limits.bytes:
                break
            cut.append(record)
        assert destination.send(audience, batch("add", cut)).accepted == len(cut)
        assert 4_900_000 < max(fake.bodies) <= 5_000_000 and fake.wrong == []


def test_a_profile_that_is_too_large_is_refused_and_the_others_are_sent():
    small, large = people("klaviyo", 2)
    with reached("klaviyo") as (fake, destination, audience):
        large = replace(large, properties={"note": "x" * 100_000})
        delivery = destination.send(audience, batch("add", [small, large]))
        assert [row.reason for row in delivery.refused] == ["too_large"] and fake.wrong == []


def test_threads_may_share_a_destination():
    from concurrent.futures import ThreadPoolExecutor

    with reached("klaviyo", replace(WILD, hung=0.0)) as (fake, destination, audience):
        jobs = [batch("add", people("klaviyo", 20, first), str(first)) for first in range(0, 200, 20)]
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda job: sent(destination, audience, job), jobs))
        assert len(fake.members(audience.remote_id)) == 200
