"""`sequence`: steps in order."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field, model_validator

from segment_lib import core
from segment_lib.clock import Interval, Step
from segment_lib.language.condition import Condition, register
from segment_lib.language.filters import RowFilter
from segment_lib.language.model import Duration, Model, StepText, Text, misplaced
from segment_lib.language.rows import EventTypes, Source, SourceField, Statuses, field_rows, plain_types
from segment_lib.language.scope import Scope
from segment_lib.language.window import WindowField
from segment_lib.language.words import source

MAX_STEPS = 20


class SequenceStep(Model):
    """A step that happened (`did`, `ordered`) or did not happen (`did_not`)."""

    example: ClassVar[str] = "{did: TYPE}, {ordered: any} or {did_not: TYPE}"
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

    def lengths(self) -> tuple[tuple[str, Step], ...]:
        """What `after` asks, as operator and length."""
        return tuple(self.after.bounds()) if self.after else ()

    @property
    def source(self) -> Source:
        """The rows of the step."""
        if self.did_not is not None:
            return self.did_not
        return Source(did=self.did) if self.did is not None else Source(ordered=self.ordered)

    def rows(self, scope: Scope) -> core.Test:
        """The test of the rows of the step."""
        if self.did_not is not None:
            return field_rows(self.did_not, "did_not", self.where, scope)
        return self.source.rows(scope.at(self.source.key), (self.where, scope))


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
    absence_meant: ClassVar = True
    sequence: tuple[SequenceStep, ...] = Field(min_length=2, max_length=MAX_STEPS)
    same: _Same | None = None
    span: StepText | None = None
    within: WindowField | None = None

    @classmethod
    def from_python(cls, *steps: Any, **options: Any) -> dict[str, Any]:
        return {cls.key: steps, **options}

    @model_validator(mode="after")
    def _order(self):
        if self.sequence[0].did_not is not None:
            message = "a sequence cannot begin with did_not: there is no step before it"
            raise misplaced(message, "sequence", 0, "did_not")
        for i, (step, following) in enumerate(zip(self.sequence, self.sequence[1:], strict=False)):
            if step.did_not is not None and step.after is not None:
                raise misplaced("after on a did_not is allowed only at the end", "sequence", i, "after")
            if step.did_not is not None and following.did_not is not None:
                message = f"steps {i + 1} and {i + 2} are both did_not; write one with a list of types"
                raise misplaced(message, "sequence", i + 1, "did_not")
        if self.sequence[0].after is not None:
            raise misplaced("the first step has no step before it, so it takes no after", "sequence", 0, "after")
        last = self.sequence[-1]
        if last.did_not is not None and last.after and set(last.after.given()) != {"at_least"}:
            message = "after on a final did_not says how long it must be quiet: write {at_least: 24h}"
            raise misplaced(message, "sequence", len(self.sequence) - 1, "after")
        return self

    def reduce(self, scope: Scope) -> core.Test:
        window = self.within.interval(scope.clock) if self.within else Interval()
        steps: list[core.Follow] = []
        quiet: core.Occurrence | None = None
        end: core.Silence | None = None
        for i, step in enumerate(self.sequence):
            inside = scope.at("sequence", i)
            rows = step.rows(inside)
            if step.did_not is None:
                found = core.Occurrence(step.source.table, rows, window)
                steps.append(core.Follow(found, self._same(step, scope, steps), step.lengths(), quiet))
                quiet = None
            else:
                # Nothing before the window lies between two steps, so nothing before it need be looked at.
                quiet = core.Occurrence(step.source.table, rows, Interval(window.start, None))
                if i == len(self.sequence) - 1:
                    lengths = step.lengths()
                    end = core.Silence(quiet, lengths[0][1] if lengths else None)
        return core.Sequence(tuple(steps), Step.parse(self.span) if self.span else None, end, scope.clock.as_of)

    def _same(self, step: SequenceStep, scope: Scope, before: list[core.Follow]) -> tuple[core.Field, ...]:
        """The columns of a step that must be equal in all of them; those of a name must have one type."""
        inside = scope.at("same")
        columns = step.source.columns(inside)
        found = [columns(name, inside) for name in self.same or ()]
        for i, column in enumerate(found):
            other = before[0].same[i] if before and column and i < len(before[0].same) else column
            if column and column.type == "texts":
                inside.fault(f"{column.name} is a list, and same compares single values")
            elif column and other and column.type != other.type:
                inside.fault(f"{column.name} is {other.type} in {other.source} and {column.type} in {column.source}")
        return tuple(column for column in found if column)

    def label(self) -> str:
        steps = (("not " if step.did_not is not None else "") + source(step.source) for step in self.sequence)
        return "sequence of " + ", then ".join(steps)
