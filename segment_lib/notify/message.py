"""A summary as text, as HTML and as JSON; what a definition's author wrote is text in all three."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from segment_lib.notify.summary import Change, Summary

if TYPE_CHECKING:
    from jinja2 import Environment

#: What the JSON document is; a receiver that knows a number may rely on its keys.
FORMAT_VERSION = 1


@dataclass(frozen=True)
class Message:
    """What is sent: one line, plain text, HTML, and the JSON document as bytes."""

    subject: str
    text: str
    html: str
    body: bytes


def render(summary: Summary) -> Message:
    """The message of a summary.

    >>> from datetime import date
    >>> from segment_lib.notify_settings import Outcome
    >>> said = render(Summary("shop", Outcome.FAILED, (date(2026, 1, 31),), failed=("a <b> c",)))
    >>> said.subject
    'seglake shop: 2026-01-31 failed'
    >>> "- a <b> c" in said.text, "<li>a &lt;b&gt; c</li>" in said.html
    (True, True)
    """
    subject = subject_of(summary)
    values = {
        "subject": subject, "figures": _figures(summary), "failed": summary.failed, "steps": summary.steps,
        "tables": (
            ("Most customers moved", [_row(change) for change in summary.most_moved]),
            ("Size changed most", [_row(change) for change in summary.most_resized]),
        ),
        "waiting": summary.waiting, "more_waiting": summary.more_waiting, "accepted": summary.accepted,
        "run_id": summary.run_id,
    }
    text = _environment().get_template("message.txt").render(values).strip() + "\n"
    html = _environment().get_template("message.html").render(values)
    document = json.dumps(_document(summary, text), ensure_ascii=False).encode()
    return Message(subject, text, html, document)


def subject_of(summary: Summary) -> str:
    """One line: whose run, of which dates, and how it ended."""
    days = [day.isoformat() for day in summary.dates]
    shown = days[0] if len(days) == 1 else f"{len(days)} dates from {min(days)} to {max(days)}"
    words = {"partial": "published, and something is held back", "refused": "not published, a gate refused it"}
    return f"seglake {summary.tenant}: {shown} {words.get(summary.outcome.value, summary.outcome.value)}"


def _figures(summary: Summary) -> str:
    if summary.customers is None:
        return ""
    line = f"{summary.customers:,} customers evaluated"
    if not summary.compared:
        return line + "; there is no earlier date to compare with."
    if summary.entered is None or summary.left is None:
        return line + "."
    return line + f", {summary.entered:,} new and {summary.left:,} gone since the published date before."


def _row(change: Change) -> Mapping[str, str]:
    share = "new" if change.relative is None else f"{change.relative:+.1%}"
    return {
        "segment": change.segment, "before": f"{change.before:,}", "now": f"{change.now:,}", "share": share,
        "entered": f"{change.entered:,}", "left": f"{change.left:,}",
    }


def _document(summary: Summary, text: str) -> dict[str, Any]:
    """The JSON document: the summary's own values, and the text for receivers that only show one."""
    def changes(rows: tuple[Change, ...]) -> list[dict[str, Any]]:
        return [
            {"segment": row.segment, "before": row.before, "now": row.now, "entered": row.entered, "left": row.left}
            for row in rows
        ]

    return {
        "format_version": FORMAT_VERSION, "type": f"run.{summary.outcome.value}", "tenant": summary.tenant,
        "dates": [day.isoformat() for day in summary.dates], "run_id": summary.run_id,
        "outcome": summary.outcome.value, "customers": summary.customers, "entered": summary.entered,
        "left": summary.left, "most_moved": changes(summary.most_moved), "most_resized": changes(summary.most_resized),
        "waiting": [vars(row) for row in summary.waiting], "more_waiting": summary.more_waiting,
        "accepted": list(summary.accepted), "failed": list(summary.failed), "steps": list(summary.steps), "text": text,
    }


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FunctionLoader, StrictUndefined, select_autoescape

    folder = files("segment_lib") / "templates" / "notify"
    return Environment(
        loader=FunctionLoader(lambda name: (folder / name).read_text(encoding="utf-8")),
        autoescape=select_autoescape(["html"]), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )
