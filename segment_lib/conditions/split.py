"""`split`: a stable share of customers."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import Field, model_validator

from segment_lib import core
from segment_lib.language.condition import Condition, register
from segment_lib.language.model import Model, Text
from segment_lib.language.scope import Scope

Edge = Annotated[int, Field(strict=True, ge=0, le=100)]


class Buckets(Model):
    """Buckets ``[from, to)`` of 100."""

    example: ClassVar[str] = "{salt: NAME, from: 0, to: 50}"
    salt: Annotated[Text, Field(min_length=1)]
    from_: Edge = Field(alias="from")
    to: Edge

    @model_validator(mode="after")
    def _some(self):
        if self.from_ >= self.to:
            raise ValueError(f"buckets [{self.from_}, {self.to}) are none; from must be less than to")
        return self


@register
class Split(Condition):
    """The customer's bucket, of 100, lies in ``[from, to)``.

    The bucket is the first 8 bytes (big endian) of SHA-256(salt, byte 0x1F, customer_id) modulo 100: it depends on
    nothing else, so growing a split moves no one.

    ```yaml
    split: {salt: spring_test, from: 0, to: 50}
    ```
    """

    key: ClassVar = "split"
    split: Buckets

    @classmethod
    def from_python(cls, salt: str, start: int, end: int) -> dict[str, Any]:
        return {cls.key: {"salt": salt, "from": start, "to": end}}

    def reduce(self, scope: Scope) -> core.Test:
        return core.Split(self.split.salt, self.split.from_, self.split.to)

    def label(self) -> str:
        return f"bucket {self.split.from_} to {self.split.to} of {self.split.salt}"
