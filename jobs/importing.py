"""`seglake import`: definitions of other products as files of ours, or the reasons why not."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jobs.runner import Job
from segment_lib.errors import EXIT_OK, EXIT_USAGE, ConfError, StorageError, UsageError

if TYPE_CHECKING:
    from segment_lib.conf import Conf
    from segment_lib.importers import Draft


class Origin(StrEnum):
    """The products that definitions can come from."""

    KLAVIYO = "klaviyo"
    POSTHOG = "posthog"
    SEGMENT = "segment"


def import_(
    job: Job,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What the product's API gave: one segment or many.")],
    source: Annotated[Origin, typer.Option("--from", help="The product that the file comes from.")],
    names: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="YAML: our names by theirs, under events, fields, lists, segments."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where to write; default: the segments folder of conf.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
) -> int:
    """Turn segments of Klaviyo, PostHog or Twilio Segment into definitions, or say why one has no equal here."""
    from segment_lib.conf import read_conf
    from segment_lib.importers import SOURCES, check, read_names, translate

    known = read_names(_text(names), str(names)) if names else None
    catalogue = None
    others: dict[str, str | None] = {}
    try:
        conf = read_conf(job.conf)
    except UsageError:
        if out is None:
            raise
    else:
        catalogue = conf.catalogue(job.tenant, job.environ)
        if catalogue is None:
            raise UsageError(f"{job.conf} has faults; seglake validate names them")
        others = conf.definitions(_tenant(conf, job))
    if out is None and "://" in job.conf:
        raise UsageError("definitions are not written into an object store; name a folder with --out")
    folder = str(out) if out else f"{job.conf.rstrip('/')}/segments"

    imported = translate(SOURCES[source.value], _text(file), str(file), known, catalogue)
    drafts = tuple(_unless_there(draft, Path(folder), force) for draft in imported.drafts)
    drafts = check(drafts, folder, others, catalogue)
    written = [draft for draft in drafts if not draft.reasons]
    _write(written, Path(folder))

    lines = [f"warning: {warning}" for warning in imported.warnings]
    for draft in drafts:
        if draft.reasons:
            lines.append(f"not imported: {draft.name or draft.id} ({draft.place})")
            lines += [f"  {reason}" for reason in draft.reasons]
        else:
            lines.append(f"{folder}/{draft.id}.yaml")
            lines += [f"  warning: {note}" for note in draft.notes]
    failed = len(drafts) - len(written)
    if catalogue is None:
        lines.append("warning: without conf the names were not checked")
    lines.append(f"{len(written)} imported" + (f", {failed} not" if failed else ""))
    job.show(
        {
            "ok": not failed, "warnings": list(imported.warnings),
            "imported": [
                {"segment": draft.id, "source_id": draft.source_id, "file": f"{folder}/{draft.id}.yaml",
                 "differences": [vars(note) for note in draft.notes]}
                for draft in written
            ],
            "failed": [
                {"segment": draft.id, "source_id": draft.source_id, "name": draft.name, "place": draft.place,
                 "reasons": [vars(reason) for reason in draft.reasons]}
                for draft in drafts if draft.reasons
            ],
        },
        *lines,
    )
    return EXIT_USAGE if failed else EXIT_OK


def _tenant(conf: Conf, job: Job) -> str:
    """The tenant whose definitions are there already; none when conf has other faults, which do not matter here."""
    try:
        return conf.settings(job.tenant, environ=job.environ).tenant
    except ConfError:
        return job.tenant or ""


def _unless_there(draft: Draft, folder: Path, force: bool) -> Draft:
    from segment_lib.importers.document import Finding

    path = folder / f"{draft.id}.yaml"
    if force or not path.exists():
        return draft
    return draft.refused(Finding(draft.place, f"{path} exists; --force replaces it, the names file gives another id"))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not UTF-8 text; save it as UTF-8") from None


def _write(drafts: list[Draft], folder: Path) -> None:
    try:
        for draft in drafts:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{draft.id}.yaml").write_text(draft.text, encoding="utf-8")
    except OSError as error:
        raise StorageError(f"{folder} cannot be written: {error.strerror}") from None
