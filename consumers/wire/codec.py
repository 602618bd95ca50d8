"""Codec: the bytes of a record on `calo.showers.v1` to a block of showers, or one honest error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from consumers.wire import arrow_form, json_form
from consumers.wire.arrow_stream import is_stream
from consumers.wire.block import LATEST_NS, Block, DecodeError, Expected
from consumers.wire.record import MAX_RECORD_BYTES
from monitor.quality.rejection import Rejection

if TYPE_CHECKING:
    from models.detector.geometry import Geometry

MAX_BYTES = MAX_RECORD_BYTES


_ANYTHING = Expected()
_OTHERS = {
    b"ARROW1": "an Arrow file: write the stream format",
    b"PAR1": "a Parquet file: write an Arrow stream",
    b"\x89HDF": "an HDF5 file: write an Arrow stream",
    b"\x1f\x8b": "gzip: compress the buffers inside the stream, or let Kafka do it",
    b"\x28\xb5\x2f\xfd": "a zstd frame: compress the buffers inside the stream",
    b"\x04\x22\x4d\x18": "an lz4 frame: compress the buffers inside the stream",
    b"\0\0\0\0": "a schema registry's frame, or zeros: send the Arrow stream alone",
    b"[": "a JSON list: one object a record is wanted",
}
"""Beginnings that people send, and the mend."""


def decode(
    value: bytes | None,
    geometry: Geometry,
    *,
    expected: Expected = _ANYTHING,
    latest_ns: int = LATEST_NS,
) -> Block:
    """Return the block in a payload, or raise `DecodeError`; no third outcome.

    Parameters
    ----------
    expected
        What it must agree with beside its geometry: regions, conditions, earliest data time.
    latest_ns
        Latest data time that can be true, for instance a day after the record was written.
    """
    if not value:
        raise DecodeError(Rejection.EMPTY, "no bytes")
    if len(value) > MAX_BYTES:
        raise DecodeError(Rejection.OVERSIZE, f"{len(value)} bytes, at most {MAX_BYTES}")
    if is_stream(value):
        return arrow_form.read(value, geometry, expected, latest_ns)
    if value[:64].lstrip()[:1] == b"{":
        return json_form.read(value, geometry, expected, latest_ns)
    raise DecodeError(Rejection.FORMAT, _beginning(value))


def _beginning(value: bytes) -> str:
    for beginning, text in _OTHERS.items():
        if value.startswith(beginning):
            return text
    return f"begins with {value[:8]!r}: an Arrow stream or a JSON object is wanted"
