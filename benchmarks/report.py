"""The table: ways side by side, for each number of definitions the time, how many floors that is, and the memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.results import Row
from benchmarks.ways import MEASURED, WAYS

GIB = 2**30


@dataclass(frozen=True)
class Cell:
    """One measurement as the table shows it."""

    seconds: str
    floors: str
    peak: str


def cells(rows: Mapping[tuple[str, int], Row], counts: Sequence[int], wrong: set) -> dict[str, list[Cell]]:
    """For each way that was measured a cell for each number of definitions; `rows` are by way and number timed."""
    table = {}
    floor = rows.get(("floor", 0))
    for name, way in WAYS.items():
        timed = {count: 0 if way.bare else min(count, MEASURED) if way.linear else count for count in counts}
        if any((name, number) in rows for number in timed.values()):
            found = ((count, rows.get((name, number))) for count, number in timed.items())
            table[name] = [_cell(row, count / MEASURED if way.linear else 1, floor, wrong) for count, row in found]
    return table


def _cell(row: Row | None, times: float, floor: Row | None, wrong: set) -> Cell:
    if row is None:
        return Cell("", "", "")
    peak = f"{row.peak_bytes / GIB:.1f}" if row.peak_bytes else ""
    if row.error:
        return Cell("failed", "", peak)
    seconds = row.seconds * times
    mark = "~" if times > 1 else ""
    said = f"{mark}{seconds:,.1f}" + (" WRONG" if row.key in wrong else "")
    return Cell(said, f"{mark}{seconds / floor.seconds:,.1f} x" if floor and not floor.error else "", peak)


HEADS = ("s", "floors", "GiB")


def markdown(table: Mapping[str, list[Cell]], counts: Sequence[int]) -> str:
    """The table for a document."""
    heads = ["way", *(f"{count:,}: {head}" for count in counts for head in HEADS)]
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)]]
    for name, found in table.items():
        lines.append([WAYS[name].label, *(part for cell in found for part in (cell.seconds, cell.floors, cell.peak))])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def rich_table(table: Mapping[str, list[Cell]], counts: Sequence[int]):
    """The table for a terminal."""
    from rich.table import Table

    shown = Table("way", header_style="bold")
    for count in counts:
        for head in HEADS:
            shown.add_column(f"{count:,}\n{head}" if head == HEADS[0] else f"\n{head}", justify="right", no_wrap=True)
    for name, found in table.items():
        shown.add_row(WAYS[name].label, *(part for cell in found for part in (cell.seconds, cell.floors, cell.peak)))
    return shown


NOTES = (
    "Seconds of the work alone, from parsed definitions and data files to the written table; Python, the JVM, imports "
    "and a warm-up on a tiny shop (Spark ways) come before. GiB: peak of the process and its children.",
    f"~ measured on {MEASURED} definitions and multiplied.",
    "The night has the day before as its base, and publishes members, changes and metrics.",
)
