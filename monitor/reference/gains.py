"""Gains: the gain of every channel, estimated from the latents that showers leave in it.

Intercalibration as a by-product. A channel whose gain is off by a percent shifts its latent in every
shower, by what the model's response says; the channels beside it shift it too, because a latent
is what a cell shows beside the others. All gains are therefore estimated together, by least squares.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import coo_array, vstack
from scipy.sparse.linalg import cg

from monitor.reference.channel_constants import LEAST

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

    from models.detector.channels import Channels
    from models.scoring.response import GainResponse
    from monitor.windows.channel_table import ChannelTable


@dataclass(frozen=True, slots=True, eq=False)
class Gains:
    """Estimates for C channels, NaN where too few showers have come."""

    gain: NDArray[np.float64]
    """Relative to what the certified model expects, 1 if all is well, shape (C,)."""

    error: NDArray[np.float64]
    """One standard deviation, the statistical limit of the latents, shape (C,)."""

    showers: NDArray[np.float64]
    """Showers behind it: in the core, or beside it, shape (C,)."""


def estimated(table: ChannelTable, channels: Channels, response: GainResponse) -> Gains:
    """Return the gain of every channel.

    Parameters
    ----------
    table
        Sums of accepted showers.
    response
        How far latents move with gains.
    """
    n = table["showers"][:, :2]
    z = table["z"][:, :2] / np.maximum(n, 1)
    square = np.maximum(table["z_square"][:, :2] / np.maximum(n, 1) - z**2, 0.1)
    beside = _beside(channels)
    own = _diagonal(np.ones(len(channels)))
    rows = (
        response.core * own + response.core_of_near * beside,
        response.near * own + (response.near_of_core + response.near_of_near) * beside,
    )
    weight = np.where(n >= LEAST, n / square, 0.0)
    matrix = vstack([_diagonal(np.sqrt(weight[:, ring])) @ rows[ring] for ring in (0, 1)]).tocsr()
    seen = np.concatenate([np.sqrt(weight[:, ring]) * z[:, ring] for ring in (0, 1)])
    own_only = weight @ np.square(np.array([response.core, response.near]))
    known = own_only > 0
    # A percent of gain is a soft bound on what has hardly been seen: else neighbours of channels
    # without showers are as free as they.
    normal = matrix.T @ matrix + _diagonal(np.where(known, 0.0, 1e4))
    found, _ = cg(normal, matrix.T @ seen, rtol=1e-8, maxiter=500)
    error = 1 / np.sqrt(np.maximum(own_only, 1e-12))
    return Gains(
        gain=np.where(known, 1 + found, np.nan),
        error=np.where(known, error, np.nan),
        showers=n.sum(1),
    )


def _diagonal(values: NDArray[np.float64]) -> Any:
    at = np.arange(len(values))
    return coo_array((values, (at, at)), shape=(len(values), len(values))).tocsr()


def _beside(channels: Channels) -> Any:
    """Return the mean over the channels beside each one, sparse, shape (C, C)."""
    n = len(channels)
    seeds = np.flatnonzero(channels.may_seed)
    patch = channels.patches(seeds.astype(np.uint32))
    cells = np.flatnonzero(channels.rings == 1)
    row = np.repeat(seeds, len(cells))
    column = patch[:, cells].ravel()
    same = (column >= 0) & (channels.layer[row] == channels.layer[np.maximum(column, 0)])
    row, column = row[same], column[same]
    share = 1 / np.bincount(row, minlength=n)[row]
    return coo_array((share, (row, column)), shape=(n, n)).tocsr()
