"""The elementary functions that scoring is written with, so that one formula serves numpy arrays and Spark Columns.

A formula takes `functions` and uses only them and ``+ - * /`` and comparisons. With `NUMPY` it runs on arrays and plain
numbers. Spark SQL has all of them too (``log``, ``log1p``, ``exp``, ``expm1``, ``abs``, ``greatest`` and CASE), so a
second set of seven functions turns the same formula into Column expressions. Spark has no log-gamma and no digamma:
formulas that need one do not take `functions` and stay on the driver.

Both branches of `where` must be computable for every row: numpy computes both, and Spark's ANSI mode raises on a
division by zero.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

#: A numpy array, a plain number or a Spark Column.
Value = Any


@dataclass(frozen=True)
class Functions:
    """Seven functions of one engine; each takes and returns what that engine computes with."""

    log: Callable[[Value], Value]
    log1p: Callable[[Value], Value]
    exp: Callable[[Value], Value]
    expm1: Callable[[Value], Value]
    absolute: Callable[[Value], Value]
    maximum: Callable[[Value, Value], Value]
    where: Callable[[Value, Value, Value], Value]


NUMPY = Functions(np.log, np.log1p, np.exp, np.expm1, np.abs, np.maximum, np.where)


def logistic(z: Value, functions: Functions = NUMPY) -> Value:
    """1 / (1 + exp(-z)) without overflow, for z from minus to plus infinity.

    >>> logistic(np.array([-np.inf, -800.0, 0.0, 800.0, np.inf])).tolist()
    [0.0, 0.0, 0.5, 1.0, 1.0]
    """
    small = functions.exp(-functions.absolute(z))
    return functions.where(z >= 0, 1.0 / (1.0 + small), small / (1.0 + small))


def softplus(z: Value, functions: Functions = NUMPY) -> Value:
    """ln(1 + exp(z)) without overflow; 0 at minus infinity.

    >>> softplus(np.array([-np.inf, 0.0, 800.0])).tolist()
    [0.0, 0.6931471805599453, 800.0]
    """
    return functions.maximum(z, 0.0) + functions.log1p(functions.exp(-functions.absolute(z)))
