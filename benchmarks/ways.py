"""The ways that are compared: each goes from the same files to a written table.

A way prepares outside of the measured time (a session or a connection) and then works, from the parsed definitions to
the last byte written. All but the floor write (customer_id, segments), ours with the date since when and what the night
goes on with; the floor writes (customer_id, n).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from benchmarks.alone import alone, used_rows
from benchmarks.data import SNAPSHOT_DATE, Shop
from segment_lib.definition.segment import Segment
from segment_lib.plan import EvaluationPlan, build_plan
from segment_lib.tables import OUTPUTS

#: How many definitions are measured where the cost of each is the same, to be multiplied.
MEASURED = 10
RUN_ID = "benchmark"


@dataclass(frozen=True)
class Work:
    """What is to be done once: a shop, definitions over it, and the empty folder that the answer goes to."""

    shop: Shop
    segments: Sequence[Segment]
    out: Path
    threads: int
    #: Of the JVM's heap, as Spark writes it.
    memory: str

    @property
    def plan(self) -> EvaluationPlan:
        return build_plan(self.segments, self.shop.settings().names(), self.shop.clock)


@dataclass(frozen=True)
class Way:
    """How a way is measured. `work` is timed; what it returns is stored beside its time."""

    name: str
    label: str
    prepare: Callable[[Work], Any]
    work: Callable[[Any, Work], dict[str, Any] | None]
    #: Cost grows with each definition alike: MEASURED of them are timed and the time is multiplied.
    linear: bool = False
    #: A JVM is warmed up on a tiny shop first, so that what is timed is not its compiler.
    warm: bool = False
    #: The work does not depend on definitions.
    bare: bool = False


# Spark ---------------------------------------------------------------------------------------------------------------


def _spark(work: Work) -> Any:
    from segment_lib.session import build_session

    conf = {"spark.master": f"local[{work.threads}]", "spark.driver.memory": work.memory}
    return build_session(work.shop.settings(conf), app_name="benchmarks", env={})


def _lake(spark: Any, work: Work) -> Any:
    from segment_lib.storage import Lake

    return Lake(spark, work.shop.settings())


def _floor(spark: Any, work: Work) -> None:
    lake = _lake(spark, work)
    ids = lake.read("events").select("customer_id").unionAll(lake.read("orders").select("customer_id"))
    ids.groupBy("customer_id").count().withColumnRenamed("count", "n").write.parquet(str(work.out))


def _seglake(engine: str, spark: Any, work: Work) -> None:
    from segment_lib.evaluate import scan, stage_decided

    lake, plan = _lake(spark, work), work.plan
    found = scan(plan, lake, lake.pin(), RUN_ID, engine=engine)
    decided = stage_decided(lake, RUN_ID, plan, found, None)
    # The table as the night works on with it, each segment with the date since when; only its place is another.
    Path(unquote(urlsplit(decided.inputFiles()[0]).path)).parent.rename(work.out)
    lake.drop_staging(RUN_ID)


def _spark_per_segment(spark: Any, work: Work) -> None:
    from pyspark.sql import functions as F

    from benchmarks.lowering_spark import members

    lake, plan = _lake(spark, work), work.plan
    for planned in plan.segments:
        single = alone(plan, planned)
        found = members(single, lake, used_rows(single))
        found.withColumn("segments", F.array(F.lit(planned.id))).write.parquet(str(work.out / planned.id))


def _without_outputs(work: Work) -> None:
    """Removes what earlier nights have published and left."""
    settings = work.shop.settings()
    for name in (*OUTPUTS, "_staging", "_lease.json"):
        path = Path(settings.root, settings.tenant, name)
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def _published_yesterday(work: Work) -> Any:
    """A session over a lake that has published the day before, so that the measured night has a base."""
    spark = _spark(work)
    _without_outputs(work)
    _night(spark, work, days_back=1)
    return spark


def _night(spark: Any, work: Work, days_back: int = 0) -> Any:
    from segment_lib import nightly
    from segment_lib.definition.load import Loaded
    from segment_lib.gates import GATES

    day = SNAPSHOT_DATE - timedelta(days=days_back)
    return nightly.run(
        _lake(spark, work), work.shop.settings(), Loaded(tuple(work.segments)), snapshot_date=day,
        now=datetime.combine(day + timedelta(days=1), time(9), UTC), accept=frozenset(GATES),
    )


def _nightly(spark: Any, work: Work) -> dict[str, Any]:
    outcome = _night(spark, work)
    return {"steps": dict(outcome.record.timings), "run_id": outcome.run_id}


def published(spark: Any, work: Work, run_id: str) -> None:
    """Copies what a night has published to where its answer is compared, and removes it from the lake."""
    rows = _lake(spark, work).read("memberships").where(f"run_id = '{run_id}'")
    rows.selectExpr("customer_id", "segments.id AS segments").write.parquet(str(work.out))
    _without_outputs(work)


# Peers ---------------------------------------------------------------------------------------------------------------


def _duckdb(work: Work) -> Any:
    import duckdb

    connection = duckdb.connect()
    connection.execute(f"SET threads = {work.threads}; SET TimeZone = 'UTC'")
    connection.execute(f"SET temp_directory = '{work.out}.spill'")
    return connection


def _duckdb_pass(form: str, connection: Any, work: Work) -> None:
    from benchmarks import lowering_duckdb

    query = lowering_duckdb.evaluation(work.plan, work.shop.files, getattr(lowering_duckdb, form))
    work.out.mkdir()
    connection.execute(f"COPY ({query}) TO '{work.out}/part.parquet'")


def _duckdb_per_segment(connection: Any, work: Work) -> None:
    from benchmarks.lowering_duckdb import evaluation, with_case

    plan = work.plan
    work.out.mkdir()
    for planned in plan.segments:
        single = alone(plan, planned)
        query = evaluation(single, work.shop.files, with_case, used_rows(single))
        query = f"SELECT * FROM ({query}) WHERE len(segments) > 0"
        connection.execute(f"COPY ({query}) TO '{work.out}/{planned.id}.parquet'")


def _polars(work: Work) -> None:
    import polars

    threads = polars.thread_pool_size()
    if threads != work.threads:
        raise RuntimeError(f"Polars has {threads} threads instead of {work.threads}: set POLARS_MAX_THREADS")


def _polars_pass(_: None, work: Work) -> None:
    from benchmarks.lowering_polars import memberships, write_lists

    rows = memberships(work.plan, work.shop.files).collect(engine="streaming")
    work.out.mkdir()
    write_lists(rows, f"{work.out}/part.parquet")


WAYS = {
    way.name: way
    for way in (
        Way("floor", "floor: Spark's bare group-by", _spark, _floor, warm=True, bare=True),
        Way("seglake", "seglake: scan and decide", _spark, partial(_seglake, "auto"), warm=True),
        Way("seglake_columns", "seglake, by Columns alone", _spark, partial(_seglake, "columns"), warm=True),
        Way("nightly", "seglake: the whole night", _published_yesterday, _nightly, warm=True),
        Way("polars", "Polars, one pass", _polars, _polars_pass),
        Way("duckdb", "DuckDB, one pass, FILTER", _duckdb, partial(_duckdb_pass, "with_filter")),
        Way("duckdb_case", "DuckDB, one pass, CASE", _duckdb, partial(_duckdb_pass, "with_case")),
        Way("spark_per_segment", "Spark, a scan per segment", _spark, _spark_per_segment, linear=True, warm=True),
        Way("duckdb_per_segment", "DuckDB, a query per segment", _duckdb, _duckdb_per_segment, linear=True),
    )
}


def ready(way: Way, work: Work, tiny: Work) -> Any:
    """What a way works with; where there is a JVM, it has done the same work on a tiny shop before."""
    if way.warm:
        way.work(way.prepare(tiny), tiny)
        _without_outputs(tiny)
    return way.prepare(work)
