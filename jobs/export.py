"""`seglake export`: files of segments' members for other systems, whole or what changed since the last ones."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from jobs import views
from jobs.options import names
from jobs.run import MORE
from jobs.runner import Job, command, main
from jobs.show import Date
from segment_lib.errors import UsageError


def export(
    job: Job,
    segments: Annotated[list[str], typer.Argument(metavar="SEGMENT...", help="The ids of segments.")],
    mode: Annotated[
        str, typer.Option(metavar="MODE", help="full: all rows. delta: what differs from the last export there.")
    ] = "full",
    format: Annotated[str, typer.Option(metavar="NAME", help="parquet, csv or jsonl.")] = "parquet",
    columns: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help=f"A customer field, a score, a total, age_group or since. {MORE}"),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="A folder or s3:// prefix; default: exports in the tenant's folder."),
    ] = None,
    on: Date = None,
    consent: Annotated[
        str | None, typer.Option(metavar="CHANNEL", help="Only who has agreed to email, sms or push.")
    ] = None,
    masked: Annotated[bool, typer.Option("--masked", help="Mask personal data also where conf allows it.")] = False,
    profile: Annotated[
        str | None, typer.Option(metavar="NAME", help="Identifiers as a platform takes them, such as meta-2025-09.")
    ] = None,
    region: Annotated[
        str | None, typer.Option(metavar="XX", help="The country of telephone numbers that do not name theirs.")
    ] = None,
    rows_per_file: Annotated[int, typer.Option(min=1, help="Rows of one file, about.")] = 500_000,
) -> None:
    """Export segments as files with a manifest, which is written last. The same again writes nothing."""
    from segment_lib.export.export import Wish
    from segment_lib.export.export import export as write
    from segment_lib.export.parts import FORMATS
    from segment_lib.runs import read_history

    if mode not in ("full", "delta"):
        raise UsageError(f"there is no mode {mode!r}; known: full, delta")
    if format not in FORMATS:
        raise UsageError(f"there is no format {format!r}; known: {', '.join(FORMATS)}")
    settings = job.settings()
    wish = Wish(mode, format, tuple(names(columns)), output, consent, masked, profile, region, rows_per_file)
    rows: list[dict[str, Any]] = []
    with job.lake(settings) as lake:
        history = read_history(lake)
        for segment in dict.fromkeys(names(segments)):
            with job.step(f"export {segment}"):
                done = write(lake, history, segment, wish, now=job.now, day=on)
            said = done.manifest
            rows.append({
                "segment": segment, "date": said.as_of, "mode": said.mode, "written": done.wrote, **said.counts,
                "files": len(said.files), "path": done.path,
            })
    job.show({"exports": rows}, views.table(rows))


if __name__ == "__main__":
    main(command(export))
