"""Channel casebook: the open faults of channels and groups, and what becomes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from monitor.alarms.cases import CLEAR_AFTER_S, UPDATE_AGES_S, Cases, Change, due
from monitor.alarms.channel_case import ChannelCase
from monitor.alarms.channel_extents import ALIKE, SILENT_NATS, ChannelExtents, silence
from monitor.alarms.crossings import SAME_FAULT_S
from monitor.quality.alarms import Severity, State
from monitor.sequential.rates import Test

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from monitor.alarms.channel_extents import ChannelMoment, Extent
    from monitor.detector.blocks import Blocks

MOST_OPEN = 64
"""Open cases of channels: beyond, the fault is one of a region."""

TRIED = 4
"""Units a step that are asked whether they are a fault of their own."""


class ChannelCasebook(Cases[ChannelCase]):
    """The open cases, and the rules by which evidence opens and clears them.

    Parameters
    ----------
    blocks
        Channels by rows and columns.
    page_at, warn_at
        Evidence that pages and warns of each unit, data-seconds, shape (U,).
    given
        Groups that the detector file gives: the first of the watch's groups. The rest are rows,
        columns and tiles, which are only where to begin to look.
    """

    def __init__(
        self,
        blocks: Blocks,
        page_at: NDArray[np.float64],
        warn_at: NDArray[np.float64],
        given: int,
    ) -> None:
        super().__init__(ChannelCase)
        self._blocks, self._extents = blocks, ChannelExtents(blocks, given)
        self._n = len(blocks.channels)
        self._page_at, self._warn_at = page_at, np.minimum(warn_at, page_at)

    def take(self, at: ChannelMoment) -> list[Change[ChannelCase]]:
        """Open the case that the evidence of a step makes, and fold one that has spread.

        One is opened: what goes on crossing beside an open case must not keep others waiting.
        """
        crossing = self._crossing(at)
        beside = self._beside(crossing, at)
        pairs = list(zip(beside, crossing, strict=True))
        spread = [(case, unit) for case, unit in pairs if case is not None]
        first = [min(spread, key=lambda pair: pair[0].said)[1]] if spread else []
        apart = _in_turn([unit for case, unit in pairs if case is None], at.now)
        changes: list[Change[ChannelCase]] = []
        for unit in [*first, *apart]:
            fresh = self._case(unit, at)
            same = next((c for c in self.open if self._same(c, fresh)), None)
            if same is None:
                return [*changes, self.enter(fresh, at.now)]
            if all(change.case is not same for change in changes):
                changes.append(self._fold(same, fresh, at))
        return changes

    def _crossing(self, at: ChannelMoment) -> dict[int, int]:
        """Return the units that cross and are not explained, what stands out most first.

        Of each with the channel that says most among those that are not explained.
        """
        ratio = at.total / self._warn_at
        crossing = np.flatnonzero(ratio >= 1)
        if not len(crossing) or len(self.open) >= MOST_OPEN:
            return {}
        odds = at.watch.odds()
        claimed = self.claimed() | at.held
        explained = self._explained(at, odds) & ~claimed
        found = {}
        for unit in crossing[np.argsort(-ratio[crossing], kind="stable")].tolist():
            members = at.watch.units.members(unit)
            beside = members[explained[members]]
            left = members[~(claimed | explained)[members]]
            # A group that those beside a fault make cross is no more than they are.
            if len(left) and odds[left].sum() >= odds[beside].sum():
                found[int(unit)] = int(left[np.argmax(odds[left])])
        return found

    def _beside(self, crossing: dict[int, int], at: ChannelMoment) -> list[ChannelCase | None]:
        """Return the open case that each unit lies beside and crosses since, if there is one."""
        if not crossing:
            return []
        near = [(case, self._blocks.near(case.channels)) for case in self.open]
        onsets = at.watch.onsets(list(crossing)).tolist()
        return [
            next(
                (c for c, here in near if here[best] and abs(c.onset - onset) <= SAME_FAULT_S), None
            )
            for best, onset in zip(crossing.values(), onsets, strict=True)
        ]

    def _explained(
        self, at: ChannelMoment, odds: NDArray[np.float64], but: ChannelCase | None = None
    ) -> NDArray[np.bool_]:
        """Return the channels beside an open case that show no more than its fault does, (C,).

        Showers beside channels that say nothing lack a part: all that they show is explained, but
        that a channel says nothing either.

        Parameters
        ----------
        but
            A case that is not asked.
        """
        out = np.zeros(self._n, bool)
        said, odds = silence(at.watch), odds[: self._n]
        for case in self.open:
            if case is but:
                continue
            silent = float(np.mean(said[case.channels])) >= SILENT_NATS
            shown = (said < SILENT_NATS) if silent else odds < ALIKE * case.odds
            out |= self._blocks.near(case.channels) & shown
        return out

    def _extent(
        self,
        unit: int,
        stream: int,
        onset: int,
        at: ChannelMoment,
        case: ChannelCase | None = None,
        own: Sequence[int] = (),
    ) -> Extent:
        """Return what to name of a fault; `own` are channels that its case claims already."""
        explained = self._explained(at, at.watch.odds(), case)
        free = ~(self.claimed() | at.held | explained)
        free[list(own)] = True
        return self._extents.extent(unit, stream, onset, at, free)

    def _case(self, unit: int, at: ChannelMoment) -> ChannelCase:
        test, stream, onset, odds = at.watch.leading(unit)
        place, level, channels = self._extent(unit, stream, onset, at)
        touches = float(at.watch.touches()[channels].sum())
        share = 1 / self._page_at[unit]
        age = max(at.now - onset, 1) / max(at.watch.run_s, 1)
        return ChannelCase(
            id=f"{place}-{at.now}",
            place=place,
            level=level,
            unit=unit,
            channels=channels,
            onset=min(onset, at.now),
            raised=at.now,
            severity=self._severity(at.total, unit),
            test=test,
            stream=stream,
            odds=odds,
            once_in=float(at.total[unit] * share * self._page_at.min()),
            peak_at=at.now,
            peak=odds,
            checked_at=at.now,
            checked_touches=touches,
            needed_touches=touches * min(age, 1.0),
        )

    def _severity(self, total: NDArray[np.float64], unit: int) -> Severity:
        return Severity.PAGE if total[unit] >= self._page_at[unit] else Severity.WARNING

    # What becomes of it

    def _same(self, case: ChannelCase, fresh: ChannelCase) -> bool:
        """Return whether a fresh case is an open one that has spread: beside it, since then."""
        if set(case.channels) & set(fresh.channels):
            return True
        near = bool(self._blocks.near(case.channels)[fresh.channels].any())
        return near and abs(case.onset - fresh.onset) <= SAME_FAULT_S

    def _fold(
        self, first: ChannelCase, fresh: ChannelCase, at: ChannelMoment
    ) -> Change[ChannelCase]:
        """Make one case of two with one onset."""
        joined = [*first.channels, *(c for c in fresh.channels if c not in first.channels)]
        stronger = fresh if fresh.odds > first.odds or fresh.unit >= self._n else first
        first.unit, first.test, first.stream = stronger.unit, stronger.test, stronger.stream
        first.peak, first.peak_at = stronger.peak, stronger.peak_at
        first.checked, first.checked_at = [], at.now
        found = self._extent(first.unit, first.stream, first.onset, at, first, joined)
        if set(found.channels) & set(joined):
            first.place, first.level, first.channels = found
        first.odds, first.once_in = max(first.odds, fresh.odds), max(first.once_in, fresh.once_in)
        self.upgrade(first, fresh.severity)
        return self.say(first, State.UPDATED, at.now)

    def follow(self, at: ChannelMoment) -> list[Change[ChannelCase]]:
        """Return updates of open cases, and clear those that are over."""
        changes = []
        for case in list(self.open):
            total = float(at.total[case.unit])
            once_in = total / self._page_at[case.unit] * self._page_at.min()
            case.once_in = max(case.once_in, float(once_in))
            case.odds = max(case.odds, at.watch.leading(case.unit)[3])
            if self._severity(at.total, case.unit) is not case.severity is Severity.WARNING:
                self.upgrade(case, Severity.PAGE)
                changes.append(self.say(case, State.UPDATED, at.now))
            elif self._over(case, at):
                changes.append(self.close(case, at.now))
            elif due(case, at.now):
                self._look_again(case, at)
                changes.append(self.say(case, State.UPDATED, at.now))
        return changes

    def _look_again(self, case: ChannelCase, at: ChannelMoment) -> None:
        """Name the channels of a young case by what is known meanwhile."""
        if at.now - case.raised > UPDATE_AGES_S[-1]:
            return
        own = case.channels
        place, level, channels = self._extent(case.unit, case.stream, case.onset, at, case, own)
        case.place, case.level, case.channels = place, level, channels

    def _over(self, case: ChannelCase, at: ChannelMoment) -> bool:
        """Return whether the last stretch speaks against a case.

        As long as it took to find, in time and in showers near it: where none come, nothing speaks.
        """
        paths = at.watch.paths_alike(case.stream, case.unit)
        case.hear(paths, at.now)
        touches = float(at.watch.touches()[case.channels].sum())
        heard = touches - case.checked_touches
        enough = heard >= max(case.needed_touches, 1) or case.test is Test.SEEDS
        if at.now - case.checked_at < max(CLEAR_AFTER_S, case.raised - case.onset) or not enough:
            return False
        case.checked_at, case.checked_touches = at.now, touches
        return not case.goes_on(paths)

    def restart(self, now: int) -> None:
        """Judge open cases by what comes from now on: their evidence has been started anew."""
        for case in self.open:
            case.checked_at, case.checked, case.checked_touches = now, [], 0.0

    def claimed(self) -> NDArray[np.bool_]:
        """Return the channels that open cases claim, shape (C,)."""
        rows = np.zeros(self._n, bool)
        for case in self.open:
            rows[case.channels] = True
        return rows


def _in_turn(units: list[int], now: int) -> list[int]:
    """Return the units to try: those that stand out most, and others in turn."""
    most, others = units[: TRIED // 2], units[TRIED // 2 :]
    begin = now % max(len(others), 1)
    return most + (others[begin:] + others[:begin])[: TRIED - len(most)]
