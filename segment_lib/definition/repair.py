"""A definition with faults of form, without them: so that the names in the rest of it can be checked as well.

A key that does not exist is left out, and a condition that cannot be read is replaced by one that says nothing. What is
repaired is never run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from segment_lib.definition.faults import faults_of
from segment_lib.definition.places import CONJUNCTIONS
from segment_lib.definition.segment import Segment
from segment_lib.language.scope import Fault
from segment_lib.strict_yaml import Path

#: Stands for a condition that cannot be read; it names nothing that could be unknown.
_NOTHING = {"split": {"salt": "-", "from": 0, "to": 1}}
#: A repair may bring faults to light that were hidden; after so many rounds the rest is left unchecked.
_ROUNDS = 4


@dataclass(frozen=True)
class Repaired:
    """A readable definition; `touched` are the conditions in which something was left out."""

    segment: Segment
    touched: frozenset[Path]

    def told(self, faults: Iterable[Fault], before: Iterable[Fault]) -> list[Fault]:
        """Of the `faults` of the repaired definition those that the file has as well, and not told `before`.

        Where something was left out, only unknown names are: anything else may follow from what is not there.
        """
        places = [fault.path for fault in before]
        return [
            fault for fault in faults
            if fault.severity == "error"
            and not any(fault.path[: len(place)] == place for place in places if place)
            and (fault.code.startswith("unknown_") or not any(fault.path[: len(part)] == part for part in self.touched))
        ]


def repair(raw: Mapping[str, Any], segment_id: str, faults: Iterable[Fault]) -> Repaired | None:
    """The definition without what is faulty; None when nothing readable is left."""
    plain: Any = dict(raw)
    touched: set[Path] = set()
    for _ in range(_ROUNDS):
        for fault in faults:
            plain = _without(plain, fault, touched)
        try:
            return Repaired(Segment.model_validate({**plain, "id": segment_id}), frozenset(touched))
        except ValidationError as error:
            # What comes to light now may follow from the repair, so the condition around it goes as a whole.
            faults = [Fault(fault.path, fault.message) for fault in faults_of(error, plain, Segment)]
    return None


def _without(plain: Any, fault: Fault, touched: set[Path]) -> Any:
    """The definition without one fault; the condition around what is left out is added to `touched`."""
    condition = _condition_around(plain, fault.path)
    if condition is None:
        kept = {key: part for key, part in plain.items() if fault.path[:1] != (key,)}
        return kept if "where" in kept else kept | {"where": _NOTHING}
    if fault.code == "unknown_key" and len(fault.path) > len(condition):
        touched.add(condition)
        return _replaced(plain, fault.path, None)
    return _replaced(plain, condition, _NOTHING)


def _condition_around(plain: Any, path: Path) -> Path | None:
    """The path of the innermost condition that `path` lies in."""
    if path[:1] != ("where",):
        return None
    end = 1
    while len(path) > end:
        if path[end] == "not":
            end += 1
        elif path[end] in CONJUNCTIONS and len(path) > end + 1:
            end += 2
        else:
            break
    return path[:end]


def _replaced(plain: Any, path: Path, value: Any) -> Any:
    """`plain` with `value` at `path`; with None the key there is left out. What is not there is left as it is."""
    key, rest = path[0], path[1:]
    if isinstance(plain, list) and isinstance(key, int) and key < len(plain):
        return [_replaced_part(part, rest, value) if i == key else part for i, part in enumerate(plain)]
    if not isinstance(plain, Mapping) or key not in plain:
        return plain
    if not rest and value is None:
        return {name: part for name, part in plain.items() if name != key}
    return {name: _replaced_part(part, rest, value) if name == key else part for name, part in plain.items()}


def _replaced_part(part: Any, rest: Path, value: Any) -> Any:
    return _replaced(part, rest, value) if rest else value
