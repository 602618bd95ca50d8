"""Contents: a list of what stands where on the quality topic, so that nobody reads all of it.

The topic grows by gigabytes a month and is kept for ever. Whoever wants the verdicts of a run, or
an alarm, reads the list, which is compacted, and then the stretch that holds them. What the list
does not reach yet is read besides, so it may be late, or not there at all.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from consumers.exactly_once.quality_log import QualityReader
from consumers.exactly_once.resuming import Known, find
from consumers.wire import contents_form, topics
from consumers.wire.block import DecodeError
from consumers.wire.contents_form import AlarmEntry, Reached, RunEntry
from consumers.wire.letters import Unsent
from consumers.wire.record import Unavailable, digest
from monitor.quality.alarms import Alarm, State
from monitor.quality.verdicts import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from consumers.wire.contents_form import Entry
    from consumers.wire.letters import Letters
    from consumers.wire.record import Log, Record, Sink
    from monitor.quality.records import QualityRecord

logger = logging.getLogger(__name__)

WRITE_S = 10.0
"""Wall-clock time between two additions to the list, s."""


@dataclass(slots=True)
class Contents:
    """Runs and alarms of the quality topic, up to `reached`."""

    id: str = ""
    """Of the quality topic."""

    reached: Reached = field(default_factory=lambda: Reached(0))
    runs: dict[int, RunEntry] = field(default_factory=dict)
    alarms: dict[str, AlarmEntry] = field(default_factory=dict)

    def take(self, entry: Entry) -> None:
        """Take in an entry of the list."""
        match entry:
            case RunEntry():
                known = self.runs.get(entry.run, entry)
                both = min(known.begin, entry.begin), max(known.end, entry.end)
                self.runs[entry.run] = RunEntry(entry.run, *both)
            case AlarmEntry():
                self.alarms[entry.alarm] = entry
            case Reached():
                self.reached = entry

    def note(self, said: QualityRecord | None, record: Record) -> Entry | None:
        """Take in what a record of the topic says; return what that changes in the list."""
        offset = record.offset
        self.reached = Reached(offset + 1, record.epoch, digest(record))
        if isinstance(said, Verdict):
            self.take(RunEntry(said.run, offset, offset + 1))
            return self.runs[said.run]
        if isinstance(said, Alarm):
            self.take(AlarmEntry(said.id, said.state, said.summary))
            return self.alarms[said.id]
        return None


def listed(log: Log, letters: Letters | None = None) -> Contents:
    """Return the list as far as it was written."""
    id_ = log.identity(topics.QUALITY)
    found = Contents(id_)
    try:
        for record in log.read_all(topics.CONTENTS):
            _take(found, record, letters or Unsent())
    except Unavailable as error:  # a service of before has no such topic
        logger.warning("%s: %s", topics.CONTENTS, error)
        return Contents(id_)
    reached = found.reached
    known = Known(reached.end, id_, reached.epoch, reached.last)
    where = find(known, id_, log, topics.QUALITY)
    if where.again:
        return Contents(id_)
    if where.cut:
        found.reached = Reached(where.begin)
    return found


def _take(found: Contents, record: Record, letters: Letters) -> None:
    try:
        entry, about = contents_form.decode(record.value)
    except DecodeError as error:
        letters.refuse(record, error)
        return
    if about == found.id:
        found.take(entry)


def read(log: Log) -> Contents:
    """Return what stands on the quality topic now."""
    contents, reader = listed(log), QualityReader()
    for record in log.read_all(topics.QUALITY, contents.reached.end):
        contents.note(reader.take(record), record)
    return contents


def verdicts(log: Log, contents: Contents, run: int) -> Iterator[Verdict]:
    """Yield every verdict on a run, in order."""
    entry = contents.runs.get(run)
    if entry is None:
        return
    reader = QualityReader()
    for record in log.read(topics.QUALITY, entry.begin, entry.end):
        said = reader.take(record)
        if isinstance(said, Verdict) and said.run == run:
            yield said


@dataclass(slots=True)
class Lister:
    """Follows the topic, and writes the list while its process's judge is in office."""

    sink: Callable[[], Sink]
    letters: Letters = field(default_factory=Unsent)
    in_office: bool = False
    _contents: Contents = field(default_factory=Contents)
    _changed: dict[str, Entry] = field(default_factory=dict)
    _written: float = 0.0
    _up_to_date: bool = False

    def is_open(self, alarm: str) -> bool | None:
        """Return whether an alarm is open by what judges have said; None until that is read."""
        entry = self._contents.alarms.get(alarm)
        if not self._up_to_date:
            return None
        return entry is not None and entry.state is not State.CLEARED

    def begin(self, log: Log) -> int:
        """Return the offset of the quality topic from which it is to be followed."""
        self._up_to_date = False
        self._contents, self._changed = listed(log, self.letters), {}
        return self._contents.reached.end

    def follow(self, records: Iterable[Record | None]) -> None:
        """Take in records of the quality topic, None for none at the moment."""
        reader = QualityReader(letters=self.letters)
        for record in records:
            self._up_to_date |= record is None
            if record is not None:
                entry = self._contents.note(reader.take(record), record)
                if entry is not None:
                    self._changed[entry.key] = entry
            if self.in_office and self._changed and time.monotonic() - self._written > WRITE_S:
                self.write()

    def write(self) -> None:
        """Add to the list what has changed; how far it reaches comes last."""
        self._written = time.monotonic()
        sink, id_ = self.sink(), self._contents.id
        for entry in (*self._changed.values(), self._contents.reached):
            value = contents_form.encode(entry, id_)
            under_way = sink.append(topics.CONTENTS, value, key=entry.key, partition=0)
        under_way.offset()
        self._changed.clear()
