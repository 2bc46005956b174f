"""What a condition needs to be checked and reduced: the names that exist, the clock, and where faults are noted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal, InvalidOperation

from segment_lib import core
from segment_lib.catalogue import Catalogue, Type
from segment_lib.clock import Clock
from segment_lib.errors import nearest
from segment_lib.language.model import quoted
from segment_lib.strict_yaml import Path

#: What every number of the engine can be compared with, without rounding either side.
MAX_DIGITS, MAX_PLACES = 20, 8


@dataclass(frozen=True)
class Fault:
    """What is wrong at one place of a definition, or a warning about it; `code` names its kind for programs."""

    path: Path
    message: str
    hint: str = ""
    severity: str = "error"
    code: str = ""


@dataclass(frozen=True)
class Scope:
    """The surroundings of one condition; `at` gives those of a part of it.

    `segments` are the ids that exist; `population` is who the segment considers at all, for percentiles. Faults found
    while reducing are added to `faults`, which all scopes of one definition share; when there is one of severity error,
    the reduced form is not used.
    """

    catalogue: Catalogue
    clock: Clock
    segments: frozenset[str] = frozenset()
    population: core.Test = core.TRUE
    path: Path = ()
    faults: list[Fault] = field(default_factory=list)

    def at(self, *parts: str | int) -> Scope:
        """The same scope, deeper in the definition."""
        return replace(self, path=(*self.path, *parts))

    def fault(self, message: str, hint: str = "", severity: str = "error", code: str = "") -> None:
        """Notes a fault at this place."""
        self.faults.append(Fault(self.path, message, hint, severity, code))

    def known(self, what: str, name: str, names: Iterable[str]) -> bool:
        """Whether `name` is among `names`; notes a fault with the nearest name when it is not."""
        names = tuple(names)
        if name in names:
            return True
        self.fault(f"unknown {what} {name!r}", nearest(name, names), code="unknown_" + what.replace(" ", "_"))
        return False

    def column(self, source: str, name: str, fields: Mapping[str, Type]) -> core.Field | None:
        """The field `name` of a source, or None with a fault noted."""
        what = {"customers": "customer field", "events": "event property", "orders": "order field"}
        if not self.known(what.get(source, "field of order lines"), name, fields):
            return None
        return core.Field(source, name, fields[name])

    def score(self, name: str) -> core.Field | None:
        """A score of the catalogue, or None with a fault noted."""
        if not self.known("score", name, self.catalogue.scores):
            return None
        return core.Field("scores", name, self.catalogue.scores[name])

    def literal(self, value: bool | int | Decimal | str, kind: Type) -> core.Literal | None:
        """`value` as a literal of type `kind`: values are typed by the field they meet.

        Text stands for a decimal when it reads as one; a number never stands for text. Dates and times are read as
        ISO 8601, a time without offset in the tenant's zone. None, with a fault noted, when it does not fit.
        """
        if kind in (Type.TEXT, Type.TEXTS):
            if isinstance(value, str):
                return value
            self.fault(f"{quoted(value)} is not text, but the field is", f"quote it: \"{quoted(value)}\"")
        elif kind is Type.BOOLEAN:
            if isinstance(value, bool):
                return value
            self.fault(f"{quoted(value)} is neither true nor false, but the field is boolean")
        elif kind.is_number:
            return self._number(value)
        else:
            return self._time(value)
        return None

    def _number(self, value: bool | int | Decimal | str) -> core.Literal | None:
        try:
            number = None if isinstance(value, bool) else Decimal(value)
        except InvalidOperation:
            number = None
        if number is None or not number.is_finite():
            self.fault(f"{quoted(value)} is not a number, but the field is")
            return None
        # The size comes first: written out, a number such as 1e999999 would not fit anywhere.
        exact = exact_decimal(number) if abs(number.adjusted()) < MAX_DIGITS or not number else None
        if exact is None or -exact.as_tuple().exponent > MAX_PLACES:
            self.fault(f"{value} cannot be compared exactly", f"at most {MAX_DIGITS} digits and {MAX_PLACES} places")
            return None
        return int(exact) if exact == exact.to_integral_value() else exact

    def _time(self, value: bool | int | Decimal | str) -> core.Literal | None:
        text = value if isinstance(value, str) else ""
        try:
            if len(text) == 10:
                return date.fromisoformat(text)
            if len(text) > 10:
                return self.clock.instant(datetime.fromisoformat(text))
        except (ValueError, OverflowError):
            pass
        self.fault(f"{text or quoted(value)} is not a date", "write 2026-03-29, or 2026-03-29T12:30 for a time")
        return None


def exact_decimal(number: Decimal) -> Decimal:
    """The same number without superfluous zeros and never with an exponent above zero.

    >>> exact_decimal(Decimal("100.50")), exact_decimal(Decimal("1E+2"))
    (Decimal('100.5'), Decimal('100'))
    """
    short = number.normalize()
    return short.quantize(Decimal(1)) if short.as_tuple().exponent > 0 else short
