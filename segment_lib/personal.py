"""What counts as personal data of a customer: the one place that says so.

A customer's id is not among them: outputs are joined by it, and it names a person only to who holds `customers` too.
Neither is where they live, down to the city. Conf adds fields of its own, or of these (`customers.personal_fields`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from segment_lib.settings import Settings

#: The standard fields of `customers` that name a person, or lead to one by themselves.
PERSONAL = frozenset({"email", "phone", "first_name", "last_name", "birthday"})


def personal_fields(settings: Settings) -> frozenset[str]:
    """The customer fields of a tenant that are personal data.

    >>> from segment_lib.settings import Settings
    >>> sorted(personal_fields(Settings(customers={"personal_fields": ["city"]})) - PERSONAL)
    ['city']
    """
    return PERSONAL | set(settings.customers.personal_fields)
