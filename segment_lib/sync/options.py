"""What conf says of each kind of destination: its own options, and the names of its credentials. Nothing heavy is loaded."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from segment_lib.errors import nearest
from segment_lib.notify_settings import Address as MailAddress
from segment_lib.notify_settings import SmtpServer
from segment_lib.sync.http import address_fault
from segment_lib.sync.profiles import NAMES
from segment_lib.sync.retries import Patience
from segment_lib.sync.secrets import is_reference


def _address(value: str) -> str:
    fault = address_fault(value)
    if fault:
        raise ValueError(fault)
    return value


Address = Annotated[str, AfterValidator(_address)]
Requests = Annotated[float, Field(gt=0, le=10_000)]
Digits = Annotated[str, Field(pattern=r"^[0-9]{1,20}$")]


class Options(BaseModel):
    """Options that every destination has."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, coerce_numbers_to_str=True)
    #: The names of the credentials that it needs, and of those that it can use; its profile when conf names none.
    needs: ClassVar[frozenset[str]] = frozenset()
    takes: ClassVar[frozenset[str]] = frozenset()
    profile: ClassVar[str] = "plain"
    #: Whether it holds audiences, and whether it takes messages; the parts that a message must have, and those that it
    #: may have (None: any).
    audiences: ClassVar[bool] = True
    messages: ClassVar[bool] = False
    says: ClassVar[frozenset[str]] = frozenset()
    may_say: ClassVar[frozenset[str] | None] = None

    #: Seconds that one request may wait for its answer, requests in all for one answer, seconds between two of them.
    timeout: Annotated[float, Field(gt=0, le=600)] = 60
    attempts: Annotated[int, Field(ge=1, le=20)] = 8
    longest_pause: Annotated[float, Field(ge=0, le=3600)] = 300

    @property
    def patience(self) -> Patience:
        """The same for the layer of HTTP."""
        return Patience(self.timeout, self.attempts, longest_pause=self.longest_pause)


class KlaviyoOptions(Options):
    """A list in Klaviyo, a property of its profiles, or both."""

    needs: ClassVar[frozenset[str]] = frozenset({"api_key"})
    profile: ClassVar[str] = "klaviyo-2026-07"

    url: Address = "https://a.klaviyo.com"
    revision: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")] = "2026-07-15"
    #: Where a segment is: in a list of its name, in a property that is true for its members, or in both.
    place: Literal["list", "property", "both"] = "list"
    #: What stands before the name of a segment in the name of its property.
    property_prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9_ .-]{0,64}$")] = "seglake_"
    per_second: Requests = 10
    per_minute: Requests = 150
    lookups_per_second: Requests = 75
    lookups_per_minute: Requests = 750
    #: Seconds until an import of profiles must have ended.
    job_seconds: Annotated[float, Field(gt=0, le=86_400)] = 3600


class MetaOptions(Options):
    """A custom audience at Meta."""

    needs: ClassVar[frozenset[str]] = frozenset({"access_token"})
    takes: ClassVar[frozenset[str]] = frozenset({"app_secret"})
    profile: ClassVar[str] = "meta-2025-09"

    url: Address = "https://graph.facebook.com"
    version: Annotated[str, Field(pattern=r"^v[0-9]{1,3}\.[0-9]$")] = "v25.0"
    account: Digits
    source: Literal["USER_PROVIDED_ONLY", "PARTNER_PROVIDED_ONLY", "BOTH_USER_AND_PARTNER_PROVIDED"] = "USER_PROVIDED_ONLY"
    per_second: Requests = 5
    per_minute: Requests = 120


class TikTokOptions(Options):
    """A custom audience at TikTok."""

    needs: ClassVar[frozenset[str]] = frozenset({"access_token"})
    profile: ClassVar[str] = "tiktok-2025-08"

    url: Address = "https://business-api.tiktok.com"
    version: Annotated[str, Field(pattern=r"^v[0-9]{1,2}\.[0-9]$")] = "v1.3"
    advertiser: Digits
    #: Published nowhere that we found; other senders use 1,000.
    records: Annotated[int, Field(ge=1, le=10_000)] = 1_000
    per_second: Requests = 10
    per_minute: Requests = 600


class GoogleOptions(Options):
    """A user list of Google Ads or Display & Video 360, through the Data Manager API."""

    needs: ClassVar[frozenset[str]] = frozenset({"service_account"})
    profile: ClassVar[str] = "google-2025-10"

    url: Address = "https://datamanager.googleapis.com"
    account_type: Literal["GOOGLE_ADS", "DISPLAY_VIDEO_PARTNER", "DISPLAY_VIDEO_ADVERTISER", "DATA_PARTNER"] = "GOOGLE_ADS"
    account: Digits
    login_account: Digits | None = None
    login_account_type: Literal["GOOGLE_ADS", "DISPLAY_VIDEO_PARTNER", "DATA_PARTNER"] = "GOOGLE_ADS"
    #: Says that the account's owner has accepted Google's terms of Customer Match: nothing is sent otherwise.
    customer_match_terms: Literal["accepted"]
    #: Days that a person stays on the list without being sent again; Google's longest is 540.
    membership_days: Annotated[int, Field(ge=1, le=540)] = 540
    per_second: Requests | None = None
    per_minute: Requests = 300


class DropOptions(Options):
    """Files in a folder, on S3 or on a server that speaks SFTP."""

    takes: ClassVar[frozenset[str]] = frozenset({"password", "private_key"})

    #: A folder, s3://bucket/prefix, or sftp://user@host[:port]/folder.
    url: Annotated[str, Field(pattern=r"^(/|s3a?://[a-z0-9][a-z0-9.-]+|sftp://[^@/:\s]+@[^@/\s]+/).*$")]
    #: The server's public key as a line of known_hosts has it, "ssh-ed25519 AAAA..."; SFTP needs it.
    host_key: Annotated[str, Field(pattern=r"^[a-z0-9@.-]+ [A-Za-z0-9+/=]+$")] | None = None
    records: Annotated[int, Field(ge=1, le=100_000)] = 10_000

    @model_validator(mode="after")
    def _server_is_known(self):
        if self.url.startswith("sftp://") and not self.host_key:
            raise ValueError("host_key is needed: without the server's key nobody knows who gets the files")
        return self


class WebhookOptions(Options):
    """Batches of JSON by POST to an address of your own."""

    needs: ClassVar[frozenset[str]] = frozenset({"secret"})
    takes: ClassVar[frozenset[str]] = frozenset({"token"})
    messages: ClassVar[bool] = True

    url: Address
    records: Annotated[int, Field(ge=1, le=10_000)] = 500
    bytes: Annotated[int, Field(ge=1_000, le=50_000_000)] = 1_000_000
    per_second: Requests | None = 5
    per_minute: Requests | None = None


class SqsOptions(Options):
    """A message a change to a queue of SQS."""

    messages: ClassVar[bool] = True

    target: Annotated[str, Field(pattern=r"^https?://\S+/[0-9]+/[A-Za-z0-9_-]+(\.fifo)?$")]


class SnsOptions(Options):
    """A message a change to a topic of SNS."""

    messages: ClassVar[bool] = True

    target: Annotated[str, Field(pattern=r"^arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]+:[A-Za-z0-9_-]+(\.fifo)?$")]


class EventBridgeOptions(Options):
    """An event a change to a bus of EventBridge."""

    messages: ClassVar[bool] = True

    target: Annotated[str, Field(pattern=r"^[A-Za-z0-9/_.:-]{1,256}$")]
    source: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,256}$")] = "seglake"


class EmailOptions(SmtpServer, Options):
    """Mail by SMTP, one to each customer: triggers only."""

    takes: ClassVar[frozenset[str]] = frozenset({"password"})
    audiences: ClassVar[bool] = False
    messages: ClassVar[bool] = True
    says: ClassVar[frozenset[str]] = frozenset({"subject", "text"})
    may_say: ClassVar[frozenset[str] | None] = frozenset({"html", "unsubscribe"})

    reply_to: MailAddress | None = None
    #: Mails between two entries of the queue: so many may come twice after a crash.
    records: Annotated[int, Field(ge=1, le=1_000)] = 50
    per_second: Requests | None = 10
    per_minute: Requests | None = None


TYPES: Mapping[str, type[Options]] = {
    "klaviyo": KlaviyoOptions, "meta": MetaOptions, "tiktok": TikTokOptions, "google": GoogleOptions, "drop": DropOptions,
    "webhook": WebhookOptions, "sqs": SqsOptions, "sns": SnsOptions, "eventbridge": EventBridgeOptions,
    "email": EmailOptions,
}


def check(
    kind: str, options: Mapping[str, object], credentials: Mapping[str, str], profile: str | None = None,
    region: str | None = None,
) -> list[str]:
    """What is wrong with a destination in conf, in words that do not repeat values; empty when nothing is.

    >>> check("klaviyo", {}, {"api_key": "env:KLAVIYO_KEY"})
    []
    >>> check("klaviyo", {"plase": "list"}, {"api_key": "pk_123"})[1]
    "plase: unknown option; did you mean 'place'?"
    """
    if kind not in TYPES:
        return [f"type: there is no destination {kind!r}; {nearest(kind, TYPES)}"]
    model = TYPES[kind]
    faults = [f"credentials.{name}: missing" for name in sorted(model.needs - credentials.keys())]
    for name, reference in sorted(credentials.items()):
        if name not in model.needs | model.takes:
            faults.append(f"credentials.{name}: not used; {nearest(name, model.needs | model.takes)}".removesuffix("; "))
        elif not is_reference(reference):
            faults.append(
                f"credentials.{name}: a secret is named, never written: env:NAME, aws-sm:NAME or aws-sm:NAME#KEY"
            )
    if profile is not None and profile not in NAMES:
        faults.append(f"profile: there is no hash profile {profile!r}; {nearest(profile, NAMES)}")
    if region is not None and not re.fullmatch("[A-Z]{2}", region):
        faults.append("region: a country in two capital letters, such as DE")
    try:
        model.model_validate(dict(options))
    except ValidationError as error:
        faults += [_said(model, dict(fault)) for fault in error.errors(include_url=False, include_input=False)]
    return faults


def _said(model: type[Options], fault: Mapping[str, object]) -> str:
    place = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        return f"{place}: unknown option; {nearest(place, model.model_fields)}"
    message = str(fault["msg"]).removeprefix("Value error, ")
    return f"{place}: {message}" if place else message
