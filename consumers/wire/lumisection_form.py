"""Lumisection form: the sum of windows of one lumisection, by region, on a compacted topic.

A lumisection is the sum of the parts that lie there: the first holds what came in time, each further
one what came after it was written. A part has a key of its own, made of what led to it, so that one
that is written again takes its own place.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import orjson
import zstandard
from pydantic import TypeAdapter, with_config

from consumers.wire import arrow_stream, schema, window_form
from consumers.wire.block import DecodeError
from monitor.quality.bounds import TOLD, Count, Number32
from monitor.quality.rejection import Rejection

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from consumers.wire.window_form import WindowForm
    from monitor.windows.window import Window

METADATA = "calodqm.lumisection"
MAX_SPARSE = 64 << 20
"""Most bytes that the bins of scores may unpack to."""


@with_config(TOLD)
@dataclass(frozen=True, slots=True)
class Part:
    """A part of a lumisection, less its counts."""

    run: Number32
    lumisection: Number32
    model: str
    """Content hash of the model that scored."""

    at: Count
    """Offset of the windows topic that led to it."""

    first: Count
    last: Count
    """First and last data-second that it holds."""

    seconds: Count
    """Windows of a data-second that are in it."""

    sparse_bytes: Count = 0
    """Length of the bins of scores at the end of the record."""

    @property
    def key(self) -> str:
        """Return the Kafka key."""
        return f"{self.run}/{self.lumisection}/{self.model[:8]}/{self.at}"


_PART = TypeAdapter(Part)


def encode(part: Part, window: Window, form: WindowForm) -> bytes:
    """Return the wire form of a part with its counts.

    Over many showers most bins of scores are occupied, so that their numbers would be most of the
    record: they follow the dense counts by their distances, bytes of one weight together.
    """
    bins = _packed(np.diff(window.score_bins, prepend=0)) + _packed(window.score_counts)
    packed = zstandard.ZstdCompressor(level=9).compress(bins)
    none = np.zeros(0, np.int64)
    dense = replace(window, score_bins=none, score_counts=none)
    text = orjson.dumps(replace(part, sparse_bytes=len(packed))).decode()
    return window_form.encode_windows([dense], form, {METADATA: text}) + packed


def header(value: bytes | None) -> Part:
    """Return what a record of the topic is, without its counts, or raise `DecodeError`."""
    if not value:
        raise DecodeError(Rejection.EMPTY, "no bytes")
    return schema.read(_PART, arrow_stream.peek(value).get(METADATA))


def window(value: bytes, form: WindowForm) -> Window:
    """Return the counts of a part whose `header` was read, or raise `DecodeError`."""
    part = header(value)
    cut = len(value) - part.sparse_bytes
    if cut <= 0:
        raise DecodeError(Rejection.TRUNCATED, f"{len(value)} bytes, {part.sparse_bytes} of bins")
    found = window_form.windows(value[:cut], form)
    if len(found) != 1:
        raise DecodeError(Rejection.VALUE, f"{len(found)} windows in a part of a lumisection")
    bins, counts = _unpacked(value[cut:])
    size = math.prod(form.shape)
    known = np.isin(bins // size, found[0].regions).all()
    if not known or (np.diff(bins) <= 0).any() or (counts < 0).any():
        raise DecodeError(Rejection.VALUE, "bins of scores that cannot be")
    key = found[0].key._replace(run=part.run, lumisection=part.lumisection)
    return replace(found[0], key=key, score_bins=bins, score_counts=counts)


def _packed(values: NDArray[np.int64]) -> bytes:
    return values.astype("<i8").view(np.uint8).reshape(-1, 8).T.tobytes()


def _unpacked(packed: bytes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return bins and their counts."""
    try:
        with zstandard.ZstdDecompressor().stream_reader(packed) as reader:
            data = reader.read(MAX_SPARSE + 1)
    except zstandard.ZstdError as error:
        raise DecodeError(Rejection.CORRUPT, str(error)[:200]) from None
    if len(data) > MAX_SPARSE or len(data) % 16:
        raise DecodeError(Rejection.OVERSIZE, f"{len(data)} bytes of bins")
    half = len(data) // 2
    both = [
        np.frombuffer(part, np.uint8).reshape(8, -1).T.copy().view("<i8").reshape(-1)
        for part in (data[:half], data[half:])
    ]
    return np.cumsum(both[0]), both[1].astype(np.int64)
