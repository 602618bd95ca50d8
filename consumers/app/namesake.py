"""Namesake: who else has our fixed name? The broker keeps the older one's host, the log tells."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from consumers.wire import ranges, topics
from consumers.wire.block import DecodeError

if TYPE_CHECKING:
    from consumers.wire.record import Log

PATIENCE_S = 5.0
"""Whoever took our name opens our partitions within this."""


def namesakes(log: Log, since: int, ours: str) -> str:
    """Return who opened partitions since an offset of the windows topic, as an end of a line."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        _, end = log.bounds(topics.WINDOWS)
        found = {
            entry.worker
            for record in log.read(topics.WINDOWS, since, end)
            if isinstance(entry := _header(record.value), ranges.Open) and entry.worker != ours
        }
        if found or time.monotonic() > deadline:
            return f": {', '.join(sorted(found))}" if found else ""
        time.sleep(0.2)


def _header(value: bytes | None) -> object:
    try:
        return ranges.header(value)
    except DecodeError:
        return None
