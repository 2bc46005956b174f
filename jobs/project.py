"""`seglake init` and `seglake doctor`: a new project, and what a machine lacks to run one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jobs.runner import Job
from segment_lib.errors import EXIT_FAILED, EXIT_OK


def init(job: Job, folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new or empty folder.")]) -> None:
    """Make a project: conf with three example segments."""
    from segment_lib.scaffold import scaffold

    files = scaffold(folder)
    job.show(
        {"folder": str(folder), "files": [str(file) for file in files]},
        *(f"  {file}" for file in files),
        f"\ncd {folder}, then: seglake generate --customers 2000 --events 20000 && seglake run",
    )


def doctor(
    job: Job, machine: Annotated[bool, typer.Option("--machine", help="Look at the machine only, at no conf.")] = False
) -> int:
    """Say what is missing to run here, and how to mend it. Ends with 1 when something is."""
    from rich.markup import escape
    from rich.table import Table

    from segment_lib.doctor import Check, check_lake, check_machine, check_secrets
    from segment_lib.errors import SeglakeError
    from segment_lib.settings import Settings

    checks: list[Check] = []
    settings = Settings()
    if not machine:
        try:
            settings = job.settings()
            checks.append(Check("conf", True, f"tenant {settings.tenant}, tables below {settings.root}"))
        except SeglakeError as error:
            machine = True
            checks.append(Check("conf", False, str(error), "seglake validate lists all faults; --machine needs no conf"))
    with job.step("look at the machine"):
        checks += check_machine(settings, job.environ)
    if not machine:
        checks += check_lake(settings)
        checks += check_secrets(settings, job.environ)
    table = Table("", "what", "found", "what to do", box=None, pad_edge=False)
    for check in checks:
        mark, remedy = ("[green]ok[/]", "") if check.ok else ("[red]missing[/]", check.remedy)
        table.add_row(mark, check.name, escape(check.found), escape(remedy))
    job.show({"ok": all(check.ok for check in checks), "checks": [vars(check) for check in checks]}, table)
    return EXIT_OK if all(check.ok for check in checks) else EXIT_FAILED
