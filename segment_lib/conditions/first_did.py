"""`first_did`: the first occurrence ever lies in the window."""

from __future__ import annotations

from typing import ClassVar

from segment_lib import core
from segment_lib.catalogue import Type
from segment_lib.language.comparison import within
from segment_lib.language.condition import register
from segment_lib.language.lifecycle import LifecycleCondition
from segment_lib.language.rows import SourceField
from segment_lib.language.scope import Scope
from segment_lib.language.window import WindowField
from segment_lib.language.words import source, spoken


@register
class FirstDid(LifecycleCondition):
    """The first event ever (with `where`, the first that matches) lies in the window.

    ```yaml
    first_did: checkout_completed
    within: 30d
    ```
    """

    key: ClassVar = "first_did"
    absence_meant: ClassVar = True
    first_did: SourceField
    within: WindowField

    def reduce(self, scope: Scope) -> core.Test:
        table, rows = self.rows(self.first_did, scope)
        time = core.Field(table, {"events": "occurred_at", "orders": "ordered_at"}[table], Type.TIMESTAMP)
        first = core.Feature(table, "min", time, rows)
        return within(first, self.within.interval(scope.clock), scope)

    def label(self) -> str:
        return f"first did {source(self.first_did)} within {spoken(self.within)}"
