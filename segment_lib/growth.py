"""How a segment grew: its size on each date, who came and went and why, and what it has brought since it began.

All of it is read from what the nights published, one row a night, so it costs the same however many customers there
are. Figures are as they were published: erasures do not change them afterwards.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from segment_lib import definitions_log, rebuild
from segment_lib.definitions_log import DefinitionState
from segment_lib.errors import UsageError, nearest
from segment_lib.figures import BY_NAME, EVERYONE, LOST, Number
from segment_lib.html_tables import heading, line_chart, table

if TYPE_CHECKING:
    from segment_lib.runs import History
    from segment_lib.storage import Lake

#: What the members of a night ordered on that date; their sums over the nights are what a segment has brought.
ADDED = ("orders_day", "gross_revenue_day", "purchases_day", "net_revenue_day")
#: So many nights are rows of the table in a notebook, and on a terminal.
SHOWN = 31
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class GrowthNight:
    """One published date of a segment.

    `customers` is None where the night gave it no size, as when it was deleted. `entered` and `left` are counted since
    the published date before, None when unknown; `causes` has (change, cause) -> customers, which add up to them.
    `change` says what became of the definition since the date before: created, edited, reference edited (a segment that
    it refers to was), deleted, returned; None when nothing. `since_created` has the sums of ADDED from the segment's
    first published date on, under their names without ``_day``. `figures` are those that were asked for.
    """

    snapshot_date: date
    customers: int | None
    entered: int | None
    left: int | None
    causes: Mapping[tuple[str, str], int] = field(default_factory=dict)
    state: str | None = None
    change: str | None = None
    stale_since: date | None = None
    since_created: Mapping[str, Number] = field(default_factory=dict)
    figures: Mapping[str, Number] = field(default_factory=dict)

    @property
    def net(self) -> int | None:
        """Entered less left; None when unknown."""
        return None if self.entered is None or self.left is None else self.entered - self.left

    def why(self) -> str:
        """The causes in words, the most frequent first.

        >>> GrowthNight(date(2026, 1, 1), 3, 3, 1, {("left", "window"): 1, ("entered", "data"): 3}).why()
        'entered: 3 data; left: 1 window'
        """
        ordered = sorted(self.causes.items(), key=lambda one: (one[0][0], -one[1], one[0][1]))
        sides = groupby(ordered, key=lambda one: one[0][0])
        return "; ".join(
            f"{change}: {', '.join(f'{count:,} {cause}' for (_, cause), count in rows)}" for change, rows in sides
        )


@dataclass(frozen=True)
class Gap:
    """Days between two of a segment's nights of which nothing is known; `published` when the date was, without it."""

    first: date
    last: date
    published: bool


@dataclass(frozen=True)
class Growth:
    """A segment over the published dates, oldest first. `created` is its first published date.

    Nothing is interpolated: days without a published size are `gaps`, and the flows of the night after a gap cover it.
    """

    segment: str
    currency: str
    created: date
    nights: tuple[GrowthNight, ...]
    gaps: tuple[Gap, ...]

    def to_dict(self) -> dict[str, Any]:
        """The growth as plain data."""
        return {
            "segment": self.segment, "currency": self.currency, "created": self.created,
            "nights": [_plain(night) for night in self.nights], "gaps": [vars(gap) for gap in self.gaps],
        }

    def rows(self) -> list[dict[str, Any]]:
        """A row a night, as a table for people."""
        return [
            {
                "date": night.snapshot_date, "size": night.customers, "entered": night.entered, "left": night.left,
                "net": night.net, "why": night.why() or None, "definition": night.change, **night.figures,
                "orders_since_created": night.since_created.get("orders"),
                "net_revenue_since_created": night.since_created.get("net_revenue"),
            }
            for night in self.nights
        ]

    def _repr_html_(self) -> str:
        sizes = [(night.snapshot_date, night.customers) for night in self.nights]
        marks = {night.snapshot_date: night.change for night in self.nights if night.change}
        chart = line_chart(sizes, marks, f"size of {self.segment}")
        return f"{heading(self.segment)}{chart}{table(self.rows()[-SHOWN:])}"


def growth(
    lake: Lake, history: History, segment: str, since: date | None = None, until: date | None = None,
    figures: Sequence[str] = (),
) -> Growth:
    """The published dates of a segment from `since` to `until`, both included; ``_all`` is everyone evaluated.

    `figures` are names of figures to show beside. Raises UsageError for a segment that was never published, for an
    unknown figure, and where no date lies between the two.
    """
    history.published()
    for name in figures:
        if name not in BY_NAME:
            raise UsageError(f"there is no figure {name!r}; {nearest(name, BY_NAME)}")
    numbers = _numbers(lake, history, segment, figures)
    if not numbers:
        known = {EVERYONE, LOST, *definitions_log.read(lake, history.latest)} - {segment}
        raise UsageError(f"no segment {segment!r} was ever published with a size; {nearest(segment, known)}")
    of_date = listed(lake, history, segment).get(segment, [])
    nights = _nights(numbers, of_date, _causes(lake, history, segment), figures)
    inside = tuple(
        night for night in nights
        if (since is None or night.snapshot_date >= since) and (until is None or night.snapshot_date <= until)
    )
    if not inside:
        asked = f"from {since or 'the first'} to {until or 'the last'}"
        span = f"from {nights[0].snapshot_date} to {nights[-1].snapshot_date}"
        raise UsageError(f"{segment} has no published date {asked}; it has some {span}")
    gaps = _gaps([night.snapshot_date for night in inside], frozenset(history.dates))
    return Growth(segment, lake.settings.currency, min(numbers), inside, tuple(gaps))


# What was published --------------------------------------------------------------------------------------------------


def _numbers(lake: Lake, history: History, segment: str, figures: Iterable[str]) -> dict[date, dict[str, Any]]:
    """Date -> the published numbers of the segment, dates ascending."""
    rows = rebuild.counted(lake, history, "segment_metrics", segment)
    wanted = ("snapshot_date", "customers", "entered", "left", "stale_since", *ADDED, *figures)
    # A table from before a column was there has no value for it.
    there = [name for name in dict.fromkeys(wanted) if name in rows.columns]
    found = [row.asDict() for row in rows.select(*there).collect()]
    return {row["snapshot_date"]: row for row in sorted(found, key=lambda row: row["snapshot_date"])}


def _causes(lake: Lake, history: History, segment: str) -> dict[date, dict[tuple[str, str], int]]:
    """Date -> (change, cause) -> customers."""
    changes = rebuild.counted(lake, history, "membership_changes", segment)
    found: dict[date, dict[tuple[str, str], int]] = defaultdict(dict)
    for row in changes.groupBy("snapshot_date", "change", "cause").agg(F.count(F.lit(1)).alias("customers")).collect():
        found[row["snapshot_date"]][row["change"], row["cause"]] = row["customers"]
    return found


@dataclass(frozen=True)
class Listed:
    """What the list of definitions says of a segment on a date; `effective` is the hash with what it refers to."""

    snapshot_date: date
    own: str | None
    effective: str | None
    state: str


def listed(
    lake: Lake, history: History, segment: str | None = None, until: date | None = None
) -> dict[str, list[Listed]]:
    """Segment -> what the list of each published date up to `until` says of it, dates ascending; of all by default."""
    winners = [run.run_id for run in history.winners() if until is None or run.snapshot_date <= until]
    runs = lake.read("runs").where(F.col("run_id").isin(winners) & F.col("state").isin("published", "partial"))
    hashes = runs.select("run_id", F.explode("definition_hashes").alias("segment_id", "effective"))
    rows = lake.read("segments").where(F.col("run_id").isin(winners))
    rows = rows if segment is None else rows.where(F.col("segment_id") == segment)
    columns = ("segment_id", "snapshot_date", F.col("definition_hash").alias("own"), "effective", "state")
    found: dict[str, list[Listed]] = defaultdict(list)
    for name, *values in rows.join(hashes, ["run_id", "segment_id"], "left").select(*columns).collect():
        found[name].append(Listed(*values))
    return {name: sorted(rows, key=lambda row: row.snapshot_date) for name, rows in found.items()}


# What follows from it ------------------------------------------------------------------------------------------------


def changed(before: Listed | None, now: Listed) -> str | None:
    """What became of the definition between two published dates.

    >>> day, later = date(2026, 1, 1), date(2026, 1, 2)
    >>> first = Listed(day, "a", "a1", "active")
    >>> changed(None, first), changed(first, Listed(later, "a", "a2", "active"))
    ('created', 'reference edited')
    >>> changed(first, Listed(later, "b", "a1", "waiting")), changed(first, Listed(later, "a", "a1", "active"))
    ('edited', None)
    """
    gone = DefinitionState.DELETED
    if before is None:
        return "created"
    if (before.state == gone) != (now.state == gone):
        return "deleted" if now.state == gone else "returned"
    if now.own != before.own:
        return "edited"
    both = before.effective is not None and now.effective is not None
    return "reference edited" if both and now.effective != before.effective else None


def _nights(
    numbers: Mapping[date, Mapping[str, Any]], of_dates: Sequence[Listed],
    causes: Mapping[date, Mapping[tuple[str, str], int]], figures: Iterable[str],
) -> list[GrowthNight]:
    """A night for each date with a size, with changes of members or with a change of the definition."""
    states = {row.snapshot_date: row for row in of_dates}
    edits = {now.snapshot_date: changed(before, now) for before, now in pairwise([None, *of_dates])}
    dates = numbers.keys() | causes.keys() | {day for day, what in edits.items() if what}
    sums: dict[str, Number] = {name: 0 for name in ADDED}
    nights = []
    for day in sorted(dates):
        row = numbers.get(day, {})
        if row:
            sums = {name: _plus(sums[name], row.get(name)) for name in ADDED}
        # A deleted segment has no row of figures, only the customers who left it.
        flows = {"entered": 0, "left": 0} | {
            change: sum(count for (one, _), count in causes.get(day, {}).items() if one == change)
            for change in ("entered", "left")
        }
        nights.append(GrowthNight(
            day, row.get("customers"), *((row if row else flows)[side] for side in ("entered", "left")),
            dict(causes.get(day, {})), states[day].state if day in states else None, edits.get(day),
            row.get("stale_since"), {name.removesuffix("_day"): value for name, value in sums.items()},
            {name: row.get(name) for name in figures},
        ))
    return nights


def _plus(total: Number, more: int | Decimal | None) -> Number:
    """The sum; unknown once any part of it is."""
    return None if total is None or more is None else total + more


def _gaps(dates: Sequence[date], published: frozenset[date]) -> list[Gap]:
    """The days between ascending dates, in stretches that were published or were not.

    >>> [str(gap.first) for gap in _gaps([date(2026, 1, 1), date(2026, 1, 4)], frozenset({date(2026, 1, 3)}))]
    ['2026-01-02', '2026-01-03']
    """
    spans = ((before, (after - before).days) for before, after in pairwise(dates))
    gaps: list[Gap] = []
    for day in (before + number * _DAY for before, length in spans for number in range(1, length)):
        there = day in published
        if gaps and gaps[-1].published == there and gaps[-1].last + _DAY == day:
            gaps[-1] = Gap(gaps[-1].first, day, there)
        else:
            gaps.append(Gap(day, day, there))
    return gaps


def _plain(night: GrowthNight) -> dict[str, Any]:
    causes: dict[str, dict[str, int]] = {"entered": {}, "left": {}}
    for (change, cause), count in sorted(night.causes.items()):
        causes[change][cause] = count
    return {
        "date": night.snapshot_date, "customers": night.customers, "entered": night.entered, "left": night.left,
        "net": night.net, "causes": causes, "state": night.state, "definition": night.change,
        "stale_since": night.stale_since, "since_created": dict(night.since_created), "figures": dict(night.figures),
    }
