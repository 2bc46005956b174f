"""Every figure of every segment once more, by DuckDB over the active files of the same Delta tables.

Written from docs/metrics.md, not from the engine: one SQL expression for each figure over one row per member.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import duckdb
from deltalake import DeltaTable

from segment_lib.settings import Settings

#: What `_all` leaves lost customers out of.
AVERAGES = (
    "revenue_per_customer", "orders_per_customer", "average_order_value", "units_per_order", "average_unit_revenue",
)


def figures(settings: Settings, run_id: str, day: date) -> dict[str, dict[str, object]]:
    """Group -> figure -> value, of the run that published `day`."""
    base = f"{settings.root}/{settings.tenant}"
    db = duckdb.connect()
    db.execute("SET TimeZone = 'UTC'")
    for table in ("customers", "events", "orders", "aliases", "erasures", "memberships", "customer_profiles"):
        files = DeltaTable(f"{base}/{table}").file_uris()
        db.execute(f"CREATE VIEW {table} AS SELECT * FROM read_parquet({files!r}, hive_partitioning = true)")
    _members(db, settings, run_id, day)
    found = {}
    groups = [row[0] for row in db.execute("SELECT DISTINCT id FROM member").fetchall()]
    for group in groups:
        found[group] = _of(db, f"id = '{group}'", f"id = '{group}'" + (" AND NOT lost" if group == "_all" else ""))
    return found


def _of(db: duckdb.DuckDBPyConnection, whole: str, left: str) -> dict[str, object]:
    averages = {name: sql for name, sql in EXPRESSIONS.items() if name in AVERAGED}
    counts = {name: sql for name, sql in EXPRESSIONS.items() if name not in AVERAGED}
    result = {}
    for condition, expressions in ((whole, counts), (left, averages)):
        items = ", ".join(f"{sql} AS {name}" for name, sql in expressions.items())
        row = db.execute(f"SELECT {items} FROM member WHERE {condition}").fetchone()
        result |= dict(zip(expressions, row, strict=True))
    minutes = db.execute(
        f"SELECT quantile_disc(least(minutes, 240), 0.5) FROM visit JOIN member USING (customer_id) WHERE {left}"
    ).fetchone()
    return result | {"median_visit_minutes": minutes[0]}


def _members(db: duckdb.DuckDBPyConnection, settings: Settings, run_id: str, day: date) -> None:
    """`member` (one row per group and customer, with all that figures need) and `visit`."""
    zone = ZoneInfo(settings.time_zone)

    def midnight(when: date) -> str:
        return f"TIMESTAMP '{datetime.combine(when, time(), zone).astimezone(ZoneInfo('UTC')):%Y-%m-%d %H:%M:%S}'"

    end = midnight(day + timedelta(days=1))
    since = {days: midnight(day + timedelta(days=1 - days)) for days in (1, 30, 90, 365)}
    bought = " OR ".join(f"status = '{status}'" for status in settings.catalogue.purchase_statuses)
    months = []
    for back in range(13):
        number = day.year * 12 + day.month - 1 - back
        months.append(tuple(midnight(date(one // 12, one % 12 + 1, 1)) for one in (number, number + 1)))
    db.execute(f"""
        CREATE TABLE owner AS
        WITH RECURSIVE chain AS (
            SELECT customer_id, canonical_id, 1 AS depth FROM aliases
            UNION ALL
            SELECT chain.customer_id, aliases.canonical_id, depth + 1
            FROM chain JOIN aliases ON aliases.customer_id = chain.canonical_id
        )
        SELECT customer_id, max_by(canonical_id, depth) AS canonical FROM chain GROUP BY customer_id;
        CREATE TABLE sale AS
        SELECT coalesce(canonical, customer_id) AS customer_id, ordered_at::TIMESTAMP AS moment, ({bought}) AS bought,
            coalesce(revenue, 0) AS gross, coalesce(revenue, 0) - coalesce(refund, 0) AS net, coalesce(cost, 0) AS cost,
            coalesce(list_sum([line.quantity FOR line IN items]), 0) AS units
        FROM orders LEFT JOIN owner USING (customer_id) WHERE ordered_at::TIMESTAMP < {end};
        CREATE TABLE seen AS
        SELECT coalesce(canonical, customer_id) AS customer_id, occurred_at::TIMESTAMP AS moment,
            nullif(trim(session_id), '') AS session
        FROM events LEFT JOIN owner USING (customer_id) WHERE occurred_at::TIMESTAMP < {end};
        CREATE TABLE visit AS
        SELECT customer_id, session,
            floor((floor(epoch(max(moment))) - floor(epoch(min(moment)))) / 60)::INT AS minutes
        FROM seen WHERE session IS NOT NULL AND moment >= {since[30]} GROUP BY ALL;
        CREATE TABLE profile AS SELECT * FROM customer_profiles WHERE run_id = '{run_id}';
    """)
    sums = []
    for name, sql, test in (
        ("orders", "1", "true"), ("gross_revenue", "gross", "true"), ("purchases", "1", "bought"),
        ("net_revenue", "net", "bought"), ("units", "units", "bought"), ("cost", "cost", "bought"),
    ):
        for suffix, edge in (("", None), ("_365", since[365]), ("_90", since[90]), ("_30", since[30]), ("_day", since[1])):
            inside = "" if edge is None else f" AND moment >= {edge}"
            sums.append(f"coalesce(sum({sql}) FILTER ({test}{inside}), 0) AS {name}{suffix}")
    sums += [
        f"coalesce(sum(net) FILTER (bought AND moment >= {first} AND moment < {last}), 0) AS month_{back}"
        for back, (first, last) in enumerate(months)
    ]
    local = f"(moment AT TIME ZONE 'UTC' AT TIME ZONE '{settings.time_zone}')::DATE"
    db.execute(f"""
        CREATE TABLE member AS
        WITH inside AS (
            SELECT customer_id, unnest(list_concat([one.id FOR one IN segments], ['_all'])) AS id
            FROM memberships WHERE run_id = '{run_id}'
            UNION ALL SELECT customer_id, '_lost' FROM profile WHERE churn_status = 'lost'
        ),
        bought AS (
            SELECT customer_id, {", ".join(sums)}, max(moment) AS last_order,
                date_diff('day', min({local}) FILTER (bought), max({local}) FILTER (bought)) AS days_between
            FROM sale GROUP BY customer_id
        ),
        browsed AS (
            SELECT customer_id, max(moment) AS last_event,
                date_diff('day', max({local}) FILTER (session IS NOT NULL), DATE '{day}') AS days_since_visit
            FROM seen GROUP BY customer_id
        ),
        visits AS (SELECT customer_id, count(*) AS visits FROM visit GROUP BY customer_id)
        SELECT inside.id, inside.customer_id, bought.* EXCLUDE (customer_id), days_since_visit,
            coalesce(visits, 0) AS visits, c.customer_id IS NULL AS anonymous, coalesce(churn_status = 'lost', false) AS lost,
            coalesce(greatest(last_order, last_event) >= {since[365]}, false) AS active_365,
            coalesce(greatest(last_order, last_event) >= {since[30]}, false) AS active_30,
            coalesce(nullif(trim(email), '') IS NOT NULL AND email_consent, false) AS mail,
            coalesce(nullif(trim(phone), '') IS NOT NULL AND sms_consent, false) AS text,
            coalesce(push_consent, false) AS push, p.* EXCLUDE (customer_id)
        FROM inside LEFT JOIN bought USING (customer_id) LEFT JOIN browsed USING (customer_id)
        LEFT JOIN visits USING (customer_id) LEFT JOIN customers AS c ON c.customer_id = inside.customer_id
        LEFT JOIN profile AS p ON p.customer_id = inside.customer_id
    """)


def _sum(column: str) -> str:
    return f"coalesce(sum({column}), 0)"


def _over(top: str, bottom: str) -> str:
    return f"({top})::DOUBLE / nullif({bottom}, 0)"


def _tree(suffix: str) -> dict[str, str]:
    net, purchases, units = (_sum(f"{name}{suffix}") for name in ("net_revenue", "purchases", "units"))
    purchasers = f"count_if(purchases{suffix} > 0)"
    return {
        f"net_revenue{suffix}": net, f"purchasers{suffix}": purchasers, f"purchases{suffix}": purchases,
        f"units{suffix}": units, f"revenue_per_customer{suffix}": _over(net, purchasers), f"orders_per_customer{suffix}": _over(purchases, purchasers),
        f"average_order_value{suffix}": _over(net, purchases), f"units_per_order{suffix}": _over(units, purchases),
        f"average_unit_revenue{suffix}": _over(net, units), f"contribution_margin{suffix}": f"{net} - {_sum(f'cost{suffix}')}",
    }


EXPRESSIONS = {
    "customers": "count(*)", "anonymous": "count_if(anonymous)", "lost": "count_if(lost)",
    "active_365": "count_if(active_365)",
    **{
        f"{name}{span}": _sum(f"{name}{span}")
        for name in ("orders", "gross_revenue") for span in ("", "_365", "_90", "_30", "_day")
    },
    **{f"{name}_day": _sum(f"{name}_day") for name in ("purchases", "net_revenue")},
    **_tree(""), **_tree("_365"),
    "visits_per_customer": _over("sum(visits)", "count(*)"),
    "median_days_since_visit":
        "quantile_disc(least(days_since_visit, 366), 0.5) FILTER (days_since_visit IS NOT NULL)",
    "active_30_share": _over("count_if(active_30)", "count(*)"),
    "repeat_rate": _over("count_if(purchases > 1)", "count_if(purchases > 0)"),
    "median_cycle_days":
        "quantile_disc(least(round(days_between / nullif(purchases - 1, 0))::INT, 366), 0.5) FILTER (purchases > 1)",
    "next_order_probability": "avg(next_order_probability::DOUBLE)", "risk_rate": "avg(churn_risk_rate::DOUBLE)",
    "activity_ratio": "avg(activity_ratio::DOUBLE)",
    "ltv": _sum("trunc(value_ltv, 4)"), "ltv_per_customer": _over("sum(trunc(value_ltv, 4))", "count(churn_risk_rate)"),
    "predicted_revenue": _sum("trunc(value_predicted_revenue, 4)"),
    "reach_email": "count_if(mail)", "reach_sms": "count_if(text)", "reach_push": "count_if(push)",
    "reach_ads": "count_if(mail OR text)",
    **{f"month_{back}": _sum(f"month_{back}") for back in range(13)},
}
AVERAGED = {
    *(f"{name}{suffix}" for name in AVERAGES for suffix in ("", "_365")), "visits_per_customer",
    "median_days_since_visit", "active_30_share", "repeat_rate", "median_cycle_days", "next_order_probability",
    "risk_rate", "activity_ratio", "ltv_per_customer",
}
