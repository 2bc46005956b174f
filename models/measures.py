"""How good probabilities are, and the calls that are made from them, where one row stands for many customers.

Every function takes a probability or a score per row, `weight`, how many customers the row stands for, and `positive`,
how many of them had the event; both may be fractions. The event is "no order in the horizon", and a call is "lost". The
sums are exact: a row of ten customers counts as ten rows of one, and customers with one score are never told apart.

None is the answer where a measure is not defined: the precision of calls when nobody is called, an AUC when only one of
the two outcomes came.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from models.cells import Array, columns, refuse
from models.errors import ModelError

#: Bins of equal numbers of customers, for the calibration error and its table.
BINS = 10
#: A probability is taken to be this far from 0 and 1 in the log loss, or one surprise would make it infinite.
CERTAIN = 1e-15


@dataclass(frozen=True)
class Calls:
    """Customers by whether they were called lost and whether they stayed silent; numbers of customers.

    hits: called, and silent. false_alarms: called, and ordered. misses: not called, and silent. passes: the rest.
    """

    hits: float
    false_alarms: float
    misses: float
    passes: float

    @property
    def called(self) -> float:
        """The share of customers who were called."""
        return (self.hits + self.false_alarms) / (self.hits + self.false_alarms + self.misses + self.passes)

    @property
    def precision(self) -> float | None:
        """The share of the called who stayed silent; None when nobody was called."""
        return _share(self.hits, self.hits + self.false_alarms)

    @property
    def reactivated(self) -> float | None:
        """The share of the called who ordered: 1 - precision; None when nobody was called."""
        return _share(self.false_alarms, self.hits + self.false_alarms)

    @property
    def recall(self) -> float | None:
        """The share of the silent who were called; None when nobody was silent."""
        return _share(self.hits, self.hits + self.misses)

    @property
    def f1(self) -> float | None:
        """The harmonic mean of precision and recall; None when nobody was called and nobody silent."""
        return _share(2 * self.hits, 2 * self.hits + self.false_alarms + self.misses)

    @property
    def mcc(self) -> float:
        """Matthews correlation of calls and outcomes, from -1 to 1; 0 when all calls or all outcomes are one.

        >>> Calls(hits=40, false_alarms=10, misses=10, passes=40).mcc
        0.6
        """
        called, others = self.hits + self.false_alarms, self.misses + self.passes
        silent, back = self.hits + self.misses, self.false_alarms + self.passes
        scale = math.sqrt(called * others) * math.sqrt(silent * back)
        return (self.hits * self.passes - self.false_alarms * self.misses) / scale if scale > 0 else 0.0


@dataclass(frozen=True)
class Bin:
    """Customers next to each other by probability: how many, their mean probability, and the share with the event."""

    customers: float
    probability: float
    actual: float


@dataclass(frozen=True)
class Measures:
    """All measures of one set of probabilities; `calls` are those from `level` on, `ece` the calibration error."""

    customers: float
    actual: float
    probability: float
    brier: float
    log_loss: float
    auc: float | None
    ece: float
    level: float
    calls: Calls


def measure(p: ArrayLike, positive: ArrayLike, weight: ArrayLike, level: float) -> Measures:
    """Every measure at once; ModelError without a customer.

    >>> found = measure([0.9, 0.4], [9, 4], [10, 10], level=0.8)
    >>> found.customers, found.actual, round(found.brier, 3), round(found.ece, 6), found.calls.precision
    (20.0, 0.65, 0.165, 0.0, 0.9)
    """
    p, positive, weight = _checked(p, positive, weight)
    total = float(weight.sum())
    return Measures(
        total, float(positive.sum()) / total, float((weight * p).sum()) / total, brier(p, positive, weight),
        log_loss(p, positive, weight), auc(p, positive, weight), calibration_error(p, positive, weight), level,
        calls(p >= level, positive, weight),
    )


def brier(p: ArrayLike, positive: ArrayLike, weight: ArrayLike) -> float:
    """The mean squared distance of probability and outcome, 0 to 1; lower is better.

    >>> round(brier([0.8], [8], [10]), 12)
    0.16
    """
    p, positive, weight = _checked(p, positive, weight)
    return float(np.sum(positive * (1 - p) ** 2 + (weight - positive) * p**2) / weight.sum())


def log_loss(p: ArrayLike, positive: ArrayLike, weight: ArrayLike) -> float:
    """Minus the mean log-likelihood of the outcomes; lower is better. See `CERTAIN` for probabilities of 0 and 1."""
    p, positive, weight = _checked(p, positive, weight)
    inside = np.clip(p, CERTAIN, 1 - CERTAIN)
    return float(-np.sum(positive * np.log(inside) + (weight - positive) * np.log1p(-inside)) / weight.sum())


def auc(score: ArrayLike, positive: ArrayLike, weight: ArrayLike) -> float | None:
    """The chance that a customer with the event scores above one without; equal scores count half.

    Any score will do, infinite ones too. None when all customers, or none, had the event.

    >>> auc([1, 2, 2], [0, 1, 0], [1, 1, 1])
    0.75
    """
    score = np.atleast_1d(np.asarray(score, dtype=np.float64))
    refuse("score", np.isnan(score), score, "customers cannot be put in an order by it; leave the row out, or mend it")
    _, positive, weight = _checked(np.zeros(score.shape), positive, weight)
    distinct, place = np.unique(score, return_inverse=True)
    yes = np.bincount(place.ravel(), positive, minlength=len(distinct))
    no = np.bincount(place.ravel(), weight - positive, minlength=len(distinct))
    pairs = yes.sum() * no.sum()
    return float(np.sum(yes * (np.cumsum(no) - no / 2)) / pairs) if pairs > 0 else None


def calibration_table(p: ArrayLike, positive: ArrayLike, weight: ArrayLike, bins: int = BINS) -> tuple[Bin, ...]:
    """Customers by ascending probability in bins of exactly equal numbers.

    Customers with one probability who lie across the border of two bins are shared out between them, and their events
    in proportion, so that the table does not depend on the order of rows.

    >>> [(part.customers, part.probability, part.actual) for part in calibration_table([0.9, 0.1], [9, 2], [10, 10], 2)]
    [(10.0, 0.1, 0.2), (10.0, 0.9, 0.9)]
    """
    p, positive, weight = _checked(p, positive, weight)
    distinct, place = np.unique(p, return_inverse=True)
    count, yes = (np.bincount(place.ravel(), part, minlength=len(distinct)) for part in (weight, positive))
    customers, events, probability = (
        np.concatenate([[0.0], np.cumsum(part)]) for part in (count, yes, count * distinct)
    )
    borders = customers[-1] * np.arange(bins + 1) / bins
    inside = customers[-1] / bins
    # Differences of running sums are off in the last digit: where all had the event, above 1.
    predicted, actual = (
        np.clip(np.diff(np.interp(borders, customers, part)) / inside, 0.0, 1.0) for part in (probability, events)
    )
    return tuple(Bin(float(inside), float(mean), float(share)) for mean, share in zip(predicted, actual, strict=True))


def calibration_error(p: ArrayLike, positive: ArrayLike, weight: ArrayLike, bins: int = BINS) -> float:
    """The mean over the bins of |mean probability - share with the event|, 0 to 1; lower is better."""
    table = calibration_table(p, positive, weight, bins)
    return float(np.mean([abs(part.probability - part.actual) for part in table]))


def calls(called: ArrayLike, positive: ArrayLike, weight: ArrayLike) -> Calls:
    """The four counts of rows that are called as a whole, or not at all."""
    called = np.atleast_1d(np.asarray(called, dtype=bool))
    _, positive, weight = _checked(np.zeros(called.shape), positive, weight)
    sums = (weight[called], positive[called], positive, weight)
    return counted(*(float(part.sum()) for part in sums))


def counted(called: float, called_silent: float, silent: float, customers: float) -> Calls:
    """The four counts from how many were called, how many of them stayed silent, and how many did in all."""
    false_alarms, misses = called - called_silent, silent - called_silent
    return Calls(called_silent, false_alarms, misses, customers - silent - false_alarms)


def _checked(p: ArrayLike, positive: ArrayLike, weight: ArrayLike) -> tuple[Array, Array, Array]:
    p, positive, weight = columns(("p", "positive", "weight"), [p, positive, weight])
    refuse("p", (p < 0) | (p > 1), p, "a probability lies between 0 and 1; look at what it was computed from")
    refuse("weight", weight < 0, weight, "a row stands for a number of customers, at least 0")
    refuse("positive", (positive < 0) | (positive > weight), positive, "it counts customers of the row: 0 to weight")
    if not weight.sum() > 0:
        raise ModelError("no customers to measure: every row stands for nobody; look at how the rows were chosen")
    return p, positive, weight


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None
