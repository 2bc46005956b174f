"""The command `seglake`: every job by name. Spark and the library are imported by the job that needs them."""

from __future__ import annotations

import typer

from jobs import (
    backfill, breakdown, compare, customers, definitions, demo, export, generate, growth, history, importing, ingest,
    maintain, notify, overlaps, preview, project, ready, report, run, show, sql, sync, train, triggers, why,
)
from jobs.by_segment import BySegment
from jobs.runner import command

HELP = """Customer segmentation as a nightly batch job on a data lake.

A project is a folder with conf/base.yaml and conf/segments/*.yaml: seglake init DIR makes one.

Exit codes: 0 published or fine; 1 failed; 2 a fault in conf, definitions or arguments; 3 published, but a definition
was set aside; 4 a gate refused; 5 another run holds the tenant.
"""

COMMANDS = {
    "Make a project and its input": (project.init, ingest.ingest, generate.generate),
    "Look at definitions": (
        definitions.validate, definitions.schema, definitions.plan, preview.preview, ready.ready, importing.import_,
    ),
    "Run": (run.run, backfill.backfill, notify.notify, maintain.maintain),
    "Send out": (export.export, sync.sync, triggers.triggers),
    "Train models": (train.train, train.backtest, train.models),
    "Look at what came out": (
        show.segments, show.members, customers.customers, compare.compare, overlaps.overlaps, breakdown.breakdown,
        growth.growth, growth.retention, growth.moves, growth.lift, report.report, why.why, history.history, sql.sql, show.runs,
    ),
    "Help": (project.doctor, demo.demo),
}

app = typer.Typer(help=HELP, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
for panel, functions in COMMANDS.items():
    for function in functions:
        app.command(function.__name__.rstrip("_"), cls=BySegment, rich_help_panel=panel)(command(function))


def main() -> None:
    """The entry point of the installed command."""
    app(prog_name="seglake")


if __name__ == "__main__":
    main()
