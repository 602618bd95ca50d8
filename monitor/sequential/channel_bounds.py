"""Channel bounds: what sums of channels and groups may be, if all is well with them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtri

from monitor.sequential.channel_streams import LAYER, SCOPES, STREAMS, streams_of
from monitor.sequential.moment_bounds import Bounded
from monitor.sequential.rates import Test
from monitor.windows.channel_sums import N_RINGS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monitor.reference.channel_constants import ChannelConstants
    from monitor.sequential.channel_units import ChannelUnits

BOUNDS = len(
    {(s.test, s.scope, s.size > (s.test in {Test.OCCUPANCY, Test.SEEDS})) for s in STREAMS}
    # The mean square bounds what a bet on the mean wins, in its scope.
    | {(Test.LATENT_SPREAD, s, True) for _, (_, s, _) in streams_of(Test.LATENT_MEAN) if s != LAYER}
)
"""Bounds from the live reference that have to hold together, of each unit: of a test and scope, upper
or lower; as many from what bounds it, where that has been learnt too."""


@dataclass(frozen=True)
class ChannelBounds:
    """Bounds by what is certified of all channels and by what each has taught."""

    units: ChannelUnits
    constants: ChannelConstants
    centre: ChannelConstants
    """What bounds the constants: certified, or moved by order."""

    miscoverage: float
    """Probability that any bound from the live reference fails."""

    @cached_property
    def _moved(self) -> bool:
        return bool(self.centre.known.any())

    @cached_property
    def sigma(self) -> float:
        """Return how many of their errors constants may be off by."""
        bounds = BOUNDS * self.units.n * (1 + self._moved)
        return float(-ndtri(self.miscoverage / bounds))

    def of_units(self, by_ring: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return sums of channels by ring, (C, 3), for every unit and scope, (U, S).

        Of the core alone, (C, 1), they are (U, 1).
        """
        sums = self.units.sums(by_ring)
        return sums @ SCOPES.T if by_ring.shape[1] == N_RINGS else sums

    def bounded(
        self,
        count: NDArray[np.float64],
        seen: NDArray[np.float64],
        centre: NDArray[np.float64],
        own: NDArray[np.float64],
        variance: NDArray[np.float64],
        known_floor: NDArray[np.float64] | float,
        floor: NDArray[np.float64] | float,
    ) -> Bounded:
        """Return what sums may be by what is certified and by what is learnt, for every unit.

        All by channel and ring, (C, 3), or of the core alone, (C, 1), and for one shower: the certified mean, the channel's
        own, the variance, the floor of what is known and of what is not.
        """
        known = self.constants.known[:, : count.shape[1]]
        n = self.of_units(count)
        certain = self.of_units(count * centre)
        slack = self.of_units(count * np.broadcast_to(floor, count.shape))
        if self._moved:
            slack = slack + self._error(count, self.centre, variance)
        middle = self.of_units(count * np.where(known, own, centre))
        narrow = self.of_units(count * np.where(known, known_floor, floor))
        narrow = narrow + self._error(count, self.constants, variance)
        # What has been learnt counts only where what is certified holds it to be possible.
        possible = np.abs(middle - certain) <= slack
        upper, lower = certain + slack, certain - slack
        return Bounded(
            n,
            self.of_units(seen),
            np.where(possible, np.minimum(upper, middle + narrow), upper),
            np.where(possible, np.maximum(lower, middle - narrow), lower),
        )

    def _error(
        self, count: NDArray[np.float64], learnt: ChannelConstants, variance: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return how far sums may be off for what constants were learnt from, shape (U, S)."""
        showers = learnt.showers[:, : count.shape[1]]
        each = np.where(showers > 0, np.square(count) / np.maximum(showers, 1.0), 0.0)
        return self.sigma * np.sqrt(self.of_units(each * variance))
