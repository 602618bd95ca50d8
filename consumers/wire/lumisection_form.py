"""Lumisection form: the sum of windows of one lumisection, by region, on a compacted topic.

A lumisection is the sum of the parts that lie there: the first holds what came in time, each further
one what came after it was written. A part has a key of its own, made of what led to it, so that one
that is written again takes its own place.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import orjson
from pydantic import TypeAdapter, with_config

from consumers.wire import arrow_stream, ranges, schema
from consumers.wire.block import DecodeError
from monitor.quality.bounds import TOLD, Count, Number32
from monitor.quality.rejection import Rejection

if TYPE_CHECKING:
    from consumers.wire.ranges import WindowForm
    from monitor.windows.window import Window

METADATA = "calodqm.lumisection"


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

    @property
    def key(self) -> str:
        """Return the Kafka key."""
        return f"{self.run}/{self.lumisection}/{self.model[:8]}/{self.at}"


_PART = TypeAdapter(Part)


def encode(part: Part, window: Window, form: WindowForm) -> bytes:
    """Return the wire form of a part with its counts."""
    text = orjson.dumps(part).decode()
    return ranges.encode_windows([window], form, {METADATA: text})


def header(value: bytes | None) -> Part:
    """Return what a record of the topic is, without its counts, or raise `DecodeError`."""
    if not value:
        raise DecodeError(Rejection.EMPTY, "no bytes")
    return schema.read(_PART, arrow_stream.peek(value).get(METADATA))


def window(value: bytes, form: WindowForm) -> Window:
    """Return the counts of a part whose `header` was read, or raise `DecodeError`."""
    part, found = header(value), ranges.windows(value, form)
    if len(found) != 1:
        raise DecodeError(Rejection.VALUE, f"{len(found)} windows in a part of a lumisection")
    key = found[0].key._replace(run=part.run, lumisection=part.lumisection)
    return replace(found[0], key=key)
