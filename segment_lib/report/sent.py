"""Where segments went: the last sync of each audience, and what each trigger has sent so far.

Cost: the logs `syncs` and `trigger_fires`, of which one row for each audience and trigger comes to the driver.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

if TYPE_CHECKING:
    from segment_lib.storage import Lake

_SYNCED = (
    "state", "reason", "ended_at", "members", "wanted", "held_out", "priority", "suppressed", "no_consent",
    "no_identifier", "added", "removed", "refused", "batches", "bytes", "seconds", "lag_seconds",
)
_COUNTS = ("queued", "sent", "refused", "void", "held_out", "suppressed", "no_consent", "no_identifier")


def audiences(lake: Lake) -> dict[str, tuple[Mapping[str, Any], ...]]:
    """Segment -> what became of it at each destination in its last sync, by destination."""
    last = F.max_by(F.struct(*_SYNCED), "started_at").alias("last")
    rows = lake.read("syncs").groupBy("segment_id", "destination").agg(last).orderBy("segment_id", "destination")
    return _by_segment(rows.select("segment_id", "destination", "last.*").collect())


def messages(lake: Lake) -> dict[str, tuple[Mapping[str, Any], ...]]:
    """Segment -> what each of its triggers has sent in all, and how it stands, by trigger."""
    last = F.max_by(F.struct("destination", "state", "reason", "waiting", "ended_at"), "started_at").alias("last")
    sums = (F.sum(name).alias(name) for name in _COUNTS)
    rows = lake.read("trigger_fires").groupBy("segment_id", "trigger").agg(last, *sums).orderBy("segment_id", "trigger")
    return _by_segment(rows.select("segment_id", "trigger", "last.*", *_COUNTS).collect())


def _by_segment(rows: list) -> dict[str, tuple[Mapping[str, Any], ...]]:
    found: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        values = row.asDict()
        at = values["ended_at"].astimezone(UTC)
        found[values.pop("segment_id")].append(values | {"ended_at": f"{at:%Y-%m-%d %H:%M} UTC"})
    return {segment: tuple(several) for segment, several in found.items()}
