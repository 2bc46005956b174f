"""Reports of made-up shops: what the page is driven with in a browser."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta
from random import Random

from segment_lib.figures import BY_NAME
from segment_lib.report.content import Content, ExactSet, Sample, SegmentPart, Sizes

EVIL = '<script>document.title = "taken"</script>'

_AUDIENCES = ({
    "destination": "ads", "state": "held", "reason": EVIL, "ended_at": "2024-07-01 04:00 UTC", "wanted": 1200, "added": 34,
    "removed": 5, "refused": 0, "held_out": 60, "no_consent": 7, "lag_seconds": 5400.0,
},)
_MESSAGES = ({
    "trigger": "welcome", "destination": "mail", "state": "done", "reason": None, "ended_at": "2024-07-01 05:00 UTC",
    "sent": 41, "refused": 2, "waiting": 3, "void": 4,
},)


def content(
    segments: int, nights: int, customers: int = 300, seed: int = 5, sampled: int | None = None,
    exact: tuple[int, ...] = (),
) -> Content:
    """A shop with so many segments and nights; the sample holds everybody unless `sampled` says how many."""
    dice = Random(seed)
    dates = tuple(date(2024, 6, 30) + timedelta(days=number) for number in range(nights))
    everybody = tuple(
        tuple(place for place in range(segments) if dice.random() < (0.32 if place < 5 else 0.02)) for _ in range(customers)
    )
    parts = tuple(_part(dice, place, dates, everybody) for place in range(segments))
    shared: dict[tuple[int, int], int] = {}
    for own in everybody:
        for one in own:
            for other in own:
                if one < other:
                    shared[one, other] = shared.get((one, other), 0) + 1
    sizes = _sizes(dice, len(everybody), nights)
    everyone = SegmentPart("_all", "Everyone", sizes, figures=_figures(dice, len(everybody)))
    inside = Counter(tuple(place for place in exact if place in own) for own in everybody)
    sets = (ExactSet(exact, tuple((places, count) for places, count in inside.items() if places)),) if exact else ()
    return Content("shop", "EUR", dates, everyone, parts, shared, sets, Sample(everybody[:sampled], len(everybody)))


def _part(dice: Random, place: int, dates: tuple[date, ...], everybody: tuple[tuple[int, ...], ...]) -> SegmentPart:
    size = sum(place in own for own in everybody)
    name = f"segment_{place:03}"
    return SegmentPart(
        name, EVIL if place == 2 else f"Segment number {place}", _sizes(dice, size, len(dates)),
        figures=_figures(dice, size), before=_figures(dice, size), description="Who bought often & lately",
        kind="static" if place == 1 else "dynamic", state={1: "static", 3: "inactive"}.get(place, "active"),
        icon="star" if place == 4 else "", created=dates[0] + timedelta(days=place % len(dates)), updated=dates[-1],
        used_by=("segment_004",) if place == 0 else (), label="ordered at least twice in 90 days",
        yaml=f"id: {name}\nwhere: {{ordered: any, count: {{at_least: 2}}}}\n", sql="SELECT 1 -- </script>",
        edits=((0, "created"), (len(dates) // 2, "edited")), months=tuple((day, 1000 + place) for day in dates[:1]),
        audiences=_AUDIENCES if place == 0 else (), messages=_MESSAGES if place == 0 else (),
        examples=tuple({"customer": f"{letter}***", "email": None} for letter in "abc"),
    )


def _sizes(dice: Random, size: int, nights: int) -> Sizes:
    entered = tuple(dice.randint(0, 30) for _ in range(nights))
    left = tuple(dice.randint(0, 30) for _ in range(nights))
    return Sizes((*(dice.randint(size // 2, size + 40) for _ in range(nights - 1)), size), entered, left)


def _figures(dice: Random, size: int) -> dict[str, int | float | None]:
    drawn = {name: round(dice.uniform(0, 5000), 4) if dice.random() < 0.9 else None for name in BY_NAME}
    return drawn | {"customers": size}
