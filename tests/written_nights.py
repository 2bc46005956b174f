"""Published dates that are written as nights write them, without running any: who is in what is said by the test."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from segment_lib.build import customer, segment
from segment_lib.inputs import hash_of
from segment_lib.runs import RunRecord, State, append_record
from segment_lib.storage import Lake
from segment_lib.tables import INPUTS, OUTPUTS, ddl

Person = Mapping[str, Any]


def at_night(day: date) -> datetime:
    """When the night of a date has run."""
    return datetime.combine(day, time(3), UTC) + timedelta(days=1)


@dataclass
class Nights:
    """A tenant's tables, filled date by date."""

    spark: Any
    settings: Any
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def lake(self) -> Lake:
        """The tables as a process that starts now sees them."""
        return Lake(self.spark, self.settings)

    def customers(self, people: Iterable[Person]) -> None:
        """Puts these in the place of all customers."""
        names = INPUTS["customers"].columns
        rows = [tuple(one.get(name) for name in names) for one in people]
        self._overwrite("customers", rows, ddl(names))

    def listed(self, list_id: str, people: Iterable[str]) -> None:
        """Puts these in the place of all members of lists."""
        self._overwrite("lists", [(list_id, one) for one in people], "list_id string, customer_id string")

    def _overwrite(self, table: str, rows: list[tuple], columns: str) -> None:
        frame = self.spark.createDataFrame(rows, columns).coalesce(1)
        frame.write.format("delta").mode("overwrite").save(self.lake().path(table))

    def erase(self, *people: str) -> None:
        rows = [(hash_of(self.settings.tenant, one), datetime(2026, 1, 1, tzinfo=UTC)) for one in people]
        self.lake().append("erasures", self.spark.createDataFrame(rows, ddl(INPUTS["erasures"].columns)), "load")

    def publish(self, day: date, members: Mapping[str, Iterable[str]], *, again: str = "") -> RunRecord:
        """Publishes a date; its run id tells the date, with `again` that of a second run of it."""
        lake, run_id = self.lake(), f"{day:%Y%m%d}T030000-{again or 'a'}"
        inside: dict[str, list[tuple[str, date]]] = {}
        for name in sorted(members):
            for one in members[name]:
                inside.setdefault(one, []).append((name, day))
        rows = [(day, run_id, one, segments) for one, segments in sorted(inside.items())]
        self._append("memberships", rows)
        listed = []
        for name in sorted(members):
            own = segment(name, where=customer("country", known=True), **self.options.get(name, {}))
            listed.append((
                day, run_id, name, own.definition_hash, own.title, "dynamic", "active", "active", "", own.to_json(), [],
                day, day,
            ))
        self._append("segments", listed)
        instant = at_night(day) + timedelta(minutes=len(again))
        record = RunRecord(
            day, run_id, State.PUBLISHED, instant, instant, inputs=lake.pin(), rows={"memberships": len(rows)},
            definition_hashes={row[2]: row[3] for row in listed},
        )
        append_record(lake, record)
        return record

    def _append(self, table: str, rows: list[tuple]) -> None:
        self.lake().append(table, self.spark.createDataFrame(rows, ddl(OUTPUTS[table])).coalesce(1), "test")
