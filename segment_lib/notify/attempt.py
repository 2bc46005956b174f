"""What every way of sending shares: a failure that can be told without a secret, and a secret from its reference."""

from __future__ import annotations

from collections.abc import Mapping

from segment_lib.notify_settings import variable


class NotSent(Exception):
    """A message that did not go out.

    The reason is in our own words: what libraries and servers say may quote addresses, logins and secret URLs.
    `temporary` is what another attempt may mend.
    """

    def __init__(self, reason: str, *, temporary: bool = False):
        super().__init__(reason)
        self.reason = reason
        self.temporary = temporary


def resolved(reference: str, environ: Mapping[str, str]) -> str:
    """The secret that a reference names; NotSent when the environment has none.

    >>> resolved("env:TOKEN", {"TOKEN": "x"})
    'x'
    """
    name = variable(reference) or ""
    value = environ.get(name)
    if not value:
        raise NotSent(f"the environment variable {name} is not set")
    return value
