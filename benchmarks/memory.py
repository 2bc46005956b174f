"""The memory that a process and all its children hold, and the time they have computed, as /proc tells it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


def resident(pid: int) -> int:
    """Bytes of memory that a process and its descendants hold now; 0 where there is no /proc.

    Between being forked and becoming another program a child shows all of its parent's memory as its own: a child with
    its parent's program and, nearly, size is left out, or each `chmod` that Hadoop starts would count a JVM twice.
    """
    found: dict[int, _Process] = {}
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            process = _Process.read(entry)
        except (OSError, ValueError, IndexError):
            continue
        found[int(entry.name)] = process
        children.setdefault(process.parent, []).append(int(entry.name))
    family = [pid]
    for member in family:
        family.extend(child for child in children.get(member, ()) if not found[child].just_forked(found.get(member)))
    return sum(found[member].resident for member in family if member in found) * os.sysconf("SC_PAGE_SIZE")


def computed(pid: int) -> float:
    """Seconds of processor time of a process and its descendants, those that have ended included."""
    children: dict[int, list[int]] = {}
    ticks: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(entry.name))
        # utime, stime, and those of children that were waited for
        ticks[int(entry.name)] = sum(map(int, fields[11:15]))
    family = [pid]
    for member in family:
        family.extend(children.get(member, ()))
    return sum(ticks.get(member, 0) for member in family) / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class _Process:
    """What /proc says of a process; sizes in pages."""

    parent: int
    program: str
    size: int
    resident: int

    @classmethod
    def read(cls, entry: Path) -> _Process:
        # The name of the program stands in brackets and may hold blanks.
        parent = (entry / "stat").read_text().rpartition(")")[2].split()[1]
        size, resident, *_ = (entry / "statm").read_text().split()
        return cls(int(parent), os.readlink(entry / "exe"), int(size), int(resident))

    def just_forked(self, parent: _Process | None) -> bool:
        return parent is not None and self.program == parent.program and abs(self.size - parent.size) * 100 < self.size
