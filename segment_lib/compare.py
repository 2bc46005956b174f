"""Segments side by side: every figure with its difference, and how their members overlap, exactly.

Figures are the published ones of the date. Overlaps are counted in one pass over the date's memberships: a customer's
region is the set of compared segments that she is in, and there are at most 31 regions of five segments. Only those
counts reach the driver.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from segment_lib import definitions_log, metrics, rebuild
from segment_lib.errors import UsageError, nearest
from segment_lib.figures import EVERYONE, FIGURES, Figure, Number
from segment_lib.html_tables import heading, note, table
from segment_lib.inputs import without_erased

if TYPE_CHECKING:
    from segment_lib.runs import History
    from segment_lib.storage import Lake

FEWEST, MOST = 2, 5


@dataclass(frozen=True)
class Region:
    """Customers who are in all of `inside` and in no other of the compared segments."""

    inside: tuple[str, ...]
    customers: int


@dataclass(frozen=True)
class Compared:
    """One figure of each segment, in their order; None where it has no value."""

    figure: Figure
    values: tuple[Number, ...]

    @property
    def differences(self) -> tuple[Number, ...]:
        """Each of the others less the first; None where one of them has no value."""
        first, *others = self.values
        return tuple(None if first is None or value is None else value - first for value in others)


@dataclass(frozen=True)
class Comparison:
    """Two to five segments on a published date. `regions` are those with customers, the largest first.

    Erased customers are in no region; figures are as they were published. Of a date whose snapshot is no longer kept,
    customers in no segment are in no region either, also not in that of everyone.
    """

    snapshot_date: date
    currency: str
    segments: tuple[str, ...]
    figures: tuple[Compared, ...]
    regions: tuple[Region, ...]

    def shared(self, *segments: str) -> int:
        """How many customers are in all of these, whatever else they are in."""
        return sum(region.customers for region in self.regions if set(segments) <= set(region.inside))

    def to_dict(self) -> dict[str, Any]:
        """The comparison as plain data."""
        return {
            "date": self.snapshot_date, "segments": list(self.segments), "currency": self.currency,
            "figures": self.rows(),
            "regions": [{"segments": list(region.inside), "customers": region.customers} for region in self.regions],
        }

    def rows(self) -> list[dict[str, Any]]:
        """A row a figure: its name and unit, the value of each segment, and the difference of each from the first."""
        first, *others = self.segments
        return [
            {
                "figure": one.figure.name, "unit": self.currency if one.figure.unit == "currency" else one.figure.unit,
                **dict(zip(self.segments, one.values, strict=True)),
                **{f"{name} - {first}": value for name, value in zip(others, one.differences, strict=True)},
            }
            for one in self.figures
        ]

    def _repr_html_(self) -> str:
        regions = [{"in": " and ".join(region.inside), "customers": region.customers} for region in self.regions]
        figures = f"{heading(str(self.snapshot_date))}{table(self.rows())}"
        return f"{figures}{note('Who is in which, and in no other')}{table(regions)}"


def compare(lake: Lake, history: History, segments: Sequence[str], day: date | None = None) -> Comparison:
    """Two to five different segments on a published date, by default the last; ``_all`` is everyone evaluated.

    Raises UsageError for another number of segments, and for one that the date does not have.
    """
    run = history.published(day)
    found = metrics.of_run(lake, history, run)
    known = {EVERYONE, *definitions_log.read(lake, run)} & found.keys()
    for name in segments:
        if name not in known:
            raise UsageError(f"no segment {name!r} with figures on {run.snapshot_date}; {nearest(name, known)}")
    if len(set(segments)) != len(segments) or not FEWEST <= len(segments) <= MOST:
        raise UsageError(f"compare takes {FEWEST} to {MOST} different segments, not {', '.join(segments) or 'none'}")
    figures = tuple(Compared(figure, tuple(found[name][figure.name] for name in segments)) for figure in FIGURES)
    (own,) = regions(members_of(lake, history, run), [segments])
    return Comparison(run.snapshot_date, lake.settings.currency, tuple(segments), figures, tuple(own))


def members_of(lake: Lake, history: History, run: RunRecord) -> DataFrame:
    """(customer_id, segments) of a run's snapshot, without erased customers."""
    members, erased = rebuild.members(lake, history, run), lake.erased()
    return members if erased is None else without_erased(members, erased, lake.tenant)


def regions(members: DataFrame, sets: Sequence[Sequence[str]]) -> list[list[Region]]:
    """The regions with customers of each set of segments, the largest first; members are (customer_id, segments).

    One pass over the members for all sets; what is shuffled is a row for each region, set and task.
    """
    def inside(name: str) -> Column:
        return F.lit(True) if name == EVERYONE else F.exists("segments", lambda one: one["id"] == F.lit(name))

    def of_set(place: int, segments: Sequence[str]) -> Column:
        bits = reduce(add, (F.when(inside(name), 1 << bit).otherwise(0) for bit, name in enumerate(segments)))
        return F.struct(F.lit(place).alias("place"), bits.alias("region"))

    if not sets:
        return []
    each = members.select(F.explode(F.array(*(of_set(place, names) for place, names in enumerate(sets)))).alias("one"))
    counted = each.select("one.*").where("region > 0").groupBy("place", "region").count().collect()
    found: list[list[Region]] = [[] for _ in sets]
    for row in counted:
        names = tuple(name for bit, name in enumerate(sets[row["place"]]) if row["region"] >> bit & 1)
        found[row["place"]].append(Region(names, row["count"]))
    return [sorted(own, key=lambda region: (-region.customers, region.inside)) for own in found]
