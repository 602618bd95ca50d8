"""Gains: gain and pedestal of every channel, estimated from the latents that showers leave in it.

Intercalibration as a by-product. A channel whose gain is off by a percent shifts its latent in every
shower, by what the model's response says; so does its pedestal, which shows where there is little
energy, and so do the channels around it, because a latent is what a cell shows beside the others. Most is told
by the energy of the layer in the showers of which the channel is the core.
All constants of all channels are therefore estimated together, by least squares.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse.linalg import LinearOperator, cg

from monitor.reference.channel_constants import LEAST
from monitor.windows.channel_sums import N_RINGS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.detector.channels import Channels
    from models.scoring.response import ChannelResponse
    from monitor.windows.channel_table import ChannelTable

GAIN_SPREAD = 0.05
"""How far gains are from what they should be before any shower has come. Some patterns of gains
over neighbours hardly move a latent: without this, what showers do not tell would be noise."""

PEDESTAL_SPREAD = 0.3
"""The same of pedestals, in units of the noise."""

COLUMNS = N_RINGS + 1
"""Mean latents of a channel: its own in each ring, and the energy of its layer where it is the core."""

PROBES = 12
"""Channels at which it is solved what neighbours that are not known add to an error."""


@dataclass(frozen=True, slots=True, eq=False)
class Gains:
    """Estimates for C channels, NaN where too few showers have come."""

    gain: NDArray[np.float64]
    """Relative to what the certified model expects, 1 if all is well, shape (C,)."""

    error: NDArray[np.float64]
    """One standard deviation of what is not known of it after the showers, shape (C,)."""

    limit: NDArray[np.float64]
    """What the error would be if the gains around it were known, shape (C,)."""

    pedestal_mev: NDArray[np.float64]
    """What is read beyond what the certified model expects, shape (C,)."""

    showers: NDArray[np.float64]
    """Showers whose seed it was, shape (C,)."""


def estimated(
    table: ChannelTable, channels: Channels, response: ChannelResponse, noise_mev: float
) -> Gains:
    """Return the gain of every channel, drawn to 1 by what is not known of it.

    Parameters
    ----------
    table
        Sums of accepted showers.
    response
        How far latents move with gains and pedestals.
    noise_mev
        Of a cell.
    """
    n, z, square = _columns(table)
    variance = np.maximum(square - z**2, 0.1)
    weight = np.where(n >= LEAST, n / variance, 0.0)
    shift = _Shift(channels, response, n)
    known = (weight > 0).any(1)
    spread = np.array([GAIN_SPREAD, max(PEDESTAL_SPREAD * noise_mev, 1e-9) / shift.unit_mev])
    prior = 1 / np.square(spread)
    size = 2 * len(channels)

    def normal(constants: NDArray[np.float64]) -> NDArray[np.float64]:
        both = constants.reshape(2, -1)
        told: NDArray[np.float64] = shift.back(weight * shift(both)) + prior[:, None] * both
        return told.ravel()

    operator = LinearOperator((size, size), matvec=normal, dtype=np.float64)
    inverse = _inverse(shift.local(weight) + np.diag(prior)[..., None])

    def nearly(seen: NDArray[np.float64]) -> NDArray[np.float64]:
        begun: NDArray[np.float64] = np.einsum("klc,lc->kc", inverse, seen.reshape(2, -1))
        return begun.ravel()

    begin = LinearOperator((size, size), matvec=nearly, dtype=np.float64)

    def solve(seen: NDArray[np.float64]) -> NDArray[np.float64]:
        found, _ = cg(operator, seen.ravel(), rtol=1e-6, maxiter=300, M=begin)
        return np.asarray(found, np.float64).reshape(2, -1)

    gain, pedestal = solve(shift.back(weight * z))
    limit = np.sqrt(inverse[0, 0])
    grown = []
    for probe in _spread(np.flatnonzero(known)):
        one = np.zeros((2, len(channels)))
        one[0, probe] = 1.0
        grown.append(np.sqrt(solve(one)[0, probe]) / limit[probe])
    error = limit * (np.median(grown) if grown else 1.0)
    unknown = np.where(known, 0.0, np.nan)
    return Gains(
        gain=1 + gain + unknown,
        error=error + unknown,
        limit=limit + unknown,
        pedestal_mev=pedestal * shift.unit_mev + unknown,
        showers=n[:, 0],
    )


def _columns(table: ChannelTable) -> NDArray[np.float64]:
    """Return showers, mean latents and mean squares, (3, C, `COLUMNS`); see `COLUMNS`."""
    showers = table["showers"]
    n = np.hstack([showers, showers[:, :1]])
    some = np.maximum(n, 1)
    z = np.hstack([table["z"], table["layer"][:, :1]]) / some
    # The latent of a layer's energy has variance 1 in good showers: its squares are not summed.
    square = np.hstack([table["z_square"] / some[:, :N_RINGS], 1 + z[:, N_RINGS:] ** 2])
    return np.array([n, z, square])


class _Shift:
    """Mean latents of channels, as constants of channels shift them: linear.

    Parameters
    ----------
    channels
        Of which patches are made.
    response
        Of the cells of a patch.
    n
        Showers behind each mean latent, shape (C, `COLUMNS`).
    """

    def __init__(
        self, channels: Channels, response: ChannelResponse, n: NDArray[np.float64]
    ) -> None:
        seeds = np.flatnonzero(channels.may_seed & (n[:, 0] > 0))
        patch = channels.patches(seeds.astype(np.uint32)).astype(np.int64)
        # Pedestals in units in which they tell as much as gains do: both are solved for together.
        size = [float(np.abs(np.diagonal(m)).max()) for m in (response.gain, response.pedestal)]
        self.unit_mev = size[0] / size[1] if size[1] else 1.0
        self._n, self._size = np.maximum(n, 1), len(channels)
        self._inside, self._patch = patch >= 0, np.maximum(patch, 0)
        core = np.flatnonzero(channels.rings == 0)
        # The cell of which each latent is: that of a layer's energy is of the core there.
        self._cell = np.concatenate([np.arange(patch.shape[1]), core])
        column = np.concatenate([channels.rings, np.full(len(core), N_RINGS)])
        latents = np.concatenate([np.arange(patch.shape[1]), patch.shape[1] + core])
        both = (response.gain, response.pedestal * self.unit_mev)
        self._moves = tuple(moves[:, latents] for moves in both)
        self._at = self._patch[:, self._cell] * COLUMNS + column
        # A shower of a seed is in its core there, and nowhere else: so many had this patch.
        self._showers = np.where(self._inside[:, self._cell], n[seeds, 0][:, None], 0.0)

    def __call__(self, constants: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the mean latents, (C, `COLUMNS`), of gains and pedestals, (2, C)."""
        cells = sum(
            np.where(self._inside, values[self._patch], 0.0) @ moves
            for values, moves in zip(constants, self._moves, strict=True)
        )
        total = np.bincount(
            self._at.ravel(), (cells * self._showers).ravel(), minlength=self._size * COLUMNS
        )
        mean: NDArray[np.float64] = total.reshape(self._size, COLUMNS) / self._n
        return mean

    def back(self, latents: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the transposed map of (C, `COLUMNS`), shape (2, C)."""
        cells = (latents / self._n).ravel()[self._at] * self._showers
        return np.array([self._summed(cells @ moves.T) for moves in self._moves])

    def _summed(self, cells: NDArray[np.float64]) -> NDArray[np.float64]:
        inside = np.where(self._inside, cells, 0.0)
        return np.bincount(self._patch.ravel(), inside.ravel(), self._size).astype(np.float64)

    def _own(self) -> NDArray[np.float64]:
        """Return the shift of a channel's own latents by its own constants, (2, C, `COLUMNS`)."""
        own = []
        for moves in self._moves:
            cells = self._showers * moves[self._cell, np.arange(len(self._cell))]
            total = np.bincount(self._at.ravel(), cells.ravel(), self._size * COLUMNS)
            own.append(total.reshape(self._size, COLUMNS) / self._n)
        return np.array(own)

    def local(self, weight: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what latents of weights (C, `COLUMNS`) tell of their own channel, (2, 2, C)."""
        own = self._own()
        told: NDArray[np.float64] = np.einsum("kcr,lcr,cr->klc", own, own, weight)
        return told


def _inverse(blocks: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the inverse of each symmetric block of (2, 2, C)."""
    (a, b), (_, d) = blocks
    inverse: NDArray[np.float64] = np.array([[d, -b], [-b, a]]) / (a * d - b * b)
    return inverse


def _spread(known: NDArray[np.int64]) -> list[int]:
    """Return some channels, from all over."""
    if not len(known):
        return []
    at = np.linspace(0, len(known) - 1, min(PROBES, len(known)))
    return sorted({int(known[round(i)]) for i in at})
