"""The rules of the code's structure, read from its syntax trees: no Spark, no data, under a second or two."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("segment_lib", "models", "jobs")
FILES = sorted(file for package in PACKAGES for file in (ROOT / package).rglob("*.py"))
MAX_LINES = 500

#: Who may import whom, beside itself.
DIRECTIONS = {"segment_lib": set(), "models": {"segment_lib"}, "jobs": {"segment_lib", "models"}}

#: Modules that open tables, files or object-store paths with Spark; everything else asks `storage`.
READERS = ("storage", "inputs", "objects", "session", "ingest", "generate")

#: Modules that must import without Spark, so that `--help`, `validate` and editors are quick.
LIGHT = (
    "segment_lib", "segment_lib.errors", "segment_lib.tables", "segment_lib.settings", "segment_lib.catalogue",
    "segment_lib.clock", "segment_lib.strict_yaml", "segment_lib.conf", "segment_lib.logs", "segment_lib.doctor",
    "segment_lib.scaffold", "segment_lib.core", "segment_lib.language", "segment_lib.conditions",
    "segment_lib.definition", "segment_lib.build", "segment_lib.plan", "jobs.runner", "jobs.cli",
)
HEAVY = ("pyspark", "delta", "pandas", "numpy", "pyarrow", "boto3")

#: Calls that bring rows to the driver, each reviewed: module -> function -> why their number is bounded.
TO_DRIVER = {
    "jobs/show.py": {"members": "--limit, at most 10,000"},
    "segment_lib/definitions_log.py": {"read": "a row a segment"},
    "segment_lib/ingest.py": {
        "_merge": "a row a kind of change", "run": "a row a reason, with the days that the load touches",
    },
    "segment_lib/maintenance.py": {"_distinct": "a row a run"},
    "segment_lib/metrics.py": {
        "read": "a row a segment", "flows": "a row a segment", "totals": "a row a segment",
    },
    "segment_lib/limits.py": {"cut": "one row", "_nth_id": "a row a task, and one"},
    "segment_lib/ranks.py": {
        "_counts": "the distinct values in a small bracket around each bound", "_brackets": "one row",
    },
    "segment_lib/rebuild.py": {"rebuild": "a row a run", "kept": "one row"},
    "segment_lib/runs.py": {"append_record": "one row", "details": "one row", "read_history": "a few rows a night"},
    "segment_lib/scan.py": {"_counted": "one row", "_reasons": "one row"},
    "segment_lib/snapshot.py": {"differ": "one row", "look": "one row"},
}
CALLS_TO_DRIVER = ("collect", "toPandas", "toLocalIterator", "toArrow")

#: Who below jobs/ looks at the clock or the environment, and why.
CLOCK_AND_ENVIRONMENT = {
    "segment_lib/session.py": "starts the JVM, whose environment this is",
    "segment_lib/lease.py": "a heartbeat is of now, whatever date is run",
}
#: Who numbers rows as Spark comes to them, and why that is repeatable.
UNREPEATABLE = {"segment_lib/ingest_files.py": "only the order within one block of one file is used"}


def module(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


@cache
def tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"), filename=str(file))


def imported(file: Path) -> set[str]:
    """The full names that a module imports anywhere, inside functions too."""
    names: set[str] = set()
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module(file)}:{node.lineno}: write imports in full"
            names.add(node.module or "")
    return names


def inside(file: Path) -> Iterator[tuple[ast.AST, list[ast.AST]]]:
    """Every node with the nodes around it, outermost first."""
    stack: list[tuple[ast.AST, list[ast.AST]]] = [(tree(file), [])]
    while stack:
        node, around = stack.pop()
        yield node, around
        stack.extend((child, [*around, node]) for child in ast.iter_child_nodes(node))


def function_around(around: list[ast.AST]) -> str:
    names = [node.name for node in around if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return names[-1] if names else "<module>"


def called(node: ast.AST) -> str | None:
    """The method's name when the node is a call such as ``frame.collect()``."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return node.func.attr
    return None


def test_there_is_code():
    assert {file.relative_to(ROOT).parts[0] for file in FILES} == set(PACKAGES)


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_point_one_way(package):
    allowed = DIRECTIONS[package] | {package}
    wrong = {
        f"{module(file)} imports {name}"
        for file in FILES if file.relative_to(ROOT).parts[0] == package
        for name in imported(file) if name.split(".")[0] in set(PACKAGES) - allowed
    }
    assert not wrong


def test_only_storage_opens_tables_and_paths():
    wrong = set()
    for file in FILES:
        parts = file.relative_to(ROOT).with_suffix("").parts
        if parts[0] == "segment_lib" and parts[1].startswith(READERS):
            continue
        for node, around in inside(file):
            used = isinstance(node, ast.Attribute) and node.attr in ("read", "write", "readStream", "writeStream")
            if used and not (isinstance(around[-1], ast.Call) and around[-1].func is node):
                wrong.add(f"{module(file)}:{node.lineno}: .{node.attr}")
            name = node.id if isinstance(node, ast.Name) else node.name if isinstance(node, ast.alias) else None
            if name == "DeltaTable":
                wrong.add(f"{module(file)}:{node.lineno}: DeltaTable")
            if called(node) in ("saveAsTable", "writeTo", "insertInto"):
                wrong.add(f"{module(file)}:{node.lineno}: .{called(node)}")
    assert not wrong


def test_light_modules_do_not_import_spark():
    lines = [*(f"import {name}" for name in LIGHT), f"import sys; print(*({set(HEAVY)!r} & sys.modules.keys()))"]
    code = "\n".join(lines)
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert said.returncode == 0, said.stderr
    assert said.stdout.split() == []


def test_customers_stay_off_the_driver():
    wrong = set()
    for file in FILES:
        for node, around in inside(file):
            name = called(node)
            if name in CALLS_TO_DRIVER:
                function = function_around(around)
                if function not in TO_DRIVER.get(module(file), {}):
                    wrong.add(f"{module(file)}:{node.lineno}: {name}() in {function}")
    assert not wrong, "bring rows to the driver only where their number is bounded, and say so in TO_DRIVER"


def test_the_reviewed_list_has_no_leftovers():
    for name, functions in TO_DRIVER.items():
        found = {function_around(around) for node, around in inside(ROOT / name) if called(node) in CALLS_TO_DRIVER}
        assert functions.keys() <= found, f"{name}: {functions.keys() - found} bring nothing to the driver"


def test_no_column_is_added_in_a_loop():
    """Each withColumn is one more projection to analyse: in a loop that is quadratic; one select does it."""
    loops = (ast.For, ast.While, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
    wrong = set()
    for file in FILES:
        for node, around in inside(file):
            reduced = any(
                isinstance(outer, ast.Call) and getattr(outer.func, "id", getattr(outer.func, "attr", "")) == "reduce"
                for outer in around
            )
            if called(node) in ("withColumn", "withColumnRenamed") and (
                reduced or any(isinstance(outer, loops) for outer in around)
            ):
                wrong.add(f"{module(file)}:{node.lineno}")
    assert not wrong


def test_time_and_environment_enter_in_the_job():
    """Nothing below jobs/ looks at the clock or the environment, and nothing anywhere draws at random in Spark."""
    clocks = {("datetime", "now"), ("datetime", "utcnow"), ("date", "today"), ("time", "time"), ("os", "getenv")}
    spark = {"current_timestamp", "current_date", "now", "rand", "randn", "monotonically_increasing_id", "uuid"}
    wrong = set()
    for file in FILES:
        below = file.relative_to(ROOT).parts[0] != "jobs" and module(file) not in CLOCK_AND_ENVIRONMENT
        for node, _ in inside(file):
            if not isinstance(node, ast.Attribute) or not isinstance(node.value, ast.Name):
                continue
            pair = (node.value.id, node.attr)
            drawn = pair[0] == "F" and pair[1] in spark and module(file) not in UNREPEATABLE
            if drawn or (below and (pair in clocks or pair == ("os", "environ"))):
                wrong.add(f"{module(file)}:{node.lineno}: {'.'.join(pair)}")
    assert not wrong


def test_modules_stay_short():
    lengths = {module(file): len(file.read_text(encoding="utf-8").splitlines()) for file in FILES}
    assert not {name: length for name, length in lengths.items() if length >= MAX_LINES}


def test_every_module_says_what_it_is_for():
    assert not [module(file) for file in FILES if not ast.get_docstring(tree(file))]
