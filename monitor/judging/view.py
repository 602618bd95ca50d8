"""View: what people are shown of a monitor."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from monitor.display import board
from monitor.display.latents import moments
from monitor.display.standing import Acknowledged, Budget, Spectrum, Standing, StreamNow
from monitor.sequential.budget import DAY

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

    from models.detector.geometry import Geometry
    from monitor.alarms.casebook import Casebook
    from monitor.alarms.reports import Reporter
    from monitor.detector.places import Places
    from monitor.judging.channel_monitor import ChannelMonitor
    from monitor.judging.crew import Crew
    from monitor.judging.references_in_force import ReferencesInForce
    from monitor.judging.settings import MonitorSettings
    from monitor.judging.statements import Statements
    from monitor.quality.alarms import Alarm, ReferenceSummary
    from monitor.quality.self_tests import SelfTestResult
    from monitor.reference.expectation import Expectation
    from monitor.sequential.watch import Watch
    from monitor.verdicts.attribution import Attribution
    from monitor.verdicts.lumisections import Lumisections
    from monitor.windows.clock import Clock
    from monitor.windows.recent_counts import RecentCounts
    from monitor.windows.rows import Rows


@dataclass(kw_only=True, slots=True, eq=False)
class View:
    """Looks at the parts of a monitor, and changes none of them."""

    places: Places
    geometry: Geometry
    settings: MonitorSettings
    clock: Clock
    watch: Watch
    recent: RecentCounts
    sections: Lumisections
    attribution: Attribution
    cases: Casebook
    statements: Statements
    reporter: Reporter
    belief: ReferencesInForce
    crew: Crew
    channels: ChannelMonitor | None = None
    spectra: deque[NDArray[np.int64]] = field(
        default_factory=lambda: deque(maxlen=board.SPECTRUM_S), init=False
    )
    """P-values of late, counts by score and bin, a window each."""

    def add(self, rows: Rows) -> None:
        """Take in a window: its p-values are part of the spectra of late."""
        self.spectra.append(rows.p_counts.sum(0))

    def standing(
        self, unknown: NDArray[np.bool_], self_tests: tuple[SelfTestResult, ...]
    ) -> Standing:
        """Return all that people are shown.

        Parameters
        ----------
        unknown
            Regions of which nobody knows whether they lack showers, shape (R,).
        self_tests
            What became of injected faults.
        """
        clock, references = self.clock, self.belief.now.both
        of = self.channels
        return Standing(
            detector=self.places.detector.name,
            data_second=clock.second,
            run=max(clock.run, 0),
            lumisection=max(clock.lumisection, 0),
            board=board.regions(
                self.places.detector,
                self.recent,
                self.watch,
                self.sections,
                clock.now,
                self.settings.min_showers,
                unknown,
            ),
            alarms=self.open_alarms(),
            cleared=self.statements.cleared(),
            acknowledged=tuple(
                Acknowledged(act.alarm, act.who, act.cause, act.until_ns)
                for act in self.crew.in_hand(clock.now_ns, self.statements.open())
            ),
            history=board.history(self.recent, self.watch),
            budget=self.budget(),
            reference=self.reference(),
            reference_distance=self.belief.live.distance(),
            reference_awaited=self.belief.live.awaited(),
            spectra=self._spectrum(references),
            self_tests=self_tests,
            latents=moments(self.watch.memory.lately(), references, self.geometry),
            stream=self._stream(unknown),
            channels=() if of is None else of.view.regions(of.open_alarms()),
            channel_map=None if of is None else of.view.map(of.open_alarms()),
        )

    def open_alarms(self) -> tuple[Alarm, ...]:
        """Return the newest version of every open alarm, those of channels last."""
        of_channels = () if self.channels is None else self.channels.open_alarms()
        return (*self.statements.open(), *of_channels)

    def _stream(self, unknown: NDArray[np.bool_]) -> StreamNow:
        strays = {**self.attribution.labels.strays, "beyond": self.attribution.beyond}
        regions = self.places.detector.regions
        return StreamNow(
            strays=tuple(strays.items()),
            unknown=tuple(regions[row].name for row in np.flatnonzero(unknown)),
        )

    def reference(self) -> ReferenceSummary:
        """Return what "good" is measured against now."""
        return self.reporter.reference()

    def _spectrum(self, references: tuple[Expectation, ...]) -> tuple[Spectrum, ...]:
        if not self.spectra:
            return ()
        counts = np.sum(list(self.spectra), axis=0)
        return board.spectra(counts, references, self.settings.score_names)

    def budget(self) -> Budget:
        """Return the false pages allowed, the time watched and the pages raised."""
        days = self.settings.allowance.days_per_page
        of_channels = 0 if self.channels is None else self.channels.cases.pages
        return Budget(days, self.clock.watched / DAY, self.cases.pages + of_channels)

    def state(self) -> NDArray[Any]:
        """Return the spectra of late, an array."""
        return np.array(list(self.spectra), np.int64)

    def restore(self, state: NDArray[Any]) -> None:
        """Take up what `state` returned."""
        self.spectra.clear()
        self.spectra.extend(state.astype(np.int64))
