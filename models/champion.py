"""The model that scores a night: which version it is, or why there is none."""

from __future__ import annotations

from dataclasses import dataclass

from models.churn_model import ChurnModel


@dataclass(frozen=True)
class Champion:
    """A registered version of a model, as scoring needs it."""

    name: str
    version: str
    model: ChurnModel

    @property
    def label(self) -> str:
        """What is written into every row.

        >>> Champion("shop-churn", "3", None).label
        'shop-churn/3'
        """
        return f"{self.name}/{self.version}"
