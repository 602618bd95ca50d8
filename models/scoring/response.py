"""Response: how far latents move when the gain of a channel does, by where in the patch it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from models.showers.batch import Showers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.scoring.scored import Scored

STEP = 0.02
"""Relative change of a gain that responses are measured with, up and down."""

CLIP = 6.0
"""As the sums by channel are clipped: `monitor.windows.channel_sums.Z_CLIP`."""


class Scores(Protocol):
    """What is needed of a scorer."""

    def score(self, showers: Showers) -> Scored:
        """Return scores and latents."""


@dataclass(frozen=True, slots=True)
class GainResponse:
    """Shift of the standardised latent for a relative change of gain by one."""

    core: float
    """Of the core cell, for its own gain."""

    near: float
    """Of a cell beside the core, for its own gain."""

    core_of_near: float
    """Of the core cell, where the gain of all cells beside it changes."""

    near_of_core: float
    """Of a cell beside the core, for the gain of the core."""

    near_of_near: float
    """Of a cell beside the core, for the gain of all others beside it."""


def gain_response(
    scorer: Scores,
    showers: Showers,
    rings: NDArray[np.int8],
    mean: NDArray[np.float32],
    sigma: NDArray[np.float32],
) -> GainResponse:
    """Return the response, measured on good showers.

    Parameters
    ----------
    rings
        Of each cell: 0 core, 1 near, 2 far, shape (V,).
    mean, sigma
        By which latents are standardised, by condition cell, shape (K, V).
    """
    core: list[int] = np.flatnonzero(rings == 0).tolist()
    near: list[int] = np.flatnonzero(rings == 1).tolist()
    moved = {v: _moved(scorer, showers, v, mean, sigma) for v in (*core, *near)}
    own_near = float(np.mean([moved[v][v] for v in near]))
    # With several layers each has a core: a cell moves with those of its own layer at most.
    first = core[:1]
    return GainResponse(
        core=float(np.mean([moved[v][v] for v in core])),
        near=own_near,
        core_of_near=float(sum(moved[v][first].mean() for v in near)) / len(core),
        near_of_core=float(np.mean([moved[v][near].mean() for v in core])),
        near_of_near=float(
            np.mean([sum(moved[u][v] for u in near if u != v) for v in near])
        ) / len(core),
    )  # fmt: skip


def _moved(
    scorer: Scores,
    showers: Showers,
    cell: int,
    mean: NDArray[np.float32],
    sigma: NDArray[np.float32],
) -> NDArray[np.float64]:
    """Return the shift of every cell's mean latent for the gain of one, shape (V,)."""
    v = mean.shape[1]
    sides = []
    for sign in (1, -1):
        cells = showers.cells.copy()
        cells[:, cell] *= 1 + sign * STEP
        scored = scorer.score(Showers(cells, showers.e_inc, showers.conditions))
        k = scored.condition_cell
        z = (scored.latents[:, :v] - mean[k]) / sigma[k]
        sides.append(np.clip(z[scored.valid], -CLIP, CLIP).mean(0, dtype=np.float64))
    shift: NDArray[np.float64] = (sides[0] - sides[1]) / (2 * STEP)
    return shift
