"""Brings a probability to what came of it in back-tests: a line on the logit for each stratum of customers.

A model fitted without labels ranks customers well, and its level drifts with the shop: CDNOW's holdout had a fifth more
orders than its calibration period foretold. Logistic recalibration (Cox 1958, "Two further applications of a model for
binary regression", Biometrika 45:562) mends the level and the spread with two numbers, an intercept and a slope, fitted
to origins whose outcome is known and applied to later ones. There are three pairs, for customers with no repeat order,
with 1 or 2, and with more, because a drift hits them differently. The slope is positive, so the order of customers in a
stratum never changes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from models.cells import Array, columns, refuse
from models.elementary import NUMPY, Functions, Value, logistic, softplus
from models.errors import ModelError

#: Repeat orders, in the order of a calibration's lines.
STRATA = ("0", "1-2", "3+")
IDENTITY = (0.0, 1.0)
#: A line is at least so steep: a flatter one would make one number of everybody's, and a falling one turn them round.
LEAST_SLOPE = 0.05
#: How strongly a fit is held to the identity: as by a prior of variance 1 for the intercept and the slope.
RIDGE = 1.0
_STEPS = 100
_HALVINGS = 40


def stratum(x: ArrayLike) -> Array:
    """The place in `STRATA` of customers with so many repeat orders.

    >>> stratum([0, 1, 2, 3, 40]).tolist()
    [0, 1, 1, 2, 2]
    """
    orders = np.asarray(x)
    return np.where(orders > 2, 2, np.where(orders > 0, 1, 0))


@dataclass(frozen=True)
class Calibration:
    """Three (intercept, slope), for x of 0, of 1 or 2, and of more: logit of the outcome = intercept + slope logit(p).

    >>> Calibration(((0.0, 1.0), (0.0, 0.0), (0.0, 1.0)))
    Traceback (most recent call last):
    models.errors.ModelError: a calibration with the line (0, 0) for x = 1-2: a slope is positive; fit it again
    """

    lines: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        lines = tuple((float(intercept), float(slope)) for intercept, slope in self.lines)
        if len(lines) != len(STRATA):
            raise ModelError(f"a calibration of {len(lines)} lines: x = {', '.join(STRATA)} each have one; fit again")
        for name, (intercept, slope) in zip(STRATA, lines, strict=True):
            finite = math.isfinite(intercept) and math.isfinite(slope)
            if not finite or slope <= 0:
                why = "a slope is positive" if finite else "both numbers are finite"
                raise ModelError(
                    f"a calibration with the line ({intercept:g}, {slope:g}) for x = {name}: {why}; fit it again"
                )
        object.__setattr__(self, "lines", lines)

    @classmethod
    def identity(cls) -> Calibration:
        """Leaves every probability as it is."""
        return cls((IDENTITY,) * 3)

    def apply(self, p: Value, x: Value, functions: Functions = NUMPY) -> Value:
        """The calibrated probability of customers with x repeat orders; arrays and Columns alike.

        0 and 1 stay 0 and 1, NaN and NULL stay what they are, and under the line (0, 1) every p stays to the last bit.

        >>> shifted = Calibration(((1.0, 1.0), (0.0, 1.0), (0.0, 2.0)))
        >>> shifted.apply(np.array([0.5, 0.7, 0.9, 0.0]), np.array([0, 1, 5, 0])).round(4).tolist()
        [0.7311, 0.7, 0.9878, 0.0]
        """
        where = functions.where
        calibrated = p
        if self.lines == (IDENTITY,) * 3:
            return calibrated
        for least, line in zip((-0.5, 0.5, 2.5), self.lines, strict=True):
            calibrated = where(x > least, _on_line(p, line, functions), calibrated)
        return calibrated

    def inverse_level(self, level: float, stratum: int) -> float:
        """The probability that calibration turns into `level`, for customers of that place in `STRATA`.

        >>> Calibration(((1.0, 1.0), (0.0, 1.0), (0.0, 2.0))).inverse_level(0.8, 1)
        0.8
        """
        if not 0 < level < 1:
            raise ModelError(f"level = {level}: it is a probability between 0 and 1, both left out")
        intercept, slope = self.lines[stratum]
        if (intercept, slope) == IDENTITY:
            return level
        return float(logistic(np.float64((math.log(level) - math.log1p(-level) - intercept) / slope)))


def fit_calibration(
    p: ArrayLike, x: ArrayLike, label: ArrayLike, weight: ArrayLike, *, ridge: float = RIDGE
) -> Calibration:
    """The lines of greatest likelihood, less ridge / 2 (intercept^2 + (slope - 1)^2) for each.

    A row is `weight` customers with x repeat orders and the probability p, of whom the share `label` had the event.
    Rows with p of 0 or 1 tell a line nothing and are left out; a stratum without others keeps the identity. The ridge
    makes the answer finite also where the labels are all alike or separable. Where the likelihood falls with p, the
    line has the least slope there is.

    >>> half = fit_calibration([0.2, 0.8], [0, 0], [0.35, 0.65], [4e4, 4e4])  # too sure of itself
    >>> round(half.lines[0][1], 2), half.lines[2]
    (0.45, (0.0, 1.0))
    """
    p, x, label, weight = columns(("p", "x", "label", "weight"), [p, x, label, weight])
    refuse("p", (p < 0) | (p > 1), p, "a probability lies between 0 and 1; look at what it was computed from")
    refuse("x", x < 0, x, "a number of order days is at least 0")
    refuse("label", (label < 0) | (label > 1), label, "it is the share of the row's customers with the event, 0 to 1")
    refuse("weight", weight < 0, weight, "a row stands for a number of customers, at least 0")
    if not (math.isfinite(ridge) and ridge > 0):
        raise ModelError(f"ridge = {ridge}: without a pull to the identity a line may run off; give a positive number")
    useful, place = (p > 0) & (p < 1), stratum(x)
    logit = np.zeros_like(p)
    logit[useful] = np.log(p[useful]) - np.log1p(-p[useful])
    return Calibration(tuple(
        _fit_line(logit[rows], label[rows], weight[rows], ridge)
        for rows in (useful & (place == number) for number in range(len(STRATA)))
    ))


def _on_line(p: Value, line: tuple[float, float], functions: Functions) -> Value:
    """The probability moved along one line; both sides of every case can be computed for any p."""
    if line == IDENTITY:
        return p
    where = functions.where
    inside = where(p > 0.0, where(1.0 - p > 0.0, p, 0.5), 0.5)
    logit = functions.log(inside) - functions.log1p(-inside)
    moved = logistic(line[0] + line[1] * logit, functions)
    return where(p > 0.0, where(1.0 - p > 0.0, moved, p), p)


def _fit_line(logit: Array, label: Array, weight: Array, ridge: float) -> tuple[float, float]:
    """The best line with a slope of at least `LEAST_SLOPE`; the loss is convex, so a bound is met on the bound."""
    line = _newton(logit, label, weight, ridge, np.array(IDENTITY), np.array([True, True]))
    if line[1] < LEAST_SLOPE:
        line = _newton(logit, label, weight, ridge, np.array([0.0, LEAST_SLOPE]), np.array([True, False]))
    return float(line[0]), float(line[1])


def _newton(logit: Array, label: Array, weight: Array, ridge: float, line: Array, free: Array) -> Array:
    """Newton's method with halved steps, on the free ones of intercept and slope, until the loss stops falling."""
    design = np.stack([np.ones_like(logit), logit], axis=1)

    def loss(at: Array) -> float:
        z = design @ at
        return float(np.sum(weight * (softplus(z) - label * z)) + ridge / 2 * np.sum((at - IDENTITY) ** 2))

    value = loss(line)
    for _ in range(_STEPS):
        chance = logistic(design @ line)
        gradient = design.T @ (weight * (chance - label)) + ridge * (line - IDENTITY)
        curvature = (design * (weight * chance * (1 - chance))[:, None]).T @ design + ridge * np.eye(2)
        step = np.zeros(2)
        step[free] = np.linalg.solve(curvature[np.ix_(free, free)], gradient[free])
        for halving in range(_HALVINGS):
            trial = line - step * 0.5**halving
            lower = loss(trial)
            if lower < value:
                break
        else:
            return line
        line, value = trial, lower
    return line
