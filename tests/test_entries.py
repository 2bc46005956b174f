"""`seglake history`: one customer's entries and exits against the drawn truth."""

from __future__ import annotations

import pytest
from commands import result
from published_shop import ERASED, MERGED

from segment_lib.errors import EXIT_USAGE


def expected(drawn, *names: str) -> list[tuple[str, str, str, str, str]]:
    rows = [
        (day.isoformat(), segment, change, cause, name)
        for day, changes in drawn.truth.changes.items() for segment, name, change, cause in changes if name in names
    ]
    return sorted(rows, key=lambda row: (-int(row[0].replace("-", "")), row[1], row[2], row[4]))


def told(*arguments: object) -> list[tuple]:
    return [tuple(row.values()) for row in result("history", *arguments)["changes"]]


def test_every_entry_and_exit_is_there_once(drawn, monkeypatch):
    """Also of a restated date, whose first run does not count, and under ids that were merged since."""
    monkeypatch.chdir(drawn.project)
    heir = MERGED["c402"]
    assert told("c050") == expected(drawn, "c050") and len(expected(drawn, "c050")) > 3
    assert told("c402") == told(heir) == expected(drawn, heir, "c402")
    assert told("c050", "--limit", 2) == expected(drawn, "c050")[:2]
    assert told("nobody") == []
    assert told("c005") == expected(drawn, "c005"), "what was merged into it and erased is left out"


@pytest.mark.parametrize("name", sorted(ERASED))
def test_of_who_is_erased_nothing_is_said(drawn, monkeypatch, name):
    monkeypatch.chdir(drawn.project)
    assert "was erased" in result("history", name, code=EXIT_USAGE)["error"]["message"]
