"""Pictures of a churn model: what it forecast against what came, and what it says of silence, frequency and recency.

Each function takes plain values and gives a figure; `png` and `svg` turn a figure into bytes, the same on every run.
Nothing is shown on a screen and no state is shared between figures. The colours are told apart by everyone
(Okabe and Ito's palette, viridis), and lines differ in their dashes or marks too.

matplotlib is imported when something is drawn.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betainc, betaln

from models.cells import Array, Cells, columns, refuse, weighted
from models.churn_model import GroupModel
from models.errors import ModelError
from models.expected_orders import expected_orders
from models.purchase_process import PurchaseParameters, p_no_order

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Okabe and Ito: blue, vermilion, bluish green, orange, reddish purple, sky blue.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9")
_DASHES = ("-", "--", "-.", ":")
_MARKS = ("o", "s", "^", "D", "v", "P")
_GREY = "#666666"
#: Repeat orders of the customers whose silence is shown.
_SILENT = (0, 1, 3, 10)
_SIZE = (7.0, 4.8)


@dataclass(frozen=True)
class Curve:
    """Customers in bins of alike forecasts: the mean forecast, the share of whom it came true, how many there were.

    >>> Curve([0.1, 0.9], [0.2, 1.1], [5, 5])
    Traceback (most recent call last):
    models.errors.ModelError: actual[1] = 1.1: it is a share, from 0 to 1
    """

    forecast: ArrayLike
    actual: ArrayLike
    customers: ArrayLike

    def __post_init__(self) -> None:
        names = ("forecast", "actual", "customers")
        arrays = columns(names, [self.forecast, self.actual, self.customers])
        for name, array in zip(names, arrays, strict=True):
            object.__setattr__(self, name, array)
        for name, array in zip(names[:2], arrays[:2], strict=True):
            refuse(name, (array < 0) | (array > 1), array, "it is a share, from 0 to 1")
        refuse("customers", arrays[2] < 0, arrays[2], "a number of customers is at least 0")


def calibration_curves(rows: Sequence[Mapping[str, Any]]) -> dict[str, Curve]:
    """The table `calibration` of a back-test (`Backtest.tables()`) as curves, by output: raw, recalibrated.

    >>> rows = [{"output": "raw", "bin": 1, "customers": 10.0, "probability": 0.3, "actual": 0.4}]
    >>> calibration_curves(rows)["raw"].actual.tolist()
    [0.4]
    """
    outputs = dict.fromkeys(row["output"] for row in rows)
    names = ("probability", "actual", "customers")
    return {
        output: Curve(*([row[name] for row in rows if row["output"] == output] for name in names)) for output in outputs
    }


def reliability(curves: Mapping[str, Curve], horizon_days: int, *, title: str = "Calibration") -> Figure:
    """Share of customers without an order against the forecast of it, a line for each of `curves`.

    The nearer to the diagonal, the better. Below: customers in each bin.
    """
    if not 1 <= len(curves) <= len(COLOURS):
        raise ModelError(f"{len(curves)} curves in one picture: give 1 to {len(COLOURS)}")
    figure, (above, below) = _figure((7.0, 6.4), rows=(3, 1))
    above.plot([0, 1], [0, 1], color=_GREY, linewidth=1, linestyle=":", label="perfect")
    for (name, curve), colour, mark in zip(curves.items(), COLOURS, _MARKS, strict=False):
        seen = curve.customers > 0
        look = {"color": colour, "marker": mark, "markersize": 5, "linewidth": 1.5, "label": name}
        above.plot(curve.forecast[seen], curve.actual[seen], **look)
        below.plot(curve.forecast[seen], curve.customers[seen], **(look | {"linewidth": 0.8, "label": None}))
    above.set(xlim=(0, 1), ylim=(0, 1))
    above.set(ylabel="share without an order", title=f"{title}: no order in {horizon_days} days")
    above.legend(loc="upper left", frameon=False)
    below.set(xlim=(0, 1), xlabel=f"forecast probability of no order in {horizon_days} days", ylabel="customers in bin")
    below.set_ylim(bottom=0)
    return figure


def survival_of_silence(
    group: GroupModel, horizon_days: int, *, levels: Mapping[str, float] | None = None, longest_days: int = 730
) -> Figure:
    """The risk rate by days of silence, for customers with 0, 1, 3 and 10 repeat orders at the average gap.

    `levels`: names and probabilities to mark, such as the one from which a customer is lost. Days are those of the
    season's clock, the calendar's where there is no season.
    """
    figure, (axes,) = _figure(_SIZE)
    silence = np.linspace(0.0, longest_days, 400)
    gap = average_gap(group.purchase)
    for x, colour, dash in zip(_SILENT, COLOURS, _DASHES, strict=False):
        risk = risk_rate(group, np.full(silence.shape, x), x * gap, x * gap + silence, horizon_days)
        axes.plot(silence, risk, color=colour, linestyle=dash, linewidth=2, label=f"{x} repeat orders")
    for name, level in (levels or {}).items():
        axes.axhline(level, color=_GREY, linewidth=0.8)
        axes.annotate(f"{name} ({level:g})", (longest_days, level), ha="right", va="bottom", color=_GREY)
    axes.set(
        xlim=(0, longest_days), ylim=(0, 1), xlabel="days of silence since the last order",
        ylabel=f"probability of no order in {horizon_days} days",
        title=f"What silence says, by repeat orders so far (one every {gap:.0f} days)",
    )
    axes.legend(loc="lower right", frameon=False)
    return figure


def risk_map(group: GroupModel, horizon_days: int, *, age_days: int = 730, most: int = 20) -> Figure:
    """The risk rate by number of repeat orders and days since the last one, for customers of one age."""
    return _map(
        *_grid(age_days, most, lambda x, t_x: risk_rate(group, x, t_x, float(age_days), horizon_days)),
        f"Probability of no order in {horizon_days} days", "probability", (0.0, 1.0), age_days,
    )


def orders_map(group: GroupModel, horizon_days: int, *, age_days: int = 730, most: int = 20) -> Figure:
    """The expected orders by number of repeat orders and days since the last one, for customers of one age."""
    return _map(
        *_grid(age_days, most, lambda x, t_x: expected_orders(group.purchase, x, t_x, float(age_days), horizon_days)),
        f"Expected orders in {horizon_days} days", "orders", (0.0, None), age_days,
    )


def repeat_orders(parameters: PurchaseParameters, cells: Cells, *, largest: int = 10) -> Figure:
    """How many customers have made 0, 1, 2, ... repeat orders, and how many the fitted process expects.

    The last bars are of `largest` and more.
    """
    actual, fitted = repeat_order_counts(parameters, cells, largest)
    figure, (axes,) = _figure(_SIZE)
    places = np.arange(largest + 1)
    axes.bar(places - 0.2, actual, 0.4, color=COLOURS[0], label="actual")
    axes.bar(places + 0.2, fitted, 0.4, color=COLOURS[3], edgecolor="black", linewidth=0.5, hatch="//", label="fitted")
    axes.set_xticks(places, [*map(str, places[:-1]), f"{largest}+"])
    axes.set(
        xlabel="repeat orders since the first (order days)", ylabel="customers",
        title=f"Repeat orders, actual and fitted ({parameters.model.name}, {cells.count.sum():,.0f} customers)",
    )
    axes.legend(loc="upper right", frameon=False)
    return figure


def training_pictures(
    group: GroupModel, cells: Cells, curves: Mapping[str, Curve], horizon_days: int, *,
    levels: Mapping[str, float] | None = None,
) -> dict[str, bytes]:
    """Every picture of a training as PNG, by file name; the calibration only where there are `curves`."""
    figures = {
        "survival_of_silence": survival_of_silence(group, horizon_days, levels=levels),
        "no_order_by_frequency_and_recency": risk_map(group, horizon_days),
        "orders_by_frequency_and_recency": orders_map(group, horizon_days),
        "repeat_orders": repeat_orders(group.purchase, cells),
    }
    if curves:
        figures["calibration"] = reliability(curves, horizon_days)
    return {f"{name}.png": png(figure) for name, figure in figures.items()}


# Numbers behind the pictures ------------------------------------------------------------------------------------------


def average_gap(parameters: PurchaseParameters) -> float:
    """k alpha / r: about the gap between orders of an average buyer who is still there."""
    return parameters.model.k * parameters.alpha / parameters.r


def risk_rate(group: GroupModel, x: ArrayLike, t_x: ArrayLike, age: ArrayLike, horizon_days: float) -> Array:
    """P(no order in the horizon) as back-tests corrected it; arguments broadcast, times on the season's clock."""
    x, t_x, age = np.broadcast_arrays(*(np.asarray(part, dtype=np.float64) for part in (x, t_x, age)))
    return group.calibration.apply(p_no_order(group.purchase, x, t_x, age, horizon_days), x)


def repeat_order_counts(parameters: PurchaseParameters, cells: Cells, largest: int) -> tuple[Array, Array]:
    """Customers with 0, 1, ..., `largest` or more repeat orders: how many there are, and how many the process expects.

    P(X = x) of a customer of a given age is: left after order x, and x orders had the time; or stayed after it, and
    exactly x had. Phases come as a negative binomial, so that P(at least x orders had the time) is the incomplete beta
    function I(age / (alpha + age); k x, r), and chances to stay are moments of the beta distribution.

    >>> from models.purchase_process import MBG_NBD
    >>> mbg = PurchaseParameters(MBG_NBD, 0.5248, 6.1831, 0.8914, 1.6140)
    >>> actual, fitted = repeat_order_counts(mbg, Cells.of([0, 2], [0, 5], [39, 39], [60, 40]), 3)
    >>> actual.tolist(), round(float(fitted.sum()), 9)
    ([60.0, 0.0, 40.0, 0.0], 100.0)
    """
    if largest < 1:
        raise ModelError(f"largest = {largest}: the last bar is of one repeat order or more; give at least 1")
    age, place = np.unique(cells.age, return_inverse=True)
    customers = np.bincount(place.ravel(), cells.count)
    model, (r, alpha, a, b) = parameters.model, parameters.values
    fitted = np.empty(largest + 1)
    for x in range(largest):
        had_time = [
            betainc(model.k * orders, r, age / (alpha + age)) if orders else np.ones(len(age)) for orders in (x, x + 1)
        ]
        stays = x - 1 + model.c  # chances to leave that came before order x was made
        left = np.exp(betaln(a + 1, b + stays) - betaln(a, b)) if stays >= 0 else 0.0
        stayed = np.exp(betaln(a, b + stays + 1) - betaln(a, b))
        fitted[x] = weighted(customers, left * had_time[0] + stayed * (had_time[0] - had_time[1]))
    fitted[largest] = max(float(customers.sum()) - float(fitted[:largest].sum()), 0.0)
    actual = np.bincount(np.minimum(cells.x, largest).astype(int), cells.count, largest + 1)
    return actual, fitted


# Drawing --------------------------------------------------------------------------------------------------------------


def png(figure: Figure) -> bytes:
    """The figure as PNG, 120 dots an inch, without the time of drawing."""
    return _saved(figure, "png", {"Software": None})


def svg(figure: Figure) -> bytes:
    """The figure as SVG, without the time of drawing."""
    return _saved(figure, "svg", {"Date": None, "Creator": None})


def _saved(figure: Figure, kind: str, metadata: dict[str, None]) -> bytes:
    from matplotlib import rc_context

    written = io.BytesIO()
    with rc_context({"svg.hashsalt": "seglake"}):
        figure.savefig(written, format=kind, dpi=120, metadata=metadata)
    return written.getvalue()


def _figure(size: tuple[float, float], rows: Sequence[int] = (1,)) -> tuple[Figure, list[Axes]]:
    """A figure with a column of axes, without frames on top and right."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(len(rows), 1, squeeze=False, height_ratios=rows)[:, 0]
    for part in axes:
        part.spines[["top", "right"]].set_visible(False)
        part.grid(color="#dddddd", linewidth=0.6)
        part.set_axisbelow(True)
    return figure, list(axes)


def _grid(age_days: int, most: int, function: Callable[[Array, Array], Array]) -> tuple[Array, Array]:
    """Days since the last order, and a row of values for each of them with a column for each number of repeat orders.

    One-time buyers have been silent for their whole age, all others for less: what cannot be is NaN.
    """
    silence = np.linspace(0.0, age_days, 61)
    x, since = np.meshgrid(np.arange(most + 1.0), silence)
    possible = np.where(x == 0, since == age_days, since < age_days)
    values = np.full(x.shape, np.nan)
    values[possible] = function(x[possible], age_days - since[possible])
    return silence, values


def _map(
    silence: Array, values: Array, title: str, unit: str, limits: tuple[float, float | None], age_days: int
) -> Figure:
    """A heat map of what `_grid` gives; grey is what cannot be."""
    figure, (axes,) = _figure(_SIZE)
    step = silence[1] - silence[0]
    axes.grid(False)
    axes.set_facecolor("#e5e5e5")
    drawn = axes.imshow(
        values, origin="lower", aspect="auto", cmap="viridis", vmin=limits[0], vmax=limits[1], interpolation="nearest",
        extent=(-0.5, values.shape[1] - 0.5, silence[0] - step / 2, silence[-1] + step / 2),
    )
    figure.colorbar(drawn, ax=axes, label=unit)
    axes.set_xticks(range(0, values.shape[1], 2))
    axes.set(
        xlabel="repeat orders", ylabel="days since the last order",
        title=f"{title}, first order {age_days} days ago",
    )
    return figure
