"""RFM in a night: values, scores, groups, cuts and moves, against plain Python on random orders with ties and edges."""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from conftest import configured
from pydantic import ValidationError

from models.profiler import Profiler
from segment_lib import nightly
from segment_lib.api import Tenant
from segment_lib.build import score, segment
from segment_lib.catalogue import SCORES
from segment_lib.definition import Loaded
from segment_lib.errors import UsageError
from segment_lib.model_settings import GROUPS, RfmSection
from segment_lib.runs import read_history
from segment_lib.scores import column_of
from segment_lib.settings import CatalogueSection, GatesSection, Settings
from segment_lib.storage import Lake
from segment_lib.tables import OUTPUTS

ZONE = ZoneInfo("America/New_York")
FIRST, SECOND = date(2026, 3, 8), date(2026, 3, 9)  # the clocks change on the first
ORDERS = "order_id string, customer_id string, ordered_at timestamp, status string, revenue decimal(18,4), refund decimal(18,4)"


# Plain Python ---------------------------------------------------------------------------------------------------------


def values_of(orders: list[tuple], day: date, window: int) -> dict[str, tuple[int, int, Decimal] | None]:
    """Customer -> (recency, frequency, monetary) in the window, None for who ordered before it alone."""
    end = datetime(day.year, day.month, day.day, tzinfo=ZONE) + timedelta(days=1)
    start = end - timedelta(days=window)
    mine = defaultdict(list)
    for _, customer, at, status, revenue, refund in orders:
        if status in ("paid", "refunded") and at.astimezone(ZONE) < end:
            mine[customer].append((at.astimezone(ZONE), (revenue or 0) - (refund or 0)))
    found: dict[str, tuple[int, int, Decimal] | None] = {}
    for customer, rows in mine.items():
        inside = [(at, net) for at, net in rows if at >= start]
        days = {at.date() for at, _ in inside}
        found[customer] = None if not inside else (
            (day - max(days)).days, len(days), sum((net for _, net in inside), Decimal(0))
        )
    return found


def scores_of(values: dict[str, tuple | None], levels: int) -> dict[str, tuple[int, int, int]]:
    """Customer -> scores: how many are strictly worse, one customer after the other."""
    known = {name: (-found[0], *found[1:]) for name, found in values.items() if found}
    return {
        name: tuple(
            1 + levels * sum(other[i] < own[i] for other in known.values()) // len(known) for i in range(3)
        )
        for name, own in known.items()
    }


def profiles_of(orders: list[tuple], day: date, section: RfmSection) -> dict[str, dict]:
    """What `customer_profiles` should say of RFM."""
    values = values_of(orders, day, section.window_days)
    five, three = scores_of(values, 5), scores_of(values, 3)
    group_of = {cell: name for name, cells in section.groups.items() for cell in cells}
    profiles = {}
    for name, found in values.items():
        cell = "".join(map(str, three[name])) if found else None
        r, f, m = five.get(name, (None,) * 3)
        recency, frequency, monetary = found or (None,) * 3
        profiles[name] = {
            "rfm_recency": recency, "rfm_frequency": frequency, "rfm_monetary": monetary, "rfm_r": r, "rfm_f": f,
            "rfm_m": m, "rfm_cell": cell, "rfm_group": group_of[cell] if cell else "inactive",
        }
    return profiles


# A night --------------------------------------------------------------------------------------------------------------


def drawn(seed: int, customers: int = 60) -> list[tuple]:
    """Orders with ties in every measure, at the edges of days and of the window, of statuses that do not count."""
    dice = random.Random(seed)
    midnight = datetime(2026, 3, 10, tzinfo=ZONE)
    orders = []
    for customer in range(customers):
        for number in range(dice.choice([0, 1, 1, 1, 2, 3, 8])):
            back = dice.choice([0, 1, 2, 5, 29, 30, 31, 60, dice.randrange(90)])
            at = midnight - timedelta(days=back) + dice.choice([
                timedelta(0), timedelta(microseconds=-1), timedelta(hours=dice.randrange(24)), timedelta(minutes=-30),
            ])
            refund = dice.choice([None, None, Decimal(5), Decimal(25)])
            orders.append((
                f"o{customer}-{number}", f"c{customer}", at.astimezone(UTC), dice.choice(["paid", "paid", "refunded", "open"]),
                dice.choice([None, Decimal(10), Decimal(10), Decimal("20.5"), Decimal(dice.randrange(100))]), refund,
            ))
    return orders


class Shop:
    def __init__(self, spark, root, section: RfmSection):
        self.spark, self.section = spark, section
        self.settings = Settings(
            root=str(root), time_zone=ZONE.key, rfm=section,
            gates=GatesSection(max_turnover=None, max_staleness_days=None),
            catalogue=CatalogueSection(
                order_statuses=("paid", "refunded", "open"), purchase_statuses=("paid", "refunded")),
        )

    @property
    def lake(self) -> Lake:
        return Lake(self.spark, self.settings)

    def run(self, day: date, *segments, **options):
        return nightly.run(
            self.lake, self.settings, Loaded(segments), snapshot_date=day, now=datetime(2026, 4, 1, tzinfo=UTC),
            scorers=lambda work: Profiler(self.settings), **options,
        )

    def profiles(self, run_id: str) -> dict[str, dict]:
        rows = self.lake.read("customer_profiles").where(f"run_id = '{run_id}'").collect()
        return {row["customer_id"]: row.asDict() for row in rows}


@pytest.mark.parametrize("section", [
    RfmSection(window_days=30),
    RfmSection(window_days=60, recency_bins={"five": (1, 3, 10, 40), "three": (2, 30)}),
], ids=["by shares", "by fixed days"])
def test_random_orders_against_plain_python(spark, tmp_path, section):
    shop, orders = Shop(spark, tmp_path / "lake", section), drawn(seed=len(section.groups) + section.window_days)
    shop.lake.append("orders", spark.createDataFrame(orders, ORDERS), "load")
    outcome = shop.run(FIRST)
    expected = profiles_of(orders, FIRST, section)
    if section.recency_bins:
        for row in expected.values():
            if row["rfm_recency"] is not None:
                five = 5 - sum(row["rfm_recency"] > limit for limit in section.recency_bins.five)
                three = 3 - sum(row["rfm_recency"] > limit for limit in section.recency_bins.three)
                row["rfm_r"], row["rfm_cell"] = five, f"{three}{row['rfm_cell'][1:]}"
                row["rfm_group"] = next(name for name, cells in GROUPS.items() if row["rfm_cell"] in cells)
    found = {
        name: {key: row[key] for key in expected[name]} for name, row in shop.profiles(outcome.run_id).items()
    }
    assert found == expected
    assert {row["rfm_group"] for row in found.values()} >= {"inactive"} and len({r["rfm_cell"] for r in found.values()}) > 5
    cuts = shop.lake.read("rfm_cuts").where(f"run_id = '{outcome.run_id}'").collect()
    having = sum(row["rfm_recency"] is not None for row in expected.values())
    assert {row["customers"] for row in cuts} == {having} and {row["window_days"] for row in cuts} == {section.window_days}
    assert len(cuts) == (12 if section.recency_bins else 18)


def test_segments_of_groups_and_the_moves_between_them(spark, tmp_path):
    shop = Shop(spark, tmp_path / "lake", RfmSection(window_days=40))
    orders = drawn(seed=5, customers=40)
    shop.lake.append("orders", spark.createDataFrame(orders, ORDERS), "load")
    best = segment("best", where=score("rfm.group", in_=["champions", "loyal"]))
    rich = segment("rich", where=score("rfm.monetary", at_least={"percentile": 80}))
    waiting = segment("waiting", where=score("churn.status", is_="lost"))
    first = shop.run(FIRST, best, rich, waiting)
    second = shop.run(SECOND, best, rich, waiting)
    assert [row.segment_id for row in second.held_back] == ["waiting"]
    before, now = profiles_of(orders, FIRST, shop.section), profiles_of(orders, SECOND, shop.section)
    members = {
        row["customer_id"] for row in shop.lake.read("memberships").where(f"run_id = '{second.run_id}'").collect()
        if "best" in [one["id"] for one in row["segments"]]
    }
    assert members == {name for name, row in now.items() if row["rfm_group"] in ("champions", "loyal")} != set()
    sizes = {row.segment_id: row.customers for row in second.metrics}
    spent = sorted(row["rfm_monetary"] for row in now.values() if row["rfm_monetary"] is not None)
    bound = spent[-(-len(spent) * 80 // 100) - 1]
    assert sizes["rich"] == sum(value >= bound for value in spent)

    tenant = Tenant(spark, shop.settings)
    with configured(spark, sql__runSQLOnFiles="true"):
        assert {row["customer_id"] for row in spark.sql(tenant.sql("best")).collect()} == members
    seen = tenant.preview(best, full=True)
    assert seen.size.value == len(members) and seen.effect.entering.value == seen.effect.leaving.value == 0
    asked = tenant.why(min(members), "best")
    assert asked.member and asked.holds and [line.text for line in asked.tree.leaves()] == [best.where.label()]

    expected: dict[tuple, int] = defaultdict(int)
    for name in before.keys() | now.keys():
        expected[before.get(name, {}).get("rfm_group"), now.get(name, {}).get("rfm_group")] += 1
    rows = shop.lake.read("score_moves").where(f"run_id = '{second.run_id}' and score = 'rfm.group'").collect()
    assert {(row["before"], row["now"]): row["customers"] for row in rows} == expected
    assert {row["base_run_id"] for row in rows} == {first.run_id} and len(expected) > 6

    again = shop.run(FIRST, best, rich, waiting)  # restating the first date measures the second from it
    rows = shop.lake.read("score_moves").where(f"base_run_id = '{again.run_id}' and score = 'rfm.group'").collect()
    assert {(row["before"], row["now"]): row["customers"] for row in rows} == expected
    history = read_history(shop.lake)
    assert {row["run_id"] for row in rows} == {second.run_id} and history.stale == ()

    assert {row["customer_id"] for row in tenant.profiles(FIRST).collect()} == before.keys()
    shop.lake.delete("customer_profiles", {"snapshot_date": FIRST, "run_id": again.run_id}, again.run_id)  # as retention
    for asked_of_first in (lambda: tenant.why(min(members), "best", FIRST), lambda: tenant.profiles(FIRST)):
        with pytest.raises(UsageError, match=f"the scores of {FIRST} are no longer kept"):
            asked_of_first()
    assert tenant.why(min(members), "best", SECOND).member
    assert {row["customer_id"] for row in tenant.profiles().collect()} == now.keys()


def test_most_who_ordered_once_share_the_lowest_score_and_the_next_scores_skip(spark, tmp_path):
    """As on CDNOW, where 60 % ordered once: frequency scores are 1, 3 or 4 and 5, never 2."""
    shop = Shop(spark, tmp_path / "lake", RfmSection())
    noon = datetime(2026, 3, 8, 17, tzinfo=UTC)
    orders = [
        (f"o{customer}-{number}", f"c{customer}", noon - timedelta(days=number), "paid", Decimal(10), None)
        for customer in range(100) for number in range(1 if customer < 60 else 2 if customer < 80 else 3)
    ]
    shop.lake.append("orders", spark.createDataFrame(orders, ORDERS), "load")
    found = shop.profiles(shop.run(FIRST).run_id)
    assert {row["rfm_frequency"]: row["rfm_f"] for row in found.values()} == {1: 1, 2: 4, 3: 5}
    assert {row["rfm_r"] for row in found.values()} == {1}  # all ordered on one day: equal values share a score


def test_nobody_ordered(spark, tmp_path):
    shop = Shop(spark, tmp_path / "lake", RfmSection())
    shop.lake.append("customers", spark.createDataFrame([("ann", datetime(2025, 1, 1))], "customer_id string, created_at timestamp"), "load")
    outcome = shop.run(FIRST, segment("prospects", where=score("rfm.group", is_="prospect")))
    assert shop.profiles(outcome.run_id) == {}
    assert {row.segment_id: row.customers for row in outcome.metrics} == {"_all": 1, "prospects": 1}
    tenant = Tenant(spark, shop.settings)
    assert tenant.why("ann", "prospects").member
    assert tenant.profiles().isEmpty()  # nobody had scores: nothing is missing


# Conf -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("groups", "said"), [
    ({**GROUPS, "inactive": GROUPS["inactive"][1:]}, "in no group: 111"),
    ({**GROUPS, "extra": ("333",)}, "in more than one group: 333"),
    ({**GROUPS, "extra": ("444",)}, "no cells: 444"),
    ({"prospect": tuple(cell for cells in GROUPS.values() for cell in cells)}, "'prospect' is not a name"),
])
def test_groups_share_out_the_cells(groups, said):
    with pytest.raises(ValidationError, match=said):
        RfmSection(groups=groups)


def test_recency_bins_ascend():
    with pytest.raises(ValidationError, match="not ascending"):
        RfmSection(recency_bins={"five": (30, 20, 90, 180), "three": (30, 90)})


def test_the_table_has_a_column_for_each_score():
    assert [column_of(name) for name in SCORES] == list(OUTPUTS["customer_profiles"])[3:]
