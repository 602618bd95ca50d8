"""State: all that a judge knows, as one value that is a function of the windows topic."""

from __future__ import annotations

import logging
from collections import Counter, deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from consumers.exactly_once.fence import Fence, Tail
from consumers.exactly_once.seconds import Seconds
from consumers.exactly_once.stands import LINK_S, SECOND_NS
from consumers.judge.sums import Sums
from consumers.wire import ranges, window_form
from consumers.wire.block import DecodeError
from monitor.judging.comparison import Comparison, Joint
from monitor.quality.acknowledgements import NOTHING_MASKED, Masked
from monitor.quality.alarms import Alarm, WorstShower
from monitor.verdicts import grounds

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from consumers.exactly_once.closed import ByModel, Closed
    from consumers.judge.losses import Loss
    from consumers.judge.models import ModelMonitor
    from consumers.wire.ranges import Open, Range
    from monitor.display.standing import StreamNow
    from monitor.judging.monitor import Monitor
    from monitor.judging.statements import Statement
    from monitor.quality.acknowledgements import Acknowledgement
    from monitor.quality.reference_acts import ReferenceAct
    from monitor.quality.run_acts import RunAct
    from monitor.windows.window import Window, WindowKey

logger = logging.getLogger(__name__)

KEPT_WORST = 8
"""Worst showers of each region that are remembered for the next alarm."""

KEPT_LOSSES = 20
"""Losses of records that the page can tell of."""


@dataclass(slots=True)
class JudgeState:
    """Everything that a judge knows; a function of the windows topic up to `at`."""

    primary: ModelMonitor
    """What is judged by."""

    first: str = ""
    """Hash of the model with which the log began."""

    shadow: ModelMonitor | None = None
    """What runs beside it; its verdicts never leave."""

    comparison: Comparison = field(default_factory=Comparison)
    """Of the shadow with the primary, since it was announced."""

    fence: Fence = field(default_factory=Fence)
    seconds: Seconds = field(default_factory=Seconds)
    worst: dict[int, deque[WorstShower]] = field(default_factory=dict)
    tally: Counter[str] = field(default_factory=Counter)
    """What is counted besides, by the name of its series; see `monitor.display.metrics.counted`."""

    losses: deque[Loss] = field(default_factory=lambda: deque(maxlen=KEPT_LOSSES))
    """The last records of showers that are gone."""

    totals: Counter[str] = field(default_factory=Counter)
    """Showers, records, missing, and records rejected by reason, of the ranges that count."""

    masked: Masked = NOTHING_MASKED
    """What is masked now."""

    masked_after: int = 0
    """Data-second after which all showers were scored without the cells that are masked now."""

    runs_at: int = 0
    """Offset of the runs topic up to which beginnings and ends of runs are taken in."""

    shed_until: int = 0
    """Data-second up to which showers may be missing that were counted and not scored."""

    at: int = 0
    """Offset of the windows topic up to which all is taken in."""

    sums: Sums = field(default_factory=Sums)
    """What the windows of each lumisection come to."""

    owed: int = 0
    """Records of the windows topic before `at` that another state is still taking in."""

    tail: Tail = field(default_factory=Tail)
    """Of the last record before it; blank where that is not known."""

    @property
    def monitor(self) -> Monitor:
        """Return the monitor whose verdicts count."""
        return self.primary.monitor

    @property
    def models(self) -> tuple[str, str, str]:
        """Return the hashes of the first, the primary and the shadow model."""
        shadow = "" if self.shadow is None else self.shadow.model.hash
        return self.first or self.primary.model.hash, self.primary.model.hash, shadow

    def sides(self) -> Iterator[tuple[str, ModelMonitor]]:
        """Yield the sides that there are, with their names."""
        yield "primary", self.primary
        if self.shadow is not None:
            yield "shadow", self.shadow

    def windows(self, value: bytes, entry: Range) -> dict[WindowKey, ByModel]:
        """Return the windows of a range that are by models of ours."""
        found: dict[WindowKey, dict[str, Window]] = {}
        parts = ranges.parts(value, entry)
        for name, side in self.sides():
            model = side.model
            try:
                for window in window_form.windows(parts.get(model.hash, b""), model.form):
                    found.setdefault(window.key, {})[model.hash] = window
            except DecodeError as error:
                if name == "primary":
                    raise
                # A shadow that is damaged is a gap in what it saw, and costs nobody else anything.
                at = (entry.partition, entry.begin)
                logger.warning("windows of the shadow, %d@%d: %s", *at, error)
        return dict(found)

    def opened(self, offset: int, entry: Open, at_ms: int) -> None:
        """Take note of a worker that takes a partition over."""
        self.fence.open(offset, entry)
        self.seconds.opened(entry.partition, at_ms)
        if self.shadow is not None:
            self.comparison.opened(entry.partition)

    def lose(self, loss: Loss) -> tuple[Statement, ...]:
        """Count records of showers that are gone; return the verdicts that this amends."""
        self.losses.append(loss)
        self.tally[f"records_lost/{loss.why}"] += loss.records
        start = loss.since_ns // SECOND_NS
        end = max(start, loss.until_ns // SECOND_NS) + 1
        gone = grounds.Loss(start, end, str(loss))
        if self.shadow is not None:
            self.shadow.monitor.lose(gone)
        return self.monitor.lose(gone)

    def counted(self) -> Counter[str]:
        """Return what there is to be counted in series."""
        return self.tally + Counter(showers_judged=self.totals["showers"])

    def heard_beside(self, entry: Range) -> None:
        """Count whether a range carries the shadow's windows."""
        if self.shadow is None:
            return
        _, primary, shadow = self.models
        sums = None
        if {entry.model, entry.shadow} == {primary, shadow}:
            sums = Joint.from_list(list(entry.joint))
            sums = sums if entry.model == primary else sums.turned()
        self.comparison.heard(entry.partition, entry.showers, sums)

    def leave_out(self, entry: Range) -> tuple[Statement, ...]:
        """Take note of showers that were not scored; return the verdicts that this amends."""
        self.shed_until = max(self.shed_until, self._believed(entry.shed_until))
        if self.shadow is not None:
            self.shadow.monitor.leave_out(entry.shed)
        return self.monitor.leave_out(entry.shed)

    def masking(self, entry: Range, windows: Iterable[WindowKey]) -> None:
        """Take note of windows whose showers were not scored as they would be now."""
        if entry.masked != self.masked.digest:
            seconds = (self._believed(key.second) for key in windows)
            self.masked_after = max([self.masked_after, *seconds])

    def _believed(self, second: int) -> int:
        """Return a data-second, or the last that may be so where a clock is ahead."""
        newest = self.seconds.newest_ns // SECOND_NS
        return min(second, newest + LINK_S) if newest else second

    def _follow_masks(self) -> None:
        """Take note of what is masked, after an act or a second that may have changed it."""
        masked = self.monitor.masked()
        if masked.digest != self.masked.digest:
            reached = [stand.watermark_ns // SECOND_NS for stand in self.seconds.stands.values()]
            opened = [key.second for key in self.seconds.windows]
            after = map(self._believed, (*reached, *opened))
            self.masked_after = max([self.masked_after, *after])
        self.masked = masked

    def judge(self, closed: Closed) -> tuple[Statement, ...]:
        """Judge a closed data-second, or what came late for one; return what it changes."""
        model = self.primary.model.hash
        windows = [found[model] for found in closed.windows if model in found]
        self.sums.add(windows, model)
        said = self._observe(self.monitor, windows, closed)
        self._follow_masks()
        return said

    def _observe(
        self, monitor: Monitor, windows: list[Window], closed: Closed
    ) -> tuple[Statement, ...]:
        if not windows:
            return ()
        return monitor.observe(
            *windows,
            late=closed.late,
            unknown=self.seconds.unknown(closed, monitor.places.ids.tolist()),
            masked=closed.second > self.masked_after,
            whole=closed.second > self.shed_until,
        )

    def judge_beside(self, closed: Closed) -> None:
        """Let the shadow judge a data-second that the primary has judged."""
        if self.shadow is None:
            return
        mine, its = self.primary.model, self.shadow.model
        both = [(f[mine.hash], f.get(its.hash)) for f in closed.windows if mine.hash in f]
        whole = [(one, other) for one, other in both if other is not None and other.n == one.n]
        if not both or len(whole) < len(both):
            if both:
                self.comparison.lacked(closed.second)
            return
        self.comparison.judged(closed.second)
        for one, other in whole:
            self.comparison.primary.add(one, mine.expected_rate)
            self.comparison.shadow.add(other, its.expected_rate)
        self._note(self._observe(self.shadow.monitor, [other for _, other in whole], closed))

    def acknowledge(self, act: Acknowledgement) -> tuple[Statement, ...]:
        """Take in an act of the crew; return what it changes."""
        if self.shadow is not None:
            self._note(self.shadow.monitor.acknowledge(act))
        said = self.monitor.acknowledge(act)
        self._follow_masks()
        return said

    def act(self, act: ReferenceAct) -> tuple[Statement, ...]:
        """Take in an order about references and conditions; return what it changes at once."""
        if self.shadow is not None:
            self._note(self.shadow.monitor.act(act))
        return self.monitor.act(act)

    def run_act(self, act: RunAct) -> tuple[Statement, ...] | None:
        """Take in the beginning or the end of a run; return what it changes, None if it is known."""
        if act.at < self.runs_at:
            return None
        self.runs_at = act.at + 1
        if self.shadow is not None:
            self._note(self.shadow.monitor.run_act(act))
        return self.monitor.run_act(act)

    def ended(self) -> tuple[Statement, ...]:
        """Return verdicts on what is open, if the stream has ended."""
        if not self.seconds.ended():
            return ()
        if self.shadow is not None:
            self.shadow.monitor.close()
        return self.monitor.close()

    def stream(self, judged: StreamNow) -> StreamNow:
        """Return where the stream stands, beside what the monitor knows of it."""
        seconds = self.seconds
        newest = seconds.newest_ns
        return replace(
            judged,
            silent=tuple((p, ms / 1000) for p, ms in sorted(seconds.silent().items())),
            astray=tuple(
                (p, (stand.watermark_ns - newest) / SECOND_NS)
                for p, stand in sorted(seconds.stands.items())
                if stand.astray_ms >= 0
            ),
            open_windows=len(seconds.windows),
            latency_s=max((s.latency_ns for s in seconds.stands.values()), default=0) / SECOND_NS,
            strays=(*judged.strays, ("ahead", seconds.counted["ahead"])),
            forced=seconds.counted["forced"],
        )

    def note(self, alarm: Alarm) -> None:
        """Take note of what the primary says of an alarm, to compare."""
        if self.shadow is not None:
            self.comparison.note(alarm, shadow=False)

    def _note(self, said: tuple[Statement, ...]) -> None:
        for record in said:
            if isinstance(record, Alarm):
                self.comparison.note(record, shadow=True)

    def remember(self, entry: Range) -> None:
        """Remember the worst showers of a range."""
        for w in entry.worst:
            kept = self.worst.setdefault(w.region, deque(maxlen=KEPT_WORST))
            kept.append(
                WorstShower(
                    w.event_id, entry.topic, w.partition, w.offset, w.row, w.region, w.p, w.time_ns
                )
            )
