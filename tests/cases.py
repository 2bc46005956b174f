"""Worked cases: a definition, some rows, and who is found, on Spark and on the oracle.

All cases of a night are evaluated together, by one scan. A case's rows belong to customers whose ids begin with its
number, so cases do not meet, and its members are written without that. What ranks or compares customers with each other
must leave the others' out by itself: `percentile` looks at everyone of the night who has the value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from oracle import Data, members
from oracle.times import TICK, Clock
from strategies import CATALOGUE, customer, event, line, order
from worked_cases import BERLIN, NEW_YORK, at

from segment_lib import build
from segment_lib.definition.load import load_texts

__all__ = [
    "AS_OF", "BERLIN", "DAY", "EDGES", "LEAP", "NEW_YORK", "SPRING", "THIRTY", "TICK", "Case", "at", "bought", "each",
    "evaluate", "issues", "label", "line", "listed", "merged", "person", "seen", "told", "words",
]

#: A usual night, one that ends a day of 23 hours, and one at the end of a February of 29 days.
DAY, SPRING, LEAP = date(2026, 6, 30), date(2026, 3, 29), date(2024, 2, 29)
TABLES = ("customers", "events", "orders", "lists", "aliases")
IDS = ("customer_id", "canonical_id", "event_id", "order_id")

Row = tuple[str, dict]


@dataclass(frozen=True, eq=False)
class Case:
    """A definition, some rows, and who is found.

    `shows` is what the case is about: a number of the contract's rules, a trap such as "trap 6", or a key of the
    condition. `options` are further keys of the segment, `others` segments beside it, `published` their members of the
    last night with the date of entry, `erased` ids. `plain_ids` leaves the ids as they are, for what depends on them;
    no other case may have the same.
    """

    shows: int | str
    says: str
    where: Mapping
    found: str
    rows: Sequence[Row]
    day: date = DAY
    zone: ZoneInfo = BERLIN
    options: Mapping = field(default_factory=dict)
    others: Mapping = field(default_factory=dict)
    published: Mapping[str, Mapping[str, date]] = field(default_factory=dict)
    erased: Sequence[str] = ()
    plain_ids: bool = False


# Rows ----------------------------------------------------------------------------------------------------------------


def person(id: str, **values: object) -> Row:
    return "customers", customer(customer_id=id, **values)


def seen(id: str, local: str | datetime, type: str = "page_viewed", **values: object) -> Row:
    moment = at(local) if isinstance(local, str) else local
    return "events", event(customer_id=id, event_type=type, occurred_at=moment, **values)


def bought(id: str, local: str | datetime = "2026-06-15 12:00", **values: object) -> Row:
    moment = at(local) if isinstance(local, str) else local
    return "orders", order(customer_id=id, ordered_at=moment, **values)


def listed(id: str, name: str, local: str | datetime | None = "2026-06-15 12:00") -> Row:
    moment = at(local) if isinstance(local, str) else local
    return "lists", {"list_id": name, "customer_id": id, "joined_at": moment, "updated_at": None}


def merged(id: str, into: str) -> Row:
    return "aliases", {"customer_id": id, "canonical_id": into, "merged_at": None, "updated_at": None}


AS_OF = Clock(DAY, BERLIN).as_of
#: The first instant of the 30 days before `AS_OF`, and rows on the edges of that window.
THIRTY = AS_OF - timedelta(days=30)
EDGES = (
    seen("on", THIRTY), seen("under", THIRTY - TICK), seen("last", AS_OF - TICK), seen("now", AS_OF),
    person("now"), person("none"),
)


# Tests ---------------------------------------------------------------------------------------------------------------


def each(cases: Iterable[Case]) -> pytest.MarkDecorator:
    """A test for each case, named by what it shows and says."""
    cases = tuple(cases)
    return pytest.mark.parametrize("case", cases,
                                   ids=[f"{case.shows}: {case.says}".replace("::", ":") for case in cases])


def words(*pairs: tuple[Mapping, str]) -> pytest.MarkDecorator:
    """A test for each condition and its words."""
    return pytest.mark.parametrize(("where", "said"), pairs, ids=[said[:60] for _, said in pairs])


def told(*pairs: tuple[str, str]) -> pytest.MarkDecorator:
    """A test for each file and the one line that must come back."""
    return pytest.mark.parametrize(("text", "said"), pairs, ids=[said[:60].replace("::", ":") for _, said in pairs])


def label(where: Mapping) -> str:
    """A condition in words."""
    return build.segment("tested", where=where).label()


def issues(text: str, *, sql: bool = True, **others: str) -> list[str]:
    """What is wrong with a file `x.yaml`, a line each; `others` are files beside it."""
    from dataclasses import replace

    from agreement import settings_for

    texts = {"x.yaml": text, **{f"{name}.yaml": content for name, content in others.items()}}
    catalogue = replace(settings_for("", BERLIN.key).names(), sql=sql)
    return [str(issue) for issue in load_texts(texts, catalogue).issues]


# Evaluation ----------------------------------------------------------------------------------------------------------


def evaluate(spark, folder: Callable[[], object], cases: Sequence[Case]) -> list[tuple[str, str]]:
    """What the engine and the oracle find in each case, with one scan a night; `folder` makes a new one."""
    from agreement import engine_members, settings_for, write

    from segment_lib.storage import Lake

    found: dict[int, tuple[str, str]] = {}
    nights = _nights(cases)
    largest = max(nights.values(), key=len, default=[])
    for (day, zone), numbers in nights.items():
        data, definitions, published = _put_together({number: cases[number] for number in numbers})
        settings = settings_for(str(folder()), zone.key)
        lake = Lake(spark, settings)
        write(spark, lake, data)
        engine = engine_members(spark, lake, settings, definitions, day, published)
        if numbers is largest:
            kernel = engine_members(spark, lake, settings, definitions, day, published, "kernel", "kernel")
            assert kernel == engine, {name for name in kernel if kernel[name] != engine[name]}
        oracle = members(definitions, data, day, zone, CATALOGUE, published)
        for number in numbers:
            mine = _own_ids(number, cases[number])
            found[number] = tuple(
                " ".join(sorted(mine[id] for id in result[f"case_{number}"] if id in mine)) for result in (engine,
                    oracle)
            )
    return [found[number] for number in range(len(cases))]


def _nights(cases: Sequence[Case]) -> dict[tuple[date, ZoneInfo], list[int]]:
    found: dict[tuple[date, ZoneInfo], list[int]] = {}
    for number, case in enumerate(cases):
        found.setdefault((case.day, case.zone), []).append(number)
    return found


def _tier(number: int) -> str:
    return f"t{number:03d}"


def _prefix(number: int, case: Case) -> str:
    return "" if case.plain_ids else f"{_tier(number)}."


def _own_ids(number: int, case: Case) -> dict[str, str]:
    """The ids of a case's customers in the tables, and as the case has them."""
    ids = {row[key] for _, row in case.rows for key in ("customer_id", "canonical_id") if row.get(key)}
    return {_prefix(number, case) + id: id for id in ids}


def _put_together(cases: Mapping[int, Case]) -> tuple[Data, dict[str, dict], dict[str, dict[str, date]]]:
    """The rows, definitions and last published members of some cases by number."""
    tables: dict[str, list[dict]] = {name: [] for name in TABLES}
    definitions: dict[str, dict] = {}
    published: dict[str, dict[str, date]] = {}
    erased: set[str] = set()
    for number, case in cases.items():
        tier, prefix = _tier(number), _prefix(number, case)
        for table, row in case.rows:
            own = {"source": tier} if table == "customers" else {}
            tables[table].append(row | own | {key: prefix + row[key] for key in IDS if row.get(key)})
        for name, other in case.others.items():
            definitions[f"{name}_{number}"] = _among_own(tier, _renamed(number, other))
        definitions[f"case_{number}"] = _among_own(tier, {"where": _renamed(number, case.where), **case.options})
        for name, since in case.published.items():
            published[f"{name}_{number}"] = {prefix + id: day for id, day in since.items()}
        erased |= {prefix + id for id in case.erased}
    return Data(**tables, erased=frozenset(erased)), definitions, published


def _renamed(number: int, part: object) -> object:
    """A part of a case's definition, in which the segments it names have the case's number too."""
    if isinstance(part, Mapping):
        return {
            key: f"{value}_{number}" if key == "segment" else _renamed(number, value) for key, value in part.items()
        }
    return [_renamed(number, one) for one in part] if isinstance(part, list) else part


def _among_own(tier: str, definition: dict) -> dict:
    """The definition; a limit, which ranks all members, gets a condition that holds for the case's customers only."""
    if "limit" not in definition:
        return definition
    return definition | {"where": {"all": [definition["where"], {"customer": "source", "is": tier}]}}
