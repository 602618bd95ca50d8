"""Watched: the clients of a job, so that it is known which reads and writes do not go through."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from consumers.http.health import Health
    from consumers.wire.record import Append, Lag, Record, Sink, Source


@dataclass(frozen=True, slots=True)
class WatchedSink:
    """A sink that tells the health of its job which topic takes nothing."""

    sink: Sink
    health: Health
    job: str

    def append(self, topic: str, value: bytes, *, key: str, partition: int | None = None) -> Append:
        """Send a record; it is waited for until it is safe."""
        what = f"{topic} to take a record"
        self.health.waits(self.job, what)
        append = self.sink.append(topic, value, key=key, partition=partition)
        append.once_safe(lambda: self.health.went(self.job, what))
        return append


@dataclass(frozen=True, slots=True)
class WatchedSource:
    """A source that tells the health of its job which partitions nobody answers for."""

    source: Source
    health: Health
    job: str

    def identity(self) -> str:
        """Return the id of the topic."""
        return self.source.identity()

    def poll(self, seconds: float) -> list[Record]:
        """Return the next records."""
        return self.source.poll(seconds)

    def changes(self) -> tuple[set[int], set[int]]:
        """Return the partitions that came and those that went since the last call."""
        return self.source.changes()

    def start(self, offsets: Mapping[int, int | None]) -> None:
        """Begin to read partitions at their offsets."""
        self.source.start(offsets)

    def lag(self, partitions: Iterable[int]) -> dict[int, Lag]:
        """Return how many offsets are still to be returned."""
        lags = self.source.lag(partitions)
        for partition, lag in lags.items():
            what = f"an answer for partition {partition}"
            if math.isnan(lag.records):
                self.health.waits(self.job, what)
            else:
                self.health.went(self.job, what)
        if not lags:  # whoever has nothing to do waits for nothing
            self.health.idles(self.job)
        return lags

    def commit(self, offsets: Mapping[int, int]) -> None:
        """Note how far we are."""
        self.source.commit(offsets)

    def close(self) -> None:
        """Leave the group."""
        self.source.close()
