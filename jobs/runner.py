"""Around every job: its settings, its Spark session, its output, and errors as text and an exit code.

Results go to stdout, as tables or with ``--json`` as one object; logs go to stderr as JSON lines. On a terminal stderr
shows progress and plain messages instead, and only warnings as log lines. Nothing below ``jobs/`` reads the clock or
the environment, prints or exits: it is given what it needs from here.
"""

from __future__ import annotations

import inspect
import json
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import wraps
from typing import TYPE_CHECKING, Any

import typer

from jobs.options import Conf, Debug, Json, Tenant
from segment_lib import logs
from segment_lib.errors import EXIT_FAILED, EXIT_OK, ConfError, SeglakeError, UsageError

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.progress import Progress

    from segment_lib.definition import Loaded
    from segment_lib.settings import Settings
    from segment_lib.storage import Lake

EXIT_INTERRUPTED = 130
_log = logs.logger("job")
#: The progress display of the step that is open; steps inside it are lines of the same display.
_display: ContextVar[Progress | None] = ContextVar("seglake_progress", default=None)


def now() -> datetime:
    """The one look at the clock; everything below is given what it says."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Job:
    """What a command works with."""

    name: str
    conf: str
    tenant: str | None
    as_json: bool
    debug: bool
    now: datetime
    environ: Mapping[str, str] = field(repr=False)

    def settings(self) -> Settings:
        """What conf says for this job's tenant, with the environment over it."""
        from segment_lib.conf import read_conf

        return read_conf(self.conf).settings(self.tenant, environ=self.environ)

    def definitions(self, settings: Settings) -> Loaded:
        """The definitions of the project; none at all is refused, for then all members of all segments would leave."""
        from segment_lib.conf import read_conf
        from segment_lib.definition.load import load_texts

        texts = read_conf(self.conf).definitions(settings.tenant)
        if not texts:
            raise UsageError(f"there is no definition in {self.conf}/segments; seglake init DIR shows some")
        return load_texts(texts, settings.names())

    @contextmanager
    def lake(self, settings: Settings) -> Iterator[Lake]:
        """The tenant's tables, over a Spark session that is stopped afterwards when it was started for this."""
        from pyspark import SparkContext

        from segment_lib.session import build_session
        from segment_lib.storage import Lake

        mine = SparkContext._active_spark_context is None
        with self.step("start Spark"):
            spark = build_session(settings, app_name=f"seglake {self.name} {settings.tenant}", env=self.environ)
        try:
            yield Lake(spark, settings)
        finally:
            if mine:
                spark.stop()

    def snapshot_date(self, asked: date | None, settings: Settings) -> date:
        """The date to work on: the asked one, or yesterday in the tenant's zone; one that has not ended is refused."""
        yesterday = self.now.astimezone(settings.zone).date() - timedelta(days=1)
        if asked is not None and asked > yesterday:
            raise UsageError(
                f"{asked} has not ended in {settings.time_zone}; the last date that has is {yesterday}"
            )
        return asked or yesterday

    def show(self, result: Mapping[str, Any], *views: RenderableType) -> None:
        """Prints the result: as JSON when that was asked for, else the views."""
        if self.as_json:
            print(json.dumps(result, ensure_ascii=False, indent=2, default=_plain))
        else:
            console = stdout()
            for view in views:
                text = isinstance(view, str)
                console.print(view, markup=not text, soft_wrap=text)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Shows and logs a piece of work: a spinner on a terminal, one log line when it is done, with its seconds."""
        started = datetime.now(UTC)
        with logs.context(step=name), spinner(name):
            yield
            seconds = (datetime.now(UTC) - started).total_seconds()
            _log.info("%s: %.1f s", name, seconds)


def command(function: Callable[..., int | None]) -> Callable[..., None]:
    """A command from a function of a job and its own options: adds the common options, and ends with its exit code.

    The function returns its exit code; None is success.
    """
    own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
    common = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        for name, default, annotation in (
            ("conf", "conf", Conf), ("tenant", None, Tenant), ("as_json", False, Json), ("debug", False, Debug)
        )
    ]
    parameters = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own] + common

    @wraps(function)
    def run(conf: str, tenant: str | None, as_json: bool, debug: bool, **options: Any) -> None:
        job = Job(function.__name__, conf, tenant, as_json, debug, now(), dict(os.environ))
        raise typer.Exit(execute(job, lambda: function(job, **options)))

    run.__signature__ = inspect.Signature(parameters)
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    del run.__wrapped__
    return run


def execute(job: Job, work: Callable[[], int | None]) -> int:
    """The exit code of the work; its errors are told, not thrown, unless the job is to be debugged."""
    terminal = sys.stderr.isatty()
    logs.configure(level=logging.INFO if job.debug or not terminal else logging.WARNING)
    try:
        return work() or EXIT_OK
    except SeglakeError as error:
        _tell(job, error, str(error), error.exit_code, terminal)
        return error.exit_code
    except KeyboardInterrupt:
        _tell(job, None, "interrupted", EXIT_INTERRUPTED, terminal)
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # the reader of stdout has seen enough, as in `seglake runs | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_OK
    except Exception as error:
        if job.debug and terminal:
            raise
        _tell(job, error, unexpected(error), EXIT_FAILED, terminal)
        return EXIT_FAILED


def unexpected(error: Exception) -> str:
    """What may be said of an error that nobody planned for: its kind, for its text may hold customers' data."""
    condition = getattr(error, "getCondition", lambda: None)()
    kind = f"{type(error).__name__} {condition}" if condition else type(error).__name__
    return f"unexpected error: {kind}. What was published before is untouched. Run it with --debug to see where and why."


def _tell(job: Job, error: BaseException | None, text: str, code: int, terminal: bool) -> None:
    if job.as_json:
        fault: dict[str, Any] = {"type": type(error).__name__, "message": text, "exit_code": code}
        if isinstance(error, ConfError):
            fault["issues"] = [vars(issue) for issue in error.issues]
        print(json.dumps({"error": fault}, ensure_ascii=False, indent=2))
    if terminal:
        stderr().print(f"[bold red]error[/] {_escape(text)}")
    if not terminal or job.debug:
        _log.error(text, exc_info=error if job.debug else None, extra={"context": {"exit_code": str(code)}})


def stdout() -> Console:
    """Stdout as rich sees it; wide when it is no terminal, so that nothing is cut."""
    from rich.console import Console

    return Console(highlight=False, width=None if sys.stdout.isatty() else 200)


def stderr() -> Console:
    """Stderr as rich sees it."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


@contextmanager
def spinner(name: str) -> Iterator[None]:
    """Shows on a terminal that a step runs, and for how long."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    outer = _display.get()
    columns = SpinnerColumn(finished_text="[green]✓[/]"), TextColumn("{task.description}"), TimeElapsedColumn()
    with nullcontext(outer) if outer else Progress(*columns, console=stderr()) as display:
        token = _display.set(display)
        task = display.add_task(_escape(name), total=1)
        try:
            yield
            display.update(task, completed=1)
        finally:
            _display.reset(token)
            display.stop_task(task)


def _escape(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def _plain(value: Any) -> Any:
    """Dates as ISO text, decimals exactly, sets and tuples as lists."""
    if isinstance(value, date | datetime):
        return value.isoformat()
    return list(value) if isinstance(value, set | frozenset | tuple) else str(value)


def main(function: Callable[..., None]) -> None:
    """Runs one command as a program of its own, as spark-submit does."""
    typer.run(function)
