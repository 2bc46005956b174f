"""The command: measures what is not measured yet, compares the answers, and prints the table."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import signal
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks import report
from benchmarks.data import Shop
from benchmarks.definitions import definitions, described
from benchmarks.measure import TINY, Measured, Task, measure
from benchmarks.results import Results, Row, answer_of, sizes_of, wrong
from benchmarks.ways import MEASURED, WAYS, Way
from segment_lib.plan import build_plan

HERE = Path(__file__).parent
PACKAGES = ("pyspark", "delta-spark", "duckdb", "polars")


@dataclass(frozen=True)
class Bench:
    """One run of the benchmark over one shop."""

    shop: Shop
    data: Path
    results: Results
    scratch: Path
    threads: int
    memory: str
    timeout: float
    console: Console

    def task(self, way: str, shop: Shop, **more: str) -> Task:
        return Task(way, str(self.data), shop.customers, shop.events, self.threads, self.memory, **more)

    def generate(self) -> None:
        """Makes the shop, and the tiny one of the warm-up, unless they are there."""
        for shop in (Shop.below(self.data, *TINY), self.shop):
            if not shop.exists:
                self.console.print(f"generating {shop.name} ...")
                done = measure(self.task("generate", shop), self.scratch / f"generate-{shop.name}", 24 * 3600)
                if done.error:
                    raise typer.BadParameter(f"the shop could not be generated: {done.error}")
                self.console.print(f"  {done.seconds:,.0f} s")

    def row(self, way: Way, count: int, fresh: bool) -> Row:
        """The measurement of a way with so many definitions, stored or new."""
        segments = [segment.to_json() for segment in definitions(count, self.shop.settings().names())]
        fingerprint = hashlib.sha256("\n".join(segments).encode()).hexdigest()[:12]
        stored = self.results.done((way.name, count, fingerprint, self.threads, self.memory))
        if stored and not fresh:
            return stored
        scratch = self.scratch / f"{way.name}-{count}"
        scratch.mkdir(parents=True, exist_ok=True)
        file, out = scratch / "definitions.jsonl", scratch / "answer"
        file.write_text("".join(f"{segment}\n" for segment in segments))
        self.console.print(f"{way.label}, {count:,} definitions ...")
        done = measure(self.task(way.name, self.shop, definitions=str(file), out=str(out)), scratch, self.timeout)
        row = self._told(way, count, fingerprint, done, out)
        self.results.add(row)
        self.console.print(f"  {row.error}" if row.error else f"  {row.seconds:,.1f} s")
        shutil.rmtree(out, ignore_errors=True)
        return row

    def _told(self, way: Way, count: int, fingerprint: str, done: Measured, out: Path) -> Row:
        answer, extra = None, dict(done.extra)
        if not (done.error or way.bare):
            # The published members and a query per segment leave out who is in no segment.
            everyone = not way.linear and way.name != "nightly"
            answer = answer_of(out, everyone)
            if everyone:
                extra["sizes"] = sizes_of(out)
        return Row(
            way.name, count, fingerprint, self.threads, self.memory, done.seconds, done.process_seconds,
            done.peak_bytes, answer, extra, done.error, datetime.now(UTC).isoformat(timespec="seconds"),
            {package: version(package) for package in PACKAGES},
        )

    def told(self, count: int, rows: dict[tuple[str, int], Row]) -> str:
        """How varied so many definitions are, and how large."""
        catalogue = self.shop.settings().names()
        found = described(build_plan(definitions(count, catalogue), catalogue, self.shop.clock))
        text = (
            f"{count:,} definitions: {found['filters']} distinct row filters, {found['edges']} window edges, "
            f"{found['features']} features"
        )
        sizes = next((row.extra["sizes"] for (_, n), row in rows.items() if n == count and "sizes" in row.extra), None)
        if sizes:
            text += f"; {sizes['usual']:,} have 1 to 20 % of everyone, the middle one {sizes['median']:.1%}"
        return text


def _numbers(text: str) -> list[int]:
    try:
        found = sorted({int(part) for part in text.split(",")})
    except ValueError:
        found = []
    if not found or found[0] < 1:
        raise typer.BadParameter("write numbers such as 10,100,1000")
    return found


def _ways(text: str) -> list[Way]:
    names = list(WAYS) if text == "all" else text.split(",")
    unknown = [name for name in names if name not in WAYS]
    if unknown:
        raise typer.BadParameter(f"no way {', '.join(unknown)}; there are {', '.join(WAYS)}")
    return [way for name, way in WAYS.items() if name in names]


def bench(
    events: Annotated[int, typer.Option(min=1, help="Rows of events.")] = 5_000_000,
    customers: Annotated[int, typer.Option(min=1, help="Profiles.")] = 250_000,
    counts: Annotated[str, typer.Option("--definitions", help="How many, with commas.")] = "10,100,1000",
    ways: Annotated[str, typer.Option(help="Which, with commas; all by default.")] = "all",
    fresh: Annotated[bool, typer.Option("--fresh", help="Measure again what is stored.")] = False,
    data: Annotated[Path, typer.Option(help="Where shops are generated and kept.")] = HERE / ".data",
    results: Annotated[Path, typer.Option(help="Where measurements are stored.")] = HERE / "results",
    threads: Annotated[int, typer.Option(min=1, help="For every way.")] = 2,
    memory: Annotated[str, typer.Option(help="Heap of the JVM.")] = "8g",
    timeout: Annotated[float, typer.Option(min=1, help="Minutes for one measurement.")] = 60,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print the table as Markdown.")] = False,
    document: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the table as a document, too.")] = None,
) -> None:
    """Measure the evaluation beside its peers, on the same files, with equal answers. Resumes where it stopped."""
    numbers, chosen = _numbers(counts), _ways(ways)
    console = Console(stderr=True, highlight=False)
    shop = Shop.below(data.resolve(), customers, events)
    run = Bench(
        shop, data.resolve(), Results(results / f"{shop.name}.jsonl"), data.resolve() / "work", threads, memory,
        timeout * 60, console,
    )
    run.generate()
    rows: dict[tuple[str, int], Row] = {}
    for way in chosen:
        for number in dict.fromkeys(0 if way.bare else min(n, MEASURED) if way.linear else n for n in numbers):
            rows[way.name, number] = run.row(way, number, fresh)
    # What was measured before counts as well, so that one way alone is still compared.
    compared = [row for row in run.results.rows.values() if row.answer]
    faulty = wrong(compared) & {row.key for row in rows.values()}
    _print(run, rows, numbers, faulty, as_markdown, document)
    if faulty or any(row.error for row in rows.values()):
        raise typer.Exit(1)


def _print(
    run: Bench, rows: dict[tuple[str, int], Row], numbers: list[int], faulty: set, as_markdown: bool,
    document: Path | None,
) -> None:
    table = report.cells(rows, numbers, faulty)
    versions = next(iter(rows.values())).versions
    machine = f"{os.cpu_count()} cores, {os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"
    lines = [
        f"{run.shop.events:,} events of {run.shop.customers:,} customers; {machine}, {run.threads} threads, JVM heap "
        f"{run.memory}; Python {platform.python_version()}, "
        + ", ".join(f"{name} {number}" for name, number in versions.items()),
        *(run.told(number, rows) for number in numbers), *report.NOTES,
    ]
    answers = sum(row.answer is not None for row in rows.values())
    lines.append(
        f"WRONG: {len(faulty)} of {answers} answers differ." if faulty
        else f"{answers} answers: none differs from another for the same definitions, earlier measurements included."
    )
    text = "\n\n".join([report.markdown(table, numbers), "\n".join(f"- {line}" for line in lines)])
    if document is not None:
        document.write_text(f"{_head(run, rows, numbers)}\n\n{text}\n", encoding="utf-8")
    if as_markdown:
        print(text)
    else:
        output = Console(highlight=False)
        output.print(report.rich_table(table, numbers))
        for line in lines:
            output.print(line, markup=False)


def _head(run: Bench, rows: dict[tuple[str, int], Row], numbers: list[int]) -> str:
    """What stands above the table in a document: how and when it was measured."""
    days = sorted(row.at[:10] for row in rows.values())
    measured = days[0] if days[0] == days[-1] else f"{days[0]} to {days[-1]}"
    how = (
        f"python -m benchmarks --events {run.shop.events} --customers {run.shop.customers} --definitions "
        f"{','.join(map(str, numbers))} --ways {','.join(dict.fromkeys(way for way, _ in rows))}"
    )
    return f"# Benchmarks\n\nWritten by `{how}`, measured {measured}; [what is measured](../benchmarks/README.md)."


def main() -> None:
    # Being terminated has to end the measuring process too, which is in a group of its own.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    typer.run(bench)


if __name__ == "__main__":
    main()
