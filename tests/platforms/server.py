"""What the fake platforms share: a server in threads, a clock that does not wait, limits, and faults on a seeded schedule."""

from __future__ import annotations

import http.server
import json
import random
import socket
import threading
from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from segment_lib.sync.rates import Clock


class Virtual:
    """Time that passes only when somebody waits."""

    def __init__(self) -> None:
        self.time = 0.0
        self.lock = threading.Lock()

    def sleep(self, seconds: float) -> None:
        with self.lock:
            self.time += max(0.0, seconds)

    @property
    def clock(self) -> Clock:
        return Clock(lambda: self.time, self.sleep)


@dataclass(frozen=True)
class Chaos:
    """How often each fault happens: busy, broken and dropped before the work is done, lost and hung after it.

    A slow answer comes in time, a hung one after the client gave up.
    """

    busy: float = 0.0
    broken: float = 0.0
    dropped: float = 0.0
    lost: float = 0.0
    hung: float = 0.0
    slow: float = 0.0

    def draw(self, source: random.Random) -> str:
        names = ("busy", "broken", "dropped", "lost", "hung", "slow")
        weights = [getattr(self, name) for name in names]
        return source.choices(("fine", *names), (1 - sum(weights), *weights))[0]


CALM = Chaos()
WILD = Chaos(busy=0.15, broken=0.1, dropped=0.05, lost=0.1, hung=0.01, slow=0.03)


@dataclass
class Request:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    json: dict = field(default_factory=dict)


@dataclass
class Reply:
    status: int
    json: object = None
    headers: dict[str, str] = field(default_factory=dict)


class Platform:
    """One platform; `answer` is its work, `wrong` what it saw that no client may do."""

    #: Seconds that a hung answer takes, before which the clients of the tests give up, and a slow one.
    hang, delay = 0.6, 0.05
    #: Requests a second and a minute for each endpoint, by its name; the empty name is for all others.
    limits: dict[str, tuple[float, float]] = {}

    def __init__(self, time: Virtual | None = None, chaos: Chaos = CALM, seed: int = 0):
        self.time = time or Virtual()
        self.chaos = chaos
        self.random = random.Random(seed)
        self.wrong: list[str] = []
        self.seen: list[tuple[str, str]] = []
        self.bodies: list[int] = []
        self.too_fast = 0
        self.windows: dict[tuple[str, float], deque[float]] = defaultdict(deque)
        self.lock = threading.RLock()
        self.url = ""

    def answer(self, request: Request) -> Reply:
        raise NotImplementedError

    def busy(self, wait: float) -> Reply:
        return Reply(429, {"errors": [{"code": "throttled"}]}, {"Retry-After": str(max(1, round(wait)))})

    def broken(self) -> Reply:
        return Reply(self.random.choice((500, 502, 503)), {"message": "jane.doe@example.com broke it"})

    def endpoint(self, request: Request) -> str:
        return ""

    def over_limit(self, request: Request) -> float | None:
        """The seconds until a request of this kind may come again, when there were too many."""
        name = self.endpoint(request)
        for most, seconds in zip(self.limits.get(name, ()), (1.0, 60.0), strict=False):
            window = self.windows[name, seconds]
            while window and window[0] <= self.time.time - seconds:
                window.popleft()
            if len(window) >= most:
                self.too_fast += 1
                return window[0] + seconds - self.time.time
        for seconds in (1.0, 60.0):
            self.windows[name, seconds].append(self.time.time)
        return None

    def handled(self, request: Request) -> Reply | None:
        """The answer; None for a connection that closes without one."""
        with self.lock:
            self.seen.append((request.method, request.path))
            self.bodies.append(len(request.body))
            fault = self.chaos.draw(self.random)
            wait = self.over_limit(request)
            if wait is not None:
                return self.busy(wait)
            if fault == "busy":
                return self.busy(self.random.choice((0, 1, 7)))
            if fault == "broken":
                return self.broken()
            if fault == "dropped":
                return None
            reply = self.answer(request)
        if fault in ("hung", "slow"):
            threading.Event().wait(self.hang if fault == "hung" else self.delay)
        return None if fault in ("lost", "hung") else reply


@contextmanager
def served(platform: Platform) -> Iterator[Platform]:
    """The platform at an address of this machine."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize, disable_nagle_algorithm = -1, True  # an answer in one piece, at once

        def handle_one(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            request = Request(
                self.command, parts.path, {key: values[0] for key, values in parse_qs(parts.query).items()},
                {key.lower(): value for key, value in self.headers.items()}, body,
            )
            if body[:1] in (b"{", b"["):
                request.json = json.loads(body)
            reply = platform.handled(request)
            if reply is None:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            data = b"" if reply.json is None else json.dumps(reply.json).encode()
            self.send_response(reply.status)
            for key, value in reply.headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_DELETE = do_PUT = do_PATCH = handle_one

        def log_message(self, *_: object) -> None:
            pass

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:  # clients that gave up on a hung answer
            pass

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    platform.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield platform
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
