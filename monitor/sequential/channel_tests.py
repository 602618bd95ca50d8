"""Channel tests: on latents, occupancy (dead, hot), rate and energy of single channels and groups.

A channel has few showers in a step, often one, so that nothing may lean on the normal law: every bet
is bounded by the moments of what it bets on; see `monitor.sequential.moment_bounds`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from monitor.reference.channel_constants import centred
from monitor.sequential.cells import INFLATION, STEP_CAP
from monitor.sequential.channel_bounds import ChannelBounds
from monitor.sequential.channel_streams import CORE, LAYER, SCOPES, STREAMS, streams_of
from monitor.sequential.moment_bounds import (
    LATENT_MOMENTS,
    LAYER_MOMENTS,
    SQUARE_MOMENTS,
    Bounded,
    log_mean,
)
from monitor.sequential.rates import Test
from monitor.windows.channel_sums import CHANNEL_Z_CLIP, LAYER_CLIP

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from monitor.reference.channel_constants import ChannelConstants
    from monitor.sequential.channel_units import ChannelUnits
    from monitor.sequential.rates import Floors
    from monitor.windows.channel_table import ChannelTable


SQUARE_FLOOR = 0.3
"""Relative, on the mean square of a channel's latent: noise of its own, until it is known."""

LAYER_VAR = 1.3
"""Variance of the latent of a layer's energy, at most: it is 1 in good showers, and noise of a channel
hardly counts in the sum over all."""

CHANNEL_CAP = 10.0
"""Log evidence that one step may give a channel."""

TOGETHER = 1.5
"""The variance of a group's sum is taken this much larger: cells of one shower are not exactly
independent, even where all is well."""


@dataclass(frozen=True)
class ChannelTests:
    """The tests of the units against what is certified and what each channel has taught."""

    units: ChannelUnits
    constants: ChannelConstants
    centre: ChannelConstants
    """What bounds the constants: certified, or moved by order."""

    pool: NDArray[np.int64]
    """Channels of one pool are exposed alike, shape (C,)."""

    square_var: NDArray[np.float64]
    """Variance of the squared latent by ring, certified, shape (3,), >= 2."""

    floors: Floors
    miscoverage: float
    """Probability that any bound from the live reference fails."""

    @cached_property
    def _bounds(self) -> ChannelBounds:
        return ChannelBounds(self.units, self.constants, self.centre, self.miscoverage)

    @cached_property
    def _widened(self) -> NDArray[np.float64]:
        """Return the factor of the variance of each unit, shape (U, 1)."""
        return np.where(self.units.sizes > 1, TOGETHER, INFLATION)[:, None]

    @cached_property
    def _caps(self) -> NDArray[np.float32]:
        """Return the log evidence that a step may give each unit, shape (U, 1).

        One wild shower may touch all channels of a group, and but one time each channel.
        """
        caps = np.where(self.units.sizes > 1, STEP_CAP, CHANNEL_CAP)
        return caps[:, None].astype(np.float32)

    def log_e(
        self, table: ChannelTable, seen: NDArray[np.bool_], *, capped: bool = True
    ) -> NDArray[np.float32]:
        """Return the log e-values of a step, shape (U, F), none above its cap.

        Parameters
        ----------
        table
            Sums of the step.
        seen
            Channels that count, shape (C,): the others are masked, and say nothing.
        """
        count = seen[:, None] * table["showers"]
        out = np.empty((self.units.n, len(STREAMS)), np.float32)
        squares = self._squares(table, count)
        self._means(table, count, squares, out)
        self._layers(table, count, out)
        self._spreads(squares, out)
        self._lit(table, count, out)
        self._seeds(count, seen, out)
        self._energy(table, count, out)
        return np.minimum(out, self._caps, out=out) if capped else out

    def _squares(self, table: ChannelTable, count: NDArray[np.float64]) -> Bounded:
        floors = self.floors
        return self._bounds.bounded(
            count, table["z_square"] * (count > 0), self.centre.square, self.constants.square,
            self.square_var * np.square(self.constants.square),
            floors.spread * self.constants.square, SQUARE_FLOOR * self.centre.square,
        )  # fmt: skip

    def _powers(self, squares: Bounded, *powers: float) -> Iterator[NDArray[np.float64]]:
        """Yield bounds on the sums over all showers of powers of the mean square, shape (U, S).

        Of groups they add up by channel: one that is far noisier counts with its own.
        """
        n, level = (x[: self.units.n_channels] for x in (squares.n, squares.level))
        for power in powers:
            yield self.units.sums(n * level**power)

    def _means(
        self,
        table: ChannelTable,
        count: NDArray[np.float64],
        squares: Bounded,
        out: NDArray[np.float32],
    ) -> None:
        floors = self.floors
        sums = self._bounds.bounded(
            count, table["z"] * (count > 0), self.centre.mean, self.constants.mean,
            self.constants.square, floors.channel_mean, floors.channel_unknown,
        )  # fmt: skip
        second, wide = squares.upper, self._widened[:, 0]
        skewed, far = self._powers(squares, 1.5, 2)
        reach = CHANNEL_Z_CLIP + floors.channel_unknown
        third, fourth = LATENT_MOMENTS
        for i, stream in streams_of(Test.LATENT_MEAN):
            s, slope = stream.scope, abs(stream.size)
            if s == LAYER:
                continue
            excess = sums.beyond(stream.size)[:, s]
            moments = second[:, s], third * skewed[:, s], fourth * far[:, s]
            out[:, i] = slope * excess - wide * log_mean(slope, reach, *moments)

    def _layers(
        self, table: ChannelTable, count: NDArray[np.float64], out: NDArray[np.float32]
    ) -> None:
        """Write bets on the energy of the layer around a channel, where a gain shows most."""
        floors, core = self.floors, count[:, : CORE + 1]
        sums = self._bounds.bounded(
            core, table["layer"][:, : CORE + 1] * (core > 0), self.centre.layer[:, None],
            self.constants.layer[:, None], np.full_like(core, LAYER_VAR),
            floors.channel_layer, floors.channel_layer_unknown,
        )  # fmt: skip
        variance = LAYER_VAR * (sums.n * self._widened)[:, 0]
        reach = LAYER_CLIP + floors.channel_layer_unknown
        third, fourth = LAYER_MOMENTS[0] * LAYER_VAR**0.5, LAYER_MOMENTS[1] * LAYER_VAR
        moments = variance, third * variance, fourth * variance
        for i, stream in streams_of(Test.LATENT_MEAN):
            if stream.scope == LAYER:
                slope = abs(stream.size)
                excess = sums.beyond(stream.size)[:, 0]
                out[:, i] = slope * excess - log_mean(slope, reach, *moments)

    def _spreads(self, squares: Bounded, out: NDArray[np.float32]) -> None:
        by_scope = np.array([self.square_var[scope > 0].max() for scope in SCOPES])
        second, skewed, far = self._powers(squares, 2, 3, 4)
        third, fourth = SQUARE_MOMENTS
        wide = self._widened[:, 0]
        for i, stream in streams_of(Test.LATENT_SPREAD):
            s, slope = stream.scope, abs(stream.size)
            variance = by_scope[s] * second[:, s]
            if stream.size > 0:
                more = third * by_scope[s] * skewed[:, s], fourth * by_scope[s] * far[:, s]
                penalty = wide * log_mean(slope, CHANNEL_Z_CLIP**2, variance, *more)
            else:  # a square is never below 0: its second moment bounds how far it falls short
                penalty = slope**2 / 2 * (wide * variance + second[:, s])
            out[:, i] = slope * squares.beyond(stream.size)[:, s] - penalty

    def _lit(
        self, table: ChannelTable, count: NDArray[np.float64], out: NDArray[np.float32]
    ) -> None:
        given = table["lit_expected"] / np.maximum(table["showers"], 1)
        each = np.clip(given * self.centre.lit, 0.0, 1.0)
        own = np.clip(given * self.constants.lit, 0.0, 1.0)
        bounds = self._bounds.bounded(
            count, table["lit"] * (count > 0), each, own, np.maximum(own * (1 - own), 1e-4),
            self.floors.lit * np.minimum(own, np.maximum(1 - own, 0)) + 1e-3,
            3 * self.floors.lit * np.minimum(each, 1 - each) + 2e-3,
        )  # fmt: skip
        n = np.maximum(bounds.n, 1)
        upper = np.clip(bounds.upper / n, 0.0, 1.0)
        lower = np.clip(bounds.lower / n, 0.0, 1.0)
        for i, stream in streams_of(Test.OCCUPANCY):
            # By Jensen's inequality the mean of the probabilities bounds their product.
            s, ratio = stream.scope, stream.size
            bound = (upper if ratio > 1 else lower)[:, s]
            penalty = bounds.n[:, s] * np.log1p((ratio - 1) * bound)
            out[:, i] = bounds.seen[:, s] * np.log(ratio) - penalty

    def _seeds(
        self, count: NDArray[np.float64], counts: NDArray[np.bool_], out: NDArray[np.float32]
    ) -> None:
        """Write Poisson bets on the showers that are centred on a unit, given those of its pool.

        Of channels that do not count, none are expected, and the others share what the pool has.
        """
        shares = np.where(counts, self.constants.seeds, 0.0)
        core = np.where(shares > 0, count[:, 0], 0.0)
        expected = centred(core, shares, self.pool)
        error = expected**2 / np.maximum(self.constants.showers[:, 0], 1.0)
        mean, seen, variance = (self.units.sums(x) for x in (expected, core, error))
        slack = self.floors.share * mean + self._bounds.sigma * np.sqrt(variance)
        for i, stream in streams_of(Test.SEEDS):
            bound = mean + slack if stream.size > 1 else np.maximum(mean - slack, 0.0)
            log_e = seen * np.log(stream.size) - (stream.size - 1) * bound
            out[:, i] = np.where(mean > 0, log_e, 0.0)

    def _energy(
        self, table: ChannelTable, count: NDArray[np.float64], out: NDArray[np.float32]
    ) -> None:
        """Write bets that the core of showers holds too little; no energy is far below zero."""
        core, energy = count[:, 0], table["energy"][:, 0] * (count[:, 0] > 0)
        usual = np.bincount(self.pool, energy) / np.maximum(np.bincount(self.pool, core), 1)
        usual = np.where(usual > 0, usual, np.inf)[self.pool]
        own = self.constants.energy
        known = self.constants.known[:, 0] & np.isfinite(usual)
        n = np.where(known, core, 0.0)
        error = np.square(n * own) / np.maximum(self.constants.showers[:, 0], 1.0)
        second = 1 + self.constants.energy_var
        mean, seen, moment, variance = (
            self.units.sums(x)
            for x in (n * own, n * energy / np.maximum(core, 1) / usual,
                      n * own**2 * second, error * self.constants.energy_var)
        )  # fmt: skip
        lower = mean * (1 - self.floors.channel_energy) - self._bounds.sigma * np.sqrt(variance)
        for i, stream in streams_of(Test.ENERGY):
            slope = abs(stream.size)
            out[:, i] = slope * (lower - seen) - slope**2 / 2 * moment * self._widened[:, 0]
