"""`seglake validate`, `schema` and `plan`: definitions checked, described to editors, planned. Nothing is written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from jobs.options import AsOf
from jobs.runner import Job
from segment_lib.errors import EXIT_OK, EXIT_USAGE, ConfError, Issue, UsageError

if TYPE_CHECKING:
    from segment_lib.definition import Loaded
    from segment_lib.settings import Settings


Data = Annotated[bool, typer.Option("--data", help="Look at the data too, with Spark: what no data has ever matched.")]
Strict = Annotated[bool, typer.Option("--strict", help="Warnings end with exit code 2, as faults do.")]


def validate(job: Job, data: Data = False, strict: Strict = False) -> int:
    """Check conf and every definition, without Spark: faults, and what nobody can have meant, with file and line."""
    from segment_lib.conf import read_conf
    from segment_lib.definition.load import load_texts

    conf = read_conf(job.conf)
    issues: list[Issue] = []
    tenant, settings = job.tenant, None
    try:
        settings = conf.settings(job.tenant, environ=job.environ)
        tenant = settings.tenant
    except ConfError as error:
        issues += error.issues
    catalogue = conf.catalogue(tenant, job.environ)
    texts = conf.definitions(tenant or "")
    segments = 0
    rows: Mapping[str, int] = {}
    if not texts:
        place = f"{conf.name}/segments"
        hint = "one YAML file a segment"
        issues.append(Issue(place, 1, "", "there is no definition", hint, "warning", "no_definition"))
    elif catalogue is not None:
        loaded = load_texts(texts, catalogue)
        issues += loaded.issues
        segments = len(loaded.segments)
        if settings is not None:
            warnings, rows = _warnings(job, settings, loaded, data)
            issues += warnings
    issues.sort()
    faults = [issue for issue in issues if issue.severity == "error"]
    files = {issue.file for issue in faults}
    summary = f"{len(faults)} faults in {len(files)} files" if faults else f"{segments} definitions are valid"
    if len(issues) > len(faults):
        count = len(issues) - len(faults)
        summary += f", {count} {'warning' if count == 1 else 'warnings'}"
    if rows:
        summary += "; looked at " + ", ".join(f"{count:,} {table}" for table, count in rows.items())
    ok = not (issues if strict else faults)
    job.show(
        {"ok": ok, "valid": segments, "issues": [vars(issue) for issue in issues]} | ({"rows": rows} if data else {}),
        *(str(issue) for issue in issues), summary,
    )
    return EXIT_OK if ok else EXIT_USAGE


def _warnings(job: Job, settings: Settings, loaded: Loaded, data: bool) -> tuple[list[Issue], Mapping[str, int]]:
    """What definitions without faults say that nobody can have meant; with `data` what nothing in it matches, too."""
    from segment_lib.clock import Clock
    from segment_lib.definition.meaning import Known, check_meaning

    clock = Clock(job.snapshot_date(None, settings), settings.zone)
    kept = {table: section.kept for table, section in settings.inputs.items() if section.kept}
    known = Known(settings.names(), loaded.ids, settings.zone, kept, clock)
    found = check_meaning(loaded.segments, known)
    issues = [issue for segment, faults in found.items() for issue in loaded.placed(segment, faults)]
    if not data or not loaded.segments:
        return issues, {}
    from segment_lib.language.scope import Scope
    from segment_lib.unmatched import look

    with job.lake(settings) as lake, job.step("look at the data"):
        looked = look(lake, loaded.segments, Scope(known.catalogue, clock, known.ids))
    issues += [issue for segment, faults in looked.warnings.items() for issue in loaded.placed(segment, faults)]
    return issues, looked.rows


def schema(job: Job) -> None:
    """Print the JSON Schema of a definition, with this project's names, so that editors complete and check files."""
    from segment_lib.conf import read_conf
    from segment_lib.definition.schema import json_schema

    try:
        catalogue = read_conf(job.conf).catalogue(job.tenant, job.environ)
    except UsageError:
        catalogue = None
    print(json.dumps(json_schema(catalogue), ensure_ascii=False, indent=2))


def plan(job: Job, as_of: AsOf = None) -> None:
    """Show what a run would do: segments in order, features and who shares them, rows to read. Writes nothing."""
    from jobs import views
    from jobs.scoring import scorers
    from segment_lib import night, static
    from segment_lib.preparation import prepare
    from segment_lib.runs import read_history

    settings = job.settings()
    day = job.snapshot_date(as_of, settings)
    definitions = job.definitions(settings)
    with job.lake(settings) as lake:
        history = read_history(lake)
        work = prepare(lake, definitions, history, day, job.now)
        plan = night.planned(work, static.sort(work, history), settings, scorers(job, settings, lake)(work))
        read = {"customers", *plan.sources}
        rows = {table: lake.read(table, version).count() for table, version in work.pins.items() if table in read}
    planned = plan.to_dict() | {"rows_to_read": rows, "input_versions": dict(work.pins), "broken": dict(work.definitions.broken)}
    held = [{"segment": name, "reason": "inactive or frozen: its members are copied"} for name in planned["fixed"]]
    held += [{"segment": name, "reason": why} for name, why in planned["stalled"].items()]
    job.show(
        planned,
        views.table(planned["segments"], f"{day}: segments in the order of evaluation"),
        *([views.table(held, "\nheld: these keep their members")] if held else []),
        views.table(planned["features"], "\nfeatures, each computed once"),
        views.table([{"table": name, "rows": count} for name, count in rows.items()], "\nrows to read, each once"),
    )
