"""The ledger: who is in which audience of which destination, by the identifiers that were sent.

A row is written for each record of each batch that a destination took, and the last row of a customer counts. Before
anything is sent, all that is to be added is noted as `sending`, with old and new identifiers: whoever may have arrived
when a process died is known, and is added again or removed. Batches are numbered; a note has the number of the last
batch before it. What travels is the difference between who is wanted and
this table, by one join on the customer.

A `refused` row keeps a record from being sent again until its identifiers change. A `removed` row goes when the ledger
is tidied at the end of a sync, and with it all that was known of the customer there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from segment_lib.inputs import customer_hash
from segment_lib.sync.contract import Batch, Delivery, Record
from segment_lib.sync.identifiers import identifiers
from segment_lib.tables import OUTPUTS, ddl

if TYPE_CHECKING:
    import pyarrow as pa

    from segment_lib.storage import Lake
    from segment_lib.sync.profiles import HashProfile

TABLE = "sync_ledger"
SENDING, SENT, REFUSED, REMOVED = "sending", "sent", "refused", "removed"
IDENTIFIERS = OUTPUTS[TABLE]["identifiers"]
Place = tuple[str, str]


def of(lake: Lake, place: Place) -> DataFrame:
    """All rows of one audience, as of now."""
    version = lake.version(TABLE)
    rows = lake.read(TABLE, version)
    return rows.where((F.col("destination") == place[0]) & (F.col("segment_id") == place[1]))


def last_rows(rows: DataFrame) -> DataFrame:
    """The row of each customer that counts: the last by batch, then by time."""
    names = ("identifiers", "profile", "state", "reason", "batch", "key", "remote_batch", "sync_id", "at")
    newest = F.max_by(F.struct(*names), F.struct("batch", "at"))
    return rows.groupBy("customer_id").agg(newest.alias("row")).select("customer_id", "row.*")


def newest(rows: DataFrame) -> tuple[int, datetime | None]:
    """The greatest number of a batch in the rows, and the last instant; 0 and None without any."""
    row = rows.agg(F.coalesce(F.max("batch"), F.lit(0)).alias("batch"), F.max("at").alias("at")).collect()[0]
    return row["batch"], row["at"] and row["at"].astimezone(UTC)


# What travels -------------------------------------------------------------------------------------------------------


def with_identifiers(people: DataFrame, profile: HashProfile, keep: Sequence[str] = ()) -> DataFrame:
    """(customer_id, kept_out, identifiers) of members with the columns of the profile; none of who is kept out.

    Further columns of `people` are kept by name.
    """
    names = ["customer_id", "kept_out", *keep]
    kinds = people.select(*(f"`{name}`" for name in names)).schema
    schema = T.StructType([*kinds, *T.StructType.fromDDL(f"identifiers {IDENTIFIERS}")])
    return people.mapInArrow(partial(_identified, profile=profile, names=names), schema)


def _identified(
    batches: Iterable[pa.RecordBatch], profile: HashProfile, names: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa
    import pyarrow.compute as pc

    for batch in batches:
        kept_out = batch.column("kept_out")
        made = identifiers(pa.Table.from_batches([batch]), profile)
        # The same identifiers are the same value, in whatever order their columns stand.
        made = pc.if_else(pc.is_null(kept_out), made, pa.scalar(None, made.type))
        yield pa.RecordBatch.from_arrays([*map(batch.column, names), made], [*names, "identifiers"])


def compared(lake: Lake, people: DataFrame, rows: DataFrame, profile: str) -> DataFrame:
    """Members beside what the ledger has of them, and who is in the ledger alone; the one join of a sync.

    `new` are the identifiers to be there, NULL for who is not wanted; `old` and `state` are the ledger's; `same` tells
    that nothing is to be done; `erased` that the customer was erased.
    """
    have = last_rows(rows).where(F.col("state") != REMOVED)
    have = have.select("customer_id", F.col("identifiers").alias("old"), "profile", "state")
    erased = lake.erased()
    if erased is None:
        have = have.withColumn("erased", F.lit(False))
    else:
        gone = erased.select("customer_hash", F.lit(True).alias("erased")).distinct()
        have = have.join(gone, customer_hash(lake.tenant, F.col("customer_id")) == gone.customer_hash, "left")
        have = have.drop("customer_hash")
    wanted = F.when(F.size("identifiers") > 0, F.col("identifiers"))
    now = people.select("customer_id", "kept_out", wanted.alias("new"), F.lit(True).alias("member"))
    joined = now.join(have, "customer_id", "full_outer")
    same = (
        F.col("state").isin(SENT, REFUSED) & (F.col("profile") == profile) & (_entries("new") == _entries("old"))
    )
    return joined.select(
        "customer_id", "kept_out", "new", "old", "state", F.coalesce("member", F.lit(False)).alias("member"),
        F.coalesce("erased", F.lit(False)).alias("erased"), F.coalesce(same, F.lit(False)).alias("same"),
    )


def _entries(column: str) -> Column:
    """A map as a list that can be compared."""
    sorted_values = F.transform_values(column, lambda _, values: F.array_sort(values))
    return F.array_sort(F.map_entries(sorted_values))


def removals(compared: DataFrame, weak: Sequence[str]) -> DataFrame:
    """(customer_id, identifiers, erased) to remove: what the ledger has of who left or changed, and nobody wanted has.

    An identifier that another customer of the audience shares stays, for the platform knows one person there. Kinds
    that are `weak` tell nobody apart: they travel beside others and are never all that is left.
    """
    gone = compared.where(F.col("state").isin(SENT, SENDING) & ~F.col("same"))
    one = gone.select("customer_id", "erased", F.explode("old").alias("kind", "values"))
    one = one.select("customer_id", "erased", "kind", F.explode("values").alias("value"))
    there = compared.where(F.col("new").isNotNull() & ~(F.col("same") & (F.col("state") == REFUSED)))
    there = there.select(F.explode("new").alias("kind", "values")).select("kind", F.explode("values").alias("value"))
    there = there.where(~F.col("kind").isin(list(weak))).distinct()
    left = one.join(there, ["kind", "value"], "left_anti").groupBy("customer_id", "erased", "kind").agg(
        F.array_sort(F.collect_list("value")).alias("values")
    )
    whole = left.groupBy("customer_id", "erased").agg(
        F.map_from_entries(F.array_sort(F.collect_list(F.struct("kind", "values")))).alias("identifiers"),
        F.bool_or(~F.col("kind").isin(list(weak))).alias("strong"),
    )
    return whole.where("strong").select("customer_id", "identifiers", "erased")


def additions(compared: DataFrame) -> DataFrame:
    """(customer_id, identifiers, noted) to add; `noted` is what is kept while they are on their way."""
    nothing = F.create_map().cast(IDENTIFIERS)
    empty = F.array().cast("array<string>")
    both = F.map_zip_with(
        F.when(F.col("state") != REFUSED, F.col("old")).otherwise(nothing), F.col("new"),
        lambda _, old, new: F.array_union(F.coalesce(old, empty), F.coalesce(new, empty)),
    )
    known = F.when(F.col("old").isNull(), F.col("new")).otherwise(both)
    todo = compared.where(F.col("new").isNotNull() & ~F.col("same"))
    return todo.select("customer_id", F.col("new").alias("identifiers"), known.alias("noted"))


def forgotten(compared: DataFrame, removals: DataFrame) -> DataFrame:
    """(customer_id) of the ledger's rows that end without anything to send."""
    gone = compared.where(F.col("state").isNotNull() & F.col("new").isNull()).select("customer_id")
    return gone.join(removals.select("customer_id"), "customer_id", "left_anti")


# What is written ----------------------------------------------------------------------------------------------------


def note(
    lake: Lake, place: Place, rows: DataFrame, state: str, *, profile: str, batch: int, sync_id: str, at: datetime
) -> None:
    """Adds a row for each customer of a frame (customer_id, and identifiers if they are to be kept), in one commit."""
    known = "identifiers" if "identifiers" in rows.columns else F.lit(None).alias("identifiers")
    stamped = rows.select(
        F.lit(place[0]).alias("destination"), F.lit(place[1]).alias("segment_id"), "customer_id", known,
        F.lit(profile).alias("profile"), F.lit(state).alias("state"), F.lit(batch).alias("batch"),
        F.lit(sync_id).alias("sync_id"), F.lit(at).alias("at"),
    )
    # Few files, in however many pieces the rows come: what a sync keeps on disk has as many as a shuffle.
    lake.append(TABLE, stamped, sync_id, optimizeWrite="true")


def record(
    lake: Lake, place: Place, batch: Batch, delivery: Delivery, *, profile: str, number: int, sync_id: str, at: datetime
) -> None:
    """Adds what became of a batch, a row for each of its records, in one commit.

    A removal that was refused adds nothing: the row that counts still says that the customer is there.
    """
    refused = {refusal.customer_id: refusal.reason for refusal in delivery.refused}
    rows = []
    for one in batch.records:
        why = refused.get(one.customer_id)
        if batch.action == "add":
            kept = {kind: list(values) for kind, values in one.identifiers.items()}
            rows.append((*place, one.customer_id, kept, profile, REFUSED if why else SENT, why, number, batch.key,
                         delivery.remote_batch, sync_id, at))
        elif why is None:
            rows.append((*place, one.customer_id, None, profile, REMOVED, None, number, batch.key,
                         delivery.remote_batch, sync_id, at))
    if rows:
        lake.append(TABLE, lake.spark.createDataFrame(rows, ddl(OUTPUTS[TABLE])).coalesce(1), sync_id)


def tidy(lake: Lake, place: Place, sync_id: str) -> None:
    """Keeps the row of each customer that counts, and forgets who was removed."""
    rows = last_rows(of(lake, place)).where(F.col("state") != REMOVED)
    _put(lake, place, rows, sync_id)


def doubt(lake: Lake, place: Place, noted: int, sync_id: str) -> None:
    """Takes back what was recorded after the note of batch `noted`: it is not known what of it arrived."""
    _put(lake, place, of(lake, place).where(F.col("batch") <= noted), sync_id)


def _put(lake: Lake, place: Place, rows: DataFrame, sync_id: str) -> None:
    stamped = rows.withColumns({"destination": F.lit(place[0]), "segment_id": F.lit(place[1])})
    lake.replace(TABLE, stamped, {"destination": place[0], "segment_id": place[1]}, sync_id, optimizeWrite="true")


def to_record(customer_id: str, identifiers: dict[str, Sequence[str]]) -> Record:
    """A row of the difference as a destination takes it; kinds in the order of their names."""
    return Record(customer_id, {kind: tuple(values) for kind, values in sorted(identifiers.items())})
