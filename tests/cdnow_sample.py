"""CDNOW as the literature uses it: the customers of the 1/10 sample, weeks, calibration to 1997-09-30.

Run as a program it fits the models and prints what is measured beside the figures of others.
"""

from __future__ import annotations

import importlib.util
from collections import defaultdict
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path

import numpy as np

END, LAST = date(1997, 9, 30), date(1998, 6, 30)


@dataclass(frozen=True)
class Sample:
    """One customer a row, in the order of the sample's own numbers; times in weeks, money in dollars.

    x, t_x, age: repeat order days, time to the last of them, time to 1997-09-30. mean_value: mean value of a repeat
    order day, NaN without one. holdout: order days from 1997-10-01 to 1998-06-30. log_gaps: sum of ln(gap in weeks).
    lines, order_days: of the whole log, holdout included.
    """

    x: np.ndarray
    t_x: np.ndarray
    age: np.ndarray
    mean_value: np.ndarray
    holdout: np.ndarray
    log_gaps: float
    lines: int
    order_days: int


def folder() -> Path:
    """Where the installed ``lifetimes`` package keeps its data; the package itself is not imported."""
    (place,) = importlib.util.find_spec("lifetimes").submodule_search_locations
    return Path(place, "datasets")


@cache
def cdnow_sample() -> Sample:
    """The sample's customers are those of CDNOW_sample.txt; their orders are read from CDNOW_master.txt."""
    chosen = [line.split()[:2] for line in (folder() / "CDNOW_sample.txt").read_text().splitlines() if line.strip()]
    members = dict(chosen)  # id -> number in the sample
    orders: dict[str, dict[date, float]] = defaultdict(lambda: defaultdict(float))
    lines = 0
    for line in (folder() / "CDNOW_master.txt").read_text().splitlines()[1:]:
        if line.strip() and line.split()[0] in members:
            customer, day, _, value = line.split()
            orders[members[customer]][date.fromisoformat(day)] += float(value)
            lines += 1
    rows, log_gaps = [], 0.0
    for _, days in sorted(orders.items()):
        known = sorted(day for day in days if day <= END)
        first, last = known[0], known[-1]
        values = [days[day] for day in known[1:]]
        rows.append((
            len(known) - 1, (last - first).days / 7, (END - first).days / 7,
            float(np.mean(values)) if values else np.nan, sum(END < day <= LAST for day in days),
        ))
        log_gaps += sum(np.log((late - early).days / 7) for early, late in zip(known, known[1:], strict=False))
    x, t_x, age, mean_value, holdout = np.array(rows, dtype=float).T
    return Sample(x, t_x, age, mean_value, holdout, float(log_gaps), lines, sum(map(len, orders.values())))


PAPER, NOTE = "Fader, Hardie and Lee 2005; R package BTYD", "Hardie, note 025"
SHEET, BTYD, LIFETIMES = "Hardie's spreadsheet", "R package BTYD", "tests of lifetimes (three digits)"
APART = "computed apart, with scipy"


def measured() -> list[tuple[str, float, str, float]]:
    """(what, known figure, who gives it, measured): the figures to meet, and what these models give."""
    from models.cells import Cells
    from models.expected_orders import expected_orders
    from models.gamma_gamma import ValueCells, expected_value, fit_value_cells
    from models.purchase_fit import fit_cells
    from models.purchase_process import BG_NBD, MBG_NBD, p_alive, p_no_order
    from models.silence import silence_until_gone, silence_until_lost

    sample = cdnow_sample()
    history, again = (sample.x, sample.t_x, sample.age), sample.x > 0
    cells = Cells.of(*history)
    bg, mbg = fit_cells(cells, BG_NBD), fit_cells(cells, MBG_NBD)
    value = fit_value_cells(ValueCells.of(sample.x[again], sample.mean_value[again]))
    rows = []
    for name, fit, source, parameters, other, log_likelihood, errors in [
        ("BG/NBD", bg, PAPER, (0.2426, 4.4136, 0.7930, 2.4260), PAPER, -9582.429, (0.0126, 0.378, 0.186, 0.705)),
        ("MBG/NBD", mbg, LIFETIMES, (0.5248, 6.1831, 0.8914, 1.6140), APART, -9582.136, (0.083, 0.70, 0.155, 0.54)),
        ("Gamma-Gamma", value, NOTE, (6.25, 3.74, 15.44), APART, -4055.92, ()),
    ]:
        found = fit.maximum
        rows += [
            (f"{name} {what}", *rest)
            for what, *rest in zip(found.names, parameters, [source] * 4, found.parameters, strict=False)
        ]
        rows.append((f"{name} log-likelihood", log_likelihood, other, fit.log_likelihood))
        rows += [
            (f"{name} standard error of {what}", *rest)
            for what, *rest in zip(found.names, errors, [APART] * 4, fit.standard_errors, strict=False)
        ]
    curve = {0.1429: 0.0078, 1: 0.0532, 3: 0.1506, 31.8571: 1.0405, 32: 1.0437, 52: 1.4440, 78: 1.8580}
    for weeks, known in curve.items():
        orders = expected_orders(bg.parameters, 0, 0, 0, weeks)
        rows.append((f"BG/NBD orders of a new customer in {weeks} weeks", known, SHEET, orders))
    for source, known, weeks, customer in [
        (SHEET, 1.226, 39, (2, 30.43, 38.86)), (BTYD, 25.757, 52, (26, 30.857, 31)), (BTYD, 0.34746, 52, (10, 20, 39)),
        (BTYD, 0.042834, 52, (15, 20, 39)), (BTYD, 0.004159, 52, (20, 20, 39)), (BTYD, 0.000358, 52, (25, 20, 39)),
    ]:
        orders = expected_orders(bg.parameters, *customer, weeks)
        rows.append((f"BG/NBD orders of {customer} in {weeks} weeks", known, source, orders))
    silent = p_no_order(mbg.parameters, *history, 39.0)
    orders = expected_orders(mbg.parameters, *history, 39).sum()
    brier = np.mean((silent - (sample.holdout == 0)) ** 2)
    rows += [
        ("BG/NBD P(alive) of (26, 30.857, 31)", 0.96885, BTYD, p_alive(bg.parameters, 26, 30.857, 31)),
        ("MBG/NBD orders in the holdout, where 1,882 came", 1577, APART, orders),
        ("MBG/NBD Brier score of P(no order in 39 weeks)", 0.161, APART, brier),
        ("MBG/NBD days to P(alive) = 0.2 with x = 0", 1839, APART, 7 * silence_until_gone(mbg.parameters, 0, 0, 0.2)),
    ]
    for x, t_x, known in [(0, 0, 141), (1, 4, 201), (3, 12, 167), (10, 36, 135)]:
        cutoff = 7 * silence_until_lost(mbg.parameters, x, t_x, 0.8, 365 / 7)
        rows.append((f"MBG/NBD days of silence until lost of ({x}, {t_x})", known, APART, cutoff))
    rows.append(("correlation of frequency and value", 0.114, NOTE, value.correlation))
    for number, known in {1: 24.66, 2: 18.92, 3: 35.22, 6: 71.47, 9: 27.29}.items():
        expected = expected_value(value.parameters, sample.x[number - 1], sample.mean_value[number - 1])
        rows.append((f"Gamma-Gamma expected value of customer {number}", known, NOTE, expected))
    return rows


if __name__ == "__main__":
    print("| figure | known | by | measured |\n|---|---|---|---|")
    for what, known, source, found in measured():
        print(f"| {what} | {known:.7g} | {source} | {float(found):.7g} |")
