"""What several destinations share: JSON as it travels, and records in pieces that a request can hold."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

from segment_lib.sync.contract import Batch, Delivery, Record, Refusal

T = TypeVar("T")


def packed(value: object) -> bytes:
    """A value as JSON in UTF-8, without white space: the bytes of a request's body.

    >>> packed({"a": [1, None]})
    b'{"a":[1,null]}'
    """
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def pieces(values: Iterable[T], most: int) -> Iterator[list[T]]:
    """`values` in their order, in lists of at most `most`.

    >>> list(pieces("abcde", 2))
    [['a', 'b'], ['c', 'd'], ['e']]
    """
    rest = iter(values)
    while piece := list(islice(rest, most)):
        yield piece


def delivered(batch: Batch, refused: Sequence[Refusal], remote_batch: str | None) -> Delivery:
    """What became of a batch of which the platform named the refused records; all others count as accepted."""
    once = {refusal.customer_id: refusal for refusal in refused}
    return Delivery(len(batch.records) - len(once), tuple(once.values()), remote_batch)


def message_id(batch: Batch, record: Record) -> str:
    """What a receiver can tell a message by that comes again, whoever else of its batch comes with it."""
    return record.id or hashlib.sha256(f"{batch.key}:{record.customer_id}".encode("utf-8", "surrogatepass")).hexdigest()
