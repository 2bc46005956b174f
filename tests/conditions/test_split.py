"""`split`: a stable share of customers."""

from __future__ import annotations

import pytest
from cases import Case, bought, each, issues, label, merged, person, told, words

from segment_lib import build
from segment_lib.errors import ConfError

#: By `printf 'spring_test\x1fada' | sha256sum`, its first 16 digits modulo 100; with the salt `other` ada is in 89.
BUCKETS = {"fay": 2, "cleo": 3, "emil": 30, "ada": 56, "ben": 77, "dora": 83}
PEOPLE = tuple(person(id) for id in BUCKETS)


def split(start: int, end: int, salt: str = "spring_test") -> dict:
    return {"split": {"salt": salt, "from": start, "to": end}}


def named(tag: str) -> tuple:
    """Ids that no other case has: the buckets of those with a tag are given where they are used."""
    return tuple(person(f"{id}.{tag}") for id in ("a", "b", "c", "d", "e"))


CASES = (
    Case("split", "buckets by SHA-256 of salt and id", {"all": [split(3, 57), {"customer": "city", "is": "hashed"}]},
         "ada cleo emil", tuple(person(id, city="hashed") for id in BUCKETS), plain_ids=True),
    Case("split", "0 to 100 is everyone, customers or not", split(0, 100), "guest one two", (
        person("one"), person("two"), bought("guest"))),
    Case("split", "two that meet leave no one out", {"any": [split(0, 37), split(37, 100)]}, "a.x b.x c.x d.x e.x",
         named("x")),
    Case("split", "and share no one", {"all": [split(0, 37), split(37, 100)]}, "", named("y")),
    Case("split", "growing it moves no one", {"all": [split(0, 30), {"not": split(0, 60)}]}, "", named("z")),
    Case("split", "an alias is in the bucket of its customer", {"any": [
        {"all": [split(0, 50), {"ordered": "any"}]}, {"all": [split(50, 100), {"ordered": "any"}]}]}, "main", (
            person("main"), merged("old", "main"), bought("old"))),
)


@each(CASES)
def test_case(case, answers):
    assert answers[case] == (case.found, case.found)


@words((split(0, 50), "bucket 0 to 50 of spring_test"))
def test_words(where, said):
    assert label(where) == said


@told(
    ("where:\n  split: {salt: a, from: 50, to: 50}",
     "x.yaml:2: where.split: buckets [50, 50) are none; from must be less than to"),
    ("where:\n  split: {salt: a, from: 0, to: 101}",
     "x.yaml:2: where.split.to: 100 or less is needed here, not 101"),
    ("where:\n  split: {salt: a, from: half, to: 50}", "x.yaml:2: where.split.from: a whole number is needed here, not "
     "'half'"),
    ("where:\n  split: {salt: a, to: 50}", "x.yaml:2: where.split: missing key 'from'"),
    ("where:\n  split: 50", "x.yaml:2: where.split: a mapping is needed here, not 50; "
     "write {salt: NAME, from: 0, to: 50}"),
)
def test_fault(text, said):
    assert issues(text) == [said]


def test_in_python_the_buckets_are_arguments():
    assert build.split("a", 0, 50) == build.split(salt="a", start=0, end=50)
    assert build.split("a", 0, 50).to_plain() == split(0, 50, salt="a")
    with pytest.raises(ConfError, match="from must be less than to"):
        build.split("a", 50, 0)
