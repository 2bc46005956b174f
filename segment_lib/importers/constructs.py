"""What a source's definitions consist of: each construct with what translates it, or why nothing here is its equal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from segment_lib.errors import nearest
from segment_lib.importers.document import Spot

Handler = TypeVar("Handler", bound=Callable[..., Any])


class Constructs:
    """The registry of one source: docs/import.md has a row for each of its entries, and a test holds it to that."""

    def __init__(self) -> None:
        self.handlers: dict[str, Callable[..., Any]] = {}
        self.refused: dict[str, str] = {}

    def translates(self, *names: str) -> Callable[[Handler], Handler]:
        """Registers a function as the translation of constructs."""

        def register(handler: Handler) -> Handler:
            self.handlers.update(dict.fromkeys(names, handler))
            return handler

        return register

    def refuses(self, whys: Mapping[str, str]) -> None:
        """Registers constructs that have no equal here, each with the reason."""
        self.refused.update(whys)

    def names(self) -> frozenset[str]:
        """Every construct that is known."""
        return frozenset(self.handlers) | frozenset(self.refused)

    def find(self, name: str, spot: Spot, what: str) -> Callable[..., Any] | None:
        """What translates a construct; None, with the reason noted, when nothing does."""
        if name in self.handlers:
            return self.handlers[name]
        if name in self.refused:
            spot.refuse(f"{name}: {self.refused[name]}")
        else:
            spot.refuse(f"unknown {what} {name!r}; {nearest(name, self.names())}")
        return None
