"""What every condition type has: a case for each of its keys, and examples that the engine and the oracle agree on."""

from __future__ import annotations

import importlib
import inspect
import random
import re
from collections.abc import Iterator, Mapping
from datetime import timedelta

import pytest
from agreement import engine_members, segments_of, settings_for, write
from cases import BERLIN, DAY
from oracle import Data, members
from oracle.people import gather
from oracle.times import Clock
from strategies import CATALOGUE
from strategies.draw import SeededDraw
from strategies.rows import draw_data

from segment_lib import clock as engine_clock
from segment_lib.conditions import REGISTRY, Condition
from segment_lib.language.comparison import Comparison
from segment_lib.plan import build_plan
from segment_lib.storage import Lake
from segment_lib.strict_yaml import parse

#: Types whose cases no night can show, as no model publishes what they compare.
WAITING = {"score"}
OPERATORS = {info.alias or name for name, info in Comparison.model_fields.items()}


def parts(value: object) -> Iterator[Mapping]:
    """Every mapping in a definition, however deep."""
    if isinstance(value, Mapping):
        yield value
    for part in value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ():
        yield from parts(part)


def shown(condition: type[Condition]) -> set[str]:
    """The keys that the cases of a condition type write beside its own."""
    tests = importlib.import_module(f"conditions.test_{condition.__module__.rpartition('.')[2]}")
    mappings = (part for case in tests.CASES for part in parts(case.where))
    return {key for mapping in mappings if condition.key in mapping for key in mapping}


@pytest.mark.parametrize("key", sorted(REGISTRY.keys() - WAITING))
def test_each_key_has_a_case(key):
    condition = REGISTRY[key]
    own = {info.alias or name for name, info in condition.model_fields.items()}
    assert own - OPERATORS <= shown(condition)


def test_each_operator_has_a_case():
    assert shown(REGISTRY["customer"]) >= OPERATORS


# Examples ------------------------------------------------------------------------------------------------------------

#: Names in the examples that the random rows have under another one.
NAMES = {"newsletter": "beta"}
#: What an example refers to.
OTHERS = {"loyal": {"where": {"customer": "registered", "is": True}}}


def examples() -> dict[str, dict]:
    """The examples in the docstrings as definitions, by a name that says whose it is."""
    found = {}
    for key, condition in sorted(REGISTRY.items()):
        text = inspect.cleandoc(condition.__doc__ or "")
        for number, block in enumerate(re.findall(r"```yaml\n(.*?)```", text, flags=re.S)):
            where = {name: NAMES.get(str(part), part) for name, part in parse(block, "example.yaml").value.items()}
            found[f"{key}_{number}"] = {"where": where}
    return found


EXAMPLES = examples()
AS_A_SCORE = {name for name, definition in EXAMPLES.items() if "score" in definition["where"]}


def dense() -> Data:
    """Customers and orders of one random dataset with the events of many, so that rare conditions hold for somebody."""
    drawn = [draw_data(SeededDraw(random.Random(seed)), Clock(DAY, BERLIN)) for seed in range(40)]
    events = [row | {"event_id": f"{n}.{row['event_id']}"} for n, data in enumerate(drawn) for row in data.events]
    first = drawn[0]
    return Data(first.customers, events, first.orders, first.lists, first.aliases, first.erased)


@pytest.fixture(scope="module")
def found(spark, tmp_path_factory) -> tuple[dict[str, set[str]], dict[str, set[str]], int]:
    """The members of each example by the engine and by the oracle, and how many people there are."""
    data, clock = dense(), Clock(DAY, BERLIN)
    ids = [row["customer_id"] for row in data.customers]
    published = {"loyal": {id: DAY - timedelta(days=day) for day, id in enumerate(ids)}}
    definitions = {name: EXAMPLES[name] for name in EXAMPLES if name not in AS_A_SCORE} | OTHERS
    settings = settings_for(str(tmp_path_factory.mktemp("examples")), BERLIN.key)
    lake = Lake(spark, settings)
    write(spark, lake, data)
    return (
        engine_members(spark, lake, settings, definitions, DAY, published),
        members(definitions, data, DAY, BERLIN, CATALOGUE, published),
        len(gather(data, clock.as_of)),
    )


@pytest.mark.parametrize("name", sorted(EXAMPLES.keys() - AS_A_SCORE))
def test_an_example_finds_the_same_on_both(name, found):
    engine, oracle, _ = found
    assert engine[name] == oracle[name]


def test_most_examples_tell_people_apart(found):
    """One that holds for nobody, or for everyone, shows little."""
    engine, _, people = found
    told_apart = [name for name in EXAMPLES.keys() - AS_A_SCORE if 0 < len(engine[name]) < people]
    assert len(told_apart) >= 0.8 * len(EXAMPLES)


@pytest.mark.parametrize("name", sorted(AS_A_SCORE))
def test_an_example_with_a_score_waits(name):
    settings = settings_for("", BERLIN.key)
    plan = build_plan(segments_of({name: EXAMPLES[name]}, settings), settings.names(), engine_clock.Clock(DAY, BERLIN))
    assert plan.stalled[name].startswith("waiting for scores: ")
