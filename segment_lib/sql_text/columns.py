"""Spark Columns as SQL text that means the same: what `sql_text` writes its statements with.

The text comes from the very tree that a Column is, so it cannot drift from what a night computes. Every name is quoted
and every literal is escaped: nothing of a definition ends its own literal. Spark replaces ``${...}`` anywhere in a
statement, inside of literals too, so no dollar sign is ever written as itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import isfinite
from typing import Any

from pyspark.sql import Column

_INFIX = {
    "=": "=", "==": "=", "<=>": "<=>", "<": "<", "<=": "<=", ">": ">", ">=": ">=", "+": "+", "-": "-", "*": "*",
    "/": "/", "%": "%", "and": "AND", "or": "OR", "&": "&", "|": "|", "div": "DIV", "rlike": "RLIKE", "like": "LIKE",
}
#: Operators whose chains need no brackets inside.
_CHAINS = ("and", "or", "+", "*")
_AFTER = {"isnull": "IS NULL", "isnotnull": "IS NOT NULL"}
#: Functions that make rows: a select without them has other rows.
GENERATORS = frozenset({"explode", "explode_outer", "inline", "posexplode"})
_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")
_ESCAPED = {"\\": "\\\\", "'": "\\'", "\n": "\\n", "\r": "\\r", "\t": "\\t", "$": "\\u0024"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Text:
    """A Column as SQL: its text, the columns that it reads, its name if it has one, and whether it makes rows."""

    sql: str
    reads: frozenset[str]
    name: str | None = None
    generates: bool = False


def quoted(name: str) -> str:
    """A name as an identifier.

    >>> quoted("a`b")
    '`a``b`'
    """
    if "${" in name or not name.isprintable():
        raise ValueError(f"{name!r} cannot be a name in an SQL statement")
    return "`" + name.replace("`", "``") + "`"


def text_literal(value: str) -> str:
    r"""Text as an SQL literal that ends where it should, whatever is in it.

    >>> print(text_literal("it's -- \\ ${x}\n"))
    'it\'s -- \\ \u0024{x}\n'
    """
    return "'" + "".join(_ESCAPED.get(char) or (char if char.isprintable() else _unicode(char)) for char in value) + "'"


def comment(text: str) -> str:
    """Words as one comment line that ends where it should.

    >>> comment("two" + chr(10) + "lines ${x}" + chr(92))
    '-- two lines $ {x}'
    """
    words = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return ("-- " + words.replace("${", "$ {")).rstrip("\\ ")


def rendered(column: Column) -> Text:
    """A Column as SQL text; raises TypeError for a part that has none."""
    node = column._jc.node()
    walk = _Walk()
    name = None
    if _kind(node) == "Alias":
        name, node = node.name().apply(0), node.child()
    elif _kind(node) == "UnresolvedAttribute":
        parts = node.nameParts()
        name = parts.apply(parts.size() - 1)
    return Text(walk.text(node), frozenset(walk.reads), name, walk.generates)


def _kind(node: Any) -> str:
    return node.getClass().getSimpleName()


def _unicode(char: str) -> str:
    units = char.encode("utf-16-be")
    return "".join(f"\\u{units[i:i + 2].hex()}" for i in range(0, len(units), 2))


def _each(sequence: Any) -> list[Any]:
    return [sequence.apply(i) for i in range(sequence.size())]


@dataclass
class _Walk:
    """One walk over the tree of a Column; variables of lambdas are numbered as they come, so equal trees read alike."""

    reads: set[str] = field(default_factory=set)
    variables: dict[str, str] = field(default_factory=dict)
    generates: bool = False

    def text(self, node: Any) -> str:
        kind = _kind(node)
        write = getattr(self, f"_{kind}", None)
        if write is None:
            raise TypeError(f"a part of kind {kind} has no SQL text")
        return write(node)

    def _UnresolvedAttribute(self, node: Any) -> str:
        parts = _each(node.nameParts())
        self.reads.add(parts[0])
        return ".".join(map(quoted, parts))

    def _SqlExpression(self, node: Any) -> str:
        text = node.expression()
        self.reads.update(re.findall(r"\w+", text))
        # A name alone in brackets after WHERE would read as the alias of a table with its columns.
        return quoted(text) if re.fullmatch(r"\w+", text) else f"({text})"

    def _Literal(self, node: Any) -> str:
        value = node.value()
        if value is None:
            return "NULL"
        if isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, str):
            return text_literal(value)
        if isinstance(value, int):
            return _signed(str(value) if abs(value) < 2**31 else f"{value}L")
        if isinstance(value, Decimal):
            return _signed(f"{value:f}BD")
        if isinstance(value, float):
            return _signed(f"{value!r}D".upper()) if isfinite(value) else f"CAST('{value}' AS DOUBLE)"
        kind = _kind(value) if hasattr(value, "getClass") else type(value).__name__
        if kind == "Date":
            return f"DATE'{value.toString()}'"
        if kind == "Timestamp":
            instant = _EPOCH + timedelta(seconds=value.getTime() // 1000, microseconds=value.getNanos() // 1000)
            return f"TIMESTAMP'{instant.replace(tzinfo=None).isoformat(' ')}Z'"
        raise TypeError(f"a literal of kind {kind} has no SQL text")

    def _UnresolvedFunction(self, node: Any) -> str:
        name, arguments = node.functionName(), _each(node.arguments())
        # A function called by name counts as a user's own; of those only operators are written.
        if node.isInternal() or (node.isUserDefinedFunction() and name not in _INFIX):
            raise TypeError(f"the function {name} has no SQL text")
        self.generates |= name in GENERATORS
        if name in _INFIX and len(arguments) == 2:
            return f"({f' {_INFIX[name]} '.join(self._chain(name, arguments))})"
        parts = [self.text(argument) for argument in arguments]
        if name in ("!", "not"):
            return f"(NOT {parts[0]})"
        if name == "negative":
            return f"(- {parts[0]})"
        if name.lower() in _AFTER:
            return f"({parts[0]} {_AFTER[name.lower()]})"
        if name == "in":
            return f"({parts[0]} IN ({', '.join(parts[1:])}))"
        distinct = "DISTINCT " if node.isDistinct() else ""
        return f"{name if _PLAIN.fullmatch(name) else quoted(name)}({distinct}{', '.join(parts)})"

    def _chain(self, name: str, arguments: list[Any]) -> list[str]:
        """The arguments of an operator, with those of the same operator on its left side spread out."""
        left, right = arguments
        if name in _CHAINS and _kind(left) == "UnresolvedFunction" and left.functionName() == name:
            return [*self._chain(name, _each(left.arguments())), self.text(right)]
        return [self.text(left), self.text(right)]

    def _CaseWhenOtherwise(self, node: Any) -> str:
        branches = [f"WHEN {self.text(pair._1())} THEN {self.text(pair._2())}" for pair in _each(node.branches())]
        default = [f"ELSE {self.text(node.otherwise().get())}"] if node.otherwise().isDefined() else []
        return f"CASE {' '.join([*branches, *default])} END"

    def _Cast(self, node: Any) -> str:
        mode = node.evalMode().get().sql() if node.evalMode().isDefined() else ""
        return f"{mode}CAST({self.text(node.child())} AS {node.dataType().sql()})"

    def _Alias(self, node: Any) -> str:
        return f"{self.text(node.child())} AS {quoted(node.name().apply(0))}"

    def _UnresolvedExtractValue(self, node: Any) -> str:
        part = node.extraction()
        if _kind(part) == "Literal" and isinstance(part.value(), str):
            return f"{self.text(node.child())}.{quoted(part.value())}"
        return f"{self.text(node.child())}[{self.text(part)}]"

    def _LambdaFunction(self, node: Any) -> str:
        names = [self._UnresolvedNamedLambdaVariable(variable) for variable in _each(node.arguments())]
        listed = names[0] if len(names) == 1 else f"({', '.join(names)})"
        return f"{listed} -> {self.text(node.function())}"

    def _UnresolvedNamedLambdaVariable(self, node: Any) -> str:
        return self.variables.setdefault(node.name(), f"x{len(self.variables) + 1}")

    def _Window(self, node: Any) -> str:
        spec = node.windowSpec()
        if spec.frame().isDefined():
            raise TypeError("a window with a frame has no SQL text")
        by = [self.text(column) for column in _each(spec.partitionColumns())]
        order = [self.text(column) for column in _each(spec.sortColumns())]
        parts = [f"PARTITION BY {', '.join(by)}"] * bool(by) + [f"ORDER BY {', '.join(order)}"] * bool(order)
        return f"{self.text(node.windowFunction())} OVER ({' '.join(parts)})"

    def _SortOrder(self, node: Any) -> str:
        return f"{self.text(node.child())} {node.sortDirection().sql()} {node.nullOrdering().sql()}"


def _signed(number: str) -> str:
    return f"({number})" if number.startswith("-") else number
