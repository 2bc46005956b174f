"""`seglake sync`: the last published members to the destinations of conf, only what changed. To be run after `run`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jobs import views
from jobs.options import names
from jobs.run import MORE
from jobs.runner import Job, command, main, now
from segment_lib.errors import EXIT_FAILED, EXIT_GATE, EXIT_OK

if TYPE_CHECKING:
    from segment_lib.sync.contract import Destination
    from segment_lib.sync.sync import Opener
    from segment_lib.sync_settings import DestinationEntry

#: What is shown of an audience; the table `syncs` has more.
_SHOWN = (
    "destination", "segment_id", "state", "members", "wanted", "unchanged", "added", "removed", "refused", "batches",
    "reason",
)


def sync(
    job: Job,
    destination: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help=f"Only this destination of conf. {MORE}")
    ] = None,
    segment: Annotated[list[str] | None, typer.Option(metavar="ID", help=f"Only this segment. {MORE}")] = None,
    accept: Annotated[
        list[str] | None,
        typer.Option(metavar="SEGMENT", help=f"Send this segment although its fuse holds it; it is recorded. {MORE}"),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what each destination would get, masked; send and write nothing.")
    ] = False,
) -> int:
    """Bring the audiences at the destinations of conf up to date. Exit code 4: a fuse held one; 1: one failed."""
    from segment_lib.runs import new_run_id, read_history
    from segment_lib.sync.sync import sync as bring

    settings = job.settings()
    with job.lake(settings) as lake, job.step("sync"):
        results = bring(
            lake, read_history(lake), opener(job.environ), clock=now, sync_id=new_run_id(job.now), destinations=names(destination),
            segments=names(segment), accept=names(accept), dry_run=dry_run,
        )
    rows = [asdict(result.synced) | {"audience": result.name} for result in results]
    samples = [
        {"destination": result.synced.destination, "segment": result.synced.segment_id, **asdict(sample)}
        for result in results for sample in result.samples
    ]
    title = "would be sent" if dry_run else "sent"
    told: list[Any] = [views.table([{name: row[name] for name in _SHOWN} for row in rows], title)]
    if samples:
        told.append(views.table([one | {"identifiers": identifiers_line(one["identifiers"])} for one in samples], "for example"))
    job.show({"dry_run": dry_run, "audiences": rows, "samples": samples}, *told)
    return exit_code([result.synced.state for result in results])


def opener(environ: Mapping[str, str]) -> Opener:
    """How destinations of conf are opened, with secrets from this environment."""

    def opened(name: str, entry: DestinationEntry) -> Destination:
        from segment_lib.sync.destinations import open_destination

        return open_destination(
            entry.type, entry.options, entry.credentials, environ=environ, now=now, profile=entry.profile,
            region=entry.region,
        )

    return opened


def identifiers_line(identifiers: Mapping[str, Sequence[str]]) -> str:
    """Identifiers as one line to read."""
    return ", ".join(f"{kind} {' '.join(values)}" for kind, values in identifiers.items())


def exit_code(states: Collection[str]) -> int:
    """The exit code of what was sent: a failure before a hold, a hold before success."""
    return EXIT_FAILED if "failed" in states else EXIT_GATE if "held" in states else EXIT_OK


if __name__ == "__main__":
    main(command(sync))
