"""`sequence`: steps in order of time."""

from __future__ import annotations

from collections.abc import Iterator

from cases import SPRING, Case, Row, at, bought, each, issues, label, merged, person, seen, told, words

TYPES = {"V": "product_viewed", "C": "added_to_cart", "O": "checkout_completed"}
VIEW, CART, NO_ORDER = {"did": "product_viewed"}, {"did": "added_to_cart"}, {"did_not": "checkout_completed"}
SOON, LATE = {"after": {"at_most": "24h"}}, {"after": {"at_least": "24h"}}


def shop(**visitors: str) -> tuple[Row, ...]:
    """Events from texts such as "V 01 10:00, Ctea 02 11:00": views, carts and orders of a product, by day of June."""
    return tuple(_rows(visitors))


def _rows(visitors: dict[str, str]) -> Iterator[Row]:
    for id, steps in visitors.items():
        for step in steps.split(", "):
            kind, day, time = step.split()
            yield seen(id, f"2026-06-{day} {time}", TYPES[kind[0]], product_id=kind[1:] or None)


def sequence(*steps: dict, **keys: object) -> dict:
    return {"sequence": list(steps), **keys}


CASES = (
    Case("sequence", "each strictly later than the one before", sequence(VIEW, CART), "order", shop(
        order="V 01 10:00, C 01 11:00", wrong="C 01 10:00, V 01 11:00", together="V 01 10:00, C 01 10:00",
        one="V 01 10:00")),
    Case("sequence", "the same type twice is two events", sequence(VIEW, VIEW), "two", shop(
        two="V 01 10:00, V 01 10:01", one="V 01 10:00")),
    Case("sequence", "none strictly between its neighbours", sequence(VIEW, NO_ORDER, CART), "at calm choice", shop(
        calm="V 01 10:00, C 03 10:00", loud="V 01 10:00, O 02 10:00, C 03 10:00",
        at="V 01 10:00, O 01 10:00, C 03 10:00",
        choice="V 01 10:00, O 02 10:00, V 02 11:00, C 03 10:00")),
    Case("sequence", "a quiet end lasts until as_of", sequence(CART, NO_ORDER), "at calm", shop(
        calm="C 01 10:00", at="C 01 10:00, O 01 10:00", loud="C 01 10:00, O 30 23:59")),
    Case("sequence", "orders are steps too", sequence(VIEW, {"ordered": "purchases"}), "bought", (
        *shop(bought="V 01 10:00", refused="V 01 10:00", before="V 20 10:00"), bought("bought"),
        bought("refused", status="cancelled"), bought("before"))),
    Case("sequence", "none ordered between", sequence(VIEW, {"did_not": {"ordered": "any"}}, CART), "calm", (
        *shop(calm="V 01 10:00, C 20 10:00", loud="V 01 10:00, C 20 10:00"), bought("loud"))),
    Case("sequence", "a list of types is one step", sequence({"did": ["product_viewed", "email_opened"]}, CART),
         "mail view", (
        *shop(view="V 01 10:00, C 01 11:00", mail="C 01 11:00"), seen("mail", "2026-06-01 10:00", "email_opened"))),
    Case("sequence", "a step with a filter", sequence(VIEW | {"where": {"product_id": "tea"}}, CART), "tea", shop(
        tea="Vtea 01 10:00, C 01 11:00", mug="Vmug 01 10:00, C 01 11:00", none="V 01 10:00, C 01 11:00")),
    Case("sequence", "rows of an alias are steps of the customer", sequence(VIEW, CART), "main", (
        *shop(main="V 01 10:00", old="C 01 11:00"), merged("old", "main"), person("main"))),
    Case("sequence", "after, its bound included", sequence(VIEW, CART | SOON), "again soon", shop(
        soon="V 01 10:00, C 02 10:00", late="V 01 10:00, C 02 10:01", again="V 01 10:00, V 02 09:00, C 03 09:00")),
    Case("sequence", "after at least, its bound included", sequence(VIEW, CART | LATE), "on", shop(
        on="V 01 10:00, C 02 10:00", soon="V 01 10:00, C 02 09:59")),
    Case("sequence", "after both bounds of between", sequence(VIEW, CART | {"after": {"between": ["1h", "2h"]}}),
         "high low", shop(low="V 01 10:00, C 01 11:00", high="V 01 10:00, C 01 12:00", out="V 01 10:00, C 01 12:01")),
    Case("sequence", "after on a quiet end: so much time has passed", sequence(CART, NO_ORDER | LATE, span="7d"),
         "day", shop(
        day="C 30 00:00", early="C 30 00:01", loud="C 01 10:00, O 02 09:59")),
    Case("sequence", "and the instant at its end does not belong to it", sequence(CART, NO_ORDER | LATE, span="1h"),
         "at", shop(
        at="C 01 10:00, O 02 10:00", within="C 01 10:00, O 02 09:59")),
    Case("same", "equal in all steps, missing equals nothing", sequence(VIEW, CART, same=["product_id"]), "found tea",
         shop(
        tea="Vtea 01 10:00, Ctea 02 10:00", other="Vtea 01 10:00, Cmug 02 10:00", missing="V 01 10:00, C 02 10:00",
        found="Vtea 01 10:00, Vmug 01 11:00, Cmug 02 10:00")),
    Case("same", "a step that did not happen is of any", sequence(VIEW, NO_ORDER, CART, same=["product_id"]), "calm",
         shop(
        calm="Vtea 01 10:00, Ctea 03 10:00", loud="Vtea 01 10:00, Omug 02 10:00, Ctea 03 10:00")),
    Case("span", "from the first to the last step, its end included", sequence(VIEW, CART, span="7d"), "on", shop(
        on="V 01 10:00, C 08 10:00", late="V 01 10:00, C 08 10:01")),
    Case("span", "how far a quiet end looks, its end included", sequence(CART, NO_ORDER, span="7d"), "calm now", shop(
        calm="C 01 10:00, O 08 10:01", at="C 01 10:00, O 08 10:00", now="C 30 10:00")),
    Case("span", "in days of the calendar over a clock change", sequence(VIEW, CART, span="1d"), "v", (
        seen("v", "2026-03-28 23:00", "product_viewed"), seen("v", "2026-03-29 23:00", "added_to_cart"),
        seen("w", "2026-03-28 23:00", "product_viewed"), seen("w", "2026-03-29 23:01", "added_to_cart")), day=SPRING),
    Case("span", "in exact hours over a clock change", sequence(VIEW, CART, span="23h"), "v", (
        seen("v", "2026-03-28 23:00", "product_viewed"), seen("v", "2026-03-29 23:00", "added_to_cart"),
        seen("w", "2026-03-28 22:59", "product_viewed"), seen("w", "2026-03-29 23:00", "added_to_cart")), day=SPRING),
    Case("within", "every step lies in it", sequence(VIEW, CART, within="7d"), "in", shop(
        out="V 23 23:59, C 25 10:00", **{"in": "V 24 00:00, C 25 10:00"})),
    Case("within", "but a quiet end may be disturbed after it", sequence(CART, NO_ORDER, within={"to": "2026-06-10"}),
         "calm", shop(
        calm="C 01 10:00", loud="C 01 10:00, O 20 10:00", late="C 11 00:00")),
    Case("sequence", "nothing at or after as_of", sequence(VIEW, CART), "", (
        *shop(v="V 30 10:00"), seen("v", at("2026-07-01 00:00"), "added_to_cart"))),
)


@each(CASES)
def test_case(case, answers):
    assert answers[case] == (case.found, case.found)


@words(
    (sequence(VIEW, NO_ORDER, {"ordered": "purchases"}),
     "sequence of product_viewed, then not checkout_completed, then ordered purchases"),
)
def test_words(where, said):
    assert label(where) == said


def file(*steps: str, more: str = "") -> str:
    return "where:\n  sequence:\n" + "".join(f"    - {step}\n" for step in steps) + more


FIRST, SECOND = "did: product_viewed", "did: added_to_cart"


@told(
    (file(FIRST), "x.yaml:2: where.sequence: a list of 1 is too short; write at least 2 entries"),
    (file("did_not: page_viewed", FIRST),
     "x.yaml:3: where.sequence[0].did_not: a sequence cannot begin with did_not: there is no step before it"),
    (file("{did: page_viewed, after: {at_most: 1h}}", FIRST),
     "x.yaml:3: where.sequence[0].after: the first step has no step before it, so it takes no after"),
    (file(FIRST, "{did_not: page_viewed, after: {at_least: 1h}}", SECOND),
     "x.yaml:4: where.sequence[1].after: after on a did_not is allowed only at the end"),
    (file(FIRST, "did_not: page_viewed", "did_not: email_opened"),
     "x.yaml:5: where.sequence[2].did_not: steps 2 and 3 are both did_not; write one with a list of types"),
    (file(FIRST, "{did_not: page_viewed, after: {at_most: 1h}}"),
     "x.yaml:4: where.sequence[1].after: after on a final did_not says how long it must be quiet: "
     "write {at_least: 24h}"),
    (file(FIRST, "{did: page_viewed, ordered: any}"),
     "x.yaml:4: where.sequence[1]: a step is one of did, ordered, did_not"),
    (file(FIRST, "{did: page_viewed, after: {}}"),
     "x.yaml:4: where.sequence[1].after: write {at_most: 24h}, or at_least, more_than, less_than, between"),
    (file(FIRST, "did: page_viewd"), "x.yaml:4: where.sequence[1].did: unknown event type 'page_viewd'; did you "
     "mean 'page_viewed'?"),
    (file(FIRST, "did: [page_viewed, page_viewd]"), "x.yaml:4: where.sequence[1].did[1]: unknown event type "
     "'page_viewd'; did you mean 'page_viewed'?"),
    (file(FIRST, "did_not: page_viewd"), "x.yaml:4: where.sequence[1].did_not: unknown event type "
     "'page_viewd'; did you mean 'page_viewed'?"),
    (file(FIRST, "{did: product_viewed, where: {amnt: 1}}"), "x.yaml:4: where.sequence[1].where.amnt: unknown event "
     "property 'amnt'; did you mean 'amount'?"),
    (file(FIRST, "ordered: piad"), "x.yaml:4: where.sequence[1].ordered: unknown order status 'piad'; did you mean "
     "'paid'?"),
    (file(FIRST, SECOND, more="  same: [produkt]\n"),
     "x.yaml:5: where.same: unknown event property 'produkt'; did you mean 'product_id'?"),
    (file(FIRST, SECOND, more="  same: [labels]\n"),
     "x.yaml:5: where.same: labels is a list, and same compares single values"),
)
def test_fault(text, said):
    assert issues(text) == [said]
