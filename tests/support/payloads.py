"""Payloads of showers: what producers of every habit send, and the parts to spoil it with."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
from blocks import GEOMETRY, START_NS, block
from pyarrow import ipc

from consumers.wire.arrow_form import encode

V = GEOMETRY.n_cells
N = 4
GOOD_METADATA = {
    "calodqm.schema": "1",
    "calodqm.geometry": GEOMETRY.name,
    "calodqm.producer": "tests",
    "calodqm.seq": "0",
}


def columns(n: int = N) -> dict[str, Any]:
    """Return the columns of a good batch, to be spoilt."""
    return {
        "event_id": pa.array(range(n), pa.uint64()),
        "time": pa.array([START_NS + i for i in range(n)], pa.timestamp("ns", "UTC")),
        "run": pa.array([1] * n, pa.uint32()),
        "lumisection": pa.array([1] * n, pa.uint32()),
        "region": pa.array([i % 16 for i in range(n)], pa.uint16()),
        "e_inc": pa.array([5e3] * n, pa.float32()),
        "showers": cells(np.ones((n, V), np.float32)),
    }


def cells(values: np.ndarray[Any, Any]) -> Any:
    return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])


def stream(
    batch_columns: dict[str, Any] | list[tuple[str, Any]],
    metadata: dict[Any, Any] | None = None,
    *,
    compression: str | None = None,
    batches: int = 1,
    options: Any = None,
) -> bytes:
    """Return an Arrow stream of anything; columns as pairs may repeat a name."""
    pairs = list(batch_columns.items()) if isinstance(batch_columns, dict) else batch_columns
    schema = pa.schema(
        [pa.field(name, array.type) for name, array in pairs],
        metadata=GOOD_METADATA if metadata is None else metadata,
    )
    batch = pa.RecordBatch.from_arrays([array for _, array in pairs], schema=schema)
    sink = pa.BufferOutputStream()
    options = options or ipc.IpcWriteOptions(compression=compression)
    with ipc.new_stream(sink, schema, options=options) as writer:
        for _ in range(batches):
            writer.write_batch(batch)
    return bytes(sink.getvalue().to_pybytes())


def good() -> dict[str, bytes]:
    """Return payloads that must decode, by name."""
    plain = block(N)
    return {
        "arrow": encode(plain, GEOMETRY, compression=None),
        "arrow lz4": encode(plain, GEOMETRY, compression="lz4"),
        "arrow zstd": encode(plain, GEOMETRY, compression="zstd"),
        "arrow with a condition": stream({**columns(), "eta": pa.array([0.5] * N, pa.float32())}),
        "arrow with columns in another order": stream(dict(reversed(columns().items()))),
        "arrow without the end mark": encode(plain, GEOMETRY, compression=None)[:-8],
        "json": json_bytes(),
        "json of one shower": json_bytes(
            event_id=1,
            time="2026-01-01T00:00:00Z",
            run=1,
            lumisection=1,
            region=2,
            e_inc=None,
            showers=[1.0] * V,
        ),
    }


def lists(rows: list[list[float]], kind: Any) -> Any:
    return pa.array(rows, pa.list_(kind))


def legacy() -> bytes:
    return stream(columns(), options=ipc.IpcWriteOptions(use_legacy_format=True))


def habits() -> dict[str, bytes]:
    """Return payloads of other libraries' habits, which must decode to what `columns` holds."""
    plain = columns()
    showers = [[1.0] * V] * N

    def with_(**changed: Any) -> bytes:
        return stream({**plain, **changed})

    def time(unit: str, zone: str) -> bytes:
        instants = plain["time"].cast(pa.int64()).to_numpy() // 10**9 * 10**9
        return with_(
            time=pa.array(instants, pa.timestamp("ns", "UTC")).cast(pa.timestamp(unit, zone))
        )

    signed = {
        "event_id": pa.int64(),
        "run": pa.int32(),
        "lumisection": pa.int32(),
        "region": pa.int16(),
    }
    found = {
        "signed": with_(**{name: plain[name].cast(kind) for name, kind in signed.items()}),
        "float64": with_(**{name: plain[name].cast(pa.float64()) for name in (*signed, "e_inc")}),
        "int8": with_(run=pa.array([1] * N, pa.int8()), e_inc=pa.array([100] * N, pa.int8())),
        "decimal": with_(e_inc=pa.array([5000] * N, pa.decimal128(7, 2))),
        "cells in float64": with_(showers=pa.array(showers, pa.list_(pa.float64(), V))),
        "cells in a list": with_(showers=lists(showers, pa.float32())),
        "cells in a list of float64": with_(showers=lists(showers, pa.float64())),
        "cells in a large list": with_(showers=pa.array(showers, pa.large_list(pa.float32()))),
        "two batches": stream(columns(), batches=2),
        "an empty batch first": _batches_of([columns(0), columns()]),
        "legacy": legacy(),
        "legacy of V4": stream(
            columns(),
            options=ipc.IpcWriteOptions(
                use_legacy_format=True, metadata_version=ipc.MetadataVersion.V4
            ),
        ),
    }
    for zone in ("utc", "Z", "Etc/UTC", "+00:00", "Europe/Zurich", "-07:00", "nowhere"):
        found[f"time in {zone}"] = time("ns", zone)
    for unit in ("us", "ms", "s"):
        found[f"time in {unit}"] = time(unit, "UTC")
    return found


def _batches_of(parts: list[dict[str, Any]]) -> bytes:
    schema = pa.schema([(n, a.type) for n, a in parts[0].items()], metadata=GOOD_METADATA)
    sink = pa.BufferOutputStream()
    with ipc.new_stream(sink, schema) as writer:
        for part in parts:
            writer.write_batch(pa.RecordBatch.from_arrays(list(part.values()), schema=schema))
    return bytes(sink.getvalue().to_pybytes())


DROP = object()


def json_bytes(**changes: Any) -> bytes:
    fields: dict[str, Any] = {
        "schema": 1,
        "geometry": GEOMETRY.name,
        "producer": "prompt",
        "seq": 0,
        "event_id": [1, 2],
        "time": [START_NS, START_NS + 1],
        "run": [1, 1],
        "lumisection": [1, 1],
        "region": [0, 1],
        "e_inc": [5e3, None],
        "showers": [[1.0] * V, [0.5] * V],
    }
    fields.update(changes)
    return json.dumps({k: v for k, v in fields.items() if v is not DROP}).encode()
