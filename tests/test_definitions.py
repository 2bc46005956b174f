"""Definitions: what is accepted, what is refused and with which words, and that files and Python give equal objects."""

from __future__ import annotations

import json
import re
from datetime import date
from decimal import Decimal

import pytest

from segment_lib import build, core
from segment_lib.catalogue import Catalogue, Type
from segment_lib.conditions import REGISTRY
from segment_lib.definition.load import load_segments, load_texts
from segment_lib.definition.schema import json_schema
from segment_lib.definition.segment import Segment
from segment_lib.errors import ConfError
from segment_lib.language.model import quoted
from segment_lib.strict_yaml import parse

CATALOGUE = Catalogue(
    event_types={
        "page_viewed": {}, "product_viewed": {}, "checkout_completed": {"order_id": Type.TEXT}, "added_to_cart": {},
    },
    customer_fields={"tags": Type.TEXTS, "points": Type.INTEGER},
    order_statuses=("paid", "cancelled"), purchase_statuses=("paid",), lists=("newsletter",),
)


def issues(text: str, name: str = "x", **others: str) -> list[str]:
    texts = {f"{name}.yaml": text, **{f"{other}.yaml": content for other, content in others.items()}}
    return [str(issue) for issue in load_texts(texts, CATALOGUE).issues]


# Each row: a definition, and the one line that must come back.
FAULTS = [
    ("where: {custmer: country, is: DE}", "x.yaml:1: where: no condition is named 'custmer'; did you mean 'customer'?"),
    ("where:\n  customer: contry\n  is: DE", "x.yaml:2: where.customer: unknown customer field 'contry'; did you mean 'country'?"),
    ("where:\n  did: page_viewd", "x.yaml:2: where.did: unknown event type 'page_viewd'; did you mean 'page_viewed'?"),
    ("where:\n  ordered: piad", "x.yaml:2: where.ordered: unknown order status 'piad'; did you mean 'paid'?"),
    ("where: {segment: vip}", "x.yaml:1: where.segment: unknown segment 'vip'; known: x"),
    ("where: {list: newsleter}", "x.yaml:1: where.list: unknown list 'newsleter'; did you mean 'newsletter'?"),
    ("where: {score: churn.risk, at_least: 1}", "x.yaml:1: where.score: unknown score 'churn.risk'; did you mean 'churn.risk_rate'?"),
    ("where:\n  did: any\n  cnt: 2", "x.yaml:3: where.cnt: unknown key 'cnt'; did you mean 'count'?"),
    ("where: {did: any, ordered: any}", "x.yaml:1: where: two conditions at one level: did, ordered; put them into all: [...] or any: [...]"),
    ("where: {all: []}", "x.yaml:1: where.all: an empty list; write at least one entry"),
    ("where: {customer: country, is: 5}", 'x.yaml:1: where.is: 5 is not text, but the field is; quote it: "5"'),
    ("where: {customer: points, is: many}", "x.yaml:1: where.is: 'many' is not a number, but the field is"),
    ("where: {customer: registered, is: 'yes'}", "x.yaml:1: where.is: 'yes' is neither true nor false, but the field is boolean"),
    ("where: {customer: birthday, before: soon}", "x.yaml:1: where.before: soon is not a date; write 2026-03-29, or 2026-03-29T12:30 for a time"),
    ("where: {customer: city, at_least: a}", "x.yaml:1: where.at_least: at_least does not fit a value of type text; these do: is, is_not, in, not_in, contains, not_contains, starts_with, ends_with, matches, known"),
    ("where: {customer: city, matches: 'a(?=b)'}", "x.yaml:1: where.matches: 'a(?=b)' is not a regular expression: invalid perl operator: (?=; RE2 syntax, no look-around or backreference"),
    ("where: {customer: city}", "x.yaml:1: where: no operator; add one, such as is, at_least, in_last or known"),
    ("where: {customer: city, is: }", "x.yaml:1: where.is: 'is' has no value; write one or leave the key out (known: false asks for missing)"),
    ("where:\n  did: any\n  within:", "x.yaml:3: where.within: 'within' has no value; write one or leave the key out"),
    ("where:\n  did:", "x.yaml:2: where.did: 'did' has no value; write one"),
    ("where:\n  did: any\n  where: {amount: }", "x.yaml:3: where.where.amount: 'amount' has no value; write one or leave the key out (known: false asks for missing)"),
    ("where: {did: any}\nowner:", "x.yaml:2: owner: 'owner' has no value; write one or leave the key out"),
    ("where: {customer: points, between: [9, 1]}", "x.yaml:1: where.between: between [9, 1] has the larger end first; write the smaller first"),
    ("where: {customer: created_at, ago: [3d, 9d]}", "x.yaml:1: where.ago: ago runs from the farther to the nearer: write [9d, 3d]"),
    ("where: {did: any, within: 3x}", "x.yaml:1: where.within: '3x' is not a length of time; write 30min, 12h, 30d, 8w, 6mo or 1y"),
    ("where: {did: any, within: {from: 2026-02-01, to: 2026-01-01}}", "x.yaml:1: where.within: the window ends (2026-01-01) before it starts (2026-02-01)"),
    ("where: {did: any, where: {amount: {at_least: {percentile: 9}}}}", "x.yaml:1: where.where.amount.at_least: a percentile compares a customer with others; a filter looks at one row; use it on the aggregate or on a customer field"),
    ("where: {did: any, sum: {of: channel, at_least: 1}}", "x.yaml:1: where.sum.of: channel is text, and sum needs a number"),
    ("where: {did: any, count: 2, sum: {of: amount, at_least: 1}}", "x.yaml:1: where: one aggregate a condition, not count and sum; combine two conditions with all"),
    ("where: {did: any, where: {amount: {at_least: 0.123456789}}}", "x.yaml:1: where.where.amount.at_least: 0.123456789 cannot be compared exactly; at most 20 digits and 8 places"),
    ("where: {ordered: any, items: {same: product_id}}", "x.yaml:1: where.items: same needs a sum to compare, such as quantity: {sum: {at_least: 2}}"),
    ("where: {split: {salt: a, from: 50, to: 50}}", "x.yaml:1: where.split: buckets [50, 50) are none; from must be less than to"),
    ("where: {stopped: page_viewed, within: 30d, quiet: 30d}", "x.yaml:1: where.quiet: quiet (30d) must be shorter than within (30d)"),
    ("where: {regularly: page_viewed, every: 7d, periods: {of: 4, at_least: 5}}", "x.yaml:1: where.periods: at_least 5 of 4 periods can never be"),
    ("where: {sequence: [{did_not: page_viewed}, {did: page_viewed}]}", "x.yaml:1: where.sequence[0].did_not: a sequence cannot begin with did_not: there is no step before it"),
    ("where: {value: {ordered: any}, at_least: 3}", "x.yaml:1: where.value: a value needs one aggregate, such as count: true or sum: revenue"),
    ("where: {sql: 'reflect(1)'}", "x.yaml:1: where.sql: sql is off; write it with the other conditions, or let conf say catalogue: {sql: true}"),
    ("kind: statc\nwhere: {did: any}", "x.yaml:1: kind: 'statc' is not possible here; write 'dynamic' or 'static'"),
    ("name: a", "x.yaml:1: missing key 'where'"),
    # Values are said as YAML writes them, and what is missing or too much as a person counts it.
    ("where: {customer: registered, is: 0.50}", "x.yaml:1: where.is: 0.50 is neither true nor false, but the field is boolean"),
    ("where: {customer: points, is: true}", "x.yaml:1: where.is: true is not a number, but the field is"),
    ("where: {customer: city, is: true}", 'x.yaml:1: where.is: true is not text, but the field is; quote it: "true"'),
    ("where: {customer: city, known: 0.5}", "x.yaml:1: where.known: true or false is needed here, not 0.5"),
    ("where: {customer: city, known: {a: 1}}", "x.yaml:1: where.known: true or false is needed here, not a mapping"),
    ("where: {customer: city, matches: '\\d('}", "x.yaml:1: where.matches: '\\d(' is not a regular expression: missing ): \\d(; RE2 syntax, no look-around or backreference"),
    ("where: {customer: birthday, in_last: {a: 1}}", "x.yaml:1: where.in_last: {a: 1} is not a length of time; write 30min, 12h, 30d, 8w, 6mo or 1y"),
    ("where: {customer: points, between: [1]}", "x.yaml:1: where.between: a list of 2 is needed here, not of 1"),
    ("where: {customer: points, between: [1, 2, 3]}", "x.yaml:1: where.between: at most 2 entries are possible here, not 3"),
    ("where: {customer: points, at_least: {percentil: 9}}", "x.yaml:1: where.at_least.percentil: unknown key 'percentil'; did you mean 'percentile'?"),
    ("where: {consent: {channel: [email, '5', null]}}", "x.yaml:1: where.consent: {channel: [email, '5', null]} is not possible here; write 'email', 'sms' or 'push'"),
    ("where: {consent: [[[[email]]]]}", "x.yaml:1: where.consent: [[[...]]] is not possible here; write 'email', 'sms' or 'push'"),
    ("where: {consent: \"it's\"}", "x.yaml:1: where.consent: \"it's\" is not possible here; write 'email', 'sms' or 'push'"),
    ("where: {customer: points, between: []}", "x.yaml:1: where.between: a list of 2 is needed here, not of 0"),
    ("where: {did: any, within: {before: }}", "x.yaml:1: where.within.before: 'before' has no value; write one or leave the key out"),
    ("where: {did: any, queit: 30d}", "x.yaml:1: where.queit: unknown key 'queit'; known: avg, count, did, distinct, first, latest, max, min ... and 4 more"),
    # An operator that does not belong here is no slip of the one that looks like it.
    ("where: {segment: x, member_for: {in_last: 3d}}", "x.yaml:1: where.member_for.in_last: unknown key 'in_last'; known: at_least, at_most, between, less_than, more_than"),
    ("where: {value: {did: any, where: {amnt: 1}, count: true}, at_least: 1}", "x.yaml:1: where.value.where.amnt: unknown event property 'amnt'; did you mean 'amount'?"),
    ("where: {split: {}}", "x.yaml:1: where.split: missing keys 'salt', 'from' and 'to'"),
    ("where: {did: any}\nguard: {change: {a: 0.5}}", "x.yaml:2: guard.change: {a: 0.5} is not a percentage; write 30%"),
    ("where: {did: any}\nname: ''", "x.yaml:2: name: empty text; write at least one character"),
    ("where: {did: any}\nlimit: {top: 5, by: {custmer: points}}", "x.yaml:2: limit.by.custmer: unknown key 'custmer'; did you mean 'customer'?"),
    ("where: {is: DE, customr: country}", "x.yaml:1: where: no condition is named 'customr'; did you mean 'customer'?"),
    ("where: {xyzzy: 1, customr: country}", "x.yaml:1: where: no condition is named 'customr'; did you mean 'customer'?"),
    ("where: {DID: any}", "x.yaml:1: where: no condition is named 'DID'; did you mean 'did'?"),
    ("where: {within: 30d}", "x.yaml:1: where: only 'within' here, which names no condition; add the key that does, such as did: any"),
    ("id: y\nwhere: {did: any}", "x.yaml:1: id: the file name is the id; leave the key out"),
    ("- a", "x.yaml:1: a definition is a mapping with the key 'where'"),
    ("where: {did: any}\nwhere: {did: any}", "x.yaml:2: where: key 'where' stands twice; first in line 1; keep one"),
    ("where: &a {did: any}", "x.yaml:1: anchors and aliases are not allowed; write it out"),
    ("where: !!python/object:os.system {did: any}", "x.yaml:1: where: the tag 'python/object:os.system' is not allowed; write a plain value"),
    ("where: {did: any", "x.yaml:1: not valid YAML: expected ',' or '}', but got '<stream end>'"),
    ("where: {segment: x}", "x.yaml:1: where: segments refer to each other in a circle: x -> x; break it at one of them"),
]


@pytest.mark.parametrize(("text", "expected"), FAULTS, ids=[expected[10:60] for _, expected in FAULTS])
def test_fault(text, expected):
    """Every fault says where it is, what is wrong, and what to write instead."""
    assert issues(text) == [expected]


#: Words of Python and of pydantic that no message may have.
OF_PYTHON = re.compile(r"Decimal|tuple|None|True|False|Input|input should|after validation|<class|=\w+\[|\bdict\b|missing key '\d")
#: Values of every kind; each is wrong for most keys.
SLIPS = (
    "", "''", "0.5", "-1", "true", "yes please", "[]", "[0.5]", "[[a]]", "{}", "{a: 0.5}", "{is: 0.5}", "{at_least: [1]}", "30 days",
    "{in_last: {a: 1}}", "[a, 1, 2]", "2026-13-01",
)


def slips():
    """Every key of every condition type and of the segment itself, with every value, beside what else it needs."""
    for key, condition in sorted(REGISTRY.items()):
        block = re.findall(r"```yaml\n(.*?)```", condition.__doc__ or "", flags=re.S)[0]
        example = parse("\n".join(line.removeprefix("    ") for line in block.splitlines()), "x").value
        for name in [info.alias or name for name, info in condition.model_fields.items()]:
            for slip in SLIPS:
                others = "".join(f"  {other}: {json.dumps(part, default=float)}\n" for other, part in example.items() if other != name)
                yield f"where:\n{others}  {name}: {slip}\n"
    for name in [info.alias or name for name, info in Segment.model_fields.items() if name not in ("id", "where")]:
        for slip in SLIPS:
            yield f"where: {{did: any}}\n{name}: {slip}\n"


def test_no_fault_shows_python():
    """Whatever stands at whatever key, what is said of it is in words of the file."""
    faulty = 0
    for text in slips():
        found = issues(text)
        faulty += bool(found)
        assert not [line for line in found if OF_PYTHON.search(line)], text
    assert faulty > 2_000


@pytest.mark.parametrize(("value", "said"), [
    ("DE", "'DE'"), ("it's", '"it\'s"'), ("a\nb", '"a\\nb"'), (Decimal("0.50"), "0.50"), (1.5, "1.5"), (True, "true"), (None, "null"),
    (date(2026, 3, 29), "2026-03-29"), ({"a": ("b", "true", "30d", "5")}, "{a: [b, 'true', 30d, '5']}"),
    ({"a": [["b"]]}, "{a: [[b]]}"), ("x" * 99, "'" + "x" * 79 + " ..."),
])
def test_a_value_is_said_as_yaml_writes_it(value, said):
    assert quoted(value) == said


def test_what_is_said_of_a_value_reads_back_as_that_value():
    value = {"a": [Decimal("0.5"), 3, False, None, "no", "12", "1.5", "it's", "a: b"], "b c": {"d": "2026-01-01", "e": "~"}}
    assert parse("".join(quoted({key: part})[1:-1] + "\n" for key, part in value.items()), "x").value == value


def test_every_fault_of_every_file_at_once():
    """Faults in different parts of one file and in other files are reported together, in order."""
    found = issues(
        "where:\n  all:\n    - {customer: contry, is: DE}\n    - {customer: city, at_least: 3}\n    - {did: nothing}\n",
        b="where: {did: any, cnt: 2}",
    )
    assert [line.split(": ")[0] for line in found] == ["b.yaml:1", "x.yaml:3", "x.yaml:4", "x.yaml:5"]


# Each row: a definition with faults of form and unknown names, and the lines that must come back.
MIXED = [
    ("where:\n  all:\n    - {did: any, cnt: 2}\n    - {did: page_viewd}", [
        "x.yaml:3: where.all[0].cnt: unknown key 'cnt'; did you mean 'count'?",
        "x.yaml:4: where.all[1].did: unknown event type 'page_viewd'; did you mean 'page_viewed'?",
    ]),
    ("where:\n  did: page_viewd\n  cnt: 2", [
        "x.yaml:2: where.did: unknown event type 'page_viewd'; did you mean 'page_viewed'?",
        "x.yaml:3: where.cnt: unknown key 'cnt'; did you mean 'count'?",
    ]),
    # What is left after the unknown key has no operator; that follows from the key, and is not told.
    ("where:\n  any:\n    - {customer: contry, iss: DE}\n    - {customer: city, at_least: 3}", [
        "x.yaml:3: where.any[0].customer: unknown customer field 'contry'; did you mean 'country'?",
        "x.yaml:3: where.any[0].iss: unknown key 'iss'; did you mean 'is'?",
        "x.yaml:4: where.any[1].at_least: at_least does not fit a value of type text; these do: is, is_not, in, not_in, "
        "contains, not_contains, starts_with, ends_with, matches, known",
    ]),
    ("kind: statc\nowner: [a]\nwhere:\n  not:\n    none:\n      - {custmer: country}\n      - {list: newsleter}", [
        "x.yaml:1: kind: 'statc' is not possible here; write 'dynamic' or 'static'",
        "x.yaml:2: owner: text is needed here, not a list",
        "x.yaml:6: where.not.none[0]: no condition is named 'custmer'; did you mean 'customer'?",
        "x.yaml:7: where.not.none[1].list: unknown list 'newsleter'; did you mean 'newsletter'?",
    ]),
    ("where:\n  all:\n    - {did: any, within: 3x, where: {contry: DE}}\n    - {segment: y}", [
        "x.yaml:3: where.all[0].within: '3x' is not a length of time; write 30min, 12h, 30d, 8w, 6mo or 1y",
        "x.yaml:4: where.all[1].segment: unknown segment 'y'; known: x",
    ]),
    ("wher: {did: a}\nlimit: {top: 0, by: {customer: contry}}\nwhere: {ordered: piad}", [
        "x.yaml:1: wher: unknown key 'wher'; did you mean 'where'?",
        "x.yaml:2: limit.top: 1 or more is needed here, not 0",
        "x.yaml:3: where.ordered: unknown order status 'piad'; did you mean 'paid'?",
    ]),
    # The first fault of a step hides what is wrong with it as a whole; the other steps are checked.
    ("where:\n  all:\n    - sequence: [{did: any}, {dd: any}]\n    - {did: [{type: page_viewed, wher: {a: 1}}, oops]}", [
        "x.yaml:3: where.all[0].sequence[1].dd: unknown key 'dd'; did you mean 'did'?",
        "x.yaml:4: where.all[1].did[0].wher: unknown key 'wher'; did you mean 'where'?",
        "x.yaml:4: where.all[1].did[1]: unknown event type 'oops'; known: added_to_cart, any, checkout_completed, page_viewed, product_viewed",
    ]),
    ("where:\n  did: any\n  within:\n  count:", [
        "x.yaml:3: where.within: 'within' has no value; write one or leave the key out",
        "x.yaml:4: where.count: 'count' has no value; write one or leave the key out",
    ]),
    ("where:\n  regularly: any\n  every: 7d\n  periods: {of: 4, at_most: 2}", [
        "x.yaml:4: where.periods: missing key 'at_least'",
        "x.yaml:4: where.periods.at_most: unknown key 'at_most'; known: at_least, of",
    ]),
    # Of an event type that does not exist nobody knows the properties.
    ("where:\n  did: checkout_complted\n  where: {order_id: a}", [
        "x.yaml:2: where.did: unknown event type 'checkout_complted'; did you mean 'checkout_completed'?",
    ]),
]


@pytest.mark.parametrize(("text", "expected"), MIXED)
def test_faults_of_form_and_unknown_names_come_together(text, expected):
    """Both kinds at once, each once, and nothing that only follows from another."""
    assert issues(text) == expected


def test_cycle_is_shown_as_a_chain():
    found = issues("where: {segment: b}", name="a", b="where: {not: {segment: c}}", c="where: {segment: a}")
    assert "a -> b -> c -> a" in found[0] and len(found) == 3


def test_diamond_is_no_cycle():
    texts = {"a": "where: {all: [{segment: b}, {segment: c}]}", "b": "where: {segment: d}", "c": "where: {segment: d}"}
    assert issues("where: {did: any}", name="d", **texts) == []


@pytest.mark.parametrize("name", ["A", "1a", "a-b", "x" * 64, "a b"])
def test_file_name_must_be_an_id(name):
    assert "cannot be a segment id" in issues("where: {did: any}", name=name)[0]


def test_reference_to_a_broken_file_is_no_fault_of_the_referrer():
    loaded = load_texts({"a.yaml": "where: {segment: b}", "b.yaml": "where: {oops: 1}"}, CATALOGUE)
    assert [segment.id for segment in loaded.segments] == ["a"] and set(loaded.broken) == {"b"}


def test_files_that_are_not_text(tmp_path):
    (tmp_path / "a.yaml").write_bytes(b"where: \xff\xfe")
    (tmp_path / "b.yml").write_text("where: {did: any}")
    found = [str(issue).removeprefix(str(tmp_path)) for issue in load_segments(tmp_path, CATALOGUE).issues]
    assert found == ["/a.yaml:1: not UTF-8 text; save it as UTF-8",
                     "/b.yml:1: definitions end in .yaml; rename it to b.yaml"]


def test_yaml_is_read_strictly():
    """Norway is no boolean, numbers keep their digits, and dates and 1_000 are text."""
    value = parse("a: NO\nb: 0.30\nc: 1_000\nd: 2026-01-01\ne: true\nf: '5'\ng: 012\nh: ~", "x").value
    assert {key: str(part) for key, part in value.items()} == {
        "a": "NO", "b": "0.30", "c": "1_000", "d": "2026-01-01", "e": "True", "f": "5", "g": "12", "h": "None",
    }


def test_huge_file_is_refused():
    assert "larger than" in issues("x: " + "a" * 1_000_001)[0]


def test_file_and_python_give_equal_objects():
    text = """
    name: Loyal
    eligible: [registered, email]
    where:
      all:
        - {ordered: purchases, within: 365d, count: {at_least: 3}, items: {product_id: tea, quantity: {sum: {at_least: 2}}}}
        - {did: [{type: page_viewed, where: {channel: email}}, added_to_cart], within: {ago: [60d, 30d]}}
        - any:
          - {customer: country, in: [DE, NO]}
          - not: {customer: email, known: true}
        - {customer: created_at, between: [2026-01-01, 2026-02-01]}
        - {did: any, sum: {of: amount, at_least: 0.50}}
        - {split: {salt: a, from: 0, to: 50}}
    """
    (read,) = load_texts({"loyal.yaml": text}, CATALOGUE).segments
    built = build.segment("loyal", name="Loyal", eligible=["registered", "email"], where=build.all_of(
        build.ordered("purchases", within="365d", count={"at_least": 3},
                      items={"product_id": "tea", "quantity": {"sum": {"at_least": 2}}}),
        build.did([{"type": "page_viewed", "where": {"channel": "email"}}, "added_to_cart"], within={"ago": ["60d", "30d"]}),
        build.any_of(build.customer("country", in_=["DE", "NO"]), build.not_(build.customer("email", known=True))),
        build.customer("created_at", between=["2026-01-01", "2026-02-01"]),
        build.did("any", sum={"of": "amount", "at_least": 0.5}),
        build.split("a", 0, 50),
    ))
    assert read == built and hash(read) == hash(built)
    assert read.definition_hash == built.definition_hash
    assert Segment.from_json(read.to_json()) == read


def test_builder_reports_faults():
    with pytest.raises(ConfError, match="unknown key 'cnt'; did you mean 'count'"):
        build.did("any", cnt=2)


def test_hash_follows_the_result_and_not_the_words():
    base = build.segment("a", where=build.did("any"))
    assert base.definition_hash == build.segment("a", name="B", tags=["t"], where=build.did("any")).definition_hash
    assert base.definition_hash != build.segment("a", anonymous=False, where=build.did("any")).definition_hash
    assert base.definition_hash != build.segment("a", where=build.did("any", within="1d")).definition_hash


def _documented():
    for key, condition in sorted(REGISTRY.items()):
        for block in re.findall(r"```yaml\n(.*?)```", condition.__doc__ or "", flags=re.S):
            yield pytest.param(condition, block, id=key)


_EXAMPLES = list(_documented())


@pytest.mark.parametrize(("condition", "block"), _EXAMPLES)
def test_documented_example_reads_as_its_condition(condition, block):
    """Every condition type has an example in its docstring, and the example is valid, has a label, and comes back."""
    lines = [line.removeprefix("    ") for line in block.splitlines()]
    document = parse("\n".join(lines), "example.yaml").value
    read = condition.model_validate(document)
    assert read.label()
    assert condition.model_validate(read.to_plain()) == read


def test_every_condition_has_an_example():
    assert {param.id for param in _EXAMPLES} == set(REGISTRY)


def test_pending_conditions_are_named_as_warnings():
    assert issues("where: {score: churn.risk_rate, at_least: 0.5}") == [
        "x.yaml:1: where: warning: waiting for scores: churn.risk_rate"
    ]
    assert issues("where: {not: {value: {score: value.ltv}, more_than: {score: value.predicted_revenue}}}") == [
        "x.yaml:1: where: warning: waiting for scores: value.ltv, value.predicted_revenue"
    ]


def test_equal_features_are_one_feature():
    texts = {
        "a.yaml": "where: {did: page_viewed, within: 30d, count: {at_least: 2}}",
        "b.yaml": "where: {did: [page_viewed], within: {ago: [31d, 1d]}}",
        "c.yaml": "where: {did: page_viewed, within: 30d, count: {at_most: 7}}",
    }
    from datetime import date
    from zoneinfo import ZoneInfo

    from segment_lib.clock import Clock
    from segment_lib.plan import build_plan

    plan = build_plan(load_texts(texts, CATALOGUE).segments, CATALOGUE, Clock(date(2026, 5, 1), ZoneInfo("UTC")))
    assert len(plan.features) == 2 and all(isinstance(feature, core.Feature) for feature in plan.features)


VALID = [
    "where: {customer: country, in: [DE, NO]}",
    "name: A\nwhere: {all: [{did: page_viewed, count: 2}, {not: {ordered: [paid], within: 30d}}]}",
    "where: {ordered: any, items: {same: product_id, quantity: {sum: {at_least: 2}}}}",
    "where: {did: [{type: page_viewed, where: {any: [{channel: email}, {amount: {more_than: 2}}]}}], within: {from: 2026-01-01}}",
    "where: {customer: birthday, anniversary: {in_next: 7d}}",
]


@pytest.mark.parametrize("text", VALID)
def test_json_schema_accepts_what_validate_accepts(text):
    jsonschema = pytest.importorskip("jsonschema")
    assert issues(text) == []
    jsonschema.validate(parse(text, "x").value, json_schema(CATALOGUE))


@pytest.mark.parametrize("text", [
    "where: {customer: contry, is: DE}", "where: {did: page_viewd}", "where: {did: any, cnt: 2}", "where: {all: []}",
    "kind: statc\nwhere: {did: any}", "name: a",
])
def test_json_schema_refuses_what_validate_refuses(text):
    jsonschema = pytest.importorskip("jsonschema")
    assert issues(text)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(parse(text, "x").value, json_schema(CATALOGUE))


def test_reference_page_is_what_the_code_says():
    """docs/conditions.md is written by ``python -m segment_lib.definition.reference``."""
    from pathlib import Path

    from segment_lib.definition.reference import markdown

    assert (Path(__file__).parents[1] / "docs" / "conditions.md").read_text(encoding="utf-8") == markdown()


@pytest.mark.parametrize("text", [
    "within: {from: 0001-01-01}", "within: {to: 9999-12-31}", "within: 1000y", "within: {before: 1000y}",
])
def test_the_ends_of_the_calendar_are_no_fault(text):
    assert issues(f"where: {{did: page_viewed, {text}}}") == []


@pytest.mark.parametrize("text", [
    "where: {did: page_viewed, within: 999999d}",
    "where: {regularly: page_viewed, every: 9y, periods: {of: 120, at_least: 1}}",
])
def test_a_length_of_time_has_a_limit(text):
    (issue,) = issues(text)
    assert "is longer than 1000 years" in issue


def test_entries_are_not_ranked():
    """Dates of entry exist only while members are decided, when percentiles are settled already."""
    assert any("a percentile compares a customer with others" in issue
               for issue in issues("where: {segment: other, entered: {at_least: {percentile: 9}}}"))


def test_a_definition_is_written_as_its_file_has_it():
    """What Python built, as text: read back it is the same, with the key that names a condition before its others."""
    built = build.segment("quiet", name="Quiet: 1", where=build.all_of(
        build.did("product_viewed", within="90d", count={"at_least": 3}),
        build.not_(build.ordered("any", within="90d")), build.customer("country", in_=["AT", "1"]),
    ))
    text = built.to_yaml()
    assert "- did: product_viewed\n      within: 90d" in text and 'name: "Quiet: 1"' in text and not text.startswith("id:")
    (read,) = load_texts({"quiet.yaml": text}, Catalogue(event_types={"product_viewed": {}})).segments
    assert read == built


def test_a_plan_shows_as_tables_in_a_notebook():
    """Every text is escaped: a name is what a person wrote."""
    from zoneinfo import ZoneInfo

    from segment_lib.clock import Clock
    from segment_lib.plan import build_plan

    where = build.did("product_viewed", where={"channel": "<script>"}, within="90d")
    catalogue = Catalogue(event_types={"product_viewed": {}})
    plan = build_plan([build.segment("a", where=where)], catalogue, Clock(date(2026, 1, 31), ZoneInfo("UTC")))
    shown = plan._repr_html_()
    assert "<script>" not in shown and "&lt;script&gt;" in shown
    assert "2026-01-31" in shown and "events" in shown and ">a<" in shown
    assert ">2025-11-03T00:00:00+00:00<" in shown, "the start of the window"


def test_a_plan_tells_which_scores_a_segment_needs():
    from zoneinfo import ZoneInfo

    from segment_lib.clock import Clock
    from segment_lib.plan import build_plan

    catalogue = Catalogue(scores={"rfm.group": Type.TEXT})
    clock = Clock(date(2026, 1, 31), ZoneInfo("UTC"))
    own = build.segment("best", where={"score": "rfm.group", "is": "champions"})
    plan = build_plan([own], catalogue, clock, scores=frozenset({"rfm.group"}))
    assert [row["scores"] for row in plan.to_dict()["segments"]] == [["rfm.group"]]
    assert "<td>rfm.group</td>" in plan._repr_html_()
