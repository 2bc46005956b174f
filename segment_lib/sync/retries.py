"""The one layer of retries: what is tried again, how often, and how long lies between."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from segment_lib.logs import logger
from segment_lib.sync.contract import DeliveryError
from segment_lib.sync.rates import Clock

_log = logger("sync")
T = TypeVar("T")


@dataclass(frozen=True)
class Patience:
    """How long one attempt may take, how many there are, and how many seconds may lie between two of them."""

    timeout: float = 60.0
    attempts: int = 8
    first_pause: float = 1.0
    longest_pause: float = 300.0


class Temporary(Exception):
    """An attempt that another may mend; `wait` is how long the platform wants to be left alone, None if it did not say.

    The reason is in our own words: those of libraries and platforms may quote addresses, keys and people.
    """

    def __init__(self, reason: str, wait: float | None = None):
        super().__init__(reason)
        self.reason = reason
        self.wait = wait


def tried(platform: str, what: str, work: Callable[[], T], patience: Patience, clock: Clock) -> T:
    """What `work` gives, tried again after each Temporary; DeliveryError when the attempts are used up.

    The pauses double and are drawn at random, so that senders that fail together do not come back together.
    """
    from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

    spread = wait_random_exponential(multiplier=patience.first_pause, max=patience.longest_pause)

    def pause(state) -> float:
        asked = state.outcome.exception().wait
        return spread(state) if asked is None else asked

    def tell(state) -> None:
        reason = state.outcome.exception().reason
        _log.warning(f"{platform}: {what}: {reason}; attempt {state.attempt_number} of {patience.attempts}")

    tries = Retrying(
        stop=stop_after_attempt(patience.attempts), wait=pause, sleep=clock.sleep, before_sleep=tell,
        retry=retry_if_exception_type(Temporary), reraise=True,
    )
    try:
        return tries(work)
    except Temporary as error:
        reason = error.reason
    raise DeliveryError(
        f"{platform}: {what} failed {patience.attempts} times: {reason}; what was accepted before is kept, sync again later"
    )
