"""Seeded draws as Column expressions: a hash of (seed, purpose, ids), so a row is the same under any partitioning.

Nothing here has state. Two draws differ when their purpose or their ids differ; the same draw may be repeated anywhere,
which is how two tables agree on a fact without a join.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyspark.sql import Column
from pyspark.sql import functions as F


def _literals(values: Sequence[Any]) -> Column:
    """The values as an array that Spark folds to one constant, so that a lookup costs the same for any length.

    It is SQL text, because building a Column for each of a hundred values takes longer than many a query.
    """
    return F.expr(f"array({', '.join(_sql(value) for value in values)})")


def _sql(value: Any) -> str:
    r"""A constant of this module's tables in SQL: text, a whole number, None (missing text) or a named tuple of them.

    >>> _sql("O'Neil"), _sql(None), _sql(3)
    ("'O\\'Neil'", 'CAST(NULL AS string)', '3')
    """
    if value is None:
        return "CAST(NULL AS string)"
    if isinstance(value, tuple):
        return f"named_struct({', '.join(f'{_sql(name)}, {_sql(part)}' for name, part in value._asdict().items())})"
    if isinstance(value, int):
        return str(value)
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


@dataclass(frozen=True)
class Dice:
    """All draws of one generated shop; ids are columns without nulls."""

    seed: int

    def bits(self, purpose: str, *ids: Column) -> Column:
        """64 random bits as a long."""
        key = hashlib.sha256(f"{self.seed}:{purpose}".encode()).digest()[:8]
        return F.xxhash64(F.lit(int.from_bytes(key, "big", signed=True)), *ids)

    def number(self, purpose: str, *ids: Column) -> Column:
        """A double in [0, 1), uniform."""
        return F.shiftrightunsigned(self.bits(purpose, *ids), 11) * 2.0**-53

    def below(self, bound: Column | int, purpose: str, *ids: Column) -> Column:
        """A whole number in [0, bound), uniform; `bound` is at least 1."""
        return F.floor(self.number(purpose, *ids) * bound)

    def chance(self, probability: float, purpose: str, *ids: Column) -> Column:
        """True with this probability, never null."""
        return self.number(purpose, *ids) < float(probability)

    def choice(self, values: Sequence[Any], purpose: str, *ids: Column) -> Column:
        """One of the values, each as likely; a named tuple becomes a struct."""
        return F.get(_literals(values), self.below(len(values), purpose, *ids).cast("int"))

    def weighted(self, weights: Mapping[Any, int], purpose: str, *ids: Column) -> Column:
        """One of the keys, as likely as its whole-number weight says; None is an allowed key."""
        return self.choice([value for value, weight in weights.items() for _ in range(weight)], purpose, *ids)

    def skewed(self, size: Column | int, purpose: str, *ids: Column) -> Column:
        """A rank in [1, size] by Zipf's law with exponent 1: rank r is drawn about 1/r as often as rank 1."""
        rank = F.floor(F.pow(F.lit(size).cast("double"), self.number(purpose, *ids)))
        return F.least(F.greatest(rank, F.lit(1)), F.lit(size)).cast("bigint")

    def exponential(self, purpose: str, *ids: Column) -> Column:
        """A draw from the exponential distribution with mean 1."""
        return -F.log1p(-self.number(purpose, *ids))

    def gamma_half(self, purpose: str, *ids: Column) -> Column:
        """A draw from the gamma distribution with shape 1/2 and scale 1 (mean 1/2).

        It is half a squared normal, which has a closed form; shape 1/2 is close to what purchase models find in CDNOW.
        """
        angle = F.cos(self.number(purpose + ".angle", *ids) * F.lit(2 * math.pi))
        return self.exponential(purpose, *ids) * angle * angle

    def poisson(self, mean: Column, purpose: str, *ids: Column) -> Column:
        """A count from the Poisson distribution: arrivals at rate 1 before `mean`, bounded far out in the tail."""
        bound = (mean + F.sqrt(mean) * 8 + 20).cast("int")
        start = F.struct(F.lit(0.0).alias("at"), F.lit(0).alias("count"))

        def arrive(state: Column, index: Column) -> Column:
            at = state["at"] + self.exponential(purpose, *ids, index)
            return F.struct(at.alias("at"), (state["count"] + (at < mean).cast("int")).alias("count"))

        return F.aggregate(F.sequence(F.lit(1), bound), start, arrive, lambda state: state["count"])
