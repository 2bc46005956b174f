"""Triggers: who gets which message when, what never fires one, crashes, quiet hours, mail, and the command."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from commands import invoked
from mailbox_server import PASSWORD, Mailbox, smtp
from written_nights import Nights, at_night

from segment_lib.conf import load_settings
from segment_lib.errors import EXIT_GATE, EXIT_USAGE, ConfError, UsageError
from segment_lib.runs import read_history
from segment_lib.settings import Settings
from segment_lib.sync.contract import Audience, Batch, Delivery, DeliveryError, Limits, Record, Refusal
from segment_lib.sync.destinations import open_destination
from segment_lib.sync.profiles import profile
from segment_lib.triggers.fire import Result, fire
from segment_lib.triggers.template import RenderError, names_in, render

DAY = date(2026, 1, 31)
HOOK = {"type": "webhook", "options": {"url": "https://ads.example/hook"}, "credentials": {"secret": "env:HOOK"}}
pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
TEXT = "Hello {{ first_name or 'you' }}"


class Killed(BaseException):
    """The process dies here."""


@dataclass
class Hook:
    """A receiver that looks at keys: what comes under a key that it knows is not taken again.

    `before` and `after` are asked around each batch and may raise.
    """

    got: list[tuple[str, str]] = field(default_factory=list)
    keys: dict[str, Delivery] = field(default_factory=dict)
    ids: list[str] = field(default_factory=list)
    refuse: set[str] = field(default_factory=set)
    busy: set[str] = field(default_factory=set)
    before: Callable[[], None] = lambda: None
    after: Callable[[], None] = lambda: None
    repeated: int = 0

    profile = profile("plain")
    limits = Limits(records=3, bytes=1_000)

    def size_of(self, record: Record) -> int:
        return len(json.dumps(dict(record.properties)))

    def open(self, audience: Audience) -> str:
        return audience.name

    def send(self, audience: Audience, batch: Batch) -> Delivery:
        self.before()
        assert batch.action == "message" and 0 < len(batch.records) <= 3
        if batch.key in self.keys:
            self.repeated += 1
        else:
            self.keys[batch.key] = self._take(batch)
        self.after()
        return self.keys[batch.key]

    def _take(self, batch: Batch) -> Delivery:
        refused, unsent = [], []
        for record in batch.records:
            if record.customer_id in self.refuse:
                refused.append(Refusal(record.customer_id, "unknown"))
            elif record.customer_id in self.busy:
                unsent.append(record.customer_id)
            else:
                self.got.append((record.customer_id, str(record.properties["text"])))
                self.ids.append(str(record.id))
        return Delivery(len(batch.records) - len(refused) - len(unsent), tuple(refused), None, tuple(unsent))

    def close(self, audience: Audience) -> None:
        pass


@dataclass
class Shop:
    """A tenant whose triggers are fired when the test says so."""

    nights: Nights
    hook: Hook = field(default_factory=Hook)
    now: datetime = at_night(DAY)

    def clock(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now

    def fire(self, **more: Any) -> tuple[Result, ...]:
        lake = self.nights.lake()
        fire_id = f"{self.clock():%Y%m%dT%H%M%S}-00000000"
        history = read_history(lake)
        return fire(lake, history, lambda name, entry: self.hook, clock=self.clock, fire_id=fire_id, **more)

    def one(self, **more: Any) -> Any:
        (result,) = self.fire(**more)
        return result.fired

    def night(self, number: int, inside: str, **more: Any) -> None:
        """Publishes the night of a number from the first, and sets the clock to its end."""
        day = DAY + timedelta(days=number)
        self.nights.publish(day, {"a": inside}, **more)
        self.now = max(self.now, at_night(day))

    def told(self) -> list[str]:
        """Whom it has told something since this was last asked."""
        names = [name for name, _ in self.hook.got]
        self.hook.got.clear()
        return names

    def queue(self) -> list[tuple[str, str, str]]:
        rows = self.nights.lake().read("trigger_queue").where("customer_id IS NOT NULL")
        return sorted(map(tuple, rows.select("customer_id", "state", "reason").collect()))


def person(name: str, **more: Any) -> dict[str, Any]:
    return {"customer_id": name, "email": f"{name}@example.com", "first_name": name.upper(), "email_consent": True, **more}


def shop(spark, folder: Path, *, options: Any = (), hook: Any = (), conf: Any = (), **trigger: Any) -> Shop:
    entry = {"segment": "a", "on": "enter", "destination": "hook", "message": {"text": TEXT}, **trigger}
    settings = Settings(root=str(folder / "lake"), **{
        "destinations": {"hook": HOOK | {"consent": "email"} | dict(hook)}, "triggers": {"hello": entry}, **dict(conf),
    })
    here = Shop(Nights(spark, settings, dict(options)))
    here.nights.customers(map(person, "pqrstu"))
    return here


# Who gets what ------------------------------------------------------------------------------------------------------


def test_who_enters_is_told_once_and_the_first_night_is_the_last_published(spark, tmp_path):
    here = shop(spark, tmp_path)
    here.night(0, "pq")
    here.night(1, "pqr")
    first = here.one()
    assert (first.state, first.queued, first.due, first.sent, first.batches) == ("done", 1, 1, 1, 1)
    assert here.hook.got == [("r", "Hello R")], "who was there before the trigger is not told"
    assert here.told() == ["r"] and here.one().queued == 0 and here.told() == []
    here.night(2, "ps")
    here.night(3, "pqst")
    assert here.one().sent == 3 and sorted(here.told()) == ["q", "s", "t"]
    here.night(4, "pqrst")
    assert here.one().sent == 1 and here.told() == ["r"], "a second entry is another occasion"
    assert {state for _, state, _ in here.queue()} == {"sent"} and len(set(here.hook.ids)) == 5


def test_a_delay_counts_from_the_entry_and_who_has_left_is_not_told(spark, tmp_path):
    here = shop(spark, tmp_path, after="1mo", quiet={"from": "22:00", "to": "06:00"})
    here.night(0, "")
    here.one()
    here.night(1, "pqrs")  # 1 February, so due with the end of 1 March
    assert here.one().waiting == 4
    here.night(2, "pqs")
    here.night(3, "pqrs")  # r is back: a new entry
    here.one()
    here.night(27, "qrs")
    assert here.one().due == 0 and here.told() == []
    here.night(28, "qrs")
    here.now = datetime(2026, 3, 2, 1, tzinfo=UTC)
    quiet = here.one()
    assert (quiet.due, quiet.sent, quiet.reason) == (4, 0, "quiet until 06:00")
    assert quiet.void == 2 and quiet.waiting == 3, "who left is void; the second entry of r is not yet due"
    here.now = datetime(2026, 3, 2, 6, tzinfo=UTC)
    assert here.one().sent == 2 and sorted(here.told()) == ["q", "s"]
    here.now = datetime(2026, 3, 4, 7, tzinfo=UTC)
    assert here.one().sent == 1 and here.told() == ["r"]
    assert [row for row in here.queue() if row[1] == "void"] == [("p", "void", "no_longer"), ("r", "void", "no_longer")]


def test_leaving_and_coming_back(spark, tmp_path):
    here = shop(spark, tmp_path, on="leave", after="2d", message={"text": "Bye {{ first_name }}, {{ day }}, {{ segment }}"})
    here.night(0, "pqrs")
    here.one()
    here.night(1, "p")
    here.night(2, "pr")
    here.one()
    here.night(3, "pr")
    done = here.one()
    assert (done.sent, done.void) == (2, 1)
    assert sorted(here.hook.got) == [("q", "Bye Q, 2026-02-01, a"), ("s", "Bye S, 2026-02-01, a")]


def test_all_of_a_segment_once_it_is_formed(spark, tmp_path):
    here = shop(spark, tmp_path, on="formed")
    here.night(0, "")
    assert here.one().snapshot_date is None, "nobody is in it: it is not formed yet"
    here.night(1, "pqrs")
    assert here.one().sent == 4 and sorted(here.told()) == ["p", "q", "r", "s"]
    here.night(2, "pqrstu")
    assert here.one().sent == 0 and here.told() == []


def test_only_what_customers_and_time_do_counts(spark, tmp_path):
    here = shop(spark, tmp_path)
    here.night(0, "")
    here.one()
    causes = {"p": "data", "q": "late", "r": "window", "s": "definition", "t": "merged", "u": "deleted"}
    here.night(1, "pqrstu", cause=causes)
    assert here.one().sent == 3 and sorted(here.told()) == ["p", "q", "r"]


def test_backfills_and_restatements_fire_nothing(spark, tmp_path):
    here = shop(spark, tmp_path)
    here.night(0, "p")
    here.night(3, "pq")
    assert here.one().sent == 1 and here.told() == ["q"]
    here.night(1, "pr", at=at_night(DAY + timedelta(days=4)))  # missed, and filled in later
    here.night(3, "pqs", again="b")  # restated
    assert here.one().queued == 0
    here.night(4, "pqs")
    here.night(5, "pqst", at=at_night(DAY + timedelta(days=9)))  # published long after its end
    late = here.one()
    assert (late.queued, late.reason, late.snapshot_date) == (0, "published too late to count: 2026-02-05", date(2026, 2, 5))
    here.night(9, "pqst")
    here.night(10, "pqstu")
    assert here.one().sent == 1 and here.told() == ["u"]


def test_whom_nothing_may_be_sent_to(spark, tmp_path):
    """Consent, suppression and addresses are those of the moment of sending; who is erased is forgotten."""
    here = shop(
        spark, tmp_path, after="1d", conf={"catalogue": {"lists": ["never"]}, "suppression": ["never"]},
    )
    here.night(0, "")
    here.one()
    here.night(1, "pqrst")
    here.one()
    here.nights.customers([person("p"), person("q", email_consent=False), person("r"), person("s"), person("t")])
    here.nights.listed("never", "r")
    here.nights.erase("s")
    here.night(2, "pqrst")
    done = here.one()
    assert (done.due, done.sent, done.no_consent, done.suppressed, done.waiting) == (4, 2, 1, 1, 0)
    assert sorted(here.told()) == ["p", "t"]
    assert here.queue() == [
        ("p", "sent", None), ("q", "kept_out", "no_consent"), ("r", "kept_out", "suppressed"), ("t", "sent", None),
    ]
    here.nights.customers(map(person, "pqrst"))
    here.night(3, "pqrst")
    assert here.one().sent == 0, "who was kept out is not told later"


def test_holdouts_are_not_told(spark, tmp_path):
    here = shop(spark, tmp_path, options={"a": {"holdout": {"percent": 50, "salt": "x"}}})
    people = [f"c{number}" for number in range(20)]
    here.nights.customers(map(person, people))
    here.night(0, "")
    here.one()
    here.night(1, people)
    done = here.one()
    assert done.held_out + done.sent == 20 and 3 < done.held_out < 17


def test_what_comes_too_late_is_left_out(spark, tmp_path):
    here = shop(spark, tmp_path, within="2d")
    here.night(0, "")
    here.one()
    here.night(1, "p")
    here.night(2, "pq")
    here.now = at_night(DAY + timedelta(days=3))
    done = here.one()
    assert (done.void, done.sent) == (1, 1) and here.told() == ["q"] and ("p", "void", "too_late") in here.queue()


def test_more_at_once_than_at_most_is_held(spark, tmp_path):
    here = shop(spark, tmp_path, at_most=2)
    here.night(0, "")
    here.one()
    here.night(1, "pqr")
    held = here.one()
    assert held.state == "held" and "3 new occasions are more than its at_most of 2" in held.reason
    assert held.queued == 0 and here.told() == []
    dry = here.fire(dry_run=True, accept=["hello"])[0]
    assert dry.fired.due == 3 and dry.samples[0].message == {"text": "Hello P***"}
    assert dry.samples[0].identifiers == {"email": ["p***"], "external_id": ["p***"]}
    passed = here.one(accept=["hello"])
    assert (passed.sent, passed.accepted) == (3, True)
    here.night(2, "stu")
    assert here.one().state == "held"
    skipped = here.one(skip=["hello"])
    assert skipped.reason == "3 new occasions were passed over" and here.one().queued == 0
    assert sorted(here.told()) == ["p", "q", "r"]
    with pytest.raises(UsageError, match="did you mean 'hello'"):
        here.fire(accept=["helo"])


def test_merged_customers_are_one(spark, tmp_path):
    here = shop(spark, tmp_path, after="1d")
    here.night(0, "")
    here.one()
    here.night(1, "pq")
    here.one()
    alias = spark.createDataFrame([("q", "p")], "customer_id string, canonical_id string").coalesce(1)
    here.nights.lake().append("aliases", alias, "load")
    here.night(2, "p")
    assert here.one().sent == 1 and here.told() == ["p"]


# Crashes and refusals -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [5])
def test_whatever_happens_each_is_told_once(spark, tmp_path, seed):
    """The process dies before or after a batch arrived, or the receiver gives up; in between somebody withdraws."""
    dice = random.Random(seed)
    here = shop(spark, tmp_path)
    people = {f"c{number:02}": person(f"c{number:02}") for number in range(16)}
    here.nights.customers(people.values())
    here.night(0, [])
    here.one()
    inside: list[str] = []
    fuses: list[BaseException] = []

    def maybe() -> None:
        if fuses and dice.random() < 0.4:
            raise fuses.pop()

    here.hook.before = here.hook.after = maybe
    told: list[str] = []
    withdrawn = set()
    for number in (1, 2):
        entering = [name for name in people if name not in inside][:8]
        inside += entering
        here.night(number, inside)
        fuses[:] = [Killed(), DeliveryError("it gives up"), Killed()]
        while fuses:
            try:
                here.fire()
            except Killed:
                gone = dice.choice(entering)
                withdrawn.add(gone)
                people[gone]["email_consent"] = False
                here.nights.customers(people.values())
            else:
                if dice.random() < 0.3:
                    break
        fuses.clear()
        here.fire()
        told += here.told()
    assert len(told) == len(set(told)), "nobody was told twice"
    assert set(inside) - set(told) <= withdrawn and here.hook.repeated > 0
    assert here.one().due == 0


def test_refused_busy_and_unwritable(spark, tmp_path):
    here = shop(spark, tmp_path, message={"text": "{{ birthday.year }}"})
    here.nights.customers([person(name, birthday=None if name == "s" else date(1990, 1, 2)) for name in "pqrs"])
    here.hook.refuse, here.hook.busy = {"p"}, {"q"}
    here.night(0, "")
    here.one()
    here.night(1, "pqrs")
    done = here.one()
    assert (done.sent, done.refused, done.waiting, done.state) == (1, 2, 1, "done") and here.hook.got == [("r", "1990")]
    assert here.queue() == [
        ("p", "refused", "unknown"), ("q", "waiting", None), ("r", "sent", None), ("s", "refused", "template"),
    ]
    here.hook.busy = set()
    here.hook.keys.clear()
    assert here.one().sent == 1 and here.told() == ["r", "q"]


# Templates ----------------------------------------------------------------------------------------------------------


def test_templates_see_what_they_are_given():
    assert render({"text": "{{ a }}{% if b %}!{% endif %}|{{ c | upper }}"}, {"a": None, "b": 1, "c": "x"}) == {"text": "!|X"}
    assert names_in("{% set x = a %}{{ x }} {{ b.c }}") == {"a", "b"}
    for text in ("{{ a.__class__.__mro__ }}", "{{ a.nothing }}", "{{ 1 / a }}", "{{ a.append(1) }}"):
        with pytest.raises(RenderError):
            render({"text": text}, {"a": 0 if "/" in text else []})


@pytest.mark.parametrize("text, said", [
    ("{{ a", "line 1"), ("{% include 'x' %}", "stands for itself"), ("{{ a | nofilter }}", "nofilter"),
])
def test_faulty_templates_are_told(text, said):
    with pytest.raises(ValueError, match=said):
        names_in(text)


# Mail ---------------------------------------------------------------------------------------------------------------


def mailer(port: int, **more: Any):
    options = {"host": "127.0.0.1", "port": port, "security": "none", "user": "bot", "from": "shop@example.com",
               "attempts": 2, "longest_pause": 0, "timeout": 5} | more
    return open_destination(
        "email", options, {"password": "env:SMTP"}, environ={"SMTP": PASSWORD}, now=lambda: at_night(DAY)
    )


def letters(*names: str, **more: str) -> Batch:
    said = {"subject": "Hello\n{}", "text": "Größe {}"} | more
    return Batch("k", "message", tuple(
        Record(name, {"email": (f"{name}@example.com",)}, {part: text.format(name) for part, text in said.items()}, id=name * 3)
        for name in names
    ))


def test_mail_goes_to_each_and_one_bad_address_stops_nobody():
    box = Mailbox()
    box.refuse = {"q@example.com"}
    with smtp(box) as port:
        sender = mailer(port, reply_to="help@example.com")
        batch = letters("p", "q", "r", html="<b>{}</b>", unsubscribe="https://shop.example/out?{}")
        assert batch.records[0].properties["subject"] == "Hello\np"
        sent = sender.send(Audience("a", "hello"), batch)
    assert (sent.accepted, sent.refused, sent.unsent) == (2, (Refusal("q", "smtp_550"),), ())
    assert [mail["To"] for mail in box.mails] == ["p@example.com", "r@example.com"] and box.logins == [True]
    mail: EmailMessage = box.mails[0]
    assert (mail["Subject"], mail["From"], mail["Reply-To"]) == ("Hello p", "shop@example.com", "help@example.com")
    assert mail["Message-ID"] == "<ppp@example.com>" and mail["List-Unsubscribe"] == "<https://shop.example/out?p>"
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert mail.get_body(("plain",)).get_content().strip() == "Größe p" and "<b>p</b>" in mail.get_body(("html",)).get_content()


def test_a_busy_mailbox_waits_and_a_lost_server_is_told():
    box = Mailbox()
    box.busy = 1
    with smtp(box) as port:
        sent = mailer(port).send(Audience("a", "hello"), letters("p", "q"))
        assert (sent.accepted, sent.unsent, len(box.mails)) == (1, ("p",), 1)
    with pytest.raises(DeliveryError, match="cannot be reached") as caught:
        mailer(port).send(Audience("a", "hello"), letters("p"))
    assert PASSWORD not in str(caught.value)
    with pytest.raises(DeliveryError, match="go together"):
        open_destination("email", {"host": "localhost", "user": "bot", "from": "a@b.c"}, {}, environ={}, now=lambda: None)


def test_a_trigger_sends_mail(spark, tmp_path):
    """From conf to the mailbox, through the command; no address and no password in what it says."""
    box = Mailbox()
    with smtp(box) as port:
        (tmp_path / "conf").mkdir()
        (tmp_path / "conf" / "base.yaml").write_text(CONF.replace("587", str(port)))
        nights = Nights(spark, load_settings(str(tmp_path / "conf")))
        nights.customers(map(person, "pq"))
        today = datetime.now(UTC).date() - timedelta(days=1)
        nights.publish(today - timedelta(days=1), {"a": ""}, at=at_night(today - timedelta(days=1)))
        place = ("--conf", str(tmp_path / "conf"))
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SMTP", PASSWORD)
            first = json.loads(invoked("triggers", *place, "--json").stdout)
            assert first["triggers"][0]["queued"] == 0
            nights.publish(today, {"a": "pq"}, at=datetime.now(UTC))
            held = invoked("triggers", *place, "--json", code=EXIT_GATE)
            dry = invoked("triggers", *place, "--dry-run", "--accept", "hello")
            sent = invoked("triggers", *place, "--accept", "hello", "--json")
            assert "did you mean 'hello'" in invoked("triggers", *place, "--trigger", "helo", code=EXIT_USAGE).output
    shown = json.loads(sent.stdout)["triggers"][0]
    assert (shown["sent"], shown["state"], shown["accepted"]) == (2, "done", True)
    assert sorted((mail["To"], mail["Subject"]) for mail in box.mails) == [
        ("p@example.com", "Welcome, P"), ("q@example.com", "Welcome, Q"),
    ]
    for said in (held, dry, sent):
        assert "p@example" not in said.output and PASSWORD not in said.output
    assert "Welcome, P***" in dry.output


CONF = """root: lake
destinations:
  mail:
    type: email
    options: {host: "127.0.0.1", port: 587, security: none, user: bot, from: shop@example.com}
    credentials: {password: "env:SMTP"}
    consent: email
triggers:
  hello:
    segment: a
    on: enter
    destination: mail
    at_most: 1
    quiet: {from: "03:00", to: "03:01"}
    message:
      subject: "Welcome, {{ first_name }}"
      text: "You are in {{ segment }} since {{ day }}."
"""


@pytest.mark.parametrize("old, new, said", [
    ("destination: mail", "destination: mial", "did you mean 'mail'"),
    ("first_name", "firstname", "did you mean 'first_name'"), ("      subject:", "      title:", "needs subject"),
    ('      text: "', '      body: "x"\n      text: "', "sends no such part"), ("{{ day }}", "{{ day }", "no template"),
    ("    on: enter", "    on: entered", "did you mean 'enter'"), ("    at_most: 1", "    after: 3 months", "length of time"),
    ('to: "03:01"', 'to: "03:00"', "nothing would ever be sent"), ('from: "03:00"', "from: 3:00", "quiet"),
    ("consent: email", "consent: email\n    segments: [a]", "holds no audiences"),
    ('host: "127.0.0.1"', "host: mail.example.com", "must not travel in the open"),
])
def test_faulty_conf_is_told(tmp_path, old, new, said):
    assert old in CONF
    (tmp_path / "base.yaml").write_text(CONF.replace(old, new, 1))
    with pytest.raises(ConfError) as caught:
        load_settings(str(tmp_path))
    assert said in str(caught.value) and "base.yaml" in str(caught.value)
    (tmp_path / "base.yaml").write_text(CONF)
    assert load_settings(str(tmp_path)).triggers["hello"].fields == ("first_name",)
