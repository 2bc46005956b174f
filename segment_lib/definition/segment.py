"""The segment: a definition as a person wrote it, with all its options."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, PlainValidator, WithJsonSchema

from segment_lib import core
from segment_lib.conditions import AnyCondition, Condition
from segment_lib.definition import canonical
from segment_lib.language.measure import Measure
from segment_lib.language.model import Model, Text, quoted
from segment_lib.language.scope import Scope
from segment_lib.settings import SEGMENT_ID

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

    from segment_lib.api import Tenant
    from segment_lib.catalogue import Catalogue
    from segment_lib.clock import Clock
    from segment_lib.preview import Preview

Eligibility = Literal["registered", "purchasers", "email", "push"]


def _segment_id(value: str) -> str:
    if not SEGMENT_ID.fullmatch(value):
        raise ValueError(
            f"{value!r} cannot be a segment id; use 1 to 63 lower-case letters, digits and _, beginning with a letter"
        )
    return value


def _percent(value: Any) -> str:
    text = str(value)
    number = text.removesuffix("%")
    if not number.isdecimal() or not text.endswith("%") or int(number) > 1000:
        raise ValueError(f"{quoted(value)} is not a percentage; write 30%")
    return text


SegmentId = Annotated[str, AfterValidator(_segment_id)]
Percent = Annotated[str, PlainValidator(_percent), WithJsonSchema({"type": "string", "pattern": "^[0-9]{1,4}%$"})]


class Limit(Model):
    """The top so many members by a number or a time; ties at the cut by customer id, and who has no value is cut."""

    top: Annotated[int, Field(strict=True, ge=1)]
    by: Measure


class Holdout(Model):
    """A stable share of members that exports and sync leave out: the buckets below `percent`, as of `split`."""

    percent: Annotated[int, Field(strict=True, ge=1, le=100)]
    salt: Annotated[Text, Field(min_length=1)]


class Guard(Model):
    """Holds sync when the size changes by more than this overnight."""

    change: Percent


class Recommended(Model):
    """Marks the segment as recommended in the report."""

    icon: Annotated[Text, Field(min_length=1)]


class SyncTo(Model):
    """A destination and how it uses the audience."""

    to: Annotated[Text, Field(min_length=1)]
    use: Literal["include", "exclude", "lookalike_seed"] = "include"


#: Options that change who is a member, or when they are computed; the rest describes.
_RESULT = ("kind", "eligible", "anonymous", "limit", "where")


class Segment(Model):
    """One segment definition.

    Equal content gives equal objects, whether it came from a file or from Python.
    """

    unwritten: ClassVar[frozenset[str]] = frozenset({"id"})

    id: SegmentId
    name: Annotated[Text, Field(min_length=1)] | None = None
    description: Text | None = None
    kind: Literal["dynamic", "static"] = "dynamic"
    status: Literal["active", "inactive"] = "active"
    tags: tuple[Text, ...] = ()
    eligible: tuple[Eligibility, ...] = ()
    anonymous: bool = True
    owner: Text | None = None
    where: AnyCondition
    limit: Limit | None = None
    holdout: Holdout | None = None
    guard: Guard | None = None
    recommended: Recommended | None = None
    analytics: bool = False
    sync: tuple[SyncTo, ...] = ()

    @property
    def title(self) -> str:
        """The name for people; the id when there is none."""
        return self.name or self.id

    @property
    def definition_hash(self) -> str:
        """Changes when the definition's result may change, and not when only its description does."""
        return canonical.fingerprint({name: self.result()[name] for name in _RESULT})

    def result(self) -> dict[str, Any]:
        """The options that change the result, defaults written out, as plain data."""
        defaults = {"kind": self.kind, "eligible": sorted(set(self.eligible)), "anonymous": self.anonymous, "limit": None}
        return defaults | {key: part for key, part in self.to_plain().items() if key in ("limit", "where")}

    def references(self) -> frozenset[str]:
        """The segments that the definition names."""
        return frozenset(name for condition in self.conditions() for name in condition.references())

    def conditions(self) -> Iterator[Condition]:
        """Every condition of the definition."""
        return self.where.walk()

    def label(self) -> str:
        """The definition in words."""
        return self.where.label()

    def to_json(self) -> str:
        """The definition as canonical JSON, with only what was written."""
        return canonical.dumps(self.to_plain())

    def to_yaml(self) -> str:
        """The definition as the text of its file, ``conf/segments/ID.yaml``."""
        from segment_lib.conditions import REGISTRY
        from segment_lib.yaml_text import yaml_text

        def written(part: Any) -> Any:
            """Plain data with the key that names a condition before its others."""
            if isinstance(part, dict):
                return {key: written(part[key]) for key in sorted(part, key=lambda key: key not in REGISTRY)}
            return [written(entry) for entry in part] if isinstance(part, list | tuple) else part

        return yaml_text(written({key: part for key, part in self.to_plain().items() if key != "id"}))

    @classmethod
    def from_json(cls, text: str) -> Segment:
        """The definition that `to_json` wrote."""
        return cls.model_validate(canonical.loads(text))

    def preview(self, shop: Tenant | SparkSession, conf: str = "conf", **options: Any) -> Preview:
        """What this definition would give, as `Tenant.preview` tells it, which takes the same options.

        `shop` is a tenant, or a Spark session for the tenant that `conf` names.
        """
        from segment_lib import api

        tenant = shop if isinstance(shop, api.Tenant) else api.open(conf=conf, spark=shop)
        return tenant.preview(self, **options)

    def to_column(self, frame: DataFrame, catalogue: Catalogue, clock: Clock, **options: Any) -> Column:
        """Whether a customer is a member, as a Column on a frame of features; see `segment_lib.to_column`."""
        from segment_lib.to_column import to_column

        return to_column(self, frame, catalogue, clock, **options)

    def reduce(self, scope: Scope) -> Reduced:
        """The core form of the definition, with its faults noted in `scope`."""
        population = self._population(scope)
        inside = replace(scope, population=population)
        where = self.where.reduce(inside.at("where"))
        tests = [population, where]
        cut = self._cut(self.limit, inside.at("limit", "by")) if self.limit else None
        return Reduced(self.id, population, core.all_of(*tests), cut)

    def _cut(self, limit: Limit, scope: Scope) -> core.Cut | None:
        by = limit.by.reduce(scope)
        if by is not None and not (by.type.is_number or by.type.is_time):
            scope.fault(f"a limit ranks by a number or a time, and this is {by.type}")
        return core.Cut(limit.top, by) if by is not None else None

    def _population(self, scope: Scope) -> core.Test:
        """Whom the segment considers: anyone, or customers who are eligible in one of the ways named."""
        fields = scope.catalogue.customers()
        statuses = core.Field("orders", "status", scope.catalogue.orders()["status"])
        purchases = core.Compare(statuses, "in", tuple(scope.catalogue.purchase_statuses))
        ways: dict[str, core.Test] = {
            "registered": core.Compare(core.Field("customers", "registered", fields["registered"]), "eq", (True,)),
            "purchasers": core.Compare(core.Feature("orders", "count", None, purchases), "ge", (1,)),
            "email": core.Compare(core.Field("customers", "email", fields["email"]), "known"),
            "push": core.Compare(core.Field("customers", "push_consent", fields["push_consent"]), "eq", (True,)),
        }
        eligible = core.any_of(*(ways[way] for way in sorted(set(self.eligible)))) if self.eligible else core.TRUE
        return eligible if self.anonymous else core.all_of(core.IsCustomer(), eligible)


@dataclass(frozen=True)
class Reduced:
    """A segment in core form: whom it considers, who is a member, and how many of them at most."""

    id: str
    population: core.Test
    test: core.Test
    cut: core.Cut | None = None

    def walk(self) -> Iterator[core.Node]:
        """Every node, of the cut too."""
        yield from self.test.walk()
        if self.cut is not None:
            yield from self.cut.walk()


Segment.model_rebuild()
