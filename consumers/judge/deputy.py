"""Deputy: judges what comes now, while the state that counts takes in what has been.

A judge that was away for days, or that has lost its snapshots, has days of windows before it. A
state that looks back two minutes judges live at once; the one that counts reads on beside it, in
the log's order, says what was not said, and takes the deputy's place when it has come to where that
is. Only the state that counts is ever kept in snapshots.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from consumers.exactly_once.appended import appended
from consumers.wire import topics
from monitor.quality.acknowledgements import Acknowledgement, Mask
from monitor.quality.alarms import Alarm, State
from monitor.quality.verdicts import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from consumers.exactly_once.contents import Contents
    from consumers.exactly_once.quality_log import QualityWriter
    from consumers.judge.settings import JudgeSettings
    from consumers.judge.state import JudgeState
    from consumers.judge.taking import Taking
    from consumers.wire.record import Log, Record
    from monitor.quality.acknowledgements import Masked
    from monitor.quality.records import QualityRecord

logger = logging.getLogger(__name__)


def live_from(log: Log, begin: int, settings: JudgeSettings) -> int:
    """Return the offset of the windows topic from which a deputy judges, `begin` if none is needed."""
    _, end = log.bounds(topics.WINDOWS)
    if end - begin <= settings.behind:
        return begin
    last = next(iter(log.read(topics.WINDOWS, end - 1, end)), None)
    if last is None:
        return begin
    recent = appended(log, topics.WINDOWS, int(last.timestamp_ms - 1000 * settings.live_s))
    return recent if recent - begin > settings.behind else begin


def mask(state: JudgeState, masked: Masked) -> None:
    """Mask what was masked, in a state that has not heard who said so."""
    places, cells = set(state.monitor.places.ids.tolist()), range(state.primary.model.form.n_cells)
    masks = [Mask(region, ()) for region in masked.regions]
    masks += [Mask(region, found) for region, found in masked.cells]
    ours = [m for m in masks if m.region in places and all(cell in cells for cell in m.cells)]
    if ours:
        why = "masked before the state was lost"
        state.acknowledge(Acknowledgement("earlier", "a judge before", why, 0, tuple(ours)))


@dataclass(slots=True)
class Deputy:
    """The two states, and what each may say."""

    past: Taking
    """The state that counts."""

    live: Taking
    log: Log
    writer: QualityWriter
    quality_at: int
    """Of the quality topic; what is said from here on is not in the state that counts."""

    said: Contents | None = None
    """What had been said before the snapshots were lost: it is not said again."""

    said_until: int = 0
    """Offset of the windows topic up to which that is so."""

    _first: tuple[int, int] | None = None
    """Lumisection in which the deputy began: it has not seen all of it."""

    _reading: Iterator[Record] = field(default_factory=lambda: iter(()))

    def __post_init__(self) -> None:
        self.live.keep = lambda *_: None  # of the past, too, in whole lumisections
        self.past.refused = lambda *_: None  # long ago: its worker knows, or is gone
        self.past.publish, self.live.publish = self.recount, self.speak

    @property
    def owed(self) -> int:
        """Return how many records of the windows topic the state that counts is behind."""
        return max(0, self.live.state.at - self.past.state.at)

    def speak(self, said: QualityRecord, at: int) -> bool:
        """Publish what the deputy says."""
        if isinstance(said, Verdict):
            section = (said.run, said.lumisection)
            self._first = self._first or section
            if section == self._first:
                return False
        return self.writer.publish_once(said, at)

    def recount(self, said: QualityRecord, at: int) -> bool:
        """Publish what the state that counts says of the past, unless it was said in its time."""
        if self.said is not None and at < self.said_until:
            if isinstance(said, Verdict):
                entry = self.said.runs.get(said.run)
                if entry is not None and entry.end <= self.quality_at:
                    return False
            elif isinstance(said, Alarm) and said.id in self.said.alarms:
                return False
        return self.writer.publish_once(said, at)

    def step(self, seconds: float) -> bool:
        """Take the past in for a while; return whether it has come to where the deputy is."""
        until = time.monotonic() + seconds
        state = self.past.state
        while time.monotonic() < until and state.at < self.live.state.at:
            record = next(self._reading, None)
            if record is None:
                end = self.live.state.at
                self._reading = iter(self.log.read(topics.WINDOWS, state.at, end))
                record = next(self._reading, None)
                if record is None:  # the log has nothing there
                    state.at = end
                    continue
            self.past.take(record)
        return state.at >= self.live.state.at

    def leave(self) -> None:
        """Clear the alarms that the deputy alone had raised."""
        known = self.past.state.monitor.alarms()
        for alarm in self.live.state.monitor.alarms().values():
            if alarm.state is not State.CLEARED and alarm.id not in known:
                cleared = replace(alarm, version=alarm.version + 1, state=State.CLEARED)
                self.writer.publish_once(cleared, self.past.state.at)
        logger.info("the past is caught up: the deputy leaves at offset %d", self.past.state.at)
