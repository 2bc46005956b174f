"""Who moved: between chosen segments, and between groups of a score, from one published date to another.

A customer is where the snapshot of each end says; what happened in between is not looked at. Only counts reach the
driver.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from segment_lib import definitions_log, profiles, rebuild, snapshot
from segment_lib.errors import UsageError, nearest
from segment_lib.html_tables import heading, table
from segment_lib.inputs import without_erased
from segment_lib.runs import History, RunRecord
from segment_lib.snapshot import Stamp

if TYPE_CHECKING:
    from segment_lib.storage import Lake

#: Distinct pairs of places that are told at most.
MOST_PAIRS = 10_000


@dataclass(frozen=True)
class Move:
    """Customers by where they were and where they are; no name is outside of all that was asked about."""

    before: tuple[str, ...]
    now: tuple[str, ...]
    customers: int


@dataclass(frozen=True)
class Moves:
    """The moves of customers who were somewhere at either end, the most frequent first; who stayed is counted too."""

    since: date
    until: date
    between: tuple[str, ...]
    moves: tuple[Move, ...]

    def to_dict(self) -> dict[str, Any]:
        """The moves as plain data."""
        return {
            "since": self.since, "until": self.until, "between": list(self.between),
            "moves": [
                {"before": list(one.before), "now": list(one.now), "customers": one.customers} for one in self.moves
            ],
        }

    def rows(self) -> list[dict[str, Any]]:
        """The matrix: a row for each place at `since`, with the customers at each place at `until`, and their sum."""
        befores, nows = ({getattr(one, side) for one in self.moves} for side in ("before", "now"))
        counts = {(one.before, one.now): one.customers for one in self.moves}
        ordered = sorted(nows, key=lambda place: (not place, place))
        return [
            {f"{self.since} \\ {self.until}": _name(before)}
            | {_name(now): counts.get((before, now), 0) for now in ordered}
            | {"(all)": sum(counts.get((before, now), 0) for now in nows)}
            for before in sorted(befores, key=lambda place: (not place, place))
        ]

    def _repr_html_(self) -> str:
        return f"{heading(f'{self.since} to {self.until}')}{table(self.rows())}"


def moves(
    lake: Lake, history: History, segments: Sequence[str], since: date | None = None, until: date | None = None
) -> Moves:
    """Moves between one or more segments and outside of them, exact, from the two snapshots in one join.

    By default from the published date before the last to the last. A customer who was merged since counts under the id
    of now; erased ones are left out. A segment that one of the dates did not have had no members then. Raises
    UsageError for a segment that neither has, and for dates that are not published or not in order.
    """
    before, now = _ends(history, since, until)
    known = definitions_log.read(lake, before).keys() | definitions_log.read(lake, now).keys()
    for name in segments:
        if name not in known:
            raise UsageError(
                f"no segment {name!r} on {before.snapshot_date} or {now.snapshot_date}; {nearest(name, known)}"
            )
    if not segments or len(set(segments)) != len(segments):
        raise UsageError(f"moves are between one or more different segments, not {', '.join(segments) or 'none'}")
    there = _places(lake, history, before, segments, "before")
    joined = there.join(_places(lake, history, now, segments, "now"), "customer_id", "full_outer")
    nowhere = F.array().cast("array<string>")
    pairs = joined.groupBy(F.coalesce("before", nowhere).alias("before"), F.coalesce("now", nowhere).alias("now"))
    return _told(before, now, segments, pairs.agg(F.count(F.lit(1)).alias("customers")))


def score_moves(
    lake: Lake, history: History, score: str = "rfm.group", since: date | None = None, until: date | None = None
) -> Moves:
    """Moves between the groups of a score, as published; by default since the published date before the last.

    Outside are those without scores, who never ordered. Between neighbouring dates the stored `score_moves` are read;
    between others the profiles of both are joined. Raises UsageError for a score without groups, and for a date whose
    profiles are no longer kept.
    """
    if score not in profiles.GROUPINGS:
        raise UsageError(f"{score!r} puts nobody into groups; {nearest(score, profiles.GROUPINGS)}")
    before, now = _ends(history, since, until)
    base = history.base(now.snapshot_date)
    if base is not None and base.run_id == before.run_id:
        day = now.snapshot_date
        stored = rebuild.counted(lake, history, "score_moves", since=day, until=day)
    else:
        for run in (before, now):
            profiles.require(lake, run, [score])
        stamp = Stamp(now.snapshot_date, now.run_id, before.run_id)
        stored = profiles.moves(lake.read("customer_profiles"), stamp)
    place = {side: F.array_compact(F.array(F.col(side))).alias(side) for side in ("before", "now")}
    return _told(before, now, (score,), stored.where(F.col("score") == score).select(*place.values(), "customers"))


def _ends(history: History, since: date | None, until: date | None) -> tuple[RunRecord, RunRecord]:
    now = history.published(until)
    before = history.base(now.snapshot_date) if since is None else history.published(since)
    if before is None:
        raise UsageError(f"{now.snapshot_date} is the first published date, so nobody has moved before it")
    if before.snapshot_date >= now.snapshot_date:
        raise UsageError(f"{before.snapshot_date} is not before {now.snapshot_date}: name an earlier one to look since")
    return before, now


def _places(lake: Lake, history: History, run: RunRecord, segments: Sequence[str], side: str) -> DataFrame:
    """(customer_id, `side`): the segments that each member of any of them is in, in order of their ids."""
    erased = lake.erased()
    members = rebuild.members(lake, history, run)
    # Erased under the id of then or under the one of now.
    members = members if erased is None else without_erased(members, erased, lake.tenant)
    members = snapshot.under_canonical_ids(members, lake.aliases())
    members = members if erased is None else without_erased(members, erased, lake.tenant)
    places = F.filter(snapshot.ids("segments"), lambda one: one.isin(list(segments)))
    return members.select("customer_id", places.alias(side)).where(F.size(side) > 0)


def _told(before: RunRecord, now: RunRecord, between: Sequence[str], pairs: DataFrame) -> Moves:
    rows = pairs.limit(MOST_PAIRS + 1).collect()
    if len(rows) > MOST_PAIRS:
        raise UsageError(f"customers are in more than {MOST_PAIRS:,} different places; ask about fewer segments")
    found = [Move(tuple(row["before"]), tuple(row["now"]), row["customers"]) for row in rows]
    ordered = sorted(found, key=lambda one: (-one.customers, one.before, one.now))
    return Moves(before.snapshot_date, now.snapshot_date, tuple(between), tuple(ordered))


def _name(place: tuple[str, ...]) -> str:
    return " and ".join(place) or "(outside)"
