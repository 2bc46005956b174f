"""Windows of time over rows: `within`."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from segment_lib.clock import Clock, Interval, Step
from segment_lib.language.model import Model, StepText, Text, misplaced, quoted

NAMED = ("today", "yesterday", "this_month", "last_month")
_FORMS = "30d, today, {from: DATE, to: DATE}, {ago: [60d, 30d]} or {before: 90d}"


class Window(Model):
    """A half-open window of instants, written in one of four forms, or by name.

    `last` is the short form's step: ``within: 30d``. Ends of `from`/`to` are local dates, both included.
    """

    unwritten: ClassVar[frozenset[str]] = frozenset({"last", "named"})
    last: StepText | None = None
    named: Text | None = None
    from_: Text | None = Field(None, alias="from")
    to: Text | None = None
    ago: tuple[StepText, StepText] | None = None
    before: StepText | None = None

    @model_validator(mode="after")
    def _one_form(self):
        given = set(self.given())
        if given not in ({"last"}, {"named"}, {"ago"}, {"before"}, {"from"}, {"to"}, {"from", "to"}):
            raise ValueError(f"write {_FORMS}")
        if self.ago and Step.parse(self.ago[0]).rough_days <= Step.parse(self.ago[1]).rough_days:
            raise misplaced(f"ago runs from the farther to the nearer: write [{self.ago[1]}, {self.ago[0]}]", "ago")
        first, last = _day(self.from_), _day(self.to)
        if first and last and first > last:
            raise ValueError(f"the window ends ({last}) before it starts ({first})")
        return self

    def to_plain(self) -> Any:
        return self.last or self.named or super().to_plain()

    def interval(self, clock: Clock) -> Interval:
        """The instants meant; an end at or after `as_of` is left open, as no row that is seen lies there."""
        interval = self._interval(clock)
        if interval.end is not None and interval.end >= clock.as_of:
            return Interval(interval.start, None)
        return interval

    def _interval(self, clock: Clock) -> Interval:
        if self.last:
            return clock.last(Step.parse(self.last))
        if self.ago:
            return clock.between_ago(Step.parse(self.ago[0]), Step.parse(self.ago[1]))
        if self.before:
            return Interval(None, clock.before(Step.parse(self.before)))
        if self.named in ("this_month", "last_month"):
            return clock.month(back=0 if self.named == "this_month" else 1)
        if self.named:
            day = date.fromordinal(clock.snapshot_date.toordinal() - (self.named == "yesterday"))
            return clock.days(day, day)
        return clock.days(_day(self.from_), _day(self.to))


def _day(text: str | None) -> date | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text) if len(text) == 10 else _no_day(text)
    except ValueError:
        return _no_day(text)


def _no_day(text: str) -> date:
    raise ValueError(f"{text!r} is not a date; write 2026-03-29")


def _written(value: Any) -> Any:
    if isinstance(value, str) and value[:1].isalpha() and value not in NAMED:
        names = ", ".join(NAMED)
        raise ValueError(f"{quoted(value)} is not a window of time; by name there are {names}; else write 30d")
    if isinstance(value, str):
        return {"named": value} if value in NAMED else {"last": value}
    if isinstance(value, dict):
        for key in ("from", "to"):
            if isinstance(value.get(key), date):
                value = {**value, key: value[key].isoformat()}
        inner = {"last", "named"} & value.keys()
        if inner:
            raise ValueError(f"write {_FORMS}")
    elif not isinstance(value, Window):
        raise ValueError(f"{quoted(value)} is not a window of time; write {_FORMS}")
    return value


WindowField = Annotated[
    Window,
    BeforeValidator(_written),
    WithJsonSchema({
        "anyOf": [
            {"enum": list(NAMED)},
            {"type": "string", "pattern": "^[1-9][0-9]{0,5}(min|h|d|w|mo|y)$"},
            {"type": "object", "properties": {"from": {"type": "string"}, "to": {"type": "string"}},
             "additionalProperties": False, "minProperties": 1},
            {"type": "object", "properties": {"ago": {"type": "array", "items": {"type": "string"}, "minItems": 2,
             "maxItems": 2}}, "required": ["ago"], "additionalProperties": False},
            {"type": "object", "properties": {"before": {"type": "string"}}, "required": ["before"],
             "additionalProperties": False},
        ]
    }),
]
