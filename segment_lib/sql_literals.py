"""Values in conditions of Spark SQL, where an API takes text alone."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime

Value = str | date | int | None
#: One value, or any of several.
Values = Value | tuple[Value, ...]


def sql_literal(value: Value) -> str:
    r"""A value as a Spark SQL literal.

    >>> sql_literal(date(2026, 1, 31)), sql_literal("it's"), sql_literal(3)
    ("DATE'2026-01-31'", "'it\\'s'", '3')
    """
    if isinstance(value, datetime):
        raise TypeError("an instant is no partition value")
    if isinstance(value, date):
        return f"DATE'{value.isoformat()}'"
    if isinstance(value, int):
        return str(value)
    escaped = str(value).replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def condition(where: Mapping[str, Values]) -> str:
    """Equality on every column given; None matches NULL, and a tuple any of its values.

    >>> condition({"snapshot_date": date(2026, 1, 31), "base_run_id": None, "file": ("a", "b")})
    "`snapshot_date` = DATE'2026-01-31' AND `base_run_id` IS NULL AND `file` IN ('a', 'b')"
    """
    if not where:
        raise ValueError("a condition needs at least one column")

    def equals(name: str, value: Values) -> str:
        if isinstance(value, tuple):
            return f"`{name}` IN ({', '.join(map(sql_literal, value))})"
        return f"`{name}` IS NULL" if value is None else f"`{name}` = {sql_literal(value)}"

    return " AND ".join(equals(name, value) for name, value in where.items())
