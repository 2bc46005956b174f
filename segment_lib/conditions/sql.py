"""`sql`: an expression, where conf allows it."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from segment_lib import core
from segment_lib.language.condition import Condition, register
from segment_lib.language.model import Text
from segment_lib.language.scope import Scope


@register
class Sql(Condition):
    """A boolean expression over customer columns; refused unless conf allows it.

    ```yaml
    sql: "length(city) > 10"
    ```
    """

    key: ClassVar = "sql"
    sql: Annotated[Text, Field(min_length=1)]

    def reduce(self, scope: Scope) -> core.Test:
        scope.at("sql").fault("sql is off", "write it with the other conditions")
        return core.FALSE

    def label(self) -> str:
        return f"sql {self.sql}"
