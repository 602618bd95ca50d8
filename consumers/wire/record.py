"""Record, and the seams to Kafka: what the rest of the code knows about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


MAX_RECORD_BYTES = 16 << 20
"""Longest record that our topics take, and that is looked at."""


@dataclass(frozen=True, slots=True)
class Record:
    """One Kafka message, stripped to what identifies and fills it."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    """When it was appended or produced, ms since 1970 UTC; part of the log, so replays see it."""

    key: bytes | None
    value: bytes | None


class Refused(Exception):  # noqa: N818 - the word of people: the broker refused us
    """The broker does not let us in: an operator must see it, so it ends the program."""


class Denied(Refused):
    """Who we say we are is not believed: a certificate, a password, a token, one of either side.

    These are made anew in the life of a service, not all at the same moment.
    """


class Namesake(Refused):
    """Another process has the fixed name that is ours, and came later."""


class Unavailable(Exception):  # noqa: N818
    """The broker cannot be reached, or did not take a record in time: try again later."""


class Append(Protocol):
    """A record under way."""

    def offset(self) -> int:
        """Wait until the record is safe and return its offset, or raise `Unavailable`."""


class Sink(Protocol):
    """Takes records for any topic."""

    def append(self, topic: str, value: bytes, *, key: str, partition: int | None = None) -> Append:
        """Send a record; it is safe only once its `Append.offset` returned."""


class Source(Protocol):
    """Partitions shared out in a group; reading starts only where `start` says."""

    def poll(self, seconds: float) -> list[Record]:
        """Return the next records of the partitions that were started, after some time at most."""

    def changes(self) -> tuple[set[int], set[int]]:
        """Return the partitions that came and those that went since the last call."""

    def start(self, offsets: Mapping[int, int | None]) -> None:
        """Begin to read partitions at their offsets, None for the oldest record there is."""

    def lag(self, partitions: Iterable[int]) -> dict[int, int]:
        """Return how many offsets are still to be returned, for partitions where it is known."""

    def answered(self, partitions: Iterable[int]) -> dict[int, float]:
        """Return for how long the broker of each partition has not answered, s; infinite: never."""

    def commit(self, offsets: Mapping[int, int]) -> None:
        """Note how far we are; for lag tools alone, so nobody waits for it."""

    def close(self) -> None:
        """Leave the group, so that others take over at once."""


class Log(Protocol):
    """A partition read from one offset to another, outside of any group."""

    def read(self, topic: str, begin: int | None, end: int) -> Iterable[Record]:
        """Return the records of partition 0 in [begin, end), begin None for the oldest."""

    def read_all(self, topic: str) -> Iterable[Record]:
        """Return the records of partition 0 from the oldest to the newest."""

    def reported_end(self, topic: str) -> int:
        """Return the end that the broker reports; the true one may lie a little beyond."""


@dataclass(frozen=True, slots=True)
class Clients:
    """A job's connections to the broker."""

    source: Source
    sink: Sink
    log: Log
