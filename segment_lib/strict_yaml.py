"""YAML read strictly: plain data with the line of every key, and every surprise refused.

What differs from a usual YAML 1.1 reader: only ``true`` and ``false`` are booleans (``NO`` is Norway), ``1_000`` and
``2026-01-01`` are text, decimals are exact ``Decimal`` values, a key may stand only once, and tags, anchors and aliases
are faults.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import yaml

from segment_lib.errors import ConfError, Issue

MAX_BYTES = 1_000_000

Path = tuple[str | int, ...]

_INTEGER = re.compile(r"[-+]?[0-9]+")
_DECIMAL = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS = {"": None, "~": None, "null": None, "true": True, "false": False}


@dataclass(frozen=True)
class Document:
    """A file's content as plain data, and where each part of it stands."""

    file: str
    value: Any
    lines: dict[Path, int] = field(repr=False)

    def line(self, path: Path) -> int:
        """The line of the key or item at `path`, or of the nearest part above it that exists."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def issue(self, path: Path, message: str, hint: str = "", severity: str = "error", code: str = "") -> Issue:
        """An issue at `path` of this file."""
        return Issue(self.file, self.line(path), spell(path), message, hint, severity, code)


def spell(path: Path) -> str:
    """A path as a person writes it.

    >>> spell(("where", "all", 1, "customer"))
    'where.all[1].customer'
    """
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


class _AnchorError(Exception):
    """An anchor or an alias, in `line`."""

    def __init__(self, line: int) -> None:
        super().__init__(line)
        self.line = line


class _Loader(yaml.SafeLoader):
    """Refuses anchors and aliases as it comes to them, so that a file is read once and nothing is built of them."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()
        if getattr(event, "anchor", None):
            raise _AnchorError(event.start_mark.line + 1)
        return super().compose_node(parent, index)


def parse(text: str, file: str) -> Document:
    """The document in `text`; `file` is the name that issues carry.

    Raises ConfError with every duplicate key, tag, anchor and unreadable value, or with the one syntax error.

    >>> parse("country: NO\\nspend: 0.30", "vip.yaml").value
    {'country': 'NO', 'spend': Decimal('0.30')}
    """
    if len(text.encode()) > MAX_BYTES:
        raise ConfError([Issue(file, 1, "", f"larger than {MAX_BYTES:,} bytes", "split it into one file a segment")])
    issues: list[Issue] = []
    lines: dict[Path, int] = {}
    try:
        root = yaml.compose(text, Loader=_Loader)
        value = None if root is None else _Reader(file, issues, lines).read(root, ())
    except _AnchorError as error:
        raise ConfError([Issue(file, error.line, "", "anchors and aliases are not allowed", "write it out")]) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = mark.line + 1 if mark else 1
        raise ConfError([Issue(file, where, "", f"not valid YAML: {error.problem or error.context}")]) from None
    except (yaml.YAMLError, RecursionError) as error:
        detail = "nested too deeply" if isinstance(error, RecursionError) else "a character that YAML does not allow"
        raise ConfError([Issue(file, 1, "", f"not valid YAML: {detail}")]) from None
    if issues:
        raise ConfError(issues)
    return Document(file, value, lines)


class _Reader:
    """Turns composed nodes into plain data, noting lines and faults as it goes."""

    def __init__(self, file: str, issues: list[Issue], lines: dict[Path, int]):
        self.file, self.issues, self.lines = file, issues, lines

    def fault(self, node: yaml.Node, path: Path, message: str, hint: str = "") -> None:
        self.issues.append(Issue(self.file, node.start_mark.line + 1, spell(path), message, hint))

    def read(self, node: yaml.Node, path: Path) -> Any:
        self.lines.setdefault(path, node.start_mark.line + 1)
        if node.tag.startswith("!") or node.tag.startswith("tag:yaml.org,2002:python"):
            self.fault(node, path, f"the tag {node.tag.split('2002:')[-1]!r} is not allowed", "write a plain value")
            return None
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.read(child, (*path, i)) for i, child in enumerate(node.value)]
        return self._scalar(node, path)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self.fault(key_node, path, "a key must be a word")
                continue
            key = key_node.value
            here = (*path, key)
            if key in result:
                self.fault(key_node, here, f"key {key!r} stands twice", f"first in line {self.lines[here]}; keep one")
                continue
            self.lines[here] = key_node.start_mark.line + 1
            result[key] = self.read(value_node, here)
        return result

    def _scalar(self, node: yaml.ScalarNode, path: Path) -> Any:
        text = node.value
        if node.style is not None:
            return text
        if text in _WORDS:
            return _WORDS[text]
        if _INTEGER.fullmatch(text):
            return int(text)
        if _DECIMAL.fullmatch(text):
            return Decimal(text)
        return text
