"""`seglake why`: why a customer is, or is not, in a segment."""

from __future__ import annotations

from datetime import date
from typing import Annotated

import typer

from jobs.options import day
from jobs.runner import Job

Date = Annotated[
    date | None, typer.Option("--as-of", parser=day, metavar="DATE", help="A published date; default: the last.")
]
Segment = Annotated[str, typer.Argument(metavar="SEGMENT", help="The segment's id.")]


def why(
    job: Job,
    customer: Annotated[str, typer.Argument(metavar="CUSTOMER", help="The customer's id, or one merged into it.")],
    segment: Segment,
    as_of: Date = None,
) -> None:
    """Show each condition's truth for a customer, what decided it, and what would turn it, at a published date."""
    from segment_lib.api import Tenant

    settings = job.settings()
    with job.lake(settings) as lake:
        found = Tenant(lake.spark, settings).why(customer, segment, as_of)
    if job.as_json:
        job.show(found.to_dict())
    else:
        print(found)
