"""Dead letters: what became of a record that could not be taken, on `calo.rejects.v1`.

No record may end who reads it. One that cannot be digested is said here with its coordinates, the
reason and its first bytes, is counted, and the reader goes on.
"""

from __future__ import annotations

import base64
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import orjson
from pydantic import TypeAdapter, with_config

from consumers.wire import schema, topics
from monitor.quality.bounds import TOLD, Count, Number32
from monitor.quality.rejection import Rejection

if TYPE_CHECKING:
    from collections.abc import Callable

    from consumers.wire.block import DecodeError
    from consumers.wire.record import Append, Record, Sink

logger = logging.getLogger(__name__)

QUOTED_BYTES = 1024
"""What a dead letter quotes of its record."""


@with_config(TOLD)
@dataclass(frozen=True, slots=True)
class Letter:
    """A record that was not taken: where it is and why."""

    topic: str
    partition: Number32
    offset: Count
    timestamp_ms: int
    reason: Rejection
    detail: str
    bytes: Count
    """Length of the record's value."""

    begins: str
    """Its first bytes, base64."""


_LETTER = TypeAdapter(Letter)


def encode(letter: Letter) -> bytes:
    """Return the wire form of a letter; `decode` is the inverse."""
    return orjson.dumps(letter)


def decode(value: bytes | None) -> Letter:
    """Return the letter of a record on `calo.rejects.v1`, or raise `DecodeError`."""
    return schema.read(_LETTER, value)


def letter_of(record: Record, error: DecodeError) -> Letter:
    """Return what is said of a record that could not be taken."""
    value = record.value or b""
    return Letter(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        timestamp_ms=record.timestamp_ms,
        reason=error.reason,
        detail=error.detail,
        bytes=len(value),
        begins=base64.b64encode(value[:QUOTED_BYTES]).decode(),
    )


class Letters(Protocol):
    """Takes what could not be digested."""

    def refuse(self, record: Record, error: DecodeError) -> None:
        """Count a record that could not be taken, and say where it is and why."""


@dataclass(slots=True)
class Unsent:
    """Says in the log what could not be digested: for who only looks, and writes nothing."""

    def refuse(self, record: Record, error: DecodeError) -> None:
        """Log it."""
        logger.warning("%s: %s", place(record), error)


@dataclass(slots=True)
class DeadLetters:
    """Sends each once, as far as a reader remembers; also from several threads."""

    sink: Callable[[], Sink]
    """Asked for when the first letter is sent: most readers never send one."""

    count: Callable[[str], None]
    """Told the topic of each."""

    sent: dict[tuple[str, int, int], None] = field(default_factory=dict)
    under_way: list[Append] = field(default_factory=list)

    def refuse(self, record: Record, error: DecodeError) -> None:
        """Count a record that could not be taken, and send its dead letter."""
        at = (record.topic, record.partition, record.offset)
        if at in self.sent:
            return
        logger.warning("%s: %s", place(record), error)
        value = encode(letter_of(record, error))
        key = f"{record.topic}/{record.partition}"
        self.under_way.append(self.sink().append(topics.REJECTS, value, key=key))
        self.count(record.topic)
        self.sent[at] = None
        while len(self.sent) > REMEMBERED:
            self.sent.pop(next(iter(self.sent)), None)

    def settle(self) -> None:
        """Wait until all that was sent is safe."""
        under_way, self.under_way = self.under_way, []
        for append in under_way:
            append.offset()


REMEMBERED = 10_000
"""Dead letters that are not sent again where a record is read again."""


def place(record: Record) -> str:
    """Return the coordinates of a record, as people write them to have it passed over."""
    return f"{record.topic}[{record.partition}]@{record.offset}"
