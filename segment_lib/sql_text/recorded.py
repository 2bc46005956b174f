"""Frames that write down as SQL what is done with them.

A `RecordedFrame` stands in for a DataFrame in the functions that read inputs and scan them, and does the few operations
that those use; each is done on the frame inside it, which nobody runs, and noted as a common table expression. So the
text is made by the same code as the night, step by step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from segment_lib.sql_text.columns import Text, quoted, rendered

_JOINS = {
    "inner": "INNER JOIN", "left": "LEFT JOIN", "full": "FULL JOIN", "full_outer": "FULL JOIN",
    "left_semi": "LEFT SEMI JOIN", "left_anti": "LEFT ANTI JOIN", "cross": "CROSS JOIN",
}


@dataclass(frozen=True)
class Source:
    """What stands after FROM: its text, the expressions it names, the columns it reads, filters and a tail."""

    sql: str
    inputs: tuple[str, ...] = ()
    reads: frozenset[str] = frozenset()
    where: tuple[str, ...] = ()
    tail: str = ""


@dataclass(frozen=True)
class Query:
    """One common table expression; `whole` when none of its columns may be left out."""

    items: tuple[Text, ...]
    source: Source
    group: tuple[str, ...] = ()
    whole: bool = False
    distinct: bool = False
    union: str | None = None

    def columns(self, needed: frozenset[str]) -> tuple[Text, ...]:
        """The items that are needed, at least one."""
        kept = tuple(item for item in self.items if self.whole or item.generates or item.name in needed)
        return kept or self.items[:1]

    def text(self, needed: frozenset[str], indent: str = "") -> str:
        """The query with the columns that are needed."""
        comma = f",\n{indent}  "
        lines = ["SELECT DISTINCT" if self.distinct else "SELECT", "  " + comma.join(map(_item, self.columns(needed)))]
        lines.append(f"FROM {self.source.sql}")
        lines += [f"WHERE {' AND '.join(self.source.where)}"] * bool(self.source.where)
        lines += [f"GROUP BY {', '.join(self.group)}"] * bool(self.group)
        lines += [self.source.tail] * bool(self.source.tail)
        lines += [f"UNION ALL SELECT * FROM {self.union}"] * bool(self.union)
        return "\n".join(indent + line for line in lines)


def _item(item: Text) -> str:
    assert item.name is not None
    name = quoted(item.name)
    return item.sql if item.sql == name else f"{item.sql} AS {name}"


@dataclass
class Book:
    """The expressions written so far, by name, in the order in which they were."""

    queries: dict[str, Query] = field(default_factory=dict)

    def add(self, hint: str, query: Query) -> str:
        """Writes an expression down, once; the name begins with `hint`."""
        same = next((name for name, other in self.queries.items() if other == query), None)
        if same is not None:
            return same
        stem = hint.rstrip("0123456789").rstrip("_")
        number = sum(name.rstrip("0123456789") == f"{stem}_" for name in self.queries) + 1
        self.queries[f"{stem}_{number}"] = query
        return f"{stem}_{number}"

    def table(self, frame: DataFrame, sql: str, hint: str) -> RecordedFrame:
        """A stored table, by the text that names it in SQL."""
        return RecordedFrame(frame, self, Source(sql), hint)

    def nothing(self, frame: DataFrame, hint: str) -> RecordedFrame:
        """A table without rows, with the columns of `frame`."""
        kinds = [f"CAST(NULL AS {kind.dataType.simpleString()}) AS {quoted(kind.name)}" for kind in frame.schema]
        return self.table(frame, f"(SELECT {', '.join(kinds)} WHERE false)", hint)

    def statement(self, frame: RecordedFrame) -> str:
        """The whole statement: a frame's rows, with no more columns anywhere than it takes."""
        last = frame.named()
        needed: dict[str, frozenset[str]] = {last: frozenset(frame.columns)}
        for name, query in reversed(self.queries.items()):
            if name not in needed:
                continue
            reads = query.source.reads.union(*(item.reads for item in query.columns(needed[name])))
            for other in (*query.source.inputs, *([query.union] if query.union else [])):
                needed[other] = needed.get(other, frozenset()) | reads
        parts = [
            f"{name} AS (\n{query.text(needed[name], '  ')}\n)" for name, query in self.queries.items()
            if name in needed and name != last
        ]
        final = self.queries[last].text(needed[last])
        return "WITH\n" + ",\n".join(parts) + "\n" + final if parts else final


@dataclass(frozen=True)
class RecordedFrame:
    """A DataFrame whose operations are written down."""

    frame: DataFrame
    book: Book = field(repr=False)
    source: Source
    hint: str

    @property
    def columns(self) -> list[str]:
        return self.frame.columns

    @property
    def schema(self) -> T.StructType:
        return self.frame.schema

    def __getitem__(self, name: str) -> Column:
        return F.col(quoted(name))

    def named(self) -> str:
        """The name of the expression with these rows, written down if it is not yet."""
        if self.source.sql in self.book.queries and not self.source.where and not self.source.tail:
            return self.source.sql
        return self._added(self.frame, self._own()).source.sql

    def _bare(self) -> RecordedFrame:
        """The same rows as something that may be joined: a name, or joins of names."""
        if self.source.inputs and not self.source.where and not self.source.tail:
            return self
        return self._of(self.frame, self.named())

    def _of(self, frame: DataFrame, name: str) -> RecordedFrame:
        return replace(self, frame=frame, source=Source(name, (name,)), hint=name)

    def _added(self, frame: DataFrame, columns: Sequence[Column], **more: Any) -> RecordedFrame:
        items = tuple(rendered(column) for column in columns)
        assert [item.name for item in items] == frame.columns, "every column of a recorded select has a name"
        return self._of(frame, self.book.add(self.hint, Query(items, self.source, **more)))

    def _own(self) -> list[Column]:
        return [F.col(quoted(name)) for name in self.columns]

    def _as_columns(self, given: Sequence[Column | str]) -> list[Column]:
        columns: list[Column] = []
        for one in given:
            if isinstance(one, str) and one == "*":
                columns += self._own()
            else:
                columns.append(F.col(one) if isinstance(one, str) else one)
        return columns

    # -- the operations of a DataFrame

    def select(self, *given: Column | str) -> RecordedFrame:
        columns = self._as_columns(given)
        return self._added(self.frame.select(*columns), columns)

    def where(self, condition: Column | str) -> RecordedFrame:
        if self.source.tail:
            return self._of(self.frame, self.named()).where(condition)
        column = F.expr(condition) if isinstance(condition, str) else condition
        text = rendered(column)
        source = replace(
            self.source, where=(*self.source.where, text.sql), reads=self.source.reads | text.reads
        )
        return replace(self, frame=self.frame.where(column), source=source)

    def withColumn(self, name: str, column: Column) -> RecordedFrame:
        added = column.alias(name)
        columns = [added if other == name else F.col(quoted(other)) for other in self.columns]
        return self.select(*columns, *([] if name in self.columns else [added]))

    def withColumnRenamed(self, before: str, after: str) -> RecordedFrame:
        return self.select(*(F.col(quoted(name)).alias(after if name == before else name) for name in self.columns))

    def join(self, other: RecordedFrame, on: str | Column, how: str = "inner") -> RecordedFrame:
        left, right = self._bare(), other.named()
        if isinstance(on, str):
            clause, reads = f"USING ({quoted(on)})", frozenset({on})
        else:
            text = rendered(on)
            clause, reads = f"ON {text.sql}", text.reads
        return left._joined(self.frame.join(other.frame, on, how), right, how, clause, reads)

    def crossJoin(self, other: RecordedFrame) -> RecordedFrame:
        left, right = self._bare(), other.named()
        return left._joined(self.frame.crossJoin(other.frame), right, "cross", "", frozenset())

    def _joined(self, frame: DataFrame, right: str, how: str, clause: str, reads: frozenset[str]) -> RecordedFrame:
        source = Source(
            f"{self.source.sql} {_JOINS[how]} {right} {clause}".rstrip(), (*self.source.inputs, right),
            self.source.reads | reads,
        )
        return replace(self, frame=frame, source=source)

    def groupBy(self, *keys: str) -> RecordedGroups:
        return RecordedGroups(self, keys)

    def agg(self, *columns: Column) -> RecordedFrame:
        return self._added(self.frame.agg(*columns), columns)

    def distinct(self) -> RecordedFrame:
        return self._added(self.frame.distinct(), self._own(), whole=True, distinct=True)

    def unionByName(self, other: RecordedFrame) -> RecordedFrame:
        right = other._added(other.frame.select(*self._own()), self._own(), whole=True).source.sql
        return self._added(self.frame.unionByName(other.frame), self._own(), whole=True, union=right)

    def orderBy(self, *columns: Column) -> RecordedFrame:
        texts = [rendered(column) for column in columns]
        bare = self._of(self.frame, self.named())
        reads = bare.source.reads.union(*(text.reads for text in texts))
        tail = f"ORDER BY {', '.join(text.sql for text in texts)}"
        return replace(bare, frame=self.frame.orderBy(*columns), source=replace(bare.source, tail=tail, reads=reads))

    def limit(self, count: int) -> RecordedFrame:
        source = replace(self.source, tail=f"{self.source.tail} LIMIT {count}".strip())
        return replace(self, frame=self.frame.limit(count), source=source)

    def localCheckpoint(self) -> RecordedFrame:
        return replace(self, frame=self.frame.localCheckpoint())

    # -- what is asked of the data itself

    def count(self) -> int:
        return self.frame.count()

    def collect(self) -> list[Any]:
        return self.frame.collect()

    def inputFiles(self) -> list[str]:
        return self.frame.inputFiles()


@dataclass(frozen=True)
class RecordedGroups:
    """Rows by equal keys, waiting for aggregates."""

    rows: RecordedFrame
    keys: tuple[str, ...]

    def agg(self, *columns: Column) -> RecordedFrame:
        frame = self.rows.frame.groupBy(*self.keys).agg(*columns)
        rows = replace(self.rows, source=replace(self.rows.source, reads=self.rows.source.reads.union(self.keys)))
        keys = [F.col(quoted(key)) for key in self.keys]
        return rows._added(frame, [*keys, *columns], group=tuple(map(quoted, self.keys)))
