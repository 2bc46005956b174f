"""A planted secret and a planted person, searched for in all that a day of work leaves: output, logs, tables, pages."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from commands import invoked
from deltalake import DeltaTable
from hooks import hooked
from mailbox_server import Mailbox, free_port, smtp

from segment_lib.errors import EXIT_FAILED

pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
DAY = date(2026, 3, 31)
SECRETS = {"HOOK": "whsec_cGxhbnRlZC1zZWNyZXQtNDcxMS1wbGFudGVk", "SMTP": "open sesame", "TOKEN": "t0ken-planted-4711"}
#: Parts of the planted person's row that nothing but her row may hold; the id is everywhere and leads to nobody.
PERSON = ("zq.planted", "Zqfirst", "Zqlast", "901820347")
#: Tables that hold persons, or what was sent of them; docs/operations.md says so of each.
PERSONAL_TABLES = {"customers", "quarantine", "sync_ledger"}
CONF = """root: lake
catalogue: {{lists: [never]}}
suppression: [never]
destinations:
  ads:
    type: webhook
    options: {{url: "{hook}", attempts: 2, longest_pause: 0}}
    credentials: {{secret: "env:HOOK", token: "env:TOKEN"}}
    consent: email
    segments: [germans]
  mail:
    type: email
    options: {{host: "127.0.0.1", port: {port}, security: none, user: bot, from: shop@example.com, attempts: 2, longest_pause: 0}}
    credentials: {{password: "env:SMTP"}}
    consent: email
triggers:
  welcome:
    segment: germans
    on: formed
    within: 5y
    destination: mail
    message: {{subject: "Hello {{{{ first_name }}}}", text: "{{{{ last_name }}}}"}}
notify:
  team:
    email: {{host: "127.0.0.1", port: {port}, security: none, user: bot, password: "env:SMTP", from: a@example.com, to: [b@example.com]}}
    attempts: 1
"""
CUSTOMERS = """customer_id,email,phone,first_name,last_name,country,email_consent,created_at,birthday
c1,zq.planted@example.com,+49 30 901820347,Zqfirst,Zqlast,DE,true,2026-01-01T10:00:00Z,1990-05-05
c2,other@example.com,,Other,Person,DE,true,2026-01-02T10:00:00Z,1990-05-05
c3,zq.planted@example.com,+49 30 901820347,Zqfirst,Zqlast,DE,perhaps,2026-99-99,never
"""
ORDERS = "order_id,customer_id,ordered_at,status,revenue\no1,c1,2026-03-01T10:00:00Z,paid,10\n"
DEFINITION = "name: Germans\nwhere: {customer: country, is: DE}\n"


@pytest.fixture(scope="module")
def left(spark, tmp_path_factory) -> Iterator[tuple[Path, str]]:
    """The project after a day on which things went wrong too, and all that was said."""
    folder = tmp_path_factory.mktemp("leaks")
    (folder / "conf" / "segments").mkdir(parents=True)
    (folder / "customers.csv").write_text(CUSTOMERS)
    (folder / "orders.csv").write_text(ORDERS)
    (folder / "conf" / "segments" / "germans.yaml").write_text(DEFINITION)
    said: list[str] = []

    def do(*arguments: object, code: int = 0) -> None:
        done = invoked(*arguments, "--conf", folder / "conf", code=code)
        said.append(done.output)

    def conf(hook: str, port: int) -> None:
        (folder / "conf" / "base.yaml").write_text(CONF.format(hook=hook, port=port))

    with pytest.MonkeyPatch.context() as patch, hooked(500, 500) as hook, smtp(Mailbox()) as port:
        for name, value in SECRETS.items():
            patch.setenv(name, value)
        patch.chdir(folder)
        conf("http://127.0.0.1:1/hook", free_port())
        patch.setenv("SEGLAKE__INGEST__MAX_REJECT_RATE", "1")
        do("ingest", "customers", folder / "customers.csv")
        do("ingest", "orders", folder / "orders.csv")
        do("validate")
        do("plan")
        do("preview", folder / "conf" / "segments" / "germans.yaml")
        do("run", "--as-of", DAY)  # its mail does not go out
        do("sync", code=EXIT_FAILED)  # nobody is there
        do("triggers", code=EXIT_FAILED)
        conf(hook.url, port)
        do("sync", "--dry-run")
        do("sync", code=EXIT_FAILED)  # it answers 500
        do("triggers", "--dry-run")
        do("triggers")
        do("sync")
        do("members", "germans")
        do("why", "c1", "germans")
        do("history", "c1")
        do("customers", "germans", "--columns", "customer_id,email,first_name", "--output", folder / "list.csv")
        do("report", "--sql")
        do("export", "germans", "--output", folder / "files", "--columns", "customer_id,country")
        do("runs", "--json")
    assert b"zq.planted@example.com" in b"".join(body for _, _, body in hook.calls), "she was sent where she may go"
    yield folder, "\n".join(said)


def test_nothing_that_was_said_names_her_or_a_secret(left):
    _, said = left
    assert len(said) > 5_000
    for planted in (*PERSON, *SECRETS.values()):
        assert planted not in said


def test_no_file_has_a_secret_and_only_her_own_tables_have_her(left):
    folder, _ = left
    looked = 0
    for file in folder.rglob("*"):
        if file.is_file() and file.suffix != ".parquet" and file.name not in ("customers.csv", "base.yaml"):
            looked += 1
            text = file.read_bytes()
            assert not [name for name, value in SECRETS.items() if value.encode() in text], file
            assert not [part for part in PERSON if part.encode() in text], file
    assert looked > 50


def test_only_her_own_tables_have_her(left):
    folder, _ = left
    tables = [log.parent for log in (folder / "lake" / "shop").glob("*/_delta_log")]
    holding = set()
    for table in tables:
        rows = DeltaTable(str(table)).to_pyarrow_table().to_pylist()
        text = repr(rows)
        assert not [name for name, value in SECRETS.items() if value in text], table.name
        if any(part in text for part in PERSON):
            holding.add(table.name)
    assert holding == PERSONAL_TABLES and len(tables) > 12
