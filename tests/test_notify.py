"""Telling people: what is said, how it is sent to servers on this machine, and what happens when it cannot be."""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import json
import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from commands import invoked, result, seglake
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hooks import Hook, hooked
from mailbox_server import PASSWORD, Mailbox, free_port, smtp

from segment_lib import gates
from segment_lib.api import Tenant
from segment_lib.conf import load_settings
from segment_lib.definitions_log import Definition, DefinitionState
from segment_lib.doctor import check_secrets
from segment_lib.errors import (
    EXIT_FAILED, EXIT_GATE, EXIT_LOCKED, EXIT_OK, EXIT_PARTIAL, EXIT_USAGE, ConfError, Issue, StorageError,
)
from segment_lib.figures import EVERYONE, LOST
from segment_lib.lease import Lease
from segment_lib.metrics import SegmentMetrics
from segment_lib.nightly import RunOutcome
from segment_lib.notify import delivery
from segment_lib.notify.message import render
from segment_lib.notify.record import last_outcome
from segment_lib.notify.summary import LEAST_SIZE, MOST, REASON, summarize, text_of
from segment_lib.notify_settings import EmailSection, NotifyEntry, Outcome, WebhookSection
from segment_lib.objects import open_objects
from segment_lib.runs import Gate, RunRecord, State
from segment_lib.storage import Lake

DAY = date(2026, 1, 31)
NOW = datetime(2026, 2, 1, 3, tzinfo=UTC)
SECRET = "whsec_" + base64.b64encode(b"twenty-four random bytes").decode()
pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
ENVIRONMENT = {"SMTP_PASSWORD": PASSWORD, "HOOK_SECRET": SECRET}


# What is said ------------------------------------------------------------------------------------------------------


def ended(state: State, *sizes: tuple[str, int, int, int], day: date = DAY, **more) -> RunOutcome:
    """A run with (segment, customers, entered, left) of each segment."""
    held = more.pop("held_back", ())
    record = RunRecord(day, "20260201T030000-0123abcd", state, NOW, NOW, **{"base_run_id": "before", **more})
    rows = tuple(SegmentMetrics(name, {"customers": customers}, came, went) for name, customers, came, went in sizes)
    return RunOutcome(record, rows, held_back=held)


def definition(name: str, state: DefinitionState, reason: str) -> Definition:
    return Definition(name, "h", name, "dynamic", "active", state, reason, "{}", (), DAY, DAY)


def test_a_published_run_tells_what_changed_most():
    run = ended(
        State.PUBLISHED, (EVERYONE, 5000, 70, 20), ("churny", 1000, 400, 410), ("grew", 90, 60, 0),
        ("new_one", 40, 40, 0), ("still", 300, 0, 0), ("tiny", LEAST_SIZE - 1, LEAST_SIZE - 2, 0),
    )
    said = summarize("shop", [run], days=[DAY])
    assert (said.outcome, said.customers, said.entered, said.left) == (Outcome.PUBLISHED, 5000, 70, 20)
    assert [change.segment for change in said.most_moved] == ["churny", "grew", "new_one", "tiny"]
    resized = [(change.segment, change.before) for change in said.most_resized]
    assert resized == [("new_one", 0), ("grew", 30), ("churny", 1010)]
    text = render(said).text
    assert text.startswith("seglake shop: 2026-01-31 published\n")
    assert "- churny: 1,010 -> 1,000 (-1.0%), 400 entered, 410 left" in text
    assert "- new_one: 0 -> 40 (new), 40 entered, 0 left" in text and "What failed" not in text


def test_many_segments_and_long_reasons_are_bounded():
    sizes = [(f"s{number:03}", 100 + number, 50, number % 7) for number in range(500)]
    held = tuple(definition(f"w{number}", DefinitionState.WAITING, "x" * 5000) for number in range(60))
    said = summarize("shop", [ended(State.PARTIAL, *sizes, held_back=held)], days=[DAY])
    assert len(said.most_moved) == len(said.most_resized) == MOST
    assert len(said.waiting) + said.more_waiting == 60 and all(len(row.reason) <= REASON for row in said.waiting)
    assert f"and {said.more_waiting} more" in render(said).text


def test_the_first_date_has_nothing_to_compare_with():
    run = ended(State.PUBLISHED, (EVERYONE, 7, 7, 0), ("a", 7, 7, 0), base_run_id=None)
    said = summarize("shop", [run], days=[DAY])
    assert said.most_moved == () and "no earlier date to compare with" in render(said).text


def test_a_partial_run_tells_what_waits_and_why():
    held = (definition("scored", DefinitionState.WAITING, "waiting for scores: churn.status"),)
    stale = (DAY + timedelta(days=1), DAY + timedelta(days=2))
    accepted = (Gate("rows", False, True, "orders has 3 rows"),)
    run = ended(State.PARTIAL, (EVERYONE, 7, 0, 0), held_back=held, stale_dates=stale, gates=accepted)
    text = render(summarize("shop", [run], days=[DAY])).text
    assert "- scored, waiting: waiting for scores: churn.status" in text and "- rows: orders has 3 rows" in text
    assert "2 later dates lean on what changed: seglake backfill --stale" in text


def test_a_refused_run_names_the_gates_and_the_command():
    gates = (Gate("rows", False, False, "orders has 3 rows, its usual number is 9000"), Gate("unique", True, False, ""))
    run = ended(State.REFUSED, gates=gates)
    said = summarize("shop", [run], days=[DAY], error="the long text", exit_code=EXIT_GATE)
    assert said.failed == ("gate rows: orders has 3 rows, its usual number is 9000",) and said.customers is None
    assert any("seglake run --as-of 2026-01-31 --accept rows" in step for step in said.steps)


def test_a_failed_run_tells_an_error_of_ours_and_only_the_kind_of_any_other():
    assert text_of(StorageError("orders: the table is gone")) == "orders: the table is gone"
    unplanned = text_of(ValueError("jane@example.com"))
    assert "jane" not in unplanned and "ValueError" in unplanned
    faults = [Issue("a.yaml", 1, "", "one"), Issue("b.yaml", 1, "", "two")]
    assert text_of(ConfError(faults)).startswith("2 faults in conf or definitions, the first: a.yaml:1: one")
    said = summarize("shop", [ended(State.FAILED, notes={"error": "StorageError"})], days=[DAY])
    assert said.failed == ("StorageError; the log of the job says more",)
    died = summarize("shop", [ended(State.STARTED)], days=[DAY])
    assert died.outcome is Outcome.FAILED and "its process died" in died.failed[0]


def test_a_backfill_is_one_message():
    days = [DAY + timedelta(days=number) for number in range(4)]
    runs = [ended(State.PUBLISHED, (EVERYONE, 10 + number, 1, 0), day=day) for number, day in enumerate(days)]
    whole = summarize("shop", runs, days=days)
    assert render(whole).subject == "seglake shop: 4 dates from 2026-01-31 to 2026-02-03 published"
    assert whole.customers == 13
    stopped = summarize("shop", [*runs[:2], ended(State.REFUSED, day=days[2])], days=days)
    assert (stopped.outcome, stopped.dates) == (Outcome.REFUSED, (days[2],))
    assert "2 dates were published before that, the last 2026-02-01" in stopped.failed
    before = summarize("shop", runs[:1], days=days, error="the inputs are gone", exit_code=EXIT_FAILED)
    assert (before.outcome, before.dates) == (Outcome.FAILED, (days[1],))
    assert before.failed == ("the inputs are gone", "2026-01-31 was published before that")


def test_what_an_author_wrote_is_text_in_html_and_in_json():
    nasty = '<script>alert("x")</script>\n& more'
    message = render(summarize("shop", [ended(State.PARTIAL, held_back=(
        definition("bad", DefinitionState.BROKEN, nasty),))], days=[DAY]))
    assert "<script>" not in message.html and "&lt;script&gt;" in message.html
    assert json.loads(message.body)["waiting"][0]["reason"] == '<script>alert("x")</script> & more'
    assert json.loads(message.body)["text"] == message.text and json.loads(message.body)["type"] == "run.partial"


# Conf --------------------------------------------------------------------------------------------------------------


CONF = """tenant: shop
notify:
  team:
    on: [partial, refused]
    email: {host: smtp.example.com, user: bot, password: env:SMTP_PASSWORD, from: a@example.com, to: [b@example.com]}
  hook:
    webhook: {url: env:HOOK_URL, secret: env:HOOK_SECRET}
"""


def conf_of(tmp_path: Path, text: str) -> str:
    (tmp_path / "conf").mkdir(exist_ok=True)
    (tmp_path / "conf" / "base.yaml").write_text(text)
    return str(tmp_path / "conf")


def test_conf_is_read_and_one_key_is_changed_by_the_environment(tmp_path):
    conf = conf_of(tmp_path, CONF)
    settings = load_settings(conf, environ={"SEGLAKE__NOTIFY__HOOK__ON": "[failed]"})
    assert settings.notify["team"].email.port == 587 and settings.notify["team"].email.security == "starttls"
    assert settings.notify["hook"].on == (Outcome.FAILED,)
    wanted = {outcome: set(delivery.wanted(settings.notify, outcome)) for outcome in Outcome}
    assert wanted == {
        Outcome.PUBLISHED: set(), Outcome.PARTIAL: {"team"}, Outcome.REFUSED: {"team"}, Outcome.FAILED: {"hook"},
    }


@pytest.mark.parametrize(("right", "wrong", "said"), [
    ("env:SMTP_PASSWORD", "hunter2-secret", "conf/base.yaml:5: notify.team.email.password: a secret is named"),
    ("env:HOOK_SECRET", "hunter2-secret", "conf/base.yaml:7: notify.hook.webhook.secret: a secret is named"),
    ("url: env:HOOK_URL", "url: http://hunter2-secret.example.com", "begins with https://"),
    ("url: env:HOOK_URL", "url: 'https://bot:hunter2-secret@example.com'", "must not hold a login"),
    ("from: a@", "form: a@", "unknown key 'form'; did you mean 'from'?"),
    ("from: a@example.com", "from: nobody", "'nobody' is not an address"),
    ("on: [partial, refused]", "on: [partialy]", "did you mean 'partial'?"),
    (", user: bot", "", "user and password go together"),
    ("host: smtp.example.com", "host: smtp.example.com, security: none", "must not travel in the open"),
    ("    webhook: {url: env:HOOK_URL, secret: env:HOOK_SECRET}", "    on: [failed]", "either 'email' or 'webhook'"),
])
def test_a_fault_is_told_with_its_place_and_without_a_secret(tmp_path, monkeypatch, right, wrong, said):
    monkeypatch.chdir(tmp_path)
    assert right in CONF
    conf_of(tmp_path, CONF.replace(right, wrong))
    with pytest.raises(ConfError) as error:
        load_settings("conf")
    assert said in str(error.value) and "hunter2" not in str(error.value)


def test_the_doctor_looks_for_the_secrets_and_not_into_them(tmp_path):
    settings = load_settings(conf_of(tmp_path, CONF))
    checks = {check.name: check for check in check_secrets(settings, {"SMTP_PASSWORD": "hunter2"})}
    assert {name: check.ok for name, check in checks.items()} == {
        "notify.team.password": True, "notify.hook.url": False, "notify.hook.secret": False,
    }
    assert "hunter2" not in str(checks) and "HOOK_URL is not set" in checks["notify.hook.url"].found


def test_the_commented_example_of_the_demo_shop_is_valid(tmp_path):
    lines = (Path(__file__).parent.parent / "conf" / "base.yaml").read_text().splitlines()
    first = lines.index("# notify:")
    last = next(number for number in range(first, len(lines)) if not lines[number].startswith("#"))
    settings = load_settings(conf_of(tmp_path, "\n".join(line[2:] for line in lines[first:last])))
    assert {name: bool(entry.email) for name, entry in settings.notify.items()} == {"team": True, "pager": False}


# Email -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory) -> Path:
    """A certificate of 127.0.0.1 with its key, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("tls") / "both.pem"
    file.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return file


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr(delivery, "FIRST_PAUSE", 0.01)


def by_email(port: int, **more) -> NotifyEntry:
    timing = {"timeout_seconds": 5, "attempts": 3}
    timing = {key: more.pop(key, usual) for key, usual in timing.items()}
    section = {
        "host": "127.0.0.1", "port": port, "security": "none", "user": "bot", "password": "env:SMTP_PASSWORD",
        "from": "seglake@example.com", "to": ("team@example.com", "ops@example.com"),
    }
    return NotifyEntry(email=EmailSection(**(section | more)), **timing)


def sent(entry: NotifyEntry, environ: dict[str, str] | None = None) -> delivery.Delivery:
    said = summarize("shop", [ended(State.PARTIAL, (EVERYONE, 12, 2, 1), held_back=(
        definition("größe", DefinitionState.BROKEN, "<b> & ä"),))], days=[DAY])
    (one,) = delivery.send({"team": entry}, render(said), ENVIRONMENT if environ is None else environ, lambda: NOW)
    assert PASSWORD not in str(one) and SECRET not in str(one)
    return one


@pytest.mark.parametrize("security", ["none", "starttls", "ssl"])
def test_an_email_arrives_whole(certificate, monkeypatch, security):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    box = Mailbox()
    with smtp(box, None if security == "none" else certificate, implicit=security == "ssl") as port:
        one = sent(by_email(port, security=security))
    assert (one.sent, one.attempts, one.reason) == (True, 1, "")
    (mail,) = box.mails
    assert mail["Subject"] == "seglake shop: 2026-01-31 published, and something is held back"
    assert mail["To"] == "team@example.com, ops@example.com" and mail["From"] == "seglake@example.com"
    assert mail["Date"] == "Sun, 01 Feb 2026 03:00:00 +0000" and mail["Auto-Submitted"] == "auto-generated"
    assert mail["Message-ID"].endswith("@example.com>")
    assert "- größe, broken: <b> & ä" in mail.get_body(("plain",)).get_content()
    assert "<b>größe</b>, broken: &lt;b&gt; &amp; ä" in mail.get_body(("html",)).get_content()


@pytest.mark.parametrize("security", ["starttls", "ssl"])
def test_a_certificate_that_nobody_vouches_for_is_not_accepted(certificate, monkeypatch, security):
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    box = Mailbox()
    with smtp(box, certificate, implicit=security == "ssl") as port:
        one = sent(by_email(port, security=security))
    assert (one.sent, one.attempts) == (False, 1) and "certificate" in one.reason and not box.logins


def test_no_login_goes_to_a_server_that_offers_no_encryption():
    box = Mailbox()
    with smtp(box) as port:
        one = sent(by_email(port, security="starttls"))
    assert (one.sent, one.attempts) == (False, 1) and "encryption" in one.reason and not box.logins


def test_a_wrong_password_is_told_and_not_tried_again():
    box = Mailbox()
    with smtp(box) as port:
        one = sent(by_email(port), {"SMTP_PASSWORD": "wrong password"})
    assert one.reason == "the server refused the login (535)" and one.attempts == 1 and box.logins[0] is False


def test_a_secret_that_is_not_set_is_named():
    assert sent(by_email(1), {}).reason == "the environment variable SMTP_PASSWORD is not set"


def test_a_busy_server_is_tried_again():
    box = Mailbox()
    box.busy = 2
    with smtp(box) as port:
        one = sent(by_email(port))
    assert (one.sent, one.attempts, len(box.mails)) == (True, 3, 1)


def test_an_address_that_is_refused_is_told():
    box = Mailbox()
    box.refuse = {"ops@example.com"}
    with smtp(box) as port:
        some = sent(by_email(port))
        box.refuse.add("team@example.com")
        every = sent(by_email(port))
    assert not some.sent and some.reason.startswith("the server refused 1 of 2 addresses") and len(box.mails) == 1
    assert not every.sent and every.reason == "the server refused every address (550)"


def test_servers_that_are_down_are_told():
    one = sent(by_email(free_port()))
    assert (one.sent, one.attempts, one.reason) == (False, 3, "the server cannot be reached")
    other = sent(by_webhook(f"http://127.0.0.1:{free_port()}/"))
    assert (other.sent, other.attempts) == (False, 3) and "cannot be reached" in other.reason


@contextmanager
def silent(drip: bytes = b"") -> Iterator[int]:
    """A server that takes connections and never answers, or sends one byte after the other for ever."""
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)
        taken: list[socket.socket] = []

        def work() -> None:
            while not stop.is_set():
                try:
                    taken.append(server.accept()[0])
                except TimeoutError:
                    pass
                for connection in taken if drip else ():
                    try:
                        connection.send(drip)
                    except OSError:
                        pass

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            stop.set()
            thread.join()
            for connection in taken:
                connection.close()


def test_a_server_that_never_answers_holds_nothing_up():
    with silent() as port:
        began = time.monotonic()
        one = sent(by_email(port, timeout_seconds=0.3, attempts=2))
        other = sent(by_webhook(f"http://127.0.0.1:{port}/", timeout_seconds=0.3, attempts=2))
        took = time.monotonic() - began
    assert not one.sent and not other.sent and one.attempts == other.attempts == 2
    assert "did not answer within 0.3 s" in one.reason and other.reason == "no answer within 0.3 s" and took < 5


def test_a_server_that_answers_a_byte_at_a_time_is_given_up():
    with silent(drip=b"2") as port:
        began = time.monotonic()
        one = sent(by_webhook(f"http://127.0.0.1:{port}/", timeout_seconds=0.3, attempts=1))
        took = time.monotonic() - began
    assert not one.sent and took < 5


# Webhooks ----------------------------------------------------------------------------------------------------------


def by_webhook(url: str, secret: str | None = "env:HOOK_SECRET", **more) -> NotifyEntry:
    return NotifyEntry(webhook=WebhookSection(url=url, secret=secret), **({"timeout_seconds": 5, "attempts": 3} | more))


def test_a_webhook_is_signed_over_its_id_time_and_body():
    with hooked() as hook:
        one = sent(by_webhook(hook.url))
    assert (one.sent, one.attempts) == (True, 1)
    ((path, headers, body),) = hook.calls
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(b"twenty-four random bytes", signed, hashlib.sha256).digest()).decode()
    assert path == "/hook" and headers["webhook-signature"] == f"v1,{expected}"
    assert int(headers["webhook-timestamp"]) == int(NOW.timestamp())
    assert headers["content-type"].startswith("application/json") and json.loads(body)["outcome"] == "partial"
    assert json.loads(body)["waiting"] == [{"segment": "größe", "state": "broken", "reason": "<b> & ä"}]


def test_an_answer_of_500_twice_and_then_200_is_a_success_with_one_id():
    with hooked(500, 503) as hook:
        one = sent(by_webhook(hook.url))
    assert (one.sent, one.attempts) == (True, 3)
    assert len({headers["webhook-id"] for _, headers, _ in hook.calls}) == 1 and len(hook.calls) == 3


def test_two_messages_have_two_ids():
    with hooked() as hook:
        sent(by_webhook(hook.url))
        sent(by_webhook(hook.url, secret=None))
    first, second = (headers for _, headers, _ in hook.calls)
    assert "webhook-id" in first and "webhook-signature" not in second
    with hooked() as hook:
        sent(by_webhook(hook.url))
        sent(by_webhook(hook.url))
    assert len({headers["webhook-id"] for _, headers, _ in hook.calls}) == 2


def test_a_refusal_is_not_tried_again():
    with hooked(403, 403, 403) as hook:
        one = sent(by_webhook(hook.url))
    assert (one.sent, one.attempts, one.reason, len(hook.calls)) == (False, 1, "the server answered 403", 1)


@pytest.mark.parametrize("code", [301, 302, 307, 308])
def test_no_redirect_is_followed(code):
    with hooked() as elsewhere, hooked(code, location=elsewhere.url) as hook:
        one = sent(by_webhook(hook.url))
    assert not one.sent and one.attempts == 1 and "redirects elsewhere" in one.reason
    assert len(hook.calls) == 1 and elsewhere.calls == []


def test_an_address_by_reference_is_used_and_never_told(caplog):
    with hooked(500, 500, 500) as hook, caplog.at_level(logging.DEBUG, logger="seglake"):
        one = sent(by_webhook("env:HOOK_URL"), ENVIRONMENT | {"HOOK_URL": hook.url})
    assert len(hook.calls) == 3 and one.reason == "the server answered 500" and "/hook" not in str(one) + caplog.text
    wrong = sent(by_webhook("env:HOOK_URL"), ENVIRONMENT | {"HOOK_URL": "http://private.example.com/t0ken"})
    assert not wrong.sent and wrong.reason == "the address of a webhook begins with https://"
    assert sent(by_webhook("env:HOOK_URL")).reason == "the environment variable HOOK_URL is not set"
    unreadable = sent(by_webhook("https://127.0.0.1:1/"), {"HOOK_SECRET": "whsec_!"})
    assert "is not base64" in unreadable.reason and unreadable.attempts == 1


def test_one_entry_that_fails_does_not_keep_the_others():
    said = render(summarize("shop", [ended(State.PUBLISHED)], days=[DAY]))
    with hooked() as hook, silent() as port:
        entries = {
            "dead": by_webhook(f"http://127.0.0.1:{port}/", timeout_seconds=0.2, attempts=1),
            "fine": by_webhook(hook.url),
        }
        found = delivery.send(entries, said, ENVIRONMENT, lambda: NOW)
    assert [(one.entry, one.sent) for one in found] == [("dead", False), ("fine", True)]


# Whole runs --------------------------------------------------------------------------------------------------------


LAST = date(2026, 3, 31)


@pytest.fixture(scope="module")
def project(spark, tmp_path_factory) -> Path:
    """A project with a small shop, of which nothing is published yet."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("notify"))
        seglake("init", "shop")
        patch.chdir("shop")
        seglake("generate", "--customers", 60, "--events", 300, "--seed", 5, "--as-of", LAST)
        return Path.cwd()


@pytest.fixture
def here(project, monkeypatch) -> Path:
    monkeypatch.chdir(project)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    base = project / "conf" / "base.yaml"
    before = base.read_text()
    yield project
    base.write_text(before)


def told_by(project: Path, *urls: str, on: str = "[published, partial, refused, failed]") -> None:
    """Conf with a webhook for each address."""
    base = project / "conf" / "base.yaml"
    entries = "".join(
        f"  hook{number}:\n    on: {on}\n    timeout_seconds: 2\n    attempts: 2\n"
        f"    webhook: {{url: '{url}', secret: env:HOOK_SECRET}}\n"
        for number, url in enumerate(urls)
    )
    base.write_text(base.read_text().split("\nnotify:")[0] + f"\nnotify:\n{entries}")


def recorded(spark) -> list[tuple]:
    rows = Lake(spark, load_settings("conf")).read("notifications").orderBy("at", "entry").collect()
    return [
        (row.snapshot_date, row.outcome, row.entry, row.channel, row.sent, row.attempts, row.reason) for row in rows
    ]


def body(hook: Hook) -> dict:
    (_, _, data), *more = hook.calls
    assert not more
    return json.loads(data)


def test_every_way_that_a_run_ends_is_told_once(here, spark):
    """In one story: published, partial, failed before it began, refused, failed; exit codes are those of the run."""
    broken = here / "conf" / "segments" / "broken.yaml"
    with hooked() as hook:
        told_by(here, hook.url)
        seglake("backfill", "--from", LAST - timedelta(days=2), "--to", LAST - timedelta(days=1))
        said = body(hook)
        assert (said["outcome"], said["dates"]) == ("published", ["2026-03-29", "2026-03-30"])
        metrics = Tenant(spark, load_settings("conf")).metrics(since=LAST - timedelta(days=1)).collect()
        numbers = {row.segment_id: row for row in metrics}
        assert said["customers"] == numbers[EVERYONE].customers
        assert all(row["now"] == numbers[row["segment"]].customers for row in said["most_moved"])
        last = last_outcome(Lake(spark, load_settings("conf")))
        assert {row.segment_id for row in last.metrics} == numbers.keys() - {LOST}
    with hooked() as hook:
        told_by(here, hook.url)
        broken.write_text("where: {did: page_vewed}\n")
        seglake("run", "--as-of", LAST, code=EXIT_PARTIAL)
        said = body(hook)
        assert said["outcome"] == "partial" and [row["segment"] for row in said["waiting"]] == ["broken"]
        assert "page_vewed" in said["waiting"][0]["reason"] and said["steps"]
    with hooked() as hook:
        told_by(here, hook.url)
        invoked("run", "--as-of", LAST, "--strict", code=EXIT_USAGE)
        said = body(hook)
        assert (said["outcome"], said["run_id"]) == ("failed", None) and "broken.yaml:1" in said["failed"][0]
        broken.unlink()
    with hooked() as hook:
        told_by(here, hook.url)
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(gates.GATES, "freshness", lambda facts: "the newest event is old")
            invoked("run", "--as-of", LAST, code=EXIT_GATE)
        said = body(hook)
        assert said["outcome"] == "refused" and said["failed"] == ["gate freshness: the newest event is old"]
        assert "--accept freshness" in " ".join(said["steps"])
    with hooked() as hook:
        told_by(here, hook.url)
        with pytest.MonkeyPatch.context() as patch:
            def fails(*_: object, **__: object) -> None:
                raise ValueError("jane@example.com")
            patch.setattr("segment_lib.publishing.write", fails)
            invoked("run", "--as-of", LAST, code=EXIT_FAILED)
        said = body(hook)
        assert said["outcome"] == "failed" and "ValueError" in said["failed"][0] and "jane" not in json.dumps(said)
        assert said["run_id"] and said["dates"] == [LAST.isoformat()]
        shown = result("notify", "--dry-run")
        assert shown["webhook"]["run_id"] == said["run_id"] and shown["webhook"]["outcome"] == "failed"
        assert len(hook.calls) == 1
    assert [row[1] for row in recorded(spark)] == ["published", "partial", "failed", "refused", "failed"]
    assert all(row[4:] == (True, 1, "") for row in recorded(spark))


def test_a_message_that_cannot_be_sent_changes_nothing_else(here, spark):
    before = len(recorded(spark))
    with silent() as port, hooked(500, 500) as broken:
        told_by(here, f"http://127.0.0.1:{free_port()}/t0ken", f"http://127.0.0.1:{port}/", broken.url)
        said = invoked("run", "--as-of", LAST, "--json", code=EXIT_OK)
    assert json.loads(said.stdout)["state"] == "published"
    warnings = [json.loads(line) for line in said.stderr.splitlines() if '"WARNING"' in line]
    assert len([line for line in warnings if "could not be told" in line["msg"]]) == 3
    assert "t0ken" not in said.stderr and SECRET not in said.stderr
    rows = recorded(spark)[before:]
    assert [row[4] for row in rows] == [False] * 3 and [row[5] for row in rows] == [2] * 3
    assert "cannot be reached" in rows[0][6] and "no answer" in rows[1][6] and rows[2][6] == "the server answered 500"


def test_only_the_outcomes_that_an_entry_asks_for_are_told(here):
    with hooked() as hook:
        told_by(here, hook.url, on="[refused, failed]")
        seglake("run", "--as-of", LAST)
        assert hook.calls == []


def test_a_tenant_that_another_run_holds_is_not_told_of(here):
    settings = load_settings("conf")
    with hooked() as hook, Lease(open_objects(f"{settings.root}/{settings.tenant}"), settings.tenant, "another"):
        told_by(here, hook.url)
        invoked("run", "--as-of", LAST, code=EXIT_LOCKED)
        assert hook.calls == []


def test_the_last_run_is_told_again_when_asked(here, spark):
    before = len(recorded(spark))
    with hooked() as hook:
        told_by(here, hook.url)
        assert [row["sent"] for row in result("notify")["deliveries"]] == [True]
        assert body(hook)["outcome"] == "published"
        text = seglake("notify", "--dry-run")
        assert text.startswith("seglake shop: 2026-03-31 published") and hook.url in text
        assert len(hook.calls) == 1 and len(recorded(spark)) == before + 1
    told_by(here, f"http://127.0.0.1:{free_port()}/")
    assert result("notify", code=EXIT_FAILED)["deliveries"][0]["sent"] is False


def test_without_anybody_to_tell_there_is_nothing_to_send(here):
    assert "docs/notifications.md" in result("notify", code=EXIT_USAGE)["error"]["message"]
    assert "conf names nobody" in seglake("notify", "--dry-run")


def test_a_run_that_cannot_start_is_told(here, monkeypatch):
    def no_java(*_: object, **__: object) -> None:
        raise StorageError("Spark did not start")

    monkeypatch.setattr("segment_lib.session.build_session", no_java)
    with hooked() as hook:
        told_by(here, hook.url)
        invoked("run", "--as-of", LAST, code=EXIT_FAILED)
        assert body(hook)["failed"] == ["Spark did not start"]


def test_a_fault_in_the_telling_itself_does_not_fail_the_run(here, monkeypatch):
    def fails(*_: object, **__: object) -> None:
        raise RuntimeError(PASSWORD)

    monkeypatch.setattr("segment_lib.notify.message.render", fails)
    with hooked() as hook:
        told_by(here, hook.url)
        said = invoked("run", "--as-of", LAST, code=EXIT_OK)
    assert "nobody could be told how the run ended: RuntimeError" in said.stderr and PASSWORD not in said.stderr


def test_the_doctor_of_a_project_names_a_secret_that_is_missing(here, monkeypatch):
    monkeypatch.delenv("HOOK_SECRET")
    monkeypatch.setattr("segment_lib.doctor.check_machine", lambda *_: ())
    told_by(here, "https://hooks.example.com/x")
    checks = result("doctor", code=EXIT_FAILED)["checks"]
    assert [check["name"] for check in checks if not check["ok"]] == ["notify.hook0.secret"]
