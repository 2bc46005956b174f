"""`regularly`: in enough of the last periods."""

from __future__ import annotations

from typing import ClassVar

from pydantic import model_validator

from segment_lib import core
from segment_lib.clock import Step
from segment_lib.language.condition import register
from segment_lib.language.filters import PropertyTest
from segment_lib.language.lifecycle import LifecycleCondition, Periods
from segment_lib.language.model import StepText, misplaced
from segment_lib.language.rows import SourceField
from segment_lib.language.scope import Scope
from segment_lib.language.words import compared, source


@register
class Regularly(LifecycleCondition):
    """In at least so many of the last periods, each counted from as_of, the count is reached.

    Period i is ``[as_of - i*every, as_of - (i-1)*every)``; `count` is 1 unless given, and a lower bound above zero.

    ```yaml
    regularly: page_viewed
    every: 7d
    periods: {of: 8, at_least: 6}
    ```
    """

    key: ClassVar = "regularly"
    absence_meant: ClassVar = True
    regularly: SourceField
    every: StepText
    periods: Periods
    count: PropertyTest | None = None

    @model_validator(mode="after")
    def _lower_bound(self):
        operators = self.count.operators() if self.count else {"at_least": 1}
        (name, bound), *others = operators.items() if operators else [("", 0)]
        if others or name not in ("at_least", "more_than") or not isinstance(bound, int) or bound + (name == "more_than") < 1:
            raise misplaced("count in each period takes one lower bound above zero, such as {at_least: 2}", "count")
        return self

    @model_validator(mode="after")
    def _inside_the_calendar(self):
        Step.parse(f"{Step.parse(self.every).number * self.periods.of}{Step.parse(self.every).unit}")
        return self

    def reduce(self, scope: Scope) -> core.Test:
        table, rows = self.rows(self.regularly, scope)
        clock, every = scope.clock, Step.parse(self.every)
        edges = (clock.before(Step(every.number * i, every.unit)) for i in range(self.periods.of, 0, -1))
        name, least = next(iter(self.count.operators().items())) if self.count else ("at_least", 1)
        return core.Compare(
            core.Periods(table, rows, tuple(edges), least + (name == "more_than")), "ge", (self.periods.at_least,)
        )

    def label(self) -> str:
        count = f", each {compared(self.count)}" if self.count else ""
        return f"{source(self.regularly)} in {self.periods.at_least} of {self.periods.of} periods of {self.every}{count}"
