"""The wheel, the zip for spark-submit and the lock: what is in them, and that they work without this folder."""

from __future__ import annotations

import os
import re
import runpy
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from unittest.mock import patch

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
PACKAGES = ("segment_lib", "models", "jobs")


def sources() -> set[str]:
    """Every file of the packages, and the demo's conf where packaging puts it."""
    files = [file for name in (*PACKAGES, "conf") for file in (ROOT / name).rglob("*") if file.is_file()]
    names = [file.relative_to(ROOT).as_posix() for file in files if "__pycache__" not in file.parts]
    return {re.sub("^conf/", "segment_lib/templates/demo/", name) for name in names}


def python(*arguments: str, cwd: Path, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """This interpreter in another folder, with only `path` added to what it imports from."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if path is not None:
        environment["PYTHONPATH"] = str(path)
    return subprocess.run(
        [sys.executable, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel, built from a copy so that no build folder is left in the repository."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in (*PACKAGES, "conf"):
        shutil.copytree(ROOT / name, folder / "source" / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "setup.py", folder / "source")
    built = python(
        "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(folder),
        ".", cwd=folder / "source",
    )
    assert built.returncode == 0, built.stderr
    (file,) = folder.glob("*.whl")
    return file


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """A folder with the wheel's content, as pip installs it."""
    folder = tmp_path_factory.mktemp("site")
    options = ("--quiet", "--no-deps", "--no-index", "--target", str(folder))
    done = python("-m", "pip", "install", *options, str(wheel), cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_the_wheel_has_the_three_packages_and_nothing_else(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    tops = {name.split("/")[0] for name in names}
    assert tops == {*PACKAGES, "seglake-0.1.0.dist-info"}
    assert {name for name in names if not name.startswith("seglake-")} == sources()


def test_the_wheel_brings_the_command(wheel):
    archive = zipfile.ZipFile(wheel)
    assert "seglake = jobs.cli:main" in archive.read("seglake-0.1.0.dist-info/entry_points.txt").decode()
    assert wheel.name == "seglake-0.1.0-py3-none-any.whl"


def test_the_installed_wheel_makes_a_project_that_is_valid(installed, tmp_path):
    made = python("-m", "jobs.cli", "init", "shop", cwd=tmp_path, path=installed)
    assert made.returncode == 0, made.stderr
    checked = python("-m", "jobs.cli", "validate", cwd=tmp_path / "shop", path=installed)
    assert (checked.returncode, checked.stderr) == (0, "")
    where = python("-c", "import segment_lib; print(segment_lib.__file__)", cwd=tmp_path, path=installed)
    assert where.stdout.startswith(str(installed))


def test_the_installed_wheel_adds_ready_segments(installed, tmp_path):
    """They are package data, which only an installed copy shows to be there."""
    assert python("-m", "jobs.cli", "init", "shop", cwd=tmp_path, path=installed).returncode == 0
    added = python("-m", "jobs.cli", "ready", "--add", "all", cwd=tmp_path / "shop", path=installed)
    assert (added.returncode, added.stderr) == (0, "")
    names = {file.name for file in (ROOT / "segment_lib" / "ready").glob("*.yaml")}
    assert names and names < {file.name for file in (tmp_path / "shop" / "conf" / "segments").iterdir()}


def test_the_zip_has_the_same_content_and_works(wheel, tmp_path):
    packed = []
    for name in ("first.zip", "second.zip"):
        done = python(str(ROOT / "scripts" / "pack.py"), str(tmp_path / name), cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        packed.append(tmp_path / name)
    assert set(zipfile.ZipFile(packed[0]).namelist()) == sources()
    assert packed[0].read_bytes() == packed[1].read_bytes()
    made = python("-m", "jobs.cli", "init", "shop", cwd=tmp_path, path=packed[0])
    assert made.returncode == 0, made.stderr
    assert (tmp_path / "shop" / "conf" / "base.yaml").is_file()
    listed = python("-m", "jobs.cli", "ready", "vip", cwd=tmp_path, path=packed[0])
    assert listed.returncode == 0 and "VIP" in listed.stdout


def test_the_lock_pins_everything_that_setup_asks_for():
    with patch("setuptools.setup") as setup:
        runpy.run_path(str(ROOT / "setup.py"))
    asked = setup.call_args.kwargs
    lines = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9-]+==[A-Za-z0-9.!+]+", line) for line in lines)
    pinned = dict(line.split("==") for line in lines)
    for text in [*asked["install_requires"], *asked["extras_require"]["test"]]:
        requirement = Requirement(text)
        name = re.sub(r"[-_.]+", "-", requirement.name).lower()
        assert requirement.specifier.contains(pinned[name]), text


def test_scripts_of_the_repository_can_be_run():
    for name in (".ci/run", "scripts/java.sh", "scripts/venv.sh"):
        assert os.access(ROOT / name, os.X_OK), name
        assert subprocess.run(["bash", "-n", str(ROOT / name)], check=False).returncode == 0
