"""`none`: no condition of a list holds."""

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
class NoneOf(Condition):
    """No condition in the list holds; so it includes customers whose values are missing.

    ```yaml
    none:
      - {customer: country, is: DE}
      - {ordered: any, within: 90d}
    ```
    """

    key: ClassVar = "none"
    python_name: ClassVar = "none_of"
    none: tuple[AnyCondition, ...] = Field(min_length=1)

    @classmethod
    def from_python(cls, *conditions: Condition) -> dict[str, Any]:
        return {cls.key: conditions}

    def reduce(self, scope: Scope) -> core.Test:
        return core.negate(core.any_of(*(part.reduce(scope.at("none", i)) for i, part in enumerate(self.none))))

    def label(self) -> str:
        return "none of (" + " or ".join(part.label() for part in self.none) + ")"

    def parts(self) -> Iterator[Condition]:
        yield from self.none
