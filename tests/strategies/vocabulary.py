"""The names and values that random rows and random definitions share."""

from __future__ import annotations

from decimal import Decimal

#: Field types as the oracle takes them, and the names that the engine's catalogue declares for the same tests.
CATALOGUE = {
    "customers": {
        "country": "text", "city": "text", "email": "text", "source": "text", "store": "text", "tier": "text",
        "registered": "boolean", "email_consent": "boolean", "push_consent": "boolean", "vip": "boolean",
        "points": "integer", "credit": "decimal", "birthday": "date", "renewal": "date",
        "created_at": "timestamp", "last_login": "timestamp", "tags": "texts",
    },
    "events": {
        "channel": "text", "campaign": "text", "product_id": "text", "item_group": "text", "amount": "decimal",
        "quantity": "integer", "gift": "boolean", "delivery": "date", "occurred_at": "timestamp", "labels": "texts",
    },
    "orders": {
        "coupon": "text", "source": "text", "store": "text", "revenue": "decimal", "discount": "decimal",
        "refund": "decimal", "cost": "decimal", "priority": "integer", "express": "boolean", "due": "date",
        "ordered_at": "timestamp",
    },
    "items": {
        "product_id": "text", "item_group": "text", "quantity": "integer", "unit_price": "decimal",
        "discount": "decimal",
    },
    "event_types": ["page_viewed", "product_viewed", "added_to_cart", "checkout_completed", "email_opened"],
    "order_statuses": ["paid", "shipped", "cancelled", "refunded", "pending"],
    "purchase_statuses": ["paid", "shipped"],
    "lists": ["beta", "vips", "nobody"],
}

#: Of the fields above, those that the input tables do not have by themselves.
CUSTOM = {
    "customers": ("tier", "vip", "points", "credit", "renewal", "last_login", "tags"),
    "events": ("item_group", "quantity", "gift", "delivery", "labels"),
    "orders": ("priority", "express", "due"),
}

_MONEY = list(map(Decimal, "0.0000 9.9900 10.0000 20.0000 33.3333 49.9999 50.0000 100.0000".split()))
_PRODUCTS = ["mate", "mug", "tea", "Tea", "teapot"]
_GROUPS = ["drinks", "tableware", "Tea"]
_CHANNELS = ["email", "google", "tiktok", "Google Ads"]

#: Values by field, of text and numbers; literals are drawn from the same ones.
POOLS: dict[str, list] = {
    "country": ["DE", "AT", "CH", "US"],
    "city": ["Berlin", "berlin", "Bern", "Köln", "New York"],
    "email": ["anna@example.com", "bert@example.org", "CARL@example.com", "dora@mail.example"],
    "source": ["google", "newsletter", "friend"],
    "store": ["de", "us"],
    "tier": ["gold", "silver", "Gold member"],
    "tags": ["new", "vip", "press", "b2b"],
    "labels": ["sale", "gift", "new"],
    "points": [-1, 0, 10, 100, 250],
    "credit": _MONEY,
    "channel": _CHANNELS,
    "campaign": ["spring", "Spring sale", "winter"],
    "product_id": _PRODUCTS,
    "item_group": _GROUPS,
    "quantity": [0, 1, 2, 3, 5],
    "priority": [1, 2, 3],
    "coupon": ["WELCOME", "welcome10", "TEA"],
}


def pool(field: str, kind: str) -> list:
    """The values of a field; those without a pool of their own share one by type."""
    if field in POOLS:
        return POOLS[field]
    return {"decimal": _MONEY, "integer": [0, 1, 2, 3, 10], "text": _PRODUCTS + _CHANNELS}[kind]


#: Parts of the values above, for `contains` and its like.
FRAGMENTS = ["a", "e", "ber", "EXAMPLE.com", "te", "oo", "g", "ö", "Sale", "1"]

#: Patterns that mean the same in RE2, Java and Python.
PATTERNS = ["^[A-Z]", "e$", "^b.*n$", "@example[.](com|org)$", "[0-9]+", "tea?", "^[a-z]{2,5}$", "o{2}", "^(DE|AT)$"]

#: Durations of windows and comparisons; rows lie on their bounds.
DURATIONS = ["1d", "7d", "30d", "60d", "90d", "1w", "8w", "1mo", "6mo", "1y", "12h", "30min", "48h"]
LONG_DURATIONS = ["30d", "60d", "90d", "8w", "6mo", "1y"]
RANGES = [["60d", "30d"], ["90d", "7d"], ["1y", "30d"], ["6mo", "1mo"], ["8w", "1w"], ["7d", "1d"], ["48h", "12h"]]

#: Nights on, right after, and some days or a month after clock changes; leap days; ends of months and years.
NIGHTS = [
    ("America/New_York", "2026-03-08"), ("America/New_York", "2026-03-07"), ("America/New_York", "2026-03-14"),
    ("America/New_York", "2026-11-01"), ("America/New_York", "2026-11-30"), ("America/New_York", "2024-02-29"),
    ("Europe/Berlin", "2026-03-29"), ("Europe/Berlin", "2026-03-28"), ("Europe/Berlin", "2026-04-27"),
    ("Europe/Berlin", "2026-10-25"), ("Europe/Berlin", "2026-10-31"), ("Europe/Berlin", "2024-02-28"),
    ("Europe/Berlin", "2025-02-28"), ("Europe/Berlin", "2023-12-31"), ("Europe/Berlin", "2026-01-02"),
    ("America/New_York", "2025-03-30"), ("America/Santiago", "2026-09-05"), ("America/Santiago", "2026-04-04"),
]
