"""Exports: full and delta, formats, manifests, reruns, and what a crash leaves."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import random
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from commands import result
from pyarrow import parquet
from written_nights import Nights, at_night

from segment_lib.errors import EXIT_USAGE, ConfError, LockedError, StorageError, UsageError
from segment_lib.conf import load_settings
from segment_lib.export import export as exporting
from segment_lib.export import parts
from segment_lib.export.export import Exported, Wish, export
from segment_lib.lease import Lease
from segment_lib.objects import LocalObjects, open_objects
from segment_lib.recipients import Rules, counted, judged, members
from segment_lib.runs import read_history
from segment_lib.settings import Settings
from segment_lib.sync.profiles import profile, sha256

DAY = date(2026, 1, 31)


def shop(spark, folder: Path, **more: Any) -> Nights:
    options = more.pop("options", {})
    conf = {"catalogue": {"lists": ["never", "news"]}, **more}
    return Nights(spark, Settings(root=str(folder / "lake"), **conf), options)


def person(name: str, **more: Any) -> dict[str, Any]:
    return {"customer_id": name, "email": f"{name}@example.com", "country": "DE", "email_consent": True, **more}


def exported(nights: Nights, wish: Wish = Wish(), segment: str = "a", day: date | None = None, **more: Any) -> Exported:
    lake = nights.lake()
    history = read_history(lake)
    return export(lake, history, segment, wish, now=more.pop("now", at_night(history.latest.snapshot_date)), day=day)


def rows_of(done: Exported) -> list[dict[str, str | None]]:
    """The rows of an export as any reader finds them: values as text."""
    found = []
    for file in done.manifest.files:
        data = Path(done.path, file.path).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (file.bytes, file.sha256)
        if file.path.endswith(".parquet"):
            rows = parquet.read_table(io.BytesIO(data)).to_pylist()
        elif file.path.endswith(".jsonl.gz"):
            rows = [json.loads(line) for line in gzip.decompress(data).decode().split("\n")[:-1]]
        else:
            rows = list(csv.DictReader(io.StringIO(gzip.decompress(data).decode(), newline=""), strict=True))
        assert len(rows) == file.rows
        assert [row["customer_id"] for row in rows] == sorted(row["customer_id"] for row in rows)
        found += [{name: None if value in (None, "") else str(value) for name, value in row.items()} for row in rows]
    return found


def applied(table: dict[str, dict], done: Exported) -> dict[str, dict]:
    """What a reader has after it has applied an export."""
    table = {} if done.manifest.mode == "full" else dict(table)
    for row in rows_of(done):
        table.pop(row["customer_id"], None)
        if row.pop("action") == "add":
            table[row["customer_id"]] = row
    return table


@pytest.fixture(scope="module")
def nights(spark, tmp_path_factory) -> Nights:
    """One published date of two segments, with a holdout in the second, and a customer erased since."""
    made = shop(
        spark, tmp_path_factory.mktemp("export"), suppression=("never",),
        options={"b": {"holdout": {"percent": 40, "salt": "spring"}}},
    )
    people = [person(f"c{number:02}", first_name='say "hi",\nyou' if number == 1 else None) for number in range(30)]
    people[2]["email_consent"] = None
    people[3]["email_consent"] = False
    made.customers(people)
    made.publish(DAY, {"a": [f"c{number:02}" for number in range(12)], "b": [f"c{number:02}" for number in range(30)]})
    made.erase("c05")
    made.listed("never", ["c07", "c20"])
    return made


# The property ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [3])
def test_a_delta_applied_to_what_was_there_is_the_new_full(spark, tmp_path, seed):
    """Nights with erasures, new addresses, customers who come and go, one that is missed and one that runs again."""
    dice = random.Random(seed)
    made = shop(spark, tmp_path, customers={"personal_data": "allowed"}, suppression=("never",))
    people = {f"c{number:02}": person(f"c{number:02}") for number in range(40)}
    inside = set(dice.sample(sorted(people), 20))
    reader: dict[str, dict] = {}
    formats = ["csv", "parquet", "jsonl", "csv", "parquet"]
    removed = changed = 0
    for night, format in enumerate(formats):
        for name in dice.sample(sorted(people), 5):
            people[name] = person(name, email=dice.choice([f"{name}.{night}@example.com", None]))
        inside = {name for name in people if dice.random() < (0.8 if name in inside else 0.2)}
        made.customers(people.values())
        if night:
            made.listed("never", dice.sample(sorted(people), 3))
        made.publish(DAY + timedelta(days=night), {"a": inside})
        if night in (2, 3):
            gone = sorted(inside)[night]
            made.erase(gone)
        if night == 1:
            continue  # a missed night
        columns = ("customer_id", "email", "country")
        delta = exported(made, Wish("delta", format, columns, rows_per_file=7))
        assert delta.wrote and delta.manifest.mode == ("delta" if night else "full")
        assert delta.manifest.base_run_id is None or delta.manifest.base_run_id < delta.manifest.run_id
        reader = applied(reader, delta)
        removed, changed = removed + delta.manifest.counts["removed"], changed + delta.manifest.counts["changed"]
        full = exported(made, Wish("full", "csv", columns, output=f"{made.lake().home}/personal/all"))
        assert reader == applied({}, full)
        assert len(reader) == full.manifest.counts["rows"] > 5
        state = made.lake().read("export_rows")
        assert state.select("export_id").distinct().count() == 2, "of each output only the last is kept"
    assert removed > 3 and changed > 3
    assert gone not in reader


# What one export is ------------------------------------------------------------------------------------------------


def test_a_full_has_everyone_but_who_is_kept_out(nights, tmp_path):
    done = exported(nights, Wish(output=str(tmp_path), consent="email"))
    kept = {row["customer_id"] for row in rows_of(done)}
    assert kept == {f"c{number:02}" for number in range(12)} - {"c02", "c03", "c05", "c07"}
    counts = done.manifest.counts
    assert counts == {
        "members": 11, "held_out": 0, "priority": 0, "suppressed": 1, "no_consent": 2, "rows": 8, "added": 8, "changed": 0,
        "removed": 0,
    }
    assert done.path == f"{tmp_path}/shop/a/as_of=2026-01-31/run={done.manifest.run_id}/full"
    assert [(one.name, one.type) for one in done.manifest.columns] == [
        ("action", "string"), ("customer_id", "string"), ("since", "date")
    ]


def test_the_manifest_says_what_the_rows_follow_from(nights, tmp_path):
    done = exported(nights, Wish(output=str(tmp_path), columns=("email",)))
    said = json.loads(Path(done.path, "manifest.json").read_text())
    assert said["tenant"] == "shop" and said["as_of"] == "2026-01-31" and len(said["definition_hash"]) == 16
    assert said["source"]["snapshot_run_id"] == "20260131T030000-a"
    assert said["source"]["versions"] == {"erasures": 0, "lists": 0}
    assert said["source"]["spec"]["masked"] == ["email"] and said["columns"][2]["masked"]
    assert {row["email"] for row in rows_of(done)} == {"c***"}


def test_who_is_held_out_stays_out(nights):
    lake = nights.lake()
    history = read_history(lake)
    there = members(lake, history, history.latest, "b")
    from segment_lib.definition.segment import Holdout

    shares = [
        counted(judged(lake, there, Rules(Holdout(percent=percent, salt="spring"))))["held_out"] for percent in (1, 40, 100)
    ]
    assert shares[0] < 4 < shares[1] < 25 < shares[2] == 29
    ahead = counted(judged(lake, there, Rules(suppression=("never",), ahead=("a",))))
    assert (ahead["priority"], ahead["suppressed"]) == (11, 1), "who is suppressed and in the other counts once"


@pytest.mark.parametrize("format", sorted(parts.FORMATS))
def test_every_character_and_missing_value_survives(nights, tmp_path, format):
    done = exported(nights, Wish(format=format, output=str(tmp_path), columns=("customer_id", "country", "phone", "rfm.group")))
    found = {row["customer_id"]: row for row in rows_of(done)}
    assert len(found) == 10 and found["c01"] == {
        "action": "add", "customer_id": "c01", "country": "DE", "phone": None, "rfm_group": None
    }


@pytest.mark.parametrize("value, text", [
    (None, ""), ("", '""'), ('a "b",\nc', '"a ""b"",\nc"'), (Decimal("1E+3"), '"1000"'), (date(2026, 1, 2), '"2026-01-02"'),
    (["a", "b"], '"[""a"", ""b""]"'), ("=1+1", '"=1+1"'), ("\ufeffü🦊", '"\ufeffü🦊"'),
])
def test_csv_is_read_back_by_others(value, text):
    assert parts.csv_line([value]) == text
    read = next(csv.reader(io.StringIO(parts.csv_line(["x", value]) + "\n", newline=""), strict=True))
    assert read[0] == "x" and (value is None or isinstance(value, str) is False or read[1] == value)


def test_the_same_again_writes_nothing(nights, tmp_path):
    wish = Wish("delta", "csv", output=str(tmp_path), rows_per_file=4)
    first = exported(nights, wish)
    assert first.wrote and len(first.manifest.files) > 1
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file() and file.name[0] != "."}
    for mode in ("delta", "full"):
        again = exported(nights, Wish(mode, "csv", output=str(tmp_path)), now=datetime.now().astimezone())
        assert not again.wrote and again.manifest == first.manifest and again.path == first.path
    assert before == {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file() and file.name[0] != "."}


def test_an_erasure_is_something_new(spark, tmp_path):
    made = shop(spark, tmp_path)
    made.customers([person("c1"), person("c2")])
    made.publish(DAY, {"a": ["c1", "c2"]})
    made.erase("nobody")
    exported(made, Wish())
    made.erase("c1")
    delta = exported(made, Wish("delta"))
    assert rows_of(delta) == [{"action": "remove", "customer_id": "c1", "since": None}]
    assert delta.manifest.run_id > delta.manifest.base_run_id, "the clock stood still"
    empty = made.publish(DAY + timedelta(days=1), {"a": ["c2"], "b": []})
    again = exported(made, Wish("delta", columns=("customer_id",)))
    assert again.manifest.mode == "full", "other columns begin anew"
    assert again.manifest.snapshot_run_id == empty.run_id


def test_a_lost_memory_gives_a_full(spark, tmp_path):
    made = shop(spark, tmp_path)
    made.publish(DAY, {"a": ["c1", "c2"], "b": []})
    done = exported(made)
    made.lake().delete("export_rows", {"export_id": done.manifest.run_id, "customer_id": "c1"}, "test")
    made.publish(DAY + timedelta(days=1), {"a": ["c1"], "b": []})
    assert exported(made, Wish("delta")).manifest.mode == "full"
    nobody = exported(made, segment="b")
    assert nobody.manifest.files == () and nobody.manifest.counts["rows"] == 0


# What goes wrong ---------------------------------------------------------------------------------------------------


def test_without_its_manifest_an_export_is_not_there(nights, tmp_path, monkeypatch):
    """It dies right before the manifest: the next one sweeps what it left and is measured from the last whole one."""
    first = exported(nights, Wish(output=str(tmp_path), format="csv"))
    with monkeypatch.context() as patch:
        patch.setattr(LocalObjects, "create", _dies(LocalObjects.create))
        with pytest.raises(ZeroDivisionError):
            exported(nights, Wish(output=str(tmp_path), format="parquet"))
    assert len(list(tmp_path.rglob("part-*"))) == 2
    done = exported(nights, Wish(output=str(tmp_path), format="parquet"))
    assert {file.parent for file in tmp_path.rglob("part-*")} == {Path(first.path), Path(done.path)}


def _dies(original: Any) -> Any:
    def create(self: LocalObjects, key: str, data: bytes) -> str | None:
        if key.endswith("manifest.json"):
            raise ZeroDivisionError
        return original(self, key, data)

    return create


def test_two_do_not_export_at_once(nights, tmp_path):
    lake = nights.lake()
    with Lease(open_objects(lake.home), "shop", "other", name="_exports.json"), pytest.raises(LockedError):
        exported(nights, Wish(output=str(tmp_path)))


def test_hashed_identifiers_are_those_of_a_sync(nights):
    """By the profile's own rules, empty where there is nothing, and only where conf allows personal data."""
    with pytest.raises(UsageError, match="personal data, also hashed"):
        exported(nights, Wish(profile="meta-2025-09"))
    clear = Nights(nights.spark, nights.settings.model_copy(update={
        "customers": nights.settings.customers.model_copy(update={"personal_data": "allowed"})
    }))
    done = exported(clear, Wish(columns=("country",), profile="meta-2025-09", region="DE"))
    rows = {row["customer_id"]: row for row in rows_of(done)}
    assert rows["c00"]["id_email"] == sha256("c00@example.com") and "email" not in rows["c00"]
    assert "/personal/exports/" in done.path and rows["c00"]["country"]
    own = profile("meta-2025-09", "DE")
    stored = {row["customer_id"]: row.asDict() for row in clear.lake().input("customers").collect()}
    for name, row in rows.items():
        found = own.of(stored[name])
        assert {kind: row[f"id_{kind}"] for kind in own.kinds} == {kind: found.get(kind, (None,))[0] for kind in own.kinds}
    assert exported(clear, Wish(columns=("country",), profile="meta-2025-09", region="DE")).wrote is False
    with pytest.raises(UsageError, match="did you mean 'meta-2025-09'"):
        exported(clear, Wish(profile="meta-2025"))


def test_personal_data_lies_below_the_personal_path_alone(nights, tmp_path):
    clear = Nights(nights.spark, nights.settings.model_copy(update={
        "customers": nights.settings.customers.model_copy(update={"personal_data": "allowed"})
    }))
    with pytest.raises(UsageError, match="may only be written below"):
        exported(clear, Wish(columns=("email",), output=str(tmp_path)))
    hidden = exported(clear, Wish(columns=("email",), output=str(tmp_path), masked=True))
    assert {row["email"] for row in rows_of(hidden)} == {"c***"}
    shown = exported(clear, Wish(columns=("email",)))
    assert "/lake/shop/personal/exports/shop/a/" in shown.path and rows_of(shown)[0]["email"] == "c00@example.com"
    assert {file.stat().st_mode & 0o777 for file in Path(shown.path).glob("part-*")} == {0o600}


@pytest.mark.parametrize("wish, said", [
    (Wish(format="xlsx"), "no format 'xlsx'"), (Wish(columns=("emial",)), "did you mean 'email'"),
    (Wish(consent="fax"), "no channel 'fax'"), (Wish(rows_per_file=0), "at least one row"),
])
def test_what_cannot_be_asked_for(nights, wish, said):
    with pytest.raises(UsageError, match=said):
        exported(nights, wish)


def test_a_manifest_that_cannot_be_read_is_told(nights, tmp_path):
    done = exported(nights, Wish(output=str(tmp_path)))
    file = Path(done.path, "manifest.json")
    file.write_text(file.read_text().replace('"format_version": 1', '"format_version": 2'))
    with pytest.raises(StorageError, match="format version 2"):
        exported(nights, Wish(output=str(tmp_path)))
    file.write_text("{")
    with pytest.raises(StorageError, match="is no manifest"):
        exported(nights, Wish(output=str(tmp_path)))


def test_suppression_names_known_lists(tmp_path):
    (tmp_path / "base.yaml").write_text("catalogue: {lists: [never]}\nsuppression: [nver]\n")
    with pytest.raises(ConfError, match="did you mean 'never'"):
        load_settings(str(tmp_path))


def test_the_command_tells_what_it_wrote(nights, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("conf").mkdir()
    Path("conf", "base.yaml").write_text(
        f"root: {nights.settings.root}\ncatalogue: {{lists: [never, news]}}\nsuppression: [never]\n"
    )
    arguments = ("export", "a,b", "--mode", "delta", "--format", "jsonl", "--output", "out", "--columns", "country")
    said = result(*arguments)["exports"]
    assert [(row["segment"], row["mode"], row["written"], row["held_out"] > 0) for row in said] == [
        ("a", "full", True, False), ("b", "full", True, True)
    ]
    assert not any(row["written"] for row in result(*arguments)["exports"])
    assert "no mode 'all'" in result("export", "a", "--mode", "all", code=EXIT_USAGE)["error"]["message"]
    assert "no segment 'c'" in result("export", "c", code=EXIT_USAGE)["error"]["message"]


def test_the_rows_stay_on_the_executors(nights, tmp_path):
    """Only counts and one line a file come to the driver, whatever the number of rows."""
    assert exporting.TABLE == "export_rows"
    sent = []
    original = type(nights.lake().read("memberships")).collect

    def collect(frame: Any) -> list:
        rows = original(frame)
        sent.append(frame.columns)
        return rows

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(nights.lake().read("memberships")), "collect", collect)
        exported(nights, Wish(output=str(tmp_path)))
    assert not [columns for columns in sent if "customer_id" in columns]
