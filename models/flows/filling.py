"""Filling: cells of which nothing is known get what they hold on average, at the energy that fits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from models.flows.cell_energies import mean_energy

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.flows.features import FeatureMap
    from models.showers.batch import Showers

FILL_STEPS = 26
"""Halvings of the range of energies: the last is some 1e-7 of it."""


def _total(parts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sums of rows (N, X), one part after the other.

    To the bit the same whatever other showers are beside, and whatever zeros are between.
    """
    total: NDArray[np.float64] = (
        np.cumsum(parts, axis=1)[:, -1] if parts.size else np.zeros(len(parts))
    )
    return total


@dataclass(frozen=True, eq=False)
class Filling:
    """Fills cells in, as the features of a model see them."""

    feature_map: FeatureMap

    def __call__(self, showers: Showers, mask: NDArray[np.bool_]) -> Showers:
        """Return showers whose masked cells, shape (N, V), hold their mean at the energy.

        The energy is reconstructed with them: it is the one at which what is filled in gives it
        again, found by bisection, since what is missing may be most of a shower.
        """
        columns = np.flatnonzero(mask.any(axis=0))
        hidden = mask[:, columns]
        cells = np.where(mask, np.float32(0), showers.cells)
        of = self.feature_map
        factor = of.calibration[1:] @ of.core  # incident over visible energy of each cell
        rest = _total(cells * factor) + of.calibration[0]
        low, high = (np.full(showers.n, limit) for limit in of.limits[:, 0])
        for _ in range(FILL_STEPS):
            middle = (low + high) / 2
            mean = self._balanced_energy(middle, columns)
            filled = _total(np.where(hidden, mean, 0.0) * factor[columns])
            energy = np.maximum(rest + filled, of.least_mev)
            above = (np.log(energy) - of.scale[0, 0]) / of.scale[1, 0] > middle
            low, high = np.where(above, middle, low), np.where(above, high, middle)
        mean = self._balanced_energy((low + high) / 2, columns)
        cells[:, columns] = np.where(hidden, mean, cells[:, columns])
        return replace(showers, cells=cells)

    def _balanced_energy(
        self, at: NDArray[np.float64], columns: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """Return the mean energy of some cells such that all cells together give the energy again.

        Where most of a shower is missing, a percent too much in its mean is half as much again in
        the energy that it is found at.
        """
        ratio = np.interp(at, *self._balance)[:, None].astype(np.float32)
        return mean_energy(self.feature_map, at, columns) * ratio

    @cached_property
    def _balance(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return standardised log energies, and what means of cells are off by there."""
        of = self.feature_map
        low, high = (float(limit) for limit in of.limits[:, 0])
        at = np.linspace(low, high, 64)
        wanted = np.exp(at * of.scale[1, 0] + of.scale[0, 0]) - of.calibration[0]
        mean = mean_energy(of, at, np.arange(of.n_cells))
        return at, wanted / (mean @ (of.calibration[1:] @ of.core))
