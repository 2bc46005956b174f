"""The words of the generated shop: a seller of CDs, its places, products, channels and campaigns.

Names are invented or common; addresses are at example.com and phone numbers lie in ranges kept for fiction.
"""

from __future__ import annotations

from typing import NamedTuple


class Place(NamedTuple):
    country: str
    province: str | None
    city: str
    store: str
    phone_prefix: str


class Entry(NamedTuple):
    """How a visit begins: the channel that brought it and the event that shows it."""

    channel: str | None
    event_type: str


EVENT_TYPES = (
    "ad_interaction", "email", "influencer", "social_media", "organic_search", "referral", "page_viewed",
    "product_viewed", "collection_viewed", "search_submitted", "cart_viewed", "added_to_cart", "removed_from_cart",
    "checkout_started", "payment_info_submitted", "checkout_completed", "form_submission",
)

PLACES = {
    Place("US", "NY", "New York", "us", "+121255501"): 16,
    Place("US", "NY", "Buffalo", "us", "+171655501"): 3,
    Place("US", "CA", "Los Angeles", "us", "+121355501"): 11,
    Place("US", "CA", "San Francisco", "us", "+141555501"): 8,
    Place("US", "PA", "Philadelphia", "us", "+121555501"): 9,
    Place("US", "IL", "Chicago", "us", "+131255501"): 8,
    Place("US", "TX", "Houston", "us", "+171355501"): 7,
    Place("US", "WA", "Seattle", "us", "+120655501"): 5,
    Place("US", "FL", "Miami", "us", "+130555501"): 5,
    Place("CA", "ON", "Toronto", "us", "+141655501"): 6,
    Place("CA", "QC", "Montréal", "us", "+151455501"): 4,
    Place("GB", None, "London", "eu", "+4477009001"): 5,
    Place("DE", "BE", "Berlin", "eu", "+4930231251"): 4,
    Place("DE", "BY", "München", "eu", "+4989992861"): 2,
    Place("AT", "9", "Wien", "eu", "+4315550001"): 1,
    Place("CH", "ZH", "Zürich", "eu", "+4144555001"): 1,
    Place("FR", None, "Paris", "eu", "+3319900101"): 2,
    Place("BR", "SP", "São Paulo", "world", "+5511955501"): 1,
    Place("JP", None, "東京", "world", "+8135550001"): 1,
    Place("NO", None, "Oslo", "eu", "+4721555001"): 1,
}

FIRST_NAMES = (
    "James", "Mary", "Robert", "Patricia", "John", "Jennifer", "Michael", "Linda", "David", "Elizabeth", "William",
    "Barbara", "Richard", "Susan", "Joseph", "Jessica", "Thomas", "Karen", "Carlos", "Lisa", "Daniel", "Nancy", "José",
    "Betty", "Anthony", "Zoë", "Mark", "Sandra", "Björn", "Ashley", "Steven", "Kimberly", "Andrew", "Emily", "Renée",
    "Donna", "Joshua", "Michelle", "Kenji", "Carol", "Kevin", "Amanda", "Brian", "Melissa", "George", "Deborah",
)
LAST_NAMES = (
    "Smith", "Johnson", "Williams", "Brown", "Jones", "Garcia", "Miller", "Davis", "Rodriguez", "Martinez", "Hernandez",
    "Lopez", "Gonzalez", "Wilson", "Anderson", "Thomas", "Taylor", "Moore", "Jackson", "Martin", "Lee", "Perez",
    "Thompson", "White", "Harris", "Sanchez", "Clark", "Ramirez", "Lewis", "Robinson", "Walker", "Young", "Allen",
    "King", "Wright", "Scott", "Torres", "Nguyen", "Hill", "Flores", "O'Neil", "Müller", "Saint-Clair", "Núñez",
)

ITEM_GROUPS = ("rock", "pop", "jazz", "classical", "hip_hop", "country", "soundtrack", "folk")
#: Products of the shop; product p belongs to the item group p mod 8, and low numbers sell most.
PRODUCTS = 600

#: How visits begin, in percent. A missing channel is a visit that nobody tagged.
ENTRIES = {
    Entry("google", "organic_search"): 20,
    Entry("google", "ad_interaction"): 13,
    Entry("bing", "organic_search"): 4,
    Entry("facebook", "social_media"): 8,
    Entry("facebook", "ad_interaction"): 6,
    Entry("instagram", "influencer"): 6,
    Entry("tiktok", "social_media"): 5,
    Entry("tiktok", "ad_interaction"): 4,
    Entry("email", "email"): 16,
    Entry("affiliate", "referral"): 6,
    Entry("direct", "page_viewed"): 9,
    Entry(None, "page_viewed"): 3,
}
#: Events whose visits may belong to a campaign.
PAID_ENTRIES = ("ad_interaction", "email", "influencer")
CAMPAIGNS = {"spring_sale": 20, "new_releases": 30, "back_catalogue": 20, "gift_guide": 10, "win_back": 10, None: 10}
COUPONS = {"WELCOME10": 10, "SPRING15": 15, "VIP20": 20}

DEVICES = {"desktop": 55, "mobile": 35, "tablet": 7, None: 3}
SEARCHES = ("live album", "best of", "box set", "piano", "greatest hits", "christmas", "remastered", "vinyl", "")
PAGES = {"home": 40, "new_releases": 20, "about": 5, "shipping": 15, "account": 15, "stores": 5}
PAYMENTS = {"card": 60, "paypal": 25, "invoice": 10, "gift_card": 5}
SHIPPING = {"standard": 70, "express": 20, "pickup": 7, None: 3}
TIERS = {None: 60, "bronze": 22, "silver": 12, "gold": 6}

#: What one kind of event alone tells: its property and the values, weighted.
PROPERTIES: dict[str, tuple[str, dict[str | None, int]]] = {
    "ad_interaction": ("interaction", {"impression": 30, "click": 70}),
    "email": ("email_action", {"opened": 45, "clicked": 55}),
    "influencer": ("influencer", {"the_record_room": 40, "needle_drop": 35, "late_night_jazz": 25}),
    "social_media": ("network_action", {"view": 60, "like": 30, "share": 10}),
    "organic_search": ("keyword_group", {"brand": 45, "artist": 40, None: 15}),
    "referral": ("referrer", {"musicblog.example.com": 60, "forum.example.org": 40}),
    "page_viewed": ("page", PAGES),
    "collection_viewed": ("collection", {group: 1 for group in ITEM_GROUPS}),
    "payment_info_submitted": ("payment_method", PAYMENTS),
    "form_submission": ("form", {"newsletter": 50, "contact": 30, "back_in_stock": 20}),
}
