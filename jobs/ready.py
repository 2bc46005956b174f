"""`seglake ready`: definitions that fit any shop, listed, shown, and copied into the project. No Spark."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from jobs import views
from jobs.options import names
from jobs.runner import Job
from segment_lib.errors import ConfError, UsageError

if TYPE_CHECKING:
    from segment_lib.catalogue import Catalogue
    from segment_lib.conf import Conf
    from segment_lib.ready import Ready


def ready(
    job: Job,
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="ID", help="Only these, or all.", show_default=False)
    ] = None,
    group: Annotated[
        str | None, typer.Option(metavar="GROUP", help="Only those of segmentify, attribuly or daily.")
    ] = None,
    add: Annotated[bool, typer.Option("--add", help="Copy them into conf/segments; no file is overwritten.")] = False,
    show: Annotated[bool, typer.Option("--show", help="Print their YAML.")] = False,
) -> None:
    """List ready segments and whether this project can run them; copy them into conf with --add."""
    from segment_lib.ready import choose

    wanted = names(ids)
    flag = "--add" if add else "--show"
    if add and show:
        raise UsageError("--add copies and --show prints: give one of them")
    if (add or show) and not (wanted or group):
        raise UsageError(f"say which: seglake ready {flag} ID..., {flag} all, or {flag} --group GROUP")
    chosen = choose(wanted, group)
    if show:
        job.show({"segments": [{"segment": one.id, "yaml": one.text} for one in chosen]}, _listing(chosen))
    elif add:
        _add(job, chosen, named=bool(set(wanted) - {"all"}))
    else:
        _list(job, chosen)


def _listing(chosen: tuple[Ready, ...]) -> str:
    """The files one after the other; a comment names each when there are several."""
    if len(chosen) == 1:
        return chosen[0].text.rstrip("\n")
    return "\n".join(f"# {one.id}.yaml\n{one.text}" for one in chosen).rstrip("\n")


def _list(job: Job, chosen: tuple[Ready, ...]) -> None:
    """What there is, what each needs, and whether this project's conf has it; without a conf that is not known."""
    conf, tenant, catalogue, note = _project(job)
    rows, details = [], []
    for one in chosen:
        missing = one.missing(catalogue) if catalogue else None
        state = _state(conf, tenant, one)
        rows.append({
            "group": one.group, "segment": one.id, "name": one.title, "needs": one.needs,
            "here": _here(one, missing), "in project": state,
        })
        details.append({
            "segment": one.id, "name": one.title, "group": one.group, "description": one.description,
            "scores": one.scores, "event_types": one.event_types,
            "recommended": one.segment.recommended.icon if one.segment.recommended else None,
            "runs_here": None if missing is None else not missing, "missing": missing or (),
            "in_project": state or None,
        })
    hint = f"seglake ready --show ID prints one, seglake ready --add ID... copies into {job.conf}/segments"
    job.show({"segments": details, "note": note or None}, views.table(rows), f"\n{note or hint}")


def _project(job: Job) -> tuple[Conf | None, str, Catalogue | None, str]:
    """The project's conf, tenant and names, as far as they can be read, and in words why they cannot."""
    from segment_lib.conf import read_conf

    try:
        conf = read_conf(job.conf)
        settings = conf.settings(job.tenant, environ=job.environ)
    except UsageError as error:
        return None, "", None, str(error)
    except ConfError:
        faults = f"{job.conf} has faults: seglake validate lists them"
        return conf, "", conf.catalogue(job.tenant, job.environ), faults
    return conf, settings.tenant, settings.names(), ""


def _here(one: Ready, missing: tuple[str, ...] | None) -> str:
    if missing is None:
        return ""
    if missing:
        return f"lacks {', '.join(missing)}"
    return "when its scores are published" if one.waits_for else "yes"


def _state(conf: Conf | None, tenant: str, one: Ready) -> str:
    """Whether a file of that id is in the project: ``same``, ``other`` (with other content), or nothing."""
    from segment_lib.ready.adding import taken

    found = taken(conf, tenant, one) if conf else {}
    return "" if not found else "same" if all(found.values()) else "other"


def _add(job: Job, chosen: tuple[Ready, ...], named: bool) -> None:
    """Copies; those that conf lacks something for are a fault when they were named, and left out of a group."""
    from segment_lib.conf import read_conf
    from segment_lib.ready.adding import add

    conf = read_conf(job.conf)
    settings = conf.settings(job.tenant, environ=job.environ)
    lacking = {one.id: missing for one in chosen if (missing := one.missing(settings.names()))}
    told = [f"{name} needs {', '.join(missing)}" for name, missing in lacking.items()]
    if lacking and named:
        raise UsageError(
            f"{'; '.join(told)}; declare it in the catalogue of {job.conf}/base.yaml when your data has it. "
            "Nothing was written"
        )
    copied = [one for one in chosen if one.id not in lacking]
    done = add(conf, settings.tenant, copied)
    waiting = [one.id for one in copied if one.waits_for]
    options = (f" --conf {job.conf}" if job.conf != "conf" else "") + (f" --tenant {job.tenant}" if job.tenant else "")
    following = [f"seglake validate{options}", f"seglake run{options}"]
    result: dict[str, Any] = {
        "written": done.written, "unchanged": done.unchanged, "waiting": waiting,
        "left_out": [{"segment": name, "missing": missing} for name, missing in lacking.items()], "next": following,
    }
    job.show(
        result,
        *(f"  {file}" for file in done.written),
        f"{len(done.written)} written, {len(done.unchanged)} there already and equal",
        *(f"left out: {line}" for line in told),
        *([f"waiting until their scores are published: {', '.join(waiting)}"] if waiting else []),
        f"\nGo on: {'; '.join(following)}",
    )
