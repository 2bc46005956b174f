"""Twilio Segment audiences: the query language that its Public API gives as `definition.query`.

The language is the only published form; what the audience builder keeps inside is not. Segment's "now" is taken to be
our `as_of`.
"""

from __future__ import annotations

from typing import Any

from segment_lib.errors import UsageError
from segment_lib.importers.document import Item, Spot
from segment_lib.importers.names import Lookup
from segment_lib.importers.segment_comparators import COMPARATORS, EXTRACTORS, FILTERS, JUNCTIONS, REDUCERS
from segment_lib.importers.segment_query import QueryFault, parse_query
from segment_lib.importers.segment_translation import Query


def plain_text(text: str, stem: str) -> Any:
    """A file that holds nothing but a query, as an audience of the file's name."""
    return {"name": stem, "key": stem, "definition": {"query": text.strip()}}


def items(root: Spot) -> tuple[list[Item], list[str]]:
    """The audiences of a response of the API (one or many), or of one audience; and warnings about the document."""
    warnings: list[str] = []
    root = root.get("data") if root.has("data") else root
    if root.get("pagination").has("next"):
        warnings.append("the document is one page of several: pagination.next names the next one")
    for key in ("audiences", "audience"):
        root = root.get(key) if root.has(key) else root
    spots = root.each() if isinstance(root.value, list) else [root]
    found = [spot for spot in spots if isinstance(spot.value, dict) and "definition" in spot.value]
    if not found or len(found) < len(spots):
        raise UsageError(
            "not a document of Segment's Public API: audiences have a 'definition' with a 'query', alone, in "
            "'audiences' or in 'data'"
        )
    return [_item(spot) for spot in found], warnings


def _item(spot: Spot) -> Item:
    key, source_id = spot.text("key", ""), spot.text("id", "")
    options = spot.get("options")
    ids = options.get("filterByExternalIds").value
    anonymous = isinstance(ids, list) and "anonymous_id" in ids or options.get("includeAnonymousUsers").value is True
    enabled = spot.value.get("enabled") is not False
    return Item(
        source_id=source_id or key, name=spot.text("name", "") or key, spot=spot, definition=spot.get("definition"),
        suggested=key, aliases=tuple(alias for alias in (key, source_id) if alias),
        description=spot.text("description", ""), created=spot.text("createdAt", ""),
        updated=spot.text("updatedAt", ""),
        # Unless anonymous ids are asked for, Segment considers only profiles that have another one.
        options=({} if anonymous else {"anonymous": False}) | ({} if enabled else {"status": "inactive"}),
    )


def where(item: Item, lookup: Lookup) -> dict:
    """The condition of an audience."""
    spot, definition = item.spot, item.definition
    if not definition.has("query"):
        definition.refuse("there is no query: only the query language of the Public API is published, no other form")
        return {}
    definition.only(["query", "type", "targetEntity"])
    kind = spot.text("audienceType", "") or definition.text("type", "USERS")
    if kind != "USERS":
        spot.refuse(f"an audience of {kind}: only audiences of users have an equal here")
    if definition.text("targetEntity", "profile") != "profile":
        definition.get("targetEntity").refuse("a linked audience of other things than profiles")
    options = spot.get("options")
    if options.value is not None and (
        options.get("includeHistoricalData").value is False or options.has("backfillEventDataDays")
    ):
        options.note("Segment leaves out what happened long before the audience was made; here all events count")
    query = definition.get("query")
    try:
        return Query(query, lookup).condition(parse_query(definition.text("query")))
    except QueryFault as fault:
        query.log.refuse(f"{query.place}: character {fault.position + 1}", str(fault))
        return {}


REGISTRIES = {
    "Extractors": EXTRACTORS, "Filters": FILTERS, "Reducers": REDUCERS, "Comparisons": COMPARATORS,
    "Junctions": JUNCTIONS,
}
