"""`customer`: an attribute or custom field of the customer."""

from __future__ import annotations

from typing import Any, ClassVar

from segment_lib import core
from segment_lib.catalogue import Catalogue
from segment_lib.language.comparison import Comparison
from segment_lib.language.condition import Condition, register
from segment_lib.language.model import Text
from segment_lib.language.scope import Scope
from segment_lib.language.words import compared


@register
class Customer(Comparison, Condition):
    """A field of the customer meets all the operators given.

    A missing value meets none but ``known: false``; anonymous visitors have no fields. Empty text counts as missing.

    ```yaml
    customer: country
    in: [DE, AT, CH]
    ```
    """

    key: ClassVar = "customer"
    customer: Text

    @classmethod
    def complete(cls, schema: dict[str, Any], catalogue: Catalogue) -> None:
        schema["properties"]["customer"] = {"enum": sorted(catalogue.customers())}

    def reduce(self, scope: Scope) -> core.Test:  # type: ignore[override]
        column = scope.at("customer").column("customers", self.customer, scope.catalogue.customers())
        return super().reduce(column, scope) if column else core.FALSE

    def label(self) -> str:
        return f"{self.customer} {compared(self)}"
