"""Random customers, events, orders and definitions, for hypothesis and for fixed seeds from the same generators.

The generators ask a `Draw` for every choice. `datasets()` and `definitions()` answer with hypothesis, so failures
shrink; `batch()` answers with a seeded `random.Random`, so one Spark action can test many definitions on one dataset
and a failure is found again from its seed. Rows and literals share small pools of values, and times lie on and next to
the bounds of windows, so that conditions hold for some customers and not for others.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import date, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from oracle import Data
from oracle.people import gather
from oracle.rows import Night
from oracle.segments import Tonight
from oracle.times import Clock
from strategies.definitions import Scope, draw_segment
from strategies.draw import HypothesisDraw, SeededDraw
from strategies.rows import customer, draw_data, event, line, order
from strategies.vocabulary import CATALOGUE, CUSTOM, NIGHTS

__all__ = [
    "CATALOGUE", "CUSTOM", "Batch", "Dataset", "batch", "customer", "datasets", "definitions", "event", "line", "order",
    "previous_members",
]


REDRAWS = 2


class Dataset(NamedTuple):
    """Input rows, and the night that their times are drawn around."""

    data: Data
    snapshot_date: date
    zone: ZoneInfo


class Batch(NamedTuple):
    """One dataset and many definitions, by segment id; each may refer to those before it."""

    data: Data
    definitions: dict[str, dict]
    snapshot_date: date
    zone: ZoneInfo


def datasets() -> st.SearchStrategy[Dataset]:
    """Small datasets on nights around clock changes, leap days and ends of months."""
    return st.composite(lambda draw: _dataset(HypothesisDraw(draw)))()


def definitions(
    catalogue: dict, ids: Sequence[str], snapshot_date: date = date(2026, 3, 10)
) -> st.SearchStrategy[dict]:
    """Valid definitions over the catalogue that may refer to the segments `ids`."""
    return st.composite(
        lambda draw: draw_segment(HypothesisDraw(draw), Scope(catalogue, tuple(ids), snapshot_date), "drawn")
    )()


def batch(seed: int, n_definitions: int) -> Batch:
    """One dataset and that many definitions, the same for the same seed.

    A definition that holds for nobody or for everyone is mostly drawn again, because it shows little; some stay.
    """
    draw = SeededDraw(random.Random(seed))
    data, snapshot_date, zone = _dataset(draw)
    drawn: dict[str, dict] = {}
    night = Night(Clock(snapshot_date, zone), CATALOGUE)
    people = gather(data, night.clock.as_of)
    tonight = Tonight(night, people, drawn, {})
    for number in range(n_definitions):
        id = f"s{number:04d}"
        scope = Scope(CATALOGUE, tuple(drawn)[-8:], snapshot_date)
        for _ in range(REDRAWS + 1):
            drawn[id] = draw_segment(draw, scope, id)
            if "status" in drawn[id] or 0 < len(tonight.members_of(id)) < len(people):
                break
            del tonight.found[id]
    return Batch(data, drawn, snapshot_date, zone)


def previous_members(seed: int, drawn: Batch) -> dict[str, dict[str, date]]:
    """Members as if published before: a third of the customers of two thirds of the segments, with their `since`.

    Some ids in it exist no more, as after an erasure, and some were merged into others since.
    """
    draw = SeededDraw(random.Random(seed))
    ids = [row["customer_id"] for row in drawn.data.customers] + [row["customer_id"] for row in drawn.data.aliases]
    ids = [*dict.fromkeys(ids), "gone"]
    ages = [1, 6, 7, 8, 29, 30, 31, 90]
    return {
        segment: {
            id: drawn.snapshot_date - timedelta(days=draw.choice(ages)) for id in ids if draw.chance(35)
        }
        for segment in drawn.definitions if draw.chance(67)
    }


def _dataset(draw: HypothesisDraw | SeededDraw) -> Dataset:
    zone_name, day = draw.choice(NIGHTS)
    clock = Clock(date.fromisoformat(day), ZoneInfo(zone_name))
    return Dataset(draw_data(draw, clock), clock.snapshot_date, clock.zone)
