"""`visits`: distinct sessions."""

from __future__ import annotations

from typing import Any, ClassVar

from segment_lib import core
from segment_lib.language.condition import register
from segment_lib.language.rows import EventTypes, RowsCondition, event_columns, events_of, plain_types
from segment_lib.language.scope import Scope
from segment_lib.language.words import aggregated, types


@register
class Visits(RowsCondition):
    """The number of distinct sessions of the customer's events, compared; without `count`, at least one.

    Events without a session count for none. Instead of any, event types may be named: sessions with such an event.

    ```yaml
    visits: any
    within: 30d
    count: {at_least: 3}
    ```
    """

    key: ClassVar = "visits"
    visits: EventTypes

    @classmethod
    def from_python(cls, types: Any = "any", /, **options: Any) -> dict[str, Any]:
        return {cls.key: types, **options}

    def to_plain(self) -> Any:
        return {**super().to_plain(), "visits": plain_types(self.visits)}

    def reduce(self, scope: Scope) -> core.Test:
        rows = events_of(self.visits, scope.at("visits"))
        if self.where:
            rows = core.all_of(rows, self.where.reduce(event_columns(self.visits, scope), scope.at("where")))
        session = core.Field("events", "session_id", scope.catalogue.events()["session_id"])
        visits = core.Feature("events", "distinct", session, rows, self.window(scope))
        if self.count is None:
            return core.Compare(visits, "ge", (1,))
        return self.count.reduce(visits, scope.at("count"))

    def label(self) -> str:
        return f"visits with {types(self.visits)}{aggregated(self)}"
