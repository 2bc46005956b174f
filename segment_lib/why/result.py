"""An explanation as plain data: text for a terminal, HTML for a notebook, a mapping for JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from html import escape
from typing import Any

from segment_lib.spoken import printable

_MARKS = {True: "yes", False: "no", None: "?"}


@dataclass(frozen=True)
class Fact:
    """One value of the customer and what a condition asks of it.

    `days` is the window of an aggregate; `leaves` the snapshot date on which its oldest row will have left it, None
    when it has none or does not move.
    """

    name: str
    value: str
    asked: str
    holds: bool
    days: str | None = None
    leaves: date | None = None

    def __str__(self) -> str:
        text = f"{self.name} = {self.value}" + (f", asked: {self.asked}" if self.asked else "")
        text += f" ({self.days})" if self.days else ""
        return text + (f"; the oldest leaves the window on {self.leaves}" if self.leaves else "")


@dataclass(frozen=True)
class Line:
    """One condition: its words, its truth (None: it waits for scores), what it rests on, and what would turn it.

    Lines of the same `identity` rest on the same test, or one on its opposite, so they turn together. A line that is
    `fixed` is turned by nothing that the customer does.
    """

    text: str
    key: str
    holds: bool | None
    facts: tuple[Fact, ...] = ()
    turn: str = ""
    parts: tuple[Line, ...] = ()
    identity: str = ""
    fixed: bool = False

    def leaves(self) -> Iterator[Line]:
        """The conditions that are not made of others."""
        if not self.parts:
            yield self
        for part in self.parts:
            yield from part.leaves()

    def lines(self, depth: int = 0) -> Iterator[str]:
        """The tree as text, one line a condition, indented; below it what it rests on."""
        yield f"{'    ' * depth}{_MARKS[self.holds]:3} {self.text}"
        inner = "    " * depth + "      "
        yield from (f"{inner}{fact}" for fact in self.facts)
        if self.turn:
            yield f"{inner}to turn: {self.turn}"
        for part in self.parts:
            yield from part.lines(depth + 1)

    def to_dict(self) -> dict[str, Any]:
        """The line as plain data."""
        facts = [{name: part for name, part in vars(fact).items() if part is not None} for fact in self.facts]
        return {
            "condition": self.text, "holds": self.holds, "facts": facts, "to_turn": self.turn or None,
            "parts": [part.to_dict() for part in self.parts],
        }


@dataclass(frozen=True)
class Why:
    """Why a customer is, or is not, a member of a segment at a published date.

    `member` is what is published; `holds` what the definition says of the customer (None when it cannot be said), which
    counts for nothing where the segment is `held`: then members are kept ones. `decided_by` names what settled it;
    `notes` say what else matters. `to_flip` are the smallest sets of conditions that would have to change to change the
    answer, each counted by itself; empty when nothing that a customer does can.
    """

    customer_id: str
    segment_id: str
    title: str
    snapshot_date: date
    run_id: str
    member: bool
    since: date | None
    holds: bool | None
    decided_by: str
    tree: Line
    considered: tuple[Line, ...] = ()
    limit: Line | None = None
    held: bool = False
    notes: tuple[str, ...] = ()
    to_flip: tuple[tuple[str, ...], ...] = ()

    @property
    def agrees(self) -> bool:
        """Whether what is published is what the definition says; true when that cannot be compared."""
        return self.held or self.holds is None or self.holds == self.member

    def __str__(self) -> str:
        is_in = f"is in {self.segment_id} since {self.since}" if self.member else f"is not in {self.segment_id}"
        lines = [
            f"{printable(self.customer_id)} {is_in} ({self.title})",
            f"published for {self.snapshot_date} by run {self.run_id}; decided by {self.decided_by}", *self.notes, "",
        ]
        for line in (*self.considered, self.tree, *([self.limit] if self.limit else [])):
            lines += line.lines()
        if self.to_flip:
            verb = "leave" if self.holds else "enter"
            lines += ["", f"to {verb}, {'this' if len(self.to_flip) == 1 else 'one of these'} must change:"]
            lines += [f"  - {'; and '.join(one)}" for one in self.to_flip]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return f"<pre>{escape(str(self))}</pre>"

    def to_dict(self) -> dict[str, Any]:
        """The explanation as plain data."""
        return {
            "customer_id": self.customer_id, "segment": self.segment_id, "title": self.title,
            "snapshot_date": self.snapshot_date, "run_id": self.run_id, "member": self.member, "since": self.since,
            "holds": self.holds, "agrees": self.agrees, "decided_by": self.decided_by, "notes": list(self.notes),
            "considered": [line.to_dict() for line in self.considered], "tree": self.tree.to_dict(),
            "limit": self.limit.to_dict() if self.limit else None, "to_flip": [list(one) for one in self.to_flip],
        }
