"""Dates, instants and steps between them, in the tenant's time zone.

A run has a snapshot date; `as_of` is the local midnight that ends it. Windows are half-open intervals of instants.
Days, weeks, months and years are calendar steps in the tenant's zone, so a day may have 23 or 25 hours; hours and minutes
are exact. A local time that a clock change skips is the instant of the change; one that comes twice is the earlier.
"""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

#: Longer steps would leave the calendar.
MAX_YEARS = 1000
_STEP = re.compile(r"([1-9][0-9]{0,5})(min|h|d|w|mo|y)")
_EXACT = {"min": timedelta(minutes=1), "h": timedelta(hours=1)}


@dataclass(frozen=True)
class Step:
    """A length of time as written: a number and a unit (min, h, d, w, mo, y).

    >>> Step.parse("6mo")
    Step(number=6, unit='mo')
    """

    number: int
    unit: str

    @classmethod
    def parse(cls, text: str) -> Step:
        """The step in `text`; raises ValueError that says what a step looks like."""
        match = _STEP.fullmatch(text) if isinstance(text, str) else None
        if not match:
            raise ValueError(f"{text!r} is not a length of time; write 30min, 12h, 30d, 8w, 6mo or 1y")
        step = cls(int(match[1]), match[2])
        if step.rough_days > MAX_YEARS * 366:
            raise ValueError(f"{text} is longer than {MAX_YEARS} years; leave the window out for all time")
        return step

    def __str__(self) -> str:
        return f"{self.number}{self.unit}"

    @property
    def is_calendar(self) -> bool:
        return self.unit not in _EXACT

    @property
    def rough_days(self) -> float:
        """About how many days it is, to compare two steps for order (a month is 30.4 days, a year 365.25)."""
        days = {"min": 1 / 1440, "h": 1 / 24, "d": 1, "w": 7, "mo": 365.25 / 12, "y": 365.25}
        return self.number * days[self.unit]


@dataclass(frozen=True)
class Interval:
    """Instants in ``[start, end)``; an open end is None."""

    start: datetime | None = None
    end: datetime | None = None


@dataclass(frozen=True)
class Clock:
    """The snapshot date and the zone: all that a run knows of time.

    >>> Clock(date(2026, 3, 29), ZoneInfo("Europe/Berlin")).as_of.isoformat()
    '2026-03-29T22:00:00+00:00'
    """

    snapshot_date: date
    zone: ZoneInfo

    @property
    def as_of(self) -> datetime:
        """The local midnight that ends the snapshot date, as a UTC instant."""
        return self.start_of(self.snapshot_date + timedelta(days=1))

    def start_of(self, day: date) -> datetime:
        """The first instant of a local day."""
        return self.instant(datetime.combine(day, time()))

    def instant(self, local: datetime) -> datetime:
        """The instant of a local wall-clock time; one that has an offset already keeps it."""
        if local.tzinfo is None:
            local = local.replace(tzinfo=self.zone, fold=0)
        try:
            return local.astimezone(UTC)
        except OverflowError:
            # The first and the last day of the calendar have no instant in every zone.
            return (datetime.min if local.year == 1 else datetime.max).replace(tzinfo=UTC)

    def local(self, instant: datetime) -> datetime:
        """The wall-clock time of an instant, without zone."""
        return instant.astimezone(self.zone).replace(tzinfo=None)

    def move(self, instant: datetime, step: Step, sign: int = -1) -> datetime:
        """`instant` moved by a step, back by default; a month step clamps to the month's last day.

        >>> Clock(date(2026, 3, 30), ZoneInfo("UTC")).move(datetime(2026, 3, 31, tzinfo=UTC), Step(1, "mo")).date()
        datetime.date(2026, 2, 28)
        """
        if not step.is_calendar:
            return instant + sign * step.number * _EXACT[step.unit]
        local = self.local(instant)
        if instant == self.start_of(local.date()):
            # Where a clock change skips midnight, a day still starts at its first instant, not an hour later.
            local = datetime.combine(local.date(), time())
        return self.instant(_shift(local, step, sign))

    def before(self, step: Step) -> datetime:
        """`as_of` minus a step."""
        return self.move(self.as_of, step)

    def last(self, step: Step) -> Interval:
        """``[as_of - step, as_of)``."""
        return Interval(self.before(step), self.as_of)

    def between_ago(self, far: Step, near: Step) -> Interval:
        """``[as_of - far, as_of - near)``."""
        return Interval(self.before(far), self.before(near))

    def days(self, first: date | None, last: date | None) -> Interval:
        """Local days, both included; an open end is None."""
        return Interval(
            None if first is None else self.start_of(first),
            None if last is None or last == date.max else self.start_of(last + timedelta(days=1)),
        )

    def month(self, back: int) -> Interval:
        """The calendar month `back` months before the snapshot date's; the current one is whole, its future included."""
        index = self.snapshot_date.year * 12 + self.snapshot_date.month - 1 - back
        first = date(index // 12, index % 12 + 1, 1)
        return self.days(first, first.replace(day=calendar.monthrange(first.year, first.month)[1]))


def _shift(local: datetime, step: Step, sign: int) -> datetime:
    if step.unit in ("d", "w"):
        return local + timedelta(days=sign * step.number * (7 if step.unit == "w" else 1))
    months = sign * step.number * (12 if step.unit == "y" else 1)
    index = local.year * 12 + local.month - 1 + months
    year, month = index // 12, index % 12 + 1
    return local.replace(year=year, month=month, day=min(local.day, calendar.monthrange(year, month)[1]))
