"""Simulated days: counts and latents of good data, all tests of a monitor, step by step.

What the tests look at is drawn, exact in distribution for independent standard normal latents; a
step is a minute. A coarser step leaves the bound on the run length as it is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from consumers.bench.count_simulation import FLAT, ideal
from consumers.bench.latent_simulation import GoodSums
from consumers.bench.setups import LATE_SHARE, RATE
from models.scoring.scales import LEVELS, P_EDGES
from monitor.detector.places import Places
from monitor.judging.settings import MonitorSettings
from monitor.sequential.bank import Bank
from monitor.sequential.budget import DAY
from monitor.sequential.cells import LIT_RATIOS, SHIFTS, SPREADS, CellTests, Sums
from monitor.sequential.evidence import RATES_SHARE
from monitor.sequential.rates import Counts, RateTests
from monitor.sequential.traffic import Traffic, nowhere

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from consumers.bench.setups import Setup
    from models.detector.geometry import Geometry
    from monitor.reference.expectation import Expectation

STEP_S = 60
DAYS = {4: 0.5, 64: 0.1, 1024: 0.05}
"""Days of each copy in a unit, by the number of regions."""

STREAMS, COPIES = 330_000, 64
"""Independent copies of a detector in a unit, against one reference, are as many as have so many
streams of evidence of cells, and at most so many: small detectors cost little but NumPy's calls,
which are then made once for all."""

LIT = (1e-3, 0.9)
"""Cells are lit in shares of the showers between these, evenly in the logarithm."""


def simulated(setup: Setup, seed: int, geometry: Geometry) -> dict[str, Any]:
    """Return the false pages and warnings of a unit of good data."""
    rng = np.random.default_rng([seed, setup.n_ref, setup.regions, setup.masked, 17])
    side_by_side = SideBySide(setup, geometry, copies_of(setup, geometry), rng)
    steps = round(DAYS[setup.regions] * DAY / STEP_S)
    pages = warnings = 0
    largest = 0.0
    for step in range(steps):
        evidence = side_by_side.step(step)
        paged, warned = evidence >= side_by_side.page_at, evidence >= side_by_side.warn_at
        pages, warnings = pages + int(paged.sum()), warnings + int((warned & ~paged).sum())
        largest = max(largest, float((evidence / side_by_side.page_at).max()))
        if warned.any():
            side_by_side.forget(warned)  # told once: the next one has to gather its own evidence
    return {
        "days": side_by_side.copies * steps * STEP_S / DAY,
        "copies": side_by_side.copies,
        "pages": pages,
        "warnings": warnings,
        "largest": largest,
        "cells": geometry.n_cells,
        "layers": geometry.n_layers,
    }


def copies_of(setup: Setup, geometry: Geometry) -> int:
    """Return how many copies of a detector a unit has."""
    latents = geometry.n_cells + geometry.n_layers
    grids = (latents, 2 * len(SHIFTS)), (latents, len(SPREADS)), (geometry.n_cells, len(LIT_RATIOS))
    streams = sum(n * grid for n, grid in grids)
    return int(np.clip(STREAMS // (Places(setup.detector).n * streams), 1, COPIES))


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """What good data hold in a step, in each of C copies of a detector of R regions."""

    n: int
    """Showers of every region: given it, the null hypotheses hold for each."""

    p_counts: NDArray[np.float64]
    """Histogram of the combined p, shape (C, R, B)."""

    traffic: NDArray[np.float64] | None
    """Showers of each region as the test of shares sees them, shape (C, R); None: late ones."""

    sums: NDArray[np.float64]
    """Latents, their squares and lit cells, shape (C, R, 2 D + V)."""

    def copy(self, which: int) -> Drawn:
        """Return what one copy holds."""
        one = slice(which, which + 1)
        traffic = None if self.traffic is None else self.traffic[one]
        return Drawn(self.n, self.p_counts[one], traffic, self.sums[one])


class SideBySide:
    """Independent copies of a detector, the tests of a monitor of each, and good data for them."""

    def __init__(
        self, setup: Setup, geometry: Geometry, copies: int, rng: np.random.Generator
    ) -> None:
        settings, places = MonitorSettings(), Places(setup.detector)
        self._setup, self.copies, self._rng = setup, copies, rng
        self.page_at = np.tile(settings.allowance.page_at(places), (copies, 1))
        self.warn_at = np.tile(settings.allowance.warn_at(places), (copies, 1))
        self._members = places.members.astype(np.float64)
        v, d = geometry.n_cells, geometry.n_cells + geometry.n_layers
        lit = np.geomspace(*LIT, v)
        reference = reference_of(setup.n_ref, d, lit, rng)
        tested = ((reference, settings.miscoverage / 4),)
        self._rates = RateTests(tested, settings.floors)
        self._cells = CellTests(tested, settings.floors)
        self._good = GoodSums(d, lit, rng)
        needed = self.page_at.ravel()
        self._banks = (
            Bank(needed.size, self._rates.weights * RATES_SHARE, needed),
            Bank(needed.size, self._cells.weights * (1 - RATES_SHARE), needed, np.float32),
        )
        self._masked = setup.masked_cells(geometry)
        share = self._members.mean(1)
        self._share = np.where(share < 1, share, 0.0)

    def step(self, step: int) -> NDArray[np.float64]:
        """Take a step, some of whose showers come late; return all evidence, shape (C, P)."""
        self.take(self.draw(1.0 - LATE_SHARE, late=False), STEP_S, step)
        self.take(self.draw(LATE_SHARE, late=True), 0, step)
        return self.evidence()

    def draw(self, share: float, *, late: bool) -> Drawn:
        """Draw that share of the showers of a step."""
        c, r = self.copies, self._setup.regions
        n = max(int(self._rng.poisson(RATE * STEP_S * share / r)), 2)
        p_counts = self._rng.multinomial(n, FLAT, (c, r)).astype(np.float64)
        traffic = None if late else self._rng.poisson(n, (c, r)).astype(np.float64)
        sums = self._good.draw(n, c * r).astype(np.float64)
        return Drawn(n, p_counts, traffic, sums.reshape(c, r, -1))

    def take(self, drawn: Drawn, seconds: int, since: int) -> None:
        """Let the tests see what was drawn."""
        rates, cells = self._banks
        rates.step(self._rates.log_e(self._counts(drawn)), seconds, since)
        log_e = self._cells.log_e(self._sums(drawn))
        cells.step(log_e.reshape(cells.evidence.shape), seconds, since)

    def evidence(self) -> NDArray[np.float64]:
        """Return the evidence at each place of each copy, data-seconds, shape (C, P)."""
        total = np.asarray(sum(bank.total() for bank in self._banks))
        return total.reshape(self.page_at.shape)

    def _counts(self, drawn: Drawn) -> Counts:
        c = self.copies
        placed = (self._members @ drawn.p_counts).reshape(-1, len(FLAT))
        beyond = np.cumsum(placed, axis=1)
        columns = [int(np.searchsorted(P_EDGES, level)) - 1 for level in LEVELS]
        here = np.tile(self._members.sum(1) * drawn.n, c)
        return Counts(
            showers=here[:, None],
            exceedances=beyond[:, columns],
            p_counts=placed[:, None],
            unscored=np.zeros(len(here)),
            seen=here,
            traffic=self._traffic(drawn.traffic),
        )

    def _traffic(self, showers: NDArray[np.float64] | None) -> Traffic:
        if showers is None:
            return nowhere(self.page_at.size)
        seen = showers @ self._members.T
        beside = showers.sum(1, keepdims=True) - seen
        usual = RATE * STEP_S * (1 - self._share)
        c = self.copies
        return Traffic(seen.ravel(), beside.ravel(), np.tile(self._share, c), np.tile(usual, c))

    def _sums(self, drawn: Drawn) -> Sums:
        d, n = self._cells.n_latents, drawn.n
        z, square, lit = np.split(drawn.sums, [d, 2 * d], axis=2)
        if len(self._masked):  # a masked cell shows exactly what is expected
            expected, row, masked = self._cells.expectation, self._setup.masked_row, self._masked
            z[:, row, masked] = n * expected.latent_mean[0, masked]
            square[:, row, masked] = n * expected.latent_square[0, masked]
            lit[:, row, masked] = n * expected.lit_rate[0, masked]
        showers = self._members.sum(1, keepdims=True) * n
        return Sums(showers, *(self._members @ each for each in (z, square, lit)))

    def forget(self, places: NDArray[np.bool_]) -> None:
        """Start anew at some places, shape (C, P)."""
        for bank in self._banks:
            bank.reset(places.ravel())


def reference_of(
    n_ref: int, n_latents: int, lit: NDArray[np.float64], rng: np.random.Generator
) -> Expectation:
    """Return what n_ref good showers say of counts, latents and lit cells."""
    return replace(
        ideal(n_ref, 0, rng),
        latent_mean=rng.normal(0, 1 / np.sqrt(n_ref), (1, n_latents)),
        latent_square=rng.normal(1, np.sqrt(2 / n_ref), (1, n_latents)),
        square_var=np.full((1, n_latents), 2.0),
        lit_rate=rng.binomial(n_ref, lit)[None] / n_ref,
        layer_energy=np.ones((1, n_latents - len(lit))),
    )
