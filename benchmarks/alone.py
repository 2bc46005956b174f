"""One definition at a time, as a product without a common scan runs it: its own query, references written out."""

from __future__ import annotations

import operator
from dataclasses import fields, replace
from typing import Any

from segment_lib import core
from segment_lib.plan import EvaluationPlan, PlannedSegment

_ORDERS = {"ge": operator.ge, "gt": operator.gt, "le": operator.le, "lt": operator.lt, "eq": operator.eq}


def alone(plan: EvaluationPlan, segment: PlannedSegment) -> EvaluationPlan:
    """The plan of one segment; in place of its references stand the tests of the segments referred to."""
    tests = {planned.id: planned.reduced.test for planned in plan.segments}
    test = _written_out(segment.reduced.test, tests)
    single = replace(segment, reduced=replace(segment.reduced, test=test), level=0)
    return replace(plan, segments=(single,), definitions=(segment.segment,))


def _written_out(node: Any, tests: dict[str, core.Test]) -> Any:
    if isinstance(node, core.Member):
        return _written_out(tests[node.segment], tests)
    if isinstance(node, tuple):
        return tuple(_written_out(part, tests) for part in node)
    if isinstance(node, core.All | core.Any | core.Not):
        return replace(node, **{part.name: _written_out(getattr(node, part.name), tests) for part in fields(node)})
    return node


def used_rows(plan: EvaluationPlan) -> bool:
    """Whether a query may read only the rows that its features count.

    It may when nobody is a member for having no such rows and no profile: who is left out then is no member.
    """
    return not any(_holds_for_nobody(planned.reduced.test) for planned in plan.segments)


def _holds_for_nobody(node: core.Test) -> bool:
    """Whether a test holds for an id of which nothing is known."""
    if isinstance(node, core.All):
        return all(map(_holds_for_nobody, node.args))
    if isinstance(node, core.Any):
        return any(map(_holds_for_nobody, node.args))
    if isinstance(node, core.Not):
        return not _holds_for_nobody(node.arg)
    if isinstance(node, core.Const):
        return node.truth
    if isinstance(node, core.Compare):
        counted = isinstance(node.value, core.Aggregate) and node.value.never_missing
        return counted and (node.operator == "known" or _ORDERS[node.operator](0, node.literals[0]))
    return False
