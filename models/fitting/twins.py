"""Twins: showers of one pool that are among those of another, however they were digitised."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.detector.geometry import Geometry
    from models.showers.batch import Showers

BRIGHT = 16
"""Cells that two showers are compared in."""

NEAREST = 3
"""Showers that each is compared with: its twin is among them where it is not lost in noise."""

ROUNDING = 1e-3
"""Cells may be stored with as few bits as leave them this exact, as a share."""

EXPLAINED = 4.0
"""Twins differ by no more than this times the variance of noise; 1 is expected. Of 4,000 real twins
the wildest had 2.3; of pairs of other showers of one energy, the nearest 300."""

DIM = 0.1
"""Twins differ by no more than this share of their own squares: noise is not its own twin."""


def twins(showers: Showers, others: Showers, geometry: Geometry) -> NDArray[np.bool_]:
    """Return which showers are also among others, whether digitised anew or clean, shape (N,).

    Twins have the same incident energy, to the bit, or both an unknown one, and differ in their
    brightest cells by no more than noise explains. Energies alone tell nothing in a test beam,
    where all are equal, nor where none is known.
    """
    found = np.zeros(showers.n, np.bool_)
    if not others.n:
        return found
    # An axis of its own for the energy: showers of another one are beyond all reach.
    energy = np.unique(np.r_[showers.e_inc, others.e_inc], return_inverse=True)[1] * 1e6
    mean = others.cells.mean(axis=0, dtype=np.float64)
    cells = np.argsort(-mean)[:BRIGHT]
    unit = np.sqrt(_variance(geometry) + np.square(ROUNDING * mean[cells])) + 1e-9
    ours, theirs = (
        np.column_stack([part.cells[:, cells] / unit, code])
        for part, code in zip((showers, others), np.split(energy, [showers.n]), strict=True)
    )
    reach = 1.5 * np.sqrt(EXPLAINED * BRIGHT)
    near = range(1, NEAREST + 1)
    distance, index = cKDTree(theirs).query(ours, near, distance_upper_bound=reach)
    for far, column in zip(distance.T, index.T, strict=True):
        rows = np.flatnonzero(np.isfinite(far))
        found[rows] |= _alike(showers.cells[rows], others.cells[column[rows]], geometry)
    return found


def _alike(
    one: NDArray[np.float32], other: NDArray[np.float32], geometry: Geometry
) -> NDArray[np.bool_]:
    """Return which pairs of cells, shape (N, V), may be two readings of one shower."""
    place = np.argpartition(-(one + other), min(BRIGHT, one.shape[1]) - 1, axis=1)[:, :BRIGHT]
    a, b = (np.take_along_axis(c, place, 1).astype(np.float64) for c in (one, other))
    square = (np.square(a) + np.square(b)).sum(axis=1) / 2
    noise = EXPLAINED * (place.shape[1] * _variance(geometry) + ROUNDING**2 * square)
    alike: NDArray[np.bool_] = np.square(a - b).sum(axis=1) <= np.minimum(noise, DIM * square)
    return alike


def _variance(geometry: Geometry) -> float:
    """Return the variance of the difference of two readings of a cell, MeV²."""
    return 2 * (geometry.noise_mev**2 + geometry.least_count_mev**2 / 12)
