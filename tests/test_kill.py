"""kill -9 of the real command, from outside, at five points of a night: what was published stays, the rerun is equal."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FIRST, SECOND = "2026-03-30", "2026-03-31"
#: The process dies as soon as its log says that this step has ended; the log's first line says that Spark is there.
POINTS = ("start Spark", "scan", "decide", "compare", "write")


def command(project: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "jobs.cli", *arguments, "--conf", str(project / "conf")]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "SEGLAKE_DRIVER_MEMORY": "1g"}


def seglake(project: Path, *arguments: str) -> dict:
    said = subprocess.run(
        command(project, *arguments, "--json"), env=environment(), cwd=project, capture_output=True, text=True, check=False
    )
    assert said.returncode == 0, said.stderr[-3000:]
    return json.loads(said.stdout)


def killed_at(project: Path, step: str) -> None:
    """Runs the second date and kills it once the step has ended."""
    process = subprocess.Popen(
        command(project, "run", "--as-of", SECOND), env=environment(), cwd=project, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True, start_new_session=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("{") and json.loads(line)["msg"].startswith(f"{step}: "):
            os.killpg(process.pid, signal.SIGKILL)
            break
    assert process.wait() == -signal.SIGKILL, f"the run ended before {step}"


def published(project: Path) -> dict:
    """Every published figure, without what differs from run to run."""
    found = seglake(project, "segments")
    return {row["segment"]: {key: row[key] for key in ("size", "orders", "state")} for row in found["segments"]}


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_killed_at_five_points(tmp_path):
    project = tmp_path / "shop"
    subprocess.run([sys.executable, "-m", "jobs.cli", "init", str(project)], env=environment(), check=True)
    seglake(project, "generate", "--customers", "300", "--events", "3000", "--as-of", SECOND)
    seglake(project, "run", "--as-of", FIRST)
    before = published(project)
    straight = tmp_path / "straight"
    shutil.copytree(project, straight)
    for point in POINTS:
        killed_at(project, point)
        assert published(project) == before
    seglake(project, "run", "--as-of", SECOND)
    seglake(straight, "run", "--as-of", SECOND)
    assert published(project) == published(straight)
