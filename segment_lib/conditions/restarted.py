"""`restarted`: again after a gap."""

from __future__ import annotations

from typing import ClassVar

from segment_lib import core
from segment_lib.clock import Interval, Step
from segment_lib.language.condition import register
from segment_lib.language.lifecycle import LifecycleCondition
from segment_lib.language.model import StepText
from segment_lib.language.rows import SourceField
from segment_lib.language.scope import Scope
from segment_lib.language.words import source


@register
class Restarted(LifecycleCondition):
    """With r = as_of - within: some in ``[r, as_of)``, none in ``[r - gap, r)``, and some before that.

    ```yaml
    restarted: page_viewed
    within: 30d
    gap: 60d
    ```
    """

    key: ClassVar = "restarted"
    absence_meant: ClassVar = True
    restarted: SourceField
    within: StepText
    gap: StepText

    def reduce(self, scope: Scope) -> core.Test:
        table, rows = self.rows(self.restarted, scope)
        again = scope.clock.before(Step.parse(self.within))
        silence = scope.clock.move(again, Step.parse(self.gap))
        return core.all_of(
            self.some(table, rows, Interval(again, None)),
            core.negate(self.some(table, rows, Interval(silence, again))),
            self.some(table, rows, Interval(None, silence)),
        )

    def label(self) -> str:
        return f"restarted {source(self.restarted)} within {self.within} after a gap of {self.gap}"
