"""Simulated days: counts and latents of good data, all tests of a monitor, step by step.

What the tests look at is drawn, exact in distribution for independent standard normal latents; a
step is a minute. A coarser step leaves the bound on the run length as it is.
"""

from __future__ import annotations

from dataclasses import replace
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
from monitor.sequential.cells import CellTests, Sums
from monitor.sequential.evidence import RATES_SHARE
from monitor.sequential.rates import Counts, RateTests
from monitor.sequential.traffic import Traffic

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from consumers.bench.setups import Setup
    from models.detector.geometry import Geometry
    from monitor.reference.expectation import Expectation

STEP_S = 60
DAYS = {4: 2.0, 64: 0.5, 1024: 0.05}
"""Days of a unit, each against a reference of its own, by the number of regions."""

LIT = (1e-3, 0.9)
"""Cells are lit in shares of the showers between these, evenly in the logarithm."""


def simulated(setup: Setup, seed: int, geometry: Geometry) -> dict[str, Any]:
    """Return the false pages and warnings of a unit of good data."""
    day = _Day(setup, geometry, np.random.default_rng([seed, setup.n_ref, setup.regions, 17]))
    steps = round(DAYS[setup.regions] * DAY / STEP_S)
    pages = warnings = 0
    largest = 0.0
    for step in range(steps):
        evidence = day.step(step)
        paged, warned = evidence >= day.page_at, evidence >= day.warn_at
        pages, warnings = pages + int(paged.sum()), warnings + int((warned & ~paged).sum())
        largest = max(largest, float((evidence / day.page_at).max()))
        if warned.any():
            day.forget(warned)  # told once: the next one has to gather its own evidence
    return {
        "days": steps * STEP_S / DAY,
        "pages": pages,
        "warnings": warnings,
        "largest": largest,
        "latents": geometry.n_cells + geometry.n_layers,
    }


class _Day:
    """The tests of a monitor, and good data for them."""

    def __init__(self, setup: Setup, geometry: Geometry, rng: np.random.Generator) -> None:
        settings, places = MonitorSettings(), Places(setup.detector)
        self._setup, self._rng = setup, rng
        self.page_at = settings.allowance.page_at(places)
        self.warn_at = settings.allowance.warn_at(places)
        self._members = places.members.astype(np.float64)
        v, d = geometry.n_cells, geometry.n_cells + geometry.n_layers
        lit = np.geomspace(*LIT, v)
        reference = reference_of(setup.n_ref, d, lit, rng)
        tested = ((reference, settings.miscoverage / 4),)
        self._rates = RateTests(tested, settings.floors)
        self._cells = CellTests(tested, settings.floors)
        self._good = GoodSums(d, lit, rng)
        n = places.n
        self._banks = (
            Bank(n, self._rates.weights * RATES_SHARE, self.page_at),
            Bank(n, self._cells.weights * (1 - RATES_SHARE), self.page_at, np.float32),
        )
        self._masked = np.linspace(0, v - 1, setup.masked).astype(int)
        share = self._members.mean(1)
        self._share = np.where(share < 1, share, 0.0)

    def step(self, step: int) -> NDArray[np.float64]:
        """Take a step, some of whose showers come late; return the evidence at each place."""
        self._take(step, 1.0 - LATE_SHARE, STEP_S)
        self._take(step, LATE_SHARE, 0)
        return np.asarray(sum(bank.total() for bank in self._banks))

    def _take(self, step: int, share: float, seconds: int) -> None:
        r = self._setup.regions
        mean = RATE * STEP_S * share
        # Regions share the number of showers of a step: given it, the hypotheses hold for each.
        n = max(int(self._rng.poisson(mean / r)), 2)
        counts = self._rng.multinomial(n, FLAT, r).astype(np.float64)
        self._banks[0].step(self._rates.log_e(self._counts(counts, n, seconds)), seconds, step)
        sums = self._good.draw(n, r).astype(np.float64)
        self._banks[1].step(self._cells.log_e(self._sums(sums, n)), seconds, step)

    def _counts(self, p_counts: NDArray[np.float64], n: int, seconds: int) -> Counts:
        placed = self._members @ p_counts
        beyond = np.cumsum(placed, axis=1)
        columns = [int(np.searchsorted(P_EDGES, level)) - 1 for level in LEVELS]
        here = self._members.sum(1) * n
        whole = float(self._setup.regions * n)
        if seconds:  # the showers of each region are what they are: here they vary
            region = self._rng.poisson(n, self._setup.regions).astype(np.float64)
            seen, whole = self._members @ region, float(region.sum())
        else:
            seen = here
        share = self._share if seconds else np.zeros(len(here))
        beside = RATE * STEP_S * (1 - self._share)
        return Counts(
            showers=here[:, None],
            exceedances=beyond[:, columns],
            p_counts=placed[:, None],
            unscored=np.zeros(len(here)),
            seen=here,
            traffic=Traffic(seen, whole - seen, share, beside),
        )

    def _sums(self, sums: NDArray[np.float64], n: int) -> Sums:
        d = self._cells.n_latents
        z, square, lit = sums[:, :d], sums[:, d : 2 * d], sums[:, 2 * d :]
        if len(self._masked):  # a masked cell shows exactly what is expected
            expected, row = self._cells.expectation, self._setup.masked_row
            z[row, self._masked] = n * expected.latent_mean[0, self._masked]
            square[row, self._masked] = n * expected.latent_square[0, self._masked]
            lit[row, self._masked] = n * expected.lit_rate[0, self._masked]
        showers = self._members.sum(1, keepdims=True) * n
        return Sums(showers, *(self._members @ each for each in (z, square, lit)))

    def forget(self, places: NDArray[np.bool_]) -> None:
        """Start anew at some places."""
        for bank in self._banks:
            bank.reset(places)


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
