"""Monitor: windows in, alarms and verdicts out. Pure: the same windows always say the same."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from monitor.judging.deciding import Decider
from monitor.judging.observing import Observer
from monitor.judging.parts import assemble
from monitor.judging.settings import MonitorSettings
from monitor.judging.view import View
from monitor.quality.reference_acts import Order, ReferenceAct
from monitor.quality.run_acts import RunAct, RunNow, RunOrder
from monitor.windows import packing

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from models.detector.geometry import Geometry
    from models.scoring.reference import ReferenceTable
    from monitor.alarms.casebook import Casebook
    from monitor.detector.tree import Detector
    from monitor.display.standing import Standing
    from monitor.judging.crew import Crew
    from monitor.judging.statements import Statement
    from monitor.quality.acknowledgements import Acknowledgement, Masked
    from monitor.quality.alarms import Alarm
    from monitor.quality.self_tests import SelfTestResult
    from monitor.quality.verdicts import Verdict
    from monitor.reference.conditions import Conditions
    from monitor.reference.expectation import Expectation
    from monitor.reference.live import LiveReference
    from monitor.reference.references import References
    from monitor.verdicts.attribution import Attribution
    from monitor.verdicts.grounds import Loss
    from monitor.verdicts.lumisections import Lumisections
    from monitor.windows.window import Window

STATE_FORM = 11
"""Raised whenever what `Monitor.state` returns changes: a snapshot of another form is left alone."""


class SelfTest(Protocol):
    """What watches beside a monitor without a say: the self-test."""

    def observe(self, *windows: Window, unknown: frozenset[int]) -> None:
        """Take in a data-second after the monitor has."""

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
        self._parts = parts = assemble(detector, geometry, reference, settings or MonitorSettings())
        self._decider = Decider(parts)
        self._observer = Observer(parts, self._decider)
        self.settings, self.places, self.geometry = parts.settings, parts.places, parts.geometry
        self.watch, self.channels = parts.watch, parts.channels
        self.view = View(parts)
        self.self_test: SelfTest | None = None
        parts.put_in_force()

    # What comes in

    def observe(
        self,
        *windows: Window,
        late: bool | None = None,
        unknown: frozenset[int] = frozenset(),
        masked: bool = False,
        whole: bool = True,
    ) -> tuple[Statement, ...]:
        """Take in all windows of a closed data-second, or a late addition; return what it changes.

        Parameters
        ----------
        windows
            Of one data-second, one for each run and lumisection.
        late
            Whether they come after their second was judged; by default, if it is not a new one.
        unknown
            Regions (ids) of which nobody knows whether they lack showers in this second.
        masked
            Whether its showers were scored without the cells that are masked now.
        whole
            False if further showers of this second were counted and not scored.
        """
        if late is None:
            late = not self._observer.goes_on(windows[0].key.second)
        out = self._observer.observe(
            windows, late=late, unknown=unknown, masked=masked, whole=whole
        )
        if self.self_test is not None and not late:
            self.self_test.observe(*windows, unknown=unknown)
        return tuple(out)

    def act(self, act: ReferenceAct) -> tuple[Statement, ...]:
        """Take in an order about references and conditions; return what it changes at once."""
        told = self._parts.belief.obey(act)
        if self.channels is not None:
            self.channels.obey(act, None if told is None else self._parts.clock.run_since)
        self._parts.put_in_force()
        if told is not None:
            self._parts.scores.forget()
            self._parts.start_anew()
        return () if told is None else (told,)

    def run_act(self, act: RunAct) -> tuple[Statement, ...]:
        """Take in that a run begins or has ended; return what it changes at once."""
        run, _ = self._parts.attribution.labels.now
        if act.order is RunOrder.END:
            if act.run != run:
                return ()
            self._observer.run_now = RunNow.BETWEEN
            return tuple(self._parts.sections.close())
        self._observer.run_now = RunNow.ON
        self._parts.attribution.labels.ordered = act.run if act.run != run else None
        expected = None if act.regions is None else np.isin(self.places.ids, act.regions)
        self.watch.shares.expected = expected
        if act.key is None or act.key == self.conditions.of(act.run):
            return ()
        told = ReferenceAct(
            Order.CONDITIONS, "runs", self._parts.clock.now_ns, run=act.run, key=act.key
        )
        return self.act(told)

    def leave_out(self, shed: Iterable[tuple[int, int, int, int]]) -> tuple[Verdict, ...]:
        """Take note of showers that were not scored; return the verdicts that this amends.

        Parameters
        ----------
        shed
            Run, lumisection, region id and number of showers.
        """
        return tuple(self._parts.sections.leave_out(shed))

    def lose(self, loss: Loss) -> tuple[Verdict, ...]:
        """Take note of records that are gone; return the verdicts that this amends."""
        return tuple(self._parts.sections.lose(loss))

    def acknowledge(self, act: Acknowledgement) -> tuple[Statement, ...]:
        """Take in an act of the crew; return what it changes."""
        severity = {case.id: case.severity for case in self._parts.cases.open}.get(act.alarm)
        self._parts.crew.take(act, severity)
        return tuple(self._decider.mask())

    def begin_beside(self, other: Monitor) -> None:
        """Begin under what people have said to another: the same masks, the same orders."""
        self._parts.belief.live.frozen = other.live.frozen
        if self.channels is not None:
            self.channels.live.frozen = other.live.frozen
        for run, key in other.conditions.words()["starts"]:
            self._parts.belief.conditions.order(run, key)
        for act in other.acknowledgements():
            self.acknowledge(act)

    def acknowledgements(self) -> tuple[Acknowledgement, ...]:
        """Return what the crew has said and not taken back."""
        return tuple(self._parts.crew)

    def succeed(self, former: Monitor) -> tuple[Statement, ...]:
        """Take over from a monitor that has judged the same seconds by another model.

        Returns what changes: alarms that only one of the two has, and the verdicts that they amend.
        The former is left as it is and can go on in shadow.
        """
        self._parts.clock.watched = former.watched
        self._parts.sections.succeed(former.sections)
        self._parts.attribution.restore(former.attribution.state())
        self._parts.crew.learn(former.crew)
        changes = self._parts.cases.succeed(former.cases, self._parts.clock.now)
        self._parts.statements.succeed(former.alarms(), changes)
        if self.channels is not None and former.channels is not None:
            self.channels.succeed(former.channels)
            self._decider.arrange()
        return tuple(record for change in changes for record in self._decider.tell(change))

    def alarms(self) -> dict[str, Alarm]:
        """Return the newest version of every alarm that is remembered, by id."""
        of_channels = {} if self.channels is None else self.channels.statements.alarms
        return self._parts.statements.alarms | of_channels

    @property
    def watched(self) -> int:
        """Return the data-seconds judged so far."""
        return self._parts.clock.watched

    @property
    def conditions(self) -> Conditions:
        """Return which key holds for which run."""
        return self._parts.belief.conditions

    @property
    def live(self) -> LiveReference:
        """Return what the stream has taught, under the conditions of the run."""
        return self._parts.belief.live

    @property
    def crew(self) -> Crew:
        """Return what people have said of alarms."""
        return self._parts.crew

    @property
    def cases(self) -> Casebook:
        """Return the open cases and those of late."""
        return self._parts.cases

    @property
    def sections(self) -> Lumisections:
        """Return what is counted of the lumisections of late."""
        return self._parts.sections

    @property
    def attribution(self) -> Attribution:
        """Return where the stream is in runs and lumisections."""
        return self._parts.attribution

    def close(self) -> tuple[Alarm | Verdict, ...]:
        """Return verdicts on what is not judged yet: the stream has ended."""
        return tuple(self._parts.sections.close())

    def masked(self) -> Masked:
        """Return all that is masked now."""
        return self._parts.crew.masked(self._parts.clock.now_ns)

    # What people are shown

    def open_alarms(self) -> tuple[Alarm, ...]:
        """Return the newest version of every open alarm."""
        return self.view.open_alarms()

    def standing(self) -> Standing:
        """Return all that people are shown."""
        tests = self.self_test.results() if self.self_test is not None else ()
        return replace(
            self.view.standing(self._observer.unknown, tests), run_now=self._observer.run_now
        )

    def measure_by(self, references: References) -> None:
        """Test against these references from now on."""
        self._parts.belief.now = references
        self._parts.put_in_force()

    def adopt_live(self) -> None:
        """Test against what has been accepted so far, from now on."""
        self._parts.belief.take_up()
        self._parts.put_in_force()

    # What a stand-by takes up

    def state(self) -> dict[str, NDArray[Any]]:
        """Return everything that changes, as arrays; `restore` is the inverse."""
        out, words = self._parts.state()
        words["run now"] = self._observer.run_now
        words["unknown"] = np.flatnonzero(self._observer.unknown).tolist()
        words["shadow"] = self.self_test.state() if self.self_test is not None else None
        out["words"] = np.frombuffer(json.dumps(words).encode(), np.uint8)
        return {name: packing.small(array) for name, array in out.items()}

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Take up what `state` returned."""
        words = json.loads(state["words"].tobytes())
        self._parts.restore(state, words)
        if self.channels is not None:
            self._decider.arrange()
        self._observer.run_now = RunNow(words["run now"])
        self._observer.unknown = np.isin(np.arange(self.places.n_regions), words["unknown"])
        if self.self_test is not None and words["shadow"] is not None:
            self.self_test.restore(words["shadow"])
