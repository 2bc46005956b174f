"""`did_not`: no such event."""

from __future__ import annotations

from typing import ClassVar

from segment_lib import core
from segment_lib.clock import Interval
from segment_lib.language.condition import register
from segment_lib.language.lifecycle import LifecycleCondition
from segment_lib.language.rows import SourceField
from segment_lib.language.scope import Scope
from segment_lib.language.window import WindowField
from segment_lib.language.words import source, spoken


@register
class DidNot(LifecycleCondition):
    """None of these events in the window: `did` with ``count: {at_most: 0}``. It includes those who never did anything.

    ```yaml
    did_not: checkout_completed
    within: 30d
    ```
    """

    key: ClassVar = "did_not"
    absence_meant: ClassVar = True
    did_not: SourceField
    within: WindowField | None = None

    def reduce(self, scope: Scope) -> core.Test:
        table, rows = self.rows(self.did_not, scope)
        window = self.within.interval(scope.clock) if self.within else Interval()
        return core.negate(self.some(table, rows, window))

    def label(self) -> str:
        within = f" within {spoken(self.within)}" if self.within else ""
        return f"did not {source(self.did_not)}{within}"
