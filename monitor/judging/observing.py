"""Observer: takes in data-seconds, in their order or late, and lets them be judged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from models.scoring.scales import LEVELS
from monitor.quality.run_acts import RunNow
from monitor.verdicts.section import Part
from monitor.windows.channel_sums import merged
from monitor.windows.clock import SECOND_NS
from monitor.windows.rows import rows_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.judging.deciding import Decider
    from monitor.judging.parts import Parts
    from monitor.judging.statements import Statement
    from monitor.windows.rows import Rows
    from monitor.windows.window import Window, WindowKey


class Observer:
    """Takes in the windows of data-seconds, and says what they change.

    Parameters
    ----------
    parts
        Those of the monitor.
    decider
        Decides by the evidence that they gather.
    """

    def __init__(self, parts: Parts, decider: Decider) -> None:
        self._parts, self._decider = parts, decider
        self._places, self._clock, self._watch = parts.places, parts.clock, parts.watch
        self.unknown = np.zeros(parts.places.n_regions, bool)
        """Regions of which nobody knows whether they lacked showers in the newest data-second."""

        self.run_now = RunNow.UNSAID
        """Between runs, silence says nothing."""

    def goes_on(self, second: int) -> bool:
        """Return whether a data-second comes after all that were taken in."""
        return self._clock.second is None or second > self._clock.second

    def observe(
        self,
        windows: Sequence[Window],
        *,
        late: bool,
        unknown: frozenset[int],
        masked: bool,
        whole: bool,
    ) -> list[Statement]:
        """Take in all windows of a data-second; see `Monitor.observe`."""
        second, clock, of = windows[0].key.second, self._clock, self._parts
        out: list[Statement] = []
        rows = [rows_of(window, self._places) for window in windows]
        parts = [self._part(w.key, r) for w, r in zip(windows, rows, strict=True)]
        if late:
            for part in parts:
                out += of.attribution.late(part)
            ours = [part.run == clock.run for part in parts]
        else:
            if not self.goes_on(second):
                self._turn_back(second)
            self.unknown = np.zeros(self._places.n_regions, bool)
            if unknown:
                self.unknown = np.isin(self._places.ids, list(unknown))
            ours, said = of.attribution.step(parts, self.unknown)
            clock.second = second
            out += [*self._turn(of.attribution.labels.now[0]), *said]
            clock.tick(*of.attribution.labels.now)
        for window, mine in zip(windows, rows, strict=True):
            of.recent.add(second, mine.showers, mine.exceedances.sum(1), mine.unknown)
            of.spectra.append(mine.p_counts.sum(0))
            of.scores.add(window)
        present = [r for r, mine in zip(rows, ours, strict=True) if mine]
        if present:  # what is of a past run amends its verdicts only
            all_ = sum(present[1:], present[0])
            if of.channels is not None:
                sums = merged(w.channels for w, mine in zip(windows, ours, strict=True) if mine)
                out += self._decider.channels(of.channels, second, sums, new=not late)
            out += self._test(second, all_, new=not late, masked=masked, whole=whole)
        of.put_in_force()
        return out

    def _test(
        self, second: int, rows: Rows, *, new: bool, masked: bool, whole: bool
    ) -> list[Statement]:
        of, watch = self._parts, self._watch
        says = new and whole and self.run_now is not RunNow.BETWEEN
        unknown = self.unknown if says else np.ones(self._places.n_regions, bool)
        watch.step(second, rows, new=new, masked=masked, unknown=unknown)
        if masked and of.channels is not None:
            self._decider.judge_again(of.channels.settle())
        out = self._decider.places()
        of.recent.look_back(case.onset for case in of.cases.open)
        if new:  # what is late may be of a fault that is over: it teaches nothing
            of.belief.step(second, rows, of.cases.claimed() | watch.untrusted)
            of.put_in_force()
        return out + self._anchor()

    def _turn_back(self, second: int) -> None:
        """Go on at an earlier data-second: the clock of the stream was wrong, and is mended."""
        of = self._parts
        of.recent.turn_back(second)
        of.belief.live.turn_back(second)
        if of.channels is not None:
            of.channels.live.turn_back(second)
        of.start_anew()

    def _turn(self, run: int) -> list[Statement]:
        """Start anew if a run begins; return what ends by itself at this time."""
        of, clock = self._parts, self._clock
        changed: list[Statement] = []
        if run != clock.run:
            if self.run_now is RunNow.BETWEEN:
                self.run_now = RunNow.ON
            clock.run_since = clock.now
            if of.belief.changes_with(run):  # while it is known what is suspected
                of.scores.forget()
                changed.append(of.belief.change(run))
                of.put_in_force()
            of.start_anew()
        return [*changed, *self._decider.mask()] if of.crew.dismiss(clock.now_ns) else changed

    def _anchor(self) -> list[Statement]:
        """Move the centre of the reference, if that was ordered and can be done now.

        What a region keeps of its own is found anew.
        """
        of = self._parts
        told = of.belief.anchor(of.cases.open, self._watch.untrusted)
        if told is None:
            return []
        of.put_in_force()
        since = None if told.since_ns is None else told.since_ns // SECOND_NS
        out = [told, *self._decider.anchored(since)]
        of.scores.forget()
        self._watch.shares.forget()  # and what regions have of all showers is good as it is now
        of.start_anew()
        return out

    def _part(self, key: WindowKey, rows: Rows) -> Part:
        at = LEVELS.index(0.01)
        return Part(
            *key,
            present=rows.seen > 0,
            showers=rows.showers.sum(1),
            exceedances=rows.exceedances[..., at].sum(1),
            expected=rows.showers @ self._watch.expectation.rates[:, at],
            outside=rows.unknown,
        )
