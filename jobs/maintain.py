"""`seglake maintain`: small files of the tenant's tables put together, files of old versions removed. Once a week, say."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from jobs import views
from jobs.options import names
from jobs.run import MORE
from jobs.runner import Job, command, main


def maintain(
    job: Job,
    table: Annotated[list[str] | None, typer.Option(metavar="NAME", help=f"Only this table. {MORE}")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show how the tables are; write nothing.")] = False,
) -> None:
    """Put small files of the tables together and remove files of versions older than retention.versions days."""
    from segment_lib import table_health
    from segment_lib.runs import new_run_id

    settings = job.settings()
    with job.lake(settings) as lake, job.step("maintain"):
        if dry_run:
            rows: list[dict[str, Any]] = [asdict(one) for one in table_health.look(lake, names(table))]
        else:
            rows = [
                {"table": one.table, "before": asdict(one.before), "after": asdict(one.after)}
                for one in table_health.maintain(lake, new_run_id(job.now), names(table))
            ]
    lines = rows if dry_run else [
        {"table": row["table"]} | {
            name: f"{row['before'][name]:,} -> {row['after'][name]:,}"
            for name in ("files", "bytes", "stored_files", "stored_bytes", "commits")
        }
        for row in rows
    ]
    job.show({"dry_run": dry_run, "tables": rows}, views.table(lines))


if __name__ == "__main__":
    main(command(maintain))
