"""The command line: every command in a project of its own, its output, its exit codes, and what it says of faults."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import jsonschema
import pytest
from commands import invoked, result, seglake
from conftest import QUICK_START
from typer.main import get_command

from jobs import runner
from jobs.cli import COMMANDS, app
from segment_lib import logs
from segment_lib.doctor import check_lake, check_machine
from segment_lib.errors import EXIT_FAILED, EXIT_GATE, EXIT_LOCKED, EXIT_OK, EXIT_PARTIAL, EXIT_USAGE
from segment_lib.settings import InputSection, Settings
from segment_lib.strict_yaml import parse

ROOT = Path(__file__).parent.parent
NAMES = {
    "init", "ingest", "generate", "validate", "schema", "plan", "run", "backfill", "segments", "members", "runs",
    "doctor", "demo", "preview", "ready", "import", "why", "sql", "train", "backtest", "models",
    "compare", "customers", "notify", "overlaps", "growth", "retention", "moves", "lift", "breakdown",
    "report", "export", "sync", "triggers", "history", "maintain",
}
LAST = date(2026, 3, 31)


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """A new project, which is the current folder."""
    monkeypatch.chdir(tmp_path)
    seglake("init", "shop")
    monkeypatch.chdir(tmp_path / "shop")
    return tmp_path / "shop"


# What needs neither Spark nor data ---------------------------------------------------------------------------------


def test_help_comes_within_a_second():
    """Measured as processor time, which other programs on the machine do not lengthen; the best of three."""
    used = []
    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-m", "jobs.cli", "--help"], cwd=ROOT, stdout=subprocess.PIPE)
        text = process.stdout.read().decode()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == EXIT_OK and "Usage: seglake" in text
        used.append(usage.ru_utime + usage.ru_stime)
    assert min(used) < 1


def test_every_command_is_there_with_the_common_options():
    commands = get_command(app).commands
    assert set(commands) == NAMES
    for name, command in commands.items():
        options = {option for parameter in command.params for option in parameter.opts}
        assert {"--json", "--conf", "--tenant", "--debug"} <= options, name
        assert command.help and command.help.strip().endswith("."), name


def test_init_makes_a_project_that_is_valid(project):
    files = {file.relative_to(project).as_posix() for file in project.rglob("*") if file.is_file()}
    assert {"README.md", ".gitignore", "conf/base.yaml"} < files
    assert len([name for name in files if name.startswith("conf/segments/")]) == 3
    assert "$" not in (project / "conf" / "base.yaml").read_text() + (project / "README.md").read_text()
    assert result("validate") == {"ok": True, "valid": 3, "issues": []}


def test_init_leaves_a_folder_that_has_something(project, tmp_path):
    before = sorted(project.rglob("*"))
    assert "is not empty" in result("init", project, code=EXIT_USAGE)["error"]["message"]
    assert sorted(project.rglob("*")) == before


def test_schema_accepts_good_definitions_and_refuses_faulty_ones(project):
    for conf in (project / "conf", ROOT / "conf"):
        schema = json.loads(seglake("schema", "--conf", conf))
        jsonschema.Draft202012Validator.check_schema(schema)
        checker = jsonschema.Draft202012Validator(schema)
        for file in conf.glob("segments/*.yaml"):
            content = parse(file.read_text(encoding="utf-8"), file.name).value
            assert [fault.message for fault in checker.iter_errors(content)] == [], file.name
    assert list(checker.iter_errors({"where": {"did": "page_viewed", "cuont": 1}}))
    assert list(checker.iter_errors({"where": {"did": "page_vewed"}}))


TEN_FAULTS = {
    "unknown_field.yaml": "where:\n  customer: contry\n  is: DE\n",
    "unknown_event.yaml": "where: {did: page_vewed}\n",
    "unknown_segment.yaml": "where:\n  all:\n    - segment: loyal_quite\n",
    "unknown_key.yaml": "name: x\nwher: {did: page_viewed}\nwhere: {did: page_viewed}\n",
    "twice.yaml": "where: {did: page_viewed}\nname: a\nname: b\n",
    "syntax.yaml": "where: [\n",
    "wrong_type.yaml": "where:\n  customer: country\n  is: 49\n",
    "bad_step.yaml": "where:\n  did: page_viewed\n  within: 30days\n",
    "bad_pattern.yaml": "where:\n  customer: city\n  matches: '('\n",
    "Bad-Name.yaml": "where: {did: page_viewed}\n",
}


def test_ten_faults_give_ten_messages_and_write_nothing(project):
    for name, text in TEN_FAULTS.items():
        (project / "conf" / "segments" / name).write_text(text)
    before = {file: file.stat().st_mtime_ns for file in project.rglob("*")}
    lines = seglake("validate", code=EXIT_USAGE).splitlines()
    messages = [line for line in lines if re.match(r"conf/segments/[\w-]+\.yaml:\d+: ", line)]
    assert len(messages) == 10 and lines[-1] == "10 faults in 10 files"
    assert {line.split(":")[0].split("/")[-1] for line in messages} == set(TEN_FAULTS)
    assert any("unknown_field.yaml:2" in line and "did you mean 'country'?" in line for line in messages)
    assert {file: file.stat().st_mtime_ns for file in project.rglob("*")} == before


def test_faults_of_conf_and_of_definitions_come_together(project):
    base = project / "conf" / "base.yaml"
    base.write_text(base.read_text() + "rooot: x\n")
    (project / "conf" / "segments" / "bad.yaml").write_text("where: {did: page_vewed}\n")
    issues = result("validate", code=EXIT_USAGE)["issues"]
    assert [Path(issue["file"]).name for issue in issues] == ["base.yaml", "bad.yaml"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "--conf", "nowhere"], "there is no conf folder"),
        (["run", "--tenant", "a/../b"], "is not a tenant id"),
        (["run", "--tenant", "shap"], "did you mean 'shop'"),
        (["run", "--as-of", "2999-01-01"], "has not ended"),
        (["backfill"], "name the dates in one way"),
        (["backfill", "--stale", "--dates", "2026-01-01"], "name the dates in one way"),
        (["backfill", "--from", "2026-01-02", "--to", "2026-01-01"], "is not a range"),
        (["backfill", "--from", "2026-01-02"], "go together"),
        (["backfill", "--dates", "2026-01-01,2999-01-01"], "has not ended"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_starts(project, arguments, message):
    fault = result(*arguments, code=EXIT_USAGE)["error"]
    assert message in fault["message"] and fault["exit_code"] == EXIT_USAGE
    assert not (project / "lake").exists()


def test_no_definition_at_all_is_refused(project):
    for file in (project / "conf" / "segments").iterdir():
        file.unlink()
    assert "there is no definition" in result("run", code=EXIT_USAGE)["error"]["message"]


def test_the_date_is_yesterday_where_the_tenant_is():
    job = runner.Job("run", "conf", None, False, False, datetime(2026, 3, 31, 23, 30, tzinfo=UTC), {})
    assert job.snapshot_date(None, Settings(time_zone="UTC")) == date(2026, 3, 30)
    assert job.snapshot_date(None, Settings(time_zone="Europe/Berlin")) == date(2026, 3, 31)


def test_errors_become_one_log_line_and_no_traceback(project):
    said = invoked("run", "--conf", "nowhere", code=EXIT_USAGE)
    (line,) = said.stderr.splitlines()
    found = json.loads(line)
    assert (found["level"], found["logger"], found["context"]) == ("ERROR", "seglake.job", {"exit_code": "2"})
    assert said.stdout == "" and "exception" not in found
    debugged = json.loads(invoked("run", "--conf", "nowhere", "--debug", code=EXIT_USAGE).stderr)
    assert debugged["exception"]["class"] == "UsageError" and debugged["exception"]["stacktrace"]


def test_errors_that_nobody_planned_for_do_not_tell_values(project, monkeypatch):
    def broken(self):
        raise ValueError("jane@example.com is not valid")

    monkeypatch.setattr(runner.Job, "settings", broken)
    fault = result("run", code=EXIT_FAILED)["error"]
    assert "ValueError" in fault["message"] and "jane" not in fault["message"]


def test_logs_have_the_fields_of_pysparks_logger(spark, tmp_path):
    from pyspark.logger import SPARK_LOG_SCHEMA

    file = tmp_path / "log.jsonl"
    with file.open("w") as stream:
        logs.configure(stream)
        with logs.context(run_id="r1", tenant="shop", step="scan"):
            logs.logger("test").info("%d rows", 3, extra={"context": {"rows": 3}})
            try:
                raise ValueError("no")
            except ValueError:
                logs.logger("test").exception("failed")
    rows = spark.read.schema(SPARK_LOG_SCHEMA).json(str(file)).orderBy("ts").collect()
    assert [row["msg"] for row in rows] == ["3 rows", "failed"]
    assert rows[0]["context"] == {"run_id": "r1", "tenant": "shop", "step": "scan", "rows": "3"}
    assert rows[1]["exception"]["class"] == "ValueError" and rows[1]["exception"]["stacktrace"][0]["method"]


# Doctor ------------------------------------------------------------------------------------------------------------


def test_doctor_names_java_when_it_is_missing(tmp_path):
    for environ in ({"PATH": str(tmp_path)}, {"PATH": os.environ["PATH"], "JAVA_HOME": str(tmp_path)}):
        faults = {check.name: check for check in check_machine(Settings(), environ) if not check.ok}
        assert set(faults) == {"java", "jars"}
        assert "openjdk-17-jre-headless" in faults["java"].remedy


def test_doctor_names_java_when_it_is_old(tmp_path):
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\" 2019-01-15' >&2\n")
    java.chmod(0o755)
    faults = {check.name: check for check in check_machine(Settings(), {"JAVA_HOME": str(tmp_path)}) if not check.ok}
    assert faults["java"].found.startswith("version 11")


def test_doctor_names_wrong_versions(monkeypatch, tmp_path):
    versions = {"pyspark": "4.1.1", "delta-spark": "4.4.0", "pandas": "3.0.1"}
    monkeypatch.setattr("segment_lib.doctor.version", lambda name: versions.get(name, "99.0"))
    found = {check.name: check for check in check_machine(Settings(), {"PATH": str(tmp_path)})}
    assert {name for name, check in found.items() if not check.ok} == {"pyspark", "pandas", "pydantic", "java", "jars"}
    assert found["pyspark"].remedy == "pip install 'pyspark==4.2.*'"


def test_doctor_names_jars_that_cannot_be_brought(tmp_path):
    nowhere = Settings(spark={
        "spark.jars.packages": "org.example:missing:1", "spark.jars.ivy": str(tmp_path / "ivy"),
        "spark.driver.extraJavaOptions": "-Dhttps.proxyHost=127.0.0.1 -Dhttps.proxyPort=9",
    })
    (jars,) = [check for check in check_machine(nowhere, dict(os.environ)) if check.name == "jars"]
    assert not jars.ok and "org.example#missing;1" in jars.found and "Maven Central" in jars.remedy


def test_doctor_names_paths_that_cannot_be_used(tmp_path):
    (tmp_path / "file").write_text("")
    settings = Settings(root=str(tmp_path / "file"), inputs={"orders": InputSection(path=str(tmp_path / "no"))})
    root, orders = check_lake(settings)
    assert not root.ok and "is not a folder" in root.found
    assert not orders.ok and "no Delta table" in orders.found
    (good,) = check_lake(Settings(root=str(tmp_path / "new" / "lake")))
    assert good.ok and not (tmp_path / "new").exists()


def test_doctor_says_when_s3_cannot_be_reached(monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    (root,) = check_lake(Settings(root="s3a://bucket/lake"))
    assert not root.ok and root.remedy


def test_doctor_on_a_good_machine(project):
    found = result("doctor")
    assert found["ok"] and {"conf", "java", "jars", "root"} <= {check["name"] for check in found["checks"]}
    (project / "conf" / "base.yaml").unlink()
    assert not result("doctor", code=EXIT_FAILED)["ok"]


# A project from end to end -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shop(spark, tmp_path_factory):
    """A project with generated input and two published nights; the current folder while its tests run."""
    folder = tmp_path_factory.mktemp("cli") / "shop"
    before = Path.cwd()
    seglake("init", folder)
    os.chdir(folder)
    seglake("generate", "--customers", 150, "--events", 1500, "--as-of", LAST)
    seglake("backfill", "--from", LAST - timedelta(days=1), "--to", LAST)
    yield folder
    os.chdir(before)


def test_a_tenant_is_generated_once(shop):
    assert "has input already" in result("generate", code=EXIT_USAGE)["error"]["message"]


def test_plan_writes_nothing(shop):
    before = sorted(shop.rglob("*"))
    plan = result("plan", "--as-of", LAST)
    assert sorted(shop.rglob("*")) == before
    assert [segment["id"] for segment in plan["segments"]] == sorted(segment["id"] for segment in plan["segments"])
    assert plan["rows_to_read"]["customers"] == 150
    assert {feature["source"] for feature in plan["features"]} <= {"events", "orders"}
    assert "features, each computed once" in seglake("plan", "--as-of", LAST)


def test_run_publishes_and_shows_what_came_out(shop):
    run = result("run", "--as-of", LAST)
    assert (run["date"], run["state"], run["exit_code"]) == (LAST.isoformat(), "published", EXIT_OK)
    segments = {row["segment"]: row for row in run["segments"]}
    assert set(segments) == {"_all", "cart_without_order", "loyal_quiet", "reachable_big_spenders"}
    assert segments["_all"]["customers"] >= 140 and segments["_all"]["orders"] > 0
    listed = result("segments")
    assert listed["date"] == LAST.isoformat()
    for row in listed["segments"]:
        assert row["size"] == segments[row["segment"]]["customers"]
        members = result("members", row["segment"], "--limit", 10_000)["members"]
        assert len(members) == row["size"] and all(set(member) == {"customer_id", "since"} for member in members)


def test_segments_are_sorted_and_filtered_by_any_column(shop):
    rows = result("segments", "--sort", "-size")["segments"]
    assert [row["size"] for row in rows] == sorted((row["size"] for row in rows), reverse=True)
    columns = "segment name kind status state size orders revenue created updated used_by".split()
    assert list(rows[0]) == columns
    for column in columns:
        result("segments", "--sort", column)
    size = rows[0]["size"]
    assert result("segments", "--filter", f"size>={size}", "--filter", "status=active")["segments"][0] == rows[0]
    assert result("segments", "--filter", "name~big spend")["segments"][0]["segment"] == "reachable_big_spenders"
    assert result("segments", "--filter", "kind=static")["segments"] == []
    assert "did you mean 'size'" in result("segments", "--sort", "sise", code=EXIT_USAGE)["error"]["message"]


def test_members_of_an_unknown_segment(shop):
    fault = result("members", "loyal_quite", code=EXIT_USAGE)["error"]
    assert "did you mean 'loyal_quiet'" in fault["message"]


#: What each command takes beside the segment.
BESIDE = {
    "segments": (), "members": (), "customers": ("--output", "members.csv"), "compare": ("_all",), "overlaps": (),
    "breakdown": ("--by", "country"),
    "growth": (), "retention": (), "moves": (), "lift": (), "report": (), "why": ("c1",), "sql": (), "export": (),
}
#: Commands that look at no single segment.
OF_ALL = {"runs", "history"}


def test_every_command_that_shows_segments_takes_one_as_an_option():
    assert {function.__name__ for function in COMMANDS["Look at what came out"]} - OF_ALL <= BESIDE.keys()
    for name in BESIDE:
        assert "--segment" in seglake(name, "--help"), name


@pytest.mark.parametrize("name", list(BESIDE))
def test_an_unknown_segment_is_answered_with_the_nearest(shop, name):
    fault = result(name, "--segment", "loyal_quite", *BESIDE[name], code=EXIT_USAGE)["error"]["message"]
    assert "'loyal_quite'" in fault and "did you mean 'loyal_quiet'" in fault


def test_a_segment_as_an_option_is_the_segment_as_an_argument(shop):
    assert result("growth", "--segment", "loyal_quiet") == result("growth", "loyal_quiet")
    assert result("overlaps", "--segment=loyal_quiet") == result("overlaps", "loyal_quiet")
    assert result("compare", "--segment", "loyal_quiet", "--segment", "_all") == result("compare", "loyal_quiet", "_all")
    assert [row["segment"] for row in result("segments", "--segment", "loyal_quiet")["segments"]] == ["loyal_quiet"]
    assert "requires an argument" in invoked("growth", "--segment", code=EXIT_USAGE).output


def test_backfill_runs_dates_in_order_and_runs_lists_them(shop):
    days = [LAST - timedelta(days=back) for back in (2, 3)]
    done = result("backfill", "--dates", ",".join(str(day) for day in days))["runs"]
    assert [run["date"] for run in done] == sorted(str(day) for day in days)
    listed = result("runs", "--limit", 50)
    assert {run["run_id"] for run in done} <= {run["run_id"] for run in listed["runs"] if run["counts"]}
    stale = result("backfill", "--stale")["runs"]
    assert {run["date"] for run in stale} == set(listed["stale_dates"])
    assert result("runs")["stale_dates"] == []


def test_a_broken_file_makes_the_run_partial(shop):
    bad = shop / "conf" / "segments" / "bad.yaml"
    bad.write_text("where: {did: page_vewed}\n")
    try:
        run = result("run", "--as-of", LAST, code=EXIT_PARTIAL)
        assert run["state"] == "partial" and [row["segment"] for row in run["held_back"]] == ["bad"]
        strict = result("run", "--as-of", LAST, "--strict", code=EXIT_USAGE)
        assert strict["error"]["issues"][0]["line"] == 1
    finally:
        bad.unlink()
    assert result("run", "--as-of", LAST)["state"] == "published"


def test_only_runs_one_segment_at_the_last_date(shop):
    file = shop / "conf" / "segments" / "everyone.yaml"
    file.write_text("name: Everyone with an id\nwhere: {customer: customer_id, known: true}\n")
    try:
        run = result("run", "--only", "everyone")
        assert run["date"] == LAST.isoformat()
        assert result("members", "everyone")["members"]
    finally:
        file.unlink()


def test_a_gate_refuses_and_accept_lets_it_pass(shop, monkeypatch):
    monkeypatch.setenv("SEGLAKE__GATES__MAX_STALENESS_DAYS", "1")
    day = LAST + timedelta(days=5)
    monkeypatch.setattr(runner, "now", lambda: datetime(2026, 5, 1, tzinfo=UTC))
    refused = result("run", "--as-of", day, code=EXIT_GATE)["error"]
    assert refused["type"] == "GateError" and "--accept freshness" in refused["message"]
    passed = result("run", "--as-of", day, "--accept", "freshness")
    assert [gate["gate"] for gate in passed["gates"] if gate["accepted"]] == ["freshness"]


def test_a_held_tenant_is_locked(shop):
    from segment_lib.lease import Lease
    from segment_lib.objects import open_objects

    with Lease(open_objects(str(shop / "lake" / "shop")), "shop", "somebody-else"):
        assert result("run", "--as-of", LAST, code=EXIT_LOCKED)["error"]["type"] == "LockedError"


def test_ingest_loads_a_file_and_says_what_it_rejected(shop, tmp_path):
    file = tmp_path / "lists.csv"
    rows = [f"vip,c{number},2026-01-01T00:00:00Z" for number in range(30)]
    file.write_text("\n".join(["list_id,customer_id,joined_at", *rows, "vip,,"]))
    loaded = result("ingest", "lists", file)
    assert (loaded["rows"], loaded["rejected"], loaded["by_reason"]) == (31, 1, {"missing_customer_id": 1})
    assert result("ingest", "lists", tmp_path / "no.csv", code=EXIT_FAILED)["error"]["type"] == "InputError"


# As people and schedulers start it ---------------------------------------------------------------------------------


def test_a_project_runs_from_the_installed_wheel_outside_the_repository(tmp_path):
    """As two commands of their own process; every line on stderr is a log line, whatever Spark has to say."""
    site = tmp_path / "site"
    environ = {**os.environ, "PYTHONPATH": str(site), "SEGLAKE_DRIVER_MEMORY": "1g", "SEGLAKE_MASTER": "local[2]"}

    def run(*command: str, folder: Path = tmp_path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=True)

    run(sys.executable, str(ROOT / "scripts" / "pack.py"), str(tmp_path / "seglake.zip"))
    run(sys.executable, "-m", "zipfile", "-e", str(tmp_path / "seglake.zip"), str(site))
    program = [sys.executable, "-m", "jobs.cli"]
    run(*program, "init", "shop")
    shop = tmp_path / "shop"
    with (shop / "conf" / "base.yaml").open("a") as base:
        base.write(f"spark: {json.dumps(QUICK_START)}\n")
    run(*program, "generate", "--customers", "100", "--events", "1000", "--as-of", str(LAST), folder=shop)
    done = run(*program, "run", "--as-of", str(LAST), "--json", folder=shop)
    assert json.loads(done.stdout)["state"] == "published"
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert {"ts", "level", "logger", "msg", "context"} <= set(lines[-1])
    assert any(line["context"].get("run_id") and line["context"].get("tenant") == "shop" for line in lines)
