"""Stands: where each source partition stands in data time, and which partitions agree on it.

Data times are claims: the clock of a producer can be hours off. What counts is what most of the
showers of a partition say, and then what most of the partitions say; a lone claim moves nothing.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from consumers.wire.ranges import Range

SECOND_NS = 10**9
SLACK_NS = SECOND_NS
"""A partition that was read to its end has nothing older than the newest data known at that moment,
less this and the latency that was learnt of it: its next record may have been under way."""

LINK_S = 60
"""Data times that are further apart than this contradict each other, s."""

CLAIMS = 64
"""Claims of a partition that are remembered, ..."""

CLAIM_MS = 30_000
"""... for this long: after half of it a clock that was set is believed."""

JUMP_MS = 60_000
"""A record whose time is so far ahead of the last one's tells of a clock that was set: no time has
passed."""

BACK_MS = 5_000
"""The same for one that lies so far behind."""

FRESH_MS = 2_000
"""A broker's answer that is older than this proves nothing."""

AWAY_MS = 4_000
"""Who did not go on for longer than this was away, whether or not anybody said that it was: workers
speak of each partition every second, and wait themselves while the windows' broker is away."""

RETURN_MS = 30_000
"""After a broker has answered again for this long its producers are back, or do not come."""

SETTLED_MS = 5_000
"""For this long a broker that answers again proves nothing, though its first records are here."""

FORGET = 100
"""A learnt latency falls by a second in so many."""


@dataclass(slots=True)
class Stand:
    """Where one source partition stands."""

    heard_ms: int
    """When it last went on: records came, or its broker said that there are none."""

    ahead_ms: int = 0
    """By how much the times of its records are ahead of the log's time."""

    watermark_ns: int = 0
    """Newest data time that most of its showers of late agree on; 0 before the first."""

    caught_up: bool = False
    """Its broker says that nothing more lies there, and said so just now."""

    idle_ns: int = 0
    """Data time up to which it is proven to have nothing more."""

    latency_ns: int = 0
    """By how much it comes behind the newest, as learnt."""

    spread_ns: int = 0
    """How far its producers are apart, as learnt."""

    back_ms: int = -1
    """When its broker was last away, while its producers may still be on their way; else -1."""

    astray_ms: int = -1
    """Since when its data time is ahead of all others'; -1 while it is not."""

    claims: list[list[int]] = field(default_factory=list)
    """Time of the log, data-second and showers of what it brought of late."""

    @property
    def reached_ns(self) -> int:
        """Return the data time up to which its windows are here."""
        return max(self._own_ns, self.idle_ns)

    @property
    def proven_ns(self) -> int:
        """Return the data time up to which what is not here was not sent either.

        A broker that was away has nothing when it is back: producers find it again after us.
        """
        return self._own_ns if self.back_ms >= 0 else self.reached_ns

    @property
    def _own_ns(self) -> int:
        return 0 if self.astray_ms >= 0 else self.watermark_ns - self.spread_ns

    def claims_at(self, now_ms: int) -> bool:
        """Return whether it said of late where it stands."""
        return bool(self.claims) and now_ms - self.claims[-1][0] <= CLAIM_MS

    def elapsed(self, at_ms: int, now_ms: int) -> int:
        """Return the log's time at a record of this partition: time passes as its own clock says.

        Where a clock was set no time has passed, so that one that was wrong holds nobody up.
        """
        here = at_ms - self.ahead_ms
        if not -BACK_MS <= here - now_ms <= JUMP_MS:
            self.ahead_ms, here = at_ms - now_ms, now_ms
        return max(here, now_ms)

    def hear(self, entry: Range, counts: Mapping[int, int], now_ms: int) -> None:
        """Take in a range: its showers by data-second, at a time of the log."""
        passed = max(now_ms - self.heard_ms, 0)
        self.caught_up = entry.caught_up and entry.answered_ms <= FRESH_MS
        if entry.answered_ms > FRESH_MS or passed > AWAY_MS:
            self.back_ms = now_ms
        if entry.records or self.caught_up:
            self.heard_ms = now_ms
        self.spread_ns = max(self.spread_ns - passed * 1_000_000 // FORGET, 0)
        self.latency_ns = max(self.latency_ns - passed * 1_000_000 // FORGET, 0)
        self.claims += [[now_ms, second, n] for second, n in sorted(counts.items())]
        self.claims = [c for c in self.claims if now_ms - c[0] <= CLAIM_MS][-CLAIMS:]
        if counts:
            self._move(entry.watermark_ns)
        elif entry.records and not self.watermark_ns:  # by a model that is not ours, or not scored
            self.watermark_ns = entry.watermark_ns

    def compare(self, newest_ns: int, now_ms: int, answered_ms: int, *, came: bool) -> None:
        """Take note of where the stream is, beside what came: how far it has nothing more.

        Once what comes is level with the stream, its producers are back.
        """
        slack, waited = SLACK_NS + self.latency_ns, now_ms - self.back_ms
        level = came and newest_ns - self.watermark_ns <= slack
        if waited > RETURN_MS or (level and waited > SETTLED_MS):
            self.back_ms = -1
        if self.caught_up:  # of what comes after this record it says nothing
            proven = newest_ns - slack - answered_ms * 1_000_000
            self.idle_ns = max(self.idle_ns, proven)

    def _move(self, claimed_ns: int) -> None:
        near = self.watermark_ns // SECOND_NS
        _, newest = largest(((second, n) for _, second, n in self.claims), near)
        end = (newest + 1) * SECOND_NS - 1
        reached = min(claimed_ns or end, end)
        contradicted = abs(self.watermark_ns - reached) > LINK_S * SECOND_NS
        self.watermark_ns = reached if contradicted else max(self.watermark_ns, reached)

    def learn(
        self, counts: Mapping[int, int], before_ns: int, newest_ns: int, most_ns: int
    ) -> None:
        """Learn how late it comes.

        Parameters
        ----------
        counts
            Showers by data-second.
        before_ns
            Where it stood before they came.
        newest_ns
            Newest data time of the stream before they came.
        most_ns
            Most that is learnt.
        """
        near = [s for s in counts if abs(s - self.watermark_ns // SECOND_NS) <= LINK_S]
        if not near:
            return
        # What is left of a second is late with all of it.
        apart = before_ns - min(near) * SECOND_NS
        if before_ns and SECOND_NS <= apart <= LINK_S * SECOND_NS:
            self.spread_ns = min(max(self.spread_ns, apart), most_ns)
        behind = newest_ns - max(near) * SECOND_NS
        if self.caught_up and SECOND_NS <= behind <= LINK_S * SECOND_NS:
            self.latency_ns = min(max(self.latency_ns, behind), most_ns)

    def to_json(self) -> dict[str, Any]:
        """Return plain values; `Stand(**values)` is the inverse."""
        told = asdict(self)
        if self.back_ms < 0:  # releases of before do not know it
            del told["back_ms"]
        return told


def largest(claims: Iterable[tuple[int, int]], near: int) -> tuple[int, int]:
    """Return the first and the last second of the connected claims with the most weight.

    Where two groups weigh the same, the one that is closer to `near` is taken, then the older one.

    Parameters
    ----------
    claims
        Second and weight; one at least.

    Examples
    --------
    >>> largest([(100, 5), (101, 5), (90_000, 8)], near=0)
    (100, 101)
    """
    groups: list[list[int]] = []  # first, last, weight
    for second, weight in sorted(claims):
        if groups and second - groups[-1][1] <= LINK_S:
            groups[-1][1] = second
            groups[-1][2] += weight
        else:
            groups.append([second, second, weight])
    first, last, _ = max(groups, key=lambda g: (g[2], -max(g[0] - near, near - g[1], 0), -g[0]))
    return first, last
