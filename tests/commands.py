"""The command line in this process, and so in this session of Spark."""

from __future__ import annotations

import json

from click.testing import Result
from typer.testing import CliRunner

from jobs.cli import app
from segment_lib.errors import EXIT_OK


def invoked(*arguments: object, code: int = EXIT_OK) -> Result:
    """Runs a command: its output and, on stderr, its log lines."""
    said = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert said.exit_code == code, said.output
    return said


def seglake(*arguments: object, code: int = EXIT_OK) -> str:
    """What a command prints on stdout."""
    return invoked(*arguments, code=code).stdout


def result(*arguments: object, code: int = EXIT_OK) -> dict:
    """The JSON that a command prints."""
    return json.loads(seglake(*arguments, "--json", code=code))
