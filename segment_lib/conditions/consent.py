"""`consent`: permission to use a channel."""

from __future__ import annotations

from typing import ClassVar, Literal

from segment_lib import core
from segment_lib.language.condition import Condition, register
from segment_lib.language.filters import PropertyTest
from segment_lib.language.scope import Scope
from segment_lib.language.words import compared


@register
class Consent(Condition):
    """The customer has given consent for a channel, optionally by when. A missing flag is no consent.

    ```yaml
    consent: email
    since: {in_last: 30d}
    ```
    """

    key: ClassVar = "consent"
    absence_meant: ClassVar = True
    consent: Literal["email", "sms", "push"]
    since: PropertyTest | None = None

    def reduce(self, scope: Scope) -> core.Test:
        fields = scope.catalogue.customers()
        flag, at = f"{self.consent}_consent", f"{self.consent}_consent_at"
        given: core.Test = core.Compare(core.Field("customers", flag, fields[flag]), "eq", (True,))
        if self.since:
            given = core.all_of(given, self.since.reduce(core.Field("customers", at, fields[at]), scope.at("since")))
        return given

    def label(self) -> str:
        return f"{self.consent} consent" + (f" given {compared(self.since)}" if self.since else "")
