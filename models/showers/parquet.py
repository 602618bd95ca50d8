"""Parquet: its columns as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from models.detector.geometry import MAX_CELLS
from models.showers.tables import Column, Contents, TableError, Values, one_line, ragged

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

MANY = 64 * MAX_CELLS
"""No column has more numbers a row, on average: they could stand for more than there is memory."""


def contents(path: Path) -> Contents:
    """Return the table of a Parquet file, or raise `TableError`."""
    import pyarrow as pa  # noqa: PLC0415 - 0.3 s that most readers never need
    import pyarrow.parquet as pq  # noqa: PLC0415

    try:
        # Unless told so, arrow would keep whole row groups, however large.
        return Contents({"": _Parquet(pq.ParquetFile(path, pre_buffer=False))})
    except (pa.ArrowException, OSError) as error:
        raise TableError(f"Parquet, but damaged or truncated: {one_line(error)}") from None


class _Parquet:
    """Parquet, read a few rows at a time: a row group may be as large as the file."""

    def __init__(self, file: Any) -> None:
        self._file = file
        metadata = file.metadata
        rows = metadata.num_rows
        groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
        self._edges = np.concatenate([[0], np.cumsum([g.num_rows for g in groups])]).astype(int)
        for group in groups:
            for index in range(group.num_columns):
                if group.column(index).num_values > MANY * max(group.num_rows, 1):
                    raise TableError(f"a row group with more than {MANY} values a row")
        names = file.schema_arrow.names
        self._types = {name: file.schema_arrow.field(i).type for i, name in enumerate(names)}
        twice = {name for name in names if names.count(name) > 1}
        self.columns = {
            name: Column(rows, "two columns of one name" if name in twice else _other(kind))
            for name, kind in self._types.items()
        }

    def inner(self, name: str) -> tuple[int, ...] | None:
        kind, fixed = _stored(self._types[name]), []
        while _is_list(kind):
            fixed.append(getattr(kind, "list_size", -1))
            kind = kind.value_type
        if min(fixed, default=0) >= 0:
            return tuple(fixed)
        for batch in self._batches([name], 0, len(self._edges) - 1, 1):
            return _shape(batch.column(0)[0].as_py())
        return None

    def pieces(
        self, widths: Mapping[str, int], start: int, stop: int, size: int
    ) -> Iterator[dict[str, Values]]:
        first = int(np.searchsorted(self._edges, start, side="right")) - 1
        last = int(np.searchsorted(self._edges, stop, side="left"))
        at = int(self._edges[first])
        for batch in self._batches(list(widths), first, last, size):
            low, high = max(start - at, 0), min(stop - at, batch.num_rows)
            at += batch.num_rows
            if low < high:
                part = batch.slice(low, high - low)
                yield {name: _values(part.column(name), name, n) for name, n in widths.items()}

    def _batches(self, names: list[str], first: int, last: int, size: int) -> Iterator[Any]:
        import pyarrow as pa  # noqa: PLC0415

        groups = range(first, last)
        try:
            yield from self._file.iter_batches(size, groups, names, use_threads=False)
        except (pa.ArrowException, OSError) as error:
            raise TableError(f"`{'`, `'.join(names)}` damaged: {one_line(error)}") from None


def _stored(kind: Any) -> Any:
    return getattr(kind, "storage_type", kind)


def _is_list(kind: Any) -> bool:
    import pyarrow as pa  # noqa: PLC0415

    return bool(
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    )


def _other(kind: Any) -> str:
    """Return what a column of some type holds instead of numbers; empty if it holds numbers."""
    import pyarrow as pa  # noqa: PLC0415

    inner = _stored(kind)
    while _is_list(inner):
        inner = _stored(inner.value_type)
    if pa.types.is_dictionary(inner):
        inner = inner.value_type
    numbers = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)
    if any(is_it(inner) for is_it in (*numbers, pa.types.is_timestamp)):
        return ""
    return "text" if pa.types.is_string(inner) or pa.types.is_large_string(inner) else str(kind)


def _shape(row: Any) -> tuple[int, ...] | None:
    """Return the lengths of nested lists, by their first members; None if they have none."""
    lengths = []
    while isinstance(row, list):
        lengths.append(len(row))
        row = row[0] if row else None
    return None if row is None else tuple(lengths)


def _values(column: Any, name: str, width: int) -> Values:
    import pyarrow as pa  # noqa: PLC0415

    try:
        return _flat(column, width)
    except (pa.ArrowException, ValueError, TypeError) as error:
        raise TableError(f"`{name}` cannot be read as numbers: {one_line(error)}") from None


def _flat(column: Any, width: int) -> Values:
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.compute as pc  # noqa: PLC0415

    null = np.asarray(column.is_null())
    leaves = column.storage if isinstance(column, pa.ExtensionArray) else column
    row, depth = np.arange(len(column)), 0
    while _is_list(leaves.type):
        row, leaves = row[np.asarray(leaves.is_valid())], pc.drop_null(leaves)
        if pa.types.is_fixed_size_list(leaves.type):
            leaves = leaves.cast(pa.list_(leaves.type.value_type))
        row = row[np.asarray(pc.list_parent_indices(leaves))]
        leaves, depth = pc.list_flatten(leaves), depth + 1
    return ragged(_numbers(leaves, depth), np.bincount(row, minlength=len(column)), null, width)


def _numbers(leaves: Any, depth: int) -> Any:
    """Return numbers of any kind; times as whole ns since 1970 UTC.

    Null ones are NaN, unless they are rows by themselves: those are known by their faults.
    """
    import pyarrow as pa  # noqa: PLC0415

    if pa.types.is_dictionary(leaves.type):
        leaves = leaves.dictionary_decode()
    if pa.types.is_decimal(leaves.type):
        leaves = leaves.cast(pa.float64())
    if pa.types.is_timestamp(leaves.type):
        leaves = leaves.cast(pa.timestamp("ns", leaves.type.tz)).cast(pa.int64())
    if depth == 0 and leaves.null_count:  # as floats, whole numbers would lose their last digits
        leaves = leaves.fill_null(0)
    return leaves.to_numpy(zero_copy_only=False)
