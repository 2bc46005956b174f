"""Histories and the sums made of them on Spark, against plain numpy; the fit in SQL against the fit in memory."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from cdnow_sample import cdnow_sample

from models import histories
from models.cells import Cells, Margins
from models.days import number_of
from models.gamma_gamma import ValueCells, fit_value_cells, fit_values
from models.labelled import OWN_GAPS, label_orders
from models.purchase_fit import default_starts, fit_cells, fit_purchases
from models.purchase_process import BG_NBD, MBG_NBD, PurchaseParameters, mbg_cnbd
from models.season import Season
from models.simulate import simulate_purchases
from models.sql_fit import sql_margins, sql_reduction, sql_value_margins, sql_value_reduction, timed
from segment_lib.clock import Clock
from segment_lib.settings import CatalogueSection, ModelsSection, Settings
from segment_lib.storage import Lake

ZONE = ZoneInfo("Europe/Berlin")
AS_OF = Clock(date(2025, 12, 31), ZONE)
ORDERS = "order_id string, customer_id string, ordered_at timestamp, status string, revenue decimal(18,4), refund decimal(18,4)"
CUSTOMERS = "customer_id string, country string, created_at timestamp"
TODAY = number_of(AS_OF.snapshot_date)
ORIGINS = (TODAY - 300, TODAY - 180, TODAY - 100)
EPOCH = date(1970, 1, 1)


@pytest.fixture(scope="module")
def drawn():
    """Orders of 300 customers: several on some days, refunds, at midnights of Berlin, of other statuses, after as-of."""
    dice = np.random.default_rng(4)
    rows, kept = [], []
    for customer in range(300):
        day = int(dice.integers(0, 700))
        for number in range(int(dice.choice([1, 1, 1, 2, 4, 9]))):
            here = date(2024, 1, 1) + timedelta(days=day)
            at = datetime(here.year, here.month, here.day, tzinfo=ZONE) + timedelta(minutes=int(dice.integers(0, 1440)))
            revenue, refund = Decimal(int(dice.integers(1, 9000))) / 100, Decimal(int(dice.integers(0, 2)) * 30)
            status = str(dice.choice(["paid", "paid", "paid", "open"]))
            rows.append((f"o{customer}-{number}", f"c{customer}", at.astimezone(UTC), status, revenue, refund or None))
            if status == "paid" and at < AS_OF.as_of:
                kept.append((customer, (here - EPOCH).days, float(revenue - refund)))
            day += int(dice.choice([0, 1, 3, 30, 90]))
    return rows, np.array(kept)


@pytest.fixture(scope="module")
def read(spark, tmp_path_factory, drawn):
    settings = Settings(
        root=str(tmp_path_factory.mktemp("shop") / "lake"), time_zone=ZONE.key, models=ModelsSection(group="country"),
        catalogue=CatalogueSection(order_statuses=("paid", "open"), purchase_statuses=("paid",)),
    )
    lake = Lake(spark, settings)
    lake.append("orders", spark.createDataFrame(drawn[0], ORDERS), "load")
    people = [(f"c{number}", "DE" if number % 3 else None, datetime(2024, 1, 1)) for number in range(290)]
    lake.append("customers", spark.createDataFrame(people, CUSTOMERS), "load")
    return histories.read_histories(lake, settings, lake.pin(), AS_OF).persist()


def test_histories_are_order_days_in_the_tenants_zone(read, drawn):
    kept = drawn[1]
    expected: dict[str, dict[int, float]] = {}
    for customer, day, net in kept:
        mine = expected.setdefault(f"c{int(customer)}", {})
        mine[int(day)] = mine.get(int(day), 0) + net
    rows = {row["customer_id"]: row for row in read.collect()}
    assert {name: [(one["day"], float(one["net"])) for one in row["days"]] for name, row in rows.items()} == {
        name: [(day, pytest.approx(net)) for day, net in sorted(days.items())] for name, days in expected.items()
    }
    groups = {name: row["group"] for name, row in rows.items()}
    assert groups == {name: "DE" if int(name[1:]) % 3 and int(name[1:]) < 290 else None for name in expected}
    assert histories.group_sizes(read) == {"DE": sum(group == "DE" for group in groups.values())}


def test_labelled_cells_are_those_of_plain_numpy(read, drawn):
    found = histories.labelled_cells(read, ORIGINS, 90)
    expected = label_orders(*drawn[1].T, ORIGINS, 90)
    assert [cells.origin for cells in found] == [cells.origin for cells in expected] == list(ORIGINS)
    for ours, theirs in zip(found, expected, strict=True):
        for name in ("x", "first_day", "last_day", "customers", "silent", "orders_ahead"):
            assert np.array_equal(getattr(ours, name), getattr(theirs, name)), name
        for name in ("revenue_ahead", "revenue_so_far"):
            assert np.allclose(getattr(ours, name), getattr(theirs, name), atol=1e-6), name
        for name in ("called", "called_silent"):
            assert np.array_equal(getattr(ours.rules[OWN_GAPS], name), getattr(theirs.rules[OWN_GAPS], name))
    assert sum(float(cells.rules[OWN_GAPS].called_silent.sum()) for cells in found) > 20
    group = histories.labelled_cells(histories.of_group(read, "DE"), ORIGINS[-1:], 90)[0]
    mine = drawn[1][[int(customer) % 3 > 0 and customer < 290 for customer in drawn[1][:, 0]]]
    assert np.array_equal(group.customers, label_orders(*mine.T, ORIGINS[-1:], 90)[0].customers)


def test_counts_by_day_and_gaps(read, drawn):
    days = np.unique(drawn[1][:, :2], axis=0)
    first = np.concatenate([[True], days[1:, 0] != days[:-1, 0]])
    counts = histories.counts_by_day(read)
    for found, expected in ((counts.customers_by_first_day, days[first, 1]), (counts.orders_by_day, days[~first, 1])):
        assert found == {int(day): float(count) for day, count in zip(*np.unique(expected, return_counts=True), strict=True)}
    gaps = np.diff(days[:, 1])[~first[1:]]
    assert histories.log_gaps(read) == pytest.approx(float(np.log(gaps).sum()), rel=1e-12)
    assert histories.log_gaps(read, Season.none()) == histories.log_gaps(read)
    season = Season.of([1] * 11 + [3])
    on_clock = np.diff(season.clock(days[:, 1].astype(int)))[~first[1:]]
    assert histories.log_gaps(read, season) == pytest.approx(float(np.log(on_clock).sum()), rel=1e-12)
    assert histories.log_gaps(read.limit(0)) == histories.log_gaps(read.limit(0), season) == 0.0


@pytest.mark.parametrize("model", [MBG_NBD, mbg_cnbd(2)], ids=["k=1", "k=2"])
@pytest.mark.parametrize("season", [Season.none(), Season.of([1] * 10 + [2, 3])], ids=["calendar", "season"])
def test_the_fit_in_sql_is_the_fit_in_memory(spark, model, season):
    parameters = PurchaseParameters(model, 0.6, 40.0 / model.k, 0.9, 2.0)
    dice = np.random.default_rng(8)
    as_of = TODAY
    seen = simulate_purchases(parameters, dice.integers(1, 700, 4000).astype(float), seed=8)
    first = as_of - seen.age.astype(int)
    last = np.where(seen.x > 0, np.maximum(first + 1, (first + seen.t_x).astype(int)), first)
    rows = [tuple(map(int, row)) for row in zip(seen.x, first, last, strict=True)]
    frame = spark.createDataFrame(rows, "x int, first int, last int").groupBy("x", "first", "last").agg({"*": "count"})
    cells = timed(frame.withColumnRenamed("count(1)", "customers"), season, as_of).persist()
    t_x, age = season.times(first, last, as_of)
    inside = fit_cells(Cells.of(seen.x, t_x, age), model, log_gaps=seen.log_gaps)
    margins = sql_margins(cells, seen.log_gaps)
    expected = Margins.of(Cells.of(seen.x, t_x, age))
    assert np.array_equal(margins.x, expected.x) and np.allclose(margins.orders_by_age, expected.orders_by_age)
    outside = fit_purchases(margins, sql_reduction(cells), model, starts=[parameters])
    assert outside.parameters.values == pytest.approx(inside.parameters.values, rel=1e-6)
    assert outside.log_likelihood == pytest.approx(inside.log_likelihood, abs=1e-6)
    cells.unpersist()


@pytest.mark.parametrize("model", [BG_NBD, MBG_NBD], ids=["BG", "MBG"])
def test_the_fit_in_sql_of_cdnow_is_the_fit_in_memory(spark, model):
    sample = cdnow_sample()
    cells = Cells.of(sample.x, sample.t_x, sample.age)
    rows = [tuple(map(float, row)) for row in zip(cells.x, cells.t_x, cells.age, cells.count, strict=True)]
    frame = spark.createDataFrame(rows, "x double, t_x double, age double, customers double").persist()
    margins = sql_margins(frame)
    outside = fit_purchases(margins, sql_reduction(frame), model, starts=default_starts(margins, model)[:1])
    inside = fit_cells(cells, model)
    assert outside.parameters.values == pytest.approx(inside.parameters.values, rel=1e-6)
    assert outside.log_likelihood == pytest.approx(inside.log_likelihood, abs=1e-6)
    frame.unpersist()


def test_values_in_bins_and_their_fit_in_sql(spark, read, drawn):
    bins = histories.value_bins(read, [TODAY]).persist()
    days, place = np.unique(drawn[1][:, :2], axis=0, return_inverse=True)
    net = np.bincount(place.ravel(), drawn[1][:, 2])
    who, row = np.unique(days[:, 0], return_inverse=True)
    orders, total = np.bincount(row.ravel()), np.bincount(row.ravel(), net)
    positive = total > 0
    exact = ValueCells.of(orders[positive], (total / orders)[positive])
    table = histories.collected(bins, "values")
    assert table["customers"].sum() == positive.sum() and len(table) <= len(exact.x)
    inside = fit_value_cells(ValueCells(table["orders"], table["mean"], table["customers"]))
    outside = fit_values(sql_value_margins(bins), sql_value_reduction(bins))
    assert outside.parameters.p == pytest.approx(inside.parameters.p, rel=1e-6)
    assert inside.log_likelihood == pytest.approx(fit_value_cells(exact).log_likelihood, abs=0.5)
    bins.unpersist()


def test_a_sample_holds_the_same_customers_whenever_it_is_taken(spark):
    many = spark.range(20_000).selectExpr("concat('c', id) AS customer_id", "array(1) AS days")
    one, other = (
        {row.customer_id for row in histories.sampled(rows, 5_000).collect()} for rows in (many, many.repartition(5))
    )
    assert one == other and 4_700 < len(one) < 5_300
    smaller = {row.customer_id for row in histories.sampled(many, 2_000).collect()}
    assert smaller < one, "a smaller sample is part of a greater one"
    assert histories.sampled(many, 20_000) is many
