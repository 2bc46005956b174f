"""Figures of a whole night: beside DuckDB on the same files, and by the SQL of `seglake sql METRIC SEGMENT`."""

from __future__ import annotations

import json
import re
from collections import Counter
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import combinations, permutations
from pathlib import Path

import duckdb_metrics
import pytest
import yaml
from pydantic import ValidationError
from conftest import configured
from test_scoring import PLAIN

from models.champion import Champion
from models.churn_model import ChurnModel
from models.profiler import Profiler
from segment_lib import metrics, nightly
from segment_lib.api import Tenant
from segment_lib.definition.load import load_texts
from segment_lib.errors import UsageError
from segment_lib.figures import FIGURES
from segment_lib.generate import generate_shop, write_shop
from segment_lib.ready import ready_segments
from segment_lib.runs import read_history
from segment_lib.settings import ReportSection, Settings
from segment_lib.storage import Lake

CONF = Path(__file__).parents[1] / "conf" / "base.yaml"
DAY = date(2026, 6, 29)


@pytest.fixture(scope="module")
def night(spark, tmp_path_factory):
    """A generated shop with refunds, cancellations, merges and lost customers, and one night of all ready segments."""
    folder = tmp_path_factory.mktemp("metrics")
    settings = Settings(**yaml.safe_load(CONF.read_text()) | {"root": str(folder / "lake")})
    settings = settings.model_copy(update={"gates": settings.gates.model_copy(update={"max_staleness_days": None})})
    lake = Lake(spark, settings)
    frames = generate_shop(spark, settings, customers=500, events=9000, seed=11, until=date(2026, 6, 30))
    write_shop(lake, frames, "load")
    champion = Champion("shop.churn", "1", ChurnModel(DAY, 180, PLAIN))
    texts = {f"{one.id}.yaml": one.text for one in ready_segments()}
    outcome = nightly.run(
        lake, settings, load_texts(texts, settings.names()), snapshot_date=DAY, now=datetime(2026, 7, 1, tzinfo=UTC),
        scorers=lambda work: Profiler(settings, champion),
    )
    return lake, outcome


def test_every_figure_of_every_ready_segment_is_what_duckdb_finds(night):
    lake, outcome = night
    found = metrics.of_run(lake, read_history(lake), read_history(lake).winner(DAY))
    expected = duckdb_metrics.figures(lake.settings, outcome.run_id, DAY)
    assert set(expected) >= {"_all", "_lost"} and len(expected) > 12, "most ready segments have members"
    shown = {name: row for name, row in found.items() if row.customers}
    assert shown.keys() == expected.keys()
    months = list(reversed(range(13)))
    for name, row in shown.items():
        ours = dict(row.figures) | {f"month_{back}": value for back, (_, value) in zip(months, row.months, strict=True)}
        assert ours.keys() == expected[name].keys()
        for figure, value in expected[name].items():
            assert _alike(ours[figure], value), (name, figure, ours[figure], value)


def _alike(ours: object, theirs: object) -> bool:
    if ours is None or theirs is None:
        return ours is None and theirs is None
    if isinstance(theirs, float):
        return float(ours) == pytest.approx(theirs, rel=1e-9, abs=1e-8)  # type: ignore[arg-type]
    return ours == theirs


def test_the_data_shows_what_figures_are_about(night):
    lake, _ = night
    everyone = metrics.of_run(lake, read_history(lake), read_history(lake).winner(DAY))["_all"]
    assert everyone["gross_revenue"] > everyone["net_revenue"] > everyone["contribution_margin"] > 0
    assert everyone["orders"] > everyone["purchases"] > everyone["purchases_365"] > 0
    assert 0 < everyone["lost"] < everyone["purchasers"] and everyone["anonymous"] > 0
    assert all(everyone[figure.name] is not None for figure in FIGURES)
    assert all(everyone[f"reach_{channel}"] > 0 for channel in ("email", "sms", "push", "ads"))


@pytest.mark.parametrize(("name", "segment"), [
    ("contribution_margin_365", "one_time_shoppers"), ("repeat_rate", "_all"), ("median_visit_minutes", "_all"),
    ("ltv", "_lost"),
])
def test_the_sql_of_a_figure_gives_the_stored_number(spark, night, name, segment):
    lake, _ = night
    stored = metrics.of_run(lake, read_history(lake), read_history(lake).winner(DAY))
    with configured(spark, sql__runSQLOnFiles="true"):
        (row,) = spark.sql(Tenant(spark, lake.settings).sql(segment, DAY, name)).collect()
    assert row[name] == stored[segment][name]


def test_a_figure_or_segment_that_is_not_there_is_named(spark, night):
    tenant = Tenant(spark, night[0].settings)
    with pytest.raises(UsageError, match="no figure 'net_revenu'.*net_revenue"):
        tenant.sql("_all", DAY, "net_revenu")
    with pytest.raises(UsageError, match="no segment 'top_spender' .*'top_spenders'"):
        tenant.sql("top_spender", DAY, "customers")


def test_five_segments_compared_have_exact_overlaps(spark, night):
    lake, _ = night
    tenant = Tenant(spark, lake.settings)
    names = ("one_time_shoppers", "vip", "lost_customers", "discount_lovers", "_all")
    found = tenant.compare(*names, date=DAY)
    regions = Counter()
    for row in segments_of_each(tenant):
        regions[tuple(name for name in names if name == "_all" or name in row)] += 1
    everyone = metrics.of_run(lake, read_history(lake), read_history(lake).winner(DAY))["_all"].customers
    regions[("_all",)] = everyone - sum(count for inside, count in regions.items() if len(inside) > 1)
    assert {region.inside: region.customers for region in found.regions} == regions
    assert [region.customers for region in found.regions] == sorted(regions.values(), reverse=True)
    assert found.shared("vip") == next(one.values[1] for one in found.figures if one.figure.name == "customers")
    assert found.shared("vip", "_all") == found.shared("vip") and found.shared("vip", "one_time_shoppers") == 0
    revenue = next(row for row in found.rows() if row["figure"] == "net_revenue")
    assert revenue["vip - one_time_shoppers"] == revenue["vip"] - revenue["one_time_shoppers"]
    assert revenue["unit"] == lake.settings.currency
    assert "<th>vip</th>" in found._repr_html_()


def test_every_pair_of_segments_that_shares_customers_is_counted(spark, night):
    lake, _ = night
    tenant = Tenant(spark, lake.settings)
    expected: Counter[tuple[str, str]] = Counter()
    sizes: Counter[str] = Counter()
    for own in segments_of_each(tenant):
        sizes.update(own)
        expected.update(permutations(own, 2))
    found = {(row.segment_id, row.other_id): row for row in tenant.overlaps(date=DAY).collect()}
    assert {pair: row.customers for pair, row in found.items()} == expected and len(expected) > 50
    for (one, other), row in found.items():
        assert row.share == row.customers / sizes[one]
        assert row.jaccard == row.customers / (sizes[one] + sizes[other] - row.customers)
    only = tenant.overlaps("vip").collect()
    assert {(row.segment_id, row.other_id) for row in only} == {pair for pair in expected if pair[0] == "vip"}
    with pytest.raises(UsageError, match="no segment 'vop'.*vip"):
        tenant.overlaps("vop")


def test_the_report_shows_what_is_published_and_no_customer(spark, night, tmp_path):
    lake, _ = night
    tenant = Tenant(spark, lake.settings)
    page = tenant.report(tmp_path, date=DAY, breakdowns=True).read_text(encoding="utf-8")
    data = json.loads(re.search('id="data">(.*?)</script>', page)[1])
    stored = metrics.of_run(lake, read_history(lake), read_history(lake).winner(DAY))
    shown = {one["id"]: one for one in data["segments"]}
    assert shown.keys() == {one.id for one in ready_segments()} and data["dates"] == [DAY.isoformat()]
    names = [figure["name"] for figure in data["figures"]]
    for name, part in [*shown.items(), ("_all", data["everyone"])]:
        assert part["sizes"]["customers"] == [stored[name].customers]
        told = dict(zip(names, part["figures"], strict=True))
        assert told["net_revenue"] == pytest.approx(float(stored[name]["net_revenue"]))
    members = segments_of_each(tenant)
    places = {one["id"]: place for place, one in enumerate(data["segments"])}
    assert data["sample"]["of"] == len(members)
    own_places = [tuple(sorted(map(places.get, own))) for own in members]
    assert sorted(map(tuple, data["sample"]["customers"])) == sorted(own_places)
    pairs = Counter(pair for own in own_places for pair in combinations(own, 2))
    assert {(one, other): customers for one, other, customers in data["shared"]} == pairs
    vip = shown["vip"]
    assert len(vip["examples"]) == min(10, stored["vip"].customers)
    assert all(value is None or value.endswith("***") for row in vip["examples"] for name, value in row.items()
               if name in ("customer", "first name", "last name", "email"))
    ids = [row.customer_id for row in tenant.customers(date=DAY).collect()]
    assert not [one for one in ids if re.search(rf"\b{one}\b", page.split('id="specs"')[0])]
    assert vip["edits"] == [[0, "created"]] and "where:" in vip["yaml"] and vip["label"]
    assert sum(group["customers"] for group in vip["breakdowns"][0]["groups"]) == stored["vip"].customers
    with pytest.raises(UsageError, match="no segment 'vop'.*vip"):
        tenant.report(tmp_path, ["vop"])


def test_sets_of_conf_are_counted_exactly_in_one_pass(spark, night, tmp_path):
    lake, _ = night
    sets = (("one_time_shoppers", "vip", "lost_customers"), ("vip", "discount_lovers"))

    def tenant_with(*sets):
        return Tenant(spark, lake.settings.model_copy(update={"report": ReportSection(compare=sets)}))

    def told(page):
        data = json.loads(re.search('id="data">(.*?)</script>', page.read_text(encoding="utf-8"))[1])
        names = [one["id"] for one in data["segments"]]
        return {
            tuple(names[place] for place in one["places"]):
                {tuple(names[place] for place in inside): customers for inside, customers in one["regions"]}
            for one in data["exact"]
        }

    expected = {names: Counter() for names in sets}
    for own in segments_of_each(tenant_with()):
        for names, regions in expected.items():
            regions[tuple(name for name in names if name in own)] += 1
    for regions in expected.values():
        del regions[()]
        assert regions
    assert told(tenant_with(*sets).report(tmp_path, date=DAY)) == expected
    some = tenant_with(*sets).report(tmp_path, ["vip", "discount_lovers"], date=DAY)
    assert told(some).keys() == {("vip", "discount_lovers")}, "a set that is not all on the page is left out"
    with pytest.raises(UsageError, match=r"report\.compare\[1\]: no segment 'vop'.*vip"):
        tenant_with(sets[0], ("vop", "vip")).report(tmp_path, date=DAY)


@pytest.mark.parametrize(("compare", "fault"), [
    ([["vip"]], "at least 2"), ([list("abcdef")], "at most 5"), ([["a", "b", "a"]], "names a segment twice: a, b, a"),
    ([["a", "_all"]], "_all is everyone"),
])
def test_a_faulty_set_of_conf_is_told(compare, fault):
    with pytest.raises(ValidationError, match=fault):
        ReportSection(compare=compare)


def segments_of_each(tenant: Tenant) -> list[set[str]]:
    return [{one.id for one in row.segments} for row in tenant.customers(date=DAY).collect()]


@pytest.mark.parametrize(("names", "said"), [
    (["vip"], "2 to 5"), (["vip", "vip"], "2 to 5"), (["vip", "vop"], "no segment 'vop'.*vip"),
    (["vip", "one_time_shoppers", "lost_customers", "discount_lovers", "bulk_shoppers", "_all"], "2 to 5"),
])
def test_what_cannot_be_compared_is_refused(spark, night, names, said):
    with pytest.raises(UsageError, match=said):
        Tenant(spark, night[0].settings).compare(*names)
