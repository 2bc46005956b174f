"""The scorer of a night: RFM for everybody who ordered, and, where a model is champion, churn, next order and value.

Without a champion, or when it cannot be reached, the churn scores of the last published night stay in use, as they
were, with their model and the date on which they were made (`churn.scored_on`); RFM is always tonight's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import reduce
from math import ceil

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from models import rfm
from models.champion import Champion
from models.order_features import OrderFeatures
from models.scoring import scores as churn_scores
from segment_lib import core
from segment_lib.catalogue import MODEL_SCORES, SCORES, Catalogue, Type
from segment_lib.clock import Clock
from segment_lib.ranks import places_of
from segment_lib.scores import Published, Scored, Stage, column_of, staged_name, stored_type
from segment_lib.settings import Settings


@dataclass(frozen=True)
class Profiler:
    """Gives customers their scores; see `segment_lib.scores.Scorer`.

    `champion` is the model that was champion on the night's date. Where it is None, `kept` are the last published
    scores, if there are any, and `why` says why they are used.
    """

    settings: Settings
    champion: Champion | None = None
    kept: Published | None = None
    why: str = ""

    @property
    def names(self) -> frozenset[str]:
        if self.champion is not None or self.kept is not None:
            return frozenset(SCORES)
        return frozenset(SCORES) - MODEL_SCORES

    @property
    def models(self) -> Mapping[str, str]:
        return {} if self.champion is None else {self.champion.name: self.champion.version}

    @property
    def outdated(self) -> Mapping[str, str]:
        if self.champion is not None or self.kept is None:
            return {}
        told = f"the scores of {self.kept.scored_on}" + (f": {self.why}" if self.why else "")
        return dict.fromkeys(sorted(MODEL_SCORES), told)

    def features(self, clock: Clock, catalogue: Catalogue) -> tuple[core.Value, ...]:
        group = self._group(catalogue)
        return (*self._orders(clock, catalogue).all, *([] if group is None else [group]))

    def score(self, customers: DataFrame, clock: Clock, catalogue: Catalogue, stage: Stage) -> Scored:
        orders = self._orders(clock, catalogue)
        values = rfm.columns(orders, clock)
        cuts = rfm.find_cuts(customers, values, self.settings.rfm)
        columns = rfm.scores(values, cuts, orders.order_days > 0, self.settings.rfm)
        told = customers.sparkSession.createDataFrame([vars(cut) for cut in cuts], rfm.CUTS)
        if self.champion is None:
            rows = customers if self.kept is None else _with_kept(customers, self.kept)
            return Scored(_with(rows, columns), {"rfm_cuts": told})
        group = self._group(catalogue)
        own = None if group is None else F.col(f"customer_{group.name}").cast("string")
        rows, made = churn_scores(customers, orders, self.champion, self.settings.models, clock, own)
        columns |= made
        names = (*customers.columns, *(staged_name(name) for name in columns))
        scored = stage("scored", _with(rows, columns).select(*(F.col(f"`{name}`") for name in names)))
        return Scored(_with(scored, {"value.tier": _tier(scored, self.settings.models.tiers)}), {"rfm_cuts": told})

    def _orders(self, clock: Clock, catalogue: Catalogue) -> OrderFeatures:
        return OrderFeatures.of(clock, catalogue, self.settings.rfm.window_days)

    def _group(self, catalogue: Catalogue) -> core.Field | None:
        name = self.settings.models.group
        if self.champion is None or not self.champion.model.groups or name is None:
            return None
        return core.Field("customers", name, catalogue.customers().get(name, Type.TEXT))


def _with(rows: DataFrame, columns: Mapping[str, Column]) -> DataFrame:
    """The rows with the scores, as they are stored."""
    return rows.select("*", *(
        column.cast(stored_type(name)).alias(staged_name(name)) for name, column in columns.items()
    ))


def _with_kept(customers: DataFrame, kept: Published) -> DataFrame:
    """The rows with the churn scores of another night."""
    columns = (F.col(column_of(name)).alias(staged_name(name)) for name in sorted(MODEL_SCORES))
    return customers.join(kept.profiles.select("customer_id", *columns), "customer_id", "left")


def _tier(rows: DataFrame, tiers: Mapping[str, float]) -> Column:
    """The tier of each customer by lifetime value: of equal values the better tier; null for who has no value.

    Two small aggregates; no sort of all customers.
    """
    value = F.col(staged_name("value.ltv"))
    shares, reached = {}, Decimal(0)
    for name, share in tiers.items():
        reached = min(Decimal(1), reached + Decimal(str(share)))
        shares[name] = reached
    ends = list(shares.values())
    ranked = rows.select(*(value.cast("decimal(38,8)").alias(f"v{i}") for i in range(len(ends))))
    places = places_of(
        ranked, [1 - end for end in ends], lambda i, having: max(1, having - ceil(ends[i] * having) + 1)
    )
    known = [(name, place.value) for name, place in zip(shares, places, strict=True) if place is not None]
    return reduce(lambda chain, one: chain.when(value >= F.lit(one[1]), one[0]), known, F.when(value.isNull(), None))


def kept_date(rows: DataFrame) -> date | None:
    """The date on which the churn scores of published profiles were made; null where they have none."""
    return rows.agg(F.max("churn_scored_on")).collect()[0][0]
