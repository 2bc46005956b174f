"""Imported definitions: what each construct of each source becomes, who is a member then, and what is refused and why.

Who is a member is asked of the plain-Python evaluator over rows written by hand. No Spark.
"""

from __future__ import annotations

import json
import random
import re
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from commands import invoked, seglake
from import_cases import (
    AMOUNTS, CARTS, KLAVIYO_FILTERS, KLAVIYO_METRICS, PEOPLE, POSTHOG_BEHAVIOURS, POSTHOG_OPERATORS, REASONS, REFUSED,
    SEGMENT_COMPARISONS, SEGMENT_FUNNELS, SEGMENT_REDUCERS, VIEWS, behaviour, filtered, klaviyo, metric, people, person,
    posthog, segment, view,
)
from oracle import Data, members
from strategies import CATALOGUE, CUSTOM, customer, order
from worked_cases import BERLIN, DAY, at

from jobs.importing import Origin
from segment_lib.definition.load import load_texts
from segment_lib.errors import EXIT_USAGE, ConfError, UsageError
from segment_lib.importers import SOURCES, check, read_names, translate
from segment_lib.importers.names import Names
from segment_lib.importers.segment_query import Chain, Junction, parse_query
from segment_lib.settings import Settings
from segment_lib.strict_yaml import parse

ROOT = Path(__file__).parent.parent
SAMPLES = Path(__file__).parent / "import_samples"
KNOWN = Settings(catalogue={
    **{f"{table[:-1]}_fields": {name: CATALOGUE[table][name] for name in names} for table, names in CUSTOM.items()},
    "event_types": {name: {} for name in CATALOGUE["event_types"]},
    "order_statuses": CATALOGUE["order_statuses"], "purchase_statuses": CATALOGUE["purchase_statuses"],
    "lists": CATALOGUE["lists"],
}).names()
#: The types of fields, as the evaluator takes them.
TYPES = {**CATALOGUE, "customers": CATALOGUE["customers"] | {"sms_consent": "boolean"}}
NAMES = read_names((SAMPLES / "names.yaml").read_text(), "names.yaml")


def imported(source: str, text: str, names: Names = NAMES, catalogue=KNOWN) -> dict:
    """The checked drafts of a document, by segment id."""
    found = translate(SOURCES[source], text, "document.json", names, catalogue)
    return {draft.id: draft for draft in check(found.drafts, "segments", {}, catalogue)}


def definitions(source: str, text: str) -> dict[str, dict]:
    """The definitions that a document gives; every one of them must load."""
    drafts = imported(source, text)
    assert [str(reason) for draft in drafts.values() for reason in draft.reasons] == []
    loaded = load_texts({f"{name}.yaml": draft.text for name, draft in drafts.items()}, KNOWN)
    assert loaded.errors == () and len(loaded.segments) == len(drafts)
    return {name: parse(draft.text, name).value for name, draft in drafts.items()}


def who(source: str, text: str, data: Data, day: date = DAY) -> str:
    """The members of the one segment of a document, sorted, as one text."""
    found = definitions(source, text)
    (name,) = found
    return " ".join(sorted(members(found, data, day, BERLIN, TYPES)[name]))


def reasons(source: str, text: str, names: Names = NAMES) -> list[str]:
    """Why the one segment of a document is refused."""
    (draft,) = imported(source, text, names).values()
    return [str(reason) for reason in draft.reasons]


# Meaning -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "given", "expected"), KLAVIYO_FILTERS)
def test_klaviyo_filters_keep_who_meets_them(name, given, expected):
    """Since 2023 a missing value meets no negation; text is case-sensitive; visitors are no profiles."""
    assert who("klaviyo", klaviyo({"type": "profile-property", "property": name, "filter": given}), PEOPLE) == expected


@pytest.mark.parametrize(("leaf", "expected"), POSTHOG_OPERATORS)
def test_posthog_operators_keep_who_meets_them(leaf, expected):
    """A missing value meets the negative operators; visitors are people too."""
    assert who("posthog", posthog(leaf), PEOPLE) == expected


@pytest.mark.parametrize(("query", "expected"), SEGMENT_COMPARISONS)
def test_segment_comparisons_keep_who_meets_them(query, expected):
    """Only profiles with a known id, unless anonymous ones are asked for; AND binds closer than OR."""
    assert who("segment", segment(query), PEOPLE) == expected


def test_segment_takes_anonymous_profiles_when_asked():
    options = {"filterByExternalIds": ["user_id", "anonymous_id"]}
    assert who("segment", segment("trait('email').absent()", options=options), PEOPLE) == "no visitor"


@pytest.mark.parametrize(("given", "expected"), KLAVIYO_METRICS)
def test_klaviyo_metrics(given, expected):
    assert who("klaviyo", klaviyo(given), VIEWS) == expected


def test_klaviyo_sums_the_value_of_orders():
    data = Data(customers=people("big", "small", "none"), orders=[
        order(customer_id="big", ordered_at=at("2026-06-20 10:00"), revenue=Decimal(150)),
        order(customer_id="big", ordered_at=at("2026-06-21 10:00"), revenue=Decimal(60)),
        order(customer_id="small", ordered_at=at("2026-06-20 10:00"), revenue=Decimal(200)),
    ])
    given = metric("greater-than", 200, filtered("date", "alltime")) | {"metric_id": "S4SFhi", "measurement": "sum"}
    assert who("klaviyo", klaviyo(given), data) == "big"
    below = given | {"measurement_filter": filtered("numeric", "less-than", value=1)}
    assert who("klaviyo", klaviyo(below), data) == "none"
    for dimension, value, expected in (
        ("historic_number_of_orders", 2, "big"), ("historic_clv", 201, "big"), ("average_order_value", 110, "small"),
    ):
        analytics = {
            "type": "profile-predictive-analytics", "dimension": dimension,
            "filter": filtered("numeric", "greater-than-or-equal", value=value),
        }
        assert who("klaviyo", klaviyo(analytics), data) == expected


@pytest.mark.parametrize(("dimension", "score"), [
    ("churn_probability", "churn.risk_rate"), ("predicted_clv", "value.predicted_revenue"), ("total_clv", "value.ltv"),
])
def test_klaviyo_predictions_are_our_models(dimension, score):
    given = {
        "type": "profile-predictive-analytics", "dimension": dimension,
        "filter": filtered("numeric", "greater-than", value=0.5),
    }
    (draft,) = imported("klaviyo", klaviyo(given)).values()
    assert parse(draft.text, "x").value["where"] == {"score": score, "more_than": Decimal("0.5")}
    assert "our own model" in draft.notes[0].text and f"# - {draft.notes[0].place}" in draft.text


def test_klaviyo_regions_are_countries():
    given = {"type": "profile-region", "in_region": True, "region": "european_union"}
    assert who("klaviyo", klaviyo(given), PEOPLE) == "at de"
    assert who("klaviyo", klaviyo(given | {"region": "united_states", "in_region": False}), PEOPLE) == "at de"


@pytest.mark.parametrize(("channel", "receives", "subscription", "expected"), [
    ("email", True, "subscribed", "de"), ("email", False, "unsubscribed", "at"),
    ("sms", True, "any", ""), ("sms", False, "any", "at de no"), ("sms", True, "subscribed", ""),
    ("sms", False, "unsubscribed", ""), ("sms", False, "never_subscribed", "at de no"),
    ("push", True, "any", ""), ("push", True, "subscribed", ""),
])
def test_klaviyo_consent(channel, receives, subscription, expected):
    given = {"type": "profile-marketing-consent", "consent": {
        "channel": channel, "can_receive_marketing": receives, "consent_status": {"subscription": subscription},
    }}
    assert who("klaviyo", klaviyo(given), PEOPLE) == expected


def test_klaviyo_consent_since():
    def given(days: int) -> dict:
        since = {"field": "status_date", "filter": filtered("date", "in-the-last", unit="day", quantity=days)}
        status = {"subscription": "subscribed", "filters": [since]}
        return {"type": "profile-marketing-consent", "consent": {
            "channel": "email", "can_receive_marketing": True, "consent_status": status,
        }}

    assert who("klaviyo", klaviyo(given(11)), PEOPLE) == "de"
    assert who("klaviyo", klaviyo(given(10)), PEOPLE) == ""


@pytest.mark.parametrize(("bought", "window", "expected"), [
    (True, "DAYS_3", "both other"), (True, None, "both late other"), (False, "DAYS_3", "cart early late"),
    (False, None, "cart early"),
])
def test_klaviyo_funnels(bought, window, expected):
    given = {
        "type": "profile-metric-funnel", "completion_window_seconds": window,
        "timeframe_filter": filtered("date", "in-the-last", unit="day", quantity=30),
        "steps": [
            {"metric_exists": True, "metric_id": "Cart01"}, {"metric_exists": bought, "metric_id": "Check1"},
        ],
    }
    assert who("klaviyo", klaviyo(given), CARTS) == expected


def test_klaviyo_lists():
    data = Data(customers=people("new", "old", "never"), lists=[
        {"list_id": "beta", "customer_id": "new", "joined_at": at("2026-06-25 10:00")},
        {"list_id": "beta", "customer_id": "old", "joined_at": at("2026-01-25 10:00")},
    ])

    def given(member: bool, timeframe: dict | None = None) -> str:
        return klaviyo({
            "type": "profile-group-membership", "is_member": member, "group_ids": ["YzykDM"],
            "timeframe_filter": timeframe,
        })

    assert who("klaviyo", given(True), data) == "new old"
    assert who("klaviyo", given(False), data) == "never"
    assert who("klaviyo", given(True, filtered("date", "in-the-last", unit="day", quantity=10)), data) == "new"
    assert who("klaviyo", given(True, filtered("date", "at-least", unit="day", quantity=10)), data) == "old"


@pytest.mark.parametrize(("leaf", "expected"), POSTHOG_BEHAVIOURS)
def test_posthog_behaviours(leaf, expected):
    assert who("posthog", posthog(leaf), VIEWS) == expected


def test_posthog_looks_at_the_first_event_of_all():
    """The very first event of the name must meet the filters, not the first that does."""
    data = Data(events=[
        view("first", "2026-06-20", channel="email"),
        view("second", "2026-06-20", channel="google"), view("second", "2026-06-21", channel="email"),
        view("long", "2026-01-01", channel="email"), view("long", "2026-06-21", channel="email"),
    ])
    filters = [{"type": "event", "key": "channel", "value": "email", "operator": "exact"}]
    leaf = behaviour("performed_event_first_time", time_value=1, time_interval="month", event_filters=filters)
    assert who("posthog", posthog(leaf), data) == "first"


def test_posthog_sequences():
    leaf = behaviour(
        "performed_event_sequence", key="added_to_cart", seq_event="checkout_completed", seq_event_type="events",
        time_value=1, time_interval="month", seq_time_value=1, seq_time_interval="week",
    )
    assert who("posthog", posthog(leaf), CARTS) == "both other"
    month = posthog(leaf | {"seq_time_interval": "month"})
    assert who("posthog", month, CARTS) == "both late other"
    assert definitions("posthog", month)["tested"]["where"]["sequence"][1]["after"] == {"at_most": "30d"}


@pytest.mark.parametrize(("long", "recent"), [((60, "day"), (1, "week")), ((2, "month"), (7, "day"))])
def test_posthog_restarts(long, recent):
    """Again in the recent part, not in the rest of the whole, but before it; of whatever units."""
    data = Data(events=[
        view("back", "2026-01-10"), view("back", "2026-06-28"), view("new", "2026-06-28"),
        view("steady", "2026-01-10"), view("steady", "2026-06-10"), view("steady", "2026-06-28"),
        view("gone", "2026-01-10"),
    ])
    leaf = behaviour(
        "restarted_performing_event", time_value=long[0], time_interval=long[1], seq_time_value=recent[0],
        seq_time_interval=recent[1],
    )
    assert who("posthog", posthog(leaf), data) == "back"


@pytest.mark.parametrize(("chain", "expected"), SEGMENT_REDUCERS)
def test_segment_reducers(chain, expected):
    assert who("segment", segment(f"event('Checkout Completed').{chain}"), AMOUNTS) == expected


@pytest.mark.parametrize(("inner", "expected"), SEGMENT_FUNNELS)
def test_segment_funnels(inner, expected):
    query = f"event('Added To Cart').where({inner}).within(30 days).count()"
    assert who("segment", segment(f"{query} >= 1"), CARTS) == expected
    everyone = {"both", "late", "early", "cart", "other"}
    assert who("segment", segment(f"{query} = 0"), CARTS) == " ".join(sorted(everyone - set(expected.split())))


# Whole documents ----------------------------------------------------------------------------------------------------


def sample(name: str) -> str:
    return (SAMPLES / f"{name}.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("source", SOURCES)
def test_the_samples_are_imported_whole(source):
    found = definitions(source, sample(source))
    assert len(found) > 5
    for name, draft in imported(source, sample(source)).items():
        comments = " ".join(line.lstrip("# ") for line in draft.text.splitlines() if line.startswith("#"))
        assert all(str(note) in comments for note in draft.notes), name


def test_klaviyo_sample_in_full():
    found = definitions("klaviyo", sample("klaviyo"))
    assert found["engaged"] == {
        "name": "Engaged buyers",
        "description": "Imported from Klaviyo segment YaYUpQ, created 2023-04-28, last changed 2023-05-23.",
        "anonymous": False,
        "where": {"all": [
            {"ordered": "any", "where": {"coupon": {"known": False}, "store": {"is_not": "us"}}, "within": "90d",
             "count": {"at_least": 2}},
            {"any": [
                {"did": "email_opened", "within": {"ago": ["5d", "2d"]}},
                {"customer": "tier", "in": ["gold", "silver"]},
            ]},
        ]},
    }
    assert found["new_on_the_list"]["status"] == "inactive"
    assert found["new_on_the_list"]["where"]["all"][:3] == [
        {"list": "beta", "joined": {"in_last": "10d"}}, {"not": {"list": "vips"}},
        {"not": {"segment": "never_ordered"}},
    ]


def test_posthog_sample_in_full():
    imports = translate(SOURCES["posthog"], sample("posthog"), "posthog.json", NAMES, KNOWN)
    assert imports.warnings == ("$.results[8]: cohort 12 is the list nobody",)
    found = definitions("posthog", sample("posthog"))
    assert found["quiet_neither_german_nor_test"]["where"] == {"all": [
        {"not": {"customer": "country", "is": "DE"}}, {"not": {"list": "nobody"}},
        {"any": [{"segment": "stopped_viewing"}, {"did_not": "page_viewed", "within": "1mo"}]},
    ]}
    data = Data(
        customers=[customer(customer_id="de", country="DE"), *people("quiet", "tester", "seen")],
        events=[view("seen", "2026-06-29")], lists=[{"list_id": "nobody", "customer_id": "tester", "joined_at": None}],
    )
    assert members(found, data, DAY, BERLIN, TYPES)["quiet_neither_german_nor_test"] == {"quiet"}


def test_segment_sample_refers_to_its_own_audiences():
    found = definitions("segment", sample("segment"))
    assert found["others"]["where"]["all"][0] == {"not": {"segment": "shoe_buyers"}}
    assert found["others"]["status"] == "inactive" and "anonymous" not in found["shoe_buyers"]


def test_a_plain_query_is_an_audience_of_the_files_name():
    (draft,) = translate(SOURCES["segment"], "trait('city') = 'Bern'\n", "some/bernese people.txt", None, KNOWN).drafts
    assert draft.id == "bernese_people" and not draft.reasons


@pytest.mark.parametrize(("source", "expected"), REFUSED)
def test_what_has_no_equal_is_refused_with_every_reason_and_its_place(source, expected):
    drafts = imported(source, sample(f"{source}_refused"))
    said = [(name, reason.place, reason.text) for name, draft in drafts.items() for reason in draft.reasons]
    for name, place, text in expected:
        assert any(name == n and place in p and text in t for n, p, t in said), (name, place, text)
    assert len(said) == len(expected)
    assert all(bool(draft.text) != bool(draft.reasons) for draft in drafts.values())


@pytest.mark.parametrize(("source", "text", "place", "why"), REASONS)
def test_reasons(source, text, place, why):
    found = reasons(source, text)
    assert any(place in reason and why in reason for reason in found), found


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("text", [
    "", "[]", "{}", "null", "3", '"x"', "{", '{"data": 3}', '{"data": [3]}', "[" * 5000, '{"a": 1, "a": 2}',
    '{"x": NaN}',
    '{"data": [], "results": []}', '["\\ud800"]',
])
def test_documents_of_another_kind_are_refused_as_a_whole(source, text):
    if source == "segment" and not text.startswith(("{", "[")):
        (draft,) = translate(SOURCES[source], text, "x.json").drafts  # text that is taken for a query
        assert draft.reasons
        return
    with pytest.raises(UsageError, match="x.json"):
        translate(SOURCES[source], text, "x.json")


@pytest.mark.parametrize("source", SOURCES)
def test_broken_documents_never_end_in_a_traceback(source):
    """Random damage: values replaced, keys lost, queries cut. Everything becomes a file that loads or a reason."""
    draw = random.Random(7)
    junk = [None, True, 0, -1, 10**12, "", " ", "x", "-30d", [], {}, [{}], [None], {"type": "date"}, "is", "2026-02-30"]

    def damaged(value: object, chance: float) -> object:
        if draw.random() < chance:
            return draw.choice(junk)
        if isinstance(value, dict):
            return {key: damaged(part, chance) for key, part in value.items() if draw.random() > chance / 3}
        if isinstance(value, list):
            return [damaged(part, chance) for part in value]
        if isinstance(value, str) and len(value) > 30 and draw.random() < 0.5:
            cut = draw.randrange(len(value))
            junk_text = draw.choice(["", "(", ")", "'", " AND ", ".", "5 days"])
            return value[:cut] + junk_text + value[cut + draw.randrange(9):]
        return value

    outcomes = {"whole": 0, "sound": 0, "refused": 0}
    for _ in range(60):
        document = json.dumps(damaged(json.loads(sample(source)), draw.choice([0.01, 0.03, 0.1])))
        try:
            drafts = imported(source, document)
        except UsageError:
            outcomes["whole"] += 1
            continue
        for draft in drafts.values():
            outcomes["refused" if draft.reasons else "sound"] += 1
    assert min(outcomes.values()) > 0


def test_segments_of_one_id_are_told_apart_by_the_names_file():
    text = json.dumps([{"id": 1, "name": "VIP", "filters": None}, {"id": 2, "name": "Vip!", "filters": None}])
    drafts = translate(SOURCES["posthog"], text, "x.json").drafts
    assert "segments: {2: ANOTHER_ID}" in str(drafts[1].reasons[-1])
    drafts = translate(SOURCES["posthog"], text, "x.json", Names(segments={"2": "vip_two"})).drafts
    assert [draft.id for draft in drafts] == ["vip", "vip_two"]


@pytest.mark.parametrize(("text", "expected"), [
    ("event: {a: b}", "names.yaml:1: event: unknown key 'event'; did you mean 'events'?"),
    ("events:\n  a: 3", "names.yaml:2: events.a: an event type, a list of event types, or {ordered: any} is needed"),
    ("fields:\n  a: [b]", "names.yaml:2: fields.a: text is needed here"),
    ("- a", "names.yaml:1: a names file has the keys"),
])
def test_faults_of_the_names_file(text, expected):
    with pytest.raises(ConfError) as caught:
        read_names(text, "names.yaml")
    assert expected in str(caught.value)


def test_without_a_catalogue_names_are_taken_as_they_read():
    query = "event('Shoes Bought').where(property('sizeEU') > 40).count() >= 1"
    (draft,) = imported("segment", segment(query), catalogue=None).values()
    assert parse(draft.text, "x").value["where"] == {"did": "shoes_bought", "where": {"size_eu": {"more_than": 40}}}


# The command --------------------------------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path, monkeypatch) -> Path:
    (tmp_path / "conf/segments").mkdir(parents=True)
    (tmp_path / "conf/base.yaml").write_text(
        "tenant: shop\ncatalogue:\n  customer_fields: {tier: text}\n  event_types: {page_viewed: {}}\n",
        encoding="utf-8",
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_command_writes_what_it_can_and_tells_the_rest(project):
    (project / "cohorts.json").write_text(json.dumps({"results": [
        json.loads(posthog(behaviour("performed_event", key="page viewed"))) | {"name": "Views"},
        json.loads(posthog(person("shoe", "exact", "42"))) | {"id": 2, "name": "Shoes"},
        json.loads(posthog({"type": "cohort", "key": "id", "value": 2})) | {"id": 3, "name": "Leans"},
    ]}), encoding="utf-8")
    said = json.loads(seglake("import", "cohorts.json", "--from", "posthog", "--json", code=EXIT_USAGE))
    assert not said["ok"] and [entry["file"] for entry in said["imported"]] == ["conf/segments/views.yaml"]
    assert said["imported"][0]["differences"][0]["place"] == "$.results[0].filters.properties.values[0]"
    assert [(entry["segment"], len(entry["reasons"])) for entry in said["failed"]] == [("shoes", 1), ("leans", 1)]
    assert [path.name for path in (project / "conf/segments").iterdir()] == ["views.yaml"]

    text = seglake("import", "cohorts.json", "--from", "posthog", code=EXIT_USAGE)
    assert "conf/segments/views.yaml exists; --force replaces it" in text and "0 imported, 3 not" in text
    (project / "names.yaml").write_text("fields: {shoe: tier}\n", encoding="utf-8")
    text = seglake("import", "cohorts.json", "--from", "posthog", "--force", "--names", "names.yaml")
    assert "3 imported" in text and "warning: $.results[0]" in text
    written = sorted(path.name for path in (project / "conf/segments").iterdir())
    assert written == ["leans.yaml", "shoes.yaml", "views.yaml"]
    seglake("validate")


def test_the_command_refers_to_segments_that_are_there(project):
    (project / "conf/segments/vip.yaml").write_text("where: {customer: tier, is: gold}\n", encoding="utf-8")
    (project / "names.yaml").write_text('segments: {"9": vip}\n', encoding="utf-8")
    (project / "cohort.json").write_text(posthog({"type": "cohort", "key": "id", "value": 9}), encoding="utf-8")
    seglake("import", "cohort.json", "--from", "posthog", "--names", "names.yaml", "--out", "elsewhere")
    assert "segment: vip" in (project / "elsewhere/tested.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize(("arguments", "expected"), [
    (["nothing.json", "--from", "klaviyo"], "nothing.json cannot be read"),
    (["conf/base.yaml", "--from", "klaviyo"], "not JSON"),
    (["latin.json", "--from", "klaviyo"], "not UTF-8"),
    (["conf/base.yaml", "--from", "klaviyo", "--conf", "none"], "no conf folder"),
    (["conf/base.yaml", "--from", "klaviyo", "--names", "latin.json"], "not UTF-8"),
])
def test_arguments_that_cannot_be_used(project, arguments, expected):
    (project / "latin.json").write_bytes(b'"\xe4"')
    assert expected in invoked("import", *arguments, code=EXIT_USAGE).output


def test_the_command_offers_every_source():
    assert {origin.value for origin in Origin} == set(SOURCES)


# The page -----------------------------------------------------------------------------------------------------------


def documented() -> dict[tuple[str, str], dict[str, bool]]:
    """The tables of docs/import.md: (source, table) -> construct -> whether it has an equal."""
    tables: dict[tuple[str, str], dict[str, bool]] = {}
    source = table = ""
    for line in (ROOT / "docs/import.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            source, table = line[3:], ""
        elif line.startswith("### "):
            table = line[4:]
        elif table and line.startswith("| `"):
            first, second = (cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:3])
            for name in re.findall(r"`([^`]+)`", first):
                rows = tables.setdefault((source, table), {})
                assert name not in rows, f"{name} stands twice"
                rows[name] = not second.startswith("no equal")
    return tables


def test_the_page_has_every_construct():
    expected = {
        (source.title, table): dict.fromkeys(constructs.handlers, True) | dict.fromkeys(constructs.refused, False)
        for source in SOURCES.values() for table, constructs in source.constructs.items()
    }
    assert documented() == expected


def test_every_construct_is_tried():
    """The cases and samples cover what is translated, so that a new construct comes with a case."""
    klaviyo_, posthog_, segment_ = (
        {table: set(constructs.handlers) for table, constructs in SOURCES[name].constructs.items()}
        for name in ("klaviyo", "posthog", "segment")
    )
    assert {f"{given['type']} {given['operator']}" for _, given, _ in KLAVIYO_FILTERS} == klaviyo_["Filters"]
    assert {leaf["operator"] or "exact" for leaf, _ in POSTHOG_OPERATORS} == posthog_["Operators"]
    assert set(re.findall(r'"value": "([a-z_]+_event[a-z_]*)"', sample("posthog"))) == posthog_["Behaviours"]
    queries = [query for query, _ in SEGMENT_COMPARISONS]
    queries += [f"event('x').{chain}" for chain, _ in SEGMENT_REDUCERS]
    queries += [f"event('x').where({inner}).count() > 0" for inner, _ in SEGMENT_FUNNELS]
    called = {name for query in queries for name in _called(parse_query(query))}
    assert called == set.union(*segment_.values())


def _called(node: object) -> set[str]:
    """The functions and junctions of a query."""
    if isinstance(node, Chain):
        inside = [_called(part) for call in node.calls for part in call.arguments]
        return {call.name for call in node.calls}.union(*inside)
    return {node.name}.union(*map(_called, node.parts)) if isinstance(node, Junction) else set()


def test_windows_are_those_of_the_evaluation_at_as_of():
    """What Klaviyo's page on dates says of 17 June is so for the night that ends the 16th."""
    day = date(2023, 6, 16)
    data = Data(customers=[
        customer(customer_id=f"{n:02}", created_at=at("2023-01-01 00:00"), last_login=at(f"2023-06-{n:02} 12:00"))
        for n in range(10, 17)
    ])

    def found(**given: object) -> str:
        asked = {"type": "date", "unit": "day", **given}
        leaf = {"type": "profile-property", "property": "last_login", "filter": asked}
        return who("klaviyo", klaviyo(leaf), data, day)

    assert found(operator="in-the-last", quantity=3) == "14 15 16"
    assert found(operator="at-least", quantity=3) == "10 11 12 13"
    assert found(operator="between", start=3, end=5) == "12 13 14"
    assert day + timedelta(days=1) == date(2023, 6, 17)
