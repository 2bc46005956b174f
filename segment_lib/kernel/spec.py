"""What the kernel does for a plan: which definitions it decides, and which columns of the sources that takes.

A definition is decided by the kernel when all it asks for are features and columns of the customer, compared with
literals, membership of other such segments, and splits. Scores, percentiles, limits, formulas, sequences and segments that
keep their members come later, when everyone's features are known; the definitions that need them are left to Columns, and
the kernel gives them their features.

What the kernel cannot test in a row is made by Spark before, as a boolean column of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from zoneinfo import ZoneInfo

from segment_lib import core
from segment_lib.catalogue import Type
from segment_lib.kernel import totals
from segment_lib.kernel.compare import in_zone, is_comparable
from segment_lib.kernel.rows import KIND
from segment_lib.plan import SOURCES, EvaluationPlan


class NotForKernel(Exception):
    """The plan has rows that the kernel cannot look at; Columns evaluate it."""


@dataclass(frozen=True)
class SourceSpec:
    """What is read of a source; `made` are tests by the name of the boolean column that Spark makes of each."""

    source: str
    fields: tuple[core.Field, ...] = ()
    lines: tuple[core.Field, ...] = ()
    made: tuple[tuple[str, core.Test], ...] = ()
    #: Whether rows of one instant must be told apart by their ids.
    ties: bool = False


@dataclass(frozen=True)
class KernelSpec:
    """The kernel's part of a plan. `features` maps a feature of the plan to the form in which the kernel knows it."""

    plan: EvaluationPlan
    #: (segment, test), each after those it refers to.
    definitions: tuple[tuple[str, core.Test], ...]
    features: dict[core.Aggregate, core.Aggregate]
    #: The features that leave the kernel.
    emitted: tuple[core.Aggregate, ...]
    #: Columns of customers that tests read, and those that leave the kernel.
    tested: tuple[core.Field, ...]
    staged: tuple[core.Field, ...]
    sources: dict[str, SourceSpec]
    #: What the steps of sequences ask of rows, in the kernel's form.
    tests: dict[core.Occurrence, core.Test]

    @property
    def decided(self) -> tuple[str, ...]:
        """The segments that the kernel decides, sorted; their places are their numbers."""
        return tuple(sorted(name for name, _ in self.definitions))

    @cached_property
    def program(self) -> Program:
        """The definitions as steps."""
        return program_of(self.definitions)

    @cached_property
    def work(self) -> tuple[tuple[str, core.Compare | None, tuple[tuple[core.Test, tuple[core.Aggregate, ...]], ...]], ...]:
        """The features by the rows they look at: of each source and kinds, by what else is asked of the rows."""
        found: dict[tuple[str, core.Compare | None], dict[core.Test, list[core.Aggregate]]] = {}
        for feature in dict.fromkeys(self.features.values()):
            kind, rest = _by_kind(feature)
            found.setdefault((feature.source, kind), {}).setdefault(rest, []).append(feature)
        return tuple(
            (source, kind, tuple((rest, tuple(asked)) for rest, asked in filters.items()))
            for (source, kind), filters in found.items()
        )


def _leaves(test: core.Test) -> list[core.Test]:
    if isinstance(test, core.All | core.Any):
        return [leaf for part in test.args for leaf in _leaves(part)]
    return _leaves(test.arg) if isinstance(test, core.Not) else [test]


def _by_kind(feature: core.Aggregate) -> tuple[core.Compare | None, core.Test]:
    """The kinds of rows that a feature counts, and what else it asks of them."""
    parts = feature.where.args if isinstance(feature.where, core.All) else (feature.where,)
    for part in parts:
        if (
            isinstance(part, core.Compare) and part.operator in ("eq", "in")
            and isinstance(part.value, core.Field) and part.value.name == KIND[feature.source]
        ):
            return part, core.all_of(*(other for other in parts if other is not part))
    return None, feature.where


@dataclass(frozen=True)
class Step:
    """One step of a program: a question about one customer, or ``all``, ``any`` or ``not`` of earlier steps."""

    operation: str
    operands: tuple[int, ...] = ()
    leaf: core.Test | None = None


@dataclass(frozen=True)
class Program:
    """Definitions as steps, each distinct part once and after what it needs.

    `results` are the steps that decide, in the order of the definitions' names.
    """

    steps: tuple[Step, ...]
    results: tuple[int, ...]


def program_of(definitions: Sequence[tuple[str, core.Test]]) -> Program:
    """The program of definitions, each after those it refers to.

    >>> program_of([("a", core.IsCustomer()), ("b", core.Not(core.Member("a")))]).results
    (0, 1)
    """
    steps: list[Step] = []
    places: dict[core.Test, int] = {}
    results: dict[str, int] = {}

    def place(test: core.Test) -> int:
        if isinstance(test, core.Member):
            return results[test.segment]
        if test not in places:
            if isinstance(test, core.All | core.Any):
                step = Step("all" if isinstance(test, core.All) else "any", tuple(map(place, test.args)))
            elif isinstance(test, core.Not):
                step = Step("not", (place(test.arg),))
            else:
                step = Step("leaf", leaf=test)
            steps.append(step)
            places[test] = len(steps) - 1
        return places[test]

    for name, test in definitions:
        results[name] = place(test)
    return Program(tuple(steps), tuple(results[name] for name in sorted(results)))


def spec_of(plan: EvaluationPlan) -> KernelSpec:
    """The kernel's part of a plan; NotForKernel when its rows cannot be looked at."""
    rows = {source: _Reader(source, plan.clock.zone) for source in (*SOURCES, "customers")}
    features = {feature: rows[feature.source].feature(feature) for feature in plan.features}
    definitions: dict[str, core.Test] = {}
    for planned in sorted(plan.segments, key=lambda planned: planned.level):
        test = _decidable(planned.reduced.test, features, rows["customers"], definitions)
        if test is not None and planned.reduced.cut is None:
            definitions[planned.id] = test
    left = [planned.reduced for planned in plan.segments if planned.id not in definitions]
    nodes = [*(node for reduced in left for node in reduced.walk()), *plan.needed]
    emitted = tuple(feature for feature in plan.features if feature in set(nodes))
    staged = tuple(field for field in plan.customer_fields if field in set(nodes))
    steps = dict.fromkeys(step for sequence in plan.sequences for step in sequence.occurrences)
    tests = {step: rows[step.source].test(step.where) for step in steps}
    for field in (field for sequence in plan.sequences for step in sequence.steps for field in step.same):
        rows[field.source].field(field)
    for source, fields in totals.fields(plan).items():
        for field in fields:
            if source == "items":
                rows["orders"].line_fields[field] = None
            else:
                rows[source].field(field)
    return KernelSpec(
        plan, tuple(definitions.items()), features, emitted, tuple(rows["customers"].fields), staged,
        {source: reader.spec() for source, reader in rows.items()}, tests,
    )


class _Reader:
    """Notes what is read of a source, and puts a column in the place of each test that Spark has to make."""

    def __init__(self, source: str, zone: ZoneInfo) -> None:
        self.source = source
        self.zone = zone
        self.fields: dict[core.Field, None] = {}
        self.line_fields: dict[core.Field, None] = {}
        self.made: dict[core.Test, core.Field] = {}
        self.ties = False

    def spec(self) -> SourceSpec:
        made = tuple((field.name, test) for test, field in self.made.items())
        return SourceSpec(self.source, tuple(self.fields), tuple(self.line_fields), made, self.ties)

    def field(self, field: core.Field) -> core.Field:
        self.fields[field] = None
        return field

    def feature(self, feature: core.Aggregate) -> core.Aggregate:
        where = self.test(feature.where)
        if isinstance(feature, core.Periods):
            return replace(feature, where=where)
        assert isinstance(feature, core.Feature)
        self.ties |= feature.function in ("first", "latest")
        return replace(feature, where=where, field=None if feature.field is None else self.value(feature.field))

    def value(self, value: core.Value) -> core.Value:
        if isinstance(value, core.Field):
            return self.field(value)
        if isinstance(value, core.Lines) and self.lines(value.where):
            self.line_fields[value.field] = None
            return value
        raise NotForKernel(f"{type(value).__name__} of {self.source}")

    def test(self, test: core.Test) -> core.Test:
        """The test with a column in the place of what cannot be tested here."""
        if isinstance(test, core.Const):
            return test
        if isinstance(test, core.All | core.Any):
            return replace(test, args=tuple(map(self.test, test.args)))
        if isinstance(test, core.Not):
            return replace(test, arg=self.test(test.arg))
        if isinstance(test, core.Compare) and isinstance(test.value, core.Field) and is_comparable(test.value, test):
            self.field(test.value)
            return in_zone(test, self.zone)
        if isinstance(test, core.AnyLine) and self.lines(test.where):
            return test
        if isinstance(test, core.Compare) and self.of_lines(test):
            return test
        if isinstance(test, core.AnyGroup) and self.of_groups(test):
            self.line_fields.update(dict.fromkeys(test.by))
            return test
        return self.column(test)

    def of_lines(self, test: core.Test) -> bool:
        """Whether a test compares what an order's lines give, in a way that can be done here."""
        if not (isinstance(test, core.Compare) and isinstance(test.value, core.Lines)):
            return False
        value = test.value
        plain = value.function == "sum" or value.function in ("min", "max") and value.type not in (Type.TEXT, Type.TEXTS)
        known = plain and is_comparable(value, test) and self.lines(value.where)
        if known:
            self.line_fields[value.field] = None
        return known

    def of_groups(self, test: core.AnyGroup) -> bool:
        """Whether a test of groups of an order's lines can be made here."""
        leaves = [leaf for leaf in _leaves(test.having) if not isinstance(leaf, core.Const)]
        return self.lines(test.where) and all([self.of_lines(leaf) for leaf in leaves])

    def column(self, test: core.Test) -> core.Test:
        """A boolean column that Spark makes of a test."""
        field = self.made.setdefault(test, core.Field(self.source, f"_made_{len(self.made)}", Type.BOOLEAN))
        return core.Compare(field, "eq", (True,))

    def lines(self, test: core.Test) -> bool:
        """Whether a test of an order's line can be made here; its columns are noted."""
        leaves = [leaf for leaf in _leaves(test) if not isinstance(leaf, core.Const)]
        known = all(
            isinstance(leaf, core.Compare) and isinstance(leaf.value, core.Field) and is_comparable(leaf.value, leaf)
            and leaf == in_zone(leaf, self.zone) for leaf in leaves
        )
        if known:
            self.line_fields.update({leaf.value: None for leaf in leaves})
        return known


def _decidable(
    test: core.Test, features: dict[core.Aggregate, core.Aggregate], customers: _Reader, decided: dict[str, core.Test]
) -> core.Test | None:
    """The test as the kernel makes it; None when it needs what only Columns have."""
    if isinstance(test, core.Const | core.IsCustomer | core.Split):
        return test
    if isinstance(test, core.Member):
        return test if test.segment in decided else None
    if isinstance(test, core.All | core.Any):
        args = [_decidable(part, features, customers, decided) for part in test.args]
        return None if None in args else replace(test, args=tuple(args))
    if isinstance(test, core.Not):
        arg = _decidable(test.arg, features, customers, decided)
        return None if arg is None else replace(test, arg=arg)
    if not isinstance(test, core.Compare):
        return None
    value = test.value
    if isinstance(value, core.Aggregate) and is_comparable(value, test):
        return in_zone(replace(test, value=features[value]), customers.zone)
    if isinstance(value, core.Field) and value.source == "customers":
        if is_comparable(value, test):
            customers.field(value)
            return in_zone(test, customers.zone)
        if not any(isinstance(literal, core.Value | core.Percentile) for literal in test.literals):
            return customers.column(test)
    return None
