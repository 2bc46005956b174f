"""`seglake train`, `seglake backtest` and `seglake models`: from orders to the model that scores the nights."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jobs.options import AsOf, day
from jobs.runner import Job, command, main
from jobs.scoring import needed_tracking
from segment_lib.errors import EXIT_GATE, EXIT_OK, UsageError

if TYPE_CHECKING:
    from models.tracking import Tracking
    from models.training_run import TrainingRun
    from segment_lib.settings import Settings
    from segment_lib.storage import Lake

From = Annotated[
    date | None,
    typer.Option(
        "--from", parser=day, metavar="DATE", help="The first snapshot date that it scores; default: the last day of training."
    ),
]


def train(
    job: Job,
    as_of: AsOf = None,
    promote: Annotated[bool, typer.Option("--promote", help="Make it champion when the gate lets it pass.")] = False,
    from_day: From = None,
) -> int:
    """Fit the models to all orders up to a date, back-test them and record them as challenger."""
    from jobs import views

    settings = job.settings()
    at = job.snapshot_date(as_of, settings)
    place = needed_tracking(settings)
    _check_from(from_day, at)
    with job.lake(settings) as lake:
        run, version = recorded(job, lake, settings, place, at)
    passed = run.verdict == "passed"
    if promote and passed:
        place.promote(version, from_day or at, at=job.now)
    findings = [{"rule": one.name, "ok": one.ok, "detail": one.detail} for one in run.gate]
    fits = [
        {"group": name or "everybody", "customers": int(one.purchase.customers), "process": one.purchase.parameters.model.name,
         **{key: round(value, 4) for key, (value, _) in one.purchase.maximum.table().items()}}
        for name, one in (("", run.everyone), *sorted(run.groups.items()))
    ]
    job.show(
        {"version": version, "gate": run.verdict, "champion": promote and passed, "fits": fits, "findings": findings,
         "measures": run.everyone.main_measures(), "notes": list(run.notes)},
        views.table(fits, f"version {version} of {place.name}, trained to {at}"),
        views.table(list(run.everyone.tables["decisions"]), "\ndecisions"),
        views.table(findings, f"\nthe gate: {run.verdict}"),
        *(f"\n{note}" for note in run.notes),
        f"\n{_next(version, promote, passed, from_day or at)}",
    )
    return EXIT_OK if passed or not promote else EXIT_GATE


def recorded(job: Job, lake: Lake, settings: Settings, place: Tracking, at: date) -> tuple[TrainingRun, str]:
    """Trains on all orders up to a date and records it; the version is challenger then."""
    from models.training import train_tenant

    champion = place.champion(at)
    run = train_tenant(
        lake, settings, at, at=job.now, champion=None if champion is None else champion.model, progress=job.step
    )
    with job.step("record"):
        return run, place.record(run)


def backtest(
    job: Job,
    as_of: AsOf = None,
    group: Annotated[str | None, typer.Option(metavar="VALUE", help="Only the customers of this group.")] = None,
) -> None:
    """Show what the model and simple rules would have said at past month ends, beside what came. Records nothing."""
    from jobs import views
    from models.training import fit_group, staged_past

    settings = job.settings()
    if group is not None and settings.models.group is None:
        raise UsageError("conf groups no customers: set models: {group: COLUMN}, or leave --group out")
    at = job.snapshot_date(as_of, settings)
    with job.lake(settings) as lake, staged_past(lake, settings, at, at=job.now, progress=job.step) as (past, _):
        with job.step("fit and back-test"):
            fitted = fit_group(past.of(group))
    if fitted.backtest is None:
        raise UsageError(fitted.findings[0].detail)
    tables = fitted.backtest.tables()
    rules = [_without(row, "customers_with") for row in tables["rules"] if row["customers_with"] == "all"]
    findings = [{"rule": one.name, "ok": one.ok, "detail": one.detail} for one in fitted.findings]
    job.show(
        {"horizon_days": fitted.backtest.horizon, "findings": findings, **tables},
        views.table(rules, f"who is lost for {fitted.backtest.horizon} days: the model and the rules a shop would use"),
        views.table(tables["measures"], "\nby repeat orders"), views.table(tables["origins"], "\nby origin"),
        views.table(findings, "\nthe gate"),
    )


def models(
    job: Job,
    promote: Annotated[int | None, typer.Option(metavar="VERSION", help="Make this version champion.")] = None,
    rollback: Annotated[bool, typer.Option("--rollback", help="Make the champion before this one champion again.")] = False,
    from_day: From = None,
) -> None:
    """List the trained models, or change which one scores the nights."""
    from jobs import views

    settings = job.settings()
    place = needed_tracking(settings)
    if promote is not None and rollback:
        raise UsageError("--promote and --rollback exclude each other")
    if promote is not None:
        chosen = next((one for one in place.versions() if one.version == promote), None)
        if chosen is None:
            raise UsageError(f"there is no version {promote} of {place.name}; seglake models lists them")
        if chosen.gate != "passed":
            raise UsageError(f"version {promote} cannot be champion, the gate says: {chosen.gate}")
        _check_from(from_day, chosen.trained_to)
        place.promote(promote, from_day or chosen.trained_to, at=job.now)
    elif rollback:
        if from_day is None:
            raise UsageError("--rollback needs --from DATE, the first snapshot date of the champion before")
        place.rollback(from_day, at=job.now)
    versions = place.versions()
    rows = [
        {"version": one.version, "alias": ", ".join(one.aliases), "trained_to": one.trained_to,
         "champion_from": [term.from_day.isoformat() for term in one.terms], "gate": one.gate,
         **{name: round(one.measures[name], 4) for name in ("brier", "auc", "ece") if name in one.measures}}
        for one in versions
    ]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    noted = [{**row, "notes": list(one.notes)} for row, one in zip(rows, versions, strict=True)]
    job.show(
        {"name": place.name, "versions": noted},
        views.table([{name: row.get(name) for name in columns} for row in rows], f"{place.name}, {len(rows)} versions"),
        *(f"\nversion {one.version}: {note}" for one in versions for note in one.notes),
    )


def _check_from(from_day: date | None, trained_to: date) -> None:
    if from_day is not None and from_day < trained_to:
        raise UsageError(f"--from {from_day} is before {trained_to}, the last day that it has seen orders of")


def _next(version: str, promote: bool, passed: bool, from_day: date) -> str:
    if not passed:
        return "it stays challenger: the gate does not let it pass"
    if promote:
        return f"it is champion from {from_day} on: seglake run uses it"
    return f"make it champion: seglake models --promote {version}"


def _without(row: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != name}


if __name__ == "__main__":
    main(command(train))
