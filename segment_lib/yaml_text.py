"""Definitions as the text of a file, which `strict_yaml` reads back unchanged."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import yaml

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


def yaml_text(definition: Mapping[str, Any]) -> str:
    """The text of a definition, given as plain data.

    >>> print(yaml_text({"name": "Austria", "where": {"customer": "country", "in": ["AT", "1"]}}))
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
    return yaml.serialize(root, Dumper=_Dumper, allow_unicode=True, width=_WIDTH, indent=2)


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
