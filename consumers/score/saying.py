"""Saying: what a stretch came to goes to the topics, and counts once it is safe there."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from consumers.score.pending_range import in_order
from consumers.wire import topics
from consumers.wire.ranges import encode_range
from consumers.wire.record import MAX_RECORD_BYTES
from consumers.wire.strange import encode_all as encode_strange
from consumers.wire.window_form import encode_windows
from monitor.quality.rejection import Rejection

if TYPE_CHECKING:
    from collections.abc import Callable

    from consumers.score.pending_range import PendingRange
    from consumers.score.scoring import ModelsInForce
    from consumers.wire.ranges import Range
    from consumers.wire.record import Append, Clients
    from consumers.wire.window_form import WindowForm

logger = logging.getLogger(__name__)

ROOM_BYTES = 4096
"""What a record is more than its value: key, headers, and those of its batch."""


@dataclass
class Saying:
    """Says the ranges of one worker."""

    clients: Clients
    name: str
    """Of the worker."""

    topic: str
    group: str
    safe: Callable[[PendingRange], None]
    """Called with every stretch whose range is safe."""

    _under_way: list[Append] = field(default_factory=list)
    _said: list[PendingRange] = field(default_factory=list)
    _covered: dict[int, int] = field(default_factory=dict)

    def forget(self, partition: int) -> None:
        """Tell the group nothing more of a partition."""
        self._covered.pop(partition, None)

    def say(self, stretch: PendingRange, lineup: ModelsInForce) -> bool:
        """Send what a stretch came to; return whether it can be placed yet."""
        primary, shadow = lineup.primary, lineup.shadow
        entry = stretch.range_(self.name, self.group, lineup)
        if entry is None:
            return False
        key = f"{self.topic}/{stretch.partition}"
        strange = [shower for kept in stretch.strange.values() for shower in kept]
        for value in encode_strange(strange, self.topic, primary.scorer.score_names):
            self._send(topics.ANOMALIES, value, key)
        for letter in stretch.letters:
            self._send(topics.REJECTS, letter, key)
        beside = b""
        if shadow is not None and stretch.shadow:
            beside = encode_windows(in_order(stretch.shadow), shadow.form)
        value = encode_range(entry, in_order(stretch.windows), primary.form, beside)
        if len(value) > MAX_RECORD_BYTES - ROOM_BYTES:
            value = self._without_windows(entry, len(value), primary.form)
            stretch.rejects[Rejection.OVERSIZE.value] += entry.records
        self._send(topics.WINDOWS, value, key, partition=0)
        self._covered[stretch.partition] = entry.end
        self._said.append(stretch)
        return True

    def _send(self, topic: str, value: bytes, key: str, partition: int | None = None) -> None:
        append = self.clients.sink.append(topic, value, key=key, partition=partition)
        self._under_way.append(append)

    def _without_windows(self, entry: Range, size: int, form: WindowForm) -> bytes:
        """Return a range whose windows fit into no record, less these; say so, once and in words."""
        text = f"windows of {size} bytes, a record takes {MAX_RECORD_BYTES}: fewer regions a topic"
        logger.error("%s[%d]@%d: %s", entry.topic, entry.partition, entry.begin, text)
        rejects = Counter(entry.rejects) + Counter({Rejection.OVERSIZE.value: entry.records})
        lost = replace(entry, showers=0, worst=(), shadow="", joint=(), shed=(), rejects=rejects)
        return encode_range(lost, [], form)

    def settle(self) -> None:
        """Wait until what was said before is safe; only then tell the group how far we are."""
        under_way, self._under_way = self._under_way, []
        said, self._said = self._said, []
        for append in under_way:
            append.offset()
        for stretch in said:
            self.safe(stretch)
        if self._covered:
            self.clients.source.commit(self._covered)
            self._covered = {}
