"""Ready segments: what is in them, whom they find, and the command that copies them into a project."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import jsonschema
import pytest
from commands import result, seglake
from ready_cases import CASES, DEMO, OFF, bought, crowd, day, did, found
from strategies import customer, line

from segment_lib.catalogue import SCORES, Catalogue
from segment_lib.conf import Conf
from segment_lib.definition.load import load_texts
from segment_lib.definition.schema import json_schema
from segment_lib.errors import EXIT_OK, EXIT_USAGE, StorageError, UsageError
from segment_lib.ready import GROUPS, choose, page, ready_segments
from segment_lib.ready.adding import add
from segment_lib.settings import Settings
from segment_lib.strict_yaml import parse

ROOT = Path(__file__).parent.parent
READY = {ready.id: ready for ready in ready_segments()}
PLAIN = [name for name, ready in READY.items() if not ready.scores]
BARE = Settings().names()
EVENT_TYPES = {
    "ad_interaction", "email", "influencer", "social_media", "organic_search", "referral", "page_viewed",
    "product_viewed", "collection_viewed", "search_submitted", "cart_viewed", "added_to_cart", "removed_from_cart",
    "checkout_started", "payment_info_submitted", "checkout_completed", "form_submission",
}


# The definitions ---------------------------------------------------------------------------------------------------


def test_all_are_valid_beside_the_definitions_of_the_demo_shop():
    shop = {file.name: file.read_text(encoding="utf-8") for file in (ROOT / "conf" / "segments").glob("*.yaml")}
    ready = {f"{name}.yaml": one.text for name, one in READY.items()}
    assert not shop.keys() & ready.keys(), "a demo shop must be able to add all of them"
    loaded = load_texts(shop | ready, DEMO)
    assert loaded.errors == () and len(loaded.segments) == len(shop) + len(ready)


def test_a_new_project_can_add_all_of_them():
    new = {file.stem for file in (ROOT / "segment_lib" / "templates" / "project" / "conf" / "segments").iterdir()}
    assert not new & READY.keys()


def test_ten_six_and_ten_by_their_names():
    titles = {group: {ready.title for ready in choose(group=group)} for group in GROUPS}
    assert titles["segmentify"] == {
        "Active Loyals", "Big Spenders", "Loyals at Risk", "Richie Riches", "Bulk Shoppers", "Sleeping Opportunists",
        "Churn Candidates", "One Time Shoppers", "Waiting First Order", "Lost Customers",
    }
    assert titles["attribuly"] == {
        f"{name} (RFM)" for name in ("Champions", "Loyal", "Recent", "Needs attention", "At risk", "Inactive")
    }
    assert len(titles["daily"]) == 10


@pytest.mark.parametrize("ready", READY.values(), ids=READY)
def test_each_fits_any_shop(ready):
    """Standard columns and the usual event types alone, no other segment, no list, no status, no currency."""
    segment = ready.segment
    assert ready.missing(Catalogue(event_types={name: {} for name in ready.event_types})) == ()
    assert set(ready.event_types) <= EVENT_TYPES and set(ready.scores) <= SCORES.keys()
    assert not segment.references() and "list:" not in ready.text
    assert segment.tags[0] == "ready" and [tag for tag in segment.tags if tag in GROUPS] == [ready.group]
    assert (segment.kind, segment.status) == ("dynamic", "active")


@pytest.mark.parametrize("ready", READY.values(), ids=READY)
def test_each_gives_its_reasons_in_two_to_five_sentences(ready):
    sentences = re.findall(r"[.!?](?:\s|$)", ready.description)
    assert 2 <= len(sentences) <= 5 and len(ready.description) > 250
    assert ("Strategy:" in ready.description) == (ready.group == "attribuly")
    assert max(map(len, ready.text.splitlines())) <= 120


def test_the_ten_of_segmentify_have_its_eligibility():
    for ready in choose(group="segmentify"):
        assert set(ready.segment.eligible) == {"registered", "purchasers", "email", "push"}, ready.id


def test_at_most_five_are_recommended_and_those_have_an_icon():
    icons = {name: ready.segment.recommended.icon for name, ready in READY.items() if ready.segment.recommended}
    assert icons == {"abandoned_carts": "cart", "loyals_at_risk": "bell", "vip": "star"}


def test_only_churn_needs_a_trained_model():
    assert {name for name, ready in READY.items() if ready.waits_for} == {
        "active_loyals", "loyals_at_risk", "churn_candidates", "lost_customers", "lapsed_vip"
    }


def test_most_work_without_scores():
    waiting = {name: ready.scores for name, ready in READY.items() if ready.scores}
    churn = {"active_loyals", "loyals_at_risk", "churn_candidates", "lost_customers", "lapsed_vip"}
    assert len(PLAIN) == 15
    assert waiting == dict.fromkeys(churn, ("churn.status",)) | {
        ready.id: ("rfm.group",) for ready in choose(group="attribuly")
    }


def test_the_six_groups_are_disjoint_and_total():
    """The model's table gives every buyer, whatever the three scores, one of six names; each has one segment."""
    asked = [parse(ready.text, ready.id).value["where"] for ready in choose(group="attribuly")]
    assert all(where.keys() == {"score", "is"} and where["score"] == "rfm.group" for where in asked)
    names = ("at_risk", "champions", "inactive", "loyal", "needs_attention", "recent")
    assert tuple(where["is"] for where in asked) == names


def test_editors_accept_them():
    checker = jsonschema.Draft202012Validator(json_schema(DEMO))
    for name, ready in READY.items():
        assert [fault.message for fault in checker.iter_errors(parse(ready.text, name).value)] == [], name


def test_event_types_are_found_wherever_they_stand():
    assert READY["browsed_not_bought"].event_types == ("added_to_cart", "product_viewed")
    assert READY["win_back_responders"].event_types == ()
    assert READY["browsed_not_bought"].missing(BARE) == (
        "event type 'product_viewed'", "event type 'added_to_cart'",
    )


# Whom they find: a person inside and one just outside, by the naive evaluator ----------------------------------------


def test_every_segment_that_needs_no_score_has_a_case():
    assert CASES.keys() == set(PLAIN)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_who_is_inside_and_who_just_outside(case):
    members_found, expected = case()
    assert members_found == expected


@pytest.mark.parametrize("name", ["discount_lovers", "sleeping_opportunists"])
def test_where_everything_is_always_discounted_no_one_is_special(name):
    orders = crowd(20, lambda who, number: bought(who, 10 * number, 10 * number + 1, **OFF))
    assert found(name, orders=orders) == set()


def test_where_most_come_untagged_one_channel_is_not_many():
    orders = crowd(20, lambda who, number: bought(who, 400))
    events = did("b01", "page_viewed", day(3), channel="google") + did("b02", "page_viewed", day(3))
    assert found("multi_channel", events=events, orders=orders) == set()


def test_where_everyone_uses_two_channels_three_are_many():
    orders = crowd(20, lambda who, number: bought(who, 400))
    events = [
        row for number in range(1, 21) for channel in ("google", "email", "tiktok")[: 2 + (number == 20)]
        for row in did(f"b{number:02d}", f"page_{channel}", day(3), channel=channel)
    ]
    assert found("multi_channel", events=events, orders=orders) == {"b20"}


@pytest.mark.parametrize("buyers", [1, 9, 30])
def test_equal_customers_are_never_the_top_of_each_other(buyers):
    lines = [line(product_id="tea", quantity=1, unit_price=Decimal(10))]
    orders = crowd(buyers, lambda who, number: bought(who, 5, 10, items=lines))
    for name in ("top_spenders", "richie_riches", "bulk_shoppers", "vip"):
        assert found(name, orders=orders) == set(), name


def test_loyals_at_risk_and_churn_candidates_share_out_the_repeat_buyers():
    """Apart from the score that both ask for, everyone with two or more purchases is in exactly one of them."""
    orders = crowd(40, lambda who, number: bought(who, *range(1, 1 + number // 4)))
    people = [customer(customer_id=f"idle{number}", registered=True) for number in range(20)]
    parts = {}
    for name in ("loyals_at_risk", "churn_candidates", "active_loyals"):
        where = parse(READY[name].text, name).value["where"]
        plain = {"all": [part for part in where["all"] if "score" not in part]}
        parts[name] = found(name, plain, orders=orders, customers=people)
    assert parts["active_loyals"] == parts["loyals_at_risk"]
    assert parts["loyals_at_risk"] and not parts["loyals_at_risk"] & parts["churn_candidates"]
    assert parts["loyals_at_risk"] | parts["churn_candidates"] == {f"b{number:02d}" for number in range(8, 41)}


# The command -------------------------------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """The segments folder of a new project, which is the current folder."""
    monkeypatch.chdir(tmp_path)
    seglake("init", "shop")
    monkeypatch.chdir(tmp_path / "shop")
    return tmp_path / "shop" / "conf" / "segments"


def files(folder: Path) -> dict[str, str]:
    return {file.stem: file.read_text(encoding="utf-8") for file in folder.glob("*.yaml")}


def without(project: Path, event_type: str) -> None:
    """Takes an event type out of the project's catalogue."""
    base = project.parent / "base.yaml"
    base.write_text(base.read_text().replace(f"    {event_type}: {{}}\n", ""))


def test_the_list_says_what_each_needs_and_whether_it_can_run(project):
    without(project, "added_to_cart")
    rows = {row["segment"]: row for row in result("ready")["segments"]}
    assert list(rows) == list(READY)
    assert rows["abandoned_carts"]["missing"] == ["event type 'added_to_cart'"]
    assert {name for name, row in rows.items() if not row["runs_here"]} == {"abandoned_carts", "browsed_not_bought"}
    assert (rows["rfm_loyal"]["scores"], rows["rfm_loyal"]["group"]) == (["rfm.group"], "attribuly")
    assert rows["vip"]["description"] == READY["vip"].description and rows["vip"]["recommended"] == "star"
    text = seglake("ready")
    assert "lacks event type 'added_to_cart'" in text and "when its scores are published" in text


def test_without_a_project_there_is_still_a_list(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = result("ready", "--group", "daily")
    assert len(told["segments"]) == 10 and "there is no conf folder" in told["note"]
    assert {row["runs_here"] for row in told["segments"]} == {None}


def test_with_a_faulty_conf_names_are_still_checked(project):
    base = project.parent / "base.yaml"
    base.write_text(base.read_text() + "rooot: x\n")
    told = result("ready", "vip")
    assert told["segments"][0]["runs_here"] is True and "seglake validate" in told["note"]
    assert "rooot" in result("ready", "vip", "--add", code=EXIT_USAGE)["error"]["message"]
    assert "vip" not in files(project)


def test_all_are_added_to_a_new_project_which_is_valid_then(project):
    before = files(project)
    done = result("ready", "--add", "all")
    assert files(project) == before | {name: ready.text for name, ready in READY.items()}
    assert done["written"] == [f"conf/segments/{name}.yaml" for name in READY]
    assert (done["unchanged"], done["left_out"]) == ([], [])
    assert set(done["waiting"]) == {name for name, ready in READY.items() if ready.waits_for}
    assert done["next"] == ["seglake validate", "seglake run"]
    assert result("validate")["valid"] == len(before) + len(READY)
    again = result("ready", "all", "--add")
    assert again["written"] == [] and len(again["unchanged"]) == len(READY)
    assert {row["in_project"] for row in result("ready")["segments"]} == {"same"}


def test_the_demo_shop_takes_all_of_them(tmp_path):
    conf = tmp_path / "conf"
    for file in (ROOT / "conf").rglob("*.yaml"):
        target = conf / file.relative_to(ROOT / "conf")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.read_bytes())
    done = result("ready", "--add", "all", "--conf", conf)
    assert len(done["written"]) == len(READY) and done["next"][0] == f"seglake validate --conf {conf}"
    checked = result("validate", "--conf", conf)
    assert checked["ok"] and not [issue for issue in checked["issues"] if issue["severity"] == "error"]


def test_some_are_added_by_id_or_by_group(project):
    assert len(result("ready", "--add", "vip", "lapsed_vip,new_customers")["written"]) == 3
    assert len(result("ready", "--add", "--group", "attribuly")["written"]) == 6
    told = seglake("ready", "--add", "--group", "daily")
    assert "7 written, 3 there already and equal" in told
    assert "waiting until their scores are published: lapsed_vip" in told
    assert len(files(project)) == 3 + 6 + 10


def test_a_file_with_other_content_is_never_overwritten(project):
    (project / "vip.yaml").write_text("where: {ordered: any}\n")
    (project / "new_customers.yaml").write_bytes(b"\xff")
    before = {file: file.read_bytes() for file in project.iterdir()}
    message = result("ready", "--add", "all", code=EXIT_USAGE)["error"]["message"]
    assert "conf/segments/vip.yaml" in message and "conf/segments/new_customers.yaml" in message
    assert "nothing was written" in message
    assert {file: file.read_bytes() for file in project.iterdir()} == before
    assert next(row for row in result("ready")["segments"] if row["segment"] == "vip")["in_project"] == "other"


def test_a_tenants_own_file_of_that_id_counts_too(project):
    own = project.parent / "tenants" / "shop" / "segments"
    own.mkdir(parents=True)
    (own / "vip.yaml").write_text("where: {ordered: any}\n")
    message = result("ready", "--add", "vip", code=EXIT_USAGE)["error"]["message"]
    assert "conf/tenants/shop/segments/vip.yaml" in message and "vip" not in files(project)
    (own / "vip.yaml").write_text(READY["vip"].text)
    assert result("ready", "--add", "vip")["unchanged"] == ["conf/tenants/shop/segments/vip.yaml"]


def test_what_conf_lacks_is_a_fault_by_name_and_left_out_of_a_group(project):
    without(project, "product_viewed")
    before = files(project)
    message = result("ready", "--add", "vip", "browsed_not_bought", code=EXIT_USAGE)["error"]["message"]
    assert "browsed_not_bought needs event type 'product_viewed'" in message and files(project) == before
    done = result("ready", "--add", "--group", "daily")
    assert done["left_out"] == [{"segment": "browsed_not_bought", "missing": ["event type 'product_viewed'"]}]
    assert len(done["written"]) == 9 and "browsed_not_bought" not in files(project)
    assert result("validate")["ok"]


def test_show_prints_the_file(project):
    assert seglake("ready", "--show", "vip") == READY["vip"].text
    assert seglake("ready", "--show", "vip", "lapsed_vip").count("# ") == 2
    assert result("ready", "--show", "vip")["segments"] == [{"segment": "vip", "yaml": READY["vip"].text}]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--add"], "say which"), (["--show"], "say which"), (["--add", "--show", "vip"], "give one of them"),
        (["--add", "vap"], "did you mean 'vip'?"), (["--group", "dayly"], "did you mean 'daily'?"),
        (["vip", "--group", "attribuly"], "in the group attribuly"),
        (["--add", "vip", "--conf", "no"], "no conf folder"),
    ],
)
def test_what_cannot_be_done_is_said_and_nothing_is_written(project, arguments, message):
    before = files(project)
    assert message in result("ready", *arguments, code=EXIT_USAGE)["error"]["message"]
    assert files(project) == before


def test_on_s3_a_file_is_created_only_where_there_is_none(monkeypatch):
    held = {}

    class Store:
        def create(self, key: str, data: bytes) -> str | None:
            return None if key in held else held.setdefault(key, data) and "tag"

    monkeypatch.setattr("segment_lib.objects.open_objects", lambda url: Store())
    conf = Conf("s3://bucket/conf", {"base.yaml": "tenant: shop\n"})
    done = add(conf, "shop", choose(["vip"]))
    assert done.written == ("s3://bucket/conf/segments/vip.yaml",)
    assert held == {"segments/vip.yaml": READY["vip"].text.encode()}
    with pytest.raises(UsageError, match="never overwritten"):
        add(conf, "shop", choose(["vip"]))


def test_a_file_that_came_up_in_the_meantime_and_a_folder_that_cannot_be_written(tmp_path):
    conf = Conf(str(tmp_path / "conf"), {})
    (tmp_path / "conf" / "segments").mkdir(parents=True)
    (tmp_path / "conf" / "segments" / "vip.yaml").write_text("mine")
    with pytest.raises(UsageError, match="vip.yaml is there with other content"):
        add(conf, "shop", choose(["vip"]))
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        add(Conf(str(tmp_path / "file"), {}), "shop", choose(["vip"]))


def test_the_list_comes_within_a_second_and_without_spark():
    """Measured as processor time, which other programs on the machine do not lengthen; the best of three."""
    code = "import sys; from jobs.cli import app; app(['ready'], standalone_mode=False); print(*sys.modules)"
    used = []
    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE)
        text = process.stdout.read().decode()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == EXIT_OK and "pyspark" not in text.splitlines()[-1].split()
        used.append(usage.ru_utime + usage.ru_stime)
    assert min(used) < 1


def test_the_page_is_what_the_files_say():
    """docs/ready.md is written by ``python -m segment_lib.ready.page``."""
    assert (ROOT / "docs" / "ready.md").read_text(encoding="utf-8") == page.markdown()
