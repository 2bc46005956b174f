"""The options that commands share, and how their values are read."""

from __future__ import annotations

from datetime import date
from typing import Annotated

import typer


def day(text: str) -> date:
    """A date as YYYY-MM-DD."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a date; write YYYY-MM-DD") from None


def names(given: list[str] | None) -> list[str]:
    """The names of an option that may be given several times, or once with commas.

    >>> names(["a,b", "c"]), names(None)
    (['a', 'b', 'c'], [])
    """
    return [name.strip() for text in given or () for name in text.split(",") if name.strip()]


Since = Annotated[
    date | None, typer.Option("--since", parser=day, metavar="DATE", help="The first day; default: as far as it goes.")
]
Until = Annotated[date | None, typer.Option("--until", parser=day, metavar="DATE", help="The last day, included.")]
Conf = Annotated[str, typer.Option(metavar="DIR", help="The conf folder; an s3:// prefix works too.")]
Tenant = Annotated[str | None, typer.Option(metavar="ID", help="Whose data; default: the tenant that conf names.")]
Json = Annotated[bool, typer.Option("--json", help="The result as one JSON object.")]
Debug = Annotated[bool, typer.Option("--debug", help="Tracebacks, and every log line on a terminal too.")]
AsOf = Annotated[
    date | None,
    typer.Option(parser=day, metavar="DATE", help="The snapshot date; default: yesterday in the tenant's time zone."),
]
