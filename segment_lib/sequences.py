"""Sequences as Spark Columns: the rows of one customer, collected by the scan, searched for a choice that fits.

What the scan collects of a source is an array of (``at``: microseconds since 1970, ``marks``: one bit for each kind of
rows that the sequence looks at, ``key``: the values that must be equal). Only rows that some step looks at are collected,
and only the answer is staged.

Cost: steps x rows^2 for a customer with so many rows that fit a step. A customer with a very great many of them is the one
case in which a task's work is not in proportion to its rows; a narrower window or filter is the cure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import reduce
from operator import and_, or_

from pyspark.sql import Column
from pyspark.sql import functions as F

from segment_lib import core
from segment_lib.clock import Clock, Step

_EXACT_MICROS = {"min": 60_000_000, "h": 3_600_000_000}


def rows_name(sequence: core.Sequence, source: str) -> str:
    """The column with a source's rows for a sequence; it is not staged."""
    return f"_{sequence.name}_{source}"


def rows_of_source(
    sequence: core.Sequence, source: str, holds: Callable[[core.Occurrence], Column], time: Column
) -> Column | None:
    """The aggregate that collects a source's rows for a sequence; None when no step looks at that source.

    `holds` tells whether a row is an occurrence.
    """
    bits = _bits(sequence)
    wanted = [(bit, rows) for rows, bit in bits.items() if rows.source == source]
    if not wanted:
        return None
    marks = reduce(Column.bitwiseOR, (F.when(holds(rows), F.lit(bit)).otherwise(F.lit(0)) for bit, rows in wanted))
    row = F.struct(
        F.unix_micros(time).alias("at"), marks.cast("bigint").alias("marks"), _key(sequence, source).alias("key")
    )
    return F.collect_list(F.when(reduce(or_, (holds(rows) for _, rows in wanted)), row))


def sequence_column(sequence: core.Sequence, rows: Column, clock: Clock) -> Column:
    """Whether some choice of the collected `rows` fits; never null."""
    return _let(rows, lambda bound: _Search(sequence, bound, clock).found())


def _bits(sequence: core.Sequence) -> Mapping[core.Occurrence, int]:
    return {rows: 1 << i for i, rows in enumerate(sequence.occurrences)}


def _key(sequence: core.Sequence, source: str) -> Column:
    """The values that must be equal in all steps; missing in rows of a source that only `did_not` looks at."""
    types = [column.type.ddl for column in sequence.steps[0].same]
    own = next((step.same for step in sequence.steps if step.rows.source == source), None)
    columns = [F.col(f"`{column.name}`") for column in own] if own is not None else [F.lit(None)] * len(types)
    parts = [column.cast(kind).alias(f"k{i}") for i, (column, kind) in enumerate(zip(columns, types, strict=True))]
    return F.struct(*parts, F.lit(True).alias("is_key"))


def _let(value: Column, body: Callable[[Column], Column]) -> Column:
    """`body` of a value that is computed once: an expression that stands inside a lambda would run for every element."""
    return F.transform(F.array(value), body)[0]


class _Search:
    """The search of one sequence among `rows`.

    A chain is an array of the rows at which the steps so far can end, each with the `firsts`: instants at which such a
    choice began. All of them are kept only when both the span and the silence at the end ask for them, since a later first
    row is better for the one and worse for the other; without a span none is needed, with a span alone the latest is.
    """

    def __init__(self, sequence: core.Sequence, rows: Column, clock: Clock) -> None:
        self.sequence = sequence
        self.rows = rows
        self.zone = clock.zone.key
        self.bits = _bits(sequence)

    def found(self) -> Column:
        first = self.sequence.steps[0]
        starts = F.transform(
            F.filter(self._that_are(first.rows), lambda row: self._known(row, first)),
            lambda row: F.struct(row["at"].alias("at"), row["key"].alias("key"), F.array(row["at"]).alias("firsts")),
        )
        return _let(starts, lambda chain: self._after(chain, 1))

    def _after(self, chain: Column, number: int) -> Column:
        if number == len(self.sequence.steps):
            return self._ends_well(chain)
        longer = self._extended(chain, self.sequence.steps[number])
        return _let(longer, lambda bound: self._after(bound, number + 1))

    def _that_are(self, rows: core.Occurrence) -> Column:
        return F.filter(self.rows, lambda row: self._is(row, rows))

    def _is(self, row: Column, rows: core.Occurrence) -> Column:
        return row["marks"].bitwiseAND(F.lit(self.bits[rows])) != F.lit(0)

    def _known(self, row: Column, step: core.Follow) -> Column:
        return reduce(and_, (row["key"][f"k{i}"].isNotNull() for i in range(len(step.same))), F.lit(True))

    def _extended(self, chain: Column, step: core.Follow) -> Column:
        """The chain after one step more."""

        def reached(row: Column) -> Column:
            return _let(self._last_noise(row, step), lambda noise: F.struct(
                row["at"].alias("at"), row["key"].alias("key"),
                self._firsts(F.filter(chain, lambda end: self._follows(row, end, step, noise)), row).alias("firsts"),
            ))

        return F.filter(F.transform(self._that_are(step.rows), reached), lambda end: F.size(end["firsts"]) > 0)

    def _last_noise(self, row: Column, step: core.Follow) -> Column:
        """The last instant before `row` at which something lies that must not lie between."""
        if step.quiet is None:
            return F.lit(None).cast("bigint")
        quiet = step.quiet
        before = F.filter(self.rows, lambda other: self._is(other, quiet) & (other["at"] < row["at"]))
        return F.array_max(F.transform(before, lambda other: other["at"]))

    def _follows(self, row: Column, end: Column, step: core.Follow, noise: Column) -> Column:
        tests = [end["at"] < row["at"]]
        if step.quiet is not None:
            tests.append(F.coalesce(noise <= end["at"], F.lit(True)))
        tests += [row["key"][f"k{i}"] == end["key"][f"k{i}"] for i in range(len(step.same))]
        for operator, length in step.after:
            tests.append(_COMPARED[operator](row["at"], self._moved(end["at"], length)))
        return F.coalesce(reduce(and_, tests), F.lit(False))

    def _firsts(self, ends: Column, row: Column) -> Column:
        """The instants at which a choice that ends at `row` can begin, as far as they matter."""
        span = self.sequence.span
        if span is None:
            return F.when(F.size(ends) > 0, F.array(row["at"])).otherwise(F.array().cast("array<bigint>"))
        firsts = F.array_distinct(F.flatten(F.transform(ends, lambda end: end["firsts"])))
        if self.sequence.end is None:
            firsts = F.array_compact(F.array(F.array_max(firsts)))
        return F.filter(firsts, lambda first: row["at"] <= self._moved(first, span))

    def _ends_well(self, chain: Column) -> Column:
        silence = self.sequence.end
        if silence is None:
            return F.size(chain) > 0

        def quiet(end: Column) -> Column:
            later = F.filter(self.rows, lambda row: self._is(row, silence.rows) & (row["at"] > end["at"]))
            return _let(F.array_min(F.transform(later, lambda row: row["at"])), lambda noise: self._quiet(end, noise))

        return F.coalesce(F.exists(chain, quiet), F.lit(False))

    def _quiet(self, end: Column, noise: Column) -> Column:
        """That the first noise after the last step comes too late to matter, or never."""
        span, least = self.sequence.span, self.sequence.end.least
        never = noise.isNull()
        quiet = never if span is None else never | F.exists(end["firsts"], lambda first: noise > self._moved(first, span))
        if least is not None:
            passed = self._moved(end["at"], least)
            as_of = F.unix_micros(F.lit(self.sequence.as_of))
            quiet = quiet & (passed <= as_of) & (never | (noise >= passed))
        return F.coalesce(quiet, F.lit(False))

    def _moved(self, instant: Column, step: Step) -> Column:
        """`Clock.move`, forward, of an instant in microseconds."""
        if not step.is_calendar:
            return instant + F.lit(step.number * _EXACT_MICROS[step.unit])
        local = F.from_utc_timestamp(F.timestamp_micros(instant), self.zone)
        midnight = F.date_trunc("day", local)
        starts = F.to_utc_timestamp(midnight, self.zone) == F.timestamp_micros(instant)
        # Where a clock change skips midnight, a day still starts at its first instant, not an hour later.
        local = F.when(starts, midnight).otherwise(local)
        if step.unit in ("d", "w"):
            length = F.make_dt_interval(F.lit(step.number * (7 if step.unit == "w" else 1)))
        else:
            length = F.make_ym_interval(F.lit(0), F.lit(step.number * (12 if step.unit == "y" else 1)))
        return F.unix_micros(F.to_utc_timestamp(local + length, self.zone))


_COMPARED: dict[str, Callable[[Column, Column], Column]] = {
    "at_least": lambda at, limit: at >= limit,
    "more_than": lambda at, limit: at > limit,
    "at_most": lambda at, limit: at <= limit,
    "less_than": lambda at, limit: at < limit,
}
