"""Random valid definitions over everything that reads customers, events, orders, lists and other segments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from strategies.draw import Draw, sample, weighted
from strategies.vocabulary import DURATIONS, FRAGMENTS, LONG_DURATIONS, PATTERNS, RANGES, pool

#: Aggregates of order lines; what `first` and `latest` of several lines of one order are is not defined.
LINE_AGGREGATES = ("sum", "avg", "min", "max", "distinct", "mode")
ELIGIBLE = ("registered", "purchasers", "email", "push")
ORDERED = ("at_least", "more_than", "at_most", "less_than")
DEPTH = 3


@dataclass(frozen=True)
class Scope:
    """What a definition may name: the catalogue and the segments before it; dates lie around the snapshot date."""

    catalogue: Mapping
    segments: tuple[str, ...]
    snapshot_date: date


def draw_segment(draw: Draw, scope: Scope, name: str) -> dict:
    """A whole definition; a few are inactive, a quarter considers only some customers."""
    definition: dict = {"name": name}
    if draw.chance(25):
        definition["eligible"] = sample(draw, ELIGIBLE, 1, 3)
    if draw.chance(15):
        definition["anonymous"] = draw.chance(30)
    if draw.chance(4):
        definition["status"] = "inactive"
    if draw.chance(8):
        definition["limit"] = {"top": draw.integer(1, 12), "by": measure(draw, scope, ("number", "time"))[0]}
    return definition | {"where": condition(draw, scope, DEPTH)}


def condition(draw: Draw, scope: Scope, depth: int) -> dict:
    """One condition, boolean nodes nested at most `depth` deep."""
    if depth and draw.chance(45):
        key = weighted(draw, {"all": 3, "any": 4, "none": 1, "not": 2})
        if key == "not":
            return {"not": condition(draw, scope, depth - 1)}
        return {key: [condition(draw, scope, depth - 1) for _ in range(draw.integer(1 if key == "none" else 2, 3))]}
    weights = {
        _customer: 8, _did: 10, _did_not: 1, _ordered: 9, _visits: 2, _list: 1, _consent: 1, _split: 1, _first_did: 1,
        _stopped: 1, _restarted: 1, _regularly: 2, _sequence: 5, _value: 5, _sql: 2,
    }
    if scope.segments:
        weights[_segment] = 2
    return weighted(draw, weights)(draw, scope)


def _customer(draw: Draw, scope: Scope) -> dict:
    name = draw.choice(sorted(scope.catalogue["customers"]))
    wanted = operators(draw, scope, name, scope.catalogue["customers"][name], percentile=True)
    return {"customer": name} | (wanted if isinstance(wanted, dict) else {"is": wanted})


def _did(draw: Draw, scope: Scope) -> dict:
    return {"did": _types(draw, scope)} | _aggregate(draw, scope, "events") | _narrowed(draw, scope, "events")


def _did_not(draw: Draw, scope: Scope) -> dict:
    return {"did_not": _types(draw, scope)} | _narrowed(draw, scope, "events")


def _visits(draw: Draw, scope: Scope) -> dict:
    count = {"count": _count(draw)} if draw.chance(70) else {}
    types = scope.catalogue["event_types"]
    named = draw.choice(["any", "any", draw.choice(types), sample(draw, types, 2, 3)])
    return {"visits": named} | count | _narrowed(draw, scope, "events")


def _types(draw: Draw, scope: Scope) -> object:
    """Event types as `did` takes them: any, one, or a list whose entries may have a filter."""
    types = scope.catalogue["event_types"]
    form = weighted(draw, {"any": 4, "one": 4, "list": 4})
    if form == "any":
        return "any"
    if form == "one":
        return draw.choice(types)
    return [
        {"type": name, "where": filters(draw, scope, "events", 1)} if draw.chance(40) else name
        for name in sample(draw, types, 2, 3)
    ]


def _ordered(draw: Draw, scope: Scope) -> dict:
    form = weighted(draw, {"any": 4, "purchases": 3, "one": 1, "list": 2})
    statuses = scope.catalogue["order_statuses"]
    named = {"one": draw.choice(statuses), "list": sample(draw, statuses, 1, 3)}.get(form, form)
    result = {"ordered": named} | _aggregate(draw, scope, "orders") | _narrowed(draw, scope, "orders")
    if draw.chance(30):
        of_lines = any(isinstance(part, dict) and str(part.get("of")).startswith("items.") for part in result.values())
        result["items"] = filters(draw, scope, "items", 2) if of_lines or draw.chance(60) else _basket(draw, scope)
    return result


def _basket(draw: Draw, scope: Scope) -> dict:
    """Line filters that add several lines of one order, per product or all together."""
    wanted: dict = {"quantity": {"sum": {draw.choice(["at_least", "more_than"]): draw.choice([1, 2, 4])}}}
    if draw.chance(60):
        wanted["same"] = draw.choice(["product_id", "item_group"])
    if draw.chance(40):
        wanted["unit_price"] = {"at_least": "10"}
    return wanted


def _narrowed(draw: Draw, scope: Scope, table: str) -> dict:
    """A filter, a window, both or neither."""
    result: dict = {}
    if draw.chance(35):
        result["where"] = filters(draw, scope, table, 2)
    if draw.chance(65):
        result["within"] = _window(draw, scope)
    return result


def _window(draw: Draw, scope: Scope) -> object:
    form = weighted(draw, {"last": 10, "ago": 3, "before": 2, "dates": 4, "named": 4})
    if form == "last":
        return draw.choice(DURATIONS + LONG_DURATIONS)
    if form == "ago":
        return {"ago": list(draw.choice(RANGES))}
    if form == "before":
        return {"before": draw.choice(DURATIONS)}
    if form == "named":
        return draw.choice(["today", "yesterday", "this_month", "last_month"])
    low, high = sorted([_day(draw, scope), _day(draw, scope)])
    return draw.choice([{"from": low}, {"to": high}, {"from": low, "to": high}])


def _day(draw: Draw, scope: Scope) -> str:
    days = draw.choice([-366, -180, -90, -60, -31, -30, -29, -14, -7, -2, -1, 0, 0, 1])
    return (scope.snapshot_date + timedelta(days=days)).isoformat()


def _aggregate(draw: Draw, scope: Scope, table: str) -> dict:
    """One aggregate with its comparison, or none, which is a count of at least one."""
    name = weighted(
        draw,
        {"": 6, "count": 10, "sum": 3, "avg": 2, "min": 2, "max": 2, "distinct": 2, "latest": 2, "first": 2, "mode": 2},
    )
    if not name:
        return {}
    if name == "count":
        return {"count": _count(draw)}
    kinds = dict(scope.catalogue[table])
    if table == "orders" and name in LINE_AGGREGATES:
        kinds |= {f"items.{field}": kind for field, kind in scope.catalogue["items"].items()}
    allowed = {
        "sum": ("integer", "decimal"), "avg": ("integer", "decimal"),
        "min": ("integer", "decimal", "date", "timestamp"), "max": ("integer", "decimal", "date", "timestamp"),
        "latest": ("text", "integer", "decimal", "boolean", "date", "timestamp", "texts"),
    }
    allowed["first"] = allowed["latest"]
    fields = sorted(field for field, kind in kinds.items() if kind in allowed.get(name, allowed["latest"][:-1]))
    field = draw.choice(fields)
    kind = {"sum": "decimal", "avg": "decimal", "distinct": "integer"}.get(name, kinds[field])
    if name == "distinct":
        return {name: {"of": field} | _count_operators(draw)}
    wanted = operators(draw, scope, field.removeprefix("items."), kind, percentile=True)
    settings = {"of": field} | (wanted if isinstance(wanted, dict) else {"is": wanted})
    if name == "mode" and draw.chance(50):
        settings["share"] = {draw.choice(ORDERED): draw.choice(["0.5", "0.6", Decimal("0.75"), 1])}
    return {name: settings}


def _count(draw: Draw) -> object:
    return draw.integer(1, 2) if draw.chance(10) else _count_operators(draw)


def _count_operators(draw: Draw) -> dict:
    name = weighted(
        draw, {"at_least": 8, "at_most": 4, "is": 1, "between": 2, "less_than": 1, "in": 1, "percentile": 2}
    )
    if name == "between":
        return {"between": [draw.integer(0, 1), draw.integer(1, 3)]}
    if name == "in":
        return {"in": sample(draw, [0, 1, 2, 3], 1, 2)}
    if name == "percentile":
        return _percentile(draw)
    low = 1 if name == "less_than" else 0
    return {name: draw.integer(1, 3) if name == "at_least" else draw.integer(low, 2)}


def _percentile(draw: Draw) -> dict:
    return {draw.choice(ORDERED): {"percentile": draw.choice([1, 25, 50, Decimal("66.6"), 75, 90, 100])}}


def filters(draw: Draw, scope: Scope, table: str, depth: int) -> dict:
    """A filter on one row: a mapping whose entries all hold, or a boolean node over such mappings."""
    if depth > 1 and draw.chance(30):
        key = weighted(draw, {"any": 4, "all": 2, "none": 2, "not": 2})
        if key == "not":
            return {"not": filters(draw, scope, table, depth - 1)}
        return {key: [filters(draw, scope, table, depth - 1) for _ in range(draw.integer(1, 2))]}
    kinds = scope.catalogue[table]
    return {
        name: operators(draw, scope, name, kinds[name])
        for name in sample(draw, sorted(kinds), 1, 2 if draw.chance(20) else 1)
    }


def operators(draw: Draw, scope: Scope, field: str, kind: str, percentile: bool = False) -> object:
    """A comparison for a field of that type: now and then the short form, or two operators together."""
    if draw.chance(6):
        return {"known": draw.chance(60)}
    if percentile and kind in ("integer", "decimal") and draw.chance(20):
        return _percentile(draw)
    one = _OPERATORS[kind]
    wanted = one(draw, scope, field)
    if kind in ("text", "boolean", "integer", "decimal") and set(wanted) == {"is"} and draw.chance(50):
        return wanted["is"]
    if draw.chance(10):
        wanted = one(draw, scope, field) | wanted
    return wanted


def _text(draw: Draw, scope: Scope, field: str) -> dict:
    values = pool(field, "text")
    name = weighted(
        draw,
        {"is": 4, "is_not": 3, "in": 4, "not_in": 2, "contains": 2, "not_contains": 2, "starts_with": 1, "ends_with": 1,
         "matches": 2},
    )
    if name in ("is", "is_not"):
        return {name: draw.choice(values)}
    if name in ("in", "not_in"):
        return {name: sample(draw, values, 1, 3)}
    if name == "matches":
        return {name: draw.choice(PATTERNS)}
    piece = draw.choice(FRAGMENTS) if draw.chance(60) else draw.choice(values)[: draw.integer(1, 4)]
    return {name: piece} | ({"case": draw.chance(70)} if draw.chance(25) else {})


def _number(draw: Draw, scope: Scope, field: str) -> dict:
    values = pool(field, "decimal")
    name = weighted(draw, dict.fromkeys(ORDERED, 4) | {"is": 2, "is_not": 2, "in": 2, "not_in": 2, "between": 3})
    if name in ("in", "not_in"):
        return {name: [_literal(draw, value) for value in sample(draw, values, 1, 3)]}
    if name == "between":
        return {name: [_literal(draw, value) for value in sorted((draw.choice(values), draw.choice(values)))]}
    return {name: _literal(draw, draw.choice(values))}


def _literal(draw: Draw, number: int | Decimal) -> int | str | Decimal:
    """The number as an author may write it; a text of a whole number is that number."""
    if isinstance(number, int) or number == number.to_integral_value() and draw.chance(50):
        return int(number)
    return str(number) if draw.chance(40) else number


def _boolean(draw: Draw, scope: Scope, field: str) -> dict:
    return {weighted(draw, {"is": 3, "is_not": 1}): draw.chance(60)}


def _texts(draw: Draw, scope: Scope, field: str) -> dict:
    return {draw.choice(["has_any", "has_all"]): sample(draw, pool(field, "texts"), 1, 2)}


def _time(draw: Draw, scope: Scope, field: str) -> dict:
    name = weighted(
        draw,
        {"before": 2, "after": 3, "on": 1, "at_least": 2, "more_than": 1, "at_most": 2, "less_than": 1, "between": 2,
         "is": 1, "is_not": 1, "in_last": 4, "not_in_last": 2, "in_next": 1, "ago": 3, "anniversary": 3},
    )
    if name in ("in_last", "not_in_last", "in_next"):
        return {name: draw.choice(DURATIONS + LONG_DURATIONS)}
    if name == "ago":
        return {name: list(draw.choice(RANGES))}
    if name == "anniversary":
        return {name: _anniversary(draw, scope)}
    if name == "between":
        return {name: sorted([_day(draw, scope), _day(draw, scope)])}
    return {name: _day(draw, scope) if draw.chance(70) else _moment(draw, scope)}


def _date(draw: Draw, scope: Scope, field: str) -> dict:
    """The same operators; birthdays lie so far back that only the day of the year tells them apart."""
    if field == "birthday" and draw.chance(60):
        return {"anniversary": _anniversary(draw, scope)}
    if field == "birthday":
        return {draw.choice(["before", "after", "at_least", "at_most"]): draw.choice(["1980-01-01", "2000-02-29"])}
    return _time(draw, scope, field)


def _moment(draw: Draw, scope: Scope) -> str:
    """A literal with a time: on a clock-change day it may be skipped or come twice; some carry an offset."""
    clock = draw.choice(["00:00:00", "01:30:00", "02:30:00", "12:00:00", "23:59:59"])
    return f"{_day(draw, scope)}T{clock}" + draw.choice(["", "", "Z", "+02:00", "-05:00"])


def _anniversary(draw: Draw, scope: Scope) -> dict:
    if draw.chance(50):
        return {draw.choice(["in_next", "in_last"]): draw.choice(["1d", "7d", "30d", "8w", "1mo", "6mo"])}
    low, high = draw.choice(
        [("12-02", "01-03"), ("02-28", "03-01"), ("02-29", "03-15"), ("02-01", "02-29"), ("03-01", "06-30"),
         ("10-25", "10-25"), ("06-15", "02-28")]
    )
    return {"from": low, "to": high}


_OPERATORS = {
    "text": _text, "integer": _number, "decimal": _number, "boolean": _boolean, "texts": _texts, "date": _date,
    "timestamp": _time,
}


def _segment(draw: Draw, scope: Scope) -> dict:
    result: dict = {"segment": draw.choice(scope.segments)}
    if draw.chance(25):
        ages = [{"in_last": "7d"}, {"in_last": "30d"}, {"not_in_last": "1d"}, {"ago": ["30d", "7d"]}]
        result["entered"] = draw.choice(ages)
    if draw.chance(25):
        name = draw.choice(ORDERED)
        result["member_for"] = draw.choice([{name: "7d"}, {name: "30d"}, {"between": ["1d", "30d"]}])
    return result


def _list(draw: Draw, scope: Scope) -> dict:
    joined = {"joined": _time(draw, scope, "joined_at")} if draw.chance(50) else {}
    return {"list": draw.choice(scope.catalogue["lists"])} | joined


def _consent(draw: Draw, scope: Scope) -> dict:
    since = {"since": _time(draw, scope, "since")} if draw.chance(50) else {}
    return {"consent": draw.choice(["email", "sms", "push"])} | since


def _split(draw: Draw, scope: Scope) -> dict:
    low, high = sorted((draw.choice([0, 10, 40]), draw.choice([50, 60, 100])))
    return {"split": {"salt": draw.choice(["spring", "Köln"]), "from": low, "to": high}}


# The exact forms ---------------------------------------------------------------------------------------------------


def _source(draw: Draw, scope: Scope) -> object:
    """What a verb or a silent step is about: types of events, or orders."""
    if draw.chance(65):
        return _types(draw, scope)
    orders: dict = {"ordered": draw.choice(["any", "purchases", draw.choice(scope.catalogue["order_statuses"])])}
    return orders | ({"where": filters(draw, scope, "orders", 1)} if draw.chance(20) else {})


def _filtered(draw: Draw, scope: Scope, source: object) -> dict:
    table = "orders" if isinstance(source, dict) and "ordered" in source else "events"
    return {"where": filters(draw, scope, table, 1)} if draw.chance(20) else {}


def _first_did(draw: Draw, scope: Scope) -> dict:
    source = _source(draw, scope)
    return {"first_did": source, "within": _window(draw, scope)} | _filtered(draw, scope, source)


def _stopped(draw: Draw, scope: Scope) -> dict:
    source, (far, near) = _source(draw, scope), draw.choice(RANGES)
    return {"stopped": source, "within": far, "quiet": near} | _filtered(draw, scope, source)


def _restarted(draw: Draw, scope: Scope) -> dict:
    source = _source(draw, scope)
    recent, gap = draw.choice(["12h", "7d", "30d"]), draw.choice(["1d", "7d", "30d", "1mo"])
    return {"restarted": source, "within": recent, "gap": gap} | _filtered(draw, scope, source)


def _regularly(draw: Draw, scope: Scope) -> dict:
    source, of = _source(draw, scope), draw.integer(1, 6)
    count = {"count": {draw.choice(["at_least", "more_than"]): draw.integer(1, 2)}} if draw.chance(40) else {}
    wanted = {"regularly": source, "every": draw.choice(["1d", "7d", "30d", "1mo", "12h"])}
    return wanted | {"periods": {"of": of, "at_least": draw.integer(1, min(of, 3))}} | count | _filtered(draw, scope, source)


def _sequence(draw: Draw, scope: Scope) -> dict:
    """Two or three steps, now and then with silence between or after them."""
    same = draw.choice(["source", "store"]) if draw.chance(12) else None
    only = "orders" if same else weighted(draw, {"": 6, "events": 2, "orders": 1})
    if only == "events" and draw.chance(50):
        same = draw.choice(["product_id", "channel", "quantity", "amount", "delivery"])
    steps = [_step(draw, scope, only)]
    for _ in range(weighted(draw, {1: 6, 2: 3}) - (1 if draw.chance(10) else 0)):
        if draw.chance(25):
            steps.append({"did_not": _source(draw, scope)})
        steps.append(_step(draw, scope, only))
        if draw.chance(30):
            steps[-1]["after"] = _after(draw)
    if len(steps) == 1 or draw.chance(30):
        after = {"after": {"at_least": draw.choice(["12h", "1d", "1mo"])}} if draw.chance(40) else {}
        steps.append({"did_not": _source(draw, scope)} | after)
    wanted: dict = {"sequence": steps}
    if same:
        wanted["same"] = [same]
    if draw.chance(80 if "did_not" in steps[-1] else 40):
        wanted["span"] = draw.choice(["12h", "1d", "7d", "30d", "1mo"])
    if draw.chance(50):
        wanted["within"] = _window(draw, scope)
    return wanted


def _step(draw: Draw, scope: Scope, only: str) -> dict:
    table = only or weighted(draw, {"events": 3, "orders": 1})
    if table == "events":
        step: dict = {"did": _types(draw, scope)}
    else:
        step = {"ordered": draw.choice(["any", "purchases", draw.choice(scope.catalogue["order_statuses"])])}
    return step | ({"where": filters(draw, scope, table, 1)} if draw.chance(20) else {})


def _after(draw: Draw) -> dict:
    if draw.chance(15):
        return {"between": draw.choice([["12h", "7d"], ["1d", "30d"], ["30min", "1d"]])}
    return {draw.choice(ORDERED): draw.choice(["30min", "12h", "1d", "7d", "1mo"])}


def measure(draw: Draw, scope: Scope, wanted: tuple[str, ...]) -> tuple[dict, str]:
    """A value of a customer as `value` and `limit` take it, with its type; `wanted` are families of types."""
    families = {"number": ("integer", "decimal"), "time": ("date", "timestamp")}
    kinds = {kind for family in wanted for kind in families.get(family, (family,))}
    form = weighted(draw, {"rows": 8, "customer": 3, "ratio": 2, "visits": 1})
    if form == "ratio" and "decimal" in kinds:
        parts = [measure(draw, scope, ("number",))[0] for _ in range(2)]
        return {"ratio": parts}, "decimal"
    if form == "customer":
        fields = sorted(name for name, kind in scope.catalogue["customers"].items() if kind in kinds)
        name = draw.choice(fields)
        return {"customer": name}, scope.catalogue["customers"][name]
    if form == "visits" and "integer" in kinds:
        return {"visits": "any"} | _narrowed(draw, scope, "events"), "integer"
    return _measured(draw, scope, kinds)


def _measured(draw: Draw, scope: Scope, kinds: set[str]) -> tuple[dict, str]:
    table = draw.choice(["events", "orders"])
    named = {"ordered": draw.choice(["any", "purchases"])} if table == "orders" else {"did": _types(draw, scope)}
    fields = dict(scope.catalogue[table])
    numbers = sorted(name for name, kind in fields.items() if kind in ("integer", "decimal"))
    functions = ["min", "max", "latest", "first"]
    if "integer" in kinds:
        functions += ["count", "count", "distinct"]
    if "decimal" in kinds:
        functions += ["sum", "sum", "avg"]
    if "text" in kinds:
        functions = ["latest", "first", "mode"]
    function = draw.choice(functions)
    if function == "count":
        return named | {"count": True} | _narrowed(draw, scope, table), "integer"
    if function == "distinct":
        names = sorted(name for name, kind in fields.items() if kind != "texts")
        return named | {"distinct": draw.choice(names)} | _narrowed(draw, scope, table), "integer"
    if function in ("sum", "avg"):
        return named | {function: draw.choice(numbers)} | _narrowed(draw, scope, table), "decimal"
    name = draw.choice(sorted(name for name, kind in fields.items() if kind in kinds))
    return named | {function: name} | _narrowed(draw, scope, table), fields[name]


def _value(draw: Draw, scope: Scope) -> dict:
    """A value against a literal, a percentile, or another value of the same family."""
    family = weighted(draw, {"number": 8, "time": 2, "text": 2})
    spec, kind = measure(draw, scope, (family,))
    if draw.chance(50):
        name = draw.choice(["is", "is_not"]) if family == "text" or draw.chance(20) else draw.choice(ORDERED)
        return {"value": spec, name: measure(draw, scope, (family,))[0]}
    wanted = operators(draw, scope, "value", kind, percentile=True)
    return {"value": spec} | (wanted if isinstance(wanted, dict) else {"is": wanted})


def _sql(draw: Draw, scope: Scope) -> dict:
    """A formula of two or three tests over fields and up to two named values."""
    features = {name: measure(draw, scope, ("number",))[0] for name in ("one", "two")[: draw.integer(0, 2)]}
    text = _formula(draw, sorted(features), draw.integer(1, 2))
    return {"sql": text} | ({"features": features} if features else {})


def _formula(draw: Draw, features: list[str], depth: int) -> str:
    if depth:
        form = draw.choice(["{} and {}", "{} or {}", "not ({})", "({}) is null", "case when {} then {} else {} end",
                            "coalesce({}, false)", "({}) is false"])
        return form.format(*(f"({_formula(draw, features, depth - 1)})" for _ in range(form.count("{}"))))
    return draw.choice([_number_test, _text_test, _other_test])(draw, features)


def _number_test(draw: Draw, features: list[str]) -> str:
    operands = [*features, "points", "credit", "coalesce(points, 0)", "abs(points)", "nullif(points, 10)", "length(city)"]
    first, second = draw.choice(operands), draw.choice([*operands, "1", "10", "2.5", "-1"])
    form = draw.choice(["{0} > {1}", "{0} <= {1}", "{0} = {1}", "{0} <> {1}", "{0} + {1} > 20", "{0} / {1} >= 2",
                        "{0} * 2 - {1} < 15", "{0} between {1} and 50", "{0} in ({1}, 0, null)", "{0} is not null"])
    return form.format(first, second)


def _text_test(draw: Draw, features: list[str]) -> str:
    return draw.choice([
        "city = 'Berlin'", "lower(city) = 'berlin'", "city like 'B%'", "city like '_er%'", "city || tier <> 'x'",
        "country in ('DE', 'AT')", "country not in ('DE', 'AT')", "upper(tier) like '%GOLD%'", "trim(source) is null",
        "length(city) > 4", "country < 'CH'", "country between 'AT' and 'CH'",
    ])


def _other_test(draw: Draw, features: list[str]) -> str:
    return draw.choice([
        "vip", "registered = true", "vip is true", "not registered", "birthday < '1990-01-01'", "year(birthday) >= 1990",
        "month(birthday) in (2, 12)", "day(renewal) = 1", "renewal is null", "birthday < renewal", "month(created_at) = 3",
        "day(last_login) > 15",
    ])
