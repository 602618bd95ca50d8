"""Seconds: windows of many partitions become closed data-seconds, by a rule of the log alone.

Nothing here reads a clock: time passes as the records of the windows topic say. So a replay of
the topic closes the same seconds at the same records, and gives the same alarms. Nobody's clock is
believed alone either: the stream's time is the newest member of the largest connected group of
partitions, and what lies ahead of it is held until it is known which of the two is wrong.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from consumers.exactly_once.closed import Closed, regions, rows, together
from consumers.exactly_once.stands import LINK_S, SECOND_NS, SLACK_NS, Stand, largest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from consumers.exactly_once.closed import ByModel
    from consumers.wire.ranges import Range
    from monitor.windows.window import WindowKey

LATENCY_S = 30.0
"""Most latency that is learnt, data time, s."""

PATIENCE_NS = 5 * SECOND_NS
"""A partition further behind than this, in data time, is not waited for ..."""

PATIENCE_MS = 15_000
"""... if it also did not go on for this long: a partition that catches up is waited for, ..."""

WAIT_NS = 600 * SECOND_NS
"""... but not if it is further behind than this."""

QUIET_MS = 5_000
"""When nothing came for this long and all partitions are idle, what is open is closed."""

END_MS = 60_000
"""When nothing came for this long, what is open of lumisections gets its verdict."""

HOLD_MS = 30_000
"""What is ahead of all others for this long has a wrong clock, and is put where the others are."""

MAX_ROWS = 20_000
"""Most rows, of a window and a region, that are open; beyond, seconds are closed before their time."""


@dataclass(slots=True)
class Seconds:
    """Windows that are still open, and how far each partition has come."""

    stands: dict[int, Stand] = field(default_factory=dict)
    windows: dict[WindowKey, ByModel] = field(default_factory=dict)
    closed: int = 0
    """Seconds below this are closed; what still comes for them is a late addition."""

    now_ms: int = 0
    """Time of the log that has passed, since its first record."""

    fed_ms: int = 0
    """The same at the newest record that brought windows."""

    newest_ns: int = 0
    """Data time of the stream."""

    live: bool = False
    """Most of the partitions that the stream's time is of are read to their ends: who is far ahead of
    them has a wrong clock, and is not only read faster."""

    held: dict[WindowKey, int] = field(default_factory=dict)
    """Open windows that are ahead of the stream, and since when they are here."""

    routes: dict[int, set[int]] = field(default_factory=dict)
    """Partitions that each region has ever come on."""

    counted: Counter[str] = field(default_factory=Counter)
    """Showers put at another second (`ahead`), seconds closed before their time (`forced`)."""

    latency_s: float = LATENCY_S
    """Most latency that is learnt, s."""

    @classmethod
    def from_json(cls, words: dict[str, Any], latency_s: float = LATENCY_S) -> Seconds:
        """Return seconds with no open windows, as they stood in a snapshot."""
        return cls(
            stands={partition: Stand(**values) for partition, values in words["stands"]},
            closed=words["closed"],
            now_ms=words["now_ms"],
            fed_ms=words["fed_ms"],
            newest_ns=words["newest_ns"],
            live=words["live"],
            routes={region: set(partitions) for region, partitions in words["routes"]},
            counted=Counter(words["counted"]),
            latency_s=latency_s,
        )

    def to_json(self) -> dict[str, Any]:
        """Return all but the open windows as plain values; `from_json` is the inverse."""
        return {
            "stands": [[p, stand.to_json()] for p, stand in self.stands.items()],
            "closed": self.closed,
            "now_ms": self.now_ms,
            "fed_ms": self.fed_ms,
            "newest_ns": self.newest_ns,
            "live": self.live,
            "routes": [[region, sorted(on)] for region, on in self.routes.items()],
            "counted": dict(self.counted),
        }

    # What comes in

    def opened(self, partition: int, at_ms: int) -> None:
        """Take note that a worker took a partition over: from now on it is waited for."""
        stand = self._stand(partition, at_ms)
        stand.caught_up = False
        stand.heard_ms = self.now_ms

    def add(self, entry: Range, windows: Mapping[WindowKey, ByModel], at_ms: int) -> list[Closed]:
        """Take in a range; return what came late, and the seconds that it closes, in order."""
        stand = self._stand(entry.partition, at_ms)
        counts: Counter[int] = Counter()
        for key, found in windows.items():
            window = next(iter(found.values()))
            counts[key.second] += max(window.n, 1)
            for region in window.regions.tolist():
                self.routes.setdefault(region, set()).add(entry.partition)
        before = stand.watermark_ns
        stand.hear(entry, counts, self.now_ms)
        stand.learn(counts, before, self.newest_ns, int(self.latency_s * SECOND_NS))
        if windows:
            self.fed_ms = self.now_ms
        self._look_round()
        stand.compare(self.newest_ns, self.now_ms, entry.answered_ms, came=bool(counts))
        late = self._sort_in(stand, windows)
        return late + self._close()

    def _stand(self, partition: int, at_ms: int) -> Stand:
        stand = self.stands.get(partition)
        if stand is None:
            stand = self.stands[partition] = Stand(self.now_ms, at_ms - self.now_ms)
        self.now_ms = stand.elapsed(at_ms, self.now_ms)
        return stand

    def _sort_in(self, stand: Stand, windows: Mapping[WindowKey, ByModel]) -> list[Closed]:
        late = []
        astray = stand.astray_ms >= 0 and self._is_over(stand.astray_ms)
        for key, found in windows.items():
            if key.second < self.closed:
                late.append(Closed(key.second, (found,), late=True))
            elif self._ahead(key.second) and astray:
                self._place(key, found)
            else:
                known = self.windows.get(key)
                self.windows[key] = found if known is None else together(known, found)
        return late

    def _place(self, key: WindowKey, found: ByModel) -> None:
        """Put windows with a wrong clock where the stream is."""
        second = max(self.closed, self.newest_ns // SECOND_NS)
        moved = key._replace(second=second)
        placed = {model: replace(window, key=moved) for model, window in found.items()}
        self.counted["ahead"] += next(iter(found.values())).n
        known = self.windows.get(moved)
        self.windows[moved] = placed if known is None else together(known, placed)

    # Where the stream is

    def _ahead(self, second: int) -> bool:
        return second > self.newest_ns // SECOND_NS + LINK_S

    def _look_round(self) -> None:
        """Find the time of the stream, and who contradicts it."""
        claiming = [stand for stand in self.stands.values() if stand.claims_at(self.now_ms)]
        if not claiming:
            return
        marks = [(stand.watermark_ns // SECOND_NS, 1) for stand in claiming]
        first, last = largest(marks, self.newest_ns // SECOND_NS)
        group = [s for s in claiming if first <= s.watermark_ns // SECOND_NS <= last]
        self.live = sum(stand.caught_up for stand in group) * 2 > len(group)
        newest = max(stand.watermark_ns for stand in group)
        if newest < self.newest_ns:
            self._turn_back(newest)
        else:
            self.newest_ns = newest
        for stand in self.stands.values():
            if not self._ahead(stand.watermark_ns // SECOND_NS):
                stand.astray_ms = -1
            elif stand.astray_ms < 0:
                stand.astray_ms = self.now_ms

    def _turn_back(self, newest: int) -> None:
        """Go back where the stream's time was wrong: most of those that are live say so."""
        if self.live and self.newest_ns - newest > LINK_S * SECOND_NS:
            self.newest_ns = newest
            self.closed = min(self.closed, newest // SECOND_NS)
            for stand in self.stands.values():
                stand.idle_ns = min(stand.idle_ns, newest - SLACK_NS)

    # What is closed

    def _close(self) -> list[Closed]:
        self._settle()
        quiet = self._quiet()
        before = max(self.closed, self._end() if quiet else self._frontier())
        n_rows = sum(map(rows, self.windows.values()))
        seconds: dict[int, list[WindowKey]] = {}
        for key in sorted(self.windows):
            if key not in self.held:
                seconds.setdefault(key.second, []).append(key)
        held = frozenset(region for key in self.held for region in regions(self.windows[key]))
        out = []
        for second in sorted(seconds):
            if second >= before:
                if n_rows <= MAX_ROWS:
                    break
                before = second + 1
                self.counted["forced"] += 1
            found = tuple(self.windows.pop(key) for key in seconds[second])
            n_rows -= sum(map(rows, found))
            unproven = self._absent() if quiet else self._unproven(second)
            out.append(Closed(second, found, unproven=unproven, held=held))
        self.closed = before
        return out

    def _settle(self) -> None:
        """Hold what is ahead of the stream, until it is known which of the two is wrong."""
        for key in self.windows:
            if self._ahead(key.second):
                self.held.setdefault(key, self.now_ms)
        n_rows = sum(map(rows, self.windows.values()))
        for key in sorted(self.held, key=lambda key: (self.held[key], key)):
            if not self._ahead(key.second):
                del self.held[key]
            elif self._is_over(self.held[key]) or n_rows > MAX_ROWS:
                del self.held[key]
                n_rows -= rows(self.windows[key])
                self._place(key, self.windows.pop(key))

    def _is_over(self, since_ms: int) -> bool:
        return self.live and self.now_ms - since_ms > HOLD_MS

    def _end(self) -> int:
        open_ = (key.second for key in self.windows if key not in self.held)
        return max(open_, default=self.closed - 1) + 1

    def _frontier(self) -> int:
        """Return the first second that may still get windows in time."""
        if self.newest_ns == 0:
            return self.closed
        waited_for = (s for s in self.stands.values() if not self._given_up(s))
        return min((stand.reached_ns for stand in waited_for), default=0) // SECOND_NS

    def _given_up(self, stand: Stand) -> bool:
        behind = self.newest_ns - stand.reached_ns
        if stand.astray_ms >= 0 or (stand.reached_ns > 0 and behind > WAIT_NS):
            return True
        return behind > PATIENCE_NS and self.now_ms - stand.heard_ms > PATIENCE_MS

    def _unproven(self, second: int) -> frozenset[int]:
        return frozenset(p for p, s in self.stands.items() if s.proven_ns // SECOND_NS <= second)

    def _absent(self) -> frozenset[int]:
        return frozenset(p for p, s in self.stands.items() if s.back_ms >= 0) | self.silent().keys()

    def _quiet(self) -> bool:
        """Return whether nothing came for a while, and nobody who still speaks has more."""
        waits = [(self.now_ms - stand.heard_ms, stand) for stand in self.stands.values()]
        idle = all(
            wait > PATIENCE_MS or (stand.caught_up and wait <= QUIET_MS) for wait, stand in waits
        )
        return idle and self.now_ms - self.fed_ms > QUIET_MS

    def ended(self) -> bool:
        """Return whether nothing came for so long that nothing more of it will."""
        return self._quiet() and self.now_ms - self.fed_ms > END_MS

    # What is not known

    def unknown(self, closed: Closed, asked: Iterable[int]) -> frozenset[int]:
        """Return the regions of which it is not known whether a closed second lacks showers.

        A region is known where all partitions that it has ever come on are proven beyond the
        second; one that never came, where all partitions are.
        """
        unproven, everywhere = closed.unproven, set(self.stands)
        lacking = {r for r in asked if not unproven.isdisjoint(self.routes.get(r, everywhere))}
        return closed.held | lacking

    def silent(self) -> dict[int, int]:
        """Return the partitions that nobody answers for, and how long they did not go on, ms."""
        since = {p: self.now_ms - stand.heard_ms for p, stand in self.stands.items()}
        return {p: ms for p, ms in since.items() if ms > QUIET_MS}
