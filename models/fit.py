"""Maximum likelihood for a few positive parameters: several starts, a polish, standard errors, and no quiet failure.

The search runs on the logarithms of the parameters, by L-BFGS-B from every start. At the best point the observed
information is taken from differences of the analytic gradient, Newton steps with it carry the point to where the
gradient is rounding, and its inverse gives the standard errors (delta method: a parameter times the error of its
logarithm). The distance that is left is told in standard errors, so "converged" means the same for a thousand customers
and for a hundred million, and two ways of adding up the likelihood end at the same digits.

Everything is deterministic: the same sums give the same fit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.optimize import minimize
from threadpoolctl import ThreadpoolController

from models.errors import Failure, FitError

#: From parameters (natural scale) to the log-likelihood and its gradient.
Objective = Callable[[np.ndarray], tuple[float, np.ndarray]]

#: The step in a logarithm for differences of the gradient: an error of about 1e-8 in the information.
_STEP = 1e-4
#: In standard errors: a point nearer than this to the maximum is the maximum.
_NEAR = 1e-6
_POLISH = 12
#: A longer step than this, in standard errors, changes the information in digits that are looked at.
_STALE = 1e-4
_ITERATIONS = 500
#: The largest standard error of a logarithm that is still an estimate: two of them span a factor of e^12.
_LOOSEST = 3.0


@dataclass(frozen=True)
class Limits:
    """Between what a parameter is sought, and what it means that it runs to either end."""

    low: float
    high: float
    low_means: str
    high_means: str


@dataclass(frozen=True)
class Start:
    """Where a search began and how it ended; `iterations` and `message` are the optimiser's own."""

    begin: tuple[float, ...]
    end: tuple[float, ...]
    log_likelihood: float
    iterations: int
    converged: bool
    message: str


@dataclass(frozen=True)
class Maximum:
    """The maximum: parameters, covariance and standard errors on the natural scale, and how it was reached.

    `distance` is how far the point still is from the maximum, in standard errors, by the quadratic approximation.
    `correlation` is the largest correlation in absolute value between two parameters' logarithms: near 1, compare
    predictions and likelihoods between fits, not single parameters.
    """

    names: tuple[str, ...]
    parameters: tuple[float, ...]
    standard_errors: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]
    log_likelihood: float
    iterations: int
    evaluations: int
    distance: float
    correlation: float
    starts: tuple[Start, ...]

    def table(self) -> dict[str, tuple[float, float]]:
        """Parameter -> (value, standard error)."""
        return dict(zip(self.names, zip(self.parameters, self.standard_errors, strict=True), strict=True))


class _Counted:
    """The objective on logarithms, negative, counted, and refused when it is not finite."""

    def __init__(self, what: str, names: Sequence[str], objective: Objective, size: float):
        self.what, self.names, self.objective, self.size = what, names, objective, size
        self.evaluations = 0

    def gradient_at(self, logs: np.ndarray) -> tuple[float, np.ndarray]:
        """The log-likelihood and its gradient by the logarithms."""
        point = np.exp(logs)
        self.evaluations += 1
        value, gradient = self.objective(point)
        if not (math.isfinite(value) and np.isfinite(gradient).all()):
            raise FitError(
                Failure.NOT_FINITE,
                f"{self.what}: the log-likelihood is {value} and its gradient {np.asarray(gradient).tolist()} "
                f"at {described(self.names, point)}",
                "a sum over the customers is missing or overflowed",
                "look for missing, infinite or absurdly large values in the input, and cap or exclude them",
            )
        return value, gradient * point

    def loss(self, logs: np.ndarray) -> tuple[float, np.ndarray]:
        """What is minimised: a mean, so that tolerances do not depend on the number of customers."""
        value, gradient = self.gradient_at(logs)
        return -value / self.size, -gradient / self.size


def described(names: Sequence[str], point: Sequence[float]) -> str:
    """Parameters as people read them.

    >>> described(["r", "alpha"], [0.24261, 4.4])
    'r = 0.24261, alpha = 4.4'
    """
    return ", ".join(f"{name} = {value:.6g}" for name, value in zip(names, point, strict=True))


def maximise(
    what: str, objective: Objective, limits: dict[str, Limits], starts: Sequence[Sequence[float]], size: float, *,
    loosest: float = _LOOSEST,
) -> Maximum:
    """The parameters of greatest likelihood, from the best of `starts`; `size` is the number of customers.

    `loosest` is the largest standard error of a parameter's logarithm that is still an estimate; beyond it the data has
    no such maximum.

    Raises FitError on a boundary, where the data leaves a parameter open, on non-convergence and on values that are not
    finite.
    """
    # Matrices of four rows gain nothing from threads, and wait for them: beside other work most of a fit's time.
    with _threads().limit(limits=1, user_api="blas"):
        return _maximise(what, objective, limits, starts, size, loosest)


@cache
def _threads() -> ThreadpoolController:
    """The thread pools of numpy's and scipy's linear algebra, which are loaded with this module."""
    return ThreadpoolController()


def _maximise(
    what: str, objective: Objective, limits: dict[str, Limits], starts: Sequence[Sequence[float]], size: float,
    loosest: float,
) -> Maximum:
    names = tuple(limits)
    counted = _Counted(what, names, objective, size)
    low, high = (np.log([getattr(limit, side) for limit in limits.values()]) for side in ("low", "high"))
    searches = []
    for begin in starts:
        found = minimize(
            counted.loss, np.clip(np.log(begin), low, high), jac=True, method="L-BFGS-B",
            bounds=np.stack([low, high], axis=1),
            options={"maxiter": _ITERATIONS, "maxfun": 2 * _ITERATIONS, "ftol": 1e-13, "gtol": 1e-8, "maxcor": 20},
        )
        end = tuple(float(value) for value in np.exp(found.x))
        converged, message = bool(found.success), str(found.message)
        searches.append((found.x, Start(tuple(begin), end, -found.fun * size, int(found.nit), converged, message)))
    logs, best = max(searches, key=lambda search: search[1].log_likelihood)
    _refuse_boundary(what, limits, logs, low, high)
    logs, value, information, steps, distance = _polish(what, limits, counted, logs, best)
    _refuse_boundary(what, limits, logs, low, high)
    covariance = _inverse(what, limits, information, logs)
    errors = np.sqrt(np.diag(covariance))
    _refuse_open(what, limits, logs, errors, loosest)
    point = np.exp(logs)
    natural = covariance * np.outer(point, point)
    correlations = np.abs(covariance / np.outer(errors, errors) - np.eye(len(errors)))
    return Maximum(
        names, tuple(point.tolist()), tuple((errors * point).tolist()), tuple(map(tuple, natural.tolist())), value,
        best.iterations + steps, counted.evaluations, distance, float(correlations.max()),
        tuple(start for _, start in searches),
    )


def _information(counted: _Counted, logs: np.ndarray) -> np.ndarray:
    """Minus the second derivatives by the logarithms, from central differences of the gradient."""
    rows = []
    for i in range(len(logs)):
        step = np.zeros(len(logs))
        step[i] = _STEP
        rows.append((counted.gradient_at(logs - step)[1] - counted.gradient_at(logs + step)[1]) / (2 * _STEP))
    matrix = np.array(rows)
    return (matrix + matrix.T) / 2


def _inverse(what: str, limits: dict[str, Limits], information: np.ndarray, logs: np.ndarray) -> np.ndarray:
    """The covariance of the logarithms, or a FitError where the likelihood has no peak."""
    scale = 1 / np.sqrt(np.maximum(np.diag(information), 1e-20 * (np.abs(information).max() or 1.0)))
    try:
        # A correlation matrix is factored: the parameters' scales differ by orders of magnitude.
        inverse = cho_solve(cho_factor(information * np.outer(scale, scale)), np.eye(len(logs)))
    except LinAlgError:
        sizes, directions = np.linalg.eigh(information)
        flat = directions[:, sizes <= max(sizes[0], 1 / _LOOSEST**2)]  # where a step of many factors changes nothing
        open_ones = [i for i in range(len(logs)) if np.abs(flat[i]).max() > 0.3]
        raise FitError(
            Failure.BOUNDARY, f"{what}: the likelihood has no peak at {described(list(limits), np.exp(logs))}",
            "; ".join(f"{list(limits)[i]} is left open ({_meaning(limits, i, logs)})" for i in open_ones),
            "fit a larger group, or use the parameters of one",
        ) from None
    return inverse * np.outer(scale, scale)


def _meaning(limits: dict[str, Limits], place: int, logs: np.ndarray) -> str:
    """What it means that a parameter runs to the end of its range that is nearer."""
    limit = list(limits.values())[place]
    return limit.high_means if 2 * logs[place] > math.log(limit.low * limit.high) else limit.low_means


def _polish(
    what: str, limits: dict[str, Limits], counted: _Counted, logs: np.ndarray, best: Start
) -> tuple[np.ndarray, float, np.ndarray, int, float]:
    """Newton steps until the maximum is nearer than `_NEAR`: point, value, information, number of steps, distance."""
    value, gradient = counted.gradient_at(logs)
    steps = 0
    fresh = True
    information = _information(counted, logs)
    while True:
        inverse = _inverse(what, limits, information, logs)
        step = inverse @ gradient
        distance = math.sqrt(max(float(gradient @ step), 0.0))
        if distance <= _NEAR:
            break
        if steps >= _POLISH:
            raise FitError(
                Failure.NOT_CONVERGED,
                f"{what}: stopped {distance:.2g} standard errors from the maximum, at "
                f"{described(list(limits), np.exp(logs))} after {best.iterations} iterations and {steps} Newton steps "
                f"({best.message})",
                "the likelihood is too flat or too uneven here for the search",
                "fit a larger group, or use the parameters of one",
            )
        # Far from the peak a step of the quadratic approximation is cut short, and its matrix taken anew.
        move = step * min(1.0, 0.5 / float(np.abs(step).max()))
        logs = logs + move
        value, gradient = counted.gradient_at(logs)
        steps += 1
        if distance > _STALE or not fresh:
            information, fresh = _information(counted, logs), True
        else:
            fresh = False
    return logs, value, information, steps, distance


def _refuse_boundary(
    what: str, limits: dict[str, Limits], logs: np.ndarray, low: np.ndarray, high: np.ndarray
) -> None:
    """FitError when a parameter stands at the end of its range."""
    ends = []
    for (name, limit), value, least, most in zip(limits.items(), logs, low, high, strict=True):
        if value - least < 1e-3:
            ends.append(f"{name} runs to 0 ({limit.low_means})")
        elif most - value < 1e-3:
            ends.append(f"{name} grows without end ({limit.high_means})")
    if ends:
        raise FitError(
            Failure.BOUNDARY, f"{what}: no maximum inside, at {described(list(limits), np.exp(logs))}",
            "; ".join(ends), "fit a larger group, or use the parameters of one",
        )


def _refuse_open(
    what: str, limits: dict[str, Limits], logs: np.ndarray, errors: np.ndarray, loosest: float
) -> None:
    """FitError when the data leaves a parameter open over many orders of magnitude."""
    wide = [
        f"{name} is {math.exp(logs[i]):.3g} give or take a factor of {math.exp(min(errors[i], 700)):.3g} "
        f"({_meaning(limits, i, logs)})"
        for i, name in enumerate(limits) if errors[i] > loosest
    ]
    if wide:
        raise FitError(
            Failure.BOUNDARY, f"{what}: the likelihood hardly changes around {described(list(limits), np.exp(logs))}",
            "; ".join(wide), "fit a larger group, or use the parameters of one",
        )
