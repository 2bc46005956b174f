"""Validation errors of pydantic as faults in a person's words, at the place where the file has them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from segment_lib.conditions import REGISTRY
from segment_lib.errors import ConfError, Issue, nearest
from segment_lib.language.comparison import Comparison
from segment_lib.language.model import tag
from segment_lib.language.scope import Fault
from segment_lib.strict_yaml import Path, spell

_WORDS = {
    "bool_type": "true or false is needed here",
    "bool_parsing": "true or false is needed here",
    "int_type": "a whole number is needed here",
    "int_from_float": "a whole number is needed here",
    "string_type": "text is needed here",
    "tuple_type": "a list is needed here",
    "dict_type": "a mapping is needed here",
    "model_type": "a mapping is needed here",
    "model_attributes_type": "a mapping is needed here",
}
#: Keys that stand inside conditions, beside the operators.
_INNER_KEYS = (
    "of", "share", "type", "where", "from", "to", "salt", "percentile", "sum", "same", "any", "all", "none", "did",
    "did_not", "ordered", "after", "within",
)


_Model = TypeVar("_Model", bound=BaseModel)


def validated(model: type[_Model], raw: Any, name: str) -> _Model:
    """`raw` as a `model`; raises ConfError with every fault, at its place in what is called `name`."""
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        raise ConfError(_issues(faults_of(error, raw, model), name)) from None


def refuse(faults: Iterable[Fault], name: str) -> None:
    """Raises ConfError with the errors among `faults`, if any, at their places in what is called `name`."""
    errors = [fault for fault in faults if fault.severity == "error"]
    if errors:
        raise ConfError(_issues(errors, name))


def _issues(faults: Iterable[Fault], name: str) -> list[Issue]:
    return [Issue(name, 1, spell(fault.path), fault.message, fault.hint) for fault in faults]


def faults_of(error: ValidationError, raw: Any, model: type[BaseModel]) -> list[Fault]:
    """Every fault in `error`, once, in the order of the file.

    `raw` is the data that was validated as `model`; places that pydantic adds to its own are left out.
    """
    faults: dict[Path, Fault] = {}
    for detail in error.errors(include_url=False):
        path = _path(detail["loc"], raw)
        code = "unknown_key" if detail["type"] == "extra_forbidden" else ""
        fault = Fault(path, *_words(detail, path, model), code=code)
        # A list that lost its faulty items looks too short; a union reports every choice. The first fault is the one.
        if detail["type"] == "too_short" and any(len(other) > len(path) and other[: len(path)] == path for other in faults):
            continue
        faults.setdefault(path, fault)
    return list(faults.values())


def _path(location: Sequence[str | int], raw: Any) -> Path:
    """The parts of pydantic's place that the data has."""
    path: list[str | int] = []
    for part in location:
        if isinstance(raw, Mapping) and part in raw:
            raw = raw[part]
        elif isinstance(raw, list | tuple) and isinstance(part, int) and part < len(raw):
            raw = raw[part]
        else:
            continue
        path.append(part)
    return tuple(path)


def _words(detail: Any, path: Path, model: type[BaseModel]) -> tuple[str, str]:
    kind, value, context = detail["type"], detail["input"], detail.get("ctx", {})
    if kind == "extra_forbidden":
        key = str(detail["loc"][-1])
        return f"unknown key {key!r}", nearest(key, _keys_at(detail["loc"], model))
    if kind == "missing":
        return f"missing key {str(detail['loc'][-1])!r}", ""
    if kind == "value_error":
        return str(context["error"]), ""
    if kind == "condition":
        return detail["msg"], ""
    if kind == "literal_error":
        return f"{value!r} is not possible here", f"write {context['expected']}"
    if kind == "too_short":
        return "an empty list", "write at least one entry"
    if kind in _WORDS:
        return f"{_WORDS[kind]}, not {value!r}" if not isinstance(value, Mapping | list) else _WORDS[kind], ""
    return detail["msg"][:1].lower() + detail["msg"][1:], ""


def _keys_at(location: Sequence[str | int], model: type[BaseModel]) -> Iterable[str]:
    parent = location[-2] if len(location) > 1 else None
    if parent is None:
        return _aliases(model)
    if str(parent).startswith(tag("")) and str(parent)[1:] in REGISTRY:
        return _aliases(REGISTRY[str(parent)[1:]])
    return (*_aliases(Comparison), *_INNER_KEYS)


def _aliases(model: type[BaseModel]) -> list[str]:
    return [info.alias or name for name, info in model.model_fields.items()]
