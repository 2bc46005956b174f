"""`seglake run`: one snapshot date, evaluated and published. What a scheduler calls every night."""

from __future__ import annotations

from typing import Annotated

import typer

from jobs.options import AsOf, names
from jobs.runner import Job, command, main, spinner

MORE = "Several: again, or with commas."
Accept = Annotated[
    list[str] | None,
    typer.Option(metavar="GATE", help=f"Let this gate pass, whatever it finds; it is recorded. {MORE}"),
]
Strict = Annotated[bool, typer.Option("--strict", help="Stop when a definition is broken; the others would be run.")]
Fresh = Annotated[bool, typer.Option("--fresh", help="Do not go on with the inputs of a run that died.")]
Full = Annotated[bool, typer.Option("--full", help="Read all data files anew, whatever earlier nights kept of them.")]
AsThen = Annotated[bool, typer.Option("--as-then", help="Use the inputs and definitions recorded for that date.")]


def run(
    job: Job,
    as_of: AsOf = None,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help=f"Only this segment, at the last published date. {MORE}"),
    ] = None,
    accept: Accept = None,
    strict: Strict = False,
    fresh: Fresh = False,
    as_then: AsThen = False,
    full: Full = False,
) -> int:
    """Evaluate every segment at one date and publish the snapshot."""
    import segment_lib
    from jobs import views
    from jobs.scoring import scorers
    from jobs.telling import telling
    from segment_lib import nightly
    from segment_lib.runs import read_history

    settings = job.settings()
    with telling(job, settings, [as_of] if as_of else []) as night:
        day = job.snapshot_date(as_of, settings)
        definitions = job.definitions(settings)
        with job.lake(settings) as lake, night.within(lake):
            if only and as_of is None:
                latest = read_history(lake).latest
                day = latest.snapshot_date if latest else day
            outcome = nightly.run(
                lake, settings, definitions, snapshot_date=day, now=job.now, only=names(only), accept=names(accept),
                strict=strict, fresh=fresh, as_then=as_then, full=full, scorers=scorers(job, settings, lake),
                code_version=segment_lib.__version__, progress=spinner, ended=night.ended,
            )
    job.show(views.outcome(outcome), *views.told(outcome))
    return outcome.exit_code


if __name__ == "__main__":
    main(command(run))
