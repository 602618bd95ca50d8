"""Monitor: windows in, alarms and verdicts out. Pure: the same windows always say the same."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from models.scoring.scales import LEVELS
from monitor.alarms.casebook import Casebook
from monitor.alarms.crossings import Crossings
from monitor.alarms.reports import Reporter
from monitor.detector.places import Places
from monitor.display import board
from monitor.display.latents import moments
from monitor.display.standing import Acknowledged, Budget, Spectrum, Standing
from monitor.judging import masks
from monitor.judging.crew import Crew
from monitor.judging.in_force import Belief
from monitor.judging.settings import MonitorSettings
from monitor.quality import records
from monitor.quality.alarms import Alarm, ReferenceSummary, Severity, State
from monitor.quality.orders import ReferenceAct
from monitor.quality.quality import Quality
from monitor.quality.verdicts import Verdict
from monitor.reference.expectation import Expectation, of_reference
from monitor.sequential.budget import DAY
from monitor.sequential.watch import Watch
from monitor.verdicts.lumisections import OPEN, Lumisections, Span
from monitor.windows import packing
from monitor.windows.clock import Clock
from monitor.windows.ledger import Ledger
from monitor.windows.rows import Rows, rows_of
from monitor.windows.score_tables import RecentScores, ScoreTable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from models.detector.geometry import Geometry
    from models.scoring.reference import ReferenceTable
    from monitor.alarms.case import Case, Change
    from monitor.detector.tree import Detector
    from monitor.quality.acknowledgements import Acknowledgement, Masked
    from monitor.quality.self_tests import SelfTestResult
    from monitor.reference.conditions import Conditions
    from monitor.reference.live import LiveReference
    from monitor.verdicts.lumisections import Loss
    from monitor.windows.window import Window

Said = Alarm | Verdict | ReferenceAct
"""What a monitor has to say."""

STATE_FORM = 4
"""Raised whenever what `Monitor.state` returns changes: a snapshot of another form is left alone."""

OTHER_MODEL = (
    "Cleared with a change of the model: the new one, which saw the same data, has no alarm."
)
"""What is said of an alarm that a new model does not have."""


class SelfTest(Protocol):
    """What watches beside a monitor without a say: the self-test."""

    def observe(self, window: Window) -> None:
        """Take in a window after the monitor has."""

    def results(self) -> tuple[SelfTestResult, ...]:
        """Return what became of the injected faults."""

    def state(self) -> dict[str, Any]:
        """Return the score, as JSON values."""

    def restore(self, state: dict[str, Any]) -> None:
        """Take up what `state` returned."""


class Monitor:
    """Windows in, alarms and verdicts out.

    Parameters
    ----------
    detector, geometry
        What is watched.
    reference
        What good showers hold.
    settings
        What an operator may set.
    """

    def __init__(
        self,
        detector: Detector,
        geometry: Geometry,
        reference: ReferenceTable | Expectation,
        settings: MonitorSettings | None = None,
    ) -> None:
        self.settings = settings or MonitorSettings()
        self.places = Places(detector)
        self.geometry = geometry
        expectation = reference if isinstance(reference, Expectation) else of_reference(reference)
        self._scores = RecentScores(None if isinstance(reference, Expectation) else reference)
        page_at = self.settings.allowance.page_at(self.places)
        warn_at = self.settings.allowance.warn_at(self.places)
        self.watch = Watch(
            self.places,
            expectation,
            page_at,
            floors=self.settings.floors,
            miscoverage=self.settings.miscoverage,
            cell_seconds=self.settings.cell_seconds,
        )
        self.self_test: SelfTest | None = None
        self._clock = Clock()
        self._belief = Belief(self.watch, self.places, self.settings.live, self._clock)
        self._ledger = Ledger(self.places.n_regions, len(expectation.showers), len(LEVELS))
        self._reporter = Reporter(
            self.places, geometry, self.watch, self._ledger, self._clock, self.settings.model
        )
        crossings = Crossings(self.places, page_at, warn_at, self._reporter.likely)
        self._cases = Casebook(self.places, crossings)
        self._sections = Lumisections(
            self.places, self.settings.min_showers, self.settings.model, self.settings.software
        )
        self._name_reference()
        self._alarms: dict[str, Alarm] = {}
        self._crew = Crew()
        self._spectra: deque[NDArray[np.int64]] = deque(maxlen=board.SPECTRUM_S)

    # What comes in

    def observe(
        self, window: Window, *, masked: bool = False, whole: bool = True
    ) -> tuple[Said, ...]:
        """Take in a closed data-second, or a late addition to one; return what it changes.

        Parameters
        ----------
        masked
            Whether its showers were scored without the cells that are masked now.
        whole
            False if further showers of this second were counted and not scored.
        """
        rows = rows_of(window, self.places)
        run, lumisection, second = window.key
        clock = self._clock
        new = clock.second is None or second > clock.second
        out: list[Said] = []
        if new:
            clock.second = second
            out += self._turn(run)
            clock.tick(run, lumisection)
        self._ledger.add(second, rows.showers, rows.exceedances.sum(1))
        self._spectra.append(rows.p_counts.sum(0))
        self._scores.add(window)
        out += self._judge(window.key, rows)
        if run == clock.run:  # what comes late for a past run amends its verdicts only
            bright = self.settings.bright_cells
            made_up = masks.made_up(self.watch.masked_cells, bright) if masked else None
            self.watch.step(second, rows, new=new, made_up=made_up, whole=whole)
            changes = self._cases.step(self.watch, clock.now, clock.run_watched)
            for change in changes:
                out += self._tell(change)
            self._belief.step(second, rows, self._cases.claimed() | self.watch.untrusted)
            out += self._anchor()
        self._name_reference()
        if self.self_test is not None:
            self.self_test.observe(window)
        return tuple(out)

    def act(self, act: ReferenceAct) -> tuple[Said, ...]:
        """Take in an order about references and conditions; return what it changes at once."""
        told = self._belief.obey(act)
        if told is not None:
            self._scores.forget()
            self._start_anew()
        self._name_reference()
        return () if told is None else (told,)

    def leave_out(self, shed: Iterable[tuple[int, int, int, int]]) -> tuple[Verdict, ...]:
        """Take note of showers that were not scored; return the verdicts that this amends.

        Parameters
        ----------
        shed
            Run, lumisection, region id and number of showers.
        """
        return tuple(self._sections.leave_out(shed))

    def lose(self, loss: Loss) -> tuple[Verdict, ...]:
        """Take note of records that are gone; return the verdicts that this amends."""
        return tuple(self._sections.lose(loss))

    def acknowledge(self, act: Acknowledgement) -> tuple[Alarm | Verdict, ...]:
        """Take in an act of the crew; return what it changes."""
        self._crew.take(act)
        return tuple(self._mask())

    def begin_beside(self, other: Monitor) -> None:
        """Begin under what people have said to another: the same masks, the same orders."""
        self._belief.live.frozen = other.live.frozen
        for run, key in other.conditions.words()["starts"]:
            self._belief.conditions.order(run, key)
        for act in other.acknowledgements():
            self.acknowledge(act)

    def acknowledgements(self) -> tuple[Acknowledgement, ...]:
        """Return what the crew has said and not taken back."""
        return tuple(self._crew)

    def succeed(self, former: Monitor) -> tuple[Said, ...]:
        """Take over from a monitor that has judged the same seconds by another model.

        Returns what changes: alarms that only one of the two has, and the verdicts that they amend.
        The former is left as it is and can go on in shadow.
        """
        said = former.alarms()
        self._clock.watched = former.watched
        self._sections.succeed(former.sections)
        changes = self._cases.succeed(former.cases, self._clock.now)
        for change in changes:
            if change.state is State.CLEARED and change.case.id in said:
                was = said[change.case.id]
                said[was.id] = replace(was, text=f"{was.text} {OTHER_MODEL}")
        self._alarms = said
        return tuple(record for change in changes for record in self._tell(change))

    def alarms(self) -> dict[str, Alarm]:
        """Return the newest version of every alarm that is remembered, by id."""
        return dict(self._alarms)

    @property
    def watched(self) -> int:
        """Return the data-seconds judged so far."""
        return self._clock.watched

    @property
    def conditions(self) -> Conditions:
        """Return which key holds for which run."""
        return self._belief.conditions

    @property
    def live(self) -> LiveReference:
        """Return what the stream has taught, under the conditions of the run."""
        return self._belief.live

    @property
    def cases(self) -> Casebook:
        """Return the open cases and those of late."""
        return self._cases

    @property
    def sections(self) -> Lumisections:
        """Return what is counted of the lumisections of late."""
        return self._sections

    def close(self) -> tuple[Alarm | Verdict, ...]:
        """Return verdicts on what is not judged yet: the stream has ended."""
        return tuple(self._sections.close())

    # What it does with it

    def _turn(self, run: int) -> list[Said]:
        """Start anew if a run begins; return what ends by itself at this time."""
        changed: list[Said] = []
        if run != self._clock.run:
            self._start_anew()
            self._clock.run_since = self._clock.now
            if self._belief.changes_with(run):
                self._scores.forget()
                changed.append(self._belief.change(run))
        return [*changed, *self._mask()] if self._crew.dismiss(self._clock.now_ns) else changed

    def _start_anew(self) -> None:
        """Forget what has been gathered against every place; open cases are judged from here on."""
        self.watch.new_run()
        self._cases.restart(self._clock.now)
        self._clock.run_watched = 0

    def _anchor(self) -> list[Said]:
        """Move the centre of the reference, if that was ordered and can be done now.

        Every open alarm ends, since it was held against the old centre; what a region keeps of
        its own is found anew.
        """
        told = self._belief.anchor(self._cases.open)
        if told is None:
            return []
        out: list[Said] = [told]
        for case in list(self._cases.open):
            out += self._tell(self._cases.close(case, self._clock.now))
        self.watch.arrange(self.watch.masked, self._cases.explained())
        self._scores.forget()
        self._start_anew()
        return out

    def median_moved(self) -> float:
        """Return the largest move of a score's median, in MADs of the reference; 0 if unknown.

        It is not known either where the centre was moved by order: the medians are the old one's.
        """
        return self._scores.moved() if self.live.anchor is None else 0.0

    def _name_reference(self) -> None:
        """Let verdicts from now on name the reference in force."""
        self._sections.reference = self.watch.expectation.id

    def _judge(self, key: tuple[int, int, int], rows: Rows) -> list[Verdict]:
        showers = rows.showers.astype(np.float64)
        expected, _ = self.watch.rates.expected(showers)
        at = LEVELS.index(0.01)
        seen = rows.showers.sum(1)
        return self._sections.add(
            key, (seen + rows.unscored) > 0, seen, rows.exceedances[..., at].sum(1), expected[:, at]
        )

    def masked(self) -> Masked:
        """Return all that is masked now."""
        return self._crew.masked(self._clock.now_ns)

    def _mask(self) -> list[Alarm | Verdict]:
        """Put the masks in force; cases that they cover wholly are closed."""
        now = self._clock.now
        found = self._crew.masks(self._clock.now_ns, self.places, self.watch.cells.n_latents)
        self._sections.masked = found.causes
        self.watch.mask_cells(found.cells)
        self.watch.arrange(found.regions, self._cases.explained())
        out: list[Alarm | Verdict] = []
        for case in [c for c in self._cases.open if found.touched[c.regions].all()]:
            out += self._tell(self._cases.close(case, now))
        self.watch.forget(np.asarray(self.places.members[:, found.touched].any(1)))
        self.watch.arrange(found.regions, self._cases.explained())
        self._cases.restart(now)
        return out

    # What it says

    def _tell(self, change: Change) -> list[Alarm | Verdict]:
        """Return the alarm of a change, and the verdicts that it amends."""
        case = change.case
        if change.state is State.CLEARED and case.id in self._alarms:
            alarm = self._cleared(case)
        else:
            share = self._cases.share(case)
            alarm = self._reporter.alarm(case, change.state, share, self.median_moved())
        self._alarms[case.id] = alarm
        kept = {known.id for known in (case, *self._cases.open, *self._cases.closed)}
        self._alarms = {id_: known for id_, known in self._alarms.items() if id_ in kept}
        self._belief.flag(case)
        self._name_reference()
        quality = Quality.BAD if case.severity is Severity.PAGE else Quality.MEDIUM
        end = OPEN if case.closed is None else max(case.peak_at, case.onset) + 1
        span = Span(case.id, case.onset, end, quality, alarm.summary)
        return [alarm, *self._sections.claim(case.regions, span)]

    def _cleared(self, case: Case) -> Alarm:
        return replace(
            self._alarms[case.id],
            version=case.version,
            state=State.CLEARED,
            now_ns=self._clock.now_ns,
            children=tuple(case.children),
        )

    # What people are shown

    def open_alarms(self) -> tuple[Alarm, ...]:
        """Return the newest version of every open alarm."""
        return tuple(self._alarms[case.id] for case in self._cases.open)

    def standing(self) -> Standing:
        """Return all that people are shown."""
        clock, references = self._clock, self._belief.references
        return Standing(
            detector=self.places.detector.name,
            data_second=clock.second,
            run=max(clock.run, 0),
            lumisection=max(clock.lumisection, 0),
            board=board.regions(
                self.places.detector,
                self._ledger,
                self.watch,
                self._sections,
                clock.now,
                self.settings.min_showers,
            ),
            alarms=self.open_alarms(),
            cleared=tuple(self._alarms[case.id] for case in self._cases.closed[:10]),
            acknowledged=tuple(
                Acknowledged(act.alarm, act.who, act.cause, act.until_ns)
                for act in self._crew.holding(clock.now_ns)
            ),
            history=board.history(self._ledger, self.watch),
            budget=self.budget(),
            reference=self.reference_summary(),
            reference_distance=self.live.distance(),
            spectra=self._spectrum(references),
            self_tests=self.self_test.results() if self.self_test is not None else (),
            latents=moments(self.watch.memory.lately(), references, self.geometry),
        )

    def reference_summary(self) -> ReferenceSummary:
        """Return what "good" is measured against now."""
        return self._reporter.reference()

    def _spectrum(self, references: tuple[Expectation, ...]) -> tuple[Spectrum, ...]:
        if not self._spectra:
            return ()
        counts = np.sum(list(self._spectra), axis=0)
        return board.spectra(counts, references, self.settings.score_names)

    def adopt_live(self) -> None:
        """Test against what has been accepted so far, from now on."""
        self._belief.take_up()
        self._name_reference()

    def budget(self) -> Budget:
        """Return the false pages allowed, the time watched and the pages raised."""
        days = self.settings.allowance.days_per_page
        return Budget(days, self._clock.watched / DAY, self._cases.pages)

    # What a stand-by takes up

    def state(self) -> dict[str, NDArray[Any]]:
        """Return everything that changes, as arrays; `restore` is the inverse."""
        out: dict[str, NDArray[Any]] = packing.under("watch.", self.watch.state())
        out |= packing.under("ledger.", self._ledger.state())
        out |= self._belief.state()
        out["spectra"] = np.array(list(self._spectra), np.int64)
        if self._scores.table is not None:
            out["scores"] = self._scores.table.counts
        words = {
            "cases": self._cases.state(),
            "sections": self._sections.state(),
            "alarms": {id_: records.to_json(alarm) for id_, alarm in self._alarms.items()},
            "shadow": self.self_test.state() if self.self_test is not None else None,
            "acks": self._crew.words(),
            "conditions": self._belief.words(),
            "clock": self._clock.state(),
        }
        out["words"] = np.frombuffer(json.dumps(words).encode(), np.uint8)
        return {name: packing.small(array) for name, array in out.items()}

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Take up what `state` returned."""
        words = json.loads(state["words"].tobytes())
        self.watch.restore(packing.below("watch.", state))
        self._ledger.restore(packing.below("ledger.", state))
        self._belief.restore(words["conditions"], state)
        self._spectra.clear()
        self._spectra.extend(state["spectra"].astype(np.int64))
        self._scores.forget()
        if "scores" in state:
            self._scores.table = ScoreTable(state["scores"].astype(np.int64))
        self._cases.restore(words["cases"])
        self._sections.restore(words["sections"])
        alarms = {id_: records.from_json(values) for id_, values in words["alarms"].items()}
        self._alarms = {id_: alarm for id_, alarm in alarms.items() if isinstance(alarm, Alarm)}
        self._crew.restore(words["acks"])
        if self.self_test is not None and words["shadow"] is not None:
            self.self_test.restore(words["shadow"])
        for f, value in zip(fields(Clock), words["clock"], strict=True):
            setattr(self._clock, f.name, value)
