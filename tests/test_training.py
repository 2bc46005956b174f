"""From orders in the lake to a champion that scores the nights, by the commands that people use."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest
from commands import invoked, result, seglake

from models.histories import read_histories
from models.purchase_process import MBG_NBD, PurchaseParameters
from models.selection import origins
from models.simulate import simulate_orders
from models.training import Past, train
from segment_lib.clock import Clock
from segment_lib.conf import load_settings
from segment_lib.errors import EXIT_FAILED, EXIT_GATE, EXIT_PARTIAL, EXIT_USAGE
from segment_lib.storage import Lake

EPOCH = date(1970, 1, 1)
DAY = date(2026, 2, 28)
TRUE = {"DE": PurchaseParameters(MBG_NBD, 0.9, 25.0, 0.8, 3.0), "AT": PurchaseParameters(MBG_NBD, 0.7, 70.0, 0.9, 2.0)}
CONF = """tenant: shop
root: lake
catalogue: {order_statuses: [paid, open], purchase_statuses: [paid]}
models: {horizon_days: 60, group: country, min_group_customers: 500}
"""
LOST = "where: {score: churn.status, is: lost}\n"


#: About an order a year, and nobody ever leaves: no chance of leaving explains the silence of anybody.
STEADY = PurchaseParameters(MBG_NBD, 20.0, 20.0 * 365, 1e-6, 10.0)


@pytest.fixture(scope="module")
def project(spark, tmp_path_factory):
    """Two years and more of 2,400 customers of two countries who buy at different paces, and a few of a third."""
    shops = (("DE", TRUE["DE"], 1200), ("AT", TRUE["AT"], 1200), ("CH", TRUE["AT"], 50))
    return filled(spark, tmp_path_factory.mktemp("trained"), shops)


def filled(spark, folder, shops):
    """A project in a folder, with the orders of simulated customers: (country, process, how many) for each part."""
    (folder / "conf/segments").mkdir(parents=True)
    (folder / "conf/base.yaml").write_text(CONF, encoding="utf-8")
    (folder / "conf/segments/lost.yaml").write_text(LOST, encoding="utf-8")
    (folder / "conf/segments/best.yaml").write_text("where: {score: rfm.group, is: champions}\n", encoding="utf-8")
    last, dice, rows, people = (DAY - EPOCH).days, np.random.default_rng(5), [], []
    for country, parameters, size in shops:
        customers, days = simulate_orders(parameters, dice.integers(last - 850, last - 30, size), last, seed=size + len(people))
        for customer, day in zip(customers.tolist(), days.tolist(), strict=True):
            at = datetime(1970, 1, 1, 12, tzinfo=UTC) + timedelta(days=int(day))
            rows.append((f"{country}{customer}-{day}", f"{country}{customer}", at, "paid", Decimal(int(dice.gamma(4, 500))) / 100))
        people += [(f"{country}{number}", country, datetime(2023, 1, 1)) for number in range(size)]
    lake = Lake(spark, load_settings(str(folder / "conf")))
    lake.append("orders", spark.createDataFrame(
        rows, "order_id string, customer_id string, ordered_at timestamp, status string, revenue decimal(18,4)"), "load")
    lake.append("customers", spark.createDataFrame(people, "customer_id string, country string, created_at timestamp"), "load")
    return folder


def test_from_orders_to_scores(project, spark, monkeypatch):
    monkeypatch.chdir(project)
    assert result("models") == {"name": "shop.churn", "versions": []}
    before = result("run", "--as-of", DAY - timedelta(days=1), code=EXIT_PARTIAL)
    assert "waiting for scores: churn.status" in json.dumps(before)

    trained = result("train", "--as-of", DAY)
    assert trained["gate"] == "passed" and trained["champion"] is False and trained["version"] == "1"
    fits = {row["group"]: row for row in trained["fits"]}
    assert fits.keys() == {"everybody", "DE", "AT"}  # fewer than 500 are in CH
    assert fits["DE"]["alpha"] / fits["DE"]["r"] < fits["everybody"]["alpha"] / fits["everybody"]["r"] < fits["AT"]["alpha"] / fits["AT"]["r"]
    assert [row["alias"] for row in result("models")["versions"]] == ["challenger"]

    assert "before 2026-02-28" in seglake("models", "--promote", 1, "--from", "2026-02-27", "--json", code=EXIT_USAGE)
    assert "no version 9" in seglake("models", "--promote", 9, "--json", code=EXIT_USAGE)
    (row,) = result("models", "--promote", 1)["versions"]
    assert row["alias"] == "champion" and row["champion_from"] == ["2026-02-28"] and row["brier"] < 0.25

    night = result("run", "--as-of", DAY)
    sizes = {one["segment"]: one["customers"] for one in night["segments"]}
    lake = Lake(spark, load_settings("conf"))
    profiles = lake.read("customer_profiles").where(f"run_id = '{night['run_id']}'").collect()
    models = {one["churn_model"] for one in profiles}
    assert models == {"shop.churn/1"} and sum(one["churn_status"] == "lost" for one in profiles) > 100
    assert sizes["lost"] == sum(one["churn_status"] == "lost" for one in profiles)
    # A night before the champion's first date has none, whatever was trained since.
    again = result("run", "--as-of", DAY - timedelta(days=1), code=EXIT_PARTIAL)
    assert again["state"] == "partial"


def test_backtest_shows_the_rules_of_a_shop_and_records_nothing(project, monkeypatch):
    monkeypatch.chdir(project)
    versions = result("models")["versions"]
    told = result("backtest", "--as-of", DAY, "--group", "DE")
    assert told["horizon_days"] == 60 and len(told["origins"]) == 24  # twelve, raw and recalibrated
    rules = {row["rule"]: row for row in told["rules"] if row["customers_with"] == "all"}
    assert {"silent for more than 90 days", "own gap quantile", "everybody is lost"} <= rules.keys()
    measured = {row["output"]: row for row in told["measures"] if row["customers_with"] == "all"}
    assert measured["recalibrated"]["brier"] < rules["share of the origin before"]["brier"]
    assert result("models")["versions"] == versions
    page = invoked("backtest", "--as-of", DAY).stdout
    assert "the model and the rules a shop would use" in page and "the gate" in page


def test_a_gate_that_fails_keeps_the_champion(project, monkeypatch):
    """Trained to a day long before, the history is too short to be measured."""
    monkeypatch.chdir(project)
    early = date(2024, 1, 31)
    trained = result("train", "--as-of", early, "--promote", code=EXIT_GATE)
    assert trained["gate"] == "failed: back-test" and trained["champion"] is False
    refused = seglake("models", "--promote", trained["version"], "--json", code=EXIT_USAGE)
    assert "cannot be champion, the gate says: failed: back-test" in refused


def test_too_little_is_refused_by_name(project, monkeypatch):
    monkeypatch.chdir(project)
    assert "there are no customers" in seglake("train", "--as-of", "2023-10-01", "--json", code=EXIT_FAILED)


def test_a_group_without_an_answer_is_served_by_everybody_s_model_and_the_run_says_so(spark, tmp_path, monkeypatch):
    from mlflow import MlflowClient

    monkeypatch.chdir(filled(spark, tmp_path, (("DE", TRUE["DE"], 900), ("FR", STEADY, 600))))
    trained = result("train", "--as-of", DAY)
    assert {row["group"] for row in trained["fits"]} == {"everybody", "DE"}
    (note,) = trained["notes"]
    assert note.startswith("group FR is served by everybody's model: boundary: ")
    assert "nobody seems to leave" in note or "no heterogeneity of dropout" in note
    (listed,) = result("models")["versions"]
    assert listed["notes"] == [note]
    page = " ".join(invoked("models").stdout.split())
    assert f"version 1: {note}" in page

    mlflow = MlflowClient(tracking_uri="sqlite:///lake/shop/models/mlflow.db")
    version = mlflow.get_model_version("shop.churn", "1")
    recorded = mlflow.get_run(version.run_id)
    assert recorded.data.tags["mlflow.note.content"] == note
    (kept,) = tmp_path.glob(f"lake/shop/models/mlflow-artifacts/*/{version.run_id}/artifacts/fallbacks.csv")
    assert kept.read_text(encoding="utf-8").startswith("group,why\nFR,\"boundary: ")

    said = seglake("backtest", "--as-of", DAY, "--group", "FR", "--json", code=EXIT_FAILED)
    assert "group FR: MBG/NBD fitted to 600 customers" in said and "leave it to everybody's model" in said


def test_the_only_group_without_an_answer_is_a_clear_failure(spark, tmp_path, monkeypatch):
    """It names who it is about, what is open, and what to do; nothing is recorded, and the night goes on without."""
    monkeypatch.chdir(filled(spark, tmp_path, [("FR", STEADY, 600)]))
    said = seglake("train", "--as-of", DAY, "--json", code=EXIT_FAILED)
    assert "everybody: MBG/NBD fitted to 600 customers" in said
    assert "nobody seems to leave" in said or "no heterogeneity of dropout" in said
    assert "What to do: train on more customers or a longer past" in said and "Traceback" not in said
    assert result("models")["versions"] == []


def test_origins_are_month_ends_with_history_and_a_complete_horizon():
    as_of = (date(2026, 3, 31) - EPOCH).days
    found = origins({as_of - 400: 5.0}, as_of, 90)
    days = [EPOCH + timedelta(days=day) for day in found]
    assert days[-1] == date(2025, 12, 31) and days[-2] == date(2025, 11, 30)
    assert found[0] >= as_of - 400 + 60 and origins({}, as_of, 90) == []
    assert len(origins({as_of - 4000: 1.0}, as_of, 90)) == 12 + 12 + 3


def test_the_same_data_gives_the_same_model(project, spark):
    settings = load_settings(str(project / "conf"))
    lake = Lake(spark, settings)
    past = Past(read_histories(lake, settings, lake.pin(), Clock(DAY, settings.zone)).persist(), DAY, settings.models)
    options = {"at": datetime(2026, 3, 1, tzinfo=UTC), "code_version": "1", "data_versions": {}}
    assert train(past, **options).model.to_json() == train(past, **options).model.to_json()
