"""Neighbours: who else says windows on our topic. Two services on one would each count the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from consumers.wire import topics
from consumers.wire.block import DecodeError
from consumers.wire.ranges import PersonSaid, header

if TYPE_CHECKING:
    from consumers.wire.record import Log

LOOK_BACK = 200
"""Records of the windows topic in which others are looked for."""

LIVE_MS = 10_000
"""A worker that has said nothing for so long is taken to be gone."""


def of_another_group(log: Log, group: str, now_ms: int) -> str:
    """Return who of another group says windows now, in words; empty if nobody does."""
    first, end = log.bounds(topics.WINDOWS)
    found = ""
    for record in log.read(topics.WINDOWS, max(first, end - LOOK_BACK), end):
        age_ms = now_ms - record.timestamp_ms
        try:
            entry = header(record.value)
        except DecodeError:
            continue
        if isinstance(entry, PersonSaid) or entry.group in {"", group} or age_ms > LIVE_MS:
            continue
        found = f"worker {entry.worker} of group {entry.group} says windows of {entry.topic}"
    return found
