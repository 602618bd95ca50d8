"""Response: how far latents move when a constant of a channel does, by where in the patch it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from models.showers.batch import Showers

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from models.scoring.scored import Scored

GAIN_STEP = 0.02
"""Relative change of a gain that responses are measured with, up and down."""

PEDESTAL_STEP = 0.25
"""The same of a pedestal, in units of the noise."""

CLIP = 6.0
"""As the sums by channel are clipped: `monitor.windows.channel_sums.CHANNEL_Z_CLIP`."""


class Scores(Protocol):
    """What is needed of a scorer."""

    def score(self, showers: Showers) -> Scored:
        """Return scores and latents."""


@dataclass(frozen=True, slots=True, eq=False)
class ChannelResponse:
    """Mean shift of the standardised latents of a patch for a change of the constants in it.

    A latent is what a cell shows beside the others, so that each constant moves many of them.
    """

    gain: NDArray[np.float64]
    """Of the second cell for a relative change by one of the first one's gain, shape (V, V)."""

    pedestal: NDArray[np.float64]
    """Of the second cell for a MeV in the first one, shape (V, V); 0 where there is no noise:
    a cell that is empty without a shower has no pedestal."""


def channel_response(
    scorer: Scores,
    showers: Showers,
    noise_mev: float,
    mean: NDArray[np.float32],
    sigma: NDArray[np.float32],
) -> ChannelResponse:
    """Return the response, measured on good showers.

    Parameters
    ----------
    noise_mev
        Of a cell.
    mean, sigma
        By which latents are standardised, by condition cell, shape (K, V).
    """
    v = mean.shape[1]

    def moved(
        change: Callable[[NDArray[np.float32], float], None], step: float
    ) -> NDArray[np.float64]:
        """Return the shift of every cell's mean latent for a change of one, shape (V,)."""
        sides = []
        for at in (step, -step):
            cells = showers.cells.copy()
            change(cells, at)
            scored = scorer.score(Showers(cells, showers.e_inc, showers.conditions))
            k = scored.condition_cell
            z = (scored.latents[:, :v] - mean[k]) / sigma[k]
            sides.append(np.clip(z[scored.valid], -CLIP, CLIP).mean(0, dtype=np.float64))
        shift: NDArray[np.float64] = (sides[0] - sides[1]) / (2 * step)
        return shift

    def gain(cell: int) -> NDArray[np.float64]:
        def change(cells: NDArray[np.float32], by: float) -> None:
            cells[:, cell] *= 1 + by

        return moved(change, GAIN_STEP)

    def pedestal(cell: int) -> NDArray[np.float64]:
        def change(cells: NDArray[np.float32], by: float) -> None:
            cells[:, cell] += by

        return moved(change, PEDESTAL_STEP * noise_mev) if noise_mev else np.zeros(v)

    return ChannelResponse(
        np.array([gain(cell) for cell in range(v)]), np.array([pedestal(cell) for cell in range(v)])
    )
