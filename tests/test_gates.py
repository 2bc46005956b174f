"""The gates: each with what it lets pass, what it stops, and where it is off. No Spark."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from segment_lib.errors import UsageError
from segment_lib.gates import GATES, Facts, Turnover, check, check_names
from segment_lib.runs import RunRecord, State
from segment_lib.settings import GatesSection

AS_OF = datetime(2026, 1, 10, tzinfo=UTC)
FACTS = Facts(GatesSection(), AS_OF, rows={"orders": 100, "customers": 10})


def earlier(*orders: int) -> list[RunRecord]:
    return [
        RunRecord(
            date(2026, 1, 1 + number), f"run{number}", State.PUBLISHED, AS_OF, AS_OF, inputs={"orders": 1},
            rows={"orders": count, "memberships": 5_000},
        )
        for number, count in enumerate(orders)
    ]


def limits(**values) -> GatesSection:
    return GatesSection(**values)


def fresh(**newest: datetime) -> Facts:
    return replace(FACTS, limits=limits(max_staleness_days=2), newest=newest)


CASES = [
    # gate, facts, stopped
    ("rows", replace(FACTS, earlier=earlier(90, 100, 210)), False),
    ("rows", replace(FACTS, earlier=earlier(200, 200, 201)), False),
    ("rows", replace(FACTS, earlier=earlier(202, 202, 203)), True),
    ("rows", replace(FACTS, rows={}, earlier=earlier(3, 3, 3)), True),
    ("rows", replace(FACTS, rows={"orders": 0}, earlier=earlier(0, 0)), False),
    ("rows", replace(FACTS, earlier=()), False),
    ("rows", replace(FACTS, limits=limits(min_rows_ratio=None), earlier=earlier(900)), False),
    ("freshness", FACTS, False),
    ("freshness", fresh(), True),
    ("freshness", fresh(orders=AS_OF - timedelta(days=2)), False),
    ("freshness", fresh(orders=AS_OF - timedelta(days=2, seconds=1)), True),
    ("freshness", fresh(lists=AS_OF), True),
    ("freshness", fresh(orders=AS_OF - timedelta(days=9), events=AS_OF), False),
    ("rejects", FACTS, False),
    ("rejects", replace(FACTS, rejected={"orders": {"nan:revenue": 3, "future_time": 2}}), False),
    ("rejects", replace(FACTS, rejected={"orders": {"nan:revenue": 3, "future_time": 3}}), True),
    ("rejects", replace(FACTS, limits=limits(max_reject_rate=None), rejected={"orders": {"future_time": 99}}), False),
    ("unique", FACTS, False),
    ("unique", replace(FACTS, duplicates=1), True),
    ("null_keys", FACTS, False),
    ("null_keys", replace(FACTS, null_keys=1), True),
    ("turnover", FACTS, False),
    ("turnover", replace(FACTS, turnover=Turnover(100, 100, 15, 15)), False),
    ("turnover", replace(FACTS, turnover=Turnover(100, 100, 16, 15)), True),
    ("turnover", replace(FACTS, turnover=Turnover(100, 0, 0, 100)), True),
    ("turnover", replace(FACTS, turnover=Turnover(0, 100, 100, 0)), False),
    ("turnover", replace(FACTS, limits=limits(max_turnover=None), turnover=Turnover(9, 0, 0, 9)), False),
]


@pytest.mark.parametrize(("name", "facts", "stopped"), CASES, ids=[f"{case[0]}-{i}" for i, case in enumerate(CASES)])
def test_gate(name, facts, stopped):
    found = {gate.gate: gate for gate in check(facts)}
    assert found[name].blocks is stopped
    assert bool(found[name].detail) is stopped
    assert not any(gate.blocks for other, gate in found.items() if other != name)


def test_every_gate_has_a_case_that_stops():
    assert {name for name, _, stopped in CASES if stopped} == set(GATES)


def test_an_accepted_gate_is_recorded_and_does_not_block():
    facts = replace(FACTS, duplicates=1, null_keys=1)
    found = {gate.gate: gate for gate in check(facts, accept={"unique", "turnover"})}
    assert (found["unique"].ok, found["unique"].accepted, found["unique"].blocks) == (False, True, False)
    assert found["null_keys"].blocks
    assert not found["turnover"].accepted


def test_the_usual_number_is_a_median_so_one_odd_night_changes_little():
    assert not any(gate.blocks for gate in check(replace(FACTS, earlier=earlier(100, 100, 9_000, 100, 0))))


def test_a_gate_that_does_not_exist_is_named_with_the_nearest():
    with pytest.raises(UsageError, match="'turnovr'; did you mean 'turnover'"):
        check_names({"turnovr"})
