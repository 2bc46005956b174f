"""One Spark session for the whole run, a fresh lake for each test that wants one, and the worked cases' answers."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from segment_lib.settings import Settings

# Collecting the doctests of `models` imports MLflow.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

#: The same results, and much sooner on a few rows: expressions run as they are and plans as they stand, instead of
#: being compiled and adapted first.
QUICK = {
    "spark.sql.codegen.wholeStage": "false", "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.adaptive.enabled": "false",
}
#: For a process of its own that works on a few rows: what it compiles it will hardly run again.
QUICK_START = QUICK | {
    "spark.sql.shuffle.partitions": "1", "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
}
#: A commit on local files without the dozen processes that Hadoop starts for its links and permissions.
QUICK_COMMITS = {
    "spark.delta.logStore.file.impl": "io.delta.storage.LocalLogStore",
    "spark.databricks.delta.writeChecksumFile.enabled": "false",
}


@pytest.fixture(scope="session")
def event_log_folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("event_log")


@pytest.fixture(scope="session")
def spark(event_log_folder):
    from segment_lib.session import build_session

    conf = {
        "spark.eventLog.enabled": "true", "spark.eventLog.dir": event_log_folder.as_uri(),
        "spark.eventLog.rolling.enabled": "false", "spark.eventLog.compress": "false",
        "spark.master": "local[2]", "spark.driver.memory": "3g", "spark.sql.shuffle.partitions": "2",
        "spark.default.parallelism": "2", "spark.databricks.delta.snapshotPartitions": "1",
        # Every test has tables of its own: logs that Delta would keep in mind for an hour fill the heap with their plans.
        "spark.driver.extraJavaOptions": "-XX:+UseSerialGC -Ddelta.log.cacheSize=30",
        **QUICK, **QUICK_COMMITS,
    }
    session = build_session(Settings(spark=conf), app_name="tests")
    yield session
    session.stop()


@contextmanager
def configured(spark, **values: str) -> Iterator[None]:
    """Spark with other settings (`__` stands for a dot) inside, and those of before afterwards."""
    wanted = {f"spark.{name.replace('__', '.')}": value for name, value in values.items()}
    before = {name: spark.conf.get(name) for name in wanted}
    for name, value in wanted.items():
        spark.conf.set(name, value)
    yield
    for name, value in before.items():
        spark.conf.set(name, value)


@pytest.fixture
def compiled(spark):
    """Spark with generated code and adapted plans, as a night runs."""
    with configured(
        spark, sql__codegen__wholeStage="true", sql__codegen__factoryMode="FALLBACK", sql__adaptive__enabled="true"
    ):
        yield


@pytest.fixture
def event_log(spark, event_log_folder):
    """The path of Spark's event log, with everything in it that has happened."""

    def written() -> Path:
        spark.sparkContext._jsc.sc().listenerBus().waitUntilEmpty()
        (log,) = event_log_folder.iterdir()
        return log

    return written


@pytest.fixture(scope="session")
def drawn(spark, tmp_path_factory):
    """A tenant whose nights are drawn, with the truth that they were drawn from; nobody writes to it."""
    from published_shop import publish

    return publish(spark, tmp_path_factory.mktemp("drawn") / "shop")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(root=str(tmp_path / "lake"))


@pytest.fixture
def lake(spark, settings: Settings):
    from segment_lib.storage import Lake

    return Lake(spark, settings)


@pytest.fixture(scope="session")
def answers(request, tmp_path_factory) -> dict:
    """What the engine and the oracle find in every worked case of the run, by case: one scan a night for all of them.

    Of several workers one evaluates them, and the others read what it wrote.
    """
    from cases import Case, evaluate

    calls = (item.callspec.params.values() for item in request.session.items if hasattr(item, "callspec"))
    cases = list(dict.fromkeys(value for values in calls for value in values if isinstance(value, Case)))
    folder = tmp_path_factory.getbasetemp()
    if hasattr(request.config, "workerinput"):
        folder = folder.parent
    kept = folder / "answers.json"
    with (folder / "answers.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            spark = request.getfixturevalue("spark")
            found = evaluate(spark, lambda: tmp_path_factory.mktemp("cases"), cases)
            kept.write_text(json.dumps(found), encoding="utf-8")
    return dict(zip(cases, map(tuple, json.loads(kept.read_text(encoding="utf-8"))), strict=True))
