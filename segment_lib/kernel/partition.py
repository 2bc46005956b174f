"""One partition: the parcels of its customers from all blocks, and what comes out, a row for each of them.

What comes out is what the scan's joined aggregates hold, see `scan._finished`, and the numbers of the decided segments of
which a customer is a member.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from segment_lib import core
from segment_lib.catalogue import Type
from segment_lib.kernel import decide, steps, totals
from segment_lib.kernel.aggregates import Selected, place_of
from segment_lib.kernel.answers import PEOPLE, Answers
from segment_lib.kernel.base import of_customers
from segment_lib.kernel.digest import digest
from segment_lib.kernel.keys import Keys, arrow_of, keys_of
from segment_lib.kernel.rows import UNTIMED, Lines, Rows, micros, rows_of
from segment_lib.kernel.spec import KernelSpec
from segment_lib.plan import SOURCES
from segment_lib.sequences import rows_name
from segment_lib.tables import INPUTS

TIMES = {source: INPUTS[source].time or "joined_at" for source in SOURCES}
IDS = {"events": "event_id", "orders": "order_id"}


@dataclass(frozen=True)
class Work:
    """What a task has to do. `schema` has the columns that come out."""

    spec: KernelSpec
    schema: pa.Schema
    #: Columns of customers that go through as they are.
    passed: tuple[str, ...]
    faults: dict[str, tuple[str, ...]]
    base_as_of: datetime | None
    #: When the base was published: rows that were loaded later are late.
    base_at: datetime | None
    tenant: str
    #: Hashes of customers whose rows are left out.
    erased: frozenset[str]
    #: What is looked at of sources whose parcels hold more than that.
    columns: Mapping[str, frozenset[str]]
    #: How answers are taken from an earlier night and kept for a later one.
    answers: Answers | None = None
    #: The segments that have numbers in the base's memberships; None when those do not come with the rows.
    base: tuple[str, ...] | None = None

    def kept_name(self, column: str) -> str:
        """Under which name a column that comes out is kept."""
        return self.answers.names.get(column, column) if self.answers else column


class Partition:
    """Customers are numbered as they come, those that stand in `customers` first; one number more is nobody's."""

    def __init__(self, work: Work, tables: dict[str, pa.Table | None]) -> None:
        self.work = work
        self.spec = work.spec
        self.tables = tables
        self.codes: dict[str, np.ndarray] = {}
        self.ids = self._numbered()
        self.nobody = len(self.ids)
        self.size = len(self.ids) + 1

    def _numbered(self) -> pa.Array:
        """The distinct ids; `codes` gets the number of every row's customer, -1 of none."""
        found = {source: whole(table, "customer_id") for source, table in self.tables.items() if table is not None}
        coded = pa.concat_arrays(list(found.values())).dictionary_encode()
        numbers = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        first = 0
        for source, column in found.items():
            self.codes[source] = numbers[first : first + len(column)]
            first += len(column)
        return coded.dictionary

    # -- rows

    @cached_property
    def sources(self) -> dict[str, Rows]:
        """The rows of each source that count, in order of time."""
        return {source: self._rows(source) for source in SOURCES}

    def _rows(self, source: str) -> Rows:
        table = self.tables[source]
        if table is None:
            return _nothing()
        spec, customer, time = self.spec.sources[source], self.codes[source], self.times[source]
        order = np.argsort(time)
        order = order[self.seen[source][order]]
        if spec.ties:
            order = _ties_by_id(order, time, customer, whole(table, IDS[source]))
        lines = [field.name for field in spec.lines] if source == "orders" else []
        return rows_of(table, time, order, customer, lines, TIMES[source])

    @cached_property
    def times(self) -> dict[str, np.ndarray]:
        """When the rows of each source were, as they lie."""
        found = {}
        for source in SOURCES:
            table = self.tables[source]
            if table is not None:
                found[source] = micros_of(whole(table, "_time"))
        return found

    @cached_property
    def seen(self) -> dict[str, np.ndarray]:
        """Which rows of each source are of a customer and before as_of; on a list one may stand without a time."""
        as_of = micros(self.spec.plan.clock.as_of)
        return {
            source: (time < as_of) & (self.codes[source] >= 0) & ((time > UNTIMED) | (source == "lists"))
            for source, time in self.times.items()
        }

    # -- people

    @cached_property
    def base(self) -> dict[str, pa.Array]:
        """The memberships of the base (`base.COLUMNS`) for each customer; empty when they do not come with the rows."""
        names, table = self.work.base, self.tables.get("base")
        if names is None or table is None:
            return {}
        return of_customers(table, self.codes["base"], self.size, names)

    @cached_property
    def persons(self) -> np.ndarray:
        """The number of the customer of every row that comes out: the rows of customers, then ids without one."""
        own = self.codes.get("customers", np.empty(0, np.int32))
        unknown = np.ones(self.nobody, bool)
        unknown[own[own >= 0]] = False
        return np.concatenate([np.where(own >= 0, own, self.nobody), np.flatnonzero(unknown)])

    @cached_property
    def people(self) -> pa.Table | None:
        """The columns of customers for every row that comes out, null for ids without one."""
        table = self.tables["customers"]
        if table is None:
            return None
        places = np.arange(len(self.persons))
        return table.take(pa.array(places, mask=places >= table.num_rows))

    @cached_property
    def known(self) -> np.ndarray:
        """Which of the rows that come out stand in `customers`."""
        known = np.arange(len(self.persons)) < len(self.codes.get("customers", ()))
        if self.people is not None:
            known &= np.asarray(self.people.column("_known").combine_chunks().fill_null(False))
        return known

    @cached_property
    def digests(self) -> np.ndarray:
        """64 bits of what tests look at in the row of `customers`, for every row that comes out."""
        known = Keys(self.known.astype(np.int64), Type.BOOLEAN)
        return digest([known, *map(self.customer_keys, self.spec.tested)], len(self.persons))

    def customer_keys(self, field: core.Field) -> Keys:
        """A column of customers for every row that comes out."""
        if self.people is None:
            return _all_missing(field.type, len(self.persons))
        name = field.name if field.name.startswith("_made_") else f"customer_{field.name}"
        return keys_of(self.people.column(name), field.type)

    @cached_property
    def _in_order(self) -> bool:
        """Whether the rows that come out are the customers as they are numbered."""
        return np.array_equal(self.persons, np.arange(self.nobody))

    def _spread(self, keys: Keys) -> Keys:
        """What is known of each customer, for each row that comes out."""
        return keys.take(slice(0, self.nobody) if self._in_order else self.persons)

    # -- what comes out

    def rows(self) -> pa.RecordBatch:
        """A row for every customer, and for each of nobody's rows of `customers`."""
        found = self._columns()
        count = len(self.persons)
        ids = self.ids.take(pa.array(self.persons, mask=self.persons == self.nobody))
        people = decide.Customers(ids, self.known, self.customer_keys)
        emitted = {self.spec.features[feature]: feature.name for feature in self.spec.emitted}

        def noting():
            for feature, keys in decide.features(self.spec, self.sources, self.size):
                if feature in emitted:
                    found[emitted[feature]] = keys
                yield feature, keys

        members = decide.answers(self.spec.program, noting(), people, self._spread)
        columns = {"customer_id": ids, "_decided": decide.bits_of_customers(members, count)}
        if self.work.answers is not None:
            columns[PEOPLE] = pa.array(self.digests)
        return self._batch(found, columns, count)

    def _batch(self, found: dict[str, Keys | pa.Array], columns: dict[str, pa.Array], count: int) -> pa.RecordBatch:
        places = pa.array(self.persons)

        def array(field: pa.Field) -> pa.Array:
            if field.name in columns:
                return columns[field.name]
            if field.name in self.work.passed and self.people is not None:
                return whole(self.people, field.name)
            value = found.get(field.name)
            if isinstance(value, Keys):
                return arrow_of(self._spread(value), field.type)
            return pa.nulls(count, field.type) if value is None else value.take(places)

        return pa.record_batch([array(field).cast(field.type) for field in self.work.schema], schema=self.work.schema)

    def _columns(self) -> dict[str, Keys | pa.Array]:
        """What is not a feature, for each customer."""
        plan, found = self.spec.plan, dict(self.base)
        for source in SOURCES:
            found.update(self._counts(source))
        made = (
            *totals.of_orders(plan, self.sources["orders"], self.size),
            *totals.of_events(plan, self.sources["events"], self.size),
            *totals.day_orders(plan, self.sources["orders"], self.size),
        )
        found.update({name: value for name, _, value in made})
        for sequence in plan.sequences:
            tests = {step: self.spec.tests[step] for step in sequence.occurrences}
            for source in SOURCES:
                rows = steps.collected(sequence, tests, source, self.sources[source], self.size)
                if rows is not None:
                    found[rows_name(sequence, source)] = rows
        return found

    def _counts(self, source: str) -> dict[str, Keys]:
        """How many rows a customer has, whether some are new or late, when the newest was, and what cannot be read."""
        table, rows = self.tables[source], self.sources[source]
        if table is None:
            return {}
        customer, seen = self.codes[source], self.seen[source]

        def counted(which: np.ndarray) -> Keys:
            return Keys(np.bincount(customer[which], minlength=self.size), Type.INTEGER)

        found = {f"_rows_{source}": counted(customer >= 0), f"_seen_{source}": counted(seen)}
        last = place_of(Selected(rows, slice(None), self.size), last=True)
        newest = np.append(rows.time, UNTIMED)[last]
        found[f"_newest_{source}"] = Keys(newest, Type.TIMESTAMP, newest == UNTIMED)
        found[f"_new_{source}"] = Keys(self.new(source).astype(np.int64), Type.BOOLEAN)
        found[f"_late_{source}"] = Keys(self.late(source).astype(np.int64), Type.BOOLEAN)
        for column in self.work.faults.get(source, ()):
            bad = np.asarray(whole(table, f"_bad_{column}").fill_null(False))
            found[f"_fault_{source}_{column}"] = counted(seen & bad)
        return found

    def new(self, source: str) -> np.ndarray:
        """Which customers have a row since the base."""
        if self.tables[source] is None:
            return np.zeros(self.size, bool)
        seen, base = self.seen[source], self.work.base_as_of
        return self._some(source, seen if base is None else seen & (self.times[source] >= micros(base)))

    def late(self, source: str) -> np.ndarray:
        """Which customers have a row from before the base that arrived after it was made."""
        table, base, base_at = self.tables[source], self.work.base_as_of, self.work.base_at
        if table is None or base is None or base_at is None:
            return np.zeros(self.size, bool)
        arrived = micros_of(whole(table, "_late_at"))
        return self._some(source, self.seen[source] & (arrived > micros(base_at)) & (self.times[source] < micros(base)))

    def _some(self, source: str, which: np.ndarray) -> np.ndarray:
        """Which customers have one of some rows; one place more is nobody's."""
        found = np.zeros(self.size, bool)
        found[self.codes[source][which]] = True
        return found

    def rejected(self) -> Iterator[pa.RecordBatch]:
        """A row for each reason for which rows of a source do not count."""
        nothing = bytes((len(self.spec.decided) + 7) // 8)
        for source in SOURCES:
            table = self.tables[source]
            if table is None:
                continue
            nobody = self.codes[source] < 0
            if not nobody.any():
                continue
            reasons = whole(table, "_reject").filter(pa.array(nobody)).fill_null("missing_customer_id")
            for entry in reasons.value_counts().to_pylist():
                own = {f"_reject_{source}": str(entry["values"]), f"_rows_{source}": entry["counts"], "_decided": nothing}
                yield pa.RecordBatch.from_pylist([own], self.work.schema)


def whole(table: pa.Table, name: str) -> pa.Array:
    """A column as one array; texts in codes as texts."""
    column = table.column(name)
    array = column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks) if column.num_chunks else (
        pa.array([], column.type)
    )
    return array.cast(pa.string()) if pa.types.is_dictionary(array.type) else array


def micros_of(column: pa.Array) -> np.ndarray:
    """Instants as microseconds since 1970, UNTIMED where there is none."""
    instants = column.cast(pa.timestamp("us", "UTC")).view(pa.int64())
    return instants.fill_null(UNTIMED).to_numpy(zero_copy_only=False)


def _all_missing(kind: Type, count: int) -> Keys:
    if kind is Type.TEXT:
        return Keys(np.zeros(count, np.int32), kind, texts=pa.array([], pa.string()))
    return Keys(np.zeros(count, np.int64), kind, np.ones(count, bool))


def _nothing() -> Rows:
    def no_lines() -> Lines:
        return Lines(np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0, np.int64), column)

    def column(field: core.Field) -> Keys:
        return _all_missing(field.type, 0)

    return Rows(np.empty(0, np.int32), np.empty(0, np.int64), column, no_lines)


def _ties_by_id(order: np.ndarray, time: np.ndarray, customer: np.ndarray, ids: pa.Array) -> np.ndarray:
    """Rows in order of time, with those of one instant in the order of their ids, by UTF-8 bytes."""
    sorted_time = time[order]
    same = sorted_time[1:] == sorted_time[:-1]
    tied = np.zeros(len(order), bool)
    tied[1:] |= same
    tied[:-1] |= same
    # Only ties of one customer matter: first they are brought together, then the few that are left are told apart.
    places = np.flatnonzero(tied)
    rows = order[places]
    rows = rows[np.lexsort((customer[rows], time[rows]))]
    alike = (time[rows][1:] == time[rows][:-1]) & (customer[rows][1:] == customer[rows][:-1])
    if alike.any():
        names = ids.take(pa.array(rows)).cast(pa.binary()).fill_null(b"").dictionary_encode()
        ranks = np.empty(len(names.dictionary), np.int64)
        ranks[np.asarray(pc.array_sort_indices(names.dictionary))] = np.arange(len(names.dictionary))
        rows = rows[np.lexsort((ranks[np.asarray(names.indices)], customer[rows], time[rows]))]
    order[places] = rows
    return order
