"""The tables: their columns, keys and times. No Spark here, so that checking a definition needs none.

Columns are Spark DDL types. Inputs may have more columns than these: each is a custom field that the catalogue in conf
gives a type. Timestamps are UTC instants; money is ``decimal(18,4)`` in the tenant's currency.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from segment_lib.figures import COLUMNS as FIGURE_COLUMNS

LINE = "struct<product_id:string,item_group:string,quantity:int,unit_price:decimal(18,4),discount:decimal(18,4)>"

#: Bookkeeping that `ingest` adds to what it stores: which load brought the row, and when.
LOAD_COLUMNS = {"_load_id": "string", "_loaded_at": "timestamp"}


@dataclass(frozen=True)
class InputTable:
    """One input: its standard columns, the columns that identify a row, and the time that places it."""

    name: str
    columns: dict[str, str] = field(hash=False)
    key: tuple[str, ...]
    required: tuple[str, ...]
    time: str | None = None


INPUTS = {
    table.name: table
    for table in (
        InputTable(
            "customers",
            {
                "customer_id": "string", "email": "string", "phone": "string", "first_name": "string",
                "last_name": "string", "country": "string", "province": "string", "city": "string",
                "created_at": "timestamp", "birthday": "date", "registered": "boolean",
                "email_consent": "boolean", "email_consent_at": "timestamp",
                "push_consent": "boolean", "push_consent_at": "timestamp",
                "sms_consent": "boolean", "sms_consent_at": "timestamp",
                "source": "string", "store": "string", "updated_at": "timestamp",
            },
            key=("customer_id",), required=("customer_id",),
        ),
        InputTable(
            "events",
            {
                "event_id": "string", "customer_id": "string", "event_type": "string", "occurred_at": "timestamp",
                "session_id": "string", "channel": "string", "campaign": "string", "product_id": "string",
                "amount": "decimal(18,4)", "updated_at": "timestamp",
            },
            key=("event_id",), required=("event_id", "customer_id", "event_type", "occurred_at"), time="occurred_at",
        ),
        InputTable(
            "orders",
            {
                "order_id": "string", "customer_id": "string", "ordered_at": "timestamp", "status": "string",
                "currency": "string", "revenue": "decimal(18,4)", "discount": "decimal(18,4)",
                "refund": "decimal(18,4)", "cost": "decimal(18,4)", "coupon": "string", "source": "string",
                "store": "string", "items": f"array<{LINE}>", "updated_at": "timestamp",
            },
            key=("order_id",), required=("order_id", "customer_id", "ordered_at", "status", "revenue"),
            time="ordered_at",
        ),
        InputTable(
            "lists",
            {"list_id": "string", "customer_id": "string", "joined_at": "timestamp", "updated_at": "timestamp"},
            key=("list_id", "customer_id"), required=("list_id", "customer_id"),
        ),
        InputTable(
            "aliases",
            {"customer_id": "string", "canonical_id": "string", "merged_at": "timestamp", "updated_at": "timestamp"},
            key=("customer_id",), required=("customer_id", "canonical_id"),
        ),
        InputTable(
            "erasures",
            {"customer_hash": "string", "erased_at": "timestamp"},
            key=("customer_hash",), required=("customer_hash",),
        ),
    )
}

#: Outputs: every row carries its `run_id`; which run of a date counts is said by `runs` alone.
OUTPUTS = {
    "memberships": {
        "snapshot_date": "date", "run_id": "string", "customer_id": "string",
        "segments": "array<struct<id:string,since:date>>",
    },
    "membership_changes": {
        "snapshot_date": "date", "run_id": "string", "base_run_id": "string", "segment_id": "string",
        "customer_id": "string", "change": "string", "cause": "string",
    },
    "segment_metrics": {
        "snapshot_date": "date", "run_id": "string", "base_run_id": "string", "segment_id": "string",
        **FIGURE_COLUMNS,
    },
    "segment_overlaps": {
        "snapshot_date": "date", "run_id": "string", "segment_id": "string", "other_id": "string", "customers": "bigint",
    },
    "static_members": {
        "snapshot_date": "date", "run_id": "string", "segment_id": "string", "definition_hash": "string",
        "customer_id": "string",
    },
    "holdouts": {
        "snapshot_date": "date", "run_id": "string", "segment_id": "string", "salt": "string", "customer_id": "string",
    },
    "customer_profiles": {
        "snapshot_date": "date", "run_id": "string", "customer_id": "string",
        "rfm_recency": "bigint", "rfm_frequency": "bigint", "rfm_monetary": "decimal(28,8)",
        "rfm_r": "bigint", "rfm_f": "bigint", "rfm_m": "bigint", "rfm_cell": "string", "rfm_group": "string",
        "churn_risk_rate": "decimal(28,8)", "churn_status": "string", "churn_silent_days": "bigint",
        "churn_at_risk_days": "bigint", "churn_cutoff_days": "bigint", "churn_cutoff_date": "date",
        "churn_own_gap_days": "decimal(28,8)", "churn_cycle_days": "decimal(28,8)", "churn_season": "decimal(28,8)",
        "churn_model": "string", "churn_scored_on": "date",
        "next_order_probability": "decimal(28,8)", "next_order_probability_30": "decimal(28,8)",
        "next_order_probability_90": "decimal(28,8)", "next_order_probability_365": "decimal(28,8)",
        "next_order_days": "decimal(28,8)", "activity_ratio": "decimal(28,8)",
        "value_predicted_orders": "decimal(28,8)", "value_order_value": "decimal(28,8)",
        "value_predicted_revenue": "decimal(28,8)", "value_ltv": "decimal(28,8)", "value_tier": "string",
    },
    "rfm_cuts": {
        "snapshot_date": "date", "run_id": "string", "measure": "string", "levels": "int", "above": "int",
        "value": "decimal(38,8)", "customers": "bigint", "window_days": "int",
    },
    "score_moves": {
        "snapshot_date": "date", "run_id": "string", "base_run_id": "string", "score": "string",
        "before": "string", "now": "string", "customers": "bigint",
    },
    "order_segments": {
        "snapshot_date": "date", "run_id": "string", "order_id": "string", "segment_id": "string",
    },
    "segments": {
        "snapshot_date": "date", "run_id": "string", "segment_id": "string", "definition_hash": "string",
        "name": "string", "kind": "string", "status": "string", "state": "string", "reason": "string",
        "definition": "string", "used_by": "array<string>", "created_at": "date", "updated_at": "date",
    },
    "runs": {
        "snapshot_date": "date", "run_id": "string", "state": "string", "at": "timestamp", "as_of": "timestamp",
        "base_run_id": "string", "inputs": "map<string,bigint>", "definitions": "string",
        "definition_hashes": "map<string,string>", "models": "map<string,string>", "timings": "map<string,double>",
        "rows": "map<string,bigint>", "gates": "array<struct<gate:string,ok:boolean,accepted:boolean,detail:string>>",
        "stale_dates": "array<date>", "notes": "map<string,string>", "code_version": "string",
    },
    "row_parcels": {
        "source": "string", "file": "string", "row_group": "int", "content": "string", "partitions": "int",
        "partition": "int", "parcel": "binary",
    },
    "quarantine": {
        "table": "string", "load_id": "string", "loaded_at": "timestamp", "file": "string", "row": "bigint",
        "reason": "string", "record": "string",
    },
    "loads": {
        "load_id": "string", "table": "string", "at": "timestamp", "files": "array<string>", "rows": "bigint",
        "accepted": "bigint", "rejected": "bigint", "outcome": "string",
    },
    "notifications": {
        "at": "timestamp", "snapshot_date": "date", "run_id": "string", "outcome": "string", "entry": "string",
        "channel": "string", "sent": "boolean", "attempts": "int", "reason": "string",
    },
    "export_rows": {
        "export_id": "string", "output": "string", "segment_id": "string", "customer_id": "string", "digest": "binary",
    },
    "sync_ledger": {
        "destination": "string", "segment_id": "string", "customer_id": "string",
        "identifiers": "map<string,array<string>>", "profile": "string", "state": "string", "reason": "string",
        "batch": "bigint", "key": "string", "remote_batch": "string", "sync_id": "string", "at": "timestamp",
    },
    "sync_audiences": {
        "destination": "string", "segment_id": "string", "name": "string", "remote_id": "string", "used_as": "string",
        "at": "timestamp",
    },
    "syncs": {
        "sync_id": "string", "destination": "string", "segment_id": "string", "started_at": "timestamp",
        "ended_at": "timestamp", "snapshot_date": "date", "run_id": "string", "state": "string", "reason": "string",
        "accepted": "boolean", "members": "bigint", "held_out": "bigint", "priority": "bigint", "suppressed": "bigint",
        "no_consent": "bigint", "no_identifier": "bigint", "wanted": "bigint", "unchanged": "bigint", "added": "bigint",
        "removed": "bigint", "refused": "bigint", "forgotten": "bigint", "batches": "bigint", "bytes": "bigint",
        "last_batch": "bigint", "seconds": "double", "lag_seconds": "double",
    },
    "trigger_queue": {
        "trigger": "string", "segment_id": "string", "customer_id": "string", "snapshot_date": "date",
        "due_at": "timestamp", "state": "string", "reason": "string", "key": "string", "fire_id": "string",
        "at": "timestamp",
    },
    "trigger_fires": {
        "fire_id": "string", "trigger": "string", "segment_id": "string", "destination": "string",
        "started_at": "timestamp", "ended_at": "timestamp", "snapshot_date": "date", "state": "string",
        "reason": "string", "accepted": "boolean", "queued": "bigint", "due": "bigint", "void": "bigint",
        "held_out": "bigint", "suppressed": "bigint", "no_consent": "bigint", "no_identifier": "bigint",
        "sent": "bigint", "refused": "bigint", "waiting": "bigint", "batches": "bigint", "bytes": "bigint",
        "seconds": "double",
    },
}

#: Tables whose rows belong to one run; the rest are logs.
PER_RUN = (
    "memberships", "membership_changes", "segment_metrics", "segment_overlaps", "static_members", "holdouts",
    "customer_profiles", "rfm_cuts", "score_moves", "order_segments", "segments",
)

#: How other tables are partitioned whose rows are replaced by the part.
PARTITIONED = {
    "export_rows": ("export_id",), "sync_ledger": ("destination", "segment_id"),
    "sync_audiences": ("destination", "segment_id"), "trigger_queue": ("trigger",),
}


def ddl(columns: dict[str, str]) -> str:
    """The columns as one DDL string.

    >>> ddl({"a": "string", "b": "int"})
    '`a` string, `b` int'
    """
    return ", ".join(f"`{name}` {kind}" for name, kind in columns.items())
