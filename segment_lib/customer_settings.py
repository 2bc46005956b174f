"""The `customers` section of conf: what lists of customers may show, and where."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator


class CustomersSection(BaseModel):
    """Lists of a segment's members."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    #: Whether personal data is always masked, or may be written, to the personal path alone.
    personal_data: Literal["masked", "allowed"] = "masked"
    #: Customer fields that are personal data, beside those that always are.
    personal_fields: tuple[str, ...] = ()
    #: A folder or s3a:// prefix; a tenant's files lie in PATH/TENANT. Default: ROOT/TENANT/personal.
    personal_path: str | None = None
    #: The ages at which groups begin; a first group holds who is younger.
    age_groups: Annotated[tuple[Annotated[int, Field(ge=1, le=130)], ...], Field(min_length=1)] = (
        18, 25, 35, 45, 55, 65,
    )

    @field_validator("age_groups")
    @classmethod
    def _ascending(cls, ages: tuple[int, ...]) -> tuple[int, ...]:
        if list(ages) != sorted(set(ages)):
            raise ValueError("the ages at which groups begin must ascend")
        return ages
