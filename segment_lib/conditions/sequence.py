"""`sequence`: steps in order."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field, model_validator

from segment_lib import core
from segment_lib.language.condition import Condition, register
from segment_lib.language.filters import RowFilter
from segment_lib.language.model import Duration, Model, StepText, Text
from segment_lib.language.rows import EventTypes, Source, SourceField, Statuses, plain_types
from segment_lib.language.scope import Scope
from segment_lib.language.window import WindowField
from segment_lib.language.words import source


class SequenceStep(Model):
    """A step that happened (`did`, `ordered`) or did not happen (`did_not`)."""

    did: EventTypes | None = None
    ordered: Statuses | None = None
    did_not: SourceField | None = None
    where: RowFilter | None = None
    after: Duration | None = None

    @model_validator(mode="after")
    def _one_kind(self):
        if len(self.given().keys() & {"did", "ordered", "did_not"}) != 1:
            raise ValueError("a step is one of did, ordered, did_not")
        return self

    def to_plain(self) -> Any:
        plain = super().to_plain()
        if self.did is not None:
            plain["did"] = plain_types(self.did)
        if self.ordered is not None and len(self.ordered) == 1:
            plain["ordered"] = self.ordered[0]
        return plain

    @property
    def source(self) -> Source:
        """The rows of the step."""
        if self.did_not is not None:
            return self.did_not
        return Source(did=self.did) if self.did is not None else Source(ordered=self.ordered)


_Same = Annotated[tuple[Text, ...], BeforeValidator(lambda value: (value,) if isinstance(value, str) else value)]


@register
class Sequence(Condition):
    """Steps in strict order of time inside one window; any choice of rows that fits makes it true.

    ```yaml
    sequence:
      - did: product_viewed
      - did_not: checkout_completed
      - did: product_viewed
        after: {at_most: 24h}
    span: 7d
    within: 30d
    ```
    """

    key: ClassVar = "sequence"
    sequence: tuple[SequenceStep, ...] = Field(min_length=2)
    same: _Same | None = None
    span: StepText | None = None
    within: WindowField | None = None

    @model_validator(mode="after")
    def _order(self):
        if self.sequence[0].did_not is not None:
            raise ValueError("a sequence cannot begin with did_not: there is no step before it")
        for i, (step, following) in enumerate(zip(self.sequence, self.sequence[1:], strict=False)):
            if step.did_not is not None and step.after is not None:
                raise ValueError(f"step {i + 1}: after on a did_not is allowed only at the end")
            if step.did_not is not None and following.did_not is not None:
                raise ValueError(f"steps {i + 1} and {i + 2} are both did_not; write one with a list of types")
        if self.sequence[0].after is not None:
            raise ValueError("the first step has no step before it, so it takes no after")
        return self

    def reduce(self, scope: Scope) -> core.Test:
        for i, step in enumerate(self.sequence):
            inside = scope.at("sequence", i)
            rows = step.source
            rows.rows(inside, step.where)
            for name in self.same or ():
                if step.did_not is None:
                    rows.columns(inside)(name, scope.at("same"))
        return core.Pending("sequence is not evaluated yet")

    def label(self) -> str:
        steps = (("not " if step.did_not is not None else "") + source(step.source) for step in self.sequence)
        return "sequence of " + ", then ".join(steps)
