"""A translated segment as the text of our file, with the differences that remain as comments."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

from segment_lib.importers.document import Finding
from segment_lib.yaml_text import yaml_text

_WIDTH = 100


def write(definition: Mapping[str, Any], notes: Iterable[Finding]) -> str:
    """The file of a definition.

    >>> definition = {"name": "Austria", "where": {"customer": "country", "in": ["AT", "1"]}}
    >>> print(write(definition, [Finding("$", "differs")]))
    # What differs from the source:
    # - $: differs
    name: Austria
    where:
      customer: country
      in: [AT, "1"]
    <BLANKLINE>
    """
    comments = [line for note in notes for line in _comment(str(note))]
    head = ["# What differs from the source:", *comments] if comments else []
    return "\n".join([*head, yaml_text(definition)])


def _comment(text: str) -> list[str]:
    """Text as an item of a comment, over as many lines as it needs."""
    printable = "".join(char if char.isprintable() else " " for char in text)
    indents = {"initial_indent": "# - ", "subsequent_indent": "#   "}
    return textwrap.wrap(printable, _WIDTH, break_long_words=False, break_on_hyphens=False, **indents)
