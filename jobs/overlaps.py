"""`seglake overlaps`: how many customers segments share, each with each."""

from __future__ import annotations

from typing import Annotated

import typer

from jobs import views
from jobs.runner import Job
from jobs.why import Date


def overlaps(
    job: Job,
    segment: Annotated[str | None, typer.Argument(metavar="[SEGMENT]", help="Only pairs with this one.")] = None,
    as_of: Date = None,
    limit: Annotated[
        int, typer.Option(min=1, max=10_000, help="How many pairs, those that share most of their members first.")
    ] = 20,
) -> None:
    """Show which segments have the same customers: for each pair how many, and what share of either."""
    from pyspark.sql import functions as F

    from segment_lib.api import Tenant

    settings = job.settings()
    with job.lake(settings) as lake:
        found = Tenant(lake.spark, settings).overlaps(segment, as_of)
        # Without a segment each pair is shown once.
        found = found if segment else found.where("segment_id < other_id")
        rows = found.orderBy(F.desc("jaccard"), "segment_id", "other_id").limit(limit).collect()
    pairs = [row.asDict() for row in rows]
    job.show({"overlaps": pairs}, views.table(pairs) if pairs else "no two segments share a customer")
