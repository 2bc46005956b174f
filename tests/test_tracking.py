"""Training runs in a real MLflow: what is recorded, who is champion on a date, the native model, what stays secret."""

from __future__ import annotations

import ast
import base64
import json
import logging
import os
import pickle
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest

from models import tracking as tracking_module
from models.calibration import Calibration
from models.cells import Cells
from models.churn_model import ChurnModel, GroupModel
from models.errors import ModelError
from models.expected_orders import expected_orders
from models.gamma_gamma import GammaGammaParameters, ValueCells, fit_value_cells
from models.gate import GateFinding
from models.plots import (
    Curve, calibration_curves, orders_map, png, reliability, repeat_order_counts, repeat_orders, risk_map,
    survival_of_silence, svg, training_pictures,
)
from models.purchase_fit import fit_cells
from models.purchase_process import BG_NBD, MBG_NBD, PurchaseParameters, mbg_cnbd, p_alive, p_no_order
from models.season import Season
from models.silence import cycle
from models.simulate import simulate_purchases, simulate_values
from models.tracking import Tracking
from models.tracking_address import Address, TrackingError
from models.training_run import NATIVE_OUTPUTS, GroupRun, Measure, TrainingRun, backtest_measures

#: Tests ask MLflow directly too, and collecting doctests imports it.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

ROOT = Path(__file__).parent.parent
MBG = PurchaseParameters(MBG_NBD, 0.5248, 43.28, 0.8914, 1.614)
CALIBRATION = Calibration(((0.1, 0.9), (0.0, 1.1), (-0.2, 1.0)))
WINTER = Season.of([1] * 10 + [2, 3])
NOW = datetime(2026, 3, 1, 4, tzinfo=UTC)
PASSWORD = "s3cr@t/word"
LOGIN = "ann:s3cr%40t%2Fword@"


@pytest.fixture(scope="module")
def run() -> TrainingRun:
    """A model of everyone and of one group, fitted to simulated customers, with a small back-test."""
    seen = simulate_purchases(MBG, np.linspace(30, 700, 3000).round(), seed=1)
    cells = seen.cells()
    purchase = fit_cells(cells)
    values, _ = simulate_values(GammaGammaParameters(6.25, 3.74, 15.44), seen.x, seed=1)
    value = fit_value_cells(ValueCells.of(seen.x[seen.x > 0], values[seen.x > 0]))
    everyone = GroupModel(purchase.parameters, value.parameters, Season.none(), CALIBRATION, 3000)
    model = ChurnModel(date(2026, 1, 31), 365, everyone, {"DE": replace(everyone, value=None, season=WINTER)})
    origin = date(2025, 1, 31)
    measures = (
        Measure("brier", 0.161), Measure("brier", 0.201, "3+"), Measure("brier", 0.17, origin=origin),
        Measure("brier", 0.15, origin=origin + timedelta(28)), Measure("auc", float("nan")),
    )
    tables = {"totals": [{"origin": origin, "orders": 12.5, "revenue": None}]}
    whole = GroupRun(purchase, value, len(cells), 1.5, measures, tables, {"repeat_orders.png": b"\x89PNG..."})
    german = GroupRun(purchase, None, len(cells), 0.5)
    return TrainingRun(
        model, whole, NOW, 7, "0.9.0", {"orders": 12, "customers": 3}, {"floor_days": 30, "group": "country"},
        {"DE": german}, (GateFinding("level", True, "0.41 and 0.42"),),
    )


def other(run: TrainingRun, last_day: date) -> TrainingRun:
    """The run of a model that is not equal."""
    return replace(run, model=replace(run.model, trained_to=last_day))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("the shop's folder")


@pytest.fixture
def tracking(folder: Path, request) -> Tracking:
    """The module's one database, with a registered model of each test's own."""
    return Tracking(f"sqlite:///{folder}/mlflow.db", "churn", f"shop.{request.node.originalname}")


def client(tracking: Tracking):
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=tracking.address.shown, registry_uri=tracking.address.shown)


def aliases(tracking: Tracking) -> dict[str, int]:
    return {alias: entry.version for entry in tracking.versions() for alias in entry.aliases}


def champions(tracking: Tracking, *days: date) -> list[int | None]:
    found = [tracking.champion(day) for day in days]
    return [None if one is None else one.version for one in found]


# What is recorded -----------------------------------------------------------------------------------------------------


def test_a_run_holds_params_metrics_and_files_and_each_group_has_a_run_inside_it(tracking, run, folder):
    number = tracking.record(run)
    (version,) = tracking.versions()
    assert (str(version.version), version.aliases, version.terms) == (number, ("challenger",), ())
    assert (version.trained_to, version.trained_at, version.gate) == (date(2026, 1, 31), NOW, "passed")
    assert (version.measures, version.horizon_days) == ({"brier": 0.161}, 365)

    mlflow = client(tracking)
    parent = mlflow.get_run(version.run_id)
    assert parent.info.status == "FINISHED"
    purchase = run.everyone.purchase
    metrics = parent.data.metrics
    for name, (value, error) in purchase.maximum.table().items():
        assert (metrics[f"purchase.{name}"], metrics[f"purchase.{name}_se"]) == (value, error)
    assert metrics["purchase.log_likelihood"] == purchase.log_likelihood
    assert metrics["purchase.log_likelihood_per_customer"] == purchase.log_likelihood / 3000
    assert metrics["purchase.evaluations"] == purchase.maximum.evaluations
    assert (metrics["purchase.cells"], metrics["seconds"]) == (run.everyone.cells, 1.5)
    assert metrics["value.gamma"] == run.everyone.value.parameters.gamma
    assert (metrics["backtest.brier"], metrics["backtest.brier.x3plus"]) == (0.161, 0.201)
    assert "backtest.auc" not in metrics  # a measure that does not exist there
    history = mlflow.get_metric_history(version.run_id, "backtest_by_origin.brier")
    assert [(entry.step, entry.value) for entry in history] == [(20250131, 0.17), (20250228, 0.15)]
    assert parent.data.params == {
        "floor_days": "30", "group": "country", "process": "MBG/NBD", "k": "1", "horizon_days": "365",
        "season": "false", "trained_to": "2026-01-31", "seed": "7", "code_version": "0.9.0",
        "data_version.orders": "12", "data_version.customers": "3",
    }

    (nested,) = mlflow.search_runs([parent.info.experiment_id], f"tags.mlflow.parentRunId = '{version.run_id}'")
    assert (nested.info.run_name, nested.data.tags["group"], nested.info.status) == ("DE", "DE", "FINISHED")
    assert "value.p" not in nested.data.metrics and nested.data.metrics["seconds"] == 0.5

    kept = folder / "mlflow-artifacts" / "churn" / version.run_id / "artifacts"
    assert {path.relative_to(kept).as_posix() for path in kept.rglob("*.*")} == {
        "model.json", "group.json", "season.csv", "calibration.csv", "gate.csv", "tables/totals.csv",
        "plots/repeat_orders.png",
    }
    assert ChurnModel.from_json((kept / "model.json").read_text()) == run.model
    assert (kept / "tables" / "totals.csv").read_text() == "origin,orders,revenue\n2025-01-31,12.5,\n"
    assert (kept / "calibration.csv").read_text().splitlines()[1] == "0,0.1,0.9"
    german = folder / "mlflow-artifacts" / "churn" / nested.info.run_id / "artifacts" / "season.csv"
    assert german.read_text().splitlines()[12] == f"12,{WINTER.factors[11]}"


def test_groups_that_everybody_s_model_serves_are_noted(tracking, run, folder):
    """In the run's description, on the version, and all of them in a file."""
    tracking.record(run)
    several = replace(run, fallbacks={f"g{number:02}": "boundary: a is left open" for number in range(23)})
    tracking.record(several)
    noted, plain = tracking.versions()
    assert plain.notes == () and noted.notes == several.notes and len(noted.notes) == 21
    assert noted.notes[0] == "group g00 is served by everybody's model: boundary: a is left open"
    assert noted.notes[20] == "3 more groups are: see fallbacks.csv"
    mlflow = client(tracking)
    assert mlflow.get_run(noted.run_id).data.tags["mlflow.note.content"] == "\n\n".join(several.notes)
    assert "mlflow.note.content" not in mlflow.get_run(plain.run_id).data.tags
    kept = folder / "mlflow-artifacts" / "churn" / noted.run_id / "artifacts" / "fallbacks.csv"
    assert kept.read_text().splitlines()[::23] == ["group,why", "g22,boundary: a is left open"]
    mlflow.delete_model_version_tag(tracking.name, str(noted.version), "notes")  # as in an older version
    assert tracking.versions()[0].notes == ()


def test_a_recording_that_fails_leaves_failed_runs_and_no_version(tracking, run, monkeypatch):
    def full(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr(tracking_module, "_save_native", full)
    with pytest.raises(TrackingError, match="could not be recorded. Why: No space left on device. What to do: look"):
        tracking.record(run)
    assert tracking.versions() == ()
    mlflow = client(tracking)
    experiment = mlflow.get_experiment_by_name("churn").experiment_id
    newest = mlflow.search_runs([experiment], order_by=["attributes.start_time DESC"], max_results=2)
    assert "FAILED" in {found.info.status for found in newest} and "RUNNING" not in {
        found.info.status for found in newest
    }


def test_what_a_back_test_prints_becomes_measures_and_curves():
    tables = {
        "measures": [{"customers_with": "1+", "output": "recalibrated", "auc": 0.7, "mcc": None}],
        "origins": [{"origin": "2025-12-31", "output": "raw", "brier": 0.2}],
    }
    first, second = backtest_measures(tables)
    assert (first.key, first.value, first.step) == ("backtest.auc.x1plus", 0.7, 0)
    assert (second.key, second.value, second.step) == ("backtest_by_origin.brier_raw", 0.2, 20251231)
    rows = [
        {"output": output, "bin": 1, "customers": 5.0, "probability": 0.5, "actual": share}
        for output, share in (("raw", 0.4), ("recalibrated", 0.5))
    ]
    assert {name: curve.actual.tolist() for name, curve in calibration_curves(rows).items()} == {
        "raw": [0.4], "recalibrated": [0.5],
    }


def test_a_run_is_refused_when_it_names_customers_or_does_not_fit_its_model(run):
    with pytest.raises(ModelError, match="table worst: column customer_id is about single customers"):
        replace(run.everyone, tables={"worst": [{"customer_id": "c1", "p": 0.9}]})
    with pytest.raises(ModelError, match="the model has the groups DE and the run has none"):
        replace(run, groups={})
    with pytest.raises(ModelError, match="a time without a zone"):
        replace(run, at=datetime(2026, 1, 1))
    for name in ("../x.png", "x.exe"):
        with pytest.raises(ModelError, match="ends with .png or .svg"):
            replace(run.everyone, plots={name: b""})
    failed = replace(run, gate=(GateFinding("level", False, "x"), GateFinding("auc", True, "y")))
    assert (failed.verdict, replace(run, gate=()).verdict) == ("failed: level", "not asked")


# Champions ------------------------------------------------------------------------------------------------------------

JANUARY, FEBRUARY, MARCH = date(2026, 1, 1), date(2026, 2, 1), date(2026, 3, 1)
DAY = timedelta(days=1)


def test_an_old_night_finds_the_champion_of_its_date(tracking, run):
    models = [other(run, JANUARY - DAY), other(run, FEBRUARY - DAY)]
    for one in models:
        tracking.record(one)
    assert champions(tracking, MARCH) == [None]  # trained is not promoted
    tracking.promote(1, JANUARY, at=NOW)
    assert aliases(tracking) == {"challenger": 2, "champion": 1}
    tracking.promote("2", FEBRUARY, at=NOW + DAY)
    assert aliases(tracking) == {"champion": 2, "previous": 1}
    days = [JANUARY - DAY, JANUARY, FEBRUARY - DAY, FEBRUARY, MARCH]
    assert champions(tracking, *days) == [None, 1, 1, 2, 2]
    found = tracking.champion(FEBRUARY - DAY)
    assert (found.name, found.model, found.champion_from) == (tracking.name, models[0].model, JANUARY)
    assert (tracking.load(2), found.run_id) == (models[1].model, tracking.versions()[1].run_id)

    assert tracking.rollback(MARCH, at=NOW + 2 * DAY) == 1
    assert aliases(tracking) == {"champion": 1}
    assert champions(tracking, *days) == [None, 1, 1, 2, 1]
    assert tracking.champion(MARCH).champion_from == MARCH
    with pytest.raises(TrackingError, match="no version has the alias previous. What to do: list the versions"):
        tracking.rollback(MARCH, at=NOW + 3 * DAY)

    tracking.promote(2, MARCH, at=NOW + 4 * DAY)  # from the same day as the rollback: what was decided last holds
    assert champions(tracking, *days) == [None, 1, 1, 2, 2]
    assert aliases(tracking) == {"champion": 2, "previous": 1}
    tags = client(tracking).get_model_version(tracking.name, "2").tags
    assert (tags["champion_from"], tags["promoted_at"]) == ("2026-03-01", "2026-03-05T04:00:00.000000+00:00")


def test_promoting_twice_or_at_once_is_promoting_once(tracking, run):
    for last_day in (JANUARY, FEBRUARY):
        tracking.record(other(run, last_day))
    tracking.promote(1, JANUARY, at=NOW)
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: tracking.promote(2, MARCH, at=NOW + DAY), range(4)))
    once = tracking.versions()
    assert aliases(tracking) == {"champion": 2, "previous": 1}
    tracking.promote(2, MARCH + DAY, at=NOW + 2 * DAY)
    assert tracking.versions() == once
    assert champions(tracking, MARCH - DAY, MARCH) == [1, 2]


def test_a_tag_that_another_promotion_has_just_written_is_written_again(tracking, run, monkeypatch):
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    tracking.record(run)
    write, tried = MlflowClient.set_model_version_tag, []

    def second_to_come(self, name, version, key, value):
        tried.append(key)
        if tried.count(key) == 1:
            raise MlflowException("UNIQUE constraint failed: model_version_tags.key")
        write(self, name, version, key, value)

    monkeypatch.setattr(MlflowClient, "set_model_version_tag", second_to_come)
    tracking.promote(1, MARCH, at=NOW)
    assert champions(tracking, MARCH) == [1] and aliases(tracking) == {"champion": 1}


def test_a_promotion_that_was_interrupted_is_completed_by_the_next(tracking, run, monkeypatch):
    for last_day in (JANUARY, FEBRUARY):
        tracking.record(other(run, last_day))
    tracking.promote(1, JANUARY, at=NOW)
    with monkeypatch.context() as patched:
        from mlflow import MlflowClient

        def lost(*_):
            raise OSError("connection lost")

        patched.setattr(MlflowClient, "set_registered_model_alias", lost)
        with pytest.raises(TrackingError, match="version 2 .* could not be promoted. Why: connection lost"):
            tracking.promote(2, FEBRUARY, at=NOW + DAY)
    assert aliases(tracking) == {"challenger": 2, "champion": 1}
    assert champions(tracking, FEBRUARY) == [2]  # what counts was written first
    tracking.promote(2, FEBRUARY, at=NOW + 2 * DAY)
    assert aliases(tracking) == {"champion": 2, "previous": 1}


def test_the_past_cannot_be_given_another_champion(tracking, run):
    for last_day in (JANUARY, FEBRUARY):
        tracking.record(other(run, last_day))
    tracking.promote(1, FEBRUARY, at=NOW)
    with pytest.raises(TrackingError, match="Why: version 1 is champion from 2026-02-01 on, after 2026-01-31"):
        tracking.promote(2, FEBRUARY - DAY, at=NOW + DAY)
    tracking.promote(2, MARCH, at=NOW + DAY)
    with pytest.raises(TrackingError, match="Why: version 2 is champion from 2026-03-01 on, after 2026-02-28"):
        tracking.rollback(MARCH - DAY, at=NOW + DAY)
    assert champions(tracking, FEBRUARY, MARCH) == [1, 2]
    with pytest.raises(ModelError, match="a time without a zone"):
        tracking.promote(1, MARCH, at=datetime(2026, 3, 1))
    assert aliases(tracking) == {"champion": 2, "previous": 1}


def test_a_version_that_is_not_there_is_named_with_those_that_are(tracking, run):
    for call in (lambda: tracking.promote(1, MARCH, at=NOW), lambda: tracking.load(1)):
        with pytest.raises(TrackingError, match="has no version 1. Why: no model was trained yet. What to do: train"):
            call()
    with pytest.raises(TrackingError, match="no version has the alias previous"):
        tracking.rollback(MARCH, at=NOW)
    tracking.record(run)
    with pytest.raises(TrackingError, match="has no version nine. Why: it has 1. What to do: choose one of these"):
        tracking.promote("nine", MARCH, at=NOW)


def test_asking_makes_no_database(tmp_path):
    nowhere = Tracking(f"sqlite:///{tmp_path}/none/mlflow.db", "churn", "shop")
    assert nowhere.champion(MARCH) is None and nowhere.versions() == ()
    with pytest.raises(TrackingError, match="has no version 1"):
        nowhere.promote(1, MARCH, at=NOW)
    assert list(tmp_path.iterdir()) == []


# The native model -----------------------------------------------------------------------------------------------------

SCORE = """
import json, sys
import mlflow.pyfunc, pandas
model = mlflow.pyfunc.load_model(sys.argv[1])
asked = json.loads(sys.argv[2])
rows = pandas.DataFrame(asked["rows"])
scores = model.predict(rows, params=asked["params"])
print(json.dumps({"scores": scores.to_dict("list"), "inputs": model.metadata.get_input_schema().input_names(),
                  "outputs": model.metadata.get_output_schema().input_names()}))
"""


def native_folder(tracking: Tracking) -> Path:
    (version,) = tracking.versions()
    uri = client(tracking).get_model_version_download_uri(tracking.name, str(version.version))
    return Path(unquote(urlsplit(uri).path))


def score_elsewhere(folder: Path, rows: dict, params: dict) -> dict:
    """Scores by the native model in a process of its own, where unpickling is forbidden."""
    said = subprocess.run(
        [sys.executable, "-c", SCORE, str(folder), json.dumps({"rows": rows, "params": params})],
        capture_output=True, text=True, check=False, cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "MLFLOW_DISABLE_TELEMETRY": "true", "OMP_NUM_THREADS": "1",
             "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"},
    )
    assert said.returncode == 0, said.stderr
    assert "WARNING" not in said.stderr
    return json.loads(said.stdout)


def test_the_native_model_scores_as_the_functions_do_in_a_process_of_its_own(tracking, run):
    tracking.record(run)
    kept = native_folder(tracking)
    rng = np.random.default_rng(5)
    x = rng.integers(0, 12, 300).astype(float)
    age = rng.uniform(20, 900, 300)
    t_x = np.where(x > 0, age * rng.uniform(0.05, 1, 300), 0.0)
    groups = [("DE", "AT", None)[place % 3] for place in range(300)]
    rows = {"x": x.tolist(), "t_x": t_x.tolist(), "age": age.tolist(), "group": groups}
    found = score_elsewhere(kept, rows, {})
    assert (found["inputs"], found["outputs"]) == (["x", "t_x", "age", "group"], list(NATIVE_OUTPUTS))
    parameters = run.model.everyone.purchase
    silent = p_no_order(parameters, x, t_x, age, 365.0)
    wanted = {
        "p_alive": p_alive(parameters, x, t_x, age), "p_no_order": silent,
        "p_no_order_calibrated": CALIBRATION.apply(silent, x),
        "expected_orders": expected_orders(parameters, x, t_x, age, 365.0), "cycle": cycle(parameters, x, t_x),
    }
    for name, values in wanted.items():
        np.testing.assert_allclose(found["scores"][name], values, rtol=1e-12, atol=1e-12, err_msg=name)


@pytest.fixture(scope="module")
def native(run, tmp_path_factory):
    """The native model with a group whose process is another, loaded here."""
    import mlflow.pyfunc

    slow = replace(run.model.everyone, purchase=PurchaseParameters(mbg_cnbd(3), 0.8, 60.0, 0.9, 2.6), season=WINTER)
    model = replace(run.model, groups={"DE": slow})
    target = tmp_path_factory.mktemp("native") / "model"
    tracking_module._save_native(target, replace(run, model=model), "m-1", "0" * 32)
    return mlflow.pyfunc.load_model(str(target)), model


def test_a_group_of_its_own_is_scored_by_its_own_model_and_all_others_by_everyones(native):
    import pandas as pd

    loaded, model = native
    rows = pd.DataFrame({
        "x": [2.0, 2.0, 2.0], "t_x": [90.0] * 3, "age": [300.0] * 3, "group": ["DE", "FR", None],
    }, index=[7, 8, 9])
    scores = loaded.predict(rows)
    german, everyone = (p_alive(model.of(group).purchase, 2.0, 90.0, 300.0) for group in ("DE", None))
    assert scores["p_alive"].to_dict() == {7: german, 8: everyone, 9: everyone} and german != everyone
    assert loaded.predict(rows.drop(columns="group"))["p_alive"].tolist() == [everyone] * 3
    assert len(loaded.predict(rows.iloc[:0])) == 0


def test_a_calibration_holds_at_its_own_horizon_only(native):
    import pandas as pd

    loaded, model = native
    rows = pd.DataFrame({"x": [2.0, 2.0], "t_x": [90.0] * 2, "age": [300.0] * 2, "group": ["DE", None]})
    month = loaded.predict(rows, params={"horizon_days": 30.0})
    assert month["p_no_order"].iloc[1] == p_no_order(model.everyone.purchase, 2.0, 90.0, 300.0, 30.0)
    assert month["p_no_order_calibrated"].isna().all()
    # The clock of a season runs 364.9 or 365.1 days in 365.
    about = loaded.predict(rows, params={"horizon_days": 365.1})["p_no_order_calibrated"]
    assert about.isna().tolist() == [False, True]


def test_the_native_model_refuses_what_no_customer_can_be(native):
    import pandas as pd

    with pytest.raises(ModelError, match="the last order lies after as-of"):
        native[0].predict(pd.DataFrame({"x": [1.0], "t_x": [50.0], "age": [40.0]}))


def test_nothing_that_is_stored_is_a_pickle(tracking, run, folder):
    tracking.record(run)
    stored = [path for path in native_folder(tracking).rglob("*") if path.is_file()]
    assert {path.name for path in stored} >= {"MLmodel", "native_model.py", "model.json", "input_example.json"}
    for path in stored:
        content = path.read_bytes()
        assert content.decode("utf-8").isprintable() or b"\n" in content, path  # all is text
        assert path.suffix not in (".pkl", ".pickle", ".joblib", ".skops"), path
        with pytest.raises(Exception):  # noqa: B017 - whatever unpickling text says
            pickle.loads(content)
    (code,) = (path for path in stored if path.name == "native_model.py")
    assert code.read_text() == (ROOT / "models" / "native_model.py").read_text()
    requirements = next(path for path in stored if path.name == "requirements.txt").read_text()
    assert "numpy==" in requirements and "seglake" not in requirements


# What goes wrong ------------------------------------------------------------------------------------------------------


def test_artifacts_that_are_missing_or_changed_are_not_scored_with(tracking, run):
    tracking.record(run)
    tracking.promote(1, JANUARY, at=NOW)
    stored = native_folder(tracking) / "artifacts" / "model.json"
    text = stored.read_text()
    stored.write_text(text.replace('"horizon_days": 365', '"horizon_days": 30'))
    with pytest.raises(TrackingError, match="version 1 of .* cannot be used. Why: .* checksum is another. What to do"):
        tracking.champion(JANUARY)
    stored.write_bytes(b"\xff\xfe")
    with pytest.raises(TrackingError, match="cannot be used. Why: .*decode"):
        tracking.load(1)
    stored.unlink()
    with pytest.raises(TrackingError, match="could not be read. Why: .*model.json.*What to do: look whether the file"):
        tracking.champion(JANUARY)
    assert tracking.champion(JANUARY - DAY) is None
    stored.write_text(text)
    assert tracking.champion(JANUARY).model == run.model


def test_a_version_of_another_program_is_named(tracking, run):
    tracking.record(run)
    client(tracking).set_model_version_tag(tracking.name, "1", "trained_to", "soon")
    with pytest.raises(TrackingError, match="version 1 of .* cannot be understood. Why: its tags were changed"):
        tracking.versions()


def test_a_database_that_is_none_is_told_at_once(tmp_path):
    (tmp_path / "mlflow.db").write_text("not a database, but longer than the header of one" * 4)
    broken = Tracking(f"sqlite:///{tmp_path}/mlflow.db", "churn", "shop")
    began = time.monotonic()
    with pytest.raises(TrackingError, match="could not be read. Why: file is not a database"):
        broken.champion(MARCH)
    assert time.monotonic() - began < 10


@pytest.mark.parametrize(("uri", "message"), [
    ("./mlruns", "MLflow keeps no runs in a folder of files"),
    ("/data/mlruns", "write sqlite:////ABSOLUTE/PATH/mlflow.db"),
    ("file:///data/mlruns", "MLflow keeps no runs in a folder of files"),
    ("", "MLflow keeps no runs in a folder of files"),
    ("sqlite:///mlflow.db", "the path must be absolute"),
    ("sqlite://", "the path must be absolute"),
    ("sqlite:////data/m.db?mode=ro", "without options"),
    ("postgresql://ann:s3cr@db/mlflow", "begins with postgresql:// is neither an MLflow server nor an SQLite file"),
    ("http://ann:s3/cr@host", "no address of a server"),
    ("http://ann:s3?cr@host", "no address of a server"),
    ("http://", "no address of a server"),
])
def test_addresses_that_are_refused(uri, message):
    with pytest.raises(TrackingError) as refused:
        Tracking(uri, "churn", "shop")
    assert message in str(refused.value) and "What to do: " in str(refused.value)
    assert "s3" not in str(refused.value)


def test_names_that_mlflow_cannot_take_are_refused():
    for experiment, name in (("a/b", "shop"), ("churn", "x' or name='y"), ("churn", "")):
        with pytest.raises(TrackingError, match="a name in MLflow is letters"):
            Tracking("http://h:1", experiment, name)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def answering(handle) -> Iterator[int]:
    """The port of a small HTTP server that does `handle` with every request."""
    class Handler(BaseHTTPRequestHandler):
        do_GET = do_POST = handle

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


def secrets_in(text: str) -> list[str]:
    return [secret for secret in (PASSWORD, "s3cr%40t%2Fword", LOGIN, "word@") if secret in text]


def test_a_server_that_is_not_there_is_told_within_seconds_and_without_the_password(run, caplog, capfd):
    nobody = Tracking(f"http://{LOGIN}127.0.0.1:{free_port()}", "churn", "shop")
    caplog.set_level(logging.DEBUG)
    began = time.monotonic()
    with pytest.raises(TrackingError) as raised:
        nobody.champion(MARCH)
    with pytest.raises(TrackingError):
        nobody.record(run)
    assert time.monotonic() - began < 15
    message = str(raised.value)
    assert message.startswith(f"MLflow at {nobody.address.shown}: the champion of shop could not be read. Why: ")
    assert "refused" in message and "What to do: look whether the server runs" in message
    said = capfd.readouterr()
    assert secrets_in(message + repr(nobody) + caplog.text + said.out + said.err) == []


def test_a_server_that_says_nothing_is_not_waited_for(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")  # what the operator says counts
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with answering(lambda request: time.sleep(30)) as port:
        began = time.monotonic()
        with pytest.raises(TrackingError, match="Why: .*timeout"):
            Tracking(f"http://127.0.0.1:{port}", "churn", "shop").versions()
    assert time.monotonic() - began < 10
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "1"


def test_the_login_is_sent_and_kept_out_of_what_the_server_says(caplog, capfd, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "somebody")
    sent = []

    def refuse(request):
        sent.append(request.headers["Authorization"])
        body = json.dumps({"error_code": "PERMISSION_DENIED", "message": f"not {PASSWORD}"}).encode()
        request.send_response(403)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    before = dict(os.environ)
    with answering(refuse) as port, pytest.raises(TrackingError, match="MLFLOW_TRACKING_PASSWORD") as raised:
        Tracking(f"http://{LOGIN}127.0.0.1:{port}", "churn", "shop").versions()
    assert base64.b64decode(sent[0].removeprefix("Basic ")).decode() == f"ann:{PASSWORD}"
    assert dict(os.environ) == before
    said = capfd.readouterr()
    assert secrets_in(str(raised.value) + caplog.text + said.out + said.err) == []
    assert raised.value.__suppress_context__


def test_what_mlflow_is_told_holds_for_the_call_only(tracking, run, monkeypatch, tmp_path):
    import mlflow

    monkeypatch.chdir(tmp_path)
    told = ("MLFLOW_HTTP_REQUEST_TIMEOUT", "MLFLOW_DISABLE_TELEMETRY", "MLFLOW_TRACKING_PASSWORD")
    for name in told:
        monkeypatch.delenv(name, raising=False)
    place, level = mlflow.get_tracking_uri(), logging.getLogger("mlflow").level
    tracking.promote(tracking.record(run), MARCH, at=NOW)
    assert tracking.champion(MARCH).model == run.model
    with answering(lambda request: request.send_error(403)) as port, pytest.raises(TrackingError):
        Tracking(f"http://{LOGIN}127.0.0.1:{port}", "churn", "shop").versions()
    assert not [name for name in told if name in os.environ]
    assert mlflow.get_tracking_uri() == place
    assert list(tmp_path.iterdir()) == []  # MLflow's own default is a database in the folder that one is in
    assert logging.getLogger("mlflow").level == level and mlflow.active_run() is None


@pytest.fixture
def server(tmp_path) -> Iterator[str]:
    """A real MLflow server on a free port; gives its address."""
    port = free_port()
    command = [
        sys.executable, "-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{tmp_path}/server.db",
        "--artifacts-destination", str(tmp_path / "artifacts"), "--host", "127.0.0.1", "--port", str(port),
        "--workers", "1",
    ]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=tmp_path, stdout=log, stderr=log, start_new_session=True,
            env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "OMP_NUM_THREADS": "1"},
        )
    try:
        until = time.monotonic() + 120
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2):
                    break
            except OSError:
                assert process.poll() is None and time.monotonic() < until, (tmp_path / "log").read_text()
                time.sleep(0.2)
        yield f"127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGTERM)  # the session that was started above: the server and its worker
        process.wait(timeout=30)


def test_a_real_server_keeps_runs_versions_and_models(server, run, capfd, tmp_path):
    remote = Tracking(f"http://{LOGIN}{server}", "churn", "shop.remote")
    assert remote.champion(MARCH) is None
    assert remote.record(run) == "1"
    remote.promote(1, FEBRUARY, at=NOW)
    found = remote.champion(MARCH)
    assert (found.version, found.model, found.champion_from) == (1, run.model, FEBRUARY)
    assert remote.champion(JANUARY) is None
    (version,) = remote.versions()
    assert (version.aliases, version.measures) == (("champion",), {"brier": 0.161})
    kept = {path.name for path in (tmp_path / "artifacts").rglob("*") if path.is_file()}
    assert {"model.json", "native_model.py", "totals.csv"} <= kept
    said = capfd.readouterr()
    assert secrets_in(said.out + said.err) == [] and "http" not in said.out


# Pictures -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("parameters", [
    MBG, PurchaseParameters(BG_NBD, 0.2426, 30.9, 0.793, 2.426), PurchaseParameters(mbg_cnbd(3), 0.8, 20.0, 0.9, 2.6),
], ids=lambda parameters: parameters.model.name)
def test_fitted_repeat_orders_are_those_of_the_process(parameters):
    ages = np.random.default_rng(0).integers(10, 500, 60_000).astype(float)
    seen = simulate_purchases(parameters, ages, seed=3)
    actual, fitted = repeat_order_counts(parameters, seen.cells(), 10)
    assert actual.tolist() == [*((seen.x == x).sum() for x in range(10)), (seen.x >= 10).sum()]
    assert fitted.sum() == pytest.approx(60_000)
    assert (np.abs(actual - fitted) < 4 * np.sqrt(fitted)).all()


def test_the_pictures_are_titled_have_units_and_come_out_the_same(run):
    group, horizon = run.model.everyone, run.model.horizon_days
    cells = Cells.of([0, 2, 5], [0, 60, 300], [30, 200, 310])
    curve = Curve([0.2, 0.8], [0.3, 0.7], [10, 0])

    def figures() -> list:
        return [
            reliability({"raw": curve, "recalibrated": curve}, horizon), repeat_orders(group.purchase, cells),
            survival_of_silence(group, horizon, levels={"lost": 0.8}), risk_map(group, horizon),
            orders_map(group, horizon),
        ]

    titles = [figure.axes[0].get_title() for figure in figures()]
    assert titles == [
        "Calibration: no order in 365 days", "Repeat orders, actual and fitted (MBG/NBD, 3 customers)",
        f"What silence says, by repeat orders so far (one every {group.purchase.alpha / group.purchase.r:.0f} days)",
        "Probability of no order in 365 days, first order 730 days ago",
        "Expected orders in 365 days, first order 730 days ago",
    ]
    for figure in figures():
        assert all(axes.get_ylabel() for axes in figure.axes)
        assert any(axes.get_xlabel() for axes in figure.axes)
        assert png(figure)[:8] == b"\x89PNG\r\n\x1a\n"
    first, again = (svg(figures()[1]) for _ in range(2))
    assert first == again and b"</svg>" in first


def test_the_pictures_show_the_numbers_of_the_model(run):
    group = run.model.everyone
    silence = survival_of_silence(group, 365)
    lines = {line.get_label(): line.get_xydata() for line in silence.axes[0].get_lines()}
    assert list(lines) == [f"{x} repeat orders" for x in (0, 1, 3, 10)]
    gap = group.purchase.alpha / group.purchase.r
    for x, points in zip((0, 1, 3, 10), lines.values(), strict=True):
        wanted = CALIBRATION.apply(p_no_order(group.purchase, x, x * gap, x * gap + points[:, 0], 365), np.full(400, x))
        np.testing.assert_allclose(points[:, 1], wanted, rtol=1e-12)
    drawn = np.ma.filled(risk_map(group, 365).axes[0].get_images()[0].get_array(), np.nan)
    assert np.isnan(drawn[:-1, 0]).all() and np.isnan(drawn[-1, 1:]).all()  # who ordered once is silent all the time
    wanted = CALIBRATION.apply(p_no_order(group.purchase, 5, 730, 730, 365), np.array([5]))
    assert drawn[0, 5] == pytest.approx(wanted[0])
    with pytest.raises(ModelError, match="7 curves in one picture"):
        reliability({str(place): Curve([0.1], [0.1], [1]) for place in range(7)}, 365)


def test_a_training_gets_all_pictures(run):
    cells = Cells.of([0, 2, 5], [0, 60, 300], [30, 200, 310])
    made = training_pictures(run.model.everyone, cells, {"raw": Curve([0.2], [0.3], [10])}, 365)
    assert set(made) == {
        "calibration.png", "survival_of_silence.png", "no_order_by_frequency_and_recency.png",
        "orders_by_frequency_and_recency.png", "repeat_orders.png",
    }
    assert replace(run.everyone, plots=made).plots == made
    assert "calibration.png" not in training_pictures(run.model.everyone, cells, {}, 365)


# Structure ------------------------------------------------------------------------------------------------------------


def test_mlflow_and_matplotlib_are_imported_only_when_they_are_used():
    late = {"mlflow", "matplotlib", "sqlalchemy", "pandas"}
    names = [f"models.{name}" for name in ("tracking", "tracking_address", "training_run", "versions", "plots")]
    code = f"import {', '.join(names)}, sys; print(*({late!r} & sys.modules.keys()))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert (said.returncode, said.stdout.split()) == (0, []), said.stderr


def test_only_tracking_and_the_stored_code_know_mlflow():
    found = {}
    for file in (path for package in ("segment_lib", "models", "jobs") for path in (ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else (
                [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            )
            if any(name.partition(".")[0] == "mlflow" for name in names):
                found.setdefault(file.relative_to(ROOT).as_posix(), 0)
    assert set(found) == {"models/tracking.py", "models/native_model.py"}


def test_an_address_shows_no_login():
    address = Address(f"https://{LOGIN}mlflow.example:8443/team")
    assert (address.shown, address.login) == ("https://mlflow.example:8443/team", ("ann", PASSWORD))
    assert secrets_in(repr(address) + repr(Tracking(address.uri, "churn", "shop"))) == []
    assert Address("http://h:1").login == ("", "") and Address("http://h:1").database is None
    assert Address("sqlite:////data/the shop/m.db").database == Path("/data/the shop/m.db")
