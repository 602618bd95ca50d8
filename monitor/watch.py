"""Watch: windows in, evidence against every place out."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from models.scales import Z_UNIT
from monitor.cells import CellTests, Sums
from monitor.rates import FAMILY_SHARE as RATE_FAMILIES
from monitor.rates import Counts, Floors, RateTests, Test
from monitor.sequential import Bank

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monitor.expectation import Expectation
    from monitor.places import Places
    from monitor.windows import Window

RATES_SHARE = 0.5
"""Share of the evidence weight of the tests of counts; the tests of latents have the rest."""

ALIKE = 3
"""Stretches of one length whose sums are kept for the evidence; beyond, two become one twice as
long. What is known of a fault so grows with its age, and what is kept only as the logarithm."""

BEFORE = 0.34
"""Share of a stretch that may lie before the onset of a fault and still tell of it."""

LATELY = 8
"""Steps of the cell tests whose counts people are shown."""

LONGEST = 128
"""Steps of the cell tests in the longest stretch that is kept."""

FADE_S = 600.0
"""Data-seconds over which the usual share of a region fades."""

LEARN_S = 20
"""Data-seconds of a region that are needed before its silence can be judged."""


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Counts of every region of the detector, present in a window or not; int64."""

    showers: NDArray[np.int64]
    """Shape (R, K)."""

    exceedances: NDArray[np.int64]
    """Shape (R, K, A)."""

    p_counts: NDArray[np.int64]
    """Shape (R, S + 1, B)."""

    unscored: NDArray[np.int64]
    """Shape (R,)."""

    z: NDArray[np.int64]
    """In units of `Z_UNIT`, shape (R, D)."""

    z_square: NDArray[np.int64]
    """In units of `Z_UNIT`, shape (R, D)."""

    lit: NDArray[np.int64]
    """Shape (R, V)."""

    layer_energy: NDArray[np.int64]
    """keV, shape (R, L)."""

    def __add__(self, other: Rows) -> Rows:
        return Rows(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


def rows_of(window: Window, places: Places) -> Rows:
    """Return a window's counts with a row for every region; unknown regions are left out."""
    order = np.argsort(places.ids)
    ids = places.ids[order]
    where = np.searchsorted(ids, window.regions)
    known = (where < len(ids)) & (ids[np.minimum(where, len(ids) - 1)] == window.regions)
    rows = order[where[known]]

    def spread(array: NDArray[np.int64]) -> NDArray[np.int64]:
        full = np.zeros((places.n_regions, *array.shape[1:]), np.int64)
        full[rows] = array[known]
        return full

    return Rows(
        showers=spread(window.showers),
        exceedances=spread(window.exceedances),
        p_counts=spread(window.p_counts),
        unscored=spread(window.unscored),
        z=spread(window.z_sum),
        z_square=spread(window.z_square),
        lit=spread(window.lit),
        layer_energy=spread(window.layer_energy),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Stretch:
    """Counts of some steps of the cell tests that follow one another."""

    since: int
    """First data-second."""

    steps: int
    rows: Rows


def remembered(past: list[Stretch], newest: Stretch) -> list[Stretch]:
    """Return the past with one more step, thinned out: the older, the coarser."""
    kept = [*past, newest]
    steps = 1
    while steps <= LONGEST:
        same = [i for i, stretch in enumerate(kept) if stretch.steps == steps]
        if len(same) <= ALIKE:
            break
        first = same[0]
        if steps < LONGEST:
            a, b = kept[first], kept[first + 1]
            kept[first] = Stretch(a.since, a.steps + b.steps, a.rows + b.rows)
            del kept[first + 1]
        else:
            del kept[first]
        steps *= 2
    return kept


class Watch:
    """The banks of e-detectors of all places, and what feeds them.

    Parameters
    ----------
    places
        The detector's places.
    expectation
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
        expectation: Expectation,
        needed: NDArray[np.float64],
        *,
        floors: Floors,
        miscoverage: float,
        cell_seconds: int,
    ) -> None:
        self._places = places
        self._floors, self._miscoverage = floors, miscoverage
        self._cell_seconds = cell_seconds
        self.certified = expectation
        self.adopt(None)
        self._rate_bank = Bank(places.n, self.rates.weights * RATES_SHARE, needed)
        self._cell_bank = Bank(places.n, self.cells.weights * (1 - RATES_SHARE), needed, np.float32)
        self.recent: list[Stretch] = []
        """Counts of the past, the oldest first."""
        self._pending: Rows | None = None
        self._pending_since = 0
        self._pending_seconds = 0
        self._usual = np.zeros(places.n_regions)
        self._learnt = np.zeros(places.n_regions, np.int64)
        self._masked_cells = np.zeros((places.n_regions, self.cells.n_latents), bool)
        self._members = places.members
        self.arrange(np.zeros(places.n_regions, bool), np.zeros((places.n, places.n_regions), bool))

    def adopt(self, live: Expectation | None, epoch: int = 1, *, guarded: bool = True) -> None:
        """Test against this live reference too from now on; evidence so far stays.

        Parameters
        ----------
        live
            None: against the certified reference alone.
        epoch
            Which live reference this is: the k-th has a share 6 / (π k)² of the miscoverage, so
            that all of them together keep it.
        guarded
            Whether the certified reference still bounds what is believed.
        """
        each = self._miscoverage / 4  # counts and latents, certified and live
        references: list[tuple[Expectation, float]] = []
        if guarded or live is None:
            references.append((self.certified, each))
        if live is not None:
            references.append((live, each * 6 / (math.pi * epoch) ** 2))
        self.expectation = references[-1][0]
        self.rates = RateTests(tuple(references), self._floors)
        self.cells = CellTests(tuple(references), self._floors)

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
        # Where whole cells are masked, a shower's p-value still holds them: only latents count.
        whole = ~self._masked_cells.any(1)
        self._rate_weights = self._weights * whole
        self.forget(changed)

    @property
    def untrusted(self) -> NDArray[np.bool_]:
        """Return the regions of which something is masked, shape (R,)."""
        rows: NDArray[np.bool_] = self.masked | self._masked_cells.any(1)
        return rows

    def mask_cells(self, cells: NDArray[np.bool_]) -> None:
        """Set which latents of which regions are left out, shape (R, D)."""
        self._masked_cells = cells

    def forget(self, places: NDArray[np.bool_] | slice = slice(None)) -> None:
        """Start anew at some places."""
        self._rate_bank.reset(places)
        self._cell_bank.reset(places)

    def new_run(self) -> None:
        """Start anew everywhere; what is usual has to be learnt again."""
        self.forget()
        self._pending = None
        self._pending_seconds = 0
        self._usual[:] = 0
        self._learnt[:] = 0
        self.recent = []

    def step(self, second: int, rows: Rows, *, new: bool) -> None:
        """Take in a data-second, or what came late for one."""
        seen = rows.showers.sum(1) + rows.unscored
        share = self._share(seen)
        w = self._rate_weights
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
        self._rate_bank.step(self.rates.log_e(counts), int(new), second)
        if new:
            self._learn(seen)
        self._pool(second, rows, new=new)

    def _share(self, seen: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the usual share of each place that is one region, shape (P,); else 0."""
        known = (self._learnt >= LEARN_S) & ~self.masked
        usual = np.where(~self.masked, self._usual, 0.0)
        share = np.zeros(self._places.n)
        if usual.sum() > 0 and seen.sum() > 0:
            share[self._places.first_region :] = np.where(known, usual / usual.sum(), 0.0)
        return share

    def _learn(self, seen: NDArray[np.int64]) -> None:
        """Take a second into what is usual; a second of silence teaches nothing."""
        present = seen > 0
        fade = 1 - 1 / FADE_S
        self._usual = np.where(present, self._usual * fade + seen, self._usual)
        self._learnt += present

    def _pool(self, second: int, rows: Rows, *, new: bool) -> None:
        if self._pending is None:
            self._pending, self._pending_since = rows, second
        else:
            self._pending += rows
        self._pending_seconds += int(new)
        if self._pending_seconds >= self._cell_seconds:
            pending, since = self._pending, self._pending_since
            self._cell_bank.step(self.cells.log_e(self.sums(pending)), self._pending_seconds, since)
            self.recent = remembered(self.recent, Stretch(since, 1, pending))
            self._pending, self._pending_seconds = None, 0

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

    def since(self, second: int) -> Rows:
        """Return the counts of all stretches of which most is at a data-second or later."""
        stretches = [*self.recent]
        if self._pending is not None:
            stretches.append(Stretch(self._pending_since, 1, self._pending))
        before = BEFORE * self._cell_seconds
        chosen = [s.rows for s in stretches if second - s.since <= before * s.steps]
        chosen = chosen or [stretches[-1].rows]
        total = chosen[0]
        for rows in chosen[1:]:
            total += rows
        return total

    def lately(self) -> list[Rows]:
        """Return the counts of the newest stretches, `LATELY` steps at most."""
        steps = np.cumsum([stretch.steps for stretch in reversed(self.recent)])
        n = int((steps <= LATELY).sum())
        return [stretch.rows for stretch in self.recent[len(self.recent) - n :]]

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

    def state(self) -> dict[str, NDArray[np.int64] | NDArray[np.float64] | NDArray[np.bool_]]:
        """Return all that changes, as arrays."""
        out: dict[str, NDArray[np.int64] | NDArray[np.float64] | NDArray[np.bool_]] = {}
        for name, bank in (("rates", self._rate_bank), ("cells", self._cell_bank)):
            out |= {f"{name}.{key}": value for key, value in bank.state().items()}
        blocks = [stretch.rows for stretch in self.recent]
        if self._pending is not None:
            blocks.append(self._pending)
        for f in fields(Rows):
            stacked = [getattr(rows, f.name) for rows in blocks]
            out[f"blocks.{f.name}"] = np.stack(stacked) if stacked else np.zeros(0, np.int64)
        out["since"] = np.array([[s.since, s.steps] for s in self.recent], np.int64).reshape(-1, 2)
        out["pending"] = np.array(
            [self._pending is not None, self._pending_since, self._pending_seconds], np.int64
        )
        out |= {"usual": self._usual, "learnt": self._learnt, "members": self._members}
        return out | {"masked": self.masked, "masked_cells": self._masked_cells}

    def restore(self, state: dict[str, NDArray[np.float64]]) -> None:
        """Take up what `state` returned."""
        self._masked_cells = state["masked_cells"].astype(bool)
        members = state["members"].astype(bool)
        self.arrange(state["masked"].astype(bool), self._places.members & ~members)
        for name, bank in (("rates", self._rate_bank), ("cells", self._cell_bank)):
            bank.restore({k: state[f"{name}.{k}"] for k in ("evidence", "path", "onset")})
        here, since, seconds = state["pending"].tolist()
        n = len(state["since"]) + int(here)
        blocks = [
            Rows(*(state[f"blocks.{f.name}"][i].astype(np.int64) for f in fields(Rows)))
            for i in range(n)
        ]
        self._pending = blocks.pop() if here else None
        self._pending_since, self._pending_seconds = int(since), int(seconds)
        self.recent = [
            Stretch(since, steps, rows)
            for (since, steps), rows in zip(state["since"].tolist(), blocks, strict=True)
        ]
        self._usual = state["usual"].astype(np.float64)
        self._learnt = state["learnt"].astype(np.int64)
