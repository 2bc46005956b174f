"""The templates of messages: Jinja in a sandbox, which sees the values that it is given and nothing else.

A value that is not known is written as nothing; ``{{ first_name or "you" }}`` says what to write instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from jinja2 import StrictUndefined, TemplateError, meta, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment, SecurityError

#: Properties whose values are HTML: what is put into them is escaped.
HTML = ("html",)
_LOADING = (nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)


class RenderError(Exception):
    """A template that a customer's values do not fit; says nothing of them."""


@cache
def _environment(html: bool) -> ImmutableSandboxedEnvironment:
    made = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined, autoescape=html, finalize=lambda value: "" if value is None else value
    )
    made.globals.clear()
    return made


def names_in(text: str) -> frozenset[str]:
    """The values that a template asks for; ValueError when it is none, with the line of the fault.

    >>> sorted(names_in("{{ first_name or 'you' }}, since {{ day }}"))
    ['day', 'first_name']
    """
    try:
        tree = _environment(False).parse(text)
        if next(tree.find_all(_LOADING), None) is not None:
            raise ValueError("a template stands for itself: it cannot include or extend another")
        # Filters and tests are only looked up when code is made.
        _environment(False).from_string(text)
    except TemplateError as error:
        line = getattr(error, "lineno", None)
        raise ValueError(f"no template: {error.message}" + (f" (line {line})" if line else "")) from None
    return frozenset(meta.find_undeclared_variables(tree))


@cache
def _compiled(text: str, html: bool):
    return _environment(html).from_string(text)


def render(message: Mapping[str, str], values: Mapping[str, Any]) -> dict[str, str]:
    """Each property of a message with the values put in; RenderError when they do not fit.

    >>> render({"text": "Hello {{ first_name or 'you' }}", "html": "<p>{{ first_name }}"}, {"first_name": "<b>"})
    {'text': 'Hello <b>', 'html': '<p>&lt;b&gt;'}
    """
    try:
        return {name: _compiled(text, name in HTML).render(values) for name, text in message.items()}
    except (TemplateError, SecurityError, ArithmeticError, TypeError, ValueError, LookupError, AttributeError) as error:
        raise RenderError(type(error).__name__) from None
