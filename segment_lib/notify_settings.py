"""The `notify` section of conf: whom to tell when a run ends, and how.

Secrets stand here by reference alone, as ``env:NAME``, the environment variable that holds the value. What stands in a
faulty file in the place of a reference is never repeated in a message, for it may be the secret itself.
"""

from __future__ import annotations

import enum
import ipaddress
import re
from collections.abc import Mapping
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

_REFERENCE = re.compile(r"^env:([A-Za-z_][A-Za-z0-9_]*)$")
_ADDRESS = re.compile(r"^[^@\s<>,;:\"()]+@[^@\s<>,;:\"()]+$")
_HOST = re.compile(r"^[A-Za-z0-9]([A-Za-z0-9.:_-]{0,251}[A-Za-z0-9])?$")


class Outcome(enum.StrEnum):
    """How a run ended, as `on` names it."""

    PUBLISHED = "published"
    PARTIAL = "partial"
    REFUSED = "refused"
    FAILED = "failed"


def variable(reference: str) -> str | None:
    """The environment variable that a reference names; None for what is no reference.

    >>> variable("env:SMTP_PASSWORD"), variable("https://example.com")
    ('SMTP_PASSWORD', None)
    """
    match = _REFERENCE.fullmatch(reference)
    return match[1] if match else None


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, to which nothing travels.

    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("mail.example.com")
    (True, True, False)
    """
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def url_fault(url: str) -> str | None:
    """What is wrong with the address of a webhook, without repeating it; None when nothing is.

    >>> url_fault("https://example.com/hook"), url_fault("ftp://example.com")
    (None, 'the address of a webhook begins with https://')
    """
    try:
        parts = urlsplit(url)
        readable = parts.port != 0 and not any(character.isspace() for character in url)
    except ValueError:  # a port that is no number, a bracket that is not closed
        readable = False
    if not readable:
        return "the address of a webhook is no URL"
    if parts.username or parts.password:
        return "the address of a webhook must not hold a login; give the whole address by reference: env:NAME"
    if not parts.hostname or not (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname))):
        return "the address of a webhook begins with https://"
    return None


def _reference(value: object) -> object:
    if not isinstance(value, str) or not _REFERENCE.fullmatch(value):
        raise ValueError("a secret is named, never written here: env:NAME, the environment variable that holds it")
    return value


def _url(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError("write https://... or env:NAME, the environment variable that holds the address")
    fault = None if _REFERENCE.fullmatch(value) else url_fault(value)
    if fault:
        raise ValueError(f"{fault}; or name it by reference: env:NAME")
    return value


def _address(value: str) -> str:
    if not _ADDRESS.fullmatch(value):
        raise ValueError(f"{value!r} is not an address such as team@example.com")
    return value


def _host(value: str) -> str:
    if not _HOST.fullmatch(value):
        raise ValueError(f"{value!r} is not the name of a host")
    return value


Reference = Annotated[str, BeforeValidator(_reference)]
Url = Annotated[str, BeforeValidator(_url)]
Address = Annotated[str, AfterValidator(_address)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SmtpServer(BaseModel):
    """A server that takes mail, who logs in there and who sends; the password is its owner's matter."""

    host: Annotated[str, AfterValidator(_host)]
    port: Annotated[int, Field(ge=1, le=65535)] = 587
    #: How the connection is encrypted: from the start (ssl), by command before anything is said (starttls), or not.
    security: Literal["starttls", "ssl", "none"] = "starttls"
    user: str | None = None
    sender: Annotated[Address, Field(alias="from")]

    @model_validator(mode="after")
    def _login_is_safe(self):
        if self.user is not None and self.security == "none" and not is_loopback(self.host):
            raise ValueError("a password must not travel in the open: security is starttls or ssl")
        return self


class EmailSection(SmtpServer, _Section):
    """One message by SMTP to one or several addresses."""

    password: Reference | None = None
    to: Annotated[tuple[Address, ...], Field(min_length=1, max_length=50)]

    @model_validator(mode="after")
    def _login_is_whole(self):
        if (self.user is None) != (self.password is None):
            raise ValueError("user and password go together")
        return self

    @property
    def references(self) -> Mapping[str, str]:
        """Key -> reference of each secret."""
        return {"password": self.password} if self.password else {}


class WebhookSection(_Section):
    """One JSON document by POST to one address, signed when a secret is named."""

    url: Url
    secret: Reference | None = None

    @property
    def references(self) -> Mapping[str, str]:
        """Key -> reference of each secret."""
        found = {"url": self.url if variable(self.url) else None, "secret": self.secret}
        return {key: reference for key, reference in found.items() if reference}


class NotifyEntry(_Section):
    """Whom to tell of which outcomes."""

    on: Annotated[tuple[Outcome, ...], Field(min_length=1)] = tuple(Outcome)
    email: EmailSection | None = None
    webhook: WebhookSection | None = None
    #: Seconds that one attempt may wait for the other side.
    timeout_seconds: Annotated[float, Field(gt=0, le=60)] = 10
    #: Attempts in all, while the other side is down, slow or says that it is busy.
    attempts: Annotated[int, Field(ge=1, le=6)] = 4

    @model_validator(mode="after")
    def _one_way(self):
        if (self.email is None) == (self.webhook is None):
            raise ValueError("an entry has either 'email' or 'webhook'")
        return self

    @property
    def references(self) -> Mapping[str, str]:
        """Key -> reference of each secret of its one way."""
        way = self.email or self.webhook
        return way.references if way else {}
