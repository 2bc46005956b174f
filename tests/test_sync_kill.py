"""kill -9 of the real `seglake sync`, twenty times at moments that a receiver picks: its audience ends as it should."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import phonenumbers
import pytest
from deltalake import DeltaTable
from test_kill import command, environment, seglake

DAY = "2026-03-31"
KILLS = int(os.environ.get("SEGLAKE_TEST_KILLS", "20"))
SECRET = "whsec_cGxhbnRlZC1zZWNyZXQtNDcxMS1wbGFudGVk"
CONF = """
destinations:
  ads:
    type: webhook
    options: {{url: "http://127.0.0.1:{port}/hook", records: 50, per_second: null}}
    credentials: {{secret: "env:HOOK"}}
    consent: none
    profile: {profile}
    segments: [{segment}]
    fuse: {{change: null, unreachable: null}}
"""

#: The second makes addresses and numbers, the first the customer's id as well.
PROFILES = ("klaviyo-2026-07-id", "klaviyo-2026-07")


class Receiver:
    """Holds an audience of identifiers; kills who sends, before or after it took a batch, when told to."""

    def __init__(self) -> None:
        self.there: set[tuple[str, str]] = set()
        self.keys: set[str] = set()
        self.repeated = self.left = 0
        self.moment = ""
        self.sender: subprocess.Popen | None = None
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                receiver.left -= 1
                if receiver.left == 0 and receiver.moment == "before":
                    return receiver.kill()
                receiver.take(body)
                if receiver.left == 0 and receiver.moment == "after":
                    return receiver.kill()
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"{}")
                if receiver.left == 0:
                    receiver.kill()

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def take(self, body: dict) -> None:
        if body["key"] in self.keys:
            self.repeated += 1
            return
        self.keys.add(body["key"])
        for record in body["records"]:
            values = {(kind, value) for kind, several in record["identifiers"].items() for value in several}
            self.there = self.there | values if body["action"] == "add" else self.there - values

    def kill(self) -> None:
        assert self.sender is not None
        os.killpg(self.sender.pid, signal.SIGKILL)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.server.shutdown()
    made.server.server_close()


def wanted(project: Path, segment: str, run_id: str) -> set[tuple[str, str]]:
    """Read without Spark: the addresses and numbers of the members of a run."""
    home = project / "lake" / "shop"
    rows = DeltaTable(str(home / "memberships")).to_pyarrow_table(columns=["run_id", "customer_id", "segments"]).to_pylist()
    inside = {
        row["customer_id"] for row in rows if row["run_id"] == run_id and segment in {one["id"] for one in row["segments"]}
    }
    customers = DeltaTable(str(home / "customers")).to_pyarrow_table(columns=["customer_id", "email", "phone"]).to_pylist()
    mine = [row for row in customers if row["customer_id"] in inside]
    emails = {("email", row["email"].strip().lower()) for row in mine if row["email"] and "@" in row["email"]}
    phones = {row["phone"] for row in mine if row["phone"] and row["phone"].startswith("+")}
    # A number that no country can have is nobody's, and is not sent.
    return emails | {("phone", phone) for phone in phones if phonenumbers.is_possible_number(phonenumbers.parse(phone))}


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_killed_again_and_again(tmp_path, receiver, monkeypatch):
    monkeypatch.setenv("HOOK", SECRET)
    dice = random.Random(KILLS)
    project = tmp_path / "shop"
    subprocess.run(command(project, "init", str(project))[:-2], env=environment(), check=True)
    seglake(project, "generate", "--customers", "600", "--events", "3000", "--as-of", DAY)
    segment = "with_address"
    definition = "name: With an address\nwhere: {customer: email, known: true}\n"
    (project / "conf" / "segments" / f"{segment}.yaml").write_text(definition)
    run = seglake(project, "run", "--as-of", DAY)
    base = (project / "conf" / "base.yaml").read_text()

    def wanted_by(profile: str) -> None:
        conf = CONF.format(port=receiver.server.server_port, segment=segment, profile=profile)
        (project / "conf" / "base.yaml").write_text(base + conf)

    logs = []
    killed = 0
    for turn in range(KILLS):
        # Other identifiers are wanted each time, so there is always something to remove and to add.
        wanted_by(PROFILES[turn % 2])
        receiver.left, receiver.moment = dice.randint(1, 6), dice.choice(["before", "after", "answered"])
        receiver.sender = subprocess.Popen(
            command(project, "sync"), env=environment(), cwd=project, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, start_new_session=True,
        )
        logs.append(receiver.sender.communicate()[0])
        killed += receiver.sender.returncode == -signal.SIGKILL
    receiver.left = 0
    wanted_by(PROFILES[1])
    said = seglake(project, "sync")
    logs.append(json.dumps(said))
    expected = wanted(project, segment, run["run_id"])
    assert receiver.there == expected and len(expected) > 50
    assert killed > KILLS // 2 and said["audiences"][0]["state"] == "done"
    assert seglake(project, "sync")["audiences"][0]["batches"] == 0
    written = "\n".join(logs) + "".join(file.read_text() for file in (project / "lake").rglob("*.json"))
    assert SECRET not in written and not any(value in written for kind, value in expected if kind == "email")
