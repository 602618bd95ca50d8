"""Monitor: windows in, alarms and verdicts out. Pure: the same windows always say the same."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from models.reference import BINS
from models.scales import LEVELS
from monitor import evidence, kinds, records
from monitor.acknowledgements import Acknowledgement, Mask
from monitor.alarms import Alarm, CellShare, Kind, ReferenceSummary, RegionShare, Severity, State
from monitor.budget import DAY, Allowance
from monitor.cases import Casebook
from monitor.conditions import Conditions
from monitor.expectation import Expectation, of_reference
from monitor.latents import moments
from monitor.ledger import Ledger
from monitor.lumisections import OPEN, Lumisections, Span
from monitor.orders import Order, ReferenceAct
from monitor.places import Places
from monitor.quality import Quality
from monitor.rates import DOWN, UP, Floors, Test
from monitor.references import LiveReference, LiveSettings
from monitor.rows import Rows, rows_of
from monitor.score_tables import ScoreTable, of_window
from monitor.sequential import e_benjamini_hochberg
from monitor.symptoms import Symptoms, information
from monitor.verdicts import Verdict
from monitor.view import Acknowledged, Budget, History, RegionNow, Spectrum, Standing
from monitor.watch import Watch

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.geometry import Geometry
    from models.reference import ReferenceTable
    from monitor.case import Case, Change
    from monitor.detector import Detector
    from monitor.view import SelfTest
    from monitor.windows import Window

Said = Alarm | Verdict | ReferenceAct
"""What a monitor has to say."""

STATE_FORM = 2
"""Raised whenever what `Monitor.state` returns changes: a snapshot of another form is left alone."""

SECOND_NS = 1_000_000_000
MINUTE = 60
SPECTRUM_S = 300
"""Data-seconds that the p spectra of the page span."""

LISTED_FALSE = 0.05
"""Share of a list of cells that may be there by chance."""

FADE_FROM = 200_000
"""Showers at which the score histograms are halved."""

ANCHOR_MAD = 2.0
"""Beyond this move of a median the bins of the reference no longer lie where the scores are."""

MAX_CELLS = 8
"""Cells that an alarm names."""

OTHER_MODEL = (
    "Cleared with a change of the model: the new one, which saw the same data, has no alarm."
)
"""What is said of an alarm that a new model does not have."""

LEAST_SHARE = 0.03
"""Share of the excess that a cell needs to be named."""


@dataclass(frozen=True, slots=True)
class MonitorSettings:
    """What an operator may set."""

    allowance: Allowance = field(default_factory=Allowance)
    floors: Floors = field(default_factory=Floors)
    miscoverage: float = 0.05
    """Probability, over references, that a bound on what the reference expects fails."""

    cell_seconds: int = 3
    """Data-seconds between steps of the cell tests."""

    min_showers: int = 50
    """Fewer showers of a region in a lumisection leave its verdict NULL."""

    model: str = ""
    """Content hash of the artefact that scores."""

    score_names: tuple[str, ...] = ()
    software: str = "0.1.0"
    live: LiveSettings = field(default_factory=LiveSettings)


class Shadow(Protocol):
    """What watches beside a monitor without a say: the self-test."""

    def observe(self, window: Window) -> None:
        """Take in a window after the monitor has."""

    def results(self) -> tuple[SelfTest, ...]:
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
        self._table = None if isinstance(reference, Expectation) else reference
        self._scores: ScoreTable | None = None
        page_at = self._page_at = self.settings.allowance.page_at(self.places)
        warn_at = self.settings.allowance.warn_at(self.places)
        self.watch = Watch(
            self.places,
            expectation,
            page_at,
            floors=self.settings.floors,
            miscoverage=self.settings.miscoverage,
            cell_seconds=self.settings.cell_seconds,
        )
        self.shadow: Shadow | None = None
        self._certified = expectation
        self.live = self._fresh_live()
        self._conditions = Conditions()
        self._cases = Casebook(self.places, page_at, warn_at, self._likely)
        self._ledger = Ledger(self.places.n_regions, len(expectation.showers), len(LEVELS))
        self._sections = Lumisections(
            self.places, self.settings.min_showers, self.settings.model, self.settings.software
        )
        self._sections.reference = expectation.id
        self._alarms: dict[str, Alarm] = {}
        self._acks: dict[str, Acknowledgement] = {}
        self._spectra: deque[NDArray[np.int64]] = deque(maxlen=SPECTRUM_S)
        self._run, self._lumisection = -1, -1
        self._run_since = 0
        self._second: int | None = None
        self._watched = 0
        self._run_watched = 0

    # What comes in

    def observe(self, window: Window) -> tuple[Said, ...]:
        """Take in a closed data-second, or a late addition to one; return what it changes."""
        rows = rows_of(window, self.places)
        run, lumisection, second = window.key
        new = self._second is None or second > self._second
        out: list[Said] = []
        if new:
            self._second = second
            out += self._turn(run)
            self._run, self._lumisection = run, lumisection
            self._watched += 1
            self._run_watched += 1
        self._ledger.add(second, rows.showers, rows.exceedances.sum(1))
        self._spectra.append(rows.p_counts.sum(0))
        self._count_scores(window)
        out += self._judge(window.key, rows)
        if run == self._run:  # what comes late for a past run amends its verdicts only
            self.watch.step(second, rows, new=new)
            changes = self._cases.step(self.watch, self._now, self._run_watched)
            for change in changes:
                out += self._tell(change)
            flagged = self._cases.claimed() | self.watch.untrusted
            self._believe(self.live.step(second, rows, flagged))
            out += self._anchor()
        if self.shadow is not None:
            self.shadow.observe(window)
        return tuple(out)

    def act(self, act: ReferenceAct) -> tuple[Said, ...]:
        """Take in an order about references and conditions; return what it changes at once."""
        if act.order is Order.CONDITIONS and act.run is not None:
            self._conditions.order(act.run, act.key)
            if self._run < 0 or self._conditions.of(self._run) == self._conditions.key:
                return ()
            # Said late: what this run has taught so far was of other conditions.
            self.live.forget(self._run_since)
            return tuple(self._change_conditions(self._run))
        self.live.obey(act)
        self.watch.certified = self.live.centre
        self.adopt_live()
        return ()

    def acknowledge(self, act: Acknowledgement) -> tuple[Alarm | Verdict, ...]:
        """Take in an act of the crew; return what it changes."""
        self._acks[act.alarm] = act
        return tuple(self._mask())

    def begin_beside(self, other: Monitor) -> None:
        """Begin under what people have said to another: the same masks, the same orders."""
        self.live.frozen = other.live.frozen
        for run, key in other.conditions.words()["starts"]:
            self._conditions.order(run, key)
        for act in other.acknowledgements():
            self.acknowledge(act)

    def acknowledgements(self) -> tuple[Acknowledgement, ...]:
        """Return what the crew has said and not taken back."""
        return tuple(self._acks.values())

    def succeed(self, former: Monitor) -> tuple[Said, ...]:
        """Take over from a monitor that has judged the same seconds by another model.

        Returns what changes: alarms that only one of the two has, and the verdicts that they amend.
        The former is left as it is and can go on in shadow.
        """
        said = former.alarms()
        self._watched = former.watched
        self._sections.succeed(former.sections)
        changes = self._cases.succeed(former.cases, self._now)
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
        return self._watched

    @property
    def conditions(self) -> Conditions:
        """Return which key holds for which run."""
        return self._conditions

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

    @property
    def _now(self) -> int:
        return self._second if self._second is not None else 0

    def _turn(self, run: int) -> list[Said]:
        """Start anew if a run begins; return what ends by itself at this time."""
        changed: list[Said] = []
        if run != self._run:
            self._start_anew()
            self._run_since = self._now
            if self._conditions.of(run) != self._conditions.key:
                changed += self._change_conditions(run)
        ended = [
            act
            for act in self._acks.values()
            if act.until_ns is not None and not act.lifted and not act.holds(self._now * SECOND_NS)
        ]
        if not ended:
            return changed
        for act in ended:
            del self._acks[act.alarm]
        return [*changed, *self._mask()]

    def _start_anew(self) -> None:
        """Forget what has been gathered against every place; open cases are judged from here on."""
        self.watch.new_run()
        self._cases.restart(self._now)
        self._run_watched = 0

    def _fresh_live(self) -> LiveReference:
        return LiveReference(self._certified, self.settings.live, self.places.n_regions)

    def _change_conditions(self, run: int) -> list[Said]:
        """Put the reference of a run's conditions in the place of the one before."""
        key = self._conditions.of(run)
        self.live = self._conditions.change(key, self.live, self._fresh_live)
        self._take_centre()
        self._start_anew()
        return [self._in_force(Order.CONDITIONS, run=run, key=key)]

    def _anchor(self) -> list[Said]:
        """Move the centre of the reference, once that was ordered and can be done.

        Every open alarm ends, since it was held against the old centre; what a region keeps of
        its own is found anew.
        """
        away = np.zeros(self.places.n_regions, bool)
        for case in self._cases.open:
            if case.place >= self.places.first_region:
                away[case.regions] = True
        since = self.live.anchor_since
        if since is None or not self.live.anchored(away | self.watch.untrusted):
            return []
        self._take_centre()
        out: list[Said] = [self._in_force(Order.ANCHOR, since_ns=since * SECOND_NS)]
        for case in list(self._cases.open):
            out += self._tell(self._cases.close(case, self._now))
        self.watch.arrange(self.watch.masked, self._cases.explained())
        self._start_anew()
        return out

    def _take_centre(self) -> None:
        self._scores = None
        self.watch.certified = self.live.centre
        self._believe(self.live.expectation(), forced=True)

    def _in_force(self, order: Order, **what: Any) -> ReferenceAct:
        """Return the record that tells that something is so from now on."""
        return ReferenceAct(order, "judge", self._now * SECOND_NS, in_force=True, **what)

    def _count_scores(self, window: Window) -> None:
        """Add a window to the score histograms, which fade so that they tell of the last data."""
        if self._table is None:
            return
        shape = (self._table.n_cells, self._table.n_scores, BINS)
        mine = of_window(window, shape)
        self._scores = mine if self._scores is None else self._scores + mine
        if int(self._scores.counts[:, 0].sum()) > FADE_FROM:
            self._scores = self._scores.faded()

    def median_moved(self) -> float:
        """Return the largest move of a score's median, in MADs of the reference; 0 if unknown.

        It is not known either where the centre was moved by order: the medians are the old one's.
        """
        if self._table is None or self._scores is None or self.live.anchor is not None:
            return 0.0
        return float(np.nanmax(np.abs(self._scores.moved(self._table)), initial=0.0))

    def _believe(self, live: Expectation | None, *, forced: bool = False) -> None:
        """Test against a live reference from now on; None leaves things as they are."""
        if live is None and not forced:
            return
        self.watch.adopt(live, max(self.live.epoch, 1), guarded=self.settings.live.guarded)
        self._sections.reference = self.watch.expectation.id

    def _judge(self, key: tuple[int, int, int], rows: Rows) -> list[Verdict]:
        showers = rows.showers.astype(np.float64)
        expected, _ = self.watch.rates.expected(showers)
        at = LEVELS.index(0.01)
        seen = rows.showers.sum(1)
        return self._sections.add(
            key, (seen + rows.unscored) > 0, seen, rows.exceedances[..., at].sum(1), expected[:, at]
        )

    def _masks(self) -> list[tuple[Mask, str]]:
        now = self._now * SECOND_NS
        return [
            (mask, f"{act.cause} ({act.who})")
            for act in self._acks.values()
            if act.holds(now)
            for mask in act.masks
        ]

    def _mask(self) -> list[Alarm | Verdict]:
        """Put the masks in force; cases that they cover wholly are closed."""
        row_of = {region: row for row, region in enumerate(self.places.ids.tolist())}
        masked = np.zeros(self.places.n_regions, bool)
        cells = np.zeros((self.places.n_regions, self.watch.cells.n_latents), bool)
        causes: dict[int, str] = {}
        for mask, cause in self._masks():
            row = row_of[mask.region]
            if mask.cells:
                cells[row, list(mask.cells)] = True
            else:
                masked[row], causes[row] = True, cause
        self._sections.masked = causes
        self.watch.mask_cells(cells)
        self.watch.arrange(masked, self._cases.explained())
        touched = masked | cells.any(1)
        out: list[Alarm | Verdict] = []
        for case in [c for c in self._cases.open if touched[c.regions].all()]:
            out += self._tell(self._cases.close(case, self._now))
        self.watch.forget(np.asarray(self.places.members[:, touched].any(1)))
        self.watch.arrange(masked, self._cases.explained())
        self._cases.restart(self._now)
        return out

    # What it says

    def _tell(self, change: Change) -> list[Alarm | Verdict]:
        """Return the alarm of a change, and the verdicts that it amends."""
        case = change.case
        if change.state is State.CLEARED and case.id in self._alarms:
            alarm = self._cleared(case)
        else:
            alarm = self._alarm(case, change.state)
        self._alarms[case.id] = alarm
        kept = {known.id for known in (case, *self._cases.open, *self._cases.closed)}
        self._alarms = {id_: known for id_, known in self._alarms.items() if id_ in kept}
        self._conditions.flag(case.onset)
        if self.live.flag(case.regions, case.onset) and self.live.taken.n:
            # What has been subtracted must not be believed any longer.
            self._believe(self.live.take_up(), forced=True)
        quality = Quality.BAD if case.severity is Severity.PAGE else Quality.MEDIUM
        end = OPEN if case.closed is None else max(case.peak_at, case.onset) + 1
        span = Span(case.id, case.onset, end, quality, alarm.summary)
        return [alarm, *self._sections.claim(case.regions, span)]

    def _cleared(self, case: Case) -> Alarm:
        return replace(
            self._alarms[case.id],
            version=case.version,
            state=State.CLEARED,
            now_ns=self._now * SECOND_NS,
            children=tuple(case.children),
        )

    def _alarm(self, case: Case, state: State) -> Alarm:
        """Return the record of a case as it stands."""
        showers, exceedances = self._ledger.since(case.onset)
        rows = np.array(case.regions)
        level = self._level(case)
        mix = showers[rows].sum(0, keepdims=True).astype(np.float64)
        expected, uncertainty = self.watch.rates.expected(mix)
        observed = exceedances[rows].sum(0)
        symptoms = self._symptoms(case)
        kind, margin = kinds.likely(symptoms, self.geometry)
        cells = self._cells(symptoms, kind)
        regions = self._regions(case, showers, exceedances)
        place = self.places.names[case.place]
        names = tuple(share.name for share in regions)
        at = LEVELS.index(level)
        reference = self.reference_summary()
        alarm = Alarm(
            id=case.id,
            version=case.version,
            state=state,
            severity=case.severity,
            level=self.places.levels[case.place],
            place=place,
            test=case.test.value,
            onset_ns=case.onset * SECOND_NS,
            raised_ns=case.raised * SECOND_NS,
            now_ns=self._now * SECOND_NS,
            run=self._run,
            lumisection=self._lumisection,
            showers=int(mix.sum()),
            observed=float(observed[at]),
            expected=float(expected[0, at]),
            expected_sd=float(uncertainty[0, at]),
            log10_odds=float(case.odds / np.log(10)),
            reference=reference,
            kind=kind,
            kind_margin=margin,
            regions=regions,
            cells=cells,
            worst=(),
            children=tuple(case.children),
            summary=self._summary(case, names, kind, cells),
            text="",
            runbook=kind.value.replace(" ", "-"),
        )
        chance = max(case.once_in, float(np.exp(min(case.odds, 700.0))) * self._cases.share(case))
        text = evidence.text(alarm, level, chance)
        moved = self.median_moved()
        if moved > ANCHOR_MAD:
            text += (
                f" A score's median has moved by {moved:.1f} MAD: this reference no longer fits, "
                "make it anew, or order `calodqm reference anchor` if this is wanted."
            )
        return replace(alarm, text=text)

    def _summary(
        self, case: Case, regions: tuple[str, ...], kind: Kind, cells: tuple[CellShare, ...]
    ) -> str:
        """Return the one line of a case."""
        place, level = self.places.names[case.place], self.places.levels[case.place]
        if kind is Kind.UNKNOWN and case.test is Test.TOO_FEW:
            return f"{level.value.capitalize()} {place}: too few strange showers"
        return evidence.summary(place, level, regions, kind, cells)

    def _level(self, case: Case) -> float:
        """Return the α at which the case's excess is counted."""
        if case.test not in {Test.EXCEEDANCES, Test.TOO_FEW}:
            return 0.01
        grid = UP if case.test is Test.EXCEEDANCES else DOWN
        levels = [level for level, ratios in grid.items() for _ in ratios]
        offset = 0 if case.test is Test.EXCEEDANCES else sum(len(r) for r in UP.values())
        return levels[case.stream - offset]

    def _likely(self, case: Case) -> tuple[Kind, float]:
        """Return the likely kind of a case, and the log10 odds over the next likely one."""
        return kinds.likely(self._symptoms(case), self.geometry)

    def _symptoms(self, case: Case) -> Symptoms:
        """Return what the regions of a case have shown since the onset."""
        at = LEVELS.index(0.01)
        rows = np.array(case.regions)
        seen, exceedances = (array[rows].sum(0) for array in self._ledger.since(case.onset))
        expected, _ = self.watch.rates.expected(seen[None].astype(np.float64))
        total = self.watch.memory.since(case.onset)
        weights = np.zeros((1, self.places.n_regions))
        weights[0, case.regions] = 1
        sums = self.watch.sums_of(total, weights)
        showers = sums.showers
        effects = self.watch.cells.effects(sums)
        lit_expected = (showers @ self.watch.expectation.lit_rate)[0] / max(showers.sum(), 1)
        return Symptoms(
            test=case.test,
            showers=float(showers.sum()),
            shift=effects.shift[0],
            shift_error=effects.shift_error[0],
            spread=effects.spread[0],
            spread_error=effects.spread_error[0],
            lit=lit_expected + effects.lit[0],
            lit_expected=lit_expected,
            listed=self._listed(case),
            rate=float(exceedances[at] / max(expected[0, at], 0.5)),
            share=len(case.regions) / self.places.n_regions,
            n_regions=len(case.regions),
        )

    def _listed(self, case: Case) -> NDArray[np.bool_]:
        """Return the cells whose own evidence stands out, by e-BH, shape (V,)."""
        place = case.place
        if not case.diffuse:
            total = self.watch.total()[self.places.first_region :]
            place = self.places.first_region + max(case.regions, key=lambda row: float(total[row]))
        evidence_ = self.watch.latent_evidence(place)[: self.watch.cells.n_cells]
        return e_benjamini_hochberg(evidence_ / max(self._run_watched, MINUTE), LISTED_FALSE)

    def _cells(self, symptoms: Symptoms, kind: Kind) -> tuple[CellShare, ...]:
        """Return the cells that carry the evidence, with their shares of what all cells say."""
        listed = kinds.carriers(symptoms, kind)
        if kind in {Kind.SILENT, Kind.TRANSPORT} or not listed.any():
            return ()
        said = np.where(listed, information(symptoms), 0.0)
        share = said / max(float(said.sum()), 1e-9)
        order = np.argsort(-share, kind="stable")[:MAX_CELLS]
        return tuple(
            CellShare(int(c), self.geometry.cell_name(int(c)), float(share[c]))
            for c in order
            if share[c] >= LEAST_SHARE
        )

    def _regions(
        self, case: Case, showers: NDArray[np.int64], exceedances: NDArray[np.int64]
    ) -> tuple[RegionShare, ...]:
        """Return the regions of a case with their shares of its excess, the largest first."""
        at = LEVELS.index(self._level(case))
        expected, _ = self.watch.rates.expected(showers.astype(np.float64))
        excess = np.abs(exceedances[:, at] - expected[:, at])[case.regions]
        if case.test not in {Test.EXCEEDANCES, Test.TOO_FEW}:
            rows = self.places.first_region + np.array(case.regions)
            excess = np.log1p(self.watch.total()[rows])
        share = excess / max(float(excess.sum()), 1e-9)
        regions = self.places.detector.regions
        return tuple(
            RegionShare(regions[row].id, regions[row].name, float(part))
            for part, row in sorted(zip(share, case.regions, strict=True), key=lambda x: -x[0])
        )

    # What people are shown

    def reference_summary(self) -> ReferenceSummary:
        """Return what "good" is measured against now."""
        expectation = self.watch.expectation
        return ReferenceSummary(
            expectation.id, expectation.origin, expectation.n, self.settings.model
        )

    def open_alarms(self) -> tuple[Alarm, ...]:
        """Return the newest version of every open alarm."""
        return tuple(self._alarms[case.id] for case in self._cases.open)

    def standing(self) -> Standing:
        """Return all that people are shown."""
        second, showers, exceedances = self._ledger.rows(SPECTRUM_S)
        at = LEVELS.index(0.01)
        by_second = showers.sum(1)
        expected, _ = self.watch.rates.expected(by_second.astype(np.float64))
        now = self._now * SECOND_NS
        return Standing(
            detector=self.places.detector.name,
            data_second=self._second,
            run=max(self._run, 0),
            lumisection=max(self._lumisection, 0),
            board=self._board(),
            alarms=self.open_alarms(),
            cleared=tuple(self._alarms[case.id] for case in self._cases.closed[:10]),
            acknowledged=tuple(
                Acknowledged(act.alarm, act.who, act.cause, act.until_ns)
                for act in self._acks.values()
                if act.holds(now)
            ),
            history=History(
                second=second,
                showers=by_second.sum(1),
                exceedances=exceedances[..., at].sum(1),
                expected=expected[:, at] if len(second) else np.zeros(0),
            ),
            budget=self.budget(),
            reference=self.reference_summary(),
            reference_distance=self.live.distance(),
            spectra=self._spectrum(),
            self_tests=self.shadow.results() if self.shadow is not None else (),
            latents=moments(self.watch.memory.lately(), self._references(), self.geometry),
        )

    def _references(self) -> tuple[Expectation, ...]:
        """Return the certified reference, and the one in force if that is another."""
        certified, in_force = self.watch.certified, self.watch.expectation
        return (certified,) if in_force is certified else (certified, in_force)

    def adopt_live(self) -> None:
        """Test against what has been accepted so far, from now on."""
        self._believe(self.live.take_up(), forced=True)

    def budget(self) -> Budget:
        """Return the false pages allowed, the time watched and the pages raised."""
        days = self.settings.allowance.days_per_page
        return Budget(days, self._watched / DAY, self._cases.pages)

    def _board(self) -> tuple[RegionNow, ...]:
        showers, exceedances = self._ledger.since(self._now - MINUTE + 1)
        expected, _ = self.watch.rates.expected(showers.astype(np.float64))
        at = LEVELS.index(0.01)
        last = self._ledger.last_seen()
        board = []
        for row, region in enumerate(self.places.detector.regions):
            quality, reason = self._sections.current(row, self._now)
            n = int(showers[row].sum())
            if quality is Quality.GOOD and n < self.settings.min_showers:
                quality, reason = Quality.NULL, "too few showers to say" if n else "no data"
            board.append(
                RegionNow(
                    region=region.id,
                    name=region.name,
                    sector=region.sector,
                    quality=quality,
                    reason=reason,
                    showers=n,
                    exceedances=int(exceedances[row, at]),
                    expected=float(expected[row, at]) if n else 0.0,
                    last_second=int(last[row]) if last[row] >= 0 else None,
                    masked=row in self._sections.masked,
                )
            )
        return tuple(board)

    def _spectrum(self) -> tuple[Spectrum, ...]:
        if not self._spectra:
            return ()
        counts = np.sum(list(self._spectra), axis=0)
        certified, *live = (_shares(one.p_counts) for one in self._references())
        share = live[0] if live else certified
        names = [*self.settings.score_names, "combined"]
        names = (
            names if len(names) == len(counts) else [f"score {i + 1}" for i in range(len(counts))]
        )
        return tuple(
            Spectrum(
                name,
                counts[i],
                counts[i].sum() * share[i],
                counts[i].sum() * certified[i] if live else None,
            )
            for i, name in enumerate(names)
        )

    # What a stand-by takes up

    def state(self) -> dict[str, NDArray[Any]]:
        """Return everything that changes, as arrays; `restore` is the inverse."""
        out: dict[str, NDArray[Any]] = {
            f"watch.{name}": array for name, array in self.watch.state().items()
        }
        out |= {f"ledger.{name}": array for name, array in self._ledger.state().items()}
        out |= {f"live.{name}": array for name, array in self.live.state().items()}
        out |= {f"aside.{name}": array for name, array in self._conditions.state().items()}
        out["spectra"] = np.array(list(self._spectra), np.int64)
        if self._scores is not None:
            out["scores"] = self._scores.counts
        words = {
            "cases": self._cases.state(),
            "sections": self._sections.state(),
            "alarms": {id_: records.to_json(alarm) for id_, alarm in self._alarms.items()},
            "shadow": self.shadow.state() if self.shadow is not None else None,
            "acks": [records.to_json(act) for act in self._acks.values()],
            "conditions": self._conditions.words(),
            "clock": [
                self._run, self._lumisection, self._second, self._watched, self._run_watched,
                self._run_since,
            ],
        }  # fmt: skip
        out["words"] = np.frombuffer(json.dumps(words).encode(), np.uint8)
        return {name: _small(array) for name, array in out.items()}

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Take up what `state` returned."""
        words = json.loads(state["words"].tobytes())
        self.watch.restore(_below("watch.", state))
        self._ledger.restore(_below("ledger.", state))
        self.live.restore(_below("live.", state))
        self._conditions.restore(words["conditions"], _below("aside.", state), self._fresh_live)
        self.watch.certified = self.live.centre
        self._believe(self.live.expectation(), forced=True)
        self._spectra.clear()
        self._spectra.extend(state["spectra"].astype(np.int64))
        self._scores = None
        if "scores" in state:
            self._scores = ScoreTable(state["scores"].astype(np.int64))
        self._cases.restore(words["cases"])
        self._sections.restore(words["sections"])
        alarms = {id_: records.from_json(values) for id_, values in words["alarms"].items()}
        self._alarms = {id_: alarm for id_, alarm in alarms.items() if isinstance(alarm, Alarm)}
        acks = [records.from_json(values) for values in words["acks"]]
        self._acks = {act.alarm: act for act in acks if isinstance(act, Acknowledgement)}
        if self.shadow is not None and words["shadow"] is not None:
            self.shadow.restore(words["shadow"])
        clock = words["clock"]
        self._run, self._lumisection, self._second, self._watched, self._run_watched = clock[:5]
        self._run_since = clock[5]


def _shares(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    share: NDArray[np.float64] = counts / counts.sum(1, keepdims=True)
    return share


def _small(array: NDArray[Any]) -> NDArray[Any]:
    """Return whole numbers in the smallest type that holds them: snapshots travel often."""
    if array.dtype != np.int64 or not array.size:
        return array
    least, most = int(array.min()), int(array.max())
    for kind in (np.int16, np.int32):
        if np.iinfo(kind).min <= least and most <= np.iinfo(kind).max:
            return array.astype(kind)
    return array


def _below(prefix: str, state: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
