"""PostHog cohorts: `filters.properties` as its cohorts API gives them, with the meaning that its query code has.

Groups are AND or OR of conditions and groups; a condition with `negation` is turned round. PostHog's "now" is taken to
be our `as_of`, and its project's time zone the tenant's.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

from segment_lib.clock import Step
from segment_lib.errors import UsageError
from segment_lib.importers.build import (
    Placed, Rows, Test, complement, joined, on_customer, one, over_rows, row_filter,
)
from segment_lib.importers.constructs import Constructs
from segment_lib.importers.document import Item, Spot
from segment_lib.importers.names import Lookup
from segment_lib.importers.posthog_operators import OPERATORS, compared, relative_step

CONDITIONS, BEHAVIOURS, EVENT_FILTERS = Constructs(), Constructs(), Constructs()
CONDITIONS.refuses({
    "hogql": "an expression of PostHog's own SQL",
    "group": "there are no groups of customers, such as companies, here",
    "session": "a session has no fields here; ask for events or visits",
    "recording": "there are no recordings here",
    "feature": "there are no feature flags here",
})
EVENT_FILTERS.refuses({
    "element": "events hold no page elements here",
    "hogql": "an expression of PostHog's own SQL",
    "person": "a filter on rows sees the event only; ask for the field of the customer beside it",
    "cohort": "a filter on rows sees the event only; ask for the cohort beside it",
})

ROLLING = ("windows end at as_of, the midnight that ends the snapshot date; PostHog's end at the moment of evaluation, "
           "so they include a part of the day that begins there")
WHOLE_DAYS = "PostHog counts the whole day at the nearer end of this window; here it ends before that day"
STRICT = "steps must lie strictly later than the one before; two at one instant are in no order"

_INTERVALS = {"minute": "min", "hour": "h", "day": "d", "week": "w", "month": "mo", "year": "y"}
_FUNNEL = {
    "minute": (1, "min"), "hour": (1, "h"), "day": (1, "d"), "week": (7, "d"), "month": (30, "d"), "year": (365, "d"),
}
_BOOKKEEPING = ("bytecode", "bytecode_error", "conditionHash")
_BEHAVIOURAL = (
    "type", "key", "value", "negation", "event_type", "operator", "operator_value", "time_value", "time_interval",
    "seq_time_value", "seq_time_interval", "seq_event", "seq_event_type", "total_periods", "min_periods",
    "event_filters", "explicit_datetime", "explicit_datetime_to", *_BOOKKEEPING,
)
_USUAL = {"$geoip_country_code": "country", "$geoip_city_name": "city", "$session_id": "session_id"}


def items(root: Spot) -> tuple[list[Item], list[str]]:
    """The cohorts of a response of the API (one or many); and warnings about the document."""
    value, warnings = root.value, []
    if isinstance(value, dict) and isinstance(value.get("results"), list):
        if root.has("next"):
            warnings.append("the document is one page of several: next names the next one")
        root = root.get("results")
    spots = root.each() if isinstance(root.value, list) else [root]
    known = ("filters", "groups", "query", "is_static")
    found = [spot for spot in spots if isinstance(spot.value, dict) and any(key in spot.value for key in known)]
    if not found or len(found) < len(spots):
        raise UsageError(
            "not a document of PostHog's cohorts API: cohorts have 'filters', alone, listed or in 'results'"
        )
    return [_item(spot) for spot in found], warnings


def _item(spot: Spot) -> Item:
    source_id = spot.text("id", "")
    return Item(
        source_id=source_id, name=spot.text("name", ""), spot=spot, definition=spot.get("filters"),
        aliases=(source_id,) if source_id else (), description=spot.text("description", ""),
        created=spot.text("created_at", ""),
    )


def where(item: Item, lookup: Lookup) -> dict | None:
    """The condition of a cohort; None for a static one that the names file has as a list."""
    spot, definition = item.spot, item.definition
    if spot.flag("is_static", False):
        if item.source_id in lookup.names.lists:
            return None
        spot.get("is_static").refuse(
            "the people of a static cohort are uploaded, not defined; load them as a list and name it in the names "
            f"file: lists: {{{item.source_id}: LIST}}"
        )
    elif spot.flag("deleted", False):
        spot.get("deleted").refuse("this cohort is deleted")
    elif definition.value is None:
        spot.refuse(
            "there are no filters: a cohort of the old form (groups) gets them when it is saved again, and one of a "
            "SQL query has none"
        )
    else:
        definition.only(["properties", "filterTestAccounts"])
        if definition.flag("filterTestAccounts", False):
            definition.get("filterTestAccounts").refuse(
                "the project's filter of test accounts is not in the document; write it as conditions of the cohort"
            )
        return _node(definition.get("properties"), lookup)
    return {}


def _node(spot: Spot, lookup: Lookup) -> dict:
    """A group or one condition."""
    if not isinstance(spot.value, dict):
        spot.refuse("a group or a condition is an object")
        return Placed(spot.place, {})
    kind = spot.text("type")
    if kind in ("AND", "OR"):
        spot.only(["type", "values"])
        parts = spot.items("values")
        if not parts:
            spot.refuse("a group without conditions")
            return Placed(spot.place, {})
        return joined("all" if kind == "AND" else "any", [_node(part, lookup) for part in parts], spot.place)
    handler = CONDITIONS.find(kind, spot, "condition type")
    condition = handler(spot, lookup) if handler else Placed(spot.place, {})
    return complement(condition, spot.place) if spot.flag("negation", False) else condition


@CONDITIONS.translates("person", "person_metadata")
def _person(spot: Spot, lookup: Lookup) -> Placed:
    spot.only(["type", "key", "value", "operator", "negation", *_BOOKKEEPING])
    column = lookup.field(spot.text("key"), spot.get("key"), usual=_USUAL)
    return on_customer(column.name, compared(spot, column), spot.place)


@CONDITIONS.translates("cohort")
def _cohort(spot: Spot, lookup: Lookup) -> Placed:
    spot.only(["type", "key", "value", "negation", "operator", "cohort_name", *_BOOKKEEPING])
    condition = lookup.group(spot.text("value"), spot.get("value"), "cohort")
    operator = spot.text("operator", "in")
    if operator not in ("in", "not_in", "exact"):
        spot.get("operator").refuse("a cohort is referred to by in or not_in")
    return complement(condition, spot.place) if operator == "not_in" else condition


@CONDITIONS.translates("behavioral")
def _behavioural(spot: Spot, lookup: Lookup) -> Placed:
    spot.only(_BEHAVIOURAL)
    handler = BEHAVIOURS.find(spot.text("value"), spot.get("value"), "behaviour")
    return handler(spot, lookup) if handler else Placed(spot.place, {})


def _rows(spot: Spot, lookup: Lookup, key: str = "key", kind: str = "event_type") -> Rows:
    """The rows of an event; of a saved action when the names file has its id."""
    name, event_type = spot.text(key), spot.text(kind)
    if event_type == "events":
        return lookup.rows(name, spot.get(key))
    if event_type == "actions" and name in lookup.names.events:
        return lookup.rows(name, spot.get(key), is_id=True)
    spot.get(kind).refuse(
        f"the steps of the saved action {name} are not in the document; name our events in the names file: "
        f"events: {{{name}: EVENT_TYPE}}" if event_type == "actions" else "known: events, actions"
    )
    return Rows("events", "any")


def _filters(spot: Spot, rows: Rows, lookup: Lookup) -> list[tuple[str, Test]]:
    """The filters on properties of the event; all of them must hold."""
    found = []
    for part in spot.items("event_filters"):
        part.only(["type", "key", "value", "operator"])
        handler = EVENT_FILTERS.find(part.text("type", "event"), part, "event filter")
        if handler:
            found.append(handler(part, rows, lookup))
    return found


@EVENT_FILTERS.translates("event")
def _event_property(part: Spot, rows: Rows, lookup: Lookup) -> tuple[str, Test]:
    column = lookup.field(part.text("key"), part.get("key"), rows, usual=_USUAL)
    return column.name, compared(part, column)


def _unfiltered(spot: Spot) -> None:
    if spot.items("event_filters"):
        spot.get("event_filters").refuse(
            f"PostHog ignores event filters in {spot.text('value')}; take them out, or write the condition by hand"
        )


def _step(spot: Spot, prefix: str = "") -> Step:
    """A length of time of calendar steps."""
    interval = spot.text(f"{prefix}time_interval")
    if interval not in _INTERVALS:
        spot.get(f"{prefix}time_interval").refuse(f"unknown interval; known: {', '.join(_INTERVALS)}")
    if interval == "minute":
        spot.note("PostHog shortens minute to m and then reads it as month; here it is minutes")
    return Step(spot.whole(f"{prefix}time_value"), _INTERVALS.get(interval, "d"))


def _window(spot: Spot, *, last_day: bool = True) -> Any:
    """The window of a behaviour; `last_day` says whether PostHog counts the day of an absolute end."""
    if not spot.has("explicit_datetime"):
        if spot.has("explicit_datetime_to"):
            spot.get("explicit_datetime_to").refuse("an end without explicit_datetime, the start")
        spot.note(ROLLING)
        return str(_step(spot))
    start, end = spot.text("explicit_datetime"), spot.text("explicit_datetime_to", "")
    far, near = relative_step(start), relative_step(end)
    if far and not end:
        spot.note(ROLLING)
        return str(far)
    if far and near:
        if far.rough_days <= near.rough_days:
            spot.get("explicit_datetime_to").refuse("the window ends before it starts")
        spot.note(WHOLE_DAYS)
        return {"ago": [str(far), str(near)]}
    first = _day(spot.get("explicit_datetime"))
    if not end:
        return {"from": first.isoformat()}
    last = _day(spot.get("explicit_datetime_to"))
    if not last_day:
        last -= timedelta(days=1)
    if last < first:
        spot.get("explicit_datetime_to").refuse("the window ends before it starts")
    return {"from": first.isoformat(), "to": last.isoformat()}


def _day(spot: Spot) -> date:
    """A date; one with a time of day, or a length of time beside a date, has no window here."""
    found = re.fullmatch(r"(\d{4}-\d\d-\d\d)([T ]00:00(:00(\.0+)?)?)?", str(spot.value))
    try:
        day = date.fromisoformat(found[1]) if found else None
    except ValueError:
        day = None
    if day is None or day.year < 2:
        spot.refuse("a window has two dates such as 2026-03-29, or two lengths of time such as -30d")
        return date(2000, 1, 1)
    return day


def _count(spot: Spot) -> Test:
    """How often: PostHog looks only at people with such an event, so "at most 3" leaves out those with none."""
    times = spot.whole("operator_value")
    operator = spot.text("operator", "exact")
    tests: dict[str, Callable[[], Test]] = {
        "gte": lambda: one(at_least=times), "gt": lambda: one(more_than=times),
        "lte": lambda: one(between=[1, times]), "lt": lambda: one(between=[1, times - 1]),
        "exact": lambda: one(is_=times), "eq": lambda: one(is_=times),
    }
    if operator not in tests:
        spot.get("operator").refuse(f"how often is compared by {', '.join(tests)}")
        return one(at_least=1)
    if operator == "lt" and times == 1:
        spot.get("operator_value").refuse("less than once matches nobody in PostHog, which looks only at who did it")
        return one(at_least=1)
    return tests[operator]()


@BEHAVIOURS.translates("performed_event")
def _performed(spot: Spot, lookup: Lookup) -> Placed:
    rows = _rows(spot, lookup)
    return over_rows(rows, spot.place, where=row_filter(_filters(spot, rows, lookup)), within=_window(spot))


@BEHAVIOURS.translates("performed_event_multiple")
def _multiple(spot: Spot, lookup: Lookup) -> Placed:
    rows = _rows(spot, lookup)
    filters, within = row_filter(_filters(spot, rows, lookup)), _window(spot, last_day=False)
    return over_rows(rows, spot.place, where=filters, within=within, test=_count(spot))


@BEHAVIOURS.translates("performed_event_first_time")
def _first_time(spot: Spot, lookup: Lookup) -> Placed:
    """The first event ever of the name lies in the window, and it is this one that the filters look at."""
    rows = _rows(spot, lookup)
    first = Placed(spot.place, {"first_did": rows.source, "within": _window(spot)})
    checks = [
        over_rows(rows, spot.place, aggregate="first", of=name, test=test)
        for name, test in _filters(spot, rows, lookup)
    ]
    return joined("all", [first, *checks], spot.place)


@BEHAVIOURS.translates("performed_event_sequence")
def _sequence(spot: Spot, lookup: Lookup) -> Placed:
    """Two events; the second within so much time of the first, a month being 30 days and a year 365."""
    _unfiltered(spot)
    rows, following = _rows(spot, lookup), _rows(spot, lookup, "seq_event", "seq_event_type")
    interval = spot.text("seq_time_interval")
    if interval not in _FUNNEL:
        spot.get("seq_time_interval").refuse(f"unknown interval; known: {', '.join(_FUNNEL)}")
    length, unit = _FUNNEL.get(interval, (1, "d"))
    spot.note(STRICT)
    after = {"at_most": f"{spot.whole('seq_time_value') * length}{unit}"}
    return Placed(spot.place, {"sequence": [rows.head, {**following.head, "after": after}], "within": _window(spot)})


def _two_steps(spot: Spot) -> tuple[Step, Step]:
    """How far back a verb looks, and its recent part, which must be the shorter."""
    if spot.has("explicit_datetime"):
        spot.get("explicit_datetime").refuse("this verb needs lengths of time, not dates")
    long, recent = _step(spot), _step(spot, "seq_")
    if recent.rough_days >= long.rough_days:
        spot.get("seq_time_value").refuse(f"the recent part ({recent}) must be shorter than the whole ({long})")
    return long, recent


@BEHAVIOURS.translates("stopped_performing_event")
def _stopped(spot: Spot, lookup: Lookup) -> Placed:
    rows = _rows(spot, lookup)
    long, quiet = _two_steps(spot)
    filters = row_filter(_filters(spot, rows, lookup))
    spot.note(ROLLING)
    base = {"stopped": rows.source} | ({"where": filters} if filters else {})
    return Placed(spot.place, {**base, "within": str(long), "quiet": str(quiet)})


@BEHAVIOURS.translates("restarted_performing_event")
def _restarted(spot: Spot, lookup: Lookup) -> Placed:
    """Again in the recent part, not in the rest of the whole, but some time before it."""
    _unfiltered(spot)
    rows = _rows(spot, lookup)
    long, recent = _two_steps(spot)
    spot.note(ROLLING)
    spot.note(WHOLE_DAYS)
    days = {"d": 1, "w": 7}
    if long.unit in days and recent.unit in days:
        gap = Step(long.number * days[long.unit] - recent.number * days[recent.unit], "d")
        return Placed(spot.place, {"restarted": rows.source, "within": str(recent), "gap": str(gap)})
    parts = [
        over_rows(rows, spot.place, within=str(recent)),
        complement(over_rows(rows, spot.place, within={"ago": [str(long), str(recent)]}), spot.place),
        over_rows(rows, spot.place, within={"before": str(long)}),
    ]
    return joined("all", parts, spot.place)


@BEHAVIOURS.translates("performed_event_regularly")
def _regularly(spot: Spot, lookup: Lookup) -> Placed:
    _unfiltered(spot)
    rows, every = _rows(spot, lookup), _step(spot)
    of, least = spot.whole("total_periods"), spot.whole("min_periods")
    if least > of:
        spot.get("min_periods").refuse(f"at least {least} of {of} periods can never be")
    bounds = {"gte": "at_least", "gt": "more_than"}
    operator, times = spot.text("operator"), spot.whole("operator_value")
    if operator not in bounds:
        spot.get("operator").refuse("a period is counted here by a lower bound only: gte or gt")
    if every.unit not in ("min", "h", "d"):
        spot.note("periods are counted back from as_of; PostHog's are calendar weeks, months and years")
    count = {bounds.get(operator, "at_least"): times}
    periods = {"every": str(every), "periods": {"of": of, "at_least": least}}
    return Placed(
        spot.place, {"regularly": rows.source, **periods, **({} if count == {"at_least": 1} else {"count": count})}
    )


REGISTRIES = {
    "Conditions": CONDITIONS, "Behaviours": BEHAVIOURS, "Event filters": EVENT_FILTERS, "Operators": OPERATORS,
}
