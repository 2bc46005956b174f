"""A webhook's receiver on this machine, over real HTTP."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Hook:
    """What a server received: (path, headers, body); it answers with the codes it was given, then with 200."""

    def __init__(self) -> None:
        self.answers: list[int] = []
        self.location = ""
        self.calls: list[tuple[str, dict[str, str], bytes]] = []
        self.url = ""


@contextmanager
def hooked(*answers: int, location: str = "") -> Iterator[Hook]:
    hook = Hook()
    hook.answers, hook.location = list(answers), location

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            hook.calls.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(hook.answers.pop(0) if hook.answers else 200)
            if hook.location:
                self.send_header("Location", hook.location)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_POST

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    hook.url = f"http://127.0.0.1:{server.server_port}/hook"
    try:
        yield hook
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
