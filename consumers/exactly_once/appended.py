"""Appended: where in a log a time lies."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from consumers.wire.record import Log


def appended(log: Log, topic: str, time_ms: int) -> int:
    """Return the first offset of partition 0 that was appended at a time or later."""
    low, high = log.bounds(topic)
    # By halves and not by the broker's own index, which not every broker has.
    while low < high:
        middle = (low + high) // 2
        record = next(iter(log.read(topic, middle, high)), None)
        if record is None or record.timestamp_ms >= time_ms:
            high = middle
        else:
            low = record.offset + 1
    return low
