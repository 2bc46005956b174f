"""What scoring knows of a customer's orders: a few features of the night's scan, and the days they fall on.

An order counts when its status is among the catalogue's purchase statuses; orders of one local day are one order day.
Days are numbers since 1970-01-01 in the tenant's zone, so that their differences are differences of local dates.
"""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import Column
from pyspark.sql import functions as F

from models.days import number_of
from segment_lib import core
from segment_lib.catalogue import Catalogue, Type
from segment_lib.clock import Clock, Interval, Step

_TIME = core.Field("orders", "ordered_at", Type.TIMESTAMP)
_DAY = core.Call("date", (_TIME,), Type.DATE)
_REVENUE = core.Field("orders", "revenue", Type.DECIMAL)
_REFUND = core.Field("orders", "refund", Type.DECIMAL)


@dataclass(frozen=True)
class OrderFeatures:
    """The features, and their Columns over the staged customers.

    `window` are the last days in which `window_days` and `window_revenue` count.
    """

    zone: str
    first: core.Feature
    last: core.Feature
    days: core.Feature
    revenue: core.Feature
    refund: core.Feature
    days_in_window: core.Feature
    revenue_in_window: core.Feature
    refund_in_window: core.Feature

    @classmethod
    def of(cls, clock: Clock, catalogue: Catalogue, window_days: int) -> OrderFeatures:
        """The features of one night."""
        purchase = core.Compare(core.Field("orders", "status", Type.TEXT), "in", tuple(catalogue.purchase_statuses))
        window = Interval(clock.before(Step(window_days, "d")), None)

        def feature(function: str, value: core.Value, inside: Interval = Interval()) -> core.Feature:
            return core.Feature("orders", function, value, purchase, inside)

        return cls(
            clock.zone.key,
            feature("min", _TIME), feature("max", _TIME), feature("distinct", _DAY), feature("sum", _REVENUE),
            feature("sum", _REFUND), feature("distinct", _DAY, window), feature("sum", _REVENUE, window),
            feature("sum", _REFUND, window),
        )

    @property
    def all(self) -> tuple[core.Feature, ...]:
        """Every feature that the scan has to compute."""
        return tuple(value for value in vars(self).values() if isinstance(value, core.Feature))

    @property
    def order_days(self) -> Column:
        """How many order days; 0 for who never ordered."""
        return F.col(self.days.name)

    @property
    def first_day(self) -> Column:
        """The day of the first order; null without one."""
        return self._day(self.first)

    @property
    def last_day(self) -> Column:
        """The day of the last order; null without one."""
        return self._day(self.last)

    @property
    def net_revenue(self) -> Column:
        """Revenue less refunds of all purchases; 0 without one."""
        return F.col(self.revenue.name) - F.col(self.refund.name)

    @property
    def window_days(self) -> Column:
        """Order days in the window."""
        return F.col(self.days_in_window.name)

    @property
    def window_revenue(self) -> Column:
        """Revenue less refunds of the purchases in the window."""
        return F.col(self.revenue_in_window.name) - F.col(self.refund_in_window.name)

    def silent_days(self, clock: Clock) -> Column:
        """Whole days from the last order day to the snapshot date; null without an order."""
        return F.lit(number_of(clock.snapshot_date)) - self.last_day

    def _day(self, feature: core.Feature) -> Column:
        return F.unix_date(F.to_date(F.from_utc_timestamp(F.col(feature.name), self.zone)))
