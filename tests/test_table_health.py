"""`seglake maintain`: fewer files, the same rows, and nothing of old versions beyond what conf keeps."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest
from commands import invoked, result
from written_nights import Nights

from segment_lib import table_health
from segment_lib.conf import load_settings
from segment_lib.errors import EXIT_LOCKED, EXIT_USAGE
from segment_lib.lease import Lease
from segment_lib.objects import open_objects

DAY = date(2026, 1, 31)
NIGHTS = 4


@pytest.fixture
def nights(spark, tmp_path, monkeypatch) -> Nights:
    """A tenant with a few nights and customers that were replaced; the current folder."""
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "base.yaml").write_text("root: lake\n")
    monkeypatch.chdir(tmp_path)
    made = Nights(spark, load_settings("conf"))
    for number in range(NIGHTS):
        made.customers([{"customer_id": name, "email": f"{name}{number}@example.com"} for name in "pqrs"])
        made.publish(DAY + timedelta(days=number), {"a": "pqrs"[number:]})
    return made


def rows(nights: Nights, table: str) -> list[str]:
    return sorted(map(str, nights.lake().read(table).collect()))


def test_small_files_become_few_and_rows_stay(nights):
    before = {table: rows(nights, table) for table in ("runs", "membership_changes", "memberships", "customers")}
    looked = {row["table"]: row for row in result("maintain", "--dry-run")["tables"]}
    assert looked["runs"]["files"] == looked["runs"]["commits"] == NIGHTS and looked["customers"]["stored_files"] == NIGHTS
    done = {row["table"]: row for row in result("maintain")["tables"]}
    assert done["runs"]["after"]["files"] == 1 and done["runs"]["after"]["stored_files"] == NIGHTS + 1
    assert done["memberships"]["after"]["files"] == NIGHTS, "each night stays a partition of its own"
    assert {table: rows(nights, table) for table in before} == before
    again = {row["table"]: row for row in result("maintain", "--table", "runs")["tables"]}
    assert again["runs"]["after"]["version"] == done["runs"]["after"]["version"] and list(again) == ["runs"]
    assert "->" in invoked("maintain", "--table", "runs").stdout


def test_what_was_replaced_is_gone_when_its_time_is_over(nights, spark):
    lake = nights.lake()
    folder = Path(lake.path("customers"))
    assert any(b"p0@example.com" in file.read_bytes() for file in folder.glob("*.parquet"))
    list(table_health.maintain(lake, "r", ["customers"]))
    assert lake.stored("customers")[0] == NIGHTS, "conf keeps versions for 30 days"
    name = "spark.databricks.delta.retentionDurationCheck.enabled"
    spark.conf.set(name, "false")
    try:
        lake.vacuum("customers", 0)
    finally:
        spark.conf.unset(name)
    assert lake.stored("customers")[0] == lake.live("customers")[0] == 1
    assert not any(b"p0@example.com" in file.read_bytes() for file in folder.glob("*.parquet"))
    assert any(b"p3@example.com" in file.read_bytes() for file in folder.glob("*.parquet"))


@pytest.mark.parametrize("name", table_health.LEASES)
def test_it_waits_for_nobody(nights, name):
    with Lease(open_objects(nights.lake().home), "shop", "other", name=name):
        assert "is held by run other" in invoked("maintain", code=EXIT_LOCKED).output
        assert result("maintain", "--dry-run")["tables"]
    assert "did you mean 'runs'" in invoked("maintain", "--table", "run", code=EXIT_USAGE).output
