"""The `destinations` section of conf: where audiences go, by whose consent, and when one is held back.

Credentials stand here by reference alone; what each kind of destination takes beside is checked by the destination.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FuseSection(_Section):
    """How far an audience may be from what the last syncs have taught before it is held."""

    #: Syncs that are looked back on.
    nights: Annotated[int, Field(ge=2, le=365)] = 14
    #: The band of the size is never narrower than this share of the usual size, to either side; null switches it off.
    change: Annotated[float, Field(gt=0, le=100)] | None = 0.5
    #: The share of members who cannot be reached may be this much above the usual share; null switches it off.
    unreachable: Annotated[float, Field(gt=0, le=1)] | None = 0.1


def _reference(value: object) -> object:
    from segment_lib.sync.secrets import is_reference

    if not is_reference(value):
        # What stands there is not repeated: it may be the secret itself.
        raise ValueError("a secret is named, never written here: env:NAME or aws-sm:NAME")
    return value


class DestinationEntry(_Section):
    """One place where audiences go."""

    type: str
    #: What this type takes, such as the account or the address.
    options: dict[str, Any] = {}
    #: Name of a credential -> reference to it: env:NAME or aws-sm:NAME.
    credentials: dict[str, Annotated[str, BeforeValidator(_reference)]] = {}
    #: How identifiers are made; default: what the type asks for.
    profile: str | None = None
    #: The country of telephone numbers that do not name theirs, as two capital letters.
    region: Annotated[str, Field(pattern="^[A-Z]{2}$")] | None = None
    #: The channel that a customer must have agreed to; `none` has to be said.
    consent: Literal["email", "sms", "push", "none"]
    #: Segments that go there, beside those whose definition names it in `sync`.
    segments: tuple[str, ...] = ()
    #: Who is in several of these segments goes to the first of them alone.
    priority: tuple[str, ...] = ()
    #: An audience with fewer people is held.
    min_size: Annotated[int, Field(ge=0)] = 0
    fuse: FuseSection = FuseSection()
    #: Whether the name there says nothing of the segment.
    opaque_names: bool = False

    @model_validator(mode="after")
    def _type_takes_it(self):
        from segment_lib.sync.destinations import TYPES, check

        faults = check(self.type, self.options, self.credentials, self.profile, self.region)
        if self.segments and self.type in TYPES and not TYPES[self.type].audiences:
            faults.append(f"segments: {self.type} holds no audiences, it sends the messages of triggers")
        if faults:
            raise ValueError("; ".join(faults))
        return self
