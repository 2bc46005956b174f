"""The parts that authored definitions are made of: strict models, plain scalars, lengths of time."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, PlainValidator, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from segment_lib.clock import Step


class Model(BaseModel):
    """An authored part of a definition: unknown keys are faults, values do not change, equality is by content."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, serialize_by_alias=True)

    #: What is needed where something else stands, and how it is written; for faults.
    wanted: ClassVar[str] = "a mapping"
    example: ClassVar[str] = ""
    #: Fields that no file has as keys, because another form stands for them.
    unwritten: ClassVar[frozenset[str]] = frozenset()

    @model_validator(mode="before")
    @classmethod
    def _no_empty_values(cls, data: Any) -> Any:
        """A key without a value is a slip, and must not read as if it had been left out."""
        if isinstance(data, Mapping):
            empty = [key for key, value in data.items() if value is None]
            if empty:
                raise PydanticCustomError("no_value", "keys without a value", {"keys": empty})
        return data

    def to_plain(self) -> Any:
        """The part as the file would have it, with only the keys that were written."""
        return {key: plain(part) for key, part in self.given().items()}

    def __repr_args__(self):
        return list(self.given().items())

    def given(self) -> dict[str, Any]:
        """The keys that were written, by their name in the file, with their values."""
        fields = type(self).model_fields
        return {fields[name].alias or name: getattr(self, name) for name in fields if name in self.model_fields_set}


def misplaced(message: str, *path: str | int) -> PydanticCustomError:
    """The error of a validator of a whole model for a fault that lies deeper in it, at `path`."""
    return PydanticCustomError("misplaced", "{message}", {"message": message, "path": path})


def tag(choice: str) -> str:
    """How the choice of a union is marked in the place of a fault, so that it is never taken for a key of the file."""
    return f"={choice}"


def plain(value: Any) -> Any:
    """Models and tuples as dicts and lists; everything else as it is.

    >>> plain((1, "a"))
    [1, 'a']
    """
    if isinstance(value, Model):
        return value.to_plain()
    if isinstance(value, tuple | list):
        return [plain(part) for part in value]
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    return value


#: The longest value that a message has whole.
_SHOWN = 80


def quoted(value: Any) -> str:
    """A value as YAML writes it, for messages: text in quotes, everything on one line, and what is long cut.

    >>> print(quoted("DE"), quoted(Decimal("0.50")), quoted(True), quoted({"ago": ["60d", "5"], "a": None}))
    'DE' 0.50 true {ago: [60d, '5'], a: null}
    """
    text = _quoted_text(value) if isinstance(value, str) else _flow(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]} ..."


def _flow(value: Any, depth: int = 3) -> str:
    """The flow style of YAML, with dots for what is nested deeper than `depth`."""
    if isinstance(value, Model):
        value = value.to_plain()
    if is_container(value) and not depth:
        return "..."
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_flow(key)}: {_flow(part, depth - 1)}" for key, part in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_flow(part, depth - 1) for part in value) + "]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = value.isoformat() if isinstance(value, date) else str(value)
    # What begins like a number, or reads as another value, keeps its quotes.
    is_word = re.fullmatch(r"[A-Za-z_][\w.]*|[0-9]+[a-z]+", text) and text not in ("null", "true", "false")
    return text if is_word or not isinstance(value, str) else _quoted_text(text)


def _quoted_text(text: str) -> str:
    return f"'{text}'" if text.isprintable() and "'" not in text else json.dumps(text)


def _scalar(value: Any) -> bool | int | Decimal | str:
    """One plain value; Python's own types become what the file would say: a date its text, a float its decimal."""
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float):
        value = Decimal(repr(value))
    if value is None:
        raise ValueError("empty value; to ask for missing values write 'known: false'")
    if not isinstance(value, bool | int | Decimal | str):
        raise ValueError(f"one plain value is needed here, not {kind_of_value(value)}")
    if isinstance(value, Decimal) and not value.is_finite():
        raise ValueError("not a number that can be compared")
    return value


def _number(value: Any) -> int | Decimal:
    number = _scalar(value)
    if isinstance(number, bool | str):
        raise ValueError(f"a number is needed here, not {quoted(value)}")
    return number


def _text(value: Any) -> str:
    if not isinstance(value, str):
        hint = "" if is_container(value) else "; quote it if it is text"
        raise ValueError(f"text is needed here, not {kind_of_value(value)}{hint}")
    return value


def _step(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{quoted(value)} is not a length of time; write 30min, 12h, 30d, 8w, 6mo or 1y")
    return str(Step.parse(value))


def is_container(value: Any) -> bool:
    """Whether a value has parts: a mapping or a list."""
    return isinstance(value, Mapping | BaseModel | list | tuple)


def kind_of_value(value: Any) -> str:
    """What stands in the file: a mapping, a list, or the value itself.

    >>> kind_of_value([1]), kind_of_value(False)
    ('a list', 'false')
    """
    if not is_container(value):
        return quoted(value)
    return "a list" if isinstance(value, list | tuple) else "a mapping"


Scalar = Annotated[
    bool | int | Decimal | str, PlainValidator(_scalar), WithJsonSchema({"type": ["string", "number", "boolean"]})
]
Number = Annotated[int | Decimal, PlainValidator(_number), WithJsonSchema({"type": "number"})]
Text = Annotated[str, PlainValidator(_text), WithJsonSchema({"type": "string"})]
StepText = Annotated[
    str, PlainValidator(_step), WithJsonSchema({"type": "string", "pattern": "^[1-9][0-9]{0,5}(min|h|d|w|mo|y)$"})
]


class Duration(Model):
    """A length of time, compared."""

    example: ClassVar[str] = "{at_least: 30d}"

    at_least: StepText | None = None
    more_than: StepText | None = None
    at_most: StepText | None = None
    less_than: StepText | None = None
    between: tuple[StepText, StepText] | None = None

    @model_validator(mode="after")
    def _some(self):
        if not self.given():
            raise ValueError("write {at_most: 24h}, or at_least, more_than, less_than, between")
        if self.between and Step.parse(self.between[0]).rough_days > Step.parse(self.between[1]).rough_days:
            raise misplaced(f"the larger end is first; write [{self.between[1]}, {self.between[0]}]", "between")
        return self

    def bounds(self) -> Iterator[tuple[str, Step]]:
        """The comparisons as operator and length; both ends of between are included."""
        for name, step in self.given().items():
            if name == "between":
                yield "at_least", Step.parse(step[0])
                yield "at_most", Step.parse(step[1])
            else:
                yield name, Step.parse(step)
