"""Definitions built in Python: one function per condition, with the keys of the file as keyword arguments.

The functions come from the registry, so a new condition type has one by itself; `help(ordered)` names its keys. Equal
definitions are equal objects, wherever they come from. Where a key is a word of Python, add an underscore.

>>> from segment_lib.build import all_of, customer, ordered, segment
>>> loyal = segment(
...     "loyal", name="Loyal",
...     where=all_of(customer("country", in_=["DE", "AT"]), ordered("any", within="365d", count={"at_least": 3})),
... )
>>> loyal.label()
'(country in DE, AT and ordered any within 365d, count at least 3)'
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from keyword import iskeyword
from typing import Any

from segment_lib.conditions import REGISTRY, Condition
from segment_lib.definition.faults import validated
from segment_lib.definition.segment import Segment


def segment(segment_id: str, **options: Any) -> Segment:
    """A segment; `options` are the keys of its file. Raises ConfError with every fault."""
    return validated(Segment, {"id": segment_id, **options}, segment_id)


def _builder(condition: type[Condition]) -> Callable[..., Condition]:
    """The function that makes conditions of one type. Raises ConfError with every fault."""

    def build(*values: Any, **options: Any) -> Condition:
        raw = condition.from_python(*values, **options)
        return validated(condition, {key.removesuffix("_"): part for key, part in raw.items()}, condition.key)

    build.__name__ = build.__qualname__ = condition.python_name or _python(condition.key)
    build.__doc__ = inspect.cleandoc(condition.__doc__ or "").partition("\n")[0]
    signature = inspect.Signature(list(_parameters(condition)), return_annotation="Condition")
    build.__signature__ = signature  # type: ignore[attr-defined]
    return build


def _parameters(condition: type[Condition]) -> Iterator[inspect.Parameter]:
    """Those that the condition says, with its further keys in the place of its options."""
    for parameter in inspect.signature(condition.from_python).parameters.values():
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD:
            yield parameter
            continue
        for name, info in condition.model_fields.items():
            key = info.alias or name
            if key != condition.key:
                default = inspect.Parameter.empty if info.is_required() else ...
                yield inspect.Parameter(_python(key), inspect.Parameter.KEYWORD_ONLY, default=default)


def _python(key: str) -> str:
    """A key as a name of Python.

    >>> _python("is"), _python("within")
    ('is_', 'within')
    """
    return f"{key}_" if iskeyword(key) else key


_BUILDERS = {build.__name__: build for build in map(_builder, REGISTRY.values())}
globals().update(_BUILDERS)
__all__ = ["segment", *sorted(_BUILDERS)]
