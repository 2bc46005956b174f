"""Where a tenant's models are, and who gives scores in the nights of a job."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from segment_lib import logs
from segment_lib.errors import SeglakeError, UsageError

if TYPE_CHECKING:
    from jobs.runner import Job
    from models.champion import Champion
    from models.tracking import Tracking
    from segment_lib.nightly import Scorers
    from segment_lib.preparation import Preparation
    from segment_lib.scores import Published
    from segment_lib.settings import Settings
    from segment_lib.storage import Lake

_log = logs.logger("scores")


def tracking(settings: Settings) -> Tracking | None:
    """Where conf says that models are tracked: by default a database beside a local lake, and nowhere for another."""
    from models.tracking import Tracking

    address = settings.models.tracking
    if address is None:
        if "://" in settings.root:
            return None
        folder = os.path.abspath(os.path.join(settings.root, settings.tenant, "models"))
        address = f"sqlite:///{folder}/mlflow.db"
    return Tracking(address, f"seglake.{settings.tenant}", f"{settings.tenant}.churn")


def needed_tracking(settings: Settings) -> Tracking:
    """The same; UsageError where there is none."""
    found = tracking(settings)
    if found is None:
        raise UsageError("the lake is not a local folder, so conf must say where models are: models: {tracking: URI}")
    return found


def scorers(job: Job, settings: Settings, lake: Lake) -> Scorers:
    """The scorer of a night: with the model that was champion on its date, or the one that the date recorded.

    A champion that cannot be had is told, and the last published scores are used instead.
    """
    from models.profiler import Profiler, kept_date
    from segment_lib.catalogue import MODEL_SCORES

    place = tracking(settings)

    def kept(work: Preparation) -> Published | None:
        from segment_lib.profiles import of_run
        from segment_lib.scores import Published

        if work.base is None or not work.base.scores >= MODEL_SCORES:
            return None
        profiles = of_run(lake, work.base)
        scored_on = kept_date(profiles)
        return None if scored_on is None else Published(profiles, scored_on)

    def of(work: Preparation) -> Profiler:
        try:
            champion = None if place is None else _champion(place, work)
            why = "" if champion else "no model is champion on this date"
        except SeglakeError as error:
            if place is not None and place.name in work.models:
                raise  # the run repeats another, and its model is gone: other scores would be another answer
            _log.warning("the last published scores are used: %s", error)
            champion, why = None, "its model could not be had, see the log"
        return Profiler(settings, champion, None if champion else kept(work), why)

    return of


def _champion(place: Tracking, work: Preparation) -> Champion | None:
    from models.champion import Champion

    recorded = work.models.get(place.name)
    if recorded is not None:
        return Champion(place.name, recorded, place.load(recorded))
    found = place.champion(work.snapshot_date)
    return None if found is None else Champion(found.name, str(found.version), found.model)
