"""What the lifecycle verbs and sequences share."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field, model_validator

from segment_lib import core
from segment_lib.clock import Interval
from segment_lib.language.condition import Condition
from segment_lib.language.filters import RowFilter
from segment_lib.language.model import Model
from segment_lib.language.rows import Source, field_rows
from segment_lib.language.scope import Scope


class LifecycleCondition(Condition):
    """A verb over events or orders, with a filter."""

    where: RowFilter | None = None

    def rows(self, source: Source, scope: Scope) -> tuple[str, core.Test]:
        """The table and the test of the rows meant; `source` is what stands at the condition's own key."""
        return source.table, field_rows(source, self.key, self.where, scope)

    @staticmethod
    def some(table: str, rows: core.Test, interval: Interval) -> core.Test:
        """At least one such row in the interval."""
        return core.Compare(core.Feature(table, "count", None, rows, interval), "ge", (1,))


class Periods(Model):
    """At least so many of so many periods."""

    example: ClassVar[str] = "{of: 8, at_least: 6}"

    of: Annotated[int, Field(strict=True, ge=1, le=366)]
    at_least: Annotated[int, Field(strict=True, ge=1)]

    @model_validator(mode="after")
    def _possible(self):
        if self.at_least > self.of:
            raise ValueError(f"at_least {self.at_least} of {self.of} periods can never be")
        return self
