"""The churn model as an MLflow model: the code file that is stored beside model.json and run when the model is loaded.

Only MLflow loads this module. The stored model is this file and a JSON text: no pickled object, so what is loaded is
what can be read. It computes with the installed `models` package, which must therefore be there.

Input, one customer a row:

- `x`: order days after the first.
- `t_x`, `age`: days from the first order to the last, and to as-of, on the clock of the model's season: calendar days
  where there is no season.
- `group` (may be left out): the value of the column that conf groups customers by; everyone's model where it is
  missing or has no model of its own.

Param `horizon_days`: how far ahead, on the same clock; the horizon of the risk rate unless given.

Output, one row for each of the input:

- `p_alive`: the probability that the customer has not left.
- `p_no_order`: of no order in the horizon, as the process says; `p_no_order_calibrated`: as back-tests corrected it.
  The correction was learnt at one horizon, and is missing (NaN) at any other.
- `expected_orders`: in the horizon.
- `cycle`: the customer's own gap between orders in days, shrunk towards everyone's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.pyfunc import PythonModel

from models.cells import Cells
from models.churn_model import ChurnModel, GroupModel
from models.expected_orders import expected_orders
from models.purchase_process import p_alive, p_no_order
from models.silence import cycle
from models.training_run import NATIVE_OUTPUTS


class NativeModel(PythonModel):
    """Scores customers from what they did."""

    def load_context(self, context: Any) -> None:
        """Reads the stored model; ModelError when it is of another format."""
        self.model = ChurnModel.from_json(Path(context.artifacts["model"]).read_text(encoding="utf-8"))

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """`NATIVE_OUTPUTS` for each row of the input, with its index; ModelError for what no customer can be."""
        horizon = float((params or {}).get("horizon_days", self.model.horizon_days))
        x, t_x, age = (model_input[name].to_numpy(dtype=np.float64) for name in ("x", "t_x", "age"))
        Cells(x, t_x, age, np.ones(len(x)))  # refuses what no customer can be
        groups = self._groups(model_input)
        found = np.empty((len(model_input), len(NATIVE_OUTPUTS)))
        for group in set(groups):
            rows = np.array([own == group for own in groups])
            found[rows] = self._scores(self.model.of(group), x[rows], t_x[rows], age[rows], horizon)
        return pd.DataFrame(found, columns=list(NATIVE_OUTPUTS), index=model_input.index)

    def _groups(self, rows: pd.DataFrame) -> list[str | None]:
        """The group of each row; None for those that everyone's model scores."""
        if "group" not in rows:
            return [None] * len(rows)
        return [group if group in self.model.groups else None for group in rows["group"]]

    def _scores(
        self, model: GroupModel, x: np.ndarray, t_x: np.ndarray, age: np.ndarray, horizon: float
    ) -> np.ndarray:
        silent = p_no_order(model.purchase, x, t_x, age, horizon)
        # On a season's clock the calibrated horizon is as long as the season of its days, but not outside these.
        low, high = (self.model.horizon_days * bound(model.season.factors) for bound in (min, max))
        calibrated = model.calibration.apply(silent, x) if low <= horizon <= high else np.full(len(x), np.nan)
        return np.stack([
            p_alive(model.purchase, x, t_x, age), silent, calibrated,
            expected_orders(model.purchase, x, t_x, age, horizon), cycle(model.purchase, x, t_x),
        ], axis=1)


mlflow.models.set_model(NativeModel())
