"""Answers kept from night to night: whoever's stand, stands rightly; and one that does not is noticed."""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from agreement import engine_members, segments_of, settings_for, write
from oracle import members
from strategies import CATALOGUE, batch
from test_kernel import append

from segment_lib import nightly
from segment_lib.clock import Clock
from segment_lib.definition import Loaded
from segment_lib.errors import StorageError
from segment_lib.kernel import answers, kept, outline
from segment_lib.kernel.spec import spec_of
from segment_lib.plan import build_plan
from segment_lib.settings import Settings
from segment_lib.storage import Lake


@pytest.fixture
def always(monkeypatch):
    """Earlier answers are taken for however few, and every third of them is looked at."""
    monkeypatch.setattr(answers, "MOST", 1.0)
    monkeypatch.setattr(answers, "CHECKED", 3)


def stood(lake: Lake, run_id: str) -> Counter:
    """How many answers stood (True), were not as kept (False) and were made anew (None) in a run that is still staged."""
    staged = pq.read_table(f"{lake.home}/_staging/{run_id}/customers", columns=[answers.STANDS])
    return Counter(staged.column(0).to_pylist())


@pytest.mark.parametrize("seed", [34, 5])
def test_dates_in_any_order(spark, tmp_path, always, seed):
    """Days pass one by one, by weeks, and back; rows, corrections, aliases, erasures and changed customers come between.

    Every night finds what the oracle finds, by some answers that stood and some that were made.
    """
    drawn = batch(seed, 60)
    settings = settings_for(str(tmp_path), drawn.zone.key)
    definitions = {name: of for name, of in drawn.definitions.items() if of.get("kind") != "static"}
    counts = Counter()

    def night(number, data, days):
        lake = Lake(spark, settings)
        day = drawn.snapshot_date + timedelta(days=days)
        actual = engine_members(
            spark, lake, settings, definitions, day, run_id=f"r{number}", engine="kernel",
            keeping=kept.Keeping(f"r{number}", day),
        )
        assert actual == members(definitions, data, day, drawn.zone, CATALOGUE)
        counts.update(stood(lake, f"r{number}"))

    data = replace(drawn.data, events=drawn.data.events[::2], aliases=[], erased=frozenset())
    lake = Lake(spark, settings)
    write(spark, lake, data)
    night(0, data, 0)
    assert counts[True] == 0
    night(1, data, 1)

    added = drawn.data.events[1::2][:5]
    append(spark, lake, "events", added)
    data = replace(data, events=[*data.events, *added])
    night(2, data, 2)

    # Back again, as a restatement does, with an alias and an erasure that were not there before.
    data = replace(data, aliases=drawn.data.aliases[:1], erased={data.customers[3]["customer_id"]})
    write(spark, lake, data, only=("aliases", "erasures"))
    night(3, data, -6)

    customers = [{**row, "country": "IS"} if number % 7 == 0 else row for number, row in enumerate(data.customers[:-1])]
    gone = data.events[0]["event_id"]
    data = replace(data, customers=customers, events=[row for row in data.events if row["event_id"] != gone])
    write(spark, lake, data, only=("customers",))
    lake.delete("events", {"event_id": gone}, "deleted")
    night(4, data, 30)
    assert counts[True] > 10 < counts[None] and not counts[False]


def test_an_answer_that_is_not_as_kept(spark, tmp_path, always):
    """It is noticed and nothing is published; `full` makes all anew."""
    drawn = batch(26, 20)
    conf = settings_for(str(tmp_path), drawn.zone.key)
    settings = Settings(**{**conf.model_dump(), "gates": {}, "engine": "kernel", "incremental": "always"})
    lake = Lake(spark, settings)
    write(spark, lake, drawn.data)
    loaded = Loaded(tuple(segments_of(drawn.definitions, settings)))

    def run(days, **options):
        return nightly.run(
            lake, settings, loaded, snapshot_date=drawn.snapshot_date + timedelta(days=days),
            now=datetime(2100, 1, 1, tzinfo=UTC), **options,
        )

    first = run(0)
    folder = Path(lake.home, "_answers")
    assert os.listdir(folder) == [first.run_id]
    for file in (folder / first.run_id).glob("*.arrow"):
        table = pa.ipc.open_file(file.read_bytes()).read_all()
        turned = pa.array([bytes(255 - byte for byte in bits) for bits in table.column("_decided").to_pylist()])
        table = table.set_column(table.column_names.index("_decided"), "_decided", turned)
        with pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)
    with pytest.raises(StorageError, match="kept answers of .* customers are not what their rows give.*--full"):
        run(1)
    assert nightly.read_history(lake).dates == (drawn.snapshot_date,)
    again = run(1, full=True)
    assert again.record.state.publishes and os.listdir(folder) == [again.run_id]
    some = next(planned.id for planned in loaded.segments if planned.kind != "static")
    assert run(1, only=(some,)).record.state.publishes and os.listdir(folder) == [again.run_id]
    told = json.loads((folder / again.run_id / "answers.json").read_text())
    assert set(told["files"]) == {"events", "orders", "lists"} and told["literals"]


def test_the_text_of_a_plan_stays_and_its_instants_move():
    drawn = batch(11, 80)
    settings = settings_for("unused", drawn.zone.key)
    segments = [segment for segment in segments_of(drawn.definitions, settings) if segment.kind != "static"]

    def spec(days):
        return spec_of(build_plan(segments, settings.names(), Clock(drawn.snapshot_date + timedelta(days=days), settings.zone)))

    texts = Counter()
    for days in range(1, 8):
        before, now = outline.outline_of(spec(days - 1)), outline.outline_of(spec(days))
        texts[before.text == now.text] += 1
        if before.text == now.text:
            spans = outline.moved(before.literals, now, spec(days)).spans
            assert spans["events"] and all(first < end for first, end in spans["events"])
            assert outline.moved(now.literals, now, spec(days)) == outline.Moved({}, ())
    assert texts[True] >= 6
    fewer = spec_of(build_plan(segments[:-1], settings.names(), spec(0).plan.clock))
    assert outline.outline_of(fewer).text != outline.outline_of(spec(0)).text
