"""What one training leaves behind, as plain values: what it was told, what it found, how well it did, and the pictures.

A `TrainingRun` knows nothing of where it is kept; `models.tracking` puts its params, metrics and files into MLflow.
It holds sums and parameters only. Nothing in it is about one customer, and tables with a column that names customers
are refused.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING

from models.backtest import ALL, SLICES
from models.calibration import STRATA
from models.errors import ModelError
from models.versions import instant

if TYPE_CHECKING:
    from models.churn_model import ChurnModel, GroupModel
    from models.fit import Maximum
    from models.gamma_gamma import ValueFit
    from models.gate import GateFinding
    from models.purchase_fit import PurchaseFit

#: A value of a param or of a cell in a table.
Plain = str | int | float | bool | date | None
#: A table: every row has the same columns.
Rows = Sequence[Mapping[str, Plain]]

#: The file that holds the whole model; all else is for people.
MODEL_FILE = "model.json"
#: The groups that everybody's model serves, with the reason, where there are any.
FALLBACKS_FILE = "fallbacks.csv"
#: Notes that a run and a version carry themselves.
_NOTES = 20
#: What the native model answers, see `models.native_model`.
NATIVE_OUTPUTS = ("p_alive", "p_no_order", "p_no_order_calibrated", "expected_orders", "cycle")
#: Columns that name customers.
_OF_ONE_CUSTOMER = frozenset({"customer_id", "customer_hash", "external_id", "email", "phone"})
_MEASURE = re.compile(r"[a-z][a-z0-9_]*")
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*\.(png|svg)")
_TABLE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


@dataclass(frozen=True)
class Measure:
    """A number of a back-test: of all customers or of one `stratum`, over all origins or at the `origin` alone.

    >>> Measure("brier", 0.161).key, Measure("brier", 0.2, "3+").key
    ('backtest.brier', 'backtest.brier.x3plus')
    >>> by_origin = Measure("auc", 0.7, origin=date(2026, 1, 31))
    >>> by_origin.key, by_origin.step
    ('backtest_by_origin.auc', 20260131)
    """

    name: str
    value: float
    stratum: str | None = None
    origin: date | None = None

    def __post_init__(self) -> None:
        if not _MEASURE.fullmatch(self.name):
            raise ModelError(f"measure {self.name!r}: a name is small letters, digits and _; rename it")
        if self.stratum is not None and self.stratum not in SLICES:
            raise ModelError(f"measure {self.name} of stratum {self.stratum!r}: give one of {', '.join(SLICES)}")

    @property
    def key(self) -> str:
        """The name among a run's metrics."""
        kind = "backtest" if self.origin is None else "backtest_by_origin"
        stratum = "" if self.stratum is None else f".x{self.stratum.replace('+', 'plus')}"
        return f"{kind}.{self.name}{stratum}"

    @property
    def step(self) -> int:
        """The origin as a number, year month day; 0 for a measure over all origins."""
        return 0 if self.origin is None else int(f"{self.origin:%Y%m%d}")


def backtest_measures(tables: Mapping[str, Rows]) -> tuple[Measure, ...]:
    """The numbers of a back-test's tables `measures` and `origins` (`Backtest.tables()`); raw ones end with _raw.

    >>> rows = [{"customers_with": "3+", "output": "raw", "brier": 0.2, "auc": None}]
    >>> [(measure.key, measure.value) for measure in backtest_measures({"measures": rows, "origins": []})]
    [('backtest.brier_raw.x3plus', 0.2)]
    """
    found = []
    for row in [*tables["measures"], *tables["origins"]]:
        ending = "_raw" if row["output"] == "raw" else ""
        stratum, origin = row.get("customers_with", ALL), row.get("origin")
        found += [
            Measure(
                name + ending, float(value), None if stratum == ALL else str(stratum),
                None if origin is None else date.fromisoformat(str(origin)),
            )
            for name, value in row.items()
            if name not in ("customers_with", "output", "origin") and isinstance(value, int | float)
        ]
    return tuple(found)


@dataclass(frozen=True)
class GroupRun:
    """How the model of one group came about.

    `value` is None where order values could not be fitted. `cells`: distinct (x, t_x, age). `seconds`: of the fit.
    `tables`: name -> rows, kept as CSV. `plots`: file name (.png or .svg) -> its bytes, see `models.plots`.
    """

    purchase: PurchaseFit
    value: ValueFit | None
    cells: int
    seconds: float
    measures: tuple[Measure, ...] = ()
    tables: Mapping[str, Rows] = field(default_factory=dict)
    plots: Mapping[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, rows in self.tables.items():
            if not _TABLE.fullmatch(name):
                raise ModelError(f"table {name!r}: a name is letters, digits, _ and -, without an ending; rename it")
            named = sorted({column for row in rows for column in row} & _OF_ONE_CUSTOMER)
            if named:
                raise ModelError(
                    f"table {name}: column {', '.join(named)} is about single customers, and a training run is kept "
                    "where whoever may see models can read it; give sums over customers"
                )
        for name in self.plots:
            if not _FILE.fullmatch(name):
                raise ModelError(f"plot {name!r}: a name ends with .png or .svg and has no folder; rename it")

    def metrics(self) -> Iterator[tuple[str, float, int]]:
        """(key, value, step) of the fits and of the back-test; what is not a finite number is left out."""
        for key, value in self._facts().items():
            if math.isfinite(value):
                yield key, float(value), 0
        for measure in self.measures:
            if math.isfinite(measure.value):
                yield measure.key, float(measure.value), measure.step

    def main_measures(self) -> dict[str, float]:
        """The measures of all customers over all origins, by name."""
        return {
            measure.name: float(measure.value) for measure in self.measures
            if measure.stratum is None and measure.origin is None and math.isfinite(measure.value)
        }

    def _facts(self) -> dict[str, float]:
        purchase = self.purchase
        facts = {
            **_estimates("purchase", purchase.maximum),
            "purchase.log_likelihood": purchase.log_likelihood,
            "purchase.log_likelihood_per_customer": purchase.log_likelihood / purchase.customers,
            "purchase.customers": purchase.customers, "purchase.repeat_orders": purchase.orders,
            "purchase.cells": self.cells, "seconds": self.seconds,
        }
        if self.value is not None:
            facts |= {
                **_estimates("value", self.value.maximum), "value.log_likelihood": self.value.log_likelihood,
                "value.customers": self.value.customers, "value.correlation_with_x": self.value.correlation,
            }
        return facts


@dataclass(frozen=True)
class TrainingRun:
    """A trained model and how it came about; `groups` has the same names as `model.groups`.

    `at`: when it was trained, with a time zone. `data_versions`: table -> version of it that was read. `params`: what
    conf and the command said. `code_version`: of this package. `gate`: what the gate found; none means not yet asked.
    `fallbacks`: group -> why everybody's model serves it, of the groups that were large enough for one of their own.
    """

    model: ChurnModel
    everyone: GroupRun
    at: datetime
    seed: int
    code_version: str
    data_versions: Mapping[str, int]
    params: Mapping[str, Plain] = field(default_factory=dict)
    groups: Mapping[str, GroupRun] = field(default_factory=dict)
    gate: tuple[GateFinding, ...] = ()
    fallbacks: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.at.tzinfo is None:
            raise ModelError(f"trained at {self.at}: a time without a zone; give it in UTC")
        if set(self.groups) != set(self.model.groups):
            raise ModelError(
                f"the model has the groups {_listed(self.model.groups)} and the run has {_listed(self.groups)}; "
                "give one run for each group of the model"
            )

    @property
    def trained_to(self) -> date:
        """The last local day whose orders the model has seen."""
        return self.model.trained_to

    @property
    def verdict(self) -> str:
        """What the gate said, in one line: passed, failed and which rules, or not asked."""
        if not self.gate:
            return "not asked"
        failed = [finding.name for finding in self.gate if not finding.ok]
        return f"failed: {', '.join(failed)}" if failed else "passed"

    @property
    def notes(self) -> tuple[str, ...]:
        """Which groups everybody's model serves, and why: the first twenty, and how many more."""
        told = [f"group {name} is served by everybody's model: {why}" for name, why in sorted(self.fallbacks.items())]
        more = [f"{len(told) - _NOTES} more groups are: see {FALLBACKS_FILE}"] if len(told) > _NOTES else []
        return (*told[:_NOTES], *more)

    def all_params(self) -> dict[str, str]:
        """Everything that the training was told, as text."""
        purchase = self.model.everyone.purchase.model
        told: dict[str, Plain] = {
            **self.params, "process": purchase.name, "k": purchase.k, "horizon_days": self.model.horizon_days,
            "trained_to": self.trained_to, "seed": self.seed, "code_version": self.code_version,
            "season": not self.model.everyone.season.is_flat,
            **{f"data_version.{table}": version for table, version in sorted(self.data_versions.items())},
        }
        return {name: _text(value) for name, value in told.items()}

    def version_tags(self) -> dict[str, str]:
        """What a registered version says of itself, so that a list of versions needs no look at their runs."""
        return {
            "trained_to": self.trained_to.isoformat(), "trained_at": instant(self.at),
            "horizon_days": str(self.model.horizon_days), "gate": self.verdict, "code_version": self.code_version,
            "measures": json.dumps(self.everyone.main_measures(), sort_keys=True),
            "notes": json.dumps(self.notes, ensure_ascii=False),
        }

    def files(self) -> dict[str, bytes]:
        """What is kept for the model as a whole: the model, the gate's findings, and everyone's tables and pictures."""
        fallbacks = [{"group": name, "why": why} for name, why in sorted(self.fallbacks.items())]
        gate = [{"rule": finding.name, "ok": finding.ok, "detail": finding.detail} for finding in self.gate]
        return {
            MODEL_FILE: self.model.to_json().encode(),
            **({"gate.csv": _csv(gate)} if gate else {}),
            **({FALLBACKS_FILE: _csv(fallbacks)} if fallbacks else {}),
            **group_files(self.model.everyone, self.everyone),
        }


def group_files(model: GroupModel, run: GroupRun) -> dict[str, bytes]:
    """What is kept for one group: path -> content."""
    season = [{"month": month, "factor": factor} for month, factor in enumerate(model.season.factors, start=1)]
    lines = [
        {"repeat_orders": stratum, "intercept": intercept, "slope": slope}
        for stratum, (intercept, slope) in zip(STRATA, model.calibration.lines, strict=True)
    ]
    return {
        "group.json": (json.dumps(model.to_plain(), indent=1, sort_keys=True) + "\n").encode(),
        "season.csv": _csv(season),
        "calibration.csv": _csv(lines),
        **{f"tables/{name}.csv": _csv(rows) for name, rows in run.tables.items()},
        **{f"plots/{name}": content for name, content in run.plots.items()},
    }


def _estimates(kind: str, maximum: Maximum) -> dict[str, float]:
    """Parameters with their standard errors, and how the maximum was reached."""
    found: dict[str, float] = {}
    for name, (value, error) in maximum.table().items():
        found |= {f"{kind}.{name}": value, f"{kind}.{name}_se": error}
    return found | {
        f"{kind}.evaluations": maximum.evaluations, f"{kind}.iterations": maximum.iterations,
        f"{kind}.distance": maximum.distance, f"{kind}.correlation": maximum.correlation,
    }


def _listed(names: Mapping[str, object]) -> str:
    return ", ".join(sorted(names)) or "none"


def _text(value: Plain) -> str:
    """
    >>> [_text(value) for value in (True, None, date(2026, 1, 31), 0.1, "x")]
    ['true', 'none', '2026-01-31', '0.1', 'x']
    """
    if isinstance(value, bool):
        return str(value).lower()
    return "none" if value is None else str(value)


def _csv(rows: Rows) -> bytes:
    """Rows with a header, dates as ISO and None as nothing; an empty file without rows.

    >>> _csv([{"day": date(2026, 1, 31), "share": 0.25, "note": None}])
    b'day,share,note\\n2026-01-31,0.25,\\n'
    """
    if not rows:
        return b""
    written = io.StringIO()
    table = csv.DictWriter(written, list(rows[0]), lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    return written.getvalue().encode()
