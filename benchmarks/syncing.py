"""A million members to a fake Meta and a fake Klaviyo: seconds, requests, and the memory of the process that sends.

Run as ``python -m benchmarks.syncing [--members 1000000] [--platforms meta klaviyo] [--whole]`` from the root of the
repository. With ``--whole`` it is `seglake sync` that sends, from a lake whose one segment has so many members, with a JVM of
2 GB; without, the destination alone, which is handed records by a loop. The platforms run in a process of their own, keep a digest and a count instead of their members, and enforce their published
limits in real time, so what is measured is what a sync takes: Meta's hundred requests end with our own work, Klaviyo's
end at 150 requests a minute and 5 MB each.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.memory import resident
from segment_lib.sync.contract import Audience, Batch, Destination, Record
from segment_lib.sync.destinations import DEFAULT_PROFILE, open_destination
from segment_lib.sync.profiles import profile

ROOT = Path(__file__).resolve().parent.parent
#: Options and credentials of each platform's destination, and what the environment then holds.
CONF: Mapping[str, tuple[dict[str, str], dict[str, str]]] = {
    "meta": ({"account": "1234567890"}, {"access_token": "env:META_TOKEN", "app_secret": "env:META_APP"}),
    "klaviyo": ({}, {"api_key": "env:KLAVIYO_KEY"}),
}
SECRETS = {"META_TOKEN": "EAAB-token-of-meta", "META_APP": "app-secret-of-meta", "KLAVIYO_KEY": "pk_key-of-klaviyo"}
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


@contextmanager
def faked(platform: str) -> Iterator[tuple[str, Callable[[], list[int]]]]:
    """The address of a platform in a process of its own, and what it says at the end: received, requests, 429s, faults."""
    program = SERVE.format(tests=str(ROOT / "tests"), root=str(ROOT))
    server = subprocess.Popen(
        [sys.executable, "-c", program, platform], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield server.stdout.readline().strip(), lambda: [
            int(number) for number in server.communicate("\n", timeout=60)[0].split()
        ]
    finally:
        server.kill()


def measured(platform: str, count: int) -> dict[str, object]:
    """One platform, `count` members: what it took, with the memory after each tenth."""
    options, credentials = CONF[platform]
    with faked(platform) as (url, ended):
        destination = open_destination(
            platform, {"url": url, **options}, credentials, environ=SECRETS, now=lambda: datetime.now(UTC)
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
        received, requests, too_fast, wrong = ended()
    return {
        "platform": platform, "members": count, "accepted": done, "received": received, "seconds": round(seconds, 1),
        "of_that_sending": round(sending, 1), "per_second_of_sending": round(count / sending), "requests": requests,
        "answered_429": too_fast, "faults": wrong, "peak_mb_by_tenth": memory, "threads": threading.active_count(),
    }


def published(project: Path, count: int) -> None:
    """A project whose one segment has `count` members, published."""
    (project / "conf" / "segments").mkdir(parents=True)
    (project / "conf" / "segments" / "everybody.yaml").write_text(
        'name: Everybody\nwhere: {customer: email, known: true}\n'
    )
    write_conf(project)
    program = f"""
from pyspark.sql import functions as F
from segment_lib.conf import load_settings
from segment_lib.session import build_session
from segment_lib.storage import Lake
settings = load_settings({str(project / "conf")!r})
lake = Lake(build_session(settings, app_name="benchmarks"), settings)
ids = lake.spark.range({count})
rows = ids.select(
    F.concat(F.lit("c"), "id").alias("customer_id"), F.concat(F.lit("customer."), "id", F.lit("@example.com")).alias("email"),
    F.concat(F.lit("+4915"), (F.col("id") + 10**8).cast("string")).alias("phone"), F.lit(True).alias("email_consent"),
    F.lit("2026-01-01").cast("timestamp").alias("created_at"))
lake.append("customers", rows, "load")
"""
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, cwd=ROOT)
    seglake(project, "run", "--as-of", "2026-03-31")


def write_conf(project: Path, **urls: str) -> None:
    """The conf of the project, with destinations at these addresses."""
    destinations = {
        name: {
            "type": name, "options": {"url": url, **CONF[name][0]}, "credentials": CONF[name][1], "consent": "email",
            "segments": ["everybody"],
        }
        for name, url in urls.items()
    }
    spark = {"spark.driver.memory": "2g", "spark.master": "local[2]", "spark.sql.shuffle.partitions": "8"}
    (project / "conf" / "base.yaml").write_text(json.dumps({"root": "lake", "spark": spark, "destinations": destinations}))


def seglake(project: Path, *arguments: str) -> dict:
    """What a command says, as JSON."""
    line = [sys.executable, "-m", "jobs.cli", *arguments, "--conf", str(project / "conf"), "--json"]
    done = subprocess.run(line, cwd=ROOT, env=os.environ | SECRETS, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stdout[-2000:] + done.stderr[-2000:])
    return json.loads(done.stdout)


def whole(platform: str, count: int, project: Path) -> dict[str, object]:
    """`seglake sync` of the published segment to one platform, then again with nothing to do; the memory by tenths."""
    with faked(platform) as (url, ended):
        write_conf(project, **{platform: url})
        line = [sys.executable, "-m", "jobs.cli", "sync", "--destination", platform, "--conf", str(project / "conf"), "--json"]
        began, memory = time.monotonic(), []
        process = subprocess.Popen(
            line, cwd=ROOT, env=os.environ | SECRETS, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        while process.poll() is None:
            memory.append(resident(process.pid) / 2**20)
            time.sleep(0.5)
        seconds = time.monotonic() - began
        (row,) = json.loads(process.stdout.read())["audiences"]
        again = time.monotonic()
        (second,) = seglake(project, "sync", "--destination", platform)["audiences"]
        again = time.monotonic() - again
        received, requests, too_fast, wrong = ended()
    tenths = [memory[len(memory) * number // 10:len(memory) * (number + 1) // 10] for number in range(10)]
    return {
        "platform": platform, "members": count, "state": row["state"], "added": row["added"], "received": received,
        "batches": row["batches"], "mb_sent": round(row["bytes"] / 1e6), "seconds": round(seconds, 1),
        "per_second": round(count / seconds), "requests": requests, "answered_429": too_fast, "faults": wrong,
        "peak_mb_by_tenth": [round(max(tenth, default=0)) for tenth in tenths],
        "again_batches": second["batches"], "again_seconds": round(again, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--members", type=int, default=1_000_000)
    parser.add_argument("--platforms", nargs="+", choices=("meta", "klaviyo"), default=["meta", "klaviyo"])
    parser.add_argument("--whole", action="store_true")
    arguments = parser.parse_args()
    if not arguments.whole:
        for platform in arguments.platforms:
            print(json.dumps(measured(platform, arguments.members)), flush=True)
        return
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        published(project, arguments.members)
        for platform in arguments.platforms:
            print(json.dumps(whole(platform, arguments.members, project)), flush=True)


if __name__ == "__main__":
    main()
