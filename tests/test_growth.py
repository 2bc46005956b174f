"""Growth, retention, moves and lift of drawn nights, counted once more in plain Python; and of nights that were run."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from datetime import date, timedelta
from decimal import Decimal
from math import isclose

import pytest
from commands import result, seglake
from published_shop import (
    DATES, DELETED, EDIT, GONE, HOLDOUT, REFERENCE, SALT, PublishedShop, bucket, midnight, percent_on,
)
from scipy import stats
from test_nightly import FIRST, SECOND, THIRD, Shop, shop  # noqa: F401
from test_one_scan import records_read

from segment_lib.build import ordered, segment
from segment_lib.errors import EXIT_USAGE, UsageError
from segment_lib.growth import Gap
from segment_lib.lift import Arm, difference, ratio

LAST = DATES[-1]
DAY = timedelta(days=1)


# Growth --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a", "b", "_all"])
def test_every_night_is_told_with_causes_that_add_up(drawn, name):
    found = drawn.tenant.growth(name, figures=["active_365"])
    assert [night.snapshot_date for night in found.nights] == list(DATES) and found.created == DATES[0]
    sums: Counter[str] = Counter()
    for night in found.nights:
        stored = drawn.truth.metrics[night.snapshot_date, name]
        assert (night.customers, night.entered, night.left) == (stored["customers"], stored["entered"], stored["left"])
        assert night.net == stored["entered"] - stored["left"] and night.figures == {"active_365": stored["active_365"]}
        changes = drawn.truth.changes[night.snapshot_date]
        causes = Counter((change, cause) for one, _, change, cause in changes if one == name)
        assert night.causes == causes
        if name != "_all":
            for side, flow in (("entered", night.entered), ("left", night.left)):
                assert sum(count for (change, _), count in night.causes.items() if change == side) == flow
        sums.update({one.removesuffix("_day"): value for one, value in stored.items() if one.endswith("_day")})
        assert night.since_created == sums


def test_edits_are_marked_on_the_night_that_they_took_effect(drawn):
    def marks(name: str) -> dict[date, str]:
        return {night.snapshot_date: night.change for night in drawn.tenant.growth(name).nights if night.change}

    assert marks("a") == {DATES[0]: "created"}
    assert marks("b") == {DATES[0]: "created", DATES[EDIT]: "edited"}
    assert marks("c") == {DATES[0]: "created", DATES[REFERENCE]: "reference edited", DATES[DELETED]: "deleted"}
    assert marks("_all") == {}
    *_, last = drawn.tenant.growth("c").nights
    assert (last.snapshot_date, last.customers, last.entered) == (DATES[DELETED], None, 0)
    assert last.left == len(drawn.truth.members[DATES[DELETED - 1]]["c"]) and set(last.causes) == {("left", "deleted")}


def test_dates_that_are_missing_are_gaps_and_not_filled(drawn):
    found = drawn.tenant.growth("a", since=DATES[3], until=DATES[11])
    assert [night.snapshot_date for night in found.nights] == list(DATES[3:12])
    assert found.gaps == (
        Gap(DATES[3] + DAY, DATES[3] + DAY, False), Gap(DATES[9] + DAY, DATES[10] - DAY, False),
    )
    assert found.nights[0].since_created["orders"] == sum(drawn.truth.metrics[day, "a"]["orders_day"] for day in DATES[:4])
    page = found._repr_html_()
    assert page.count("<line ") == 6 and str(DATES[3] + DAY) not in page
    json.dumps(found.to_dict(), default=str)


def test_a_segment_that_returned_was_away_on_published_dates():
    from segment_lib.growth import _gaps

    days = [date(2026, 1, day) for day in (1, 3, 4, 7)]
    assert _gaps([days[0], days[3]], frozenset(days)) == [
        Gap(date(2026, 1, 2), date(2026, 1, 2), False), Gap(date(2026, 1, 3), date(2026, 1, 4), True),
        Gap(date(2026, 1, 5), date(2026, 1, 6), False),
    ]


@pytest.mark.parametrize(("arguments", "said"), [
    (("d",), "no segment 'd'"), (("a", date(2020, 1, 1), date(2020, 1, 2)), "no published date"),
    (("a", None, None, ["custmers"]), "no figure 'custmers'; did you mean 'customers'"),
])
def test_growth_of_what_is_not_there_is_refused(drawn, arguments, said):
    with pytest.raises(UsageError, match=said):
        drawn.tenant.growth(*arguments)


# Retention -----------------------------------------------------------------------------------------------------------


def after(day: date, every: str, step: int) -> date | None:
    """The day so many steps later, None beyond the last published date."""
    if every == "night":
        place = DATES.index(day) + step
        return DATES[place] if place < len(DATES) else None
    later = day + 7 * step * DAY
    if every == "month":
        month = day.month - 1 + step
        last = (date(day.year + (month + 1) // 12, (month + 1) % 12 + 1, 1) - DAY).day
        later = date(day.year + month // 12, month % 12 + 1, min(day.day, last))
    return later if later <= LAST else None


def cohorts_of(shop: PublishedShop, name: str, every: str, since: date, steps: int) -> tuple[dict, int]:
    """(start) -> entrants and (step) -> [observed, members, stayed]; and how many a definition brought in."""
    truth, found, left_out = shop.truth, {}, 0
    inside = {day: truth.inside(name, day) for day in DATES}
    for person in set().union(*inside.values()):
        first = next(day for day in DATES if person in inside[day])
        causes = {cause for one, who, change, cause in truth.changes[first]
                  if one == name and change == "entered" and truth.person(who) == person}
        if first < since:
            continue
        if max(causes) == "definition":
            left_out += 1
            continue
        start = {"night": first, "week": first - first.weekday() * DAY, "month": first.replace(day=1)}[every]
        cohort = found.setdefault(start, {"entrants": 0, "steps": defaultdict(lambda: [0, 0, 0])})
        cohort["entrants"] += 1
        for step in range(1, steps + 1):
            at = after(first, every, step)
            if at is not None:
                seen = [day for day in DATES if first <= day <= at]
                there = person in inside[seen[-1]]
                stayed = all(person in inside[day] for day in seen)
                for place, truth_of in enumerate((True, there, stayed)):
                    cohort["steps"][step][place] += truth_of
    return found, left_out


@pytest.mark.parametrize(("every", "name", "since"), [
    ("month", "a", DATES[0]), ("week", "b", DATES[0]), ("night", "a", DATES[4]), ("night", "b", DATES[EDIT]),
])
def test_cohorts_are_those_counted_one_by_one(drawn, every, name, since):
    found = drawn.tenant.retention(name, since=since, every=every, steps=6)
    expected, left_out = cohorts_of(drawn, name, every, since, 6)
    assert found.by_definition == left_out
    entrants = {start: one["entrants"] for start, one in expected.items()}
    assert {one.start: one.entrants for one in found.cohorts} == entrants
    assert len(found.cohorts) > 1 and [one.start for one in found.cohorts] == sorted(expected)
    for cohort in found.cohorts:
        told = {step.step: [step.observed, step.members, step.stayed] for step in cohort.steps}
        assert told == expected[cohort.start]["steps"]
    assert any(step.members > step.stayed > 0 for cohort in found.cohorts for step in cohort.steps)
    assert "<table>" in found._repr_html_()


@pytest.mark.parametrize(("arguments", "said"), [
    ({"segment": "aa"}, "no segment 'aa'"), ({"segment": "a", "every": "year"}, "not by 'year'"),
    ({"segment": "a", "steps": 61}, "1 to 60"),
])
def test_cohorts_that_cannot_be_told_are_refused(drawn, arguments, said):
    with pytest.raises(UsageError, match=said):
        drawn.tenant.retention(**arguments)


# Moves ---------------------------------------------------------------------------------------------------------------


def places_of(shop: PublishedShop, day: date, names: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    inside = {name: shop.truth.inside(name, day) for name in names}
    people = set().union(*inside.values())
    return {one: tuple(name for name in sorted(names) if one in inside[name]) for one in people}


@pytest.mark.parametrize(("names", "since", "until"), [
    (("b", "a"), None, None), (("a", "b", "c"), DATES[2], DATES[EDIT]), (("a",), DATES[GONE], DATES[DELETED]),
])
def test_moves_are_those_of_each_customer(drawn, names, since, until):
    found = drawn.tenant.moves(*names, since=since, until=until)
    assert (found.since, found.until) == (since or DATES[-2], until or LAST)
    before, now = (places_of(drawn, day, names) for day in (found.since, found.until))
    expected = Counter((before.get(one, ()), now.get(one, ())) for one in before.keys() | now.keys())
    assert {(one.before, one.now): one.customers for one in found.moves} == expected
    assert [one.customers for one in found.moves] == sorted(expected.values(), reverse=True)
    rows = found.rows()
    assert sum(row["(all)"] for row in rows) == sum(expected.values())
    assert "(outside)" in found._repr_html_()


@pytest.mark.parametrize("since", [DATES[-2], DATES[-3]])
@pytest.mark.parametrize("score", ["rfm.group", "churn.status"])
def test_moves_between_groups_are_read_or_joined(drawn, score, since):
    found = drawn.tenant.score_moves(score, since=since)
    place = ("rfm.group", "churn.status").index(score)
    before, now = (
        {one: (groups[place],) for one, groups in drawn.truth.groups[day].items()} for day in (since, LAST)
    )
    expected = Counter((before.get(one, ()), now.get(one, ())) for one in before.keys() | now.keys())
    assert {(one.before, one.now): one.customers for one in found.moves} == expected


@pytest.mark.parametrize(("ask", "said"), [
    (lambda tenant: tenant.moves("a", "aa"), "no segment 'aa'"), (lambda tenant: tenant.moves("a", "a"), "different"),
    (lambda tenant: tenant.moves("a", since=LAST), "is not before"), (lambda tenant: tenant.moves(), "one or more"),
    (lambda tenant: tenant.moves("a", until=DATES[0]), "first published date"),
    (lambda tenant: tenant.score_moves("rfm.r"), "puts nobody into groups"),
])
def test_moves_that_cannot_be_told_are_refused(drawn, ask, said):
    with pytest.raises(UsageError, match=said):
        ask(drawn.tenant)


# Lift ----------------------------------------------------------------------------------------------------------------


def arms_of(shop: PublishedShop, day: date, days: int) -> dict[str, dict[str, Decimal]]:
    """Arm -> person -> net revenue in the days after the first exposure."""
    truth, dates = shop.truth, [one for one in DATES if DATES[HOLDOUT] <= one <= day]
    inside = {one: truth.inside("a", one) for one in dates}
    held: dict[str, date] = {}
    for on, one in truth.holdouts:
        if on <= day and truth.person(one):
            held.setdefault(truth.person(one), on)
    percent = percent_on(DATES.index(day))
    bought = defaultdict(list)
    for row in truth.purchases():
        bought[row["customer_id"]].append((row["ordered_at"], row["revenue"] - (row["refund"] or 0)))
    arms: dict[str, dict[str, Decimal]] = defaultdict(dict)
    for person in set().union(*inside.values()):
        exposed = next(one for one in dates if person in inside[one])
        drawn = bucket(SALT, person) < percent
        arm = "switched"
        if drawn and held.get(person) == exposed:
            arm = "held_out"
        elif not drawn and person not in held:
            arm = "reached"
        if arm != "switched" and exposed + days * DAY > day:
            arm = "waiting"
        start, end = midnight(exposed + DAY), midnight(exposed + (1 + days) * DAY)
        arms[arm][person] = sum((net for at, net in bought[person] if start <= at < end), Decimal(0))
    return arms


@pytest.mark.parametrize(("day", "days"), [(LAST, 10), (DATES[9], 5)])
def test_lift_is_that_of_revenue_counted_by_customer(drawn, day, days):
    found = drawn.tenant.lift("a", day, days)
    expected = arms_of(drawn, day, days)
    assert found.began == DATES[HOLDOUT] and (found.waiting, found.switched) == (
        len(expected["waiting"]), len(expected["switched"]))
    for name, arm in (("reached", found.reached), ("held_out", found.held_out)):
        revenue = list(expected[name].values())
        assert (arm.customers, arm.revenue) == (len(revenue), sum(revenue)) and any(revenue)
    reached, held = ([float(one) for one in expected[name].values()] for name in ("reached", "held_out"))
    if day == LAST:
        assert found.switched > 0 and not found.too_few
        theirs = stats.ttest_ind(reached, held, equal_var=False).confidence_interval()
        ours = found.difference
        assert isclose(ours.low, theirs.low, rel_tol=1e-9) and isclose(ours.high, theirs.high, rel_tol=1e-9)
        assert ours.low < ours.value < ours.high
    assert str(found.held_out.customers) in found._repr_html_()


def test_the_ends_of_a_ratio_are_where_it_is_not_told_from_the_truth():
    """Fieller's definition: at each end r, m1 - r m0 is t standard errors away from zero."""
    one, other = Arm(200, Decimal(5000), 900.0), Arm(60, Decimal(1200), 400.0)
    found, plain = ratio(one, other), difference(one, other)
    v1, v0 = 900 / 200, 400 / 60
    t = (plain.high - plain.value) / (v1 + v0) ** 0.5
    for end in (found.low, found.high):
        assert isclose((25 - end * 20) ** 2, t**2 * (v1 + end**2 * v0), rel_tol=1e-9)
    assert found.low < 25 / 20 < found.high
    assert ratio(one, Arm(60, Decimal(60), 400.0)).high is None, "a mean that is not told from zero divides nothing"
    assert ratio(one, Arm(60, Decimal(0), 0.0)).value is None


def test_arms_that_are_too_small_have_no_interval():
    few, many = Arm(29, Decimal(100), 4.0), Arm(500, Decimal(1000), 4.0)
    assert difference(many, few).low is None and ratio(few, many).high is None
    assert difference(many, few).value == pytest.approx(2 - 100 / 29)
    assert difference(many, Arm(0, Decimal(0), None)).value is None
    alike = Arm(40, Decimal(400), 0.0)
    assert difference(alike, alike).low == difference(alike, alike).high == 0


def test_a_segment_without_holdout_has_no_lift(drawn):
    with pytest.raises(UsageError, match="b has no holdout on .*ask about a"):
        drawn.tenant.lift("b")
    with pytest.raises(UsageError, match="a has no holdout"):
        drawn.tenant.lift("a", DATES[HOLDOUT - 1])
    with pytest.raises(UsageError, match="no segment 'aa'"):
        drawn.tenant.lift("aa")


# The command line ----------------------------------------------------------------------------------------------------


def test_commands_show_what_the_library_tells(drawn):
    conf = ("--conf", drawn.project / "conf")
    told = result("growth", "b", "--since", DATES[EDIT], "--until", DATES[EDIT], "--figure", "active_365", *conf)
    (night,) = told["nights"]
    assert (night["date"], night["definition"], told["created"]) == (DATES[EDIT].isoformat(), "edited", DATES[0].isoformat())
    assert night["figures"] == {"active_365": drawn.truth.metrics[DATES[EDIT], "b"]["active_365"]}
    assert "not published" in seglake("growth", "a", *conf)
    found = result("moves", "a", "b", *conf)
    assert found["between"] == ["a", "b"] and sum(one["customers"] for one in found["moves"]) > 0
    assert "in no cohort" in seglake("retention", "a", "--every", "week", "--steps", "2", *conf)
    assert "difference" in seglake("lift", "a", "--days", "5", *conf)
    assert "name segments, or a score" in result("moves", *conf, code=EXIT_USAGE)["error"]["message"]


# Nights that were run ------------------------------------------------------------------------------------------------

BUYERS = segment("buyers", where=ordered("any"), analytics=True)
RECENT = segment("recent", where=ordered("any", within="2d"), analytics=True)
QUIET = segment("quiet", where=ordered("any", count={"at_most": 1}))


@pytest.fixture(scope="module")
def ran(spark, event_log_folder, shop) -> tuple[Shop, dict[str, int], dict[str, int]]:  # noqa: F811
    """Three nights; the first has no segment that asks for the orders of the day. And what the second read."""
    made = shop("ran")
    made.customers(*((f"c{number}", "DE", "1") for number in range(6)))
    made.orders(("c1", FIRST), ("c2", FIRST), ("c1", SECOND), ("c3", SECOND), ("stranger", SECOND), ("c3", THIRD))
    made.run(FIRST, QUIET)
    assert not made.lake.exists("order_segments")
    rows = {table: made.lake.read(table).count() for table in ("customers", "orders")}
    (log,) = event_log_folder.iterdir()
    spark.sparkContext._jsc.sc().listenerBus().waitUntilEmpty()
    offset = log.stat().st_size
    made.run(SECOND, QUIET, BUYERS, RECENT)
    spark.sparkContext._jsc.sc().listenerBus().waitUntilEmpty()
    read = records_read(log, offset, {table: made.lake.path(table) for table in rows})
    made.run(THIRD, QUIET, BUYERS, RECENT)
    return made, rows, read


def axis(made: Shop) -> set[tuple]:
    return {tuple(row) for row in made.tenant.order_segments().collect()}


def test_orders_of_the_day_are_published_with_the_segments_of_their_customers(ran):
    made, rows, read = ran
    buyers = {
        (SECOND, f"{who}-{SECOND}", name) for who in ("c1", "c3", "stranger") for name in ("buyers", "recent")
    }
    assert axis(made) == buyers | {(THIRD, f"c3-{THIRD}", name) for name in ("buyers", "recent")}
    assert read["orders"] <= rows["orders"] and read["orders"] > 0, "the ids ride in the one scan"
    counted = Counter((day, name) for day, _, name in axis(made))
    for row in made.tenant.metrics().collect():
        if row.segment_id in ("buyers", "recent"):
            assert counted[row.snapshot_date, row.segment_id] == row.orders_day
    assert made.tenant.order_segments("recent", until=SECOND).count() == 3


def test_a_date_that_is_run_again_has_its_orders_once(ran):
    made, _, _ = ran
    before = axis(made)
    made.run(THIRD, RECENT, only=["recent"])
    assert axis(made) == before
    made.run(THIRD, QUIET, segment("buyers", where=ordered("any")), RECENT)
    assert axis(made) == before - {(THIRD, f"c3-{THIRD}", "buyers")}
    grown = made.tenant.growth("recent").nights
    assert [night.snapshot_date for night in grown] == [SECOND, THIRD]
    assert grown[1].since_created == {
        "orders": 4, "gross_revenue": Decimal(40), "purchases": 4, "net_revenue": Decimal(40)
    }
    assert made.tenant.growth("_all").nights[-1].since_created["orders"] == 6
