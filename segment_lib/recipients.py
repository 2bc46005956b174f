"""Whom a segment may be used for outside: its last published members, and who of them is kept out, and why.

Erased customers are simply absent. Consent, suppression and merges are those of this moment, not those of the night
that decided on the members: who has withdrawn since is kept out now.

Cost: the members by customer id, and one join by it for consent and for suppression where they are asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from segment_lib import definitions_log, rebuild, snapshot
from segment_lib.columns import Names, bucket_column
from segment_lib.definition import Segment
from segment_lib.errors import UsageError, nearest
from segment_lib.inputs import without_erased

if TYPE_CHECKING:
    from segment_lib.definition.segment import Holdout
    from segment_lib.definitions_log import Definition
    from segment_lib.runs import History, RunRecord
    from segment_lib.storage import Lake

#: The channels that `customers` holds a consent for, each in the column CHANNEL_consent.
CHANNELS = ("email", "sms", "push")
#: Why a member may be kept out, in the order in which the first that applies is told.
REASONS = ("held_out", "priority", "suppressed", "no_consent")


@dataclass(frozen=True)
class Rules:
    """Who of the members is kept out.

    `consent` is the channel that a customer must have agreed to, None where none is needed; `suppression` are lists
    whose members are left out; `ahead` are segments whose members go there and not here.
    """

    holdout: Holdout | None = None
    consent: str | None = None
    suppression: tuple[str, ...] = ()
    ahead: tuple[str, ...] = ()


def definition(lake: Lake, run: RunRecord, segment_id: str) -> Definition:
    """The row of a segment in the list of a published run; UsageError when it is not on it."""
    known = definitions_log.read(lake, run)
    if segment_id not in known:
        raise UsageError(f"no segment {segment_id!r} on {run.snapshot_date}; {nearest(segment_id, known)}")
    return known[segment_id]


def holdout(row: Definition) -> Holdout | None:
    """The holdout of a segment as the run had it."""
    return Segment.from_json(row.definition).holdout if row.definition else None


def members(lake: Lake, history: History, run: RunRecord, segment_id: str) -> DataFrame:
    """(customer_id, since, segments) of a segment's members who are not erased; `segments` are the ids of theirs."""
    everyone = rebuild.members(lake, history, run)
    mine = F.get(F.filter("segments", lambda one: one["id"] == segment_id), F.lit(0))
    rows = everyone.select("customer_id", mine.alias("one"), snapshot.ids("segments").alias("segments"))
    rows = rows.where(F.col("one").isNotNull()).select("customer_id", F.col("one.since").alias("since"), "segments")
    erased = lake.erased()
    return rows if erased is None else without_erased(rows, erased, lake.tenant)


def judged(lake: Lake, members: DataFrame, rules: Rules, fields: Sequence[str] = ()) -> DataFrame:
    """`members` with `kept_out`, why a member is kept out, NULL for who is not; and with `fields` of customers.

    A customer without a row, or whose consent is not known, has not agreed.
    """
    tests: dict[str, Column] = {}
    if rules.holdout is not None:
        bucket = bucket_column(F.lit(rules.holdout.salt), Names("UTC"))
        tests["held_out"] = bucket < rules.holdout.percent
    if rules.ahead:
        tests["priority"] = F.arrays_overlap("segments", F.array(*map(F.lit, rules.ahead)))
    if rules.suppression:
        listed = lake.input("lists").where("_reject IS NULL").where(F.col("list_id").isin(list(rules.suppression)))
        listed = listed.select("customer_id", F.lit(True).alias("_listed")).distinct()
        members = members.join(listed, "customer_id", "left")
        tests["suppressed"] = F.col("_listed").isNotNull()
    if rules.consent or fields:
        wanted = [F.col(f"`{name}`") for name in fields if name != "customer_id"]
        agreed = F.col(f"{rules.consent}_consent") if rules.consent else F.lit(True)
        known = lake.input("customers").where("_reject IS NULL").select("customer_id", *wanted, agreed.alias("_agreed"))
        members = members.join(known, "customer_id", "left")
    if rules.consent:
        tests["no_consent"] = ~F.coalesce("_agreed", F.lit(False))
    reason = F.coalesce(*(F.when(tests[name], F.lit(name)) for name in REASONS if name in tests), F.lit(None))
    return members.withColumn("kept_out", reason.cast("string")).drop("_listed", "_agreed", "segments")


def counted(judged: DataFrame) -> Mapping[str, int]:
    """How many members there are, and how many are kept out for each reason."""
    row = judged.agg(
        F.count(F.lit(1)).alias("members"), *(F.count_if(F.col("kept_out") == name).alias(name) for name in REASONS)
    ).collect()[0]
    return row.asDict()
