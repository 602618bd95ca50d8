"""Pending range: what has been scored of one partition since its last range."""

from __future__ import annotations

import math
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from consumers.exactly_once.fence import Tail
from consumers.wire import channel_columns
from consumers.wire.ranges import MAX_WORST, Range, Worst
from consumers.wire.record import digest
from monitor.judging.comparison import Joint

if TYPE_CHECKING:
    from consumers.score.producer_counts import ProducerCounts
    from consumers.score.scoring import ModelsInForce
    from consumers.wire.block import Block
    from consumers.wire.ranges import Stream
    from consumers.wire.record import Record
    from consumers.wire.strange import StrangeShower
    from consumers.wire.window_form import WindowForm
    from monitor.display.metrics.showers import ShowerCounts
    from monitor.windows.window import Window, WindowKey

KEPT_PER_REGION = 2
"""Strange showers of a region that a range keeps for people to look at."""


@dataclass(slots=True)
class PendingRange:
    """Counts of one partition between two ranges; `range_` says them, `next` begins anew."""

    stream: Stream
    token: int
    begin: int | None
    """Offset at which the next range begins; None before the first record was seen."""

    counts: ProducerCounts
    """What producers count; it goes on from stretch to stretch."""

    follows: int | None = None
    """End of the range before, where it is another place than `begin`."""

    tail: Tail = field(default_factory=Tail)
    """Of the last range before the first of ours."""

    watermark_ns: int = 0
    caught_up: bool = False
    answered_ms: int = 0
    """How long ago the broker said so."""

    kept_up_at: float = -math.inf
    """Monotonic time at which the partition was last read to its end, s."""

    opened_at: float = field(default_factory=time.monotonic)
    """Monotonic time at which we came to the partition, s."""

    told_caught_up: bool = False
    """What the last range said."""

    told_at: float = 0.0
    end: int = 0
    windows: dict[WindowKey, Window] = field(default_factory=dict)
    shadow: dict[WindowKey, Window] = field(default_factory=dict)
    """Windows of the same showers by the model in shadow."""

    joint: Joint = field(default_factory=Joint)
    shed: Counter[tuple[int, int, int]] = field(default_factory=Counter)
    """Showers that were not scored, by run, lumisection and region."""

    shed_until: int = 0
    """Newest data-second of such showers."""

    rejects: Counter[str] = field(default_factory=Counter)
    missing: int = 0
    uncounted: int = 0
    """Records whose producers do not count: nobody can tell whether some are missing."""

    records: int = 0
    newest_record: Record | None = None
    """The last that was taken, by this stretch or one before it."""

    lost_ns: tuple[int, int] = (0, 0)
    """Newest data time before what was lost and first after it, ns."""

    showers: int = 0
    newest: tuple[int, int, int] = (0, 0, 0)
    """Data time in ns, run and lumisection of the newest shower."""

    strange: dict[int, list[StrangeShower]] = field(default_factory=dict)
    """Worst showers by region, worst first."""

    seen: ShowerCounts | None = None
    """What is counted in series once the range is safe; None before the first shower."""

    letters: list[bytes] = field(default_factory=list)
    """Dead letters that are still to be sent."""

    @property
    def partition(self) -> int:
        """Return the source partition."""
        return self.stream.partition

    def took(self, record: Record) -> None:
        """Count a record, decoded or not."""
        if self.begin is None:
            self.begin = record.offset
        self.end = record.offset + 1
        self.newest_record = record
        self.records += 1

    def noted(self, block: Block, key: bytes | None) -> None:
        """Take note of a block's time, and of what its producer counts."""
        first, last = int(block.time_ns.min()), int(block.time_ns.argmax())
        if self.follows is not None and not self.lost_ns[1]:
            self.lost_ns = (self.lost_ns[0], first)
        # A block's first time: what other regions send for the same stretch may still follow.
        self.watermark_ns = max(self.watermark_ns, first)
        self.newest = max(
            self.newest,
            (int(block.time_ns[last]), int(block.run[last]), int(block.lumisection[last])),
        )
        self.showers += block.showers.n
        missing = self.counts.missing(block, key)
        self.missing += missing or 0
        self.uncounted += missing is None

    def count(self, window: Window) -> None:
        """Add a window."""
        _add(window, self.windows)

    def count_shadow(self, window: Window) -> None:
        """Add a window of the model in shadow."""
        _add(window, self.shadow)

    def leave_out(self, block: Block) -> None:
        """Count the showers of a block that is not scored."""
        self.shed.update(
            zip(block.run.tolist(), block.lumisection.tolist(), block.region.tolist(), strict=True)
        )
        self.shed_until = max(self.shed_until, int(block.time_ns.max()) // 10**9)

    def keep(self, shower: StrangeShower) -> None:
        """Keep a strange shower if it is among the worst of its region."""
        kept = self.strange.setdefault(shower.region, [])
        kept.append(shower)
        kept.sort(key=lambda s: (s.p, s.offset, s.row))
        del kept[KEPT_PER_REGION:]

    @property
    def position(self) -> int:
        """Return the offset below which everything has been taken."""
        return max(self.begin or 0, self.end)

    def bytes(self, form: WindowForm) -> int:
        """Return about how much memory the windows take; what is sparse is small numbers."""
        both = (*self.windows.values(), *self.shadow.values())
        rows = sum(len(window.regions) for window in both)
        return rows * form.row_bytes + sum(channel_columns.LIMIT_BYTES * w.channels.n for w in both)

    def has_news(self) -> bool:
        """Return whether a range would say anything new."""
        return self.records > 0 or self.caught_up != self.told_caught_up

    def range_(self, worker: str, group: str, lineup: ModelsInForce) -> Range | None:
        """Return what the stretch came to, None if it cannot be placed yet."""
        if self.begin is None:
            return None
        showers = sorted(
            (s for kept in self.strange.values() for s in kept), key=lambda s: (s.p, s.offset)
        )
        newest = self.newest_record
        return Range(
            topic=self.stream.topic,
            partition=self.partition,
            token=self.token,
            begin=self.begin,
            end=self.position,
            watermark_ns=self.watermark_ns,
            caught_up=self.caught_up,
            showers=self.showers,
            records=self.records,
            rejects=dict(self.rejects),
            missing=self.missing,
            seqs=self.counts.to_json(),
            worker=worker,
            model=lineup.primary.hash,
            worst=tuple(
                Worst(s.p, s.partition, s.offset, s.row, s.event_id, s.region, s.time_ns)
                for s in showers[:MAX_WORST]
            ),
            shadow="" if lineup.shadow is None else lineup.shadow.hash,
            joint=() if lineup.shadow is None else tuple(self.joint.to_list()),
            masked=lineup.masked.digest,
            shed=tuple((*place, n) for place, n in sorted(self.shed.items())),
            shed_until=self.shed_until,
            answered_ms=self.answered_ms,
            said_ms=int(time.time() * 1000),
            topic_id=self.stream.id,
            group=group,
            follows=self.follows,
            lost_ns=self.lost_ns,
            epoch=self.tail.epoch if newest is None else newest.epoch,
            last=self.tail.last if newest is None else digest(newest),
        )

    def next(self, at: float) -> PendingRange:
        """Return the empty stretch that follows."""
        return PendingRange(
            stream=self.stream,
            token=self.token,
            begin=None if self.begin is None else self.position,
            counts=self.counts,
            newest_record=self.newest_record,
            tail=self.tail,
            caught_up=self.caught_up,
            answered_ms=self.answered_ms,
            kept_up_at=self.kept_up_at,
            opened_at=self.opened_at,
            told_caught_up=self.caught_up,
            told_at=at,
        )


def _add(window: Window, windows: dict[WindowKey, Window]) -> None:
    known = windows.get(window.key)
    windows[window.key] = window if known is None else known + window


def in_order(windows: dict[WindowKey, Window]) -> list[Window]:
    """Return windows by their keys."""
    return [windows[key] for key in sorted(windows)]
