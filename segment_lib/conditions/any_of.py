"""`any`: at least one condition of a list holds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from segment_lib import core
from segment_lib.language.condition import Condition, register
from segment_lib.language.scope import Scope

if TYPE_CHECKING:
    AnyCondition = Condition


@register
class AnyOf(Condition):
    """At least one condition in the list holds.

    ```yaml
    any:
      - {customer: country, is: DE}
      - {ordered: any, within: 90d}
    ```
    """

    key: ClassVar = "any"
    python_name: ClassVar = "any_of"
    any: tuple[AnyCondition, ...] = Field(min_length=1)

    @classmethod
    def from_python(cls, *conditions: Condition) -> dict[str, Any]:
        return {cls.key: conditions}

    def reduce(self, scope: Scope) -> core.Test:
        return core.any_of(*(part.reduce(scope.at("any", i)) for i, part in enumerate(self.any)))

    def label(self) -> str:
        return "(" + " or ".join(part.label() for part in self.any) + ")"

    def parts(self) -> Iterator[Condition]:
        yield from self.any
