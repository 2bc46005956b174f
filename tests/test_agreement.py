"""Spark and the oracle agree on random definitions over random data."""

from __future__ import annotations

import pytest
from agreement import engine_members, settings_for, write
from oracle import members
from strategies import CATALOGUE, batch, previous_members

from segment_lib.storage import Lake


@pytest.mark.parametrize("seed", range(1, 9))
def test_random_definitions(spark, tmp_path, seed):
    """150 definitions a seed in one scan: nulls, ties, window bounds, clock changes, aliases, erasures, references."""
    drawn = batch(seed, 150)
    previous = previous_members(seed, drawn)
    settings = settings_for(str(tmp_path), drawn.zone.key)
    lake = Lake(spark, settings)
    write(spark, lake, drawn.data)
    expected = members(drawn.definitions, drawn.data, drawn.snapshot_date, drawn.zone, CATALOGUE, previous)
    actual = engine_members(spark, lake, settings, drawn.definitions, drawn.snapshot_date, previous)
    wrong = {
        name: {"definition": drawn.definitions[name], "missing": expected[name] - actual[name],
               "extra": actual[name] - expected[name]}
        for name in drawn.definitions if actual[name] != expected[name]
    }
    assert not wrong, f"{len(wrong)} of {len(drawn.definitions)} disagree, such as {next(iter(wrong.items()))}"
