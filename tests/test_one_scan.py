"""A night reads every input row at most once, however many definitions there are: counted in Spark's own event log."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from agreement import segments_of, settings_for, write
from strategies import batch

from segment_lib import nightly
from segment_lib.definition import Loaded
from segment_lib.settings import Settings
from segment_lib.storage import Lake

INPUTS = ("customers", "events", "orders", "lists")


def records_read(log: Path, after: int, paths: dict[str, str]) -> dict[str, int]:
    """Rows that scans of each table put out, over all jobs that the log has after a byte offset."""
    scans: dict[int, str] = {}
    counts: dict[str, int] = defaultdict(int)
    with log.open("rb") as lines:
        lines.seek(after)
        for line in lines:
            event = json.loads(line)
            if "sparkPlanInfo" in event:
                _find_scans(event["sparkPlanInfo"], paths, scans)
            if event["Event"] == "SparkListenerTaskEnd":
                for update in event["Task Info"]["Accumulables"]:
                    if update["ID"] in scans:
                        counts[scans[update["ID"]]] += int(update["Update"])
    assert scans, "the log shows no scan of any input"
    return counts


def _find_scans(plan: dict, paths: dict[str, str], scans: dict[int, str]) -> None:
    location = plan.get("metadata", {}).get("Location", "")
    for table, path in paths.items():
        if f"{path}]" in location or f"{path}," in location:
            for metric in plan["metrics"]:
                if metric["name"] == "number of output rows":
                    scans[metric["accumulatorId"]] = table
    for child in plan.get("children", ()):
        _find_scans(child, paths, scans)


def _keys(part: object) -> set[str]:
    """Every key of a definition, however deep."""
    if isinstance(part, dict):
        return part.keys() | {key for value in part.values() for key in _keys(value)}
    return {key for value in part for key in _keys(value)} if isinstance(part, list) else set()


def nested(where: dict, depth: int) -> dict:
    """The condition, that many boolean nodes deep, each beside another test."""
    for level in range(depth):
        beside = {"did": "any", "count": {"at_most": 900 + level}}
        where = {("all", "any", "none")[level % 3]: [where, beside]}
    return where


def test_the_kernel_reads_each_row_once(spark, event_log, tmp_path):
    """Its tasks read files themselves where no test of a row needs Spark: either way every row arrives once."""
    drawn = batch(11, 60)
    conf = settings_for(str(tmp_path), drawn.zone.key)
    settings = Settings(**{**conf.model_dump(), "gates": {}, "engine": "kernel"})
    lake = Lake(spark, settings)
    write(spark, lake, replace(drawn.data, erased=frozenset()))
    rows = {table: lake.read(table).count() for table in INPUTS}
    offset = event_log().stat().st_size
    outcome = nightly.run(
        lake, settings, Loaded(tuple(segments_of(drawn.definitions, settings))), snapshot_date=drawn.snapshot_date,
        now=datetime(2100, 1, 1, tzinfo=UTC),
    )
    paths = {table: lake.path(table) for table in INPUTS}
    read = records_read(event_log(), offset, {**paths, "aliases": lake.path("aliases")})
    assert read["aliases"] > 0, "the log is looked at in the right place"
    assert all(read[table] <= rows[table] for table in INPUTS), (dict(read), rows)
    assert {table: outcome.record.rows[table] for table in ("events", "orders", "lists")} == {
        table: rows[table] for table in ("events", "orders", "lists")
    }


@pytest.mark.parametrize("count", [1, 50, 200])
def test_each_input_row_is_read_once(spark, event_log, tmp_path, count):
    drawn = batch(11, 200)
    conf = settings_for(str(tmp_path), drawn.zone.key)
    settings = Settings(**{**conf.model_dump(), "gates": {}, "engine": "columns"})
    lake = Lake(spark, settings)
    write(spark, lake, replace(drawn.data, erased=frozenset()))  # rows of the erased are read, and not counted
    definitions = dict(list(drawn.definitions.items())[:count])
    if count == 200:
        definitions = {name: one | {"where": nested(one["where"], 10)} for name, one in definitions.items()}
        keys = {key for one in definitions.values() for key in _keys(one)}
        assert keys >= {"sequence", "regularly", "value", "ratio", "limit", "sql", "percentile", "segment", "items", "mode"}
    loaded = Loaded(tuple(segments_of(definitions, settings)))
    rows = {table: lake.read(table).count() for table in INPUTS}
    offset = event_log().stat().st_size
    now = datetime(2100, 1, 1, tzinfo=UTC)
    outcome = nightly.run(lake, settings, loaded, snapshot_date=drawn.snapshot_date, now=now)
    assert outcome.record.rows["events"] == rows["events"] > 0
    read = records_read(event_log(), offset, {table: lake.path(table) for table in INPUTS})
    assert read["events"] > 0 and read["orders"] > 0
    assert all(read[table] <= rows[table] for table in INPUTS), (dict(read), rows)
