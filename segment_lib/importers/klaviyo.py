"""Klaviyo segments: `definition.condition_groups` as the Segments API gives them.

Written after the OpenAPI description of revision 2026-07-15 and Klaviyo's help pages on segment conditions, dates and
missing values. Groups are joined by AND, the conditions of a group by OR. Klaviyo's days begin at midnight UTC; its
"now" is taken to be our `as_of`, so that its day of evaluation is the one that begins there.
"""

from __future__ import annotations

from typing import Any

from segment_lib.catalogue import Type
from segment_lib.errors import UsageError
from segment_lib.importers.build import (
    Placed, Rows, Test, complement, every, joined, on_customer, one, over_rows, row_filter, written,
)
from segment_lib.importers.constructs import Constructs
from segment_lib.importers.document import Item, Spot
from segment_lib.importers.klaviyo_filters import FILTERS, compared, timeframe
from segment_lib.importers.names import Column, Lookup

CONDITIONS, SUBSCRIPTIONS, DIMENSIONS = Constructs(), Constructs(), Constructs()
CONDITIONS.refuses({
    "profile-postal-code-distance": "customers have no coordinates; list the cities or provinces instead",
    "profile-has-custom-object": "there are no custom objects; give the customer a field and ask for that",
    "profile-permissions": "there is no consent for WhatsApp; give the customer a field and ask for that",
})
SUBSCRIPTIONS.refuses({
    "email any": "Klaviyo means everyone who is not suppressed, also those who never subscribed; here only consent is "
                 "known; write consent: email by hand if that is meant",
    "email never_subscribed": "whether an address is suppressed is not known here",
})
DIMENSIONS.refuses({
    "average_days_between_orders": "the mean gap between orders is no value here",
    "predicted_number_of_orders": "no model here predicts a number of orders",
    "expected_date_of_next_purchase": "no model here predicts a date; next_order.probability may serve",
    "predicted_gender": "no model here predicts a gender",
    "channel_affinity": "no model here ranks channels",
})

#: Klaviyo's names of what every profile has.
_USUAL = {
    "created": "created_at", "phone_number": "phone", "location['city']": "city", "location['country']": "country",
    "location['region']": "province", "city": "city", "country": "country", "region": "province",
}
_EU = (
    "AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE", "IT", "LT", "LU", "LV",
    "MT", "NL", "PL", "PT", "RO", "SE", "SI", "SK",
)
_COMPLETION = {
    "HOURS_1": "1h", "DAYS_1": "1d", "DAYS_3": "3d", "DAYS_5": "5d", "WEEKS_1": "1w", "DAYS_30": "30d",
    "DAYS_90": "90d", "DAYS_180": "180d", "YEARS_1": "1y",
}


def items(root: Spot) -> tuple[list[Item], list[str]]:
    """The segments of a response of the API (one or many), or of one segment; and warnings about the document."""
    value, warnings = root.value, []
    if isinstance(value, dict) and "data" in value:
        if root.get("links").has("next"):
            warnings.append("the document is one page of several: links.next names the next one")
        root = root.get("data")
    spots = root.each() if isinstance(root.value, list) else [root]
    found = [spot for spot in spots if isinstance(spot.value, dict) and isinstance(spot.value.get("attributes"), dict)]
    if not found or len(found) < len(spots):
        raise UsageError(
            "not a document of Klaviyo's Segments API: segments have 'attributes' with a 'definition', alone or in "
            "'data'"
        )
    return [_item(spot) for spot in found], warnings


def _item(spot: Spot) -> Item:
    attributes = spot.get("attributes")
    source_id = spot.text("id", "")
    active = attributes.value.get("is_active") is not False
    return Item(
        source_id=source_id, name=attributes.text("name", ""), spot=spot, definition=attributes.get("definition"),
        aliases=(source_id,) if source_id else (), created=attributes.text("created", ""),
        updated=attributes.text("updated", ""),
        # Klaviyo knows profiles only, so visitors without a customer row are no members.
        options={"anonymous": False} | ({} if active else {"status": "inactive"}),
    )


def where(item: Item, lookup: Lookup) -> dict:
    """The condition of a segment."""
    definition = item.definition
    definition.only(["condition_groups"])
    groups = definition.items("condition_groups")
    if not groups:
        definition.refuse("there is no definition: ask the API for the field 'definition' of the segment")
        return {}
    return joined("all", [_group(group, lookup) for group in groups], definition.place)


def _group(group: Spot, lookup: Lookup) -> dict:
    group.only(["conditions"])
    conditions = group.items("conditions")
    if not conditions:
        group.refuse("a group without conditions")
        return Placed(group.place, {})
    return joined("any", [_condition(condition, lookup) for condition in conditions], group.place)


def _condition(spot: Spot, lookup: Lookup) -> Placed:
    if not isinstance(spot.value, dict):
        spot.refuse("a condition is an object")
        return Placed(spot.place, {})
    handler = CONDITIONS.find(spot.text("type"), spot, "condition type")
    return handler(spot, lookup) if handler else Placed(spot.place, {})


def _property(spot: Spot, lookup: Lookup) -> Column:
    """The customer field of ``email``, ``location['city']`` or ``properties['Favorite Color']``."""
    written_as = spot.text("property")
    name = written_as
    for outer in ("properties", "location"):
        if written_as.startswith((f"{outer}['", f'{outer}["')) and written_as.endswith(("']", '"]')):
            name = written_as[len(outer) + 2 : -2]
    if written_as in lookup.names.fields:
        name = written_as
    return lookup.field(name, spot.get("property"), usual=_USUAL)


@CONDITIONS.translates("profile-property")
def _profile_property(spot: Spot, lookup: Lookup) -> Placed:
    spot.only(["type", "property", "filter"])
    column = _property(spot, lookup)
    return on_customer(column.name, compared(spot.get("filter"), column), spot.place)


def _metric(spot: Spot, lookup: Lookup) -> tuple[Rows, list[tuple[str, Test]]]:
    """The rows that a metric is here, and its filters."""
    rows = lookup.rows(spot.text("metric_id"), spot.get("metric_id"), is_id=True)
    filters = []
    for part in spot.items("metric_filters"):
        part.only(["property", "filter"])
        column = lookup.field(part.text("property"), part.get("property"), rows)
        if not part.has("filter"):
            part.refuse("a property without a filter")
        else:
            filters.append((column.name, compared(part.get("filter"), column)))
    return rows, filters


@CONDITIONS.translates("profile-metric")
def _profile_metric(spot: Spot, lookup: Lookup) -> Placed:
    spot.only(["type", "metric_id", "measurement", "measurement_filter", "timeframe_filter", "metric_filters"])
    rows, filters = _metric(spot, lookup)
    within, moment = timeframe(spot.get("timeframe_filter"), Column(rows.time, Type.TIMESTAMP))
    measurement = spot.text("measurement", "count")
    if measurement not in ("count", "sum"):
        spot.get("measurement").refuse(f"unknown measurement {measurement!r}; known: count, sum")
        measurement = "count"
    of = lookup.field("$value", spot, rows, usual={"$value": rows.amount}) if measurement == "sum" else Column("count")
    if measurement == "sum":
        spot.note(f"Klaviyo adds up the value of an event; here that is the column {of.name}")
    test = compared(spot.get("measurement_filter"), Column(of.name, of.kind or Type.DECIMAL))
    where_ = row_filter([*filters, *([(rows.time, moment)] if moment else [])])
    return over_rows(rows, spot.place, where=where_, within=within, aggregate=measurement, of=of.name, test=test)


@CONDITIONS.translates("profile-metric-funnel")
def _funnel(spot: Spot, lookup: Lookup) -> Placed:
    spot.only(["type", "timeframe_filter", "completion_window_seconds", "steps"])
    steps, quiet = [], False
    within: Any = None
    for part in spot.items("steps"):
        part.only(["metric_exists", "metric_id", "metric_filters"])
        rows, filters = _metric(part, lookup)
        within, moment = timeframe(spot.get("timeframe_filter"), Column(rows.time, Type.TIMESTAMP))
        where_ = row_filter([*filters, *([(rows.time, moment)] if moment else [])])
        happened = part.flag("metric_exists")
        step = rows.head if happened else {"did_not": rows.source}
        if not happened and not steps:
            part.refuse("a sequence cannot begin with a step that did not happen: nothing stands before it")
        if not happened and quiet:
            part.refuse("two steps in a row that did not happen; write them by hand as one did_not with a list")
        quiet = not happened
        steps.append(step | ({"where": where_} if where_ else {}))
    if len(steps) < 2:
        spot.get("steps").refuse("a sequence needs two steps")
    window = spot.text("completion_window_seconds", "") if spot.has("completion_window_seconds") else ""
    if window and window not in _COMPLETION:
        spot.get("completion_window_seconds").refuse(f"unknown window; known: {', '.join(_COMPLETION)}")
    if quiet:
        spot.note("a last step that did not happen holds from its predecessor on, also before the window has passed")
    if sum("did_not" not in step for step in steps) > 1:
        spot.note("steps must lie strictly later than the one before; two at one instant are in no order")
    span = {"span": _COMPLETION[window]} if window in _COMPLETION else {}
    return Placed(spot.place, {"sequence": steps, **span, **({"within": within} if within else {})})


@CONDITIONS.translates("profile-group-membership")
def _group_membership(spot: Spot, lookup: Lookup) -> Placed:
    spot.only(["type", "is_member", "group_ids", "timeframe_filter"])
    ids = [part for part in spot.items("group_ids") if isinstance(part.value, str)]
    if not ids or len(ids) < len(spot.items("group_ids")):
        spot.get("group_ids").refuse("ids of lists are needed here")
        return Placed(spot.place, {})
    groups = []
    for part in ids:
        group = lookup.group(part.value, part, "list")
        if spot.has("timeframe_filter"):
            key = "joined" if "list" in group else "entered"
            test = compared(spot.get("timeframe_filter"), Column(key, Type.TIMESTAMP))
            if key == "entered":
                part.note("when a segment was entered is known by the day of the night run")
            base = dict(group)
            group = Placed(
                part.place, written(test, lambda operators, base=base, key=key: {**base, key: dict(operators)})
            )
        groups.append(group)
    member = joined("any", groups, spot.place)
    return member if spot.flag("is_member") else complement(member, spot.place)


@CONDITIONS.translates("profile-marketing-consent")
def _consent(spot: Spot, lookup: Lookup) -> Placed:
    spot.only(["type", "consent"])
    consent = spot.get("consent")
    consent.only(["channel", "can_receive_marketing", "consent_status"])
    status = consent.get("consent_status")
    status.only(["subscription", "filters"])
    channel, subscription = consent.text("channel"), status.text("subscription")
    if channel not in ("email", "sms", "push"):
        consent.get("channel").refuse(f"unknown channel {channel!r}; known: email, sms, push")
        return Placed(spot.place, {})
    handler = SUBSCRIPTIONS.find(f"{channel} {subscription}", status.get("subscription"), "subscription")
    if handler is None:
        return Placed(spot.place, {})
    return handler(channel, consent.flag("can_receive_marketing"), status)


@SUBSCRIPTIONS.translates("sms any", "push any", "email subscribed", "sms subscribed", "push subscribed")
def _subscribed(channel: str, receives: bool, status: Spot) -> Placed:
    if not receives and status.text("subscription") == "subscribed":
        status.refuse("subscribed, but not to be reached: bounces and suppressions are not known here")
    given = Placed(status.place, {"consent": channel})
    tests = [_status_date(part) for part in status.items("filters")]
    if tests:
        given = Placed(
            status.place,
            written(every(tests), lambda operators: {"consent": channel, "since": dict(operators)}),
        )
    return given if receives else complement(given, status.place)


@SUBSCRIPTIONS.translates("email unsubscribed", "sms unsubscribed")
def _unsubscribed(channel: str, receives: bool, status: Spot) -> Placed:
    if receives:
        status.refuse("unsubscribed, but to be reached, contradict each other")
    if status.has("filters"):
        status.get("filters").refuse("when and how someone unsubscribed is not known here")
    status.note("unsubscribed is here: the consent flag is known and false")
    return Placed(status.place, {"customer": f"{channel}_consent", "is": False})


@SUBSCRIPTIONS.translates("sms never_subscribed")
def _never_subscribed(channel: str, receives: bool, status: Spot) -> Placed:
    if receives:
        status.refuse("who never subscribed is not to be reached on this channel")
    if status.has("filters"):
        status.get("filters").refuse("bounces and suppressions are not known here")
    status.note("never subscribed is here: the consent flag is missing")
    return Placed(status.place, {"customer": f"{channel}_consent", "known": False})


def _status_date(spot: Spot) -> Test:
    """When consent was given; no other detail of it is known."""
    if spot.text("field") != "status_date":
        spot.refuse(f"{spot.text('field')}: of a consent only its date is known here")
        return one(known=True)
    return compared(spot.get("filter"), Column("since", Type.TIMESTAMP))


@CONDITIONS.translates("profile-region")
def _region(spot: Spot, lookup: Lookup) -> Placed:
    spot.only(["type", "in_region", "region"])
    regions = {"european_union": list(_EU), "united_states": ["US"]}
    region = spot.text("region")
    if region not in regions:
        spot.get("region").refuse(f"unknown region; known: {', '.join(regions)}")
        return Placed(spot.place, {})
    column = lookup.field("country", spot)
    spot.note("a region is here a list of two-letter country codes; change it if the column holds names")
    return Placed(
        spot.place,
        {"customer": column.name, "in" if spot.flag("in_region") else "not_in": regions[region]},
    )


#: What Klaviyo predicts or sums up -> our condition, and what to say of it.
_ANALYTICS: dict[str, tuple[dict, str, str]] = {
    "historic_number_of_orders": ({"ordered": "any"}, "count", ""),
    "historic_clv": ({"ordered": "any"}, "sum", "historic CLV is here the revenue of all orders"),
    "average_order_value": ({"ordered": "any"}, "avg", "the average order value is here that of all orders"),
    "churn_probability": ({"score": "churn.risk_rate"}, "", "Klaviyo's churn probability is here our own model's"),
    "predicted_clv": ({"score": "value.predicted_revenue"}, "", "Klaviyo's predicted CLV is here our own model's"),
    "total_clv": ({"score": "value.ltv"}, "", "Klaviyo's total CLV is here our own model's"),
}

@CONDITIONS.translates("profile-predictive-analytics")
def _predictive(spot: Spot, lookup: Lookup) -> Placed:
    dimension = spot.text("dimension")
    handler = DIMENSIONS.find(dimension, spot.get("dimension"), "dimension")
    return handler(spot) if handler else Placed(spot.place, {})


@DIMENSIONS.translates(*_ANALYTICS)
def _dimension(spot: Spot) -> Placed:
    spot.only(["type", "dimension", "filter"])
    base, aggregate, difference = _ANALYTICS[spot.text("dimension")]
    kind = Type.INTEGER if aggregate == "count" else Type.DECIMAL
    test = compared(spot.get("filter"), Column("value", kind))
    if difference:
        spot.note(difference)
    if aggregate:
        rows = Rows("orders", base["ordered"])
        return over_rows(rows, spot.place, aggregate=aggregate, of=rows.amount, test=test)
    return Placed(spot.place, written(test, lambda operators: {**base, **operators}))


REGISTRIES = {
    "Conditions": CONDITIONS, "Filters": FILTERS, "Marketing consent": SUBSCRIPTIONS,
    "Predictive analytics": DIMENSIONS,
}
