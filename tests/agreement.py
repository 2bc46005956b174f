"""Runs a batch of random definitions on Spark over real Delta tables, to be held against the oracle."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from datetime import date
from typing import Any

from oracle import Data
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from strategies.vocabulary import CATALOGUE, CUSTOM

from segment_lib.catalogue import Type
from segment_lib.clock import Clock
from segment_lib.definition.check import check_segment
from segment_lib.definition.segment import Segment
from segment_lib.evaluate import decide
from segment_lib.kernel.kept import Keeping
from segment_lib.plan import build_plan
from segment_lib.scan import Engine, scan
from segment_lib.settings import Settings
from segment_lib.snapshot import under_canonical_ids
from segment_lib.storage import Lake
from segment_lib.tables import INPUTS, ddl


def settings_for(root: str, zone: str) -> Settings:
    """Conf whose catalogue is the one that the generators draw from."""
    fields = {f"{table[:-1]}_fields": {name: CATALOGUE[table][name] for name in names} for table, names in CUSTOM.items()}
    return Settings(root=root, time_zone=zone, catalogue={
        **fields,
        "event_types": {name: {} for name in CATALOGUE["event_types"]},
        "order_statuses": CATALOGUE["order_statuses"],
        "purchase_statuses": CATALOGUE["purchase_statuses"],
        "lists": CATALOGUE["lists"],
        "sql": True,
    })


def segments_of(definitions: Mapping[str, dict[str, Any]], settings: Settings) -> list[Segment]:
    """The definitions as checked segments; a fault in any is a fault of the generator or of the checker."""
    segments = [Segment.model_validate({**definition, "id": name}) for name, definition in definitions.items()]
    ids = frozenset(definitions)
    for segment in segments:
        faults = [fault for fault in check_segment(segment, ids, settings.names()) if fault.severity == "error"]
        assert not faults, (segment.id, definitions[segment.id], faults)
    return segments


def write(spark: SparkSession, lake: Lake, data: Data, only: Collection[str] = ()) -> None:
    """The data as the tenant's input tables; every table is made anew, or those that are named."""
    erased = [
        {"customer_hash": hashlib.sha256(f"{lake.tenant}\x1f{customer_id}".encode()).hexdigest(), "erased_at": None}
        for customer_id in sorted(data.erased)
    ]
    tables = {name: getattr(data, name) for name in ("customers", "events", "orders", "lists", "aliases")}
    for name, rows in {**tables, "erasures": erased}.items():
        if only and name not in only:
            continue
        custom = {column: Type(CATALOGUE[name][column]).ddl for column in CUSTOM.get(name, ())}
        schema = {**INPUTS[name].columns, **custom}
        frame = spark.createDataFrame([tuple(row.get(column) for column in schema) for row in rows], ddl(schema))
        frame.write.format("delta").mode("overwrite").option("overwriteSchema", "true").save(lake.path(name))


def snapshot_frame(spark: SparkSession, previous: Mapping[str, Mapping[str, date]] | None) -> DataFrame | None:
    """Published members (segment -> customer -> since) as a base snapshot."""
    if previous is None:
        return None
    rows = [(customer, segment, since) for segment, members in previous.items() for customer, since in members.items()]
    flat = spark.createDataFrame(rows, "customer_id string, id string, since date")
    return flat.groupBy("customer_id").agg(F.sort_array(F.collect_list(F.struct("id", "since"))).alias("segments"))


def engine_members(
    spark: SparkSession,
    lake: Lake,
    settings: Settings,
    definitions: Mapping[str, dict[str, Any]],
    snapshot_date: date,
    previous: Mapping[str, Mapping[str, date]] | None = None,
    run_id: str = "r",
    engine: Engine = "columns",
    keeping: Keeping | None = None,
) -> dict[str, set[str]]:
    """The members that the engine finds."""
    segments = segments_of(definitions, settings)
    clock = Clock(snapshot_date, settings.zone)
    fixed = frozenset(s.id for s in segments if s.kind == "static" and s.id in (previous or {}))
    plan = build_plan(segments, settings.names(), clock, fixed=fixed)
    assert not plan.stalled, plan.stalled
    found = scan(plan, lake, lake.pin(), run_id, engine=engine, keeping=keeping)
    assert not found.faults, found.faults
    base = snapshot_frame(spark, previous)
    decided = decide(plan, found, None if base is None else under_canonical_ids(base, lake.aliases()))
    members: dict[str, set[str]] = {name: set() for name in definitions}
    for row in decided.select("customer_id", "segments.id").collect():
        for segment in row["id"]:
            members[segment].add(row["customer_id"])
    return members
