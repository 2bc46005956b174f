"""A mail server on this machine, which keeps what it received."""

from __future__ import annotations

import email
import email.message
import email.policy
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

PASSWORD = "open sesame"


class Mailbox:
    """What a server received; it knows one user."""

    def __init__(self) -> None:
        self.mails: list[email.message.EmailMessage] = []
        self.logins: list[bool] = []
        self.refuse: set[str] = set()
        self.busy = 0

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address in self.refuse:
            return "550 no such mailbox here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        if self.busy:
            self.busy -= 1
            return "451 come back later"
        self.mails.append(email.message_from_bytes(envelope.content, policy=email.policy.default))
        return "250 OK"

    def login(self, server, session, envelope, mechanism, given):
        self.logins.append((given.login, given.password) == (b"bot", PASSWORD.encode()))
        return AuthResult(success=self.logins[-1], handled=self.logins[-1])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def smtp(box: Mailbox, certificate: Path | None = None, *, implicit: bool = False) -> Iterator[int]:
    """A server on this machine with a login: in the open, with STARTTLS, or encrypted from the start; its port."""
    context = None
    if certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
    starttls = context is not None and not implicit
    controller = Controller(
        box, hostname="127.0.0.1", port=free_port(), ssl_context=context if implicit else None,
        tls_context=context if starttls else None, require_starttls=starttls, authenticator=box.login,
        auth_required=True, auth_require_tls=starttls,
    )
    controller.start()
    try:
        yield controller.port
    finally:
        controller.stop()
