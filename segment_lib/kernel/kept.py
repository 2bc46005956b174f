"""Parcels that stay from night to night, so that a data file is decoded once.

A data file never changes: what it gave is good as long as an input lists it. A night decodes the files that are new and
takes the parcels of all others from a table. A correction or a deletion brings a new file in the place of an old one, so
nothing has to be compared row by row, and what changed needs no log of the input's versions.

Parcels lie under the ids that the file has. Whose rows they are is asked when they are taken: aliases come and go.

Cost: a night decodes the bytes of new files and writes them once as parcels; it reads the parcels of all rows, some 44 bytes
an event. The driver holds a row for each row group.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property, partial
from hashlib import sha256

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from segment_lib import core, logs
from segment_lib.catalogue import Type
from segment_lib.data_files import DataFiles, paths_of, tasks, whole
from segment_lib.errors import StorageError
from segment_lib.kernel.files import Group, Merged, Reading, block, groups
from segment_lib.kernel.parcels import PARCELS, opened, parcels, partition_of, steady_memory
from segment_lib.kernel.partition import whole as column_of
from segment_lib.kernel.rows import line_column
from segment_lib.storage import Lake
from segment_lib.tables import OUTPUTS, ddl

TABLE = "row_parcels"
#: The form of parcels; those of another are not taken.
FORM = 1
#: More parts than a file has row groups.
_NO_OTHER = 1 << 30
#: Parcels in one file of the table: readers hold the parcels of a file at once.
_IN_FILE = 64
#: Row groups that a night decodes again, to see that what is kept is what the files hold: of so many, one.
CHECKED = 200
_KEPT = ddl(OUTPUTS[TABLE])
_COMPARED = "file string, row_group int"
_log = logs.logger("kernel")


@dataclass(frozen=True)
class Keeping:
    """How a night keeps parcels: who writes them, and the date, which says what is checked."""

    run_id: str
    snapshot_date: date
    #: Bytes of data files from which on it is done.
    least: int = 0
    #: Whether answers are kept too: not of a run of some segments, for the next night's are those of all.
    answers: bool = True


@dataclass(frozen=True)
class Content:
    """The columns that parcels of a source hold, beside whose rows they are and when they were."""

    fields: frozenset[core.Field]
    lines: frozenset[core.Field]
    key: str | None

    @classmethod
    def of(cls, reading: Reading) -> Content:
        return cls(frozenset(reading.source.fields), frozenset(reading.source.lines), reading.key)

    @classmethod
    def from_text(cls, text: str, source: str) -> Content | None:
        """What `text` says; None of parcels in another form."""
        told = json.loads(text)
        if told["form"] != FORM:
            return None
        return cls(
            frozenset(core.Field(source, name, Type(kind)) for name, kind in told["fields"]),
            frozenset(core.Field("items", name, Type(kind)) for name, kind in told["lines"]), told["key"],
        )

    @property
    def text(self) -> str:
        fields, lines = (sorted((field.name, field.type.value) for field in part) for part in (self.fields, self.lines))
        return json.dumps({"form": FORM, "fields": fields, "lines": lines, "key": self.key})

    def has(self, other: Content) -> bool:
        """Whether all that another holds is here too."""
        return self.fields >= other.fields and self.lines >= other.lines and other.key in (None, self.key)

    def __or__(self, other: Content) -> Content:
        return Content(self.fields | other.fields, self.lines | other.lines, self.key or other.key)

    def reading(self, reading: Reading) -> Reading:
        """A reading of all that is here."""
        fields, lines = (tuple(sorted(part, key=lambda field: field.name)) for part in (self.fields, self.lines))
        return Reading(replace(reading.source, fields=fields, lines=lines), reading.time, self.key, loaded=True)


def columns_of(reading: Reading) -> frozenset[str]:
    """The columns of parcels that a reading looks at."""
    named = {field.name for field in reading.source.fields} | {line_column(field.name) for field in reading.source.lines}
    return frozenset({"customer_id", "_reject", "_time", "_late_at", *named, *([reading.key] if reading.key else [])})


@dataclass(frozen=True)
class Kept:
    """What a table of parcels holds when a night begins: (source, file, row group, content)."""

    lake: Lake
    keeping: Keeping
    partitions: int
    held: frozenset[tuple[str, str, int, str]]

    @cached_property
    def contents(self) -> Mapping[str, Mapping[str, frozenset[str]]]:
        """By source and file, as what it is held."""
        found: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
        for source, file, _, content in self.held:
            found[source][file].add(content)
        return {source: {file: frozenset(of) for file, of in files.items()} for source, files in found.items()}

    @cached_property
    def _drawn(self) -> list[tuple[str, str, int]]:
        """The row groups that are looked at: one of CHECKED, at least one, by turns."""
        ordered = sorted({of[:3] for of in self.held}, key=lambda of: sha256(repr(of).encode()).digest())
        every, day = min(CHECKED, len(ordered)), self.keeping.snapshot_date.toordinal()
        return [of for place, of in enumerate(ordered) if (place + day) % every == 0]

    def parcels(
        self, listed: DataFiles, reading: Reading, merged: Merged, seen: Collection[str] = frozenset()
    ) -> DataFrame:
        """The parcels of the rows of all files of a source, those of new files made and kept first.

        Rows of files that are not among `seen` are fresh.
        """
        source, wanted = reading.source.source, Content.of(reading)
        held = self.contents.get(source, {})
        known = {text: content for of in held.values() for text in of if (content := Content.from_text(text, source))}
        chosen = {}
        for path, _ in listed.files:
            good = sorted(text for text in held.get(os.path.basename(path), ()) if text in known and known[text].has(wanted))
            if good:
                chosen[os.path.basename(path)] = good[0]
        self._check(reading, listed, {file: known[text] for file, text in chosen.items()})
        # What was of use once may be again: columns are only added, so that a definition that comes and goes costs once.
        content = wanted
        for other in known.values():
            content = content | other
        missing = [(path, size) for path, size in listed.files if os.path.basename(path) not in chosen]
        if missing:
            made = tasks(self.lake, whole(missing)).mapInArrow(
                partial(_made, reading=content.reading(reading), content=content.text, partitions=self.partitions), _KEPT
            )
            self.lake.append(TABLE, made, self.keeping.run_id, maxRecordsPerFile=_IN_FILE, compression="uncompressed")
            chosen |= {os.path.basename(path): content.text for path, _ in missing}
        self._drop(source, held, chosen)
        told = {"source": source, "files": len(listed.files), "decoded": len(missing)}
        _log.info("rows kept from earlier nights", extra={"context": told})
        taken = self._taken(source, chosen, seen).select("partition", "source", "fresh", "parcel")
        if not len(merged.aliases):
            return taken
        return taken.mapInArrow(partial(_routed, merged=merged, partitions=self.partitions), PARCELS)

    def _taken(self, source: str, chosen: Mapping[str, str], seen: Collection[str] = frozenset()) -> DataFrame:
        """The rows of the table that hold some files in some content each, and whether the file is fresh."""
        told = [(file, content, file not in seen) for file, content in chosen.items()]
        files = self.lake.spark.createDataFrame(told, "file string, content string, fresh boolean")
        rows = self.lake.read(TABLE).where((F.col("source") == source) & (F.col("partitions") == self.partitions))
        return rows.join(F.broadcast(files), ["file", "content"])

    def _drop(self, source: str, held: Mapping[str, Collection[str]], chosen: Mapping[str, str]) -> None:
        """Deletes the parcels of files that neither this night reads nor the input has any more."""
        listed = chosen.keys() | {os.path.basename(path) for path in paths_of(self.lake.read(source))}
        gone: dict[str, list[str]] = defaultdict(list)
        for file, contents in held.items():
            for content in contents:
                if file not in listed or content != chosen.get(file, content):
                    gone[content].append(file)
        for content, files in gone.items():
            where = {"source": source, "content": content, "file": tuple(sorted(files))}
            self.lake.delete(TABLE, where, self.keeping.run_id)

    def _check(self, reading: Reading, listed: DataFiles, kept: Mapping[str, Content]) -> None:
        """Decodes some row groups again, others every night; an error says which file is kept otherwise than it is.

        Compared are the rows of one partition's customers, by turns.
        """
        source = reading.source.source
        only = self.keeping.snapshot_date.toordinal() % self.partitions
        looked_at = [(file, group) for of, file, group in self._drawn if of == source and file in kept]
        paths = {os.path.basename(path): path for path, _ in listed.files}
        wrong = []
        for content in {kept[file] for file, _ in looked_at}:
            own = [(file, group) for file, group in looked_at if kept[file] == content]
            made = partial(
                _made, reading=content.reading(reading), content=content.text, partitions=self.partitions, only=only
            )
            again = tasks(self.lake, [(paths[file], group, _NO_OTHER) for file, group in own]).mapInArrow(made, _KEPT)
            # Named one by one, so that other files of the table are skipped.
            named = F.col("file").isin([file for file, _ in own])
            groups = self.lake.spark.createDataFrame(own, _COMPARED)
            before = self._taken(source, {file: content.text for file, _ in own}).where(named & (F.col("partition") == only))
            before = before.join(F.broadcast(groups), ["file", "row_group"], "left_semi")
            wrong += again.unionByName(before.drop("fresh")).repartition(1).mapInArrow(_differing, _COMPARED).collect()
        if wrong:
            file, group = wrong[0]
            raise StorageError(
                f"{source}: what is kept of row group {group} of {file} is not what the file holds ({len(wrong)} of "
                f"{len(looked_at)} looked at). Nothing is published; `seglake run --full` decodes all files anew"
            )


def kept(lake: Lake, keeping: Keeping, partitions: int) -> Kept:
    """What is kept, in as many partitions as there are, unless they are too few or far too many for the rows by now.

    `partitions` is how many the rows call for.
    """
    rows = lake.read(TABLE).select("source", "file", "row_group", "content", "partitions").distinct().collect()
    counts = {row["partitions"] for row in rows}
    fitting = [count for count in counts if partitions <= 2 * count and count <= 4 * partitions]
    # Room for growth: a shop that doubles keeps its parcels.
    chosen = max(fitting, default=max(1, -(-partitions * 5 // 4)))
    if counts - {chosen}:
        lake.drop(TABLE)
    held = frozenset(tuple(row)[:4] for row in rows) if counts == {chosen} else frozenset()
    return Kept(lake, keeping, chosen, held)


# In tasks --------------------------------------------------------------------------------------------------------------


def _made(
    batches: Iterable[pa.RecordBatch], reading: Reading, content: str, partitions: int, only: int | None = None
) -> Iterator[pa.RecordBatch]:
    """The parcels of some parts of files as rows of the table; of all partitions, or of one."""
    steady_memory()
    for group in groups(batches, reading.texts):
        rows = block(group, reading)
        if only is not None:
            rows = rows.filter(pa.array(partition_of(rows.column("customer_id"), partitions) == only))
        yield from _of_group(group, rows, reading, content, partitions)


def _of_group(group: Group, rows: pa.Table, reading: Reading, content: str, partitions: int) -> Iterator[pa.RecordBatch]:
    for batch in parcels([rows], reading.source.source, partitions):
        more = {
            "file": pa.array([os.path.basename(group.path)]), "row_group": pa.array([group.number], pa.int32()),
            "content": pa.array([content]), "partitions": pa.array([partitions], pa.int32()),
        }
        columns = {**dict(zip(batch.schema.names, batch.columns, strict=True)), **more}
        yield pa.record_batch({name: columns[name] for name in OUTPUTS[TABLE]})


def _routed(batches: Iterable[pa.RecordBatch], merged: Merged, partitions: int) -> Iterator[pa.RecordBatch]:
    """Parcels with the rows of aliases under their canonical customers, in the partitions of those."""
    steady_memory()
    for batch in batches:
        for place, parcel in enumerate(batch.column("parcel")):
            rows = opened(parcel.as_buffer())
            moved = merged.under_canonical(rows)
            if moved is rows:
                yield batch.slice(place, 1)
            else:
                source, fresh = (batch.column(name)[place].as_py() for name in ("source", "fresh"))
                yield from parcels([moved], source, partitions, fresh)


def _differing(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The row groups of which there are not two equal parcels for each partition."""
    found: dict[tuple[str, int], dict[int, list[pa.Table]]] = defaultdict(lambda: defaultdict(list))
    for batch in batches:
        for row in batch.to_pylist():
            parcel = opened(pa.py_buffer(row["parcel"]))
            # As texts: whether a text is coded follows from the rows that it came with.
            plain = pa.table({name: column_of(parcel, name) for name in parcel.column_names})
            found[row["file"], row["row_group"]][row["partition"]].append(plain)
    wrong = [
        of for of, parts in found.items()
        if any(len(tables) != 2 or not tables[0].equals(tables[1]) for tables in parts.values())
    ]
    files, numbers = [file for file, _ in wrong], [number for _, number in wrong]
    yield pa.record_batch({"file": pa.array(files, pa.string()), "row_group": pa.array(numbers, pa.int32())})
