"""Seconds: windows of many partitions become closed data-seconds, by a rule of the log alone.

Nothing here reads a clock: time passes as the records of the windows topic say. So a replay of
the topic closes the same seconds at the same records, and gives the same alarms.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from consumers.wire.ranges import Range
    from monitor.windows.window import Window, WindowKey

    ByModel = Mapping[str, Window]
    """What each model made of the showers of one key, by the model's hash."""

SECOND_NS = 10**9
SLACK_NS = SECOND_NS
"""A partition that was read to its end has nothing older than the newest data known at that moment,
less this: its next record may have been under way."""

PATIENCE_NS = 5 * SECOND_NS
"""A partition further behind than this, in data time, is not waited for ..."""

PATIENCE_MS = 15_000
"""... if it also said nothing for this long: a partition that catches up is waited for."""

QUIET_MS = 5_000
"""When nothing came for this long and all partitions are idle, what is open is closed."""

JUMP_NS = 3600 * SECOND_NS
"""A partition this far ahead of all others has a wrong clock, and does not set the pace."""


@dataclass(slots=True)
class Stand:
    """Where one source partition stands."""

    watermark_ns: int
    heard_ms: int
    caught_up: bool = False
    idle_ns: int = 0
    """Data time up to which it is known to have nothing more, from when it was last caught up."""

    @property
    def reached_ns(self) -> int:
        """Return the data time up to which its windows are here."""
        return max(self.watermark_ns, self.idle_ns)


@dataclass(slots=True)
class Seconds:
    """Windows that are still open, and how far each partition has come."""

    stands: dict[int, Stand] = field(default_factory=dict)
    windows: dict[WindowKey, ByModel] = field(default_factory=dict)
    closed: int = 0
    """Seconds below this are closed; what still comes for them is a late addition."""

    now_ms: int = 0
    """Time of the newest record of the log."""

    fed_ms: int = 0
    """Time of the newest record that brought windows."""

    @classmethod
    def from_json(cls, stands: list[Any], clock: list[int]) -> Seconds:
        """Return seconds with no open windows, as they stood in a snapshot."""
        closed, now_ms, fed_ms = clock
        known = {partition: Stand(**fields) for partition, fields in stands}
        return cls(known, {}, closed, now_ms, fed_ms)

    def opened(self, partition: int, at_ms: int) -> None:
        """Take note that a worker took a partition over: from now on it is waited for."""
        self.now_ms = max(self.now_ms, at_ms)
        stand = self.stands.setdefault(partition, Stand(0, at_ms))
        stand.caught_up = False
        stand.heard_ms = self.now_ms

    def add(
        self, entry: Range, windows: Mapping[WindowKey, ByModel], at_ms: int
    ) -> list[tuple[ByModel, bool]]:
        """Take in a range; return late windows, and those of the seconds that it closes, in order.

        Returns
        -------
        :
            Windows by model, and whether they are a late addition to a second that is closed.
        """
        self.now_ms = max(self.now_ms, at_ms)
        stand = self.stands.setdefault(entry.partition, Stand(0, at_ms))
        stand.watermark_ns = max(stand.watermark_ns, entry.watermark_ns)
        stand.caught_up, stand.heard_ms = entry.caught_up, self.now_ms
        if entry.caught_up:  # of what comes after this record it says nothing
            stand.idle_ns = max(stand.idle_ns, self._newest() - SLACK_NS)
        if windows:
            self.fed_ms = self.now_ms
        late = [(found, True) for key, found in windows.items() if key.second < self.closed]
        for key, found in windows.items():
            if key.second >= self.closed:
                known = self.windows.get(key)
                self.windows[key] = found if known is None else _together(known, found)
        return late + [(found, False) for found in self._close(self._frontier())]

    def _close(self, before: int) -> list[ByModel]:
        if before <= self.closed:
            return []
        self.closed = before
        ready = sorted(key for key in self.windows if key.second < before)
        ready.sort(key=lambda key: key.second)
        return [self.windows.pop(key) for key in ready]

    def _frontier(self) -> int:
        """Return the first second that may still get windows in time."""
        newest = self._newest()
        if newest == 0:
            return self.closed
        if self._quiet():
            return max((key.second for key in self.windows), default=self.closed - 1) + 1
        waited_for = (s for s in self.stands.values() if not self._given_up(s, newest))
        return min((stand.reached_ns for stand in waited_for), default=0) // SECOND_NS

    def _newest(self) -> int:
        ordered = sorted((stand.watermark_ns for stand in self.stands.values()), reverse=True)
        alone = len(ordered) > 1 and ordered[1] and ordered[0] - ordered[1] > JUMP_NS
        return ordered[1] if alone else max(ordered, default=0)

    def _given_up(self, stand: Stand, newest: int) -> bool:
        behind = newest - stand.reached_ns > PATIENCE_NS
        return behind and self.now_ms - stand.heard_ms > PATIENCE_MS

    def _quiet(self) -> bool:
        idle = all(stand.caught_up for stand in self.stands.values())
        return idle and self.now_ms - self.fed_ms > QUIET_MS


def _together(one: ByModel, other: ByModel) -> ByModel:
    both = dict(one)
    for model, window in other.items():
        both[model] = both[model] + window if model in both else window
    return both
