"""Segment definitions: loaded from files or built in Python, checked, and reduced to the core form. No Spark here."""

from segment_lib.definition.load import Loaded, load_segments
from segment_lib.definition.segment import Segment

__all__ = ["Loaded", "Segment", "load_segments"]
