"""`did`: events of a type, of several, or any."""

from __future__ import annotations

from decimal import Decimal

from cases import AS_OF, EDGES, SPRING, Case, at, bought, each, issues, label, merged, person, seen, told, words

#: a: 10, 20 and no amount; b: only a row without amount or channel; c: no rows at all.
AMOUNTS = (
    seen("a", "2026-06-01 10:00", amount=Decimal(10), channel="email", event_id="1"),
    seen("a", "2026-06-02 10:00", amount=Decimal(20), channel="google", event_id="2"),
    seen("a", "2026-06-03 10:00", channel="google", event_id="3"),
    seen("b", "2026-06-03 10:00", channel=" ", event_id="4"),
    person("c"),
)
TYPES = (
    seen("view", "2026-06-01 10:00"), seen("cart", "2026-06-01 10:00", "added_to_cart"),
    seen("mail", "2026-06-01 10:00", "email_opened", channel="email"),
    seen("ad", "2026-06-01 10:00", "email_opened", channel="google"), bought("order"), person("none"),
)
CHANNELS = (
    seen("email", "2026-06-01 10:00", channel="email", amount=Decimal(5)),
    seen("google", "2026-06-01 10:00", channel="google", amount=Decimal(50)),
    seen("missing", "2026-06-01 10:00"),
    seen("apart", "2026-06-01 10:00", channel="email"), seen("apart", "2026-06-02 10:00", amount=Decimal(50)),
)
TIED = (
    seen("x", "2026-06-01 10:00", channel="early", event_id="1"),
    seen("x", "2026-06-01 10:00", channel="late", event_id="2"),
)


def did(types: object = "any", **keys: object) -> dict:
    return {"did": types, **keys}


CASES = (
    Case("did", "any type, once is enough", did(), "ad cart mail view", TYPES),
    Case("did", "one type", did("email_opened"), "ad mail", TYPES),
    Case("did", "a list is a union", did(["page_viewed", "added_to_cart"]), "cart view", TYPES),
    Case("did", "an entry with a filter of its own",
         did(["page_viewed", {"type": "email_opened", "where": {"channel": "email"}}]), "mail view", TYPES),
    Case("did", "rows of an alias count for the customer", did(count={"at_least": 2}), "main", (
        person("main"), merged("old", "main"), seen("old", "2025-01-01 10:00"), seen("main", "2026-06-01 10:00"))),
    Case("where", "its entries hold for one event", did(where={"channel": "email", "amount": {"at_least": 50}}), "",
         CHANNELS),
    Case("where", "a missing property meets no comparison", did(where={"channel": {"is_not": "email"}}), "google",
         CHANNELS),
    Case("where", "the complement takes missing properties in", did(where={"not": {"channel": "email"}}),
         "apart google missing", CHANNELS),
    Case("where", "boolean nodes",
         did(where={"any": [{"amount": {"at_least": 50}}, {"none": [{"channel": "email"}, {"channel": "google"}]}]}),
         "apart google missing", CHANNELS),
    Case("within", "half-open, nothing at or after as_of", did(within="30d"), "last on", EDGES),
    Case("within", "ago", did(within={"ago": ["60d", "30d"]}), "under", EDGES),
    Case("within", "before", did(within={"before": "30d"}), "under", EDGES),
    Case("within", "from and to are whole local days", did(within={"from": "2026-06-01", "to": "2026-06-30"}),
         "last on", EDGES),
    Case("within", "one end alone", did(within={"to": "2026-05-31"}), "under", EDGES),
    Case("within", "the months of the calendar", did(within="this_month"), "last on", EDGES),
    Case("within", "the month before", did(within="last_month"), "under", EDGES),
    Case("within", "hours are exact over a clock change", did(within="47h"), "in", (
        seen("in", "2026-03-28 00:00"), seen("out", "2026-03-27 23:59")), day=SPRING),
    Case("count", "at most so many includes those with none", did(count={"at_most": 1}), "b c", AMOUNTS),
    Case("count", "a plain number is exact", did(count=3), "a", AMOUNTS),
    Case("count", "of those in the window only", did(within="29d", count={"between": [1, 2]}), "a b", AMOUNTS),
    Case("sum", "ignores missing amounts", did(sum={"of": "amount", "is": 30}), "a", AMOUNTS),
    Case("sum", "of nothing is 0", did(sum={"of": "amount", "at_most": 0}), "b c", AMOUNTS),
    Case("avg", "of the rows that have a value", did(avg={"of": "amount", "is": 15}), "a", AMOUNTS),
    Case("avg", "of nothing is missing", did(avg={"of": "amount", "known": False}), "b c", AMOUNTS),
    Case("min", "of nothing meets no bound", did(min={"of": "amount", "at_most": 10}), "a", AMOUNTS),
    Case("max", "of a time", did(max={"of": "occurred_at", "on": "2026-06-03"}), "a b", AMOUNTS),
    Case("distinct", "blank text is no value", did(distinct={"of": "channel", "at_most": 1}), "b c", AMOUNTS),
    Case("latest", "the row decides, also when its value is missing", did(latest={"of": "amount", "known": False}),
         "a b c", AMOUNTS),
    Case("latest", "of rows at one instant the greater id", did(latest={"of": "channel", "is": "late"}), "x", TIED),
    Case("first", "of rows at one instant the smaller id", did(first={"of": "channel", "is": "early"}), "x", TIED),
    Case("mode", "the most frequent", did(mode={"of": "channel", "is": "google"}), "a", AMOUNTS),
    Case("mode", "of equally frequent values the smallest", did(mode={"of": "channel", "is": "early"}), "x", TIED),
    Case("mode", "its share is rounded to 8 places",
         did(mode={"of": "channel", "is": "google", "share": {"is": "0.66666667"}}), "a", AMOUNTS),
    Case("did", "event time decides, not arrival", did(within="7d"), "in", (
        seen("in", "2026-06-30 10:00", updated_at=AS_OF),
        seen("out", "2026-06-01 10:00", updated_at=at("2026-06-30 10:00")))),
)


@each(CASES)
def test_case(case, answers):
    assert answers[case] == (case.found, case.found)


@words(
    (did(["page_viewed", {"type": "email_opened", "where": {"channel": "email"}}], within="30d", count={"at_least": 2}),
     "did page_viewed or email_opened (filtered) within 30d, count at least 2"),
    (did(where={"channel": "email"}, sum={"of": "amount", "more_than": 10}),
     "did any with channel is email, sum of amount more than 10"),
    (did(mode={"of": "channel", "is": "email", "share": {"at_least": "0.5"}}),
     "did any, mode of channel is email with share at least 0.5"),
)
def test_words(where, said):
    assert label(where) == said


@told(
    ("where:\n  did: [page_viewed, page_viewd]",
     "x.yaml:2: where.did[1]: unknown event type 'page_viewd'; did you mean 'page_viewed'?"),
    ("where:\n  did:\n    - type: page_viewed\n      where: {amnt: 5}",
     "x.yaml:4: where.did[0].where.amnt: unknown event property 'amnt'; did you mean 'amount'?"),
    ("where:\n  did: 0.50", "x.yaml:2: where.did: an event type is needed here, not 0.50; write its name or "
     "{type: NAME, where: {...}}"),
    ("where:\n  did: []",
     "x.yaml:2: where.did: an empty list names no event type; write a type, a list of types or any"),
    ("where:\n  did: any\n  where: {chanel: email}",
     "x.yaml:3: where.where.chanel: unknown event property 'chanel'; did you mean 'channel'?"),
    ("where:\n  did: any\n  where: {}",
     "x.yaml:3: where.where: a filter is a mapping such as {channel: email}, not empty"),
    ("where:\n  did: any\n  where: [channel]",
     "x.yaml:3: where.where: a filter is a mapping such as {channel: email}, not a list"),
    ("where:\n  did: any\n  where: {channel: [email]}",
     "x.yaml:3: where.where.channel: a list needs an operator: write {in: [...]}"),
    ("where:\n  did: any\n  where: {any: [{channel: email}], amount: 5}",
     "x.yaml:3: where.where: 'any' stands alone: put the other entries into it"),
    ("where:\n  did: any\n  count: 2\n  sum: {of: amount, at_least: 1}",
     "x.yaml:1: where: one aggregate a condition, not count and sum; combine two conditions with all"),
    ("where:\n  did: any\n  sum: {of: channel, at_least: 1}",
     "x.yaml:3: where.sum.of: channel is text, and sum needs a number"),
    ("where:\n  did: any\n  sum: {of: items.quantity, at_least: 1}",
     "x.yaml:3: where.sum.of: items.quantity belongs to orders; use it with ordered"),
    ("where:\n  did: any\n  min: {of: channel, known: true}",
     "x.yaml:3: where.min.of: channel is text, and min needs a number or a time"),
    ("where:\n  did: any\n  within: this_week", "x.yaml:3: where.within: 'this_week' is not a window of time; by name "
     "there are today, yesterday, this_month, last_month; else write 30d"),
    ("where:\n  did: any\n  within: 30", "x.yaml:3: where.within: 30 is not a window of time; write 30d, today, "
     "{from: DATE, to: DATE}, {ago: [60d, 30d]} or {before: 90d}"),
    ("where:\n  did: any\n  within: {last_days: 30}",
     "x.yaml:3: where.within.last_days: unknown key 'last_days'; known: ago, before, from, to"),
    ("where:\n  did: any\n  within: {ago: [30d, 60d]}",
     "x.yaml:3: where.within.ago: ago runs from the farther to the nearer: write [60d, 30d]"),
    ("where:\n  did: any\n  sum: amount",
     "x.yaml:3: where.sum: a mapping is needed here, not 'amount'; write {of: PROPERTY, at_least: 100}"),
    ("where:\n  did: any\n  within: 30 days",
     "x.yaml:3: where.within: '30 days' is not a length of time; write 30min, 12h, 30d, 8w, 6mo or 1y"),
    ("where:\n  did: any\n  where: {amount: {at_least: {percentile: 9}}}", "x.yaml:3: where.where.amount.at_least: a "
     "percentile compares a customer with others; a filter looks at one row; use it on the aggregate or on a customer "
     "field"),
    ("where:\n  did: any\n  wher: {channel: email}", "x.yaml:3: where.wher: unknown key 'wher'; did you mean 'where'?"),
)
def test_fault(text, said):
    assert issues(text) == [said]
