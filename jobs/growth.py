"""`seglake growth`, `retention`, `moves` and `lift`: how segments change over the nights, and what they earn."""

from __future__ import annotations

from typing import Annotated

import typer

from jobs import views
from jobs.options import Since, Until, names
from jobs.runner import Job
from jobs.why import Date, Segment
from segment_lib.errors import UsageError


def growth(
    job: Job,
    segment: Segment,
    since: Since = None,
    until: Until = None,
    figure: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Also these figures of docs/metrics.md.")
    ] = None,
) -> None:
    """Show a segment's size on each date, who entered and left and why, edits, and revenue since its start."""
    from segment_lib.api import Tenant
    from segment_lib.growth import SHOWN

    settings = job.settings()
    with job.lake(settings) as lake:
        found = Tenant(lake.spark, settings).growth(segment, since, until, names(figure))
    rows = found.rows()
    more = f", the last {SHOWN} of {len(rows)}" if len(rows) > SHOWN else ""
    title = f"{segment}, first published {found.created}{more}, {found.currency}"
    missing = [
        f"nothing is known of {gap.first} to {gap.last}: {'published without it' if gap.published else 'not published'}"
        for gap in found.gaps
    ]
    job.show(found.to_dict(), views.table(rows[-SHOWN:], title), *missing)


def retention(
    job: Job,
    segment: Segment,
    since: Since = None,
    until: Until = None,
    every: Annotated[str, typer.Option(metavar="PERIOD", help="Cohorts by month, week or night.")] = "month",
    steps: Annotated[int, typer.Option(help="Follow each cohort for so many periods.")] = 12,
) -> None:
    """Show how many of those who entered a segment in each period are members after one, two, three ... periods."""
    from segment_lib.api import Tenant

    settings = job.settings()
    with job.lake(settings) as lake:
        found = Tenant(lake.spark, settings).retention(segment, since, until, every, steps)
    job.show(
        found.to_dict(), views.table(found.rows(), f"{segment}, by {every} of the first entry, up to {found.until}"),
        f"{found.by_definition:,} entered by a definition and are in no cohort; * not all have come that far",
    )


def moves(
    job: Job,
    segments: Annotated[list[str] | None, typer.Argument(metavar="SEGMENT...", help="The segments' ids.")] = None,
    since: Since = None,
    until: Until = None,
    score: Annotated[
        str | None, typer.Option(metavar="SCORE", help="In place of segments: rfm.group or churn.status.")
    ] = None,
) -> None:
    """Show how many customers went from which segment, or group of a score, to which between two published dates."""
    from segment_lib.api import Tenant

    if bool(segments) == bool(score):
        raise UsageError("name segments, or a score with --score, and not both")
    settings = job.settings()
    with job.lake(settings) as lake:
        tenant = Tenant(lake.spark, settings)
        if score:
            found = tenant.score_moves(score, since, until)
        else:
            found = tenant.moves(*segments or (), since=since, until=until)
    title = f"customers from {found.since} (rows) to {found.until} (columns)"
    job.show(found.to_dict(), views.table(found.rows(), title))


def lift(
    job: Job,
    segment: Segment,
    as_of: Date = None,
    days: Annotated[int, typer.Option(help="So many days after each customer's first exposure.")] = 30,
) -> None:
    """Show the revenue per head of members who may be reached against the held-out, with 95% intervals."""
    from segment_lib.api import Tenant

    settings = job.settings()
    with job.lake(settings) as lake:
        found = Tenant(lake.spark, settings).lift(segment, as_of, days)
    job.show(found.to_dict(), views.table(found.rows(), f"{segment}, {found.snapshot_date}"), *found.notes())
