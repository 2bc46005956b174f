"""Their names and ours: the names file, the catalogue, and values as the field that they meet needs them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictStr, ValidationError

from segment_lib.catalogue import Catalogue, Type
from segment_lib.errors import ConfError, nearest
from segment_lib.importers.build import Placed, Rows
from segment_lib.importers.document import Spot
from segment_lib.language.scope import exact_decimal
from segment_lib.strict_yaml import parse

Some = Annotated[
    tuple[StrictStr, ...],
    BeforeValidator(lambda value: (value,) if isinstance(value, str) else value),
    Field(min_length=1),
]


class OrderRows(BaseModel):
    """Orders of some statuses, where their name of an event means an order."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    ordered: Some


def _event_target(value: Any) -> Any:
    """An event type, a list of them, or ``{ordered: ...}``."""
    return value if isinstance(value, Mapping | OrderRows) else (value,) if isinstance(value, str) else value


class Names(BaseModel):
    """What their names mean here, by the name or id that the document uses."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    events: dict[str, Annotated[OrderRows | Some, BeforeValidator(_event_target)]] = {}
    fields: dict[str, StrictStr] = {}
    lists: dict[str, StrictStr] = {}
    segments: dict[str, StrictStr] = {}


def read_names(text: str, file: str) -> Names:
    """The names file. Raises ConfError with every fault, its file and line."""
    document = parse(text, file)
    if not isinstance(document.value, dict | None):
        raise ConfError([document.issue((), "a names file has the keys events, fields, lists, segments")])
    try:
        return Names.model_validate(document.value or {})
    except ValidationError as error:
        raise ConfError({_issue(document, fault) for fault in error.errors(include_url=False)}) from None


def _issue(document: Any, fault: Mapping[str, Any]) -> Any:
    path = fault["loc"][:2]
    if fault["type"] == "extra_forbidden" and len(path) == 1:
        return document.issue(path, f"unknown key {path[0]!r}", nearest(str(path[0]), Names.model_fields))
    wanted = "an event type, a list of event types, or {ordered: any}" if path[0] == "events" else "text"
    return document.issue(path, f"{wanted} is needed here", "quote it if it is text")


def snake_case(name: str) -> str:
    """A name in our usual form: lower case, ASCII, words joined by underscores.

    >>> snake_case("Shoes Bought"), snake_case("$pageview"), snake_case("favoriteColor"), snake_case("Käufer 2")
    ('shoes_bought', 'pageview', 'favorite_color', 'kaufer_2')
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    plain = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", plain)
    plain = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", plain)
    return re.sub(r"[^a-z0-9]+", "_", plain.lower()).strip("_")


def segment_id(name: str, fallback: str) -> str:
    """A segment id made of a name; `fallback` where the name leaves nothing.

    >>> segment_id("30-day buyers", "x"), segment_id("顧客", "klaviyo YaYUpQ")
    ('s_30_day_buyers', 'klaviyo_yayupq')
    """
    made = snake_case(name) or snake_case(fallback.lower()) or "imported"
    return (made if made[0].isalpha() else f"s_{made}")[:63].rstrip("_")


@dataclass(frozen=True)
class Column:
    """A field of ours, and its type when the catalogue says it."""

    name: str
    kind: Type | None = None

    @property
    def is_date(self) -> bool:
        """Whether it is a day without a time."""
        return self.kind is Type.DATE


@dataclass(frozen=True)
class Lookup:
    """From their names to ours.

    `ids` are the segments of the document by every name that others use for them. Without a catalogue a name that no
    names file has is taken in snake case.
    """

    names: Names
    catalogue: Catalogue | None = None
    ids: Mapping[str, str] = field(default_factory=dict)

    def rows(self, name: str, spot: Spot, *, is_id: bool = False) -> Rows:
        """The rows that an event of theirs is here; an id of theirs needs an entry in the names file."""
        if name in self.names.events:
            target = self.names.events[name]
            table, what = ("orders", target.ordered) if isinstance(target, OrderRows) else ("events", target)
            return Rows(table, what[0] if len(what) == 1 else list(what))
        if not is_id:
            known = self.catalogue.event_types if self.catalogue else (snake_case(name),)
            for candidate in (name, snake_case(name)):
                if candidate in known and candidate:
                    return Rows("events", candidate)
        hint = "" if is_id or not self.catalogue else nearest(snake_case(name), self.catalogue.event_types)
        why = f"only the id {name!r} of this event is known" if is_id else f"no event type of ours is like {name!r}"
        spot.refuse(f"{why}; {_advice('events', name, 'EVENT_TYPE')}" + (f" ({hint})" if hint else ""))
        return Rows("events", "any")

    def field(self, name: str, spot: Spot, rows: Rows | None = None, usual: Mapping[str, str] = {}) -> Column:
        """The field that a property of theirs is here: of `rows`, or of the customer. `usual` are known other names."""
        known = self._fields(rows)
        mapped = self.names.fields.get(name)
        if known is None:
            return Column(mapped or usual.get(name) or snake_case(name) or "unnamed")
        for candidate in (mapped,) if mapped else (usual.get(name), name, snake_case(name)):
            if candidate in known:
                return Column(candidate, known[candidate])
        whose = "a customer" if rows is None else "an order" if rows.table == "orders" else "this event"
        wanted = mapped or snake_case(name)
        hint = nearest(wanted, known)
        spot.refuse(f"{whose} has no field {wanted!r}; {_advice('fields', name, 'FIELD')} ({hint})")
        return Column("unnamed")

    def _fields(self, rows: Rows | None) -> dict[str, Type] | None:
        if self.catalogue is None:
            return None
        if rows is None:
            return self.catalogue.customers()
        if rows.table == "orders":
            return self.catalogue.orders()
        types = [rows.what] if isinstance(rows.what, str) else rows.what
        return {
            name: kind for event_type in types
            for name, kind in self.catalogue.events(None if event_type == "any" else event_type).items()
        }

    def group(self, name: str, spot: Spot, what: str) -> Placed:
        """The condition of belonging to a list or a segment of theirs."""
        if name in self.names.segments:
            return Placed(spot.place, {"segment": self.names.segments[name]})
        if name in self.names.lists:
            return Placed(spot.place, {"list": self.names.lists[name]})
        if name in self.ids:
            return Placed(spot.place, {"segment": self.ids[name]})
        if self.catalogue and name in self.catalogue.lists:
            return Placed(spot.place, {"list": name})
        spot.refuse(
            f"{what} {name!r} is not in this document; name ours in the names file: lists: {{{name}: LIST}} or "
            f"segments: {{{name}: SEGMENT}}"
        )
        return Placed(spot.place, {"segment": "unnamed"})


def _advice(section: str, name: str, ours: str) -> str:
    return f"name ours in the names file: {section}: {{{name}: {ours}}}"


def literal(spot: Spot, column: Column) -> Any:
    """A value as the column needs it: digits for a number, text for a text field, true or false for a boolean one."""
    value, kind = spot.value, column.kind
    if isinstance(value, bool):
        return str(value).lower() if kind in (Type.TEXT, Type.TEXTS) else value
    if isinstance(value, int | Decimal):
        number = plain_number(value)
        return str(number) if kind in (Type.TEXT, Type.TEXTS) else number
    if not isinstance(value, str):
        spot.refuse("one plain value is needed here")
        return ""
    if not value.strip():
        spot.refuse("blank text counts as a missing value here; ask whether the field is set instead")
    elif kind is Type.BOOLEAN and value.lower() in ("true", "false"):
        return value.lower() == "true"
    elif kind is not None and kind.is_number:
        try:
            return plain_number(Decimal(value.strip()))
        except InvalidOperation:
            pass
    return value


def literals(spot: Spot, column: Column) -> list[Any]:
    """The values of a list, or one plain value as a list of one; an empty list is refused."""
    if not isinstance(spot.value, list):
        return [literal(spot, column)]
    if not spot.value:
        spot.refuse("the list of values is empty")
    return list(dict.fromkeys(literal(item, column) for item in spot.each()))


def plain_number(value: int | Decimal) -> int | Decimal:
    """The number without superfluous zeros; whole ones are integers.

    >>> plain_number(Decimal("2.50")), plain_number(Decimal("3.0"))
    (Decimal('2.5'), 3)
    """
    if isinstance(value, int) or not value.is_finite():
        return value
    exact = exact_decimal(value)
    return int(exact) if exact == exact.to_integral_value() else exact


def chosen_id(names: Names, aliases: Iterable[str], default: str) -> str:
    """Our id of a segment of theirs: what the names file says, else the default."""
    return next((names.segments[alias] for alias in aliases if alias in names.segments), default)
