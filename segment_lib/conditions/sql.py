"""`sql`: a boolean written as SQL, where conf allows it."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from segment_lib import core
from segment_lib.language import formula
from segment_lib.language.condition import Condition, register
from segment_lib.language.measure import Measure
from segment_lib.language.model import Text
from segment_lib.language.scope import Scope


@register
class Sql(Condition):
    """A boolean over customer fields and named values; refused unless conf says ``catalogue: {sql: true}``.

    `features` gives names to values: aggregates, ratios, scores. The text is parsed and every part of it is checked against
    a list of what is allowed; Spark never sees it. Null is false, arithmetic is in double precision.

    ```yaml
    sql: (spent - refunded) / orders >= 20
    features:
      spent: {ordered: purchases, sum: revenue, within: 1y}
      refunded: {ordered: purchases, sum: refund, within: 1y}
      orders: {ordered: purchases, count: true, within: 1y}
    ```
    """

    key: ClassVar = "sql"
    absence_meant: ClassVar = True
    sql: Annotated[Text, Field(min_length=1)]
    features: dict[Text, Measure] | None = Field(None, min_length=1)

    def __hash__(self) -> int:
        return hash(repr(self))

    def reduce(self, scope: Scope) -> core.Test:
        inside = scope.at("sql")
        if not scope.catalogue.sql:
            inside.fault("sql is off", "write it with the other conditions, or let conf say catalogue: {sql: true}")
            return core.FALSE
        fields = scope.catalogue.customers()
        values: dict[str, core.Value] = {name: core.Field("customers", name, kind) for name, kind in fields.items()}
        for name, measure in (self.features or {}).items():
            place = scope.at("features", name)
            if name in fields:
                place.fault(f"{name!r} is a customer field", "give the value another name")
            value = measure.reduce(place)
            if value is not None:
                values[name] = value
        read = formula.read(self.sql, values, inside)
        return core.Compare(read, "eq", (True,)) if read is not None else core.FALSE

    def label(self) -> str:
        return f"sql {self.sql}"
