"""Glance: what sums over the cores of layers say of showers, before any cell is looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Glance(NamedTuple):
    """What the sums over the cores of N showers say, before any cell is looked at."""

    core: NDArray[np.float32]
    """Energy in the core of each layer, MeV, shape (N, L)."""

    e_rec: NDArray[np.float64]
    """Reconstructed energy, MeV, shape (N,)."""

    conditions: NDArray[np.float32]
    """Standardised and clamped, shape (N, C)."""

    layers: NDArray[np.float32]
    """Layer-energy coordinates as in `Features`, shape (N, L)."""

    def rows(self, index: slice | NDArray[np.int64]) -> Glance:
        """Return those of some of the showers."""
        core, e_rec, conditions, layers = self
        return Glance(core[index], e_rec[index], conditions[index], layers[index])
