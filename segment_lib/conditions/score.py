"""`score`: what a model says of the customer."""

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
class Score(Comparison, Condition):
    """A published score of the customer meets all the operators given; a customer without one meets none.

    ```yaml
    score: churn.risk_rate
    at_least: 0.5
    ```
    """

    key: ClassVar = "score"
    score: Text

    @classmethod
    def complete(cls, schema: dict[str, Any], catalogue: Catalogue) -> None:
        if catalogue.scores:
            schema["properties"]["score"] = {"enum": sorted(catalogue.scores)}

    def reduce(self, scope: Scope) -> core.Test:  # type: ignore[override]
        column = scope.at("score").score(self.score)
        if column is None:
            return core.FALSE
        return super().reduce(column, scope)

    def label(self) -> str:
        return f"{self.score} {compared(self)}"
