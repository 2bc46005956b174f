"""Formulas: a boolean written as SQL, read into a typed tree of allowed parts. Nothing of the text reaches Spark.

The text is parsed by sqlglot; what is not on the lists below is refused by name and place. Values keep SQL's three-valued
logic inside a formula, and a formula that is null is false, like any comparison with something missing. Arithmetic is in
double precision, so it never fails; a division by zero is null. Columns compared as they are compare exactly. Year, month
and day of a timestamp are those of its local day.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from segment_lib import core
from segment_lib.catalogue import Type
from segment_lib.errors import nearest
from segment_lib.language.scope import Scope

if TYPE_CHECKING:
    from sqlglot import exp

MAX_LENGTH = 2_000

_BOOLEAN, _NUMBER, _TEXT, _TIME = "true or false", "a number", "text", "a date or time"
#: Name in the tree -> (what the arguments are, the type of the result); one family for all arguments, or any of them.
_FUNCTIONS: dict[str, tuple[str, Type]] = {
    "And": (_BOOLEAN, Type.BOOLEAN), "Or": (_BOOLEAN, Type.BOOLEAN), "Not": (_BOOLEAN, Type.BOOLEAN),
    "Add": (_NUMBER, Type.DECIMAL), "Sub": (_NUMBER, Type.DECIMAL), "Mul": (_NUMBER, Type.DECIMAL),
    "Div": (_NUMBER, Type.DECIMAL), "Mod": (_NUMBER, Type.DECIMAL), "Neg": (_NUMBER, Type.DECIMAL),
    "Abs": (_NUMBER, Type.DECIMAL), "Floor": (_NUMBER, Type.DECIMAL), "Ceil": (_NUMBER, Type.DECIMAL),
    "Lower": (_TEXT, Type.TEXT), "Upper": (_TEXT, Type.TEXT), "Trim": (_TEXT, Type.TEXT),
    "Length": (_TEXT, Type.INTEGER), "DPipe": (_TEXT, Type.TEXT), "Like": (_TEXT, Type.BOOLEAN),
    "Year": (_TIME, Type.INTEGER), "Month": (_TIME, Type.INTEGER), "Day": (_TIME, Type.INTEGER),
}
#: Arguments of one family, whichever; the result is of that family, or a boolean.
_ALIKE = {
    "EQ": Type.BOOLEAN, "NEQ": Type.BOOLEAN, "LT": Type.BOOLEAN, "LTE": Type.BOOLEAN, "GT": Type.BOOLEAN,
    "GTE": Type.BOOLEAN, "Between": Type.BOOLEAN, "In": Type.BOOLEAN, "Coalesce": None, "Nullif": None,
}
_PARTS: dict[str, Callable[[Any], list[Any]]] = {
    "Between": lambda node: [node.this, node.args["low"], node.args["high"]],
    "In": lambda node: [node.this, *node.expressions],
    "Coalesce": lambda node: [node.this, *node.expressions],
}
#: How people write what the parser has another name for; the others are written as they are called.
_OPERATORS = {
    "EQ": "=", "NEQ": "<>", "LT": "<", "LTE": "<=", "GT": ">", "GTE": ">=", "Add": "+", "Sub": "-", "Neg": "-",
    "Mul": "*", "Div": "/", "Mod": "%", "DPipe": "||",
}
#: What people may write, for messages.
ALLOWED = (
    "and or not = <> < <= > >= between in is null like + - * / % || case abs ceil coalesce day floor length lower month "
    "nullif trim upper year"
)


def read(text: str, values: Mapping[str, core.Value], scope: Scope) -> core.Value | None:
    """The formula as a boolean value over `values` by name, or None with the first fault noted in `scope`."""
    if len(text) > MAX_LENGTH:
        scope.fault(f"the formula is {len(text)} characters long", f"at most {MAX_LENGTH}; split it with all or any")
        return None
    try:
        value = _Reader(values, scope).read(_parsed(text))
        _expect(value, _BOOLEAN, "a formula")
    except _Refused as refused:
        if refused.message:
            scope.fault(refused.message, refused.hint)
        return None
    except RecursionError:
        scope.fault("the formula is nested too deep", "split it with all or any")
        return None
    return value


@dataclass
class _Refused(Exception):
    """A part that is not allowed; without a message when its fault is noted already."""

    message: str = ""
    hint: str = ""


def _parsed(text: str) -> exp.Expression:
    # Only a project that allows formulas pays for the import of the parser.
    import sqlglot
    from sqlglot.errors import SqlglotError

    try:
        return sqlglot.parse_one(text, dialect="spark")
    except SqlglotError as error:
        first = (getattr(error, "errors", None) or [{}])[0]
        place = f" near {first['highlight']!r}, column {first['col']}" if first.get("highlight") else ""
        raise _Refused(f"not a SQL expression{place}", "write a boolean such as: orders > 3 and city like 'B%'") from None


def _spelled(name: str) -> str:
    """An operator or function as a person writes it, from the parser's name for it."""
    return _OPERATORS.get(name, name.lower())


def _family(kind: Type) -> str:
    if kind.is_number:
        return _NUMBER
    if kind.is_time:
        return _TIME
    return {Type.TEXT: _TEXT, Type.BOOLEAN: _BOOLEAN}.get(kind, "a list")


def _expect(value: core.Value, family: str, what: str) -> None:
    if not _is_null(value) and _family(value.type) != family:
        raise _Refused(f"{what} needs {family}, and this is {value.type}")


def _is_null(value: core.Value) -> bool:
    return isinstance(value, core.Constant) and value.value is None


@dataclass(frozen=True)
class _Reader:
    values: Mapping[str, core.Value]
    scope: Scope

    def read(self, node: exp.Expression) -> core.Value:
        """One node of the parsed text, and all below it."""
        name = type(node).__name__
        special = getattr(self, f"_{name.lower()}", None)
        if special is not None:
            return special(node)
        if name not in _FUNCTIONS and name not in _ALIKE:
            raise _Refused(f"{node.sql(dialect='spark')[:40]!r} is not allowed in a formula", f"these are: {ALLOWED}")
        parts = _PARTS[name](node) if name in _PARTS else [
            part for key in ("this", "expression") if (part := node.args.get(key)) is not None
        ]
        extra = [key for key, part in node.args.items() if part and key in ("query", "decimals", "to", "position", "unnest")]
        if extra:
            raise _Refused(f"{node.sql(dialect='spark')[:40]!r} has a form that is not allowed", "use the plain form")
        arguments = tuple(self.read(part) for part in parts)
        if name in _FUNCTIONS:
            family, kind = _FUNCTIONS[name]
            for argument in arguments:
                _expect(argument, family, _spelled(name))
            return core.Call(name.lower(), arguments, kind)
        return self._alike(name, arguments)

    def _alike(self, name: str, arguments: tuple[core.Value, ...], said: str = "") -> core.Value:
        """A function whose arguments must be of one family; text beside a time is read as one.

        `said` is its name in faults where the parser has none for it.
        """
        said = said or _spelled(name)
        known = [argument for argument in arguments if not _is_null(argument)]
        times = [argument for argument in known if argument.type.is_time]
        if times:
            arguments = tuple(self._as_time(argument, times[0].type) for argument in arguments)
            known = [argument for argument in arguments if not _is_null(argument)]
        families = {_family(argument.type) for argument in known}
        if len(families) > 1 or "a list" in families:
            raise _Refused(f"{said} of {' and '.join(sorted(families))}", "both sides are of one kind")
        kinds = {argument.type for argument in known}
        common = Type.DECIMAL if kinds == {Type.INTEGER, Type.DECIMAL} else next(iter(kinds), Type.BOOLEAN)
        if kinds == {Type.DATE, Type.TIMESTAMP}:
            raise _Refused(f"{said} of a date and a time", "compare dates with dates, times with times")
        return core.Call(name.lower(), arguments, _ALIKE[name] or common)

    def _as_time(self, value: core.Value, kind: Type) -> core.Value:
        if isinstance(value, core.Constant) and isinstance(value.value, str):
            literal = self.scope.literal(value.value, kind)
            if literal is None:
                raise _Refused
            if kind is Type.TIMESTAMP and type(literal) is date:
                literal = self.scope.clock.start_of(literal)
            return core.Constant(literal, kind)
        return value

    def _paren(self, node: Any) -> core.Value:
        return self.read(node.this)

    def _column(self, node: Any) -> core.Value:
        name = node.name
        if len(node.parts) > 1 or name not in self.values:
            raise _Refused(f"unknown name {node.sql(dialect='spark')!r}", nearest(name, self.values))
        return self.values[name]

    def _literal(self, node: Any) -> core.Value:
        if node.is_string:
            return core.Constant(node.this, Type.TEXT)
        literal = self.scope.literal(node.this, Type.DECIMAL)
        if literal is None:
            raise _Refused
        return core.Constant(literal, Type.INTEGER if isinstance(literal, int) else Type.DECIMAL)

    def _boolean(self, node: Any) -> core.Value:
        return core.Constant(bool(node.this), Type.BOOLEAN)

    def _null(self, node: Any) -> core.Value:
        return core.Constant(None, Type.BOOLEAN)

    def _is(self, node: Any) -> core.Value:
        """``is null``, ``is true``, ``is false``: the forms that are never null."""
        value, other = self.read(node.this), self.read(node.expression)
        if _is_null(other):
            return core.Call("isnull", (value,), Type.BOOLEAN)
        _expect(value, _BOOLEAN, "is")
        equal = core.Call("eq", (value, other), Type.BOOLEAN)
        return core.Call("coalesce", (equal, core.Constant(False, Type.BOOLEAN)), Type.BOOLEAN)

    def _cast(self, node: Any) -> core.Value:
        if str(node.to).upper() == "DATE" and type(node.this).__name__ == "Literal":
            return self._as_time(self.read(node.this), Type.DATE)
        raise _Refused("casts are not allowed in a formula", "a date is written DATE '2026-03-29'")

    def _tsordstodate(self, node: Any) -> core.Value:
        # The parser wraps the argument of year, month and day.
        return self.read(node.this)

    def _case(self, node: Any) -> core.Value:
        if node.args.get("this") is not None:
            raise _Refused("case takes conditions only", "write: case when x = 1 then ... end")
        tests = [self.read(branch.this) for branch in node.args["ifs"]]
        for test in tests:
            _expect(test, _BOOLEAN, "case when")
        default = node.args.get("default")
        results = [self.read(branch.args["true"]) for branch in node.args["ifs"]]
        results.append(self.read(default) if default is not None else core.Constant(None, Type.BOOLEAN))
        alike = self._alike("Coalesce", tuple(results), "case")
        assert isinstance(alike, core.Call)
        pairs = [part for pair in zip(tests, alike.args, strict=False) for part in pair]
        return core.Call("case", (*pairs, alike.args[-1]), alike.type)
