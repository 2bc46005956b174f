"""Fits a purchase process to cells of customers, exactly, and finds how regular the buyers are.

The estimate is the maximum of the likelihood of all customers, not of a sample: the customers are reduced to sums, and
the search for four numbers runs on the driver.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.cells import Cells, Margins, weighted
from models.errors import Failure, FitError, ModelError
from models.fit import Limits, Maximum, maximise
from models.purchase_likelihood import Reduction, log_likelihood, numpy_reduction
from models.purchase_process import LARGEST_K, MBG_NBD, PurchaseModel, PurchaseParameters, mbg_cnbd

NAMES = ("r", "alpha", "a", "b")
#: Starts as (r, a, b); alpha follows from the orders that there are.
_SHAPES = ((1.0, 1.0, 2.0), (0.3, 0.5, 2.5), (3.0, 2.0, 8.0))
_SMALL, _LARGE = 1e-5, 1e5


@dataclass(frozen=True)
class PurchaseFit:
    """A fitted purchase process, the facts of the fit, and what it was fitted to.

    `standard_errors` are of (r, alpha, a, b). `orders` counts orders after the first. `log_likelihood` is that of the
    gaps and histories in the unit of time of the input, comparable between models and between k.
    """

    parameters: PurchaseParameters
    standard_errors: tuple[float, float, float, float]
    log_likelihood: float
    customers: float
    orders: float
    maximum: Maximum


def fit_cells(cells: Cells, model: PurchaseModel = MBG_NBD, *, log_gaps: float | None = None) -> PurchaseFit:
    """Fits `model` to cells in memory; `log_gaps`, the sum of ln(gap) over all gaps, is needed where k > 1."""
    return fit_purchases(Margins.of(cells, log_gaps), numpy_reduction(cells), model)


def fit_purchases(
    margins: Margins, reduction: Reduction, model: PurchaseModel = MBG_NBD, *,
    starts: Sequence[PurchaseParameters] | None = None,
) -> PurchaseFit:
    """Fits `model` from margins and a reduction that adds the terms of the cells, wherever they are.

    `starts` (three by default) are tried in turn and the best is kept; with a reduction that is dear, one start near
    the answer is enough. Raises FitError with `failure` when there is no answer; see `models.fit.maximise`.
    """
    what = f"{model.name} fitted to {margins.customers:.0f} customers"
    _refuse_little(what, margins)
    if starts is not None and (not starts or any(start.model != model for start in starts)):
        raise ModelError(f"{what}: the starts are none, or of another model; give starts of {model.name}")

    def objective(point: np.ndarray) -> tuple[float, np.ndarray]:
        return log_likelihood(PurchaseParameters(model, *point), margins, reduction)

    begins = [start.values for start in (default_starts(margins, model) if starts is None else starts)]
    maximum = maximise(what, objective, _limits(margins), begins, margins.customers)
    return PurchaseFit(
        PurchaseParameters(model, *maximum.parameters), maximum.standard_errors, maximum.log_likelihood,
        margins.customers, margins.orders, maximum,
    )


@dataclass(frozen=True)
class Regularity:
    """The fits of k = 1, 2, ... until the likelihood fell, and the one that is proposed."""

    fits: tuple[PurchaseFit, ...]
    chosen: PurchaseFit


def choose_regularity(
    margins: Margins, reduction: Reduction, *, largest: int = 12, least_gain: float = 10.0
) -> Regularity:
    """The k of greatest likelihood among MBG/CNBD-k, if it gains `least_gain` on k = 1; else k = 1.

    k is raised until the likelihood falls (Reutterer, Platzer and Schroeder 2021 do the same), each fit starting from
    the one before. The likelihood proposes; whether forecasts improve is for a back-test to say. A k whose fit fails
    ends the search; when already k = 1 fails, so does the choice.
    """
    if not 1 <= largest <= LARGEST_K:
        raise ModelError(f"largest = {largest}: k goes from 1 to {LARGEST_K}")
    fits = [fit_purchases(margins, reduction, MBG_NBD)]
    for k in range(2, largest + 1):
        last = fits[-1].parameters
        # The rate is that of a phase: as many orders in the same time are k phases each.
        near = PurchaseParameters(mbg_cnbd(k), last.r, last.alpha * (k - 1) / k, last.a, last.b)
        try:
            fit = fit_purchases(margins, reduction, mbg_cnbd(k), starts=[near])
        except FitError:
            break
        fits.append(fit)
        if fit.log_likelihood < fits[-2].log_likelihood:
            break
    best = max(fits, key=lambda fit: fit.log_likelihood)
    chosen = best if best.log_likelihood - fits[0].log_likelihood >= least_gain else fits[0]
    return Regularity(tuple(fits), chosen)


def default_starts(margins: Margins, model: PurchaseModel) -> list[PurchaseParameters]:
    """Three points from few to many regular buyers, with alpha such that twice the orders that there are come out.

    Twice, because a part of the time in `age` is after customers left.
    """
    time = weighted(margins.customers_by_age, margins.age)
    return [
        PurchaseParameters(model, r, r * time / (2 * model.k * margins.orders), a, b) for r, a, b in _SHAPES
    ]


def _limits(margins: Margins) -> dict[str, Limits]:
    oldest = float(margins.age.max())
    same_rate = "all customers order at one rate: no heterogeneity of rates"
    same_dropout = "all customers leave with one probability: no heterogeneity of dropout"
    return {
        "r": Limits(_SMALL, _LARGE, "hardly anybody orders again", same_rate),
        "alpha": Limits(_SMALL * oldest, _LARGE * oldest, "rates without bound: merge orders of a day", same_rate),
        "a": Limits(_SMALL, _LARGE, "nobody seems to leave: the data shows no dropout", same_dropout),
        "b": Limits(_SMALL, _LARGE, "all who leave do so at once", "nobody seems to leave, or " + same_dropout),
    }


def _refuse_little(what: str, margins: Margins) -> None:
    """FitError when there is nothing to learn a process from; whether it is enough is for the likelihood to show."""
    if margins.customers and margins.orders:
        return
    raise FitError(
        Failure.TOO_LITTLE_DATA, what,
        "there are no customers" if not margins.customers else "nobody ordered on a second day",
        "fit a larger group or a longer time, or use the parameters of a larger group",
    )
