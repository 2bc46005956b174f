"""What conf says about scores: RFM groups, the individual churn cutoff, value, and where models are tracked."""

from __future__ import annotations

import re
from itertools import product
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

GROUP_NAME = re.compile(r"^[a-z][a-z0-9_]{0,62}$")
#: The group of who never ordered, and of who ordered before the window but not in it; neither has RFM scores.
PROSPECT, INACTIVE = "prospect", "inactive"
#: Recency, frequency, monetary of 1 to 3, 3 best: the 27 cells as the help page of Klaviyo shares them out.
GROUPS = {
    "champions": ("333", "332", "323"),
    "loyal": ("321", "322", "331", "232", "233"),
    "recent": ("312", "313", "311", "222", "223"),
    "needs_attention": ("213", "221", "123", "132", "133"),
    "at_risk": ("231", "212", "122", "131", "211"),
    INACTIVE: ("111", "112", "113", "121"),
}
_CELLS = frozenset("".join(cell) for cell in product("123", repeat=3))

Days = Annotated[int, Field(ge=1, le=36525)]
Probability = Annotated[float, Field(gt=0, lt=1)]


def _ascending(days: tuple[int, ...]) -> tuple[int, ...]:
    if list(days) != sorted(set(days)):
        raise ValueError(f"{list(days)} is not ascending without repetition")
    return days


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RecencyBins(_Section):
    """Days since the last order as fixed limits instead of shares of the customers: [30, 90, 180, 365] gives 5 up to 30."""

    five: Annotated[tuple[Days, Days, Days, Days], AfterValidator(_ascending)]
    three: Annotated[tuple[Days, Days], AfterValidator(_ascending)]


class RfmSection(_Section):
    """Recency, frequency, monetary."""

    #: The last days whose orders count.
    window_days: Days = 365
    recency_bins: RecencyBins | None = None
    #: Group -> its cells, each three digits of 1 to 3 for R, F and M; together they are all 27, each once.
    groups: dict[str, tuple[str, ...]] = GROUPS

    @model_validator(mode="after")
    def _total_and_disjoint(self):
        for name in self.groups:
            if not GROUP_NAME.fullmatch(name) or name == PROSPECT:
                raise ValueError(f"groups: {name!r} is not a name for a group ({GROUP_NAME.pattern}, not {PROSPECT})")
        cells = [cell for part in self.groups.values() for cell in part]
        strange = sorted(set(cells) - _CELLS)
        twice = sorted({cell for cell in cells if cells.count(cell) > 1})
        missing = sorted(_CELLS - set(cells))
        found = [
            f"{what}: {', '.join(names)}"
            for what, names in (("no cells", strange), ("in more than one group", twice), ("in no group", missing)) if names
        ]
        if found:
            raise ValueError(f"groups share out the 27 cells from 111 to 333, each once; {'; '.join(found)}")
        return self


class ModelsSection(_Section):
    """The churn model and what is made of it."""

    #: An MLflow tracking server, or a database as sqlite:///FILE; default: sqlite in ROOT/TENANT of a local root.
    tracking: str | None = None
    #: A column of customers; each of its values with enough customers has a model of its own.
    group: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}$")] | None = None
    #: A group with fewer customers than this uses the model of all.
    min_group_customers: Annotated[int, Field(ge=100)] = 2000
    #: Of a group with more customers than this, back-tests and calibration look at so many; fits look at everyone.
    backtest_customers: Annotated[int, Field(ge=10_000)] = 250_000
    #: H: the risk rate is the probability of no order in so many days.
    horizon_days: Days = 365
    #: The risk rate from which on a customer is at risk, and lost.
    at_risk: Probability = 0.5
    lost: Probability = 0.8
    #: Nobody is at risk or lost before so many silent days.
    floor_days: Annotated[int, Field(ge=0, le=3650)] = 30
    #: Days ahead of the predicted orders and revenue, and of the lifetime value.
    predicted_days: Days = 365
    #: Contribution margin as a share of net revenue, and the discount of a year, for the lifetime value.
    margin: Annotated[float, Field(gt=0, le=1)] = 0.3
    discount: Annotated[float, Field(ge=0, lt=1)] = 0.1
    #: Value tiers: name -> the share of customers, from the most valuable on; who is left has no tier.
    tiers: dict[str, Annotated[float, Field(gt=0, le=1)]] = {
        "platinum": 0.01, "gold": 0.04, "silver": 0.05, "bronze": 0.15, "medium": 0.25, "low": 0.5,
    }

    @model_validator(mode="after")
    def _in_order(self):
        if self.at_risk > self.lost:
            raise ValueError(f"at_risk {self.at_risk} is above lost {self.lost}: one is at risk before one is lost")
        if sum(self.tiers.values()) > 1 + 1e-9:
            raise ValueError(f"tiers: the shares add up to {sum(self.tiers.values()):g}, which is more than everybody")
        return self
