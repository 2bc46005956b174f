"""Why a customer is, or is not, in a segment at a published date: `explain`."""

from segment_lib.why.compute import explain
from segment_lib.why.result import Fact, Line, Why

__all__ = ["Fact", "Line", "Why", "explain"]
