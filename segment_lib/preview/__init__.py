"""Trying a definition before it is saved: size, revenue, examples, and the effect on the last snapshot.

`preview` evaluates one segment at a published date, with the inputs which that date's run had pinned, so that whoever
enters or leaves does so because of the definition alone. Other segments that it refers to are as published. Nothing is
written: the one row per customer that a night would stage stays in memory.
"""

from __future__ import annotations

from segment_lib.preview.compute import HeldBackError, preview
from segment_lib.preview.estimates import Estimate, Sample
from segment_lib.preview.result import Effect, Example, Preview
from segment_lib.preview.sampling import forget

__all__ = ["Effect", "Estimate", "Example", "HeldBackError", "Preview", "Sample", "forget", "preview"]
