"""Customer segments on a data lake: the public names. Each is imported when it is first used, so this is quick."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

#: Public name -> the module that has it. Everything else may move freely.
_HOME = {
    "ConfError": "errors",
    "GateError": "errors",
    "InputError": "errors",
    "Issue": "errors",
    "LockedError": "errors",
    "SeglakeError": "errors",
    "StorageError": "errors",
    "UsageError": "errors",
    "Clock": "clock",
    "Segment": "definition",
    "Settings": "settings",
    "Tenant": "api",
    "load_segments": "definition",
    "load_settings": "conf",
    "open": "api",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
