"""Answers that stay from night to night, so that a customer is decided again only when the answer can be another one.

What the kernel gives for a customer follows from the customer's rows and from the instants of the plan. A night leaves it in
a folder beside the tables, a file for each partition; the next one takes it for everyone of whom no row is new or gone and
between whose rows no edge has passed (`outline`, `standing`). A definition, the catalogue, the zone or the code that changed
makes all answers anew.

Only the last night's answers are kept, in whatever order dates are run: edges may pass in either direction.

Cost: about 250 bytes a customer are written and read; the driver holds the names of the input's files.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from segment_lib import logs
from segment_lib.errors import StorageError
from segment_lib.kernel.outline import Moved, NotTold, Outline, in_order, moved, outline_of
from segment_lib.kernel.spec import KernelSpec
from segment_lib.plan import SOURCES
from segment_lib.sequences import rows_name

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from segment_lib.data_files import DataFiles
    from segment_lib.kernel.kept import Keeping
    from segment_lib.storage import Lake

_FOLDER, _TOLD = "_answers", "answers.json"
#: Columns beside the answers: 64 bits of a customer's row; and whether a kept answer stands, where there was one.
PEOPLE, STANDS = "_people", "_stands"
#: Of so many customers whose answers stand, one is decided again.
CHECKED = 200
#: The share of customers of a partition up to which earlier answers are taken for the others.
MOST = 0.6
#: The columns of parcels that tell whose rows they are, and when they were and came.
_HEAD = ("customer_id", "_time", "_late_at")
_log = logs.logger("kernel")


@dataclass(frozen=True)
class Earlier:
    """The answers of an earlier night, for tasks: where they lie, what moved since, and whose rows have another owner."""

    folder: str
    moved: Moved
    changed: frozenset[str]
    #: What is looked at of each source to find whose answers stand.
    columns: Mapping[str, frozenset[str]]
    #: Tonight, which says whose answers are looked at: of so many customers, one.
    day: int
    checked: int
    #: Where a greater share of customers has to be decided again, everyone is.
    most: float


@dataclass(frozen=True)
class Answers:
    """How tasks keep answers: in which folder, and under which name each of the columns that come out.

    A feature has another column every night, as its window has other edges; its kept name is the same.
    """

    folder: str
    names: Mapping[str, str]
    earlier: Earlier | None


@dataclass(frozen=True)
class Answered:
    """Tonight's answers as the driver knows them, to be told of when they are complete."""

    answers: Answers
    outline: Outline
    partitions: int
    #: The names of the files of each source.
    files: Mapping[str, frozenset[str]]
    aliases: Mapping[str, str]
    #: The files that the earlier answers have seen; of a night without earlier ones none.
    seen: Mapping[str, frozenset[str]]

    def finish(self, staged: DataFrame) -> None:
        """Says that tonight's answers are complete, and removes those before them.

        Raises StorageError when an earlier answer that was looked at is not tonight's.
        """
        counts = {row[STANDS]: row["count"] for row in staged.groupBy(STANDS).count().collect()}
        if wrong := counts.get(False):
            raise StorageError(
                f"the kept answers of {wrong} customers are not what their rows give tonight. Nothing is published; "
                "`seglake run --full` decides everyone anew"
            )
        told = {"standing": counts.get(True, 0), "decided": counts.get(None, 0)}
        _log.info("answers kept from an earlier night", extra={"context": told})
        told = {
            "outline": self.outline.text, "literals": self.outline.literals, "partitions": self.partitions,
            "files": {source: sorted(files) for source, files in self.files.items()}, "aliases": dict(self.aliases),
        }
        folder = self.answers.folder
        with open(os.path.join(folder, f"{_TOLD}.new"), "w", encoding="utf-8") as file:
            json.dump(told, file)
        os.replace(os.path.join(folder, f"{_TOLD}.new"), os.path.join(folder, _TOLD))
        above, own = os.path.split(folder)
        for other in os.listdir(above):
            if other != own:
                shutil.rmtree(os.path.join(above, other), ignore_errors=True)


def drop(lake: Lake) -> None:
    """Removes all answers that are kept."""
    lake.files.delete(f"{lake.home}/{_FOLDER}")


def answered(
    lake: Lake, keeping: Keeping, spec: KernelSpec, partitions: int, listed: Mapping[str, DataFiles]
) -> Answered:
    """What a night keeps, and what it may take; `listed` are the files of all sources of rows."""
    outline = outline_of(spec)
    files = {source: frozenset(os.path.basename(path) for path, _ in of.files) for source, of in listed.items()}
    aliases = {name: owner for of in listed.values() for name, owner in of.aliases.items()}
    folder = os.path.join(lake.home, _FOLDER, keeping.run_id)
    found = _latest(lake)
    earlier, seen = None, dict.fromkeys(SOURCES, frozenset())
    if found is not None and (found[1]["outline"], found[1]["partitions"]) == (outline.text, partitions):
        before, told = found
        try:
            since = moved(told["literals"], outline, spec)
        except NotTold as why:
            _log.info("everyone is decided again: %s moved with the date", why)
        else:
            changed = {
                one for name in told["aliases"].keys() | aliases.keys()
                if told["aliases"].get(name) != aliases.get(name)
                for one in (name, told["aliases"].get(name), aliases.get(name)) if one is not None
            }
            columns = {
                source: frozenset({*_HEAD, *(then.value.name for then, _ in since.of(source))})  # type: ignore[attr-defined]
                for source in SOURCES
            }
            earlier = Earlier(before, since, frozenset(changed), columns, keeping.snapshot_date.toordinal(), CHECKED, MOST)
            seen = {source: frozenset(told["files"][source]) for source in SOURCES}
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    return Answered(Answers(folder, _names(spec), earlier), outline, partitions, files, aliases, seen)


def _latest(lake: Lake) -> tuple[str, dict[str, Any]] | None:
    """The folder of the last answers that are complete, and what is told of them."""
    above = os.path.join(lake.home, _FOLDER)
    complete = [
        name for name in (os.listdir(above) if os.path.isdir(above) else ())
        if os.path.exists(os.path.join(above, name, _TOLD))
    ]
    if not complete:
        return None
    folder = os.path.join(above, max(complete))
    with open(os.path.join(folder, _TOLD), encoding="utf-8") as file:
        return folder, json.load(file)


def _names(spec: KernelSpec) -> dict[str, str]:
    """The kept names of columns whose own change with the night."""
    as_of = spec.plan.clock.as_of
    names = {feature.name: f"feature_{i}" for i, feature in enumerate(in_order(spec.emitted, as_of))}
    for i, sequence in enumerate(in_order(spec.plan.sequences, as_of)):
        names |= {rows_name(sequence, source): f"sequence_{i}_{source}" for source in SOURCES}
    return names
