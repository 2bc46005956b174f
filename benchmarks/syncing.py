"""A million members to a fake Meta and a fake Klaviyo: seconds, requests, and the memory of the process that sends.

Run as ``python -m benchmarks.syncing [--members 1000000] [--platforms meta klaviyo]`` from the root of the repository. The
platforms run in a process of their own, keep a digest and a count instead of their members, and enforce their published
limits in real time, so what is measured is what a sync takes: Meta's hundred requests end with our own work, Klaviyo's
end at 150 requests a minute and 5 MB each.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from segment_lib.sync.contract import Audience, Batch, Destination, Record
from segment_lib.sync.destinations import DEFAULT_PROFILE, open_destination
from segment_lib.sync.profiles import profile

ROOT = Path(__file__).resolve().parent.parent
SERVE = """
import sys, threading, time
sys.path[:0] = [{tests!r}, {root!r}]
from platforms import klaviyo, meta
from platforms.server import Virtual, served

class Real(Virtual):
    time = property(lambda self: time.monotonic(), lambda self, value: None)

class Meta(meta.FakeMeta):
    limits = {{"": (5, 120)}}
    def fits(self, key, value):
        return True
    def users(self, audience, request):
        reply = super().users(audience, request)
        self.received = getattr(self, "received", 0) + len(self.audiences[audience]["rows"])
        self.audiences[audience]["rows"].clear()
        return reply

class Klaviyo(klaviyo.FakeKlaviyo):
    looks = 2
    received = 0
    def looked(self, job):
        reply = super().looked(job)
        if self.jobs[job]["looks"] <= 0 and self.jobs[job]["profiles"]:
            self.received += len(self.jobs[job]["profiles"])
            self.jobs[job]["profiles"] = []
            self.profiles.clear(); self.index.clear()
            for about in self.lists.values():
                about["members"].clear()
        return reply

with served({{"meta": Meta, "klaviyo": Klaviyo}}[sys.argv[1]](Real())) as fake:
    print(fake.url, flush=True)
    sys.stdin.readline()
    print(fake.received, len(fake.seen), fake.too_fast, len(fake.wrong), flush=True)
"""


def members(count: int, platform: str) -> Iterator[Record]:
    """Customers one after the other, with identifiers as executors make them."""
    rules = profile(DEFAULT_PROFILE[platform])
    for number in range(count):
        row = {"customer_id": f"c{number}", "email": f"customer.{number}@example.com", "phone": f"+4915{10**8 + number}"}
        yield Record(row["customer_id"], rules.of(row))


def cut(records: Iterator[Record], destination: Destination) -> Iterator[list[Record]]:
    """Batches that a request can hold, by number and by bytes."""
    batch: list[Record] = []
    size = 0
    for record in records:
        bytes_of = destination.size_of(record)
        if batch and (len(batch) == destination.limits.records or size + bytes_of > destination.limits.bytes):
            yield batch
            batch, size = [], 0
        batch.append(record)
        size += bytes_of
    if batch:
        yield batch


def peak_mb() -> float:
    """The most memory that this process ever had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measured(platform: str, count: int) -> dict[str, object]:
    """One platform, `count` members: what it took, with the memory after each tenth."""
    program = SERVE.format(tests=str(ROOT / "tests"), root=str(ROOT))
    server = subprocess.Popen(
        [sys.executable, "-c", program, platform], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    url = server.stdout.readline().strip()
    options, credentials, environ = {
        "meta": (
            {"account": "1234567890"}, {"access_token": "env:TOKEN", "app_secret": "env:APP"},
            {"TOKEN": "EAAB-token-of-meta", "APP": "app-secret-of-meta"},
        ),
        "klaviyo": ({}, {"api_key": "env:KEY"}, {"KEY": "pk_key-of-klaviyo"}),
    }[platform]
    destination = open_destination(
        platform, {"url": url, **options}, credentials, environ=environ, now=lambda: datetime.now(UTC)
    )
    audience = Audience("all", "Everybody")
    audience = Audience("all", "Everybody", destination.open(audience))
    began, sending, done, memory = time.monotonic(), 0.0, 0, []
    for number, records in enumerate(cut(members(count, platform), destination)):
        before = time.monotonic()
        done += destination.send(audience, Batch(f"k{number}", "add", tuple(records))).accepted
        sending += time.monotonic() - before
        if done >= (len(memory) + 1) * count / 10:
            memory.append(round(peak_mb()))
    destination.close(audience)
    seconds = time.monotonic() - began
    received, requests, too_fast, wrong = map(int, server.communicate("\n", timeout=60)[0].split())
    return {
        "platform": platform, "members": count, "accepted": done, "received": received, "seconds": round(seconds, 1),
        "of_that_sending": round(sending, 1), "per_second_of_sending": round(count / sending), "requests": requests, "answered_429": too_fast, "faults": wrong,
        "peak_mb_by_tenth": memory, "threads": threading.active_count(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--members", type=int, default=1_000_000)
    parser.add_argument("--platforms", nargs="+", choices=("meta", "klaviyo"), default=["meta", "klaviyo"])
    arguments = parser.parse_args()
    for platform in arguments.platforms:
        print(json.dumps(measured(platform, arguments.members)), flush=True)


if __name__ == "__main__":
    main()
