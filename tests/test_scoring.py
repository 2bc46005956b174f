"""Scores of a night against plain numpy, one customer at a time; what a night does with and without a champion."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from math import ceil

import numpy as np
import pytest

from models.calibration import Calibration
from models.champion import Champion
from models.churn_model import ChurnModel, GroupModel
from models.expected_orders import expected_orders
from models.gamma_gamma import GammaGammaParameters, expected_value
from models.profiler import Profiler, kept_date
from models.purchase_process import MBG_NBD, PurchaseParameters, mbg_cnbd, p_no_order
from models.season import Season
from models.silence import cycle, median_wait
from segment_lib import nightly, profiles
from segment_lib.build import score, segment
from segment_lib.catalogue import MODEL_SCORES
from segment_lib.definition import Loaded
from segment_lib.runs import State
from segment_lib.scores import Published
from segment_lib.settings import CatalogueSection, GatesSection, ModelsSection, Settings
from segment_lib.storage import Lake


DAY, NEXT = date(2026, 2, 10), date(2026, 2, 11)
EPOCH = date(1970, 1, 1)
ORDERS = "order_id string, customer_id string, ordered_at timestamp, status string, revenue decimal(18,4), refund decimal(18,4)"
CUSTOMERS = "customer_id string, country string, created_at timestamp"
PLAIN = GroupModel(
    PurchaseParameters(MBG_NBD, 0.6, 40.0, 0.9, 2.0), GammaGammaParameters(6.0, 4.0, 16.0), Season.none(),
    Calibration(((0.3, 1.1), (-0.2, 0.9), (0.0, 1.0))), 5000,
)
REGULAR = GroupModel(
    PurchaseParameters(mbg_cnbd(2), 0.9, 30.0, 0.7, 2.5), None, Season.of([1] * 10 + [2, 3]),
    Calibration.identity(), 3000,
)


def shop_settings(root: object, **models: object) -> Settings:
    return Settings(
        root=str(root), gates=GatesSection(max_turnover=None, max_staleness_days=None),
        models=ModelsSection(horizon_days=90, **models),
        catalogue=CatalogueSection(order_statuses=("paid", "open"), purchase_statuses=("paid",)),
    )


@pytest.fixture(scope="module")
def bought() -> dict[str, list[tuple[date, Decimal]]]:
    """Customer -> order days with their revenue; some ordered on the last day, some once, some long ago."""
    dice = np.random.default_rng(3)
    found: dict[str, list[tuple[date, Decimal]]] = {}
    for customer in range(60):
        day, days = DAY - timedelta(days=int(dice.choice([0, 1, 40, 200, 900]))), []
        for _ in range(int(dice.choice([1, 1, 2, 3, 5, 12]))):
            days.append((day, Decimal(int(dice.integers(100, 9000))) / 100))
            day -= timedelta(days=int(dice.choice([1, 7, 30, 31, 90])))
        found[f"c{customer}"] = sorted(days)
    return found


def country(name: str) -> str | None:
    return ("DE", "AT", None)[int(name[1:]) % 3]


@pytest.fixture(scope="module")
def shop(spark, tmp_path_factory, bought):
    settings = shop_settings(tmp_path_factory.mktemp("scored") / "lake", group="country")
    fill(Lake(spark, settings), bought)
    return settings


def fill(lake: Lake, bought: dict) -> None:
    rows = [
        (f"{name}-{day}", name, datetime(day.year, day.month, day.day, 9), "paid", revenue, None)
        for name, days in bought.items() for day, revenue in days
    ]
    lake.append("orders", lake.spark.createDataFrame(rows, ORDERS), "load")
    people = [(name, country(name), datetime(2020, 1, 1)) for name in (*bought, "c900")]
    lake.append("customers", lake.spark.createDataFrame(people, CUSTOMERS), "load")


def run(spark, settings: Settings, day: date, *segments, champion: ChurnModel | None = None, kept: Published | None = None):
    named = None if champion is None else Champion("shop.churn", "7", champion)
    return nightly.run(
        Lake(spark, settings), settings, Loaded(segments), snapshot_date=day, now=datetime(2026, 3, 1, tzinfo=UTC),
        scorers=lambda work: Profiler(settings, named, kept, "the server is away"),
    )


def stored(spark, settings: Settings, run_id: str) -> dict[str, dict]:
    rows = Lake(spark, settings).read("customer_profiles").where(f"run_id = '{run_id}'").collect()
    return {row["customer_id"]: row.asDict() for row in rows}


def risk_at(group: GroupModel, first: int, last: int, x: int, days: np.ndarray, horizon: float) -> np.ndarray:
    """The calibrated probability of no order, seen from each of `days`, in a horizon that is given on the clock."""
    start, end = group.season.clock([first, last])
    age = group.season.clock(days) - start
    x = np.full(len(days), float(x))
    return group.calibration.apply(p_no_order(group.purchase, x, np.full(len(days), end - start), age, horizon), x)


def cutoff(group: GroupModel, first: int, last: int, x: int, level: float, floor: int) -> int | None:
    """The first silent day, at the floor or later, from which on the risk stays at the level: day after day."""
    reached = risk_at(group, first, last, x, np.arange(last, last + 36_000), 90.0) >= level
    if not reached[-1]:
        return None
    since = int(np.flatnonzero(~reached).max(initial=-1)) + 1
    return max(since, floor)


def test_every_score_against_numpy(spark, shop, bought):
    model = ChurnModel(DAY, 90, PLAIN, {"DE": REGULAR})
    found = stored(spark, shop, run(spark, shop, DAY, champion=model).run_id)
    assert found.keys() == bought.keys()
    as_of, statuses = (DAY - EPOCH).days, set()
    for name, days in bought.items():
        group, row = model.of(country(name)), found[name]
        numbers = [(day - EPOCH).days for day, _ in days]
        first, last, x = numbers[0], numbers[-1], len(days) - 1
        clock = group.season.clock
        t_x, age = (float(clock([day])[0] - clock([first])[0]) for day in (last, as_of))
        silent = as_of - last

        def close(column: str, value: float, row=row):
            assert float(row[column]) == pytest.approx(value, abs=2e-8, rel=1e-9), (name, column)

        (risk,) = risk_at(group, first, last, x, np.array([as_of]), group.season.ahead(as_of, 90))
        close("churn_risk_rate", risk)
        close("next_order_probability", 1 - risk)
        close("next_order_probability_90", 1 - risk)
        raw = p_no_order(group.purchase, np.float64(x), np.float64(t_x), np.float64(age), group.season.ahead(as_of, 365))
        close("next_order_probability_365", 1 - float(raw))
        assert row["churn_silent_days"] == silent
        at_risk, lost = (cutoff(group, first, last, x, level, 30) for level in (0.5, 0.8))
        assert (row["churn_at_risk_days"], row["churn_cutoff_days"]) == (at_risk, lost), name
        assert row["churn_cutoff_date"] == (None if lost is None else days[-1][0] + timedelta(days=lost))
        status = "lost" if lost is not None and silent > lost else "at_risk" if at_risk is not None and silent > at_risk else "active"
        assert row["churn_status"] == status
        statuses.add(status)
        close("churn_cycle_days", float(cycle(group.purchase, x, t_x)))
        close("churn_season", float(group.season.factor([as_of])[0]))
        assert (row["churn_own_gap_days"] is None) == (x == 0)
        if x:
            close("churn_own_gap_days", (last - first) / x)
        if group is PLAIN:
            # Some keys of this night are by day, so all medians come from the table; without a season they are times.
            close("next_order_days", float(median_wait(group.purchase, x, t_x, age)))
        assert (row["activity_ratio"] is None) == (first == as_of)
        orders = float(expected_orders(group.purchase, x, t_x, age, group.season.ahead(as_of, 365)))
        close("value_predicted_orders", orders)
        if group.value is None:
            assert row["value_order_value"] is row["value_ltv"] is row["value_tier"] is None
            continue
        mean = float(sum(revenue for _, revenue in days)) / len(days)
        value = float(expected_value(group.value, len(days), mean))
        close("value_order_value", value)
        close("value_predicted_revenue", orders * value)
        ends = [round(30.4375 * month) for month in range(1, 12)] + [365]
        so_far = [float(expected_orders(group.purchase, x, t_x, age, end)) for end in ends]
        gains = np.diff([0.0, *so_far])
        close("value_ltv", 0.3 * value * sum(gain * 1.1 ** (-month / 12) for month, gain in enumerate(gains, start=1)))
    assert statuses == {"lost", "at_risk", "active"}

    ltv = {name: row["value_ltv"] for name, row in found.items() if row["value_ltv"] is not None}
    shares = {"platinum": 0.01, "gold": 0.05, "silver": 0.1, "bronze": 0.25, "medium": 0.5, "low": 1.0}
    for name, value in ltv.items():
        better = sum(other > value for other in ltv.values())
        assert found[name]["value_tier"] == next(tier for tier, share in shares.items() if better < ceil(share * len(ltv)))


def test_without_season_and_regularity_cutoffs_need_no_days(spark, tmp_path, bought):
    """The table of cutoffs is then by (x, span), and the median wait is an expression."""
    settings = shop_settings(tmp_path / "lake")
    fill(Lake(spark, settings), bought)
    found = stored(spark, settings, run(spark, settings, DAY, champion=ChurnModel(DAY, 90, PLAIN)).run_id)
    for name, days in bought.items():
        first, last = ((day - EPOCH).days for day in (days[0][0], days[-1][0]))
        x = len(days) - 1
        assert found[name]["churn_cutoff_days"] == cutoff(PLAIN, first, last, x, 0.8, 30)
        wait = float(median_wait(PLAIN.purchase, x, last - first, (DAY - EPOCH).days - first))
        assert float(found[name]["next_order_days"]) == pytest.approx(wait, abs=2e-8, rel=1e-9)


def test_python_makes_the_table_of_cutoffs_alone_and_no_window_sees_everybody(spark, event_log, tmp_path, bought):
    """In Spark's own log of a night: what comes from Python workers are keys, not customers, and nothing is ranked."""
    settings = shop_settings(tmp_path / "lake")
    crowd = {f"c{int(name[1:]) + 60 * copy}": days for name, days in bought.items() for copy in range(10)}
    fill(Lake(spark, settings), crowd)
    offset = event_log().stat().st_size
    done = run(spark, settings, DAY, champion=ChurnModel(DAY, 90, PLAIN))
    assert len(stored(spark, settings, done.run_id)) == len(crowd) == 600
    nodes, outputs, given = set(), set(), 0
    with event_log().open("rb") as lines:
        lines.seek(offset)
        for event in map(json.loads, lines):
            for node in walked(event.get("sparkPlanInfo")):
                nodes.add(node["nodeName"])
                if node["nodeName"] == "MapInPandas":
                    outputs |= {
                        one["accumulatorId"] for one in node["metrics"] if one["name"] == "number of output rows"
                    }
            if event["Event"] == "SparkListenerTaskEnd":
                given += sum(int(one["Update"]) for one in event["Task Info"]["Accumulables"] if one["ID"] in outputs)
    # The sums by segment, a row per task, segment and figure, are no part of scoring.
    python = {name for name in nodes if "Pandas" in name or "Python" in name or "Arrow" in name}
    assert python - {"MapInArrow"} == {"MapInPandas"}
    keys = {(len(days), (days[-1][0] - days[0][0]).days) for days in bought.values()}
    assert len(keys) <= given <= 2 * len(keys) < len(crowd)
    assert "HashAggregate" in nodes and not {name for name in nodes if "Window" in name}


def walked(plan: dict | None):
    """A plan in the event log and all its parts."""
    if plan is not None:
        yield plan
        for child in plan.get("children", ()):
            yield from walked(child)


def test_without_a_champion_segments_wait_or_keep_the_last_scores(spark, tmp_path, bought):
    settings = shop_settings(tmp_path / "lake")
    fill(Lake(spark, settings), bought)
    lost = segment("lost", where=score("churn.status", is_="lost"))
    fresh = segment("fresh", where=score("rfm.r", at_least=1))
    never = run(spark, settings, DAY, lost, fresh)
    assert never.state is State.PARTIAL and [row.segment_id for row in never.held_back] == ["lost"]
    assert never.held_back[0].reason == "waiting for scores: churn.status"

    scored = run(spark, settings, DAY, lost, fresh, champion=ChurnModel(DAY, 90, PLAIN))
    assert scored.state is State.PUBLISHED and scored.record.models == {"shop.churn": "7"}
    sizes = {row.segment_id: row.customers for row in scored.metrics}
    tonight = stored(spark, settings, scored.run_id)
    assert sizes["lost"] == sum(row["churn_status"] == "lost" for row in tonight.values()) > 0
    assert {row["churn_model"] for row in tonight.values()} == {"shop.churn/7"}

    lake = Lake(spark, settings)
    published = profiles.of_run(lake, scored.record)
    assert kept_date(published) == DAY
    away = run(spark, settings, NEXT, lost, fresh, kept=Published(published, DAY))
    assert away.state is State.PUBLISHED and away.record.models == {}
    said = {row.segment_id: row.reason for row in away.definitions}
    assert said == {"lost": "with the scores of 2026-02-10: the server is away", "fresh": ""}
    after = stored(spark, settings, away.run_id)
    for name, row in after.items():
        assert all(row[column] == tonight[name][column] for column in row if column.startswith(("churn", "value", "next")))
        assert row["churn_scored_on"] == DAY
        if row["rfm_recency"] is not None:
            assert row["rfm_recency"] == tonight[name]["rfm_recency"] + 1
    lost_now = {row.segment_id: row["lost"] for row in away.metrics}
    assert lost_now == {"_all": sizes["lost"], "lost": sizes["lost"], "fresh": lost_now["fresh"]}
    assert away.record.scores >= MODEL_SCORES
