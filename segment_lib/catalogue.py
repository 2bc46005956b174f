"""The catalogue: the names that definitions may use, and the type of each.

It comes from conf and from the standard columns of the inputs, so a definition is checked without Spark and without data.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from segment_lib.tables import INPUTS


class Type(enum.StrEnum):
    """The types a field may have in a definition."""

    TEXT = "text"
    INTEGER = "integer"
    DECIMAL = "decimal"
    BOOLEAN = "boolean"
    DATE = "date"
    TIMESTAMP = "timestamp"
    TEXTS = "texts"

    @property
    def is_number(self) -> bool:
        return self in (Type.INTEGER, Type.DECIMAL)

    @property
    def is_time(self) -> bool:
        return self in (Type.DATE, Type.TIMESTAMP)

    @property
    def ddl(self) -> str:
        """The Spark type that carries it."""
        return _DDL[self]


_DDL = {
    Type.TEXT: "string", Type.INTEGER: "bigint", Type.DECIMAL: "decimal(18,4)", Type.BOOLEAN: "boolean",
    Type.DATE: "date", Type.TIMESTAMP: "timestamp", Type.TEXTS: "array<string>",
}
_STANDARD = {
    "string": Type.TEXT, "int": Type.INTEGER, "bigint": Type.INTEGER, "decimal(18,4)": Type.DECIMAL,
    "boolean": Type.BOOLEAN, "date": Type.DATE, "timestamp": Type.TIMESTAMP,
}


def _standard(table: str) -> dict[str, Type]:
    return {name: _STANDARD[kind] for name, kind in INPUTS[table].columns.items() if kind in _STANDARD}


ITEM_FIELDS = {
    "product_id": Type.TEXT, "item_group": Type.TEXT, "quantity": Type.INTEGER,
    "unit_price": Type.DECIMAL, "discount": Type.DECIMAL,
}

#: The scores that the models publish, and their types; conf may add more.
SCORES = {
    "rfm.recency": Type.INTEGER, "rfm.frequency": Type.INTEGER, "rfm.monetary": Type.DECIMAL,
    "rfm.r": Type.INTEGER, "rfm.f": Type.INTEGER, "rfm.m": Type.INTEGER, "rfm.cell": Type.TEXT,
    "rfm.group": Type.TEXT,
    "churn.risk_rate": Type.DECIMAL, "churn.status": Type.TEXT, "churn.silent_days": Type.INTEGER,
    "churn.at_risk_days": Type.INTEGER, "churn.cutoff_days": Type.INTEGER, "churn.cutoff_date": Type.DATE,
    "churn.own_gap_days": Type.DECIMAL, "churn.cycle_days": Type.DECIMAL, "churn.season": Type.DECIMAL,
    "churn.model": Type.TEXT, "churn.scored_on": Type.DATE,
    "next_order.probability": Type.DECIMAL, "next_order.probability_30": Type.DECIMAL,
    "next_order.probability_90": Type.DECIMAL, "next_order.probability_365": Type.DECIMAL,
    "next_order.days": Type.DECIMAL, "activity.ratio": Type.DECIMAL,
    "value.predicted_orders": Type.DECIMAL, "value.order_value": Type.DECIMAL,
    "value.predicted_revenue": Type.DECIMAL, "value.ltv": Type.DECIMAL, "value.tier": Type.TEXT,
}
#: Those that a trained model gives; the others are made of the orders alone.
MODEL_SCORES = frozenset(name for name in SCORES if not name.startswith("rfm."))


@dataclass(frozen=True)
class Catalogue:
    """What exists for one tenant.

    `event_types` maps each event type to the properties that it alone has; `event_fields` are those of every event.
    Standard columns need no entry. `scores` maps a score to its type.
    """

    event_types: dict[str, dict[str, Type]] = field(default_factory=dict)
    event_fields: dict[str, Type] = field(default_factory=dict)
    customer_fields: dict[str, Type] = field(default_factory=dict)
    order_fields: dict[str, Type] = field(default_factory=dict)
    item_fields: dict[str, Type] = field(default_factory=dict)
    order_statuses: tuple[str, ...] = ()
    purchase_statuses: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()
    scores: dict[str, Type] = field(default_factory=lambda: dict(SCORES))
    #: Whether definitions may use `sql`.
    sql: bool = False

    def customers(self) -> dict[str, Type]:
        """Fields of a customer, standard and custom."""
        return _standard("customers") | self.customer_fields

    def orders(self) -> dict[str, Type]:
        """Fields of an order, without its lines."""
        return _standard("orders") | self.order_fields

    def items(self) -> dict[str, Type]:
        """Fields of one order line."""
        return ITEM_FIELDS | self.item_fields

    def events(self, event_type: str | None = None) -> dict[str, Type]:
        """Fields of one event type; without a type, those of any event and every type's own."""
        types = self.event_types.values() if event_type is None else [self.event_types.get(event_type, {})]
        own = {name: kind for properties in types for name, kind in properties.items()}
        return _standard("events") | self.event_fields | own

    def custom(self, table: str) -> dict[str, Type]:
        """The declared columns of an input beyond its standard ones."""
        declared = {"customers": self.customers, "events": self.events, "orders": self.orders}.get(table)
        if declared is None:
            return {}
        return {name: kind for name, kind in declared().items() if name not in INPUTS[table].columns}
