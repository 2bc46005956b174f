"""Whether a model may become champion, and whether a refinement of it is worth having: rules on its back-test.

All rules look at recalibrated probabilities. They ask for chances that are true, not only for a good ranking: among
customers of one age recency alone ranks as well as any model, so the ranking is asked for where it says something,
among those who ordered once and among those who came back.
"""

from __future__ import annotations

from dataclasses import dataclass

from models.backtest import REPEATED, Backtest, iso_day
from models.calibration import STRATA
from models.errors import ModelError


@dataclass(frozen=True)
class Limits:
    """How far a model may fall short, and what a refinement must gain.

    level: |mean probability - share of silent customers|. calibration: the calibration error. recency: how far the AUC
    may lie under that of recency alone. champion: how far the Brier score may lie above the champion's, which at these
    origins knows what came after them: without it a model trained anew on a few more orders would hardly ever follow.
    brier: how far a refinement's may lie above that of the model without it. gain: of a refinement in log-likelihood.
    """

    level: float = 0.02
    calibration: float = 0.03
    recency: float = 0.005
    champion: float = 0.0005
    brier: float = 0.0
    gain: float = 10.0


@dataclass(frozen=True)
class GateFinding:
    """One rule: whether it is kept, and the figures in words."""

    name: str
    ok: bool
    detail: str


@dataclass(frozen=True)
class Choice:
    """Whether a refinement is on, and why."""

    on: bool
    reason: str


def check(backtest: Backtest, champion: Backtest | None, limits: Limits | None = None) -> tuple[GateFinding, ...]:
    """What the gate says of a model; it passes when every finding is ok.

    `champion` is the back-test of the champion on the same labelled origins, None where there is none yet. ModelError
    where the two were measured on different customers.
    """
    limits = limits or Limits()
    own = backtest.overall
    findings = [GateFinding(
        "fitted at every origin", not backtest.skipped,
        f"{len(backtest.origins)} origins are measured"
        + "".join(f"; {iso_day(day)} is not: {reason}" for day, reason in backtest.skipped),
    )]
    if champion is not None:
        findings.append(_beside(backtest, champion, limits))
    base = backtest.base_brier()
    findings += [
        _at_most("Brier score not above the base rate's", own.brier, base,
                 f"forecasting the silent share of the origin before for everybody has {base:.5f}"),
        _at_most("level", abs(own.probability - own.actual), limits.level,
                 f"mean probability {own.probability:.4f}, silent {own.actual:.4f}, at most {limits.level:g} apart"),
        _at_most("calibration error", own.ece, limits.calibration,
                 f"at most {limits.calibration:g}, in ten bins of equal numbers of customers"),
    ]
    return (*findings, *(_ranking(backtest, slice_, limits) for slice_ in (STRATA[0], REPEATED)))


def choose(without: Backtest, refined: Backtest, gain: float, limits: Limits | None = None) -> Choice:
    """Whether k > 1, or a season, is on: only if the likelihood gains enough and the forecasts get no worse.

    `gain` is that of the refined fit in log-likelihood (for a season `models.season.season_gain`); the back-tests are
    of the same customers, with and without it.
    """
    limits = limits or Limits()
    if not gain >= limits.gain:
        return Choice(False, f"off: the log-likelihood gains {gain:.1f}, and {limits.gain:g} is needed")
    if apart := _fitted_by_one(refined, without):
        return Choice(False, f"off: the log-likelihood gains {gain:.1f}, and only one of the two is fitted at {apart}")
    _refuse_unlike(refined, without)
    with_it, without_it = refined.overall.brier, without.overall.brier
    figures = (
        f"the log-likelihood gains {gain:.1f}; the back-test's Brier score is {with_it:.5f} with it, and "
        f"{without_it:.5f} without"
    )
    on = with_it <= without_it + limits.brier
    return Choice(on, f"{'on' if on else 'off'}: {figures}")


def _beside(backtest: Backtest, champion: Backtest, limits: Limits) -> GateFinding:
    """The Brier score beside the champion's; where one of the two has no forecast they cannot be compared."""
    name = "Brier score not above the champion's"
    if apart := _fitted_by_one(backtest, champion):
        return GateFinding(name, False, f"not compared: only one of the two is fitted at {apart}")
    _refuse_unlike(backtest, champion)
    theirs = champion.overall.brier
    detail = f"the champion has {theirs:.5f}, and at most {limits.champion:g} more is allowed"
    return _at_most(name, backtest.overall.brier, theirs + limits.champion, detail)


def _fitted_by_one(one: Backtest, other: Backtest) -> str:
    """The measured days on which only one of the two could be fitted."""
    days = {day for day, _ in one.skipped} ^ {day for day, _ in other.skipped}
    return ", ".join(iso_day(day) for day in sorted(days))


def _at_most(name: str, value: float, limit: float, detail: str) -> GateFinding:
    return GateFinding(name, value <= limit, f"{value:.5f}; {detail}")


def _ranking(backtest: Backtest, slice_: str, limits: Limits) -> GateFinding:
    """The AUC beside that of recency; nothing to find fault with where one of the two outcomes never came."""
    name = f"ranking of customers with {slice_} repeat orders"
    found = backtest.ranking(slice_)
    if found is None:
        return GateFinding(name, True, "not measured: there are no such customers, or all of them came to the same")
    model, recency = found
    return GateFinding(
        name, model >= recency - limits.recency,
        f"AUC {model:.4f} within origins; that of recency alone is {recency:.4f}, and at most {limits.recency:g} less is allowed",
    )


def _refuse_unlike(one: Backtest, other: Backtest) -> None:
    """ModelError when two back-tests cannot be compared: other days, another horizon, other customers or outcomes."""
    facts, others = _facts(one), _facts(other)
    if facts != others:
        raise ModelError(
            f"back-tests of different customers cannot be compared: {facts}, and {others}; run both on the same "
            "labelled origins, where both can be fitted"
        )


def _facts(backtest: Backtest) -> str:
    rows, days = backtest.forecasts, [iso_day(origin.day) for origin in backtest.origins]
    people = f"{rows.silent.sum():.0f} silent of {rows.customers.sum():.0f}"
    return f"{people} over {backtest.horizon} days from {', '.join(days)}"
