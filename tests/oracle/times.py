"""Instants, calendar steps, windows and what a date literal means (rules 1, 2 and 7)."""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

TICK = timedelta(microseconds=1)
EXACT = {"h": timedelta(hours=1), "min": timedelta(minutes=1)}


@dataclass(frozen=True)
class Clock:
    """A night: its snapshot date and the tenant's zone."""

    snapshot_date: date
    zone: ZoneInfo

    @property
    def as_of(self) -> datetime:
        """The local midnight that ends the snapshot date."""
        return self.start_of(self.snapshot_date + timedelta(days=1))

    def start_of(self, day: date) -> datetime:
        """The first instant of a local day.

        A midnight that a clock change skips moves forward, one that happens twice is the earlier.
        """
        return self.instant(datetime.combine(day, time.min))

    def instant(self, local: datetime) -> datetime:
        """The instant of a local time of the tenant; a time that carries its own offset is taken at that."""
        if local.tzinfo is None:
            local = local.replace(tzinfo=self.zone, fold=0)
        return local.astimezone(UTC)

    def local_date(self, moment: date | datetime) -> date:
        """The local day of an instant; a date is itself."""
        return moment.astimezone(self.zone).date() if isinstance(moment, datetime) else moment

    def step(self, moment: datetime, duration: str, times: int) -> datetime:
        """`moment` moved by `times` durations: calendar steps for d, w, mo, y; exact ones for h and min.

        A day's first instant goes to a day's first instant, even where that is not 00:00.
        """
        amount, unit = parse_duration(duration)
        amount *= times
        if unit in EXACT:
            return moment + amount * EXACT[unit]
        local = moment.astimezone(self.zone)
        day = step_date(local.date(), amount, unit)
        if moment == self.start_of(local.date()):
            return self.start_of(day)
        return self.instant(datetime.combine(day, local.time()))

    def back(self, duration: str, times: int = 1) -> datetime:
        """That long before as_of."""
        return self.step(self.as_of, duration, -times)

    def ahead(self, duration: str) -> datetime:
        """That long after as_of."""
        return self.step(self.as_of, duration, 1)


def parse_duration(text: str) -> tuple[int, str]:
    """The number and the unit of a duration.

    >>> parse_duration("6mo")
    (6, 'mo')
    """
    found = re.fullmatch(r"(\d+)(min|mo|h|d|w|y)", text)
    if found is None:
        raise ValueError(f"not a duration: {text!r}")
    return int(found[1]), found[2]


def step_date(day: date, amount: int, unit: str) -> date:
    """A date moved by calendar units; a month step clamps to the month's last day.

    >>> step_date(date(2024, 3, 31), -1, "mo"), step_date(date(2024, 2, 29), 1, "y")
    (datetime.date(2024, 2, 29), datetime.date(2025, 2, 28))
    """
    if unit in ("d", "w"):
        return day + timedelta(days=amount * (7 if unit == "w" else 1))
    months = day.year * 12 + day.month - 1 + amount * (12 if unit == "y" else 1)
    year, month = divmod(months, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


Window = tuple[datetime | None, datetime]


def window(spec: object, clock: Clock) -> Window:
    """The half-open range of instants that a `within` means; a start of None is the beginning of time.

    Its end is never after as_of, because no condition sees rows at or after as_of.
    """
    start, end = _window(spec, clock)
    return start, min(end, clock.as_of)


def _window(spec: object, clock: Clock) -> Window:
    today = clock.snapshot_date
    first = today.replace(day=1)
    if spec is None:
        return None, clock.as_of
    if spec == "today":
        return clock.start_of(today), clock.as_of
    if spec == "yesterday":
        return clock.start_of(today - timedelta(days=1)), clock.start_of(today)
    if spec == "this_month":
        return clock.start_of(first), clock.as_of
    if spec == "last_month":
        return clock.start_of(step_date(first, -1, "mo")), clock.start_of(first)
    if isinstance(spec, str):
        return clock.back(spec), clock.as_of
    if not isinstance(spec, dict) or not spec:
        raise ValueError(f"not a window: {spec!r}")
    if set(spec) == {"ago"}:
        farther, nearer = spec["ago"]
        return clock.back(farther), clock.back(nearer)
    if set(spec) == {"before"}:
        return None, clock.back(spec["before"])
    if set(spec) <= {"from", "to"}:
        start = clock.start_of(to_date(spec["from"])) if "from" in spec else None
        end = clock.start_of(to_date(spec["to"]) + timedelta(days=1)) if "to" in spec else clock.as_of
        return start, end
    raise ValueError(f"not a window: {spec!r}")


def inside(moment: datetime, bounds: Window) -> bool:
    """True when the instant lies in the half-open window."""
    start, end = bounds
    return (start is None or start <= moment) and moment < end


def to_date(value: str | date) -> date:
    """A date as YAML gives it: text or already a date."""
    return value if isinstance(value, date) else date.fromisoformat(value)


def instants_of(literal: str | date | datetime, clock: Clock) -> tuple[datetime, datetime]:
    """First and last instant that a time literal means: a whole local day, or one instant if it has a time."""
    if isinstance(literal, str):
        literal = date.fromisoformat(literal) if len(literal) == 10 else datetime.fromisoformat(literal)
    if isinstance(literal, datetime):
        moment = clock.instant(literal)
        return moment, moment
    return clock.start_of(literal), clock.start_of(literal + timedelta(days=1)) - TICK


def anniversary(value: date | datetime, spec: dict, clock: Clock) -> bool:
    """True when the day of the year lies in the range; the value's year is ignored, also one in the future.

    For `from`/`to` the year that decides what 29 February is, is the snapshot date's. For `in_next` and `in_last` it
    is the year in which the anniversary falls. The local day of a timestamp counts.
    """
    day = clock.local_date(value)
    if set(spec) == {"from", "to"}:
        year = clock.snapshot_date.year
        low, high = (_in_year(*map(int, spec[end].split("-")), year) for end in ("from", "to"))
        at = _in_year(day.month, day.day, year)
        return low <= at <= high if low <= high else at >= low or at <= high
    if set(spec) == {"in_next"}:
        bounds = (clock.as_of, clock.ahead(spec["in_next"]))
    elif set(spec) == {"in_last"}:
        bounds = (clock.back(spec["in_last"]), clock.as_of)
    else:
        raise ValueError(f"not an anniversary: {spec!r}")
    years = range(clock.local_date(bounds[0]).year, clock.local_date(bounds[1]).year + 1)
    return any(inside(clock.start_of(_in_year(day.month, day.day, year)), bounds) for year in years)


def _in_year(month: int, day: int, year: int) -> date:
    if (month, day) == (2, 29) and not calendar.isleap(year):
        day = 28
    return date(year, month, day)
