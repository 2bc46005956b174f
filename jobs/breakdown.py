"""`seglake breakdown`: the members of segments by an attribute or a behaviour."""

from __future__ import annotations

from typing import Annotated

import typer

from jobs import views
from jobs.options import Since, Until, names
from jobs.runner import Job
from jobs.why import Date


def breakdown(
    job: Job,
    segments: Annotated[list[str], typer.Argument(metavar="SEGMENT...", help="Ids of segments; _all is everyone.")],
    by: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A column of customers, a behaviour, a score, segment:ID; default: as in conf."),
    ] = None,
    since: Since = None,
    until: Until = None,
    as_of: Date = None,
) -> None:
    """Show members by a column or behaviour: shares of customers, purchasers and revenue of each group."""
    from segment_lib.api import Tenant

    settings = job.settings()
    with job.lake(settings) as lake:
        found = Tenant(lake.spark, settings).breakdowns(*segments, by=names(by), since=since, until=until, date=as_of)
    job.show(
        {"breakdowns": [one.to_dict() for one in found]},
        *(
            views.table(one.rows(), f"{one.segment}, {one.snapshot_date}, purchases to {one.until}, {one.currency}")
            for one in found
        ),
    )
