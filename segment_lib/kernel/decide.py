"""Who is a member of what, for all customers of one partition at once: each question is a bitmap over them.

Features are made one after the other, compared with every bound that any definition has, and let go; what stays is a bit
for each customer and question. Definitions then combine bitmaps, so a thousand of them cost as many passes over
n / 8 bytes.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain

import numpy as np
import pyarrow as pa

from segment_lib import core
from segment_lib.kernel.aggregates import Selected, aggregate
from segment_lib.kernel.compare import holds
from segment_lib.kernel.keys import Keys
from segment_lib.kernel.rows import Rows, window_of
from segment_lib.kernel.spec import KernelSpec, Program


@dataclass(frozen=True)
class Customers:
    """What tests of customers look at: columns by field, who stands in `customers`, and the ids, which may be missing."""

    ids: pa.Array
    known: np.ndarray
    keys: Callable[[core.Field], Keys]


def features(spec: KernelSpec, sources: Mapping[str, Rows], customers: int) -> Iterator[tuple[core.Aggregate, Keys]]:
    """Every feature that is needed, in the kernel's form, with its value for each customer."""
    for source, kind, filters in spec.work:
        rows = sources[source] if kind is None else sources[source].only(kind)
        for rest, asked in filters:
            selected = None if rest == core.TRUE else np.flatnonzero(rows.where(rest))
            time = rows.time if selected is None else rows.time[selected]
            for feature in asked:
                inside = window_of(time, feature.window)
                counted = inside if selected is None else selected[inside]
                yield feature, aggregate(feature, _counting(feature, rows, counted, customers))
        rows.forget()


def _counting(feature: core.Aggregate, rows: Rows, counted: np.ndarray | slice, customers: int) -> Selected:
    """The rows, or lines of them, that a feature counts."""
    if not (isinstance(feature, core.Feature) and isinstance(feature.field, core.Lines)):
        return Selected(rows, counted, customers)
    some = np.zeros(len(rows), bool)
    some[counted] = True
    lines = rows.lines
    return Selected(lines, np.flatnonzero(lines.where(feature.field.where) & some[lines.row]), customers)


def answers(
    program: Program, made: Iterable[tuple[core.Aggregate, Keys]], people: Customers, spread: Callable[[Keys], Keys]
) -> list[np.ndarray]:
    """A bitmap of the members of every definition: a bit for each of `people`.

    `spread` turns a value for each customer of the partition into one for each of `people`.
    """
    found: list[np.ndarray | None] = [None] * len(program.steps)
    asked: dict[core.Value, list[tuple[int, core.Compare]]] = defaultdict(list)
    buckets: dict[str, np.ndarray] = {}
    for number, leaf in enumerate(step.leaf for step in program.steps):
        if isinstance(leaf, core.Compare):
            asked[leaf.value].append((number, leaf))
        elif isinstance(leaf, core.IsCustomer):
            found[number] = _packed(people.known)
        elif isinstance(leaf, core.Const):
            found[number] = _packed(np.full(len(people.known), leaf.truth))
        elif isinstance(leaf, core.Split):
            if leaf.salt not in buckets:
                buckets[leaf.salt] = _buckets(leaf.salt, people.ids)
            bucket = buckets[leaf.salt]
            found[number] = _packed((bucket >= leaf.start) & (bucket < leaf.end))
    fields = ((value, people.keys(value)) for value in asked if isinstance(value, core.Field))
    features = ((feature, spread(keys)) for feature, keys in made if feature in asked)
    for value, keys in chain(fields, features):
        for number, leaf in asked[value]:
            found[number] = _packed(holds(keys, leaf))
    return _combined(program, found)


def _combined(program: Program, found: list[np.ndarray | None]) -> list[np.ndarray]:
    """What follows from the leaves."""
    for number, step in enumerate(program.steps):
        if step.operation != "leaf":
            parts = [found[operand] for operand in step.operands]
            found[number] = _COMBINED[step.operation](parts)
    return [found[result] for result in program.results]


_COMBINED: dict[str, Callable[[list], np.ndarray]] = {
    "all": np.bitwise_and.reduce, "any": np.bitwise_or.reduce, "not": lambda parts: ~parts[0],
}


def _packed(truths: np.ndarray) -> np.ndarray:
    return np.packbits(truths, bitorder="little")


def _buckets(salt: str, ids: pa.Array) -> np.ndarray:
    """See `columns.bucket_column`."""
    before = hashlib.sha256(f"{salt}\x1f".encode())

    def bucket(name: str | None) -> int:
        salted = before.copy()
        salted.update((name or "").encode())
        return int.from_bytes(salted.digest()[:8], "big") % 100

    return np.fromiter(map(bucket, ids.to_pylist()), np.int8, len(ids))


def bits_of_customers(members: list[np.ndarray], count: int) -> pa.Array:
    """For each customer a bit for every definition, turned from a bitmap of customers for each."""
    size = (len(members) + 7) // 8
    bitmaps = np.zeros((8 * size, (count + 7) // 8), np.uint8)
    if members:
        bitmaps[: len(members)] = members
    # Blocks of eight definitions by eight customers, each a number of 64 bits.
    blocks = np.ascontiguousarray(bitmaps.reshape(size, 8, (count + 7) // 8).transpose(0, 2, 1)).view("<u8")[..., 0]
    turned = _turned(blocks).view(np.uint8).reshape(size, 8 * ((count + 7) // 8)).T
    bits = np.ascontiguousarray(turned)[:count]
    offsets = np.arange(count + 1, dtype=np.int32) * size
    return pa.Array.from_buffers(pa.binary(), count, [None, pa.py_buffer(offsets), pa.py_buffer(bits)])


def _turned(blocks: np.ndarray) -> np.ndarray:
    """Blocks of 8 x 8 bits with rows and columns exchanged, by swapping ever larger squares beside the diagonal.

    After H. S. Warren, Hacker's Delight, section 7-3.

    >>> _turned(np.array([0x02], np.uint64)).tolist() == [0x0100]
    True
    """
    for shift, mask in ((7, 0x00AA00AA00AA00AA), (14, 0x0000CCCC0000CCCC), (28, 0x00000000F0F0F0F0)):
        swapped = (blocks ^ (blocks >> np.uint64(shift))) & np.uint64(mask)
        blocks = blocks ^ swapped ^ (swapped << np.uint64(shift))
    return blocks
