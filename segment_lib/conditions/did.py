"""`did`: events of a type, of several, or any."""

from __future__ import annotations

from typing import Any, ClassVar

from segment_lib import core
from segment_lib.catalogue import Catalogue
from segment_lib.language.condition import register
from segment_lib.language.rows import AggregateCondition, EventTypes, event_columns, events_of, plain_types
from segment_lib.language.scope import Scope
from segment_lib.language.words import aggregated, types


@register
class Did(AggregateCondition):
    """The customer's events of some types, filtered, in a window, reduced to one aggregate that is compared.

    Without an aggregate: at least one event. A list of types is a union, and an entry may have a filter of its own.
    ``count: {at_most: 0}`` is "did not", and includes those who never did anything. Orders are not among events.

    ```yaml
    did: checkout_completed
    where: {channel: {in: [google, tiktok]}, amount: {at_least: 50}}
    within: 90d
    count: {at_least: 2}
    ```
    """

    key: ClassVar = "did"
    did: EventTypes

    @classmethod
    def complete(cls, schema: dict[str, Any], catalogue: Catalogue) -> None:
        choices = schema["properties"]["did"]["anyOf"]
        types = {"enum": [*sorted(catalogue.event_types), "any"]}
        choices[0], choices[1]["items"]["anyOf"][0] = types, types

    def to_plain(self) -> Any:
        return {**super().to_plain(), "did": plain_types(self.did)}

    def reduce(self, scope: Scope) -> core.Test:
        columns = event_columns(self.did, scope)
        rows = events_of(self.did, scope.at("did"))
        if self.where:
            rows = core.all_of(rows, self.where.reduce(columns, scope.at("where")))
        return self.compare("events", rows, columns, scope)

    def label(self) -> str:
        return f"did {types(self.did)}{aggregated(self)}"
