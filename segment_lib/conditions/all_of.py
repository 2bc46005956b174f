"""`all`: every condition of a list holds."""

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
class AllOf(Condition):
    """Every condition in the list holds.

    ```yaml
    all:
      - {customer: country, is: DE}
      - {ordered: any, within: 90d}
    ```
    """

    key: ClassVar = "all"
    python_name: ClassVar = "all_of"
    all: tuple[AnyCondition, ...] = Field(min_length=1)

    @classmethod
    def from_python(cls, *conditions: Condition) -> dict[str, Any]:
        return {cls.key: conditions}

    def reduce(self, scope: Scope) -> core.Test:
        return core.all_of(*(part.reduce(scope.at("all", i)) for i, part in enumerate(self.all)))

    def label(self) -> str:
        return "(" + " and ".join(part.label() for part in self.all) + ")"

    def parts(self) -> Iterator[Condition]:
        yield from self.all
