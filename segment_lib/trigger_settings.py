"""The `triggers` section of conf: a message to who enters or leaves a segment, or to all of one when it is formed."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, time
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from segment_lib.clock import Step
from segment_lib.errors import nearest

if TYPE_CHECKING:
    from segment_lib.sync_settings import DestinationEntry

#: What a template may name beside the fields of the customer.
GIVEN = ("day", "segment")


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class QuietHours(_Section):
    """The hours of the day, in the tenant's zone, in which nothing is sent; they may lie across midnight."""

    start: Annotated[str, Field(alias="from", pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]
    end: Annotated[str, Field(alias="to", pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]

    @model_validator(mode="after")
    def _some_hour_is_left(self):
        if self.start == self.end:
            raise ValueError("from and to are the same time: nothing would ever be sent; leave quiet out to send always")
        return self

    def holds(self, local: datetime) -> bool:
        """Whether a local time lies in them; the end does not.

        >>> night = QuietHours(start="21:00", end="08:00")
        >>> [night.holds(datetime(2026, 1, 1, *at)) for at in ((20, 59), (21, 0), (3, 0), (8, 0))]
        [False, True, True, False]
        """
        start, end, now = time.fromisoformat(self.start), time.fromisoformat(self.end), local.time()
        return start <= now < end if start < end else now >= start or now < end


def _step(value: str) -> str:
    return str(Step.parse(value))


class TriggerEntry(_Section):
    """One message: on what occasion, when, by which destination, and what it says."""

    segment: str
    #: Who enters, who leaves, or all members when the segment is there for the first time.
    on: Literal["enter", "leave", "formed"]
    destination: str
    #: How long after the night of the occasion; default: with it.
    after: Annotated[str, AfterValidator(_step)] | None = None
    #: Whether it is only sent to who has not left since (or, for `leave`, not come back).
    if_still: bool = True
    quiet: QuietHours | None = None
    #: How long after it was due it may still be sent; what comes later is left out.
    within: Annotated[str, AfterValidator(_step)] = "3d"
    #: More occasions than this at once are held until a person lets them pass.
    at_most: Annotated[int, Field(ge=1)] = 10_000
    #: Property of the message -> its template.
    message: Annotated[dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")], str], Field(min_length=1)]

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of the customer that its templates name, by name."""
        from segment_lib.triggers.template import names_in

        return tuple(sorted(set().union(*map(names_in, self.message.values())) - {*GIVEN}))

    @model_validator(mode="after")
    def _templates_can_be_read(self):
        from segment_lib.triggers.template import names_in

        for name, text in self.message.items():
            try:
                names_in(text)
            except ValueError as error:
                raise ValueError(f"message.{name}: {error}") from None
        return self

    def fault(self, destinations: dict[str, DestinationEntry], fields: Collection[str]) -> str | None:
        """What keeps it from being sent, given the destinations of conf and the fields of customers; None when nothing."""
        from segment_lib.sync.options import TYPES

        if self.destination not in destinations:
            hint = nearest(self.destination, destinations)
            return f"destination: conf has no destination {self.destination!r}" + (f"; {hint}" if hint else "")
        kind = destinations[self.destination].type
        model = TYPES[kind]
        if not model.messages:
            able = ", ".join(sorted(name for name, other in TYPES.items() if other.messages))
            return f"destination: {kind} holds audiences and sends no messages; these do: {able}"
        missing = sorted(model.says - self.message.keys())
        if missing:
            return f"message: {kind} needs {' and '.join(missing)}"
        for name in self.message:
            if model.may_say is not None and name not in model.says | model.may_say:
                return f"message.{name}: {kind} sends no such part; {nearest(name, model.says | model.may_say)}"
        for name in self.fields:
            if name not in fields:
                return f"message: no customer field is named {name!r}; {nearest(name, [*fields, *GIVEN])}"
        return None
