"""Watch: windows in, evidence against every place out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import csr_array

from models.scoring.scales import Z_UNIT
from monitor.reference.expectation import no_showers
from monitor.sequential.bank import Bank
from monitor.sequential.cells import CellTests, Sums
from monitor.sequential.rates import FAMILY_SHARE as RATE_FAMILIES
from monitor.sequential.rates import Counts, Floors, RateTests, Test
from monitor.sequential.shares import Shares
from monitor.sequential.traffic import DOUBTED, nowhere, traffic
from monitor.sequential.within import Tests, Within
from monitor.windows import packing
from monitor.windows.step_history import StepHistory

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from monitor.detector.places import Places
    from monitor.reference.expectation import Expectation
    from monitor.reference.references import References
    from monitor.sequential.traffic import Traffic
    from monitor.windows.rows import Rows

RATES_SHARE = 0.5
"""Share of the evidence weight of the tests of counts; the tests of latents have the rest."""


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
        self._within: dict[str, Within] = {}
        self._trusted = np.ones(places.n_regions, bool)
        self.adopt(references)
        self._rate_bank = Bank(places.n, self.rates.weights * RATES_SHARE, needed)
        self._cell_bank = Bank(places.n, self.cells.weights * (1 - RATES_SHARE), needed, np.float32)
        self.memory = StepHistory(cell_seconds, no_showers(references.certified, places.n_regions))
        self.shares = Shares(places.n_regions)
        self._heard = np.zeros((2, places.n), bool)
        """Places of which the last step said something by showers, or of the lack of them, (2, P)."""

        self._masked_cells = np.zeros((places.n_regions, self.cells.n_latents), bool)
        self._members = places.members
        self._all_members = csr_array(places.members.astype(np.float64))
        kinds = self.rates.kinds
        self._crowd_streams = np.flatnonzero([kind is Test.CROWDED for kind in kinds])
        of_traffic = [kind in {Test.SILENT, Test.CROWDED} for kind in kinds]
        self._traffic_streams = np.flatnonzero(of_traffic)
        self.arrange(np.zeros(places.n_regions, bool), np.zeros((places.n, places.n_regions), bool))

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
        before = {name: one.regions.tobytes() for name, one in self._within.items()}
        changed = before != {name: regions.tobytes() for name, regions in known.items()}
        self._within = {
            name: self._within[name]
            if before.get(name) == regions.tobytes()
            else self._new_within(regions)
            for name, regions in known.items()
        }
        return changed

    def _new_within(self, regions: NDArray[np.bool_]) -> Within:
        shares = RATES_SHARE, 1 - RATES_SHARE
        return Within(regions, self._outer, self._needed, self._places.members, shares)

    def tests(self, regions: list[int]) -> Tests:
        """Return what some regions are tested against."""
        rows = np.isin(np.arange(self._places.n_regions), regions)
        for within in self._within.values():
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
            Regions that open alarms explain, so that a place must not count them, shape (P, R).
        """
        self.masked = masked
        members = self._places.members & ~masked & ~explained
        changed = (members != self._members).any(1)
        self._members = members
        self._weights = csr_array(members.astype(np.float64))
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
        self._rate_bank.reset(places)
        self._cell_bank.reset(places)
        for within in self._within.values():
            within.forget(places)

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
        made_up: NDArray[np.bool_] | None = None,
        unknown: NDArray[np.bool_] | None = None,
    ) -> None:
        """Take in a data-second, or what came late for one.

        Parameters
        ----------
        made_up
            Regions whose showers were scored without their masked cells, shape (R,). In the
            others a p-value still holds what is masked: only latents count there.
        unknown
            Regions whose silence says nothing, since showers of theirs may be elsewhere, shape (R,).
        """
        seen = rows.showers.sum(1) + rows.unscored
        unknown = np.zeros(len(seen), bool) if unknown is None else unknown
        doubted = self._crowded()
        sound = ~self._masked_cells.any(1)
        counted = sound if made_up is None else sound | made_up

        def at_places(values: NDArray[np.int64]) -> NDArray[np.float64]:
            flat = values.reshape(len(seen), -1) * counted[:, None]
            sums: NDArray[np.float64] = self._weights @ flat
            return sums.reshape(len(sums), *values.shape[1:])

        counts = Counts(
            showers=at_places(rows.showers),
            exceedances=at_places(rows.exceedances.sum(1)),
            p_counts=at_places(rows.p_counts),
            unscored=self._weights @ rows.unscored,
            seen=self._weights @ seen,
            traffic=self._traffic(seen, ~unknown & new, doubted),
        )
        self._heard = np.stack([counts.seen > 0, counts.traffic.share > 0]) & new
        self._rate_bank.step(self.rates.log_e(counts), int(new), second)
        for within in self._within.values():
            within.step(counts, int(new), second)
            if new:
                trusted = self._trusted & ~self.untrusted
                within.gather(rows, trusted, self._floors, self._miscoverage / 4)
            if within.tests is None:
                self._heard &= ~within.places
        if new:
            self.shares.learn(seen, self.masked, unknown | doubted)
        self._pool(second, rows, new=new)

    def _traffic(
        self, seen: NDArray[np.int64], says: NDArray[np.bool_], doubted: NDArray[np.bool_]
    ) -> Traffic:
        if not seen.any():  # nobody has any: that is for others to tell
            return nowhere(self._places.n)
        usual, rate = self.shares.usual(self.masked), self.shares.rate
        return traffic(self._all_members, self._weights, seen, usual, says, doubted, rate)

    def _crowded(self) -> NDArray[np.bool_]:
        """Return the regions of which evidence says that they have too many showers, shape (R,)."""
        paths = self._rate_bank.path[self._places.first_region :, self._crowd_streams]
        rows: NDArray[np.bool_] = (paths > DOUBTED).any(1) & self.shares.learnt
        return rows

    def _pool(self, second: int, rows: Rows, *, new: bool) -> None:
        """Gather the seconds of a step of the cell tests, and take it when it is whole."""
        step = self.memory.add(second, rows, new=new)
        if step is not None:
            log_e = self.cells.log_e(self.sums(step.rows))
            self._cell_bank.step(log_e, self.memory.step_s, step.since)
            for within in self._within.values():
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

    def _banks(self, place: int) -> tuple[Bank, Bank]:
        """Return the banks whose evidence is that of a place."""
        inside = (w for w in self._within.values() if w.places[place])
        within = next(inside, None)
        return (
            (self._rate_bank, self._cell_bank) if within is None else (within.rates, within.cells)
        )

    def inside(self, place: int) -> bool:
        """Return whether a place is tested against what a known fault around it shows."""
        return any(within.places[place] for within in self._within.values())

    def total(self) -> NDArray[np.float64]:
        """Return the evidence against each place, data-seconds, shape (P,)."""
        total = self._rate_bank.total() + self._cell_bank.total()
        for within in self._within.values():
            np.copyto(total, within.total(), where=within.places)
        return total

    def heard(self, test: Test) -> NDArray[np.bool_]:
        """Return the places of which the last step said something to a test, shape (P,)."""
        return self._heard[int(test in {Test.SILENT, Test.CROWDED})]

    def traffic_total(self) -> NDArray[np.float64]:
        """Return the part of the evidence that is of too few or too many showers, shape (P,)."""
        at = self._traffic_streams
        total: NDArray[np.float64] = self._rate_bank.evidence[:, at] @ self._rate_bank.weights[at]
        for within in self._within.values():
            inner = within.rates.evidence[:, at] @ within.rates.weights[at]
            np.copyto(total, inner, where=within.places)
        return total

    def leading(
        self, place: int, among: frozenset[Test] | None = None
    ) -> tuple[Test, int, int, float]:
        """Return the test and the stream that say most, the onset, and the log odds since then.

        Parameters
        ----------
        among
            Tests of counts that are asked alone.
        """
        rates, cells = self._banks(place)
        if among is not None:
            asked = [i for i, kind in enumerate(self.rates.kinds) if kind in among]
            stream = asked[int(np.argmax(rates.path[place, asked]))]
            onset, path = int(rates.onset[place, stream]), float(rates.path[place, stream])
            return self.rates.kinds[stream], stream, onset, path
        by_rates = rates.at(place) >= cells.at(place)
        bank, tests = (rates, self.rates.kinds) if by_rates else (cells, self.cells.kinds)
        stream = bank.leading(place)
        odds = np.logaddexp(rates.log_odds(place), cells.log_odds(place))
        return tests[stream], stream, bank.best_onset(place), float(odds)

    def path(self, test: Test, stream: int) -> NDArray[np.float64]:
        """Return the log likelihood ratio of a stream since its onset, at each place, (P,)."""
        return np.maximum(self._of_stream("path", test, stream).astype(np.float64), 0.0)

    def onsets(self, test: Test, stream: int) -> NDArray[np.int64]:
        """Return the most likely onset of a stream at each place, data-second, shape (P,)."""
        return self._of_stream("onset", test, stream).astype(np.int64)

    def _of_stream(self, what: str, test: Test, stream: int) -> NDArray[Any]:
        bank = "rates" if test in RATE_FAMILIES else "cells"
        outer = self._rate_bank if bank == "rates" else self._cell_bank
        out: NDArray[Any] = getattr(outer, what)[:, stream].copy()
        for within in self._within.values():
            inner = getattr(getattr(within, bank), what)[:, stream]
            np.copyto(out, inner, where=within.places)
        return out

    def latent_evidence(self, place: int) -> NDArray[np.float64]:
        """Return the evidence of each latent at a place, data-seconds, shape (D,)."""
        _, cells = self._banks(place)
        return np.bincount(
            self.cells.latent,
            cells.evidence[place] * self.cells.weights,
            minlength=self.cells.n_latents,
        ) / np.bincount(self.cells.latent, self.cells.weights, minlength=self.cells.n_latents)

    def state(self) -> dict[str, NDArray[Any]]:
        """Return all that changes, as arrays."""
        out: dict[str, NDArray[Any]] = {}
        for name, bank in (("rates", self._rate_bank), ("cells", self._cell_bank)):
            out |= {f"{name}.{key}": value for key, value in bank.state().items()}
        out |= self.memory.state()
        out |= packing.under("shares.", self.shares.state())
        for i, within in enumerate(self._within.values()):
            out |= packing.under(f"within.{i}.", within.state())
        known = [within.regions for within in self._within.values()]
        out["known"] = np.array(known, bool).reshape(len(known), self._places.n_regions)
        out["known_names"] = np.frombuffer("\0".join(self._within).encode(), np.uint8)
        return out | {
            "members": self._members,
            "masked": self.masked,
            "masked_cells": self._masked_cells,
            "trusted": self._trusted,
        }

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Take up what `state` returned."""
        self._masked_cells = state["masked_cells"].astype(bool)
        members = state["members"].astype(bool)
        self.arrange(state["masked"].astype(bool), self._places.members & ~members)
        for name, bank in (("rates", self._rate_bank), ("cells", self._cell_bank)):
            bank.restore({k: state[f"{name}.{k}"] for k in ("evidence", "path", "onset")})
        self.memory.restore(state)
        self.shares.restore(packing.below("shares.", state))
        names = state["known_names"].astype(np.uint8).tobytes().decode().split("\0")
        known = dict(zip(names, state["known"].astype(bool), strict=False))
        self._within = {}
        self.look_within(known, state["trusted"].astype(bool))
        for i, within in enumerate(self._within.values()):
            mine = packing.below(f"within.{i}.", state)
            within.restore(mine, self._floors, self._miscoverage / 4)
