"""What notebooks show is HTML in which every text is escaped, whatever a name or a value is."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from segment_lib import build
from segment_lib.breakdown import Breakdown, Group
from segment_lib.cohorts import Cohort, CohortStep, Retention
from segment_lib.compare import Comparison, Region
from segment_lib.growth import Growth, GrowthNight
from segment_lib.lift import Arm, Lift
from segment_lib.moves import Move, Moves
from segment_lib.preview.estimates import Estimate, Sample
from segment_lib.preview.result import Preview
from segment_lib.why.result import Line, Why

NAME = "<script>alert(1)</script>"
DAY = date(2026, 1, 31)
ARM = Arm(2, Decimal(3), None)
NUMBER = Estimate.exact(3)
OWN = build.segment("own", name=NAME, where=build.customer("country", is_=NAME))


SHOWN = {
    "breakdown": Breakdown(NAME, "country", DAY, None, DAY, "EUR", (Group("value", NAME, 3, 2, 2, Decimal(5)),)),
    "growth": Growth(NAME, "EUR", DAY, (GrowthNight(DAY, 3, 1, 0, change=NAME),), ()),
    "retention": Retention(NAME, "night", DAY, (Cohort(DAY, 3, (CohortStep(1, 3, 2, 2),)),), 0),
    "lift": Lift(NAME, DAY, "EUR", 30, "salt", DAY, ARM, ARM, 1, 1),
    "comparison": Comparison(DAY, "EUR", (NAME, "b"), (), (Region((NAME,), 3),)),
    "moves": Moves(DAY, DAY, (NAME,), (Move((NAME,), (), 3),)),
    "preview": Preview(
        OWN, DAY, True, "EUR", Sample(1, 3), *[NUMBER] * 6, None, (), (), (), (NAME,), members=None,
    ),
    "why": Why(NAME, "own", NAME, DAY, "run", True, DAY, True, NAME, Line(NAME, "own", True), notes=(NAME,)),
}


@pytest.mark.parametrize("kind", list(SHOWN))
def test_a_name_is_text(kind):
    page = SHOWN[kind]._repr_html_()
    assert "<script" not in page and "&lt;script&gt;" in page
    assert ("<pre>" if kind == "why" else "<table>") in page
