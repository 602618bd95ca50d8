"""Namesake: who else has our fixed name? The broker keeps the older one's host, the log tells."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from consumers.kafka.survey import log_bounds
from consumers.wire import ranges, topics
from consumers.wire.block import DecodeError

if TYPE_CHECKING:
    from consumers.kafka.connection import Connection
    from consumers.wire.record import Log

PATIENCE_S = 5.0
"""Whoever took our name opens our partitions within this."""


def windows_end(connection: Connection) -> int:
    """Return where the windows topic ends now."""
    return log_bounds(connection, topics.WINDOWS)[0][1]


def namesakes(log: Log, connection: Connection, since: int, ours: str) -> str:
    """Return who opened partitions since an offset of the windows topic, as an end of a line."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        end = windows_end(connection)
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
