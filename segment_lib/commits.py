"""Commits files that are written already to a Delta table, as they are.

Spark's writer takes rows; a snapshot of a hundred million memberships is quicker written by Arrow, and then has only to
be named in the table's log. The commit is Delta's own transaction, so concurrent writers, checkpoints and history are as
they are for every other write.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence

import pyarrow.parquet as pq
from pyspark.sql import SparkSession


def adopt(spark: SparkSession, table: str, files: Sequence[str], partition: Mapping[str, str], metadata: str) -> None:
    """Moves Parquet files into a partition of the table at a path and adds them in one commit; all on one file system.

    `partition` has a value for each of the table's partition columns, in their order; the files have the other columns.
    Files that were moved when the commit fails belong to no version, and vacuum removes them.
    """
    folder = "/".join(f"{column}={value}" for column, value in partition.items())
    os.makedirs(os.path.join(table, folder), exist_ok=True)
    actions = []
    for file in files:
        path = f"{folder}/{os.path.basename(file)}"
        place = os.path.join(table, path)
        shutil.move(file, place)
        found = os.stat(place)
        actions.append({
            "path": path, "partitionValues": dict(partition), "size": found.st_size, "dataChange": True,
            "modificationTime": found.st_mtime_ns // 1_000_000,
            "stats": json.dumps({"numRecords": pq.read_metadata(place).num_rows}),
        })
    _commit(spark, table, actions, tuple(partition), metadata)


def _commit(
    spark: SparkSession, table: str, added: Sequence[Mapping[str, object]], columns: Sequence[str], metadata: str
) -> None:
    """One commit of Delta's transaction, which the table's history shows as an append."""
    jvm = spark._jvm
    assert jvm is not None, "commits are made by the driver"
    delta, option, sequence = jvm.org.apache.spark.sql.delta, jvm.scala.Option, jvm.PythonUtils.toSeq
    action = getattr(getattr(delta.actions, "Action$"), "MODULE$")
    append = jvm.org.apache.spark.sql.SaveMode.Append
    none = option.empty()
    operation = getattr(delta, "DeltaOperations$Write")(
        append, option.apply(sequence(list(columns))), none, option.apply(metadata), none, none, none, none, none
    )
    transaction = delta.DeltaLog.forTable(spark._jsparkSession, table).startTransaction()
    transaction.commit(sequence([action.fromJson(json.dumps({"add": one})) for one in added]), operation)
