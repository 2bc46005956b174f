"""`seglake compare`: segments side by side."""

from __future__ import annotations

from typing import Annotated

import typer

from jobs import views
from jobs.runner import Job
from jobs.why import Date


def compare(
    job: Job,
    segments: Annotated[list[str], typer.Argument(metavar="SEGMENT...", help="Two to five ids; _all is everyone.")],
    as_of: Date = None,
) -> None:
    """Show every figure of two to five segments side by side, with differences, and how their members overlap."""
    from segment_lib.api import Tenant

    settings = job.settings()
    with job.lake(settings) as lake:
        found = Tenant(lake.spark, settings).compare(*segments, date=as_of)
    regions = [{"in": ", ".join(region.inside), "customers": region.customers} for region in found.regions]
    job.show(
        found.to_dict(), views.table(found.rows(), f"{found.snapshot_date}, figures"),
        views.table(regions, "\nwho is in which of them, and in no other"),
    )
