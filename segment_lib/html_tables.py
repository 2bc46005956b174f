"""Values as HTML for notebooks: tables with their headings and notes, and a line over dates. Every text is escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from html import escape
from itertools import pairwise
from typing import Any

_WIDTH, _HEIGHT, _EDGE = 640, 120, 6


def heading(text: str) -> str:
    """What the tables below it are of.

    >>> heading("a < b")
    '<h4>a &lt; b</h4>'
    """
    return f"<h4>{escape(text)}</h4>"


def note(text: str) -> str:
    """A sentence beside a table.

    >>> note("R & B")
    '<p>R &amp; B</p>'
    """
    return f"<p>{escape(text)}</p>"


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """A row for each mapping, under the keys of the first; no value is a dash, and decimals have two places.

    >>> table([{"a": "<b>", "n": None}])
    '<table><tr><th>a</th><th>n</th></tr><tr><td>&lt;b&gt;</td><td>-</td></tr></table>'
    """
    def cell(value: Any) -> str:
        return "-" if value is None else f"{value:,.2f}" if isinstance(value, Decimal) else str(value)

    def line(tag: str, cells: Sequence[Any]) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(cell(value))}</{tag}>" for value in cells) + "</tr>"

    head = line("th", list(rows[0])) if rows else ""
    return f"<table>{head}{''.join(line('td', list(row.values())) for row in rows)}</table>"


def line_chart(points: Sequence[tuple[date, int | None]], marks: Mapping[date, str], title: str) -> str:
    """A line of whole numbers over ascending dates, from zero up, as SVG.

    It is drawn between neighbouring days only, so days without a number are gaps; a day that stands alone is a dot.
    Each of `marks` is a dashed vertical with its text.

    >>> line_chart([(date(2026, 1, 1), 2), (date(2026, 1, 2), 3)], {}, "a & b").count("<line")
    1
    """
    if not points:
        return ""
    known = {day: value for day, value in points if value is not None}
    first, last = points[0][0], points[-1][0]
    top = max(known.values(), default=0) or 1
    wide, high = _WIDTH - 2 * _EDGE, _HEIGHT - 2 * _EDGE

    def x(day: date) -> str:
        return f"{_EDGE + wide * (day - first).days / max((last - first).days, 1):.1f}"

    def y(value: int) -> str:
        return f"{_EDGE + high * (1 - value / top):.1f}"

    parts = [f"<title>{escape(title)}</title>"]
    joined = [(one, other) for one, other in pairwise(known) if (other - one).days == 1]
    parts += [
        f'<line x1="{x(one)}" y1="{y(known[one])}" x2="{x(other)}" y2="{y(known[other])}" stroke="currentColor"/>'
        for one, other in joined
    ]
    alone = known.keys() - {day for pair in joined for day in pair}
    parts += [f'<circle cx="{x(day)}" cy="{y(known[day])}" r="2" fill="currentColor"/>' for day in sorted(alone)]
    parts += [
        f'<path d="M{x(day)} {_EDGE}V{_HEIGHT - _EDGE}" stroke="currentColor" stroke-dasharray="3 3">'
        f"<title>{day}: {escape(text)}</title></path>"
        for day, text in sorted(marks.items())
    ]
    box = f'viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}"'
    return f'<svg role="img" {box}>{"".join(parts)}</svg>'
