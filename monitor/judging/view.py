"""View: what people are shown of a monitor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from monitor.display import board
from monitor.display.latents import moments
from monitor.display.standing import Acknowledged, Budget, Spectrum, Standing, StreamNow
from monitor.sequential.budget import DAY

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monitor.judging.parts import Parts
    from monitor.quality.alarms import Alarm, ReferenceSummary
    from monitor.quality.self_tests import SelfTestResult
    from monitor.reference.expectation import Expectation


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """Looks at the parts of a monitor, and changes none of them."""

    parts: Parts

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
        of, channels = self.parts, self.parts.channels
        clock, references = of.clock, of.belief.now.both
        return Standing(
            detector=of.places.detector.name,
            data_second=clock.second,
            run=max(clock.run, 0),
            lumisection=max(clock.lumisection, 0),
            board=board.regions(
                of.places.detector,
                of.recent,
                of.watch,
                of.sections.grounds,
                clock.now,
                of.settings.min_showers,
                unknown,
            ),
            alarms=self.open_alarms(),
            cleared=of.statements.cleared(),
            acknowledged=tuple(
                Acknowledged(act.alarm, act.who, act.cause, act.until_ns)
                for act in of.crew.in_hand(clock.now_ns, of.statements.open())
            ),
            history=board.history(of.recent, of.watch),
            budget=self.budget(),
            reference=self.reference(),
            reference_distance=of.belief.live.distance(),
            reference_awaited=of.belief.live.awaited(),
            spectra=self._spectrum(references),
            self_tests=self_tests,
            latents=moments(of.watch.memory.lately(), references, of.geometry),
            stream=self._stream(unknown),
            within=tuple(map(of.places.detector.path, of.places.detector.around)),
            channels=()
            if channels is None
            else channels.view.regions(channels.statements.open_alarms()),
            channel_map=None
            if channels is None
            else channels.view.map(channels.statements.open_alarms()),
        )

    def open_alarms(self) -> tuple[Alarm, ...]:
        """Return the newest version of every open alarm, those of channels last."""
        of_channels = (
            () if self.parts.channels is None else self.parts.channels.statements.open_alarms()
        )
        return (*self.parts.statements.open(), *of_channels)

    def _stream(self, unknown: NDArray[np.bool_]) -> StreamNow:
        strays = {**self.parts.attribution.labels.strays, "beyond": self.parts.attribution.beyond}
        regions = self.parts.places.detector.regions
        return StreamNow(
            strays=tuple(strays.items()),
            unknown=tuple(regions[row].name for row in np.flatnonzero(unknown)),
        )

    def reference(self) -> ReferenceSummary:
        """Return what "good" is measured against now."""
        return self.parts.reporter.reference()

    def _spectrum(self, references: tuple[Expectation, ...]) -> tuple[Spectrum, ...]:
        if not self.parts.spectra:
            return ()
        counts = np.sum(list(self.parts.spectra), axis=0)
        return board.spectra(counts, references, self.parts.settings.score_names)

    def budget(self) -> Budget:
        """Return the false pages allowed, the time watched and the pages raised."""
        of = self.parts
        of_channels = 0 if of.channels is None else of.channels.cases.pages
        days = of.settings.allowance.days_per_page
        return Budget(days, of.clock.watched / DAY, of.cases.pages + of_channels)
