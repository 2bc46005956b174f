"""`segment`: members of another segment."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from segment_lib import core
from segment_lib.language.comparison import compare_time
from segment_lib.language.condition import Condition, register
from segment_lib.language.filters import PropertyTest
from segment_lib.language.model import Duration, Text
from segment_lib.language.scope import Scope
from segment_lib.language.words import compared


#: A member for longer entered earlier: how a duration compares turns round.
_TURNED = {"at_least": "le", "more_than": "lt", "at_most": "ge", "less_than": "gt"}


@register
class InSegment(Condition):
    """Member of another segment tonight, optionally by when the customer entered it.

    `entered` compares the snapshot date of entry. `member_for` is the time between that date and tonight's: whoever enters
    tonight has been a member for none. Inactive and static segments are what was last published of them.
    ``not: {segment: x}`` includes those x never considered.

    ```yaml
    segment: loyal
    entered: {in_last: 7d}
    ```
    """

    key: ClassVar = "segment"
    python_name: ClassVar = "in_segment"
    absence_meant: ClassVar = True
    segment: Text
    entered: PropertyTest | None = None
    member_for: Duration | None = None

    def references(self) -> Iterator[str]:
        yield self.segment

    def reduce(self, scope: Scope) -> core.Test:
        scope.at("segment").known("segment", self.segment, scope.segments)
        tests: list[core.Test] = [core.Member(self.segment)]
        since = core.Since(self.segment)
        if self.entered:
            tests.append(self.entered.reduce(since, scope.at("entered"), in_row=True))
        tonight = scope.clock.start_of(scope.clock.snapshot_date)
        for name, step in self.member_for.bounds() if self.member_for else ():
            edge = scope.clock.move(tonight, step)
            tests.append(compare_time(since, _TURNED[name], edge, scope))
        return core.all_of(*tests)

    def label(self) -> str:
        text = f"in segment {self.segment}"
        if self.entered:
            text += f", entered {compared(self.entered)}"
        for name, step in self.member_for.bounds() if self.member_for else ():
            text += f", member for {name.replace('_', ' ')} {step}"
        return text
