"""Spark and the oracle agree on random definitions over random data."""

from __future__ import annotations

import pytest
from agreement import engine_members, settings_for, write
from oracle import members
from strategies import CATALOGUE, batch, previous_members

from segment_lib.storage import Lake


def compare(spark, folder, seed: int, count: int) -> None:
    """One random dataset and `count` definitions, all in one scan."""
    drawn = batch(seed, count)
    previous = previous_members(seed, drawn)
    settings = settings_for(str(folder), drawn.zone.key)
    lake = Lake(spark, settings)
    write(spark, lake, drawn.data)
    expected = members(drawn.definitions, drawn.data, drawn.snapshot_date, drawn.zone, CATALOGUE, previous)
    actual = engine_members(spark, lake, settings, drawn.definitions, drawn.snapshot_date, previous)
    wrong = {
        name: {"definition": drawn.definitions[name], "missing": expected[name] - actual[name],
               "extra": actual[name] - expected[name]}
        for name in drawn.definitions if actual[name] != expected[name]
    }
    assert not wrong, f"{len(wrong)} of {count} disagree, such as {next(iter(wrong.items()))}"


@pytest.mark.parametrize("seed", [1, 2])
def test_random_definitions(spark, compiled, tmp_path, seed):
    """Nulls, ties, window bounds, clock changes, aliases, erasures, references; with generated code, as a night runs."""
    compare(spark, tmp_path, seed, 60)


@pytest.mark.parametrize("seed", [4, 5, 15, 26, 28, 34])
def test_more_random_definitions(spark, tmp_path, seed):
    """More of the same, without the compiler.

    These seeds draw rows and definitions that also tell the edge of a period and the end of a span to the tick, which
    few do: a fault of one tick there makes them fail.
    """
    compare(spark, tmp_path, seed, 120)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(1000, 1070))
def test_ten_thousand_random_definitions(spark, tmp_path, seed):
    compare(spark, tmp_path, seed, 150)
