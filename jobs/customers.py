"""`seglake customers`: the members of a segment with columns of one's choice, as CSV, Parquet or Excel."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from jobs.options import names
from jobs.run import MORE
from jobs.runner import Job, command, main
from jobs.show import Date
from jobs.why import Segment
from segment_lib.errors import UsageError


def customers(
    job: Job,
    segment: Segment,
    on: Date = None,
    columns: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help=f"A customer field, a score, a total, age_group or since. {MORE}"
        ),
    ] = None,
    format: Annotated[
        str | None, typer.Option(metavar="NAME", help="csv, parquet or xlsx; default: by the file's name, or csv.")
    ] = None,
    output: Annotated[
        str | None, typer.Option(metavar="PATH", help="A file, a folder or an s3:// address; default: CSV to stdout.")
    ] = None,
    masked: Annotated[bool, typer.Option("--masked", help="Mask personal data also where conf allows it.")] = False,
) -> None:
    """Write the members of a segment with chosen columns. Personal data is masked unless conf allows it."""
    from segment_lib.api import Tenant
    from segment_lib.customers import columns as choices
    from segment_lib.customers.place import format_of

    settings = job.settings()
    wanted = choices.chosen(settings, names(columns))
    kind = format_of(format, output)
    clear = not masked and settings.customers.personal_data == "allowed" and choices.personal(settings, wanted)
    to_stdout = output is None and not clear and kind == "csv"
    if to_stdout and job.as_json:
        raise UsageError("--json tells about a file: name it with --output PATH")
    with job.lake(settings) as lake:
        tenant = Tenant(lake.spark, settings)
        if to_stdout:
            tenant.save_customers(segment, sys.stdout.buffer, on, wanted)
            return
        with job.step("write"):
            saved = tenant.save_customers(segment, output, on, wanted, format=kind, masked=masked)
    told = f"{saved.rows:,} customers of {segment} on {saved.date}: {saved.path}"
    hidden = f"masked: {', '.join(saved.masked)}" if saved.masked else "nothing is masked"
    job.show(vars(saved), told, hidden)


if __name__ == "__main__":
    main(command(customers))
