"""`seglake demo`: the CDNOW shop from raw files to two published snapshots, as a scheduler would do it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from jobs.runner import Job, command, main, now, spinner
from segment_lib.tables import INPUTS, OUTPUTS


def demo(
    job: Job,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new or empty folder.")] = Path("seglake-demo"),
    seed: Annotated[int, typer.Option(help="Equal seeds give equal rows beside the real orders.")] = 7,
) -> int:
    """Load real orders and generated visits, run two consecutive nights, and show and report what comes out."""
    import segment_lib
    from jobs import views
    from jobs.scoring import needed_tracking, scorers
    from jobs.train import recorded
    from segment_lib import generate, nightly
    from segment_lib.api import Tenant
    from segment_lib.ingest import ingest
    from segment_lib.runs import new_run_id
    from segment_lib.scaffold import scaffold_demo

    generate.cdnow_path()
    scaffold_demo(folder)
    job = replace(job, conf=str(folder / "conf"))
    settings = job.settings()
    place = needed_tracking(settings)
    definitions = job.definitions(settings)
    outcomes = []
    with job.lake(settings) as lake:
        with job.step("put the shop together"):
            shop = generate.cdnow_shop(lake.spark, settings, seed=seed)
        after = None
        for day in generate.DEMO_DATES:
            with job.step(f"write the files that the shop hands over until {day}"):
                arrived = generate.arrived(shop, settings, after=after, until=day)
                files = generate.export_files(arrived, str(folder.resolve() / "files" / day.isoformat()))
            for table in files:
                with job.step(f"load {table}"):
                    ingest(lake, settings, table, [files[table]], now(), new_run_id(now()))
            if after is None:
                with job.step(f"train the churn model on the orders until {day}"):
                    run, version = recorded(job, lake, settings, place, day)
                    if run.verdict == "passed":
                        place.promote(version, day, at=now())
            with job.step(f"run {day}"):
                outcomes.append(
                    nightly.run(
                        lake, settings, definitions, snapshot_date=day, now=now(),
                        scorers=scorers(job, settings, lake), code_version=segment_lib.__version__, progress=spinner,
                    )
                )
            after = day
        with job.step("write the report"):
            page = Tenant(lake.spark, settings).report(folder / "report.html", breakdowns=True)
        tables = {name: lake.path(name) for name in (*INPUTS, *OUTPUTS) if lake.exists(name)}
    told: list[Any] = [view for outcome in outcomes for view in (*views.told(outcome), "")]
    job.show(
        {"folder": str(folder), "runs": [views.outcome(outcome) for outcome in outcomes], "tables": tables,
         "report": str(page)},
        *told, f"The report, for a browser: {page}", "", "The Delta tables:", *(f"  {path}" for path in tables.values()),
        f"\nGo on: cd {folder}; seglake segments; seglake members buyers; edit conf/segments and seglake run --only ID",
    )
    return max(outcome.exit_code for outcome in outcomes)


if __name__ == "__main__":
    main(command(demo))
