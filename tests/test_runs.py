"""The run log: which run counts, what is stale, what died. No Spark."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from segment_lib.maintenance import GRACE, kept_dates, obsolete
from segment_lib.runs import History, RunRecord, State, new_run_id, request_of
from segment_lib.settings import RetentionSection

START = datetime(2026, 1, 10, 3, tzinfo=UTC)


def day(number: int) -> date:
    return date(2026, 1, number)


def row(number: int, run_id: str, state: str, hour: int, **more) -> RunRecord:
    at = START + timedelta(hours=hour)
    more.setdefault("notes", {"request": "full"})
    return RunRecord(day(number), run_id, State(state), at, at, **more)


def log(*rows: RunRecord) -> History:
    return History(rows)


def test_the_latest_published_run_of_a_date_wins():
    history = log(
        row(1, "a", "published", 1), row(1, "b", "partial", 2), row(1, "c", "refused", 3), row(1, "d", "started", 4)
    )
    assert history.winner(day(1)).run_id == "b"
    assert history.latest.run_id == "b"
    assert history.dates == (day(1),)


def test_order_in_the_log_is_by_time_not_by_row():
    history = log(row(1, "b", "published", 2), row(1, "a", "published", 1))
    assert history.winner(day(1)).run_id == "b"


def test_base_and_next_are_the_neighbours_among_published_dates():
    history = log(row(1, "a", "published", 1), row(5, "b", "published", 2), row(3, "c", "refused", 3))
    assert history.base(day(1)) is None
    assert history.base(day(4)).run_id == "a"
    assert history.base(day(9)).run_id == "b"
    assert history.next_after(day(1)).run_id == "b"
    assert history.next_after(day(5)) is None


def test_links_say_which_rows_of_a_winner_count():
    history = log(row(2, "b", "published", 1), row(1, "a", "published", 2), row(2, "c", "published", 3))
    assert [(run.run_id, base) for run, base in history.links()] == [("a", None), ("c", "a")]


def test_an_empty_log_has_nothing():
    history = log()
    assert history.latest is None and history.dates == () and history.stale == () and history.frozen == {}


def test_a_date_is_stale_until_it_is_published_again():
    history = log(
        row(1, "a", "published", 1), row(2, "b", "published", 2), row(3, "c", "published", 3),
        row(1, "a2", "published", 4, stale_dates=(day(2), day(3))),
    )
    assert history.stale == (day(2), day(3))
    assert history.with_record(row(2, "b2", "published", 5)).stale == (day(3),)
    assert history.with_record(row(2, "b2", "refused", 5)).stale == (day(2), day(3))


@pytest.mark.parametrize(
    ("rows", "request_", "expected"),
    [
        ([row(1, "a", "started", 1)], "full", "a"),
        ([row(1, "a", "started", 1), row(1, "a", "published", 2)], "full", None),
        ([row(1, "a", "started", 1), row(1, "a", "refused", 2)], "full", None),
        ([row(1, "a", "started", 1), row(1, "a", "failed", 2)], "full", None),
        ([row(1, "a", "started", 1)], "only:x", None),
        ([row(2, "a", "started", 1)], "full", None),
        ([row(1, "a", "started", 1), row(1, "b", "started", 2)], "full", "b"),
        ([row(1, "a", "started", 1), row(1, "b", "started", 2), row(1, "b", "published", 3)], "full", None),
        ([], "full", None),
    ],
    ids=["died", "published", "refused", "failed", "other-request", "other-date", "died-twice", "followed", "none"],
)
def test_only_the_last_attempt_without_an_end_is_retried(rows, request_, expected):
    crashed = log(*rows).crashed(day(1), request_)
    assert (crashed.run_id if crashed else None) == expected


def test_a_static_segment_is_frozen_by_the_first_published_run_that_froze_it():
    def froze(number, run_id, state, hour):
        return row(number, run_id, state, hour, notes={"frozen": json.dumps({"s": "h"})})

    history = log(froze(1, "refused", "refused", 1), froze(2, "a", "published", 2), froze(2, "b", "published", 3))
    assert history.frozen[("s", "h")].run_id == "a"


def test_a_clock_that_is_behind_does_not_publish_into_the_past():
    history = log(row(1, "a", "published", 5))
    assert history.next_instant(START) > history.latest.at
    assert history.next_instant(START + timedelta(hours=6)) == START + timedelta(hours=6)


def test_run_ids_sort_by_time_and_differ():
    assert new_run_id(START) < new_run_id(START + timedelta(seconds=1))
    assert new_run_id(START) != new_run_id(START)


def test_requests_of_the_same_segments_are_equal():
    assert request_of(["b", "a"]) == request_of(["a", "b"]) != request_of()


def test_pinned_at_is_remembered_over_a_retry():
    pinned = START - timedelta(hours=9)
    record = row(1, "a", "published", 1, notes={"pinned_at": pinned.isoformat()})
    assert record.pinned_at == pinned
    assert replace(record, notes={}).pinned_at == record.at


def test_retention_keeps_the_last_snapshots_and_month_ends():
    days = [date(2026, 1, 1) + timedelta(days=offset) for offset in range(100)]
    kept = kept_dates(days, RetentionSection(snapshots=35))
    assert set(days[-35:]) <= kept
    assert kept - set(days[-35:]) == {date(2026, 1, 31), date(2026, 2, 28)}
    assert kept_dates(days, RetentionSection(snapshots=35, month_ends=False)) == set(days[-35:])


def test_a_month_end_is_the_last_published_date_of_its_month():
    published = [date(2026, 1, 20), date(2026, 1, 29), date(2026, 3, 1), date(2026, 3, 2)]
    kept = kept_dates(published, RetentionSection(snapshots=2))
    assert date(2026, 1, 29) in kept and date(2026, 1, 20) not in kept


def test_runs_that_do_not_count_are_obsolete_after_a_while():
    history = log(
        row(1, "old", "started", 0), row(1, "old", "published", 0), row(1, "new", "published", 1),
        row(2, "no", "refused", 2), row(3, "died", "started", 3),
    )
    assert set(obsolete(history, START + GRACE)) == set()
    assert set(obsolete(history, START + GRACE + timedelta(hours=9))) == {"old", "no", "died"}
