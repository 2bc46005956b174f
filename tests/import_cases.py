"""Cases of imported definitions: documents of each source, rows written by hand, and who is a member then.

The forms are those of the published formats; the expectations follow from what each product says of them.
"""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal

from oracle import Data
from strategies import customer, event
from worked_cases import at

# Documents of one segment -------------------------------------------------------------------------------------------


def klaviyo(*conditions: dict, **attributes: object) -> str:
    """A segment of one group."""
    definition = {"condition_groups": [{"conditions": list(conditions)}]}
    return json.dumps({"data": {"type": "segment", "id": "X", "attributes": {
        "name": "Tested", "definition": definition, **attributes}}})


def posthog(*leaves: dict) -> str:
    """A cohort of one group, all of whose conditions must hold."""
    return json.dumps({"id": 1, "name": "Tested", "filters": {"properties": {"type": "AND", "values": list(leaves)}}})


def segment(query: str, **more: object) -> str:
    """An audience."""
    return json.dumps({"id": "aud", "key": "tested", "name": "Tested", "definition": {"query": query}, **more})


# One value ----------------------------------------------------------------------------------------------------------

#: `de` and `at` have everything, `no` has nothing; `visitor` is no customer.
PEOPLE = Data(
    customers=[
        customer(
            customer_id="de", country="DE", city="Berlin", email="Anna@example.com", points=10, vip=True,
            birthday=date(1990, 7, 2), renewal=date(2026, 7, 10), credit=Decimal(50), tags=["new", "vip"],
            created_at=at("2026-03-01 12:00"), email_consent=True, email_consent_at=at("2026-06-20 12:00"),
        ),
        customer(
            customer_id="at", country="AT", city="bern", email="carl@Example.org", points=100, vip=False,
            birthday=date(1985, 7, 1), renewal=date(2026, 7, 1), credit=Decimal(0), tags=["press"],
            created_at=at("2026-06-25 12:00"), email_consent=False,
        ),
        customer(customer_id="no"),
    ],
    events=[event(customer_id="visitor", occurred_at=at("2026-06-01 12:00"))],
)


def filtered(kind: str, operator: str, **values: object) -> dict:
    return {"type": kind, "operator": operator, **values}


KLAVIYO_FILTERS = [
    ("country", filtered("string", "equals", value="DE"), "de"),
    ("country", filtered("string", "not-equals", value="DE"), "at"),
    ("city", filtered("string", "contains", value="ber"), "at"),
    ("city", filtered("string", "not-contains", value="ber"), "de"),
    ("city", filtered("string", "starts-with", value="Ber"), "de"),
    ("city", filtered("string", "not-starts-with", value="Ber"), "at"),
    ("email", filtered("string", "ends-with", value="@example.com"), "de"),
    ("email", filtered("string", "not-ends-with", value="@example.com"), "at"),
    ("email", filtered("string", "regex", value="^A.*m$"), "de"),
    ("email", filtered("string", "nregex", value="^A.*m$"), "at"),
    ("country", filtered("string", "in", value=["DE", "CH"]), "de"),
    ("country", filtered("string", "not-in", value=["DE", "CH"]), "at"),
    ("points", filtered("numeric", "equals", value=10.0), "de"),
    ("points", filtered("numeric", "not-equals", value=10), "at"),
    ("points", filtered("numeric", "greater-than", value=10), "at"),
    ("points", filtered("numeric", "greater-than-or-equal", value=10), "at de"),
    ("points", filtered("numeric", "less-than", value=100), "de"),
    ("points", filtered("numeric", "less-than-or-equal", value=100), "at de"),
    ("vip", filtered("boolean", "equals", value=False), "at"),
    ("properties['tags']", filtered("list", "contains", value="new"), "de"),
    ("properties['tags']", filtered("list", "not-contains", value="new"), "at"),
    ("tags", filtered("list", "contains-any", value=["new", "press"]), "at de"),
    ("tags", filtered("list", "not-contains-any", value=["new", "vip"]), "at"),
    ("tags", filtered("list", "contains-all", value=["new", "vip"]), "de"),
    ("tags", filtered("list", "not-contains-all", value=["new", "vip"]), "at"),
    ("email", filtered("existence", "is-set"), "at de"),
    ("email", filtered("existence", "not-set"), "no"),
    ("created", filtered("date", "alltime"), "at de"),
    ("created", filtered("date", "in-the-last", unit="week", quantity=1), "at"),
    ("created", filtered("date", "at-least", unit="day", quantity=7), "de"),
    ("created", filtered("date", "between", unit="day", start=0, end=200), "at de"),
    ("created", filtered("date", "between", unit="day", start=6, end=6), "at"),
    ("created", filtered("date", "between", unit="hour", start=100, end=200), "at"),
    ("created", filtered("date", "before", date="2026-06-25T10:00:00+00:00"), "de"),
    ("created", filtered("date", "after", date="2026-03-01T00:00:00+00:00"), "at"),
    ("created", filtered("date", "after", date="2026-03-01T10:59:59Z"), "at de"),
    ("created", filtered("date", "between-static", start="2026-03-01T00:00:00Z", end="2026-06-25T00:00:00Z"), "at de"),
    ("created", filtered("date", "between-static", start="2026-03-01T00:00:00", end="2026-06-25T09:00:00Z"), "de"),
    # As Klaviyo counts on 1 July: the day itself has begun, so the next three are the 2nd to the 4th.
    ("properties['renewal']", filtered("date", "in-the-next", unit="day", quantity=9), "de"),
    ("properties['renewal']", filtered("date", "in-the-next", unit="day", quantity=8), ""),
    ("birthday", filtered("date", "anniversary"), "at"),
    ("birthday", filtered("date", "anniversary-next", unit="day", quantity=1), "de"),
    ("birthday", filtered("date", "anniversary-last", unit="day", quantity=1), "at"),
    ("birthday", filtered("date", "calendar-month", value=7), "at de"),
]


def person(key: str, operator: str | None, value: object = None, **more: object) -> dict:
    return {"type": "person", "key": key, "operator": operator, "value": value, **more}


POSTHOG_OPERATORS = [
    (person("country", None, "DE"), "de"),
    (person("country", "exact", ["DE", "CH"]), "de"),
    (person("country", "is_not", "DE"), "at no visitor"),
    (person("country", "is_not", ["DE", "AT"]), "no visitor"),
    (person("country", "in", ["AT"]), "at"),
    (person("country", "not_in", ["AT"]), "de no visitor"),
    (person("city", "icontains", "BER"), "at de"),
    (person("city", "not_icontains", "rli"), "at no visitor"),
    (person("city", "icontains_multi", ["rli", "ern"]), "at de"),
    (person("city", "not_icontains_multi", ["rli", "ern"]), "no visitor"),
    (person("email", "regex", "^A"), "de"),
    (person("email", "not_regex", "^A"), "at no visitor"),
    (person("points", "gt", "10"), "at"),
    (person("points", "gte", 10), "at de"),
    (person("points", "min", 10), "at de"),
    (person("points", "lt", "100"), "de"),
    (person("points", "lte", 100), "at de"),
    (person("points", "max", 10), "de"),
    (person("points", "between", [5, 50]), "de"),
    (person("points", "not_between", ["5", "50"]), "at"),
    (person("email", "is_set"), "at de"),
    (person("email", "is_not_set", "is_not_set"), "no visitor"),
    (person("vip", "exact", ["true"]), "de"),
    (person("vip", "exact", ["true"], negation=True), "at no visitor"),
    (person("birthday", "is_date_exact", "1985-07-01"), "at"),
    (person("created_at", "is_date_before", "2026-06-25"), "de"),
    (person("created_at", "is_date_after", "2026-06-25"), "at"),
    (person("birthday", "is_date_after", "1985-07-01"), "de"),
    (person("created_at", "is_date_before", "-7d"), "de"),
    (person("created_at", "is_date_after", "-1m"), "at"),
    (person("renewal", "is_date_after", "-1d"), "at de"),
    (person("created_at", "is_date_after", "2026-06-25T10:00:01Z") | {"type": "person_metadata"}, ""),
]


SEGMENT_COMPARISONS = [
    ("trait('country') = 'DE'", "de"),
    ("trait('country').equals(literal('DE'))", "de"),
    ("trait('country') != 'DE'", "at"),
    ("NOT (trait('country')) = ('DE')", "at no"),
    ("trait('points') > 10", "at"),
    ("trait('points') >= 10.0", "at de"),
    ("trait('points').less_than(100)", "de"),
    ("trait('points') <= 100", "at de"),
    ("trait('email').exists()", "at de"),
    ("trait('email').absent()", "no"),
    ("trait('city').contains('BER', 'x')", "at de"),
    ("trait('city').omits('rli')", "at no"),
    ("trait('city').starts_with('Ber')", "at de"),
    ("trait('email').ends_with('.com')", "de"),
    ("trait('country').one_of('DE', 'CH')", "de"),
    ("trait('country').none_of(['DE', 'CH'])", "at"),
    ("trait('created_at').before_date(2026-06-25T10:00:00Z)", "de"),
    ("trait('created_at').after_date('2026-06-25T00:00:00')", "at"),
    ("trait('created_at').within_last(7 days)", "at"),
    ("trait('created_at').before_last(7 days)", "de"),
    ("trait('renewal').within_next(48 hours)", "at"),
    ("trait('renewal').after_next(2 days)", "de"),
    ("trait('vip') = 'true'", "de"),
    ("trait('country') = 'DE' OR trait('country') = 'AT' AND trait('vip') = true", "de"),
    ("(trait('country') = 'DE' OR trait('country') = 'AT') and trait('vip') = false", "at"),
]


# Rows ---------------------------------------------------------------------------------------------------------------


def view(id: str, day: str, **values: object) -> dict:
    return event(customer_id=id, occurred_at=at(f"{day} 12:00"), **values)


def done(id: str, day: str, what: str, **values: object) -> dict:
    return view(id, day, event_type=what, **values)


def people(*ids: str) -> list[dict]:
    return [customer(customer_id=id) for id in ids]


VIEWS = Data(
    customers=people("none", "one", "three", "four"),
    events=[
        view("one", "2026-06-28", channel="email"),
        *(view("three", f"2026-06-{n}") for n in (25, 26, 27)),
        *(view("four", f"2026-06-{n}", channel="google") for n in (24, 25, 26, 27)),
        view("none", "2026-01-01"),
    ],
)


def metric(operator: str, value: object, timeframe: dict | None = None, **more: object) -> dict:
    return {
        "type": "profile-metric", "metric_id": "$pageview", "measurement": "count",
        "measurement_filter": filtered("numeric", operator, value=value),
        "timeframe_filter": timeframe or filtered("date", "in-the-last", unit="day", quantity=10), **more,
    }


def channel(given: dict) -> list[dict]:
    return [{"property": "channel", "filter": given}]


KLAVIYO_METRICS = [
    (metric("equals", 0), "none"),
    (metric("less-than-or-equal", 3), "none one three"),
    (metric("not-equals", 3), "four none one"),
    (metric("greater-than", 0, metric_filters=channel(filtered("string", "in", value=["email"]))), "one"),
    (metric("greater-than", 0, metric_filters=channel(filtered("string", "not-equals", value="email"))), "four"),
    # Whole days: 3 to 5 days before 1 July are 26 to 28 June.
    (metric("equals", 1, filtered("date", "between", unit="day", start=3, end=5)), "one"),
    (metric("greater-than", 0, filtered("date", "at-least", unit="week", quantity=1)), "none"),
    (metric("greater-than", 0, filtered("date", "before", date="2026-06-25T00:00:00+00:00")), "four none"),
    (metric("greater-than", 0, filtered("date", "after", date="2026-06-27T00:00:00+00:00")), "one"),
    (metric("equals", 2, filtered("date", "between-static", start="2026-06-26T00:00Z", end="2026-06-27T00:00Z")),
     "four three"),
    (metric("equals", 5, filtered("date", "alltime")), ""),
]

CARTS = Data(
    customers=people("both", "late", "early", "cart", "other"),
    events=[
        done("both", "2026-06-10", "added_to_cart", product_id="tea"),
        done("both", "2026-06-11", "checkout_completed", product_id="tea"),
        done("late", "2026-06-10", "added_to_cart", product_id="tea"),
        done("late", "2026-06-20", "checkout_completed", product_id="tea"),
        done("early", "2026-06-10", "checkout_completed", product_id="tea"),
        done("early", "2026-06-11", "added_to_cart", product_id="tea"),
        done("cart", "2026-06-10", "added_to_cart", product_id="tea"),
        done("other", "2026-06-10", "added_to_cart", product_id="tea"),
        done("other", "2026-06-11", "checkout_completed", product_id="mug"),
    ],
)


def behaviour(value: str, **more: object) -> dict:
    return {
        "type": "behavioral", "value": value, "key": "$pageview", "event_type": "events", "time_value": 10,
        "time_interval": "day", **more,
    }


POSTHOG_BEHAVIOURS = [
    (behaviour("performed_event"), "four one three"),
    (behaviour("performed_event", negation=True), "none"),
    (behaviour("performed_event", event_filters=[person("channel", "is_not", "email") | {"type": "event"}]),
     "four three"),
    (behaviour("performed_event_multiple", operator="lte", operator_value=3), "one three"),
    (behaviour("performed_event_multiple", operator="lt", operator_value=3), "one"),
    (behaviour("performed_event_multiple", operator="gte", operator_value=3), "four three"),
    (behaviour("performed_event_multiple", operator="gt", operator_value=3), "four"),
    (behaviour("performed_event_multiple", operator="eq", operator_value="3"), "three"),
    (behaviour("performed_event_multiple", operator="lte", operator_value=3, negation=True), "four none"),
    (behaviour("performed_event", explicit_datetime="-7d", explicit_datetime_to="-5d"), "four three"),
    (behaviour("performed_event", explicit_datetime="2026-06-28"), "one"),
    (behaviour("performed_event", explicit_datetime="2026-06-01", explicit_datetime_to="2026-06-24"), "four"),
    # Here PostHog does not count the day of the end.
    (behaviour("performed_event_multiple", operator_value=1, explicit_datetime="2026-06-01",
               explicit_datetime_to="2026-06-25"), "four"),
    (behaviour("performed_event_first_time"), "four one three"),
    (behaviour("stopped_performing_event", time_value=1, time_interval="month", seq_time_value=3,
               seq_time_interval="day"), "four three"),
    (behaviour("performed_event_regularly", time_value=2, min_periods=2, total_periods=3, operator="gte",
               operator_value=1), "four three"),
    (behaviour("performed_event_regularly", time_value=4, min_periods=1, total_periods=2, operator="gt",
               operator_value=2), "four"),
]

AMOUNTS = Data(
    customers=[
        customer(customer_id="a", credit=Decimal(20)), customer(customer_id="b", credit=Decimal(99)), *people("c"),
    ],
    events=[
        done("a", "2026-06-20", "checkout_completed", amount=Decimal(10), channel="email", product_id="tea"),
        done("a", "2026-06-21", "checkout_completed", amount=Decimal(30), channel="email", product_id="mug"),
        done("b", "2026-05-10", "checkout_completed", amount=Decimal(50), channel="google", product_id="tea"),
    ],
)


SEGMENT_REDUCERS = [
    ("count() >= 1", "a b"), ("count() = 0", "c"), ("count().at_most(1)", "b c"), ("within(30 days).count() > 1", "a"),
    ("between(30 days, 60 days).count() >= 1", "b"),
    ("where(property('amount') > 20 OR context('channel') = 'email').count() = 2", "a"),
    ("where(NOT property('channel') = 'email').count() >= 1", "b"),
    ("sum(property('amount')) >= 40", "a b"), ("avg(property('amount')) < 50", "a"),
    ("max(property('amount')) = 30", "a"),
    ("min(property('amount') as number) = 10", "a"), ("first(property('channel')) = 'email'", "a"),
    ("last(property('product_id')).one_of('mug')", "a"), ("unique(property('product_id')).count() >= 2", "a"),
    ("mode(property('channel')) = 'google'", "b"), ("mode(property('channel'), 2) = 'email'", "a"),
    ("mode(property('channel'), 2) = 'google'", ""),
    ("sum(property('amount')) > trait('credit')", "a"),
    ("within(30 days).count() > event('Checkout Completed').between(30 days, 60 days).count()", "a"),
]

SEGMENT_FUNNELS = [
    ("event('Checkout Completed').within(parent: 5 days).count() >= 1", "both other"),
    ("NOT event('Checkout Completed').within(parent: 5 days).count() >= 1", "cart early late"),
    ("event('Checkout Completed').within(parent: 5 days).count() = 0", "cart early late"),
    ("event('Checkout Completed').between(parent: 5 days, 20 days).count() >= 1", "late"),
    ("event('Checkout Completed').where(property('product_id') = property(parent: 'product_id'))"
     ".within(parent: 5 days).count() >= 1", "both"),
    ("property('product_id') = 'mug' AND event('Checkout Completed').within(parent: 5 days).count() >= 1", ""),
]

# What is refused ----------------------------------------------------------------------------------------------------

#: Of the documents in import_samples/*_refused.json: segment, part of the place, part of the reason.
REFUSED = [
    ("klaviyo", [
        ("much_without_an_equal", "condition_groups[0].conditions[0]", "no coordinates"),
        ("much_without_an_equal", "condition_groups[0].conditions[1].filter", "phone-country-code-in"),
        ("much_without_an_equal", "condition_groups[1].conditions[0].dimension", "predicts a gender"),
        ("much_without_an_equal", "condition_groups[2].conditions[0].metric_id", "events: {Unkn0wn: EVENT_TYPE}"),
        ("much_without_an_equal", "condition_groups[2].conditions[0].timeframe_filter", "future"),
        ("much_without_an_equal", "consent_status.subscription", "not suppressed"),
        ("much_without_an_equal", "condition_groups[4].conditions[0].mood", "'mood' is not known"),
        ("much_without_an_equal", "condition_groups[4].conditions[0].property", "fields: {shoe size: FIELD}"),
        ("much_without_an_equal", "condition_groups[4].conditions[0].filter", "numeric equals"),
        ("leans_on_it", "$.data[1]", "refers to 'much_without_an_equal', which cannot be imported"),
    ]),
    ("posthog", [
        ("no_equal", "$.filters.filterTestAccounts", "test accounts"),
        ("no_equal", "values[0].key", "no field 'app'"), ("no_equal", "values[0].operator", "versions"),
        ("no_equal", "values[1].operator", "lower bound"), ("no_equal", "values[1].min_periods", "5 of 3"),
        ("no_equal", "values[2].event_type", "events: {55: EVENT_TYPE}"),
        ("no_equal", "values[3].time_value", "whole number"), ("no_equal", "values[3].time_interval", "known: minute"),
        ("no_equal", "values[3].event_filters[0]", "page elements"),
        ("no_equal", "values[4].seq_time_value", "shorter"),
        ("no_equal", "values[5].value", "lists: {999: LIST}"), ("no_equal", "values[6]", "without conditions"),
        ("no_equal", "values[7]", "own SQL"),
    ]),
    ("segment", [
        ("accounts", "$.data.audiences[0]", "ACCOUNTS"), ("accounts", "query: character 1", "ANY"),
        ("linked", "query: character 1", "entities"), ("linked", "query: character 55", "by which source"),
        ("linked", "query: character 97", "events: {Shoes Bought: EVENT_TYPE}"),
        ("linked", "query: character 184", "a value only"),
        ("typo", "query: character 39", "a value is expected here, not 'AND'"),
        ("builder_only", "$.data.audiences[3].definition", "only the query language"),
    ]),
]

REASONS = [
    # A name that exists, but not with that type: our own check says so, at the place of the condition.
    ("klaviyo",
     klaviyo({"type": "profile-property", "property": "city", "filter": filtered("numeric", "less-than", value=3)}),
     "conditions[0]", "less_than does not fit"),
    ("posthog", posthog(person("city", "regex", "(?=x)")), "values[0]", "not a regular expression"),
    ("posthog", posthog(behaviour("performed_event_multiple", operator="lt", operator_value=1)),
     "operator_value", "nobody"),
    ("posthog", posthog(behaviour(
        "performed_event_sequence", event_filters=[{"type": "event", "key": "channel", "value": "x"}],
        seq_event="$pageview", seq_event_type="events", seq_time_value=1, seq_time_interval="day",
    )), "event_filters", "ignores"),
    ("posthog", posthog(person("city", "exact", " ")), "value", "blank"),
    ("segment",
     segment("event('Page Viewed').where(property('product_id') = property(parent: 'product_id')).count() >= 1"),
     "character", "a parent is there only"),
    ("segment", segment("event('Page Viewed').within(parent: 3 days).count() >= 1"),
     "character", "a parent is there only"),
    ("segment", segment("trait('city')"), "character", "ends in one comparison"),
    ("segment", segment("trait('points') > trait('credit')"), "character", "a value only"),
    ("segment", segment("'a' = 'b'"), "character 5", "only a value can be compared"),
    ("segment", segment("(" * 500), "character", "nested too deeply"),
]
