"""`list`: an entry in a static list."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from segment_lib import core
from segment_lib.catalogue import Catalogue, Type
from segment_lib.language.condition import Condition, register
from segment_lib.language.filters import PropertyTest
from segment_lib.language.model import Text
from segment_lib.language.scope import Scope
from segment_lib.language.words import compared


@register
class OnList(Condition):
    """The customer stands in a static list, optionally by when they joined it.

    Entries that join at or after as_of are not seen; an entry without a date is, but meets no `joined`.

    ```yaml
    list: newsletter
    joined: {in_last: 30d}
    ```
    """

    key: ClassVar = "list"
    python_name: ClassVar = "on_list"
    absence_meant: ClassVar = True
    list_: Text = Field(alias="list")
    joined: PropertyTest | None = None

    @classmethod
    def complete(cls, schema: dict[str, Any], catalogue: Catalogue) -> None:
        if catalogue.lists:
            schema["properties"]["list"] = {"enum": sorted(catalogue.lists)}

    def reduce(self, scope: Scope) -> core.Test:
        scope.at("list").known("list", self.list_, scope.catalogue.lists)
        entries: core.Test = core.Compare(core.Field("lists", "list_id", Type.TEXT), "eq", (self.list_,))
        if self.joined:
            joined = core.Field("lists", "joined_at", Type.TIMESTAMP)
            entries = core.all_of(entries, self.joined.reduce(joined, scope.at("joined"), in_row=True))
        return core.Compare(core.Feature("lists", "count", None, entries), "ge", (1,))

    def label(self) -> str:
        return f"on list {self.list_}" + (f", joined {compared(self.joined)}" if self.joined else "")
