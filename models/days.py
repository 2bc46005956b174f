"""Local dates as day numbers: days since 1970-01-01, so that differences of numbers are differences of dates."""

from __future__ import annotations

from datetime import date

_EPOCH = date(1970, 1, 1).toordinal()


def number_of(day: date) -> int:
    """The number of a date; that of a datetime's own calendar date.

    >>> number_of(date(1970, 1, 1)), number_of(date(2026, 1, 31)), number_of(date(1969, 12, 31))
    (0, 20484, -1)
    """
    return day.toordinal() - _EPOCH


def date_of(number: int) -> date:
    """The date that has a number; numpy's integers are taken too.

    >>> date_of(20484)
    datetime.date(2026, 1, 31)
    """
    return date.fromordinal(_EPOCH + int(number))
