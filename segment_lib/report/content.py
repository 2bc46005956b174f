"""What the page shows, as frozen plain values: no Spark, no customer's id, nothing that is not published."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from segment_lib.figures import Number


@dataclass(frozen=True)
class Sizes:
    """Members, entered and left on each of the report's dates, in their order; None where the date has none."""

    customers: tuple[int | None, ...]
    entered: tuple[int | None, ...]
    left: tuple[int | None, ...]


@dataclass(frozen=True)
class SegmentPart:
    """One segment, or everyone (id ``_all``).

    `figures` and `before` are those of the report's date and of the published one before it, by name. `edits` say on
    which date (its place among the report's) the definition changed, and how. `months` are (first day, net revenue in
    that month of who is a member now). `examples` are masked members, by column; `audiences` the last sync of
    each destination, `messages` what each trigger has sent (`segment_lib.report.sent`).
    """

    id: str
    title: str
    sizes: Sizes
    figures: Mapping[str, Number] = field(default_factory=dict)
    before: Mapping[str, Number] = field(default_factory=dict)
    description: str = ""
    kind: str = ""
    state: str = ""
    reason: str = ""
    icon: str = ""
    created: date | None = None
    updated: date | None = None
    used_by: tuple[str, ...] = ()
    label: str = ""
    yaml: str = ""
    sql: str = ""
    edits: tuple[tuple[int, str], ...] = ()
    months: tuple[tuple[date, Number], ...] = ()
    examples: tuple[Mapping[str, Any], ...] = ()
    breakdowns: tuple[Mapping[str, Any], ...] = ()
    audiences: tuple[Mapping[str, Any], ...] = ()
    messages: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class Sample:
    """A stable sample of customers who are in any segment: for each, the places of her segments; `of` are all of them."""

    customers: tuple[tuple[int, ...], ...]
    of: int


@dataclass(frozen=True)
class ExactSet:
    """Some segments, by their places, and the customers who are in just these of them, for each of their combinations."""

    places: tuple[int, ...]
    regions: tuple[tuple[tuple[int, ...], int], ...]


@dataclass(frozen=True)
class Content:
    """Everything on the page. `shared` has the customers in both of two segments, by their places, the lower first;
    `exact` the sets of conf."""

    tenant: str
    currency: str
    dates: tuple[date, ...]
    everyone: SegmentPart
    segments: tuple[SegmentPart, ...]
    shared: Mapping[tuple[int, int], int]
    exact: tuple[ExactSet, ...]
    sample: Sample

    @property
    def snapshot_date(self) -> date:
        return self.dates[-1]
