"""Stand-in: what a shower shows in cells that are not there, so that sums of many stay what they are."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from models.showers.hashing import keys, mix, normal_quantile, uniform

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.scoring.scored import Scored
    from models.showers.batch import Showers


def stood_in(
    showers: Showers,
    scored: Scored,
    hidden: NDArray[np.bool_],
    lit_rate: NDArray[np.float64],
    threshold: float,
) -> tuple[Showers, Scored]:
    """Return showers and what is said of them with draws of good showers in the hidden cells.

    Latents come from N(0, 1), lit cells at the reference's rate, by numbers of the shower's own
    bytes: a sum over showers of a region is then that of cells which all were there and good.

    Parameters
    ----------
    hidden
        True for cells that are outside of the detector or known to be bad, shape (N, V).
    lit_rate
        Share of good showers in which a cell is lit, by condition cell, shape (K, V).
    threshold
        Energy above which a cell is lit, MeV.
    """
    rows = np.flatnonzero(hidden.any(axis=1))
    if not len(rows):
        return showers, scored
    where, n_cells = hidden[rows], hidden.shape[1]
    u = uniform(mix(keys(showers[rows])), 2 * n_cells)
    latents, cells = scored.latents.copy(), showers.cells.copy()
    drawn = normal_quantile(u[:, :n_cells]).astype(np.float32)
    latents[rows, :n_cells] = np.where(where, drawn, latents[rows, :n_cells])
    lit = u[:, n_cells:] < lit_rate[scored.condition_cell[rows]]
    energy = np.where(lit, np.float32(2 * threshold), np.float32(0))
    cells[rows] = np.where(where, energy, cells[rows])
    latents[~scored.valid] = np.nan
    return replace(showers, cells=cells), replace(scored, latents=latents)
