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
    #: Date -> its run's id, and segment -> member -> the date of entry.
    written: dict[date, tuple[str, dict[str, dict[str, date]]]] = field(default_factory=dict)

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

    def publish(
        self, day: date, members: Mapping[str, Iterable[str]], *, again: str = "",
        cause: str | Mapping[str, str] = "data", at: datetime | None = None,
    ) -> RunRecord:
        """Publishes a date, with the changes from the date before; its run id tells the date, with `again` that of a
        second run of it. `cause` is that of all its changes or of each customer's, `at` when it is published.
        """
        lake, run_id = self.lake(), f"{day:%Y%m%d}T030000-{again or 'a'}"
        base, before = self.written[max(known)] if (known := [one for one in self.written if one < day]) else (None, {})
        since = {
            name: {one: before.get(name, {}).get(one, day) for one in members[name]} for name in sorted(members)
        }
        self.written[day] = run_id, since
        inside: dict[str, list[tuple[str, date]]] = {}
        for name, mine in since.items():
            for one, entered in mine.items():
                inside.setdefault(one, []).append((name, entered))
        rows = [(day, run_id, one, segments) for one, segments in sorted(inside.items())]
        self._append("memberships", rows)
        changes = [
            (day, run_id, base, name, one, change, cause if isinstance(cause, str) else cause[one])
            for name in sorted({*since, *before})
            for change, (here, there) in {"entered": (since, before), "left": (before, since)}.items()
            for one in sorted(here.get(name, {}).keys() - there.get(name, {}).keys())
        ]
        if changes:
            self._append("membership_changes", changes)
        listed = []
        for name in sorted(members):
            own = segment(name, where=customer("country", known=True), **self.options.get(name, {}))
            listed.append((
                day, run_id, name, own.definition_hash, own.title, "dynamic", "active", "active", "", own.to_json(), [],
                day, day,
            ))
        self._append("segments", listed)
        instant = at or at_night(day) + timedelta(minutes=len(again))
        record = RunRecord(
            day, run_id, State.PUBLISHED, instant, at_night(day), inputs=lake.pin(), rows={"memberships": len(rows)},
            definition_hashes={row[2]: row[3] for row in listed},
        )
        append_record(lake, record)
        return record

    def _append(self, table: str, rows: list[tuple]) -> None:
        self.lake().append(table, self.spark.createDataFrame(rows, ddl(OUTPUTS[table])).coalesce(1), "test")
