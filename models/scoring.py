"""Churn, next order and value of every customer in one night: expressions over the staged rows, and two tables to join.

Probabilities are elementary functions of a customer's order days (`models.purchase_process`), so they are Columns.
Two things are not: how many orders to expect needs a quadrature, and the days until a customer is called lost need a
search. Both depend on few distinct values, so each is a table:

- `ahead`: (group, x, first day) -> expected orders and their discounted sum. A few ten thousand rows whatever the
  number of customers; made on the driver and broadcast.
- `cutoffs`: (group, x, days from first to last order) -> silent days until at risk and until lost; with a season or
  regular buyers (group, x, first day, last day). Made by numpy where the rows lie, one row for each distinct key, not
  for each customer; broadcast up to `MOST_BROADCAST` rows, else joined by a shuffle.

Units: days, and days of mean speed on the clock of a season; money in the tenant's currency.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from models.calibration import STRATA, stratum
from models.champion import Champion
from models.churn_model import ChurnModel, GroupModel
from models.days import number_of
from models.elementary import logistic
from models.expected_orders import orders_if_alive, phase_weights
from models.gamma_gamma import expected_value
from models.order_features import OrderFeatures
from models.purchase_process import gone_or_silent, log_odds_gone, log_p_silent_if_alive
from models.season import Season
from models.silence import cycle, median_wait, silence_until_lost
from models.spark_functions import SPARK
from segment_lib.clock import Clock
from segment_lib.model_settings import ModelsSection

if TYPE_CHECKING:
    import pandas as pd

#: Horizons of the probabilities that have a column of their own, in days.
HORIZONS = (30, 90, 365)
MOST_BROADCAST = 1_000_000
#: A cutoff later than this is none.
LONGEST_SILENCE = 36_525
MONTH = 30.4375
_KEYS = {False: ("x", "span"), True: ("x", "first", "last")}


@dataclass(frozen=True)
class _Night:
    """One model on one date."""

    model: ChurnModel
    section: ModelsSection
    as_of: int

    @property
    def groups(self) -> tuple[tuple[str | None, GroupModel], ...]:
        """Everybody's model first, under None."""
        return ((None, self.model.everyone), *sorted(self.model.groups.items()))

    @property
    def horizons(self) -> tuple[int, ...]:
        """Days ahead for which the chance of no order is computed."""
        return tuple(sorted({*HORIZONS, self.model.horizon_days}))

    @property
    def by_day(self) -> bool:
        """Whether cutoffs depend on the days themselves, not only on how far apart they are."""
        return any(not group.season.is_flat or group.purchase.model.k > 1 for _, group in self.groups)


def scores(
    customers: DataFrame, orders: OrderFeatures, champion: Champion, section: ModelsSection, clock: Clock,
    group: Column | None,
) -> tuple[DataFrame, dict[str, Column]]:
    """`customers` with what the scores are made of, and score -> its column; null for who never ordered.

    `group` is the value of the column that conf groups customers by.
    """
    night = _Night(champion.model, section, number_of(clock.snapshot_date))
    known = [name for name, _ in night.groups if name is not None]
    grouped = F.lit("") if group is None else F.when(group.isin(known), group).otherwise(F.lit(""))
    ordered = orders.order_days > 0
    rows = customers.select("*", *(
        F.when(ordered, value).alias(f"_{name}") for name, value in (
            ("group", grouped), ("x", orders.order_days - 1), ("first", orders.first_day), ("last", orders.last_day),
            ("span", orders.last_day - orders.first_day),
        )
    ))
    rows = _with_cutoffs(_with_ahead(rows, night), night)
    return _with_chances(rows, night), _columns(night, orders, champion, clock)


def _each(night: _Night, value: Callable[[GroupModel], Column]) -> Column:
    """The value of a customer under the model of her group; null for who never ordered."""
    (_, everyone), *others = night.groups
    chain = reduce(lambda made, one: made.when(F.col("_group") == F.lit(one[0]), value(one[1])), others, F)
    of_all = value(everyone)
    return F.when(F.col("_x").isNotNull(), chain.otherwise(of_all) if others else of_all)


def _with_chances(rows: DataFrame, night: _Night) -> DataFrame:
    """Adds what the formulas share: times on the clock, P(alive), phases, and P(no order) at each horizon.

    A formula names its arguments many times, and as one tree it would be too large to plan. So each step is a column of
    its own, which the next one refers to.
    """
    as_of = night.as_of
    x, t_x, age, z = (F.col(name) for name in ("_repeats", "_t_x", "_age", "_z"))
    start, last = (_each(night, lambda group, name=name: _clock(group.season, F.col(name))) for name in ("_first", "_last"))
    now = _each(night, lambda group: F.lit(float(group.season.clock([as_of])[0])))
    rows = rows.select("*", F.col("_x").cast("double").alias("_repeats"), start.alias("_start"), last.alias("_end"))
    rows = rows.select("*", (F.col("_end") - F.col("_start")).alias("_t_x"), (now - F.col("_start")).alias("_age"))

    def silent(days: int) -> Column:
        return _each(night, lambda group: log_p_silent_if_alive(
            group.purchase, x, t_x, age, group.season.ahead(as_of, days), SPARK
        ))

    rows = rows.select(
        "*", _each(night, lambda group: log_odds_gone(group.purchase, x, t_x, age, SPARK)).alias("_z"),
        _each(night, lambda group: F.array(*phase_weights(group.purchase, x, age - t_x, age, SPARK))).alias("_phases"),
        *(silent(days).alias(f"_silent_{days}") for days in night.horizons),
    )
    rows = rows.select(
        "*", logistic(-z, SPARK).alias("_alive"),
        *(gone_or_silent(z, F.col(f"_silent_{days}"), SPARK).alias(f"_raw_{days}") for days in night.horizons),
    )
    raw = F.col(f"_raw_{night.model.horizon_days}")
    return rows.select("*", _each(night, lambda group: group.calibration.apply(raw, x, SPARK)).alias("_risk"))


def _columns(night: _Night, orders: OrderFeatures, champion: Champion, clock: Clock) -> dict[str, Column]:
    section, as_of, horizon = night.section, night.as_of, night.model.horizon_days
    x, t_x, age, risk = (F.col(name) for name in ("_repeats", "_t_x", "_age", "_risk"))
    count = x + 1.0
    silent = F.lit(as_of) - F.col("_last")

    def expected(table: str) -> Column:
        """The mean over phases since the last order."""
        products = F.zip_with("_phases", table, lambda weight, orders: weight * orders)
        return F.col("_alive") * F.aggregate(products, F.lit(0.0), lambda total, one: total + one)

    mean = F.greatest(orders.net_revenue.cast("double"), F.lit(0.0)) / count
    order_value = _each(
        night, lambda group: F.lit(None).cast("double") if group.value is None
        else expected_value(group.value, count, mean, SPARK)
    )
    predicted = expected("_ahead")
    # Beyond the cutoff today and a day ago, from today's data alone: a backfill comes to the same answer.
    status = (
        F.when(silent - 1 >= F.col("_lost_days"), "lost").when(silent - 1 >= F.col("_at_risk_days"), "at_risk")
        .when(silent.isNotNull(), "active")
    )
    return {
        "churn.risk_rate": risk, "churn.status": status, "churn.silent_days": silent,
        "churn.at_risk_days": F.col("_at_risk_days"), "churn.cutoff_days": F.col("_lost_days"),
        "churn.cutoff_date": F.date_from_unix_date((F.col("_last") + F.col("_lost_days")).cast("int")),
        "churn.own_gap_days": F.col("_span") / F.nullif(x, F.lit(0.0)),
        "churn.cycle_days": _each(night, lambda group: cycle(group.purchase, x, t_x)),
        "churn.season": _each(night, lambda group: F.lit(float(group.season.factor([as_of])[0]))),
        "churn.model": F.when(silent.isNotNull(), F.lit(champion.label)),
        "churn.scored_on": F.when(silent.isNotNull(), F.lit(clock.snapshot_date)),
        "next_order.probability": F.lit(1.0) - risk,
        **{
            f"next_order.probability_{days}": F.lit(1.0) - (risk if days == horizon else F.col(f"_raw_{days}"))
            for days in HORIZONS
        },
        "next_order.days": F.col("_next_days") if night.by_day else _each(
            night, lambda group: (age + group.purchase.alpha) * F.expm1(float(np.log(2)) / (x + group.purchase.r))
        ),
        "activity.ratio": F.col("_span") / F.nullif((F.lit(as_of) - F.col("_first")).cast("double"), F.lit(0.0)),
        "value.predicted_orders": predicted, "value.order_value": order_value,
        "value.predicted_revenue": predicted * order_value,
        "value.ltv": F.lit(section.margin) * order_value * expected("_discounted"),
    }


def _clock(season: Season, day: Column) -> Column:
    """`Season.clock` as a Column."""
    if season.is_flat:
        return day.cast("double")
    date = F.date_from_unix_date(day)
    year, month, before = F.year(date), F.month(date), F.year(date) - 1
    until = season.month_starts
    leaps = F.floor(before / 4) - F.floor(before / 100) + F.floor(before / 400) - F.lit(477)  # those before 1970
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    passed = leaps + F.when(leap & (month > 2), 1).otherwise(0)

    def of_month(values: Sequence[float]) -> Column:
        return F.element_at(F.array(*(F.lit(float(value)) for value in values)), month)

    return (
        (year - 1970) * F.lit(float(until[12])) + passed * F.lit(season.factors[1]) + of_month(until[:12])
        + F.dayofmonth(date) * of_month(season.factors) - F.lit(season.factors[0])
    )


# Expected orders -----------------------------------------------------------------------------------------------------


def _with_ahead(rows: DataFrame, night: _Night) -> DataFrame:
    """Adds `_ahead` and `_discounted`, a number for each phase since the last order."""
    keys = rows.where("_x IS NOT NULL").groupBy("_group", "_x", "_first").count().drop("count").toPandas()
    made = []
    for name, group in night.groups:
        mine = keys[keys["_group"] == (name or "")]
        ahead, discounted = _ahead(group, night, mine["_x"].to_numpy(float), mine["_first"].to_numpy(int))
        made += zip(mine["_group"], mine["_x"], mine["_first"], ahead.tolist(), discounted.tolist(), strict=True)
    schema = "_group string, _x bigint, _first int, _ahead array<double>, _discounted array<double>"
    table = rows.sparkSession.createDataFrame(
        [(own, int(x), int(first), one, other) for own, x, first, one, other in made], schema
    )
    return rows.join(F.broadcast(table), ["_group", "_x", "_first"], "left")


def _ahead(group: GroupModel, night: _Night, x: np.ndarray, first: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Orders in the predicted days given alive, and the sum over months of their increase, discounted."""
    section, season = night.section, group.season
    age = season.clock([night.as_of])[0] - season.clock(first)
    months = max(1, round(section.predicted_days / MONTH))
    ends = [min(section.predicted_days, round(MONTH * month)) for month in range(1, months)] + [section.predicted_days]
    horizons = np.array([season.ahead(night.as_of, days) for days in ends])
    expected = orders_if_alive(group.purchase, x[:, None], age[:, None], horizons[None, :])
    increase = np.diff(expected, axis=1, prepend=0.0)
    factors = (1 + section.discount) ** (-np.arange(1, months + 1) / 12)
    return expected[:, -1, :], np.einsum("nmk,m->nk", increase, factors)


# Cutoffs -------------------------------------------------------------------------------------------------------------


def _with_cutoffs(rows: DataFrame, night: _Night) -> DataFrame:
    """Adds `_at_risk_days` and `_lost_days`, null where they never come, and by days `_next_days`."""
    names = [f"_{name}" for name in ("group", *_KEYS[night.by_day])]
    keys = rows.where("_x IS NOT NULL").select(*names).distinct()
    schema = ", ".join(f"{name} {dict(keys.dtypes)[name]}" for name in names)
    made = keys.mapInPandas(
        lambda batches: _cutoff_batches(batches, night),
        f"{schema}, _at_risk_days bigint, _lost_days bigint, _next_days double",
    )
    few = keys.limit(MOST_BROADCAST + 1).count() <= MOST_BROADCAST
    return rows.join(F.broadcast(made) if few else made, names, "left")


def _cutoff_batches(batches: Iterator[pd.DataFrame], night: _Night) -> Iterator[pd.DataFrame]:
    import pandas as pd

    for batch in batches:
        parts = []
        for name, group in night.groups:
            mine = batch[batch["_group"] == (name or "")]
            if len(mine):
                parts.append(mine.assign(**_cutoffs(group, night, mine)))
        yield pd.concat(parts) if parts else batch.assign(_at_risk_days=[], _lost_days=[], _next_days=[])


def _cutoffs(group: GroupModel, night: _Night, keys: pd.DataFrame) -> dict[str, object]:
    """The columns of `cutoffs` for keys of one group."""
    import pandas as pd

    x = keys["_x"].to_numpy(float)
    days = [keys[name].to_numpy(int) for name in ("_first", "_last")] if night.by_day else None
    if days is None:
        t_x, silent_days = keys["_span"].to_numpy(float), np.ceil
        wait = np.full(len(x), np.nan)
    else:
        first, last = days
        t_x, age = group.season.times(first, last, night.as_of)
        silent_days = lambda silence: _days_on(group.season, last, silence)  # noqa: E731
        wait = _days_on(group.season, np.full(len(x), night.as_of), median_wait(group.purchase, x, t_x, age), exact=True)
    found: dict[str, object] = {"_next_days": wait}
    for name, level in (("_at_risk_days", night.section.at_risk), ("_lost_days", night.section.lost)):
        silence = np.zeros(len(x))
        place = stratum(x)
        for number in range(len(STRATA)):
            rows = place == number
            if rows.any():
                raw = group.calibration.inverse_level(level, number)
                silence[rows] = silence_until_lost(group.purchase, x[rows], t_x[rows], raw, night.model.horizon_days)
        until = np.maximum(silent_days(silence), night.section.floor_days)
        found[name] = pd.array(np.where(until <= LONGEST_SILENCE, until, np.nan), dtype="Int64")
    return found


def _days_on(season: Season, start: np.ndarray, silence: np.ndarray, *, exact: bool = False) -> np.ndarray:
    """How many days after `start` the clock has gone on by `silence`: the first whole day, or with `exact` a part too."""
    if season.is_flat:
        return silence if exact else np.ceil(silence)
    if not len(start):
        return silence
    days = np.arange(int(start.min()), int(start.max()) + LONGEST_SILENCE + 2)
    clock = season.clock(days)
    target = clock[start - days[0]] + silence
    place = np.searchsorted(clock, target, side="left")
    late = place >= len(days)
    place = np.minimum(place, len(days) - 1)
    whole = (days[place] - start).astype(float)
    if exact:
        step = clock[place] - clock[np.maximum(place - 1, 0)]
        whole = np.where(step > 0, whole - (clock[place] - target) / np.where(step > 0, step, 1.0), whole)
    return np.where(late | ~np.isfinite(silence), np.inf, whole)
