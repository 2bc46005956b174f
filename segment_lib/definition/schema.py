"""The JSON Schema of definition files, so that an editor completes and checks them."""

from __future__ import annotations

from typing import Any

from segment_lib.catalogue import Catalogue
from segment_lib.conditions import REGISTRY
from segment_lib.definition.segment import Segment


def json_schema(catalogue: Catalogue | None = None) -> dict[str, Any]:
    """The schema of one file; with a catalogue, names of fields, event types and lists are completed too."""
    schema = _tidy(Segment.model_json_schema(by_alias=True))
    del schema["properties"]["id"]
    schema["required"] = [name for name in schema.get("required", []) if name != "id"]
    if catalogue is not None:
        _complete(schema["$defs"], catalogue)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "seglake segment"}


def _tidy(part: Any) -> Any:
    """Without null as a choice: a key is written with a value or left out."""
    if isinstance(part, list):
        return [_tidy(item) for item in part]
    if not isinstance(part, dict):
        return part
    part = {key: _tidy(value) for key, value in part.items() if not (key == "default" and value is None)}
    choices = part.get("anyOf")
    if isinstance(choices, list):
        kept = [choice for choice in choices if choice != {"type": "null"}]
        if len(kept) == 1:
            del part["anyOf"]
            return {**kept[0], **part}
        part["anyOf"] = kept
    return part


def _complete(definitions: dict[str, Any], catalogue: Catalogue) -> None:
    definitions["EventType"]["properties"]["type"] = {"enum": sorted(catalogue.event_types)}
    for condition in REGISTRY.values():
        condition.complete(definitions[condition.__name__], catalogue)
