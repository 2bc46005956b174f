"""The data files of an input, for tasks that read them by themselves."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from pyspark.sql import DataFrame

from segment_lib import inputs
from segment_lib.paths import scheme_of
from segment_lib.storage import Lake

#: A part of a file: every `parts`-th of its row groups, from `part` on.
FILES = "path string, part int, parts int"
#: Bytes of a file that one task reads, about.
PART_BYTES = 64 << 20
#: Aliases or erasures that are sent to every task.
_MOST_SENT = 200_000


@dataclass(frozen=True)
class DataFiles:
    """The data files of an input, (path, bytes), and whose rows are another's or nobody's.

    `aliases` maps an alias to the canonical customer; rows of `erased_aliases` are left out, and so are those of every
    customer whose `inputs.customer_hash` is among `erased`.
    """

    files: tuple[tuple[str, int], ...]
    aliases: Mapping[str, str]
    erased_aliases: frozenset[str]
    erased: frozenset[str]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(size for _, size in self.files)


def data_files(lake: Lake, table: str, pins: Mapping[str, int]) -> DataFiles | None:
    """The data files of an input, where they say what its rows are; None where they do not.

    They do for our own tables on the machine's file system, without partitions, deleted rows or mapped columns, when
    every column has the type that is declared for it. Whoever reads them honours the aliases and erasures, which are
    told with them unless they are very many.
    """
    version = pins.get(table)
    if lake.is_in_place(table) or scheme_of(lake.root) or version is None:
        return None
    frame = lake.read(table, version)
    wanted = inputs.wanted(table, lake.settings)
    if any(field.name in wanted and wanted[field.name] != field.dataType for field in frame.schema):
        return None
    partitions, plain = lake.layout(table)
    if partitions or not plain:
        return None
    aliases, erased = _few(lake.aliases(pins.get("aliases", -1))), _few(lake.erased())
    if aliases is None or erased is None:
        return None
    hashes = frozenset(customer_hash for (customer_hash,) in erased)
    return DataFiles(
        tuple((path, os.path.getsize(path)) for path in paths_of(frame)),
        dict(aliases),
        frozenset(name for name, _ in aliases if inputs.hash_of(lake.tenant, name) in hashes),
        hashes,
    )


def paths_of(frame: DataFrame) -> list[str]:
    """The data files of a table on the machine's file system, sorted."""
    return sorted(unquote(urlsplit(file).path) for file in frame.inputFiles())


def whole(files: Iterable[tuple[str, int]]) -> list[tuple[str, int, int]]:
    """All parts of some files, (path, bytes): each part is read by one task."""
    return [
        (path, part, parts) for path, size in files for parts in (-(-size // PART_BYTES),) for part in range(parts)
    ]


def tasks(lake: Lake, parts: Sequence[tuple[str, int, int]]) -> DataFrame:
    """Parts of files as rows of FILES, each in a partition of its own."""
    numbered = [(number, *part) for number, part in enumerate(parts)]
    frame = lake.spark.createDataFrame(numbered, f"task int, {FILES}").repartitionById(max(1, len(parts)), "task")
    return frame.select("path", "part", "parts")


def _few(frame: DataFrame | None) -> list[tuple] | None:
    """The rows of a small table; None when they are more than a task should be sent."""
    if frame is None:
        return []
    rows = frame.limit(_MOST_SENT + 1).collect()
    return [tuple(row) for row in rows] if len(rows) <= _MOST_SENT else None
