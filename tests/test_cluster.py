"""The nightly run under spark-submit, with --py-files, on a standalone master with two workers that the test starts.

The driver and the executors find the product in the zip alone; the executors need no Python package of ours, for Column
expressions run in the JVM.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest
from benchmarks.standalone import SPARK_HOME, Cluster
from hooks import hooked

from segment_lib import generate
from segment_lib.api import Tenant
from segment_lib.conf import load_settings
from segment_lib.metrics import EVERYONE
from segment_lib.session import REQUIRED, embedded_conf
from segment_lib.settings import Settings
from segment_lib.storage import Lake

ROOT = Path(__file__).parent.parent
DAY = date(2026, 3, 31)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with Cluster(tmp_path_factory.mktemp("cluster")) as started:
        yield started


@pytest.fixture(scope="module")
def product(tmp_path_factory) -> tuple[Path, Path]:
    """The zip, and the job file as a scheduler has it: outside the repository, without the packages beside it."""
    folder = tmp_path_factory.mktemp("product")
    packed = folder / "seglake.zip"
    subprocess.run([sys.executable, str(ROOT / "scripts" / "pack.py"), str(packed)], check=True, capture_output=True)
    shutil.copy(ROOT / "jobs" / "run.py", folder)
    return packed, folder


def submit(cluster: Cluster, product: tuple[Path, Path], job: str, *arguments: str) -> dict:
    """The result of one job file under spark-submit, which sends stderr, our log lines, to stdout as well."""
    packed, folder = product
    embedded = embedded_conf(Settings(), {}, app_name=job, s3=False)
    conf = {
        **{name: value for name, value in embedded.items() if name.startswith("spark.jars")},
        "spark.sql.extensions": REQUIRED["spark.sql.extensions"],
        "spark.sql.catalog.spark_catalog": REQUIRED["spark.sql.catalog.spark_catalog"],
        "spark.driver.memory": "1g", "spark.executor.memory": "1g", "spark.driver.host": "127.0.0.1",
        "spark.sql.shuffle.partitions": "2", "spark.ui.enabled": "false", "spark.executor.cores": "1",
        # On a few rows, expressions that run as they are beat code that is generated and compiled first.
        "spark.sql.codegen.wholeStage": "false", "spark.sql.codegen.factoryMode": "NO_CODEGEN",
        "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
        "spark.executor.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    }
    command = [str(SPARK_HOME / "bin" / "spark-submit"), "--master", cluster.url, "--py-files", str(packed)]
    command += [word for name, value in conf.items() for word in ("--conf", f"{name}={value}")]
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environ |= {
        "SPARK_HOME": str(SPARK_HOME), "SPARK_LOCAL_IP": "127.0.0.1",
        "PYSPARK_PYTHON": sys.executable, "PYSPARK_DRIVER_PYTHON": sys.executable,
    }
    done = subprocess.run(
        [*command, str(folder / job), *arguments], cwd=folder, env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr[-4000:]
    return json.loads(re.search(r"^\{$.*", done.stdout, re.MULTILINE | re.DOTALL)[0])


def test_the_nightly_run_on_a_cluster(spark, cluster, product, tmp_path):
    packed, folder = product
    environ = {**os.environ, "PYTHONPATH": str(packed)}
    subprocess.run(
        [sys.executable, "-m", "jobs.cli", "init", "shop"], check=True, capture_output=True, env=environ, cwd=tmp_path
    )
    conf = str(tmp_path / "shop" / "conf")
    settings = load_settings(conf)
    tables = generate.generate_shop(spark, settings, customers=80, events=800, seed=7, until=DAY)
    generate.write_shop(Lake(spark, settings), tables, "input")
    base = tmp_path / "shop" / "conf" / "base.yaml"
    with hooked() as hook:
        base.write_text(base.read_text() + f"\nnotify: {{ops: {{webhook: {{url: '{hook.url}'}}}}}}\n")
        run = submit(cluster, product, "run.py", "--as-of", str(DAY), "--conf", conf, "--json")
    assert (run["date"], run["state"]) == (str(DAY), "published")
    assert [json.loads(body)["run_id"] for _, _, body in hook.calls] == [run["run_id"]]
    published = Tenant(spark, settings)
    for row in run["segments"]:
        if row["segment"] != EVERYONE:
            assert published.customers(row["segment"]).count() == row["customers"]

    assert [app["name"] for app in cluster.state()["completedapps"]] == ["run.py"]
    # Both workers had an executor of the run: each keeps a folder for every application it worked for.
    for name in cluster.names:
        assert list((cluster.folder / name).glob("app-*/*/stderr"))
