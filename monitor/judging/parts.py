"""Parts: what a monitor is made of, each part once and wired to the others."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, fields
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from models.scoring.scales import LEVELS
from monitor.alarms.casebook import Casebook
from monitor.alarms.crossings import Crossings
from monitor.alarms.kinds import likely
from monitor.alarms.reports import Reporter
from monitor.detector.places import Places
from monitor.display.board import SPECTRUM_S
from monitor.judging.channel_monitor import ChannelMonitor
from monitor.judging.crew import Crew
from monitor.judging.references_in_force import ReferencesInForce
from monitor.judging.statements import Statements
from monitor.reference.expectation import Expectation, of_reference
from monitor.sequential.budget import places_part
from monitor.sequential.watch import Watch
from monitor.verdicts.attribution import Attribution
from monitor.verdicts.lumisections import Lumisections
from monitor.windows import packing
from monitor.windows.clock import Clock
from monitor.windows.recent_counts import RecentCounts
from monitor.windows.score_tables import RecentScores, ScoreTable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.detector.geometry import Geometry
    from models.scoring.reference import ReferenceTable
    from monitor.detector.tree import Detector
    from monitor.judging.settings import MonitorSettings


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Parts:
    """What a monitor is made of; the parts change, which they are does not."""

    settings: MonitorSettings
    places: Places
    geometry: Geometry
    clock: Clock
    scores: RecentScores
    belief: ReferencesInForce
    watch: Watch
    recent: RecentCounts
    spectra: deque[NDArray[np.int64]]
    """P-values of late, counts by score and bin, a window each."""

    reporter: Reporter
    crew: Crew
    cases: Casebook
    sections: Lumisections
    attribution: Attribution
    statements: Statements
    channels: ChannelMonitor | None
    """What watches single channels, where the detector has some."""

    def put_in_force(self) -> None:
        """Test against the references in force, and let verdicts from now on name the newest."""
        watch, belief = self.watch, self.belief
        if watch.references is not belief.now:
            watch.adopt(belief.now)
            watch.shares.change(belief.conditions.key)
        if self.channels is not None:
            self.channels.change(belief.conditions.key)
        self.sections.grounds.reference = watch.expectation.id

    def start_anew(self) -> None:
        """Forget what has been gathered against every place; open cases are judged from here on."""
        self.watch.new_run()
        self.cases.restart()
        if self.channels is not None:
            self.channels.new_run()
        self.clock.run_watched = 0

    def median_moved(self) -> float:
        """Return the largest move of a score's median, in MADs of the reference; 0 if unknown.

        It is not known either where the centre was moved by order: the medians are the old one's.
        """
        return self.scores.moved() if self.belief.live.anchor is None else 0.0

    def state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return everything that changes, as arrays and as JSON values; `restore` is the inverse."""
        out: dict[str, NDArray[Any]] = packing.under("watch.", self.watch.state())
        out |= packing.under("recent.", self.recent.state())
        out |= self.belief.state()
        out["spectra"] = np.array(list(self.spectra), np.int64)
        if self.scores.table is not None:
            out["scores"] = self.scores.table.counts
        words = {
            "cases": self.cases.state(),
            "sections": self.sections.state(),
            "attribution": self.attribution.state(),
            "alarms": self.statements.state(),
            "acks": self.crew.words(),
            "conditions": self.belief.words(),
            "clock": self.clock.state(),
        }
        if self.channels is not None:
            words["channels"] = self.channels.words()
            out |= packing.under("channels.", self.channels.state())
        return out, words

    def restore(self, state: dict[str, NDArray[Any]], words: dict[str, Any]) -> None:
        """Take up what `state` returned."""
        self.watch.restore(packing.below("watch.", state))
        self.recent.restore(packing.below("recent.", state))
        self.belief.restore(words["conditions"], state)
        self.put_in_force()
        self.spectra.clear()
        self.spectra.extend(state["spectra"].astype(np.int64))
        self.scores.forget()
        if "scores" in state:
            self.scores.table = ScoreTable(state["scores"].astype(np.int64))
        self.cases.restore(words["cases"])
        self.sections.restore(words["sections"])
        self.attribution.restore(words["attribution"])
        self.statements.restore(words["alarms"])
        self.crew.restore(words["acks"])
        if self.channels is not None:
            self.channels.restore(words["channels"], packing.below("channels.", state))
            self.sections.grounds.left_out = self.channels.masks.left_out()
        for f, value in zip(fields(Clock), words["clock"], strict=True):
            setattr(self.clock, f.name, value)


def assemble(
    detector: Detector,
    geometry: Geometry,
    reference: ReferenceTable | Expectation,
    settings: MonitorSettings,
) -> Parts:
    """Return the parts of a monitor that begins; see `Monitor` for what they are made from."""
    places, clock, crew = Places(detector), Clock(), Crew()
    expectation = reference if isinstance(reference, Expectation) else of_reference(reference)
    belief = ReferencesInForce(expectation, places, settings.live, clock)
    part = places_part(places)
    page_at = settings.allowance.page_at(places) / part
    warn_at = settings.allowance.warn_at(places) / part
    watch = Watch(
        places,
        belief.now,
        page_at,
        floors=settings.floors,
        miscoverage=settings.miscoverage,
        cell_seconds=settings.cell_seconds,
    )
    recent = RecentCounts(places.n_regions, len(expectation.showers), len(LEVELS))
    reporter = Reporter(
        places, geometry, watch, recent, clock, settings.model, settings.score_names
    )
    crossings = Crossings(
        places, page_at, warn_at, reporter.symptoms, partial(likely, geometry=geometry)
    )
    cases = Casebook(places, crossings)
    sections = Lumisections(places, settings.min_showers, settings.model, settings.software)
    return Parts(
        settings=settings,
        places=places,
        geometry=geometry,
        clock=clock,
        scores=RecentScores(None if isinstance(reference, Expectation) else reference),
        belief=belief,
        watch=watch,
        recent=recent,
        spectra=deque(maxlen=SPECTRUM_S),
        reporter=reporter,
        crew=crew,
        cases=cases,
        sections=sections,
        attribution=Attribution(sections),
        statements=Statements(cases, reporter, clock, crew),
        channels=_channels(places, expectation, settings, clock, reporter),
    )


def _channels(
    places: Places,
    expectation: Expectation,
    settings: MonitorSettings,
    clock: Clock,
    reporter: Reporter,
) -> ChannelMonitor | None:
    """Return what watches the channels, None where the detector says none."""
    channels, known_bad = places.detector.channels, places.detector.known_bad
    if channels is None:
        return None
    return ChannelMonitor(
        channels, places, expectation, settings, clock, reporter.reference, known_bad
    )
