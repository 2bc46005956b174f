"""The grammar of Twilio Segment's query language: from text to calls, comparisons and junctions, with positions.

Written after the public reference of the language. ``AND`` binds closer than ``OR``; ``= != > >= < <=`` are other
spellings of the comparators equals, differs, greater_than, at_least, less_than, at_most.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

SYMBOLS = {
    "==": "equals", "=": "equals", "!=": "differs", ">=": "at_least", ">": "greater_than", "<=": "at_most",
    "<": "less_than",
}
_TOKEN = re.compile(
    r"""(?P<space>\s+)
    |(?P<text>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")
    |(?P<time>\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[-+]\d\d:?\d\d)?)?)
    |(?P<number>-?\d+(?:\.\d+)?)
    |(?P<word>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<symbol>==|!=|>=|<=|[=<>()\[\]{},:.])""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
#: More nesting than the fifty expressions that the language allows could need.
_DEEPEST = 60


class QueryFault(Exception):
    """Text that the grammar does not have, at a position counted from 0."""

    def __init__(self, position: int, message: str):
        super().__init__(message)
        self.position = position


@dataclass(frozen=True)
class Token:
    """A piece of the text."""

    kind: str
    text: str
    position: int


@dataclass(frozen=True)
class Literal:
    """A text, a number, true or false, or a time."""

    value: str | int | Decimal | bool
    position: int
    is_time: bool = False


@dataclass(frozen=True)
class Length:
    """A length of time such as ``7 days``; `unit` is hour or day."""

    number: int
    unit: str
    position: int


@dataclass(frozen=True)
class Call:
    """A function with its arguments; `names` are their prefixes (``parent:``), `kind` what stands after ``as``."""

    name: str
    arguments: tuple[Node, ...]
    position: int
    names: tuple[str, ...] = ()
    kind: str = ""


@dataclass(frozen=True)
class Chain:
    """Calls joined by points: an extractor, filters, a reducer, a comparator."""

    calls: tuple[Call, ...]
    position: int


@dataclass(frozen=True)
class Junction:
    """AND, OR, NOT, ANY or ALL over its parts."""

    name: str
    parts: tuple[Node, ...]
    position: int


Node = Literal | Length | Call | Chain | Junction


def parse_query(text: str) -> Node:
    """The tree of a definition. Raises QueryFault at the first thing that the grammar does not have.

    >>> chain = parse_query("event('Shoes Bought').within(7 days).count() >= 1")
    >>> [call.name for call in chain.calls]
    ['event', 'within', 'count', 'at_least']
    """
    parser = _Parser(tuple(_tokens(text)), len(text))
    node = parser.junction(0)
    if parser.next is not None:
        raise QueryFault(parser.next.position, f"{parser.next.text!r} is not expected here")
    return node


def _tokens(text: str):
    position = 0
    while position < len(text):
        found = _TOKEN.match(text, position)
        if not found:
            raise QueryFault(position, f"{text[position : position + 10]!r} is no part of the language")
        if found.lastgroup != "space":
            yield Token(str(found.lastgroup), found[0], position)
        position = found.end()


class _Parser:
    def __init__(self, tokens: tuple[Token, ...], end: int):
        self.tokens, self.at, self.end = tokens, 0, end

    @property
    def next(self) -> Token | None:
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def take(self, *texts: str) -> Token | None:
        """The next token when it is one of these, which is then passed."""
        token = self.next
        if token and token.kind in ("symbol", "word") and (token.text in texts or token.text.upper() in texts):
            self.at += 1
            return token
        return None

    def need(self, text: str) -> Token:
        token = self.take(text)
        if token is None:
            raise self.fault(f"{text!r} is expected here")
        return token

    def fault(self, message: str) -> QueryFault:
        found = f", not {self.next.text!r}" if self.next else ", where the query ends"
        return QueryFault(self.next.position if self.next else self.end, message + found)

    def junction(self, depth: int, name: str = "OR") -> Node:
        """Parts joined by OR, each of parts joined by AND."""
        if depth > _DEEPEST:
            raise self.fault("the query is nested too deeply")
        below = (lambda: self.junction(depth, "AND")) if name == "OR" else (lambda: self.unary(depth))
        parts = [below()]
        while self.take(name):
            parts.append(below())
        return parts[0] if len(parts) == 1 else Junction(name, tuple(parts), parts[0].position)

    def unary(self, depth: int) -> Node:
        if depth > _DEEPEST:
            raise self.fault("the query is nested too deeply")
        for name in ("NOT", "ANY", "ALL"):
            token = self.take(name)
            if token:
                return Junction(name, (self.unary(depth + 1),), token.position)
        return self.comparison(depth)

    def comparison(self, depth: int) -> Node:
        left = self.operand(depth)
        symbol = self.take(*SYMBOLS)
        if symbol is None:
            return left
        if not isinstance(left, Chain):
            raise QueryFault(symbol.position, "only a value can be compared, such as event(...).count()")
        call = Call(SYMBOLS[symbol.text], (self.operand(depth),), symbol.position)
        return Chain((*left.calls, call), left.position)

    def operand(self, depth: int) -> Node:
        """A value: in brackets, a chain of calls, a literal or a length of time."""
        token = self.take("(", "{")
        if token:
            inner = self.junction(depth + 1)
            self.need(")" if token.text == "(" else "}")
            return self.chained(inner, depth)
        token = self.next
        if token is None or token.kind == "symbol" or token.text.upper() in ("AND", "OR"):
            raise self.fault("a value is expected here")
        self.at += 1
        if token.kind == "text":
            return Literal(_ESCAPE.sub(r"\1", token.text[1:-1]), token.position)
        if token.kind == "time":
            return Literal(token.text, token.position, is_time=True)
        if token.kind == "number":
            return self.number(token)
        if token.text.lower() in ("true", "false"):
            return Literal(token.text.lower() == "true", token.position)
        return self.chained(Chain((self.call(token, depth),), token.position), depth)

    def number(self, token: Token) -> Node:
        unit = self.next
        if len(token.text) > 30:
            raise QueryFault(token.position, "this number has too many digits")
        value = Decimal(token.text) if "." in token.text else int(token.text)
        if unit and unit.kind == "word" and unit.text.lower().rstrip("s") in ("hour", "day", "second"):
            self.at += 1
            if not isinstance(value, int) or not 0 <= value <= 999_999:
                raise QueryFault(token.position, "a length of time is a whole number up to 999999")
            return Length(value, unit.text.lower().rstrip("s"), token.position)
        return Literal(value, token.position)

    def chained(self, left: Node, depth: int) -> Node:
        while self.take("."):
            word = self.next
            if word is None or word.kind != "word":
                raise self.fault("a function is expected after the point")
            if not isinstance(left, Chain):
                raise QueryFault(word.position, "a function follows a value, such as event(...)")
            self.at += 1
            left = Chain((*left.calls, self.call(word, depth)), left.position)
        return left

    def call(self, word: Token, depth: int) -> Call:
        self.need("(")
        braces = self.take("{")
        arguments, names, kind = [], [], ""
        while self.next and not (self.next.kind == "symbol" and self.next.text in ")}"):
            ahead = self.tokens[self.at + 1] if self.at + 1 < len(self.tokens) else None
            named = self.next.kind == "word" and ahead is not None and (ahead.kind, ahead.text) == ("symbol", ":")
            names.append(self.next.text if named else "")
            self.at += 2 if named else 0
            arguments.extend(self.values(depth))
            names.extend([names[-1]] * (len(arguments) - len(names)))
            if self.take("AS"):
                kind = self.next.text.lower() if self.next else ""
                self.at += 1
            if not self.take(","):
                break
        if braces:
            self.need("}")
        self.need(")")
        return Call(word.text.lower(), tuple(arguments), word.position, tuple(names), kind)

    def values(self, depth: int) -> list[Node]:
        """One argument, or those of a list in brackets."""
        if not self.take("["):
            return [self.junction(depth + 1)]
        found = []
        while not self.take("]"):
            found.append(self.junction(depth + 1))
            if not self.take(","):
                self.need("]")
                break
        return found
