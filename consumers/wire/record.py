"""Record, and the seams to Kafka: what the rest of the code knows about it."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


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
    epoch: int = -1
    """Counts the leaders of the partition; it rises along a log. -1 where a broker has none."""

    broker_time: bool = False
    """Whether the broker's clock wrote the timestamp, and not the producer's."""

    unread: str = ""
    """Why what lies here could not be unpacked; empty as a rule."""


DIGESTED = 1024
"""Bytes at either end of a record that its digest is made of: the whole would cost too much."""


def digest(record: Record) -> str:
    """Return what tells a record from another at the same place of another log."""
    value = record.value or b""
    told = hashlib.blake2b(digest_size=8)
    told.update(b"%d/%d/" % (record.timestamp_ms, len(value)))
    told.update(value[:DIGESTED] + value[-DIGESTED:])
    return told.hexdigest()


class Displaced(Exception):  # noqa: N818 - what happened to us
    """A partition's log has no longer the place that we stood at: it expired, or was cut off."""

    def __init__(self, partitions: Iterable[int]) -> None:
        self.partitions = frozenset(partitions)
        super().__init__(f"partitions {sorted(self.partitions)}: the log has not our place")


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


class Lag(NamedTuple):
    """What lies on the broker and was not returned yet."""

    records: float
    """Offsets; NaN if nobody answers."""

    age_s: float
    """How long ago the broker said so; infinite if it never did."""

    @property
    def none(self) -> bool:
        """Return whether the broker says, and said just now, that there is nothing more."""
        return self.records == 0 and self.age_s <= FRESH_S


FRESH_S = 2.0
"""An answer that is older says nothing of now."""

UNKNOWN = Lag(math.nan, math.inf)


class Append(Protocol):
    """A record under way."""

    def offset(self) -> int:
        """Wait until the record is safe and return its offset, or raise `Unavailable`."""

    def once_safe(self, act: Callable[[], None]) -> None:
        """Have something done once the record is safe, whether or not anybody waits for it."""


class Sink(Protocol):
    """Takes records for any topic."""

    def append(self, topic: str, value: bytes, *, key: str, partition: int | None = None) -> Append:
        """Send a record; it is safe only once its `Append.offset` returned."""


class Source(Protocol):
    """Partitions shared out in a group; reading starts only where `start` says."""

    def identity(self) -> str:
        """Return the id of the topic, which a topic made again does not share; empty if unknown."""

    def poll(self, seconds: float) -> list[Record]:
        """Return the next records of the partitions that were started, after some time at most.

        Raises
        ------
        Displaced
            If the log does not have what comes next.
        """

    def changes(self) -> tuple[set[int], set[int]]:
        """Return the partitions that came and those that went since the last call."""

    def start(self, offsets: Mapping[int, int | None]) -> None:
        """Begin to read partitions at their offsets, None for the oldest record there is."""

    def lag(self, partitions: Iterable[int]) -> dict[int, Lag]:
        """Return how many offsets are still to be returned."""

    def commit(self, offsets: Mapping[int, int]) -> None:
        """Note how far we are; for lag tools alone, so nobody waits for it."""

    def close(self) -> None:
        """Leave the group, so that others take over at once."""


class Log(Protocol):
    """A partition read from one offset to another, outside of any group."""

    def read(
        self, topic: str, begin: int | None, end: int, *, partition: int = 0
    ) -> Iterable[Record]:
        """Return the records of a partition in [begin, end), begin None for the oldest.

        What expired of them is left out.
        """

    def read_all(self, topic: str, begin: int | None = None) -> Iterable[Record]:
        """Return the records of partition 0 from `begin`, None for the oldest, to the newest."""

    def identity(self, topic: str) -> str:
        """Return the id of a topic, which one made again does not share; empty if unknown."""

    def bounds(self, topic: str, partition: int = 0) -> tuple[int, int]:
        """Return the first offset and the end that the broker reports.

        The true end may lie a little beyond.
        """


@dataclass(frozen=True, slots=True)
class Clients:
    """A job's connections to the broker."""

    source: Source
    sink: Sink
    log: Log
