"""Watch: windows in, evidence against every place out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from models.scoring.scales import Z_UNIT
from monitor.reference.expectation import no_showers
from monitor.sequential.cells import CellTests, Sums
from monitor.sequential.evidence import RATES_SHARE, TRAFFIC, Evidence
from monitor.sequential.rates import Counts, Floors, RateTests, Test
from monitor.sequential.traffic import nowhere, traffic
from monitor.sequential.usual_traffic import Shares
from monitor.sequential.within import Tests, Within
from monitor.windows import packing
from monitor.windows.step_history import StepHistory

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray
    from scipy.sparse import csr_array

    from monitor.detector.places import Places
    from monitor.reference.expectation import Expectation
    from monitor.reference.references import References
    from monitor.sequential.traffic import Traffic
    from monitor.windows.rows import Rows


class Watch:
    """The banks of e-detectors of all places, and what feeds them.

    Parameters
    ----------
    places
        The detector's places.
    references
        What good showers hold.
    needed
        Evidence that a page needs at each place, data-seconds, shape (P,).
    floors, miscoverage
        Of the tests.
    cell_seconds
        Data-seconds between steps of the cell tests.
    """

    def __init__(
        self,
        places: Places,
        references: References,
        needed: NDArray[np.float64],
        *,
        floors: Floors,
        miscoverage: float,
        cell_seconds: int,
    ) -> None:
        self._places, self._needed = places, needed
        self._floors, self._miscoverage = floors, miscoverage
        self._trusted = np.ones(places.n_regions, bool)
        self.adopt(references)
        self.evidence = Evidence(places, needed, self.rates, self.cells)
        self.memory = StepHistory(cell_seconds, no_showers(references.certified, places.n_regions))
        self.shares = Shares(places.n_regions)
        self._heard = np.zeros((2, places.n), bool)
        """Places of which the last step said something by showers, or of the lack of them, (2, P)."""

        self._masked_cells = np.zeros((places.n_regions, self.cells.n_latents), bool)
        self._counted = np.ones(len(places.region_of), bool)
        """Memberships that count now, shape (M,)."""

        self._all_members = places.weights()
        self.arrange(np.zeros(places.n_regions, bool), ~self._counted)

    def adopt(self, references: References) -> None:
        """Test against these from now on; evidence so far stays."""
        self.references = references
        tested = references.shares(self._miscoverage / 4)  # counts and latents, certified and live
        self.rates = RateTests(tested, self._floors)
        self.cells = CellTests(tested, self._floors)

    @property
    def _outer(self) -> Tests:
        return Tests(self.expectation, self.rates, self.cells)

    def look_within(
        self, known: Mapping[str, NDArray[np.bool_]], trusted: NDArray[np.bool_]
    ) -> bool:
        """Test what lies inside of known faults against what these show; return what changed.

        Parameters
        ----------
        known
            Regions of each known fault of a whole place, by its name, shape (R,).
        trusted
            Regions that no other fault has, shape (R,).
        """
        self._trusted = trusted
        before = {name: one.regions.tobytes() for name, one in self.evidence.within.items()}
        changed = before != {name: regions.tobytes() for name, regions in known.items()}
        self.evidence.within = {
            name: self.evidence.within[name]
            if before.get(name) == regions.tobytes()
            else self._new_within(regions)
            for name, regions in known.items()
        }
        return changed

    def _new_within(self, regions: NDArray[np.bool_]) -> Within:
        shares = RATES_SHARE, 1 - RATES_SHARE
        return Within(regions, self._outer, self._needed, self._places, shares)

    def tests(self, regions: list[int]) -> Tests:
        """Return what some regions are tested against."""
        rows = np.isin(np.arange(self._places.n_regions), regions)
        for within in self.evidence.within.values():
            inside = not (rows & ~within.regions).any() and rows.sum() < within.regions.sum()
            if inside and within.tests is not None:
                return within.tests
        return self._outer

    @property
    def expectation(self) -> Expectation:
        """Return the newest reference in force."""
        return self.references.newest

    def arrange(self, masked: NDArray[np.bool_], explained: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Set which regions count where; return the places that began anew by it, shape (P,).

        Parameters
        ----------
        masked
            Regions that count nowhere, shape (R,).
        explained
            Memberships of regions that open alarms explain, so that a place must not count them,
            shape (M,).
        """
        self.masked = masked
        counted = ~masked[self._places.region_of] & ~explained
        changed = np.asarray(self._places.counts_of(counted != self._counted) > 0)
        self._counted = counted
        self._weights = self._places.weights(counted)
        self.forget(changed)
        return changed

    @property
    def untrusted(self) -> NDArray[np.bool_]:
        """Return the regions of which something is masked, shape (R,)."""
        rows: NDArray[np.bool_] = self.masked | self._masked_cells.any(1)
        return rows

    @property
    def masked_cells(self) -> NDArray[np.bool_]:
        """Return which latents of which regions are left out, shape (R, D)."""
        return self._masked_cells

    def mask_cells(self, cells: NDArray[np.bool_]) -> None:
        """Set which latents of which regions are left out, shape (R, D)."""
        self._masked_cells = cells

    def forget(self, places: NDArray[np.bool_] | slice = slice(None)) -> None:
        """Start anew at some places."""
        self.evidence.forget(places)

    def new_run(self) -> None:
        """Start anew everywhere; what is usual of a region outlives runs."""
        self.forget()
        self.memory.forget()

    def step(
        self,
        second: int,
        rows: Rows,
        *,
        new: bool,
        masked: bool = False,
        unknown: NDArray[np.bool_] | None = None,
    ) -> None:
        """Take in a data-second, or what came late for one.

        Parameters
        ----------
        masked
            Whether showers were scored without the cells that are masked. Else all that is said of
            a region with such cells still holds them, and none of it counts.
        unknown
            Regions whose silence says nothing, since showers of theirs may be elsewhere, shape (R,).
        """
        seen = rows.seen
        unknown = np.zeros(len(seen), bool) if unknown is None else unknown
        doubted = self.evidence.crowded() & self.shares.learnt
        counted: NDArray[np.bool_] = np.asarray(~self._masked_cells.any(1))
        counted |= masked

        ours = rows if counted.all() else rows.of(counted)
        said = ours.showers, ours.exceedances.sum(1), ours.p_counts, rows.unscored, seen
        showers, exceedances, p_counts, unscored, heard = _together(self._weights, said)
        beside = self._traffic(seen, ~unknown & new, doubted)
        counts = Counts(showers, exceedances, p_counts, unscored, heard, beside)
        self._heard = np.stack([counts.seen > 0, counts.traffic.share > 0]) & new
        self.evidence.counts.step(self.rates.log_e(counts), int(new), second)
        for within in self.evidence.within.values():
            within.step(counts, int(new), second)
            if new:
                trusted = self._trusted & ~self.untrusted
                within.gather(rows, trusted, self._floors, self._miscoverage / 4)
            if within.tests is None:
                self._heard &= ~within.places
        if new:
            self.shares.learn(seen, self.masked, unknown | doubted)
        self._pool(second, ours, new=new)

    def _traffic(
        self, seen: NDArray[np.int64], says: NDArray[np.bool_], doubted: NDArray[np.bool_]
    ) -> Traffic:
        if not seen.any():  # nobody has any: that is for others to tell
            return nowhere(self._places.n)
        usual, rate = self.shares.usual(self.masked), self.shares.rate
        return traffic(self._all_members, self._weights, seen, usual, says, doubted, rate)

    def _pool(self, second: int, rows: Rows, *, new: bool) -> None:
        """Gather the seconds of a step of the cell tests, and take it when it is whole."""
        step = self.memory.add(second, rows, new=new)
        if step is not None:
            sums = self.sums(step.rows)
            self.cells.step(self.evidence.latents, sums, self.memory.step_s, step.since)
            for within in self.evidence.within.values():
                sums = self.sums_of(step.rows, self._weights, within.tests)
                within.step_cells(sums, self.memory.step_s, step.since)

    def sums(self, rows: Rows) -> Sums:
        """Return the sums over the showers of every place."""
        return self.sums_of(rows, self._weights)

    def sums_of(self, rows: Rows, weights: NDArray[np.float64], tests: Tests | None = None) -> Sums:
        """Return the sums over regions with these weights, shape (P, R), masked cells left out."""
        expectation = self.expectation if tests is None else tests.expectation
        z = rows.z * Z_UNIT
        square = rows.z_square * Z_UNIT
        lit = rows.lit.astype(np.float64)
        if self._masked_cells.any():  # a masked cell shows exactly what is expected
            mean = rows.showers @ expectation.latent_mean
            z = np.where(self._masked_cells, mean, z)
            expected = rows.showers @ expectation.latent_square
            square = np.where(self._masked_cells, expected, square)
            masked = self._masked_cells[:, : lit.shape[1]]
            lit = np.where(masked, rows.showers @ expectation.lit_rate, lit)
        return Sums(weights @ rows.showers, weights @ z, weights @ square, weights @ lit)

    def heard(self, test: Test) -> NDArray[np.bool_]:
        """Return the places of which the last step said something to a test, shape (P,)."""
        heard: NDArray[np.bool_] = self._heard[int(test in TRAFFIC)]
        return heard

    def state(self) -> dict[str, NDArray[Any]]:
        """Return all that changes, as arrays."""
        out: dict[str, NDArray[Any]] = {}
        for name, bank in self.evidence.banks:
            out |= packing.under(f"{name}.", bank.state())
        out |= self.memory.state()
        out |= packing.under("shares.", self.shares.state())
        for i, within in enumerate(self.evidence.within.values()):
            out |= packing.under(f"within.{i}.", within.state())
        known = [within.regions for within in self.evidence.within.values()]
        out["known"] = np.array(known, bool).reshape(len(known), self._places.n_regions)
        out["known_names"] = np.frombuffer("\0".join(self.evidence.within).encode(), np.uint8)
        return out | {
            "counted": self._counted,
            "masked": self.masked,
            "masked_cells": self._masked_cells,
            "trusted": self._trusted,
        }

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Take up what `state` returned."""
        self._masked_cells = state["masked_cells"].astype(bool)
        self.arrange(state["masked"].astype(bool), ~state["counted"].astype(bool))
        for name, bank in self.evidence.banks:
            bank.restore(packing.below(f"{name}.", state))
        self.memory.restore(state)
        self.shares.restore(packing.below("shares.", state))
        names = state["known_names"].astype(np.uint8).tobytes().decode().split("\0")
        known = dict(zip(names, state["known"].astype(bool), strict=False))
        self.evidence.within = {}
        self.look_within(known, state["trusted"].astype(bool))
        for i, within in enumerate(self.evidence.within.values()):
            mine = packing.below(f"within.{i}.", state)
            within.restore(mine, self._floors, self._miscoverage / 4)


def _together(
    weights: csr_array, counts: Sequence[NDArray[np.int64]]
) -> Iterator[NDArray[np.float64]]:
    """Yield the sums over regions of several counts, shape (R, ...), as (P, ...): by one product."""
    flat = [x.reshape(len(x), -1) for x in counts]
    sums = weights @ np.concatenate(flat, axis=1, dtype=np.float64)
    parts = np.split(sums, np.cumsum([x.shape[1] for x in flat])[:-1], axis=1)
    return (part.reshape(-1, *x.shape[1:]) for part, x in zip(parts, counts, strict=True))
