"""The Arrow form of a record: one IPC stream with one record batch, checked before it is expanded.

A header may claim anything. What it claims is compared with bounds first (rows, buffers, and the
size that each compressed buffer says it will have), so a lie costs no memory.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
from pyarrow import ipc

from consumers.wire.block import (
    COLUMNS,
    MAX_SHOWERS,
    SCHEMA,
    Block,
    DecodeError,
    check_conditions,
    check_geometry,
    check_schema,
)
from models.showers.batch import Showers
from monitor.quality.rejection import Rejection

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from models.detector.geometry import Geometry

MAX_EXPANDED_BYTES = 64 << 20
"""Most memory that the columns of one record may take once decompressed."""

MAX_SCHEMA_BYTES = 64 << 10
MAX_BUFFERS = 128
_COUNTS = {
    "event_id": pa.uint64(),
    "run": pa.uint32(),
    "lumisection": pa.uint32(),
    "region": pa.uint16(),
}


def write(block: Block, geometry: Geometry, *, compression: str | None = "lz4") -> bytes:
    """Return the Arrow form of a block; `read` is its inverse.

    Parameters
    ----------
    compression
        Of the buffers inside: lz4 (best where the network or the broker is the limit), zstd or
        None (best where the CPU is).
    """
    n, n_cells = block.showers.cells.shape
    flat = pa.array(np.ascontiguousarray(block.showers.cells).reshape(n * n_cells))
    columns = {
        "event_id": pa.array(block.event_id, pa.uint64()),
        "time": pa.array(block.time_ns, pa.int64()).cast(pa.timestamp("ns", "UTC")),
        "run": pa.array(block.run.astype(np.uint32)),
        "lumisection": pa.array(block.lumisection.astype(np.uint32)),
        "region": pa.array(block.region.astype(np.uint16)),
        "e_inc": pa.array(block.showers.e_inc),
        "showers": pa.FixedSizeListArray.from_arrays(flat, n_cells),
        **{name: pa.array(values) for name, values in block.showers.conditions.items()},
    }
    metadata = {
        "calodqm.schema": str(SCHEMA),
        "calodqm.geometry": geometry.name,
        "calodqm.producer": block.producer,
        "calodqm.seq": str(block.seq),
    }
    batch = pa.RecordBatch.from_pydict(columns, metadata=metadata)
    sink = pa.BufferOutputStream()
    with ipc.new_stream(
        sink, batch.schema, options=ipc.IpcWriteOptions(compression=compression)
    ) as writer:
        writer.write_batch(batch)
    value: bytes = sink.getvalue().to_pybytes()
    return value


class _Batch(NamedTuple):
    rows: int
    compressed: bool
    buffers: tuple[tuple[int, int], ...]
    """Offset and length of each in the body."""


def read(value: bytes, geometry: Geometry) -> Block:
    """Return the block of an Arrow stream, or raise `DecodeError`."""

    def row_bytes(schema: Any) -> int:
        _check_schema(schema, geometry)
        return 4 * (geometry.n_cells + len(schema.names)) + 32

    schema, batch = read_stream(value, row_bytes, MAX_SHOWERS)
    metadata = text_metadata(schema)
    column = {name: batch.column(name) for name in schema.names}
    flat = column["showers"].values
    if flat.null_count or any(values.null_count for values in column.values()):
        raise DecodeError(Rejection.VALUE, "has nulls")
    if len(flat) != batch.num_rows * geometry.n_cells:
        raise DecodeError(Rejection.CORRUPT, f"{len(flat)} cells for {batch.num_rows} showers")
    cells = _aligned(flat, np.float32).reshape(batch.num_rows, geometry.n_cells)
    conditions = {
        name: _aligned(column[name], np.float32) for name in schema.names if name not in COLUMNS
    }
    return Block(
        showers=Showers(cells, _aligned(column["e_inc"], np.float32), conditions),
        event_id=_aligned(column["event_id"], np.uint64),
        time_ns=_aligned(column["time"].cast(pa.int64()), np.int64),
        run=_aligned(column["run"], np.int64),
        lumisection=_aligned(column["lumisection"], np.int64),
        region=_aligned(column["region"], np.int64),
        producer=metadata.get("calodqm.producer", ""),
        seq=_whole(metadata.get("calodqm.seq", "0")),
    )


def read_stream(
    value: bytes,
    row_bytes: Callable[[Any], int],
    max_rows: int,
    max_bytes: int = MAX_EXPANDED_BYTES,
) -> tuple[Any, Any]:
    """Return the schema and the one record batch of an Arrow stream, or raise `DecodeError`.

    Parameters
    ----------
    row_bytes
        Returns how much memory a row takes, or raises `DecodeError` if the schema is not right.
    max_rows
        Most rows that are taken.
    max_bytes
        Most memory that the columns may take once decompressed.
    """
    try:
        schema, batch = _read_messages(value, row_bytes, max_rows, max_bytes)
        batch.validate(full=True)
    except DecodeError:
        raise
    # What pyarrow raises for damaged bytes; ArrowInvalid is a ValueError, others are of Python.
    except (pa.ArrowException, ValueError, TypeError, KeyError, OSError, struct.error) as error:
        raise DecodeError(Rejection.CORRUPT, _line(error)) from None
    return schema, batch


def _read_messages(
    value: bytes, row_bytes: Callable[[Any], int], max_rows: int, max_bytes: int
) -> tuple[Any, Any]:
    source, messages, schema = _open(value)
    second = _next_message(messages)
    bytes_of_row = row_bytes(schema)
    if second is None or second.type != "record batch":
        raise DecodeError(Rejection.TRUNCATED, "no record batch")
    _check_batch(second, bytes_of_row, max_rows, max_bytes)
    batch = ipc.read_record_batch(second, schema)
    if _next_message(messages) is not None or source.tell() != len(value):
        raise DecodeError(Rejection.CORRUPT, "goes on after its record batch")
    return schema, batch


def peek(value: bytes) -> dict[str, str]:
    """Return the schema metadata of an Arrow stream without looking at its batch."""
    try:
        return text_metadata(_open(value)[2])
    except (pa.ArrowException, ValueError, TypeError, KeyError, OSError) as error:
        if type(error) is DecodeError:
            raise
        raise DecodeError(Rejection.CORRUPT, _line(error)) from None


def _open(value: bytes) -> tuple[Any, Any, Any]:
    _check_frames(value)
    source = pa.BufferReader(value)
    messages = ipc.MessageReader.open_stream(source)
    first = _next_message(messages)
    if first is None or first.type != "schema":
        raise DecodeError(Rejection.CORRUPT, "no schema message")
    return source, messages, ipc.read_schema(first)


def _check_frames(value: bytes) -> None:
    """Look at the first frame's length before anything reads it."""
    if len(value) < 8:
        raise DecodeError(Rejection.TRUNCATED, f"{len(value)} bytes")
    (length,) = struct.unpack_from("<i", value, 4)
    if not 0 < length <= MAX_SCHEMA_BYTES:
        raise DecodeError(Rejection.CORRUPT, f"schema of {length} bytes")
    if 8 + length > len(value):
        raise DecodeError(Rejection.TRUNCATED, f"{len(value)} bytes, schema of {length}")


def _next_message(messages: Any) -> Any | None:
    try:
        return messages.read_next_message()
    except StopIteration:
        return None
    except (pa.ArrowInvalid, OSError) as error:
        # Arrow's own words for an end in the middle of a message, in all its variants.
        text = _line(error)
        short = any(
            word in text for word in ("only read", "Expected to be able to read", "available")
        )
        raise DecodeError(Rejection.TRUNCATED if short else Rejection.CORRUPT, text) from None


def _check_schema(schema: Any, geometry: Geometry) -> None:
    names = schema.names
    metadata = text_metadata(schema)
    check_schema(metadata.get("calodqm.schema"))
    if len(set(names)) != len(names) or not set(names) >= set(COLUMNS):
        missing = sorted(set(COLUMNS) - set(names))
        raise DecodeError(Rejection.SCHEMA, f"columns missing {missing} or twice")
    check_geometry(metadata.get("calodqm.geometry"), geometry)
    further = [name for name in names if name not in COLUMNS]
    check_conditions(further)
    types = {**_COUNTS, "e_inc": pa.float32(), **dict.fromkeys(further, pa.float32())}
    for name, kind in types.items():
        if schema.field(name).type != kind:
            raise DecodeError(Rejection.SCHEMA, f"{name} is {schema.field(name).type}, not {kind}")
    time = schema.field("time").type
    if time not in {pa.timestamp("ns", "UTC"), pa.timestamp("ns", "+00:00")}:
        raise DecodeError(Rejection.SCHEMA, f"time is {time}, not timestamp[ns, UTC]")
    _check_cells_type(schema.field("showers").type, geometry)


def _check_cells_type(kind: Any, geometry: Geometry) -> None:
    if not pa.types.is_fixed_size_list(kind) or kind.value_type != pa.float32():
        raise DecodeError(Rejection.SCHEMA, f"showers is {kind}, not fixed_size_list<float32>")
    if kind.list_size != geometry.n_cells:
        raise DecodeError(
            Rejection.GEOMETRY, f"{kind.list_size} cells, {geometry.name} has {geometry.n_cells}"
        )


def _check_batch(message: Any, row_bytes: int, max_rows: int, max_bytes: int) -> None:
    """Compare what a batch's header claims with bounds, before anything is expanded."""
    body = memoryview(message.body) if message.body is not None else memoryview(b"")
    header = _batch_header(memoryview(message.metadata))
    if header.rows < 1:
        raise DecodeError(Rejection.SCHEMA, f"{header.rows} rows")
    if header.rows > max_rows or header.rows * row_bytes > max_bytes:
        raise DecodeError(Rejection.OVERSIZE, f"claims {header.rows} rows")
    expanded = 0
    for offset, length in header.buffers:
        if offset < 0 or length < 0 or offset + length > len(body):
            raise DecodeError(Rejection.TRUNCATED, "a buffer lies outside of the record")
        expanded += _expanded(body, offset, length) if header.compressed else length
        if expanded > max_bytes:
            raise DecodeError(Rejection.OVERSIZE, "would expand beyond the bound")


def _expanded(body: memoryview, offset: int, length: int) -> int:
    """Return the size that a compressed buffer claims: it begins with it, -1 if it is stored."""
    if length == 0:
        return 0
    if length < 8:
        raise DecodeError(Rejection.CORRUPT, "a compressed buffer without its size")
    (claimed,) = struct.unpack_from("<q", body, offset)
    if claimed < -1:
        raise DecodeError(Rejection.CORRUPT, f"a buffer of {claimed} bytes")
    return length if claimed == -1 else int(claimed)


def _batch_header(metadata: memoryview) -> _Batch:
    """Return the part of a record batch's FlatBuffers header that sizes follow from.

    Fields by their place in Arrow's Message.fbs and Schema.fbs: Message.header is 2;
    RecordBatch.length is 0, .buffers 2, .compression 3.
    """
    message = _table(metadata, 0)
    header = _table(metadata, _field(metadata, message, 2))
    length = _field(metadata, header, 0)
    rows = struct.unpack_from("<q", metadata, length)[0] if length else 0
    vector = _field(metadata, header, 2)
    buffers: tuple[tuple[int, int], ...] = ()
    if vector:
        start = vector + struct.unpack_from("<I", metadata, vector)[0]
        (count,) = struct.unpack_from("<I", metadata, start)
        if count > MAX_BUFFERS:
            raise DecodeError(Rejection.CORRUPT, f"{count} buffers")
        pairs = struct.unpack_from(f"<{2 * count}q", metadata, start + 4)
        buffers = tuple(zip(pairs[::2], pairs[1::2], strict=True))
    return _Batch(rows, bool(_field(metadata, header, 3)), buffers)


def _table(metadata: memoryview, reference: int) -> int:
    position: int = reference + struct.unpack_from("<I", metadata, reference)[0]
    return position


def _field(metadata: memoryview, table: int, index: int) -> int:
    """Return the position of a table's field, 0 if it has none."""
    vtable = table - struct.unpack_from("<i", metadata, table)[0]
    (size,) = struct.unpack_from("<H", metadata, vtable)
    slot = 4 + 2 * index
    if slot >= size:
        return 0
    (offset,) = struct.unpack_from("<H", metadata, vtable + slot)
    return table + offset if offset else 0


def text_metadata(schema: Any) -> dict[str, str]:
    """Return the metadata of a schema as text."""
    raw: Mapping[bytes, bytes] = schema.metadata or {}
    try:
        return {key.decode(): text.decode() for key, text in raw.items()}
    except UnicodeDecodeError:
        raise DecodeError(Rejection.CORRUPT, "schema metadata are not UTF-8") from None


def _aligned(column: Any, dtype: type[np.generic]) -> NDArray[Any]:
    """Return a column as an aligned array: in a Kafka record it lies wherever it lies."""
    return np.require(column.to_numpy(zero_copy_only=True).astype(dtype, copy=False), None, "A")


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise DecodeError(Rejection.SCHEMA, "seq is not a whole number")
    return int(text)


def _line(error: Exception) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__
