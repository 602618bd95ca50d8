"""The quality topic: alarms, verdicts and acknowledgements, written by one of several judges at a time.

A judge that takes over appends a `judge` record; its offset is the judge's token. What stands
under an older token after that is of a judge that did not know yet, and does not count.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson
from pydantic import TypeAdapter, with_config

from consumers.wire import schema, topics
from consumers.wire.block import DecodeError
from consumers.wire.letters import Unsent
from monitor.quality import records
from monitor.quality.acknowledgements import Acknowledgement
from monitor.quality.bounds import TOLD, Count
from monitor.quality.model_acts import ModelAct
from monitor.quality.reference_acts import ReferenceAct
from monitor.quality.rejection import Rejection
from monitor.quality.run_acts import RunAct

if TYPE_CHECKING:
    from collections.abc import Iterable

    from consumers.exactly_once.snapshots import Manifest
    from consumers.wire.letters import Letters
    from consumers.wire.record import Append, Log, Record, Sink


@with_config(TOLD)
@dataclass(frozen=True, slots=True)
class _Line:
    """One line of the topic: a judge takes office, or says something under its token."""

    judge: str | None = None
    token: Count | None = None
    record: dict[str, Any] | None = None


_LINE = TypeAdapter(_Line)


@dataclass(slots=True)
class QualityReader:
    """Follows the topic; `take` returns what counts."""

    token: int = -1
    letters: Letters = field(default_factory=Unsent)

    def take(self, record: Record) -> records.QualityRecord | None:
        """Return what a Kafka record says, None if it does not count."""
        try:
            return self._said(schema.read(_LINE, record.value), record.offset)
        except records.RecordError as error:
            self.letters.refuse(record, DecodeError(Rejection.SCHEMA, str(error)))
        except DecodeError as error:
            self.letters.refuse(record, error)
        return None

    def _said(self, line: _Line, offset: int) -> records.QualityRecord | None:
        if line.judge is not None:
            self.token = offset
            return None
        if line.token is None or line.record is None:
            raise DecodeError(Rejection.SCHEMA, "neither a judge nor what one says")
        # A reader who begins in the middle has not seen the newest judge arrive.
        if line.token < self.token:
            return None
        # A token is the offset of a record before those under it: what is beyond fences nobody.
        if line.token < offset:
            self.token = line.token
        return records.from_json(line.record)


def identity(said: records.QualityRecord) -> tuple[str, int]:
    """Return what makes a record the same as another: its key and version."""
    if isinstance(said, Acknowledgement | ReferenceAct | ModelAct):
        return f"{records.key(said)}/{said.time_ns}", 0
    if isinstance(said, RunAct):
        return records.key(said), 0
    return records.key(said), said.version


@dataclass(slots=True)
class QualityWriter:
    """The pen of the judge in office: publishes each thing once, also across judges."""

    sink: Sink
    token: int
    published: set[tuple[str, int]]
    """Identities of what earlier judges published since the snapshot that we began with."""

    under_way: list[Append] = field(default_factory=list)
    reached: int = 0
    """All before this offset of the quality topic is safe and older than what we say next."""

    def publish(self, said: records.QualityRecord, at: int) -> bool:
        """Publish a record that an offset of the windows topic led to; return whether it is new."""
        if identity(said) in self.published:
            return False
        value = orjson.dumps({"token": self.token, "at": at, "record": records.to_json(said)})
        key = records.key(said)
        self.under_way.append(self.sink.append(topics.QUALITY, value, key=key, partition=0))
        return True

    def publish_once(self, said: records.QualityRecord, at: int) -> bool:
        """Publish what another state of this judge may say as well."""
        new = self.publish(said, at)
        if new:
            self.published.add(identity(said))
        return new

    def settle(self) -> None:
        """Wait until all that was published is safe."""
        under_way, self.under_way = self.under_way, []
        for append in under_way:
            self.reached = max(self.reached, append.offset() + 1)


UNSENT = Unsent()


def take_office(
    sink: Sink, log: Log, name: str, manifest: Manifest, letters: Letters = UNSENT
) -> QualityWriter:
    """Return the pen of a new judge, knowing what was published since a snapshot."""
    since = manifest.quality_at
    value = orjson.dumps({"judge": name})
    token = sink.append(topics.QUALITY, value, key="judge", partition=0).offset()
    said = read(log.read(topics.QUALITY, since, token), letters, manifest.office)
    return QualityWriter(sink, token, {identity(record) for record in said}, reached=since)


def read(
    found: Iterable[Record], letters: Letters = UNSENT, token: int = -1
) -> list[records.QualityRecord]:
    """Return what counts among records of the quality topic, in order.

    Parameters
    ----------
    token
        Of the judge that was in office before the first of them, where that is known.
    """
    reader = QualityReader(token, letters=letters)
    said = [reader.take(record) for record in found]
    return [record for record in said if record is not None]
