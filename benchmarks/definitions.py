"""Varied definitions of realistic size, the same for the same number: what all the ways evaluate.

The first n definitions are the same however many are asked for. Most have 1 to 20 % of the customers as members in the
generated shop, of 20 events a customer. They use what every peer can express in one pass.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from segment_lib.catalogue import Catalogue
from segment_lib.definition.check import check_segment
from segment_lib.definition.segment import Segment
from segment_lib.generate import shop
from segment_lib.plan import EvaluationPlan

Plain = dict[str, Any]
SEED = 11
CHANNELS = ("google", "bing", "facebook", "instagram", "tiktok", "email", "affiliate", "direct")
CAMPAIGNS = ("spring_sale", "new_releases", "back_catalogue", "gift_guide", "win_back")
COUNTRIES = ("US", "CA", "GB", "DE", "FR", "AT", "CH", "BR", "JP", "NO")
#: Windows from the shortest to the longest.
WINDOWS: tuple[Any, ...] = (
    "48h", "3d", "7d", "10d", "2w", "21d", "30d", "45d", "60d", "75d", "90d", "120d", "4mo", "6mo", "240d", "9mo", "1y",
    "15mo",
)
SPANS: tuple[Any, ...] = (
    "this_month", "last_month", {"ago": ["60d", "30d"]}, {"ago": ["90d", "30d"]}, {"ago": ["180d", "90d"]},
    {"ago": ["1y", "6mo"]}, {"before": "90d"}, {"before": "180d"}, {"from": "2026-01-01", "to": "2026-03-31"},
    {"from": "2025-11-15", "to": "2025-12-24"}, {"from": "2026-04-01"},
)
#: Event types by how often they occur, with the properties that they alone have.
FREQUENT = ("product_viewed", "page_viewed", "added_to_cart", "collection_viewed", "checkout_started")
SELDOM = (
    "checkout_completed", "search_submitted", "cart_viewed", "organic_search", "ad_interaction", "email",
    "social_media", "removed_from_cart", "form_submission", "payment_info_submitted",
)


def definitions(count: int, catalogue: Catalogue) -> list[Segment]:
    """The first `count` definitions, checked."""
    plain = [{"id": _id(i), "name": f"Definition {i}", "where": _condition(i)} for i in range(count)]
    segments = [Segment.model_validate(definition) for definition in plain]
    ids = frozenset(segment.id for segment in segments)
    faults = {s.id: found for s in segments if (found := check_segment(s, ids, catalogue))}
    if faults:
        raise ValueError(f"faulty definitions: {faults}")
    return segments


def described(plan: EvaluationPlan) -> dict[str, int]:
    """How varied the definitions of a plan are: their distinct row filters, window edges and features."""
    edges = {edge for f in plan.features for edge in (f.window.start, f.window.end) if edge is not None}
    return {
        "filters": len({(feature.source, feature.where) for feature in plan.features}),
        "edges": len(edges),
        "features": len(plan.features),
    }


def _id(i: int) -> str:
    return f"s{i:04d}"


def _condition(i: int) -> Plain:
    dice = Random(f"{SEED}/{i}")
    return KINDS[i % len(KINDS)](dice, i)


# Parts: each draws one condition ----------------------------------------------------------------------------------


def _window(dice: Random, shortest: int = 0, longest: int = len(WINDOWS)) -> Any:
    return dice.choice(WINDOWS[shortest:longest])


def _property(dice: Random) -> Plain:
    """A filter on what every event tells: where the visit came from, or on what device."""
    return dice.choice([
        {"channel": dice.choice(CHANNELS)},
        {"channel": {"in": sorted(dice.sample(CHANNELS, 2))}},
        {"channel": {"not_in": sorted(dice.sample(CHANNELS, 3))}},
        {"campaign": dice.choice(CAMPAIGNS)},
        {"campaign": {"known": True}, "device": dice.choice(("desktop", "mobile"))},
        {"device": dice.choice(("desktop", "mobile", "tablet"))},
        {"device": {"is_not": "desktop"}, "channel": dice.choice(CHANNELS)},
    ])


def _own(dice: Random) -> tuple[str, Plain]:
    """An event type with a filter on a property that it alone has."""
    group, products = dice.choice(shop.ITEM_GROUPS), sorted(f"cd{dice.randrange(120):04d}" for _ in range(4))
    return dice.choice([
        ("product_viewed", {"item_group": group}),
        ("product_viewed", {"product_id": {"in": products}}),
        ("product_viewed", {"product_id": {"starts_with": f"cd00{dice.randrange(10)}"}}),
        ("added_to_cart", {"item_group": {"in": sorted(dice.sample(shop.ITEM_GROUPS, 2))}}),
        ("added_to_cart", {"product_id": {"in": products}}),
        ("page_viewed", {"page": dice.choice(tuple(shop.PAGES))}),
        ("page_viewed", {"seconds_on_page": {"at_least": dice.choice((60, 120, 180, 240))}}),
        ("collection_viewed", {"collection": group}),
        ("search_submitted", {"query": {"contains": dice.choice(("album", "best", "hits", "vinyl", "box"))}}),
        ("search_submitted", {"results": {"at_most": dice.choice((0, 3, 10))}}),
        ("checkout_started", {"amount": {"at_least": dice.choice((20, 40, 60, "79.90"))}}),
        ("checkout_completed", {"coupon": {"known": True}}),
        ("checkout_completed", {"amount": {"between": [dice.choice((10, 20)), dice.choice((50, 80))]}}),
        ("payment_info_submitted", {"payment_method": dice.choice(tuple(shop.PAYMENTS))}),
        ("email", {"email_action": dice.choice(("opened", "clicked"))}),
        ("ad_interaction", {"interaction": "click"}),
        ("social_media", {"network_action": {"in": ["like", "share"]}}),
        ("form_submission", {"form": dice.choice(("newsletter", "contact", "back_in_stock"))}),
    ])


def _did(dice: Random, shortest: int = 7, longest: int = 16) -> Plain:
    """Events of a type, once or more often, filtered or not."""
    if dice.random() < 0.5:
        kind, where = _own(dice)
        filtered = dice.random() < 0.4
        return {
            "did": kind, "where": {**where, **(_property(dice) if filtered else {})},
            "within": _window(dice, min(shortest + 5 * filtered, 14), longest + 2),
        }
    if dice.random() < 0.6:
        return {
            "did": dice.choice(FREQUENT), "where": _property(dice), "within": _window(dice, shortest + 2, longest),
            "count": {"at_least": dice.choice((1, 1, 2))},
        }
    return {"did": sorted(dice.sample(SELDOM, 2)), "within": _window(dice, shortest - 4, longest - 4)}


def _ordered(dice: Random) -> Plain:
    """Orders of the last months: how many, or what they are worth."""
    base = {"ordered": dice.choice(("any", "purchases", ["paid", "fulfilled"])), "within": _window(dice, 9)}
    where = dice.choice([
        {}, {}, {"coupon": {"known": False}}, {"gift": False}, {"source": {"not_in": sorted(dice.sample(CHANNELS, 2))}},
        {"source": {"in": sorted(dice.sample(CHANNELS, 4))}}, {"shipping_method": "standard"}, {"store": "us"},
        {"revenue": {"at_least": dice.choice((10, 15, 25))}},
    ])
    measure = dice.choice([
        {"count": {"at_least": dice.choice((1, 2))}},
        {"sum": {"of": "revenue", "at_least": dice.choice((30, 50, 80, "99.95", 120))}},
        {"max": {"of": "revenue", "at_least": dice.choice((25, 40, 60))}},
        {"avg": {"of": "revenue", "at_least": dice.choice((25, 35, "42.50"))}},
        {"sum": {"of": "cost", "at_least": dice.choice((10, 20, 40))}},
    ])
    return {**base, **({"where": where} if where else {}), **measure}


def _profile(dice: Random) -> Plain:
    """What the customer's profile says, for a quarter to three quarters of them."""
    return dice.choice([
        {"customer": "country", "in": sorted(dice.sample(COUNTRIES, 5))},
        {"customer": "country", "is": "US"},
        {"customer": "email_consent", "is": True},
        {"customer": "loyalty_tier", "known": True},
        {"customer": "loyalty_points", "at_least": dice.choice((500, 1000, 2000))},
        {"customer": "interests", "has_any": sorted(dice.sample(shop.ITEM_GROUPS, 3))},
        {"customer": "created_at", "in_last": dice.choice(("120d", "6mo", "1y"))},
        {"customer": "birthday", "before": dice.choice(("1970-01-01", "1985-07-01", "1995-01-01"))},
        {"customer": "source", "in": sorted(dice.sample(CHANNELS, 4))},
        {"customer": "registered", "is": True},
        {"not": {"customer": "phone", "known": True}},
        {"list": "newsletter"},
        {"consent": dice.choice(("email", "push"))},
    ])


# Kinds of definitions: one after the other, so that any ten show all of them -----------------------------------------


def _one_event(dice: Random, i: int) -> Plain:
    return _did(dice)


def _attributes(dice: Random, i: int) -> Plain:
    narrow = dice.choice([
        {"customer": "loyalty_tier", "in": ["gold", "silver"]},
        {"customer": "city", "in": sorted(dice.sample([place.city for place in shop.PLACES], 6))},
        {"customer": "store_credit", "at_least": dice.choice((5, "12.50", 25))},
        {"customer": "created_at", "ago": dice.choice((["150d", "30d"], ["1y", "9mo"], ["90d", "10d"]))},
        {"customer": "email", "contains": dice.choice(("garcia", "jo", "hill", "an.", "mar", "son.", "el"))},
        {"customer": "first_name", "starts_with": dice.choice("abdjmr")},
        {"customer": "interests", "has_all": sorted(dice.sample(shop.ITEM_GROUPS, 2))},
        {"any": [{"list": "vip_invites"}, {"customer": "loyalty_tier", "is": "gold"}]},
    ])
    return {"all": [narrow, _profile(dice)]}


def _order_value(dice: Random, i: int) -> Plain:
    return _ordered(dice)


def _several(dice: Random, i: int) -> Plain:
    """Different sessions, products or channels."""
    return dice.choice([
        {"visits": "any", "within": _window(dice, 8, 14), "count": {"at_least": dice.choice((2, 3))}},
        {"visits": "any", "where": _property(dice), "within": _window(dice, 11), "count": {"at_least": 2}},
        {
            "did": dice.choice(("product_viewed", "added_to_cart")), "within": _window(dice, 6, 14),
            "distinct": {"of": "product_id", "at_least": dice.choice((2, 3, 4))},
        },
        {
            "did": "any", "within": _window(dice, 8, 15),
            "distinct": {"of": dice.choice(("channel", "event_type")), "at_least": dice.choice((3, 4, 5))},
        },
        {"did": "collection_viewed", "within": _window(dice, 10), "distinct": {"of": "collection", "at_least": 2}},
    ])


def _last_seen(dice: Random, i: int) -> Plain:
    """What the last of some rows says."""
    return dice.choice([
        {"did": "any", "within": _window(dice, 8), "latest": {"of": "channel", "is": dice.choice(CHANNELS)}},
        {"did": "any", "within": _window(dice, 4, 12), "latest": {"of": "device", "in": ["mobile", "tablet"]}},
        {"ordered": "any", "within": _window(dice, 10), "latest": {"of": "revenue", "at_least": dice.choice((40, 60))}},
        {"did": "product_viewed", "within": _window(dice, 8), "latest": {
            "of": "item_group", "in": sorted(dice.sample(shop.ITEM_GROUPS, 2))}},
        {"did": "email", "latest": {"of": "occurred_at", "in_last": dice.choice(("60d", "120d", "1y"))}},
        {"ordered": "purchases", "latest": {"of": "shipping_method", "in": ["express", "pickup"]}},
    ])


def _items(dice: Random, i: int) -> Plain:
    """Orders with a line of some kind."""
    group = dice.choice(shop.ITEM_GROUPS)
    items = dice.choice([
        {"item_group": group}, {"item_group": group, "quantity": {"at_least": 2}},
        {"item_group": {"in": sorted(dice.sample(shop.ITEM_GROUPS, 2))}, "unit_price": {"at_least": 12}},
        {"product_id": {"in": sorted(f"cd{dice.randrange(60):04d}" for _ in range(6))}},
        {"quantity": {"at_least": dice.choice((3, 4))}},
        {"discount": {"more_than": 0}, "item_group": {"is_not": group}},
    ])
    return {"ordered": dice.choice(("any", "purchases")), "items": items, "within": _window(dice, 9)}


def _nested(dice: Random, i: int) -> Plain:
    return {
        "all": [
            {"any": [_did(dice, 10), _ordered(dice), {"all": [_did(dice, 10), _profile(dice)]}]},
            {"not": {"any": [_did(dice, 4, 9), {"customer": "employee", "is": True}]}},
            _profile(dice),
        ]
    }


def _built_on_another(dice: Random, i: int) -> Plain:
    """Members of some of the segments just before who also did something, or did not."""
    before = sorted(dice.sample(range(max(0, i - len(KINDS)), i), 3))
    other = {"any": [{"segment": _id(number)} for number in before]}
    more = dice.choice([
        _profile(dice), {"none": [_did(dice, 4, 9)]},
        {"did": "any", "within": _window(dice, 14), "where": _property(dice)},
    ])
    return {"all": [other, more]}


def _went_quiet(dice: Random, i: int) -> Plain:
    """Some activity in an earlier time, none of late."""
    kind = dice.choice(FREQUENT)
    where = {"where": _property(dice)} if dice.random() < 0.5 else {}
    earlier, later = dice.choice(SPANS[2:6]), dice.choice(("21d", "30d"))
    return {"all": [
        {"did": kind, **where, "within": earlier, "count": {"at_least": dice.choice((1, 1, 2))}},
        {"did_not": kind, "within": later},
    ]}


def _in_season(dice: Random, i: int) -> Plain:
    """Activity within days of the calendar."""
    kind, where = _own(dice)
    return dice.choice([
        {"did": kind, "where": where, "within": dice.choice(SPANS)},
        {"did": dice.choice(FREQUENT), "where": _property(dice), "within": dice.choice(SPANS)},
        {
            "ordered": "any", "where": {"source": {"in": sorted(dice.sample(CHANNELS, 3))}},
            "within": dice.choice(SPANS[5:]),
        },
        {"did": "checkout_started", "within": dice.choice(SPANS[2:]), "max": {
            "of": "amount", "at_least": dice.choice((30, 50, 70))}},
    ])


KINDS: Sequence[Callable[[Random, int], Plain]] = (
    _one_event, _attributes, _order_value, _several, _last_seen, _items, _nested, _went_quiet, _in_season,
    _built_on_another,
)
