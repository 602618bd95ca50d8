"""Sums: what a reference holds of latents and cells, added up a batch at a time.

All cells and latents of a population may be many gigabytes: nothing here needs them at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.scoring.scales import Z_CLIP, Z_UNIT, lit_threshold

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.detector.geometry import Geometry


@dataclass(eq=False, slots=True)
class Sums:
    """Sums over showers by condition cell of reconstructed energy."""

    inner: NDArray[np.float64]
    """Edges between the K condition cells, MeV, shape (K - 1,)."""

    geometry: Geometry
    showers: NDArray[np.float64]
    """Shape (K,)."""

    latents: NDArray[np.float64]
    """Of z, z², z³, z⁴ as windows quantise them, shape (4, K, D)."""

    lit: NDArray[np.float64]
    """Showers in which each cell is lit, shape (K, V)."""

    layers: NDArray[np.float64]
    """Of the energy of each layer, MeV, and of its square, shape (2, K, L)."""

    @classmethod
    def empty(cls, inner: NDArray[np.float64], geometry: Geometry, n_latents: int) -> Sums:
        """Return the sums over no showers."""
        k, v, n_layers = len(inner) + 1, geometry.n_cells, geometry.n_layers
        parts = (np.zeros(k), np.zeros((4, k, n_latents)), np.zeros((k, v)))
        return cls(inner, geometry, *parts, np.zeros((2, k, n_layers)))

    @property
    def n_cells(self) -> int:
        """Return K."""
        return len(self.showers)

    def cell(self, e_rec: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the condition cell of each reconstructed energy, shape (N,)."""
        return np.searchsorted(self.inner, e_rec, side="right").astype(np.int64)

    def add(
        self,
        e_rec: NDArray[np.float64],
        latents: NDArray[np.float32],
        cells: NDArray[np.float32],
    ) -> None:
        """Add showers: reconstructed energies, latents (N, D) and cell energies, MeV, (N, V)."""
        which = self.cell(e_rec)
        self.showers += np.bincount(which, minlength=self.n_cells)
        threshold = lit_threshold(self.geometry)
        for k in np.unique(which):
            mine = which == k
            z = np.clip(latents[mine], -Z_CLIP, Z_CLIP).astype(np.float64)
            quantised = np.rint(z / Z_UNIT) * Z_UNIT
            square = np.rint(z * z / Z_UNIT) * Z_UNIT
            powers = (quantised, square, quantised * square, square * square)
            self.latents[:, k] += [power.sum(axis=0) for power in powers]
            self.lit[k] += (cells[mine] > threshold).sum(axis=0)
            slices = self.geometry.slices
            layers = np.stack([cells[mine, s].sum(1, dtype=np.float64) for s in slices], axis=1)
            self.layers[:, k] += [layers.sum(axis=0), (layers**2).sum(axis=0)]

    @property
    def latent_moments(self) -> NDArray[np.float64]:
        """Return the means of z, z², z³, z⁴, shape (4, K, D)."""
        return self.latents / self.showers[:, None]

    @property
    def lit_rate(self) -> NDArray[np.float64]:
        """Return the share of showers in which each cell is lit, shape (K, V)."""
        return self.lit / self.showers[:, None]

    @property
    def layer_mean(self) -> NDArray[np.float64]:
        """Return the mean energy of each layer, MeV, shape (K, L)."""
        return np.asarray(self.layers[0] / self.showers[:, None])

    @property
    def layer_var(self) -> NDArray[np.float64]:
        """Return the variance of it, MeV², shape (K, L)."""
        square = self.layers[1] / self.showers[:, None]
        return np.asarray(np.maximum(square - self.layer_mean**2, 0.0))
