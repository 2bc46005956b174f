"""From an entry of conf to a destination that can be sent to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module

from segment_lib.errors import UsageError
from segment_lib.sync.contract import Destination
from segment_lib.sync.options import TYPES, Options, check
from segment_lib.sync.profiles import HashProfile
from segment_lib.sync.profiles import profile as named_profile
from segment_lib.sync.rates import Clock
from segment_lib.sync.secrets import Secret, resolve

#: The module and class of each kind; a module is loaded when one of its kind is opened.
_MAKERS = {
    "klaviyo": ("klaviyo", "Klaviyo"), "meta": ("meta", "Meta"), "tiktok": ("tiktok", "TikTok"),
    "google": ("google", "Google"), "drop": ("drop", "Drop"), "webhook": ("webhook", "Webhook"),
    "sqs": ("aws_messages", "Sqs"), "sns": ("aws_messages", "Sns"), "eventbridge": ("aws_messages", "EventBridge"),
    "email": ("mail", "Mail"),
}


@dataclass(frozen=True)
class Setup:
    """What a destination is made of: its options, its secrets, its hash profile, and the times."""

    options: Options
    secrets: Mapping[str, Secret]
    profile: HashProfile
    now: Callable[[], datetime]
    clock: Clock = Clock()


def open_destination(
    kind: str, options: Mapping[str, object], credentials: Mapping[str, str], *, environ: Mapping[str, str],
    now: Callable[[], datetime], profile: str | None = None, region: str | None = None, clock: Clock = Clock(),
) -> Destination:
    """The destination of an entry of conf; nothing is asked of the platform yet.

    `credentials` are references (`segment_lib.sync.secrets`); UsageError when the entry is faulty, DeliveryError when a
    secret is missing.
    """
    faults = check(kind, options, credentials, profile, region)
    if faults:
        raise UsageError(f"destination of type {kind}: " + "; ".join(faults))
    model = TYPES[kind]
    secrets = {name: resolve(reference, environ) for name, reference in credentials.items()}
    module, maker = _MAKERS[kind]
    made = getattr(import_module(f"segment_lib.sync.destinations.{module}"), maker)
    known = model.model_validate(dict(options))
    return made(Setup(known, secrets, named_profile(profile or model.profile, region), now, clock))
