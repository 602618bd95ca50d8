"""Response: how far latents move when a constant of a channel does, by where in the patch it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from models.showers.batch import Showers

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from models.detector.geometry import Geometry
    from models.scoring.scored import Scored

GAIN_STEP = 0.02
"""Relative change of a gain that responses are measured with, up and down."""

PEDESTAL_STEP = 0.25
"""The same of a pedestal, in units of the noise."""

CLIP, LAYER_CLIP = 6.0, 4.0
"""As the sums by channel are clipped: see `monitor.windows.channel_sums`."""


class Scores(Protocol):
    """What is needed of a scorer."""

    def score(self, showers: Showers) -> Scored:
        """Return scores and latents."""


@dataclass(frozen=True, slots=True, eq=False)
class ChannelResponse:
    """Mean shift of the standardised latents of a patch for a change of the constants in it.

    A cell's latent is what a cell shows beside the others, so that each constant moves many of them.
    """

    gain: NDArray[np.float64]
    """Of the cells' latents, then of those of the energy of each cell's layer, for a relative change
    by one of the gain of a cell (first axis), shape (V, 2 V)."""

    pedestal: NDArray[np.float64]
    """The same for a MeV in a cell, shape (V, 2 V); 0 where there is no noise: a cell that is
    empty without a shower has no pedestal."""


def channel_response(
    scorer: Scores,
    showers: Showers,
    geometry: Geometry,
    mean: NDArray[np.float32],
    sigma: NDArray[np.float32],
) -> ChannelResponse:
    """Return the response, measured on good showers.

    Parameters
    ----------
    geometry
        Of the patches.
    mean, sigma
        By which latents of cells and layers are standardised, by condition cell, (K, V + L).
    """
    v, d, noise_mev = geometry.n_cells, mean.shape[1], geometry.noise_mev
    most = np.where(np.arange(d) < v, CLIP, LAYER_CLIP)

    def moved(
        change: Callable[[NDArray[np.float32], float], None], step: float
    ) -> NDArray[np.float64]:
        """Return the shift of every mean latent for a change of one, shape (V + L,)."""
        sides = []
        for at in (step, -step):
            cells = showers.cells.copy()
            change(cells, at)
            scored = scorer.score(Showers(cells, showers.e_inc, showers.conditions))
            k = scored.condition_cell
            z = (scored.latents - mean[k]) / sigma[k]
            sides.append(np.clip(z[scored.valid], -most, most).mean(0, dtype=np.float64))
        shift: NDArray[np.float64] = (sides[0] - sides[1]) / (2 * step)
        return shift

    def gain(cell: int) -> NDArray[np.float64]:
        def change(cells: NDArray[np.float32], by: float) -> None:
            cells[:, cell] *= 1 + by

        return moved(change, GAIN_STEP)

    def pedestal(cell: int) -> NDArray[np.float64]:
        def change(cells: NDArray[np.float32], by: float) -> None:
            cells[:, cell] += by

        return moved(change, PEDESTAL_STEP * noise_mev) if noise_mev else np.zeros(d)

    latents = np.concatenate([np.arange(v), v + geometry.layer_of_cell])
    return ChannelResponse(
        np.array([gain(cell) for cell in range(v)])[:, latents],
        np.array([pedestal(cell) for cell in range(v)])[:, latents],
    )
