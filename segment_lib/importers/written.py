"""A translated segment as the text of our file, with the differences that remain as comments."""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

import yaml

from segment_lib.importers.document import Finding

_WIDTH = 100
_BLOCKS = ("all", "any", "none", "sequence")


class _Dumper(yaml.SafeDumper):
    """Writes what `strict_yaml` reads back unchanged: text is quoted exactly where that reader would see more in it."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def choose_scalar_style(self) -> str:
        style = super().choose_scalar_style()
        return '"' if style == "'" else style

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


#: How the strict reader sees plain text that is more than text; PyYAML matches from the start only, hence the \Z.
_READ_AS = {
    "bool": (r"true|false", "tf"),
    "null": (r"~|null|", "~n"),
    "int": (r"[-+]?[0-9]+", "-+0123456789"),
    "float": (r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+.0123456789"),
}
for _kind, (_pattern, _starts) in _READ_AS.items():
    _Dumper.add_implicit_resolver(f"tag:yaml.org,2002:{_kind}", re.compile(rf"(?:{_pattern})\Z"), [*_starts, ""])
_Dumper.add_representer(
    Decimal, lambda dumper, value: dumper.represent_scalar("tag:yaml.org,2002:float", format(value, "f"))
)
_Dumper.add_multi_representer(dict, yaml.SafeDumper.represent_dict)


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
    root = _Dumper(io.StringIO(), sort_keys=False).represent_data(dict(definition))
    for key, value in root.value:
        _lay_out(key.value, value, is_condition=key.value == "where")
    root.flow_style = False
    comments = [line for note in notes for line in _comment(str(note))]
    head = ["# What differs from the source:", *comments] if comments else []
    body = yaml.serialize(root, Dumper=_Dumper, allow_unicode=True, width=_WIDTH, indent=2)
    return "\n".join([*head, body])


def _comment(text: str) -> list[str]:
    """Text as an item of a comment, over as many lines as it needs."""
    printable = "".join(char if char.isprintable() else " " for char in text)
    indents = {"initial_indent": "# - ", "subsequent_indent": "#   "}
    return textwrap.wrap(printable, _WIDTH, break_long_words=False, break_on_hyphens=False, **indents)


def _lay_out(key: str, node: yaml.Node, *, is_condition: bool) -> None:
    """Conditions line by line; what they consist of on one line as long as that is short."""
    if isinstance(node, yaml.ScalarNode):
        return
    if key in _BLOCKS and isinstance(node, yaml.SequenceNode) and is_condition:
        node.flow_style = False
        for item in node.value:
            _lay_out("", item, is_condition=True)
        return
    if is_condition and (key in ("", "where") or not _is_short(node)):
        node.flow_style = False
        for name, value in node.value if isinstance(node, yaml.MappingNode) else ():
            _lay_out(name.value, value, is_condition=name.value in (*_BLOCKS, "not"))
        return
    _flow(node, _is_short(node))


def _is_short(node: yaml.Node) -> bool:
    _flow(node, True)
    return len(yaml.serialize(node, Dumper=_Dumper, allow_unicode=True, width=10_000)) <= _WIDTH - 20


def _flow(node: yaml.Node, flow: bool) -> None:
    if isinstance(node, yaml.ScalarNode):
        return
    node.flow_style = flow
    for part in node.value:
        for child in part if isinstance(part, tuple) else (part,):
            _flow(child, flow)
