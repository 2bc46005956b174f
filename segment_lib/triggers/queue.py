"""The table `trigger_queue`: each occasion of each trigger, and what became of its message.

A row is added for every step, and the last one of an occasion counts; a final one is never followed by another that
counts. The row `handled`, of no customer, says which night was looked at last; it comes in the same commit as the
occasions of that night, so none is queued twice and none is lost. No message is kept here, only ids.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from segment_lib import inputs, spells
from segment_lib.tables import OUTPUTS, ddl

if TYPE_CHECKING:
    from segment_lib.storage import Lake
    from segment_lib.sync.contract import Delivery
    from segment_lib.triggers.letters import Letter

TABLE = "trigger_queue"
WAITING, SENDING = "waiting", "sending"
SENT, REFUSED, KEPT_OUT, VOID = "sent", "refused", "kept_out", "void"
HANDLED = "handled"
_OCCASION = ("segment_id", "customer_id", "snapshot_date")
_STEP = ("due_at", "state", "reason", "key", "fire_id", "at")


def of(lake: Lake, trigger: str, segment: str) -> DataFrame:
    """All rows of a trigger for its segment, as of now."""
    rows = lake.read(TABLE, lake.version(TABLE))
    return rows.where((F.col("trigger") == trigger) & (F.col("segment_id") == segment))


def newest(rows: DataFrame) -> tuple[date | None, datetime | None]:
    """The last night that was looked at, and the time of the last row; None where there is none."""
    handled = F.when(F.col("state") == HANDLED, F.col("snapshot_date"))
    row = rows.agg(F.max(handled).alias("mark"), F.max("at").alias("at")).collect()[0]
    return row["mark"], row["at"] and row["at"].astimezone(UTC)


def last_rows(lake: Lake, rows: DataFrame) -> DataFrame:
    """The row of each occasion that counts: (segment_id, customer_id, snapshot_date, due_at, state, reason, key, ...).

    Customers are named as they are now: merged ones by the id that they have, erased ones not at all.
    """
    named = spells.persons(lake, rows.where(F.col("state") != HANDLED))
    row = F.max_by(F.struct(*_STEP), F.struct((~is_open()).alias("ended"), "at"))
    return named.groupBy(*_OCCASION).agg(row.alias("row")).select(*_OCCASION, "row.*")


def is_open() -> Column:
    """That the message of an occasion has not come to its end."""
    return F.col("state").isin(WAITING, SENDING)


# What is written ----------------------------------------------------------------------------------------------------


class Writer:
    """Adds rows for one trigger; each commit is later than all rows before it, whatever the host's clock says."""

    def __init__(self, lake: Lake, trigger: str, segment: str, fire_id: str):
        self._lake, self._trigger, self._segment, self._fire_id = lake, trigger, segment, fire_id

    def handled(self, until: date, occasions: DataFrame | None, at: datetime) -> None:
        """That the nights up to `until` were looked at, and their occasions (None: none counts), which now wait."""
        rows = self._lake.spark.createDataFrame([(until, HANDLED)], "snapshot_date date, state string").coalesce(1)
        if occasions is not None:
            rows = occasions.withColumn("state", F.lit(WAITING)).unionByName(rows, allowMissingColumns=True)
        self._add(rows, at)

    def ended(self, rows: DataFrame, at: datetime) -> None:
        """Occasions (customer_id, snapshot_date, due_at, state, reason) whose messages are not sent."""
        self._add(rows, at)

    def sending(self, letters: Iterable[Letter], key: str, at: datetime) -> None:
        """That the letters of one batch are about to be sent."""
        self._letters([(letter, SENDING, None) for letter in letters], key, at)

    def delivered(self, letters: Iterable[Letter], delivery: Delivery, key: str, at: datetime) -> None:
        """What became of the letters of a batch."""
        refused = {refusal.customer_id: refusal.reason for refusal in delivery.refused}
        unsent = set(delivery.unsent)
        states = []
        for letter in letters:
            why = refused.get(letter.customer_id)
            state = REFUSED if why else WAITING if letter.customer_id in unsent else SENT
            states.append((letter, state, why))
        self._letters(states, key, at)

    def refused(self, letters: Iterable[Letter], reason: str, at: datetime) -> None:
        """Letters that were not sent because they cannot be written."""
        self._letters([(letter, REFUSED, reason) for letter in letters], None, at)

    def _letters(self, rows: list[tuple[Letter, str, str | None]], key: str | None, at: datetime) -> None:
        if rows:
            values = [
                (letter.customer_id, letter.day, letter.due_at, state, why, None if state == WAITING else key)
                for letter, state, why in rows
            ]
            names = ("customer_id", "snapshot_date", "due_at", "state", "reason", "key")
            columns = {name: OUTPUTS[TABLE][name] for name in names}
            self._add(self._lake.spark.createDataFrame(values, ddl(columns)).coalesce(1), at)

    def _add(self, rows: DataFrame, at: datetime) -> None:
        stamped = rows.withColumns({
            "trigger": F.lit(self._trigger), "segment_id": F.lit(self._segment), "fire_id": F.lit(self._fire_id),
            "at": F.lit(at),
        })
        self._lake.append(TABLE, stamped, self._fire_id)


def tidy(lake: Lake, trigger: str, fire_id: str) -> None:
    """Keeps the row of each occasion that counts and the last mark of each segment, and forgets who was erased."""
    rows = lake.read(TABLE, lake.version(TABLE)).where(F.col("trigger") == trigger)
    marks = rows.where(F.col("state") == HANDLED).groupBy("segment_id").agg(
        F.max("snapshot_date").alias("snapshot_date"), F.max("at").alias("at"), F.max_by("fire_id", "at").alias("fire_id")
    )
    marked = marks.withColumn("state", F.lit(HANDLED))
    whole = last_rows(lake, rows).unionByName(marked, allowMissingColumns=True).withColumn("trigger", F.lit(trigger))
    lake.replace(TABLE, whole, {"trigger": trigger}, fire_id)


def names_erased(lake: Lake, trigger: str) -> bool:
    """Whether the queue of a trigger still names customers who were erased."""
    erased = lake.erased()
    if erased is None:
        return False
    rows = lake.read(TABLE, lake.version(TABLE)).where((F.col("trigger") == trigger) & F.col("customer_id").isNotNull())
    digest = inputs.customer_hash(lake.tenant, F.col("customer_id"))
    return bool(rows.join(erased, digest == erased.customer_hash, "left_semi").limit(1).count())
