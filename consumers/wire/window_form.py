"""Windows as an Arrow stream: a row per window and region."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from pyarrow import ipc

from consumers.wire import arrow_stream, channel_columns
from consumers.wire.block import MAX_SPREAD, DecodeError
from consumers.wire.record import MAX_RECORD_BYTES
from consumers.wire.window_checks import check_bins, check_counts, check_order
from models.scoring.scales import LEVELS, P_EDGES
from monitor.quality.rejection import Rejection
from monitor.windows.window import Window, WindowKey

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

FORMAT = "1"
MAX_ROWS = 4096
MAX_BYTES = 512 << 20
"""Most memory that the windows of a range may take."""

_KEY = WindowKey._fields
_SPARSE = ("score_bins", "score_counts")
_RARE = ("unknown",)
"""Fields that are written only where they count something: readers that do not know them are not
troubled by windows without."""


@dataclass(frozen=True)
class WindowForm:
    """Shapes of the windows that one model makes."""

    shape: tuple[int, int, int]
    """K condition cells, S scores, H bins of the score histograms."""

    n_cells: int
    """V."""

    n_layers: int
    """L."""

    @cached_property
    def rows(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of each dense field of a window in one region."""
        k, s, _ = self.shape
        latents = self.n_cells + self.n_layers
        return {
            "showers": (k,),
            "exceedances": (k, len(LEVELS)),
            "p_counts": (s + 1, len(P_EDGES) - 1),
            "z_sum": (latents,),
            "z_square": (latents,),
            "lit": (self.n_cells,),
            "layer_energy": (self.n_layers,),
            "unscored": (),
            "unknown": (),
        }

    @cached_property
    def row_bytes(self) -> int:
        """Return the memory of a row's dense fields."""
        return 8 * (4 + sum(math.prod(shape) for shape in self.rows.values()))

    @property
    def most_rows(self) -> int:
        """Return the rows whose counts fit into a record, even if nothing could be compressed."""
        counts = sum(math.prod(shape) for shape in self.rows.values())
        return min(MAX_SPREAD, MAX_RECORD_BYTES // (4 * counts))

    def check(self, schema: Any) -> int:
        """Return the memory of a row, or raise `DecodeError` unless a schema is of this form."""
        wanted = {*_KEY, "regions", *self.rows, *_SPARSE} | channel_columns.check(schema)
        names = {*schema.names, *_RARE}
        if names != wanted or len(set(schema.names)) != len(schema.names):
            raise DecodeError(Rejection.SCHEMA, f"columns {schema.names}"[:200])
        for name in (*_KEY, "regions"):
            _check_type(name, schema.field(name).type, pa.types.is_int64)
        for name in _SPARSE:
            _check_type(name, schema.field(name).type, _is_int64_list)
        for name, shape in self.rows.items():
            if name not in schema.names:
                continue
            kind = schema.field(name).type
            if not _is_fixed_list(kind) or kind.list_size != math.prod(shape):
                raise DecodeError(Rejection.SCHEMA, f"{name} is {kind}, not {shape}"[:200])
        return self.row_bytes

    def bins_per_row(self, window: Window) -> NDArray[np.int64]:
        """Return how many occupied score bins each region of a window has."""
        edges = np.append(window.regions, window.regions[-1:] + 1) * math.prod(self.shape)
        return np.diff(np.searchsorted(window.score_bins, edges))


def encode_windows(
    windows: Sequence[Window], form: WindowForm, further: dict[str, str] | None = None
) -> bytes:
    """Return windows as an Arrow stream; `windows` reads them."""
    rows = [len(w.regions) for w in windows]
    columns: dict[str, Any] = {
        name: pa.array(np.repeat([getattr(w.key, name) for w in windows], rows).astype(np.int64))
        for name in _KEY
    }
    columns["regions"] = pa.array(_joined([w.regions for w in windows]))
    for name, shape in form.rows.items():
        if name in _RARE and not any(getattr(w, name).any() for w in windows):
            continue
        flat = _narrow(_joined([getattr(w, name).reshape(-1) for w in windows]))
        columns[name] = pa.FixedSizeListArray.from_arrays(pa.array(flat), math.prod(shape))
    lengths = _joined([form.bins_per_row(w) for w in windows])
    starts = pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))
    for name in _SPARSE:
        flat = pa.array(_joined([getattr(w, name) for w in windows]))
        columns[name] = pa.ListArray.from_arrays(starts, flat)
    columns |= channel_columns.written(windows, rows)
    metadata = {"calodqm.windows": FORMAT, **(further or {})}
    schema = pa.schema([(n, c.type) for n, c in columns.items()], metadata=metadata)
    sink = pa.BufferOutputStream()
    # Counts are small numbers in wide fields: zstd makes a tenth of them.
    options = ipc.IpcWriteOptions(compression=pa.Codec("zstd", compression_level=1))
    with ipc.new_stream(sink, schema, options=options) as writer:
        if windows:
            writer.write_batch(pa.RecordBatch.from_arrays(list(columns.values()), schema=schema))
    value: bytes = sink.getvalue().to_pybytes()
    return value


def windows(value: bytes, form: WindowForm) -> list[Window]:
    """Return the windows of a range whose `header` was read.

    Raises
    ------
    DecodeError
        If they are damaged, or of another shape than `form`.
    """
    if not value or _is_bare(value):
        return []
    _, batch = arrow_stream.read_stream(value, form.check, MAX_ROWS, MAX_BYTES)
    if any(_holes(column) for column in batch.columns):
        raise DecodeError(Rejection.VALUE, "has nulls")
    return _windows(batch, form)


def seconds(value: bytes) -> set[int]:
    """Return the data-seconds of a range's windows, of whatever form they are.

    Raises
    ------
    DecodeError
        If they are damaged.
    """
    if not value or _is_bare(value):
        return set()
    _, batch = arrow_stream.read_stream(value, _row_bytes, MAX_ROWS, MAX_BYTES)
    return set(batch.column("second").to_pylist())


def _row_bytes(schema: Any) -> int:
    """Return the memory of a row's dense fields, or raise `DecodeError` if it has no second."""
    if "second" not in schema.names or schema.field("second").type != pa.int64():
        raise DecodeError(Rejection.SCHEMA, f"columns {schema.names}"[:200])
    kinds = [field.type for field in schema]
    return 8 * sum(k.list_size if pa.types.is_fixed_size_list(k) else 1 for k in kinds)


def _is_bare(value: bytes) -> bool:
    """Return whether a stream ends after its schema: a range without windows."""
    length = int.from_bytes(value[4:8], "little")
    return value[8 + length :] in {b"", b"\xff\xff\xff\xff\0\0\0\0"}


def _windows(batch: Any, form: WindowForm) -> list[Window]:
    keys = np.stack([batch.column(name).to_numpy() for name in _KEY], axis=1)
    dense = {
        name: _values(batch.column(name).values).reshape(len(keys), *shape)
        if name in batch.schema.names
        else np.zeros((len(keys), *shape), np.int64)
        for name, shape in form.rows.items()
    }
    sparse = {name: _values(batch.column(name).values) for name in _SPARSE}
    starts = batch.column("score_bins").offsets.to_numpy()
    regions = _values(batch.column("regions"))
    edges = np.flatnonzero(np.any(np.diff(keys, axis=0), axis=1)) + 1
    lengths = np.diff(starts)
    if not np.array_equal(starts, batch.column("score_counts").offsets.to_numpy()):
        raise DecodeError(Rejection.VALUE, "bins of scores and their counts are not alike")
    check_counts(dense, sparse["score_counts"])
    check_order(keys, regions, edges)
    check_bins(np.repeat(regions, lengths), sparse["score_bins"], math.prod(form.shape))
    found = []
    channels = channel_columns.read(batch, [0, *edges.tolist()])
    for begin, end, its in zip([0, *edges], [*edges, len(keys)], channels, strict=True):
        bins = slice(int(starts[begin]), int(starts[end]))
        found.append(
            Window(
                key=WindowKey(*keys[begin].tolist()),
                regions=regions[begin:end],
                **{name: values[begin:end] for name, values in dense.items()},
                **{name: values[bins] for name, values in sparse.items()},
                channels=its,
            )
        )
    return found


def _check_type(name: str, kind: Any, right: Callable[[Any], bool]) -> None:
    if not right(kind):
        raise DecodeError(Rejection.SCHEMA, f"{name} is {kind}"[:200])


def _is_int64_list(kind: Any) -> bool:
    return bool(pa.types.is_list(kind) and pa.types.is_int64(kind.value_type))


def _is_fixed_list(kind: Any) -> bool:
    return pa.types.is_fixed_size_list(kind) and kind.value_type in {pa.int32(), pa.int64()}


def _holes(column: Any) -> bool:
    inner = getattr(column, "values", None)  # of a list
    return bool(column.null_count or (inner is not None and inner.null_count))


def _values(column: Any) -> NDArray[np.int64]:
    return np.asarray(column.to_numpy(zero_copy_only=True)).astype(np.int64)


def _joined(arrays: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.concatenate(arrays) if arrays else np.zeros(0, np.int64)


def _narrow(values: NDArray[np.int64]) -> NDArray[Any]:
    fits = not values.size or max(-int(values.min()), int(values.max())) < 2**31
    return values.astype(np.int32) if fits else values
