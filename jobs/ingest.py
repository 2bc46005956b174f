"""`seglake ingest`: files into an input table, with every rejected row in `quarantine`."""

from __future__ import annotations

from typing import Annotated

import typer

from jobs.runner import Job, command, main


def ingest(
    job: Job,
    table: Annotated[str, typer.Argument(metavar="TABLE", help="customers, events, orders, lists, aliases, erasures.")],
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="CSV, JSON lines or Parquet; files or folders.")],
    form: Annotated[
        str | None, typer.Option("--format", metavar="csv|json|parquet", help="Default: what the names end in.")
    ] = None,
    list_id: Annotated[
        str | None, typer.Option("--list", metavar="ID", help="With lists: the list that all rows belong to.")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="With --list: who is not in the files leaves the list.")
    ] = False,
) -> None:
    """Load files into an input table: columns mapped by conf, types checked, merged by key."""
    from jobs import views
    from segment_lib.ingest import ingest as load
    from segment_lib.runs import new_run_id

    settings = job.settings()
    with job.lake(settings) as lake, job.step(f"load {table}"):
        loaded = load(lake, settings, table, files, job.now, new_run_id(job.now), form, list_id=list_id, replace=replace)
    result = {name: value for name, value in vars(loaded).items() if name != "by_reason"}
    reasons = [{"rejected": count, "reason": reason} for reason, count in loaded.by_reason.items()]
    job.show(
        result | {"by_reason": dict(loaded.by_reason)}, views.table([result]),
        *([views.table(reasons, "\nrejected rows, kept in quarantine")] if reasons else []),
    )


if __name__ == "__main__":
    main(command(ingest))
