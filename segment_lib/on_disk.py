"""Frames that several steps need, computed once and kept on the executors' disks."""

from __future__ import annotations

from contextlib import ExitStack

from pyspark import StorageLevel
from pyspark.sql import DataFrame


def kept(disks: ExitStack, frame: DataFrame) -> DataFrame:
    """The frame, computed when it is first used and kept until the stack is left."""
    stored = frame.persist(StorageLevel.DISK_ONLY)
    disks.callback(stored.unpersist)
    return stored
