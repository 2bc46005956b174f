"""The shop that is measured: generated once into a folder, and read by every way from the same files.

The inputs are Delta tables as `ingest` leaves them: blank text is missing there. There are no aliases and no erasures,
so that every way has the same work to do. The shop trades until the day after the snapshot date: some rows lie at or
after `as_of`, and some customers sign up after it, which nobody may count.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from segment_lib.clock import Clock
from segment_lib.conf import load_settings
from segment_lib.settings import Settings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

CONF = Path(__file__).parent.parent / "conf"
SNAPSHOT_DATE = date(2026, 6, 29)
SEED = 7
TABLES = ("customers", "events", "orders", "lists")


@dataclass(frozen=True)
class Shop:
    """A generated shop: its size, where it lies, and the settings that describe it."""

    folder: Path
    customers: int
    events: int

    @classmethod
    def below(cls, root: Path, customers: int, events: int) -> Shop:
        """The shop of a size in the folder that is its own."""
        return cls(root / f"{events}-events-{customers}-customers", customers, events)

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def clock(self) -> Clock:
        return Clock(SNAPSHOT_DATE, self.settings().zone)

    def settings(self, spark: Mapping[str, str] | None = None) -> Settings:
        """The demo's conf, over this shop's tables."""
        return load_settings(str(CONF), overrides={"root": str(self.folder / "lake"), "spark": dict(spark or {})})

    @property
    def _manifest(self) -> Path:
        return self.folder / "files.json"

    @property
    def exists(self) -> bool:
        """Whether it was generated to the end."""
        return self._manifest.exists()

    def files(self, table: str) -> list[str]:
        """The data files that the log of a table lists."""
        return [str(self.folder / path) for path in json.loads(self._manifest.read_text())[table]]

    def generate(self, spark: SparkSession) -> None:
        """Writes the tables, then the list of their files, which says that they are complete."""
        from segment_lib.generate import generate_shop, write_shop
        from segment_lib.storage import Lake

        shutil.rmtree(self.folder, ignore_errors=True)
        settings = self.settings()
        frames = generate_shop(
            spark, settings, customers=self.customers, events=self.events, seed=SEED,
            until=SNAPSHOT_DATE + timedelta(days=1),
        )
        lake = Lake(spark, settings)
        write_shop(lake, {table: _without_blanks(frames[table]) for table in TABLES}, "generated")
        files = {table: sorted(map(self._relative, lake.read(table).inputFiles())) for table in TABLES}
        self._manifest.write_text(json.dumps(files, indent=1))

    def _relative(self, uri: str) -> str:
        return uri[uri.index(f"/{self.folder.name}/lake/") + len(self.folder.name) + 2:]


def _without_blanks(frame):
    from pyspark.sql import functions as F

    from segment_lib.rowchecks import blank_to_null

    return frame.select(*(
        blank_to_null(F.col(name)).alias(name) if kind == "string" else F.col(name) for name, kind in frame.dtypes
    ))
