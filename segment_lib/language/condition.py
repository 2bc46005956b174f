"""What every condition type is, and the registry of them.

A condition type is one file of this folder: a frozen model whose fields are the keys of the file, with its label for
people, and how it reduces to the core form. Checking and reducing are one walk, so that they cannot drift apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import BeforeValidator, Discriminator, Tag
from pydantic_core import PydanticCustomError

from segment_lib import core
from segment_lib.catalogue import Catalogue
from segment_lib.errors import nearest
from segment_lib.language.model import Model, tag
from segment_lib.language.scope import Scope

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from segment_lib.clock import Clock


class Condition(Model):
    """A test of one customer, as a person wrote it."""

    #: The key that names the condition in a file.
    key: ClassVar[str]
    #: The name of its function in `segment_lib.build`; empty where the key serves.
    python_name: ClassVar[str] = ""
    #: Whether its negation is meant to include who has nothing of the kind, so that no check warns of them.
    absence_meant: ClassVar[bool] = False

    @classmethod
    def from_python(cls, value: Any, /, **options: Any) -> dict[str, Any]:
        """What the file says for a call of its function; a condition whose call reads otherwise has its own.

        The parameters are those of the function; `options` stands for the other keys.
        """
        return {cls.key: value, **options}

    @classmethod
    def complete(cls, schema: dict[str, Any], catalogue: Catalogue) -> None:
        """Puts names of the catalogue into the condition's JSON Schema, where an editor can offer them."""

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

    def to_column(self, frame: DataFrame, catalogue: Catalogue, clock: Clock, **options: Any) -> Column:
        """Whether the condition holds, as a Column on a frame of features; see `segment_lib.to_column`."""
        from segment_lib.to_column import to_column

        return to_column(self, frame, catalogue, clock, **options)

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
        raise PydanticCustomError("condition", "a condition is a mapping such as {customer: country, is: DE}")
    kinds = [key for key in value if key in REGISTRY]
    if len(kinds) == 1:
        return kinds[0]
    if kinds:
        raise PydanticCustomError(
            "condition", "{message}",
            {"message": f"two conditions at one level: {', '.join(kinds)}; put them into all: [...] or any: [...]"},
        )
    raise PydanticCustomError("condition", "{message}", {"message": _unnamed(value)})


def _unnamed(value: Mapping[Any, Any]) -> str:
    """What is wrong with a mapping that names no condition: the key that is most likely meant to."""
    if not value:
        return "an empty condition; write one, such as {customer: country, is: DE}"
    further = {info.alias or name for condition in REGISTRY.values() for name, info in condition.model_fields.items()}
    unknown = [str(key) for key in value if key not in further]
    if not unknown:
        keys = ", ".join(map(repr, value))
        return f"only {keys} here, which names no condition; add the key that does, such as did: any"
    hints = {key: nearest(key.lower(), REGISTRY) for key in unknown}
    key = next((key for key, hint in hints.items() if hint.startswith("did you mean")), unknown[0])
    return f"no condition is named {key!r}; {hints[key]}"


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
