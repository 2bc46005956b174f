"""Conditions over people, and the members of every segment (rules 3, 5, 10, 12 and 16)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from zoneinfo import ZoneInfo

from oracle.compare import TREE, combine, comparable, holds
from oracle.formulas import formula_holds
from oracle.people import Data, Person, canonical, gather
from oracle.rows import Night, aggregate, aggregate_of, kind_of, share_of_mode
from oracle.times import Clock, parse_duration, step_date
from oracle.verbs import VERBS, measure, measure_kind, value_holds

OF_ROWS = ("did", "did_not", "ordered", "visits")
SETTINGS = {"where", "eligible", "anonymous", "status", "kind", "name", "description", "tags", "owner", "limit"}


def members(
    definitions: Mapping[str, Mapping],
    data: Data,
    snapshot_date: date,
    zone: ZoneInfo,
    catalogue: Mapping,
    previous: Mapping[str, Mapping[str, date]] | None = None,
) -> dict[str, set[str]]:
    """The members of every segment at the end of the snapshot date.

    `catalogue` has the field types of `customers`, `events`, `orders` and `items` (text, integer, decimal, boolean,
    date, timestamp, texts) and the `purchase_statuses`. `previous` are the members that were published last, each
    with the date since when it is one.
    """
    night = Night(Clock(snapshot_date, zone), catalogue)
    tonight = Tonight(night, gather(data, night.clock.as_of), definitions, _published(previous or {}, data))
    return {id: set(tonight.members_of(id)) for id in definitions}


def _published(previous: Mapping[str, Mapping[str, date]], data: Data) -> dict[str, dict[str, date]]:
    """The last published members under today's canonical ids; of several, the earliest `since` counts."""
    result: dict[str, dict[str, date]] = {}
    for segment, since in previous.items():
        mine = result.setdefault(segment, {})
        for id, day in since.items():
            owner = canonical(id, data)
            mine[owner] = min(day, mine.get(owner, day))
    return result


class Tonight:
    """One night's evaluation. Members are kept once found, so references do not recompute."""

    def __init__(self, night: Night, people: dict[str, Person], definitions: Mapping, previous: Mapping) -> None:
        self.night = night
        self.people = people
        self.definitions = definitions
        self.previous = previous
        self.found: dict[str, set[str]] = {}

    def members_of(self, id: str) -> set[str]:
        """A segment's own members: those of the eligible people for whom its condition holds.

        An inactive segment, and a static one that was published before, keeps its last published members as far as
        they are still evaluated; it is not asked who is eligible. A static one without any freezes those of tonight.
        """
        if id not in self.found:
            definition = self.definitions[id]
            if unknown := set(definition) - SETTINGS:
                raise ValueError(f"unknown keys: {sorted(unknown)}")
            held = definition.get("kind") == "static" and id in self.previous
            if held or definition.get("status") == "inactive":
                self.found[id] = {member for member in self.previous.get(id, {}) if member in self.people}
            else:
                eligible = [person for person in self.people.values() if is_eligible(person, definition, self.night)]
                found = [person for person in eligible if self.holds_for(definition["where"], person, eligible)]
                self.found[id] = {person.id for person in limited(found, definition.get("limit"), self.night)}
        return self.found[id]

    def since(self, id: str, person: Person) -> date:
        """Since when a member is one: as published last, or tonight."""
        return self.previous.get(id, {}).get(person.id, self.night.clock.snapshot_date)

    def holds_for(self, condition: Mapping, person: Person, eligible: list[Person]) -> bool:
        """True when the condition holds for the person; percentiles are among the eligible ones."""
        kinds = [key for key in CONDITIONS if key in condition]
        if len(kinds) != 1:
            raise ValueError(f"not one condition: {sorted(condition)}")
        return CONDITIONS[kinds[0]](self, condition, person, eligible)


def limited(found: list[Person], limit: Mapping | None, night: Night) -> list[Person]:
    """The top so many by a value; of equal ones the smaller ids, and none without the value."""
    if limit is None:
        return found
    kind = measure_kind(limit["by"], night)
    values = [(measure(person, limit["by"], night), person) for person in found]
    ranked = [(comparable(value, kind, night.clock), person) for value, person in values if value is not None]
    by_id = sorted(ranked, key=lambda pair: pair[1].id)
    # Sorting is stable, also in reverse: equal values stay in the order of ids.
    return [person for _, person in sorted(by_id, key=lambda pair: pair[0], reverse=True)][: limit["top"]]


def is_eligible(person: Person, definition: Mapping, night: Night) -> bool:
    """True for those whom the segment considers: in any of its groups, and not anonymous if it refuses these."""
    if person.anonymous and not definition.get("anonymous", True):
        return False
    groups = {
        "registered": person.fields.get("registered") is True,
        "purchasers": any(row["status"] in night.catalogue["purchase_statuses"] for row in person.orders),
        "email": person.fields.get("email") is not None,
        "push": person.fields.get("push_consent") is True,
    }
    wanted = definition.get("eligible")
    return wanted is None or any(groups[name] for name in wanted)


def _holds_among(
    measure: Callable[[Person], object], operators: object, kind: str, clock: Clock, person: Person,
    eligible: Iterable[Person],
) -> bool:
    """Compares the person's value; a percentile is taken over the eligible people who have one."""
    population = ()
    if isinstance(operators, Mapping) and any(_is_percentile(argument) for argument in operators.values()):
        values = [measure(other) for other in eligible]
        population = [comparable(value, kind, clock) for value in values if value is not None]
    return holds(measure(person), operators, kind, clock, population)


def _is_percentile(argument: object) -> bool:
    return isinstance(argument, Mapping) and "percentile" in argument


def _without(mapping: Mapping, *names: str) -> dict:
    return {name: value for name, value in mapping.items() if name not in names}


def _boolean(tonight: Tonight, condition: Mapping, person: Person, eligible: list[Person]) -> bool:
    (key,) = condition
    return combine(key, condition[key], lambda part: tonight.holds_for(part, person, eligible))


def _customer(tonight: Tonight, condition: Mapping, person: Person, eligible: list[Person]) -> bool:
    """An attribute; an anonymous visitor has none, so all of them are missing."""
    name = condition["customer"]
    kind = tonight.night.catalogue["customers"][name]
    return _holds_among(
        lambda other: other.fields.get(name), _without(condition, "customer"), kind, tonight.night.clock, person,
        eligible,
    )


def _rows(tonight: Tonight, condition: Mapping, person: Person, eligible: list[Person]) -> bool:
    """An aggregate of events, orders or visits; the share of a mode is compared next to the mode itself."""
    night = tonight.night
    name, settings = aggregate_of(condition)
    if "visits" in condition and name != "count":
        raise ValueError("visits only count")
    operators = settings if name == "count" else _without(settings, "of", "share")
    if name == "mode" and "share" in settings:
        if not holds(share_of_mode(person, condition, night), settings["share"], "decimal", night.clock):
            return False
        if not operators:
            return True
    return _holds_among(
        lambda other: aggregate(other, condition, night), operators, kind_of(condition, night), night.clock, person,
        eligible,
    )


def _segment(tonight: Tonight, condition: Mapping, person: Person, eligible: list[Person]) -> bool:
    """A member of another segment tonight, whether or not this one considers the same people.

    `entered` compares the local midnight of the date since when it is a member. `member_for` counts local dates with
    the snapshot date as today: who entered tonight has been a member for 0 days.
    """
    id = condition["segment"]
    if person.id not in tonight.members_of(id):
        return False
    since = tonight.since(id, person)
    entered, lasting = condition.get("entered"), condition.get("member_for")
    if entered is not None and not holds(since, entered, "date", tonight.night.clock):
        return False
    return lasting is None or _lasts(since, lasting, tonight.night.clock.snapshot_date)


def _lasts(since: date, operators: Mapping, today: date) -> bool:
    """Compares a membership's age: at least 30d means since 30 days before the snapshot date or earlier."""
    tests = {
        "at_least": lambda day: since <= day, "more_than": lambda day: since < day,
        "at_most": lambda day: since >= day, "less_than": lambda day: since > day, "is": lambda day: since == day,
    }

    def back(duration: str) -> date:
        amount, unit = parse_duration(duration)
        return step_date(today, -amount, unit)

    return all(
        back(argument[1]) <= since <= back(argument[0]) if name == "between" else tests[name](back(argument))
        for name, argument in operators.items()
    )


def _list(tonight: Tonight, condition: Mapping, person: Person, eligible: list[Person]) -> bool:
    """In a static list: any of the person's rows in it, an alias's too, whose `joined_at` meets `joined`."""
    joined = condition.get("joined")
    return any(
        joined is None or holds(row.get("joined_at"), joined, "timestamp", tonight.night.clock)
        for row in person.lists if row["list_id"] == condition["list"]
    )


def _consent(tonight: Tonight, condition: Mapping, person: Person, eligible: list[Person]) -> bool:
    """The consent flag is true; with `since`, its time is known and meets that too."""
    name = f"{condition['consent']}_consent"
    if person.fields.get(name) is not True:
        return False
    since = condition.get("since")
    return since is None or holds(person.fields.get(f"{name}_at"), since, "timestamp", tonight.night.clock)


def _split(tonight: Tonight, condition: Mapping, person: Person, eligible: list[Person]) -> bool:
    settings = condition["split"]
    return settings["from"] <= bucket(settings["salt"], person.id) < settings["to"]


def bucket(salt: str, id: str) -> int:
    """The bucket of 100 that a customer falls in: the same for ever."""
    digest = hashlib.sha256(f"{salt}\x1f{id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % 100


def _verb(tonight: Tonight, condition: Mapping, person: Person, eligible: list[Person]) -> bool:
    key = next(key for key in VERBS if key in condition)
    return VERBS[key](person, condition, tonight.night)


def _value(tonight: Tonight, condition: Mapping, person: Person, eligible: list[Person]) -> bool:
    def compare(measure: Callable[[Person], object], operators: Mapping, kind: str) -> bool:
        return _holds_among(measure, operators, kind, tonight.night.clock, person, eligible)

    return value_holds(person, condition, tonight.night, compare)


def _sql(tonight: Tonight, condition: Mapping, person: Person, eligible: list[Person]) -> bool:
    """A formula over the customer's fields and the named values."""
    names = tonight.night.catalogue["customers"]
    values = {name: person.fields.get(name) for name in names}
    values |= {name: measure(person, spec, tonight.night) for name, spec in condition.get("features", {}).items()}
    return formula_holds(condition["sql"], values, tonight.night.clock)


CONDITIONS = (
    dict.fromkeys(TREE, _boolean)
    | dict.fromkeys(OF_ROWS, _rows)
    | dict.fromkeys(VERBS, _verb)
    | {
        "customer": _customer, "segment": _segment, "list": _list, "consent": _consent, "split": _split,
        "value": _value, "sql": _sql,
    }
)
