"""`ordered`: orders of any status, of purchases, or of some statuses."""

from __future__ import annotations

from typing import Any, ClassVar

from segment_lib import core
from segment_lib.language.condition import register
from segment_lib.language.rows import AggregateCondition, ItemsField, Statuses, order_columns, orders_of
from segment_lib.language.scope import Scope
from segment_lib.language.words import aggregated


@register
class Ordered(AggregateCondition):
    """The customer's orders, filtered, in a window, reduced to one aggregate that is compared.

    `where` filters columns of the order, `items` its lines: some line must meet all of `items`; with ``sum`` the lines
    that are left add up, with ``same`` those of one product and the like. An order without lines meets no `items`.
    ``sum: {of: items.quantity}`` adds the lines that `items` leaves.

    ```yaml
    ordered: purchases
    items: {product_id: {in: [tea, mate]}, quantity: {at_least: 2}}
    within: 180d
    count: {at_least: 1}
    ```
    """

    key: ClassVar = "ordered"
    ordered: Statuses
    items: ItemsField | None = None

    def to_plain(self) -> Any:
        plain = super().to_plain()
        return {**plain, "ordered": self.ordered[0]} if len(self.ordered) == 1 else plain

    def reduce(self, scope: Scope) -> core.Test:
        columns = order_columns(scope)
        rows, lines = orders_of(self.ordered, scope.at("ordered")), core.TRUE
        if self.where:
            rows = core.all_of(rows, self.where.reduce(columns, scope.at("where")))
        if self.items:
            rows = core.all_of(rows, self.items.reduce(scope.at("items")))
            lines = self.items.lines(scope.at("items"))
        return self.compare("orders", rows, columns, scope, lines)

    def label(self) -> str:
        return f"ordered {' or '.join(self.ordered)}{aggregated(self)}"
