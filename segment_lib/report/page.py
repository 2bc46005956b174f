"""The report as one page: a list that is there without any script, and the rest drawn from data inside of it.

Nothing is loaded from anywhere: style, script, the charts' library and the data stand in the file. Texts are escaped by
the template, the data by `embedded`; the script puts text into the page as text alone.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date
from decimal import Decimal
from hashlib import sha256
from importlib.resources import files
from typing import Any

from segment_lib.figures import FIGURES
from segment_lib.report.charts import bundle, specifications
from segment_lib.report.content import Content, SegmentPart
from segment_lib.report.icons import path

#: Points of the small line in the list; the chart of a segment has every date.
SPARK = 48
_WIDTH, _HEIGHT = 96, 22


def render(content: Content) -> str:
    """The page as HTML text, in UTF-8 to be written."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    folder = files("segment_lib") / "templates" / "report"

    def text(name: str) -> str:
        return (folder / name).read_text(encoding="utf-8")

    environment = Environment(
        loader=FunctionLoader(text), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )
    environment.filters["whole"] = lambda number: "–" if number is None else f"{number:,.0f}"
    environment.filters["drawn"] = path
    script, library = text("report.js"), bundle()
    return environment.get_template("page.html").render(
        content=content, rows=_rows(content), style=text("report.css"), script=script, library=library,
        trusted=f"{_trusted(script)} {_trusted(library)}",
        data=embedded(_data(content)), specs=embedded(specifications(content.currency)),
    )


def embedded(value: Any) -> str:
    r"""JSON that may stand inside a script element: no character in it ends the element or begins another.

    >>> embedded({"name": "</script><b>&"})
    '{"name":"\\u003c/script\\u003e\\u003cb\\u003e\\u0026"}'
    """
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_plain)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _trusted(script: str) -> str:
    """What the page's policy says of a script that may run: its digest, so that no other text can."""
    return f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'"


def spark_line(sizes: Sequence[int | None]) -> str:
    """The points of a small line, at most `SPARK` of them, from the least size at the bottom to the greatest at the top.

    Dates without a size are left out; one date alone is no line.

    >>> spark_line([1, None, 3]), spark_line([5])
    ('0.0,20.0 96.0,2.0', '')
    """
    known = [(place, size) for place, size in enumerate(sizes) if size is not None]
    step = max(1, -(-len(known) // SPARK))
    kept = known[::-1][::step][::-1]
    if len(kept) < 2:
        return ""
    low, high = min(size for _, size in kept), max(size for _, size in kept)
    first, last = kept[0][0], kept[-1][0]
    inner = _HEIGHT - 4
    return " ".join(
        f"{_WIDTH * (place - first) / (last - first):.1f},{2 + inner * (1 - (size - low) / ((high - low) or 1)):.1f}"
        for place, size in kept
    )


def _rows(content: Content) -> list[dict[str, Any]]:
    """The list: recommended segments first, then by size."""
    rows = [
        {
            "part": one, "place": place, "size": one.figures.get("customers"), "share": _share(one, content.everyone),
            "net": _net(one), "spark": spark_line(one.sizes.customers), "revenue": one.figures.get("net_revenue"),
        }
        for place, one in enumerate(content.segments)
    ]
    return sorted(rows, key=lambda row: (not row["part"].icon, -(row["size"] or 0), row["part"].id))


def _share(one: SegmentPart, everyone: SegmentPart) -> float | None:
    size, base = one.figures.get("customers"), everyone.figures.get("customers")
    return None if size is None or not base else float(size) / float(base)


def _net(one: SegmentPart) -> int | None:
    entered, left = one.sizes.entered[-1], one.sizes.left[-1]
    return None if entered is None or left is None else entered - left


def _data(content: Content) -> dict[str, Any]:
    return {
        "tenant": content.tenant, "currency": content.currency, "dates": content.dates,
        "figures": [{"name": one.name, "unit": one.unit, "says": one.says} for one in FIGURES],
        "everyone": _part(content.everyone), "segments": [_part(one) for one in content.segments],
        "shared": [(*pair, customers) for pair, customers in sorted(content.shared.items())],
        "exact": [asdict(one) for one in content.exact], "sample": asdict(content.sample),
    }


def _part(one: SegmentPart) -> dict[str, Any]:
    """A segment with its figures as lists in the order of FIGURES, and nothing that is empty."""
    values = {name: value for name, value in vars(one).items() if value or name in ("id", "title")}
    values["sizes"] = vars(one.sizes)
    for name in ("figures", "before"):
        values[name] = _listed(getattr(one, name))
    return values


def _listed(figures: Mapping[str, Any]) -> list[Any]:
    return [figures.get(one.name) for one in FIGURES] if figures else []


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        # Four places of money, six figures of anything small: more than a page shows.
        return float(f"{value:.6g}") if abs(value) < 1 else round(float(value), 4)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(type(value).__name__)
