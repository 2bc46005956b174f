"""`stopped`: some before, none lately."""

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
class Stopped(LifecycleCondition):
    """Some in ``[as_of - within, as_of - quiet)`` and none in ``[as_of - quiet, as_of)``.

    ```yaml
    stopped: page_viewed
    within: 90d
    quiet: 30d
    ```
    """

    key: ClassVar = "stopped"
    absence_meant: ClassVar = True
    stopped: SourceField
    within: StepText
    quiet: StepText

    def reduce(self, scope: Scope) -> core.Test:
        table, rows = self.rows(self.stopped, scope)
        start, edge = (scope.clock.before(Step.parse(step)) for step in (self.within, self.quiet))
        if edge <= start:
            scope.at("quiet").fault(f"quiet ({self.quiet}) must be shorter than within ({self.within})")
        return core.all_of(
            self.some(table, rows, Interval(start, edge)),
            core.negate(self.some(table, rows, Interval(edge, None))),
        )

    def label(self) -> str:
        return f"stopped {source(self.stopped)} within {self.within}, quiet for {self.quiet}"
