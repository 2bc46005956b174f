"""The scorer of a night: RFM for everybody who ordered, and, where a model is champion, churn, next order and value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pyspark.sql import DataFrame

from models import rfm
from models.order_features import OrderFeatures
from segment_lib import core
from segment_lib.catalogue import SCORES, Catalogue
from segment_lib.clock import Clock
from segment_lib.model_settings import RfmSection
from segment_lib.scores import Scored, staged_name, stored_type

RFM_SCORES = frozenset(name for name in SCORES if name.startswith("rfm."))


@dataclass(frozen=True)
class Profiler:
    """Gives customers their scores; see `segment_lib.scores.Scorer`."""

    section: RfmSection

    @property
    def names(self) -> frozenset[str]:
        return RFM_SCORES

    @property
    def models(self) -> Mapping[str, str]:
        return {}

    def features(self, clock: Clock, catalogue: Catalogue) -> tuple[core.Aggregate, ...]:
        return self._orders(clock, catalogue).all

    def score(self, customers: DataFrame, clock: Clock, catalogue: Catalogue) -> Scored:
        orders = self._orders(clock, catalogue)
        values = rfm.columns(orders, clock)
        cuts = rfm.find_cuts(customers, values, self.section)
        columns = rfm.scores(values, cuts, orders.order_days > 0, self.section)
        told = customers.sparkSession.createDataFrame([vars(cut) for cut in cuts], rfm.CUTS)
        return Scored(
            customers.select("*", *(
                column.cast(stored_type(name)).alias(staged_name(name)) for name, column in columns.items()
            )),
            {"rfm_cuts": told},
        )

    def _orders(self, clock: Clock, catalogue: Catalogue) -> OrderFeatures:
        return OrderFeatures.of(clock, catalogue, self.section.window_days)
