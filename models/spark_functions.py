"""The elementary functions as Spark Columns, so that the formulas of `models` are expressions of a query.

Spark's `log` of a number that is not positive is NULL and `log1p` of one at or below -1 too; numbers are cast to double,
because Spark reads bare decimals as DECIMAL.
"""

from __future__ import annotations

from typing import Any

from pyspark.sql import Column
from pyspark.sql import functions as F

from models.elementary import Functions


def _column(value: Any) -> Column:
    return value if isinstance(value, Column) else F.lit(float(value))


SPARK = Functions(
    log=lambda value: F.log(_column(value)),
    log1p=lambda value: F.log1p(_column(value)),
    exp=lambda value: F.exp(_column(value)),
    expm1=lambda value: F.expm1(_column(value)),
    absolute=lambda value: F.abs(_column(value)),
    maximum=lambda left, right: F.greatest(_column(left), _column(right)),
    where=lambda test, then, otherwise: F.when(test, _column(then)).otherwise(_column(otherwise)),
)
