"""How results look: plain rows for JSON, and tables for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

    from segment_lib.metrics import SegmentMetrics
    from segment_lib.nightly import RunOutcome


def table(rows: Sequence[Mapping[str, Any]], title: str | None = None) -> Table:
    """A table with a column for each key; numbers to the right, no value as a dash."""
    from rich.table import Table

    made = Table(title=title, box=None, pad_edge=False, title_justify="left", header_style="bold", padding=(0, 2, 0, 0))
    for name in rows[0] if rows else ("nothing",):
        numeric = any(isinstance(row[name], int | float | Decimal) for row in rows)
        made.add_column(name.replace("_", " "), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        made.add_row(*(cell(value) for value in row.values()))
    return made


def cell(value: Any) -> str:
    """One value as a person reads it.

    >>> cell(12345), cell(Decimal("1234.5000")), cell(None), cell(["a", "b"])
    ('12,345', '1,234.50', '-', 'a, b')
    """
    from rich.markup import escape

    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, Decimal | float):
        return f"{value:,.2f}"
    if isinstance(value, list | tuple | set | frozenset):
        return escape(", ".join(str(part) for part in value)) or "-"
    return escape(value.isoformat(" ", "seconds") if hasattr(value, "hour") else str(value))


def measured(row: SegmentMetrics) -> dict[str, Any]:
    """A segment's numbers."""
    return {
        "segment": row.segment_id, "customers": row.customers, "anonymous": row["anonymous"],
        "entered": row.entered, "left": row.left, "orders": row["orders"],
        "gross_revenue": row["gross_revenue"], "net_revenue": row["net_revenue"], "lost": row["lost"],
        "stale_since": row.stale_since,
    }


def outcome(run: RunOutcome) -> dict[str, Any]:
    """A published run as plain data."""
    return {
        "date": run.snapshot_date, "run_id": run.run_id, "state": run.state.value, "exit_code": run.exit_code,
        "segments": [measured(row) for row in run.metrics],
        "held_back": [
            {"segment": row.segment_id, "state": row.state.value, "reason": row.reason} for row in run.held_back
        ],
        "gates": [vars(gate) for gate in run.gates],
        "stale_dates": list(run.stale_dates),
        "rows": dict(run.record.rows), "seconds": dict(run.record.timings),
    }


def told(run: RunOutcome) -> list[Any]:
    """A published run as a person reads it."""
    views: list[Any] = [table([measured(row) for row in run.metrics], f"{run.snapshot_date}, {run.state.value}")]
    views += [f"{row.segment_id} is {row.state.value}: {row.reason}" for row in run.held_back]
    views += [f"gate {gate.gate} was passed by --accept: {gate.detail}" for gate in run.gates if gate.accepted]
    if run.stale_dates:
        later = days(run.stale_dates)
        views.append(f"later dates lean on what changed: {later}; seglake backfill --stale runs them again")
    return views


def days(dates: Sequence[date]) -> str:
    """A few dates, or the first and last of many.

    >>> days([date(2026, 1, 1)]), days([date(2026, 1, day) for day in range(1, 10)])
    ('2026-01-01', '9 from 2026-01-01 to 2026-01-09')
    """
    if len(dates) <= 5:
        return ", ".join(day.isoformat() for day in dates)
    return f"{len(dates)} from {dates[0]} to {dates[-1]}"
