"""Unpacking: batches of records that unpack to too much, or not at all, stop nobody.

The library unpacks a batch whole, whatever comes out: 13 kB may be 400 MiB. And what it cannot
unpack it raises for, at the same place again for ever. So a batch is unpacked within a bound here,
and one that cannot be becomes one record at its last offset, which says why.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Any

import lz4.frame
import snappy
import zstandard
from kafka import codec
from kafka.consumer.fetcher import Fetcher
from kafka.record import default_records, legacy_records

from consumers.wire.record import MAX_RECORD_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST = 4 * MAX_RECORD_BYTES
"""Bytes that a batch may unpack to."""

UNREAD = "calodqm.unread"
"""Header of a record that stands for a batch: why it was not read."""


class TooMuchError(ValueError):
    """A batch that unpacks to more than `MOST`."""

    def __init__(self) -> None:
        super().__init__(f"unpacks to more than {MOST >> 20} MiB")


def _bounded(data: bytes) -> bytes:
    if len(data) > MOST:
        raise TooMuchError
    return data


def gunzip(payload: Any) -> bytes:
    """Return what gzip holds."""
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)
    data = _bounded(unpacker.decompress(bytes(payload), MOST + 1))
    if not unpacker.eof:
        raise ValueError("gzip: cut off")
    return data


def unlz4(payload: bytes) -> bytes:
    """Return what LZ4 frames hold."""
    return _bounded(lz4.frame.LZ4FrameDecompressor().decompress(payload, max_length=MOST + 1))


def unzstd(payload: bytes) -> bytes:
    """Return what a Zstandard frame holds."""
    with zstandard.ZstdDecompressor().stream_reader(payload) as reader:
        return _bounded(reader.read(MOST + 1))


def unsnappy(payload: bytes) -> bytes:
    """Return what Snappy blocks hold, with or without the framing of Java's library."""
    if not codec._detect_xerial_stream(payload):  # noqa: SLF001 - it has no other
        return _snappy_block(payload)
    out, at = bytearray(), 16
    while at < len(payload):
        (size,) = struct.unpack_from("!i", payload, at)
        at += 4
        out += _snappy_block(payload[at : at + size], MOST - len(out))
        at += size
    return bytes(out)


def _snappy_block(block: bytes, most: int = MOST) -> bytes:
    claimed = shift = 0
    for byte in block[:5]:  # a block begins with the length that it unpacks to
        claimed |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            break
    if claimed > most:
        raise TooMuchError
    data: bytes = snappy.uncompress(block)
    return data


class _Unread:
    """A record in place of a batch."""

    key = value = checksum = None
    size_in_bytes = 0

    def __init__(self, batch: Any, why: str) -> None:
        self.offset = batch.last_offset if batch.magic >= 2 else batch.base_offset
        self.timestamp = batch.max_timestamp if batch.magic >= 2 else batch.timestamp
        self.timestamp_type = batch.timestamp_type
        self.headers = [(UNREAD, why.encode())]

    def validate_crc(self) -> bool:
        return True


class _Batch:
    """A batch whose records come whole, or one that says why not."""

    def __init__(self, batch: Any) -> None:
        self._batch = batch
        self._found: Iterator[Any] | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if self._found is None:
            self._found = iter(self._read())
        return next(self._found)

    def _read(self) -> list[Any]:
        try:
            return list(self._batch)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - decoders of four codecs, and their bindings
            return [_Unread(self._batch, f"{type(error).__name__}: {error}"[:200])]


class _Records:
    """The batches of a fetch."""

    def __init__(self, records: Any) -> None:
        self._records = records

    def next_batch(self) -> Any:
        batch = self._records.next_batch()
        return None if batch is None else _Batch(batch)


class BoundedRecords(Fetcher.PartitionRecords):  # type: ignore[misc]
    """What was fetched of a partition."""

    def _unpack_records(self, tp: Any, records: Any, *deserializers: Any) -> Any:
        return super()._unpack_records(tp, _Records(records), *deserializers)


def bound() -> None:
    """Let the library unpack within the bound, in this process."""
    decoders = {
        "gzip_decode": gunzip,
        "snappy_decode": unsnappy,
        "lz4_decode": unlz4,
        "zstd_decode": unzstd,
    }
    for module in (default_records, legacy_records):
        for name, decoder in decoders.items():
            if hasattr(module, name):
                setattr(module, name, decoder)
    Fetcher.PartitionRecords = BoundedRecords
