"""A segment as one SQL statement that gives its members, for Spark on the same tables."""

from segment_lib.sql_text.statement import statement

__all__ = ["statement"]
