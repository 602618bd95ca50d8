"""Simulation of latents: how often the tests of cells and layers speak up in good data.

A region's latents of good showers are standard normal and independent, and cells are lit at given
rates. What the tests look at are sums over the showers of a step; those are drawn directly: the
number of showers from a Poisson, the sum of each latent from a normal, the sum of squares from a
chi-square that holds the sum's own square, and the lit showers from a binomial. This is exact in
distribution, and spares the showers. Regions that are simulated side by side share the number of
showers of each step, and nothing else: given that number, the tests' null hypotheses hold for
each of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import binom

from consumers.bench.count_simulation import FLAT, upper_limit
from models.scoring.scales import LEVELS
from monitor.reference.expectation import Expectation
from monitor.sequential.bank import CAP
from monitor.sequential.budget import DAY
from monitor.sequential.cells import STEP_CAP, CellTests, Sums
from monitor.sequential.rates import Test

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from consumers.bench.count_simulation import Setting

SECONDS = 3
"""Data-seconds of a step, as in the monitor."""

ROWS = 64
"""Regions that are simulated side by side."""

ONCE_IN_S = tuple(float(s) for s in 10.0 ** np.arange(2, 9))
"""Sizes of the evidence that are looked for, data-seconds."""

RARE = 0.5
"""Lit showers expected in a step below which they are drawn by inversion, all cells at once."""

MOST_RARE = 64
"""More are never lit where `RARE` are expected: the probability is 1e-100."""


@dataclass(frozen=True, slots=True)
class FalseCrossings:
    """Crossings of the latent tests in good data, by how much evidence is asked for."""

    region_days: float
    once_in_s: tuple[float, ...]
    """Data-seconds of one region after which evidence of this size may come by chance."""

    crossings: tuple[int, ...]
    """Times that the evidence of a region rose to it."""

    crossings_at_most_95: tuple[float, ...]
    allowed: tuple[float, ...]
    """Crossings that the theory allows in as long."""

    largest_s: float
    """Largest evidence, data-seconds."""

    page_s: float
    """Evidence that a region needs to page."""


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """Log e-values of a step of so many showers: straight lines in the sums, up to the cap."""

    slope: NDArray[np.float32]
    """Shape (F,)."""

    offset: NDArray[np.float32]
    """Shape (F,)."""

    def log_e(self, sums: NDArray[np.float32], column: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return log e-values, shape (R, F), of the sums (R, 2 D + V) that each stream looks at."""
        out = np.take(sums, column, axis=1)
        out *= self.slope
        out += self.offset
        return np.minimum(out, np.float32(STEP_CAP), out=out)


def columns(tests: CellTests) -> NDArray[np.int64]:
    """Return which of the 2 D + V sums (z, squares, lit) each stream looks at, shape (F,)."""
    first = {
        Test.LATENT_MEAN: 0,
        Test.LATENT_SPREAD: tests.n_latents,
        Test.OCCUPANCY: 2 * tests.n_latents,
    }
    return np.array([first[kind] for kind in tests.kinds]) + tests.latent


def line(tests: CellTests, n: int) -> Line:
    """Return the lines of a step with n showers, from what the tests say at two points.

    Raises
    ------
    ValueError
        If the tests say at a third point what is not on the line.
    """
    reference, column = tests.expectation, columns(tests)
    lit = np.rint(n * reference.lit_rate[0])
    # Three points about what is expected, where no stream is at its cap.
    up = np.where(lit + 2 <= n, 1.0, -1.0)
    points = [
        np.concatenate(
            [
                n * reference.latent_mean[0] + t * np.sqrt(n),
                n * reference.latent_square[0] * (1 + 0.2 * t),
                lit + t * up,
            ]
        )
        for t in (0, 1, 2)
    ]
    d = tests.n_latents
    cuts = (slice(0, d), slice(d, 2 * d), slice(2 * d, None))
    sums = (np.stack([point[cut] for point in points]) for cut in cuts)
    said = tests.log_e(Sums(np.full((3, 1), float(n)), *sums)).astype(np.float64)
    x = np.stack(points)[:, column]
    slope = (said[1] - said[0]) / (x[1] - x[0])
    offset = said[0] - slope * x[0]
    free = (said < STEP_CAP).all(0)
    if not free.all() or not np.allclose(offset + slope * x[2], said[2], rtol=1e-4, atol=1e-3):
        raise ValueError(f"the tests of {n} showers are no straight lines in the sums")
    return Line(slope.astype(np.float32), offset.astype(np.float32))


class GoodSums:
    """Sums of good showers' latents, drawn for many regions at once.

    Parameters
    ----------
    n_latents
        D.
    lit_rate
        True fraction of showers in which each cell is lit, shape (V,).
    rng
        What draws them.
    """

    def __init__(
        self, n_latents: int, lit_rate: NDArray[np.float64], rng: np.random.Generator
    ) -> None:
        self._d, self._lit_rate, self._rng = n_latents, lit_rate, rng
        self._beyond: dict[int, tuple[NDArray[np.bool_], list[NDArray[np.float64]]]] = {}

    def draw(self, n: int, rows: int) -> NDArray[np.float32]:
        """Return z, squares and lit of n >= 2 showers in each of some rows, (rows, 2 D + V)."""
        d, rng = self._d, self._rng
        out = np.empty((rows, 2 * d + len(self._lit_rate)), np.float32)
        z = rng.standard_normal((rows, d), np.float32) * np.float32(np.sqrt(n))
        out[:, :d] = z
        # Sum of squares = n mean² + a chi-square of n - 1: independent of the mean for normals.
        out[:, d : 2 * d] = z * z / np.float32(n)
        out[:, d : 2 * d] += 2 * rng.standard_gamma((n - 1) / 2, (rows, d), np.float32)
        out[:, 2 * d :] = self._lit(n, rows)
        return out

    def _lit(self, n: int, rows: int) -> NDArray[np.int64]:
        if n not in self._beyond:
            rare = n * self._lit_rate < RARE
            # Beyond, the probability of fewer is 1 to the last bit.
            k = np.arange(min(n, MOST_RARE) + 1)[:, None]
            steps = binom.cdf(k, n, self._lit_rate[rare])
            self._beyond[n] = rare, [step for step in steps if (step < 1).any()]
        rare, steps = self._beyond[n]
        lit = np.zeros((rows, len(rare)), np.int64)
        common = ~rare
        lit[:, common] = self._rng.binomial(n, self._lit_rate[common], (rows, int(common.sum())))
        u = self._rng.random((rows, int(rare.sum())))
        few = np.zeros(u.shape, np.int64)
        for step in steps:
            over = u > step
            if not over.any():
                break
            few += over
        lit[:, rare] = few
        return lit


def reference_of(
    n_ref: int, n_latents: int, lit_rate: NDArray[np.float64], rng: np.random.Generator
) -> Expectation:
    """Return what n_ref good showers say of latents and lit cells."""
    lit = rng.binomial(n_ref, lit_rate)[None] / n_ref
    return Expectation(
        showers=np.array([float(n_ref)]),
        exceedances=np.array([[n_ref * level for level in LEVELS]]),
        p_counts=np.tile(FLAT * n_ref, (2, 1)),
        latent_mean=rng.normal(0, 1 / np.sqrt(n_ref), (1, n_latents)),
        latent_square=rng.normal(1, np.sqrt(2 / n_ref), (1, n_latents)),
        square_var=np.full((1, n_latents), 2.0),
        latent_showers=np.array([float(n_ref)]),
        lit_rate=lit,
        layer_energy=np.ones((1, n_latents - len(lit_rate))),
        origin="certified",
        id="simulated",
    )


def latent_calibration(
    setting: Setting,
    n_latents: int,
    lit_rate: NDArray[np.float64],
    region_days: float,
    seed: int,
    tell: Callable[[float], None] = lambda _done: None,
) -> FalseCrossings:
    """Return crossings of the tests of the latents of single regions.

    The evidence is that of the latents alone, with the whole weight: in the monitor they have a
    part of it. Every so many regions, side by side for a day, have a reference of their own.
    """
    rng = np.random.Generator(np.random.SFC64([seed, 5]))
    levels = np.array(ONCE_IN_S)
    crossings, largest, done = np.zeros(len(levels), np.int64), 0.0, 0.0
    while done < region_days - 1e-9:
        days = min(1.0, (region_days - done) / ROWS)
        steps = max(round(days * DAY / SECONDS), 1)
        reference = reference_of(setting.n_ref, n_latents, lit_rate, rng)
        tests = CellTests(((reference, setting.miscoverage / 4),), setting.floors)
        crossed, most = _day(tests, GoodSums(n_latents, lit_rate, rng), setting, steps, levels, rng)
        crossings += crossed
        largest = max(largest, most)
        done += steps * SECONDS * ROWS / DAY
        tell(done)
    places = setting.places
    return FalseCrossings(
        done,
        ONCE_IN_S,
        tuple(crossings.tolist()),
        tuple(upper_limit(int(count)) for count in crossings),
        tuple((done * DAY / levels).tolist()),
        largest,
        float(setting.allowance.page_at(places)[places.first_region]),
    )


def _day(
    tests: CellTests,
    good: GoodSums,
    setting: Setting,
    steps: int,
    levels: NDArray[np.float64],
    rng: np.random.Generator,
) -> tuple[NDArray[np.int64], float]:
    """Return the crossings of each level and the largest evidence of `ROWS` regions."""
    mean = setting.rate / setting.places.n_regions * SECONDS
    column, weights = columns(tests), tests.weights.astype(np.float32)
    page_at = setting.allowance.page_at(setting.places)[-1]
    cap = (CAP * page_at / tests.weights).astype(np.float32)
    evidence = np.zeros((ROWS, len(weights)), np.float32)
    lines: dict[int, Line] = {}
    crossings = np.zeros(len(levels), np.int64)
    above, largest = np.zeros((len(levels), ROWS), bool), 0.0
    for _ in range(steps):
        n = max(int(rng.poisson(mean)), 2)
        if n not in lines:
            lines[n] = line(tests, n)
        log_e = lines[n].log_e(good.draw(n, ROWS), column)
        # The evidence of `Bank.step`, without the paths that only tell of an onset.
        evidence += SECONDS
        evidence *= np.exp(log_e, out=log_e)
        np.minimum(evidence, cap, out=evidence)
        total = evidence @ weights
        now = total >= levels[:, None]
        crossings += (now & ~above).sum(1)
        above, largest = now, max(largest, float(total.max()))
    return crossings, largest
