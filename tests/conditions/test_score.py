"""`score`: what a model says of the customer. No scores are published yet, so whoever asks for one waits."""

from __future__ import annotations

import pytest
from agreement import segments_of, settings_for
from cases import BERLIN, DAY, issues, label, told, words

from segment_lib.clock import Clock
from segment_lib.plan import build_plan

RISKY = {"score": "churn.risk_rate", "at_least": 0.5}
WAITING = "waiting for scores: churn.risk_rate"


@pytest.mark.parametrize("where", [
    RISKY, {"not": RISKY}, {"any": [{"did": "any"}, RISKY]}, {"value": {"score": "churn.risk_rate"}, "more_than": 1},
    {"value": {"customer": "points"}, "more_than": {"score": "churn.risk_rate"}},
], ids=str)
def test_a_segment_that_asks_for_a_score_waits_and_so_does_who_refers_to_it(where):
    settings = settings_for("", BERLIN.key)
    definitions = {
        "risky": {"where": where}, "others": {"where": {"not": {"segment": "risky"}}},
        "seen": {"where": {"did": "any"}},
    }
    plan = build_plan(segments_of(definitions, settings), settings.names(), Clock(DAY, BERLIN))
    assert plan.stalled == {"risky": WAITING, "others": f"{WAITING} (others -> risky)"}
    assert [planned.segment.id for planned in plan.segments] == ["seen"]


@words(
    (RISKY, "churn.risk_rate at least 0.5"),
    ({"score": "rfm.group", "in": ["Champions", "Loyal"]}, "rfm.group in Champions, Loyal"),
    ({"score": "value.ltv", "at_least": {"percentile": 90}}, "value.ltv at least percentile 90"),
)
def test_words(where, said):
    assert label(where) == said


@told(
    ("where:\n  score: churn.risk_rate\n  at_least: 0.5", f"x.yaml:1: where: warning: {WAITING}"),
    ("where:\n  score: churn.risk\n  at_least: 0.5", "x.yaml:2: where.score: unknown score 'churn.risk'; did you mean "
     "'churn.risk_rate'?"),
)
def test_fault(text, said):
    assert issues(text) == [said]


@told(
    ("where:\n  score: rfm.r", "x.yaml:1: where: no operator; add one, such as is, at_least, in_last or known"),
    ("where:\n  score: rfm.group\n  at_least: 3",
     "x.yaml:3: where.at_least: at_least does not fit a value of type text; these do: is, is_not, in, not_in, "
     "contains, not_contains, starts_with, ends_with, matches, known"),
    ("where:\n  score: rfm.r\n  is: high", "x.yaml:3: where.is: 'high' is not a number, but the field is"),
)
def test_fault_beside_the_warning(text, said):
    assert said in issues(text)
