"""Arrow streams, checked before they are expanded: a header may claim anything.

What it claims is compared with bounds first (rows, batches, buffers, and the size that each
compressed buffer says it will have), so a lie costs no memory.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa
from pyarrow import ipc

from consumers.wire.block import DecodeError
from monitor.quality.rejection import Rejection

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MAX_EXPANDED_BYTES = 64 << 20
"""Most memory that the columns of one record may take once decompressed."""

MAX_SCHEMA_BYTES = 64 << 10
MAX_BUFFERS = 128
MAX_BATCHES = 256
"""Most batches in a stream: an empty one costs nothing to write and a little to read."""

CONTINUES = b"\xff\xff\xff\xff"
"""Begins each message since Arrow 0.15; before, messages began with their length."""

_SCHEMA_MESSAGE = 1
_V5 = 4
"""Of Arrow's MetadataVersion: since 1.0, how buffers are compressed stands in a batch's header."""


@dataclass(slots=True)
class Bounds:
    """What the batches of a stream may still take."""

    rows: int
    bytes: int

    def take(self, message: Any, row_bytes: int) -> None:
        """Compare what a batch's header claims with the bounds, before anything is expanded."""
        body = memoryview(message.body) if message.body is not None else memoryview(b"")
        header = _batch_header(memoryview(message.metadata))
        if header.rows < 0:
            raise DecodeError(Rejection.CORRUPT, f"a batch of {header.rows} rows")
        self.rows -= header.rows
        if self.rows < 0 or header.rows * row_bytes > self.bytes:
            raise DecodeError(Rejection.OVERSIZE, f"claims {header.rows} rows, more than are taken")
        for offset, length in header.buffers:
            if offset < 0 or length < 0 or offset + length > len(body):
                raise DecodeError(Rejection.TRUNCATED, "a buffer lies outside of the record")
            self.bytes -= _expanded(body, offset, length) if header.compressed else length
            if self.bytes < 0:
                raise DecodeError(Rejection.OVERSIZE, "would expand beyond what is taken")


class _Batch(NamedTuple):
    rows: int
    compressed: bool
    buffers: tuple[tuple[int, int], ...]
    """Offset and length of each in the body."""


def read_stream(
    value: bytes,
    row_bytes: Callable[[Any], int],
    max_rows: int,
    max_bytes: int = MAX_EXPANDED_BYTES,
) -> tuple[Any, Any]:
    """Return the schema and the one record batch of an Arrow stream, or raise `DecodeError`.

    For the parameters see `read_batches`.
    """
    schema, batches = read_batches(value, row_bytes, max_rows, max_bytes)
    if len(batches) != 1:
        raise DecodeError(Rejection.SCHEMA, f"{len(batches)} batches, 1 is wanted")
    return schema, batches[0]


def read_batches(
    value: bytes,
    row_bytes: Callable[[Any], int],
    max_rows: int,
    max_bytes: int = MAX_EXPANDED_BYTES,
) -> tuple[Any, list[Any]]:
    """Return the schema and the record batches of an Arrow stream, or raise `DecodeError`.

    Parameters
    ----------
    row_bytes
        Returns how much memory a row takes, or raises `DecodeError` if the schema is not right.
    max_rows
        Most rows that are taken, in all batches.
    max_bytes
        Most memory that the columns may take once decompressed, of all batches.
    """
    try:
        return _read_messages(value, row_bytes, Bounds(max_rows, max_bytes))
    except DecodeError:
        raise
    # What pyarrow raises for damaged bytes; ArrowInvalid is a ValueError, others are of Python.
    except (pa.ArrowException, ValueError, TypeError, KeyError, OSError, struct.error) as error:
        raise DecodeError(Rejection.CORRUPT, _damage(error)) from None


def _read_messages(
    value: bytes, row_bytes: Callable[[Any], int], bounds: Bounds
) -> tuple[Any, list[Any]]:
    source, messages, schema = _open(value)
    bytes_of_row = row_bytes(schema)
    batches: list[Any] = []
    while (message := _next_message(messages)) is not None:
        if message.type != "record batch":
            raise DecodeError(Rejection.CORRUPT, f"a {message.type} where a batch should be")
        if len(batches) == MAX_BATCHES:
            raise DecodeError(Rejection.OVERSIZE, f"more than {MAX_BATCHES} batches")
        bounds.take(message, bytes_of_row)
        batch = ipc.read_record_batch(message, schema)
        batch.validate(full=True)
        batches.append(batch)
    _check_end(value, source.tell())
    if not batches:
        raise DecodeError(Rejection.TRUNCATED, "no record batch")
    if not any(batch.num_rows for batch in batches):
        raise DecodeError(Rejection.SCHEMA, "0 rows")
    return schema, batches


def _check_end(value: bytes, end: int) -> None:
    if value[end : end + 4] == CONTINUES:
        raise DecodeError(Rejection.SCHEMA, "goes on with another stream: one a record is wanted")
    if end != len(value):
        raise DecodeError(Rejection.CORRUPT, f"{len(value) - end} bytes after the stream's end")


def peek(value: bytes) -> dict[str, str]:
    """Return the schema metadata of an Arrow stream without looking at its batch."""
    try:
        return text_metadata(_open(value)[2])
    except (pa.ArrowException, ValueError, TypeError, KeyError, OSError) as error:
        if type(error) is DecodeError:
            raise
        raise DecodeError(Rejection.CORRUPT, _line(error)) from None


def is_stream(value: bytes) -> bool:
    """Return whether bytes begin as an Arrow stream does, of today or from before Arrow 0.15."""
    if value[:4] == CONTINUES:
        return True
    length = int.from_bytes(value[:4], "little")
    # The length and what it counts fill whole words of eight bytes together.
    if not 0 < length <= min(MAX_SCHEMA_BYTES, len(value) - 4) or length % 8 != 4:
        return False
    try:
        metadata = memoryview(value)[4 : 4 + length]
        kind = _field(metadata, _table(metadata, 0), 1)
        return bool(kind and metadata[kind] == _SCHEMA_MESSAGE)
    except (struct.error, IndexError):
        return False


def _open(value: bytes) -> tuple[Any, Any, Any]:
    if value[:4] == CONTINUES:
        _check_frame(value)
    source = pa.BufferReader(value)
    messages = ipc.MessageReader.open_stream(source)
    first = _next_message(messages)
    if first is None or first.type != "schema":
        raise DecodeError(Rejection.CORRUPT, "no schema message")
    return source, messages, ipc.read_schema(first)


def _check_frame(value: bytes) -> None:
    """Look at the first frame's length before anything reads it."""
    if len(value) < 8:
        raise DecodeError(Rejection.TRUNCATED, f"{len(value)} bytes")
    (length,) = struct.unpack_from("<i", value, 4)
    short = 8 + length > len(value)
    if length <= 0 or (short and length > MAX_SCHEMA_BYTES):
        raise DecodeError(Rejection.CORRUPT, f"schema of {length} bytes")
    if short:
        raise DecodeError(Rejection.TRUNCATED, f"{len(value)} bytes, schema of {length}")
    if length > MAX_SCHEMA_BYTES:
        text = f"schema of {length} bytes, at most {MAX_SCHEMA_BYTES}"
        raise DecodeError(Rejection.OVERSIZE, text)


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

    Fields by their place in Arrow's Message.fbs and Schema.fbs: Message.version is 0, .header 2,
    .custom_metadata 4; RecordBatch.length is 0, .buffers 2, .compression 3.
    """
    message = _table(metadata, 0)
    version = _field(metadata, message, 0)
    old = not version or struct.unpack_from("<h", metadata, version)[0] < _V5
    if old and _field(metadata, message, 4):
        # There compression stood among free texts: its buffers would expand beyond our look.
        raise DecodeError(Rejection.SCHEMA, "metadata of a batch as before Arrow 1.0: write none")
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


def _damage(error: Exception) -> str:
    text = _line(error)
    if "ecompress" in text:  # Arrow's words for each codec, in all their variants
        return f"{text} (does it begin with its length? JavaScript must send them uncompressed)"
    return text


def _line(error: Exception) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__
