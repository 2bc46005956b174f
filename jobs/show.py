"""`seglake segments`, `members` and `runs`: what is published, read through the read API."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

import typer

from jobs import views
from jobs.options import day
from jobs.runner import Job
from segment_lib.errors import UsageError, nearest

Date = Annotated[
    date | None, typer.Option("--date", parser=day, metavar="DATE", help="A published date; default: the last.")
]


def segments(
    job: Job,
    segment: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="Only this one; may be given more than once.")
    ] = None,
    on: Date = None,
    sort: Annotated[
        str, typer.Option(metavar="COLUMN", help="Order by a column; -COLUMN for the greatest first.")
    ] = "segment",
    only: Annotated[
        list[str] | None,
        typer.Option("--filter", metavar="COLUMN=VALUE", help="Only rows with this value; also >=, <= and ~ (a part)."),
    ] = None,
) -> None:
    """List segments: kind, status, state, size, orders, revenue, when they changed and who uses them."""
    from segment_lib import definitions_log, metrics
    from segment_lib.figures import EVERYONE
    from segment_lib.runs import read_history

    with job.lake(job.settings()) as lake:
        history = read_history(lake)
        run = history.published(on)
        numbers = metrics.of_run(lake, history, run)
        known = definitions_log.read(lake, run)
    for name in segment or ():
        if name not in known:
            raise UsageError(f"no segment {name!r} on {run.snapshot_date}; {nearest(name, known)}")
    rows = [_row(definition, numbers.get(name)) for name, definition in known.items() if not segment or name in segment]
    chosen = ordered(filtered(rows, only or []), sort)
    everyone = numbers.get(EVERYONE)
    job.show(
        {"date": run.snapshot_date, "run_id": run.run_id, "segments": chosen,
         "everyone": views.measured(everyone) if everyone else None},
        views.table(chosen, f"{run.snapshot_date}, {len(chosen)} of {len(rows)} segments"),
    )


def _row(definition: Any, numbers: Any) -> dict[str, Any]:
    return {
        "segment": definition.segment_id, "name": definition.name, "kind": definition.kind, "status": definition.status,
        "state": definition.state.value, "size": numbers.customers if numbers else None,
        "orders": numbers["orders"] if numbers else None,
        "revenue": numbers["net_revenue"] if numbers else None,
        "created": definition.created_at, "updated": definition.updated_at, "used_by": list(definition.used_by),
    }


def filtered(rows: list[dict[str, Any]], filters: list[str]) -> list[dict[str, Any]]:
    """The rows that meet every filter, such as ``state=active``, ``size>=100`` or ``name~loyal``.

    >>> filtered([{"size": 5, "used_by": ["a"]}, {"size": None, "used_by": []}], ["size>=5", "used_by=a"])
    [{'size': 5, 'used_by': ['a']}]
    """
    for text in filters:
        operator = next((sign for sign in (">=", "<=", "~", "=") if sign in text), None)
        if operator is None:
            raise UsageError(f"--filter {text!r} is not COLUMN=VALUE, COLUMN>=VALUE, COLUMN<=VALUE or COLUMN~PART")
        name, wanted = (part.strip() for part in text.split(operator, 1))
        _check_column(rows, name)
        rows = [row for row in rows if _meets(row[name], operator, wanted)]
    return rows


def ordered(rows: list[dict[str, Any]], sort: str) -> list[dict[str, Any]]:
    """The rows by a column, the greatest first with a minus; rows without a value come last either way.

    >>> ordered([{"size": 1}, {"size": None}, {"size": 3}], "-size")
    [{'size': 3}, {'size': 1}, {'size': None}]
    """
    name = sort.removeprefix("-")
    _check_column(rows, name)
    there = [row for row in rows if row[name] is not None]
    there.sort(key=lambda row: row[name], reverse=sort.startswith("-"))
    return there + [row for row in rows if row[name] is None]


def _check_column(rows: list[dict[str, Any]], name: str) -> None:
    if rows and name not in rows[0]:
        raise UsageError(f"there is no column {name!r}; {nearest(name, rows[0])}")


def _meets(value: Any, operator: str, wanted: str) -> bool:
    if value is None:
        return False
    if operator == "~":
        return wanted.lower() in views.cell(value).lower()
    if isinstance(value, list):
        return wanted in value
    if operator == "=":
        return str(value) == wanted or (not isinstance(value, str | date) and value == _like(value, wanted))
    return value >= _like(value, wanted) if operator == ">=" else value <= _like(value, wanted)


def _like(value: Any, wanted: str) -> Any:
    """`wanted` in the type of `value`."""
    try:
        return date.fromisoformat(wanted) if isinstance(value, date) else type(value)(wanted)
    except (ValueError, ArithmeticError):
        raise UsageError(f"{wanted!r} cannot be compared with a {type(value).__name__}") from None


def members(
    job: Job,
    segment: Annotated[str, typer.Argument(metavar="SEGMENT", help="The segment's id.")],
    on: Date = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 20,
) -> None:
    """List customer ids of a segment and since when they are in it; no personal data."""
    from segment_lib.api import Tenant

    settings = job.settings()
    with job.lake(settings) as lake:
        found = Tenant(lake.spark, settings).customers(segment, on).orderBy("customer_id").limit(limit).collect()
    rows = [row.asDict() for row in found]
    job.show({"segment": segment, "members": rows}, views.table(rows))


def runs(
    job: Job,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest first.")] = 20,
) -> None:
    """List runs, the newest first: date, state, whether it counts, what gates and stale dates it left."""
    from segment_lib.runs import read_history

    with job.lake(job.settings()) as lake:
        history = read_history(lake)
    winners = {run.run_id for run in history.winners()}
    last = {record.run_id: record for record in sorted(history.records, key=lambda record: record.order)}
    newest = sorted(last.values(), key=lambda record: record.order, reverse=True)[:limit]
    rows = [
        {
            "date": record.snapshot_date, "run_id": record.run_id, "state": record.state.value,
            "counts": record.run_id in winners, "at": record.at, "members": record.rows.get("memberships"),
            "gates": [gate.gate for gate in record.gates if not gate.ok],
            "seconds": round(sum(record.timings.values()), 1), "stale": list(record.stale_dates),
        }
        for record in newest
    ]
    job.show({"runs": rows, "stale_dates": list(history.stale)}, views.table(rows))
