"""Definitions built in Python: one function per condition, with the keys of the file as keyword arguments.

Equal definitions are equal objects, wherever they come from. Where a key is a word of Python, add an underscore.

>>> from segment_lib.build import all_of, customer, ordered, segment
>>> loyal = segment(
...     "loyal", name="Loyal",
...     where=all_of(customer("country", in_=["DE", "AT"]), ordered("any", within="365d", count={"at_least": 3})),
... )
>>> loyal.label()
'(country in DE, AT and ordered any within 365d, count at least 3)'
"""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from segment_lib.conditions import REGISTRY, Condition
from segment_lib.definition.faults import faults_of
from segment_lib.definition.segment import Segment
from segment_lib.errors import ConfError, Issue
from segment_lib.strict_yaml import spell


def _condition(key: str, value: Any, options: dict[str, Any]) -> Condition:
    return _validated(REGISTRY[key], {key: value, **_keys(options)}, key)


def _keys(options: dict[str, Any]) -> dict[str, Any]:
    return {name.rstrip("_"): value for name, value in options.items()}


def _validated(model: Any, raw: dict[str, Any], name: str) -> Any:
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        faults = faults_of(error, raw, model)
        raise ConfError(Issue(name, 1, spell(fault.path), fault.message, fault.hint) for fault in faults) from None


def segment(segment_id: str, **options: Any) -> Segment:
    """A segment; `options` are the keys of its file. Raises ConfError with every fault."""
    return _validated(Segment, {"id": segment_id, **options}, segment_id)


def all_of(*conditions: Condition) -> Condition:
    """Every condition holds."""
    return _condition("all", conditions, {})


def any_of(*conditions: Condition) -> Condition:
    """At least one condition holds."""
    return _condition("any", conditions, {})


def none_of(*conditions: Condition) -> Condition:
    """No condition holds."""
    return _condition("none", conditions, {})


def not_(condition: Condition) -> Condition:
    """The exact complement."""
    return _condition("not", condition, {})


def customer(field: str, **options: Any) -> Condition:
    """A field of the customer."""
    return _condition("customer", field, options)


def did(types: Any, **options: Any) -> Condition:
    """Events of a type, of a list of types, or any."""
    return _condition("did", types, options)


def ordered(statuses: Any, **options: Any) -> Condition:
    """Orders of any status, purchases, or a list of statuses."""
    return _condition("ordered", statuses, options)


def visits(**options: Any) -> Condition:
    """Distinct sessions."""
    return _condition("visits", "any", options)


def first_did(types: Any, **options: Any) -> Condition:
    """The first occurrence ever lies in the window."""
    return _condition("first_did", types, options)


def stopped(types: Any, **options: Any) -> Condition:
    """Some before, none lately."""
    return _condition("stopped", types, options)


def restarted(types: Any, **options: Any) -> Condition:
    """Again after a gap."""
    return _condition("restarted", types, options)


def regularly(types: Any, **options: Any) -> Condition:
    """In enough of the last periods."""
    return _condition("regularly", types, options)


def sequence(*steps: Any, **options: Any) -> Condition:
    """Steps in order of time."""
    return _condition("sequence", steps, options)


def value(of: Any, **options: Any) -> Condition:
    """An aggregate, ratio or score against a literal, another value or a field."""
    return _condition("value", of, options)


def score(name: str, **options: Any) -> Condition:
    """A published score."""
    return _condition("score", name, options)


def in_segment(segment_id: str, **options: Any) -> Condition:
    """Member of another segment."""
    return _condition("segment", segment_id, options)


def on_list(list_id: str, **options: Any) -> Condition:
    """In a static list."""
    return _condition("list", list_id, options)


def consent(channel: str, **options: Any) -> Condition:
    """Permission to use a channel."""
    return _condition("consent", channel, options)


def split(salt: str, start: int, end: int) -> Condition:
    """Buckets ``[start, end)`` of 100."""
    return _condition("split", {"salt": salt, "from": start, "to": end}, {})


def did_not(types: Any, **options: Any) -> Condition:
    """No such event."""
    return _condition("did_not", types, options)
