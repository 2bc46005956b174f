"""Retention: of the customers who entered a segment in one period, how many are members so much later.

A customer belongs to one cohort, that of the first entry ever; who leaves and comes back is in no second one, and
counts as a member again. Customers whom a definition brought in, the first night's and those of an edit, did nothing to
enter and are in no cohort; they are counted apart. Each customer is looked at so many steps after the own entry, as of
the last published date up to that day; steps that lie beyond the last published date are not known yet.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, get_args

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from segment_lib import definitions_log, spells
from segment_lib.errors import UsageError, nearest
from segment_lib.html_tables import heading, note, table
from segment_lib.totals import quotient

if TYPE_CHECKING:
    from segment_lib.runs import History
    from segment_lib.storage import Lake

#: What a cohort is, and what a step is long: one published date, or a calendar week (from Monday) or month.
Every = Literal["night", "week", "month"]
MOST_STEPS = 60


@dataclass(frozen=True)
class CohortStep:
    """A cohort so many steps after the entry: `observed` are those for whom that day has come.

    `members` of them are in the segment then, `stayed` of these without a night outside in between.
    """

    step: int
    observed: int
    members: int
    stayed: int

    @property
    def share(self) -> Decimal | None:
        """Members of those observed, from 0 to 1; None of nobody."""
        return quotient(self.members, self.observed)


@dataclass(frozen=True)
class Cohort:
    """The customers who first entered in the period that begins at `start`, and what became of them, step 1 first."""

    start: date
    entrants: int
    steps: tuple[CohortStep, ...]


@dataclass(frozen=True)
class Retention:
    """The cohorts of a segment, oldest first; `by_definition` are the entrants who are in none."""

    segment: str
    every: Every
    until: date
    cohorts: tuple[Cohort, ...]
    by_definition: int

    def to_dict(self) -> dict[str, Any]:
        """The retention as plain data."""
        return {
            "segment": self.segment, "every": self.every, "until": self.until, "by_definition": self.by_definition,
            "cohorts": [
                {
                    "start": one.start, "entrants": one.entrants,
                    "steps": [vars(step) | {"share": step.share} for step in one.steps],
                }
                for one in self.cohorts
            ],
        }

    def rows(self) -> list[dict[str, Any]]:
        """A row a cohort: who entered, and the share that are members after each step.

        A share is marked ``*`` when not all of the cohort have come that far.
        """
        count = max((len(one.steps) for one in self.cohorts), default=0)
        return [
            {"entered_in": one.start, "entrants": one.entrants}
            | {f"{self.every} {place + 1}": _cell(one, place) for place in range(count)}
            for one in self.cohorts
        ]

    def _repr_html_(self) -> str:
        words = f"{self.by_definition:,} entered by a definition and are in no cohort; * not all have come that far"
        return f"{heading(self.segment)}{table(self.rows())}{note(words)}"


def retention(
    lake: Lake, history: History, segment: str, since: date | None = None, until: date | None = None,
    every: str = "month", steps: int = 12,
) -> Retention:
    """The cohorts of the customers who entered from `since` to `until`, looked at up to the last published date.

    `every` is night, week or month; at most `steps` steps. Raises UsageError for a segment that was never published.
    """
    last = history.published().snapshot_date
    if every not in get_args(Every):
        raise UsageError(f"cohorts are by {', '.join(get_args(Every))}, not by {every!r}")
    if not 1 <= steps <= MOST_STEPS:
        raise UsageError(f"cohorts are followed for 1 to {MOST_STEPS} steps, not {steps}")
    known = definitions_log.read(lake, history.latest)
    if segment not in known:
        raise UsageError(f"no segment {segment!r} on {last}; {nearest(segment, known)}")
    entrants = _entrants(spells.spells(lake, history, segment), since, until)
    counted = _counted(_looked_at(entrants, history.dates, every, steps, last), every)
    by_definition = sum(row["entrants"] for row in counted if row["by_definition"])
    return Retention(segment, every, last, tuple(_cohorts(counted)), by_definition)  # type: ignore[arg-type]


def _entrants(spells_of: DataFrame, since: date | None, until: date | None) -> DataFrame:
    """(entered, by_definition, states) of those who first entered between two dates, both included."""
    by_definition = (F.col("cause") == "definition").alias("by_definition")
    rows = spells_of.select(
        spells.first_entry(F.col("states")).alias("entered"), by_definition, "states"
    ).where(F.col("entered").isNotNull())
    rows = rows if since is None else rows.where(F.col("entered") >= F.lit(since))
    return rows if until is None else rows.where(F.col("entered") <= F.lit(until))


def _looked_at(entrants: DataFrame, dates: tuple[date, ...], every: str, steps: int, last: date) -> DataFrame:
    """Each entrant at the entry (step 0), and at each of the steps that has come by the last published date."""
    numbered = entrants.select("*", F.explode(F.sequence(F.lit(0), F.lit(steps))).alias("step"))
    at = {"night": _nights_on(dates), "week": F.date_add("entered", F.col("step") * 7)}.get(
        every, F.add_months("entered", F.col("step"))
    )
    return numbered.select("*", at.alias("at")).where(F.col("at") <= F.lit(last))


def _nights_on(dates: tuple[date, ...]) -> Column:
    """The published date so many after the entry, which is one of them; null beyond the last."""
    published = F.array(*(F.lit(day) for day in dates))
    return F.get(published, F.array_position(published, F.col("entered")).cast("int") - 1 + F.col("step"))


def _counted(looked_at: DataFrame, every: str) -> list[Any]:
    """A row a cohort and step: at most `MOST_STEPS` + 1 for each published date."""
    start = F.col("entered") if every == "night" else F.trunc("entered", every)
    inside = spells.inside_on(F.col("states"), F.col("at"))
    left = F.exists("states", lambda state: state["on"].between(F.col("entered"), F.col("at")) & ~state["inside"])
    return looked_at.groupBy(start.alias("start"), "by_definition", "step").agg(
        F.count(F.lit(1)).alias("entrants"), F.count_if(inside).alias("members"),
        F.count_if(inside & ~left).alias("stayed"),
    ).where((F.col("step") == 0) | ~F.col("by_definition")).collect()


def _cohorts(counted: Iterable[Any]) -> list[Cohort]:
    """The cohorts of those whom no definition brought in, by their start."""
    found: dict[date, list[Any]] = {}
    for row in counted:
        if not row["by_definition"]:
            found.setdefault(row["start"], []).append(row)
    cohorts = []
    for start, rows in sorted(found.items()):
        first, *later = sorted(rows, key=lambda row: row["step"])
        steps = tuple(CohortStep(row["step"], row["entrants"], row["members"], row["stayed"]) for row in later)
        cohorts.append(Cohort(start, first["entrants"], steps))
    return cohorts


def _cell(cohort: Cohort, place: int) -> str | None:
    if place >= len(cohort.steps):
        return None
    step = cohort.steps[place]
    return f"{step.share:.1%}" + ("" if step.observed == cohort.entrants else " *")
