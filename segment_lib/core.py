"""The core form: the few nodes that every condition reduces to, and all that an engine must know.

Values (`Field`, `Lines`, `Feature`, `Periods`, `Ratio`, `Call`, `Since`) are compared by `Compare`; `All`, `Any`, `Not` and
`Const` combine tests; the other leaves ask about one customer: `Sequence`, `Member`, `Split`, `IsCustomer`. A test is
two-valued: a comparison with a missing value is false, and no third value travels up.

Nodes are frozen and equal by content, so that equal features of different definitions are one feature. Times in them are
instants: windows were resolved against the run's clock.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import cached_property
from typing import ClassVar

from segment_lib.catalogue import Type
from segment_lib.clock import Interval, Step

Literal = str | int | bool | Decimal | date | datetime


class Node:
    """Anything in the core form."""

    def children(self) -> Iterator[Node]:
        """The nodes directly inside this one."""
        for part in dataclasses.fields(self):  # type: ignore[arg-type]
            value = getattr(self, part.name)
            yield from (item for item in (value if isinstance(value, tuple) else (value,)) if isinstance(item, Node))

    @cached_property
    def fingerprint(self) -> str:
        """Twelve hex digits made of the content, the same in every run in which the content is the same."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:12]

    def walk(self) -> Iterator[Node]:
        """This node and all below it, parents first."""
        yield self
        for child in self.children():
            yield from child.walk()


class Value(Node):
    """Something with a type that can be compared; it may be missing."""

    type: Type


class Test(Node):
    """Something that is true or false of one row, one order line or one customer."""

    __test__: ClassVar[bool] = False


# Values ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Field(Value):
    """A column of a source row, of an order line (source ``items``) or of a customer."""

    source: str
    name: str
    type: Type


@dataclass(frozen=True)
class Lines(Value):
    """A value made of one order's lines that meet `where`: their sum, min or max, or each or the distinct values.

    The sum of no line is 0; min and max of no line are missing.
    """

    function: str
    field: Field
    where: Test

    @property
    def type(self) -> Type:
        return self.field.type


class Aggregate(Value):
    """One value per customer, made of the rows of a source that meet `where` and lie in `window`.

    `window` is half-open; an open end means `as_of`, which no row reaches.
    """

    source: str
    where: Test
    window: Interval
    function: str

    @property
    def name(self) -> str:
        """The column that carries it."""
        return f"{self.source}_{self.function}_{self.fingerprint}"

    @property
    def never_missing(self) -> bool:
        """Whether it is 0 of nothing; the others are missing then."""
        return self.function in ("count", "sum", "distinct", "periods")


@dataclass(frozen=True)
class Feature(Aggregate):
    """One number, text or time per customer; `function` is one of FUNCTIONS.

    count, sum and distinct of nothing are 0, the others are missing. first and latest take the row, then its value;
    of rows at one instant the greater id is the later. mode takes the smallest of equally frequent values.
    """

    source: str
    function: str
    field: Value | None
    where: Test
    window: Interval = Interval()

    FUNCTIONS: ClassVar = ("count", "sum", "avg", "min", "max", "distinct", "first", "latest", "mode", "mode_share")

    @property
    def type(self) -> Type:
        if self.function in ("count", "distinct"):
            return Type.INTEGER
        if self.function in ("avg", "mode_share"):
            return Type.DECIMAL
        assert self.field is not None
        return self.field.type


@dataclass(frozen=True)
class Periods(Aggregate):
    """In how many periods at least `least` of the rows lie.

    `edges` are instants in ascending order; period i is ``[edges[i], edges[i + 1])``, and the last one ends at as_of.
    """

    source: str
    where: Test
    edges: tuple[datetime, ...]
    least: int
    function: ClassVar[str] = "periods"
    type: ClassVar[Type] = Type.INTEGER

    @property
    def window(self) -> Interval:  # type: ignore[override]
        return Interval(self.edges[0], None)


@dataclass(frozen=True)
class Ratio(Value):
    """One value over another, a decimal of 8 places, half up; missing over zero, and when either is missing."""

    top: Value
    bottom: Value
    type: ClassVar[Type] = Type.DECIMAL


@dataclass(frozen=True)
class Constant(Value):
    """A literal inside a formula; None is SQL's null, whatever its type."""

    value: Literal | None
    type: Type


@dataclass(frozen=True)
class Call(Value):
    """A function of a formula, with SQL's rules for null; which there are says `language.formula`."""

    function: str
    args: tuple[Value, ...]
    type: Type


@dataclass(frozen=True)
class Since(Value):
    """The snapshot date on which a member of `segment` entered it; missing for who is no member tonight."""

    segment: str
    type: ClassVar[Type] = Type.DATE


@dataclass(frozen=True)
class Percentile:
    """The smallest value that at least `percent` % of `population` who have the value do not exceed."""

    percent: Decimal
    population: Test


# Tests -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Const(Test):
    """Always, or never."""

    truth: bool


@dataclass(frozen=True)
class All(Test):
    """Every argument holds; of none: true."""

    args: tuple[Test, ...]


@dataclass(frozen=True)
class Any(Test):
    """Some argument holds; of none: false."""

    args: tuple[Test, ...]


@dataclass(frozen=True)
class Not(Test):
    """The exact complement: true also where the argument is false for want of a value."""

    arg: Test


@dataclass(frozen=True)
class Compare(Test):
    """A value against literals or against another value; false when one is missing.

    `operator` is one of OPERATORS; `literals` holds one, except for in, has_any and has_all. known takes none. Another
    value may stand with eq, lt, le, gt and ge; a date meets a timestamp as its local midnight.
    anniversary takes two (month * 100 + day), both included, wrapping over New Year when the first is greater;
    anniversary_no_29_feb takes a value of 29 February as the 28th.
    """

    value: Value
    operator: str
    literals: tuple[Literal | Percentile | Value, ...] = ()

    OPERATORS: ClassVar = (
        "known", "eq", "in", "lt", "le", "gt", "ge", "contains", "starts_with", "ends_with",
        "contains_case", "starts_with_case", "ends_with_case", "matches", "anniversary", "anniversary_no_29_feb",
        "has_any", "has_all",
    )
    #: What holds of a value that is there, exactly when the other does not.
    OPPOSITE: ClassVar = {"lt": "ge", "ge": "lt", "le": "gt", "gt": "le"}

    def children(self) -> Iterator[Node]:
        yield self.value
        for literal in self.literals:
            if isinstance(literal, Percentile):
                yield literal.population
            elif isinstance(literal, Value):
                yield literal


@dataclass(frozen=True)
class AnyLine(Test):
    """Some line of the order meets `where`; an order without lines meets none."""

    where: Test


@dataclass(frozen=True)
class AnyGroup(Test):
    """The order's lines that meet `where`, grouped by equal values of `by`: some group meets `having`.

    `having` compares `Lines`, which see the lines of the group only. Without `by` all lines left are one group; no lines
    are no group. A line whose `by` is missing belongs to none.
    """

    by: tuple[Field, ...]
    where: Test
    having: Test


@dataclass(frozen=True)
class Occurrence(Node):
    """Rows of a source that meet `where` and lie in `window`, as one step of a sequence."""

    source: str
    where: Test
    window: Interval = Interval()


@dataclass(frozen=True)
class Follow(Node):
    """A step that happens after another: which rows, how long after (operator, step), and what must not lie between.

    `same` are the columns that must be equal in all steps; `quiet` lie strictly between neither's instants.
    """

    rows: Occurrence
    same: tuple[Field, ...] = ()
    after: tuple[tuple[str, Step], ...] = ()
    quiet: Occurrence | None = None


@dataclass(frozen=True)
class Silence(Node):
    """What must not follow the last step, strictly after it, up to the end of the span (included), or of all time.

    With `least` that much time must have passed by as_of, and no row lies in it, its end excluded.
    """

    rows: Occurrence
    least: Step | None = None


@dataclass(frozen=True)
class Sequence(Test):
    """Some choice of rows, each strictly later than the one before, meets every step.

    `span` is the longest time from the first row to the last, included. `as_of` ends the night.
    """

    steps: tuple[Follow, ...]
    span: Step | None
    end: Silence | None
    as_of: datetime

    @property
    def occurrences(self) -> tuple[Occurrence, ...]:
        """Every distinct kind of rows that the steps look at."""
        return tuple(dict.fromkeys(node for node in self.walk() if isinstance(node, Occurrence)))

    @property
    def name(self) -> str:
        """The column that carries it."""
        return f"sequence_{self.fingerprint}"


@dataclass(frozen=True)
class Member(Test):
    """Member of another segment tonight."""

    segment: str


@dataclass(frozen=True)
class Split(Test):
    """The customer's bucket of 100 lies in ``[start, end)``; the bucket depends on salt and customer id alone."""

    salt: str
    start: int
    end: int


@dataclass(frozen=True)
class Cut(Node):
    """Only the `top` members with the greatest values stay; of equal ones the smaller customer ids, of missing ones none."""

    top: int
    by: Value


@dataclass(frozen=True)
class IsCustomer(Test):
    """The id stands in `customers`; false for anonymous visitors."""


TRUE, FALSE = Const(True), Const(False)


def scores_of(nodes: Iterable[Node]) -> tuple[str, ...]:
    """The names of the scores that are read."""
    return tuple(sorted({node.name for node in nodes if isinstance(node, Field) and node.source == "scores"}))


def percentiles_of(nodes: Iterable[Node]) -> tuple[tuple[Value, Percentile], ...]:
    """The distinct relative bounds that are compared with, each with the value that it bounds."""
    return tuple(dict.fromkeys(
        (node.value, literal)
        for node in nodes if isinstance(node, Compare)
        for literal in node.literals if isinstance(literal, Percentile)
    ))


def all_of(*tests: Test) -> Test:
    """The conjunction, flattened and with constants folded.

    >>> all_of(TRUE, all_of(Member("a"), Member("b"))) == All((Member("a"), Member("b")))
    True
    """
    return _combine(All, tests, neutral=True)


def any_of(*tests: Test) -> Test:
    """The disjunction, flattened and with constants folded."""
    return _combine(Any, tests, neutral=False)


def negate(test: Test) -> Test:
    """The exact complement.

    >>> negate(negate(Member("a")))
    Member(segment='a')
    """
    if isinstance(test, Const):
        return Const(not test.truth)
    return test.arg if isinstance(test, Not) else Not(test)


def _combine(kind: type[All] | type[Any], tests: tuple[Test, ...], neutral: bool) -> Test:
    flat: list[Test] = []
    for test in tests:
        flat.extend(test.args if isinstance(test, kind) else (test,))
    if Const(not neutral) in flat:
        return Const(not neutral)
    kept = tuple(dict.fromkeys(test for test in flat if test != Const(neutral)))
    if not kept:
        return Const(neutral)
    return kept[0] if len(kept) == 1 else kind(kept)
