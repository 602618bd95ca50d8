"""Resuming: where a log is gone on with, once its start, its end and its last record were looked at.

A place that was noted is only good in the log that it was noted in. Records expire; a topic is made
again, and its offsets begin anew; a leader that lacked some of them is elected, and the same offsets
come again with other records. So whoever comes back to a place looks whether it still follows the
record that it followed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from consumers.wire.record import digest

if TYPE_CHECKING:
    from consumers.exactly_once.fence import Fence
    from consumers.wire.ranges import Stream
    from consumers.wire.record import Log, Record


@dataclass(frozen=True, slots=True)
class Known:
    """A place that was noted: the end of what was taken, and what its last record was like."""

    end: int
    id: str = ""
    """Of the topic; empty where the broker has none."""

    epoch: int = -1
    last: str = ""
    """Digest of the record before `end`; empty where nobody noted it."""


@dataclass(frozen=True, slots=True)
class Resumption:
    """Where a log is gone on with."""

    begin: int
    follows: int
    """The end that was noted: the same, if nothing happened to the log."""

    again: bool = False
    """Whether it is another log than the one that the end was noted in."""

    @property
    def expired(self) -> int:
        """Return how many offsets expired before anybody read them."""
        return 0 if self.again else max(0, self.begin - self.follows)

    @property
    def cut(self) -> int:
        """Return how many offsets that were taken the log has no more, or has with others."""
        return 0 if self.again else max(0, self.follows - self.begin)


def of_stream(fence: Fence, stream: Stream, log: Log) -> Resumption | None:
    """Return where a stream goes on after its last accepted range, None if nothing is known of it.

    A topic of another id is another topic; unless it holds, where the old one was left, the record
    that lay there: then it is the old one out of a backup, and its showers have been counted.
    """
    end = fence.ends.get(stream)
    if end is not None:
        return find(_known(fence, stream), stream.id, log, stream.topic, stream.partition)
    former = fence.former(stream)
    if former is None:
        return None
    return find(_known(fence, former), stream.id, log, stream.topic, stream.partition)


def _known(fence: Fence, stream: Stream) -> Known:
    tail = fence.tails.get(stream)
    end = fence.ends[stream]
    return Known(end) if tail is None else Known(end, stream.id, tail.epoch, tail.last)


def find(known: Known, id_: str, log: Log, topic: str, partition: int = 0) -> Resumption:
    """Return where the log of this name and id is gone on with after a place that was noted."""
    first, end = log.bounds(topic, partition)
    other = bool(known.id) and known.id != id_
    if not other and known.end <= first:
        return Resumption(first, known.end)
    if not other and not known.last and known.end <= end:  # there is nothing to compare
        return Resumption(known.end, known.end)
    there = None
    if known.last and first < known.end:
        there = _at(log, topic, partition, known.end - 1, known.end)
    if there is not None and digest(there) == known.last:
        return Resumption(known.end, known.end)
    newer = there is None or there.epoch > known.epoch
    if other or not newer or not id_:
        return Resumption(first, known.end, again=True)
    bounds = (first, min(end, known.end))
    return Resumption(_parting(known.epoch, log, topic, partition, bounds), known.end)


def _parting(epoch: int, log: Log, topic: str, partition: int, bounds: tuple[int, int]) -> int:
    """Return the first offset within bounds that was written after a leader's epoch, else the end.

    Epochs rise along a log, so a log that was cut off and went on has them higher from there on.
    """
    low, high = bounds
    if epoch < 0:
        return high
    while low < high:
        middle = (low + high) // 2
        record = _at(log, topic, partition, middle, high)
        if record is None or record.epoch > epoch:
            high = middle
        else:
            low = record.offset + 1
    return low


def words(stream: Stream, place: Resumption) -> list[str]:
    """Return what there is to be said of a place that is not the one that was noted."""
    where = f"{stream.topic}[{stream.partition}]"
    if place.again and place.begin != place.follows:
        return [f"{where} is another log than before: read from its start, offset {place.begin}"]
    if place.expired:
        return [f"{where}: {place.expired} records expired unread, up to offset {place.begin}"]
    if place.cut:
        gone = f"offsets {place.begin} to {place.follows} are gone, or come again with others"
        return [f"{where} became shorter: {gone}; going on at {place.begin}"]
    return []


def _at(log: Log, topic: str, partition: int, offset: int, end: int) -> Record | None:
    """Return the first record in [offset, end), None if there is none."""
    return next(iter(log.read(topic, offset, end, partition=partition)), None)
