"""Who gives scores in the nights of a job."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from segment_lib.nightly import Scorers
    from segment_lib.settings import Settings


def scorers(settings: Settings) -> Scorers:
    """RFM, as conf has it, for every date."""
    from models.profiler import Profiler

    return lambda day, recorded: Profiler(settings.rfm)
