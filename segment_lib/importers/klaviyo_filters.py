"""Klaviyo's filters of one value: text, numbers, booleans, dates, lists, existence; and the timeframe of a metric."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from segment_lib.importers.build import EVER, Test, either, every, known_and_not, negated, one
from segment_lib.importers.constructs import Constructs
from segment_lib.importers.document import Spot
from segment_lib.importers.names import Column, literal, literals

FILTERS = Constructs()
FILTERS.refuses({
    "string phone-country-code-in": "the country of a phone number is not known here; several share a code",
    "string phone-country-code-not-in": "the country of a phone number is not known here; several share a code",
    "date anniversary-month": "an anniversary compares with fixed days of the year, not with the current month",
    "list length-equals": "the length of a list cannot be compared here",
    "list length-greater-than": "the length of a list cannot be compared here",
    "list length-greater-than-or-equal": "the length of a list cannot be compared here",
    "list length-less-than": "the length of a list cannot be compared here",
    "list length-less-than-or-equal": "the length of a list cannot be compared here",
    "list contains-substring": "a list is asked for whole values here, not for parts of them",
    "list not-contains-substring": "a list is asked for whole values here, not for parts of them",
})

CALENDAR = ("windows end at as_of, the midnight that ends the snapshot date in the tenant's time zone; Klaviyo's end "
            "at the moment of evaluation, and its days begin at midnight UTC")
LEAP = "a 29 February counts as the 28th in years without one; Klaviyo then leaves it out"

Handler = Callable[[Spot, Column], Test]


def compared(spot: Spot, column: Column) -> Test:
    """The test that a filter puts to a value; a harmless one, with the reason noted, when it has no equal."""
    if not isinstance(spot.value, dict):
        spot.refuse("a filter is needed here")
        return one(known=True)
    handler = FILTERS.find(f"{spot.text('type')} {spot.text('operator')}", spot, "filter")
    return handler(spot, column) if handler else one(known=True)


def timeframe(spot: Spot, moment: Column) -> tuple[Any, Test | None]:
    """The window of a metric's timeframe, or a test of the time of each event where no window says the same."""
    if spot.value is None:
        return None, None
    operator = spot.text("operator")
    if operator == "alltime":
        compared(spot, moment)
        return None, None
    if operator == "in-the-next":
        spot.refuse("events of the future are not seen")
        return None, None
    test = compared(spot, moment)
    last, ago = test.operators.get("in_last"), test.operators.get("ago")
    if last:
        return last, None
    if ago:
        return ({"before": ago[1]} if ago[0] == EVER else {"ago": ago}), None
    return None, test


@FILTERS.translates("date alltime")
def _all_time(spot: Spot, column: Column) -> Test:
    spot.only(["type", "operator"])
    return one(known=True)


def _plain(operator: str, **more: Any) -> Handler:
    def handler(spot: Spot, column: Column) -> Test:
        spot.only(["type", "operator", "value"])
        return one(**{operator: literal(spot.get("value"), column)}, **more)

    return handler


def _except(positive: Handler) -> Handler:
    """The negation of a filter: since 2023 a missing value does not meet it."""
    return lambda spot, column: known_and_not(positive(spot, column))


#: Values are case-sensitive in Klaviyo's segments.
for _name, _handler in {
    "string equals": _plain("is"), "string not-equals": _plain("is_not"),
    "string contains": _plain("contains", case=True), "string not-contains": _plain("not_contains", case=True),
    "string starts-with": _plain("starts_with", case=True),
    "string not-starts-with": _except(_plain("starts_with", case=True)),
    "string ends-with": _plain("ends_with", case=True),
    "string not-ends-with": _except(_plain("ends_with", case=True)),
    "string regex": _plain("matches"), "string nregex": _except(_plain("matches")),
    "numeric equals": _plain("is"), "numeric not-equals": _plain("is_not"),
    "numeric greater-than": _plain("more_than"), "numeric greater-than-or-equal": _plain("at_least"),
    "numeric less-than": _plain("less_than"), "numeric less-than-or-equal": _plain("at_most"),
    "boolean equals": _plain("is"),
}.items():
    FILTERS.translates(_name)(_handler)


def _several(operator: str) -> Handler:
    def handler(spot: Spot, column: Column) -> Test:
        spot.only(["type", "operator", "value"])
        return one(**{operator: literals(spot.get("value"), column)})

    return handler


for _name, _handler in {
    "string in": _several("in_"), "string not-in": _several("not_in"),
    "list contains": _several("has_any"), "list not-contains": _except(_several("has_any")),
    "list contains-any": _several("has_any"), "list not-contains-any": _except(_several("has_any")),
    "list contains-all": _several("has_all"), "list not-contains-all": _except(_several("has_all")),
}.items():
    FILTERS.translates(_name)(_handler)


@FILTERS.translates("existence is-set", "existence not-set")
def _existence(spot: Spot, column: Column) -> Test:
    spot.only(["type", "operator"])
    spot.note("blank text counts as missing here; Klaviyo tells an empty value from one that is not set")
    return one(known=spot.text("operator") == "is-set")


# Dates -------------------------------------------------------------------------------------------------------------


def _steps(spot: Spot, number: int) -> tuple[int, str]:
    """A length in days or hours; a week is seven days."""
    unit = spot.text("unit")
    if unit not in ("hour", "day", "week"):
        spot.get("unit").refuse(f"unknown unit {unit!r}; known: hour, day, week")
    return (7 * number, "d") if unit == "week" else (number, "h" if unit == "hour" else "d")


@FILTERS.translates("date in-the-last", "date at-least")
def _back(spot: Spot, column: Column) -> Test:
    spot.only(["type", "operator", "unit", "quantity"])
    number, unit = _steps(spot, spot.whole("quantity"))
    spot.note(CALENDAR)
    if spot.text("operator") == "in-the-last":
        return one(in_last=f"{number}{unit}")
    return one(ago=[EVER, f"{number}{unit}"])


@FILTERS.translates("date in-the-next")
def _ahead(spot: Spot, column: Column) -> Test:
    """Up to the end of the last of so many days after the day of evaluation."""
    spot.only(["type", "operator", "unit", "quantity"])
    number, unit = _steps(spot, spot.whole("quantity"))
    spot.note(CALENDAR)
    if unit == "h":
        return one(in_next=f"{number}h")
    until = one(in_next=f"{number + 1}d")
    # A day without a time is its midnight, which has passed when Klaviyo looks: the day of evaluation is left out.
    return every([until, negated(one(in_next="1d"))]) if column.is_date else until


@FILTERS.translates("date between")
def _between(spot: Spot, column: Column) -> Test:
    """Days ago, both days whole: from the start of the farther to the end of the nearer."""
    spot.only(["type", "operator", "unit", "start", "end"])
    ends = sorted((spot.whole("start", least=0), spot.whole("end", least=0)))
    (near, unit), (far, _) = (_steps(spot, end) for end in ends)
    spot.note(CALENDAR)
    if unit == "d":
        near -= 1
    if near <= 0 < far:
        return one(in_last=f"{far}{unit}")
    if near >= far or far <= 0:
        spot.refuse("an empty range")
    return one(ago=[f"{far}{unit}", f"{near}{unit}"])


@FILTERS.translates("date before")
def _before(spot: Spot, column: Column) -> Test:
    spot.only(["type", "operator", "date"])
    return one(less_than=_instant(spot.get("date")).isoformat())


@FILTERS.translates("date after")
def _after(spot: Spot, column: Column) -> Test:
    """After a date is from the next day on; after a moment, later than it."""
    spot.only(["type", "operator", "date"])
    moment = _instant(spot.get("date"))
    if _is_midnight(moment):
        return one(at_least=(moment + timedelta(days=1)).isoformat())
    return one(more_than=moment.isoformat())


@FILTERS.translates("date between-static")
def _between_dates(spot: Spot, column: Column) -> Test:
    """Both dates are included; an end with a time of day is that moment."""
    spot.only(["type", "operator", "start", "end"])
    start, end = _instant(spot.get("start")), _instant(spot.get("end"))
    if start > end:
        spot.refuse("the range ends before it starts")
    if _is_midnight(end):
        return one(at_least=start.isoformat(), less_than=(end + timedelta(days=1)).isoformat())
    return one(at_least=start.isoformat(), at_most=end.isoformat())


def _instant(spot: Spot) -> datetime:
    """A date-time; without an offset it is UTC."""
    try:
        moment = datetime.fromisoformat(spot.value)
        moment = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
        if 1 < moment.year < 9999:
            return moment
    except (TypeError, ValueError, OverflowError):
        pass
    spot.refuse("a date such as 2026-03-29T00:00:00+00:00 is needed here")
    return datetime(2000, 1, 1, tzinfo=UTC)


def _is_midnight(moment: datetime) -> bool:
    return (moment.hour, moment.minute, moment.second, moment.microsecond) == (0, 0, 0, 0)


_TODAY = one(anniversary={"in_next": "1d"})


@FILTERS.translates("date anniversary", "date anniversary-last", "date anniversary-next")
def _anniversary(spot: Spot, column: Column) -> Test:
    """Klaviyo's "last" includes the day of evaluation and its "next" does not."""
    operator = spot.text("operator")
    spot.only(["type", "operator"] if operator == "anniversary" else ["type", "operator", "unit", "quantity"])
    spot.note("today is the day that begins at as_of, on which the members are used")
    spot.note(LEAP)
    if operator == "anniversary":
        return _TODAY
    number, unit = _steps(spot, spot.whole("quantity"))
    if unit == "h":
        spot.get("unit").refuse("an anniversary is a whole day, so hours have no meaning")
    if operator == "anniversary-last":
        return either([one(anniversary={"in_last": f"{number}d"}), _TODAY])
    return every([one(anniversary={"in_next": f"{number + 1}d"}), negated(_TODAY)])


@FILTERS.translates("date calendar-month")
def _month(spot: Spot, column: Column) -> Test:
    spot.only(["type", "operator", "value"])
    month = spot.whole("value")
    if month > 12:
        spot.get("value").refuse("a month is a number from 1 to 12")
        month = 1
    last = 29 if month == 2 else 30 if month in (4, 6, 9, 11) else 31
    return one(anniversary={"from": f"{month:02}-01", "to": f"{month:02}-{last}"})
