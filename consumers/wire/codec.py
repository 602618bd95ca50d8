"""Codec: the bytes of a record on `calo.showers.v1` to a block of showers, or one honest error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from consumers.wire import arrow_form, json_form
from consumers.wire.block import LATEST_NS, Block, DecodeError
from consumers.wire.record import MAX_RECORD_BYTES
from models.showers.batch import ShowersError
from monitor.quality.rejection import Rejection

if TYPE_CHECKING:
    from models.detector.geometry import Geometry

MAX_BYTES = MAX_RECORD_BYTES

encode = arrow_form.write


def decode(value: bytes | None, geometry: Geometry, *, latest_ns: int = LATEST_NS) -> Block:
    """Return the block in a payload, or raise `DecodeError`; no third outcome.

    Parameters
    ----------
    latest_ns
        Latest data time that can be true, for instance a day after the record was written.
    """
    if not value:
        raise DecodeError(Rejection.EMPTY, "no bytes")
    if len(value) > MAX_BYTES:
        raise DecodeError(Rejection.OVERSIZE, f"{len(value)} bytes, at most {MAX_BYTES}")
    try:
        if value[:4] == b"\xff\xff\xff\xff":
            block = arrow_form.read(value, geometry)
        elif value[:64].lstrip()[:1] == b"{":
            block = json_form.read(value, geometry)
        else:
            raise DecodeError(Rejection.FORMAT, f"begins with {value[:8]!r}")
    except ShowersError as error:
        raise DecodeError(Rejection.VALUE, str(error)) from None
    if int(block.time_ns.max()) > latest_ns:
        raise DecodeError(Rejection.TIME, f"data time {int(block.time_ns.max())} ns is to come")
    return block
