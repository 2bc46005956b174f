"""The versions of a registered model, and which of them was champion on a date."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from models.churn_model import ChurnModel
from models.errors import ModelError

#: Begins the tag that counts: the rest is the day from which the version is champion, the value when it was decided.
TERM = "champion_from."


@dataclass(frozen=True, order=True)
class Term:
    """A version is champion from a snapshot date on; of two from one day, what was decided later holds."""

    from_day: date
    promoted_at: datetime

    def tags(self) -> dict[str, str]:
        """What is written on the version: first the tag that counts, then two for people."""
        day, decided = self.from_day.isoformat(), instant(self.promoted_at)
        return {f"{TERM}{day}": decided, "champion_from": day, "promoted_at": decided}


@dataclass(frozen=True)
class Version:
    """A registered version in a list; `measures` are those of all customers over all origins of its back-test.

    `gate`: passed, failed and which rules, or not asked. `checksum`: of the model's JSON. `notes`: which groups
    everybody's model serves, and why; none in a version of before there were notes.
    """

    version: int
    aliases: tuple[str, ...]
    terms: tuple[Term, ...]
    trained_to: date
    trained_at: datetime
    horizon_days: int
    gate: str
    measures: Mapping[str, float]
    run_id: str
    code_version: str
    checksum: str
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, version: int, aliases: Sequence[str], tags: Mapping[str, str], run_id: str) -> Version:
        """A version as its tags say; KeyError, TypeError or ValueError where they do not."""
        terms = (
            Term(date.fromisoformat(key.removeprefix(TERM)), datetime.fromisoformat(decided))
            for key, decided in tags.items() if key.startswith(TERM)
        )
        return cls(
            version, tuple(sorted(aliases)), tuple(sorted(terms)), date.fromisoformat(tags["trained_to"]),
            datetime.fromisoformat(tags["trained_at"]), int(tags["horizon_days"]), tags["gate"],
            {name: float(value) for name, value in json.loads(tags["measures"]).items()}, run_id,
            tags["code_version"], tags["checksum"], tuple(str(note) for note in json.loads(tags.get("notes", "[]"))),
        )


@dataclass(frozen=True)
class Registered:
    """A version that is or was champion, with the model itself; `champion_from` is the first snapshot date of that."""

    name: str
    version: int
    model: ChurnModel
    champion_from: date
    run_id: str


def champion_on(versions: Sequence[Version], on: date) -> tuple[Version, Term] | None:
    """The version that was champion on a snapshot date, and since when; None when there was none yet.

    Of all that were ever promoted the one from the latest day up to `on`; of two from one day the later decision.
    """
    until = [(term, entry.version, entry) for entry in versions for term in entry.terms if term.from_day <= on]
    if not until:
        return None
    term, _, entry = max(until, key=lambda found: found[:2])
    return entry, term


def champion(versions: Sequence[Version]) -> tuple[Version, Term] | None:
    """The version whose term is the last, and that term."""
    return champion_on(versions, date.max)


def instant(at: datetime) -> str:
    """An instant as text in UTC, which sorts as time does; ModelError without a time zone.

    >>> instant(datetime(2026, 1, 31, 4, tzinfo=UTC))
    '2026-01-31T04:00:00.000000+00:00'
    """
    if at.tzinfo is None:
        raise ModelError(f"{at}: a time without a zone; give it in UTC")
    return at.astimezone(UTC).isoformat(timespec="microseconds")
