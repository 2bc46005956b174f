"""The shop's year as twelve factors, the clock that they make, and how the factors are learnt from the orders.

Customers order faster in some months than in others. On a clock that runs by the season the order rate is constant
again: calendar time t is replaced by Lambda(t), the running sum of the factor of every day, and the purchase process
(`models.purchase_process`) is fitted and asked in that time. Leaving happens at orders, so only the rate of orders is
stretched, and for k = 1 the change of time is exact; for k > 1 gaps are taken to be regular on the clock.

The factor of a month is learnt as actual over expected repeat orders, where the expectation is that of the process
fitted without a season to the same customers. Raw counts would take growth and churn for a season; the expectation
knows when each customer came. The correction for exogenous, common effects by stretching time is that of Bachmann,
Meierer and Naef 2021 (Marketing Science 40:783), in its simplest form: one index, common to a group of customers.

Days are integers since 1970-01-01, of local dates. No factor is learnt from an order after `last_day`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import ArrayLike

from models.cells import Array
from models.days import date_of, number_of
from models.errors import ModelError
from models.expected_orders import expected_orders
from models.purchase_process import PurchaseParameters

#: Days of January to December in an average year of 365.25 days.
MONTH_DAYS = (31.0, 28.25, 31.0, 30.0, 31.0, 30.0, 31.0, 31.0, 30.0, 31.0, 30.0, 31.0)
#: Orders added to both sides of a month's ratio: with few orders its factor stays near 1.
KAPPA = 50.0
#: Years of orders below which a month's factor cannot be told from the noise of one year.
LEAST_YEARS = 2


@dataclass(frozen=True)
class Season:
    """How fast orders come in January to December: twelve positive factors, whose mean over the days of a year is 1.

    Raises ModelError for anything else; `Season.of` brings factors to the mean 1.

    >>> Season((2.0,) * 12)
    Traceback (most recent call last):
    models.errors.ModelError: a season of mean 2 over the days of a year, not 1: use Season.of, which divides by it
    """

    factors: tuple[float, ...]

    def __post_init__(self) -> None:
        factors = tuple(float(factor) for factor in self.factors)
        if len(factors) != 12:
            raise ModelError(f"a season of {len(factors)} factors: there is one a month; give January to December")
        for month, factor in enumerate(factors, start=1):
            if not (math.isfinite(factor) and factor > 0):
                raise ModelError(
                    f"a season with the factor {factor:g} for month {month}: the clock must go on in every month; "
                    "give positive, finite factors"
                )
        mean = _mean(factors)
        if abs(mean - 1) > 1e-9:
            raise ModelError(
                f"a season of mean {mean:g} over the days of a year, not 1: use Season.of, which divides by it"
            )
        object.__setattr__(self, "factors", factors)

    @classmethod
    def of(cls, weights: Sequence[float]) -> Season:
        """The season whose months are to each other as twelve positive weights.

        >>> season = Season.of([1] * 11 + [3])
        >>> round(season.factors[11] / season.factors[0], 9), season.is_flat
        (3.0, False)
        """
        mean = _mean(weights) if len(weights) == 12 else 1.0
        return cls(tuple(float(weight) / mean for weight in weights) if mean > 0 else tuple(weights))

    @classmethod
    def none(cls) -> Season:
        """No season: every factor is 1, and the clock is the calendar."""
        return cls((1.0,) * 12)

    @property
    def is_flat(self) -> bool:
        """Whether the clock is the calendar."""
        return all(factor == 1.0 for factor in self.factors)

    def factor(self, days: ArrayLike) -> Array:
        """The factor of each day's month.

        >>> Season.of([1] * 11 + [3]).factor([0, 364]).round(3).tolist()  # 1970-01-01 and 1970-12-31
        [0.855, 2.565]
        """
        _, month, _, _ = _calendar(days)
        return np.array(self.factors)[month]

    @property
    def month_starts(self) -> Array:
        """What has passed on the clock of a common year before each month, and before the next year."""
        lengths = np.array([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], dtype=np.float64)
        return np.concatenate([[0.0], np.cumsum(lengths * np.array(self.factors))])

    def clock(self, days: ArrayLike) -> Array:
        """The time on the clock at the midnight that ends each day, in days of mean speed, from that of 1970-01-01.

        The clock goes on by the month's factor on every day, so ``clock(d) - clock(o)`` is what passes in the days
        o + 1, ..., d. Only differences mean something. It depends on the day alone, not on the other days asked for:
        equal days differ by exactly 0, and a flat season gives the day number itself, exactly. Four years with a leap
        year are 1461; a common year alone is 365 and a leap year 366, but for a quarter and three quarters of what
        February's factor lacks to 1.

        >>> Season.none().clock([0, 20_000]).tolist()
        [0.0, 20000.0]
        >>> season = Season.of([1] * 11 + [3])
        >>> (season.clock([365 + 364]) - season.clock([364])).round(2).tolist()  # a common year
        [365.04]
        """
        year, month, day, leap = _calendar(days)
        factors, until = np.array(self.factors), self.month_starts
        leaps = _leap_days_before(year) - _leap_days_before(1970)
        february = factors[1] * (leaps + ((month > 1) & leap))
        return (year - 1970) * until[12] + february + until[month] + day * factors[month] - factors[0]

    def times(self, first_day: ArrayLike, last_day: ArrayLike, as_of_day: ArrayLike) -> tuple[Array, Array]:
        """(t_x, age) on the clock: from the first order day to the last, and to the end of the as-of day."""
        start = self.clock(first_day)
        return self.clock(last_day) - start, self.clock(as_of_day) - start

    def ahead(self, as_of_day: int, horizon: int) -> float:
        """What passes on the clock in the `horizon` days after the as-of day.

        >>> Season.none().ahead(20_000, 90), Season.of([1] * 11 + [3]).ahead(364 - 31, 31) > 31
        (90.0, True)
        """
        start, end = self.clock([as_of_day, as_of_day + horizon])
        return float(end - start)


@dataclass(frozen=True)
class LearntSeason:
    """A season with what it was learnt from; `reason` says why there is none, and is None where there is one.

    actual, expected: repeat order days of January to December over all years, as they came and as the process without
    a season has them; zeros where nothing was counted.
    """

    season: Season
    reason: str | None
    actual: tuple[float, ...]
    expected: tuple[float, ...]


def learn_season(
    orders_by_day: Mapping[int, float], customers_by_first_day: Mapping[int, float], parameters: PurchaseParameters,
    last_day: int, *, kappa: float = KAPPA,
) -> LearntSeason:
    """The factors of the months: (actual repeat orders + kappa) / (expected ones + kappa), brought to the mean 1.

    orders_by_day: day -> order days after a customer's first. customers_by_first_day: day -> customers whose first
    order was then. parameters: the process fitted on the calendar (time in days) to the same customers up to
    `last_day`. What lies after `last_day` is left out. With less than two full years from the first order on there is
    no season.
    """
    cohorts = {day: count for day, count in customers_by_first_day.items() if count and day <= last_day}
    first = np.array(sorted(cohorts), dtype=int)
    orders = {day: count for day, count in orders_by_day.items() if count and day <= last_day}
    reason = _too_little(first, orders, last_day)
    if reason is not None:
        return LearntSeason(Season.none(), reason, (0.0,) * 12, (0.0,) * 12)
    days = np.array(list(orders), dtype=int)
    actual = np.bincount(_calendar(days)[1], weights=list(orders.values()), minlength=12).astype(float)
    customers = np.array([float(cohorts[day]) for day in sorted(cohorts)])
    ends = _month_ends(int(first[0]), last_day)
    ages = np.maximum(ends[None, :] - first[:, None], 0)  # of each cohort at each month's end
    distinct, place = np.unique(ages, return_inverse=True)
    so_far = expected_orders(parameters, 0, 0, 0, distinct)[place.reshape(ages.shape)]
    by_month = customers @ np.diff(so_far, axis=1, prepend=0.0)
    expected = np.bincount(_calendar(ends)[1], weights=by_month, minlength=12)
    return LearntSeason(
        Season.of(((actual + kappa) / (expected + kappa)).tolist()), None, tuple(actual.tolist()),
        tuple(expected.tolist()),
    )


def season_gain(
    on_clock: float, on_calendar: float, orders_by_day: Mapping[int, float], season: Season, last_day: int
) -> float:
    """What the season gains in log-likelihood over the calendar, both as densities of the same calendar days.

    on_clock, on_calendar: the log-likelihoods of the fits in the season's time and in days. A density in the season's
    time becomes one in days by the factor of each repeat order's day: the sum of ln factor is added. `orders_by_day` as
    in `learn_season`, up to `last_day`, the same orders that were fitted. A season should be used only if this is at
    least 10 (see `models.gate.choose`); its eleven free values are not taxed otherwise.
    """
    orders = {day: count for day, count in orders_by_day.items() if day <= last_day}
    if not orders:
        return on_clock - on_calendar
    factor = season.factor(list(orders))
    return on_clock - on_calendar + float(np.sum(np.log(factor) * np.array(list(orders.values()))))


def _mean(factors: Sequence[float]) -> float:
    """The mean over the days of an average year."""
    return math.fsum(days * factor for days, factor in zip(MONTH_DAYS, factors, strict=True)) / 365.25


def _calendar(days: ArrayLike) -> tuple[Array, Array, Array, Array]:
    """(year, month from 0, day of the month from 1, whether the year is a leap year) of each day number."""
    numbers = np.asarray(days)
    if numbers.size and not np.array_equal(numbers, np.floor(numbers)):
        raise ModelError("a day that is not whole: days are counted since 1970-01-01; give local dates, not times")
    moment = numbers.astype(np.int64).astype("datetime64[D]")
    months = moment.astype("datetime64[M]")
    number = months.astype(np.int64)
    year, month = 1970 + number // 12, number % 12
    day = (moment - months.astype("datetime64[D]")).astype(np.int64) + 1
    return year, month, day, (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))


def _leap_days_before(year: ArrayLike) -> Array:
    """How many years before this one, from the year 1 on, are leap years; negative before it."""
    last = np.asarray(year) - 1
    return last // 4 - last // 100 + last // 400


def _month_ends(first_day: int, last_day: int) -> Array:
    """The last days of the months from that of the first day to that of the last, whose end is `last_day` itself."""
    months = np.arange(*(np.array([first_day, last_day], "datetime64[D]").astype("datetime64[M]") + [0, 1]))
    return np.minimum((months + 1).astype("datetime64[D]").astype(np.int64) - 1, last_day)


def _too_little(first: Array, orders: Mapping[int, float], last_day: int) -> str | None:
    """Why no season can be learnt; None where it can."""
    if not len(first) or not orders:
        return "no season: nobody has ordered a second time"
    start = date_of(first[0])
    needed = number_of(_years_after(start, LEAST_YEARS)) - 1
    if last_day >= needed:
        return None
    end = date_of(last_day)
    return (
        f"no season: orders from {start.isoformat()} to {end.isoformat()} are less than {LEAST_YEARS} full years; "
        "it is learnt when there are more"
    )


def _years_after(day: date, years: int) -> date:
    """The same date so many years later; March 1 for February 29 where there is none."""
    try:
        return day.replace(year=day.year + years)
    except ValueError:
        return date(day.year + years, 3, 1)
