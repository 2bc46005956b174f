"""What was measured, as JSON lines that survive an interruption, and whether the answers are equal."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Row:
    """One measurement. A later one with the same key stands for it."""

    way: str
    #: How many were timed: for linear ways fewer than the table shows, for the floor none.
    definitions: int
    #: Of the definitions' text: other definitions are another measurement.
    fingerprint: str
    threads: int
    memory: str
    seconds: float
    process_seconds: float
    peak_bytes: int | None
    #: Pairs (customer, segment), and everyone in the table; None where the way writes no such table.
    answer: dict[str, str] | None
    extra: dict[str, Any]
    error: str
    at: str
    versions: dict[str, str]

    @property
    def key(self) -> tuple[Any, ...]:
        return self.way, self.definitions, self.fingerprint, self.threads, self.memory


class Results:
    """The stored measurements of one shop."""

    def __init__(self, file: Path):
        self.file = file
        lines = file.read_text().splitlines() if file.exists() else []
        rows = (Row(**json.loads(line)) for line in lines if line.endswith("}"))
        self.rows = {row.key: row for row in rows}

    def add(self, row: Row) -> None:
        """Keeps a measurement at once, so that nothing is lost when the next one is interrupted."""
        self.rows[row.key] = row
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with self.file.open("a") as output:
            output.write(json.dumps(asdict(row)) + "\n")

    def done(self, key: tuple[Any, ...]) -> Row | None:
        """The measurement of that key, unless it failed."""
        row = self.rows.get(key)
        return row if row and not row.error else None


def answer_of(folder: Path, everyone: bool) -> dict[str, str]:
    """A digest of a written table that does not depend on the order of its rows.

    Count and sum of the hashes of all pairs (customer, segment), and with `everyone` of all customers in the table.
    """
    table = _table(folder)
    pairs = f"SELECT customer_id, unnest(segments) AS segment FROM {table}"
    queries = {"pairs": f"SELECT count(*), sum(hash(customer_id, segment)) FROM ({pairs})"}
    if everyone:
        queries["customers"] = f"SELECT count(*), sum(hash(customer_id)) FROM {table}"
    found = {name: _rows(query)[0] for name, query in queries.items()}
    return {name: f"{count}/{int(total or 0) % 2**64:016x}" for name, (count, total) in found.items()}


def sizes_of(folder: Path) -> dict[str, float]:
    """The segments' sizes as shares of everyone: how many lie between 1 and 20 %, and the one in the middle."""
    table = _table(folder)
    everyone = _rows(f"SELECT count(*) FROM {table}")[0][0]
    counted = _rows(f"SELECT count(*) FROM (SELECT unnest(segments) segment FROM {table}) GROUP BY segment")
    shares = sorted(count / everyone for (count,) in counted)
    median = shares[len(shares) // 2] if shares else 0.0
    return {"usual": sum(0.01 <= share <= 0.2 for share in shares), "median": median}


def _table(folder: Path) -> str:
    """(customer_id, segments) of a written table; ours has a date beside each segment."""
    table = f"read_parquet('{folder}/**/*.parquet')"
    kind = _rows(f"SELECT typeof(segments) FROM {table} LIMIT 1")
    ids = "[entry.id for entry in segments]" if kind and "STRUCT" in kind[0][0] else "segments"
    return f"(SELECT customer_id, {ids} AS segments FROM {table})"


def _rows(query: str) -> list[tuple[Any, ...]]:
    import duckdb

    return duckdb.connect().execute(query).fetchall()


def wrong(rows: Iterable[Row]) -> set[tuple[Any, ...]]:
    """The keys of rows whose answer differs from what most ways with the same definitions found.

    Ways that write members alone are compared by their members.
    """
    rows, found = [row for row in rows if row.answer], set()
    for fingerprint in {row.fingerprint for row in rows}:
        same = [row for row in rows if row.fingerprint == fingerprint]
        for part in ("pairs", "customers"):
            answers = [row.answer[part] for row in same if part in row.answer]
            if len(set(answers)) > 1:
                usual = max(answers, key=answers.count)
                tied = answers.count(usual) * 2 <= len(answers)
                found |= {row.key for row in same if part in row.answer and (tied or row.answer[part] != usual)}
    return found
