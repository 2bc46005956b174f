"""Which customers a preview looks at, and how a session keeps their rows.

A customer is in the sample by a hash of the id alone: the same customers every time and for every definition, and a
larger sample has all of a smaller one. The hash is none that segments use, so splits and holdouts are met evenly.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from copy import copy
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.storagelevel import StorageLevel

from segment_lib import rebuild
from segment_lib.errors import UsageError
from segment_lib.runs import History, RunRecord
from segment_lib.storage import Lake
from segment_lib.tables import INPUTS

#: About so many customers are looked at. Up to twice as many are all looked at: half of them would save little.
AIM = 20_000
#: Rows of more customers than this are read anew for each preview.
MOST_KEPT = 100_000
#: A session keeps the rows of so many pairs of pinned inputs and sample.
MOST_SAMPLES = 2

_GRAIN = 1_000_000_000
_SALT = "seglake sample"
Who = Callable[[Column], Column]
_V = TypeVar("_V")


def rate_for(customers: int) -> float:
    """The share of customers to look at, in two digits.

    >>> rate_for(40_000), rate_for(943_213)
    (1.0, 0.021)
    """
    return 1.0 if customers <= 2 * AIM else float(f"{AIM / customers:.2g}")


def checked(rate: float) -> float:
    """A share of customers that can be drawn; raises UsageError for any other number."""
    if not 1 / _GRAIN <= rate <= 1:
        raise UsageError(f"{rate} is not a share of customers; say one above 0 and at most 1, such as 0.05")
    return rate


def drawn(rate: float, salt: str = _SALT) -> Who | None:
    """Whether a customer id is in the sample; None when everyone is. A missing id never is."""
    if rate >= 1:
        return None
    return lambda customer: customer.isNotNull() & (F.pmod(place(customer, salt), F.lit(_GRAIN)) < round(rate * _GRAIN))


def place(customer: Column, salt: str) -> Column:
    """A number made of the id that looks random and is always the same."""
    return F.xxhash64(F.lit(salt), customer)


def kept(rows: DataFrame) -> DataFrame:
    """The rows, in memory from their first use on; what does not fit lies in Spark's own scratch folder.

    As many partitions as there are cores: a small sample of many files, or of a shuffle, would be mostly empty ones.
    """
    cores = rows.sparkSession.sparkContext.defaultParallelism
    return rows.coalesce(cores).persist(StorageLevel.MEMORY_AND_DISK)


class SampledLake(Lake):
    """A tenant's tables with the rows of some customers only, of one set of pinned versions and one published run.

    With `keep`, the rows stay in memory. Of events and lists that no definition reads (`reading` says which are read)
    only so much is needed as tells that a customer was there before `as_of`: one row per customer.
    """

    def __init__(self, lake: Lake, who: Who | None, as_of: datetime, *, keep: bool):
        super().__init__(lake.spark, lake.settings)
        self._who, self._as_of, self._keep = who, as_of, keep
        self._kept: dict[str, DataFrame] = {}
        self._read: frozenset[str] = frozenset()

    def reading(self, sources: frozenset[str]) -> SampledLake:
        """The same tables for a definition that reads these sources; what is kept is shared."""
        view = copy(self)
        view._read = sources
        return view

    def input(
        self, table: str, version: int | None = None, pins: Mapping[str, int] | None = None,
        now: datetime | None = None,
    ) -> DataFrame:
        def rows() -> DataFrame:
            return super(SampledLake, self).input(table, version, pins, now)

        if table in ("events", "lists") and table not in self._read:
            return self._sampled(f"who has {table}", lambda: self._presence(rows(), table))
        return self._sampled(table, rows)

    def _presence(self, rows: DataFrame, table: str) -> DataFrame:
        """One row per customer who has any that counts, at the time of the first."""
        time = INPUTS[table].time or "joined_at"
        counting = rows.where(F.col("_reject").isNull() & F.col("customer_id").isNotNull() & (
            F.col(time) < F.lit(self._as_of)
        ))
        return counting.groupBy("customer_id").agg(F.min(time).alias(time)).select(
            "*", F.lit(None).cast("string").alias("_reject"), F.lit(None).cast("timestamp").alias("_late_at")
        )

    def members(self, history: History, run: RunRecord) -> DataFrame:
        """(customer_id, segments) of a published run."""
        return self._sampled("memberships", lambda: rebuild.members(self, history, run))

    def _sampled(self, name: str, read: Callable[[], DataFrame]) -> DataFrame:
        if name in self._kept:
            return self._kept[name]
        rows = read() if self._who is None else read().where(self._who(F.col("customer_id")))
        if self._keep:
            rows = self._kept[name] = kept(rows)
        return rows

    def forget(self) -> None:
        """Gives the memory back; frames made of the rows stay right, and read them anew."""
        for rows in self._kept.values():
            rows.unpersist()
        self._kept.clear()


class Recent(Generic[_V]):
    """The few values that were used last; `drop` is told of each that leaves.

    >>> recent = Recent(1, drop=print)
    >>> recent.get("a", lambda: 1), recent.get("b", lambda: 2)
    1
    (1, 2)
    """

    def __init__(self, most: int, drop: Callable[[_V], object] = lambda value: None):
        self.most, self.drop = most, drop
        self.values: OrderedDict[Hashable, _V] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], _V]) -> _V:
        if key not in self.values:
            self.values[key] = make()
        self.values.move_to_end(key)
        while len(self.values) > self.most:
            self.drop(self.values.popitem(last=False)[1])
        return self.values[key]

    def clear(self) -> None:
        while self.values:
            self.drop(self.values.popitem(last=False)[1])


@dataclass(frozen=True)
class Memory:
    """What a session keeps between previews: rows of samples, and what the log says of a date."""

    inputs: Recent[SampledLake] = field(default_factory=lambda: Recent(MOST_SAMPLES, SampledLake.forget))
    moments: Recent[object] = field(default_factory=lambda: Recent(MOST_SAMPLES))


_MEMORIES: WeakKeyDictionary[SparkSession, Memory] = WeakKeyDictionary()


def memory_of(spark: SparkSession) -> Memory:
    """What this session keeps; it is gone with the session."""
    return _MEMORIES.setdefault(spark, Memory())


def forget(spark: SparkSession) -> None:
    """Gives back all memory that previews in this session keep."""
    memory = memory_of(spark)
    memory.inputs.clear()
    memory.moments.clear()
