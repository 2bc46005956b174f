"""The lease and the small-object store, with real processes."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace

import pytest

from segment_lib.errors import LockedError, StorageError
from segment_lib.lease import Lease, Owner, Place, is_alive, process_started
from segment_lib.objects import LocalObjects, S3Objects, open_objects

HOLD = """
import sys, time
from segment_lib.lease import Lease
from segment_lib.objects import LocalObjects
with Lease(LocalObjects(sys.argv[1]), "shop", "run-of-child"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def objects(tmp_path):
    return LocalObjects(tmp_path / "shop")


def lease(objects, run_id="run-2", **options):
    return Lease(objects, "shop", run_id, **options)


def stored(objects) -> Owner:
    return Owner(**json.loads(objects.read("_lease.json")[0]))


def put(objects, **changes) -> None:
    """A lease of somebody else, alive on this host unless told otherwise."""
    here = Place.here()
    owner = Owner("shop", "run-1", here.host, os.getppid(), time.time(), time.time(), here.boot, here.space,
                  process_started(os.getppid()), "other")
    objects.write("_lease.json", json.dumps(asdict(replace(owner, **changes))).encode())


@pytest.fixture
def child(objects):
    process = subprocess.Popen([sys.executable, "-c", HOLD, objects.url], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_living_owner_is_respected_and_a_killed_one_is_replaced_at_once(objects, child):
    with pytest.raises(LockedError) as refused:
        lease(objects).__enter__()
    for part in ("'shop'", "run-of-child", str(child.pid), "since 20", "taken over by itself"):
        assert part in str(refused.value)
    assert refused.value.exit_code == 5

    os.kill(child.pid, signal.SIGKILL)
    # Not yet reaped: a zombie has an id and is dead all the same.
    deadline = time.monotonic() + 10
    while is_alive(child.pid, "") and time.monotonic() < deadline:
        time.sleep(0.01)
    with lease(objects) as held:
        assert stored(objects).run_id == "run-2"
        held.check()
    assert stored(objects).released


@pytest.mark.parametrize(
    ("changes", "free"),
    [
        ({}, False),
        ({"released": True}, True),
        ({"pid_started": "1"}, True),  # the id was given to another process since
        ({"pid": 2**22 - 1, "pid_started": "1"}, True),
        ({"host": "elsewhere", "pid": 2**22 - 1}, False),  # another host's processes cannot be seen
        ({"space": "another container", "pid": 2**22 - 1}, False),
        ({"boot": "before the restart", "pid": 2**22 - 1}, False),
        ({"heartbeat": time.time() - 3600}, True),
        ({"host": "elsewhere", "heartbeat": time.time() - 3600}, True),
    ],
)
def test_who_counts_as_dead(objects, changes, free):
    put(objects, **changes)
    if free:
        with lease(objects):
            assert stored(objects).run_id == "run-2"
    else:
        with pytest.raises(LockedError):
            lease(objects).__enter__()
        assert stored(objects).run_id == "run-1"


def test_what_is_no_lease_protects_nobody(objects):
    objects.write("_lease.json", b"{")
    with lease(objects):
        assert stored(objects).run_id == "run-2"


def test_an_owner_that_was_replaced_notices_and_does_not_give_back_what_is_not_its_own(objects):
    with lease(objects, "slow", renew=60) as held:
        put(objects, run_id="next")
        with pytest.raises(LockedError, match="no longer holds"):
            held.check()
        held.release()
    assert stored(objects).run_id == "next"
    assert not stored(objects).released


def test_the_sign_of_life_is_renewed_in_the_background(objects):
    with lease(objects, renew=0.02):
        first = stored(objects).heartbeat
        deadline = time.monotonic() + 5
        while stored(objects).heartbeat == first and time.monotonic() < deadline:
            time.sleep(0.02)
        assert stored(objects).heartbeat > first


def test_a_second_holder_in_the_same_process_is_refused(objects):
    with lease(objects, "a"), pytest.raises(LockedError):
        lease(objects, "b").__enter__()
    with lease(objects, "b"):
        pass


def test_of_many_that_start_at_once_one_wins(objects):
    def take(n: int) -> bool:
        try:
            lease(objects, f"run-{n}", renew=60).__enter__()
        except LockedError:
            return False
        return True

    put(objects, heartbeat=0.0)
    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(take, range(8))) == 1


def _create(folder: str) -> bool:
    return LocalObjects(folder).create("a/one", b"x") is not None


def test_objects_are_created_once_and_swapped_only_if_unchanged(objects):
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        assert sum(pool.map(_create, [objects.url] * 8)) == 1
    data, tag = objects.read("a/one")
    assert data == b"x"
    second = objects.swap("a/one", b"y", tag)
    assert second and objects.swap("a/one", b"z", tag) is None
    assert objects.read("a/one") == (b"y", second)
    assert objects.read("absent") is None and objects.swap("absent", b"", tag) is None
    objects.write("b", b"")
    assert objects.list() == ["a/one", "b"] and objects.list("a/") == ["a/one"]
    objects.delete("b")
    objects.delete("b")
    assert objects.list() == ["a/one"]


@pytest.mark.parametrize("key", ["", "..", "../x", "a/../b", "/a", "a//b", ".hidden", "a\0b", "a b"])
def test_names_that_could_lead_elsewhere_are_refused(objects, key):
    with pytest.raises(StorageError):
        objects.write(key, b"")


def test_a_link_does_not_lead_out(objects, tmp_path):
    (tmp_path / "globex").mkdir()
    os.makedirs(objects.url)
    os.symlink(tmp_path / "globex", os.path.join(objects.url, "a"))
    with pytest.raises(StorageError, match="symbolic link"):
        objects.write("a/b", b"")


@pytest.mark.parametrize("url", ["s3://", "s3://b", "s3://bucket/../other", "s3://Bucket/x", "hdfs://name/x"])
def test_places_that_cannot_hold_objects(url):
    with pytest.raises(StorageError):
        S3Objects(url, client=object()) if url.startswith("s3") else open_objects(url)
