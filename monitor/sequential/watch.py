"""Watch: windows in, evidence against every place out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from models.scoring.scales import Z_UNIT
from monitor.reference.expectation import no_showers
from monitor.sequential.bank import Bank
from monitor.sequential.cells import CellTests, Sums
from monitor.sequential.rates import FAMILY_SHARE as RATE_FAMILIES
from monitor.sequential.rates import Counts, Floors, RateTests, Test
from monitor.sequential.shares import Shares
from monitor.windows import packing
from monitor.windows.step_history import StepHistory

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monitor.detector.places import Places
    from monitor.reference.expectation import Expectation
    from monitor.reference.references import References
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
        self._places = places
        self._floors, self._miscoverage = floors, miscoverage
        self.adopt(references)
        self._rate_bank = Bank(places.n, self.rates.weights * RATES_SHARE, needed)
        self._cell_bank = Bank(places.n, self.cells.weights * (1 - RATES_SHARE), needed, np.float32)
        self.memory = StepHistory(cell_seconds, no_showers(references.certified, places.n_regions))
        self.shares = Shares(places.n_regions)
        self.heard = np.zeros(places.n, bool)
        """Places of which the last step said something, by showers or by their absence, (P,)."""

        self._masked_cells = np.zeros((places.n_regions, self.cells.n_latents), bool)
        self._members = places.members
        self.arrange(np.zeros(places.n_regions, bool), np.zeros((places.n, places.n_regions), bool))

    def adopt(self, references: References) -> None:
        """Test against these from now on; evidence so far stays."""
        self.references = references
        tested = references.shares(self._miscoverage / 4)  # counts and latents, certified and live
        self.rates = RateTests(tested, self._floors)
        self.cells = CellTests(tested, self._floors)

    @property
    def expectation(self) -> Expectation:
        """Return the newest reference in force."""
        return self.references.newest

    def arrange(self, masked: NDArray[np.bool_], explained: NDArray[np.bool_]) -> None:
        """Set which regions count where.

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
        self._weights = members.astype(np.float64)
        self.forget(changed)

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
        silence_says = ~unknown & new
        share = np.zeros(self._places.n)
        if seen.sum() > 0:
            usual = self.shares.usual(self.masked)
            share[self._places.first_region :] = np.where(silence_says, usual, 0.0)
        sound: NDArray[np.bool_] = ~self._masked_cells.any(1)
        sound |= masked
        w = self._weights * sound
        total = float(seen[~self.masked].sum())
        counts = Counts(
            showers=w @ rows.showers,
            exceedances=w @ rows.exceedances.sum(1),
            p_counts=(w @ rows.p_counts.reshape(len(seen), -1)).reshape(
                len(w), *rows.p_counts.shape[1:]
            ),
            unscored=self._weights @ rows.unscored,
            seen=self._weights @ seen,
            everywhere=np.full(len(w), total),
            share=share,
        )
        self.heard = ((counts.seen > 0) | (share > 0)) & new
        self._rate_bank.step(self.rates.log_e(counts), int(new), second)
        if new:
            self.shares.learn(seen, self.masked, unknown)
        self._pool(second, rows if sound.all() else rows.of(sound), new=new)

    def _pool(self, second: int, rows: Rows, *, new: bool) -> None:
        """Gather the seconds of a step of the cell tests, and take it when it is whole."""
        step = self.memory.add(second, rows, new=new)
        if step is not None:
            log_e = self.cells.log_e(self.sums(step.rows))
            self._cell_bank.step(log_e, self.memory.step_s, step.since)

    def sums(self, rows: Rows) -> Sums:
        """Return the sums over the showers of every place."""
        return self.sums_of(rows, self._weights)

    def sums_of(self, rows: Rows, weights: NDArray[np.float64]) -> Sums:
        """Return the sums over regions with these weights, shape (P, R), masked cells left out."""
        z = rows.z * Z_UNIT
        square = rows.z_square * Z_UNIT
        lit = rows.lit.astype(np.float64)
        if self._masked_cells.any():  # a masked cell shows exactly what is expected
            mean = rows.showers @ self.expectation.latent_mean
            z = np.where(self._masked_cells, mean, z)
            expected = rows.showers @ self.expectation.latent_square
            square = np.where(self._masked_cells, expected, square)
            masked = self._masked_cells[:, : lit.shape[1]]
            lit = np.where(masked, rows.showers @ self.expectation.lit_rate, lit)
        return Sums(weights @ rows.showers, weights @ z, weights @ square, weights @ lit)

    def total(self) -> NDArray[np.float64]:
        """Return the evidence against each place, data-seconds, shape (P,)."""
        return self._rate_bank.total() + self._cell_bank.total()

    def leading(self, place: int) -> tuple[Test, int, int, float]:
        """Return the test and the stream that say most, the onset, and the log odds since then."""
        by_rates = self._rate_bank.total()[place] >= self._cell_bank.total()[place]
        bank, tests = (
            (self._rate_bank, self.rates.kinds) if by_rates else (self._cell_bank, self.cells.kinds)
        )
        stream = bank.leading(place)
        odds = np.logaddexp(self._rate_bank.log_odds(place), self._cell_bank.log_odds(place))
        return tests[stream], stream, bank.best_onset(place), float(odds)

    def path(self, test: Test, stream: int) -> NDArray[np.float64]:
        """Return the log likelihood ratio of a stream since its onset, at each place, (P,)."""
        bank = self._rate_bank if test in RATE_FAMILIES else self._cell_bank
        return np.maximum(bank.path[:, stream].astype(np.float64), 0.0)

    def latent_evidence(self, place: int) -> NDArray[np.float64]:
        """Return the evidence of each latent at a place, data-seconds, shape (D,)."""
        return np.bincount(
            self.cells.latent,
            self._cell_bank.evidence[place] * self.cells.weights,
            minlength=self.cells.n_latents,
        ) / np.bincount(self.cells.latent, self.cells.weights, minlength=self.cells.n_latents)

    def state(self) -> dict[str, NDArray[Any]]:
        """Return all that changes, as arrays."""
        out: dict[str, NDArray[Any]] = {}
        for name, bank in (("rates", self._rate_bank), ("cells", self._cell_bank)):
            out |= {f"{name}.{key}": value for key, value in bank.state().items()}
        out |= self.memory.state()
        out |= packing.under("shares.", self.shares.state())
        return (
            out
            | {"members": self._members}
            | {"masked": self.masked, "masked_cells": self._masked_cells}
        )

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Take up what `state` returned."""
        self._masked_cells = state["masked_cells"].astype(bool)
        members = state["members"].astype(bool)
        self.arrange(state["masked"].astype(bool), self._places.members & ~members)
        for name, bank in (("rates", self._rate_bank), ("cells", self._cell_bank)):
            bank.restore({k: state[f"{name}.{k}"] for k in ("evidence", "path", "onset")})
        self.memory.restore(state)
        self.shares.restore(packing.below("shares.", state))
