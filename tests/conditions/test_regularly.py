"""`regularly`: in enough of the last periods."""

from __future__ import annotations

from datetime import timedelta

from cases import AS_OF, SPRING, TICK, Case, Row, bought, each, issues, label, person, seen, told, words

WEEK = timedelta(days=7)


def weeks(id: str, *numbers: int, **values: object) -> tuple[Row, ...]:
    """A page view in the middle of each of the weeks, counted back from as_of, 1 being the last."""
    return tuple(seen(id, AS_OF - number * WEEK + WEEK / 2, **values) for number in numbers)


def regularly(of: int, at_least: int, **keys: object) -> dict:
    return {"regularly": "page_viewed", "every": "7d", "periods": {"of": of, "at_least": at_least}, **keys}


VISITORS = (*weeks("each", 1, 2, 3, 4), *weeks("three", 1, 2, 4), *weeks("late", 1), *weeks("early", 4, 5, 6),
            person("none"))

CASES = (
    Case("periods", "in enough of them", regularly(4, 3), "each three", VISITORS),
    Case("periods", "in every one", regularly(4, 4), "each", VISITORS),
    Case("periods", "only the last so many count", regularly(3, 1), "each late three", VISITORS),
    Case("periods", "more of them", regularly(6, 3), "each early three", VISITORS),
    Case("every", "a period begins at its first instant and ends before the next", regularly(2, 2), "edges", (
        seen("edges", AS_OF - WEEK), seen("edges", AS_OF - 2 * WEEK), seen("one", AS_OF - WEEK),
        seen("one", AS_OF - TICK),
        seen("out", AS_OF - WEEK), seen("out", AS_OF - 2 * WEEK - TICK), seen("now", AS_OF),
        seen("now", AS_OF - 2 * WEEK))),
    Case("every", "each is counted from as_of, not from the one before", {
        "regularly": "any", "every": "1mo", "periods": {"of": 2, "at_least": 2}}, "in", (
            seen("in", "2026-02-28 00:00"), seen("in", "2026-01-30 00:00"), seen("chained", "2026-02-28 00:00"),
            seen("chained", "2026-01-29 12:00"), seen("first", "2026-02-27 23:59"), seen("first", "2026-01-30 12:00")),
        day=SPRING),
    Case("every", "a period over the clock change",
         {"regularly": "any", "every": "1d", "periods": {"of": 2, "at_least": 2}},
         "both", (seen("both", "2026-03-29 00:00"), seen("both", "2026-03-28 23:59"), seen("one", "2026-03-29 00:00"),
                  seen("one", "2026-03-29 23:59")), day=SPRING),
    Case("count", "so many in each period", regularly(2, 2, count={"at_least": 2}), "often", (
        *weeks("often", 1, 2), seen("often", AS_OF - TICK), seen("often", AS_OF - WEEK - TICK),
        *weeks("once", 1, 2), *weeks("heaped", 1, 2), seen("heaped", AS_OF - TICK), seen("heaped", AS_OF - 2 * TICK))),
    Case("count", "more than one is two", regularly(1, 1, count={"more_than": 1}), "twice", (
        *weeks("once", 1), *weeks("twice", 1), seen("twice", AS_OF - TICK))),
    Case("where", "only events that match", regularly(2, 2, where={"channel": "email"}), "mail", (
        *weeks("mail", 1, 2, channel="email"), *weeks("mixed", 1, channel="email"), *weeks("mixed", 2),
        *weeks("other", 1, 2))),
    Case("regularly", "orders of any status", {**regularly(2, 2), "regularly": {"ordered": "any"}}, "both mixed", (
        bought("both", "2026-06-26 10:00"), bought("both", "2026-06-19 10:00"), bought("mixed", "2026-06-26 10:00"),
        bought("mixed", "2026-06-19 10:00", status="cancelled"), *weeks("viewer", 1, 2))),
    Case("regularly", "purchases", {**regularly(2, 2), "regularly": {"ordered": "purchases"}}, "both", (
        bought("both", "2026-06-26 10:00"), bought("both", "2026-06-19 10:00"), bought("mixed", "2026-06-26 10:00"),
        bought("mixed", "2026-06-19 10:00", status="cancelled"))),
)


@each(CASES)
def test_case(case, answers):
    assert answers[case] == (case.found, case.found)


@words(
    (regularly(8, 6), "page_viewed in 6 of 8 periods of 7d"),
    (regularly(8, 6, count={"at_least": 2}), "page_viewed in 6 of 8 periods of 7d, each at least 2"),
)
def test_words(where, said):
    assert label(where) == said


REGULARLY = "where:\n  regularly: page_viewed\n  every: 7d\n"


@told(
    (f"{REGULARLY}  periods: {{of: 4, at_least: 5}}", "x.yaml:4: where.periods: at_least 5 of 4 periods can never be"),
    (f"{REGULARLY}  periods: {{of: 367, at_least: 5}}",
     "x.yaml:4: where.periods.of: 366 or less is needed here, not 367"),
    ("where:\n  regularly: page_viewd\n  every: 7d\n  periods: {of: 4, at_least: 2}",
     "x.yaml:2: where.regularly: unknown event type 'page_viewd'; did you mean 'page_viewed'?"),
    (f"{REGULARLY}  periods: 4",
     "x.yaml:4: where.periods: a mapping is needed here, not 4; write {of: 8, at_least: 6}"),
    (f"{REGULARLY}  periods: {{of: 4, at_least: 2}}\n  count: {{at_most: 2}}",
     "x.yaml:5: where.count: count in each period takes one lower bound above zero, such as {at_least: 2}"),
    (f"{REGULARLY}  periods: {{of: 4, at_least: 2}}\n  count: {{at_least: 0}}",
     "x.yaml:5: where.count: count in each period takes one lower bound above zero, such as {at_least: 2}"),
)
def test_fault(text, said):
    assert issues(text) == [said]
