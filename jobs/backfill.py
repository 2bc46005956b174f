"""`seglake backfill`: several dates, in ascending order whatever order they are given in."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Annotated

import typer

from jobs.options import day, names
from jobs.run import Accept, AsThen, Fresh, Full, Strict
from jobs.runner import Job, command, main, spinner
from segment_lib.errors import EXIT_OK, UsageError

MAX_DATES = 3660


def backfill(
    job: Job,
    first: Annotated[date | None, typer.Option("--from", parser=day, metavar="DATE", help="The first date.")] = None,
    last: Annotated[date | None, typer.Option("--to", parser=day, metavar="DATE", help="The last date.")] = None,
    dates: Annotated[str, typer.Option(metavar="DATE,DATE", help="Single dates.")] = "",
    stale: Annotated[bool, typer.Option("--stale", help="The dates that leaned on one restated since.")] = False,
    accept: Accept = None,
    strict: Strict = False,
    fresh: Fresh = False,
    as_then: AsThen = False,
    full: Full = False,
) -> int:
    """Run several dates again, or for the first time: a range, single dates, or the stale ones."""
    import segment_lib
    from jobs import views
    from jobs.scoring import scorers
    from jobs.telling import telling
    from segment_lib import nightly

    settings = job.settings()
    asked = _asked(first, last, dates, stale)
    with telling(job, settings, asked) as nights:
        for one in asked:
            job.snapshot_date(one, settings)
        definitions = job.definitions(settings)
        with job.lake(settings) as lake, nights.within(lake):
            outcomes = nightly.backfill(
                lake, settings, definitions, asked, stale=stale, now=job.now, accept=names(accept), strict=strict,
                fresh=fresh, as_then=as_then, full=full, scorers=scorers(job, settings, lake),
                code_version=segment_lib.__version__, progress=spinner, ended=nights.ended,
            )
    told = [view for outcome in outcomes for view in views.told(outcome)]
    job.show({"runs": [views.outcome(outcome) for outcome in outcomes]}, *(told or ["no date is stale"]))
    return max((outcome.exit_code for outcome in outcomes), default=EXIT_OK)


def _asked(first: date | None, last: date | None, dates: str, stale: bool) -> list[date]:
    """The dates that were named; exactly one way of naming them is allowed."""
    if sum((first is not None or last is not None, bool(dates), stale)) != 1:
        raise UsageError("name the dates in one way: --from DATE --to DATE, --dates DATE,DATE or --stale")
    if stale:
        return []
    if dates:
        return [day(text.strip()) for text in dates.split(",")]
    if first is None or last is None:
        raise UsageError("--from and --to go together")
    if last < first or (last - first).days >= MAX_DATES:
        raise UsageError(f"--from {first} --to {last} is not a range of 1 to {MAX_DATES} days")
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


if __name__ == "__main__":
    main(command(backfill))
