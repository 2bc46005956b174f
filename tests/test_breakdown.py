"""Breakdowns of drawn customers, counted once more in plain Python."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from commands import result, seglake
from published_shop import DATES, GONE, ZONE, PublishedShop, midnight

from segment_lib.breakdown import OTHER, UNKNOWN, Breakdown
from segment_lib.catalogue import Catalogue
from segment_lib.charts import parse_chart
from segment_lib.conf import read_conf
from segment_lib.errors import EXIT_USAGE, ConfError, UsageError

LAST = DATES[-1]
SINCE, UNTIL = LAST - timedelta(days=40), LAST - timedelta(days=2)


# The same in plain Python ---------------------------------------------------------------------------------------------


def members_of(shop: PublishedShop, name: str) -> set[str]:
    """The persons of the last date."""
    if name == "_all":
        return {person for one in shop.truth.everyone[LAST] if (person := shop.truth.person(one))}
    return shop.truth.inside(name, LAST)


def bought_by(shop: PublishedShop, since: date | None, until: date) -> dict[str, list[dict]]:
    found = defaultdict(list)
    for row in shop.truth.purchases():
        day = row["ordered_at"].astimezone(ZONE).date()
        if (since is None or day >= since) and day <= until:
            found[row["customer_id"]].append(row)
    return found


def in_range(number: Any, whole: bool) -> str | None:
    """A number's range, sought from the ranges' rule: upper ends 1, 2 and 5 times powers of ten."""
    if number is None or number <= 0:
        return None if number is None else "0" if number == 0 else "below 0"
    ends = [Decimal(part) * Decimal(10) ** power for power in range(0 if whole else -2, 9) for part in (1, 2, 5)]
    place = next(i for i, end in enumerate(ends) if number <= end)
    low = ends[place - 1] if place else Decimal(0)
    if whole:
        return f"{ends[place]:,}" if low + 1 == ends[place] else f"{low + 1:,} to {ends[place]:,}"
    return f"over {low:,} to {ends[place]:,}"


def values_of(shop: PublishedShop, bought: dict[str, list[dict]]) -> dict[str, Callable[[str], str | None]]:
    """Chart -> person -> value."""
    truth = shop.truth
    profile = {row["customer_id"]: row for row in truth.customers}
    events = defaultdict(list)
    for row in truth.events:
        person = truth.person(row["customer_id"])
        if person and row["occurred_at"] < midnight(LAST + timedelta(days=1)) and row["channel"]:
            events[person].append((row["occurred_at"], row["event_id"], row["channel"]))

    def of(name: str) -> Callable[[str], Any]:
        return lambda person: profile.get(person, {}).get(name)

    def created(person: str) -> str | None:
        at = of("created_at")(person)
        return None if at is None else f"{at.astimezone(ZONE):%Y-%m}"

    def store(person: str) -> str | None:
        known = [(row["ordered_at"], row["order_id"], row["store"]) for row in bought[person] if row["store"]]
        return max(known)[2] if known else None

    def category(person: str) -> str | None:
        units = Counter()
        for row in bought[person]:
            for _, group, quantity, *_ in row["items"]:
                if group:
                    units[group] += quantity
        return min(units, key=lambda group: (-units[group], group)) if units else None

    return {
        "country": of("country"), "created_at:month": created, "last_store": store, "category": category,
        "registered": lambda person: {True: "yes", False: "no", None: None}[of("registered")(person)],
        "points": lambda person: in_range(of("points")(person), True),
        "credit": lambda person: in_range(of("credit")(person), False),
        "order_count": lambda person: in_range(len(bought[person]), True),
        "first_channel": lambda person: min(events[person])[2] if events[person] else None,
        "last_channel": lambda person: max(events[person])[2] if events[person] else None,
        "rfm.group": lambda person: truth.groups[LAST].get(person, ("prospect",))[0],
        "segment:b": lambda person: "in" if person in members_of(shop, "b") else "not in",
    }


def expected(shop: PublishedShop, segment: str, by: str, since: date | None, until: date) -> dict[tuple, tuple]:
    """(kind, value) -> customers, purchasers, purchases, net revenue."""
    bought, members = bought_by(shop, since, until), members_of(shop, segment)
    value_of = values_of(shop, bought)[by]
    groups = defaultdict(list)
    for person in members:
        groups[value_of(person)].append(person)
    least = max(5, math.ceil(Decimal("0.01") * len(members)))
    folded = defaultdict(list)
    for value, people in groups.items():
        kind = UNKNOWN if value is None else OTHER if len(people) < least else "value"
        folded[kind, value if kind == "value" else None] += people
    return {
        key: (
            len(people), sum(bool(bought[one]) for one in people), sum(len(bought[one]) for one in people),
            sum((row["revenue"] - (row["refund"] or 0) for one in people for row in bought[one]), Decimal(0)),
        )
        for key, people in folded.items()
    }


def told(found: Breakdown) -> dict[tuple, tuple]:
    return {
        (one.kind, one.value): (one.customers, one.purchasers, one.purchases, one.net_revenue) for one in found.groups
    }


CHARTS = (
    "country", "created_at:month", "registered", "points", "credit", "rfm.group", "last_store", "category", "order_count",
    "first_channel", "last_channel", "segment:b",
)


@pytest.fixture(scope="module")
def found(drawn) -> dict[tuple[str, str], Breakdown]:
    """Everyone and a segment by every chart, six at a time."""
    groups = [
        drawn.tenant.breakdowns("_all", "a", by=CHARTS[:6]),
        drawn.tenant.breakdowns("_all", "a", by=CHARTS[6:], since=SINCE, until=UNTIL),
    ]
    return {(one.segment, one.by): one for group in groups for one in group}


@pytest.mark.parametrize("by", CHARTS)
@pytest.mark.parametrize("segment", ["_all", "a"])
def test_groups_are_those_counted_one_by_one_and_add_up(drawn, found, segment, by):
    one = found[segment, by]
    theirs = expected(drawn, segment, by, one.since, one.until)
    assert told(one) == theirs and len(theirs) > 1
    whole = one.whole
    assert whole.customers == len(members_of(drawn, segment))
    bought = bought_by(drawn, one.since, one.until)
    rows = [row for person in members_of(drawn, segment) for row in bought[person]]
    assert whole.purchases == len(rows)
    assert whole.net_revenue == sum(row["revenue"] - (row["refund"] or 0) for row in rows)
    *groups, last = one.rows()
    assert sum(row["share_of_customers"] for row in groups) == pytest.approx(1) == last["share_of_customers"]
    assert last["revenue_per_purchaser"] == pytest.approx(whole.net_revenue / whole.purchasers)


def test_rare_groups_are_other_and_nulls_unknown_and_both_come_last(found):
    kinds = [group.kind for group in found["_all", "country"].groups]
    assert kinds[-2:] == [OTHER, UNKNOWN] and set(kinds[:-2]) == {"value"}
    sizes = [group.customers for group in found["_all", "country"].groups[:-2]]
    assert sizes == sorted(sizes, reverse=True)
    ranges = [group.name for group in found["_all", "points"].groups if group.value]
    assert ranges == ["below 0", "0", "1", "2", "3 to 5", "51 to 100"]
    months = [group.value for group in found["_all", "created_at:month"].groups if group.value]
    assert months == ["2025-10", "2025-12"], "a time at the end of November is one of December where the tenant is"
    assert "(other)" in found["_all", "country"]._repr_html_()


def test_charts_of_conf_are_shown_by_the_command(drawn):
    conf = ("--conf", drawn.project / "conf")
    both = result("breakdown", "a", *conf)["breakdowns"]
    assert [one["by"] for one in both] == ["country", "segment:b"]
    theirs = expected(drawn, "a", "country", None, LAST)
    assert {(one["kind"], one["value"]): one["customers"] for one in both[0]["groups"]} == {
        key: numbers[0] for key, numbers in theirs.items()
    }
    assert both[0]["whole"]["customers"] == len(members_of(drawn, "a"))
    assert "segment b" in seglake("breakdown", "b", "--by", "segment:b", *conf)
    fault = result("breakdown", "a", "--by", "contry", *conf, code=EXIT_USAGE)["error"]["message"]
    assert "did you mean 'country'?" in fault


@pytest.mark.parametrize(("segment", "by", "more", "said"), [
    ("a", "email", {}, "personal data"), ("aa", "country", {}, "no segment 'aa'"),
    ("a", "segment:a", {}, "'a' is not marked analytics: true.*'?b'?"), ("a", "segment:zz", {}, "is not there"),
    ("a", "country:month", {}, "only dates and times"), ("a", "created_at:week", {}, "year or month"),
    ("a", "country", {"until": LAST + timedelta(days=1)}, "are no days up to"),
    ("a", "country", {"since": LAST, "until": LAST - timedelta(days=1)}, "are no days up to"),
    ("_all", "country", {"date": DATES[GONE]}, "no longer kept"),
])
def test_what_cannot_be_broken_down_is_refused(drawn, segment, by, more, said):
    with pytest.raises(UsageError, match=said):
        drawn.tenant.breakdown(segment, by, **more)


def test_charts_in_conf_are_checked_with_the_nearest_name(tmp_path):
    base = tmp_path / "base.yaml"
    for charts, said in (
        ("[contry]", "did you mean 'country'"), ("[email]", "personal data"), (str(["country"] * 7), "at most 6"),
    ):
        base.write_text(f"breakdowns: {{charts: {charts}}}\n")
        with pytest.raises(ConfError, match=said):
            read_conf(str(tmp_path)).settings()
    base.write_text("breakdowns: {chart: [country]}\n")
    with pytest.raises(ConfError, match="did you mean 'charts'"):
        read_conf(str(tmp_path)).settings()


def test_every_number_has_a_range_of_its_own():
    chart = parse_chart("order_count", Catalogue())
    assert [name for _, name in chart.ranges[:6]] == ["1", "2", "3 to 5", "6 to 10", "11 to 20", "21 to 50"]
    places = [chart.rank(name) for name in ("below 0", "0", "1", "1,001 to 2,000", "over 500,000,000")]
    assert places == sorted(places)
