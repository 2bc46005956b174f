"""Lift: what members whom marketing may reach spend more than those held out at random from the same segment.

Held-out members are drawn by a hash of their ids, so the two arms differ by chance and by the marketing alone. Each
customer is followed for the same number of days after the first exposure, the first night as a member while the
segment had this holdout, whatever the segment did with the customer later (intention to treat). Revenue is net: that of
purchases less refunds.

Cost: the changes of the segment and the orders of its members, each shuffled once by customer; four rows are collected.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from math import sqrt
from typing import TYPE_CHECKING, Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from segment_lib import definitions_log, preparation, spells
from segment_lib.clock import Clock
from segment_lib.columns import Names, bucket_column
from segment_lib.definition import Segment
from segment_lib.errors import UsageError, nearest
from segment_lib.html_tables import heading, note, table
from segment_lib.totals import quotient

if TYPE_CHECKING:
    from segment_lib.definition.segment import Holdout
    from segment_lib.runs import History, RunRecord
    from segment_lib.storage import Lake

#: With fewer customers in an arm no interval is told: means of so few orders are far from normal.
FEWEST = 30
#: The longest time after the exposure that is asked about.
MOST_DAYS = 3660
_LEVEL = 0.95
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Arm:
    """Customers of one arm: their net revenue in the tenant's currency, and its sample variance (None of one)."""

    customers: int
    revenue: Decimal
    variance: float | None

    @property
    def per_head(self) -> Decimal | None:
        """Revenue per customer, buyers or not; None of nobody."""
        return quotient(self.revenue, self.customers)


@dataclass(frozen=True)
class Interval:
    """An estimate with its 95% interval; the ends are None where it has none, the value where it cannot be told."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Lift:
    """The arms of a segment's holdout and how they differ, `days` days after each customer's first exposure.

    `difference` is the revenue per head of who may be reached less that of the held-out, in `currency`; `ratio` the one
    over the other. `waiting` were exposed less than `days` days before the end of `snapshot_date`; `switched` were in
    both arms, for the percentage was changed or ids were merged. Neither is in an arm.
    """

    segment: str
    snapshot_date: date
    currency: str
    days: int
    salt: str
    began: date
    reached: Arm
    held_out: Arm
    waiting: int
    switched: int

    @property
    def too_few(self) -> bool:
        """Whether an arm is too small for an interval."""
        return min(self.reached.customers, self.held_out.customers) < FEWEST

    @property
    def difference(self) -> Interval:
        return difference(self.reached, self.held_out)

    @property
    def ratio(self) -> Interval:
        return ratio(self.reached, self.held_out)

    def to_dict(self) -> dict[str, Any]:
        """The lift as plain data."""
        arms = {
            name: {"customers": arm.customers, "revenue": arm.revenue, "per_head": arm.per_head}
            for name, arm in (("reached", self.reached), ("held_out", self.held_out))
        }
        return {
            "segment": self.segment, "date": self.snapshot_date, "currency": self.currency, "days": self.days,
            "salt": self.salt, "began": self.began, **arms, "difference": vars(self.difference),
            "ratio": vars(self.ratio), "too_few": self.too_few, "waiting": self.waiting, "switched": self.switched,
        }

    def rows(self) -> list[dict[str, Any]]:
        """A row an arm, and one each for the difference and the ratio with the ends of the interval."""
        empty = dict.fromkeys(("customers", "revenue", "per_head", "low", "high"))
        arms = (("reached", self.reached), ("held out", self.held_out))
        return [
            {"": name} | empty | {"customers": arm.customers, "revenue": arm.revenue, "per_head": arm.per_head}
            for name, arm in arms
        ] + [
            {"": name} | empty | {"per_head": _decimal(one.value), "low": _decimal(one.low), "high": _decimal(one.high)}
            for name, one in (("difference", self.difference), ("ratio", self.ratio))
        ]

    def notes(self) -> list[str]:
        """What a reader of the numbers has to know besides."""
        notes = [f"net revenue of {self.days} days after first exposure, {self.currency}, exposed from {self.began} on"]
        if self.too_few:
            notes.append(f"fewer than {FEWEST} customers in an arm: no interval, and the means say little")
        if self.waiting:
            notes.append(f"{self.waiting:,} were exposed less than {self.days} days ago and are not in it yet")
        if self.switched:
            notes.append(f"{self.switched:,} were in both arms and are left out")
        return notes

    def _repr_html_(self) -> str:
        head = heading(f"{self.segment}, {self.snapshot_date}")
        return head + table(self.rows()) + "".join(map(note, self.notes()))


# The formulas --------------------------------------------------------------------------------------------------------


def difference(reached: Arm, held_out: Arm) -> Interval:
    """The difference of two means with its 95% interval, without the assumption of equal variances.

    With v = s²/n of each arm, m1 - m0 -+ t sqrt(v1 + v0), where t is the 97.5% quantile of Student's distribution with
    (v1 + v0)² / (v1²/(n1 - 1) + v0²/(n0 - 1)) degrees of freedom (B. L. Welch 1947, Biometrika 34, 28-35). No interval
    with an arm of fewer than `FEWEST`.

    >>> found = difference(Arm(100, Decimal(1200), 25.0), Arm(50, Decimal(500), 16.0))
    >>> found.value, round(found.low, 3), round(found.high, 3)
    (2.0, 0.505, 3.495)
    >>> difference(Arm(100, Decimal(1200), 25.0), Arm(3, Decimal(30), 16.0))
    Interval(value=2.0, low=None, high=None)
    """
    if not reached.customers or not held_out.customers:
        return Interval(None)
    value = float(reached.revenue) / reached.customers - float(held_out.revenue) / held_out.customers
    found = _quantile(reached, held_out)
    if found is None:
        return Interval(value)
    t, of_reached, of_held = found
    reach = t * sqrt(of_reached + of_held)
    return Interval(value, value - reach, value + reach)


def ratio(reached: Arm, held_out: Arm) -> Interval:
    """The ratio of two means with its 95% interval (E. C. Fieller 1954, J. R. Stat. Soc. B 16, 175-185).

    Its ends are the ratios r for which m1 - r m0 is not told from zero: with v, t as for the difference and
    g = t² v0 / m0², (q -+ t/m0 sqrt((1 - g) v1 + q² v0)) / (1 - g) around q = m1/m0. Where the held-out mean itself
    is not told from zero (g >= 1) there are no finite ends.

    >>> found = ratio(Arm(100, Decimal(1200), 25.0), Arm(50, Decimal(500), 16.0))
    >>> round(found.value, 3), round(found.low, 3), round(found.high, 3)
    (1.2, 1.047, 1.384)
    """
    if not reached.customers or not held_out.customers or not held_out.revenue:
        return Interval(None)
    means = [float(arm.revenue) / arm.customers for arm in (reached, held_out)]
    value = means[0] / means[1]
    found = _quantile(reached, held_out)
    if found is None:
        return Interval(value)
    t, of_reached, of_held = found
    g = t * t * of_held / means[1] ** 2
    if g >= 1:
        return Interval(value)
    reach = t / abs(means[1]) * sqrt((1 - g) * of_reached + value**2 * of_held)
    return Interval(value, (value - reach) / (1 - g), (value + reach) / (1 - g))


def _quantile(reached: Arm, held_out: Arm) -> tuple[float, float, float] | None:
    """Student's quantile for two arms, and the variances of their means; None where an interval would mean nothing."""
    from scipy.stats import t as student

    if min(reached.customers, held_out.customers) < FEWEST:
        return None
    of_reached, of_held = ((arm.variance or 0.0) / arm.customers for arm in (reached, held_out))
    both = of_reached + of_held
    if not both:
        return 0.0, 0.0, 0.0
    parts = of_reached**2 / (reached.customers - 1) + of_held**2 / (held_out.customers - 1)
    return float(student.ppf((1 + _LEVEL) / 2, both**2 / parts)), of_reached, of_held


def _decimal(value: float | None) -> Decimal | None:
    return None if value is None else Decimal(value).quantize(Decimal("1e-4"))


# The arms ------------------------------------------------------------------------------------------------------------


def lift(lake: Lake, history: History, segment: str, day: date | None = None, days: int = 30) -> Lift:
    """The lift of a segment that has a holdout, with orders up to the end of a published date, by default the last.

    Orders are those that the date's run had pinned. Raises UsageError for a segment without a holdout, or unknown,
    InputError when those orders are no longer kept.
    """
    if not 1 <= days <= MOST_DAYS:
        raise UsageError(f"customers are followed for 1 to {MOST_DAYS} days, not {days}")
    run = history.published(day)
    holdout = _holdout(lake, run, segment)
    preparation.require(lake, run, f"the inputs of {run.snapshot_date}")
    until = [one.run_id for one in history.winners() if one.snapshot_date <= run.snapshot_date]
    began = _began(lake, until, segment, holdout.salt)
    arms = _arms(lake, history, run, segment, holdout, until, began)
    last = run.snapshot_date - days * _DAY
    known = arms.withColumn("arm", F.when(
        (F.col("arm") != "switched") & (F.col("exposed") > F.lit(last)), "waiting").otherwise(F.col("arm")))
    found = _summed(known, _bought(lake, run, known, (began, last), days))
    nobody = Arm(0, Decimal(0), None)
    return Lift(
        segment, run.snapshot_date, lake.settings.currency, days, holdout.salt, began,
        found.get("reached", nobody), found.get("held_out", nobody),
        *(found.get(name, nobody).customers for name in ("waiting", "switched")),
    )


def _holdout(lake: Lake, run: RunRecord, segment: str) -> Holdout:
    known = definitions_log.read(lake, run)
    row = known.get(segment)
    if row is None or row.definition is None:
        raise UsageError(f"no segment {segment!r} on {run.snapshot_date}; {nearest(segment, known.keys() - {segment})}")
    holdout = Segment.from_json(row.definition).holdout
    if holdout is None:
        having = [name for name, one in known.items() if one.definition and Segment.from_json(one.definition).holdout]
        raise UsageError(
            f"{segment} has no holdout on {run.snapshot_date}, so there is nobody to compare its members with; add "
            "holdout: {percent: 10, salt: TEXT} to its definition"
            + (f", or ask about {', '.join(having)}" if having else "")
        )
    return holdout


def _began(lake: Lake, runs: list[str], segment: str, salt: str) -> date:
    """The first published date on which the definition had a holdout with this salt."""
    listed = lake.read("segments").where(F.col("run_id").isin(runs) & (F.col("segment_id") == segment))
    having = listed.where(F.get_json_object("definition", "$.holdout.salt") == salt)
    return having.agg(F.min("snapshot_date")).collect()[0][0]


def _arms(
    lake: Lake, history: History, run: RunRecord, segment: str, holdout: Holdout, runs: list[str], began: date
) -> DataFrame:
    """(customer_id, exposed, arm) of everyone who was a member since the holdout began.

    Held out is who was from the first exposure on and would be now; reached is who never was and would not be now.
    """
    pins = run.inputs
    members = spells.spells(lake, history, segment, run.snapshot_date, pins)
    exposed = members.select("customer_id", spells.exposed_from(F.col("states"), F.lit(began)).alias("exposed"))
    stored = lake.read("holdouts").where(
        F.col("run_id").isin(runs) & (F.col("segment_id") == segment) & (F.col("salt") == holdout.salt)
    )
    held = spells.persons(lake, stored.select("customer_id", "snapshot_date"), pins).groupBy("customer_id").agg(
        F.min("snapshot_date").alias("held")
    )
    drawn = bucket_column(holdout.salt, Names("UTC")) < holdout.percent
    arm = (
        F.when(F.col("held").isNull() & ~drawn, "reached")
        .when(drawn & (F.col("held") == F.col("exposed")), "held_out").otherwise("switched")
    )
    return exposed.where(F.col("exposed").isNotNull()).join(held, "customer_id", "left").select(
        "customer_id", "exposed", arm.alias("arm")
    )


def _bought(lake: Lake, run: RunRecord, arms: DataFrame, exposures: tuple[date, date], days: int) -> DataFrame:
    """(customer_id, revenue): net revenue in the days after the exposure, of who bought."""
    clock = Clock(run.snapshot_date, lake.settings.zone)
    first, last = exposures
    # A row for each day on which customers may have been exposed, so that a day has the hours that it has in the zone.
    spans = [
        (day, clock.start_of(day + _DAY), clock.start_of(day + (1 + days) * _DAY))
        for day in (first + number * _DAY for number in range((last - first).days + 1))
    ]
    windows = lake.spark.createDataFrame(spans, "exposed date, start timestamp, end timestamp")
    orders = lake.input("orders", run.inputs.get("orders"), run.inputs)
    purchases = orders.where(
        F.col("_reject").isNull() & F.col("status").isin(list(lake.settings.catalogue.purchase_statuses))
    )
    zero = F.lit(0).cast("decimal(18,4)")
    net = F.coalesce("revenue", zero) - F.coalesce("refund", zero)
    following = arms.where(F.col("arm").isin("reached", "held_out")).join(F.broadcast(windows), "exposed")
    inside = (F.col("ordered_at") >= F.col("start")) & (F.col("ordered_at") < F.col("end"))
    return (
        purchases.select("customer_id", "ordered_at", net.alias("net")).join(following, "customer_id").where(inside)
        .groupBy("customer_id").agg(F.sum("net").cast("decimal(38,4)").alias("revenue"))
    )


def _summed(arms: DataFrame, bought: DataFrame) -> Mapping[str, Arm]:
    """Each arm; who bought nothing counts with nothing."""
    heads = arms.join(bought, "customer_id", "left").withColumn(
        "revenue", F.coalesce("revenue", F.lit(0).cast("decimal(38,4)"))
    )
    rows = heads.groupBy("arm").agg(
        F.count(F.lit(1)).alias("customers"), F.sum("revenue").alias("revenue"),
        F.var_samp(F.col("revenue").cast("double")).alias("variance"),
    ).collect()
    return {row["arm"]: Arm(row["customers"], row["revenue"], row["variance"]) for row in rows}
