"""Scores in a night: what gives them, their columns, and the published table `customer_profiles`.

Who computes scores lies above this package (`models`); a job hands it in as a `Scorer`. It is asked for features before
the scan and for columns after it, so that scores cost no scan of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Protocol

from segment_lib import core
from segment_lib.tables import OUTPUTS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from segment_lib.catalogue import Catalogue
    from segment_lib.clock import Clock


def column_of(score: str) -> str:
    """The column of `customer_profiles` that holds a score.

    >>> column_of("rfm.group")
    'rfm_group'
    """
    return score.replace(".", "_")


def staged_name(score: str) -> str:
    """The column of a score among the rows that a night decides on."""
    return f"score_{column_of(score)}"


def stored_type(score: str) -> str:
    """The Spark type of a score: decimals have 8 places, so that equal scores are equal everywhere."""
    return OUTPUTS["customer_profiles"][column_of(score)]


#: Writes rows under a name and reads them back, so that what several steps need is computed once.
Stage = Callable[[str, "DataFrame"], "DataFrame"]


@dataclass(frozen=True)
class Scored:
    """The customers with their scores, one column each (`staged_name`), and what else tells how they came about.

    `tables` are rows for output tables, without their stamp.
    """

    customers: DataFrame
    tables: Mapping[str, DataFrame] = field(default_factory=dict)


@dataclass(frozen=True)
class Published:
    """The profiles of the last published night before, and the date on which their churn scores were made."""

    profiles: DataFrame
    scored_on: date


class Scorer(Protocol):
    """Gives customers their scores on one date."""

    @property
    def names(self) -> frozenset[str]:
        """The scores that it gives."""

    @property
    def models(self) -> Mapping[str, str]:
        """What they are made with, for the log: model -> version."""

    @property
    def outdated(self) -> Mapping[str, str]:
        """Those of the scores that are not of tonight, each with what to say of it."""

    def features(self, clock: Clock, catalogue: Catalogue) -> tuple[core.Value, ...]:
        """What it needs to know of each customer: aggregates of rows, and fields of customers."""

    def score(self, customers: DataFrame, clock: Clock, catalogue: Catalogue, stage: Stage) -> Scored:
        """`customers` (see `scan.Scan`) with a column for each of `names`; it has a row for everyone evaluated."""
