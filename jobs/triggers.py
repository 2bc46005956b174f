"""`seglake triggers`: messages on entering and leaving segments. To be run as often as messages are to go out."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from jobs import views
from jobs.options import names
from jobs.run import MORE
from jobs.runner import Job, command, main, now
from jobs.sync import exit_code, identifiers_line, opener

#: What is shown of a trigger; the table `trigger_fires` has more.
_SHOWN = ("trigger", "segment_id", "state", "queued", "due", "void", "sent", "refused", "waiting", "reason")


def triggers(
    job: Job,
    trigger: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help=f"Only this trigger of conf. {MORE}")
    ] = None,
    accept: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help=f"Queue more occasions for this trigger than its at_most. {MORE}"),
    ] = None,
    skip: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help=f"Pass over the new occasions of this trigger, for good. {MORE}"),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show who would get what, masked; send and write nothing.")
    ] = False,
) -> int:
    """Send the messages of conf that are due. Exit code 4: a trigger was held; 1: one failed."""
    from segment_lib.runs import new_run_id, read_history
    from segment_lib.triggers.fire import fire

    settings = job.settings()
    with job.lake(settings) as lake, job.step("triggers"):
        results = fire(
            lake, read_history(lake), opener(job.environ), clock=now, fire_id=new_run_id(job.now),
            triggers=names(trigger), accept=names(accept), skip=names(skip), dry_run=dry_run,
        )
    rows = [asdict(result.fired) for result in results]
    samples = [{"trigger": result.fired.trigger, **asdict(one)} for result in results for one in result.samples]
    title = "would be sent" if dry_run else "sent"
    told: list[Any] = [views.table([{name: row[name] for name in _SHOWN} for row in rows], title)]
    if samples:
        lines = [
            {"trigger": one["trigger"], "to": identifiers_line(one["identifiers"]), **one["message"]}
            for one in samples
        ]
        told.append(views.table(lines, "for example"))
    job.show({"dry_run": dry_run, "triggers": rows, "samples": samples}, *told)
    return exit_code([result.fired.state for result in results])


if __name__ == "__main__":
    main(command(triggers))
