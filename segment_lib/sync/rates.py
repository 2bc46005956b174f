"""How fast requests may be made: so many in any second, so many in any minute, whoever of several threads makes them.

A token that was taken comes back one window later, so in no window, wherever it begins, are more requests than allowed.
(A bucket that fills up steadily lets nearly twice as many through in its first window.)
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Clock:
    """Where time comes from and how it is waited for; tests have one that does not wait."""

    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


@dataclass
class _Bucket:
    tokens: int
    window: float
    taken: deque[float] = field(default_factory=deque)

    def ready(self, now: float) -> float:
        """The earliest time at which a token can be had."""
        return now if len(self.taken) < self.tokens else max(now, self.taken[0] + self.window)

    def take(self, at: float) -> None:
        if len(self.taken) == self.tokens:
            self.taken.popleft()
        self.taken.append(at)


class Rate:
    """The burst (requests a second) and the steady rate (requests a minute) of one platform; None is without bound.

    Rates below one are one request in so many seconds: 0.5 a second is one in two.
    """

    def __init__(self, per_second: float | None, per_minute: float | None, clock: Clock = Clock()):
        self._clock = clock
        self._lock = threading.Lock()
        self._free = 0.0
        self._buckets = [
            _Bucket(int(rate), window) if rate >= 1 else _Bucket(1, window / rate)
            for rate, window in ((per_second, 1.0), (per_minute, 60.0)) if rate
        ]

    def acquire(self) -> None:
        """Waits until a request may be made, and counts it."""
        with self._lock:
            now = self._clock.monotonic()
            at = max([now, self._free, *(bucket.ready(now) for bucket in self._buckets)])
            self._free = at  # in the order of asking
            for bucket in self._buckets:
                bucket.take(at)
        if at > now:
            self._clock.sleep(at - now)

    def pause(self, seconds: float) -> None:
        """Nobody makes a request for so long: the platform said that it is busy."""
        with self._lock:
            self._free = max(self._free, self._clock.monotonic() + seconds)
