"""SQL statements for Spark on the same tables: the members of a segment, and the figures of one."""

from segment_lib.sql_text.figure import figure_statement
from segment_lib.sql_text.statement import statement, statements

__all__ = ["figure_statement", "statement", "statements"]
