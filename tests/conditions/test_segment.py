"""`segment`: members of another segment."""

from __future__ import annotations

from datetime import date

from cases import DAY, Case, bought, each, issues, label, merged, person, seen, told, words

GERMANS = {"where": {"customer": "country", "is": "DE"}}
PEOPLE = (person("de", country="DE"), person("at", country="AT"), person("none"), seen("guest", "2026-06-01 10:00"))
#: Members of the base tonight, with the date of entry where they were published before.
MEMBERS = tuple(person(id, country="DE") for id in ("tonight", "d0629", "d0624", "d0623", "d0601", "d0531",
    "d0530")) + (
    person("left", country="AT"),)
ENTERED = {"base": {f"d{day:%m%d}": day for day in (
    date(2026, 6, 29), date(2026, 6, 24), date(2026, 6, 23), date(2026, 6, 1), date(2026, 5, 31),
    date(2026, 5, 30))} | {
    "left": date(2026, 6, 29)}}


def base(**keys: object) -> dict:
    return {"segment": "base", **keys}


def published(says: str, shows: str, where: dict, found: str, **options: object) -> Case:
    """A case of members with a past."""
    return Case(shows, says, where, found, MEMBERS, others={"base": GERMANS | options}, published=ENTERED)


CASES = (
    Case("entered", "the earliest entry of all ids of a customer", base(entered={"before": "2026-06-01"}), "main", (
        person("main", country="DE"), merged("old", "main"), person("new", country="DE")), others={"base": GERMANS},
        published={"base": {"main": DAY, "old": date(2026, 5, 1), "new": DAY}}),
    Case("segment", "a merged member of an inactive one is who they were merged into", base(), "main", (
        person("main", country="DE"), merged("old", "main"), person("new", country="DE")),
        others={"base": GERMANS | {"status": "inactive"}}, published={"base": {"old": date(2026, 5, 1)}}),
    Case("segment", "its members tonight", base(), "de", PEOPLE, others={"base": GERMANS}),
    Case("segment", "not includes those it never considered", {"not": base()}, "at guest none", PEOPLE,
         others={"base": GERMANS | {"anonymous": False}}),
    Case("segment", "its eligibility is its own", base(), "in", (
        person("in", country="DE", registered=True), person("out", country="DE")),
        others={"base": GERMANS | {"eligible": ["registered"]}}),
    Case("segment", "and does not replace that of who refers to it", base(), "in", (
        person("in", country="DE", registered=True), person("out", country="DE")),
        others={"base": GERMANS}, options={"eligible": ["registered"]}),
    Case("segment", "through two others", base(), "de", (
        person("de", country="DE"), person("idle", country="DE"), bought("de"), bought("at")), others={
            "first": GERMANS, "second": {"where": {"ordered": "any"}},
            "base": {"where": {"all": [{"segment": "first"}, {"segment": "second"}]}}}),
    Case("segment", "the members that its limit leaves", base(), "p2 p3", tuple(
        person(f"p{points}", points=points) for points in (1, 2, 3)), others={
            "base": {"where": {"customer": "points", "known": True},
                     "limit": {"top": 2, "by": {"customer": "points"}}}}),
    published("an inactive segment is what was last published", "segment", base(),
              "d0530 d0531 d0601 d0623 d0624 d0629 left", status="inactive"),
    published("so is a static one that is frozen", "segment", base(), "d0530 d0531 d0601 d0623 d0624 d0629 left",
              kind="static"),
    Case("segment", "a static one that is not is what it holds tonight", base(), "de", PEOPLE,
         others={"base": GERMANS | {"kind": "static"}}),
    published("the window is half-open, tonight included", "entered", base(entered={"in_last": "7d"}),
              "d0624 d0629 tonight"),
    published("on a date", "entered", base(entered={"on": "2026-06-23"}), "d0623"),
    published("before a date", "entered", base(entered={"before": "2026-06-01"}), "d0530 d0531"),
    published("not is all others, members or not", "entered", {"not": base(entered={"in_last": "60d"})}, "left"),
    published("at least, its bound included", "member_for", base(member_for={"at_least": "30d"}), "d0530 d0531"),
    published("more than, without its bound", "member_for", base(member_for={"more_than": "30d"}), "d0530"),
    published("at most; who enters tonight has been one for none", "member_for", base(member_for={"at_most": "1d"}),
              "d0629 tonight"),
    published("less than, without its bound", "member_for", base(member_for={"less_than": "1d"}), "tonight"),
    published("between, both ends included", "member_for", base(member_for={"between": ["6d", "7d"]}), "d0623 d0624"),
    published("both must hold", "member_for", base(entered={"in_last": "60d"}, member_for={"at_least": "1mo"}),
              "d0530"),
)


@each(CASES)
def test_case(case, answers):
    assert answers[case] == (case.found, case.found)


@words(
    (base(), "in segment base"),
    (base(entered={"in_last": "7d"}), "in segment base, entered in last 7d"),
    (base(member_for={"between": ["7d", "30d"]}), "in segment base, member for at least 7d, member for at most 30d"),
)
def test_words(where, said):
    assert label(where) == said


@told(
    ("where:\n  segment: vip", "x.yaml:2: where.segment: unknown segment 'vip'; known: x, y"),
    ("where:\n  segment: x",
     "x.yaml:1: where: segments refer to each other in a circle: x -> x; break it at one of them"),
    ("where:\n  segment: y\n  member_for: 30d", "x.yaml:3: where.member_for: a mapping is needed here, not '30d'; "
     "write {at_least: 30d}"),
    ("where:\n  segment: y\n  member_for: {is: 3d}", "x.yaml:3: where.member_for.is: unknown key 'is'; known: "
     "at_least, at_most, between, less_than, more_than"),
    ("where:\n  segment: y\n  member_for: {between: [30d, 7d]}",
     "x.yaml:3: where.member_for.between: the larger end is first; write [7d, 30d]"),
    ("where:\n  segment: y\n  entered: {contains: a}",
     "x.yaml:3: where.entered.contains: contains does not fit a value of type date; these do: is, is_not, in, not_in, "
     "at_least, more_than, at_most, less_than, between, known, before, after, on, in_last, not_in_last, in_next, ago, "
     "anniversary"),
)
def test_fault(text, said):
    assert issues(text, y="where: {did: any}") == [said]
