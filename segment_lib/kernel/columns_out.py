"""The columns that leave the kernel, with their Spark types."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import StructType

from segment_lib import core, customer_totals
from segment_lib.axis import STAGED as DAY_ORDERS
from segment_lib.catalogue import Type
from segment_lib.kernel.spec import KernelSpec
from segment_lib.kernel.steps import rows_type
from segment_lib.plan import SOURCES
from segment_lib.sequences import rows_name
from segment_lib.totals import ORDER_TOTALS

_EXACT = "decimal(38,8)"


def columns_out(
    spec: KernelSpec, passed: Mapping[str, str], faults: Mapping[str, tuple[str, ...]]
) -> dict[str, str]:
    """Name -> type. `passed` are the columns of customers that go through, `faults` the columns checked, by source."""
    plan = spec.plan
    columns = {"customer_id": "string", "_decided": "binary", **passed}
    for source in SOURCES:
        columns |= {
            f"_reject_{source}": "string", f"_rows_{source}": "bigint", f"_seen_{source}": "bigint",
            f"_newest_{source}": "timestamp", f"_new_{source}": "boolean", f"_late_{source}": "boolean",
        }
        columns |= {f"_fault_{source}_{name}": "bigint" for name in faults.get(source, ())}
    columns |= {customer_totals.staged(total.name): "bigint" for total in ORDER_TOTALS if total.name in plan.totals}
    if customer_totals.wants_all(plan.totals):
        columns |= {name: "timestamp" for name in ("_bought_first", "_bought_last", "_last_event", "_last_visit")}
        columns["_visit_minutes"] = "array<int>"
    if plan.day_orders:
        columns[DAY_ORDERS] = "array<string>"
    columns |= {feature.name: feature_type(feature) for feature in spec.emitted}
    for sequence in plan.sequences:
        for source in dict.fromkeys(step.source for step in sequence.occurrences):
            columns[rows_name(sequence, source)] = rows_type(sequence)
    return columns


def arrow_schema(ddl: str) -> pa.Schema:
    """The schema in which Spark takes columns from Arrow."""
    return to_arrow_schema(StructType.fromDDL(ddl), timezone="UTC")


def feature_type(feature: core.Aggregate) -> str:
    """The Spark type of a feature's column."""
    if feature.function == "sum":
        return "decimal(38,4)" if feature.type is Type.DECIMAL else "decimal(20,0)"
    return _EXACT if feature.function in ("avg", "mode_share") else feature.type.ddl
