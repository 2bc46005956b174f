"""`customer`: an attribute or custom field of the customer."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

from cases import AS_OF, DAY, LEAP, THIRTY, TICK, Case, at, each, issues, label, person, seen, told, words

CITIES = (
    person("a", city="Berlin"), person("b", city="bern"), person("c", city="New York"), person("d", city="50% Köln_"),
    person("none"), person("blank", city="\t\u00a0"),
)
CREDITS = (
    person("low", credit=Decimal("0.2999")), person("on", credit=Decimal("0.3")),
    person("high", credit=Decimal("0.3001")),
    person("none"),
)
FLAGS = (person("yes", vip=True), person("no", vip=False), person("none"))
LOGINS = (
    person("before", last_login=at("2026-06-09 23:59")), person("start", last_login=at("2026-06-10 00:00")),
    person("end", last_login=at("2026-06-10 23:59")), person("next", last_login=at("2026-06-11 00:00")),
    person("never"),
)
MOMENTS = (
    person("out", last_login=THIRTY - TICK), person("on", last_login=THIRTY), person("last", last_login=AS_OF - TICK),
    person("now", last_login=AS_OF), person("week", last_login=AS_OF + timedelta(days=7) - TICK),
    person("far", last_login=AS_OF + timedelta(days=7)), person("never"),
)
DATES = tuple(person(f"d{day:%m%d}", renewal=day) for day in (
    date(2026, 5, 31), date(2026, 6, 1), DAY, date(2026, 7, 1), date(2026, 7, 7),
    date(2026, 7, 8))) + (person("never"),)
BORN = tuple(person(f"d{day:%m%d}", birthday=day) for day in (
    date(1990, 6, 23), date(1991, 6, 24), date(1992, 6, 30), date(1993, 7, 1), date(1994, 7, 7), date(1995, 7, 8),
    date(1960, 12, 2), date(1961, 12, 31), date(1962, 1, 3), date(1963, 1, 4))) + (person("unknown"),)
TAGS = (
    person("a", tags=["new", "press"]), person("b", tags=["vip"]), person("empty", tags=[]), person("none"),
)
POINTS = tuple(person(f"p{points}", points=points) for points in (1, 2, 3, 4)) + (person("q4", points=4),
    person("none"))


def city(**operators: object) -> dict:
    return {"customer": "city", **{name.removesuffix("_"): value for name, value in operators.items()}}


def login(**operators: object) -> dict:
    return {"customer": "last_login", **operators}


CASES = (
    Case("is", "exactly, small and capital letters too", city(is_="bern"), "b", CITIES),
    Case("is_not", "of who has a value", city(is_not="bern"), "a c d", CITIES),
    Case("in", "any of some values", city(in_=["Berlin", "New York"]), "a c", CITIES),
    Case("not_in", "of who has a value", city(not_in=["Berlin"]), "b c d", CITIES),
    Case("contains", "anywhere, without regard to case", city(contains="BER"), "a b", CITIES),
    Case("contains", "signs that are patterns elsewhere mean themselves", city(contains="% köln_"), "d", CITIES),
    Case("case", "with regard to case", city(contains="Ber", case=True), "a", CITIES),
    Case("not_contains", "of who has a value", city(not_contains="ber"), "c d", CITIES),
    Case("starts_with", "without regard to case", city(starts_with="be"), "a b", CITIES),
    Case("ends_with", "without regard to case", city(ends_with="N"), "a b", CITIES),
    Case("matches", "a part of the value", city(matches="[A-Z]"), "a c d", CITIES),
    Case("matches", "anchored", city(matches="^[a-z]+$"), "b", CITIES),
    Case("known", "blank is missing", city(known=True), "a b c d", CITIES),
    Case("known", "false asks for missing", city(known=False), "blank none", CITIES),
    Case("known", "anonymous visitors have no fields", city(known=False), "guest",
         (seen("guest", "2026-06-01 10:00"),)),
    Case("is", "several operators must all hold", city(starts_with="be", is_not="bern"), "a", CITIES),
    Case("is", "false is a value, missing is none", {"customer": "vip", "is": False}, "no", FLAGS),
    Case("at_least", "the bound included, text is the decimal written", {"customer": "credit", "at_least": "0.30"},
         "high on", CREDITS),
    Case("more_than", "without the bound", {"customer": "credit", "more_than": 0.3}, "high", CREDITS),
    Case("at_most", "the bound included", {"customer": "credit", "at_most": 0.3}, "low on", CREDITS),
    Case("less_than", "without the bound", {"customer": "credit", "less_than": 0.3}, "low", CREDITS),
    Case("between", "both ends included", {"customer": "credit", "between": ["0.2999", "0.3"]}, "low on", CREDITS),
    Case("at_least", "a percentile of the customers who have a value",
         {"customer": "points", "at_least": {"percentile": 60}}, "p3 p4 q4", POINTS, day=LEAP),
    Case("before", "before the local day", login(before="2026-06-10"), "before", LOGINS),
    Case("after", "from the next local day on", login(after="2026-06-10"), "next", LOGINS),
    Case("on", "within the local day", login(on="2026-06-10"), "end start", LOGINS),
    Case("between", "days, both included", login(between=["2026-06-09", "2026-06-10"]), "before end start", LOGINS),
    Case("in_last", "from its first instant to as_of", login(in_last="30d"), "last on", MOMENTS),
    Case("not_in_last", "known and outside, the future included", login(not_in_last="30d"), "far now out week",
         MOMENTS),
    Case("in_next", "from as_of, its end not included", login(in_next="7d"), "now week", MOMENTS),
    Case("ago", "half-open as well", login(ago=["60d", "30d"]), "out", MOMENTS),
    Case("in_last", "a date is its local midnight", {"customer": "renewal", "in_last": "30d"}, "d0601 d0630", DATES),
    Case("in_next", "a date is its local midnight", {"customer": "renewal", "in_next": "7d"}, "d0701 d0707", DATES),
    Case("anniversary", "the days next, from tomorrow", {"customer": "birthday", "anniversary": {"in_next": "7d"}},
         "d0701 d0707", BORN),
    Case("anniversary", "the days last, today included", {"customer": "birthday", "anniversary": {"in_last": "7d"}},
         "d0624 d0630", BORN),
    Case("anniversary", "a range over the year's end",
         {"customer": "birthday", "anniversary": {"from": "12-02", "to": "01-03"}}, "d0103 d1202 d1231", BORN),
    Case("has_any", "one of them is enough", {"customer": "tags", "has_any": ["vip", "press"]}, "a b", TAGS),
    Case("has_all", "every one", {"customer": "tags", "has_all": ["press", "new"]}, "a", TAGS),
    Case("known", "an empty list is known", {"customer": "tags", "known": True}, "a b empty", TAGS),
)


@each(CASES)
def test_case(case, answers):
    assert answers[case] == (case.found, case.found)


@words(
    (city(in_=["Berlin", "Bern"]), "city in Berlin, Bern"),
    (city(known=False), "city is missing"),
    ({"customer": "points", "at_least": {"percentile": 90}, "less_than": 5},
     "points at least percentile 90 and less than 5"),
)
def test_words(where, said):
    assert label(where) == said


@told(
    ("where:\n  customer: contry\n  is: DE", "x.yaml:2: where.customer: unknown customer field 'contry'; did you mean "
     "'country'?"),
    ("where:\n  customer: city", "x.yaml:1: where: no operator; add one, such as is, at_least, in_last or known"),
    ("where:\n  customer: city\n  in_last: 30d",
     "x.yaml:3: where.in_last: in_last does not fit a value of type text; these do: is, is_not, in, not_in, contains, "
     "not_contains, starts_with, ends_with, matches, known"),
    ("where:\n  customer: tags\n  is: new",
     "x.yaml:3: where.is: is does not fit a value of type texts; these do: known, has_any, has_all"),
    ("where:\n  customer: city\n  is: Bern\n  case: true",
     "x.yaml:4: where.case: case belongs to contains, not_contains, starts_with or ends_with"),
    ("where:\n  customer: points\n  between: [9, 1]",
     "x.yaml:3: where.between: between [9, 1] has the larger end first; write the smaller first"),
    ("where:\n  customer: city\n  contains: ''",
     "x.yaml:3: where.contains: empty text is contained in every value; use known: true"),
    ("where:\n  customer: birthday\n  anniversary: {in_next: 12h}",
     "x.yaml:3: where.anniversary: an anniversary is a whole day, so 12h has no meaning; write 1d or more"),
    ("where:\n  customer: birthday\n  anniversary: {from: 02-30, to: 03-01}",
     "x.yaml:3: where.anniversary: '02-30' is not a day of the year; write MM-DD, such as 12-02"),
    ("where:\n  customer: points\n  at_least: {percentile: 101}",
     "x.yaml:3: where.at_least.percentile: 100 or less is needed here, not 101"),
    ("where:\n  customer: city\n  in: []", "x.yaml:3: where.in: an empty list; write at least one entry"),
)
def test_fault(text, said):
    assert issues(text) == [said]
