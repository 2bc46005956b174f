"""Settings: what conf says, checked, as frozen values.

One class per section; every field says its unit. Conf holds no secrets. Precedence: command line, then environment
(``SEGLAKE__SECTION__KEY``), then ``conf/tenants/TENANT/base.yaml``, then ``conf/base.yaml``, then the defaults here.
"""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from segment_lib.catalogue import SCORES, Catalogue, Type
from segment_lib.charts import MOST_CHARTS, parse_chart
from segment_lib.clock import Step
from segment_lib.customer_settings import CustomersSection
from segment_lib.errors import nearest
from segment_lib.figures import EVERYONE
from segment_lib.model_settings import ModelsSection, RfmSection
from segment_lib.notify_settings import NotifyEntry
from segment_lib.sync_settings import DestinationEntry
from segment_lib.tables import INPUTS
from segment_lib.trigger_settings import TriggerEntry

TENANT_ID = re.compile(r"^[a-z0-9][a-z0-9_-]{0,62}$")
SEGMENT_ID = re.compile(r"^[a-z][a-z0-9_]{0,62}$")
COLUMN_NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_]{0,127}$")
COLUMN_PATH = re.compile(r"^[^`\x00-\x1f]{1,255}$")


def _matches(pattern: re.Pattern[str], what: str):
    def check(value: str) -> str:
        if not pattern.fullmatch(value):
            raise ValueError(f"{value!r} is not a {what} ({pattern.pattern})")
        return value

    return AfterValidator(check)


def _length(value: str) -> str:
    step = Step.parse(value)
    if step.rough_days > 36525:
        raise ValueError(f"{value!r} is more than 100 years; leave the key out when rows are kept for ever")
    return str(step)


def _zone(value: str) -> str:
    if value not in available_timezones():
        raise ValueError(f"{value!r} is not a time zone of the IANA database, such as Europe/Berlin")
    return value


TenantId = Annotated[str, _matches(TENANT_ID, "tenant id")]
ColumnName = Annotated[str, _matches(COLUMN_NAME, "column name")]
EntryName = Annotated[str, _matches(SEGMENT_ID, "name of an entry")]
SourceColumn = Annotated[str, _matches(COLUMN_PATH, "source column")]
Share = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """A part of conf: unknown keys are faults, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class CatalogueSection(Section):
    """Names that definitions may use, beside the standard columns."""

    event_types: dict[ColumnName, dict[ColumnName, Type]] = {}
    event_fields: dict[ColumnName, Type] = {}
    customer_fields: dict[ColumnName, Type] = {}
    order_fields: dict[ColumnName, Type] = {}
    item_fields: dict[ColumnName, Type] = {}
    order_statuses: tuple[str, ...] = ("pending", "paid", "fulfilled", "refunded", "cancelled")
    purchase_statuses: tuple[str, ...] = ("paid", "fulfilled", "refunded")
    lists: tuple[str, ...] = ()
    scores: dict[str, Type] = {}
    #: Whether definitions may use `sql` conditions.
    sql: bool = False

    @model_validator(mode="after")
    def _purchases_are_statuses(self):
        unknown = set(self.purchase_statuses) - set(self.order_statuses)
        if unknown:
            raise ValueError(f"purchase_statuses not among order_statuses: {', '.join(sorted(unknown))}")
        return self

    def names(self) -> Catalogue:
        """The catalogue as definitions use it, with the scores that the models publish."""
        names = {name: getattr(self, name) for name in type(self).model_fields}
        return Catalogue(**{**names, "scores": SCORES | self.scores})


class Mapping(Section):
    """Where a column comes from: a source column, how its text is read, or one value for all rows."""

    source: SourceColumn | None = None
    #: Spark datetime pattern for dates and timestamps that are not ISO 8601.
    format: str | None = None
    #: The zone of timestamps that carry no offset; default: the tenant's.
    zone: Annotated[str, AfterValidator(_zone)] | None = None
    #: One value for every row, when the source has no such column.
    value: str | None = None

    @model_validator(mode="after")
    def _one_origin(self):
        if (self.source is None) == (self.value is None):
            raise ValueError("give either 'source' or 'value'")
        return self


class InputSection(Section):
    """One input table: files to load, or a Delta table used in place, and its column mapping."""

    #: A Delta table elsewhere that is read in place; default: the tenant's own table, filled by `ingest`.
    path: str | None = None
    #: Our column -> the source's column; columns not named keep their name.
    columns: dict[ColumnName, SourceColumn | Mapping] = {}
    #: Reader options for files: delimiter, header, encoding, ...
    options: dict[str, str] = {}
    #: How long the rows of events or orders are kept, such as 2y; `validate` warns of windows that are longer.
    kept: Annotated[str, AfterValidator(_length)] | None = None

    def mapping(self) -> dict[str, Mapping]:
        """The mapping with short forms written out."""
        return {name: Mapping(source=m) if isinstance(m, str) else m for name, m in self.columns.items()}


class Rate(Section):
    """From `since` on, one unit of `currency` is worth `rate` units of the tenant's currency."""

    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")]
    since: date
    rate: Annotated[Decimal, Field(gt=0)]


class IngestSection(Section):
    #: A load with a larger share of rejected rows stops and changes nothing.
    max_reject_rate: Share = 0.05
    #: A row may lie this many minutes after the clock of the load (hosts' clocks differ).
    future_tolerance_minutes: Annotated[int, Field(ge=0)] = 15
    #: Rows before this date are rejected as impossible.
    earliest: date = date(1990, 1, 1)
    rates: tuple[Rate, ...] = ()


class GatesSection(Section):
    """What must hold before a run is published. A gate is switched off by null."""

    #: Rows of each input against the median of the last seven published runs, as a share of it.
    min_rows_ratio: Share | None = 0.5
    #: The newest event or order may be at most this many days before `as_of`.
    max_staleness_days: Annotated[int, Field(ge=1)] | None = None
    #: Share of input rows that fail the row checks.
    max_reject_rate: Share | None = 0.05
    #: Customers that entered or left `_all`, as a share of the larger size.
    max_turnover: Share | None = 0.3


class FoldSection(Section):
    """Groups of a breakdown that are put together as "other": those that are smaller than either."""

    customers: Annotated[int, Field(ge=0)] = 5
    #: Of the segment's members; at least a thousandth, so that there are never more than a thousand groups.
    share: Annotated[float, Field(ge=0.001, le=1)] = 0.01


class BreakdownsSection(Section):
    """What a segment is broken down by when nothing is named, and which groups are too small to be shown."""

    charts: Annotated[tuple[str, ...], Field(max_length=MOST_CHARTS)] = ()
    fold: FoldSection = FoldSection()


#: Sets of segments that a report counts exactly.
MOST_SETS = 20


class ReportSection(Section):
    """What the page of all segments shows besides."""

    #: Sets of two to five segments whose overlaps are counted exactly, in one pass for all sets.
    compare: Annotated[
        tuple[Annotated[tuple[str, ...], Field(min_length=2, max_length=5)], ...], Field(max_length=MOST_SETS)
    ] = ()

    @field_validator("compare")
    @classmethod
    def _segments_differ(cls, sets: tuple[tuple[str, ...], ...]) -> tuple[tuple[str, ...], ...]:
        for segments in sets:
            if len(set(segments)) != len(segments):
                raise ValueError(f"a set names a segment twice: {', '.join(segments)}")
            if EVERYONE in segments:
                raise ValueError(f"{EVERYONE} is everyone, who shares all with each segment; leave it out")
        return sets


class RetentionSection(Section):
    #: Daily snapshots that are kept.
    snapshots: Annotated[int, Field(ge=2)] = 35
    #: Whether the last snapshot of each month is kept for ever.
    month_ends: bool = True
    #: Days for which older versions of tables can be read, and what was deleted from them still lies in their files.
    versions: Annotated[int, Field(ge=7, le=3650)] = 30


class Settings(Section):
    """All that one tenant's conf says."""

    tenant: TenantId = "shop"
    #: Folder or s3a:// prefix; a tenant's tables lie in ROOT/TENANT/TABLE.
    root: str = "lake"
    time_zone: Annotated[str, AfterValidator(_zone)] = "UTC"
    #: ISO 4217.
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] = "EUR"
    engine: Literal["auto", "columns", "kernel"] = "auto"
    #: Whether a night keeps what it read of data files, so that the next reads only new ones.
    incremental: Literal["auto", "always", "never"] = "auto"
    catalogue: CatalogueSection = CatalogueSection()
    inputs: dict[Literal[tuple(INPUTS)], InputSection] = {}
    ingest: IngestSection = IngestSection()
    gates: GatesSection = GatesSection()
    retention: RetentionSection = RetentionSection()
    rfm: RfmSection = RfmSection()
    models: ModelsSection = ModelsSection()
    customers: CustomersSection = CustomersSection()
    breakdowns: BreakdownsSection = BreakdownsSection()
    report: ReportSection = ReportSection()
    #: Lists of the catalogue whose members are left out of every export and every sync.
    suppression: tuple[str, ...] = ()
    #: Where audiences go, each under a name of its own.
    destinations: dict[EntryName, DestinationEntry] = {}
    #: Messages on entering and leaving segments, each under a name of its own.
    triggers: dict[EntryName, TriggerEntry] = {}
    #: Whom to tell when a run ends, each entry under a name of its own.
    notify: dict[EntryName, NotifyEntry] = {}
    #: Spark settings that this tenant needs, such as spark.sql.shuffle.partitions.
    spark: dict[str, str] = {}

    @field_validator("inputs")
    @classmethod
    def _kept_by_time(cls, inputs: dict[str, InputSection]) -> dict[str, InputSection]:
        wrong = [table for table, section in inputs.items() if section.kept and not INPUTS[table].time]
        if wrong:
            raise ValueError(f"kept belongs to events and orders, whose rows have a time, not to {', '.join(wrong)}")
        return inputs

    @field_validator("breakdowns")
    @classmethod
    def _charts_are_known(cls, breakdowns: BreakdownsSection, info: ValidationInfo) -> BreakdownsSection:
        # A section that is faulty itself knows no names; its faults are told instead.
        personal = info.data["customers"].personal_fields if "customers" in info.data else ()
        for text in breakdowns.charts if "catalogue" in info.data else ():
            parse_chart(text, info.data["catalogue"].names(), personal)
        return breakdowns

    @field_validator("triggers")
    @classmethod
    def _triggers_can_be_sent(cls, triggers: dict[str, TriggerEntry], info: ValidationInfo) -> dict[str, TriggerEntry]:
        # Where a section below is faulty itself, its faults are told instead.
        if "destinations" in info.data and "catalogue" in info.data:
            fields = info.data["catalogue"].names().customers()
            for name, trigger in triggers.items():
                fault = trigger.fault(info.data["destinations"], fields)
                if fault:
                    raise ValueError(f"{name}.{fault}".rstrip("; "))
        return triggers

    @model_validator(mode="after")
    def _suppression_is_of_known_lists(self):
        for name in self.suppression:
            if name not in self.catalogue.lists:
                hint = nearest(name, self.catalogue.lists)
                raise ValueError(f"suppression: {name!r} is not among catalogue.lists" + (f"; {hint}" if hint else ""))
        return self

    @model_validator(mode="after")
    def _personal_fields_are_fields(self):
        fields = self.names().customers()
        for name in self.customers.personal_fields:
            if name == "customer_id":
                raise ValueError(
                    "customers.personal_fields: customer_id is not masked, for outputs are joined by it; leave it "
                    "out of a list instead"
                )
            if name not in fields:
                hint = nearest(name, fields)
                raise ValueError(f"customers.personal_fields: no customer field is named {name!r}; {hint}")
        return self

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)

    def names(self) -> Catalogue:
        """The catalogue as definitions use it."""
        return self.catalogue.names()

    def input(self, table: str) -> InputSection:
        return self.inputs.get(table, InputSection())
