"""Reports: a case in the words and numbers that people get, with all that speaks for it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from models.scoring.scales import LEVELS
from monitor.alarms import kinds, wording
from monitor.alarms.crossings import LEAST_WATCHED_S, LISTED_FALSE
from monitor.alarms.symptoms import Symptoms, information
from monitor.quality.alarms import Alarm, CellShare, Kind, ReferenceSummary, RegionShare, State
from monitor.sequential.bank import e_benjamini_hochberg
from monitor.sequential.rates import DOWN, UP, Test
from monitor.windows.clock import SECOND_NS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.detector.geometry import Geometry
    from monitor.alarms.case import Case
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
    """

    def __init__(
        self,
        places: Places,
        geometry: Geometry,
        watch: Watch,
        recent: RecentCounts,
        clock: Clock,
        model: str,
    ) -> None:
        self._places, self._geometry = places, geometry
        self._watch, self._recent, self._clock = watch, recent, clock
        self._model = model

    def reference(self) -> ReferenceSummary:
        """Return what "good" is measured against now."""
        expectation = self._watch.expectation
        return ReferenceSummary(expectation.id, expectation.origin, expectation.n, self._model)

    def alarm(self, case: Case, state: State, share: float, moved: float) -> Alarm:
        """Return the record of a case as it stands.

        Parameters
        ----------
        share
            Of the budget, that the case's place has.
        moved
            Largest move of a score's median, in MADs of the reference.
        """
        showers, exceedances = self._recent.since(case.onset)
        rows = np.array(case.regions)
        level = self._level(case)
        mix = showers[rows].sum(0, keepdims=True).astype(np.float64)
        expected, uncertainty = self._watch.rates.expected(mix)
        observed = exceedances[rows].sum(0)
        symptoms = self._symptoms(case)
        kind, margin = kinds.likely(symptoms, self._geometry)
        cells = self._cells(symptoms, kind)
        regions = self._regions(case, showers, exceedances)
        place = self._places.names[case.place]
        names = tuple(share.name for share in regions)
        at = LEVELS.index(level)
        reference = self.reference()
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
        chance = max(case.once_in, float(np.exp(min(case.odds, 700.0))) * share)
        text = wording.text(alarm, level, chance)
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

    def _level(self, case: Case) -> float:
        """Return the α at which the case's excess is counted."""
        if case.test not in {Test.EXCEEDANCES, Test.TOO_FEW}:
            return 0.01
        grid = UP if case.test is Test.EXCEEDANCES else DOWN
        levels = [level for level, ratios in grid.items() for _ in ratios]
        offset = 0 if case.test is Test.EXCEEDANCES else sum(len(r) for r in UP.values())
        return levels[case.stream - offset]

    def likely(self, case: Case) -> tuple[Kind, float]:
        """Return the likely kind of a case, and the log10 odds over the next likely one."""
        return kinds.likely(self._symptoms(case), self._geometry)

    def _symptoms(self, case: Case) -> Symptoms:
        """Return what the regions of a case have shown since the onset."""
        at = LEVELS.index(0.01)
        rows = np.array(case.regions)
        seen, exceedances = (array[rows].sum(0) for array in self._recent.since(case.onset))
        expected, _ = self._watch.rates.expected(seen[None].astype(np.float64))
        total = self._watch.memory.since(case.onset)
        weights = np.zeros((1, self._places.n_regions))
        weights[0, case.regions] = 1
        sums = self._watch.sums_of(total, weights)
        showers = sums.showers
        effects = self._watch.cells.effects(sums)
        lit_expected = (showers @ self._watch.expectation.lit_rate)[0] / max(showers.sum(), 1)
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
        )

    def _listed(self, case: Case) -> NDArray[np.bool_]:
        """Return the cells whose own evidence stands out, by e-BH, shape (V,)."""
        place = case.place
        if not case.diffuse:
            total = self._watch.total()[self._places.first_region :]
            place = self._places.first_region + max(case.regions, key=lambda row: float(total[row]))
        evidence_ = self._watch.latent_evidence(place)[: self._watch.cells.n_cells]
        return e_benjamini_hochberg(
            evidence_ / max(self._clock.run_watched, LEAST_WATCHED_S), LISTED_FALSE
        )

    def _cells(self, symptoms: Symptoms, kind: Kind) -> tuple[CellShare, ...]:
        """Return the cells that carry the evidence, with their shares of what all cells say."""
        listed = kinds.carriers(symptoms, kind)
        if kind in {Kind.SILENT, Kind.TRANSPORT} or not listed.any():
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
        at = LEVELS.index(self._level(case))
        expected, _ = self._watch.rates.expected(showers.astype(np.float64))
        excess = np.abs(exceedances[:, at] - expected[:, at])[case.regions]
        if case.test not in {Test.EXCEEDANCES, Test.TOO_FEW}:
            rows = self._places.first_region + np.array(case.regions)
            excess = np.log1p(self._watch.total()[rows])
        share = excess / max(float(excess.sum()), 1e-9)
        regions = self._places.detector.regions
        return tuple(
            RegionShare(regions[row].id, regions[row].name, float(part))
            for part, row in sorted(zip(share, case.regions, strict=True), key=lambda x: -x[0])
        )
