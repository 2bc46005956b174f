"""Logs as JSON lines, with the field names of PySpark's own logger, so that both load into one table.

A line is ``{"ts", "level", "logger", "msg", "context": {"run_id", "tenant", "step"}, "exception"?}``; `ts` is UTC. The
context is that of the block the line was written in: ``with context(run_id=..., tenant=...): ...``.
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TextIO

ROOT = "seglake"
_context: ContextVar[dict[str, str]] = ContextVar("seglake_log_context", default={})


def logger(name: str) -> logging.Logger:
    """The product's logger for a part of it: ``logger("ingest")``."""
    return logging.getLogger(f"{ROOT}.{name}")


@contextmanager
def context(**fields: str) -> Iterator[None]:
    """Adds fields to every line that is written inside the block."""
    token = _context.set(_context.get() | fields)
    try:
        yield
    finally:
        _context.reset(token)


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "msg": record.getMessage(),
            "context": {key: str(value) for key, value in (_context.get() | getattr(record, "context", {})).items()},
        }
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            line["exception"] = {
                "class": type(error).__name__,
                "msg": str(error),
                "stacktrace": [
                    {"class": None, "method": frame.name, "file": frame.filename, "line": str(frame.lineno)}
                    for frame in traceback.extract_tb(error.__traceback__)
                ],
            }
        return json.dumps(line, ensure_ascii=False)


def configure(stream: TextIO | None = None, level: int = logging.INFO) -> None:
    """Sends the product's logs, and only those, to `stream` (default: stderr). Calling it again replaces the first."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger(ROOT)
    root.handlers[:] = [handler]
    root.setLevel(level)
    root.propagate = False
