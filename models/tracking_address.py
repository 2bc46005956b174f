"""Where training runs are tracked: which addresses there are, and how MLflow is asked there without telling a password.

MLflow prints addresses and puts them into errors, so it is given the address without the login. The login is in the
environment for the length of a call.
"""

from __future__ import annotations

import logging
import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote

from segment_lib.errors import SeglakeError

_SERVER = re.compile(r"(?P<scheme>https?)://(?P<user>[^/?#@\s]+@)?(?P<rest>[^/?#@\s]+(/[^?#@\s]*)?)")
_DATABASE = re.compile(r"sqlite:///(?P<path>/[^?]+)")

#: What MLflow is told for the length of a call, unless whoever runs the job has said otherwise; times in seconds.
_SETTINGS = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1", "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
#: They tell of every table of a new database, and of every retry.
_CHATTY = ("mlflow", "alembic", "urllib3")


class TrackingError(SeglakeError):
    """Where runs are tracked cannot be asked, or what it has cannot be used; the message never holds a password."""


@dataclass(frozen=True)
class Address:
    """An MLflow server (http, https) or an SQLite database (sqlite:////ABSOLUTE/FILE); all else is refused.

    >>> Address("sqlite:////data/acme/mlflow.db").shown
    'sqlite:////data/acme/mlflow.db'
    >>> Address("https://ann:secret@mlflow.example/")
    Address(shown='https://mlflow.example/')
    >>> Address("./mlruns")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    models.tracking_address.TrackingError: tracking './mlruns': MLflow keeps no runs in a folder of files (refused ...
    """

    uri: str = field(repr=False)
    shown: str = field(init=False)

    def __post_init__(self) -> None:
        server = _SERVER.fullmatch(self.uri)
        if server is None and not _DATABASE.fullmatch(self.uri):
            raise TrackingError(_refusal(self.uri))
        shown = self.uri if server is None else f"{server['scheme']}://{server['rest']}"
        object.__setattr__(self, "shown", shown)

    @property
    def database(self) -> Path | None:
        """The file of an SQLite database; None for a server."""
        database = _DATABASE.fullmatch(self.uri)
        return None if database is None else Path(database["path"])

    @property
    def login(self) -> tuple[str, str]:
        """User and password of a server, as they are typed; empty where the address has none."""
        server = _SERVER.fullmatch(self.uri)
        user, _, password = ((server and server["user"]) or "").removesuffix("@").partition(":")
        return unquote(user), unquote(password)

    def clean(self, text: str) -> str:
        """A text of others without what the address keeps secret.

        >>> Address("http://ann:p%40ss@h:1").clean("http://ann:p%40ss@h:1/api said no to p@ss")
        'http://h:1/api said no to ...'
        """
        text = text.replace(self.uri, self.shown)
        password = self.login[1]
        return text.replace(password, "...").replace(quote(password, safe=""), "...") if password else text

    def reason(self, error: Exception) -> str:
        """The first line of an error, clean, with the second where it announces that; then come statements with values.

        >>> Address("http://h:1").reason(ValueError("not downloaded:\\na.json: No such file.\\n[SQL: SELECT 1]"))
        'not downloaded: a.json: No such file'
        """
        lines = [line.strip() for line in str(error).strip().splitlines()] or [type(error).__name__]
        said = self.clean(" ".join(lines[:2] if lines[0].endswith(":") else lines[:1]))
        return (said if len(said) <= 600 else f"{said[:600]} ...").rstrip(". ")


def _refusal(uri: str) -> str:
    """What is wrong with an address. It is not shown unless it is a path: nobody knows where in it a password is.

    >>> _refusal("http://ann:a/b@host").partition(". ")[0]
    'tracking: what begins with http:// is no address of a server'
    """
    scheme = uri.partition(":")[0].lower() if "://" in uri or uri.startswith(("file:", "sqlite:")) else ""
    if scheme in ("", "file"):
        return (
            f"tracking {uri!r}: MLflow keeps no runs in a folder of files (refused since 3.13). "
            "What to do: write sqlite:////ABSOLUTE/PATH/mlflow.db, or the address of a server"
        )
    if scheme in ("http", "https"):
        return (
            f"tracking: what begins with {scheme}:// is no address of a server. "
            f"What to do: write {scheme}://HOST:PORT, and in a password %2F for /, %3F for ?, %23 for #, %40 for @"
        )
    if scheme == "sqlite":
        return (
            f"tracking {uri!r}: the path must be absolute and without options, or it is another database in every "
            "folder. What to do: write four slashes, sqlite:////ABSOLUTE/PATH/mlflow.db"
        )
    return (
        f"tracking: what begins with {scheme}:// is neither an MLflow server nor an SQLite file. "
        "What to do: put an MLflow server before another database, and write its http://HOST:PORT"
    )


@contextmanager
def told(address: Address) -> Iterator[None]:
    """The environment with MLflow's settings, where nobody else has set them, and the login; afterwards as before."""
    user, password = address.login
    login = {"MLFLOW_TRACKING_USERNAME": user, "MLFLOW_TRACKING_PASSWORD": password} if user else {}
    mine = {name: value for name, value in _SETTINGS.items() if name not in os.environ} | login
    before = {name: os.environ[name] for name in mine if name in os.environ}
    os.environ.update(mine)
    try:
        yield
    finally:
        for name in mine:
            os.environ.pop(name, None)
        os.environ.update(before)


@contextmanager
def quiet() -> Iterator[None]:
    """Only errors of MLflow and of what it uses are logged meanwhile."""
    loggers = [logging.getLogger(name) for name in _CHATTY]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def open_database(database: Path) -> None:
    """Raises at once where a database cannot be opened; MLflow itself would try for minutes. Makes a missing one."""
    database.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA schema_version")
