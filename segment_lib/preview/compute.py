"""How a preview is computed: which run it looks at, one scan of a sample, one pass of sums, a few examples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime

from pyspark.sql import Column, DataFrame, Row
from pyspark.sql import functions as F

from segment_lib import core, definitions_log, evaluate, metrics, preparation, profiles
from segment_lib.catalogue import Catalogue
from segment_lib.clock import Clock
from segment_lib.definition import Segment
from segment_lib.definition.check import check_segment
from segment_lib.definition.faults import refuse
from segment_lib.definition.references import cycle_faults
from segment_lib.definitions_log import Definitions, DefinitionState
from segment_lib.errors import EXIT_PARTIAL, SeglakeError, UsageError, nearest
from segment_lib.figures import EVERYONE
from segment_lib.plan import EvaluationPlan, build_plan
from segment_lib.preview import estimates, masked, sampling
from segment_lib.preview.estimates import Sample, Sums
from segment_lib.preview.result import Effect, Preview
from segment_lib.preview.sampling import Memory, SampledLake
from segment_lib.runs import History, RunRecord, details, read_history
from segment_lib.storage import Lake

_MEASURES = ("orders", "gross_revenue", "net_revenue")
_HELD = (DefinitionState.WAITING, DefinitionState.SET_ASIDE)


class HeldBackError(SeglakeError):
    """A valid definition that a run would hold back: it waits for scores, or the data cannot be read as declared."""

    exit_code = EXIT_PARTIAL


@dataclass(frozen=True)
class Moment:
    """What a preview looks at: a published run, or, where nothing is published yet, the newest inputs.

    `others` are the definitions of that run and `held` those of them that it held back, with the reasons. `sizes` maps
    each published segment to its size, `_all` to everyone evaluated.
    """

    day: date
    pins: Mapping[str, int]
    history: History = History()
    run: RunRecord | None = None
    others: tuple[Segment, ...] = ()
    held: Mapping[str, str] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)


def preview(
    lake: Lake,
    segment: Segment,
    *,
    day: date | None = None,
    yesterday: date | None = None,
    rate: float | None = None,
    full: bool = False,
    remember: bool = False,
    notes: tuple[str, ...] = (),
) -> Preview:
    """What `segment` would give at a published date: `day`, or the last one.

    Where nothing is published yet it is `day` or `yesterday`, with the newest inputs. `rate` is the share of customers
    to look at, by default such that about 20,000 are; with `full`, all are. With `remember`, the session keeps the rows
    of the sample for the next preview. `notes` are told with the result.

    Raises ConfError and UsageError for faults of the definition or of the arguments, HeldBackError for what a run would
    hold back.
    """
    if full and rate is not None:
        raise UsageError("a share of customers and all of them were asked for: give one of the two")
    memory = sampling.memory_of(lake.spark) if remember else None
    moment = _moment(lake, day, yesterday, memory)
    catalogue = lake.settings.names()
    _check(segment, moment, catalogue)
    customers = _customers(lake, moment)
    rate = 1.0 if full else sampling.rate_for(customers) if rate is None else sampling.checked(rate)
    plan = _plan(segment, moment, Clock(moment.day, lake.settings.zone), catalogue, rate)
    asked = core.scores_of(plan.nodes())
    profiles.require(lake, moment.run, asked)
    if customers * rate > sampling.MOST_KEPT:
        memory = None
    sampled = _sampled(lake, moment, plan.clock.as_of, rate, memory).reading(plan.sources)
    found = evaluate.scan(plan, sampled, moment.pins, "preview", keep=sampling.kept)
    try:
        if segment.id in found.faults:
            raise HeldBackError(f"{segment.id} would be set aside: {found.faults[segment.id]}")
        scored = replace(found, customers=profiles.with_scores(found.customers, lake, moment.run, asked))
        judged = _judged(plan, scored, sampled, segment, moment)
        return _told(segment, plan, moment, sampled, judged, rate, notes)
    finally:
        found.customers.unpersist()


# What it looks at ----------------------------------------------------------------------------------------------------


def _moment(lake: Lake, day: date | None, yesterday: date | None, memory: Memory | None) -> Moment:
    version = lake.version("runs")
    if memory is None or version is None:
        moment = _published(lake, day)
    else:
        moment = memory.moments.get((lake.home, version, day), lambda: _published(lake, day))
    if moment is not None:
        return moment
    day = day or yesterday
    if day is None:
        raise UsageError("nothing is published yet, so say at which date to look, such as preview(segment, date=...)")
    return Moment(day, lake.pin())


def _published(lake: Lake, day: date | None) -> Moment | None:
    """The winner of a date, by default of the last; None where nothing is published."""
    history = read_history(lake)
    if not history.dates:
        return None
    run = history.published(day)
    preparation.require(lake, run, f"the inputs of {run.snapshot_date}")
    run = details(lake, run)
    listed = definitions_log.read(lake, run)
    return Moment(
        run.snapshot_date, run.inputs, history, run,
        others=Definitions.from_json(run.definitions, {}).segments,
        held={name: row.reason for name, row in listed.items() if row.state in _HELD},
        sizes={name: row.customers for name, row in metrics.of_run(lake, history, run).items()},
    )


def _customers(lake: Lake, moment: Moment) -> int:
    """How many customers there are: everyone evaluated, or as many as stand in `customers`."""
    if moment.run is not None:
        return moment.sizes[EVERYONE]
    version = moment.pins.get("customers")
    return 0 if version is None else lake.read("customers", version).count()


def _sampled(lake: Lake, moment: Moment, as_of: datetime, rate: float, memory: Memory | None) -> SampledLake:
    who = sampling.drawn(rate)
    if memory is None:
        return SampledLake(lake, who, as_of, keep=False)
    key = (
        lake.home, lake.settings.model_dump_json(), tuple(sorted(moment.pins.items())), lake.version("erasures"),
        moment.run.run_id if moment.run else None, as_of, rate,
    )
    return memory.inputs.get(key, lambda: SampledLake(lake, who, as_of, keep=True))


# The definition ------------------------------------------------------------------------------------------------------


def _check(segment: Segment, moment: Moment, catalogue: Catalogue) -> None:
    """Raises what keeps the definition from being evaluated beside the published ones."""
    references = {other.id: other.references() for other in moment.others} | {segment.id: segment.references()}
    for name in sorted(segment.references() - references.keys()):
        where = f"was not published on {moment.day}" if moment.run else "is not published, as nothing is yet"
        hint = nearest(name, references.keys() - {segment.id})
        raise UsageError(
            f"{segment.id} refers to {name!r}, which {where}; a preview takes other segments as published, so "
            "publish it first" + (f", or mend the name: {hint}" if hint else "")
        )
    faults = check_segment(segment, frozenset(references), catalogue)
    refuse((*faults, *cycle_faults(segment.id, references)), segment.id)


def _plan(
    segment: Segment, moment: Moment, clock: Clock, catalogue: Catalogue, rate: float
) -> EvaluationPlan:
    """A plan of this segment alone, active whatever its status, with its limit scaled to the sample."""
    changes: dict[str, object] = {"status": "active"}
    if segment.limit is not None and rate < 1:
        changes["limit"] = segment.limit.model_copy(update={"top": _scaled(segment.limit.top, rate)})
    others = tuple(other for other in moment.others if other.id != segment.id)
    held = {name: why for name, why in moment.held.items() if name != segment.id}
    plan = build_plan(
        (segment.model_copy(update=changes), *others), catalogue, clock, stalled=held,
        fixed=frozenset(other.id for other in others if other.id not in held),
        scores=moment.run.scores if moment.run else frozenset(),
    )
    if segment.id in plan.stalled:
        raise HeldBackError(f"{segment.id} cannot be evaluated yet: {plan.stalled[segment.id]}")
    return plan


def _scaled(top: int, rate: float) -> int:
    """A limit as it is for a sample."""
    return max(1, round(top * rate))


# The customers -------------------------------------------------------------------------------------------------------


def _judged(
    plan: EvaluationPlan, found: evaluate.Scan, sampled: SampledLake, segment: Segment, moment: Moment
) -> DataFrame:
    """A row per customer looked at: what they bought, whether they would be a `member`, whether one `was` published."""
    published = sampled.members(moment.history, moment.run) if moment.run else None
    inside = F.exists("segments", lambda one: one["id"] == segment.id)
    decided = evaluate.decide(plan, found, None, published if segment.references() else None)
    rows = decided.select("customer_id", "anonymous", *_MEASURES, inside.alias("member"))
    if published is None or segment.id not in moment.sizes:
        return rows.select("*", F.lit(False).alias("was"))
    before = published.where(inside).select("customer_id", F.lit(True).alias("before"))
    was = F.coalesce("before", F.lit(False)).alias("was")
    return rows.join(before, "customer_id", "left").select(*rows.columns, was)


def _told(
    segment: Segment, plan: EvaluationPlan, moment: Moment, sampled: SampledLake, judged: DataFrame, rate: float,
    notes: tuple[str, ...],
) -> Preview:
    row = _sums(judged)
    sample = Sample(rate, row["seen"], moment.sizes[EVERYONE] if moment.run else None)
    top = segment.limit.top if segment.limit else None
    members = row["members"]
    size = estimates.count(members, sample, top)
    totals = {name: estimates.total(Sums(**row[name].asDict()), members, sample, size) for name in _MEASURES}
    known = segment.id in moment.sizes
    effect = None if moment.run is None else Effect(
        estimates.count(row["before"], sample) if known else None,
        estimates.count(row["entering"], sample, top), estimates.count(row["leaving"], sample),
    )
    groups = {"examples": F.col("member")}
    if known:
        groups |= {"entering": masked.enters(), "leaving": masked.leaves()}
    return Preview(
        segment, moment.day, moment.run is not None, sampled.settings.currency, sample,
        size=size, share=estimates.proportion(members, sample), anonymous=estimates.count(row["anonymous"], sample),
        **totals, effect=effect,
        **{"entering": (), "leaving": (), **masked.examples(judged, sampled, moment.pins, groups)},
        notes=(*notes, *_notes(segment, plan, moment, sample, members)),
        members=judged.where("member").select("customer_id", "anonymous", *_MEASURES, (~F.col("was")).alias("enters")),
    )


def _sums(judged: DataFrame) -> Row:
    """Counts, and for each measure the parts of `Sums`: one row."""

    def parts(name: str) -> Column:
        zero = F.lit(0).cast(judged.schema[name].dataType)
        value = F.when(F.col("member"), F.col(name)).otherwise(zero)
        return F.struct(
            F.coalesce(F.sum(value), zero).alias("total"),
            F.coalesce(F.var_samp(value), F.lit(0.0)).alias("variance"),
            F.coalesce(F.min(name), zero).alias("least"), F.coalesce(F.max(name), zero).alias("most"),
        ).alias(name)

    return judged.agg(
        F.count(F.lit(1)).alias("seen"), F.count_if("member").alias("members"), F.count_if("was").alias("before"),
        F.count_if(F.col("member") & F.col("anonymous")).alias("anonymous"),
        F.count_if(masked.enters()).alias("entering"), F.count_if(masked.leaves()).alias("leaving"),
        *(parts(name) for name in _MEASURES),
    ).collect()[0]


def _notes(
    segment: Segment, plan: EvaluationPlan, moment: Moment, sample: Sample, members: int
) -> Iterator[str]:
    """What a reader of the numbers has to know besides."""
    scores = ", ".join(core.scores_of(plan.nodes()))
    if scores:
        yield f"{scores}: as published on {moment.day}"
    references = ", ".join(sorted(segment.references()))
    if references:
        yield f"the members of {references} are those published on {moment.day}"
    if moment.run is None:
        yield "nothing is published yet, so there is no snapshot to compare with"
    elif segment.id not in moment.sizes:
        yield f"no segment {segment.id} was published on {moment.day}: every member would enter"
    if segment.status == "inactive":
        yield "its status is inactive: a run would keep its last members and compute nothing"
    if segment.kind == "static":
        froze = moment.history.frozen.get((segment.id, segment.definition_hash))
        when = f"froze on {froze.snapshot_date}, and no run computes it again" if froze else "freezes at its next run"
        yield f"it is static and {when}"
    if sample.is_exact:
        return
    if plan.percentiles:
        yield "percentile bounds are those of the sample"
    if segment.limit is not None:
        yield f"the limit of {segment.limit.top:,} is {_scaled(segment.limit.top, sample.rate):,} in the sample"
    if 0 < members < estimates.FEW:
        yield f"only {members} members are in the sample: the intervals of orders and revenue are rough"
    if not members:
        yield "no member is in the sample: the upper ends of orders and revenue take the greatest value of anyone in it"
