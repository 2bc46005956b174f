"""A tenant on S3: tables through S3A, small objects and leases through boto3, against a server on this machine.

S3A's jars must be there when the JVM starts, so the work is done in a process of its own; the server is another.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from segment_lib.session import s3_conf

ROOT = Path(__file__).resolve().parent.parent
SERVER = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def s3():
    """Environment of a client of the server, with a bucket `data` in it."""
    pytest.importorskip("moto.server")
    server = subprocess.Popen([sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True)
    url = f"http://127.0.0.1:{int(server.stdout.readline())}"
    for _ in range(100):
        try:
            urllib.request.urlopen(url, timeout=5).close()
            break
        except urllib.error.URLError:
            time.sleep(0.05)
    env = {
        "AWS_ENDPOINT_URL": url, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "eu-central-1", "AWS_EC2_METADATA_DISABLED": "true",
    }
    run(env, "import boto3; boto3.client('s3').create_bucket(Bucket='data', CreateBucketConfiguration="
             "{'LocationConstraint': 'eu-central-1'})")
    yield env
    server.stdin.close()
    server.wait(timeout=10)
    server.stdout.close()


def run(env: dict[str, str], program: str) -> str:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], env={**inherited, **env}, cwd=ROOT, capture_output=True,
        text=True, timeout=900,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


def test_objects_and_the_lease(s3):
    out = run(s3, """
        from concurrent.futures import ThreadPoolExecutor
        from segment_lib.errors import LockedError, StorageError
        from segment_lib.lease import Lease
        from segment_lib.objects import open_objects

        store = open_objects("s3a://data/conf/")
        assert store.url == "s3://data/conf" and store.read("a/b") is None and store.list() == []
        with ThreadPoolExecutor(4) as pool:
            made = [tag for tag in pool.map(lambda n: store.create("a/b", b"%d" % n), range(8)) if tag]
        assert len(made) == 1
        data, tag = store.read("a/b")
        assert tag == made[0]
        newer = store.swap("a/b", b"new", tag)
        assert newer and store.swap("a/b", b"x", tag) is None and store.swap("gone", b"x", tag) is None
        assert store.read("a/b") == (b"new", newer)
        store.write("c.yaml", b"x")
        assert store.list() == ["a/b", "c.yaml"] and store.list("a/") == ["a/b"]
        store.delete("a/b")
        store.delete("a/b")
        assert store.list() == ["c.yaml"]
        try:
            open_objects("s3://no-such-bucket").write("x", b"")
        except StorageError as error:
            assert "NoSuchBucket" in str(error)

        tenant = open_objects("s3://data/lake/shop")
        with Lease(tenant, "shop", "run-1", renew=0.05) as held:
            held.check()
            try:
                Lease(tenant, "shop", "run-2").__enter__()
            except LockedError as error:
                assert "run-1" in str(error)
            else:
                raise AssertionError("two hold the lease")
        with Lease(tenant, "shop", "run-2"):
            print("done")
    """)
    assert out == "done\n"


def test_a_list_is_sent_whole_or_not_at_all(s3):
    """One that is larger than a part, and one whose writer fails; nothing of it stays on this machine."""
    out = run(s3, """
        import os, tempfile
        from segment_lib.customers import place
        from segment_lib.errors import StorageError, UsageError
        from segment_lib.objects import open_objects

        with tempfile.TemporaryDirectory() as here:
            tempfile.tempdir = here
            personal = place.personal_root("s3a://data/lake/shop", "shop", None)
            target = place.target("s3://data/lake/shop/personal/lists/", "csv", "vip-2026-01-31", personal)
            print(target.path)
            with place.written(target) as file:
                file.write_bytes(b"0123456789" * 1_000_000)
            try:
                with place.written(place.Target("s3a://data/half.csv", "csv")) as file:
                    file.write_bytes(b"half")
                    raise ZeroDivisionError
            except ZeroDivisionError:
                pass
            store = open_objects("s3://data")
            print([(key, len(store.read(key)[0])) for key in store.list() if key.endswith(".csv")], os.listdir(here))
            for address in ("s3://data/lake/shop/personally/x.csv", "s3://data/x.csv", "/lake/shop/personal/x.csv"):
                try:
                    place.target(address, "csv", "x", personal)
                except UsageError as error:
                    assert "may only be written below s3a://data/lake/shop/personal" in str(error)
                else:
                    raise AssertionError(address)
            try:
                with place.written(place.Target("s3a://no-such-bucket/x.csv", "csv")) as file:
                    file.write_bytes(b"x")
            except StorageError as error:
                print(error)
    """)
    assert out.splitlines() == [
        "s3a://data/lake/shop/personal/lists/vip-2026-01-31.csv",
        "[('lake/shop/personal/lists/vip-2026-01-31.csv', 10000000)] []", "s3://no-such-bucket: NoSuchBucket",
    ]


def test_a_load_and_a_read(s3, tmp_path):
    source = tmp_path / "orders.csv"
    source.write_text(
        "order_id,customer_id,ordered_at,status,revenue\n1,a,2026-01-05,paid,10\n2,b,2026-01-06,paid,x\n"
        "3,b,2026-01-07,paid,30\n"
    )
    out = run(s3, f"""
        import boto3, datetime as dt
        from segment_lib.ingest import ingest
        from segment_lib.session import build_session
        from segment_lib.settings import Settings
        from segment_lib.storage import Lake

        boto3.client("s3").upload_file({str(source)!r}, "data", "in/day 1/orders[1].csv")
        settings = Settings(root="s3://data/lake", ingest={{"max_reject_rate": 0.5}}, spark={{
            "spark.master": "local[2]", "spark.driver.memory": "1g", "spark.sql.shuffle.partitions": "2",
            "spark.databricks.delta.snapshotPartitions": "1",
            "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"}})
        spark = build_session(settings, app_name="s3")
        now = dt.datetime(2026, 3, 1, tzinfo=dt.timezone.utc)
        for load_id in ("l1", "l2"):
            result = ingest(Lake(spark, settings), settings, "orders", ["s3://data/in/"], now, load_id)
            print(result.outcome, result.inserted, result.rejected)
        lake = Lake(spark, settings)
        print(lake.path("orders"), lake.pin(), lake.staged_runs())
        print(sorted((r["customer_id"], str(r["revenue"])) for r in lake.input("orders", 0).collect()))
        print(sorted((r["file"], r["row"], r["reason"]) for r in lake.read("quarantine").collect())[0])
        spark.stop()
    """)
    assert out.splitlines() == [
        "loaded 2 1", "unchanged 0 1", "s3a://data/lake/shop/orders {'orders': 0} []",
        "[('a', '10.0000'), ('b', '30.0000')]", "('s3a://data/in/day 1/orders[1].csv', 2, 'bad_type:revenue')",
    ]


def test_settings_follow_the_standard_environment():
    assert s3_conf({}) == {}
    keys = {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": "t"}
    given = s3_conf({**keys, "AWS_REGION": "r"})
    assert given["spark.hadoop.fs.s3a.session.token"] == "t"
    assert given["spark.hadoop.fs.s3a.endpoint.region"] == "r"
    assert "spark.hadoop.fs.s3a.endpoint" not in given


def test_an_export_and_a_delta(s3):
    """Parts, manifests by conditional put, a rerun that writes nothing, and the sweep of one that died."""
    out = run(s3, """
        import gzip, json, sys
        from datetime import date, timedelta
        sys.path.insert(0, "tests")
        from segment_lib.export.export import Wish, export
        from segment_lib.objects import open_objects
        from segment_lib.runs import read_history
        from segment_lib.session import build_session
        from segment_lib.settings import Settings
        from written_nights import Nights, at_night

        settings = Settings(root="s3://data/exporting", spark={
            "spark.master": "local[1]", "spark.driver.memory": "1g", "spark.sql.shuffle.partitions": "1",
            "spark.databricks.delta.snapshotPartitions": "1", "spark.sql.adaptive.enabled": "false",
            "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"})
        nights = Nights(build_session(settings, app_name="s3"), settings)
        store = open_objects("s3://data/out")
        store.write("shop/a/as_of=2026-01-01/run=20260102T000000-00000000/full/part-00000.csv.gz", b"of one that died")
        day = date(2026, 1, 31)
        for number, people in enumerate((["c1", "c2"], ["c2", "c3"])):
            nights.publish(day + timedelta(days=number), {"a": people})
            for again in range(2 - number):
                lake = nights.lake()
                wish = Wish("delta", "csv", ("customer_id",), "s3://data/out")
                done = export(lake, read_history(lake), "a", wish, now=at_night(day) + timedelta(days=number))
                files = [store.read(f"{done.path.removeprefix('s3a://data/out/')}/{one.path}") for one in done.manifest.files]
                print(done.wrote, done.manifest.mode, b"".join(gzip.decompress(data) for data, _ in files))
        print(sorted({key.rpartition("/")[2] for key in store.list()}), len(store.list()))
        nights.spark.stop()
    """)
    head = '"action","customer_id"\\n'
    assert out.splitlines() == [
        f"""True full b'{head}"add","c1"\\n"add","c2"\\n'""", f"""False full b'{head}"add","c1"\\n"add","c2"\\n'""",
        f"""True delta b'{head}"remove","c1"\\n"add","c3"\\n'""", "['manifest.json', 'part-00000.csv.gz'] 4",
    ]
