"""Cells: the tests on the latents of every cell and layer, every few data-seconds, at every place.

One shower hardly shows a gain that is 2 % off or a cell that is dead at the edge. Thousands of
showers shift the mean or the spread of that cell's latent, and only of that one.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import stdtrit

from monitor.reference.expectation import allowed, bernoulli_bounds
from monitor.reference.gammas import Gammas, gamma_quantile
from monitor.sequential.moments import each_of, moments_of
from monitor.sequential.rates import Test

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monitor.reference.expectation import Expectation
    from monitor.sequential.bank import Bank
    from monitor.sequential.moments import Moments
    from monitor.sequential.rates import Floors

SHIFTS = (0.08, 0.4)
"""Shifts of the mean that are looked for beyond what is tolerated, in standard deviations."""

SPREADS = (0.3, 0.8, 1.25, 3.0)
"""Ratios of the mean square that are looked for."""

LIT_RATIOS = (0.3, 1.6, 8.0)
"""Ratios of the rate at which a cell is lit that are looked for."""

STEP_CAP = 6.0
"""Log evidence that one step may give a stream: one wild shower is not a fault, persistence is."""

INFLATION = 1.1
"""The variance of a sum of latents is taken this much larger: latents are not exactly normal."""

LAYER_SHARE = 0.25
"""Share of the weight for the few latents of layer energies; gain shows there."""

TOGETHER = 20_000
"""Latents of places that are tested together: what they need on the way stays in the cache."""

FAMILY_SHARE = {Test.LATENT_MEAN: 0.4, Test.LATENT_SPREAD: 0.3, Test.OCCUPANCY: 0.3}


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """Sums over the showers of a step at each of P places.

    For `CellTests.log_e` all but `showers` may be of many steps alike: (..., P, D), (..., P, V).
    """

    showers: NDArray[np.float64]
    """Shape (P, K)."""

    z: NDArray[np.float64]
    """Sum of each latent, shape (P, D)."""

    z_square: NDArray[np.float64]
    """Shape (P, D)."""

    lit: NDArray[np.float64]
    """Showers in which a cell is lit, shape (P, V)."""

    def of(self, places: slice) -> Sums:
        """Return the sums of some places."""
        return Sums(*(getattr(self, f.name)[places] for f in fields(self)))


@dataclass(frozen=True, slots=True, eq=False)
class Effects:
    """How far the cells of each place are off, per shower; zeros where there are no showers."""

    shift: NDArray[np.float64]
    """Of the mean, in the latent's standard deviations, shape (P, D)."""

    shift_error: NDArray[np.float64]
    """One standard deviation of it, from the showers and the reference, shape (P, D)."""

    spread: NDArray[np.float64]
    """Ratio of the mean square to the expected one, shape (P, D)."""

    spread_error: NDArray[np.float64]
    """One standard deviation of it, were all well, shape (P, D)."""

    lit: NDArray[np.float64]
    """Difference of the fraction of showers in which a cell is lit, shape (P, V)."""


@dataclass(frozen=True)
class CellTests:
    """The tests of latents against what one reference, or several at once, expect."""

    references: tuple[tuple[Expectation, float], ...]
    """Expectations, and the probability that any bound on one fails; the last one is shown."""

    floors: Floors

    @property
    def expectation(self) -> Expectation:
        """Return the newest reference."""
        return self.references[-1][0]

    @property
    def n_latents(self) -> int:
        """Return D."""
        return int(self.expectation.latent_mean.shape[1])

    @property
    def n_cells(self) -> int:
        """Return V."""
        return int(self.expectation.lit_rate.shape[1])

    @cached_property
    def kinds(self) -> tuple[Test, ...]:
        """Return what each stream looks at, shape (F,)."""
        d, v = self.n_latents, self.n_cells
        return (
            *[Test.LATENT_MEAN] * (d * 2 * len(SHIFTS)),
            *[Test.LATENT_SPREAD] * (d * len(SPREADS)),
            *[Test.OCCUPANCY] * (v * len(LIT_RATIOS)),
        )

    @cached_property
    def latent(self) -> NDArray[np.int64]:
        """Return which latent (cells first, then layers) each stream looks at, shape (F,)."""
        d, v = np.arange(self.n_latents), np.arange(self.n_cells)
        streams = [np.tile(d, 2 * len(SHIFTS)), np.tile(d, len(SPREADS))]
        return np.concatenate([*streams, np.tile(v, len(LIT_RATIOS))])

    @cached_property
    def weights(self) -> NDArray[np.float64]:
        """Return the prior weight of each stream, shape (F,), with sum 1."""
        n_layers = self.n_latents - self.n_cells
        weights = []
        for family, n, grid in (
            (Test.LATENT_MEAN, self.n_latents, 2 * len(SHIFTS)),
            (Test.LATENT_SPREAD, self.n_latents, len(SPREADS)),
            (Test.OCCUPANCY, self.n_cells, len(LIT_RATIOS)),
        ):
            each = np.full(n, 1.0 / n)
            if n > self.n_cells:
                each[: self.n_cells] = (1 - LAYER_SHARE) / self.n_cells
                each[self.n_cells :] = LAYER_SHARE / n_layers
            weights.append(np.tile(each * FAMILY_SHARE[family] / grid, grid))
        return np.concatenate(weights)

    def step(self, bank: Bank, sums: Sums, seconds: int, since: int) -> None:
        """Let a bank take in a step; `Bank.step` says what the numbers are."""
        n = max(TOGETHER // self.n_latents, 1)
        for first in range(0, len(sums.z), n):
            bank.step(self.log_e(sums.of(slice(first, first + n))), seconds, since, first)

    def log_e(self, sums: Sums) -> NDArray[np.float32]:
        """Return the log e-values of a step, shape (..., P, F), none above `STEP_CAP`.

        Single precision: there are thousands of streams a place, and evidence needs no more.
        """
        sums = Sums(*(getattr(sums, f.name).astype(np.float32) for f in fields(Sums)))
        moments = [
            (moments_of(sums.showers, reference.single), each_of(miscoverage, 2 * self.n_latents))
            for reference, miscoverage in self.references
        ]
        out = np.empty((*sums.z.shape[:-1], len(self.latent)), np.float32)
        first = self._mean(sums, moments, out, 0)
        first = self._spread(sums, moments, out, first)
        self._lit(sums, out, first)
        # A row: numpy is several times slower with a number in its place.
        return np.minimum(out, np.full(out.shape[-1], STEP_CAP, np.float32), out=out)

    def effects(self, sums: Sums) -> Effects:
        """Return how far each place is off."""
        n = sums.showers.sum(1, keepdims=True)
        some = np.maximum(n, 1)
        moments = moments_of(sums.showers, self.expectation)
        shift = np.where(n > 0, (sums.z - moments.mean) / some / moments.sigma, 0.0)
        square = moments.square / some
        spread = np.where(n > 0, sums.z_square / some / square, 1.0)
        # What has more spread is known less well.
        variance = np.maximum(spread - np.square(shift), 1.0) / some
        own = moments.square_var / some / some
        lit = (sums.lit - sums.showers @ self.expectation.lit_rate) / some
        return Effects(
            shift=shift,
            shift_error=np.sqrt(variance + np.square(moments.mean_error / moments.sigma)),
            spread=spread,
            spread_error=np.sqrt(own + np.square(moments.square_error)) / square,
            lit=np.where(n > 0, lit, 0.0),
        )

    def _mean(
        self,
        sums: Sums,
        moments: list[tuple[Moments, float]],
        out: NDArray[np.float32],
        first: int,
    ) -> int:
        """Write normal likelihood ratios for a mean beyond what is tolerated; return the next."""
        n = np.maximum(sums.showers.sum(1, keepdims=True), 1)
        sigma = moments[-1][0].sigma
        # Student's quantile: how far means scatter is known from the reference too.
        slack = [
            self.floors.mean * n * m.sigma
            - stdtrit(np.maximum(m.behind - 1, 1), each) * n * m.mean_error
            for m, each in moments
        ]
        highest, lowest = allowed(
            [(m.mean + s, m.mean - s) for (m, _), s in zip(moments, slack, strict=True)]
        )
        above = ((sums.z - highest) / sigma).astype(np.float32)
        below = ((lowest - sums.z) / sigma).astype(np.float32)
        for shift in SHIFTS:
            penalty = (INFLATION * shift**2 / 2 * n).astype(np.float32)
            for excess in (above, below):
                last = first + self.n_latents
                part = out[..., first:last]
                np.multiply(excess, np.float32(shift), out=part)
                part -= penalty
                first = last
        return first

    def _spread(
        self,
        sums: Sums,
        moments: list[tuple[Moments, float]],
        out: NDArray[np.float32],
        first: int,
    ) -> int:
        """Write gamma likelihood ratios for the sum of squares, with its first two moments."""
        n = np.maximum(sums.showers.sum(1, keepdims=True), 1)
        newest = moments[-1][0]
        shape = newest.square**2 / (INFLATION * newest.square_var)
        highest, lowest = allowed([self._square_bounds(m, n, each) for m, each in moments])
        above = (sums.z_square / highest * shape).astype(np.float32)
        below = (sums.z_square / lowest * shape).astype(np.float32)
        shape32 = shape.astype(np.float32)
        for ratio in SPREADS:
            last = first + self.n_latents
            part = out[..., first:last]
            np.multiply(above if ratio > 1 else below, np.float32(1 - 1 / ratio), out=part)
            part -= np.float32(np.log(ratio)) * shape32
            first = last
        return first

    def _square_bounds(
        self, moments: Moments, n: NDArray[np.float64], each: float
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return bounds on the sum of squares: a mean of squares is a gamma, not a normal.

        Of normal latents it is exactly that, down to a handful of showers.
        """
        error = np.maximum(n * moments.square_error, 1e-6 * moments.square)
        gammas = Gammas(np.square(moments.square / error))
        highest = moments.square / np.maximum(gammas.quantile(each), 1e-6)
        lowest = moments.square / gammas.quantile(1 - each)
        floor = self.floors.spread * moments.square
        return highest + floor, np.maximum(lowest - floor, 0.05 * moments.square)

    def _lit(self, sums: Sums, out: NDArray[np.float32], first: int) -> None:
        """Write Bernoulli likelihood ratios for the showers in which a cell is lit."""
        upper, lower = allowed(
            [self._lit_bounds(sums.showers, known.single, each) for known, each in self.references]
        )
        n = sums.showers.sum(1, keepdims=True)
        for ratio in LIT_RATIOS:
            last = first + self.n_cells
            part = out[..., first:last]
            np.multiply(sums.lit, np.float32(np.log(ratio)), out=part)
            part -= n * np.log1p((ratio - 1) * (upper if ratio > 1 else lower))
            first = last

    def _lit_bounds(
        self, showers: NDArray[np.float64], reference: Expectation, miscoverage: float
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        each = each_of(miscoverage, 2 * self.n_cells)
        return bernoulli_bounds(
            showers, reference.lit_rate, reference.latent_showers, each, self.floors.lit, 1e-4
        )


def least_lit(showers: float, n_cells: int, miscoverage: float) -> float:
    """Return the share of showers in which a cell must be lit for an eightfold to be told.

    In a cell that is rarer, the bound on what a reference of so many showers leaves possible is
    so wide that the tests of occupancy wait for more than that.
    """
    each, ratio = each_of(miscoverage, 2 * n_cells), LIT_RATIOS[-1]
    counts = np.arange(1, 2000, dtype=np.float64)
    upper = (counts + 1) * gamma_quantile(counts + 1, 1 - each)
    told = ratio * counts * np.log(ratio) > (ratio - 1) * upper
    return float(min(counts[int(told.argmax())] / showers, 1.0))
