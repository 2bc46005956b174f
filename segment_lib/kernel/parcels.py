"""From rows of a source to parcels: the rows of one block that go to one partition, as one value.

Spark shuffles a few large values instead of millions of rows. A customer's partition follows from the id alone, and is
the same in every block, source and process.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

#: `fresh` are rows that no earlier night has seen.
PARCELS = "partition int, source string, fresh boolean, parcel binary"
#: Rows that are sorted into parcels at once.
BLOCK = 1 << 20
#: Texts with at most so many different values in a block travel as a byte a row.
_FEW = 255
_COMPRESSED = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)
_MIX = np.uint64(0x9E3779B97F4A7C15)
_LONGEST = 64


def parcels(
    blocks: Iterable[pa.Table], source: str, partitions: int, fresh: bool = True
) -> Iterator[pa.RecordBatch]:
    """The parcels of some blocks; ``customer_id`` is a text or missing, and missing ones go to the first partition."""
    for block in blocks:
        if not block.num_rows:
            continue
        goal = partition_of(block.column("customer_id"), partitions)
        order = np.argsort(goal, kind="stable")
        ends = np.cumsum(np.bincount(goal, minlength=partitions))
        table = pa.table({name: _coded(block.column(name)) for name in block.column_names}).take(pa.array(order))
        for number, (end, length) in enumerate(zip(ends, np.diff(ends, prepend=0), strict=True)):
            if length:
                parcel = _written(table.slice(end - length, length))
                yield pa.record_batch({
                    "partition": pa.array([number], pa.int32()), "source": [source], "fresh": [fresh],
                    "parcel": [parcel],
                })


def steady_memory() -> None:
    """Lets Arrow take memory from the system's allocator, which keeps what is given back for the next column.

    Arrow's own returns large pieces to the kernel, and getting them again was a third of a task's time.
    """
    pa.set_memory_pool(pa.system_memory_pool())


def blocks_of(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Batches put together to blocks."""
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        waiting.append(batch)
        if sum(part.num_rows for part in waiting) >= BLOCK:
            yield pa.Table.from_batches(waiting)
            waiting = []
    if waiting:
        yield pa.Table.from_batches(waiting)


def opened(parcel: pa.Buffer, columns: Collection[str] | None = None) -> pa.Table:
    """The rows of a parcel, with those of its columns that are wanted; what is not is not unpacked either."""
    stream = pa.ipc.open_stream(parcel)
    names = stream.schema.names
    if columns is not None and not set(names) <= set(columns):
        wanted = [place for place, name in enumerate(names) if name in columns]
        stream = pa.ipc.open_stream(parcel, options=pa.ipc.IpcReadOptions(included_fields=wanted))
    return stream.read_all()


def _written(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=_COMPRESSED) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def _coded(column: pa.ChunkedArray) -> pa.Array:
    """Texts of few values as codes of a byte, anything else as it is."""
    whole = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    if isinstance(whole, pa.ChunkedArray):
        whole = pa.concat_arrays(whole.chunks)
    if pa.types.is_dictionary(whole.type):
        coded = whole
    elif pa.types.is_string(whole.type):
        if len(pc.unique(whole.slice(0, 4 * _FEW))) > _FEW:
            return whole
        coded = whole.dictionary_encode()
    else:
        return whole
    if len(coded.dictionary) > _FEW:
        return coded.cast(pa.string())
    return pa.DictionaryArray.from_arrays(coded.indices.cast(pa.uint8()), coded.dictionary.cast(pa.string()))


def partition_of(ids: pa.ChunkedArray, partitions: int) -> np.ndarray:
    """The partition of each customer, from 0; uint16 or wider, so that sorting by it is quick."""
    if isinstance(ids, pa.ChunkedArray):
        ids = pa.concat_arrays(ids.chunks) if ids.num_chunks != 1 else ids.chunk(0)
    mixed = hashed(ids)
    kind = np.uint16 if partitions <= 1 << 16 else np.uint32
    goal = ((mixed >> np.uint64(32)) * np.uint64(partitions)) >> np.uint64(32)
    goal[np.asarray(ids.is_null())] = 0
    return goal.astype(kind)


def hashed(ids: pa.StringArray, longest: int | None = _LONGEST) -> np.ndarray:
    """64 bits of each text, from its bytes and its length.

    Every byte is multiplied by an odd number of its place and the products are added up; the sum is then mixed as in
    SplitMix64's finaliser, so that the upper bits depend on all bytes. Bytes beyond the `longest` do not count.
    """
    ids = ids.cast(pa.large_string()).cast(pa.large_binary())
    offsets = np.frombuffer(ids.buffers()[1], np.int64)[ids.offset : ids.offset + len(ids) + 1]
    data = np.frombuffer(ids.buffers()[2] or b"", np.uint8)
    lengths = np.diff(offsets)
    total = lengths.astype(np.uint64) * _MIX
    weight = _MIX
    longest_there = int(lengths.max(initial=0))
    for place in range(longest_there if longest is None else min(longest_there, longest)):
        weight = np.uint64((int(weight) * 6364136223846793005 + 1442695040888963407) % 2**64 | 1)
        longer = lengths > place
        if longer.all():
            total += data[offsets[:-1] + place].astype(np.uint64) * weight
        else:
            total[longer] += data[offsets[:-1][longer] + place].astype(np.uint64) * weight
    total ^= total >> np.uint64(30)
    total *= np.uint64(0xBF58476D1CE4E5B9)
    total ^= total >> np.uint64(27)
    total *= np.uint64(0x94D049BB133111EB)
    return total ^ (total >> np.uint64(31))
