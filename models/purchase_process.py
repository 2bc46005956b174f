"""How often customers order and when they stop: BG/NBD, MBG/NBD and MBG/CNBD-k, and what they say about one customer.

A customer orders at a rate of her own, drawn from a gamma distribution (shape `r`, rate `alpha`), and after each order
she leaves for good with a chance of her own, drawn from a beta distribution (`a`, `b`). What a customer has done enters
as `x`, the orders after the first (one a day at most); `t_x`, the time from the first order to the last; and `age`, the
time from the first order to as-of. All times have one unit, days in the product, which is also the unit of `alpha`.

- BG/NBD (Fader, Hardie and Lee 2005, "Counting Your Customers the Easy Way", Marketing Science 24:275): gaps between
  orders are exponential; nobody leaves right after the first order, so who ordered once counts as there for ever.
- MBG/NBD (Batislam, Denizel and Filiztekin 2007, Int. J. of Research in Marketing 24:201; Hoppe and Wagner 2007,
  Marketing JRM 3:75): one may also leave right after the first order.
- MBG/CNBD-k (Reutterer, Platzer and Schroeder 2021, Int. J. of Research in Marketing 38:194): gaps are Erlang with `k`
  phases, so that a greater k means more regular buyers; k = 1 is MBG/NBD. Here the rate is that of a phase, and the
  mean gap is k / rate.

Everything in this module needs elementary functions only (see `models.elementary`): it works on numpy arrays and on
Spark Columns alike, row by row, without a table to look up.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from models.elementary import NUMPY, Functions, Value, logistic
from models.errors import ModelError

#: More phases than this are a calendar, not a purchase process: a subscription.
LARGEST_K = 24


@dataclass(frozen=True)
class PurchaseModel:
    """Which of the three processes: the phases in a gap, and whether one may leave right after the first order.

    >>> PurchaseModel("MBG/NBD", k=3)
    Traceback (most recent call last):
    models.errors.ModelError: MBG/NBD has no k = 3: use one of BG_NBD, MBG_NBD, mbg_cnbd(k)
    """

    name: str
    k: int = 1
    leaves_after_first: bool = True

    def __post_init__(self) -> None:
        name = "BG/NBD" if not self.leaves_after_first else "MBG/NBD" if self.k == 1 else f"MBG/CNBD-{self.k}"
        if self.name != name or not 1 <= self.k <= (LARGEST_K if self.leaves_after_first else 1):
            raise ModelError(f"{self.name} has no k = {self.k}: use one of BG_NBD, MBG_NBD, mbg_cnbd(k)")

    @property
    def c(self) -> int:
        """How many times one may have left before the first repeat order: 1, or 0 with BG/NBD."""
        return int(self.leaves_after_first)


BG_NBD = PurchaseModel("BG/NBD", leaves_after_first=False)
MBG_NBD = PurchaseModel("MBG/NBD")


def mbg_cnbd(k: int) -> PurchaseModel:
    """MBG/CNBD-k for `k` phases in each gap, from 1 (which is MBG/NBD) to 24.

    >>> mbg_cnbd(3).name, mbg_cnbd(1) == MBG_NBD
    ('MBG/CNBD-3', True)
    """
    return PurchaseModel("MBG/NBD" if k == 1 else f"MBG/CNBD-{k}", k)


@dataclass(frozen=True)
class PurchaseParameters:
    """The four numbers of a fitted process, positive and finite: `alpha` in the unit of time, the others without one.

    >>> PurchaseParameters(BG_NBD, r=0.2426, alpha=0.0, a=0.7930, b=2.4260)
    Traceback (most recent call last):
    models.errors.ModelError: BG/NBD with alpha = 0.0: every parameter is a positive, finite number; fit the model again
    """

    model: PurchaseModel
    r: float
    alpha: float
    a: float
    b: float

    def __post_init__(self) -> None:
        for name in ("r", "alpha", "a", "b"):
            value = float(getattr(self, name))
            if not (math.isfinite(value) and value > 0):
                raise ModelError(
                    f"{self.model.name} with {name} = {value}: every parameter is a positive, finite number; "
                    "fit the model again"
                )
            object.__setattr__(self, name, value)  # numpy's own numbers would not go into a Column

    @property
    def values(self) -> tuple[float, float, float, float]:
        """(r, alpha, a, b)."""
        return self.r, self.alpha, self.a, self.b

    def in_unit(self, units: float) -> PurchaseParameters:
        """The same process with time counted in a unit of which `units` make one of the old: 7 for weeks to days.

        >>> PurchaseParameters(BG_NBD, 0.25, 4.5, 0.8, 2.4).in_unit(7).alpha
        31.5
        """
        return PurchaseParameters(self.model, self.r, self.alpha * units, self.a, self.b)


def log_phases(
    parameters: PurchaseParameters, x: Value, silence: Value, age: Value, functions: Functions = NUMPY
) -> Value:
    """ln S, by which regularity changes the chance of a silence so far; 0 for k = 1 and for no silence.

    S is the sum over j < k of (rho)_j / j! * (silence / (alpha + age))^j with rho = r + k x and (rho)_j the rising
    factorial (Reutterer, Platzer and Schroeder 2021, the survival of an Erlang gap mixed over the gamma). All terms are
    positive; nested, they need additions and multiplications only.
    """
    rho = parameters.r + parameters.model.k * x
    u = silence / (parameters.alpha + age)
    total = 1.0 + 0.0 * u
    for j in range(parameters.model.k - 1, 0, -1):
        total = 1.0 + (rho + (j - 1.0)) / j * u * total
    return functions.log(total)


def log_odds_gone(
    parameters: PurchaseParameters, x: Value, t_x: Value, age: Value, functions: Functions = NUMPY
) -> Value:
    """z = ln(P(gone) / P(alive)) at as-of; minus infinity where the model has nobody leave (BG/NBD with x = 0).

    ln a - ln(b + x + c - 1) + rho ln((alpha + age) / (alpha + t_x)) - ln S. For BG/NBD this is Fader, Hardie and Lee's
    note "Computing P(alive) Using the BG/NBD Model" (2008); for the others the papers that the module names.
    """
    _, alpha, a, b = parameters.values
    model = parameters.model
    rho = parameters.r + model.k * x
    chances = x + model.c  # the orders after which one may have left
    z = (
        math.log(a) - functions.log(b + functions.maximum(chances - 1.0, 0.0))
        + rho * functions.log1p((age - t_x) / (alpha + t_x))
        - log_phases(parameters, x, age - t_x, age, functions)
    )
    return functions.where(chances > 0, z, -math.inf)


def p_alive(parameters: PurchaseParameters, x: Value, t_x: Value, age: Value, functions: Functions = NUMPY) -> Value:
    """The probability that a customer has not left at as-of.

    Not the probability of another order: BG/NBD gives 1 to everyone who ordered once. Use `p_order` for that.
    Sources as for `log_odds_gone`.

    >>> bg = PurchaseParameters(BG_NBD, 0.2426, 4.4136, 0.7930, 2.4260)
    >>> round(float(p_alive(bg, 26, 30.857, 31)), 4), float(p_alive(bg, 0, 0, 39))
    (0.9688, 1.0)
    """
    return logistic(-log_odds_gone(parameters, x, t_x, age, functions), functions)


def log_p_silent_if_alive(
    parameters: PurchaseParameters, x: Value, t_x: Value, age: Value, horizon: Value, functions: Functions = NUMPY
) -> Value:
    """ln P(no order in (as-of, as-of + horizon] | alive at as-of); 0 for a horizon of 0.

    rho ln((alpha + age) / (alpha + age + horizon)) + ln S(age + horizon) - ln S(age): the ratio of the likelihoods of a
    customer who is alive at both ends. At most 0, though rounding may leave it above by less than 1e-12.
    """
    rho = parameters.r + parameters.model.k * x
    return (
        log_phases(parameters, x, age - t_x + horizon, age + horizon, functions)
        - log_phases(parameters, x, age - t_x, age, functions)
        - rho * functions.log1p(horizon / (parameters.alpha + age))
    )


def p_order(
    parameters: PurchaseParameters, x: Value, t_x: Value, age: Value, horizon: Value, functions: Functions = NUMPY
) -> Value:
    """The probability of at least one order in (as-of, as-of + horizon]; 0 for a horizon of 0, at most `p_alive`."""
    alive = p_alive(parameters, x, t_x, age, functions)
    silent = log_p_silent_if_alive(parameters, x, t_x, age, horizon, functions)
    return alive * functions.maximum(-functions.expm1(silent), 0.0)


def p_no_order(
    parameters: PurchaseParameters, x: Value, t_x: Value, age: Value, horizon: Value, functions: Functions = NUMPY
) -> Value:
    """The risk rate: the probability of no order in (as-of, as-of + horizon].

    P(gone) + P(alive) P(silent | alive), a sum of positive terms, so that small values keep their digits. It is
    L(age + horizon) / L(age) for the likelihood L of the customer's history: 1 for a horizon of 0, P(gone) for an
    endless one.

    >>> mbg = PurchaseParameters(MBG_NBD, 0.5248, 6.1831, 0.8914, 1.6140)
    >>> [round(float(p_no_order(mbg, 2, 30.4, 38.9, horizon)), 4) for horizon in (0, 4, 39, 1e9)]
    [1.0, 0.8638, 0.441, 0.2948]
    """
    z = log_odds_gone(parameters, x, t_x, age, functions)
    return gone_or_silent(z, log_p_silent_if_alive(parameters, x, t_x, age, horizon, functions), functions)


def gone_or_silent(z: Value, silent: Value, functions: Functions = NUMPY) -> Value:
    """P(gone) + P(alive) P(silent | alive), from `log_odds_gone` and `log_p_silent_if_alive`."""
    silence = logistic(z, functions) + logistic(-z, functions) * functions.exp(-functions.maximum(-silent, 0.0))
    return -functions.maximum(-silence, -1.0)  # rounding may carry the sum above 1
