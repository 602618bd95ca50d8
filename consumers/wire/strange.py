"""The wire form of `calo.anomalies.v1`: strange showers with their cells, for people to look at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
import pyarrow as pa
from pyarrow import ipc

from consumers.wire import arrow_form
from consumers.wire.block import DecodeError
from consumers.wire.record import MAX_RECORD_BYTES
from monitor.quality.rejection import Rejection

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from models.detector.geometry import Geometry

FORMAT = "1"
MAX_ROWS = 4096
_NUMBERS = {
    "partition": pa.int32(),
    "offset": pa.int64(),
    "row": pa.int32(),
    "event_id": pa.uint64(),
    "time_ns": pa.int64(),
    "run": pa.int64(),
    "lumisection": pa.int64(),
    "region": pa.int64(),
    "e_inc": pa.float32(),
    "p": pa.float64(),
}
_LISTS = {"p_scores": pa.float64(), "cells": pa.float32(), "pull": pa.float32()}
MAX_SCORES = 64


@dataclass(frozen=True, slots=True, eq=False)
class StrangeShower:
    """One shower that failed a cut, with what is needed to draw it and to find it again."""

    partition: int
    offset: int
    row: int
    """Row in the record's block."""

    event_id: int
    time_ns: int
    run: int
    lumisection: int
    region: int
    e_inc: float
    p: float
    """Combined p-value."""

    p_scores: NDArray[np.float64]
    """P-value of each score, shape (S,)."""

    cells: NDArray[np.float32]
    """Energy of each cell, MeV, shape (V,)."""

    pull: NDArray[np.float32]
    """Latent of each cell: how many standard deviations off it is, shape (V,)."""


def encode_all(
    showers: list[StrangeShower], topic: str, score_names: tuple[str, ...]
) -> Iterator[bytes]:
    """Yield the wire form of strange showers, in as many records as they need."""
    for begin in range(0, len(showers), (most := _most_rows(showers))):
        yield encode(showers[begin : begin + most], topic, score_names)


def _most_rows(showers: list[StrangeShower]) -> int:
    """Return how many showers surely fit into a record, uncompressed as they may be."""
    row_bytes = 8 * len(showers[0].cells) + 8 * MAX_SCORES + 100 if showers else 1
    return max(1, min(MAX_ROWS, MAX_RECORD_BYTES // 2 // row_bytes))


def encode(showers: list[StrangeShower], topic: str, score_names: tuple[str, ...]) -> bytes:
    """Return the wire form of at least one strange shower."""
    columns: dict[str, Any] = {
        name: pa.array([getattr(shower, name) for shower in showers], kind)
        for name, kind in _NUMBERS.items()
    }
    for name in _LISTS:
        values = np.stack([getattr(shower, name) for shower in showers])
        columns[name] = pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])
    metadata = {
        "calodqm.anomalies": FORMAT,
        "calodqm.topic": topic,
        "calodqm.scores": orjson.dumps(score_names).decode(),
    }
    batch = pa.RecordBatch.from_pydict(columns, metadata=metadata)
    sink = pa.BufferOutputStream()
    with ipc.new_stream(sink, batch.schema, options=_options()) as writer:
        writer.write_batch(batch)
    value: bytes = sink.getvalue().to_pybytes()
    return value


def decode(value: bytes | None, geometry: Geometry) -> list[StrangeShower]:
    """Return the strange showers of a record, or raise `DecodeError`."""

    def row_bytes(schema: Any) -> int:
        wanted = [*_NUMBERS, *_LISTS]
        if schema.names != wanted or arrow_form.text_metadata(schema).get("calodqm.anomalies") != (
            FORMAT
        ):
            raise DecodeError(Rejection.SCHEMA, "no strange showers")
        for name, kind in _NUMBERS.items():
            if schema.field(name).type != kind:
                raise DecodeError(Rejection.SCHEMA, f"{name} is {schema.field(name).type}")
        _check_lists(schema, geometry)
        return 8 * geometry.n_cells + 8 * MAX_SCORES + 100

    if not value:
        raise DecodeError(Rejection.EMPTY, "no bytes")
    _, batch = arrow_form.read_stream(value, row_bytes, MAX_ROWS)
    if any(column.null_count for column in batch.columns) or any(
        batch.column(name).values.null_count for name in _LISTS
    ):
        raise DecodeError(Rejection.VALUE, "has nulls")
    numbers = {name: batch.column(name).to_pylist() for name in _NUMBERS}
    n = batch.num_rows
    lists = {
        name: batch.column(name).values.to_numpy(zero_copy_only=True).reshape(n, -1)
        for name in _LISTS
    }
    if not all(np.isfinite(lists[name]).all() for name in ("cells", "pull")):
        raise DecodeError(Rejection.VALUE, "cells must be finite")
    return [
        StrangeShower(
            **{name: values[i] for name, values in numbers.items()},
            **{name: values[i] for name, values in lists.items()},
        )
        for i in range(n)
    ]


def _check_lists(schema: Any, geometry: Geometry) -> None:
    for name, values in _LISTS.items():
        kind = schema.field(name).type
        if not pa.types.is_fixed_size_list(kind) or kind.value_type != values:
            raise DecodeError(Rejection.SCHEMA, f"{name} is {kind}"[:200])
        if kind.list_size != geometry.n_cells and (
            name != "p_scores" or kind.list_size > MAX_SCORES
        ):
            raise DecodeError(Rejection.GEOMETRY, f"{name} is {kind}")


def _options() -> Any:
    return ipc.IpcWriteOptions(compression="zstd")
