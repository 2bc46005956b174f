"""What a segment can be broken down by: names and how they are read. No Spark, so that conf is checked without it.

| name | groups of customers by |
|---|---|
| a column of customers, such as `country` | its value; numbers in ranges; dates by year, or with `:month` by month |
| `first_channel`, `last_channel` | the channel of the first or last event that has one |
| `first_store`, `last_store`, `first_source`, `last_source` | that of the first or last such purchase in the range |
| `category` | the item group of which the customer bought most units in the range |
| `order_count` | how many purchases they made in the range, in ranges |
| a score, such as `rfm.group` | its value, as published |
| `segment:ID` | whether they are in that segment, which has `analytics: true` |
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal

from segment_lib.catalogue import Catalogue, Type
from segment_lib.errors import nearest
from segment_lib.personal import PERSONAL

MOST_CHARTS = 6
#: Columns of customers that name a person; of a birthday only the year or the month is told.
NAMING = PERSONAL - {"birthday"} | {"customer_id"}
#: What orders and events tell of a customer, and its type.
BEHAVIOURS = {
    "first_channel": Type.TEXT, "last_channel": Type.TEXT, "first_store": Type.TEXT, "last_store": Type.TEXT,
    "first_source": Type.TEXT, "last_source": Type.TEXT, "category": Type.TEXT, "order_count": Type.INTEGER,
}
PERIODS = ("year", "month")
_SEGMENT = "segment:"
#: Upper ends of the ranges of numbers: 1, 2 and 5 times powers of ten; the same for all segments, so that they compare.
_WHOLE = tuple(mantissa * 10**power for power in range(9) for mantissa in (1, 2, 5))
_PARTS = ("0.01", "0.02", "0.05", "0.1", "0.2", "0.5")
BELOW, BEYOND = "below 0", f"over {_WHOLE[-1]:,}"


@dataclass(frozen=True)
class Chart:
    """One way to break a segment down. `period` is that of a date or time, None of anything else."""

    text: str
    kind: Literal["customers", "behaviour", "score", "segment"]
    name: str
    type: Type
    period: str | None = None

    @property
    def ranges(self) -> tuple[tuple[str, str], ...]:
        """Of a number: (upper end, label) of each range above 0, ascending."""
        whole = self.type is Type.INTEGER
        ends = [str(end) for end in _WHOLE] if whole else [*_PARTS, *(str(end) for end in _WHOLE)]
        return tuple(zip(ends, _labels(ends, whole), strict=True))

    def rank(self, label: str) -> tuple[int, str]:
        """Where a group stands among those of a number or a time; all are equal in other charts."""
        if self.type.is_number:
            labels = [BELOW, "0", *(name for _, name in self.ranges), BEYOND]
            return labels.index(label), ""
        return 0, label if self.type.is_time else ""


def _labels(ends: Iterable[str], whole: bool) -> list[str]:
    """What each range is called.

    >>> _labels(["1", "2", "5"], True), _labels(["1", "2", "5"], False)
    (['1', '2', '3 to 5'], ['over 0 to 1', 'over 1 to 2', 'over 2 to 5'])
    """
    labels, below = [], "0"
    for end in ends:
        if not whole:
            labels.append(f"over {_grouped(below)} to {_grouped(end)}")
        else:
            first = int(below) + 1
            labels.append(_grouped(end) if first == int(end) else f"{first:,} to {_grouped(end)}")
        below = end
    return labels


def _grouped(number: str) -> str:
    return number if "." in number else f"{int(number):,}"


def parse_chart(text: str, catalogue: Catalogue, personal: Collection[str] = ()) -> Chart:
    """The chart of a name; ValueError says what is wrong with it, with the nearest name.

    Nothing is broken down by fields that name a person, nor by those that conf calls `personal`.

    >>> parse_chart("created_at:month", Catalogue()).period, parse_chart("segment:vip", Catalogue()).name
    ('month', 'vip')
    >>> parse_chart("contry", Catalogue())
    Traceback (most recent call last):
        ...
    ValueError: nothing to break down by is named 'contry' (segment:ID is a segment); did you mean 'country'?
    """
    if text.startswith(_SEGMENT):
        return Chart(text, "segment", text.removeprefix(_SEGMENT), Type.BOOLEAN)
    name, _, period = text.partition(":")
    columns, scores, naming = catalogue.customers(), catalogue.scores, NAMING | {*personal}
    kind: Literal["customers", "behaviour", "score"]
    if name in columns:
        kind, type_ = "customers", columns[name]
    elif name in BEHAVIOURS:
        kind, type_ = "behaviour", BEHAVIOURS[name]
    elif name in scores:
        kind, type_ = "score", scores[name]
    else:
        known = {*columns, *BEHAVIOURS, *scores} - naming
        hint = nearest(name, known)
        raise ValueError(f"nothing to break down by is named {name!r} (segment:ID is a segment); {hint}")
    if kind == "customers" and name in naming:
        raise ValueError(f"{name} is personal data; break down by what many customers share")
    if type_ is Type.TEXTS:
        raise ValueError(f"{name} holds several values for a customer, so its groups would not add up to the segment")
    if period and not type_.is_time:
        raise ValueError(f"{text!r}: {name} is {type_}, and only dates and times have a period")
    if period and period not in PERIODS:
        raise ValueError(f"{text!r}: a period is {' or '.join(PERIODS)}")
    return Chart(text, kind, name, type_, (period or "year") if type_.is_time else None)
