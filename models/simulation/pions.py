"""Pions: neutral pions that decay upstream, made of photons that are there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.showers.batch import Showers
from models.simulation.injection import partner
from models.simulation.moving import moved

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.detector.geometry import Geometry

MASS = 134.9768
"""MeV."""

UPSTREAM_MM = 1600.0
"""Of the decay, from the front face, as of the pions that ship."""

STEP_MM = 1.0
"""Photons enter at whole multiples of it."""


@dataclass(frozen=True, slots=True, eq=False)
class Decays:
    """Two photons each of N neutral pions that fly along the axis."""

    energy: NDArray[np.float64]
    """Of each photon, MeV, shape (N, 2)."""

    slope: NDArray[np.float64]
    """In x and y, of each photon, shape (N, 2, 2); infinite where one flies backwards."""

    @property
    def opening_mm(self) -> NDArray[np.float64]:
        """Return the distance of the photons at the front face, shape (N,)."""
        apart = np.linalg.norm(self.slope[:, 0] - self.slope[:, 1], axis=1)
        return np.asarray(UPSTREAM_MM * apart)


def decays(e_inc: NDArray[np.floating], rng: np.random.Generator) -> Decays:
    """Return decays, even in all directions where the pion is at rest.

    Parameters
    ----------
    e_inc
        Energy of each pion, MeV, shape (N,), above its mass.
    """
    energy = np.asarray(e_inc, np.float64)
    beta, gamma = np.sqrt(1 - (MASS / energy) ** 2), energy / MASS
    cos, phi = rng.uniform(-1, 1, len(energy)), rng.uniform(0, 2 * np.pi, len(energy))
    along = np.stack([cos, -cos], axis=1)
    forward = gamma[:, None] * MASS / 2 * (along + beta[:, None])
    across = MASS / 2 * np.sqrt(1 - cos**2)
    with np.errstate(divide="ignore"):
        size = np.where(forward > 0, across[:, None] / forward, np.inf) * (1, -1)
    where = np.stack([np.cos(phi), np.sin(phi)], axis=1)
    return Decays(
        energy[:, None] / 2 * (1 + beta[:, None] * along), size[:, :, None] * where[:, None]
    )


def pions(found: Decays, photons: Showers, geometry: Geometry, rng: np.random.Generator) -> Showers:
    """Return what the cells hold of pions, without noise; their incident energy is that of both.

    Each photon is one of `photons` of about its energy, scaled to it, and moved in every layer to
    where it flies. What flies beyond the cells is lost; that photons enter a little askew is not in
    the shape of their showers.

    Parameters
    ----------
    photons
        Along the axis, without noise, of known energies; a few thousand make it look right.
    """
    cells = np.zeros((len(found.energy), geometry.n_cells))
    there = photons.e_inc.astype(np.float64)
    for which in range(2):
        chosen, scale = partner(found.energy[:, which], there, rng)
        one = photons.cells[chosen] * scale
        for layer, part in zip(geometry.layers, geometry.slices, strict=True):
            depth = UPSTREAM_MM + sum(layer.depth_mm) / 2
            steps = np.clip(found.slope[:, which] * depth / STEP_MM, -1e6, 1e6).round()
            energy = one[:, part]
            for axis in (0, 1):
                for step in np.unique(steps[:, axis]).tolist():
                    rows = steps[:, axis] == step
                    energy[rows] = moved(energy[rows], layer, step * STEP_MM, geometry, axis)
            cells[:, part] += energy
    return Showers(cells.astype(np.float32), found.energy.sum(axis=1).astype(np.float32))
