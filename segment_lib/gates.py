"""The gates: what must hold before a run is published.

Each gate is one pure function from `Facts` to what is wrong, or None. A gate that fails refuses the run and leaves the
last published one; a person lets it pass by name (`--accept GATE`), which is recorded with the run.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from statistics import median

from segment_lib.errors import UsageError, nearest
from segment_lib.runs import Gate, RunRecord
from segment_lib.settings import GatesSection

#: How many published runs the usual size of an input is taken from.
MEDIAN_OF = 7
#: Inputs whose newest row says how fresh the data is.
TIMED = ("events", "orders")


@dataclass(frozen=True)
class Turnover:
    """Everyone evaluated, now against the base: sizes, and how many came and went."""

    before: int
    after: int
    entered: int
    left: int


@dataclass(frozen=True)
class Facts:
    """What the gates look at. `turnover` is None when there is no base to compare with."""

    limits: GatesSection
    as_of: datetime
    rows: Mapping[str, int]
    rejected: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    newest: Mapping[str, datetime] = field(default_factory=dict)
    earlier: Sequence[RunRecord] = ()
    duplicates: int = 0
    null_keys: int = 0
    turnover: Turnover | None = None


def rows(facts: Facts) -> str | None:
    """Each input has at least `min_rows_ratio` of its median over the last seven published runs."""
    ratio = facts.limits.min_rows_ratio
    if ratio is None:
        return None
    faults = []
    for table in _inputs(facts):
        usual = median([run.rows[table] for run in facts.earlier if table in run.rows] or [0])
        now = facts.rows.get(table, 0)
        if now < ratio * usual:
            faults.append(f"{table} has {now} rows, its usual number is {usual:.0f}")
    return "; ".join(faults) or None


def freshness(facts: Facts) -> str | None:
    """The newest event or order is at most `max_staleness_days` older than `as_of`; no row at all is too old."""
    limit = facts.limits.max_staleness_days
    if limit is None:
        return None
    newest = max((at for table, at in facts.newest.items() if table in TIMED and at is not None), default=None)
    if newest is None:
        return "there is no event and no order"
    if facts.as_of - newest > timedelta(days=limit):
        return f"the newest event or order is of {newest:%Y-%m-%d %H:%M} UTC, more than {limit} days before as_of"
    return None


def rejects(facts: Facts) -> str | None:
    """At most `max_reject_rate` of the rows of an input fail the row checks."""
    limit = facts.limits.max_reject_rate
    if limit is None:
        return None
    faults = []
    for table, reasons in sorted(facts.rejected.items()):
        bad, total = sum(reasons.values()), facts.rows.get(table, 0)
        if bad > limit * max(total, bad):
            worst = ", ".join(sorted(reasons, key=lambda reason: (-reasons[reason], reason))[:3])
            faults.append(f"{bad} of {total} rows of {table} fail the row checks ({worst})")
    return "; ".join(faults) or None


def unique(facts: Facts) -> str | None:
    """No customer appears twice in the snapshot."""
    return f"{facts.duplicates} customers appear more than once" if facts.duplicates else None


def null_keys(facts: Facts) -> str | None:
    """Every row of the snapshot has a customer id."""
    return f"{facts.null_keys} rows have no customer id" if facts.null_keys else None


def turnover(facts: Facts) -> str | None:
    """At most `max_turnover` of everyone evaluated, as a share of the larger size, came or went since the base."""
    limit, seen = facts.limits.max_turnover, facts.turnover
    if limit is None or seen is None or seen.before == 0:
        return None
    share = (seen.entered + seen.left) / max(seen.before, seen.after)
    if share > limit:
        return (
            f"{seen.entered} customers came and {seen.left} went, {share:.0%} of {max(seen.before, seen.after)}; "
            f"the limit is {limit:.0%}"
        )
    return None


#: Name -> check, in the order of reports. The names are what `--accept` takes.
GATES: Mapping[str, Callable[[Facts], str | None]] = {
    gate.__name__: gate for gate in (rows, freshness, rejects, unique, null_keys, turnover)
}


def check(facts: Facts, accept: Collection[str] = (), names: Collection[str] = tuple(GATES)) -> tuple[Gate, ...]:
    """What each gate of `names` found; a fault of an accepted gate does not block.

    >>> found = check(Facts(GatesSection(), datetime(2026, 1, 1), rows={}, null_keys=2), accept={"null_keys"})
    >>> [(gate.gate, gate.detail, gate.blocks) for gate in found if not gate.ok]
    [('null_keys', '2 rows have no customer id', False)]
    """
    results = []
    for name, gate in GATES.items():
        if name in names:
            fault = gate(facts)
            results.append(Gate(name, fault is None, fault is not None and name in accept, fault or ""))
    return tuple(results)


def check_names(accept: Collection[str]) -> None:
    """Raises UsageError when a gate to accept does not exist."""
    for name in sorted(accept):
        if name not in GATES:
            raise UsageError(f"there is no gate {name!r}; {nearest(name, GATES)}")


def _inputs(facts: Facts) -> list[str]:
    """The inputs that a run counted, now or before; other counts of a run are outputs."""
    known = {table for run in facts.earlier for table in run.inputs}
    return sorted((known & {table for run in facts.earlier for table in run.rows}) | set(facts.rows))
