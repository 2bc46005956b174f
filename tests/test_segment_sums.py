"""Sums over the members of every segment: the matrices beside plain Python, on random customers."""

from __future__ import annotations

import random
from collections import Counter
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from segment_lib import figures, segment_sums
from segment_lib.figures import EVERYONE, FIGURES, LOST
from segment_lib.totals import HISTOGRAMS, TOTALS, Sums

GROUPS = ("big", "nobody", "some")
NAMES = (*GROUPS, EVERYONE, LOST)


def people(dice: random.Random, count: int) -> list[dict]:
    """Customers with totals that leave 32 bits on either side, and none to three visits."""
    rows = []
    for _ in range(count):
        some = (0, 1, 2**31, 2**32 + 7, -(2**45), dice.randrange(-(2**52), 2**52))
        totals = {total.name: dice.choice(some) for total in TOTALS}
        totals |= {"customers": 1, "lost": dice.choice([0, 0, 1])}
        rows.append({
            "member_of": [dice.random() < 0.7, False, dice.random() < 0.2],
            **{f"total_{name}": value for name, value in totals.items()},
            **{
                f"bin_{name}": [dice.randrange(top + 1) for _ in range(dice.randrange(4))]
                for name, top in HISTOGRAMS.items()
            },
        })
    return rows


def plainly(rows: list[dict]) -> dict[str, Sums]:
    found = {}
    for name in NAMES:
        if name in GROUPS:
            mine = [row for row in rows if row["member_of"][GROUPS.index(name)]]
        else:
            mine = [row for row in rows if name == EVERYONE or row["total_lost"]]
        found[name] = Sums(
            {total.name: sum(row[f"total_{total.name}"] for row in mine) for total in TOTALS},
            {name: Counter(one for row in mine for one in row[f"bin_{name}"]) for name in HISTOGRAMS},
        )
    return found


def cells(rows: list[dict], size: int) -> list[pa.RecordBatch]:
    types = {"member_of": pa.list_(pa.bool_()), **{f"total_{total.name}": pa.int64() for total in TOTALS}}
    schema = pa.schema({**types, **{f"bin_{name}": pa.list_(pa.int32()) for name in HISTOGRAMS}})
    batches = [pa.RecordBatch.from_pylist(rows[i : i + size], schema) for i in range(0, len(rows), size)]
    return list(segment_sums._partial(iter(batches), len(GROUPS), True))


def read(batches: list[pa.RecordBatch]) -> segment_sums.Summed:
    table = pa.Table.from_batches(batches)
    return segment_sums._read(*(table[name].to_numpy() for name in ("group", "cell", "high", "low")), NAMES)


@pytest.mark.parametrize("size", [1, 700, 9000])
def test_sums_are_exact_whatever_the_batches(size):
    rows = people(random.Random(size), 5000 if size > 1 else 40)
    found, expected = read(cells(rows, size)), plainly(rows)
    for name in NAMES:
        for total in TOTALS:
            assert found.groups[name][total.name] == expected[name][total.name], (name, total.name)
        for histogram in HISTOGRAMS:
            assert found.groups[name].median(histogram) == expected[name].median(histogram), (name, histogram)
    both = sum(row["member_of"][0] and row["member_of"][2] for row in rows)
    assert found.shared == ({("big", "some"): both} if both else {})


def test_sums_on_spark_are_those_of_one_task(spark):
    rows = people(random.Random(3), 300)
    expected = plainly(rows)
    found = segment_sums.summed(_frame(spark, rows), GROUPS, overlaps=False)
    assert {name: [sums[total.name] for total in TOTALS] for name, sums in found.groups.items()} == {
        name: [sums[total.name] for total in TOTALS] for name, sums in expected.items()
    }
    assert all(
        found.groups[name].median(one) == expected[name].median(one) for name in NAMES for one in HISTOGRAMS
    )
    assert found.shared == {}


def _frame(spark, rows):
    kinds = ["member_of array<boolean>", *(f"total_{total.name} bigint" for total in TOTALS)]
    kinds += [f"bin_{name} array<int>" for name in HISTOGRAMS]
    names = [kind.split()[0] for kind in kinds]
    return spark.createDataFrame([tuple(row[name] for name in names) for row in rows], ", ".join(kinds)).repartition(3)


def test_of_nobody_everything_is_zero(spark):
    found = segment_sums.summed(_frame(spark, []), GROUPS, overlaps=True)
    assert all(sums[total.name] == 0 for sums in found.groups.values() for total in TOTALS)
    assert figures.computed("big", found.groups)["average_order_value"] is None


def test_the_revenue_tree_multiplies_to_the_total():
    dice = random.Random(5)
    for _ in range(200):
        purchasers = dice.randrange(1, 50)
        purchases = purchasers + dice.randrange(90)
        sums = {
            "g": Sums({
                "customers": 60, "purchasers": purchasers, "purchases": purchases,
                "units": purchases + dice.randrange(99), "net_revenue": dice.randrange(-10**6, 10**12),
            }),
        }
        numbers = figures.computed("g", sums)
        tree = [numbers[name] for name in ("orders_per_customer", "units_per_order", "average_unit_revenue")]
        product = Fraction(purchasers)
        for factor in tree:
            product *= Fraction(factor)
        # Each factor is rounded to 8 places: the product is as far off as they are together.
        off = sum(Fraction(1, 10**8) / abs(Fraction(factor)) for factor in tree if factor) + Fraction(1, 10**6)
        assert abs(product - Fraction(numbers["net_revenue"])) <= abs(product) * off + Fraction(1, 100)
        assert numbers["revenue_per_customer"] == figures.quotient(numbers["net_revenue"], purchasers)


def test_averages_of_everyone_leave_the_lost_out():
    sums = {
        EVERYONE: Sums({"customers": 4, "purchasers": 4, "net_revenue": 100_0000}, {"cycle_days": {5: 3, 90: 9}}),
        LOST: Sums({"customers": 3, "purchasers": 3, "net_revenue": 40_0000}, {"cycle_days": {90: 9}}),
    }
    everyone, lost = figures.computed(EVERYONE, sums), figures.computed(LOST, sums)
    assert (everyone["customers"], everyone["net_revenue"]) == (4, Decimal(100))
    assert (everyone["revenue_per_customer"], everyone["median_cycle_days"]) == (Decimal(60), 5)
    assert (lost["revenue_per_customer"], lost["median_cycle_days"]) == (Decimal("13.33333333"), 90)


def test_figures_have_names_units_and_meanings_of_their_own():
    assert len({figure.name for figure in FIGURES}) == len(FIGURES)
    known = {total.name for total in TOTALS} | set(HISTOGRAMS)
    for figure in FIGURES:
        assert figure.unit and figure.says and set(figure.needs) <= known, figure.name
    assert {name for figure in FIGURES for name in figure.needs} | {"late"} >= known - {
        f"net_revenue_month_{back}" for back in range(13)
    }


def test_batches_are_small_enough_for_exact_halves():
    assert segment_sums._BATCH * 2**segment_sums._HALF <= 2**np.finfo(np.float64).nmant


def test_the_page_lists_every_figure():
    """docs/metrics.md has the table as ``segment_lib.figures.table()`` gives it."""
    page = Path(__file__).parents[1] / "docs" / "metrics.md"
    assert figures.table() in page.read_text(encoding="utf-8")
