"""What can go wrong in a model: wrong input, and a fit whose answer must not be used."""

from __future__ import annotations

from enum import StrEnum

from segment_lib.errors import SeglakeError


class ModelError(SeglakeError):
    """Numbers that a model cannot take: the message says which, why, and what to do."""


class Failure(StrEnum):
    """Why a fit gives no parameters; programs branch on this, people read the message."""

    TOO_LITTLE_DATA = "too little data"
    NOT_FINITE = "not finite"
    NOT_CONVERGED = "not converged"
    BOUNDARY = "boundary"


class FitError(ModelError):
    """A fit that must not be used; `failure` is its kind.

    >>> print(FitError(Failure.BOUNDARY, "BG/NBD: a runs to 0", "nobody seems to leave", "fit a larger group"))
    BG/NBD: a runs to 0. Why: nobody seems to leave. What to do: fit a larger group
    """

    def __init__(self, failure: Failure, what: str, why: str, remedy: str):
        self.failure, self.what, self.why = failure, what, why
        super().__init__(f"{what}. Why: {why}. What to do: {remedy}")

    def of(self, whose: str, remedy: str) -> FitError:
        """The same failure with whose fit it was, and what to do about it there.

        >>> print(FitError(Failure.BOUNDARY, "BG/NBD: a runs to 0", "nobody leaves", "fit more").of("group DE", "wait"))
        group DE: BG/NBD: a runs to 0. Why: nobody leaves. What to do: wait
        """
        return FitError(self.failure, f"{whose}: {self.what}", self.why, remedy)
