"""`seglake sql`: a segment, or one of its figures, as one SQL statement."""

from __future__ import annotations

from typing import Annotated

import typer

from jobs.runner import Job
from jobs.why import Date
from segment_lib.errors import UsageError


def sql(
    job: Job,
    names: Annotated[
        list[str],
        typer.Argument(metavar="[METRIC] SEGMENT", help="The segment's id (_all is everyone), after a figure if asked for."),
    ],
    as_of: Date = None,
) -> None:
    """Print one SQL statement that, run by Spark on the same tables, gives the members or a figure at a date."""
    from segment_lib.api import Tenant

    if len(names) > 2:
        raise UsageError(f"sql takes a segment, or a figure and a segment, not {len(names)} names")
    *figure, segment = names
    settings = job.settings()
    with job.lake(settings) as lake:
        text = Tenant(lake.spark, settings).sql(segment, as_of, figure[0] if figure else None)
    if job.as_json:
        job.show({"segment": segment, "sql": text} | ({"figure": figure[0]} if figure else {}))
    else:
        print(text)
