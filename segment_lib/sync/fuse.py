"""The fuse: whether an audience is so unlike what it was that it must not travel before a person has looked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

#: Median absolute deviation -> standard deviation of a normal distribution, and how many of those are usual.
_SIGMA, _USUAL = 1.4826, 4


@dataclass(frozen=True)
class Size:
    """An audience once: who is wanted there, the segment's members, and how many of them cannot be reached.

    Unreachable is who has no identifier or has not agreed.
    """

    wanted: int
    members: int
    unreachable: int

    @property
    def rate(self) -> float:
        """The share of members who cannot be reached; 0 without members."""
        return self.unreachable / self.members if self.members else 0.0


@dataclass(frozen=True)
class Fuse:
    """What is allowed; None switches a test off. `guard` is the change in per cent since the last sync."""

    nights: int = 14
    change: float | None = 0.5
    unreachable: float | None = 0.1
    min_size: int = 0
    guard: int | None = None

    def holds(self, now: Size, earlier: Sequence[Size]) -> str | None:
        """Why the audience is held, None when it may go; `earlier` are the sizes of the syncs that went, oldest first.

        Before there are any, only the least size is looked at. The band around the median is the widest of `change`
        of it and four standard deviations, and holds what went twice, so what has always varied may go on to.

        >>> usual = [Size(100, 110, 5), Size(104, 115, 5), Size(97, 108, 6)]
        >>> Fuse().holds(Size(110, 120, 6), usual), Fuse().holds(Size(30, 120, 6), usual)
        (None, 'its size 30 is outside of 50 to 150, which the last 3 syncs have taught')
        >>> Fuse(change=None).holds(Size(60, 120, 60), usual)
        '50.0% of its members cannot be reached, and 14.5% is the most that the last 3 syncs have taught'
        >>> Fuse(guard=5).holds(Size(110, 120, 6), usual)
        'its size changed from 97 to 110 since the last sync, which is more than the 5% of its guard'
        """
        if now.wanted < self.min_size:
            return f"its size {now.wanted:,} is below the {self.min_size:,} of min_size"
        last = earlier[-self.nights:]
        if not last:
            return None
        taught = f"the last {len(last)} syncs have taught"
        if self.guard is not None and abs(now.wanted - last[-1].wanted) * 100 > self.guard * last[-1].wanted:
            return (
                f"its size changed from {last[-1].wanted:,} to {now.wanted:,} since the last sync, which is more than "
                f"the {self.guard}% of its guard"
            )
        if self.change is not None:
            middle, width = _band([one.wanted for one in last])
            width = max(width, self.change * middle)
            twice = sorted(one.wanted for one in last)[1:-1]
            low = max(0, min([middle - width, *twice]))
            high = max([middle + width, *twice])
            if not low <= now.wanted <= high:
                low, high = round(low), round(high)
                return f"its size {now.wanted:,} is outside of {low:,} to {high:,}, which {taught}"
        if self.unreachable is not None:
            middle, width = _band([one.rate for one in last])
            twice = sorted(one.rate for one in last)[1:-1]
            most = max([middle + max(width, self.unreachable), *twice])
            if now.rate > most:
                return f"{now.rate:.1%} of its members cannot be reached, and {most:.1%} is the most that {taught}"
        return None


def _band(values: Sequence[float]) -> tuple[float, float]:
    """The median, and how far around it is usual.

    >>> _band([10, 10, 10]), _band([1, 2, 3])[0]
    ((10, 0.0), 2)
    """
    middle = median(values)
    return middle, _USUAL * _SIGMA * median(abs(value - middle) for value in values)
