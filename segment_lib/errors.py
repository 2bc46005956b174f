"""What can go wrong, in families, each with the exit code that a scheduler sees.

Every error says what happened, where, why, and what to do. Nothing below ``jobs/`` prints or exits: it raises one of
these, and ``jobs/runner.py`` turns it into text and an exit code.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

EXIT_OK, EXIT_FAILED, EXIT_USAGE, EXIT_PARTIAL, EXIT_GATE, EXIT_LOCKED = 0, 1, 2, 3, 4, 5


@dataclass(frozen=True, order=True)
class Issue:
    """One fault in a file that a person wrote, at the place where it can be mended; `code` names its kind for programs.

    >>> print(Issue("vip.yaml", 4, "where.all[1].customer", "unknown field 'contry'", "did you mean 'country'?"))
    vip.yaml:4: where.all[1].customer: unknown field 'contry'; did you mean 'country'?
    """

    file: str
    line: int
    path: str
    message: str
    hint: str = ""
    severity: str = "error"
    code: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}: " + (f"{self.path}: " if self.path else "")
        warning = "warning: " if self.severity == "warning" else ""
        return place + warning + self.message + (f"; {self.hint}" if self.hint else "")


class SeglakeError(Exception):
    """The root of every error that the product raises on purpose."""

    exit_code = EXIT_FAILED


class UsageError(SeglakeError):
    """An argument or a combination of arguments that cannot be carried out."""

    exit_code = EXIT_USAGE


class ConfError(SeglakeError):
    """Faults in conf or in definitions: all of them, not the first.

    ``issues`` holds them, sorted by file and line.
    """

    exit_code = EXIT_USAGE

    def __init__(self, issues: Iterable[Issue]):
        self.issues = tuple(sorted(issues))
        super().__init__("\n".join(str(issue) for issue in self.issues))


class InputError(SeglakeError):
    """Input data that cannot be used: a missing column, a corrupt file, too many rejected rows."""


class StorageError(SeglakeError):
    """A table or an object that cannot be read or written."""


class GateError(SeglakeError):
    """A gate refused to publish; what was published before is untouched."""

    exit_code = EXIT_GATE


class LockedError(SeglakeError):
    """Another living run holds this tenant."""

    exit_code = EXIT_LOCKED


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint that names the nearest known name, or lists a few; empty when nothing is known.

    >>> nearest("contry", ["city", "country"])
    "did you mean 'country'?"
    >>> nearest("zzz", ["city", "country"])
    'known: city, country'
    """
    names = sorted(set(known))
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]!r}?"
    if not names:
        return ""
    return "known: " + ", ".join(names[:8]) + (f" ... and {len(names) - 8} more" if len(names) > 8 else "")
