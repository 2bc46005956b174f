"""A message by POST, signed in the way of the Standard Webhooks specification.

``webhook-signature`` is ``v1,`` and the HMAC-SHA256, in base64, of ``ID.TIMESTAMP.BODY``; ``webhook-timestamp`` are
seconds since 1970, so that a receiver refuses what is too old, and ``webhook-id`` is the same for every attempt, so
that it sees a replay and a repetition.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime

from segment_lib.notify.attempt import NotSent, resolved
from segment_lib.notify.message import Message
from segment_lib.notify_settings import WebhookSection, url_fault, variable

#: Answers that another attempt may turn into a success, beside those of 500 and more.
_BUSY = (408, 425, 429)
_PREFIX = "whsec_"


def send(section: WebhookSection, message: Message, message_id: str, at: datetime, timeout: float,
         environ: Mapping[str, str]) -> None:
    """One attempt; NotSent says why it failed. No redirect is followed: the signed body is meant for one address."""
    import requests

    url = resolved(section.url, environ) if variable(section.url) else section.url
    fault = url_fault(url)
    if fault:
        raise NotSent(fault)
    headers = {"content-type": "application/json; charset=utf-8", "user-agent": "seglake"}
    if section.secret:
        headers |= signed(resolved(section.secret, environ), message_id, at, message.body)
    try:
        # The answer's text is not read; a login of this machine's own for the host (.netrc) is not sent along.
        with requests.post(
            url, data=message.body, headers=headers, timeout=timeout, allow_redirects=False, stream=True,
            auth=lambda request: request,
        ) as answer:
            code = answer.status_code
    except requests.exceptions.SSLError:
        raise NotSent("no encrypted connection: the certificate or the protocol was not accepted") from None
    except requests.exceptions.Timeout:
        raise NotSent(f"no answer within {timeout:g} s", temporary=True) from None
    except requests.exceptions.ConnectionError:
        raise NotSent("the server cannot be reached, or closed the connection", temporary=True) from None
    except requests.exceptions.RequestException as error:
        raise NotSent(f"the request could not be made ({type(error).__name__})") from None
    if 300 <= code < 400:
        raise NotSent(f"the server redirects elsewhere ({code}), which is not followed; name the final address")
    if not 200 <= code < 300:
        raise NotSent(f"the server answered {code}", temporary=code >= 500 or code in _BUSY)


def signed(secret: str, message_id: str, at: datetime, body: bytes) -> dict[str, str]:
    """The headers that prove who sent a body, and when; a secret that begins with whsec_ is base64 after that.

    >>> from datetime import UTC
    >>> at = datetime.fromtimestamp(1614265330, UTC)
    >>> secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    >>> signed(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", at, b'{"test": 2432232314}')["webhook-signature"]
    'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE='
    """
    try:
        key = base64.b64decode(secret[len(_PREFIX):], validate=True) if secret.startswith(_PREFIX) else secret.encode()
    except binascii.Error:
        raise NotSent("the secret begins with whsec_, and what follows is not base64") from None
    stamp = str(int(at.timestamp()))
    digest = hmac.new(key, b".".join((message_id.encode(), stamp.encode(), body)), hashlib.sha256).digest()
    return {
        "webhook-id": message_id, "webhook-timestamp": stamp,
        "webhook-signature": "v1," + base64.b64encode(digest).decode(),
    }
