"""Where an explanation's truths and values come from: one scan of one customer's rows, one action.

Every condition is lowered to the Columns of a night and selected for this customer, so an explanation cannot disagree
with the engine. Only percentiles and limits look at everybody. Spark's plans and logs never hold the customer's id: the
customer is found by the hash that erasures use too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from pyspark.sql import Column, DataFrame, Row
from pyspark.sql import functions as F

from segment_lib import core, rebuild
from segment_lib.catalogue import Type
from segment_lib.columns import Names, bucket_column, test_column, value_column
from segment_lib.definition.segment import Segment
from segment_lib.definitions_log import DefinitionState
from segment_lib.errors import UsageError
from segment_lib.evaluate import with_map
from segment_lib.inputs import customer_hash, hash_of
from segment_lib.language.condition import Condition
from segment_lib.published import Published, names_of
from segment_lib.ranks import exact_percentiles, rankable
from segment_lib.runs import History
from segment_lib.scan import people
from segment_lib.spoken import described, named, written
from segment_lib.storage import Lake
from segment_lib.why import facts
from segment_lib.why.facts import Found
from segment_lib.why.result import Fact, Line, Why
from segment_lib.why.turning import smallest

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SOURCES = ("customers", "events", "orders", "lists")
_HEADINGS = {"all": "all of", "any": "any of", "none": "none of", "not": "not"}
_WAYS = {
    "registered": "registered", "purchasers": "has a purchase", "email": "an email address is known",
    "push": "has given push consent",
}


@dataclass(frozen=True)
class _Part:
    """One condition with its words and, where its parts are conditions, those."""

    text: str
    key: str
    test: core.Test
    parts: tuple[_Part, ...] = ()
    condition: Condition | None = None
    segment: Segment | None = None

    def walk(self) -> Iterator[_Part]:
        yield self
        for part in self.parts:
            yield from part.walk()


def explain(lake: Lake, history: History, found: Published, customer_id: str) -> Why:
    """Why a customer is in a segment, or not; raises UsageError for one who is erased or not known at that date."""
    canonical = _canonical(lake, found, customer_id)
    tree, considered = _condition(found.segment.where, found), _considered(found)
    holdout = found.segment.holdout
    cut = None if found.waits_for(found.reduced) else found.reduced.cut
    asked = [part for root in (tree, *considered) for part in root.walk() if not found.waits_for(part.test)]
    tests = dict.fromkeys(test for part in asked for test in facts.tests_of(part.test))
    values = dict.fromkeys(value for part in asked for value in facts.values_of(part.test))
    values |= {cut.by: None} if cut else {}
    salts = dict.fromkeys(test.salt for test in tests if isinstance(test, core.Split))
    salts |= {holdout.salt: None} if holdout else {}
    needed = [*tests, *(core.Compare(value, "known") for value in values)]
    with _rows(lake, history, found, canonical, needed) as (mine, everyone, names):
        person, rejected = _look(mine, names, tests, values, salts)
        if person is None:
            day = found.run.snapshot_date
            raise UsageError(f"no such customer on {day}: neither in customers, nor in events or orders before then")
        seen = Found(
            found.clock, *_read(person, tests, values), {salt: int(person[f"b{i}"]) for i, salt in enumerate(salts)},
            names.bounds,
        )
        limit = _limit(everyone, mine, cut, found, names, seen) if cut and everyone is not None else None
    return _told(found, customer_id, canonical, person, rejected, tree, considered, limit, seen)


# Who, and what is asked ----------------------------------------------------------------------------------------------


def _canonical(lake: Lake, found: Published, customer_id: str) -> str:
    """The id that the customer's rows count for at that date; refuses erased ones under either id."""
    canonical = customer_id
    aliases = lake.aliases(found.run.inputs.get("aliases", -1))
    if aliases is not None:
        mine = aliases.where(_is(lake, customer_id)(F.col("customer_id"))).select("canonical_id").limit(1).collect()
        canonical = mine[0]["canonical_id"] if mine else customer_id
    erased = lake.erased()
    hashes = [hash_of(lake.tenant, one) for one in (customer_id, canonical)]
    if erased is not None and erased.where(F.col("customer_hash").isin(hashes)).limit(1).collect():
        raise UsageError("this customer was erased: nothing is said of them")
    return canonical


def _is(lake: Lake, customer_id: str) -> Callable[[Column], Column]:
    """The predicate that an id is this one, without the id in it."""
    digest = hash_of(lake.tenant, customer_id)
    return lambda column: customer_hash(lake.tenant, column) == F.lit(digest)


def _condition(condition: Condition, found: Published) -> _Part:
    parts = tuple(_condition(part, found) for part in condition.parts()) if condition.key in _HEADINGS else ()
    text = _HEADINGS.get(condition.key) or condition.label()
    return _Part(text, condition.key, condition.reduce(found.scope), parts, condition)


def _considered(found: Published) -> tuple[_Part, ...]:
    """What the segment asks of everyone before its conditions."""
    segment = found.segment
    made = []
    if segment.eligible:
        ways = []
        for way in dict.fromkeys(segment.eligible):
            alone = segment.model_copy(update={"eligible": (way,), "anonymous": True})
            ways.append(_Part(_WAYS[way], way, alone.reduce(found.scope).population, segment=alone))
        eligible = core.any_of(*(way.test for way in ways))
        made.append(_Part("eligible in any of these ways", "any", eligible, tuple(ways)))
    if not segment.anonymous:
        made.append(_Part("no anonymous visitors: stands in customers", "anonymous", core.IsCustomer()))
    return tuple(made)


# One look ------------------------------------------------------------------------------------------------------------


@contextmanager
def _rows(
    lake: Lake, history: History, found: Published, canonical: str, needed: list[core.Test]
) -> Iterator[tuple[DataFrame, DataFrame | None, Names]]:
    """The customer's row, everyone's where percentiles or a limit need them, and how conditions find values in both."""
    plan, names = found.plan(needed), names_of(found)
    bounds = [pair for pair in plan.percentiles if not found.waits_for(pair[0])]
    published = rebuild.members(lake, history, found.run)
    who = _is(lake, canonical)
    if not bounds and not found.reduced.cut:
        own = published.where(who(F.col("customer_id")))
        yield with_map(found.scored(people(plan, lake, found.run.inputs, who=who), lake), own, "_published"), None, names
        return
    everyone = with_map(found.scored(people(plan, lake, found.run.inputs), lake), published, "_published").persist()
    try:
        evaluated = everyone.where("_evaluated")
        names = replace(names, bounds=exact_percentiles(evaluated, bounds, names))
        yield everyone.where(who(F.col("customer_id"))), evaluated, names
    finally:
        everyone.unpersist()


def _look(
    mine: DataFrame, names: Names, tests: dict[core.Test, None], values: dict[core.Value, None], salts: dict[str, None]
) -> tuple[Row | None, list[str]]:
    """The one action: everything asked of the customer, and what was wrong with rows that do not count."""
    rows = mine.select(
        "customer_id", "_known", "_evaluated", "_published", *(f"_reject_{source}" for source in _SOURCES),
        *(f"_rows_{source}" for source in _SOURCES),
        *(test_column(test, names).alias(f"t{i}") for i, test in enumerate(tests)),
        *(_sent(value, names).alias(f"v{i}") for i, value in enumerate(values)),
        *(bucket_column(salt, names).alias(f"b{i}") for i, salt in enumerate(salts)),
    ).collect()
    person = next((row for row in rows if row["customer_id"] is not None), None)
    rejected = sorted(
        f"rows of theirs in {source} that do not count: {row[f'_rows_{source}']} ({row[f'_reject_{source}']})"
        for row in rows for source in _SOURCES if row[f"_reject_{source}"] is not None
    )
    return person, rejected


def _sent(value: core.Value, names: Names) -> Column:
    """A value as it comes to the driver: instants as a number, which no zone on the way can move."""
    column = value_column(value, names)
    return F.unix_micros(column) if value.type is Type.TIMESTAMP else column


def _read(
    person: Row, tests: dict[core.Test, None], values: dict[core.Value, None]
) -> tuple[dict[core.Test, bool], dict[core.Value, Any]]:
    truths = {test: person[f"t{i}"] for i, test in enumerate(tests)}
    return truths, {value: _received(person[f"v{i}"], value.type) for i, value in enumerate(values)}


def _received(sent: Any, kind: Type) -> Any:
    return _EPOCH + timedelta(microseconds=sent) if kind is Type.TIMESTAMP and sent is not None else sent


def _limit(everyone: DataFrame, mine: DataFrame, cut: core.Cut, found: Published, names: Names, seen: Found) -> Line:
    """Where the customer stands among those whom the limit ranks; two actions, with one row each."""
    ranked = everyone.select(
        "customer_id", rankable(cut.by, names).alias("rank"), _sent(cut.by, names).alias("value"),
        test_column(found.reduced.test, names).alias("member"),
    ).where(F.col("member") & F.col("rank").isNotNull())
    own = mine.select(F.col("customer_id").alias("own_id"), rankable(cut.by, names).alias("own"))
    smaller = (F.col("rank") == F.col("own")) & (F.col("customer_id") < F.col("own_id"))
    before = (F.col("rank") > F.col("own")) | smaller
    ahead = ranked.join(F.broadcast(own), before).agg(F.count(F.lit(1)).alias("n")).collect()[0]["n"]
    best = ranked.orderBy(F.col("rank").desc(), "customer_id").limit(cut.top)
    least = best.agg(F.min("value").alias("value"), F.count("value").alias("n")).collect()[0]
    value = seen.values[cut.by]
    holds = value is not None and ahead < cut.top
    least_value = written(_received(least["value"], cut.by.type), found.clock)
    asked = f"the last place has {least_value}" if least["n"] == cut.top else "any, as there is room"
    made = (
        Fact("place", "none" if value is None else str(ahead + 1), f"at most {cut.top}", holds),
        Fact(named(cut.by), written(value, found.clock), asked, holds),
    )
    text = f"among the first {cut.top} by {described(cut.by, found.clock)}"
    turn = f"a place {'after' if holds else 'among'} the first {cut.top}"
    return Line(text, "limit", holds, made, turn, identity="limit")


# What is told --------------------------------------------------------------------------------------------------------


def _line(part: _Part, found: Published, seen: Found) -> Line:
    """A condition with its truth and, when it is not made of others, what it rests on."""
    scores = found.waits_for(part.test)
    truth = None if scores else seen.truths[part.test]
    if part.parts:
        return Line(part.text, part.key, truth, parts=tuple(_line(inner, found, seen) for inner in part.parts))
    positive = part.test.arg if isinstance(part.test, core.Not) else part.test
    if truth is None:
        return Line(f"{part.text} (waits for {', '.join(scores)})", part.key, None, identity=positive.fingerprint)

    def later(day: date) -> core.Test:
        scope = found.scope_on(day)
        if part.condition is not None:
            return part.condition.reduce(scope)
        return part.segment.reduce(scope).population if part.segment is not None else part.test

    turn = facts.turn(part.test, not truth, seen)
    return Line(
        part.text, part.key, truth, facts.facts(part.test, seen, later), turn or "", identity=positive.fingerprint,
        fixed=turn is None,
    )


def _told(
    found: Published, asked_for: str, canonical: str, person: Row, rejected: list[str], tree: _Part,
    considered: tuple[_Part, ...], limit: Line | None, seen: Found,
) -> Why:
    lines = tuple(_line(part, found, seen) for part in considered)
    told = _line(tree, found, seen)
    whole = (*lines, told, *([limit] if limit else []))
    truths = [line.holds for line in whole]
    holds = False if False in truths or not person["_evaluated"] else None if None in truths else True
    since = (person["_published"] or {}).get(found.segment.id)
    notes = [*_notes(found, asked_for, canonical, person, seen), *rejected]
    member = found.segment.id in (person["_published"] or {})
    if found.held is not None and holds is not None and holds != member:
        notes.append(f"its conditions would say {'yes' if holds else 'no'}")
    if found.held is None and holds is not None and holds != member:
        notes.append("what is published disagrees with the conditions: a table was changed behind the published run")
    settled = found.held is None and person["_evaluated"]
    flips = smallest(Line("", "all", holds, parts=whole)) if settled and holds is not None else ()
    return Why(
        customer_id=canonical, segment_id=found.segment.id, title=found.segment.title,
        snapshot_date=found.run.snapshot_date, run_id=found.run.run_id, member=member, since=since, holds=holds,
        decided_by=_decided_by(found, person, lines, told, limit), tree=told, considered=lines, limit=limit,
        held=found.held is not None, notes=tuple(notes),
        to_flip=tuple(tuple(f"{line.text}: {line.turn}" for line in one) for one in flips),
    )


def _decided_by(found: Published, person: Row, considered: tuple[Line, ...], tree: Line, limit: Line | None) -> str:
    """What settled the answer, the first that applies."""
    if not person["_evaluated"]:
        if person["_known"]:
            return "the day: the customer was created after it, and is not evaluated"
        return "the day: no event or order of theirs lies before its end, so they are not evaluated"
    if found.held is not None:
        return f"the segment's state: {found.held}"
    refused = [line.text for line in considered if line.holds is False]
    if refused:
        return f"whom the segment considers at all ({'; '.join(refused)})"
    if limit is not None and not limit.holds and tree.holds:
        return "its limit"
    return "its conditions"


def _notes(found: Published, asked_for: str, canonical: str, person: Row, seen: Found) -> list[str]:
    notes = []
    if asked_for != canonical:
        notes.append(f"{asked_for} was merged into {canonical}, whose rows count together")
    if not person["_known"]:
        notes.append("an anonymous visitor: the id does not stand in customers")
    if found.row.state is DefinitionState.BROKEN:
        notes.append(f"its file is broken, so its last valid version counts: {found.row.reason}")
    holdout = found.segment.holdout
    if holdout:
        bucket = seen.buckets[holdout.salt]
        inside = bucket < holdout.percent
        notes.append(
            f"{'held out' if inside else 'not held out'}: bucket {bucket} of 100, of which those below "
            f"{holdout.percent} stay members but are left out of exports and sync"
        )
    return notes
