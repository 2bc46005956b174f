"""All that scoring needs of a trained model, as plain values: what training makes, tracking stores and scoring reads.

A model has one `GroupModel` for everybody and, where conf names a column to group customers by, one for each group that
was large enough to have its own. It is JSON in storage: nothing that is loaded can run code.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from models.calibration import Calibration
from models.errors import ModelError
from models.gamma_gamma import GammaGammaParameters
from models.purchase_process import BG_NBD, PurchaseModel, PurchaseParameters, mbg_cnbd
from models.season import Season

#: Changes when a stored model must not be read by older or newer code any more.
FORMAT = 1


@dataclass(frozen=True)
class GroupModel:
    """What was fitted to one group of customers; times in days, on the clock of `season`.

    `value` is None where order values could not be fitted: predicted revenue is missing then. `calibration` maps the
    probability of no order in `ChurnModel.horizon_days` to what came of it in back-tests. `customers` is how many it was
    fitted to.
    """

    purchase: PurchaseParameters
    value: GammaGammaParameters | None
    season: Season
    calibration: Calibration
    customers: int

    def to_plain(self) -> dict[str, Any]:
        """Numbers and text only."""
        purchase, value = self.purchase, self.value
        return {
            "purchase": {
                "k": purchase.model.k, "leaves_after_first": purchase.model.leaves_after_first,
                "r": purchase.r, "alpha": purchase.alpha, "a": purchase.a, "b": purchase.b,
            },
            "value": None if value is None else {"p": value.p, "q": value.q, "gamma": value.gamma},
            "season": list(self.season.factors),
            "calibration": [list(line) for line in self.calibration.lines],
            "customers": self.customers,
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> GroupModel:
        """The inverse of `to_plain`; KeyError, TypeError or ModelError where it is not one."""
        process, value = plain["purchase"], plain["value"]
        return cls(
            PurchaseParameters(
                _process(process["k"], process["leaves_after_first"]),
                process["r"], process["alpha"], process["a"], process["b"],
            ),
            None if value is None else GammaGammaParameters(value["p"], value["q"], value["gamma"]),
            Season(tuple(plain["season"])),
            Calibration(tuple((intercept, slope) for intercept, slope in plain["calibration"])),
            plain["customers"],
        )


@dataclass(frozen=True)
class ChurnModel:
    """A trained model: `trained_to` is the last local day whose orders it has seen, `horizon_days` the H of its risk rate.

    `groups` are the values of the group column that have a model of their own; all others have `everyone`'s.
    """

    trained_to: date
    horizon_days: int
    everyone: GroupModel
    groups: Mapping[str, GroupModel] = field(default_factory=dict)

    def of(self, group: str | None) -> GroupModel:
        """The model of a group; everyone's where it has none of its own."""
        return self.everyone if group is None else self.groups.get(group, self.everyone)

    def to_json(self) -> str:
        """The model as text, the same for equal models."""
        plain = {
            "format": FORMAT, "trained_to": self.trained_to.isoformat(), "horizon_days": self.horizon_days,
            "everyone": self.everyone.to_plain(),
            "groups": {name: group.to_plain() for name, group in sorted(self.groups.items())},
        }
        return json.dumps(plain, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> ChurnModel:
        """The inverse of `to_json`.

        >>> ChurnModel.from_json('{"format": 7}')
        Traceback (most recent call last):
        models.errors.ModelError: a stored model of format 7, and this version reads 1: train it again
        """
        try:
            plain = json.loads(text)
            if plain["format"] != FORMAT:
                raise ModelError(f"a stored model of format {plain['format']}, and this version reads {FORMAT}: train it again")
            return cls(
                date.fromisoformat(plain["trained_to"]), plain["horizon_days"],
                GroupModel.from_plain(plain["everyone"]),
                {name: GroupModel.from_plain(group) for name, group in plain["groups"].items()},
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"a stored model cannot be read ({type(error).__name__}: {error}): train it again") from None


def _process(k: int, leaves_after_first: bool) -> PurchaseModel:
    return mbg_cnbd(k) if leaves_after_first else BG_NBD
