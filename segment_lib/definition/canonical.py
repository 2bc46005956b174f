"""Plain data as canonical JSON: equal definitions give equal text, and numbers keep every digit."""

from __future__ import annotations

import hashlib
import json
from decimal import Decimal
from typing import Any

from segment_lib.language.scope import exact_decimal


def dumps(value: Any) -> str:
    """JSON with sorted keys, no spaces, and decimals written exactly.

    >>> dumps({"b": Decimal("0.50"), "a": [True, "x"]})
    '{"a":[true,"x"],"b":0.5}'
    """
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(str(key))}:{dumps(value[key])}" for key in sorted(value)) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(dumps(part) for part in value) + "]"
    if isinstance(value, Decimal):
        return format(exact_decimal(value), "f")
    return json.dumps(value, ensure_ascii=False)


def loads(text: str) -> Any:
    """The data that `dumps` wrote; numbers with a fraction are decimals."""
    return json.loads(text, parse_float=Decimal)


def fingerprint(value: Any) -> str:
    """16 hexadecimal digits that differ when the content does."""
    return hashlib.sha256(dumps(value).encode()).hexdigest()[:16]
