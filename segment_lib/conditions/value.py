"""`value`: an aggregate, a ratio or a score, compared with a literal, another value or an attribute."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Discriminator, Field, Tag, model_validator

from segment_lib import core
from segment_lib.language.condition import Condition, register
from segment_lib.language.model import Model, Scalar, Text, tag
from segment_lib.language.comparison import Percentile
from segment_lib.language.filters import ItemsField, RowFilter
from segment_lib.language.rows import EventTypes, Source, Statuses, plain_types
from segment_lib.language.scope import Scope
from segment_lib.language.window import WindowField
from segment_lib.language.words import spoken

_AGGREGATES = ("count", "sum", "avg", "min", "max", "distinct", "latest", "first", "mode")


class ValueOf(Model):
    """A number or a text per customer: an aggregate of rows, a ratio of two, a score or a customer field."""

    did: EventTypes | None = None
    ordered: Statuses | None = None
    score: Text | None = None
    customer: Text | None = None
    ratio: tuple[ValueOf, ValueOf] | None = None
    where: RowFilter | None = None
    items: ItemsField | None = None
    within: WindowField | None = None
    count: bool | None = None
    sum: Text | None = None
    avg: Text | None = None
    min: Text | None = None
    max: Text | None = None
    distinct: Text | None = None
    latest: Text | None = None
    first: Text | None = None
    mode: Text | None = None

    @model_validator(mode="after")
    def _one_value(self):
        given = self.given()
        kinds = [name for name in ("did", "ordered", "score", "customer", "ratio") if name in given]
        if len(kinds) != 1:
            raise ValueError("a value is one of did, ordered, score, customer, ratio")
        aggregates = [name for name in _AGGREGATES if name in given]
        if kinds[0] in ("did", "ordered"):
            if len(aggregates) != 1 or self.count is False:
                raise ValueError("a value needs one aggregate, such as count: true or sum: revenue")
        elif len(given) > 1:
            raise ValueError(f"{kinds[0]} stands alone in a value")
        return self

    def to_plain(self) -> Any:
        plain = super().to_plain()
        if self.did is not None:
            plain["did"] = plain_types(self.did)
        if self.ordered is not None and len(self.ordered) == 1:
            plain["ordered"] = self.ordered[0]
        return plain

    def check(self, scope: Scope) -> None:
        """Notes every name that does not exist."""
        for i, part in enumerate(self.ratio or ()):
            part.check(scope.at("ratio", i))
        if self.score is not None:
            scope.at("score").score(self.score)
        if self.customer is not None:
            scope.at("customer").column("customers", self.customer, scope.catalogue.customers())
        if self.did is not None or self.ordered is not None:
            rows = Source(did=self.did) if self.did is not None else Source(ordered=self.ordered)
            rows.rows(scope, self.where)
            for name in _AGGREGATES[1:]:
                of = getattr(self, name)
                if of is not None and not of.startswith("items."):
                    rows.columns(scope)(of, scope.at(name))


def _operand_tag(value: Any) -> str:
    if isinstance(value, Percentile) or (isinstance(value, Mapping) and "percentile" in value):
        return tag("percentile")
    return tag("value" if isinstance(value, Mapping | ValueOf) else "literal")


Operand = Annotated[
    Annotated[Percentile, Tag(tag("percentile"))]
    | Annotated[ValueOf, Tag(tag("value"))]
    | Annotated[Scalar, Tag(tag("literal"))],
    Discriminator(_operand_tag),
]


@register
class Value(Condition):
    """A value of the customer against a literal, a percentile, another value or a customer field.

    ```yaml
    value: {ordered: any, sum: revenue, within: 90d}
    more_than: {ordered: any, sum: revenue, within: {ago: [180d, 90d]}}
    ```
    """

    key: ClassVar = "value"
    value: ValueOf
    is_: Scalar | None = Field(None, alias="is")
    is_not: Scalar | None = None
    at_least: Operand | None = None
    more_than: Operand | None = None
    at_most: Operand | None = None
    less_than: Operand | None = None
    between: tuple[Scalar, Scalar] | None = None
    known: bool | None = None

    @model_validator(mode="after")
    def _some_operator(self):
        if len(self.given()) < 2:
            raise ValueError("no operator; add one, such as at_least or more_than")
        return self

    def reduce(self, scope: Scope) -> core.Test:
        self.value.check(scope.at("value"))
        for name, operand in self.given().items():
            if name != "value" and isinstance(operand, ValueOf):
                operand.check(scope.at(name))
        return core.Pending("value is not evaluated yet")

    def label(self) -> str:
        given = {name: part for name, part in self.given().items() if name != "value"}
        return f"{spoken(self.value)} {spoken(given)}"


ValueOf.model_rebuild()
