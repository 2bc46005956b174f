"""Checks of a definition against the catalogue and against the other definitions."""

from __future__ import annotations

from datetime import date
from zoneinfo import ZoneInfo

from segment_lib import core
from segment_lib.catalogue import MODEL_SCORES, SCORES, Catalogue
from segment_lib.clock import Clock
from segment_lib.definition.segment import Segment
from segment_lib.language.scope import Fault, Scope

#: Checking needs some clock to reduce windows against; no fault depends on which.
_ANY_CLOCK = Clock(date(2024, 6, 15), ZoneInfo("UTC"))


def check_segment(segment: Segment, ids: frozenset[str], catalogue: Catalogue) -> tuple[Fault, ...]:
    """The faults of one definition; `ids` are the segments that exist.

    What cannot be decided yet is a warning: the definition is right, and its members are held until it can be, such as
    with a score that needs a trained model.
    """
    scope = Scope(catalogue, _ANY_CLOCK, ids)
    reduced = segment.reduce(scope)
    scores = [name for name in core.scores_of(reduced.walk()) if name not in SCORES or name in MODEL_SCORES]
    if scores:
        scope.at("where").fault(f"waiting for scores: {', '.join(scores)}", severity="warning", code="waiting")
    return tuple(dict.fromkeys(scope.faults))
