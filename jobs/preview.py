"""`seglake preview`: a definition tried before it is saved. Nothing is written."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jobs.options import day
from jobs.runner import Job, command, main
from segment_lib.errors import ConfError, Issue, UsageError

if TYPE_CHECKING:
    from segment_lib.definition import Segment
    from segment_lib.settings import Settings


def share(text: str) -> float:
    """A share of all: 0.05 or 5%.

    >>> share("5%"), share("0.2")
    (0.05, 0.2)
    """
    try:
        rate = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        rate = 0.0
    if not 0 < rate <= 1:
        raise typer.BadParameter(f"{text!r} is not a share; write one above 0 and at most 1, such as 0.05 or 5%")
    return rate


def preview(
    job: Job,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A definition, anywhere; its name is the segment's id.")],
    on: Annotated[
        date | None, typer.Option("--as-of", parser=day, metavar="DATE", help="A published date; default: the last.")
    ] = None,
    sample: Annotated[
        float | None,
        typer.Option(
            parser=share, metavar="SHARE", help="Look at this share of customers, 0.05 or 5%; default: about 20,000."
        ),
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Look at all customers: exact, and as slow as a run.")] = False,
) -> None:
    """Try a definition before it is saved: size, revenue, masked examples, who would enter and leave. Writes nothing.

    Exit code 3: it is valid, and a run would hold it back, as it waits for scores or for data.
    """
    settings = job.settings()
    segment, warnings = _read(job, settings, file)
    yesterday = job.snapshot_date(on, settings)
    with job.lake(settings) as lake, job.step("preview"):
        from segment_lib.preview import preview as tried

        result = tried(
            lake, segment, day=on, yesterday=yesterday, rate=sample, full=full,
            notes=tuple(str(issue) for issue in warnings),
        )
    job.show(result.to_dict(), str(result))


def _read(job: Job, settings: Settings, file: Path) -> tuple[Segment, list[Issue]]:
    """The definition in a file, checked beside those of the project as `validate` does, and the warnings about it."""
    from segment_lib.conf import read_conf
    from segment_lib.definition.load import find_segment, load_texts

    try:
        text: str | None = file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        text = None
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}; name a YAML file with a definition") from None
    project = read_conf(job.conf).definitions(settings.tenant)
    others = {name: content for name, content in project.items() if Path(name).stem != file.stem}
    loaded = load_texts({**others, str(file): text}, settings.names())
    if file.stem in loaded.broken:
        raise ConfError(loaded.broken[file.stem])
    return find_segment(loaded.segments, file.stem), [issue for issue in loaded.issues if issue.file == str(file)]


if __name__ == "__main__":
    main(command(preview))
