"""Checks of meaning: what must be found, what must not, and that what is called always true or false is so of everyone."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from agreement import settings_for, write
from oracle import Data
from oracle.people import gather
from oracle.rows import Night
from oracle.segments import Tonight, is_eligible
from oracle.times import Clock as OracleClock
from strategies import CATALOGUE as NAMES
from strategies import batch, customer, event, line, order
from strategies.definitions import Scope as Names
from strategies.definitions import condition
from strategies.draw import SeededDraw
from typer.testing import CliRunner

from jobs.cli import app
from segment_lib.catalogue import Catalogue, Type
from segment_lib.clock import Clock
from segment_lib.conf import load_settings
from segment_lib.definition.load import load_texts
from segment_lib.definition.meaning import Examination, Known, check_meaning
from segment_lib.definition.segment import Segment
from segment_lib.errors import ConfError

BERLIN = ZoneInfo("Europe/Berlin")
TONIGHT = Clock(date(2026, 5, 1), BERLIN)
CATALOGUE = Catalogue(
    event_types={"page_viewed": {}, "product_viewed": {}, "checkout_completed": {}},
    customer_fields={"points": Type.INTEGER, "tags": Type.TEXTS, "vip": Type.BOOLEAN, "renewal": Type.DATE},
    order_statuses=("paid", "cancelled"), purchase_statuses=("paid",), lists=("newsletter",),
)
OTHERS = {"a.yaml": "where: {did: product_viewed, within: 9d}"}


def found(text: str, kept: dict[str, str] | None = None, **others: str) -> list[str]:
    """The warnings about x.yaml as `line code`; the definition itself must have no fault."""
    texts = {**OTHERS, **{f"{name}.yaml": other for name, other in others.items()}, "x.yaml": text}
    loaded = load_texts(texts, CATALOGUE)
    assert not loaded.errors, loaded.errors
    warnings = check_meaning(loaded.segments, Known(CATALOGUE, loaded.ids, BERLIN, kept, TONIGHT))
    return [f"{issue.line} {issue.code}" for issue in loaded.placed("x", warnings.get("x", ()))]


def listed(key: str, *conditions: str) -> str:
    """A definition of one list, with one condition a line: the first stands in line 3."""
    return f"where:\n  {key}:\n" + "".join(f"    - {{{part}}}\n" for part in conditions)


# Always true, always false, contradictions ---------------------------------------------------------------------------

FALSE_ALONE = [
    "customer: points, at_least: 5, at_most: 3",
    "customer: points, more_than: 2, less_than: 3",
    "customer: points, is: 2.5",
    "customer: points, between: [1, 2], not_in: [1, 2]",
    "customer: city, is: ' '",
    "customer: country, in: [DE, AT], not_in: [AT, DE]",
    "customer: country, is: Germany, starts_with: d, ends_with: z",
    "customer: city, contains: Berlin, not_contains: erl",
    "customer: city, starts_with: Ber, ends_with: x, matches: a, not_contains: b",
    "customer: city, starts_with: Ab, contains: b, is_not: Abc, is: xyz",
    "customer: tags, has_all: [new, vip], has_any: [old], known: false",
    "customer: vip, is: true, is_not: true",
    "customer: renewal, after: 2026-01-31, before: 2026-02-01",
    "customer: renewal, in_last: 7d, in_next: 7d",
    "customer: birthday, anniversary: {from: 03-01, to: 03-31}, on: 2000-04-01",
    "did: any, count: {less_than: 0}",
    "did: page_viewed, where: {amount: {more_than: 5, less_than: 5}}",
    "did: page_viewed, where: {all: [{channel: google}, {not: {channel: {known: true}}}]}",
    "ordered: any, items: {quantity: {at_least: 3, at_most: 2}}",
    "did: any, mode: {of: channel, share: {more_than: 1}}",
    "ordered: purchases, sum: {of: revenue, more_than: {percentile: 100}}",
    "sequence: [{did: page_viewed}, {did: page_viewed, after: {at_least: 10d}}], span: 5d",
    "regularly: page_viewed, every: 7d, periods: {of: 4, at_least: 4}, where: {amount: {at_least: 2, at_most: 1}}",
    "value: {customer: points}, more_than: {customer: points}",
    "segment: a, member_for: {at_least: 30d, at_most: 7d}",
]
TRUE_ALONE = [
    "did: any, count: {at_least: 0}",
    "did: any, distinct: {of: channel, at_least: 0}",
    "visits: any, count: {more_than: -1}",
    "split: {salt: a, from: 0, to: 100}",
    "did_not: page_viewed, where: {amount: {more_than: 5, less_than: 5}}",
    "ordered: any, count: {at_most: {percentile: 100}}",
]
#: Two conditions that nobody meets together; the second is where the warning stands.
CONTRADICTIONS = [
    ("customer: country, is: DE", "customer: country, is: AT"),
    ("customer: points, at_least: 5", "not: {customer: points, at_least: 3}"),
    ("customer: points, known: false", "customer: points, less_than: 0"),
    ("did: page_viewed, within: 30d, count: {at_least: 3}", "did: any, within: 365d, count: {at_most: 2}"),
    ("did: page_viewed, where: {channel: google}, within: 7d", "did_not: page_viewed, within: 1w"),
    ("did: page_viewed, within: 1d", "did: page_viewed, within: 2d, count: 0"),
    ("did: page_viewed, within: {from: 2026-02-01, to: 2026-02-03}",
     "did: [product_viewed, page_viewed], within: {from: 2026-01-01, to: 2026-03-31}, count: {less_than: 1}"),
    ("ordered: paid, sum: {of: revenue, more_than: 0}", "ordered: any, count: {at_most: 0}"),
    ("ordered: any, latest: {of: coupon, is: TEA}, within: 30d", "ordered: any, within: 60d, count: 0"),
    ("ordered: any, max: {of: revenue, at_least: 100}, within: 30d", "ordered: any, max: {of: revenue, less_than: 50}, within: 1y"),
    ("ordered: any, min: {of: revenue, at_least: 100}, within: 1y", "ordered: any, min: {of: revenue, less_than: 50}, within: 30d"),
    ("visits: any, within: 30d, count: {at_least: 5}", "did: any, within: 60d, count: {at_most: 4}"),
    ("first_did: page_viewed, within: 30d", "did_not: page_viewed, within: 60d"),
    ("first_did: page_viewed, within: 30d", "did: page_viewed, within: {before: 30d}"),
    ("stopped: page_viewed, within: 90d, quiet: 30d", "did: page_viewed, within: 7d"),
    ("restarted: page_viewed, within: 30d, gap: 60d", "did_not: page_viewed, within: 30d"),
    ("sequence: [{did: page_viewed}, {did: page_viewed}], within: 30d", "did: page_viewed, within: 30d, count: {at_most: 1}"),
    ("regularly: page_viewed, every: 7d, periods: {of: 8, at_least: 6}", "did: page_viewed, count: {at_most: 5}"),
    ("ordered: any, items: {quantity: {at_least: 3}}", "ordered: any, items: {quantity: {at_least: 2}}, count: 0"),
    ("segment: a", "not: {segment: a}"),
    ("segment: a, entered: {in_last: 7d}", "not: {segment: a}"),
    ("list: newsletter", "none: [{list: newsletter}]"),
    ("consent: email", "customer: email_consent, is: false"),
    ("split: {salt: a, from: 0, to: 50}", "split: {salt: a, from: 50, to: 100}"),
    ("ordered: any, sum: {of: revenue, at_least: {percentile: 90}}", "ordered: any, sum: {of: revenue, less_than: {percentile: 90}}"),
    ("value: {ordered: any, sum: revenue, within: 30d}, more_than: {customer: points}",
     "value: {customer: points}, at_least: {ordered: any, sum: revenue, within: 30d}"),
    ("any: [{customer: country, is: DE}, {customer: country, is: AT}]", "customer: country, is: CH"),
]


@pytest.mark.parametrize("text", FALSE_ALONE)
def test_always_false_alone(text):
    assert found(listed("any", "did: any", text)) == ["4 always_false"]


@pytest.mark.parametrize("text", TRUE_ALONE)
def test_always_true_alone(text):
    assert found(listed("all", "did: any", text)) == ["4 always_true"]


@pytest.mark.parametrize(("one", "other"), CONTRADICTIONS)
def test_contradiction(one, other):
    """Found next to each other, apart in nested lists, and as the opposite of what `any` and `none` ask."""
    beside = "customer: renewal, in_last: 1d"
    assert found(listed("all", beside, one, other))[:1] == ["5 contradiction"]
    assert "5 contradiction" in found(f"where:\n  all:\n    - {{{one}}}\n    - all:\n      - {{{other}}}\n      - {{{beside}}}\n")
    opposite = listed("any", f"not: {{{one}}}", f"not: {{{other}}}")
    assert "4 always_true" in found(opposite)
    assert "4 always_false" in found(listed("none", f"not: {{{one}}}", f"not: {{{other}}}"))


def test_the_whole_is_told_when_one_condition_decides_it():
    loaded = load_texts({"x.yaml": listed("all", "did: any", CONTRADICTIONS[0][0], CONTRADICTIONS[0][1])}, CATALOGUE)
    (fault,) = check_meaning(loaded.segments, Known(CATALOGUE, loaded.ids, BERLIN))["x"]
    assert str(loaded.placed("x", [fault])[0]) == (
        "x.yaml:5: where.all[2]: warning: a contradiction with 'country is DE' (where.all[1]): nobody meets both; "
        "so nobody can be a member"
    )


def test_three_together():
    text = listed("all", "customer: points, at_least: 5", "segment: a", "customer: points, at_most: 6", "customer: points, not_in: [5, 6]")
    assert found(text) == ["6 contradiction"]


def test_nobody_whom_the_segment_considers():
    assert found("eligible: [purchasers]\nwhere:\n  all:\n  - {did: any}\n  - {ordered: paid, count: 0}") == ["5 contradiction"]
    assert found("eligible: [purchasers, push]\nwhere:\n  all:\n  - {did: any}\n  - {ordered: paid, count: 0}") == []
    assert found("eligible: [email]\nwhere: {customer: email, known: false}") == ["2 contradiction"]


#: Definitions that look decided and are not.
UNDECIDED = [
    "any: [{customer: points, at_least: 5}, {customer: points, less_than: 5}]",
    "any: [{customer: country, is: DE}, {customer: country, is_not: DE}]",
    "all: [{did: page_viewed, within: 1mo, count: {at_least: 3}}, {did: page_viewed, within: 30d, count: {at_most: 2}}]",
    "all: [{did: page_viewed, within: 24h}, {did_not: page_viewed, within: 1d}]",
    "all: [{did: page_viewed, within: 1d}, {did_not: page_viewed, within: 24h}]",
    "all: [{did: page_viewed, within: 365d}, {did_not: page_viewed, within: 52w}]",
    "all: [{did: page_viewed, within: 1y}, {did_not: page_viewed, within: 365d}]",
    "all: [{did: page_viewed, within: {from: 2024-06-01, to: 2024-06-05}}, {did_not: page_viewed, within: 30d}]",
    "all: [{did: page_viewed, within: {from: 2024-06-01, to: 2024-06-05}}, {did_not: page_viewed, within: {before: 30d}}]",
    "all: [{first_did: page_viewed, within: {from: 2025-01-01, to: 2025-12-31}}, {first_did: page_viewed, within: 30d}]",
    "did: page_viewed, within: {from: 2099-01-01}",
    "all: [{did: page_viewed, count: {at_least: 3}}, {did: page_viewed, where: {channel: google}, count: {at_most: 2}}]",
    "all: [{did: page_viewed, within: 60d, count: {at_least: 3}}, {did: page_viewed, within: 30d, count: {at_most: 2}}]",
    "all: [{ordered: any, sum: {of: revenue, at_least: 100}, within: 30d}, {ordered: any, sum: {of: revenue, less_than: 100}, within: 60d}]",
    "all: [{ordered: any, avg: {of: revenue, at_least: 100}, within: 30d}, {ordered: any, avg: {of: revenue, less_than: 50}, within: 60d}]",
    "ordered: any, sum: {of: revenue, at_least: 0}",
    "all: [{customer: city, contains: a}, {customer: city, not_contains: A, case: true}]",
    "all: [{customer: city, starts_with: ab}, {customer: city, ends_with: cd}, {customer: city, contains: xy}]",
    "all: [{customer: city, starts_with: ß}, {customer: city, not_contains: SS}]",
    "all: [{customer: tags, has_any: [new, vip]}, {not: {customer: tags, has_any: [new]}}, {customer: tags, known: true}]",
    "all: [{ordered: any, sum: {of: revenue, at_least: {percentile: 90}}}, {ordered: any, sum: {of: revenue, at_most: {percentile: 50}}}]",
    "all: [{split: {salt: a, from: 0, to: 50}}, {split: {salt: b, from: 50, to: 100}}]",
    "all: [{customer: birthday, anniversary: {from: 12-02, to: 01-03}}, {customer: birthday, anniversary: {in_next: 7d}}]",
    "all: [{customer: birthday, anniversary: {from: 02-28, to: 02-28}}, {customer: birthday, anniversary: {from: 02-29, to: 02-29}}]",
    "all: [{sequence: [{did: page_viewed}, {did: product_viewed}]}, {did: any, count: {at_most: 2}}]",
    "any: [{value: {customer: points}, more_than: {did: any, count: true}}, {value: {customer: points}, at_most: {did: any, count: true}}]",
    "all: [{ordered: any, items: {quantity: {at_least: 2}}}, {ordered: any, items: {quantity: {at_least: 3}}, count: 0}]",
    "all: [{visits: any, count: {at_most: 1}}, {did: any, count: {at_least: 9}}]",
    "all: [{segment: a}, {did_not: product_viewed, within: 9d}]",
    "did: any, within: 999y",
]


@pytest.mark.parametrize("text", UNDECIDED)
def test_undecided(text):
    assert found(f"where: {{{text}}}") == []


def _part(definition: dict, path: tuple) -> dict:
    part = definition
    for key in path:
        part = part[key]
    return part


def _tree(draw: SeededDraw, leaves: list[dict], depth: int) -> dict:
    if not depth or draw.chance(35):
        return draw.choice(leaves)
    key = draw.choice(["all", "all", "any", "none", "not"])
    if key == "not":
        return {"not": _tree(draw, leaves, depth - 1)}
    return {key: [_tree(draw, leaves, depth - 1) for _ in range(draw.integer(2, 4))]}


def _counts(draw: SeededDraw) -> dict:
    """A count of rows, with filters and windows of which some contain others."""
    rows = draw.choice([{"did": "any"}, {"did": "page_viewed"}, {"did": ["page_viewed", "added_to_cart"]}, {"ordered": "any"}])
    if draw.chance(50):
        rows = rows | {"where": {"source" if "ordered" in rows else "channel": draw.choice(["google", {"known": True}])}}
    if draw.chance(60):
        rows = rows | {"within": draw.choice(["30d", "90d", "1y", {"ago": ["90d", "7d"]}, {"before": "30d"}])}
    return rows | {"count": {draw.choice(["at_least", "at_most"]): draw.integer(0, 3)}}


def _decided(definition: dict, known: Known, nights: dict) -> dict[tuple, bool]:
    examined = Examination(Segment.model_validate(definition), known, nights)
    examined.findings()
    return examined.claims.settled


@pytest.mark.parametrize("seed", [1, 2, 7, 8])
def test_what_is_called_decided_is_so_of_everyone(seed):
    """Random definitions over few conditions, so that many clash, held to the oracle over random people."""
    drawn = batch(seed, 6)
    draw = SeededDraw(random.Random(seed))
    names = Names(NAMES, tuple(drawn.definitions)[:3], drawn.snapshot_date)
    leaves = [condition(draw, names, 0) for _ in range(14)] + [_counts(draw) for _ in range(14)]
    known = Known(settings_for("lake", drawn.zone.key).names(), frozenset(drawn.definitions), drawn.zone)
    night = Night(OracleClock(drawn.snapshot_date, drawn.zone), NAMES)
    people = gather(drawn.data, night.clock.as_of)
    claims, nights = 0, {}
    for number in range(120):
        definition: dict = {"where": _tree(draw, leaves, 3)}
        if draw.chance(30):
            definition["eligible"] = [draw.choice(["registered", "purchasers", "email", "push"])]
        decided = _decided({"id": f"t{number}", **definition}, known, nights)
        tonight = Tonight(night, people, drawn.definitions, {})
        eligible = [person for person in people.values() if is_eligible(person, definition, night)]
        for path, truth in decided.items():
            claims += 1
            part = _part(definition, path)
            wrong = [person.id for person in eligible if tonight.holds_for(part, person, eligible) != truth]
            assert not wrong, f"{part} is called always {truth} and is not for {wrong}"
    assert claims >= 20


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_planted_contradictions_are_found(seed):
    """Whatever a condition says: it and its complement exclude each other, and one of them always holds."""
    drawn = batch(seed, 4)
    draw = SeededDraw(random.Random(seed))
    names = Names(NAMES, tuple(drawn.definitions), drawn.snapshot_date)
    known = Known(settings_for("lake", drawn.zone.key).names(), frozenset(drawn.definitions), drawn.zone)
    nights: dict = {}
    for number in range(15):
        first, other = condition(draw, names, 1), condition(draw, names, 0)
        if _decided({"id": "t", "where": first}, known, nights):
            continue
        for key, truth in (("all", False), ("any", True), ("none", False)):
            where = {key: [first, other, {"not": first}]}
            decided = _decided({"id": "t", "where": where}, known, nights)
            assert decided.get(("where",)) is truth or ("where", key, 1) in decided, (number, where)


# Duplicates ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("one", "other"), [
    ("where: {did: [page_viewed, product_viewed], within: 30d}",
     "name: B\nwhere: {all: [{did: [product_viewed, page_viewed], within: {ago: [30d, 1d]}, count: {at_least: 9}}]}"),
    ("where: {all: [{consent: email}, {customer: country, in: [DE, AT]}]}\nlimit: {top: 5, by: {customer: points}}",
     "where: {all: [{customer: country, in: [AT, DE]}, {consent: email}]}"),
    ("where: {did: page_viewed, within: 30d}", "where: {did: page_viewed, within: 1mo}"),
    ("where: {did: page_viewed, within: 30d}", "where: {did: page_viewed, within: {from: 2024-05-17}}"),
    ("where: {sequence: [{did: page_viewed}, {did: product_viewed}]}",
     "where: {sequence: [{did: product_viewed}, {did: page_viewed}]}"),
    ("where: {score: rfm.r, at_least: 4}", "where: {score: rfm.r, at_least: 3}"),
    ("where: {did: page_viewed}", "status: inactive\nwhere: {did: page_viewed}"),
    ("where: {did: page_viewed}", "anonymous: false\nwhere: {did: page_viewed}"),
])
def test_no_duplicates(one, other):
    assert found(other, one=one) == []


@pytest.mark.parametrize(("one", "other"), [
    ("name: A\nwhere: {all: [{consent: email}, {customer: country, in: [DE, AT]}]}",
     "name: B\ntags: [b]\nwhere: {all: [{customer: country, in: [AT, DE]}, {all: [{consent: email}]}]}"),
    ("where: {did: page_viewed, within: 14d}", "where: {did: [page_viewed], within: 2w, count: {at_least: 1}}"),
    ("where: {score: rfm.r, at_least: 4}", "where: {score: rfm.r, at_least: 4.0}"),
    ("eligible: [push, email]\nwhere: {did_not: {ordered: any}}",
     "eligible: [email, push]\nwhere: {not: {ordered: any}}\nholdout: {percent: 5, salt: x}"),
])
def test_duplicates(one, other):
    line = next(number for number, text in enumerate(other.splitlines(), 1) if text.startswith("where"))
    assert found(other, one=one) == [f"{line} duplicate"]


def test_a_duplicate_names_the_other():
    texts = {f"{name}.yaml": "where: {did: page_viewed}" for name in ("first", "second", "third")}
    loaded = load_texts(texts, CATALOGUE)
    warnings = check_meaning(loaded.segments, Known(CATALOGUE, loaded.ids, BERLIN))
    assert set(warnings) == {"second", "third"}
    assert all("segment 'first'" in fault.message for faults in warnings.values() for fault in faults)


# Windows and what is kept --------------------------------------------------------------------------------------------

KEPT = {"events": "1y", "orders": "90d"}


@pytest.mark.parametrize(("text", "expected"), [
    ("did: page_viewed, within: 2y", True),
    ("did: page_viewed, within: 12mo", False),
    ("did: page_viewed, within: {from: 2025-05-02}", False),
    ("did: page_viewed, within: {from: 2025-05-01}", True),
    ("ordered: any, within: {ago: [120d, 30d]}", True),
    ("did: any, within: 120d", False),
    ("restarted: {ordered: any}, within: 60d, gap: 60d", True),
    ("regularly: page_viewed, every: 2w, periods: {of: 30, at_least: 3}", True),
    ("sequence: [{did: page_viewed}, {ordered: any}], within: 100d", True),
    ("value: {ratio: [{ordered: any, count: true, within: 1y}, {did: any, count: true}]}, at_least: 2", True),
    ("did: page_viewed", False),
    ("ordered: any, sum: {of: revenue, at_least: 1000}", False),
    ("did_not: page_viewed", True),
    ("not: {did: page_viewed}", True),
    ("none: [{ordered: any, count: {more_than: 2}}]", True),
    ("first_did: page_viewed, within: 30d", True),
    ("did: any, first: {of: channel, is: google}", True),
    ("list: newsletter", False),
])
def test_windows_longer_than_what_is_kept(text, expected):
    assert found(f"where: {{{text}}}", kept=KEPT) == (["1 window_longer_than_kept"] if expected else [])
    assert found(f"where: {{{text}}}") == []


def test_kept_is_read_from_conf(tmp_path):
    def conf(text: str) -> str:
        (tmp_path / "conf").mkdir(exist_ok=True)
        (tmp_path / "conf" / "base.yaml").write_text(text)
        return str(tmp_path / "conf")

    assert load_settings(conf("inputs: {events: {kept: 2y}}")).input("events").kept == "2y"
    for text, fault in {
        "inputs: {events: {kept: 2 years}}": "inputs.events.kept: '2 years' is not a length of time",
        "inputs: {events: {kept: 999y}}": "inputs.events.kept: '999y' is more than 100 years",
        "inputs: {customers: {kept: 2y}}": "inputs: kept belongs to events and orders",
    }.items():
        with pytest.raises(ConfError, match="conf/base.yaml:1: ") as raised:
            load_settings(conf(text))
        assert fault in str(raised.value)


# Negations that let missing values in --------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "lines"), [
    (listed("all", "not: {customer: country, is: DE}", "segment: a"), [3]),
    (listed("none", "customer: country, is: DE", "customer: country, is: AT", "customer: points, at_least: 3"), [3, 5]),
    (listed("all", "did: any", "none: [{customer: renewal, in_last: 7d}]"), [4]),
    (listed("all", "not: {score: rfm.r, at_least: 4}"), [3]),
    (listed("all", "not: {ordered: any, latest: {of: coupon, is: TEA}}"), [3]),
    (listed("all", "not: {value: {customer: points}, more_than: {did: any, count: true}}"), [3]),
    (listed("all", "not: {not: {not: {customer: country, is_not: DE}}}"), [3]),
    ("where:\n  did: any\n  where:\n    not:\n      channel: google", [5]),
    ("where:\n  did: any\n  where:\n    none:\n      - {channel: google}\n      - {amount: {at_least: 3}}", [5, 6]),
    ("where:\n  ordered: any\n  items:\n    all:\n      - {quantity: {at_least: 2}}\n      - not: {product_id: tea}", [6]),
    (listed("all", "customer: country, is_not: DE"), []),
    (listed("all", "not: {not: {customer: country, is: DE}}"), []),
    (listed("all", "customer: country, known: true", "not: {customer: country, is: DE}"), []),
    (listed("all", "customer: country, in: [DE, AT]", "not: {customer: country, is: DE}"), []),
    (listed("all", "all: [{customer: country, known: true}]", "any: [{not: {customer: country, is: DE}}, {did: any}]"), []),
    (listed("any", "customer: country, known: false", "not: {customer: country, is: DE}"), []),
    (listed("all", "not: {customer: country, known: true}"), []),
    (listed("all", "not: {did: any, count: {at_least: 3}}", "not: {ordered: any, sum: {of: revenue, at_least: 9}}"), []),
    (listed("all", "not: {visits: any}", "not: {did: any, distinct: {of: channel, at_least: 2}}"), []),
    (listed("none", "segment: a", "list: newsletter", "split: {salt: a, from: 0, to: 9}", "first_did: any, within: 9d"), []),
    (listed("none", "consent: email", "consent: sms, since: {in_last: 9d}", "customer: registered, is: false"), []),
    (listed("none", "customer: vip, is: true"), []),
    (listed("none", "customer: vip, is: false"), [3]),
    ("eligible: [email]\nwhere:\n  not: {customer: email, ends_with: .test}", []),
    ("where: {did: any, where: {all: [{channel: {known: true}}, {not: {channel: google}}]}}", []),
    ("where: {did: any, where: {not: {event_type: page_viewed}}}", []),
    ("where: {did: any, where: {channel: {is_not: google}}}", []),
])
def test_negations_that_let_missing_values_in(text, lines):
    assert found(text) == [f"{line} missing_included" for line in lines]


def test_a_negation_is_told_how_to_leave_them_out():
    loaded = load_texts({"x.yaml": "where: {not: {customer: country, in: [DE, AT]}}"}, CATALOGUE)
    (fault,) = check_meaning(loaded.segments, Known(CATALOGUE, loaded.ids, BERLIN))["x"]
    assert fault.message == "the negation includes customers whose country is missing"
    assert fault.hint == (
        "to leave them out, write not_in: [DE, AT] without the negation, or add {customer: country, known: true}"
    )


# The command ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """A project with one definition that says nothing, one that waits and says nothing, and one that is broken."""
    segments = tmp_path / "conf" / "segments"
    segments.mkdir(parents=True)
    (tmp_path / "conf" / "base.yaml").write_text("catalogue: {event_types: {page_viewed: {}}, lists: [newsletter]}\n")
    (segments / "all_of_them.yaml").write_text("where:\n  all:\n    - {did: any, count: {at_least: 0}}\n")
    (segments / "waiting.yaml").write_text("where: {all: [{score: churn.risk_rate, at_least: 0.5}, {score: value.predicted_orders, at_least: 1}]}\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def validate(*options: str) -> tuple[int, dict]:
    said = CliRunner().invoke(app, ["validate", "--json", *options], catch_exceptions=False)
    return said.exit_code, json.loads(said.stdout)


def test_warnings_have_codes_and_do_not_fail(project):
    code, result = validate()
    assert code == 0 and result["ok"]
    assert [(Path(issue["file"]).name, issue["line"], issue["code"], issue["severity"]) for issue in result["issues"]] == [
        ("all_of_them.yaml", 3, "always_true", "warning"), ("waiting.yaml", 1, "waiting", "warning"),
    ]


def test_strict_fails_on_warnings(project):
    code, result = validate("--strict")
    assert code == 2 and not result["ok"]
    for file in (project / "conf" / "segments").iterdir():
        file.write_text("where: {did: page_viewed}")
    (project / "conf" / "segments" / "waiting.yaml").unlink()
    assert validate("--strict")[0] == 0


def test_files_with_faults_get_no_warnings(project):
    broken = "where:\n  all:\n    - {did: any, count: {at_least: 0}}\n    - {did: page_vewed}\n"
    (project / "conf" / "segments" / "all_of_them.yaml").write_text(broken)
    code, result = validate()
    assert code == 2
    assert [(issue["line"], issue["code"]) for issue in result["issues"]] == [(4, "unknown_event_type"), (1, "waiting")]


def test_checks_of_meaning_need_no_spark(project):
    program = (
        "import sys; from typer.testing import CliRunner; from jobs.cli import app\n"
        "print(CliRunner().invoke(app, ['validate']).stdout); print('loaded', *({'pyspark', 'delta'} & sys.modules.keys()))"
    )
    root = Path(__file__).parents[1]
    said = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env={"PYTHONPATH": str(root)}
    ).stdout.splitlines()
    assert said[-1] == "loaded" and "2 definitions are valid, 2 warnings" in said


# With data -----------------------------------------------------------------------------------------------------------


def test_conditions_that_no_data_has_ever_matched(spark, lake):
    from segment_lib.language.scope import Scope
    from segment_lib.unmatched import look

    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    lake.settings = settings_for(lake.root, "Europe/Berlin")
    write(spark, lake, Data(
        customers=[customer(customer_id="c1", country="DE", points=5), customer(customer_id="c2", country="AT")],
        events=[
            event(event_id="e1", occurred_at=noon, channel="google"),
            event(event_id="e2", occurred_at=noon, channel="tiktok", amount=Decimal("5.0000")),
            event(event_id="e3", customer_id=None, occurred_at=noon, channel="bing"),
        ],
        orders=[order(items=[line(product_id="tea", quantity=1), line(product_id="mug", quantity=3)])],
    ))
    where = {
        "matched": {"all": [
            {"did": "page_viewed", "where": {"channel": "google"}}, {"customer": "country", "in": ["DE", "FR"]},
            {"ordered": "paid", "items": {"product_id": "mug", "quantity": {"at_least": 2}}},
            {"did": "any", "where": {"channel": "google"}, "within": {"from": "2020-01-01", "to": "2020-02-01"}},
            {"customer": "created_at", "in_last": "30d"}, {"customer": "points", "at_least": {"percentile": 100}},
            {"list": "beta"}, {"split": {"salt": "a", "from": 0, "to": 1}},
        ]},
        "unmatched": {"any": [
            {"did": "page_viewed", "where": {"channel": "bing"}}, {"did_not": "email_opened"},
            {"customer": "country", "is": "GERMANY"}, {"not": {"customer": "points", "more_than": 5}},
            {"ordered": "any", "items": {"product_id": "tea", "quantity": {"at_least": 2}}, "count": 3},
            {"sequence": [{"did": "page_viewed"}, {"ordered": "cancelled"}]},
        ]},
    }
    segments = [Segment.model_validate({"id": name, "where": condition}) for name, condition in where.items()]
    catalogue = lake.settings.names()
    looked = look(lake, segments, Scope(catalogue, TONIGHT, frozenset(where)))
    assert set(looked.warnings) == {"unmatched"}
    told = {fault.path[2]: fault.message for fault in looked.warnings["unmatched"]}
    assert told == {
        0: "no data has ever matched: none of 2 events meets its filter",
        1: "no data has ever matched: none of 2 events meets its filter",
        2: "no data has ever matched: none of 2 customers meets this",
        3: "no data has ever matched: none of 2 customers meets this",
        4: "no data has ever matched: none of 1 orders meets its filter",
        5: "no data has ever matched: none of 1 orders meets its filter",
    }
    assert {fault.code for fault in looked.warnings["unmatched"]} == {"never_matched"}
    assert looked.rows == {"customers": 2, "events": 2, "lists": 0, "orders": 1}
