"""The identifiers of many customers at once, from Arrow to Arrow, so that executors make them where the rows are."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

    from segment_lib.sync.profiles import HashProfile


def identifiers(table: pa.Table | pa.RecordBatch, profile: HashProfile) -> pa.Array:
    """One map kind -> values for each row of `table`, in its order; an empty map when nothing tells the person apart.

    Columns of the profile that the table lacks give nothing.

    >>> import pyarrow as pa
    >>> from segment_lib.sync.profiles import profile
    >>> rows = pa.table({"customer_id": ["a", "b"], "email": ["A@example.com", None]})
    >>> identifiers(rows, profile("klaviyo-2026-07")).to_pylist()
    [[('email', ['a@example.com'])], []]
    """
    import pyarrow as pa

    names = [name for name in profile.columns if name in table.schema.names]
    columns = [table.column(name).to_pylist() for name in names]
    rows = zip(*columns, strict=True) if columns else (() for _ in range(table.num_rows))
    made = [list(profile.of(dict(zip(names, row, strict=True))).items()) for row in rows]
    return pa.array(made, type=pa.map_(pa.string(), pa.list_(pa.string())))
