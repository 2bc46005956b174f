"""Builders of single rows with defaults, and random datasets."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

from oracle import Data
from oracle.times import TICK, Clock
from strategies.draw import Draw, sample, weighted
from strategies.vocabulary import CATALOGUE, DURATIONS, pool

NOON = datetime(2026, 1, 10, 12, tzinfo=UTC)
BLANKS = ["", " ", "\t\u00a0"]
#: How far apart rows of one customer often lie, to the tick: the bounds of spans and of `after`.
APART = ("30min", "12h", "1d", "7d", "30d", "1mo")
#: How many customers share half of all rows: the exact forms look at many rows of one customer.
BUSY = 4


def customer(**values: object) -> dict:
    """A customers row with every column; what is not given is missing."""
    columns = (
        "customer_id", "email", "phone", "first_name", "last_name", "country", "province", "city", "created_at",
        "birthday", "registered", "email_consent", "email_consent_at", "push_consent", "push_consent_at",
        "sms_consent", "sms_consent_at", "source", "store", "updated_at",
    )
    return dict.fromkeys((*columns, *CATALOGUE["customers"])) | {"customer_id": "c1"} | values


def event(**values: object) -> dict:
    """An events row with every column: a page view of c1 unless told; its id follows from what it is."""
    columns = ("event_id", "customer_id", "event_type", "occurred_at", "session_id", "updated_at")
    row = dict.fromkeys((*columns, *CATALOGUE["events"]))
    row |= {"customer_id": "c1", "event_type": "page_viewed", "occurred_at": NOON} | values
    named = (row["customer_id"], row["event_type"], row["occurred_at"])
    return row | {"event_id": row["event_id"] or "-".join(map(str, named))}


def order(**values: object) -> dict:
    """An orders row with every column: a paid one of c1 over 10.0000 unless told; its id follows from what it is."""
    columns = ("order_id", "customer_id", "status", "currency", "items", "updated_at")
    row = dict.fromkeys((*columns, *CATALOGUE["orders"]))
    row |= {
        "customer_id": "c1", "ordered_at": NOON, "status": "paid", "currency": "EUR", "revenue": Decimal("10.0000"),
    }
    row |= values
    named = (row["customer_id"], row["status"], row["ordered_at"])
    return row | {"order_id": row["order_id"] or "-".join(map(str, named))}


def line(**values: object) -> dict:
    """One line of an order with every column; what is not given is missing."""
    return dict.fromkeys(CATALOGUE["items"]) | values


class Times:
    """Draws instants around a night, many on or next to the bounds of windows, some twice."""

    def __init__(self, draw: Draw, clock: Clock) -> None:
        self.draw = draw
        self.clock = clock
        self.edges = _edges(clock)
        self.used: list[datetime] = []
        self.rows: dict[str, list[datetime]] = {}
        self.punctual: dict[str, bool] = {}

    def row(self, owner: str) -> datetime:
        """When something of that customer's happened: often at, or just beside, the end of a step from another time.

        Every other customer is punctual: the rows lie at starts of days, so that spans and periods end at rows all the time.
        """
        earlier = self.rows.setdefault(owner, [])
        if owner not in self.punctual:
            self.punctual[owner] = self.draw.chance(50)
        if self.punctual[owner]:
            moment = self.clock.start_of(self.clock.snapshot_date - timedelta(days=self.draw.integer(0, 45)))
        elif earlier and self.draw.chance(35):
            moved = self.clock.step(self.draw.choice(earlier), self.draw.choice(APART), self.draw.choice([1, -1]))
            moment = moved + self.draw.choice([0, 0, 0, 1, -1]) * TICK
        else:
            moment = self.past()
        earlier.append(moment)
        return moment

    def past(self) -> datetime:
        """An instant that is mostly in the year before as_of, and now and then at or after it."""
        how = weighted(self.draw, {"day": 20, "quarter": 30, "year": 10, "edge": 25, "tie": 12, "future": 3})
        if how == "tie" and self.used:
            return self.draw.choice(self.used)
        if how == "edge":
            moment = self.draw.choice(self.edges) + self.draw.choice([-1, 0, 0, 1]) * TICK
        elif how == "future":
            moment = self.clock.as_of + timedelta(minutes=self.draw.choice([0, 1, 600, 9000]))
        else:
            days = {"day": 3, "quarter": 95}.get(how, 420)
            moment = self.clock.as_of - timedelta(minutes=self.draw.integer(1, days * 1440))
        self.used.append(moment)
        return moment

    def day(self) -> date:
        """A date within about a year around the night, or an edge of it."""
        if self.draw.chance(40):
            return self.clock.local_date(self.draw.choice(self.edges))
        return self.clock.snapshot_date + timedelta(days=self.draw.integer(-400, 60))

    def birthday(self) -> date:
        """A birthday, often a leap day or near the night's day of the year."""
        near = self.clock.snapshot_date + timedelta(days=self.draw.integer(-9, 9))
        if self.draw.chance(25) or (near.month, near.day) == (2, 29):
            return date(self.draw.choice([1996, 2000, 2004]), 2, 29)
        if self.draw.chance(50):
            return near.replace(year=self.draw.integer(1950, 2005))
        return date(self.draw.integer(1950, 2005), self.draw.integer(1, 12), self.draw.integer(1, 28))


def _edges(clock: Clock) -> list[datetime]:
    """Bounds of windows, midnights around clock changes, and the hours that these skip or repeat."""
    edges = [clock.as_of, *(clock.back(duration) for duration in DURATIONS), clock.ahead("7d")]
    for back in range(400):
        day = clock.snapshot_date - timedelta(days=back)
        if clock.start_of(day + timedelta(days=1)) - clock.start_of(day) != timedelta(days=1):
            edges += [clock.start_of(day), clock.start_of(day + timedelta(days=1))]
            for hour in (1, 2, 23):
                local = datetime.combine(day, time(hour, 30), tzinfo=clock.zone)
                edges += [local.replace(fold=fold).astimezone(UTC) for fold in (0, 1)]
    return edges + [clock.start_of(clock.snapshot_date.replace(day=1)), clock.start_of(clock.snapshot_date)]


def draw_data(draw: Draw, clock: Clock) -> Data:
    """10 to 25 customers with up to 90 events and 40 orders, and everything that makes data hard."""
    times = Times(draw, clock)
    known = [f"c{number:02d}" for number in range(draw.integer(10, 25))]
    visitors = [f"v{number}" for number in range(draw.integer(1, 4))]
    merged = _aliases(draw, known, visitors)
    everyone = known + known + visitors + [row["customer_id"] for row in merged]
    owners = everyone + [id for id in known[:BUSY] for _ in range(len(everyone) // BUSY)]
    return Data(
        customers=[_customer(draw, times, id) for id in known],
        events=[_event(draw, times, _id(draw, n), draw.choice(owners)) for n in range(draw.integer(20, 90))],
        orders=[_order(draw, times, _id(draw, n), draw.choice(owners)) for n in range(draw.integer(20, 40))],
        lists=_lists(draw, times, everyone),
        aliases=merged,
        erased=frozenset(sample(draw, sorted(set(everyone)), 0, 2)),
    )


def _id(draw: Draw, number: int) -> str:
    """An id whose order as text is not the order in which rows are drawn."""
    return f"{draw.integer(0, 9)}-{number}"


def _aliases(draw: Draw, known: list[str], visitors: list[str]) -> list[dict]:
    """Old ids of customers, one in a chain, one of a visitor, one with a customers row of its own."""
    pairs = [("m0", known[1]), ("m1", "m0"), ("m2", visitors[0]), (known[-1], known[2])]
    return [
        {"customer_id": old, "canonical_id": new, "merged_at": NOON, "updated_at": None}
        for old, new in pairs if draw.chance(70)
    ]


def _maybe(draw: Draw, value: object, percent: int = 15) -> object | None:
    """The value, or in some cases nothing; for text that may be a blank."""
    if not draw.chance(percent):
        return value
    return draw.choice([None, *BLANKS]) if isinstance(value, str) else None


def _values(draw: Draw, times: Times, table: str, skip: tuple[str, ...] = ()) -> dict:
    """A value or nothing for every field of a table."""
    return {
        name: _maybe(draw, _value(draw, times, name, kind))
        for name, kind in CATALOGUE[table].items() if name not in skip
    }


def _value(draw: Draw, times: Times, name: str, kind: str) -> object:
    if name == "birthday":
        return times.birthday()
    if kind == "boolean":
        return draw.chance(60)
    if kind == "date":
        return times.day()
    if kind == "timestamp":
        return times.past()
    if kind == "texts":
        return sample(draw, pool(name, kind), 0, 3)
    return draw.choice(pool(name, kind))


def _customer(draw: Draw, times: Times, id: str) -> dict:
    consents = {f"{channel}_consent_at": _maybe(draw, times.past(), 30) for channel in ("email", "push", "sms")}
    consents["sms_consent"] = _maybe(draw, draw.chance(50))
    return customer(**_values(draw, times, "customers"), **consents, customer_id=id)


def _event(draw: Draw, times: Times, id: str, owner: str) -> dict:
    moment = times.row(owner)
    return event(
        **_values(draw, times, "events", skip=("occurred_at",)), event_id=id, customer_id=owner, occurred_at=moment,
        event_type=draw.choice(CATALOGUE["event_types"]),
        session_id=_maybe(draw, f"{owner}-{draw.integer(1, 3)}"), updated_at=_arrival(draw, times, moment),
    )


def _order(draw: Draw, times: Times, id: str, owner: str) -> dict:
    moment = times.row(owner)
    lines = [line(**_values(draw, times, "items")) for _ in range(draw.integer(0, 4))]
    if lines and draw.chance(30):
        lines.append(dict(draw.choice(lines)))
    return order(
        **_values(draw, times, "orders", skip=("ordered_at", "revenue")), order_id=id, customer_id=owner,
        ordered_at=moment, status=draw.choice(CATALOGUE["order_statuses"]),
        revenue=draw.choice(pool("revenue", "decimal")), items=lines or draw.choice([None, []]),
        updated_at=_arrival(draw, times, moment),
    )


def _arrival(draw: Draw, times: Times, moment: datetime) -> datetime | None:
    """When the row came: missing, at once, or late, also after as_of; nothing may depend on it."""
    return draw.choice([None, moment, times.clock.as_of + timedelta(hours=5)])


def _lists(draw: Draw, times: Times, everyone: list[str]) -> list[dict]:
    """Members of two of the three lists; one of them is in no other table."""
    return [
        {"list_id": name, "customer_id": id, "joined_at": _maybe(draw, times.past(), 20), "updated_at": None}
        for name in ("beta", "vips")
        for id in [*dict.fromkeys(everyone), "stranger"] if draw.chance(40)
    ]
