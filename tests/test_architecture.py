"""The rules of the code's structure, read from its syntax trees, and what one more condition type needs. No Spark."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import jsonschema
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
    "segment_lib.definition", "segment_lib.build", "segment_lib.plan", "segment_lib.sync.destinations", "jobs.runner",
    "jobs.cli",
)
HEAVY = ("pyspark", "delta", "pandas", "numpy", "pyarrow", "boto3")

#: Calls that bring rows to the driver, each reviewed: module -> function -> why their number is bounded.
TO_DRIVER = {
    "jobs/history.py": {"history": "--limit, at most 10,000"},
    "jobs/overlaps.py": {"overlaps": "--limit, at most 10,000"},
    "jobs/show.py": {"members": "--limit, at most 10,000"},
    "models/histories.py": {
        "group_sizes": "a row a group", "counts_by_day": "a row a day", "log_gaps": "one row",
        "_own_gap_limits": "a row an origin and length of gap", "collected": "distinct histories, 10 million at most",
    },
    "models/profiler.py": {"kept_date": "one row"},
    "models/scoring.py": {"_with_ahead": "a row for each number of orders and first day"},
    "models/sql_fit.py": {
        "timed": "one row", "sql_margins": "a row a number of orders or an age",
        "sql_value_margins": "a row a number of orders", "_summed": "one row",
    },
    "segment_lib/breakdown.py": {
        "_sizes": "a row a segment", "_grouped": "a thousand groups a chart and segment at most, the smaller ones folded",
    },
    "segment_lib/cohorts.py": {"_counted": "a row a published date and step"},
    "segment_lib/compare.py": {"regions": "at most 31 rows a set, of 20 sets at most"},
    "segment_lib/customers/stream.py": {"_rows": "a range of 50,000 rows, and the next one"},
    "segment_lib/data_files.py": {"_few": "200,000 aliases or erasures at most, which go to every task"},
    "segment_lib/definitions_log.py": {"read": "a row a segment"},
    "segment_lib/export/export.py": {"_counted": "three rows", "_forget": "a row an earlier export"},
    "segment_lib/export/parts.py": {"write": "a row a file"},
    "segment_lib/growth.py": {
        "_numbers": "a row a published date", "_causes": "a row a published date, change and cause",
        "listed": "a row a segment and published date",
    },
    "segment_lib/ingest.py": {
        "_merge": "a row a kind of change", "run": "a row a reason, with the days that the load touches",
    },
    "segment_lib/maintenance.py": {"_distinct": "a row a run"},
    "segment_lib/metrics.py": {"read": "a row a segment", "flows": "a row a segment"},
    "segment_lib/segment_sums.py": {"summed": "a row a segment and figure, bin or other segment"},
    "segment_lib/kernel/answers.py": {"finish": "three rows"},
    "segment_lib/kernel/kept.py": {"kept": "a row a row group of the inputs", "_check": "a row a row group looked at"},
    "segment_lib/lift.py": {"_began": "one row", "_summed": "four rows"},
    "segment_lib/limits.py": {"cut": "one row", "_nth_id": "a row a task, and one"},
    "segment_lib/moves.py": {"_told": "MOST_PAIRS rows at most, more is refused"},
    "segment_lib/report/gather.py": {
        "_sizes": "a row a segment and published date", "_shared": "a row a pair of segments",
        "_sample": "some four thousand rows without ids", "_examples": "ten masked rows a segment",
    },
    "segment_lib/report/sent.py": {"audiences": "a row an audience", "messages": "a row a trigger"},
    "segment_lib/preview/compute.py": {"_sums": "one row"},
    "segment_lib/preview/masked.py": {"examples": "thirty masked rows"},
    "segment_lib/ranks.py": {
        "_counts": "the distinct values in a small bracket around each bound", "_brackets": "one row",
    },
    "segment_lib/rebuild.py": {"rebuild": "a row a run", "kept": "one row"},
    "segment_lib/recipients.py": {"counted": "one row"},
    "segment_lib/runs.py": {"append_record": "one row", "details": "one row", "read_history": "a few rows a night"},
    "segment_lib/scan.py": {"_counted": "one row", "_reasons": "one row"},
    "segment_lib/snapshot.py": {"differ": "one row", "look": "one row"},
    "segment_lib/sql_text/recorded.py": {"collect": "what the function that is written down looks at itself: run ids"},
    "segment_lib/sync/ledger.py": {"newest": "one row"},
    "segment_lib/sync/log.py": {"read": "a row an audience and sync", "audiences": "a row an audience"},
    "segment_lib/sync/sync.py": {
        "_records": "a range of 20,000 rows", "_counted": "one row", "_samples": "five masked rows",
    },
    "segment_lib/triggers/fire.py": {
        "_sent": "a row a reason", "_samples": "five masked rows", "_ordered": "a range of 20,000 rows",
    },
    "segment_lib/triggers/queue.py": {"newest": "one row"},
    "segment_lib/why/compute.py": {
        "_canonical": "one row", "_look": "one customer, and a row for each reason against rows of theirs",
        "_limit": "one row",
    },
    "segment_lib/unmatched.py": {"_counted": "one row a table"},
}
CALLS_TO_DRIVER = ("collect", "toPandas", "toLocalIterator", "toArrow")

#: Who below jobs/ looks at the clock or the environment, and why.
CLOCK_AND_ENVIRONMENT = {
    "segment_lib/session.py": "starts the JVM, whose environment this is",
    "segment_lib/lease.py": "a heartbeat is of now, whatever date is run",
    "models/tracking_address.py": "MLflow takes time-outs, login and the refusal of telemetry from the environment",
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


# Condition types -----------------------------------------------------------------------------------------------------

CONDITIONS = ROOT / "segment_lib" / "conditions"
#: What others may ask of that package: no type by name.
ABOUT_CONDITIONS = {"REGISTRY", "AnyCondition", "Condition"}
#: The nodes of every tree, which filters of rows have too: whoever walks a tree knows them.
NODES = {"all", "any", "none", "not"}


def registered(file: Path) -> list[ast.ClassDef]:
    """The condition types that a file adds."""
    return [
        node for node in tree(file).body
        if isinstance(node, ast.ClassDef) and any(getattr(mark, "id", "") == "register" for mark in node.decorator_list)
    ]


def condition_files() -> dict[Path, ast.ClassDef]:
    """The one condition type of each file of the package."""
    return {file: registered(file)[0] for file in sorted(CONDITIONS.glob("[!_]*.py"))}


def key_of(condition: ast.ClassDef) -> str:
    values = [node.value for node in condition.body if isinstance(node, ast.AnnAssign) and getattr(node.target, "id",
        "") == "key"]
    return ast.literal_eval(values[0])


def texts(node: ast.AST, file: Path) -> set[str]:
    """The texts in an expression, those of the constants that it names included."""
    found = {part.value for part in ast.walk(node) if isinstance(part, ast.Constant) and isinstance(part.value, str)}
    names = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
    for statement in tree(file).body:
        if isinstance(statement, ast.ImportFrom) and (statement.module or "").startswith("segment_lib."):
            source = ROOT / Path(*statement.module.split(".")).with_suffix(".py")
            own = names & {alias.name for alias in statement.names}
            if own and source.is_file():
                found |= {text for name in own for text in texts(ast.Name(name), source)}
        targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
        if any(isinstance(target, ast.Name) and target.id in names for target in targets) and statement.value:
            found |= texts(statement.value, file)
    return found


def asked_for_key(node: ast.AST) -> ast.AST | None:
    """What the key of something is compared with, or looked up in."""
    sides = [node.left, *node.comparators] if isinstance(node, ast.Compare) else []
    if isinstance(node, ast.Subscript):
        sides = [node.value, node.slice]
    has_key = [side for side in sides if any(isinstance(part,
        ast.Attribute) and part.attr == "key" for part in ast.walk(side))]
    return ast.Tuple([side for side in sides if side not in has_key]) if has_key else None


def test_a_condition_type_is_one_file_with_one_test_file():
    assert [len(registered(file)) for file in CONDITIONS.glob("[!_]*.py")] == [1] * len(condition_files())
    keys = [key_of(condition) for condition in condition_files().values()]
    assert len(set(keys)) == len(keys) > 20
    tests = {file.stem.removeprefix("test_") for file in (ROOT / "tests" / "conditions").glob("test_*.py")}
    assert tests - {"every_type"} == {file.stem for file in condition_files()}


def test_nobody_knows_a_condition_type_by_name():
    """Not by its class, nor by its module, nor by its key: what differs between types is in their own files."""
    classes = {condition.name for condition in condition_files().values()}
    keys = {key_of(condition) for condition in condition_files().values()} - NODES
    wrong = set()
    for file in FILES:
        inside_package = file.parent == CONDITIONS
        for node, _ in inside(file):
            place = f"{module(file)}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("segment_lib.conditions"):
                named = {alias.name for alias in node.names} - ABOUT_CONDITIONS
                if node.module != "segment_lib.conditions" or named:
                    wrong.add(f"{place}: imports {named or node.module}")
            if inside_package:
                continue
            if isinstance(node, ast.Constant) and node.value in classes:
                wrong.add(f"{place}: the class {node.value}")
            if isinstance(node, ast.Subscript) and getattr(node.value, "id", "") == "REGISTRY" and texts(node.slice,
                file):
                wrong.add(f"{place}: REGISTRY[{ast.unparse(node.slice)}]")
            other = asked_for_key(node)
            if other is not None and keys & texts(other, file):
                wrong.add(f"{place}: asks for {sorted(keys & texts(other, file))}")
    assert not wrong


#: A condition type that does not exist, as its author would write it.
REBOUGHT = '''"""`rebought`: a product in several orders."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from segment_lib import core
from segment_lib.language.condition import Condition, register
from segment_lib.language.filters import line_column
from segment_lib.language.model import Text
from segment_lib.language.scope import Scope
from segment_lib.language.window import WindowField


@register
class Rebought(Condition):
    """A product that the customer ordered at least so many times.

    ```yaml
    rebought: tea
    times: 3
    within: 1y
    ```
    """

    key: ClassVar = "rebought"
    python_name: ClassVar = "bought_again"
    rebought: Text
    times: Annotated[int, Field(strict=True, ge=2)] = 2
    within: WindowField

    def reduce(self, scope: Scope) -> core.Test:
        if not self.rebought.strip():
            scope.at("rebought").fault("no product", "write its id")
        product = core.Compare(line_column("product_id", scope), "eq", (self.rebought,))
        orders = core.Feature("orders", "count", None, core.AnyLine(product), self.within.interval(scope.clock))
        return core.Compare(orders, "ge", (self.times,))

    def label(self) -> str:
        return f"ordered {self.rebought} {self.times} times"
'''

#: What is asked of it, in a copy of the package to which nothing but that file was added.
LOOK = '''
import inspect, json
from datetime import date
from zoneinfo import ZoneInfo

import segment_lib
from segment_lib import build
from segment_lib.catalogue import Catalogue
from segment_lib.clock import Clock
from segment_lib.definition.load import load_texts
from segment_lib.definition.reference import markdown
from segment_lib.definition.schema import json_schema
from segment_lib.definition.segment import Segment
from segment_lib.plan import build_plan

TEXT = "where:\\n  all:\\n    - did: any\\n    - rebought: tea\\n      times: 3\\n      within: 1y\\n"
SLIPS = {"times:": "tims:", "times: 3": "times: 1", "tea": "' '", "rebought:": "rebougt:", "      within: 1y\\n": ""}
FAULTY = [TEXT.replace(right, wrong) for right, wrong in SLIPS.items()]
(read,) = load_texts({"tea.yaml": TEXT}, Catalogue()).segments
built = build.bought_again("tea", times=3, within="1y")
plan = build_plan([read], Catalogue(), Clock(date(2026, 6, 30), ZoneInfo("UTC")))
print(json.dumps({
    "package": segment_lib.__file__,
    "label": read.label(),
    "equal": read.where == build.all_of(build.did("any"), built) and Segment.from_json(read.to_json()) == read,
    "listed": "bought_again" in build.__all__,
    "parameters": list(inspect.signature(build.bought_again).parameters),
    "doc": build.bought_again.__doc__,
    "faults": [str(issue) for text in FAULTY for issue in load_texts({"x.yaml": text}, Catalogue()).issues],
    "schema": json_schema(Catalogue()),
    "reference": markdown(),
    "features": [[feature.source, feature.function] for feature in plan.features],
}))
'''


@pytest.fixture(scope="module")
def with_one_more(tmp_path_factory) -> dict:
    """What a copy of the package says of a condition type that one added file brings."""
    folder = tmp_path_factory.mktemp("one_more")
    shutil.copytree(ROOT / "segment_lib", folder / "segment_lib", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "segment_lib" / "conditions" / "rebought.py").write_text(REBOUGHT, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    said = subprocess.run(
        [sys.executable, "-c", LOOK], capture_output=True, text=True, cwd=folder, env=environment, check=False
    )
    assert said.returncode == 0, said.stderr
    found = json.loads(said.stdout)
    assert Path(found["package"]).is_relative_to(folder)
    return found


def test_a_condition_type_that_is_one_more_file_is_read_labelled_and_planned(with_one_more):
    assert with_one_more["label"] == "(did any and ordered tea 3 times)"
    assert sorted(with_one_more["features"]) == [["events", "count"], ["orders", "count"]]


def test_it_is_checked_with_file_and_line(with_one_more):
    assert with_one_more["faults"] == [
        "x.yaml:5: where.all[1].tims: unknown key 'tims'; did you mean 'times'?",
        "x.yaml:5: where.all[1].times: 2 or more is needed here, not 1",
        "x.yaml:4: where.all[1].rebought: no product; write its id",
        "x.yaml:4: where.all[1]: no condition is named 'rebougt'; did you mean 'rebought'?",
        "x.yaml:4: where.all[1]: missing key 'within'",
    ]


def test_it_has_a_function_in_python(with_one_more):
    assert with_one_more["equal"] and with_one_more["listed"]
    assert with_one_more["parameters"] == ["value", "times", "within"]
    assert with_one_more["doc"] == "A product that the customer ordered at least so many times."


def test_it_is_in_the_schema_and_on_the_reference_page(with_one_more):
    schema = with_one_more["schema"]
    good = {"where": {"not": {"rebought": "tea", "times": 3, "within": "1y"}}}
    jsonschema.validate(good, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"where": {"not": {"rebought": "tea", "tims": 3, "within": "1y"}}}, schema)
    page = with_one_more["reference"]
    assert "| [`rebought`](#rebought) | A product that the customer ordered at least so many times. |" in page
    assert "```yaml\nrebought: tea\ntimes: 3\nwithin: 1y\n```\n\nKeys: `rebought`, `times`, `within`." in page
