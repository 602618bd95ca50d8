"""Rates: the tests that look at showers as counts, every data-second, at every place."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cache, cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtri

from models.scoring.scales import LEVELS, P_EDGES
from monitor.reference.expectation import allowed, lower_rate, mix_of, mixed_rate, upper_rate
from monitor.sequential.bank import log_ratio_bet
from monitor.sequential.traffic import CROWDED_RATIOS, SILENT_RATIOS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Amount = float | NDArray[np.float64]

    from monitor.reference.expectation import Expectation
    from monitor.sequential.traffic import Traffic


class Test(StrEnum):
    """What a stream of evidence looks at."""

    __test__ = False  # pytest: not a test case

    EXCEEDANCES = "exceedances"
    TOO_FEW = "too few anomalies"
    P_HISTOGRAM = "p-value histogram"
    UNSCORED = "unscored showers"
    SILENT = "silent region"
    CROWDED = "too many showers"
    LATENT_MEAN = "latent mean"
    LATENT_SPREAD = "latent spread"
    OCCUPANCY = "occupancy"
    SEEDS = "showers centred on a channel"
    ENERGY = "energy"


UP = {
    0.1: (1.15, 1.4, 2.0, 4.0),
    0.01: (1.2, 1.5, 2.0, 3.0, 6.0, 20.0),
    0.001: (1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 100.0),
}
"""Rate ratios that the exceedance test looks for, by level: what is larger is found in a second
by the largest of them, and every one takes weight from the others."""

DOWN = {0.1: (0.3, 0.6, 0.8), 0.01: (0.1, 0.4, 0.7)}
"""The same for too few anomalies; at 1e-3 there is too little to miss."""

_UP_AT, _DOWN_AT = (
    np.array([LEVELS.index(level) for level in grid for _ in grid[level]]) for grid in (UP, DOWN)
)
_RATIOS = np.array([ratio for grid in (UP, DOWN) for some in grid.values() for ratio in some])

TILTS = (0.1, 0.3, 0.8)
"""Slopes of the p density, towards small p and towards large."""

BULGES = (0.15, 0.4)
"""How far the p density bends, to both ends or to the middle."""

UNSCORED_RATIOS = (3.0, 30.0, 300.0, 800.0)

UP_BOUNDS = 0.5
"""Share of the miscoverage of the upper bounds on exceedance rates, which faults are found by."""

FAMILY_SHARE = {
    Test.EXCEEDANCES: 0.53,
    Test.TOO_FEW: 0.05,
    Test.P_HISTOGRAM: 0.24,
    Test.UNSCORED: 0.05,
    Test.SILENT: 0.08,
    Test.CROWDED: 0.05,
}
"""How the weight of the tests of this file is shared."""


@dataclass(frozen=True, slots=True)
class Floors:
    """Systematic floors: how wrong a reference may be before that is a fault.

    They are part of the null hypotheses: a detector that differs from its reference by less
    keeps the budget. Where an amount is an array it is one a level, a latent or a cell.
    """

    tail: Amount = 0.05
    """Relative, on the probability of an exceedance."""

    density: float = 0.03
    """Relative, on the probability of every bin of p."""

    mean: Amount = 0.03
    """On the mean of a latent, in its standard deviations."""

    spread: Amount = 0.06
    """Relative, on the mean square of a latent."""

    lit: Amount = 0.05
    """Relative, on the fraction of showers in which a cell is lit; also added to it is 1e-4."""

    unscored: float = 1e-3
    """Fraction of showers without a finite score."""

    share: float = 0.5
    """Relative, on a place's share of all showers, for too few."""

    crowd: float = 2.0
    """Times a place's usual odds among all showers that are not too many, >= 1."""

    channel_mean: float = 0.04
    """On the mean latent of a channel that is known, in standard deviations; the same as `mean`,
    and what its constant may move in a day."""

    channel_unknown: float = 0.3
    """On the mean latent of a channel of which nothing is learnt yet, and on what may be learnt."""

    channel_layer: float = 0.1
    """On the mean latent of a layer's energy in showers centred on a channel that is known, in its
    standard deviations: other mixtures of energies move it by half of that."""

    channel_layer_unknown: float = 1.0
    """The same where nothing is learnt yet, and on what may be learnt: gains of good channels that
    are apart by 1 % move it by 0.3."""

    channel_energy: float = 0.1
    """Relative, on the mean energy of a channel in the core of showers."""


@dataclass(frozen=True, slots=True, eq=False)
class Counts:
    """What one second, or several, hold at each of P places."""

    showers: NDArray[np.float64]
    """Shape (P, K)."""

    exceedances: NDArray[np.float64]
    """Shape (P, A), for the α of `LEVELS`."""

    p_counts: NDArray[np.float64]
    """Shape (P, S + 1, B)."""

    unscored: NDArray[np.float64]
    """Shape (P,)."""

    seen: NDArray[np.float64]
    """Showers, scored or not, shape (P,)."""

    traffic: Traffic
    """Showers here and beside, whose share is watched."""


@dataclass(frozen=True)
class RateTests:
    """The tests of counts against what one reference, or several at once, expect.

    A null hypothesis holds only if every reference allows it: a live reference can narrow what the
    certified one leaves open, never widen it.
    """

    references: tuple[tuple[Expectation, float], ...]
    """Expectations, and the probability that any bound on one fails; the last one is shown."""

    floors: Floors
    """What is tolerated."""

    @property
    def expectation(self) -> Expectation:
        """Return the newest reference."""
        return self.references[-1][0]

    @cached_property
    def kinds(self) -> tuple[Test, ...]:
        """Return what each stream looks at, shape (F,)."""
        n_scores = len(self.expectation.p_counts)
        kinds = [Test.EXCEEDANCES for level in UP for _ in UP[level]]
        kinds += [Test.TOO_FEW for level in DOWN for _ in DOWN[level]]
        kinds += [Test.P_HISTOGRAM] * (n_scores * len(_bets()))
        kinds += [Test.UNSCORED] * len(UNSCORED_RATIOS)
        kinds += [Test.SILENT] * len(SILENT_RATIOS)
        return (*kinds, *[Test.CROWDED] * len(CROWDED_RATIOS))

    @cached_property
    def weights(self) -> NDArray[np.float64]:
        """Return the prior weight of each stream, shape (F,), with sum 1."""
        return np.array([FAMILY_SHARE[kind] / self.kinds.count(kind) for kind in self.kinds])

    def _each(self, miscoverage: float) -> tuple[float, float]:
        """Return the miscoverage of an upper bound on a rate, and of any other bound.

        All of them hold together with the miscoverage given.
        """
        others = len(DOWN) + len(self.expectation.p_counts) * len(_bets())
        return miscoverage * UP_BOUNDS / len(UP), miscoverage * (1 - UP_BOUNDS) / others

    def log_e(self, counts: Counts) -> NDArray[np.float64]:
        """Return the log e-values of a step, shape (P, F)."""
        parts = [
            self._exceedances(counts),
            self._histogram(counts),
            self._unscored(counts),
            counts.traffic.silence(self.floors.share),
            counts.traffic.crowding(self.floors.crowd),
        ]
        return np.concatenate(parts, axis=1)

    def _exceedances(self, counts: Counts) -> NDArray[np.float64]:
        """Return log e-values of too many and too few anomalies, one ratio at a level a column."""
        upper, lower = self.exceedance_bounds(counts.showers)
        bound = np.concatenate([upper[:, _UP_AT], lower[:, _DOWN_AT]], axis=1)
        seen = counts.exceedances[:, np.concatenate([_UP_AT, _DOWN_AT])]
        trials = counts.showers.sum(1)[:, None]
        return log_ratio_bet(seen, trials, bound, _RATIOS[:, None])[..., 0]

    def exceedance_bounds(
        self, showers: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return upper and lower bounds on the exceedance rates at each place, shape (P, A)."""
        return allowed([self._bounds_of(showers, *reference) for reference in self.references])

    def _bounds_of(
        self, showers: NDArray[np.float64], reference: Expectation, miscoverage: float
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        mix = mix_of(showers, reference.showers)
        rate, variance = mixed_rate(mix, reference.rates, reference.showers)
        step = (mix / reference.showers).max(1, keepdims=True)
        above, below = self._each(miscoverage)
        upper = upper_rate(rate, variance, np.broadcast_to(step, rate.shape), above)
        lower = lower_rate(rate, variance, below)
        return np.minimum(upper * (1 + self.floors.tail), 1.0), lower * (1 - self.floors.tail)

    def expected(
        self, showers: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return expected exceedances and their uncertainty, for showers (P, K), shape (P, A)."""
        reference = self.expectation
        mix = mix_of(showers, reference.showers)
        rate, variance = mixed_rate(mix, reference.rates, reference.showers)
        n = showers.sum(1, keepdims=True)
        return n * rate, n * np.sqrt(variance)

    @cached_property
    def _log_bets(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return log of the bets on the bins (G, B), and of their bounded means (S + 1, G)."""
        bets = _bets()
        upper, _ = allowed([self._mean_bet(bets, *reference) for reference in self.references])
        return np.log(bets), np.log(upper)

    def _mean_bet(
        self, bets: NDArray[np.float64], reference: Expectation, miscoverage: float
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return upper and lower bounds on the mean of each bet on each score, (S + 1, G)."""
        n = reference.p_counts.sum(1, keepdims=True)
        share = reference.p_counts / n
        mean = share @ bets.T
        variance = np.maximum(share @ np.square(bets).T - mean**2, 0) / n
        sigma = _normal_quantile(self._each(miscoverage)[1])
        # Half a count in every bin: what the reference happened not to hold can still come.
        unseen = bets.max(1) / (2 * n)
        spread = share @ np.abs(bets - 1).T
        slack = sigma * np.sqrt(variance) + unseen + self.floors.density * spread
        return mean + slack, mean - slack

    def _histogram(self, counts: Counts) -> NDArray[np.float64]:
        """Return log e-values of the products of bets on every shower's p, shape (P, (S+1) G)."""
        log_bets, log_bound = self._log_bets
        n, bins = counts.p_counts.sum(2), counts.p_counts.shape[2]
        gained = counts.p_counts.reshape(-1, bins) @ log_bets.T  # as one product of matrices
        log_e: NDArray[np.float64] = gained.reshape(*n.shape, -1) - n[..., None] * log_bound
        return log_e.reshape(len(n), -1)

    def _unscored(self, counts: Counts) -> NDArray[np.float64]:
        bound = np.full(len(counts.seen), self.floors.unscored)
        return log_ratio_bet(counts.unscored, counts.seen, bound, np.array(UNSCORED_RATIOS))


@cache
def _bets() -> NDArray[np.float64]:
    """Return the density ratios that are betted on, averaged over the bins of p, shape (G, B).

    Slopes 1 ± a (1 - 2u) and bends 1 ± a (12 (u - 1/2)² - 1) / 2 have mean 1 under a flat p.
    """
    left, right = P_EDGES[:-1], P_EDGES[1:]
    slope = 1 - (left + right)
    bend = (4 * ((right - 0.5) ** 3 - (left - 0.5) ** 3) / (right - left) - 1) / 2
    bets = [1 + sign * a * slope for a in TILTS for sign in (1, -1)]
    bets += [1 + sign * a * bend for a in BULGES for sign in (1, -1)]
    return np.stack(bets)


def _normal_quantile(miscoverage: float) -> float:
    """Return the standard normal quantile with this probability above."""
    return float(-ndtri(miscoverage))
