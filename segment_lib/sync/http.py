"""The one way to a platform by HTTP: rates, time limits, and the one layer of retries.

A request is made again when the platform is busy or broken, or when its answer was lost; so only requests that may be
carried out twice go through `call`, and what creates something goes through `find_or_create`. What platforms and libraries
say may quote addresses, keys and people, so errors have our own words, and of an answer no more than its code.
"""

from __future__ import annotations

import json
import logging
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

from segment_lib.notify_settings import is_loopback
from segment_lib.sync.contract import DeliveryError
from segment_lib.sync.rates import Clock, Rate
from segment_lib.sync.retries import Patience, Temporary, tried

T = TypeVar("T")
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}|-?[0-9]{1,10}")
#: Answers that say nothing of the request, beside those of 500 and more.
_BUSY = (408, 425, 429)
#: No answer that we read is longer; what is, is not one of theirs.
_MOST_ANSWER = 32 * 2**20


@dataclass(frozen=True)
class Answer:
    """What a platform answered."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    def json(self) -> Any:
        """The body as JSON; an empty object when it is none."""
        try:
            return json.loads(self.body) if self.body else {}
        except ValueError:
            return {}


def code(value: object) -> str:
    """A code of a platform's error, if it has the form of one: what is longer or has words in it may quote somebody.

    >>> code("invalid_email"), code(1713230), code("jane@example.com is not valid"), code(None)
    ('invalid_email', '1713230', 'unknown', 'unknown')
    """
    text = str(value)
    return text if value is not None and _CODE.fullmatch(text) else "unknown"


def address_fault(url: str) -> str | None:
    """What is wrong with the address of a platform, without repeating it; None when nothing is.

    >>> address_fault("https://a.klaviyo.com"), address_fault("http://example.com")
    (None, 'the address begins with https://')
    """
    try:
        parts = urlsplit(url)
        readable = parts.port != 0 and not any(character.isspace() for character in url)
    except ValueError:
        readable = False
    if not readable or parts.username or parts.password or parts.query or parts.fragment:
        return "the address is no URL, or has a login, a query or a fragment in it"
    if not parts.hostname or not (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname))):
        return "the address begins with https://"
    return None


def asked_to_wait(headers: Mapping[str, str], now: datetime) -> float | None:
    """The seconds of a Retry-After, which is a number or a date; None when there is none that can be read.

    >>> at = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
    >>> asked_to_wait({"Retry-After": "7"}, at), asked_to_wait({"Retry-After": "Mon, 23 Nov 2026 08:01:00 GMT"}, at)
    (7.0, 60.0)
    """
    text = next((value for key, value in headers.items() if key.lower() == "retry-after"), "").strip()
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,6})?", text):
        return float(text)
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return None
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return max(0.0, (until - now.astimezone(UTC)).total_seconds())


class _Quiet(logging.Filter):
    """Keeps the address of a request out of urllib3's own log while we make it: a look-up has identifiers in it."""

    on = threading.local()

    def filter(self, record: logging.LogRecord) -> bool:
        return not getattr(self.on, "here", False)


_quiet = _Quiet()


class Http:
    """Requests to one platform. Several threads may use it at once; they share its rates and its pauses.

    `headers` gives those of every request, the login among them. `throttled` looks at an answer and raises Temporary when
    it is a refusal for a while that does not show in its status.
    """

    def __init__(
        self, platform: str, url: str, headers: Callable[[], Mapping[str, str]], *, now: Callable[[], datetime],
        patience: Patience = Patience(), clock: Clock = Clock(), throttled: Callable[[Answer], None] | None = None,
    ):
        self.platform = platform
        self.clock = clock
        self._url = url
        self._headers = headers
        self._now = now
        self._patience = patience
        self._throttled = throttled
        self._local = threading.local()

    def call(
        self, method: str, path: str, *, rate: Rate, params: Mapping[str, str] | None = None, data: object = None,
        body: bytes | None = None, headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """The answer to a request that may be made twice, whatever it is; DeliveryError when none came in the end.

        `data` is sent as JSON, `body` as it is.
        """
        return tried(
            self.platform, f"{method} {path}", lambda: self._attempt(method, path, rate, params, data, body, headers),
            self._patience, self.clock,
        )

    def find_or_create(self, find: Callable[[], T | None], create: Callable[[Callable[..., Answer]], T]) -> T:
        """What `find` finds, or what `create` makes when there is none.

        `create` is handed a way to call that makes one attempt; when its answer is lost, `find` looks first whether it was
        carried out, so nothing is there twice.
        """

        def once(method: str, path: str, *, rate: Rate, data: object) -> Answer:
            return self._attempt(method, path, rate, None, data, None, None)

        def attempt() -> T:
            found = find()
            return create(once) if found is None else found

        return tried(self.platform, "creating the audience", attempt, self._patience, self.clock)

    def failed(self, answer: Answer, path: str, why: object = None, hint: str = "") -> DeliveryError:
        """The error of a request that the platform refuses; `why` is its code, and `hint` what to do."""
        known = {
            401: "the credentials are not accepted", 403: "the credentials do not allow it",
            404: "there is no such thing there", 413: "the request is too large",
        }
        said = hint or known.get(answer.status, "")
        return DeliveryError(
            f"{self.platform}: {path} was answered with {answer.status}, code {code(why)}" + (f"; {said}" if said else "")
        )

    def _attempt(self, method, path, rate: Rate, params, data, body, headers) -> Answer:
        import requests
        import urllib3

        rate.acquire()
        content = {"content-type": "application/json"} if data is not None else {}
        sent = json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode() if data is not None else body
        session = self._session()
        url = self._url.rstrip("/") + path if path else self._url
        everything = {"user-agent": "seglake", **content, **self._headers(), **(headers or {})}
        _quiet.on.here = True
        try:
            with session.request(
                method, url, params=params, data=sent, timeout=self._patience.timeout, headers=everything,
                allow_redirects=False, stream=True,
                auth=lambda request: request,  # nothing of this machine's .netrc
            ) as reply:
                read = reply.raw.read(_MOST_ANSWER, decode_content=True)
                answer = Answer(reply.status_code, dict(reply.headers), read)
        except requests.exceptions.SSLError:
            raise DeliveryError(
                f"{self.platform}: no encrypted connection: the certificate or the protocol was not accepted"
            ) from None
        except requests.exceptions.Timeout:
            raise Temporary(f"no answer within {self._patience.timeout:g} s") from None
        except requests.exceptions.ConnectionError:
            raise Temporary("the platform cannot be reached, or closed the connection") from None
        except requests.exceptions.RequestException as error:
            raise DeliveryError(f"{self.platform}: the request could not be made ({type(error).__name__})") from None
        except (urllib3.exceptions.HTTPError, OSError) as error:  # while the answer was read; their texts hold addresses
            raise Temporary(f"the answer broke off ({type(error).__name__})") from None
        finally:
            _quiet.on.here = False
        return self._looked_at(answer, rate)

    def _looked_at(self, answer: Answer, rate: Rate) -> Answer:
        """The answer, unless it says that another attempt may be taken otherwise."""
        try:
            if answer.status in _BUSY or answer.status >= 500:
                raise Temporary(f"it answered {answer.status}", asked_to_wait(answer.headers, self._now()))
            if self._throttled:
                self._throttled(answer)
        except Temporary as busy:
            if busy.wait is not None and busy.wait > self._patience.longest_pause:
                raise DeliveryError(
                    f"{self.platform}: {busy.reason} and asks to wait {busy.wait:.0f} s, which is longer than the "
                    f"{self._patience.longest_pause:g} s that conf allows; what was accepted before is kept, sync again later"
                ) from None
            if busy.wait:
                rate.pause(busy.wait)
            raise
        return answer

    def _session(self):
        import requests

        if not hasattr(self._local, "session"):
            logging.getLogger("urllib3.connectionpool").addFilter(_quiet)  # the same one is kept once
            self._local.session = requests.Session()
        return self._local.session
