"""The same fits with the sums added up by Spark, for when the cells are too many to collect.

The likelihood is the one of `models.purchase_likelihood` and `models.gamma_gamma`, term by term: here the terms are
Columns and one aggregate adds them up, with five numbers coming back for each evaluation (some twenty a start). Only
the counts by x and by age are collected. No Python runs on the executors.
"""

from __future__ import annotations

import numpy as np
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from models.cells import Margins
from models.gamma_gamma import ValueMargins, ValueReduction, ValueTerms, value_terms
from models.histories import clock_table
from models.purchase_likelihood import CellTerms, Reduction, cell_terms
from models.purchase_process import PurchaseParameters
from models.season import Season
from models.spark_functions import SPARK


def timed(cells: DataFrame, season: Season, as_of: int) -> DataFrame:
    """Cells (x, first, last, customers) with their times at a day: (x, t_x, age, customers), all double.

    Without a season these are days. With one the days are joined to their time on its clock, which is a small table.
    """
    number = {name: F.col(name).cast("double") for name in ("x", "first", "last", "customers")}
    if season.is_flat:
        return cells.select(
            number["x"].alias("x"), (number["last"] - number["first"]).alias("t_x"),
            (F.lit(float(as_of)) - number["first"]).alias("age"), number["customers"].alias("customers"),
        )
    begin = cells.agg(F.min("first")).collect()[0][0]
    spark = cells.sparkSession
    start, end = (F.broadcast(clock_table(spark, season, begin, as_of, name)) for name in ("first", "last"))
    now = F.lit(float(season.clock([as_of])[0]))
    return cells.join(start, "first").join(end, "last").select(
        number["x"].alias("x"), (F.col("last_time") - F.col("first_time")).alias("t_x"),
        (now - F.col("first_time")).alias("age"), number["customers"].alias("customers"),
    )


def sql_margins(cells: DataFrame, log_gaps: float | None = None) -> Margins:
    """The margins of timed cells: a row for each x, and one for each age."""
    by_x = cells.groupBy("x").agg(F.sum("customers").alias("customers")).orderBy("x").collect()
    by_age = cells.groupBy("age").agg(
        F.sum("customers").alias("customers"), F.sum(F.col("customers") * F.col("x")).alias("orders")
    ).orderBy("age").collect()
    return Margins(
        *(np.array([row[name] for row in by_x], dtype=float) for name in ("x", "customers")),
        *(np.array([row[name] for row in by_age], dtype=float) for name in ("age", "customers", "orders")), log_gaps,
    )


def sql_reduction(cells: DataFrame) -> Reduction:
    """Adds the terms of timed cells, which should be cached, with one aggregate for each evaluation."""
    names = ("value", "r", "alpha", "a", "b")

    def reduce(parameters: PurchaseParameters) -> CellTerms:
        terms = cell_terms(parameters, F.col("x"), F.col("t_x"), F.col("age"), SPARK)
        return CellTerms(**_summed(cells, {name: getattr(terms, name) for name in names}))

    return reduce


def sql_value_margins(bins: DataFrame) -> ValueMargins:
    """The margins of (orders, mean, customers): a row for each number of orders."""
    x, mean, count = (F.col(name).cast("double") for name in ("orders", "mean", "customers"))
    rows = bins.groupBy("orders").agg(
        F.sum(count).alias("customers"), F.sum(count * F.log(mean)).alias("logs"), F.sum(count * mean).alias("values"),
        F.sum(count * mean * mean).alias("squares"), F.sum(count * x * mean).alias("products"),
    ).orderBy("orders").collect()
    by_x = {name: np.array([row[name] for row in rows], dtype=float) for name in ("orders", "customers", "logs")}
    sums = (float(sum(row[name] for row in rows)) for name in ("values", "squares", "products"))
    return ValueMargins(by_x["orders"], by_x["customers"], by_x["logs"], *sums)


def sql_value_reduction(bins: DataFrame) -> ValueReduction:
    """Adds the terms of (orders, mean, customers), which should be cached, with one aggregate for each evaluation."""
    names = ("log", "x_log", "inverse", "x_inverse")

    def reduce(gamma: float) -> ValueTerms:
        terms = value_terms(gamma, F.col("orders").cast("double"), F.col("mean"), SPARK)
        return ValueTerms(**_summed(bins, {name: getattr(terms, name) for name in names}))

    return reduce


def _summed(rows: DataFrame, terms: dict[str, Column]) -> dict[str, float]:
    weighted = (F.sum(F.col("customers") * term).alias(name) for name, term in terms.items())
    return rows.agg(*weighted).collect()[0].asDict()
