"""Decider: what the evidence of a step opens, changes and closes, and how it is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from monitor.alarms.crossings import Moment
from monitor.judging.statements import span
from monitor.quality.alarms import State

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from monitor.alarms.case import Case
    from monitor.alarms.cases import Change
    from monitor.alarms.channel_case import ChannelCase
    from monitor.judging.channel_monitor import ChannelMonitor
    from monitor.judging.parts import Parts
    from monitor.judging.statements import Statement
    from monitor.quality.alarms import Alarm
    from monitor.quality.verdicts import Verdict
    from monitor.windows.channel_sums import ChannelSums


class Decider:
    """Lets the evidence open, change and close cases, of places and of channels, and tells it.

    It alone arranges what counts for which place: what is masked, or explained by a case, does
    not count for the places around it.

    Parameters
    ----------
    parts
        Those of the monitor that it decides for.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._watch, self._cases, self._places = parts.watch, parts.cases, parts.places
        self._channels, self._sections = parts.channels, parts.sections

    def places(self) -> list[Statement]:
        """Return what the evidence against places changes after a step."""
        return [record for change in self._decide() for record in self.tell(change)]

    def channels(
        self, channels: ChannelMonitor, second: int, sums: ChannelSums, *, new: bool
    ) -> list[Statement]:
        """Take in the sums by channel; an alarm of a region that a channel explains ends in its.

        Parameters
        ----------
        channels
            What watches them.
        second, sums
            Of one data-second.
        new
            Whether it is not late.
        """
        diffuse = np.zeros(self._places.n_regions, bool)
        for case in self._cases.open:
            diffuse[case.regions] |= case.diffuse
        out: list[Statement] = []
        distrusted = self._cases.claimed() | self._watch.masked
        changes = channels.step(second, sums, new=new, held=diffuse, distrusted=distrusted)
        self._sections.grounds.left_out = channels.masks.left_out()
        for change in changes:
            folded = [case for case in self._cases.open if channels.folds(change, case)]
            for case in folded:
                change.case.children += [case.id, *case.children]
            out += self.close(folded)
            out += self._tell_channel(channels, change)
        for done in [c.case for c in changes if c.state is State.CLEARED]:
            self.judge_again(channels.reached(channels.of(done)))
        if changes:
            self.arrange()
        return out

    def judge_again(self, regions: NDArray[np.bool_]) -> None:
        """Begin anew with what was explained by a channel in some regions, shape (R,)."""
        if regions.any():
            self._watch.forget(self._places.touching(regions))
            self.arrange()

    def _decide(self) -> list[Change[Case]]:
        """Return which cases open, change and close by the evidence of a step."""
        clock, cases = self._parts.clock, self._cases
        total = self._watch.evidence.total()
        if self._channels is not None:  # a channel that is at fault explains its region
            total[self._places.inside(self._channels.explained())] = 0.0
        at = Moment(self._watch, total, clock.now, clock.run_watched)
        changes = cases.take(at)
        if changes:
            self.arrange()
        for change in cases.follow(at):
            changes.append(change)
            if change.state is State.CLEARED:
                self._watch.forget(cases.inside(change.case))
        if any(change.state is State.CLEARED for change in changes):
            self.arrange()
        return changes

    def arrange(self, masked: NDArray[np.bool_] | None = None) -> None:
        """Let places count what is neither masked, shape (R,), nor explained by open cases."""
        masked = self._watch.masked if masked is None else masked
        explained = self._cases.explained()
        if self._channels is not None:
            explained = explained | self._places.explained(self._channels.explained())
        changed = self._watch.arrange(masked, explained)
        if changed.any():
            self._cases.restart(changed)
        if self._watch.look_within(self._cases.known(), ~self._cases.struck()):
            self._cases.restart()

    def mask(self) -> list[Statement]:
        """Put the crew's masks in force; cases that they cover wholly are closed."""
        parts = self._parts
        found = parts.crew.masks(parts.clock.now_ns, self._places, self._watch.cells.n_latents)
        self._sections.grounds.masked = found.causes
        self._watch.mask_cells(found.cells)
        self.arrange(found.regions)
        out = self.close([c for c in self._cases.open if found.touched[c.regions].all()])
        self._watch.forget(self._places.touching(found.touched))
        self.arrange()
        self._cases.restart()
        if self._channels is not None:
            for change in self._channels.mask(found.channels):
                out += self._tell_channel(self._channels, change)
            self._sections.grounds.left_out = self._channels.masks.left_out()
            self.arrange()
        return out

    def anchored(self, second: int | None) -> list[Statement]:
        """Return what ends with a centre of the reference that is moved by order.

        Every open alarm does, since it was held against the old centre.

        Parameters
        ----------
        second
            From which on the new one was learnt.
        """
        out = self.close(list(self._cases.open))
        if self._channels is not None and second is not None:
            for moved in self._channels.anchor(second):
                out += self._tell_channel(self._channels, moved)
        self.arrange()
        return out

    def close(self, cases: Iterable[Case]) -> list[Statement]:
        """Close cases now, and return what that changes."""
        now = self._parts.clock.now
        return [record for case in cases for record in self.tell(self._cases.close(case, now))]

    def tell(self, change: Change[Case]) -> list[Alarm | Verdict]:
        """Return the alarm of a change, and the verdicts that it amends."""
        parts = self._parts
        alarm = parts.statements.alarm(change, parts.median_moved())
        parts.belief.flag(change.case)
        if self._channels is not None:
            self._channels.distrust(change.case.regions, change.case.onset)
        parts.put_in_force()
        return [alarm, *self._sections.claim(change.case.regions, span(change.case, alarm))]

    def _tell_channel(
        self, channels: ChannelMonitor, change: Change[ChannelCase]
    ) -> list[Statement]:
        """Return the alarm of a change of channels, and the verdicts that it amends."""
        alarm = channels.statements.tell(change)
        self._sections.grounds.left_out = channels.masks.left_out()
        out: list[Statement] = [alarm]
        for row, span_ in channels.statements.spans(change, alarm).items():
            out += self._sections.claim([row], span_)
        return out
