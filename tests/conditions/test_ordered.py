"""`ordered`: orders of any status, of purchases, or of some statuses."""

from __future__ import annotations

from decimal import Decimal

from cases import AS_OF, EDGES, Case, bought, each, issues, label, line, merged, person, told, words

STATUSES = (
    bought("paid"), bought("shipped", status="shipped"), bought("cancelled", status="cancelled"),
    bought("pending", status="pending"), person("none"),
)
MONEY = (
    bought("two", "2026-06-01 10:00", revenue=Decimal(10), coupon="TEA", priority=1),
    bought("two", "2026-06-20 10:00", revenue=Decimal("0.01"), priority=2),
    bought("one", "2026-06-20 10:00", revenue=Decimal("10.01"), coupon=" ", priority=2), person("none"),
)
LINES = (
    bought("both", items=[line(product_id="tea", quantity=2, unit_price=Decimal(5))]),
    bought("apart", items=[line(product_id="tea", quantity=1), line(product_id="mug", quantity=2)]),
    bought("twice", items=[line(product_id="tea", quantity=1), line(product_id="tea", quantity=1)]),
    bought("missing", items=[line(product_id="tea"), line(quantity=2)]),
    bought("bare", items=None), bought("empty", items=[]), person("none"),
)
TEA = {"product_id": "tea"}


def ordered(statuses: object = "any", **keys: object) -> dict:
    return {"ordered": statuses, **keys}


CASES = (
    Case("ordered", "any status", ordered(), "cancelled paid pending shipped", STATUSES),
    Case("ordered", "purchases are the statuses that conf says", ordered("purchases"), "paid shipped", STATUSES),
    Case("ordered", "one status", ordered("cancelled"), "cancelled", STATUSES),
    Case("ordered", "a list of statuses", ordered(["pending", "cancelled"]), "cancelled pending", STATUSES),
    Case("ordered", "orders of an alias count for the customer", ordered(count=2), "main", (
        merged("old", "main"), bought("old", "2025-01-01 10:00"), bought("main"))),
    Case("where", "entries hold for one order", ordered(where={"coupon": "TEA", "revenue": {"at_least": 10}}), "two",
         MONEY),
    Case("where", "blank text is missing", ordered(where={"coupon": {"known": False}}), "one two", MONEY),
    Case("where", "a boolean node takes missing values in",
         ordered(where={"all": [{"not": {"coupon": "TEA"}}, {"revenue": {"at_least": 10}}]}), "one", MONEY),
    Case("within", "half-open, nothing at or after as_of", ordered(within="30d"), "last on",
         tuple(bought(row["customer_id"], row["occurred_at"]) for table, row in EDGES if table == "events")),
    Case("count", "none at all", ordered(count=0), "none", STATUSES),
    Case("count", "of those that match", ordered(where={"revenue": {"at_least": 10}}, count={"is": 1}), "one two",
         MONEY),
    Case("sum", "exact decimals", ordered(sum={"of": "revenue", "is": "10.01"}), "one two", MONEY),
    Case("avg", "of the orders", ordered(avg={"of": "revenue", "less_than": 10}), "two", MONEY),
    Case("min", "of nothing meets no bound", ordered(min={"of": "revenue", "at_most": 100}), "one two", MONEY),
    Case("max", "of a time", ordered(max={"of": "ordered_at", "before": "2026-06-20"}), "two", MONEY[:1] + MONEY[2:]),
    Case("distinct", "of a number", ordered(distinct={"of": "priority", "at_least": 2}), "two", MONEY),
    Case("latest", "takes the row, then its value", ordered(latest={"of": "coupon", "known": True}), "", MONEY),
    Case("first", "takes the row, then its value", ordered(first={"of": "coupon", "is": "TEA"}), "two", MONEY),
    Case("mode", "with its share", ordered(mode={"of": "priority", "is": 2, "share": {"is": 1}}), "one", MONEY),
    Case("items", "filters hold within one line", ordered(items={**TEA, "quantity": {"at_least": 2}}), "both", LINES),
    Case("items", "an order without lines meets none", ordered(items={"quantity": {"known": False}}), "missing", LINES),
    Case("items", "nor does it meet a complement", ordered(items={"not": TEA}), "apart missing", LINES),
    Case("items", "sum adds the lines that are left", ordered(items={**TEA, "quantity": {"sum": {"at_least": 2}}}),
         "both twice", LINES),
    Case("items", "a missing quantity adds nothing", ordered(items={**TEA, "quantity": {"sum": {"at_most": 0}}}),
         "missing", LINES),
    Case("items", "same adds up by value, and missing is no value",
         ordered(items={"same": "product_id", "quantity": {"sum": {"at_least": 2}}}), "apart both twice", LINES),
    Case("items", "each order by itself", ordered(items={"same": "product_id", "quantity": {"sum": {"at_least": 2}}}),
         "", (
        bought("v", "2026-06-01 10:00", items=[line(product_id="tea", quantity=1)]),
        bought("v", "2026-06-02 10:00", items=[line(product_id="tea", quantity=1)]))),
    Case("items", "count counts orders, not lines", ordered(items=TEA, count=1), "apart both missing twice", LINES),
    Case("sum", "of lines adds those that items leaves", ordered(items=TEA, sum={"of": "items.quantity", "is": 2}),
         "both twice", LINES),
    Case("sum", "of lines without items adds all", ordered(sum={"of": "items.quantity", "at_least": 3}), "apart",
         LINES),
    Case("max", "of lines", ordered(max={"of": "items.unit_price", "is": 5}), "both", LINES),
    Case("mode", "of lines", ordered(mode={"of": "items.product_id", "is": "mug"}), "apart", LINES),
    Case("ordered", "event time decides, not arrival", ordered(within="7d"), "in", (
        bought("in", "2026-06-30 10:00", updated_at=AS_OF), bought("out", "2026-06-01 10:00", updated_at=AS_OF))),
)


@each(CASES)
def test_case(case, answers):
    assert answers[case] == (case.found, case.found)


@words(
    (ordered("purchases", items={"same": "product_id", "quantity": {"sum": {"at_least": 2}}}, within="30d"),
     "ordered purchases with same product_id quantity sum at_least 2 within 30d"),
    (ordered(["paid", "shipped"], sum={"of": "items.quantity", "at_least": 3}),
     "ordered paid or shipped, sum of items.quantity at least 3"),
)
def test_words(where, said):
    assert label(where) == said


@told(
    ("where:\n  ordered: piad", "x.yaml:2: where.ordered: unknown order status 'piad'; did you mean 'paid'?"),
    ("where:\n  ordered: [paid, piad]",
     "x.yaml:2: where.ordered[1]: unknown order status 'piad'; did you mean 'paid'?"),
    ("where:\n  ordered: []", "x.yaml:2: where.ordered: an empty list; write at least one entry"),
    ("where:\n  ordered: any\n  where: {product_id: tea}", "x.yaml:3: where.where.product_id: unknown order field "
     "'product_id'; known: cost, coupon, currency, customer_id, discount, due, express, order_id ... and 8 more"),
    ("where:\n  ordered: any\n  items: {same: product_id}",
     "x.yaml:3: where.items: same needs a sum to compare, such as quantity: {sum: {at_least: 2}}"),
    ("where:\n  ordered: any\n  items: {}",
     "x.yaml:3: where.items: items is a mapping such as {product_id: tea}, not empty"),
    ("where:\n  ordered: any\n  items: {product_id: {sum: {at_least: 2}}}", "x.yaml:3: where.items.product_id.sum: "
     "product_id is text, and a sum needs a number"),
    ("where:\n  ordered: any\n  latest: {of: items.quantity, is: 1}",
     "x.yaml:3: where.latest.of: latest of order lines is not possible; these are: sum, avg, min, max, distinct, mode"),
    ("where:\n  ordered: any\n  sum: {of: items.weight, at_least: 1}", "x.yaml:3: where.sum.of: unknown field of order "
     "lines 'weight'; known: discount, item_group, product_id, quantity, unit_price"),
)
def test_fault(text, said):
    assert issues(text) == [said]
