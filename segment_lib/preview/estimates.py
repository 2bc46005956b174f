"""What a sample of customers says of all of them: numbers with 95% intervals. Plain Python, no Spark.

Notation: of N customers n were looked at, of whom k are members; f = n / N is the sampling fraction and z the 97.5%
quantile of the normal distribution. Which customers are drawn depends on a hash of their ids alone, each with the same
probability, so that given n they are a simple random sample without replacement.

Everything that was seen bounds what there is: a count is at least k and at most N - (n - k).
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from math import ceil, floor, sqrt

Z = 1.959963984540054
#: The normal interval of a total is rough when fewer members than this were seen.
FEW = 30
_CENT = Decimal("0.01")
Number = int | float | Decimal


@dataclass(frozen=True)
class Estimate:
    """A number with the ends of its 95% interval, both included; the ends of an exact number are the number itself."""

    value: Number
    low: Number
    high: Number

    @property
    def is_exact(self) -> bool:
        return self.low == self.value == self.high

    @classmethod
    def exact(cls, value: Number) -> Estimate:
        return cls(value, value, value)


@dataclass(frozen=True)
class Sample:
    """How many customers were looked at, and out of how many.

    `rate` is the probability with which each was drawn, 1 for everyone; `seen` is n. `population` is N, or None when
    it is not known.
    """

    rate: float
    seen: int
    population: int | None = None

    @property
    def is_exact(self) -> bool:
        """Whether everyone was looked at."""
        return self.rate >= 1

    @property
    def size(self) -> int | None:
        """N, which can be no less than n; None when it is not known."""
        return None if self.population is None else max(self.population, self.seen)

    @property
    def fraction(self) -> float:
        """The sampling fraction f; where N is not known, the probability stands for it."""
        return self.rate if self.size is None else self.seen / max(self.size, 1)


@dataclass(frozen=True)
class Sums:
    """What the members who were seen add up to.

    `variance` is the sample variance (divisor n - 1) of a value that is theirs for members and 0 for everyone else who
    was seen. `least` and `most` are the extremes of the value among all who were seen, members or not.
    """

    total: int | Decimal
    variance: float
    least: Number
    most: Number


def proportion(found: int, sample: Sample) -> Estimate:
    """The share of all customers who are members, from 0 to 1; of no customers it is 0.

    Wilson's interval, which inverts the score test (E. B. Wilson 1927, JASA 22, 209-212), for a finite population: the
    variance of k / n is p (1 - p) / n * (N - n) / (N - 1), so z^2 is multiplied by the last factor (B. O'Neill 2021,
    arXiv:2109.12464). With w = z^2 (N - n) / (N - 1) the ends are

        (k + w/2 +- sqrt(w) sqrt(k (n - k) / n + w/4)) / (n + w)

    Where N is not known the factor is 1 - f. It needs no members to have been seen.

    >>> none = proportion(0, Sample(0.01, 1000, 100_000))
    >>> none.value, none.low, round(none.high, 4)
    (0.0, 0.0, 0.0038)
    """
    seen = sample.seen
    if sample.is_exact:
        return Estimate.exact(found / seen if seen else 0.0)
    if not seen:
        return Estimate(0.0, 0.0, 1.0)
    size = sample.size
    left_out = 1 - sample.fraction if size is None else (size - seen) / max(size - 1, 1)
    weight = Z * Z * left_out
    middle = found + weight / 2
    reach = sqrt(weight * (found * (seen - found) / seen + weight / 4))
    least, most = (0.0, 1.0) if size is None else (found / size, 1 - (seen - found) / size)
    low, high = max(least, (middle - reach) / (seen + weight)), min(most, (middle + reach) / (seen + weight))
    return Estimate(found / seen, low if found else 0.0, high if found < seen else 1.0)


def count(found: int, sample: Sample, most: int | None = None) -> Estimate:
    """How many customers are members; `most` is a limit that the definition sets.

    Where N is known it is N times the proportion, rounded outwards. Where it is not, k is what is left of K members of
    whom each was seen with probability f, and the score interval of K solves (k - f K)^2 = z^2 f (1 - f) K.

    >>> count(0, Sample(0.01, 1000, 100_000)).high, count(0, Sample(0.01, 1000)).high
    (379, 381)
    >>> count(40, Sample(1.0, 1000)).is_exact
    True
    """
    if sample.is_exact:
        return Estimate.exact(found)
    if sample.size is not None:
        share = proportion(found, sample)
        most_left = sample.size - (sample.seen - found)
        value = round(sample.size * share.value)
        low = max(found, floor(sample.size * share.low))
        high = min(most_left, ceil(sample.size * share.high))
    else:
        weight = Z * Z * (1 - sample.rate)
        reach = sqrt(weight * (found + weight / 4))
        value = round(found / sample.rate)
        low = max(found, floor((found + weight / 2 - reach) / sample.rate))
        high = ceil((found + weight / 2 + reach) / sample.rate)
    bound = high if most is None else most
    return Estimate(min(value, bound), min(low, bound), min(high, bound))


def total(sums: Sums, members: int, sample: Sample, counted: Estimate) -> Estimate:
    """What all members add up to, such as their revenue; in the unit of the sums, money to the cent.

    The expansion estimator of a total from a simple random sample, N times the mean over everyone who was seen, with
    its normal interval: its standard error is N sqrt((1 - f) s^2 / n) (W. G. Cochran 1977, Sampling Techniques, 3rd
    edition, sections 2.7 and 2.8). Where N is not known, the total of who was seen over f, with the standard error
    sqrt((1 - f) sum(y^2)) / f (C.-E. Särndal, B. Swensson and J. Wretman 1992, Model Assisted Survey Sampling, section
    3.2). Values of one sign are at least what was seen.

    When no member was seen, there is no variance to go by: the ends are then the most members there may be
    (`counted`) times the extremes of anyone who was seen.

    >>> total(Sums(Decimal(500), 24.0, Decimal(0), Decimal(90)), 20, Sample(0.1, 100, 1000), Estimate(200, 140, 280))
    Estimate(value=Decimal('5000.00'), low=Decimal('4089.09'), high=Decimal('5910.91'))
    """
    if sample.is_exact:
        return Estimate.exact(sums.total)
    seen, whole = sample.seen, float(sums.total)
    if not members:
        ends = sorted((0.0, counted.high * min(float(sums.least), 0), counted.high * max(float(sums.most), 0)))
        return Estimate(*(_like(sums.total, end) for end in (0.0, ends[0], ends[-1])))
    if sample.size is not None:
        value = sample.size * whole / seen
        error = sample.size * sqrt((1 - sample.fraction) * sums.variance / seen)
    else:
        squares = sums.variance * (seen - 1) + whole * whole / seen
        value = whole / sample.rate
        error = sqrt((1 - sample.rate) * squares) / sample.rate
    low, high = value - Z * error, value + Z * error
    if sums.least >= 0:
        low = max(low, whole)
    if sums.most <= 0:
        high = min(high, whole)
    return Estimate(*(_like(sums.total, number) for number in (value, low, high)))


def _like(kind: int | Decimal, number: float) -> int | Decimal:
    return round(number) if isinstance(kind, int) else Decimal(number).quantize(_CENT)
