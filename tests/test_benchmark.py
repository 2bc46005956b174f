"""The benchmark compares like with like: every way finds the same members."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest

from benchmarks.data import Shop
from benchmarks.definitions import KINDS, definitions, described
from benchmarks.results import Results, Row, answer_of, wrong
from benchmarks.ways import MEASURED, WAYS, Work
from segment_lib.plan import build_plan

CUSTOMERS, EVENTS, DEFINITIONS = 300, 6_000, 60


@pytest.fixture(scope="module")
def work(spark, tmp_path_factory):
    """A tiny shop, with all kinds of definitions several times."""
    shop = Shop.below(tmp_path_factory.mktemp("benchmark"), CUSTOMERS, EVENTS)
    shop.generate(spark)
    segments = definitions(DEFINITIONS, shop.settings().names())
    return Work(shop, segments, shop.folder / "answer", threads=2, memory="2g")


def answer(name: str, engine, work: Work, count: int, everyone: bool = True) -> dict[str, str]:
    own = replace(work, segments=work.segments[:count], out=work.out.with_name(f"{name}-{count}"))
    shutil.rmtree(own.out, ignore_errors=True)
    WAYS[name].work(engine, own)
    return answer_of(own.out, everyone)


def test_one_pass_ways_find_what_the_engine_finds(spark, work):
    expected = answer("seglake", spark, work, DEFINITIONS)
    connection = WAYS["duckdb"].prepare(work)
    assert int(expected["pairs"].split("/")[0]) > CUSTOMERS, "hardly anybody is a member of anything"
    assert answer("duckdb", connection, work, DEFINITIONS) == expected
    assert answer("duckdb_case", connection, work, DEFINITIONS) == expected
    assert answer("polars", None, work, DEFINITIONS) == expected


def test_ways_that_take_one_definition_at_a_time_find_the_same_members(spark, work):
    connection = WAYS["duckdb"].prepare(work)
    cases = ("duckdb_per_segment", connection, DEFINITIONS), ("spark_per_segment", spark, MEASURED)
    for name, engine, count in cases:
        expected = answer("duckdb_case", connection, work, count)["pairs"]
        assert answer(name, engine, work, count, everyone=False) == {"pairs": expected}, name


def test_definitions_are_varied_and_do_not_depend_on_how_many_are_asked_for(tmp_path):
    shop = Shop.below(tmp_path, CUSTOMERS, EVENTS)
    catalogue = shop.settings().names()
    many = definitions(1000, catalogue)
    assert many[:MEASURED] == definitions(MEASURED, catalogue)
    assert len(KINDS) == MEASURED, "the definitions that are measured alone show every kind"
    found = described(build_plan(many, catalogue, shop.clock))
    assert found["filters"] >= 300
    assert found["edges"] >= 20


def row(way: str, answer: dict[str, str] | None, definitions: int = 10, error: str = "") -> Row:
    return Row(way, definitions, f"f{definitions}", 2, "2g", 1.0, 2.0, None, answer, {}, error, "", {})


def test_an_answer_that_differs_is_found():
    same = [row("seglake", {"pairs": "3/a", "customers": "2/b"}), row("polars", {"pairs": "3/a", "customers": "2/b"})]
    part = row("duckdb_per_segment", {"pairs": "3/a"})
    assert not wrong([*same, part, row("floor", None, 0), row("seglake", {"pairs": "9/z"}, 100)])
    other = row("duckdb", {"pairs": "3/a", "customers": "1/c"})
    assert wrong([*same, part, other]) == {other.key}
    assert wrong([same[0], other]) == {same[0].key, other.key}


def test_measurements_are_kept_and_failed_ones_are_not_done(tmp_path):
    file = tmp_path / "results.jsonl"
    done, failed = row("seglake", {"pairs": "3/a"}), row("duckdb", None, error="exit code -9")
    for measured in (failed, done):
        Results(file).add(measured)
    with file.open("a") as output:
        output.write('{"way": "pol')
    again = Results(file)
    assert again.done(done.key) == done
    assert again.done(failed.key) is None
