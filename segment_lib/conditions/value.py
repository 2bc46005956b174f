"""`value`: an aggregate, a ratio or a score, compared with a literal, a percentile, another value or an attribute."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Discriminator, Field, Tag

from segment_lib import core
from segment_lib.language.comparison import Comparison, Percentile
from segment_lib.language.condition import Condition, register
from segment_lib.language.measure import Measure
from segment_lib.language.model import Scalar, tag
from segment_lib.language.scope import Scope
from segment_lib.language.words import compared, spoken

#: The operators that compare with another value, and their code in the core form.
_WITH_VALUE = {"is": "eq", "is_not": "eq", "at_least": "ge", "more_than": "gt", "at_most": "le", "less_than": "lt"}


def _operand_tag(value: Any) -> str:
    if isinstance(value, Percentile) or (isinstance(value, Mapping) and "percentile" in value):
        return tag("percentile")
    return tag("value" if isinstance(value, Mapping | Measure) else "literal")


_Operand = Annotated[
    Annotated[Percentile, Tag(tag("percentile"))]
    | Annotated[Measure, Tag(tag("value"))]
    | Annotated[Scalar, Tag(tag("literal"))],
    Discriminator(_operand_tag),
]


@register
class Value(Comparison, Condition):
    """A value of the customer meets all the operators given.

    The other side of ``is``, ``is_not``, ``at_least``, ``more_than``, ``at_most`` and ``less_than`` may be another value or
    a customer field. A missing side makes the comparison false; a ratio over zero is missing.

    ```yaml
    value: {ordered: any, sum: revenue, within: 90d}
    more_than: {ordered: any, sum: revenue, within: {ago: [180d, 90d]}}
    ```
    """

    key: ClassVar = "value"
    value: Measure
    is_: _Operand | None = Field(None, alias="is")
    is_not: _Operand | None = None
    at_least: _Operand | None = None
    more_than: _Operand | None = None
    at_most: _Operand | None = None
    less_than: _Operand | None = None

    def reduce(self, scope: Scope) -> core.Test:  # type: ignore[override]
        value = self.value.reduce(scope.at("value"))
        if value is None:
            return core.FALSE
        return super().reduce(value, scope)

    def reduce_one(self, name: str, value: core.Value, operand: Any, scope: Scope) -> core.Test:
        if not isinstance(operand, Measure):
            return super().reduce_one(name, value, operand, scope)
        other = operand.reduce(scope)
        if other is None:
            return core.FALSE
        alike = value.type == other.type or (value.type.is_number and other.type.is_number)
        if not alike and not (value.type.is_time and other.type.is_time):
            scope.fault(f"a value of type {value.type} cannot be compared with one of type {other.type}")
        test = core.Compare(value, _WITH_VALUE[name], (other,))
        if name == "is_not":
            return core.all_of(core.Compare(value, "known"), core.Compare(other, "known"), core.negate(test))
        return test

    def label(self) -> str:
        return f"{spoken(self.value)} {compared(self)}"
