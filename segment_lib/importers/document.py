"""A document of another product, read place by place: every fault and every difference is kept with its JSON path."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from segment_lib.errors import UsageError, nearest

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


@dataclass(frozen=True, order=True)
class Finding:
    """What is to be said of one place of the document."""

    place: str
    text: str

    def __str__(self) -> str:
        return f"{self.place}: {self.text}"


@dataclass
class Log:
    """What comes up while one segment is translated.

    `reasons` keep it from being imported; `notes` are differences of meaning that remain. A difference that many
    conditions share is noted at the first of them.
    """

    reasons: list[Finding] = field(default_factory=list)
    notes: list[Finding] = field(default_factory=list)

    def refuse(self, place: str, why: str) -> None:
        """Says why something cannot be imported."""
        finding = Finding(place, why)
        if finding not in self.reasons:
            self.reasons.append(finding)

    def note(self, place: str, difference: str) -> None:
        """Says what differs from the source."""
        if all(note.text != difference for note in self.notes):
            self.notes.append(Finding(place, difference))


@dataclass(frozen=True)
class Spot:
    """A value of the document, with its place and the log of its segment.

    Reading something that is missing or of another type adds a reason and gives a harmless value, so that one pass
    finds every fault.
    """

    value: Any
    place: str
    log: Log = field(repr=False)

    def refuse(self, why: str) -> None:
        """Says why this cannot be imported."""
        self.log.refuse(self.place, why)

    def note(self, difference: str) -> None:
        """Says what differs from the source here."""
        self.log.note(self.place, difference)

    def with_log(self, log: Log) -> Spot:
        """The same value, with another log."""
        return Spot(self.value, self.place, log)

    def get(self, key: str) -> Spot:
        """The value of a key; one of None when there is none."""
        value = self.value.get(key) if isinstance(self.value, dict) else None
        return Spot(value, self.place + (f".{key}" if _PLAIN_KEY.fullmatch(key) else f"[{key!r}]"), self.log)

    def has(self, key: str) -> bool:
        """Whether the key has a value; null is none."""
        return isinstance(self.value, dict) and self.value.get(key) is not None

    def text(self, key: str, default: str | None = None) -> str:
        """The text of a key, or `default` when it is missing; a number is taken as its digits."""
        spot = self.get(key)
        if spot.value is None and default is not None:
            return default
        if isinstance(spot.value, str):
            return spot.value
        if isinstance(spot.value, int | Decimal) and not isinstance(spot.value, bool):
            return str(spot.value)
        spot.refuse("text is needed here" if spot.value is not None else f"the key {key!r} is missing")
        return default or ""

    def whole(self, key: str, least: int = 1) -> int:
        """The whole number of a key, at least `least`; digits as text count as one."""
        spot = self.get(key)
        value = spot.value
        if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}", value):
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool) and least <= value <= 999_999:
            return value
        if value is None:
            spot.refuse(f"the key {key!r} is missing")
        else:
            spot.refuse(f"a whole number from {least} to 999999 is needed here")
        return least

    def flag(self, key: str, default: bool | None = None) -> bool:
        """The boolean of a key, or `default` when it is missing."""
        spot = self.get(key)
        if isinstance(spot.value, bool):
            return spot.value
        if spot.value is not None or default is None:
            spot.refuse("true or false is needed here")
        return bool(default)

    def items(self, key: str) -> list[Spot]:
        """The items of a list; none when the key is missing."""
        spot = self.get(key)
        if spot.value is None:
            return []
        if not isinstance(spot.value, list):
            spot.refuse("a list is needed here")
            return []
        return spot.each()

    def each(self) -> list[Spot]:
        """The items of this list."""
        return [Spot(item, f"{self.place}[{i}]", self.log) for i, item in enumerate(self.value)]

    def only(self, known: Iterable[str]) -> None:
        """Refuses keys that the published format does not have: what they mean would be lost."""
        known = tuple(known)
        if not isinstance(self.value, dict):
            self.refuse("an object is needed here")
            return
        for key, value in self.value.items():
            if key not in known and value is not None:
                self.get(key).refuse(f"the key {key!r} is not known here; {nearest(key, known)}")


@dataclass(frozen=True)
class Item:
    """One segment of a document, before it is translated.

    `spot` is the whole entry, `definition` the part that is translated; `aliases` are the names by which other segments
    refer to it, `suggested` is what its id is made of before its name, `options` are further keys of our definition.
    """

    source_id: str
    name: str
    spot: Spot
    definition: Spot
    aliases: tuple[str, ...] = ()
    suggested: str = ""
    description: str = ""
    created: str = ""
    updated: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)


def parse_json(text: str, file: str) -> Any:
    """The JSON in `text`, with exact decimals. Raises UsageError for anything that is not plain, unambiguous JSON."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) < len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in keys if keys.count(key) > 1)
            raise ValueError(f"the key {twice!r} stands twice in one object")
        return result

    def constant(name: str) -> Any:
        raise ValueError(f"{name} is not JSON")

    try:
        value = json.loads(text, parse_float=Decimal, parse_constant=constant, object_pairs_hook=unique)
        json.dumps(value, ensure_ascii=False, default=str).encode()
    except RecursionError:
        raise UsageError(f"{file}: nested too deeply") from None
    except UnicodeEncodeError:
        raise UsageError(f"{file}: half of a character pair stands alone; save it as UTF-8") from None
    except json.JSONDecodeError as error:
        raise UsageError(f"{file}:{error.lineno}: not JSON: {error.msg}") from None
    except ValueError as error:
        raise UsageError(f"{file}: {error}") from None
    return value
