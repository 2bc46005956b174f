"""What a fit takes from the histories of a group: its cells and its order values.

Spark reduces the histories to sums; those that are few enough come to the driver, else the fit asks Spark for them.
Days are numbers since 1970-01-01.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pyspark.sql import DataFrame

from models import histories as reading
from models.cells import Cells, Margins
from models.errors import FitError
from models.gamma_gamma import GammaGammaParameters, ValueCells, ValueFit, fit_value_cells
from models.purchase_likelihood import Reduction, numpy_reduction
from models.season import Season
from models.sql_fit import sql_margins, sql_reduction, timed
from segment_lib import logs

_log = logs.logger("training")


class Sums:
    """The cells of a group: in memory when they are few enough, else where they are, kept by Spark until `close`."""

    def __init__(self, histories: DataFrame, as_of: int):
        self.histories, self.as_of = histories, as_of
        self.frame = reading.cells_at(histories, as_of).persist()
        self.kept = [self.frame]
        self.rows = self.frame.count()
        self.table = reading.collected(self.frame, "cells") if self.rows <= reading.MOST_CELLS else None
        self._made: dict[Season, tuple[Margins, Reduction]] = {}

    def close(self) -> None:
        """Lets go of what Spark keeps."""
        for frame in self.kept:
            frame.unpersist()

    @property
    def cells(self) -> Cells | None:
        """The cells in days; None when they are too many."""
        return None if self.table is None else self._in_memory(self.table, Season.none())

    def on(self, season: Season) -> tuple[Margins, Reduction]:
        """What a fit on a season's clock takes, for any k; added up once."""
        if season not in self._made:
            self._made[season] = self._on(season, reading.log_gaps(self.histories, season))
        return self._made[season]

    def _on(self, season: Season, log_gaps: float) -> tuple[Margins, Reduction]:
        if self.table is not None:
            cells = self._in_memory(self.table, season)
            return Margins.of(cells, log_gaps), numpy_reduction(cells)
        rows = timed(self.frame, season, self.as_of).persist()
        self.kept.append(rows)
        return sql_margins(rows, log_gaps), sql_reduction(rows)

    def _in_memory(self, table: np.ndarray, season: Season) -> Cells:
        t_x, age = season.times(table["first"], table["last"], self.as_of)
        return Cells.of(table["x"], t_x, age, table["customers"])


class Values:
    """Value models by day: that of the day itself from all order days up to it."""

    def __init__(self, histories: DataFrame, days: Sequence[int]):
        """The values at each of these days, at least one."""
        self.table = reading.collected(reading.value_bins(histories, days), "order values")
        self._last = days[-1]
        self._fits: dict[int, ValueFit | None] = {}

    @property
    def fit(self) -> ValueFit | None:
        """The fit of the last day; None where values cannot be fitted."""
        return self._at(self._last)

    def at(self, day: int) -> GammaGammaParameters | None:
        """The parameters that were known at a day; None where values could not be fitted."""
        fitted = self._at(day)
        return None if fitted is None else fitted.parameters

    def _at(self, day: int) -> ValueFit | None:
        """The fit of a day, made once: every trial of a process asks for the same days."""
        if day not in self._fits:
            self._fits[day] = self._fit(day)
        return self._fits[day]

    def _fit(self, day: int) -> ValueFit | None:
        rows = self.table[self.table["at"] == day]
        try:
            return fit_value_cells(ValueCells(rows["orders"], rows["mean"], rows["customers"]))
        except FitError as error:
            _log.warning("no value model: %s", error)
            return None
