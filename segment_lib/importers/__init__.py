"""Definitions of other products as ours: Klaviyo segments, PostHog cohorts, Twilio Segment audiences.

One module a source turns a document into conditions; what they share is read, named, put together and written by the
others. docs/import.md has every construct of every source.
"""

from segment_lib.importers.names import Names, read_names
from segment_lib.importers.translate import SOURCES, Draft, Imported, check, translate

__all__ = ["SOURCES", "Draft", "Imported", "Names", "check", "read_names", "translate"]
