"""`not`: the exact complement of a condition."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from segment_lib import core
from segment_lib.language.condition import Condition, register
from segment_lib.language.scope import Scope

if TYPE_CHECKING:
    AnyCondition = Condition


@register
class Negation(Condition):
    """Everyone whom the condition does not hold for, those with a missing value included.

    ```yaml
    not: {customer: country, in: [DE, AT, CH]}
    ```
    """

    key: ClassVar = "not"
    not_: AnyCondition = Field(alias="not")

    def reduce(self, scope: Scope) -> core.Test:
        return core.negate(self.not_.reduce(scope.at("not")))

    def label(self) -> str:
        return f"not {self.not_.label()}"

    def parts(self) -> Iterator[Condition]:
        yield self.not_
