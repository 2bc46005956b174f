"""Conditions in words, for labels."""

from __future__ import annotations

from typing import Any

from segment_lib.language.comparison import Comparison
from segment_lib.language.model import plain


def spoken(value: Any) -> str:
    """A value as it reads in a sentence.

    >>> spoken(["DE", "AT"]), spoken({"percentile": 90})
    ('DE, AT', 'percentile 90')
    """
    value = plain(value)
    if isinstance(value, dict):
        return " ".join(f"{key} {spoken(part)}" for key, part in value.items())
    if isinstance(value, list):
        return ", ".join(spoken(part) for part in value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def compared(comparison: Comparison) -> str:
    """Operators and their values, such as ``at least 3``."""
    given = comparison.operators()
    if given.keys() == {"known"}:
        return "is known" if given["known"] else "is missing"
    return " and ".join(f"{name.replace('_', ' ')} {spoken(value)}" for name, value in given.items())


def types(entries: Any) -> str:
    """Event types, with a mark where one has a filter of its own."""
    return " or ".join(entry.type + (" (filtered)" if entry.where else "") for entry in entries)


def aggregated(condition: Any) -> str:
    """The filter, window and aggregate of a condition over rows."""
    text = ""
    for name in ("items", "where"):
        if getattr(condition, name, None):
            text += f" with {spoken(getattr(condition, name))}"
    if condition.within:
        text += f" within {spoken(condition.within)}"
    for name in ("count", "sum", "avg", "min", "max", "distinct", "latest", "first", "mode"):
        part = getattr(condition, name, None)
        if part is not None:
            of = f" of {part.of}" if hasattr(part, "of") else ""
            text += f", {name}{of} {compared(part)}".rstrip()
            if getattr(part, "share", None):
                text += f" with share {compared(part.share)}"
    return text


def source(rows: Any) -> str:
    """Events or orders inside a verb."""
    return types(rows.did) if rows.did is not None else "ordered " + " or ".join(rows.ordered)
