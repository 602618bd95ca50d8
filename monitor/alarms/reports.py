"""Reports: a case in the words and numbers that people get, with all that speaks for it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from models.scoring.scales import LEVELS
from monitor.alarms import findings, kinds, wording
from monitor.alarms.crossings import LEAST_WATCHED_S, LISTED_FALSE
from monitor.alarms.symptoms import Symptoms, information
from monitor.quality.alarms import Alarm, CellShare, Kind, ReferenceSummary, RegionShare, State
from monitor.sequential.bank import e_benjamini_hochberg
from monitor.sequential.evidence import TRAFFIC
from monitor.sequential.rates import Test
from monitor.windows.clock import SECOND_NS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.detector.geometry import Geometry
    from monitor.alarms.case import Case
    from monitor.alarms.findings import Finding
    from monitor.detector.places import Places
    from monitor.sequential.watch import Watch
    from monitor.windows.clock import Clock
    from monitor.windows.recent_counts import RecentCounts

ANCHOR_MAD = 2.0
"""Beyond this move of a median the bins of the reference no longer lie where the scores are."""

MAX_CELLS = 8
"""Cells that an alarm names."""

LEAST_SHARE = 0.03
"""Share of the excess that a cell needs to be named."""


class Reporter:
    """Makes alarms of cases.

    Parameters
    ----------
    places, geometry
        What is watched.
    watch, recent, clock
        The evidence, the counts and the time, as they stand when a report is made.
    model
        Content hash of the artefact that scores.
    scores
        Names of its scores.
    """

    def __init__(
        self,
        places: Places,
        geometry: Geometry,
        watch: Watch,
        recent: RecentCounts,
        clock: Clock,
        model: str,
        scores: tuple[str, ...] = (),
    ) -> None:
        self._places, self._geometry = places, geometry
        self._watch, self._recent, self._clock = watch, recent, clock
        self._model, self._scores = model, scores

    def reference(self, regions: list[int] | None = None) -> ReferenceSummary:
        """Return what "good" is measured against now, in some regions or everywhere."""
        watch = self._watch
        expectation = watch.expectation if regions is None else watch.tests(regions).expectation
        return ReferenceSummary(expectation.id, expectation.origin, expectation.n, self._model)

    def alarm(self, case: Case, state: State, moved: float) -> Alarm:
        """Return the record of a case as it stands.

        Parameters
        ----------
        moved
            Largest move of a score's median, in MADs of the reference.
        """
        counts = self._recent.since(case.onset)
        finding = self._finding(case, counts)
        symptoms = self.symptoms(case)
        kind, margin = kinds.likely(symptoms, self._geometry)
        cells = self._cells(symptoms, kind)
        regions = self._regions(case, *counts)
        place = self._places.names[case.place]
        names = tuple(share.name for share in regions)
        reference = self.reference(case.regions)
        alarm = Alarm(
            id=case.id,
            version=case.version,
            state=state,
            severity=case.severity,
            level=self._places.levels[case.place],
            place=place,
            test=case.test.value,
            onset_ns=case.onset * SECOND_NS,
            raised_ns=case.raised * SECOND_NS,
            now_ns=self._clock.now_ns,
            run=self._clock.run,
            lumisection=self._clock.lumisection,
            showers=finding.showers,
            observed=finding.observed,
            expected=finding.expected,
            expected_sd=finding.expected_sd,
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
        text = wording.text(alarm, finding.words, case.once_in)
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
        place, level = self._places.names[case.place], self._places.levels[case.place]
        if kind is Kind.UNKNOWN and case.test is Test.TOO_FEW:
            return f"{level.value.capitalize()} {place}: too few strange showers"
        return wording.summary(place, level, regions, kind, cells)

    def _finding(self, case: Case, counts: tuple[NDArray[np.int64], NDArray[np.int64]]) -> Finding:
        """Return the statistic that crossed, since the onset."""
        watch, tests = self._watch, self._watch.tests(case.regions)
        if case.test in {Test.EXCEEDANCES, Test.TOO_FEW}:
            return findings.exceedances(case, counts, tests)
        if case.test in TRAFFIC:
            return findings.traffic(case, counts[0].sum(1), watch)
        rows = watch.memory.since(case.onset)
        if case.test is Test.UNSCORED:
            return findings.unscored(case, rows, watch.rates.floors.unscored)
        if case.test is Test.P_HISTOGRAM:
            return findings.p_values(case, rows, tests, self._scores)
        sums = watch.sums_of(rows, self._weights(case), tests)
        effects = tests.cells.effects(sums)
        return findings.latent(case, sums, effects, tests, self._geometry)

    def _weights(self, case: Case) -> NDArray[np.float64]:
        weights = np.zeros((1, self._places.n_regions))
        weights[0, case.regions] = 1
        return weights

    def symptoms(self, case: Case) -> Symptoms:
        """Return what the regions of a case have shown since the onset."""
        at = LEVELS.index(0.01)
        rows = np.array(case.regions)
        seen, exceedances = (array[rows].sum(0) for array in self._recent.since(case.onset))
        tests = self._watch.tests(case.regions)
        expected, _ = tests.rates.expected(seen[None].astype(np.float64))
        total = self._watch.memory.since(case.onset)
        sums = self._watch.sums_of(total, self._weights(case), tests)
        showers = sums.showers
        effects = tests.cells.effects(sums)
        unscored = float(total.unscored[rows].sum())
        lit_expected = (showers @ tests.expectation.lit_rate)[0] / max(showers.sum(), 1)
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
            share=len(case.regions) / self._places.n_regions,
            n_regions=len(case.regions),
            unscored=unscored / max(unscored + float(total.showers[rows].sum()), 1.0),
        )

    def _listed(self, case: Case) -> NDArray[np.bool_]:
        """Return the cells whose own evidence stands out, by e-BH, shape (V,)."""
        place = case.place
        if not case.diffuse:
            total = self._watch.evidence.total()[self._places.first_region :]
            place = self._places.first_region + max(case.regions, key=lambda row: float(total[row]))
        evidence_ = self._watch.evidence.latent_evidence(place)[: self._watch.cells.n_cells]
        return e_benjamini_hochberg(
            evidence_ / max(self._clock.run_watched, LEAST_WATCHED_S), LISTED_FALSE
        )

    def _cells(self, symptoms: Symptoms, kind: Kind) -> tuple[CellShare, ...]:
        """Return the cells that carry the evidence, with their shares of what all cells say."""
        listed = kinds.carriers(symptoms, kind)
        if kind in {Kind.SILENT, Kind.CROWDED, Kind.TRANSPORT} or not listed.any():
            return ()
        said = np.where(listed, information(symptoms), 0.0)
        share = said / max(float(said.sum()), 1e-9)
        order = np.argsort(-share, kind="stable")[:MAX_CELLS]
        return tuple(
            CellShare(int(c), self._geometry.cell_name(int(c)), float(share[c]))
            for c in order
            if share[c] >= LEAST_SHARE
        )

    def _regions(
        self, case: Case, showers: NDArray[np.int64], exceedances: NDArray[np.int64]
    ) -> tuple[RegionShare, ...]:
        """Return the regions of a case with their shares of its excess, the largest first."""
        at = LEVELS.index(findings.level_of(case))
        rates = self._watch.tests(case.regions).rates
        expected, _ = rates.expected(showers.astype(np.float64))
        excess = np.abs(exceedances[:, at] - expected[:, at])[case.regions]
        if case.test not in {Test.EXCEEDANCES, Test.TOO_FEW}:
            rows = self._places.first_region + np.array(case.regions)
            excess = np.log1p(self._watch.evidence.total()[rows])
        share = excess / max(float(excess.sum()), 1e-9)
        regions = self._places.detector.regions
        return tuple(
            RegionShare(regions[row].id, regions[row].name, float(part))
            for part, row in sorted(zip(share, case.regions, strict=True), key=lambda x: -x[0])
        )
