"""The lease: one living writer per tenant, and no waiting for a dead one.

The owner writes who it is and renews a sign of life. A newcomer takes over when the owner is gone: at once when it ran
on this host and its process no longer exists, else when the sign of life is older than the timeout. Hosts' clocks must
agree to well within that timeout.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

from segment_lib.errors import LockedError, StorageError
from segment_lib.objects import Objects

RENEW_SECONDS = 15.0
TIMEOUT_SECONDS = 120.0


@dataclass(frozen=True)
class Place:
    """Where a process runs, precisely enough to ask whether it still does.

    Process ids mean something only within one boot of one host and one process namespace (a container has its own).
    """

    host: str
    boot: str
    space: str

    @classmethod
    def here(cls) -> Place:
        return cls(socket.gethostname(), _text("/proc/sys/kernel/random/boot_id"), _link("/proc/self/ns/pid"))


@dataclass(frozen=True)
class Owner:
    """What the lease says. Times are seconds since 1970; `pid_started` tells a process from a later one of that id."""

    tenant: str
    run_id: str
    host: str
    pid: int
    started: float
    heartbeat: float
    boot: str = ""
    space: str = ""
    pid_started: str = ""
    token: str = ""
    released: bool = False

    def describe(self) -> str:
        return (
            f"tenant {self.tenant!r} is held by run {self.run_id} (host {self.host}, pid {self.pid}) "
            f"since {_utc(self.started)}, last sign of life {_utc(self.heartbeat)}"
        )


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")


def _text(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""


def process_started(pid: int) -> str:
    """When a process started, in a form that is only good for comparing; empty when that cannot be told."""
    stat = _text(f"/proc/{pid}/stat")
    # The name stands in parentheses and may hold blanks; the start time is the 20th field after it.
    fields = stat.rpartition(")")[2].split()
    return fields[19] if len(fields) > 19 else ""


def is_alive(pid: int, started: str) -> bool:
    """Whether that very process exists; a zombie, which only waits to be reaped, does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    if _text(f"/proc/{pid}/stat").rpartition(")")[2].split()[:1] in (["Z"], ["X"]):
        return False
    now = process_started(pid)
    return not (started and now and started != now)


class Lease:
    """Hold a tenant for the length of a block; raises LockedError when a living run has it.

    `check` raises when the lease was lost meanwhile (this process slept past the timeout and another took over): call
    it before the one commit that must not happen twice.
    """

    def __init__(
        self,
        objects: Objects,
        tenant: str,
        run_id: str,
        *,
        name: str = "_lease.json",
        renew: float = RENEW_SECONDS,
        timeout: float = TIMEOUT_SECONDS,
        clock: Callable[[], float] = time.time,
    ):
        """`objects` is the store at the tenant's folder; `renew` and `timeout` are seconds."""
        self.objects, self.name, self.renew, self.timeout, self.clock = objects, name, renew, timeout, clock
        now = clock()
        place = Place.here()
        self.owner = Owner(
            tenant, run_id, place.host, os.getpid(), now, now, place.boot, place.space,
            process_started(os.getpid()), uuid.uuid4().hex,
        )
        self._tag: str | None = None
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Lease:
        self._take()
        self._stop.clear()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def _take(self) -> None:
        for _ in range(20):
            found = self.objects.read(self.name)
            now = self.clock()
            self.owner = replace(self.owner, started=now, heartbeat=now)
            if found is None:
                tag = self.objects.create(self.name, self._written(self.owner))
            else:
                holder = self._parsed(found[0])
                if holder is not None and holder.token != self.owner.token and not self._is_free(holder):
                    raise LockedError(
                        f"{holder.describe()}; wait for it or stop it. A run that died is taken over by itself, "
                        f"from another host after {self.timeout:.0f} seconds without a sign of life"
                    )
                tag = self.objects.swap(self.name, self._written(self.owner), found[1])
            if tag is not None:
                with self._lock:
                    self._tag = tag
                return
        raise LockedError(f"tenant {self.owner.tenant!r}: several runs start at this moment; start this one again")

    def _is_free(self, holder: Owner) -> bool:
        if holder.released or self.clock() - holder.heartbeat > self.timeout:
            return True
        here = Place.here()
        comparable = bool(here.boot) and (holder.host, holder.boot, holder.space) == (here.host, here.boot, here.space)
        return comparable and not is_alive(holder.pid, holder.pid_started)

    @staticmethod
    def _written(owner: Owner) -> bytes:
        return json.dumps(asdict(owner), sort_keys=True).encode()

    @staticmethod
    def _parsed(data: bytes) -> Owner | None:
        """The owner; None when the content is no lease, which then protects nobody."""
        try:
            return Owner(**json.loads(data))
        except (ValueError, TypeError):
            return None

    def _keep(self) -> None:
        while not self._stop.wait(self.renew):
            try:
                if not self._renewed():
                    return
            except (StorageError, OSError):
                # The store did not answer; the next try is soon, and `check` counts from the last that worked.
                continue

    def _renewed(self) -> bool:
        with self._lock:
            if self._tag is None:
                return False
            owner = replace(self.owner, heartbeat=self.clock())
            tag = self.objects.swap(self.name, self._written(owner), self._tag)
            if tag is None:
                tag = self._own_tag()
            else:
                self.owner = owner
            self._tag = tag
            return tag is not None

    def _own_tag(self) -> str | None:
        """The tag when the lease is ours all the same: the answer to our own last write may have been lost."""
        found = self.objects.read(self.name)
        holder = self._parsed(found[0]) if found else None
        return found[1] if found and holder is not None and holder.token == self.owner.token else None

    def check(self) -> None:
        """Renew now; raises LockedError when another run has taken the lease."""
        if not self._renewed():
            raise LockedError(
                f"run {self.owner.run_id} no longer holds tenant {self.owner.tenant!r}: it gave no sign of life for "
                f"{self.timeout:.0f} seconds and another run took over; nothing more is written"
            )

    def release(self) -> None:
        """Give the lease back if it is still ours; calling it again does nothing."""
        self._stop.set()
        with self._lock:
            if self._tag is not None:
                done = replace(self.owner, released=True, heartbeat=self.clock())
                self.objects.swap(self.name, self._written(done), self._tag)
                self._tag = None
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout=self.renew + 5)
            self._thread = None
