"""`seglake report`: everything that is published as one page that opens anywhere."""

from __future__ import annotations

from typing import Annotated

import typer

from jobs.runner import Job
from jobs.why import Date


def report(
    job: Job,
    segments: Annotated[
        list[str] | None, typer.Option("--segment", metavar="ID", help="Only this one; may be given more than once.")
    ] = None,
    as_of: Date = None,
    output: Annotated[
        str | None, typer.Option(metavar="FILE", help="The page; default TENANT-DATE.html in this folder.")
    ] = None,
    sql: Annotated[
        bool, typer.Option("--sql", help="With the SQL of each definition: about half a second a segment.")
    ] = False,
    breakdowns: Annotated[
        bool, typer.Option("--breakdowns", help="With the charts of conf (breakdowns.charts), which reads the inputs.")
    ] = False,
) -> None:
    """Write the segments as one HTML page that needs no network: list, figures, growth, overlaps, definitions."""
    from segment_lib.api import Tenant

    settings = job.settings()
    with job.lake(settings) as lake, job.step("write"):
        path = Tenant(lake.spark, settings).report(output, segments or (), as_of, sql=sql, breakdowns=breakdowns)
    job.show({"path": str(path), "bytes": path.stat().st_size}, f"{path}, {path.stat().st_size / 1e6:.1f} MB")
