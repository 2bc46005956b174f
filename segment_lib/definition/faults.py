"""Validation errors of pydantic as faults in a person's words, at the place where the file has them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, Tag, ValidationError

from segment_lib.errors import ConfError, Issue, nearest
from segment_lib.language.comparison import Comparison
from segment_lib.language.model import Model, kind_of_value, quoted, tag
from segment_lib.language.scope import Fault
from segment_lib.strict_yaml import Path, spell

#: What is needed, by pydantic's name for what is not.
_NEEDED = {
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "string_type": "text",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "greater_than_equal": "{ge} or more",
    "greater_than": "more than {gt}",
    "less_than_equal": "{le} or less",
    "less_than": "less than {lt}",
}


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
    details = error.errors(include_url=False)
    missing = _missing(details, raw, model)
    faults: dict[Path, Fault] = {}
    for detail in details:
        path = _path((*detail["loc"], *detail.get("ctx", {}).get("path", ())), raw)
        # A list that lost its faulty items looks too short; a union reports every choice. The first fault is the one.
        deeper = (other for other in faults if len(other) > len(path) and other[: len(path)] == path)
        if detail["type"] == "too_short" and any(deeper):
            continue
        if detail["type"] == "no_value":
            for key in detail["ctx"]["keys"]:
                place = _path((*detail["loc"], key), raw)
                faults.setdefault(place, Fault(place, *_no_value((*detail["loc"], key), place, model)))
        elif detail["type"] != "missing":
            code = "unknown_key" if detail["type"] == "extra_forbidden" else ""
            faults.setdefault(path, Fault(path, *_words(detail, model), code=code))
        elif missing[path]:
            faults.setdefault(path, Fault(path, *_without(missing[path], detail["input"])))
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


def _missing(details: Iterable[Any], raw: Any, model: type[BaseModel]) -> dict[Path, list[str | int]]:
    """The keys, or the places of a list, that are not there, by what lacks them; without those only misspelt."""
    missing: dict[Path, list[str | int]] = {}
    for detail in details:
        if detail["type"] == "missing":
            missing.setdefault(_path(detail["loc"], raw), []).append(detail["loc"][-1])
    for detail in details:
        if detail["type"] == "extra_forbidden":
            lacking = missing.get(_path(detail["loc"], raw)[:-1], [])
            lacking[:] = [key for key in lacking if _words(detail, model)[1] != nearest(str(key), [str(key)])]
    return missing


def _without(missing: Sequence[str | int], value: Any) -> tuple[str, str]:
    if isinstance(missing[-1], int):
        return f"a list of {missing[-1] + 1} is needed here, not of {len(value)}", ""
    *others, last = [repr(name) for name in missing]
    return f"missing keys {', '.join(others)} and {last}" if others else f"missing key {last}", ""


def _no_value(location: Sequence[str | int], path: Path, model: type[BaseModel]) -> tuple[str, str]:
    key = location[-1]
    owner = next(iter(_models_at(location[:-1], model)), None)
    fields = {info.alias or name: info for name, info in owner.model_fields.items()} if owner else {}
    if owner and issubclass(owner, Comparison) and key in _keys(Comparison):
        hint = "write one or leave the key out (known: false asks for missing)"
    else:
        hint = "write one" if key in fields and fields[key].is_required() else "write one or leave the key out"
    return f"{path[-1] if path else key!r} has no value", hint


def _words(detail: Any, model: type[BaseModel]) -> tuple[str, str]:
    kind, value, context = detail["type"], detail["input"], detail.get("ctx", {})
    if kind == "extra_forbidden":
        *around, key = detail["loc"]
        keys = [name for part in _models_at(around, model) for name in _keys(part)]
        # An operator is no slip of another one, which may mean the opposite.
        return f"unknown key {key!r}", nearest("" if key in _keys(Comparison) else str(key), keys)
    if kind == "value_error":
        return str(context["error"]), ""
    if kind in ("condition", "misplaced"):
        return detail["msg"], ""
    if kind == "literal_error":
        return f"{quoted(value)} is not possible here", f"write {context['expected']}"
    if kind == "too_short":
        return _too_short(value, context["min_length"])
    if kind == "too_long":
        return f"at most {context['max_length']} entries are possible here, not {len(value)}", ""
    if kind in ("model_type", "model_attributes_type"):
        part = next((part for part in _models_at(detail["loc"], model) if issubclass(part, Model)), Model)
        return f"{part.wanted} is needed here, not {kind_of_value(value)}", part.example and f"write {part.example}"
    if kind in _NEEDED:
        return f"{_NEEDED[kind].format(**context)} is needed here, not {kind_of_value(value)}", ""
    return detail["msg"][:1].lower() + detail["msg"][1:], ""


def _too_short(value: Any, least: int) -> tuple[str, str]:
    if isinstance(value, str):
        return "empty text", "write at least one character"
    entries = "one entry" if least == 1 else f"{least} entries"
    if value:
        return f"a list of {len(value)} is too short", f"write at least {entries}"
    return f"an empty {'mapping' if isinstance(value, Mapping) else 'list'}", f"write at least {entries}"


# What pydantic looked for at a place ---------------------------------------------------------------------------------


def _models_at(location: Sequence[str | int], model: type[BaseModel]) -> list[type[BaseModel]]:
    """The models whose keys may stand at pydantic's `location` in a `model`."""
    kinds: list[Any] = [model]
    for part in location:
        kinds = [inner for kind in kinds for inner in _inside(kind, part)] or kinds
    choices = (choice for kind in kinds for choice in _choices(kind))
    return [choice for choice in choices if isinstance(choice, type) and issubclass(choice, BaseModel)]


def _inside(kind: Any, part: str | int) -> Iterator[Any]:
    """The types of what stands at `part` of a value of type `kind`; of a union, `part` may be the mark of a choice."""
    if str(part).startswith(tag("")):
        yield from _choices(kind, str(part))
        return
    for choice in _choices(kind):
        inner = get_args(choice)
        if isinstance(choice, type) and issubclass(choice, BaseModel):
            yield from (info.annotation for name, info in choice.model_fields.items() if part in (name, info.alias))
        elif get_origin(choice) is tuple and isinstance(part, int):
            yield inner[0] if inner[-1] is ... else inner[min(part, len(inner) - 1)]
        elif get_origin(choice) is dict:
            yield inner[1]


def _choices(kind: Any, mark: str = "") -> Iterator[Any]:
    """The types that a union or an annotated type stands for; with a mark, only those of that mark."""
    if get_origin(kind) in (Union, UnionType):
        for choice in get_args(kind):
            yield from _choices(choice, mark)
    elif get_origin(kind) is Annotated:
        inner, *marks = get_args(kind)
        own = [note.tag for note in marks if isinstance(note, Tag)]
        if not own or not mark or mark in own:
            yield from _choices(inner, "" if mark in own else mark)
    else:
        yield kind


def _keys(model: type[BaseModel]) -> list[str]:
    """The keys that a file may write in a `model`."""
    unwritten = model.unwritten if issubclass(model, Model) else frozenset()
    return [info.alias or name for name, info in model.model_fields.items() if name not in unwritten]
