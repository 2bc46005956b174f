"""A measure: one number, text or time per customer, to be compared or ranked by."""

from __future__ import annotations

from pydantic import model_validator
from typing import Any, ClassVar

from segment_lib import core
from segment_lib.catalogue import Type
from segment_lib.language.filters import ItemsField, RowFilter
from segment_lib.language.model import Model, Text
from segment_lib.language.rows import EventTypes, Source, Statuses, aggregated, plain_types
from segment_lib.language.scope import Scope
from segment_lib.language.window import WindowField

_KINDS = ("did", "ordered", "visits", "score", "customer", "ratio")
_AGGREGATES = ("count", "sum", "avg", "min", "max", "distinct", "latest", "first", "mode")


class Measure(Model):
    """An aggregate of rows, a ratio of two measures, a score or a customer field."""

    example: ClassVar[str] = "{ordered: any, sum: revenue}, {score: NAME} or {customer: FIELD}"

    did: EventTypes | None = None
    ordered: Statuses | None = None
    visits: EventTypes | None = None
    score: Text | None = None
    customer: Text | None = None
    ratio: tuple[Measure, Measure] | None = None
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
    def _one_kind(self):
        given = self.given()
        kinds = [name for name in _KINDS if name in given]
        if len(kinds) != 1:
            found = f", not {' and '.join(kinds)} together" if kinds else ""
            raise ValueError(f"a value is one of {', '.join(_KINDS)}{found}")
        aggregates = [name for name in _AGGREGATES if name in given]
        if kinds[0] in ("did", "ordered"):
            if len(aggregates) != 1 or self.count is False:
                raise ValueError("a value needs one aggregate, such as count: true or sum: revenue")
        elif kinds[0] == "visits":
            if aggregates not in ([], ["count"]) or self.count is False:
                raise ValueError("visits only count")
        elif len(given) > 1:
            raise ValueError(f"{kinds[0]} stands alone in a value")
        if "items" in given and self.ordered is None:
            raise ValueError("items belongs to ordered")
        return self

    def to_plain(self) -> Any:
        plain = super().to_plain()
        for name in ("did", "visits"):
            if (types := getattr(self, name)) is not None:
                plain[name] = plain_types(types)
        if self.ordered is not None and len(self.ordered) == 1:
            plain["ordered"] = self.ordered[0]
        return plain

    def reduce(self, scope: Scope) -> core.Value | None:
        """The value in core form, or None with every fault noted in `scope`."""
        if self.ratio is not None:
            return self._ratio(self.ratio, scope.at("ratio"))
        if self.score is not None:
            return scope.at("score").score(self.score)
        if self.customer is not None:
            return scope.at("customer").column("customers", self.customer, scope.catalogue.customers())
        return self._aggregate(scope)

    def _ratio(self, parts: tuple[Measure, Measure], scope: Scope) -> core.Value | None:
        top, bottom = (part.reduce(scope.at(i)) for i, part in enumerate(parts))
        for i, part in enumerate((top, bottom)):
            if part is not None and not part.type.is_number:
                scope.at(i).fault(f"a ratio needs numbers, and this is {part.type}")
                return None
        return core.Ratio(top, bottom) if top is not None and bottom is not None else None

    def _aggregate(self, scope: Scope) -> core.Value | None:
        key = "ordered" if self.ordered is not None else "did" if self.did is not None else "visits"
        source = Source(ordered=self.ordered) if self.ordered is not None else Source(did=self.did or self.visits)
        rows, lines = source.rows(scope.at(key), (self.where, scope)), None
        if self.ordered is not None:
            lines = self.items.lines(scope.at("items")) if self.items else core.TRUE
            rows = core.all_of(rows, *([self.items.reduce(scope.at("items"))] if self.items else []))
        window = self.within.interval(scope.clock) if self.within else None
        if self.visits is not None:
            function, of = "distinct", core.Field("events", "session_id", Type.TEXT)
        else:
            function = next(name for name in _AGGREGATES if getattr(self, name) is not None)
            of = None
            if function != "count":
                of = aggregated(function, getattr(self, function), source.columns(scope), scope.at(function), lines)
                if of is None:
                    return None
        return core.Feature(source.table, function, of, rows, *((window,) if window else ()))


Measure.model_rebuild()
