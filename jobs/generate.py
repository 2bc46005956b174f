"""`seglake generate`: a made-up shop of any size in the tenant's input tables."""

from __future__ import annotations

from typing import Annotated

import typer

from jobs.options import AsOf
from jobs.runner import Job, command, main


def generate(
    job: Job,
    customers: Annotated[int, typer.Option(min=1, help="How many profiles.")] = 2_000,
    events: Annotated[int, typer.Option(min=0, help="How many events.")] = 20_000,
    seed: Annotated[int, typer.Option(help="Equal seeds give equal rows.")] = 7,
    days: Annotated[int, typer.Option(min=2, help="How many days of trade, the last one being --as-of.")] = 540,
    as_of: AsOf = None,
) -> None:
    """Fill the input tables of a new tenant with a made-up shop."""
    from segment_lib import generate as shops
    from segment_lib.errors import UsageError
    from segment_lib.runs import new_run_id

    settings = job.settings()
    until = job.snapshot_date(as_of, settings)
    with job.lake(settings) as lake:
        if filled := sorted(lake.pin()):
            raise UsageError(f"tenant {settings.tenant!r} has input already ({', '.join(filled)}); choose a new one")
        with job.step("generate"):
            frames = shops.generate_shop(
                lake.spark, settings, customers=customers, events=events, seed=seed, until=until, days=days
            )
            shops.write_shop(lake, frames, new_run_id(job.now))
        rows = {table: lake.read(table).count() for table in frames}
        job.show(
            {"tenant": settings.tenant, "until": until, "seed": seed, "rows": rows},
            *(f"{count:>12,}  {lake.path(table)}" for table, count in rows.items()),
        )


if __name__ == "__main__":
    main(command(generate))
