"""Channel monitor: sums by channel in, alarms of channels and groups out, beside those of regions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from monitor.alarms.channel_casebook import ChannelCasebook
from monitor.alarms.channel_extents import SILENT_NATS, ChannelMoment, silence
from monitor.alarms.channel_reports import ChannelReporter
from monitor.detector.blocks import Blocks
from monitor.judging.channel_masks import ChannelMasks
from monitor.judging.channel_statements import ChannelStatements
from monitor.judging.channel_view import ChannelView
from monitor.quality import records
from monitor.quality.alarms import State
from monitor.reference.channel_constants import square_var
from monitor.reference.live_channels import LiveChannels
from monitor.sequential.channel_units import ChannelUnits
from monitor.sequential.channel_watch import ChannelWatch
from monitor.windows import packing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from models.detector.channels import Channels
    from models.detector.known_bad import KnownBad
    from monitor.alarms.case import Case
    from monitor.alarms.cases import Change
    from monitor.alarms.channel_case import ChannelCase
    from monitor.detector.places import Places
    from monitor.judging.settings import MonitorSettings
    from monitor.quality.alarms import ReferenceSummary
    from monitor.quality.reference_acts import ReferenceAct
    from monitor.reference.expectation import Expectation
    from monitor.windows.channel_sums import ChannelSums
    from monitor.windows.clock import Clock

SAME_S = 60
"""An alarm of a region whose onset is this close to that of one of its channels is the same fault."""


class ChannelMonitor:
    """The watch over single channels: evidence, references, cases.

    Parameters
    ----------
    channels, places
        What is watched.
    certified
        What good showers hold.
    settings
        What an operator may set.
    clock
        The time, as it stands.
    reference
        Returns what "good" is measured against.
    known_bad
        Channels that are known to be bad, and when.
    """

    def __init__(
        self,
        channels: Channels,
        places: Places,
        certified: Expectation,
        settings: MonitorSettings,
        clock: Clock,
        reference: Callable[[], ReferenceSummary],
        known_bad: KnownBad | None = None,
    ) -> None:
        self.channels, self._places, self._clock = channels, places, clock
        self.blocks = Blocks(channels)
        given = {name: members.astype(np.int64) for name, members in channels.groups.items()}
        # Where groups are given they are what fails together; rows and tiles find the rest.
        found = {n: m for n, m in self.blocks.found().items() if n not in given}
        units = ChannelUnits(len(channels), given | found)
        page_at = settings.allowance.channels_at(units)
        warn_at = settings.allowance.channels_at(units, warn=True)
        self.watch = ChannelWatch(
            units,
            self.blocks.pool,
            page_at,
            square_var=square_var(certified, channels.rings),
            floors=settings.floors,
            miscoverage=settings.miscoverage / 4 / settings.live.ends,
            step_s=settings.cell_seconds,
        )
        self.live = LiveChannels(len(channels), self.blocks.pool, settings.live)
        self.cases = ChannelCasebook(self.blocks, page_at, warn_at, len(given))
        reporter = ChannelReporter(channels, places, clock, settings.model, reference)
        self.statements = ChannelStatements(
            channels, self.cases, reporter, clock, self.watch, self.live
        )
        self.masks = ChannelMasks(channels, known_bad)
        self._settling = np.zeros(places.n_regions, bool)
        """Regions whose showers may still hold what is masked by now, shape (R,)."""

        self.view = ChannelView(channels, places, clock, self.watch, self.live)

    # What comes in

    def step(
        self,
        second: int,
        sums: ChannelSums,
        *,
        new: bool,
        held: NDArray[np.bool_],
        distrusted: NDArray[np.bool_],
    ) -> list[Change[ChannelCase]]:
        """Take in a data-second; return what it changes.

        Parameters
        ----------
        held
            Regions with an open alarm of their own that explains their channels, shape (R,).
        distrusted
            Regions that teach nothing now, shape (R,).
        """
        changes = self._ignore(second)
        self.view.add(second, sums)
        if self.watch.step(second, sums, new=new):
            changes += self._decide(held)
        flagged = self.cases.claimed() | self.masks.ignored | self._of_regions(distrusted)
        if new and self.live.step(second, sums, flagged):
            self.live.take_up(self.watch.suspected())
            self._adopt()
        return changes

    def _decide(self, held: NDArray[np.bool_]) -> list[Change[ChannelCase]]:
        # What has changed everywhere explains much, but not that a channel says nothing at all.
        explained = self._of_regions(held) & (silence(self.watch) < SILENT_NATS)
        at = ChannelMoment(
            watch=self.watch,
            total=self.watch.total(),
            now=self._clock.now,
            watched=self._clock.run_watched,
            held=explained,
        )
        changes = self.cases.take(at)
        if changes:
            self._arrange()
        for change in self.cases.follow(at):
            changes.append(change)
            if change.state is State.CLEARED:
                self._forget(change.case)
        if any(change.state is State.CLEARED for change in changes):
            self._arrange()
        for change in changes:
            self.live.flag(change.case.channels, change.case.onset)
        if changes:
            self._adopt()
        return changes

    def distrust(self, regions: list[int], since: int) -> None:
        """Believe the channels of some regions (rows) no longer, from a data-second on."""
        rows = np.zeros(self._places.n_regions, bool)
        rows[regions] = True
        self.live.flag(np.flatnonzero(self._of_regions(rows)).tolist(), since)
        self._adopt()

    def succeed(self, former: ChannelMonitor) -> None:
        """Take over open cases from one that has judged the same seconds by another model."""
        self.cases.restore(former.cases.state())
        self.cases.restart(self._clock.now)
        self.statements.alarms = dict(former.statements.alarms)
        self._arrange()

    def _of_regions(self, regions: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return the channels of some regions, shape (C,)."""
        known = self.channels.region >= 0
        held: NDArray[np.bool_] = known & regions[np.maximum(self.channels.region, 0)]
        return held

    def _forget(self, case: ChannelCase) -> None:
        self.watch.forget(self.watch.units.touching(self.of(case)))

    def of(self, case: ChannelCase) -> NDArray[np.bool_]:
        """Return the channels of a case, shape (C,)."""
        rows = np.zeros(len(self.channels), bool)
        rows[case.channels] = True
        return rows

    def _arrange(self) -> None:
        groups = {case.unit for case in self.cases.open if case.unit >= len(self.channels)}
        self.watch.arrange(self.masks.ignored, self.cases.claimed(), frozenset(groups))

    def _adopt(self) -> None:
        self.watch.adopt(self.live.constants, self.live.epoch, self.live.centre)

    def _ignore(self, second: int) -> list[Change[ChannelCase]]:
        """Put in force what is masked, and what is known to be bad at a data-second.

        Returns the cases that it covers wholly, closed.
        """
        moved = self.masks.turn(second)
        if not moved.any():
            return []
        self._settling = self._settling | self.reached(moved)
        covered = [c for c in self.cases.open if self.masks.ignored[c.channels].all()]
        changes = [self.cases.close(case, self._clock.now) for case in covered]
        self._arrange()
        return changes

    def mask(self, channels: Iterable[int]) -> list[Change[ChannelCase]]:
        """Put masks in force; return the cases that they cover wholly, closed."""
        self.masks.put(channels)
        return self._ignore(self._clock.now)

    def obey(self, act: ReferenceAct, others_since: int | None = None) -> None:
        """Carry out an order about references; what came since then was of other conditions."""
        if others_since is not None:
            self.live.forget(others_since, self.watch.suspected())
        self.live.obey(act, self.watch.suspected())
        self._adopt()

    def anchor(self, since: int) -> list[Change[ChannelCase]]:
        """Move what bounds the constants to what has come since a data-second; close all cases."""
        self.live.anchor(since)
        self._adopt()
        changes = [self.cases.close(case, self._clock.now) for case in list(self.cases.open)]
        self._arrange()
        return changes

    def change(self, key: str) -> None:
        """Put the constants of other conditions in force."""
        if key != self.live.key:
            self.live.change(key, self.watch.suspected())
            self._adopt()

    def new_run(self) -> None:
        """Forget what has been gathered; open cases are judged from here on."""
        self.watch.new_run()
        self.cases.restart(self._clock.now)

    # What it says

    def explained(self) -> NDArray[np.bool_]:
        """Return the regions in whose showers a channel is at fault, shape (R,)."""
        rows = (
            self.reached(self.cases.claimed()) if self.cases.open else np.zeros_like(self._settling)
        )
        return rows | self._settling

    def reached(self, channels: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return the regions whose showers reach some channels, shape (R,)."""
        rows = np.zeros(self._places.n_regions, bool)
        rows[self.blocks.regions_of(channels)] = True
        return rows

    def settle(self) -> NDArray[np.bool_]:
        """Let regions be judged again once showers are scored without what was masked; return them.

        Shape (R,).
        """
        settled, self._settling = self._settling, np.zeros_like(self._settling)
        return settled

    def folds(self, change: Change[ChannelCase], case: Case) -> bool:
        """Return whether an open case of a region is what one of its channels now explains."""
        fresh = change.case
        regions = set(np.flatnonzero(self.reached(self.of(fresh))).tolist())
        near = abs(case.onset - fresh.onset) <= SAME_S or case.onset >= fresh.onset
        return change.state is State.RAISED and near and set(case.regions) <= regions

    # What a stand-by takes up

    def words(self) -> dict[str, Any]:
        """Return what is no array of all that changes, as JSON values."""
        return {
            "cases": self.cases.state(),
            "alarms": [records.to_json(alarm) for alarm in self.statements.alarms.values()],
            "masked": np.flatnonzero(self.masks.masked).tolist(),
            "settling": np.flatnonzero(self._settling).tolist(),
        }

    def state(self) -> dict[str, NDArray[Any]]:
        """Return the arrays of all that changes."""
        live = packing.under("live.", self.live.state())
        return live | packing.under("watch.", self.watch.state())

    def restore(self, words: dict[str, Any], state: dict[str, NDArray[Any]]) -> None:
        """Take up what `words` and `state` returned."""
        self.live.restore(packing.below("live.", state))
        self._adopt()
        self.watch.restore(packing.below("watch.", state))
        self.masks.put(words["masked"])
        self.masks.ignored = self.watch.ignored
        self._settling = np.isin(np.arange(self._places.n_regions), words["settling"])
        self.cases.restore(words["cases"])
        self.statements.restore(words["alarms"])
