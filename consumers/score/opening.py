"""Opening: a worker says that a partition is its own, and finds where the ranges before it end."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from consumers.exactly_once.neighbours import of_another_group
from consumers.exactly_once.resuming import of_stream, words
from consumers.exactly_once.snapshots import Snapshots, read_back
from consumers.score.pending_range import PendingRange
from consumers.score.producer_counts import ProducerCounts
from consumers.wire import topics
from consumers.wire.ranges import Open, Stream, encode_open
from consumers.wire.user_error import UserError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from consumers.exactly_once.fence import Fence
    from consumers.wire.record import Append, Clients

logger = logging.getLogger(__name__)


@dataclass
class Opening:
    """Opens partitions of one topic for one worker."""

    clients: Clients
    name: str
    """Of the worker."""

    topic: str
    group: str
    """Consumer group that gives the partitions."""

    alone: bool = False
    """Whether no other group was found at work on the windows topic."""

    def open(self, partitions: Iterable[int]) -> dict[int, PendingRange]:
        """Append an `Open` for each partition; return where the ranges before it end."""
        self._refuse_to_share()
        log = self.clients.log
        id_ = self.clients.source.identity()
        streams = {p: Stream(self.topic, id_, p) for p in sorted(partitions)}
        under_way = {p: self._append_open(stream) for p, stream in streams.items()}
        tokens = {partition: append.offset() for partition, append in under_way.items()}
        # Nobody counts under our token yet, so one look up to the last of them serves all.
        end = max(tokens.values()) + 1
        fence = read_back(log, Snapshots(log).newest, end, streams.values())
        return {p: self._stretch(streams[p], token, fence) for p, token in tokens.items()}

    def _refuse_to_share(self) -> None:
        """Stop rather than fight over a windows topic, when we begin or have been fenced off."""
        if self.alone or not self.group:
            return
        other = of_another_group(self.clients.log, self.group, int(time.time() * 1000))
        if other:
            ours = f"{self.topic} for group {self.group}"
            raise UserError(
                f"{topics.WINDOWS} is in use: {other}, this would say {ours}; two services need "
                "topics of their own: stop one, or give it a CALODQM_PREFIX"
            )
        self.alone = True

    def _append_open(self, stream: Stream) -> Append:
        entry = Open(stream.partition, self.name, stream.topic, stream.id, self.group)
        key = f"{stream.topic}/{stream.partition}"
        return self.clients.sink.append(topics.WINDOWS, encode_open(entry), key=key, partition=0)

    def _stretch(self, stream: Stream, token: int, fence: Fence) -> PendingRange:
        """Return the stretch that goes on after the last range that counts."""
        place = of_stream(fence, stream, self.clients.log)
        stretch = PendingRange(stream=stream, token=token, begin=None, counts=ProducerCounts())
        if place is None:
            return stretch
        stretch.begin = place.begin
        if stream in fence.ends:
            tail = fence.tails.get(stream, stretch.tail)
            stretch.counts = ProducerCounts.from_json(fence.seqs.get(stream, {}))
            if place.begin == place.follows:
                stretch.tail = tail
            else:
                stretch.follows, stretch.lost_ns = place.follows, (tail.watermark_ns, 0)
        for line in words(stream, place):
            logger.warning("%s", line)
        return stretch
