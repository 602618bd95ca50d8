"""Monitor: windows in, alarms and verdicts out. Pure: the same windows always say the same."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from models.scoring.scales import LEVELS
from monitor.alarms.casebook import Casebook
from monitor.alarms.crossings import Crossings, Moment
from monitor.alarms.reports import Reporter
from monitor.detector.places import Places
from monitor.judging.channel_monitor import ChannelMonitor
from monitor.judging.crew import Crew
from monitor.judging.references_in_force import ReferencesInForce
from monitor.judging.settings import MonitorSettings
from monitor.judging.statements import Statement, Statements, span
from monitor.judging.view import View
from monitor.quality.alarms import Alarm, State
from monitor.quality.reference_acts import Order, ReferenceAct
from monitor.quality.run_acts import RunAct, RunNow, RunOrder
from monitor.reference.expectation import Expectation, of_reference
from monitor.sequential.budget import CHANNELS_SHARE
from monitor.sequential.watch import Watch
from monitor.verdicts.attribution import Attribution
from monitor.verdicts.lumisections import Lumisections
from monitor.verdicts.section import Part
from monitor.windows import packing
from monitor.windows.channel_sums import merged
from monitor.windows.clock import SECOND_NS, Clock
from monitor.windows.recent_counts import RecentCounts
from monitor.windows.rows import rows_of
from monitor.windows.score_tables import RecentScores, ScoreTable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from models.detector.geometry import Geometry
    from models.scoring.reference import ReferenceTable
    from monitor.alarms.case import Case
    from monitor.alarms.cases import Change
    from monitor.alarms.channel_case import ChannelCase
    from monitor.detector.tree import Detector
    from monitor.display.standing import Standing
    from monitor.quality.acknowledgements import Acknowledgement, Masked
    from monitor.quality.self_tests import SelfTestResult
    from monitor.quality.verdicts import Verdict
    from monitor.reference.conditions import Conditions
    from monitor.reference.live import LiveReference
    from monitor.reference.references import References
    from monitor.verdicts.lumisections import Loss
    from monitor.windows.channel_sums import ChannelSums
    from monitor.windows.rows import Rows
    from monitor.windows.window import Window, WindowKey

STATE_FORM = 7
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
        self.settings = settings or MonitorSettings()
        self.places = Places(detector)
        self.geometry = geometry
        expectation = reference if isinstance(reference, Expectation) else of_reference(reference)
        self._scores = RecentScores(None if isinstance(reference, Expectation) else reference)
        self._clock = Clock()
        self._belief = ReferencesInForce(expectation, self.places, self.settings.live, self._clock)
        # Channels have a part of the one budget, where there are some.
        part = 1.0 if detector.channels is None else 1 - CHANNELS_SHARE
        page_at = self.settings.allowance.page_at(self.places) / part
        warn_at = self.settings.allowance.warn_at(self.places) / part
        self.watch = Watch(
            self.places,
            self._belief.now,
            page_at,
            floors=self.settings.floors,
            miscoverage=self.settings.miscoverage,
            cell_seconds=self.settings.cell_seconds,
        )
        self.self_test: SelfTest | None = None
        self._recent = RecentCounts(self.places.n_regions, len(expectation.showers), len(LEVELS))
        self._reporter = Reporter(
            self.places,
            geometry,
            self.watch,
            self._recent,
            self._clock,
            self.settings.model,
            self.settings.score_names,
        )
        crossings = Crossings(self.places, page_at, warn_at, self._reporter.likely)
        self._cases = Casebook(self.places, crossings)
        self._sections = Lumisections(
            self.places, self.settings.min_showers, self.settings.model, self.settings.software
        )
        self._attribution = Attribution(self._sections)
        self._unknown = np.zeros(self.places.n_regions, bool)
        """Regions of which nobody knows whether they lacked showers in the newest data-second."""

        self._run_now = RunNow.UNSAID
        """Between runs, silence says nothing."""

        self._crew = Crew()
        self.channels: ChannelMonitor | None = None
        """What watches single channels, where the detector has some."""

        if detector.channels is not None:
            self.channels = ChannelMonitor(
                detector.channels,
                self.places,
                expectation,
                self.settings,
                self._clock,
                self._reporter.reference,
                detector.known_bad,
            )
        self._said = Statements(self._cases, self._reporter, self._clock, self._crew)
        self.view = View(
            places=self.places,
            geometry=geometry,
            settings=self.settings,
            clock=self._clock,
            watch=self.watch,
            recent=self._recent,
            sections=self._sections,
            attribution=self._attribution,
            cases=self._cases,
            statements=self._said,
            reporter=self._reporter,
            belief=self._belief,
            crew=self._crew,
            channels=self.channels,
        )
        self._put_in_force()

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
        second, clock = windows[0].key.second, self._clock
        new = not late and (clock.second is None or second > clock.second)
        late = not new if late is None else late
        out: list[Statement] = []
        rows = [rows_of(window, self.places) for window in windows]
        parts = [self._part(w.key, r) for w, r in zip(windows, rows, strict=True)]
        if late:
            for part in parts:
                out += self._attribution.late(part)
            ours = [part.run == clock.run for part in parts]
        else:
            if not new:
                self._turn_back(second)
            self._unknown = np.isin(self.places.ids, list(unknown))
            ours, said = self._attribution.step(parts, self._unknown)
            clock.second = second
            out += [*self._turn(self._attribution.labels.now[0]), *said]
            clock.tick(*self._attribution.labels.now)
        for window, mine in zip(windows, rows, strict=True):
            self._recent.add(second, mine.showers, mine.exceedances.sum(1), mine.unknown)
            self.view.add(mine)
            self._scores.add(window)
        present = [r for r, mine in zip(rows, ours, strict=True) if mine]
        if present:  # what is of a past run amends its verdicts only
            all_ = sum(present[1:], present[0])
            if self.channels is not None:
                sums = merged(w.channels for w, mine in zip(windows, ours, strict=True) if mine)
                out += self._test_channels(self.channels, second, sums, new=not late)
            out += self._test(second, all_, new=not late, masked=masked, whole=whole)
        self._put_in_force()
        if self.self_test is not None and not late:
            self.self_test.observe(*windows, unknown=unknown)
        return tuple(out)

    def _test(
        self, second: int, rows: Rows, *, new: bool, masked: bool, whole: bool
    ) -> list[Statement]:
        says = new and whole and self._run_now is not RunNow.BETWEEN
        unknown = self._unknown if says else np.ones(self.places.n_regions, bool)
        self.watch.step(second, rows, new=new, masked=masked, unknown=unknown)
        if masked and self.channels is not None:
            self._judge_again(self.channels.settle())
        out: list[Statement] = []
        for change in self._decide():
            out += self._tell(change)
        self._recent.look_back(case.onset for case in self._cases.open)
        if new:  # what is late may be of a fault that is over: it teaches nothing
            self._belief.step(second, rows, self._cases.claimed() | self.watch.untrusted)
            self._put_in_force()
        return out + self._anchor()

    def _test_channels(
        self, channels: ChannelMonitor, second: int, sums: ChannelSums, *, new: bool
    ) -> list[Statement]:
        """Take in the sums by channel; an alarm of a region that a channel explains ends in its."""
        diffuse = np.zeros(self.places.n_regions, bool)
        for case in self._cases.open:
            diffuse[case.regions] |= case.diffuse
        out: list[Statement] = []
        distrusted = self._cases.claimed() | self.watch.masked
        changes = channels.step(second, sums, new=new, held=diffuse, distrusted=distrusted)
        self._sections.left_out = channels.left_out()
        for change in changes:
            for case in [c for c in self._cases.open if channels.folds(change, c)]:
                change.case.children += [case.id, *case.children]
                out += self._tell(self._cases.close(case, self._clock.now))
            out += self._tell_channel(channels, change)
        for done in [c.case for c in changes if c.state is State.CLEARED]:
            self._judge_again(channels.reached(channels.of(done)))
        if changes:
            self._arrange()
        return out

    def _judge_again(self, regions: NDArray[np.bool_]) -> None:
        """Begin anew with what was explained by a channel in some regions, shape (R,)."""
        if regions.any():
            self.watch.forget(np.asarray(self.places.members[:, regions].any(1)))
            self._arrange()

    def _tell_channel(
        self, channels: ChannelMonitor, change: Change[ChannelCase]
    ) -> list[Statement]:
        """Return the alarm of a change of channels, and the verdicts that it amends."""
        alarm = channels.tell(change)
        self._sections.left_out = channels.left_out()
        out: list[Statement] = [alarm]
        for row, span_ in channels.spans(change, alarm).items():
            out += self._sections.claim([row], span_)
        return out

    def _decide(self) -> list[Change[Case]]:
        """Return which cases open, change and close by the evidence of a step."""
        clock, cases = self._clock, self._cases
        total = self.watch.evidence.total()
        if self.channels is not None:  # a channel that is at fault explains its region
            total[~(self.places.members & ~self.channels.explained()).any(1)] = 0.0
        at = Moment(self.watch, total, clock.now, clock.run_watched)
        changes = cases.take(at)
        if changes:
            self._arrange()
        for change in cases.follow(at):
            changes.append(change)
            if change.state is State.CLEARED:
                self.watch.forget(cases.inside(change.case))
        if any(change.state is State.CLEARED for change in changes):
            self._arrange()
        return changes

    def _arrange(self, masked: NDArray[np.bool_] | None = None) -> None:
        """Let places count what is neither masked, shape (R,), nor explained by open cases."""
        masked = self.watch.masked if masked is None else masked
        explained = self._cases.explained()
        if self.channels is not None:
            within = self.channels.explained()
            beyond: NDArray[np.bool_] = np.asarray((self.places.members & ~within).any(1))
            explained = explained | (self.places.members & within & beyond[:, None])
        changed = self.watch.arrange(masked, explained)
        if changed.any():
            self._cases.restart(changed)
        if self.watch.look_within(self._cases.known(), ~self._cases.struck()):
            self._cases.restart()

    def _turn_back(self, second: int) -> None:
        """Go on at an earlier data-second: the clock of the stream was wrong, and is mended."""
        self._recent.turn_back(second)
        self._belief.live.turn_back(second)
        if self.channels is not None:
            self.channels.live.turn_back(second)
        self._start_anew()

    def act(self, act: ReferenceAct) -> tuple[Statement, ...]:
        """Take in an order about references and conditions; return what it changes at once."""
        told = self._belief.obey(act)
        if self.channels is not None:
            self.channels.obey(act)
        self._put_in_force()
        if told is not None:
            self._scores.forget()
            self._start_anew()
        return () if told is None else (told,)

    def run_act(self, act: RunAct) -> tuple[Statement, ...]:
        """Take in that a run begins or has ended; return what it changes at once."""
        run, _ = self._attribution.labels.now
        if act.order is RunOrder.END:
            if act.run != run:
                return ()
            self._run_now = RunNow.BETWEEN
            return tuple(self._sections.close())
        self._run_now = RunNow.ON
        self._attribution.labels.ordered = act.run if act.run != run else None
        shares = self.watch.shares
        shares.expected = None
        if act.regions is not None:
            shares.expected = np.isin(self.places.ids, act.regions)
        if act.key is None or act.key == self.conditions.of(act.run):
            return ()
        told = ReferenceAct(Order.CONDITIONS, "runs", self._clock.now_ns, run=act.run, key=act.key)
        return self.act(told)

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

    def acknowledge(self, act: Acknowledgement) -> tuple[Statement, ...]:
        """Take in an act of the crew; return what it changes."""
        severity = {case.id: case.severity for case in self._cases.open}.get(act.alarm)
        self._crew.take(act, severity)
        return tuple(self._mask())

    def begin_beside(self, other: Monitor) -> None:
        """Begin under what people have said to another: the same masks, the same orders."""
        self._belief.live.frozen = other.live.frozen
        if self.channels is not None:
            self.channels.live.frozen = other.live.frozen
        for run, key in other.conditions.words()["starts"]:
            self._belief.conditions.order(run, key)
        for act in other.acknowledgements():
            self.acknowledge(act)

    def acknowledgements(self) -> tuple[Acknowledgement, ...]:
        """Return what the crew has said and not taken back."""
        return tuple(self._crew)

    def succeed(self, former: Monitor) -> tuple[Statement, ...]:
        """Take over from a monitor that has judged the same seconds by another model.

        Returns what changes: alarms that only one of the two has, and the verdicts that they amend.
        The former is left as it is and can go on in shadow.
        """
        self._clock.watched = former.watched
        self._sections.succeed(former.sections)
        self._attribution.restore(former.attribution.state())
        self._crew.learn(former.crew)
        changes = self._cases.succeed(former.cases, self._clock.now)
        self._said.succeed(former.alarms(), changes)
        if self.channels is not None and former.channels is not None:
            self.channels.succeed(former.channels)
            self._arrange()
        return tuple(record for change in changes for record in self._tell(change))

    def alarms(self) -> dict[str, Alarm]:
        """Return the newest version of every alarm that is remembered, by id."""
        of_channels = {} if self.channels is None else self.channels.alarms
        return self._said.alarms | of_channels

    def _tell(self, change: Change[Case]) -> list[Alarm | Verdict]:
        """Return the alarm of a change, and the verdicts that it amends."""
        alarm = self._said.alarm(change, self.median_moved())
        self._belief.flag(change.case)
        if self.channels is not None:
            self.channels.distrust(change.case.regions, change.case.onset)
        self._put_in_force()
        return [alarm, *self._sections.claim(change.case.regions, span(change.case, alarm))]

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
    def crew(self) -> Crew:
        """Return what people have said of alarms."""
        return self._crew

    @property
    def cases(self) -> Casebook:
        """Return the open cases and those of late."""
        return self._cases

    @property
    def sections(self) -> Lumisections:
        """Return what is counted of the lumisections of late."""
        return self._sections

    @property
    def attribution(self) -> Attribution:
        """Return where the stream is in runs and lumisections."""
        return self._attribution

    def close(self) -> tuple[Alarm | Verdict, ...]:
        """Return verdicts on what is not judged yet: the stream has ended."""
        return tuple(self._sections.close())

    # What it does with it

    def _turn(self, run: int) -> list[Statement]:
        """Start anew if a run begins; return what ends by itself at this time."""
        changed: list[Statement] = []
        if run != self._clock.run:
            if self._run_now is RunNow.BETWEEN:
                self._run_now = RunNow.ON
            self._start_anew()
            self._clock.run_since = self._clock.now
            if self._belief.changes_with(run):
                self._scores.forget()
                changed.append(self._belief.change(run))
                self._put_in_force()
        return [*changed, *self._mask()] if self._crew.dismiss(self._clock.now_ns) else changed

    def _start_anew(self) -> None:
        """Forget what has been gathered against every place; open cases are judged from here on."""
        self.watch.new_run()
        self._cases.restart()
        if self.channels is not None:
            self.channels.new_run()
        self._clock.run_watched = 0

    def _anchor(self) -> list[Statement]:
        """Move the centre of the reference, if that was ordered and can be done now.

        Every open alarm ends, since it was held against the old centre; what a region keeps of
        its own is found anew.
        """
        told = self._belief.anchor(self._cases.open, self.watch.untrusted)
        if told is None:
            return []
        self._put_in_force()
        out: list[Statement] = [told]
        for case in list(self._cases.open):
            out += self._tell(self._cases.close(case, self._clock.now))
        if self.channels is not None and told.since_ns is not None:
            for moved in self.channels.anchor(told.since_ns // SECOND_NS):
                out += self._tell_channel(self.channels, moved)
        self._arrange()
        self._scores.forget()
        self.watch.shares.forget()  # and what regions have of all showers is good as it is now
        self._start_anew()
        return out

    def median_moved(self) -> float:
        """Return the largest move of a score's median, in MADs of the reference; 0 if unknown.

        It is not known either where the centre was moved by order: the medians are the old one's.
        """
        return self._scores.moved() if self.live.anchor is None else 0.0

    def _put_in_force(self) -> None:
        """Test against the references in force, and let verdicts from now on name the newest."""
        if self.watch.references is not self._belief.now:
            self.watch.adopt(self._belief.now)
            self.watch.shares.change(self._belief.conditions.key)
        if self.channels is not None:
            self.channels.change(self._belief.conditions.key)
        self._sections.reference = self.watch.expectation.id

    def _part(self, key: WindowKey, rows: Rows) -> Part:
        showers = rows.showers.astype(np.float64)
        expected, _ = self.watch.rates.expected(showers)
        at, scored = LEVELS.index(0.01), rows.showers.sum(1)
        return Part(
            *key,
            present=rows.seen > 0,
            showers=scored,
            exceedances=rows.exceedances[..., at].sum(1),
            expected=expected[:, at],
            outside=rows.unknown,
        )

    def masked(self) -> Masked:
        """Return all that is masked now."""
        return self._crew.masked(self._clock.now_ns)

    def _mask(self) -> list[Statement]:
        """Put the masks in force; cases that they cover wholly are closed."""
        now = self._clock.now
        found = self._crew.masks(self._clock.now_ns, self.places, self.watch.cells.n_latents)
        self._sections.masked = found.causes
        self.watch.mask_cells(found.cells)
        self._arrange(found.regions)
        out: list[Statement] = []
        for case in [c for c in self._cases.open if found.touched[c.regions].all()]:
            out += self._tell(self._cases.close(case, now))
        self.watch.forget(np.asarray(self.places.members[:, found.touched].any(1)))
        self._arrange()
        self._cases.restart()
        if self.channels is not None:
            for change in self.channels.mask(found.channels):
                out += self._tell_channel(self.channels, change)
            self._sections.left_out = self.channels.left_out()
            self._arrange()
        return out

    # What people are shown

    def open_alarms(self) -> tuple[Alarm, ...]:
        """Return the newest version of every open alarm."""
        return self.view.open_alarms()

    def standing(self) -> Standing:
        """Return all that people are shown."""
        tests = self.self_test.results() if self.self_test is not None else ()
        return replace(self.view.standing(self._unknown, tests), run_now=self._run_now)

    def measure_by(self, references: References) -> None:
        """Test against these references from now on."""
        self._belief.now = references
        self._put_in_force()

    def adopt_live(self) -> None:
        """Test against what has been accepted so far, from now on."""
        self._belief.take_up()
        self._put_in_force()

    # What a stand-by takes up

    def state(self) -> dict[str, NDArray[Any]]:
        """Return everything that changes, as arrays; `restore` is the inverse."""
        out: dict[str, NDArray[Any]] = packing.under("watch.", self.watch.state())
        out |= packing.under("recent.", self._recent.state())
        out |= self._belief.state()
        out["spectra"] = self.view.state()
        if self._scores.table is not None:
            out["scores"] = self._scores.table.counts
        words = {
            "cases": self._cases.state(),
            "sections": self._sections.state(),
            "attribution": self._attribution.state(),
            "run now": self._run_now,
            "unknown": np.flatnonzero(self._unknown).tolist(),
            "alarms": self._said.state(),
            "shadow": self.self_test.state() if self.self_test is not None else None,
            "acks": self._crew.words(),
            "conditions": self._belief.words(),
            "clock": self._clock.state(),
        }
        if self.channels is not None:
            words["channels"] = self.channels.words()
            out |= packing.under("channels.", self.channels.state())
        out["words"] = np.frombuffer(json.dumps(words).encode(), np.uint8)
        return {name: packing.small(array) for name, array in out.items()}

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Take up what `state` returned."""
        words = json.loads(state["words"].tobytes())
        self.watch.restore(packing.below("watch.", state))
        self._recent.restore(packing.below("recent.", state))
        self._belief.restore(words["conditions"], state)
        self._put_in_force()
        self.view.restore(state["spectra"])
        self._scores.forget()
        if "scores" in state:
            self._scores.table = ScoreTable(state["scores"].astype(np.int64))
        self._cases.restore(words["cases"])
        self._sections.restore(words["sections"])
        self._attribution.restore(words["attribution"])
        self._run_now = RunNow(words["run now"])
        self._unknown = np.isin(np.arange(self.places.n_regions), words["unknown"])
        self._said.restore(words["alarms"])
        self._crew.restore(words["acks"])
        if self.channels is not None:
            self.channels.restore(words["channels"], packing.below("channels.", state))
            self._sections.left_out = self.channels.left_out()
            self._arrange()
        if self.self_test is not None and words["shadow"] is not None:
            self.self_test.restore(words["shadow"])
        for f, value in zip(fields(Clock), words["clock"], strict=True):
            setattr(self._clock, f.name, value)
