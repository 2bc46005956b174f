"""`seglake validate`, `schema` and `plan`: definitions checked, described to editors, planned. Nothing is written."""

from __future__ import annotations

import json

from jobs.options import AsOf
from jobs.runner import Job
from segment_lib.errors import EXIT_OK, EXIT_USAGE, ConfError, Issue, UsageError


def validate(job: Job) -> int:
    """Check conf and every definition, without Spark and without data; all faults at once, each with file and line."""
    from segment_lib.conf import read_conf
    from segment_lib.definition.load import load_texts

    conf = read_conf(job.conf)
    issues: list[Issue] = []
    tenant = job.tenant
    try:
        tenant = conf.settings(job.tenant, environ=job.environ).tenant
    except ConfError as error:
        issues += error.issues
    catalogue = conf.catalogue(tenant, job.environ)
    texts = conf.definitions(tenant or "")
    segments = 0
    if not texts:
        place = f"{conf.name}/segments"
        issues.append(Issue(place, 1, "", "there is no definition", "one YAML file a segment", "warning"))
    elif catalogue is not None:
        loaded = load_texts(texts, catalogue)
        issues += loaded.issues
        segments = len(loaded.segments)
    issues.sort()
    faults = [issue for issue in issues if issue.severity == "error"]
    files = {issue.file for issue in faults}
    summary = f"{len(faults)} faults in {len(files)} files" if faults else f"{segments} definitions are valid"
    job.show(
        {"ok": not faults, "valid": segments, "issues": [vars(issue) for issue in issues]},
        *(str(issue) for issue in issues), summary,
    )
    return EXIT_USAGE if faults else EXIT_OK


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
    from segment_lib import night, static
    from segment_lib.preparation import prepare
    from segment_lib.runs import read_history

    settings = job.settings()
    day = job.snapshot_date(as_of, settings)
    definitions = job.definitions(settings)
    with job.lake(settings) as lake:
        history = read_history(lake)
        work = prepare(lake, definitions, history, day, job.now)
        planned = night.planned(work, static.sort(work, history), settings).to_dict()
        read = {"customers", *(feature["source"] for feature in planned["features"])}
        rows = {table: lake.read(table, version).count() for table, version in work.pins.items() if table in read}
    planned |= {"rows_to_read": rows, "input_versions": dict(work.pins), "broken": dict(work.definitions.broken)}
    held = [{"segment": name, "reason": "inactive or frozen: its members are copied"} for name in planned["fixed"]]
    held += [{"segment": name, "reason": why} for name, why in planned["stalled"].items()]
    job.show(
        planned,
        views.table(planned["segments"], f"{day}: segments in the order of evaluation"),
        *([views.table(held, "\nheld: these keep their members")] if held else []),
        views.table(planned["features"], "\nfeatures, each computed once"),
        views.table([{"table": name, "rows": count} for name, count in rows.items()], "\nrows to read, each once"),
    )
