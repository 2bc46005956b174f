"""The read API: published data of one tenant as DataFrames, for notebooks and other programs.

Only what counts is shown: rows of each date's winner, measured from the winner before it. Erased customers are left
out, whatever is stored. Nothing is written, and nothing is brought to the driver but names and dates.

```python
import segment_lib.api as seglake

shop = seglake.open("shop", conf="conf")
shop.customers("loyal").show()
shop.metrics(since=date(2026, 1, 1)).toPandas()
```
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from segment_lib.conf import load_settings
from segment_lib.errors import UsageError, nearest
from segment_lib.settings import Settings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from segment_lib.breakdown import Breakdown
    from segment_lib.cohorts import Retention
    from segment_lib.compare import Comparison
    from segment_lib.customers.save import Saved
    from segment_lib.definition import Segment
    from segment_lib.growth import Growth
    from segment_lib.lift import Lift
    from segment_lib.moves import Moves
    from segment_lib.preview import Preview
    from segment_lib.runs import History, RunRecord
    from segment_lib.storage import Lake
    from segment_lib.why import Why


def open(
    tenant: str | None = None,
    conf: str = "conf",
    spark: SparkSession | None = None,
    environ: Mapping[str, str] | None = None,
) -> Tenant:
    """The published data of a tenant; default: the tenant that conf names.

    A given session is used as it is and never stopped; without one the active session is, or an embedded one starts.
    `environ` may be ``os.environ``, so that ``SEGLAKE__...`` settings count as they do on the command line.
    """
    from segment_lib.session import build_session

    settings = load_settings(conf, tenant, environ=environ)
    return Tenant(spark or build_session(settings, app_name=f"seglake {settings.tenant}"), settings)


@dataclass(frozen=True)
class Tenant:
    """Published tables of one tenant. Every call sees what is published at that moment."""

    spark: SparkSession
    settings: Settings

    def _open(self) -> tuple[Lake, History]:
        """The tables with the erasures of now, and the log."""
        from segment_lib.runs import read_history
        from segment_lib.storage import Lake

        lake = Lake(self.spark, self.settings)
        return lake, read_history(lake)

    def dates(self) -> tuple[date, ...]:
        """The published dates, ascending."""
        return self._open()[1].dates

    def customers(
        self, segment: str | None = None, date: date | None = None, columns: Sequence[str] = ()
    ) -> DataFrame:
        """Who is in which segment on a published date, by default the last.

        With `segment`: (customer_id, since), one row per member. Without: (customer_id, segments) with the array of
        (id, since), one row per customer who is in a segment. A date whose snapshot is no longer kept is rebuilt.

        With `columns` too, those of docs/customers.md in that order: fields of customers, scores, totals, age_group,
        customer_id, since. Personal data is masked unless conf allows it.
        """
        lake, history = self._open()
        run = history.published(date)
        if segment is None and columns:
            raise UsageError("columns are those of a segment's members: name a segment")
        members = _members(lake, history, run, segment)
        if not columns:
            return members
        from segment_lib.customers import columns as choices

        masked = self.settings.customers.personal_data == "masked"
        return choices.frame(lake, run, members, choices.chosen(self.settings, columns), mask=masked)

    def save_customers(
        self, segment: str, output: str | BinaryIO | None = None, date: date | None = None, columns: Sequence[str] = (),
        *, format: str | None = None, masked: bool = False,
    ) -> Saved:
        """Writes the members of a segment on a published date, by default the last, to one file, by customer id.

        `output` is a file, a folder or an ``s3://`` address, or an open binary file, which takes masked CSV. The format is
        csv, parquet or xlsx, by default that of the file's name. Personal data is masked, unless conf allows it, `masked`
        is false and the file lies below the personal path, where it goes when there is no `output`. docs/customers.md
        has the columns. The rows are never all on the driver.
        """
        from segment_lib.customers import save

        lake, history = self._open()
        run = history.published(date)
        members = _members(lake, history, run, segment)
        return save.save(lake, run, segment, members, columns, output, format=format, mask=masked)

    def holdout(self, segment: str, date: date | None = None) -> DataFrame:
        """(customer_id, since) of a segment's members who are held out on a published date, by default the last.

        `since` is the first night on which each was a member and held out. Empty without a holdout.
        """
        from pyspark.sql import functions as F

        from segment_lib import definitions_log, holdouts
        from segment_lib.definition import Segment

        lake, history = self._open()
        run = history.published(date)
        members = self.customers(segment, run.snapshot_date)
        definition = Segment.from_json(definitions_log.read(lake, run)[segment].definition)
        if definition.holdout is None:
            return members.limit(0)
        struct = F.struct(F.lit(segment).alias("id"))
        now = holdouts.held_out(members.select("customer_id", F.array(struct).alias("segments")), {segment: definition.holdout})
        until = [one.run_id for one in history.winners() if one.snapshot_date <= run.snapshot_date]
        first = lake.read("holdouts").where(F.col("run_id").isin(until)).groupBy(*holdouts.KEY)
        since = first.agg(F.min("snapshot_date").alias("since"))
        return now.join(since, list(holdouts.KEY), "left").select("customer_id", "since")

    def changes(
        self, segment: str | None = None, since: date | None = None, until: date | None = None
    ) -> DataFrame:
        """Who entered and left, and why; dates from `since` to `until`, both included.

        Columns: snapshot_date, segment_id, customer_id, change (entered, left), cause.
        """
        from segment_lib import rebuild

        lake, history = self._open()
        return _without_erased(lake, rebuild.counted(lake, history, "membership_changes", segment, since, until))

    def metrics(
        self, segment: str | None = None, since: date | None = None, until: date | None = None
    ) -> DataFrame:
        """The figures of docs/metrics.md by date and segment; `_all` is everyone evaluated, `_lost` the lost among them.

        Dates from `since` to `until`, both included.
        """
        from segment_lib import rebuild

        lake, history = self._open()
        return rebuild.counted(lake, history, "segment_metrics", segment, since, until)

    def compare(self, *segments: str, date: date | None = None) -> Comparison:
        """Two to five segments on a published date, by default the last: figures side by side, and exact overlaps.

        ``_all`` is everyone evaluated. Shows as two tables in a notebook.
        """
        from segment_lib.compare import compare

        return compare(*self._open(), segments, date)

    def report(
        self, output: str | Path | None = None, segments: Sequence[str] = (), date: date | None = None, *,
        sql: bool = False, breakdowns: bool = False,
    ) -> Path:
        """Writes a published date, by default the last, with all dates before it as one HTML page; gives its path.

        It opens without network, and shows no customer but ten masked members a segment. `output` is a file, by default
        TENANT-DATE.html in the working folder; of some `segments` alone if named; with `sql` also the SQL of each,
        with `breakdowns` the charts that conf lists for it.
        """
        from segment_lib.report.gather import gather
        from segment_lib.report.write import write

        return write(gather(*self._open(), segments, date, sql=sql, breakdowns=breakdowns), output)

    def overlaps(self, segment: str | None = None, date: date | None = None) -> DataFrame:
        """How many customers each two segments share on a published date, by default the last.

        Columns: segment_id, other_id, customers, share (of the first one's members), jaccard (of those in either). Each
        pair is there both ways round, with `segment` only those that begin with it; one that shares nobody is not there.
        Raises UsageError for a date beyond retention.
        """
        from pyspark.sql import functions as F

        from segment_lib import definitions_log, overlaps, rebuild

        lake, history = self._open()
        run = history.published(date)
        if segment is not None and segment not in (known := definitions_log.read(lake, run)):
            raise UsageError(f"no segment {segment!r} on {run.snapshot_date}; {nearest(segment, known)}")
        if not rebuild.kept(lake, history, run):
            raise UsageError(
                f"the overlaps of {run.snapshot_date} are no longer kept (conf retention); compare counts those of two "
                "to five segments"
            )
        rows = overlaps.of_run(lake, run)
        return rows if segment is None else rows.where(F.col("segment_id") == segment)

    def growth(
        self, segment: str, since: date | None = None, until: date | None = None, figures: Sequence[str] = ()
    ) -> Growth:
        """A segment on each published date from `since` to `until`: size, flows with their causes, edits.

        With what its members ordered since its first date, and with other `figures` of docs/metrics.md. ``_all`` is
        everyone. Both dates are included.
        """
        from segment_lib.growth import growth

        return growth(*self._open(), segment, since, until, figures)

    def retention(
        self, segment: str, since: date | None = None, until: date | None = None, every: str = "month", steps: int = 12
    ) -> Retention:
        """Of those who first entered in each month, week or night from `since` to `until`, who is in so much later."""
        from segment_lib.cohorts import retention

        return retention(*self._open(), segment, since, until, every, steps)

    def moves(self, *segments: str, since: date | None = None, until: date | None = None) -> Moves:
        """How many customers went from which of these segments to which, between two published dates; exact.

        By default from the date before the last to the last.
        """
        from segment_lib.moves import moves

        return moves(*self._open(), segments, since, until)

    def score_moves(
        self, score: str = "rfm.group", since: date | None = None, until: date | None = None
    ) -> Moves:
        """The same between the groups of a score, ``rfm.group`` or ``churn.status``, as published."""
        from segment_lib.moves import score_moves

        return score_moves(*self._open(), score, since, until)

    def lift(self, segment: str, date: date | None = None, days: int = 30) -> Lift:
        """Net revenue per head of members who may be reached against the held-out, so many days after first exposure.

        With the 95% interval of the difference and of the ratio. Raises UsageError for a segment without a holdout.
        """
        from segment_lib.lift import lift

        return lift(*self._open(), segment, date, days)

    def order_segments(
        self, segment: str | None = None, since: date | None = None, until: date | None = None
    ) -> DataFrame:
        """(snapshot_date, order_id, segment_id): each date's orders by who was a member that night.

        Of segments with ``analytics: true``; dates from `since` to `until`, both included.
        """
        from pyspark.sql import functions as F

        lake, history = self._open()
        runs = [
            run.run_id for run in history.winners()
            if (since is None or run.snapshot_date >= since) and (until is None or run.snapshot_date <= until)
        ]
        rows = lake.read("order_segments").where(F.col("run_id").isin(runs)).drop("run_id")
        return rows if segment is None else rows.where(F.col("segment_id") == segment)

    def breakdown(
        self, segment: str, by: str, since: date | None = None, until: date | None = None, date: date | None = None
    ) -> Breakdown:
        """The members on a published date, by default the last, by a column or behaviour, and what each group bought.

        `by` is one of the names in docs/breakdown.md; purchases count from `since` to `until`, both included.
        """
        return self.breakdowns(segment, by=[by], since=since, until=until, date=date)[0]

    def breakdowns(
        self, *segments: str, by: Sequence[str] = (), since: date | None = None, until: date | None = None,
        date: date | None = None,
    ) -> tuple[Breakdown, ...]:
        """Several segments by several charts, by default those of conf, in one pass over the inputs."""
        from segment_lib.breakdown import breakdowns

        return breakdowns(*self._open(), segments, by, since, until, date)

    def profiles(self, date: date | None = None) -> DataFrame:
        """The scores of a published date, by default the last: a row for each customer who ever ordered.

        The columns are those of docs/scores.md; a score that nobody gave that night is null. Raises UsageError for a
        date whose profiles are beyond retention.
        """
        from segment_lib import profiles
        from segment_lib.catalogue import SCORES

        lake, history = self._open()
        run = history.published(date)
        profiles.require(lake, run, SCORES)
        return profiles.of_run(lake, run)

    def segments(self, date: date | None = None) -> DataFrame:
        """The definitions of a published date, by default the last, with their states, deleted ones included."""
        from pyspark.sql import functions as F

        lake, history = self._open()
        run = history.published(date)
        mine = (F.col("snapshot_date") == F.lit(run.snapshot_date)) & (F.col("run_id") == run.run_id)
        return lake.read("segments").where(mine).drop("run_id")

    def preview(
        self, segment: Segment, date: date | None = None, sample: float | None = None, full: bool = False
    ) -> Preview:
        """What an unsaved definition would give on a published date, by default the last.

        Where nothing is published yet it needs a `date`, and takes the newest inputs. On a stable sample of about
        20,000 customers with 95% intervals, on the share `sample` of them, or with `full` on all. The session keeps the
        rows of the last two samples in memory, so that the next previews are quick:
        ``segment_lib.preview.forget(spark)`` gives the memory back.
        """
        from segment_lib.preview import preview
        from segment_lib.storage import Lake

        lake = Lake(self.spark, self.settings)
        return preview(lake, segment, day=date, rate=sample, full=full, remember=True)

    def runs(self) -> DataFrame:
        """The log of runs, with `is_published`: whether a row is the one that counts for its date."""
        from pyspark.sql import functions as F

        lake, history = self._open()
        winners = [run.run_id for run in history.winners()]
        counts = F.col("run_id").isin(winners) & F.col("state").isin("published", "partial")
        return lake.read("runs").withColumn("is_published", counts)

    def why(self, customer: str, segment: str, date: date | None = None) -> Why:
        """Why a customer is in a segment, or not, on a published date, by default the last.

        Shows as a tree of the conditions, each with its truth, what decided it, and what would turn it. An id that was
        merged into another stands for that one. Raises UsageError for an unknown or erased customer or segment.
        """
        from segment_lib import published, why

        lake, history = self._open()
        return why.explain(lake, history, published.find(lake, history.published(date), segment), customer)

    def sql(self, segment: str, date: date | None = None, figure: str | None = None) -> str:
        """One SQL statement that gives the members of a segment on a published date, by default the last.

        With `figure` it gives that number of `segment_metrics` as stored, also of ``_all`` and ``_lost``. It reads the same
        tables at the versions that the date's run pinned, and runs on any Spark with Delta whose session zone is UTC.
        """
        from segment_lib import published, sql_text

        lake, history = self._open()
        if figure is not None:
            return sql_text.figure_statement(lake, history, history.published(date), segment, figure)
        return sql_text.statement(lake, history, published.find(lake, history.published(date), segment))


def _members(lake: Lake, history: History, run: RunRecord, segment: str | None) -> DataFrame:
    """The members of a segment with since, or all who are in one with what they are in; without erased customers."""
    from pyspark.sql import functions as F

    from segment_lib import definitions_log, rebuild

    members = _without_erased(lake, rebuild.members(lake, history, run)).where(F.size("segments") > 0)
    if segment is None:
        return members
    known = definitions_log.read(lake, run)
    if segment not in known:
        raise UsageError(f"no segment {segment!r} on {run.snapshot_date}; {nearest(segment, known)}")
    one = members.select("customer_id", F.explode("segments").alias("one")).where(F.col("one.id") == segment)
    return one.select("customer_id", F.col("one.since").alias("since"))


def _without_erased(lake: Lake, frame: DataFrame) -> DataFrame:
    from segment_lib.inputs import without_erased

    erased = lake.erased()
    return frame if erased is None else without_erased(frame, erased, lake.tenant)
