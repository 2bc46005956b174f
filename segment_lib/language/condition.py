"""What every condition type is, and the registry of them.

A condition type is one file of this folder: a frozen model whose fields are the keys of the file, with its label for
people, and how it reduces to the core form. Checking and reducing are one walk, so that they cannot drift apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Discriminator, Tag
from pydantic_core import PydanticCustomError

from segment_lib import core
from segment_lib.language.model import Model, tag
from segment_lib.language.scope import Scope
from segment_lib.errors import nearest


class Condition(Model):
    """A test of one customer, as a person wrote it."""

    #: The key that names the condition in a file.
    key: ClassVar[str]

    def reduce(self, scope: Scope) -> core.Test:
        """The condition in core form, with every fault noted in `scope`."""
        raise NotImplementedError(f"{type(self).__name__} does not say how it reduces")

    def label(self) -> str:
        """The condition in words."""
        raise NotImplementedError(f"{type(self).__name__} has no label")

    def parts(self) -> Iterator[Condition]:
        """The conditions directly inside this one."""
        yield from ()

    def references(self) -> Iterator[str]:
        """The segments that this condition names itself."""
        yield from ()

    def walk(self) -> Iterator[Condition]:
        """This condition and all inside it, parents first."""
        yield self
        for part in self.parts():
            yield from part.walk()


REGISTRY: dict[str, type[Condition]] = {}


def register(condition: type[Condition]) -> type[Condition]:
    """Makes a condition type known under its key."""
    REGISTRY[condition.key] = condition
    return condition


def kind_of(value: Any) -> str:
    """The key that names the condition in `value`: exactly one of the registry's, else a fault that says which."""
    if isinstance(value, Condition):
        return value.key
    if not isinstance(value, Mapping):
        raise PydanticCustomError("condition", "a condition is a mapping such as {{customer: country, is: DE}}")
    kinds = [key for key in value if key in REGISTRY]
    if len(kinds) == 1:
        return kinds[0]
    if kinds:
        raise PydanticCustomError(
            "condition", "{message}",
            {"message": f"two conditions at one level: {', '.join(kinds)}; put them into all: [...] or any: [...]"},
        )
    hint = next((nearest(str(key), REGISTRY) for key in value), "")
    first = next(iter(value), "")
    raise PydanticCustomError(
        "condition", "{message}",
        {"message": f"no condition is named {first!r}; {hint}" if value else "an empty condition; write one, such as "
                    "{customer: country, is: DE}"},
    )


def _tag(value: Any) -> str:
    return tag(kind_of(value))


def _named(value: Any) -> Any:
    """A discriminator may not fail, so what names no condition is refused before it is asked."""
    kind_of(value)
    return value


def union() -> Any:
    """The type of any registered condition, for pydantic."""
    choices: Any = None
    for key, condition in sorted(REGISTRY.items()):
        choice = Annotated[condition, Tag(tag(key))]
        choices = choice if choices is None else choices | choice
    return Annotated[choices, Discriminator(_tag), BeforeValidator(_named)]
