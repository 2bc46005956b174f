"""One export: the rows that a segment has now, or what differs from the rows of the last export at that output.

What an output has is kept in the lake, a hash of each row by customer (`export_rows`), and named by the manifest: a
delta is the difference of now and that, so it is right after missed nights, erasures and changed fields, whatever the
nights between published. An export leaves nothing to see until its manifest is there.

Cost: the columns as a list of customers reads them, once, kept on the executors' disks; for a delta one join with the
hashes; then the files, each written by one task.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from segment_lib import on_disk, recipients
from segment_lib.customers import columns as choices
from segment_lib.customers import place
from segment_lib.errors import UsageError
from segment_lib.export import parts
from segment_lib.export.manifest import Column, Manifest, Mode, Shelf, fingerprint, next_id
from segment_lib.lease import Lease
from segment_lib.objects import open_objects
from segment_lib.paths import absolute
from segment_lib.recipients import Rules
from segment_lib.runs import details
from segment_lib.sync import ledger, profiles

if TYPE_CHECKING:
    from segment_lib.runs import History, RunRecord
    from segment_lib.settings import Settings
    from segment_lib.storage import Lake
    from segment_lib.sync.profiles import HashProfile

TABLE = "export_rows"
#: The columns of an export when none are chosen.
DEFAULT = (choices.ID, choices.SINCE)
ACTION = "action"


@dataclass(frozen=True)
class Wish:
    """What is to be exported and how; `output` is a folder or s3:// prefix, by default one of the tenant's own.

    With `profile`, a hash profile, the rows have the identifiers that a platform takes; `region` is the country of
    telephone numbers that do not name theirs.
    """

    mode: Mode = "full"
    format: str = "parquet"
    columns: tuple[str, ...] = ()
    output: str | None = None
    consent: str | None = None
    masked: bool = False
    profile: str | None = None
    region: str | None = None
    rows_per_file: int = parts.ROWS


@dataclass(frozen=True)
class Exported:
    """The export that an output has now, where it lies, and whether this call wrote it."""

    manifest: Manifest
    path: str
    wrote: bool


def export(
    lake: Lake, history: History, segment_id: str, wish: Wish, *, now: datetime, day: date | None = None
) -> Exported:
    """Exports a segment's members on a published date, by default the last; nothing is written when nothing is new.

    The first delta of an output is a full, and so is one whose columns or rules differ from the last export's. Personal
    data is masked unless conf allows it, and then the output must lie below the personal path. UsageError for what
    cannot be asked for, LockedError while another export of the tenant runs.
    """
    settings, run = lake.settings, history.published(day)
    names = _columns(settings, wish.columns)
    if wish.consent is not None and wish.consent not in recipients.CHANNELS:
        raise UsageError(f"there is no channel {wish.consent!r}; known: {', '.join(recipients.CHANNELS)}")
    if wish.rows_per_file < 1:
        raise UsageError("a file has at least one row")
    secret = choices.personal(settings, names)
    made = _profile(settings, wish)
    clear = made is not None or bool(secret) and settings.customers.personal_data == "allowed" and not wish.masked
    output, personal = _output(lake, wish.output, clear)
    row = recipients.definition(lake, run, segment_id)
    rules = Rules(recipients.holdout(row), wish.consent, settings.suppression)
    source = _source(lake, run, output, segment_id, names, rules, made, masked=() if clear else secret)
    home = f"{output}/{lake.tenant}/{segment_id}"
    shelf = Shelf(open_objects(home))
    parts.Files(home, wish.format)
    with Lease(open_objects(lake.home), lake.tenant, f"export-{segment_id}", name="_exports.json") as lease:
        shelf.sweep()
        last = shelf.last()
        base = last if wish.mode == "delta" and last is not None and _continues(lake, last, source) else None
        same = last is not None and last.source == source
        if same and (base is not None or (last.mode == "full" and last.format == wish.format)):
            return Exported(last, f"{home}/{shelf.folder(last.as_of, last.run_id, last.mode)}", wrote=False)
        mode: Mode = "delta" if base is not None else "full"
        run_id = next_id(now, last.run_id if last else None, source)
        folder = shelf.folder(run.snapshot_date, run_id, mode)
        members = recipients.members(lake, history, run, segment_id)
        members = recipients.judged(lake, members, rules)
        counts = dict(recipients.counted(members))
        going = members.where("kept_out IS NULL").select("customer_id", "since")
        if made is None:
            rows = choices.frame(lake, run, going, names, mask=not clear)
        else:
            rows = _identified(lake, run, going, names, made)
        with ExitStack() as disks:
            kept = on_disk.kept(disks, _hashed(rows))
            counts["rows"] = kept.count()
            hashes = kept.select(
                F.lit(run_id).alias("export_id"), F.lit(output).alias("output"), F.lit(segment_id).alias("segment_id"),
                "customer_id", "digest",
            )
            lake.replace(TABLE, hashes, {"export_id": run_id}, run_id)
            travels = kept.select(F.lit("add").alias(ACTION), "*").drop("digest")
            if base is not None:
                had = lake.read(TABLE).where(F.col("export_id") == base.run_id)
                differs = on_disk.kept(disks, _differing(kept, had))
                travels, changed = _travelling(differs), _counted(differs)
                counts |= changed
            else:
                counts |= {"added": counts["rows"], "changed": 0, "removed": 0}
            files = parts.write(
                travels, parts.Files(f"{home}/{folder}", wish.format, personal),
                counts["added"] + counts["changed"] + counts["removed"], wish.rows_per_file,
            )
        manifest = Manifest(
            tenant=lake.tenant, segment_id=segment_id, as_of=run.snapshot_date, run_id=run_id,
            definition_hash=details(lake, run).definition_hashes.get(segment_id), snapshot_run_id=run.run_id,
            mode=mode, base_run_id=base.run_id if base else None, counts=counts,
            format=wish.format, files=files, source=source, created_at=now,
            columns=_described(travels, settings, names, () if clear else secret),
        )
        lease.check()
        shelf.put(manifest)
        _forget(lake, output, segment_id, run_id)
    return Exported(manifest, f"{home}/{folder}", wrote=True)


def _columns(settings: Settings, names: Sequence[str]) -> tuple[str, ...]:
    chosen = choices.chosen(settings, names or DEFAULT)
    taken = [name for name in chosen if choices.known(settings)[name] in (ACTION, "digest")]
    if taken:
        raise UsageError(f"a column of an export cannot be called {taken[0]!r}: its files have one of their own")
    return chosen if choices.ID in chosen else (choices.ID, *chosen)


def _profile(settings: Settings, wish: Wish) -> HashProfile | None:
    """The hash profile of the wish; hashes of addresses are personal data, and allowed where those are."""
    if wish.profile is None:
        return None
    if wish.masked or settings.customers.personal_data != "allowed":
        raise UsageError(
            "the identifiers of a hash profile are personal data, also hashed: they need customers.personal_data: "
            "allowed in conf, and are not masked"
        )
    return profiles.profile(wish.profile, wish.region)


def _identified(lake: Lake, run: RunRecord, members: DataFrame, names: Sequence[str], made: HashProfile) -> DataFrame:
    """The rows with a column id_KIND for each kind of identifier of the profile: the first that the customer has."""
    there = choices.known(lake.settings)
    read = [name for name in made.columns if name in there and name not in names]
    own = [there[name] for name in names]
    taken = sorted({f"id_{kind}" for kind in made.kinds} & set(own))
    if taken:
        raise UsageError(f"a column of an export with a hash profile cannot be called {taken[0]!r}")
    rows = choices.frame(lake, run, members, (*names, *read), mask=False)
    keep = [name for name in own if name != choices.ID]
    found = ledger.with_identifiers(rows.withColumn("kept_out", F.lit(None).cast("string")), made, keep)
    ids = (F.get(F.col("identifiers")[kind], F.lit(0)).alias(f"id_{kind}") for kind in made.kinds)
    return found.select(*(F.col(f"`{name}`") for name in own), *ids)


def _output(lake: Lake, given: str | None, clear: bool) -> tuple[str, str | None]:
    """Where exports go, and the personal path when unmasked personal data is among the columns."""
    personal = place.personal_root(lake.home, lake.tenant, lake.settings.customers.personal_path) if clear else None
    output = absolute(given) if given is not None else f"{personal or lake.home}/exports"
    if personal is not None and not place.below(output, personal):
        raise UsageError(
            f"personal data that is not masked may only be written below {personal}, and {output} is not; name a path "
            "there, leave --output out, or mask it: --masked"
        )
    return output, personal


def _source(
    lake: Lake, run: RunRecord, output: str, segment_id: str, names: Sequence[str], rules: Rules,
    made: HashProfile | None, masked: Sequence[str],
) -> dict[str, Any]:
    """Everything that the rows follow from, as plain data: the run, the newest inputs that are read, the choices."""
    read = ["erasures", *(["aliases", "customers"] if rules.consent else []), *(["lists"] if rules.suppression else [])]
    return {
        "snapshot_run_id": run.run_id,
        "versions": {table: lake.version(table) for table in read},
        "spec": {
            "output": output, "segment_id": segment_id, "columns": list(names), "masked": list(masked),
            "consent": rules.consent, "suppression": list(rules.suppression),
            **({"profile": made.name, "region": made.region} if made else {}),
        },
    }


def _continues(lake: Lake, last: Manifest, source: Mapping[str, Any]) -> bool:
    """Whether a delta can follow: the same columns and rules, and it is known which rows the last export left there."""
    if fingerprint(last.source.get("spec")) != fingerprint(source["spec"]):
        return False
    return lake.read(TABLE).where(F.col("export_id") == last.run_id).count() == last.counts["rows"]


def _hashed(rows: DataFrame) -> DataFrame:
    """The rows with a hash of all their values."""
    values = F.to_json(F.struct(*(F.col(f"`{name}`") for name in rows.columns)))
    return rows.withColumn("digest", F.unhex(F.sha2(values, 256)))


def _differing(kept: DataFrame, had: DataFrame) -> DataFrame:
    """What a delta says: `_kind` is added, changed or removed; of who is removed nothing but the id is there."""
    before = had.select(F.col("customer_id").alias("_had"), F.col("digest").alias("_digest"))
    joined = kept.join(before, kept.customer_id == before["_had"], "full_outer")
    kind = F.when(F.col("_had").isNull(), "added").when(F.col("customer_id").isNull(), "removed").otherwise("changed")
    values = [F.col(f"`{name}`") for name in kept.columns if name not in ("customer_id", "digest")]
    differs = joined.where(~F.col("digest").eqNullSafe(F.col("_digest")))
    return differs.select(kind.alias("_kind"), F.coalesce("customer_id", "_had").alias("customer_id"), *values)


def _counted(differs: DataFrame) -> dict[str, int]:
    found = {row["_kind"]: row["count"] for row in differs.groupBy("_kind").count().collect()}
    return {kind: found.get(kind, 0) for kind in ("added", "changed", "removed")}


def _travelling(differs: DataFrame) -> DataFrame:
    """The rows as they are written: to add what is new or changed, which replaces what was there, or to remove."""
    action = F.when(F.col("_kind") == "removed", "remove").otherwise("add")
    return differs.select(action.alias(ACTION), *(F.col(f"`{name}`") for name in differs.columns if name != "_kind"))


def _described(
    rows: DataFrame, settings: Settings, names: Sequence[str], masked: Sequence[str]
) -> tuple[Column, ...]:
    hidden = {choices.known(settings)[name] for name in names if name in masked}
    return tuple(
        Column(name=field.name, type=field.dataType.simpleString(), masked=field.name in hidden)
        for field in rows.schema
    )


def _forget(lake: Lake, output: str, segment_id: str, run_id: str) -> None:
    """Deletes what earlier exports of that output had, also of those that died."""
    mine = (F.col("output") == output) & (F.col("segment_id") == segment_id) & (F.col("export_id") != run_id)
    for row in lake.read(TABLE).where(mine).select("export_id").distinct().collect():
        lake.delete(TABLE, {"export_id": row["export_id"]}, run_id)
