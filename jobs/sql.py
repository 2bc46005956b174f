"""`seglake sql`: a segment as one SQL statement."""

from __future__ import annotations

from jobs.runner import Job
from jobs.why import Date, Segment


def sql(job: Job, segment: Segment, as_of: Date = None) -> None:
    """Print one SQL statement that, run by Spark on the same tables, gives the members at a published date."""
    from segment_lib.api import Tenant

    settings = job.settings()
    with job.lake(settings) as lake:
        text = Tenant(lake.spark, settings).sql(segment, as_of)
    if job.as_json:
        job.show({"segment": segment, "sql": text})
    else:
        print(text)
